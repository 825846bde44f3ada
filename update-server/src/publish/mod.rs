//! Publications: verified as a client would, stored so that a crash leaves the old or the new set,
//! then swapped in at once. The hub adds `snapshot` and `timestamp` and renews them by itself.
//!
//! Nothing here trusts a publisher's credentials: what is served is what the signatures of root,
//! targets and the vendors' roles allow.

mod disk;
mod error;
mod extract;
#[cfg(test)]
pub(crate) mod fixture;
mod incoming;
mod keeping;
mod keys;
mod listing;
mod load;
mod moving;
mod offline;
mod online;
mod replica;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::web::Bytes;
use channels::names::ProductRef;
use channels::wire::{HubKeys, Publication, PublicationReply};
use jiff::Timestamp;
use signing::metadata::{Document, Root};
use signing::{
    FileName, KeyId, MemStore, PublicKey, StagedRepository, TargetPath, TopRole, verify_staged,
};

use self::disk::Disk;
pub use self::error::PublishError;
use self::extract::{Content, Extraction};
use self::incoming::Incoming;
use self::keeping::Turn;
use self::keys::Ring;
pub use self::keys::{OnlineKeys, OnlineRole};
use self::listing::Listing;
pub use self::moving::{MovedFiles, files_to_rows, rows_to_files};
use self::offline::{Merged, Offline};
use self::online::{Due, Online};
use crate::catalog::{Catalog, GraphEntry, Published, TufFile, Versions};
use crate::http::tuf::percent_decode;
use crate::store::SharedRepository;

/// How many superseded sets stay readable. A client in the middle of an update still wants the files
/// of the set it began with; three publications within one update do not happen in earnest.
const KEPT_SETS: usize = 3;

/// Takes publications and keeps the repository fresh. One per data directory.
#[derive(Debug)]
pub struct Publisher {
    keys: Mutex<Ring>,
    disk: Disk,
    /// Where sets count, if other replicas publish as well; then the disk has a copy.
    shared: Option<SharedRepository>,
    /// Why the last look at what other replicas publish failed.
    trouble: Mutex<Option<String>>,
    catalog: Catalog,
    /// Held for the whole of a publication: they come one after the other.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    offline: Offline,
    /// `None` before the first publication.
    online: Option<Online>,
    /// The files of the served set.
    files: BTreeMap<FileName, TufFile>,
    /// Files of earlier sets that the served one no longer has, newest set first.
    superseded: VecDeque<BTreeMap<FileName, TufFile>>,
    /// Number of the served set among those that replicas share; 0 without replicas.
    generation: u64,
}

impl Publisher {
    /// Opens the repository of `<data-dir>/tuf`, finishes or undoes what a crash left, verifies it
    /// from root 1, signs snapshot and timestamp again and serves it. Metadata that expired while the server was down is served and
    /// marked stale; a damaged repository is an error.
    pub fn open(
        data_dir: &Path,
        keys: OnlineKeys,
        default_product: Option<ProductRef>,
        now: Timestamp,
    ) -> Result<(Self, Catalog), PublishError> {
        let catalog = Catalog::new(default_product);
        let disk = Disk::open(data_dir)?;
        let loaded = load::load(&|name| disk.read(name))?;
        let publisher = Self {
            keys: Mutex::new(Ring::open(data_dir, keys)?),
            disk,
            shared: None,
            trouble: Mutex::default(),
            catalog: catalog.clone(),
            state: Mutex::new(State::default()),
        };
        if let Some((offline, online)) = loaded {
            let root = offline.newest_root()?;
            publisher.start(offline, &online, now)?;
            publisher.ring().tell_waiting(Some(&root));
        } else {
            publisher.ring().tell_waiting(None);
        }
        Ok((publisher, catalog))
    }

    /// The public halves of the online keys.
    pub fn online_keys(&self) -> HubKeys {
        self.ring().public()
    }

