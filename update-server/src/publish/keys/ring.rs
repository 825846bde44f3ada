//! Replacing the hub's keys: the ones in force, and the ones that wait for a root to name them.
//!
//! The newest committed root alone says which key of a role is in force. So a switch has no moment
//! of its own: a publication whose root names the waiting key is signed with it, its commit is the
//! switch, and renaming `<role>.next.pem` to `<role>.pem` afterwards only tidies up. A crash between
//! the two leaves both files, and the next start chooses by the root again. The rename destroys the
//! old key, which nothing accepts any more; it waits until the commit is in place on disk, so that
//! no crash brings back a root whose key is gone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use channels::wire::HubKeys;
use signing::metadata::{Document, Root};
use signing::{PublicKey, SecretKey};

use super::{KEYS_DIR, OnlineKeys, OnlineRole, create, read, remove_if_there};
use crate::publish::disk::{self, create_private_dir, sync_dir};
use crate::publish::error::PublishError;

/// All keys the hub has.
#[derive(Debug)]
pub(in crate::publish) struct Ring {
    directory: PathBuf,
    /// In force by the root that is served; before the first one, to be named by it.
    current: OnlineKeys,
    /// Made, and not yet named by a root.
    next: BTreeMap<OnlineRole, SecretKey>,
    /// In force, and still under the name of the next.
    unsettled: Vec<OnlineRole>,
}

impl Ring {
    /// Adds the keys that wait in `<data-dir>/keys` to those found under the roles' own names.
    pub(in crate::publish) fn open(
        data_dir: &Path,
        current: OnlineKeys,
    ) -> Result<Self, PublishError> {
        let directory = data_dir.join(KEYS_DIR);
        create_private_dir(&directory)?;
        let mut ring = Self { directory, current, next: BTreeMap::new(), unsettled: Vec::new() };
        for role in OnlineRole::ALL {
            let path = ring.next_path(role);
            remove_if_there(&path.with_extension("pem.new"))?;
            if path.exists() {
                ring.next.insert(role, read(role, &path)?);
            }
        }
        Ok(ring)
    }

    /// The public halves of all of them.
    pub(in crate::publish) fn public(&self) -> HubKeys {
        let next = |role| self.next.get(&role).map(|key| key.public().to_spki_pem());
        HubKeys {
            snapshot_next: next(OnlineRole::Snapshot),
            timestamp_next: next(OnlineRole::Timestamp),
            ..self.current.public()
        }
    }

    /// The public half of the key in force for `role`.
    pub(in crate::publish) fn in_force(&self, role: OnlineRole) -> &PublicKey {
        self.current.get(role).public()
    }

    /// Says which keys wait, beside those that `root` lets sign: an operator who asked for none
    /// knows then that somebody else did.
    pub(in crate::publish) fn tell_waiting(&self, root: Option<&Document<Root>>) {
        for (role, key) in &self.next {
            if root.is_none_or(|root| !signs_alone(root, *role, key.public())) {
                tracing::warn!(
                    role = role.as_str(), key = %key.public().key_id(),
                    "a next online key waits for a root that names it; `fairway rotate` makes \
                     another one unless a request of yours names this one"
                );
            }
        }
    }

    /// The waiting key of `role`.
    pub(in crate::publish) fn waiting(&self, role: OnlineRole) -> Option<&PublicKey> {
        self.next.get(&role).map(SecretKey::public)
    }

    /// The waiting key of `role`, made now unless there is one. A `fresh` one is made now whatever
    /// waits: a file that waits may have been copied, or put there, by whoever was on the machine.
    pub(in crate::publish) fn make_next(
        &mut self,
        role: OnlineRole,
        fresh: bool,
    ) -> Result<PublicKey, PublishError> {
        if let Some(key) = self.next.get(&role).filter(|_| !fresh) {
            return Ok(key.public().clone());
        }
        // The name may still be taken by the key in force.
        self.settle()?;
        let path = self.next_path(role);
        if let Some(dropped) = self.next.remove(&role) {
            remove_if_there(&path)?;
            tracing::warn!(
                role = role.as_str(), key = %dropped.public().key_id(),
                "a next online key that nothing named was destroyed"
            );
        }
        create(&self.directory, role, &path)?;
        let key = read(role, &path)?;
        let public = key.public().clone();
        self.next.insert(role, key);
        Ok(public)
    }

    /// The keys that `root` lets sign, each alone. Where it allows both, the one in force stays.
    pub(in crate::publish) fn chosen_by(
        &self,
        root: &Document<Root>,
    ) -> Result<OnlineKeys, PublishError> {
        let mut chosen = self.current.clone();
        for role in OnlineRole::ALL {
            if signs_alone(root, role, self.current.get(role).public()) {
                continue;
            }
            match self.next.get(&role) {
                Some(key) if signs_alone(root, role, key.public()) => {
                    chosen = chosen.with(role, key.clone());
                }
                _ => return Err(self.mismatch(root, role)),
            }
        }
        Ok(chosen)
    }

    /// Reads the files again, which somebody may have copied from another replica meanwhile.
    pub(in crate::publish) fn look_again(&mut self) -> Result<(), PublishError> {
        for role in OnlineRole::ALL {
            let (path, next) = (self.path(role), self.next_path(role));
            if path.exists() {
                let key = read(role, &path)?;
                self.current = self.current.clone().with(role, key);
            }
            if next.exists() {
                self.next.insert(role, read(role, &next)?);
            }
        }
        Ok(())
    }

    fn mismatch(&self, root: &Document<Root>, role: OnlineRole) -> PublishError {
        PublishError::OnlineKeys {
            root: root.body.version,
            role: role.as_str(),
            in_force: self.in_force(role).key_id(),
            next: self.waiting(role).map(PublicKey::key_id),
        }
    }

    /// Takes over the keys that `root` chose, after a set under it was committed. The files follow
    /// if that set is `in_place`; otherwise later, or at the next start.
    pub(in crate::publish) fn take_over(
        &mut self,
        root: &Document<Root>,
        in_place: bool,
    ) -> Result<(), PublishError> {
        let chosen = self.chosen_by(root)?;
        for role in OnlineRole::ALL {
            let key = chosen.get(role).public();
            if self.waiting(role).is_some_and(|next| next == key) {
                tracing::info!(
                    role = role.as_str(), key = %key.key_id(), root.version = root.body.version,
                    "the next online key is in force"
                );
                self.next.remove(&role);
                self.unsettled.push(role);
            }
        }
        self.current = chosen;
        if in_place { self.settle() } else { Ok(()) }
    }

    /// Gives the keys in force the names of their roles, over the keys they replace.
    fn settle(&mut self) -> Result<(), PublishError> {
        while let Some(role) = self.unsettled.last() {
            let (from, to) = (self.next_path(*role), self.path(*role));
            fs::rename(&from, &to).map_err(disk::failed("rename", &from))?;
            sync_dir(&self.directory)?;
            self.unsettled.pop();
        }
        Ok(())
    }

    fn path(&self, role: OnlineRole) -> PathBuf {
        self.directory.join(format!("{}.pem", role.as_str()))
    }

    fn next_path(&self, role: OnlineRole) -> PathBuf {
        self.directory.join(format!("{}.next.pem", role.as_str()))
    }
}

fn signs_alone(root: &Document<Root>, role: OnlineRole, key: &PublicKey) -> bool {
    let allowed = root.body.keys(role.top());
    allowed.threshold == 1 && allowed.keys.values().any(|allowed| allowed == key)
}
