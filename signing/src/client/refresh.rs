//! Bringing the top-level roles up to date (TUF 1.0.34 §5.1 to §5.6.5).

use super::limits::{
    MAX_ROOT_BYTES, MAX_ROOT_ROTATIONS, MAX_SNAPSHOT_BYTES, MAX_TARGETS_BYTES, MAX_TIMESTAMP_BYTES,
    at_most,
};
use super::{Client, Refreshed, bounded, memory};
use crate::Sha256Digest;
use crate::error::Error;
use crate::names::{FileName, TopRole};
use crate::source::{Fetched, Source};
use crate::store::Store;
use crate::trusted::{Floors, Ready, Snapshotted, Timestamped};
use jiff::Timestamp;

/// A fetched timestamp, not yet verified.
struct Offer {
    bytes: Vec<u8>,
    etag: Option<String>,
}

/// The answer to a conditional request.
enum Poll {
    Unchanged,
    Offer(Offer),
    NotAsked,
}

impl<S: Source, T: Store> Client<S, T> {
    /// Brings root, timestamp, snapshot and targets up to date. `now` is the one time of this
    /// update (§5.1): a slow download does not fail half-way, but the next use checks again.
    ///
    /// When nothing changed this costs one conditional request. On an error, whatever was
    /// verified before stays usable until it expires, unless this update took a new root: the
    /// old set may stand on keys which that root revokes, so nothing is usable
    /// ([`Error::NotRefreshed`]) until an update succeeds.
    pub async fn refresh(&mut self, now: Timestamp) -> Result<Refreshed, Error> {
        let before = self.trusted_versions();
        self.restore(now)?;
        let offer = match self.poll(now).await? {
            Poll::Unchanged => return self.report(false),
            Poll::Offer(offer) => Some(offer),
            Poll::NotAsked => None,
        };
        let root_changed = self.update_roots(now).await?;
        let offer = match offer {
            // Fetched before the new root was known, so perhaps signed with a key it retired.
            Some(offer) if !root_changed => offer,
            _ => self.offer().await?,
        };
        let timestamped = self.update_timestamp(&offer.bytes, now)?;
        let snapshotted = self.update_snapshot(&timestamped).await?;
        let ready = self.update_targets(&snapshotted).await?;
        // Another file of the version we have was not taken; its validator must not stand for ours.
        let taken = ready.timestamp().digest() == Sha256Digest::of(&offer.bytes);
        self.complete(ready, offer.etag.filter(|_| taken))?;
        let after = self.trusted_versions();
        self.report((before.root, before.timestamp) != (after.root, after.timestamp))
    }

    fn report(&self, changed: bool) -> Result<Refreshed, Error> {
        let ready = self.ready.as_ref().ok_or(Error::NotRefreshed)?;
        Ok(Refreshed {
            changed,
            root_version: self.roots.version(),
            timestamp_version: ready.timestamp().body.version,
            snapshot_version: ready.snapshot().body.version,
            expires: ready.expires(),
        })
    }

    /// After a restart: the stored set, if it is complete and fresh, so that the first request
    /// can be conditional as well.
    fn restore(&mut self, now: Timestamp) -> Result<(), Error> {
        if self.ready.is_some() {
            return Ok(());
        }
        let load = |role: TopRole| memory::load(&self.store, &role.into());
        let (Some(timestamp), Some(snapshot), Some(targets)) =
            (load(TopRole::Timestamp)?, load(TopRole::Snapshot)?, load(TopRole::Targets)?)
        else {
            return Ok(());
        };
        // Whatever is wrong with the stored set, the source has a better one.
        let restored = self
            .roots
            .timestamp(&timestamp, &self.floors, now)
            .and_then(|timestamped| timestamped.snapshot(&snapshot, &self.floors))
            .and_then(|snapshotted| snapshotted.targets(&targets));
        if let Ok(ready) = restored {
            let digest = ready.timestamp().digest();
            self.etag = memory::load_etag(&self.store, self.roots.version(), digest)?;
            self.ready = Some(ready);
        }
        Ok(())
    }

    /// Asks whether the timestamp changed. 304 also says that there is no new root, because our
    /// hub's validator covers it; a mirror that lies here could as well withhold the root, and
    /// root's expiry bounds both.
    async fn poll(&mut self, now: Timestamp) -> Result<Poll, Error> {
        let (Some(ready), Some(etag)) = (&self.ready, &self.etag) else {
            return Ok(Poll::NotAsked);
        };
        if self.roots.check_expiry(self.floors.effective(now)).is_err() {
            // Only a new root can help, so the root step must run.
            return Ok(Poll::NotAsked);
        }
        let file = FileName::timestamp();
        let failed = |source| Error::Fetch { file: file.clone(), source };
        let answer = self.source.fetch(&file, MAX_TIMESTAMP_BYTES, Some(etag)).await;
        match answer.map_err(failed)? {
            Fetched::NotModified => {
                ready.check_fresh(now)?;
                Ok(Poll::Unchanged)
            }
            Fetched::Body { bytes, etag } => {
                let bytes = bounded(bytes, MAX_TIMESTAMP_BYTES).map_err(failed)?;
                Ok(Poll::Offer(Offer { bytes, etag }))
            }
            Fetched::NotFound => Err(Error::Missing { file }),
        }
    }

