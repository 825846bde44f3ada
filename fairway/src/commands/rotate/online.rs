//! New online keys from the hub into the next root: drafted, signed here if the root keys suffice,
//! published; or else a request for their holders.

use std::collections::BTreeMap;

use channels::wire::{HubKeys, HubStatus};
use jiff::Timestamp;
use signing::metadata::{Document, Root};
use signing::repository::request::{Change, Review, SignerSet, Signing};
use signing::{PublicKey, RoleName, SigningRequest, TopRole};

use super::ReplaceArgs;
use crate::authoring::{Authoring, FileKeyring, Passphrases, refusal};
use crate::commands::consent::Consent;
use crate::commands::request::{Ask, describe};
use crate::commands::root::publish::Handover;
use crate::commands::root::{draft, publish};
use crate::error::{CliError, Result, chain};
use crate::hub::Hub;
use crate::out::Out;
use crate::publisher::{Keyring as _, NextRoot, OnlineRole, RoleKeys, TrustedRoots};
use crate::words::fingerprint;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The hub serves the new root and signs with the new keys.
    Published,
    /// The holders of the root keys have to sign first.
    Requested,
}

/// The directory, the hub, and what is to be replaced.
#[derive(Debug)]
pub(crate) struct Desk<'a> {
    args: &'a ReplaceArgs,
    roles: &'a [OnlineRole],
    authoring: Authoring,
    hub: Hub,
}

impl<'a> Desk<'a> {
    /// Opens the directory; nothing is sent yet.
    pub(crate) fn open(args: &'a ReplaceArgs, roles: &'a [OnlineRole]) -> Result<Self> {
        let authoring = Authoring::open(&args.dir)?;
        let hub = Hub::new(&args.hub.connection_of(&args.dir, authoring.server())?)?;
        Ok(Self { args, roles, authoring, hub })
    }

    /// The directory.
    pub(crate) fn authoring(&self) -> &Authoring {
        &self.authoring
    }

    /// The hub.
    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Replaces the keys.
    pub(crate) async fn replace(
        &self,
        passphrases: Passphrases,
        ask: &Ask,
        now: Timestamp,
        out: &mut Out,
    ) -> Result<Outcome> {
        let newest = self.newest_root()?;
        let served = self.check_served(newest.body.version).await?;
        let keys: HubKeys = self.hub.get("api/v1/hub/keys", &[]).await?;
        let mut keyring = self.authoring.keyring(passphrases);
        if served < newest.body.version && self.names_pending(&newest, &keys)? {
            let version = newest.body.version;
            out.note(&format!("root {version} names the next keys already; the hub lacks it"))?;
            self.publish(newest.raw().to_vec(), &mut keyring, now, out).await?;
            return Ok(Outcome::Published);
        }
        let next = self.next_keys(&keys, out).await?;
        let request = self.draft(next, now)?;
        if !suffices(&request.review(now), &keyring) {
            draft::write(&self.authoring, &request, self.args.out.as_deref(), now, out)?;
            return Ok(Outcome::Requested);
        }
        for line in describe(&request, &request.review(now), now) {
            out.line(&line)?;
        }
        let version = request.version();
        if !self.args.yes && !ask(&format!("Sign root {version} and publish it?"))? {
            return Err(CliError::no(format!("root {version} was not signed"))
                .hint("the hub keeps the next keys, and signs nothing with them until then"));
        }
        let root = sign_here(request, &mut keyring, now)?;
        self.publish(root, &mut keyring, now, out).await?;
        Ok(Outcome::Published)
    }

    fn newest_root(&self) -> Result<Document<Root>> {
        let published = self.authoring.metadata().load()?;
        TrustedRoots::verify(&published, &self.authoring.layout().root.pinned)
            .map(|roots| roots.newest().clone())
            .map_err(|error| {
                CliError::because("failed to read the published roots", &error)
                    .hint("restore root.json and metadata/ from git")
            })
    }

    /// The root version the hub serves; it must not be ahead of ours.
    async fn check_served(&self, newest: u64) -> Result<u64> {
        let status: HubStatus = self.hub.get("api/v1/hub", &[]).await?;
        match status.root_version {
            None => Err(CliError::no("the hub has no root yet, so its keys cannot be replaced")
                .hint(format!("publish first: fairway publish {}", self.args.dir.display()))),
            Some(served) if served > newest => Err(CliError::failed(format!(
                "the hub serves root {served}, and metadata/ ends at root {newest}"
            ))
            .hint("get the newest metadata/ from git; the next root must follow the newest one")),
            Some(served) => Ok(served),
        }
    }

