//! A hub among others: it starts from the repository that all of them share, follows what the others
//! publish, and signs only while it has the right to.
//!
//! Every replica needs the same online keys, which are files of its data directory and never in the
//! database. The first one of all makes them; every other one is given copies, or does not start.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use actix_web::web::Bytes;
use channels::names::ProductRef;
use jiff::Timestamp;
use signing::metadata::{Document, Root};
use signing::{FileName, PublicKey, Sha256Digest};

use super::disk::Disk;
use super::error::PublishError;
use super::keeping::{self, Turn};
use super::keys::{OnlineKeys, OnlineRole, Ring};
use super::online::Due;
use super::{KEPT_SETS, Publisher, State, extract, load, serve_files, staged_with};
use crate::catalog::{Catalog, TufFile};
use crate::store::{KnownFiles, PublishTurn, SharedRepository, StoredSet};

/// The newest set of a hub that has published nothing.
const NONE: u64 = 0;

impl Publisher {
    /// Opens the repository that replicas share: the keys of `<data-dir>/keys` must be the hub's,
    /// and are made only by the very first replica. The newest set is signed again and served, and
    /// copied to `<data-dir>/tuf`.
    ///
    /// Blocks.
    pub fn open_shared(
        data_dir: &Path,
        shared: SharedRepository,
        default_product: Option<ProductRef>,
        now: Timestamp,
    ) -> Result<(Self, Catalog), PublishError> {
        let catalog = Catalog::new(default_product);
        let disk = Disk::open(data_dir)?;
        let keys = shared.in_turn(|turn| keys_of_hub(data_dir, &disk, turn))?;
        let publisher = Self {
            keys: Mutex::new(Ring::open(data_dir, keys)?),
            disk,
            shared: Some(shared),
            trouble: Mutex::default(),
            catalog: catalog.clone(),
            state: Mutex::new(State::default()),
        };
        let root = publisher.sign_at_start(now)?;
        publisher.ring().tell_waiting(root.as_ref());
        Ok((publisher, catalog))
    }

    /// The database may be a copy older than what clients have seen: only a version of this moment
    /// is sure not to go back.
    fn sign_at_start(&self, now: Timestamp) -> Result<Option<Document<Root>>, PublishError> {
        let mut state = self.lock();
        self.in_turn(&mut state, now, |turn, state| {
            let Some(online) = state.online.clone() else { return Ok(None) };
            self.sign_again(turn, state, &online, Due::Snapshot, now)?;
            state.offline.newest_root().map(Some)
        })
    }

    /// Works with the right to publish, on top of the newest set there is.
    pub(super) fn in_turn<T>(
        &self,
        state: &mut State,
        now: Timestamp,
        work: impl FnOnce(Turn<'_>, &mut State) -> Result<T, PublishError>,
    ) -> Result<T, PublishError> {
        let Some(shared) = &self.shared else { return work(Turn::Alone, state) };
        shared.in_turn(|turn| {
            if turn.generation()? != state.generation {
                let set = turn.read(&known(state))?;
                self.adopt(set, state, now)?;
            }
            work(Turn::Shared(turn), state)
        })
    }

    /// Takes over what other replicas published, and says whether there was anything. Nothing is
    /// looked at while this replica publishes, which looks by itself.
    ///
    /// Blocks.
    pub fn follow(&self, now: Timestamp) -> Result<bool, PublishError> {
        let Some(shared) = &self.shared else { return Ok(false) };
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(false),
        };
        self.follow_and_tell(shared, &mut state, now)
    }

    /// The same for whoever must not be answered from before another replica's publication: a
    /// publication of this replica is waited for. Nothing is looked at while the last look failed;
    /// [`Publisher::follow`] goes on trying.
    ///
    /// Blocks, for as long as a publication takes.
    pub fn catch_up(&self, now: Timestamp) -> Result<bool, PublishError> {
        let Some(shared) = self.shared.as_ref().filter(|_| self.trouble().is_none()) else {
            return Ok(false);
        };
        self.follow_and_tell(shared, &mut self.lock(), now)
    }

    fn follow_and_tell(
        &self,
        shared: &SharedRepository,
        state: &mut State,
        now: Timestamp,
    ) -> Result<bool, PublishError> {
        let result = self.follow_in(shared, state, now);
        let trouble = result.as_ref().err().map(PublishError::chain);
        *self.last_trouble() = trouble;
        result
    }

    fn follow_in(
        &self,
        shared: &SharedRepository,
        state: &mut State,
        now: Timestamp,
    ) -> Result<bool, PublishError> {
        if shared.generation()? == state.generation {
            return Ok(false);
        }
        let set = shared.read(&known(state))?;
        self.adopt(set, state, now)?;
        Ok(true)
    }

    /// Why this replica does not serve what the others do, if the last look failed.
    pub fn trouble(&self) -> Option<String> {
        self.last_trouble().clone()
    }

