//! Signing in turns: roles whose keys are with people somewhere else.
//!
//! A keyring that drafts such roles, and one that takes what came back. The publisher asks its
//! keyring whose turn it is before it opens any key.

use std::collections::BTreeMap;

use jiff::Timestamp;
use signing::metadata::{Document, KeySet, Targets};
use signing::repository::request::RequestError;
use signing::{PublicKey, RoleName, Signer, SigningRequest};

use super::assemble::check_threshold;
use super::error::{self, PublisherError};
use super::keyring::{Keyring, KeyringError, Turn};
use super::layout::RoleKeys;

/// Requests by role.
type Requests = BTreeMap<RoleName, SigningRequest>;

/// Drafts every role whose keys are not at hand, and opens none that are.
#[derive(Debug)]
pub struct Drafting<'a, K> {
    inner: &'a K,
    signed: &'a Requests,
    drafts: Vec<SigningRequest>,
}

impl<'a, K: Keyring> Drafting<'a, K> {
    /// Looks into `inner` only for what is at hand; a role that `signed` has needs no draft.
    pub fn new(inner: &'a K, signed: &'a Requests) -> Self {
        Self { inner, signed, drafts: Vec::new() }
    }

    /// What is to be signed elsewhere.
    pub fn into_drafts(self) -> Vec<SigningRequest> {
        self.drafts
    }
}

/// Nobody is asked for a key while roles are only drafted.
#[derive(Debug, thiserror::Error)]
#[error("keys are not opened to draft")]
struct OnlyDrafting;

impl<K: Keyring> Keyring for Drafting<'_, K> {
    fn open(
        &mut self,
        _role: &RoleName,
        _keys: &RoleKeys,
    ) -> Result<Vec<Box<dyn Signer>>, KeyringError> {
        Err(Box::new(OnlyDrafting))
    }

    fn is_at_hand(&self, key: &PublicKey) -> bool {
        self.inner.is_at_hand(key)
    }

    fn turn(&self, role: &RoleName, keys: &RoleKeys) -> Turn<'_> {
        if let Some(request) = self.signed.get(role) {
            return Turn::Signed(request);
        }
        let here = keys.keys.iter().filter(|key| self.is_at_hand(key)).count();
        let enough = usize::try_from(keys.threshold).is_ok_and(|threshold| here >= threshold);
        if enough { Turn::Skip } else { Turn::Draft }
    }

    fn take_draft(&mut self, draft: SigningRequest) {
        self.drafts.push(draft);
    }
}

/// Uses requests that came back in place of keys; other roles are signed by `inner`.
#[derive(Debug)]
pub struct Returned<'a, K> {
    inner: &'a mut K,
    signed: &'a Requests,
}

impl<'a, K: Keyring> Returned<'a, K> {
    /// Joins keys at hand and requests.
    pub fn new(inner: &'a mut K, signed: &'a Requests) -> Self {
        Self { inner, signed }
    }
}

impl<K: Keyring> Keyring for Returned<'_, K> {
    fn open(
        &mut self,
        role: &RoleName,
        keys: &RoleKeys,
    ) -> Result<Vec<Box<dyn Signer>>, KeyringError> {
        self.inner.open(role, keys)
    }

    fn is_at_hand(&self, key: &PublicKey) -> bool {
        self.inner.is_at_hand(key)
    }

    fn turn(&self, role: &RoleName, _keys: &RoleKeys) -> Turn<'_> {
        self.signed.get(role).map_or(Turn::Here, Turn::Signed)
    }
}

/// The next version of a role, as far as it is decided before anybody signs.
pub(super) struct Next<'a, F> {
    pub(super) role: &'a RoleName,
    pub(super) keys: &'a RoleKeys,
    /// Builds it without signatures, for a given end of its validity.
    pub(super) unsigned: F,
}

