//! What the served metadata says of roles and keys. Reads what the hub verified when it was
//! published; what cannot be read is left out and named.

use std::collections::BTreeMap;

use actix_web::web::Bytes;
use jiff::Timestamp;
use signing::metadata::{Body, Document, KeySet, Root, Snapshot, Targets, TimestampMetadata};
use signing::{FileName, KeyId, RoleName, TopRole};

/// Gives a file of the repository by its path.
type Read<'r> = &'r dyn Fn(&str) -> Option<Bytes>;

/// Everything known of roles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct TrustFacts {
    /// By name.
    pub(super) roles: Vec<RoleFacts>,
    /// Files that ought to be there and cannot be read.
    pub(super) unread: Vec<String>,
}

/// One role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RoleFacts {
    pub(super) name: String,
    pub(super) version: u64,
    pub(super) expires: Timestamp,
    /// Who says which keys sign for it; `None` where nobody does any more.
    pub(super) by: Option<String>,
    /// Keys that must sign.
    pub(super) threshold: u64,
    pub(super) keys: Vec<KeyFacts>,
    /// What it may list, as patterns of paths.
    pub(super) paths: Vec<String>,
}

/// One key of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyFacts {
    pub(super) id: String,
    pub(super) scheme: &'static str,
    /// Whether it signed the version that is served.
    pub(super) signed: bool,
}

/// Who may sign for a role, as its delegator says.
struct Delegation {
    by: String,
    keys: KeySet,
    paths: Vec<String>,
}

impl TrustFacts {
    /// Follows `timestamp.json` to everything that is served.
    pub(super) fn read(read: Read<'_>) -> Self {
        let mut facts = Self::default();
        if facts.follow(read).is_none() && facts.roles.is_empty() {
            facts.unread.push(FileName::timestamp().relative_path());
        }
        facts.roles.sort_by(|a, b| a.name.cmp(&b.name));
        facts
    }

    fn follow(&mut self, read: Read<'_>) -> Option<()> {
        let root = newest_root(read)?;
        let keys = |role: TopRole| root.body.keys(role).clone();
        self.add(&TopRole::Root.into(), &root, Some(delegation("itself", keys(TopRole::Root))));
        let by_root = |role: TopRole| Some(delegation("root", keys(role)));
        let timestamp: Document<TimestampMetadata> =
            parse(&TopRole::Timestamp.into(), &read(&FileName::timestamp().relative_path())?)?;
        self.add(&TopRole::Timestamp.into(), &timestamp, by_root(TopRole::Timestamp));
        let version = timestamp.body.snapshot().version;
        let snapshot: Document<Snapshot> =
            self.document(&TopRole::Snapshot.into(), version, read)?;
        self.add(&TopRole::Snapshot.into(), &snapshot, by_root(TopRole::Snapshot));
        let mut delegations = BTreeMap::new();
        if let Some(keys) = by_root(TopRole::Targets) {
            delegations.insert(RoleName::from(TopRole::Targets), keys);
        }
        let mut documents = Vec::new();
        for (file, pin) in &snapshot.body.meta {
            let role = file.strip_suffix(".json").and_then(|role| RoleName::new(role).ok());
            let Some(role) = role else { continue };
            let Some(targets) = self.document::<Targets>(&role, pin.version, read) else {
                continue;
            };
            for delegate in &targets.body.delegations {
                let paths = delegate.patterns().to_vec();
                let (by, keys) = (role.to_string(), delegate.keys.clone());
                delegations.insert(delegate.name.clone(), Delegation { by, keys, paths });
            }
            documents.push((role, targets));
        }
        for (role, targets) in documents {
            let delegation = delegations.remove(&role);
            self.add(&role, &targets, delegation);
        }
        Some(())
    }

    fn document<T: Body>(
        &mut self,
        role: &RoleName,
        version: u64,
        read: Read<'_>,
    ) -> Option<Document<T>> {
        let name = FileName::Metadata { role: role.clone(), version: Some(version) };
        let path = name.relative_path();
        let document = read(&path).and_then(|bytes| parse(role, &bytes));
        if document.is_none() {
            self.unread.push(path);
        }
        document
    }

    fn add<T: Body>(
        &mut self,
        role: &RoleName,
        document: &Document<T>,
        delegation: Option<Delegation>,
    ) {
        let signers = delegation.as_ref().map(|d| document.signers(&d.keys)).unwrap_or_default();
        let key = |(id, key): (&KeyId, &signing::PublicKey)| KeyFacts {
            id: id.to_string(),
            scheme: key.scheme().as_str(),
            signed: signers.contains(id),
        };
        self.roles.push(RoleFacts {
            name: role.to_string(),
            version: document.body.version(),
            expires: document.body.expires(),
            threshold: delegation.as_ref().map_or(0, |d| d.keys.threshold),
            keys: delegation.iter().flat_map(|d| d.keys.keys.iter()).map(key).collect(),
            by: delegation.as_ref().map(|d| d.by.clone()),
            paths: delegation.map(|d| d.paths).unwrap_or_default(),
        });
    }
}

fn delegation(by: &str, keys: KeySet) -> Delegation {
    Delegation { by: by.to_owned(), keys, paths: Vec::new() }
}

fn parse<T: Body>(role: &RoleName, bytes: &[u8]) -> Option<Document<T>> {
    Document::parse(role, bytes).ok()
}

/// Roots are numbered without a gap, and the newest counts.
fn newest_root(read: Read<'_>) -> Option<Document<Root>> {
    let mut newest = None;
    let mut version = 1;
    while let Some(bytes) = read(&FileName::root(version).relative_path()) {
        newest = Some(bytes);
        version += 1;
    }
    parse(&TopRole::Root.into(), &newest?)
}