    fn last_trouble(&self) -> MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether other replicas may publish as well.
    pub fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// Serves a set of the database, and copies it to the disk. What cannot be served leaves
    /// everything as it was.
    fn adopt(&self, set: StoredSet, state: &mut State, now: Timestamp) -> Result<(), PublishError> {
        let generation = set.generation;
        if generation == NONE {
            return Err(PublishError::Damaged { what: "the database lost the repository".into() });
        }
        let (files, superseded) = split(set, state)?;
        let read = |name: &FileName| Ok(files.get(name).map(|bytes| bytes.to_vec()));
        let none = || PublishError::Damaged { what: "the database has no root".to_owned() };
        let (mut offline, online) = load::load(&read)?.ok_or_else(none)?;
        let root = offline.newest_root()?;
        self.find_keys(&root)?;
        let staged = offline.staged().map_err(PublishError::build)?;
        let listing = self.listed_at(&offline, &staged, offline.valid_moment(now)?)?;
        let paths: Vec<_> = offline.targets.keys().cloned().collect();
        offline.share(&staged, &paths);
        let before = self.catalog.served().published.clone();
        let nobody = BTreeSet::new();
        let content = extract(&offline, &State::default(), before.as_deref(), &listing, &nobody)?;
        let stored = staged_with(staged, &online)?;
        let mut order: Vec<(String, Arc<[u8]>)> = superseded
            .iter()
            .flatten()
            .map(|(name, file)| (name.relative_path(), file.bytes.to_vec().into()))
            .collect();
        order.extend(stored.write_order());
        let missing = keeping::missing(&self.disk, order)?;
        let in_place = missing.is_empty() || keeping::copy(&self.disk, &missing);
        if let Err(error) = self.ring().take_over(&root, in_place) {
            tracing::error!(error = error.chain(), "online key in force but not yet renamed");
        }
        state.files = serve_files(&stored, offline.root_version(), &state.files);
        state.superseded = superseded;
        state.generation = generation;
        self.finish(state, offline, online, content)
    }

    /// Requires that a further key of `<data-dir>/keys` is the one that all replicas have; the first
    /// one that asks says which it is. Without replicas every key is the hub's.
    ///
    /// Blocks.
    pub fn require_hubs_key(
        &self,
        name: &'static str,
        public: &PublicKey,
        data_dir: &Path,
    ) -> Result<(), PublishError> {
        let Some(shared) = &self.shared else { return Ok(()) };
        let pem = public.to_spki_pem();
        shared.in_turn(|turn| match turn.public_keys()?.get(name) {
            Some(known) if *known == pem => Ok(()),
            Some(_) => Err(PublishError::ForeignKey {
                role: name,
                path: data_dir.join(format!("keys/{name}.pem")),
            }),
            None => Ok(turn.keep_public_keys(&[(name, pem)])?),
        })
    }

    /// Looks for the keys that a root names, in memory and then among the files: somebody may have
    /// copied them there meanwhile.
    fn find_keys(&self, root: &Document<Root>) -> Result<(), PublishError> {
        let mut ring = self.ring();
        if ring.chosen_by(root).is_ok() {
            return Ok(());
        }
        ring.look_again()?;
        ring.chosen_by(root).map(drop).map_err(PublishError::at_replica)
    }
}

/// Digests of all files that are in memory.
fn known(state: &State) -> KnownFiles {
    let all = state.superseded.iter().flatten().chain(&state.files);
    all.map(|(name, file)| (name.relative_path(), Sha256Digest::of(&file.bytes))).collect()
}

type Files = BTreeMap<FileName, Bytes>;
type Superseded = VecDeque<BTreeMap<FileName, TufFile>>;

/// The files of a set, and those of the sets before it that are still kept, newest set first.
fn split(set: StoredSet, state: &State) -> Result<(Files, Superseded), PublishError> {
    let in_memory: BTreeMap<&FileName, &Bytes> = state
        .superseded
        .iter()
        .flatten()
        .chain(&state.files)
        .map(|(name, file)| (name, &file.bytes))
        .collect();
    let mut files = Files::new();
    let mut superseded: Superseded = (0..KEPT_SETS).map(|_| BTreeMap::new()).collect();
    for stored in set.files {
        let damaged =
            |why: String| PublishError::Damaged { what: format!("{}: {why}", stored.path) };
        let name = FileName::from_relative_path(&stored.path)
            .map_err(|error| damaged(error.to_string()))?;
        let bytes = match stored.content {
            Some(content) => Bytes::from(content),
            None => (*in_memory.get(&name).ok_or_else(|| damaged("no content".into()))?).clone(),
        };
        match stored.until {
            None => {
                files.insert(name, bytes);
            }
            Some(until) => {
                let age = usize::try_from(set.generation.saturating_sub(until));
                if let Some(old) = age.ok().and_then(|age| superseded.get_mut(age)) {
                    old.insert(name, TufFile::versioned(bytes));
                }
            }
        }
    }
    Ok((files, superseded))
}

/// The online keys of a replica that starts. The very first one of all makes them and says so to the
/// others; every other one must have them.
fn keys_of_hub(
    data_dir: &Path,
    disk: &Disk,
    turn: PublishTurn<'_>,
) -> Result<OnlineKeys, PublishError> {
    let (registered, published) = (turn.public_keys()?, turn.generation()? != NONE);
    if registered.is_empty() && !published {
        if disk.read(&FileName::root(1))?.is_some() {
            return Err(PublishError::NotMoved { path: data_dir.join("tuf") });
        }
        let keys = OnlineKeys::load_or_create(data_dir)?;
        let public = OnlineRole::ALL.map(|role| (role.as_str(), keys.public_of(role)));
        turn.keep_public_keys(&public)?;
        return Ok(keys);
    }
    let keys = OnlineKeys::load(data_dir)?;
    for role in OnlineRole::ALL {
        // From the first publication on, root says which key signs.
        let other = registered.get(role.as_str()).is_some_and(|pem| *pem != keys.public_of(role));
        if !published && other {
            let path = OnlineKeys::path(data_dir, role);
            return Err(PublishError::ForeignKey { role: role.as_str(), path });
        }
    }
    Ok(keys)
}
