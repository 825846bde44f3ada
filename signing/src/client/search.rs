//! Finding who lists a target (TUF 1.0.34 §5.6.7): pre-order, lazily, edge by edge.
//!
//! Only roles whose paths cover the target are loaded, so a broken role of one vendor never
//! touches the targets of another.

use super::limits::MAX_VISITED_ROLES;
use super::{Client, Target, TargetFile};
use crate::error::Error;
use crate::metadata::{DelegatedRole, Document, Targets};
use crate::names::TargetPath;
use crate::source::Source;
use crate::store::Store;
use crate::{Verified, names::RoleName};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::sync::Arc;

/// An edge still to be followed.
type Pending = (Arc<Document<Targets>>, DelegatedRole);

impl<S: Source, T: Store> Client<S, T> {
    /// Finds a target. None means that nobody who may list it does. Expiry is checked at `now`.
    pub async fn target(
        &mut self,
        path: &TargetPath,
        now: Timestamp,
    ) -> Result<Option<Verified<Target>>, Error> {
        let found = self.target_file(path, now).await?;
        found.map(|file| file.into_inner().named().map(Verified::new)).transpose()
    }

    /// The same for repositories that may list a target without SHA-256.
    pub async fn target_file(
        &mut self,
        path: &TargetPath,
        now: Timestamp,
    ) -> Result<Option<Verified<TargetFile>>, Error> {
        let top = self.fresh(now)?.targets().clone();
        let mut visited: BTreeSet<RoleName> = BTreeSet::new();
        let mut pending: Vec<Pending> = Vec::new();
        let mut here = Some(top);
        loop {
            if let Some(role) = here.take() {
                if let Some(info) = role.body.find(path) {
                    let file = TargetFile::new(path, info, role.role());
                    return Ok(Some(Verified::new(file)));
                }
                push_delegations(&role, path, &mut pending);
            }
            let Some((delegator, edge)) = pending.pop() else { return Ok(None) };
            // §5.6.7.1: each role once, and not more than so many.
            if !visited.insert(edge.name.clone()) {
                continue;
            }
            if visited.len() > MAX_VISITED_ROLES {
                return Err(Error::TooManyRoles { limit: MAX_VISITED_ROLES });
            }
            here = self.delegate(&delegator, &edge, now).await?;
        }
    }
}

/// Queues the delegations of `role` that cover `path`, the most trusted on top. A terminating
/// one ends the search: whatever was queued before it is dropped (§5.6.7.2.1).
fn push_delegations(role: &Arc<Document<Targets>>, path: &TargetPath, pending: &mut Vec<Pending>) {
    let mut covering = Vec::new();
    for edge in role.body.delegations.iter().filter(|edge| edge.covers(path)) {
        covering.push((role.clone(), edge.clone()));
        if edge.terminating {
            pending.clear();
            break;
        }
    }
    pending.extend(covering.into_iter().rev());
}
