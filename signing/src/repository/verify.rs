//! The last question before a publication: would our own client accept it?

use super::staged::StagedRepository;
use crate::client::{Client, Target, Versions};
use crate::error::Error;
use crate::names::RoleName;
use crate::store::Store;
use crate::{FileName, MemSource, Verified};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// A listed target of a staged repository.
#[derive(Debug, Clone, PartialEq)]
pub struct StagedTarget {
    /// The target.
    pub target: Verified<Target>,
    /// Whether its bytes are staged too; then their length and hash are checked.
    pub present: bool,
}

/// A staged repository that a client accepts.
#[derive(Debug)]
pub struct VerifiedRepository {
    /// Versions of the top-level roles.
    pub versions: Versions,
    /// Earliest expiry of the top-level roles.
    pub expires: Timestamp,
    /// Usable roles and their versions, top-level targets included.
    pub roles: BTreeMap<RoleName, u64>,
    /// Every listed target of every usable role.
    pub targets: Vec<StagedTarget>,
    /// Delegated roles that a client refuses, with the reason. They harm nobody else, so the
    /// repository stands; whoever publishes one of them must be told.
    pub broken: BTreeMap<RoleName, Error>,
}

impl VerifiedRepository {
    /// Requires `role` to be usable.
    pub fn require(&mut self, role: &RoleName) -> Result<u64, Error> {
        if let Some(version) = self.roles.get(role) {
            return Ok(*version);
        }
        let unknown = || Error::UnknownRole { role: role.clone() };
        Err(self.broken.remove(role).unwrap_or_else(unknown))
    }
}

/// Runs our client over `staged`, from `pinned_root` and with the floors that `store` holds, and
/// checks every listed target whose bytes are staged.
///
/// Broken top-level roles are an error. A broken delegated role is listed in
/// [`VerifiedRepository::broken`]: one vendor must not be able to stop the others' publications.
/// `store` is written to as any client writes to its store; give a copy to keep the floors.
pub fn verify_staged<T: Store>(
    pinned_root: &[u8],
    staged: &StagedRepository,
    store: T,
    now: Timestamp,
) -> Result<VerifiedRepository, Error> {
    let client = Client::open(pinned_root, staged.as_source(), store)?;
    at_once(verify(client, staged, now))
}

async fn verify<T: Store>(
    mut client: Client<MemSource, T>,
    staged: &StagedRepository,
    now: Timestamp,
) -> Result<VerifiedRepository, Error> {
    let refreshed = loop {
        match client.refresh(now).await {
            // One refresh follows so many roots and keeps them. What is staged has an end, and a
            // repository must not end with its 257th root.
            Err(Error::TooManyRotations { .. }) => {}
            other => break other?,
        }
    };
    let mut all = client.roles(now).await?;
    let mut targets = Vec::new();
    for role in all.usable.keys().cloned().collect::<Vec<_>>() {
        match targets_of(&mut client, &role, staged, now).await {
            Ok(listed) => targets.extend(listed),
            Err(error) if role.as_top().is_some() => return Err(error),
            Err(error) => {
                all.usable.remove(&role);
                all.broken.insert(role, error);
            }
        }
    }
    let (versions, expires) = (client.trusted_versions(), refreshed.expires);
    let (roles, broken) = (all.usable, all.broken);
    Ok(VerifiedRepository { versions, expires, roles, targets, broken })
}

async fn targets_of<T: Store>(
    client: &mut Client<MemSource, T>,
    role: &RoleName,
    staged: &StagedRepository,
    now: Timestamp,
) -> Result<Vec<StagedTarget>, Error> {
    if let Some(path) = client.foreign_target(role, now).await? {
        return Err(Error::ForeignTarget { role: role.clone(), path });
    }
    let mut listed = Vec::new();
    for target in client.listed_targets(role, now).await? {
        // A path that another role decides first would never be read here.
        let found = client.target(&target.path, now).await?;
        if found.is_none_or(|found| found.role != *role) {
            let path = target.path.to_string();
            return Err(Error::ForeignTarget { role: role.clone(), path });
        }
        let name = FileName::target(target.path.clone(), target.digest);
        let present = staged.get(&name).is_some();
        if present {
            client.fetch_target(&target).await?;
        }
        listed.push(StagedTarget { target, present });
    }
    Ok(listed)
}

/// Runs a future that never waits: everything under it is in memory.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}
