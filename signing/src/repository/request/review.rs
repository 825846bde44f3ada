//! What a key holder must see before signing: changes, signers, and what is wrong.

use super::diff::{self, Change};
use super::{Content, Pair, SigningRequest};
use crate::Sha256Digest;
use crate::key::{KeyId, PublicKey};
use crate::metadata::{Document, KeySet, Root, Targets};
use crate::names::{RoleName, TargetPath, TopRole};
use crate::repository::{
    Delegation, RoleProgress, RootSpec, TargetEntry, build_root, build_targets,
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Longest life that raises no finding. Metadata valid for longer is renewed by nobody who still
/// knows how, and a stolen key stays good as long.
pub const MAX_LIFE: SignedDuration = SignedDuration::from_hours(3 * 366 * 24);

/// By whose word a set of keys must sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authority {
    /// The root that is followed (TUF 1.0.34 §5.3.4).
    Previous,
    /// The root that is drafted.
    Draft,
    /// The role that delegates to this one.
    Delegator,
}

/// One set of keys that must sign.
#[derive(Debug, Clone)]
pub struct SignerSet {
    /// By whose word.
    pub of: Authority,
    /// The keys by the id that authority gives them.
    pub keys: BTreeMap<KeyId, PublicKey>,
    /// Who has signed.
    pub progress: RoleProgress,
}

impl SignerSet {
    /// Signatures still missing.
    pub fn missing(&self) -> u64 {
        let signed = u64::try_from(self.progress.signed.len()).unwrap_or(u64::MAX);
        self.progress.threshold.saturating_sub(signed)
    }
}

/// The file that a draft follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Follows {
    /// Its version.
    pub version: u64,
    /// SHA-256 of the file.
    pub digest: Sha256Digest,
}

/// Something about a draft that a person must know, or that forbids signing it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// Clients would refuse it from the first moment.
    #[error("it expires at {expires}, and it is {now}")]
    Expired {
        /// End of its validity.
        expires: Timestamp,
        /// The local clock.
        now: Timestamp,
    },
    /// Nobody will renew it in time.
    #[error("it is valid until {expires}, {days} days from now")]
    FarExpiry {
        /// End of its validity.
        expires: Timestamp,
        /// Days until then.
        days: i64,
    },
    /// A role without any key that our client can use.
    #[error("{role} is left without a key")]
    NoKeys {
        /// The role.
        role: RoleName,
    },
    /// More signatures asked for than there are keys.
    #[error("{role} needs {threshold} signatures and has {keys} keys: nobody could sign it")]
    Unreachable {
        /// The role.
        role: RoleName,
        /// Signatures asked for.
        threshold: u64,
        /// Distinct keys.
        keys: usize,
    },
    /// The hub signs these alone.
    #[error("{role} needs {threshold} signatures, but the hub has one key for it")]
    OnlineThreshold {
        /// The role.
        role: RoleName,
        /// Signatures asked for.
        threshold: u64,
    },
    /// More keys than a hub has: each of them signs the role alone.
    #[error("{role} has {keys} keys, each of which signs it alone; a hub has one")]
    SpareOnlineKeys {
        /// The role.
        role: RoleName,
        /// Keys listed.
        keys: usize,
    },
    /// Clients would look for files under names that a hub does not serve.
    #[error("it turns consistent snapshots off, which no hub serves")]
    PlainNames,
    /// A key for two purposes: who steals it online signs offline roles.
    #[error("key {key_id} signs both {role} and the online role {online}")]
    SharedKey {
        /// The offline role.
        role: RoleName,
        /// The online role.
        online: RoleName,
        /// The key.
        key_id: KeyId,
    },
    /// A later version without its predecessor: there is nothing to compare with.
    #[error(
        "it does not say which {role} it follows, though {version} is not the first: nothing shows \
         what changes, and all it holds is listed as new; compare all of it with what you know"
    )]
    NothingFollowed {
        /// The role.
        role: RoleName,
        /// The draft's version.
        version: u64,
    },
    /// Versions are left out between the file that is followed and the draft.
    #[error("it skips from {role} {previous} to {version}: somebody published what lies between")]
    Skips {
        /// The role.
        role: RoleName,
        /// Version of the file that is followed.
        previous: u64,
        /// The draft's version.
        version: u64,
    },
    /// More than can be shown: what is not seen is not signed.
    #[error("it holds more than this program can show; a newer one may know it")]
    Hidden,
}

