//! One document that travels from key holder to key holder until a role's metadata is signed.
//!
//! It holds the file that is followed, the draft with the signatures so far, and who must sign. Only
//! the signatures are news to anybody who has the rest: whoever reads a request recomputes or checks
//! everything else, and a value of [`SigningRequest`] is one that passed. For `root` both key sets
//! come out of the two roots. For other roles the delegator may be a draft itself, so the key set is
//! what the request says, and the publisher compares it with the delegation before it publishes.
//!
//! It never opens keys, asks nobody and writes no file.

mod diff;
mod error;
mod review;
#[cfg(test)]
mod tests;
mod wire;

pub use diff::{Change, delegation_changes};
pub use error::RequestError;
pub use review::{Authority, Finding, Follows, MAX_LIFE, Review, SignerSet};
pub use wire::{FORMAT, MAX_REQUEST_BYTES, MEDIA_TYPE};

use super::build::{RootSpec, build_root};
use super::ceremony::{signatures, signed_part};
use super::envelope::write;
use crate::key::{KeyId, PublicKey, Signer};
use crate::metadata::{Body, Document, KeySet, Root, SignedBy, Targets};
use crate::names::{RoleName, TopRole};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// A checked request. Every way to make one runs the same checks.
#[derive(Debug, Clone)]
pub struct SigningRequest {
    role: RoleName,
    content: Content,
}

/// The draft and what it is measured against.
#[derive(Debug, Clone)]
enum Content {
    Root(Pair<Root>),
    Targets(Pair<Targets>, Delegator),
}

/// A draft and the file it follows.
#[derive(Debug, Clone)]
struct Pair<T> {
    previous: Option<Document<T>>,
    draft: Document<T>,
}

/// Who may sign a role that another role delegates to.
#[derive(Debug, Clone)]
struct Delegator {
    /// As the delegator says or will say.
    keys: KeySet,
    /// As it said when the previous file was signed, where that differs.
    before: Option<KeySet>,
}

/// What adding a signature came to.
#[derive(Debug)]
pub enum Signing {
    /// The request with one signature more.
    Added(Box<SigningRequest>),
    /// The key had signed; nothing changed.
    Already,
}

impl SigningRequest {
    /// Drafts a root without signatures. `previous` must be the newest root there is.
    pub fn for_root(previous: Option<&[u8]>, spec: &RootSpec) -> Result<Self, RequestError> {
        let draft = build_root(spec, &[], previous)?;
        Self::root(previous, &draft)
    }

    /// A request around the draft of a targets role, which may carry signatures. `previous` is the
    /// file it follows, with the keys that signed that one if they were others than `keys`.
    pub fn for_targets(
        role: &RoleName,
        previous: Option<(&[u8], Option<KeySet>)>,
        draft: &[u8],
        keys: KeySet,
    ) -> Result<Self, RequestError> {
        let (previous, before) = match previous {
            Some((bytes, before)) => (Some(bytes), before),
            None => (None, None),
        };
        Self::targets(role, previous, draft, Delegator { keys, before })
    }

    fn root(previous: Option<&[u8]>, draft: &[u8]) -> Result<Self, RequestError> {
        let role = RoleName::from(TopRole::Root);
        let content = Content::Root(Pair::parse(&role, previous, draft)?);
        Self { role, content }.checked()
    }

    fn targets(
        role: &RoleName,
        previous: Option<&[u8]>,
        draft: &[u8],
        delegator: Delegator,
    ) -> Result<Self, RequestError> {
        if !matches!(role.as_top(), None | Some(TopRole::Targets)) {
            return Err(RequestError::OnlineRole { role: role.clone() });
        }
        let content = Content::Targets(Pair::parse(role, previous, draft)?, delegator);
        Self { role: role.clone(), content }.checked()
    }

    /// Everything about a request that does not depend on the time.
    fn checked(self) -> Result<Self, RequestError> {
        let role = || self.role.clone();
        let unverified = |e| RequestError::PreviousUnverified { role: role(), source: Box::new(e) };
        match &self.content {
            Content::Root(pair) => {
                if let Some(previous) = &pair.previous {
                    previous.verify(previous.body.keys(TopRole::Root)).map_err(unverified)?;
                }
            }
            Content::Targets(pair, Delegator { keys, before }) => {
                if let Some(previous) = &pair.previous {
                    previous.verify(before.as_ref().unwrap_or(keys)).map_err(unverified)?;
                }
            }
        }
        let found = self.version();
        // Roots follow one another without a gap (TUF 1.0.34 §5.3.5). Other roles only go up: after
        // their keys were replaced there may be no predecessor that anybody could believe, and the
        // review says so.
        let is_root = matches!(self.content, Content::Root(_));
        match self.previous_version() {
            None if found != 1 && is_root => {
                return Err(RequestError::NoPrevious { role: role(), version: found });
            }
            Some(version)
                if found <= version || (is_root && version.checked_add(1) != Some(found)) =>
            {
                let expected = version.saturating_add(1);
                return Err(RequestError::Version { role: role(), found, expected });
            }
            None | Some(_) => {}
        }
        self.check_signatures()?;
        Ok(self)
    }