    /// An unconditional request for the timestamp (§5.4.1).
    async fn offer(&self) -> Result<Offer, Error> {
        let file = FileName::timestamp();
        let failed = |source| Error::Fetch { file: file.clone(), source };
        let answer = self.source.fetch(&file, MAX_TIMESTAMP_BYTES, None).await.map_err(failed)?;
        match answer {
            Fetched::Body { bytes, etag } => {
                let bytes = bounded(bytes, MAX_TIMESTAMP_BYTES).map_err(failed)?;
                Ok(Offer { bytes, etag })
            }
            Fetched::NotFound => Err(Error::Missing { file }),
            Fetched::NotModified => Err(failed(crate::source::SourceError::Unconditional)),
        }
    }

    /// Follows the root chain one version at a time until the source has no next one (§5.3).
    /// Says whether there was a new root.
    async fn update_roots(&mut self, now: Timestamp) -> Result<bool, Error> {
        let mut changed = false;
        for _ in 0..MAX_ROOT_ROTATIONS {
            let version = self.roots.next_version()?;
            let file = FileName::root(version);
            let Some(bytes) = self.fetch(&file, MAX_ROOT_BYTES).await? else {
                self.roots.check_expiry(self.floors.effective(now))?;
                return Ok(changed);
            };
            let next = self.roots.next(&bytes)?;
            let rotated = next.rotated_since(&self.roots);
            memory::save_root(&mut self.store, &bytes, version, rotated)?;
            self.floors =
                if rotated { Floors::default() } else { memory::load_floors(&next, &self.store)? };
            self.roots = next;
            // The old set stands on keys that may be revoked now.
            self.ready = None;
            self.etag = None;
            self.delegated.clear();
            changed = true;
        }
        Err(Error::TooManyRotations { limit: MAX_ROOT_ROTATIONS })
    }

    /// §5.4, and saves what is new (§5.4.5).
    fn update_timestamp(&mut self, bytes: &[u8], now: Timestamp) -> Result<Timestamped, Error> {
        let timestamped = self.roots.timestamp(bytes, &self.floors, now)?;
        if !timestamped.is_in(&self.floors) {
            memory::save(&mut self.store, &TopRole::Timestamp.into(), timestamped.raw())?;
            timestamped.raise(&mut self.floors);
        }
        Ok(timestamped)
    }

    /// §5.5: the stored copy if it is the pinned one, otherwise the source's.
    async fn update_snapshot(&mut self, timestamped: &Timestamped) -> Result<Snapshotted, Error> {
        let role = TopRole::Snapshot.into();
        if let Some(bytes) = memory::load(&self.store, &role)?
            && let Ok(snapshotted) = timestamped.snapshot(&bytes, &self.floors)
        {
            return Ok(snapshotted);
        }
        let limit = at_most(timestamped.pin().length, MAX_SNAPSHOT_BYTES);
        let bytes = self.fetch_promised(&timestamped.file(), limit).await?;
        let snapshotted = timestamped.snapshot(&bytes, &self.floors)?;
        memory::save(&mut self.store, &role, snapshotted.raw())?;
        snapshotted.raise(&mut self.floors);
        Ok(snapshotted)
    }

    /// §5.6: the stored copy if it is the pinned one, otherwise the source's.
    async fn update_targets(&mut self, snapshotted: &Snapshotted) -> Result<Ready, Error> {
        let role = TopRole::Targets.into();
        if let Some(bytes) = memory::load(&self.store, &role)?
            && let Ok(ready) = snapshotted.targets(&bytes)
        {
            return Ok(ready);
        }
        let limit = at_most(snapshotted.pin()?.length, MAX_TARGETS_BYTES);
        let bytes = self.fetch_promised(&snapshotted.file()?, limit).await?;
        let ready = snapshotted.targets(&bytes)?;
        memory::save(&mut self.store, &role, &bytes)?;
        Ok(ready)
    }

    /// Takes a complete set into use. The validator comes last: it is only worth something when
    /// everything it stands for is stored.
    fn complete(&mut self, ready: Ready, etag: Option<String>) -> Result<(), Error> {
        let digest = ready.timestamp().digest();
        let same = self
            .ready
            .as_ref()
            .is_some_and(|old| old.snapshot().digest() == ready.snapshot().digest());
        if !same {
            self.delegated.clear();
        }
        if etag != self.etag {
            let root = self.roots.version();
            memory::save_etag(&mut self.store, etag.as_deref(), root, digest)?;
        }
        self.etag = etag;
        self.ready = Some(ready);
        Ok(())
    }
}