impl Finding {
    /// Whether nobody should sign such a draft.
    pub fn blocks(&self) -> bool {
        !matches!(
            self,
            Self::FarExpiry { .. }
                | Self::SharedKey { .. }
                | Self::SpareOnlineKeys { .. }
                | Self::NothingFollowed { .. }
                | Self::Skips { .. }
        )
    }
}

/// A request as a key holder sees it.
#[derive(Debug, Clone)]
pub struct Review {
    /// Whose metadata.
    pub role: RoleName,
    /// The draft's version.
    pub version: u64,
    /// What it follows; nothing for version 1.
    pub follows: Option<Follows>,
    /// End of the draft's validity.
    pub expires: Timestamp,
    /// Differences, old to new.
    pub changes: Vec<Change>,
    /// Who must sign, and who has.
    pub signers: Vec<SignerSet>,
    /// What is wrong or odd.
    pub findings: Vec<Finding>,
}

impl Review {
    /// Whether every set of keys has signed.
    pub fn is_complete(&self) -> bool {
        self.signers.iter().all(|set| set.progress.is_complete())
    }

    /// Keys whose signature still helps: of the sets that are not complete, those that have not
    /// signed.
    pub fn wanted(&self) -> BTreeMap<KeyId, PublicKey> {
        wanted(&self.signers)
    }
}

pub(super) fn wanted(sets: &[SignerSet]) -> BTreeMap<KeyId, PublicKey> {
    let open = sets.iter().filter(|set| !set.progress.is_complete());
    let of = |set: &SignerSet| -> Vec<(KeyId, PublicKey)> {
        let key = |id: &KeyId| Some((id.clone(), set.keys.get(id)?.clone()));
        set.progress.open.iter().filter_map(key).collect()
    };
    open.flat_map(of).collect()
}

pub(super) fn review(request: &SigningRequest, now: Timestamp) -> Review {
    let mut findings = expiry(request.expires(), now);
    let (changes, follows) = match &request.content {
        Content::Root(Pair { previous, draft }) => {
            findings.extend(of_root(&draft.body));
            if !is_all_shown(draft, rebuilt_root(&draft.body)) {
                findings.push(Finding::Hidden);
            }
            let old = previous.as_ref().map(|previous| &previous.body);
            (diff::of_root(old, &draft.body), previous.as_ref().map(Document::digest))
        }
        Content::Targets(Pair { previous, draft }, delegator) => {
            findings.extend(gap(request));
            findings.extend(reachable(&request.role, &delegator.keys));
            for delegate in &draft.body.delegations {
                findings.extend(reachable(&delegate.name, &delegate.keys));
            }
            if !is_all_shown(draft, rebuilt_targets(&draft.body)) {
                findings.push(Finding::Hidden);
            }
            let old = previous.as_ref().map(|previous| &previous.body);
            (diff::of_targets(old, &draft.body), previous.as_ref().map(Document::digest))
        }
    };
    let follows = request.previous_version().zip(follows);
    Review {
        role: request.role.clone(),
        version: request.version(),
        follows: follows.map(|(version, digest)| Follows { version, digest }),
        expires: request.expires(),
        changes,
        signers: request.signers(),
        findings,
    }
}

fn expiry(expires: Timestamp, now: Timestamp) -> Vec<Finding> {
    let left = expires.duration_since(now);
    if expires <= now {
        vec![Finding::Expired { expires, now }]
    } else if left > MAX_LIFE {
        vec![Finding::FarExpiry { expires, days: left.as_hours() / 24 }]
    } else {
        Vec::new()
    }
}