    /// Every signature must be a good one of somebody who may sign.
    fn check_signatures(&self) -> Result<(), RequestError> {
        let sets = self.key_sets();
        for SignedBy { key_id, signature } in self.signatures() {
            let mut listed = sets.iter().filter_map(|(_, set)| set.keys.get(key_id)).peekable();
            let (role, key_id) = (self.role.clone(), key_id.clone());
            if listed.peek().is_none() {
                return Err(RequestError::Stranger { role, key_id });
            }
            if listed.any(|key| key.verify(self.canonical(), signature).is_err()) {
                return Err(RequestError::Altered { role, key_id });
            }
        }
        Ok(())
    }

    /// Whose metadata it is.
    pub fn role(&self) -> &RoleName {
        &self.role
    }

    /// The draft's version.
    pub fn version(&self) -> u64 {
        match &self.content {
            Content::Root(pair) => pair.draft.body.version(),
            Content::Targets(pair, _) => pair.draft.body.version(),
        }
    }

    /// When the draft's validity ends.
    pub fn expires(&self) -> Timestamp {
        match &self.content {
            Content::Root(pair) => pair.draft.body.expires(),
            Content::Targets(pair, _) => pair.draft.body.expires(),
        }
    }

    /// The file that the draft follows, as bytes of one JSON document.
    pub fn previous(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Root(pair) => pair.previous.as_ref().map(Document::raw),
            Content::Targets(pair, _) => pair.previous.as_ref().map(Document::raw),
        }
    }

    /// The draft with the signatures so far: TUF metadata that may not be complete.
    pub fn draft(&self) -> &[u8] {
        match &self.content {
            Content::Root(pair) => pair.draft.raw(),
            Content::Targets(pair, _) => pair.draft.raw(),
        }
    }

    /// The draft of a root.
    pub fn as_root(&self) -> Option<&Root> {
        match &self.content {
            Content::Root(pair) => Some(&pair.draft.body),
            Content::Targets(..) => None,
        }
    }

    /// The draft of a targets role.
    pub fn as_targets(&self) -> Option<&Targets> {
        match &self.content {
            Content::Root(_) => None,
            Content::Targets(pair, _) => Some(&pair.draft.body),
        }
    }

    /// Whether both ask for signatures of the same bytes.
    pub fn is_same_draft(&self, other: &Self) -> bool {
        self.role == other.role && self.canonical() == other.canonical()
    }

    /// What the draft changes, who has signed, and what is wrong with it at `now`.
    pub fn review(&self, now: Timestamp) -> Review {
        review::review(self, now)
    }

    /// Whether `key` is one of those that may sign.
    pub fn may_sign(&self, key: &PublicKey) -> bool {
        !self.ids_of(key).is_empty()
    }

    /// Whether `key` has signed for every set that lists it.
    pub fn has_signed(&self, key: &PublicKey) -> bool {
        let ids = self.ids_of(key);
        !ids.is_empty() && ids.iter().all(|id| self.signatures().iter().any(|s| s.key_id == *id))
    }

    /// Adds one signature. Refuses a key that may not sign, and a draft that would harm.
    pub fn add_signature(
        &self,
        signer: &dyn Signer,
        now: Timestamp,
    ) -> Result<Signing, RequestError> {
        let (key, role, version) = (signer.public(), self.role.clone(), self.version());
        let ids = self.ids_of(key);
        if ids.is_empty() {
            return Err(RequestError::MayNotSign { role, version, key_id: key.key_id() });
        }
        if let Some(finding) = self.review(now).findings.into_iter().find(Finding::blocks) {
            return Err(RequestError::Refused { role, version, finding });
        }
        if self.has_signed(key) {
            return Ok(Signing::Already);
        }
        let signature = signer.sign(self.canonical()).map_err(super::BuildError::from)?;
        let added = ids.into_iter().map(|id| (id, signature.clone())).collect();
        Ok(Signing::Added(Box::new(self.with_signatures(added)?)))
    }

    /// Joins the signatures of two copies.
    pub fn merge(&self, other: &Self) -> Result<Self, RequestError> {
        let same = self.is_same_draft(other)
            && self.key_sets() == other.key_sets()
            && self.previous_canonical() == other.previous_canonical();
        if !same {
            return Err(RequestError::Different { role: self.role.clone() });
        }
        self.with_signatures(other.signatures_by_id())
    }

    /// The finished metadata, once every set of keys has signed.
    pub fn completed(&self) -> Result<Vec<u8>, RequestError> {
        let missing = self.missing();
        if missing > 0 {
            let (role, version) = (self.role.clone(), self.version());
            return Err(RequestError::Incomplete { role, version, missing });
        }
        Ok(write(&signed_part(&self.role, self.draft())?, &self.signatures_by_id()))
    }

    /// Signatures that the largest gap needs; with signers of both sets that many are enough.
    pub fn missing(&self) -> u64 {
        self.signers().iter().map(SignerSet::missing).max().unwrap_or(0)
    }

    fn with_signatures(&self, more: BTreeMap<KeyId, Vec<u8>>) -> Result<Self, RequestError> {
        let mut joined = more;
        joined.extend(self.signatures_by_id());
        let draft = write(&signed_part(&self.role, self.draft())?, &joined);
        match &self.content {
            Content::Root(pair) => Self::root(pair.previous.as_ref().map(Document::raw), &draft),
            Content::Targets(pair, delegator) => {
                let previous = pair.previous.as_ref().map(Document::raw);
                Self::targets(&self.role, previous, &draft, delegator.clone())
            }
        }
    }

    /// Who must sign, by whose word.
    fn key_sets(&self) -> Vec<(Authority, &KeySet)> {
        match &self.content {
            Content::Root(Pair { previous, draft }) => {
                let own = (Authority::Draft, draft.body.keys(TopRole::Root));
                let before = previous.as_ref().map(|root| root.body.keys(TopRole::Root));
                before.map(|keys| (Authority::Previous, keys)).into_iter().chain([own]).collect()
            }
            Content::Targets(_, delegator) => vec![(Authority::Delegator, &delegator.keys)],
        }
    }

    /// Keys whose signature still helps: of the sets that are not complete, those that have not
    /// signed.
    pub fn wanted(&self) -> BTreeMap<KeyId, PublicKey> {
        review::wanted(&self.signers())
    }

    /// Who must sign, and who has.
    pub fn signers(&self) -> Vec<SignerSet> {
        let set = |(of, keys): (Authority, &KeySet)| {
            let progress = match &self.content {
                Content::Root(pair) => super::progress(&pair.draft, keys),
                Content::Targets(pair, _) => super::progress(&pair.draft, keys),
            };
            SignerSet { of, keys: keys.keys.clone(), progress }
        };
        self.key_sets().into_iter().map(set).collect()
    }

    /// The names a key has in the sets that list it. Others may have named it otherwise than we do.
    fn ids_of(&self, key: &PublicKey) -> std::collections::BTreeSet<KeyId> {
        let named = |(_, set): (Authority, &KeySet)| {
            set.keys.iter().find(|(_, listed)| *listed == key).map(|(id, _)| id.clone())
        };
        self.key_sets().into_iter().filter_map(named).collect()
    }

    fn previous_version(&self) -> Option<u64> {
        match &self.content {
            Content::Root(pair) => pair.previous.as_ref().map(|root| root.body.version()),
            Content::Targets(pair, _) => pair.previous.as_ref().map(|role| role.body.version()),
        }
    }

    fn previous_canonical(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Root(pair) => pair.previous.as_ref().map(Document::canonical),
            Content::Targets(pair, _) => pair.previous.as_ref().map(Document::canonical),
        }
    }

    fn canonical(&self) -> &[u8] {
        match &self.content {
            Content::Root(pair) => pair.draft.canonical(),
            Content::Targets(pair, _) => pair.draft.canonical(),
        }
    }

    fn signatures(&self) -> &[SignedBy] {
        match &self.content {
            Content::Root(pair) => pair.draft.signatures(),
            Content::Targets(pair, _) => pair.draft.signatures(),
        }
    }

    fn signatures_by_id(&self) -> BTreeMap<KeyId, Vec<u8>> {
        match &self.content {
            Content::Root(pair) => signatures(&pair.draft),
            Content::Targets(pair, _) => signatures(&pair.draft),
        }
    }
}

impl<T: Body> Pair<T> {
    fn parse(role: &RoleName, previous: Option<&[u8]>, draft: &[u8]) -> Result<Self, RequestError> {
        let parse = |bytes| Document::<T>::parse(role, bytes);
        Ok(Self { previous: previous.map(parse).transpose()?, draft: parse(draft)? })
    }
}