    /// Ids of the keys in force, by role.
    pub fn online_key_ids(&self) -> BTreeMap<&'static str, KeyId> {
        let ring = self.ring();
        OnlineRole::ALL
            .into_iter()
            .map(|role| (role.as_str(), ring.in_force(role).key_id()))
            .collect()
    }

    /// The key that will sign for `role` as soon as a root names it, if one was made.
    pub fn next_key(&self, role: OnlineRole) -> Option<KeyId> {
        self.ring().waiting(role).map(PublicKey::key_id)
    }

    /// Makes the next key of `role`, unless one waits already; a `fresh` one takes the place of the
    /// one that waits, which is destroyed. It signs nothing until a published root names it in the
    /// place of the one in force, which is destroyed then.
    pub fn make_next_key(&self, role: OnlineRole, fresh: bool) -> Result<KeyId, PublishError> {
        if self.catalog.served().published.is_none() {
            return Err(PublishError::NextBeforeRoot { role: role.as_str() });
        }
        // A publication that was signed with the waiting key must find it when it commits.
        let _publication = self.lock();
        Ok(self.ring().make_next(role, fresh)?.key_id())
    }

    fn start(
        &self,
        mut offline: Offline,
        online: &Online,
        now: Timestamp,
    ) -> Result<(), PublishError> {
        self.ring().chosen_by(&offline.newest_root()?).map_err(PublishError::at_start)?;
        let staged = offline.staged().map_err(PublishError::build)?;
        let listing = self.listed_at(&offline, &staged, offline.valid_moment(now)?)?;
        let mut state = self.lock();
        let paths: Vec<TargetPath> = offline.targets.keys().cloned().collect();
        offline.share(&staged, &paths);
        let content = extract(&offline, &state, None, &listing, &BTreeSet::new())?;
        let root_version = offline.root_version();
        let stored = staged_with(staged.clone(), online)?;
        state.files = serve_files(&stored, root_version, &BTreeMap::new());
        // The stored set may be a copy older than what clients have seen: only a version of this
        // moment is sure not to go back. Versions go on from the stored ones even where those do
        // not verify.
        let served = self.sign(staged, Some(online), Due::Snapshot, now)?;
        self.store(Turn::Alone, &mut state, &served, root_version, now)?;
        self.finish(&mut state, offline, Online::of(&served)?, content)
    }

    /// Takes one publication: verifies the merged set as a client would, stores it and swaps it in.
    /// Blocks for as long as that takes; call it from a thread that may block.
    pub fn publish(
        &self,
        publication: Publication,
        now: Timestamp,
    ) -> Result<PublicationReply, PublishError> {
        let incoming = Incoming::read(publication)?;
        let mut state = self.lock();
        self.in_turn(&mut state, now, |turn, state| self.take(&incoming, turn, state, now))
    }

    fn take(
        &self,
        incoming: &Incoming,
        turn: Turn<'_>,
        state: &mut State,
        now: Timestamp,
    ) -> Result<PublicationReply, PublishError> {
        let mut merged = state.offline.merge(incoming)?;
        self.ring().chosen_by(&merged.offline.newest_root()?)?;
        if let Some(online) = state.online.as_ref().filter(|_| !merged.changed) {
            return Ok(reply(false, &state.offline, online, Vec::new()));
        }
        let staged = merged.offline.staged().map_err(PublishError::build)?;
        let served = self.sign(staged.clone(), state.online.as_ref(), Due::Snapshot, now)?;
        merged.offline.share(&staged, incoming.targets.keys());
        let listing = self.verify(&merged, &staged, &served, now)?;
        refuse_unlisted(incoming, &merged.offline, &listing)?;
        let before = self.catalog.served().published.clone();
        let content =
            extract(&merged.offline, state, before.as_deref(), &listing, &merged.vendors)?;
        let graphs = new_graphs(before.as_deref(), &content);
        self.store(turn, state, &served, merged.offline.root_version(), now)?;
        let online = Online::of(&served)?;
        self.finish(state, merged.offline, online.clone(), content)?;
        Ok(reply(true, &state.offline, &online, graphs))
    }

    /// Signs timestamp or snapshot again once a third of its life is over. Says whether it did.
    pub fn resign_if_due(&self, now: Timestamp) -> Result<bool, PublishError> {
        let mut state = self.lock();
        let due = |state: &State| state.online.as_ref().map_or(Due::Nothing, |on| on.due(now));
        if due(&state) == Due::Nothing {
            return Ok(false);
        }
        self.in_turn(&mut state, now, |turn, state| match (due(state), state.online.clone()) {
            // Another replica was faster.
            (Due::Nothing, _) | (_, None) => Ok(false),
            (due, Some(online)) => self.sign_again(turn, state, &online, due, now).map(|()| true),
        })
    }

    /// The set that is served, with the roles that are `due` signed again.
    fn sign_again(
        &self,
        turn: Turn<'_>,
        state: &mut State,
        online: &Online,
        due: Due,
        now: Timestamp,
    ) -> Result<(), PublishError> {
        let Some(before) = self.catalog.served().published.clone() else { return Ok(()) };
        let mut staged = state.offline.staged().map_err(PublishError::build)?;
        if due != Due::Snapshot {
            // Else the old snapshot would stay part of the set.
            staged = staged_with(staged, online)?;
        }
        let served = self.sign(staged, Some(online), due, now)?;
        let root_version = state.offline.root_version();
        self.store(turn, state, &served, root_version, now)?;
        let content = Content {
            graphs: before.graphs.clone(),
            releases: before.releases.clone(),
            targets: state.offline.targets.clone(),
        };
        let offline = state.offline.clone();
        self.finish(state, offline, Online::of(&served)?, content)
    }

    /// Adds the hub's own roles, signed with the keys that the newest root of the set names.
    fn sign(
        &self,
        staged: StagedRepository,
        last: Option<&Online>,
        due: Due,
        now: Timestamp,
    ) -> Result<StagedRepository, PublishError> {
        let previous = last.map(Online::versions).unwrap_or_default();
        let keys = self.ring().chosen_by(&newest_root(&staged)?)?;
        let (snapshot, timestamp) = (&keys.snapshot, &keys.timestamp);
        match due {
            Due::Nothing => Ok(staged),
            Due::Timestamp => staged.with_timestamp(timestamp, now, previous),
            Due::Snapshot => staged.with_online_roles(snapshot, timestamp, now, previous),
        }
        .map_err(PublishError::build)
    }

    /// Asks our own client about the set that would be served. What this publication brings must be
    /// usable; what others published earlier may have expired or lost its keys, which harms its own
    /// vendor only. Targets of expired roles stay served.
    fn verify(
        &self,
        merged: &Merged,
        staged: &StagedRepository,
        served: &StagedRepository,
        now: Timestamp,
    ) -> Result<Listing, PublishError> {
        let pinned = merged.offline.pinned_root()?;
        let mut verified =
            verify_staged(pinned, served, MemStore::new(), now).map_err(PublishError::verify)?;
        listing::require(merged, &mut verified)?;
        let moment = merged.offline.valid_moment(now)?;
        if moment == now {
            return Ok(Listing::of(verified));
        }
        self.listed_at(&merged.offline, staged, moment)
    }

    /// All targets as a client would have found them at `moment`, when nothing had expired. The two
    /// online roles are made for this question only and thrown away.
    fn listed_at(
        &self,
        offline: &Offline,
        staged: &StagedRepository,
        moment: Timestamp,
    ) -> Result<Listing, PublishError> {
        let set = self.sign(staged.clone(), None, Due::Snapshot, moment)?;
        let pinned = offline.pinned_root()?;
        verify_staged(pinned, &set, MemStore::new(), moment)
            .map(Listing::of)
            .map_err(PublishError::verify)
    }

    /// Commits a set and remembers which files it supersedes.
    fn store(
        &self,
        turn: Turn<'_>,
        state: &mut State,
        served: &StagedRepository,
        root_version: u64,
        now: Timestamp,
    ) -> Result<(), PublishError> {
        let files = serve_files(served, root_version, &state.files);
        let in_place = turn.commit(&self.disk, state, served, now)?;
        if let Err(error) = self.ring().take_over(&newest_root(served)?, in_place) {
            // The set counts, and the next start finds the key under its old name.
            tracing::error!(error = error.chain(), "online key in force but not yet renamed");
        }
        let mut superseded = std::mem::replace(&mut state.files, files);
        superseded.retain(|name, file| file.immutable && !state.files.contains_key(name));
        state.superseded.push_front(superseded);
        state.superseded.truncate(KEPT_SETS);
        Ok(())
    }

    /// Swaps a stored set in and removes files that nobody needs any more.
    fn finish(
        &self,
        state: &mut State,
        mut offline: Offline,
        online: Online,
        content: Content,
    ) -> Result<(), PublishError> {
        let versions = versions(&offline, &online)?;
        offline.targets = content.targets;
        let sets = state.superseded.iter().rev().chain([&state.files]);
        let all = || sets.clone().flatten();
        // A file's address is its name, percent-decoded once.
        let files = all()
            .filter_map(|(name, file)| Some((percent_decode(&name.url_path())?, file.clone())))
            .collect();
        let keep = all().map(|(name, _)| name.relative_path()).collect();
        let Content { graphs, releases, .. } = content;
        self.catalog.swap(Published { versions, graphs, releases, files });
        self.disk.sweep(&keep);
        state.offline = offline;
        state.online = Some(online);
        Ok(())
    }

    /// Held for moments only, never while a set is verified or stored.
    fn ring(&self) -> MutexGuard<'_, Ring> {
        // Every change of it is one step in memory after one on disk.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is replaced field by field only after a set is stored; a panic before that
        // leaves it as it was.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The newest root of a set.