    /// Whether `root` names the waiting key of every role: a root whose publication was interrupted.
    fn names_pending(&self, root: &Document<Root>, keys: &HubKeys) -> Result<bool> {
        for role in self.roles {
            let Some(pem) = pending(keys, *role) else { return Ok(false) };
            let key = read_key(pem)?;
            if !root.body.keys(role.top()).keys.values().any(|named| *named == key) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Asks the hub for the next key of every role, and shows them.
    async fn next_keys(
        &self,
        keys: &HubKeys,
        out: &mut Out,
    ) -> Result<BTreeMap<OnlineRole, PublicKey>> {
        let mut next = BTreeMap::new();
        for role in self.roles {
            let path = format!("api/v1/hub/keys/{role}/next");
            let after: HubKeys =
                self.hub.post(&path, "application/json", &serde_json::json!({})).await?;
            let key = pending(&after, *role)
                .ok_or_else(|| CliError::failed(format!("the hub has no next {role} key")))?;
            let key = read_key(key)?;
            out.line(&format!(
                "{role:<9} now   {}",
                fingerprint(&read_key(current(keys, *role))?)
            ))?;
            out.line(&format!("{role:<9} next  {}", fingerprint(&key)))?;
            next.insert(*role, key);
        }
        if self.hub.is_open_to_tampering() {
            out.warn(
                "the keys came over plain HTTP; compare the fingerprints with the server's log \
                 before anybody signs",
            )?;
        }
        Ok(next)
    }

    /// A root that changes these keys and nothing else.
    fn draft(
        &self,
        replace_online: BTreeMap<OnlineRole, PublicKey>,
        now: Timestamp,
    ) -> Result<SigningRequest> {
        let layout = self.authoring.layout();
        let next = NextRoot {
            root: layout.root.keys.clone(),
            targets: layout.targets.clone(),
            replace_online,
            days: self.authoring.terms().root_days,
            renew: false,
        };
        let request = draft::draft(&self.authoring, &next, now)?;
        let ours: Vec<RoleName> = self.roles.iter().map(|role| role.top().into()).collect();
        let is_ours = |change: &Change| {
            matches!(change, Change::Expires { .. })
                || matches!(
                    change,
                    Change::KeyAdded { role, .. } | Change::KeyRemoved { role, .. }
                        if ours.contains(role)
                )
        };
        if request.review(now).changes.iter().all(is_ours) {
            return Ok(request);
        }
        Err(CliError::no("hub.toml asks for other changes to root than these keys").hint(
            "publish those first with `fairway root new`, or restore [root] and [targets] of \
             hub.toml from git",
        ))
    }

    async fn publish(
        &self,
        root: Vec<u8>,
        keyring: &mut FileKeyring,
        now: Timestamp,
        out: &mut Out,
    ) -> Result<()> {
        let names: Vec<String> = self.roles.iter().map(ToString::to_string).collect();
        let message = match self.args.message.as_str() {
            "" => format!("new {} key", names.join(" and ")),
            message => message.to_owned(),
        };
        let (hub, message, consent) = (&self.hub, message.as_str(), Consent::default());
        let handover = Handover { hub, message, consent };
        publish::hand_over(&self.authoring, root, keyring, handover, now, out).await?;
        let newest = self.newest_root()?;
        let keys: HubKeys = self.hub.get("api/v1/hub/keys", &[]).await?;
        for role in self.roles {
            let key = read_key(current(&keys, *role))?;
            if !newest.body.keys(role.top()).keys.values().any(|named| *named == key) {
                return Err(CliError::failed(format!(
                    "the hub took root {} and still signs {role} with another key",
                    newest.body.version
                ))
                .hint("look at the server's log"));
            }
            out.line(&format!("{role} is signed with {}", fingerprint(&key)))?;
        }
        Ok(())
    }
}

/// Whether enough private halves are here for every set of keys that must sign.
fn suffices(review: &Review, keyring: &FileKeyring) -> bool {
    review.signers.iter().all(|set| {
        u64::try_from(at_hand(set, keyring).len()).is_ok_and(|found| found >= set.missing())
    })
}

/// Keys of a set that have not signed, and could here.
fn at_hand(set: &SignerSet, keyring: &FileKeyring) -> Vec<PublicKey> {
    let open = set.progress.open.iter().filter_map(|id| set.keys.get(id));
    open.filter(|key| keyring.is_at_hand(key)).cloned().collect()
}

/// Signs with as many keys as must sign, and no more: each costs a passphrase.
fn sign_here(
    mut request: SigningRequest,
    keyring: &mut FileKeyring,
    now: Timestamp,
) -> Result<Vec<u8>> {
    let role = RoleName::from(TopRole::Root);
    let refused = |error: &signing::repository::RequestError| refusal("the drafted root", error);
    loop {
        let review = request.review(now);
        let Some(set) = review.signers.iter().find(|set| !set.progress.is_complete()) else {
            return request.completed().map_err(|error| refused(&error));
        };
        let threshold = u32::try_from(set.missing()).unwrap_or(u32::MAX);
        let keys = RoleKeys { keys: at_hand(set, keyring), threshold };
        let signers = keyring.open(&role, &keys).map_err(|error| {
            CliError::failed(format!("failed to open the root keys: {}", chain(error.as_ref())))
        })?;
        for signer in signers {
            match request.add_signature(signer.as_ref(), now).map_err(|error| refused(&error))? {
                Signing::Added(signed) => request = *signed,
                Signing::Already => {
                    return Err(CliError::failed("a root key would sign twice"));
                }
            }
        }
    }
}

fn current(keys: &HubKeys, role: OnlineRole) -> &str {
    match role {
        OnlineRole::Snapshot => &keys.snapshot,
        OnlineRole::Timestamp => &keys.timestamp,
    }
}

fn pending(keys: &HubKeys, role: OnlineRole) -> Option<&str> {
    match role {
        OnlineRole::Snapshot => keys.snapshot_next.as_deref(),
        OnlineRole::Timestamp => keys.timestamp_next.as_deref(),
    }
}

fn read_key(pem: &str) -> Result<PublicKey> {
    PublicKey::from_spki_pem(pem)
        .map_err(|error| CliError::because("the hub's keys are not usable", &error))
}