/// What is left out before the draft.
fn gap(request: &SigningRequest) -> Option<Finding> {
    let (role, version) = (request.role.clone(), request.version());
    match request.previous_version() {
        None if version > 1 => Some(Finding::NothingFollowed { role, version }),
        Some(previous) if previous.checked_add(1) != Some(version) => {
            Some(Finding::Skips { role, previous, version })
        }
        None | Some(_) => None,
    }
}

fn of_root(root: &Root) -> Vec<Finding> {
    let mut findings = Vec::new();
    for top in TopRole::ALL {
        findings.extend(reachable(&top.into(), root.keys(top)));
    }
    for online in [TopRole::Snapshot, TopRole::Timestamp] {
        let set = root.keys(online);
        if set.threshold > 1 {
            let (role, threshold) = (online.into(), set.threshold);
            findings.push(Finding::OnlineThreshold { role, threshold });
        }
        if set.keys.len() > 1 {
            findings.push(Finding::SpareOnlineKeys { role: online.into(), keys: set.keys.len() });
        }
        for role in [TopRole::Root, TopRole::Targets] {
            let shared = |key: &&PublicKey| set.keys.values().any(|online| online == *key);
            let keys = root.keys(role).keys.values().filter(shared);
            findings.extend(keys.map(|key| Finding::SharedKey {
                role: role.into(),
                online: online.into(),
                key_id: key.key_id(),
            }));
        }
    }
    if !root.consistent_snapshot {
        findings.push(Finding::PlainNames);
    }
    findings
}

fn reachable(role: &RoleName, set: &KeySet) -> Option<Finding> {
    let distinct: BTreeSet<_> = set.keys.values().map(PublicKey::value).collect();
    let (role, threshold, keys) = (role.clone(), set.threshold, distinct.len());
    if keys == 0 {
        return Some(Finding::NoKeys { role });
    }
    let enough = u64::try_from(keys).is_ok_and(|keys| threshold <= keys);
    (!enough).then_some(Finding::Unreachable { role, threshold, keys })
}

/// Whether the draft is exactly what our own builder writes for the parts that are shown.
fn is_all_shown<T: crate::metadata::Body>(draft: &Document<T>, rebuilt: Option<Vec<u8>>) -> bool {
    rebuilt
        .and_then(|bytes| Document::<T>::parse(draft.role(), &bytes).ok())
        .is_some_and(|rebuilt| rebuilt.canonical() == draft.canonical())
}

fn key_list(set: &KeySet) -> Option<(Vec<PublicKey>, u32)> {
    Some((set.keys.values().cloned().collect(), u32::try_from(set.threshold).ok()?))
}

fn rebuilt_root(root: &Root) -> Option<Vec<u8>> {
    let role = |top: TopRole| Some((top, key_list(root.keys(top))?));
    let roles = TopRole::ALL.into_iter().map(role).collect::<Option<_>>()?;
    let spec = RootSpec { version: root.version, expires: root.expires, roles };
    build_root(&spec, &[], None).ok()
}

fn rebuilt_targets(role: &Targets) -> Option<Vec<u8>> {
    let entry = |(path, info): (&String, &crate::metadata::TargetInfo)| {
        let path = TargetPath::new(path.clone()).ok()?;
        let (length, custom) = (info.length, info.custom.clone());
        Some((path, TargetEntry { length, digest: info.hashes.as_sha256()?, custom }))
    };
    let targets = role.targets.iter().map(entry).collect::<Option<_>>()?;
    let delegation = |delegate: &crate::metadata::DelegatedRole| {
        let (keys, threshold) = key_list(&delegate.keys)?;
        Some(Delegation {
            role: delegate.name.clone(),
            keys,
            threshold,
            paths: delegate.patterns().to_vec(),
            terminating: delegate.terminating,
        })
    };
    let delegations = role.delegations.iter().map(delegation).collect::<Option<Vec<_>>>()?;
    build_targets(role.version, role.expires, &targets, &delegations, &[]).ok()
}