fn newest_root(staged: &StagedRepository) -> Result<Document<Root>, PublishError> {
    let role = TopRole::Root.into();
    let (_, bytes) = staged.newest(&role).ok_or(PublishError::RootMissing)?;
    Document::parse(&role, bytes).map_err(PublishError::verify)
}

/// `staged` with a snapshot and a timestamp that exist already.
fn staged_with(
    mut staged: StagedRepository,
    online: &Online,
) -> Result<StagedRepository, PublishError> {
    let both = [(TopRole::Snapshot, &online.snapshot), (TopRole::Timestamp, &online.timestamp)];
    for (role, signed) in both {
        staged.put_metadata(&role.into(), signed.bytes.to_vec()).map_err(PublishError::build)?;
    }
    Ok(staged)
}

fn extract(
    offline: &Offline,
    state: &State,
    served: Option<&Published>,
    listing: &Listing,
    vendors: &BTreeSet<String>,
) -> Result<Content, PublishError> {
    let expiries = offline.expiries()?;
    let before = &state.offline;
    let known = before.listed_releases(vendors)?;
    let extraction = Extraction {
        offline,
        before,
        served,
        expiries: &expiries,
        publishing: vendors,
        known: &known,
    };
    extraction.run(listing)
}

/// Every target of the publication must be listed with exactly its bytes.
fn refuse_unlisted(
    incoming: &Incoming,
    offline: &Offline,
    listing: &Listing,
) -> Result<(), PublishError> {
    let listed: BTreeMap<_, _> =
        listing.targets.iter().map(|staged| (&staged.target.path, staged.target.digest)).collect();
    for path in incoming.targets.keys() {
        let sent = offline.targets.get(path).map(|(digest, _)| digest);
        if sent.is_none() || listed.get(path) != sent {
            return Err(PublishError::Unlisted { path: path.clone() });
        }
    }
    Ok(())
}