impl<F: Fn(Timestamp) -> Result<Vec<u8>, PublisherError>> Next<'_, F> {
    /// Takes a request that came back: exactly what would be signed here but for the date, with
    /// signatures of the keys that sign here.
    pub(super) fn accept(
        &self,
        request: &SigningRequest,
        now: Timestamp,
    ) -> Result<Vec<u8>, PublisherError> {
        let role = self.role;
        let refused = |source| PublisherError::Request { role: role.clone(), source };
        let parse =
            |bytes: &[u8]| Document::<Targets>::parse(role, bytes).map_err(error::previous(role));
        let expected = parse(&(self.unsigned)(request.expires())?)?;
        if parse(request.draft())?.canonical() != expected.canonical() {
            let version = request.version();
            return Err(PublisherError::OtherDraft { role: role.clone(), version });
        }
        let bytes = request.completed().map_err(|error| refused(Box::new(error)))?;
        let signed = parse(&bytes)?;
        check_threshold(&signed, &self.keys.key_set())?;
        signed
            .check_expiry(now)
            .map_err(|error| refused(Box::new(RequestError::Metadata(error))))?;
        Ok(bytes)
    }

    /// A request for whoever holds the keys. `before` signed `previous` if its keys were others.
    pub(super) fn draft(
        &self,
        previous: Option<&Document<Targets>>,
        before: Option<&KeySet>,
        expires: Timestamp,
    ) -> Result<SigningRequest, PublisherError> {
        let keys = self.keys.key_set();
        let previous = previous.map(|previous| {
            let others = previous.verify(&keys).is_err().then(|| before.cloned()).flatten();
            (previous.raw(), others)
        });
        let draft = (self.unsigned)(expires)?;
        SigningRequest::for_targets(self.role, previous, &draft, keys).map_err(|source| {
            PublisherError::Request { role: self.role.clone(), source: Box::new(source) }
        })
    }
}

#[cfg(test)]
mod tests {
    use signing::repository::request::{Finding, Signing};

    use super::*;
    use crate::publisher::testing::{World, acme, content, day, secret};
    use crate::publisher::{
        Assembly, Content, Floors, MemoryKeyring, Terms, VendorKeys, VendorLayout, VendorSet,
        assemble, assemble_vendor, releases_role,
    };

    /// acme's releases need two people, 30 and 31, whose keys are not here.
    fn world() -> World {
        let mut world = World::new();
        let keys = [30, 31].map(|seed| secret(seed).public().clone()).to_vec();
        if let Some(vendor) = world.layout.vendors.get_mut(&acme()) {
            vendor.releases = RoleKeys { keys, threshold: 2 };
        }
        world
    }

    fn drafts(world: &World, content: &Content, signed: &Requests) -> Vec<SigningRequest> {
        let mut keyring = Drafting::new(&world.keyring, signed);
        let (layout, terms) = (&world.layout, Terms::default());
        assemble(content, layout, &mut keyring, &world.published, &terms, day(1)).unwrap();
        keyring.into_drafts()
    }

    fn publish(
        world: &mut World,
        content: &Content,
        signed: &Requests,
        now: Timestamp,
    ) -> Result<Assembly, PublisherError> {
        let mut keyring = Returned::new(&mut world.keyring, signed);
        assemble(content, &world.layout, &mut keyring, &world.published, &Terms::default(), now)
    }

    fn sign(request: &SigningRequest, seeds: &[u8]) -> Requests {
        let mut request = request.clone();
        for seed in seeds {
            if let Signing::Added(more) = request.add_signature(&secret(*seed), day(1)).unwrap() {
                request = *more;
            }
        }
        Requests::from([(request.role().clone(), request)])
    }

    #[test]
    fn two_people_elsewhere_sign_the_releases_and_the_rest_is_signed_here() {
        let (mut world, content) = (world(), content(&["1.0.0"]));
        let [draft] = &drafts(&world, &content, &Requests::new())[..] else { panic!() };
        assert_eq!(*draft.role(), releases_role(&acme()).unwrap());
        let signed = sign(draft, &[30, 31]);
        assert!(drafts(&world, &content, &signed).is_empty());
        let assembly = publish(&mut world, &content, &signed, day(3)).unwrap();
        let verified = world.verify(&assembly, day(3)).unwrap();
        assert!(verified.broken.is_empty(), "{:?}", verified.broken);
        assert_eq!(verified.targets.len(), 2);
    }