/// The files of a set; those that are served already keep their memory.
fn serve_files(
    staged: &StagedRepository,
    root_version: u64,
    known: &BTreeMap<FileName, TufFile>,
) -> BTreeMap<FileName, TufFile> {
    let file = |(name, bytes): (&FileName, &Arc<[u8]>)| {
        if let Some(file) = known.get(name).filter(|file| file.immutable) {
            return (name.clone(), file.clone());
        }
        let bytes = Bytes::from_owner(bytes.clone());
        let file = if *name == FileName::timestamp() {
            TufFile::timestamp(bytes, root_version)
        } else {
            TufFile::versioned(bytes)
        };
        (name.clone(), file)
    };
    staged.files().map(file).collect()
}

fn versions(offline: &Offline, online: &Online) -> Result<Versions, PublishError> {
    let roles = offline.expiries()?;
    let mut expires: BTreeMap<String, Timestamp> =
        roles.into_iter().map(|(role, expiry)| (role.to_string(), expiry.own)).collect();
    for (role, signed) in [("snapshot", &online.snapshot), ("timestamp", &online.timestamp)] {
        expires.insert(role.to_owned(), signed.expires);
    }
    Ok(Versions { root: offline.root_version(), signed_at: online.signed_at, expires })
}

/// Graphs that are new or changed, as `vendor/product channel arch`.
fn new_graphs(before: Option<&Published>, content: &Content) -> Vec<String> {
    let all = content.graphs.values().flat_map(BTreeMap::values).flat_map(BTreeMap::values);
    let changed = |entry: &&Arc<GraphEntry>| {
        let last = before.and_then(|before| before.graph(&entry.key));
        last.is_none_or(|last| last.digest != entry.digest)
    };
    all.filter(changed)
        .map(|entry| format!("{} {} {}", entry.key.product, entry.key.channel, entry.key.arch))
        .collect()
}

fn reply(
    changed: bool,
    offline: &Offline,
    online: &Online,
    graphs: Vec<String>,
) -> PublicationReply {
    PublicationReply {
        changed,
        root_version: offline.root_version(),
        snapshot_version: online.snapshot.version,
        timestamp_version: online.timestamp.version,
        graphs,
    }
}