    #[test]
    fn a_second_version_follows_the_first_and_shows_what_is_new() {
        let (mut world, first) = (world(), content(&["1.0.0"]));
        let draft = drafts(&world, &first, &Requests::new()).remove(0);
        let assembly = publish(&mut world, &first, &sign(&draft, &[30, 31]), day(1)).unwrap();
        world.published = assembly.repository;
        let second = content(&["1.0.0", "1.1.0"]);
        let draft = drafts(&world, &second, &Requests::new()).remove(0);
        assert_eq!((draft.version(), draft.review(day(1)).changes.len()), (2, 2));
    }

    #[test]
    fn too_few_signatures_are_not_published() {
        let (mut world, content) = (world(), content(&["1.0.0"]));
        let draft = drafts(&world, &content, &Requests::new()).remove(0);
        let error = publish(&mut world, &content, &sign(&draft, &[30]), day(1)).unwrap_err();
        assert!(
            matches!(&error, PublisherError::Request { source, .. }
                if matches!(**source, RequestError::Incomplete { missing: 1, .. })),
            "{error}"
        );
    }

    #[test]
    fn what_was_signed_must_be_what_is_published() {
        let mut world = world();
        let draft = drafts(&world, &content(&["1.0.0"]), &Requests::new()).remove(0);
        let signed = sign(&draft, &[30, 31]);
        let more = content(&["1.0.0", "1.1.0"]);
        let error = publish(&mut world, &more, &signed, day(1)).unwrap_err();
        assert!(matches!(error, PublisherError::OtherDraft { version: 1, .. }), "{error}");
    }

    #[test]
    fn a_request_signed_by_keys_of_its_own_choice_is_refused() {
        let (mut world, content) = (world(), content(&["1.0.0"]));
        let draft = drafts(&world, &content, &Requests::new()).remove(0);
        let own = RoleKeys::single(secret(99).public().clone()).key_set();
        let forged = SigningRequest::for_targets(draft.role(), None, draft.draft(), own).unwrap();
        let error = publish(&mut world, &content, &sign(&forged, &[99]), day(1)).unwrap_err();
        assert!(matches!(error, PublisherError::Signatures { valid: 0, .. }), "{error}");
    }

    #[test]
    fn a_request_that_lay_about_for_too_long_is_refused() {
        let (mut world, content) = (world(), content(&["1.0.0"]));
        let draft = drafts(&world, &content, &Requests::new()).remove(0);
        let signed = sign(&draft, &[30, 31]);
        publish(&mut world, &content, &signed, day(360)).unwrap();
        world.keyring = MemoryKeyring::default();
        let error = publish(&mut world, &content, &signed, day(367)).unwrap_err();
        assert!(
            matches!(&error, PublisherError::Request { source, .. }
                if matches!(**source, RequestError::Metadata(signing::Error::Expired { .. }))),
            "{error}"
        );
    }

    #[test]
    fn holders_elsewhere_sign_again_after_all_keys_of_a_role_were_replaced() {
        let (mut world, content) = (world(), content(&["1.0.0"]));
        let keys = [40, 41].map(|seed| secret(seed).public().clone()).to_vec();
        let layout = VendorLayout {
            vendor: acme(),
            keys: VendorKeys {
                releases: RoleKeys { keys, threshold: 2 },
                ..world.layout.vendors.remove(&acme()).unwrap()
            },
        };
        let role = releases_role(&acme()).unwrap();
        let floors = Floors::from([(role.clone(), 4)]);
        let set = VendorSet {
            content: &content,
            layout: &layout,
            found: &[],
            floors: &floors,
            delegated: None,
        };
        let none = Requests::new();
        let mut drafting = Drafting::new(&world.keyring, &none);
        assemble_vendor(set, &mut drafting, &Terms::default(), day(1)).unwrap();
        let [draft] = &drafting.into_drafts()[..] else { panic!() };
        let found = draft.review(day(1)).findings;
        assert_eq!(found, [Finding::NothingFollowed { role: role.clone(), version: 5 }]);
        let signed = sign(draft, &[40, 41]);
        let mut keyring = Returned::new(&mut world.keyring, &signed);
        let made = assemble_vendor(set, &mut keyring, &Terms::default(), day(1)).unwrap();
        assert_eq!(made.repository.newest(&role).map(|(version, _)| version), Some(5));
    }
}
