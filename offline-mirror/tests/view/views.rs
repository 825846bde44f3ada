//! A view: bundles that live for weeks, under a root of its own over the same vendor files.

/// Asserts an error of a view by its kind.
macro_rules! refused {
    ($answer:expr, $pattern:pat) => {{
        let error = $answer.unwrap_err();
        assert!(matches!(&error, Error::View($pattern)), "{error:?}");
        assert!(!error.hint().is_empty());
        error
    }};
}

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use offline_mirror::bundle::{BundleDir, SegmentSize};
use offline_mirror::create::{CreateError, CreateRequest, Progress, create};
use offline_mirror::plan::{PlanError, Presumed, Request};
use offline_mirror::{
    Accepted, DEFAULT_LIFE_DAYS, DEFAULT_ROOT_DAYS, Drafted, Error, Holders, ViewError, ViewInit,
    ViewRenewal, view_accept, view_init, view_renew,
};
use signing::metadata::{Document, Root, Snapshot, TimestampMetadata};
use signing::repository::request::{Signing, SigningRequest};
use signing::{Attack, Client, DirStore, FileName, MemSource, MemStore, TopRole};

use crate::hub::{ROOT, Terms, key};
use crate::scene::{RELEASE, Scene, at, registry};

pub(crate) const DAY: i64 = 24;

/// A scene with a view of its hub.
pub(crate) struct Viewed {
    pub(crate) scene: Scene,
}

impl Viewed {
    /// A view whose first root is signed by the hub's one root key.
    pub(crate) async fn accepted() -> Self {
        Self::of(Scene::new()).await
    }

    /// The same over a scene.
    pub(crate) async fn of(scene: Scene) -> Self {
        let viewed = Self { scene };
        viewed.init(Holders::Hub).await.unwrap();
        viewed.sign(ROOT);
        viewed.accept().unwrap();
        viewed
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.scene.folder().join("view")
    }

    pub(crate) fn request(&self) -> PathBuf {
        self.dir().join("request.json")
    }

    pub(crate) fn init_request(&self, holders: Holders) -> ViewInit {
        ViewInit {
            dir: self.dir(),
            root: self.scene.hub.root_1.clone(),
            holders,
            days: DEFAULT_LIFE_DAYS,
            root_days: DEFAULT_ROOT_DAYS,
        }
    }

    pub(crate) async fn init(&self, holders: Holders) -> Result<Drafted, Error> {
        view_init(&self.init_request(holders), self.scene.hub.source(), at(0)).await
    }

    pub(crate) fn renewal(&self) -> ViewRenewal {
        ViewRenewal {
            dir: self.dir(),
            root: self.scene.hub.root_1.clone(),
            holders: None,
            days: None,
            root_days: DEFAULT_ROOT_DAYS,
            new_keys: false,
        }
    }

    pub(crate) async fn renew(&self, renewal: &ViewRenewal) -> Result<Drafted, Error> {
        view_renew(renewal, self.scene.hub.source(), at(1)).await
    }

    /// Signs the request where it lies.
    pub(crate) fn sign(&self, seed: u8) {
        self.sign_to(seed, &self.request());
    }

    /// Signs a copy of the request as it was written.
    pub(crate) fn sign_to(&self, seed: u8, to: &Path) {
        let request = SigningRequest::from_json(&std::fs::read(self.request()).unwrap()).unwrap();
        match request.add_signature(&key(seed), at(1)).unwrap() {
            Signing::Added(signed) => std::fs::write(to, signed.to_json().unwrap()).unwrap(),
            Signing::Already => {}
        }
    }

    pub(crate) fn accept(&self) -> Result<Accepted, Error> {
        view_accept(&self.dir(), &[self.request()])
    }

    pub(crate) fn root(&self) -> Vec<u8> {
        std::fs::read(self.dir().join("root.json")).unwrap()
    }

    /// Makes a bundle with the one release.
    pub(crate) async fn export(&self, now: Timestamp) -> Result<Exported, Error> {
        self.export_from(&self.scene.upstream.host, now).await
    }

    /// The same with the images of another registry.
    pub(crate) async fn export_from(&self, host: &str, now: Timestamp) -> Result<Exported, Error> {
        let (routes, registries) = registry(host);
        let product = "product = \"acme/app\"\nreleases = [\"1.2.0\"]";
        let plan = Request {
            name: "b".parse().unwrap(),
            root: self.scene.hub.root_1.clone(),
            view: Some(self.dir()),
            routes,
            products: vec![toml::from_str(product).unwrap()],
            images: Vec::new(),
            sites: Vec::new(),
            base: Presumed::Nothing,
            segment_size: SegmentSize::default(),
            concurrency: 2,
            keep_going: false,
        };
        let out = tempfile::tempdir_in(self.scene.folder()).unwrap();
        let request = CreateRequest { plan, dir: out.path().to_owned(), restart: false };
        let source = self.scene.hub.source();
        match create(&request, source, &registries, &Progress::nothing(), now).await {
            Ok(made) => {
                let bundle = BundleDir::open(&made.manifest, &[]).unwrap();
                let tuf = bundle.files().unwrap().into_iter().filter_map(|(path, bytes)| {
                    Some((path.strip_prefix("tuf/")?.to_owned(), bytes))
                });
                Ok(Exported { good_until: made.good_until, tuf: tuf.collect(), bundle, out })
            }
            Err(CreateError::Mirror(error) | CreateError::Plan(PlanError::Mirror(error))) => {
                Err(error)
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    /// A site that pins the view's root of now.
    pub(crate) fn site(&self) -> Site {
        Site { root: self.root(), state: self.scene.folder().join("site") }
    }
}

/// A bundle.
#[derive(Debug)]
pub(crate) struct Exported {
    pub(crate) good_until: Option<Timestamp>,
    /// Its TUF repository.
    tuf: BTreeMap<String, Vec<u8>>,
    bundle: BundleDir,
    out: tempfile::TempDir,
}

impl Exported {
    /// Where its files are.
    pub(crate) fn dir(&self) -> &Path {
        self.out.path()
    }

    /// The versions of snapshot and timestamp.
    fn versions(&self) -> (u64, u64) {
        let bytes = &self.tuf["metadata/timestamp.json"];
        let role = TopRole::Timestamp.into();
        let timestamp = Document::<TimestampMetadata>::parse(&role, bytes).unwrap().body;
        (timestamp.snapshot().version, timestamp.version)
    }
}

/// What a site pinned, and what it has seen.
pub(crate) struct Site {
    root: Vec<u8>,
    state: PathBuf,
}

impl Site {
    /// Reads a bundle as a site does: from the pinned root over its floors to the manifest's key and
    /// the release.
    pub(crate) async fn believe(
        &self,
        exported: &Exported,
        now: Timestamp,
    ) -> Result<(), signing::Error> {
        let files: BTreeMap<String, Arc<[u8]>> = exported
            .tuf
            .iter()
            .map(|(path, bytes)| (path.clone(), bytes.as_slice().into()))
            .collect();
        let store = DirStore::open(&self.state).unwrap();
        let mut client = Client::open(&self.root, MemSource::new(files), store)?;
        client.refresh(now).await?;
        let target = client.target(&RELEASE.parse().unwrap(), now).await?.unwrap();
        client.fetch_target(&target).await?;
        let keys = client.keys(TopRole::Snapshot, now)?.clone();
        exported.bundle.verify(&keys).unwrap();
        Ok(())
    }
}

#[actix_web::test]
async fn a_parcel_of_eight_weeks_is_believed_without_any_leave() {
    let viewed = Viewed::accepted().await;
    let exported = viewed.export(at(1)).await.unwrap();
    assert_eq!(exported.good_until, Some(at(1 + 90 * DAY)));
    viewed.site().believe(&exported, at(56 * DAY)).await.unwrap();
}

#[actix_web::test]
async fn a_view_carries_the_hubs_files_byte_for_byte_and_nothing_of_its_own_but_three_roles() {
    let viewed = Viewed::accepted().await;
    let exported = viewed.export(at(1)).await.unwrap();
    let hub = viewed.scene.hub.files();
    let own = exported.tuf.iter().filter(|(name, bytes)| hub.get(*name) != Some(*bytes));
    let mut own: Vec<_> = own
        .map(|(name, _)| name.rsplit_once('/').unwrap().1.rsplit('.').nth(1).unwrap().to_owned())
        .collect();
    own.sort_unstable();
    assert_eq!(own, ["root", "snapshot", "timestamp"]);
    for of_the_hub in ["metadata/1.root.json", "metadata/2.root.json"] {
        assert!(!exported.tuf.contains_key(of_the_hub), "{of_the_hub}");
    }
}

#[actix_web::test]
async fn a_views_snapshot_pins_what_the_hubs_does() {
    let viewed = Viewed::accepted().await;
    let exported = viewed.export(at(1)).await.unwrap();
    let pins = |files: &BTreeMap<String, Vec<u8>>| {
        let (_, bytes) = files.iter().find(|(name, _)| name.contains("snapshot")).unwrap();
        Document::<Snapshot>::parse(&TopRole::Snapshot.into(), bytes).unwrap().body.meta
    };
    assert_eq!(pins(&exported.tuf), pins(&viewed.scene.hub.files()));
}

#[actix_web::test]
async fn a_view_ends_after_its_days() {
    let viewed = Viewed::accepted().await;
    let exported = viewed.export(at(1)).await.unwrap();
    let ended = at(1 + 90 * DAY);
    let error = viewed.site().believe(&exported, ended).await.unwrap_err();
    assert_eq!(error.attack(), Some(Attack::Freeze), "{error:?}");
}

#[actix_web::test]
async fn a_site_that_pinned_the_hub_believes_no_view() {
    let viewed = Viewed::accepted().await;
    let exported = viewed.export(at(1)).await.unwrap();
    let site = Site { root: viewed.scene.hub.root_1.clone(), ..viewed.site() };
    let error = site.believe(&exported, at(2)).await.unwrap_err();
    assert_eq!(error.attack(), Some(Attack::ArbitrarySoftware), "{error:?}");
}

/// What a client that pinned `pinned` says of a repository where `next` is called the next root.
async fn offered(pinned: &[u8], next: &[u8], files: &BTreeMap<String, Vec<u8>>) -> signing::Error {
    let mut files: BTreeMap<String, Arc<[u8]>> =
        files.iter().map(|(path, bytes)| (path.clone(), bytes.as_slice().into())).collect();
    let root = Document::<Root>::parse(&TopRole::Root.into(), pinned).unwrap();
    let name = FileName::root(root.body.version + 1).relative_path();
    files.insert(name, next.into());
    let mut client = Client::open(pinned, MemSource::new(files), MemStore::new()).unwrap();
    client.refresh(at(1)).await.unwrap_err()
}

#[actix_web::test]
async fn connected_agents_never_follow_a_views_root_though_the_same_keys_signed_it() {
    let viewed = Viewed::accepted().await;
    viewed.renew(&viewed.renewal()).await.unwrap();
    viewed.sign(ROOT);
    let first = viewed.root();
    viewed.accept().unwrap();
    let second = viewed.root();
    let hub = &viewed.scene.hub;
    for (pinned, views) in [(&hub.root_1, &first), (&hub.root_2, &first), (&hub.root_1, &second)] {
        let error = offered(pinned, views, &hub.files()).await;
        assert!(matches!(error, signing::Error::Version { .. }), "{error}");
        assert_eq!(error.attack(), Some(Attack::MixAndMatch));
    }
    // Nor does a site of the view follow the hub's, which the same key signed too.
    let error = offered(&second, &hub.root_2, &BTreeMap::new()).await;
    assert_eq!(error.attack(), Some(Attack::Rollback), "{error}");
}

#[actix_web::test]
async fn versions_of_a_view_grow_with_every_bundle_whatever_the_clock_says() {
    let viewed = Viewed::accepted().await;
    let mut last = (0, 0);
    let mut newest = viewed.export(at(1)).await.unwrap();
    for now in [at(1), at(1), at(5), at(3)] {
        newest = viewed.export(now).await.unwrap();
        let found = newest.versions();
        assert!(found.0 > last.0 && found.1 > last.1, "{last:?} then {found:?}");
        last = found;
    }
    let unix = u64::try_from(at(5).as_second()).unwrap();
    assert_eq!(last, (unix + 1, unix + 1));
    viewed.site().believe(&newest, at(6)).await.unwrap();
}

#[actix_web::test]
async fn a_view_whose_state_was_lost_does_not_go_back() {
    let viewed = Viewed::accepted().await;
    let state = viewed.dir().join("view.json");
    let backup = std::fs::read(&state).unwrap();
    viewed.export(at(5)).await.unwrap();
    std::fs::write(&state, backup).unwrap();
    // The clock went back as well: only what sites were given still knows.
    let error = refused!(viewed.export(at(3)).await, ViewError::GoesBack { .. });
    assert_eq!(error.attack(), Some(Attack::Rollback), "{error:?}");
    viewed.export(at(6)).await.unwrap();
}

#[actix_web::test]
async fn a_hub_that_went_back_gets_no_view() {
    let mut viewed = Viewed::accepted().await;
    viewed.scene.publish_again(2, at(1));
    viewed.export(at(2)).await.unwrap();
    viewed.scene.publish_again(1, at(0));
    let error = viewed.export(at(3)).await.unwrap_err();
    assert_eq!(error.attack(), Some(Attack::Rollback), "{error:?}");
    let error = viewed.renew(&viewed.renewal()).await.unwrap_err();
    assert_eq!(error.attack(), Some(Attack::Rollback), "{error:?}");
    assert!(!viewed.request().exists());
}

#[actix_web::test]
async fn the_hubs_new_targets_keys_need_the_views_next_root() {
    let mut viewed = Viewed::accepted().await;
    let first = viewed.export(at(1)).await.unwrap();
    let site = viewed.site();
    site.believe(&first, at(2)).await.unwrap();

    viewed.scene.publish_as(&Terms { targets: 12, ..Terms::of(at(2)) }, 2, at(2));
    let error = refused!(viewed.export(at(3)).await, ViewError::TargetsKeys { .. });
    assert!(error.is_refusal() && error.hint().contains("view renew"), "{}", error.hint());

    viewed.renew(&viewed.renewal()).await.unwrap();
    refused!(viewed.export(at(3)).await, ViewError::TargetsKeys { .. });
    viewed.sign(ROOT);
    viewed.accept().unwrap();
    let second = viewed.export(at(4)).await.unwrap();
    // The site still pins the first root: the chain travels with the bundle.
    site.believe(&second, at(40 * DAY)).await.unwrap();
}

#[actix_web::test]
async fn root_holders_whom_the_hub_has_replaced_hold_its_view_no_longer() {
    let mut viewed = Viewed::accepted().await;
    viewed.scene.publish_as(&Terms { root: 14, ..Terms::of(at(2)) }, 2, at(2));
    let error = refused!(viewed.export(at(3)).await, ViewError::RootKeys { .. });
    assert!(error.is_refusal() && error.hint().contains("view renew"), "{}", error.hint());
    viewed.renew(&viewed.renewal()).await.unwrap();
    viewed.sign(ROOT);
    viewed.sign(14);
    viewed.accept().unwrap();
    viewed.export(at(4)).await.unwrap();
}

#[actix_web::test]
async fn a_renewal_that_nobody_signed_changes_neither_holders_nor_days() {
    let mut viewed = Viewed::accepted().await;
    let own = Holders::Own { keys: vec![key(31).public().clone()], threshold: 1 };
    let renewal = ViewRenewal { holders: Some(own), days: Some(7), ..viewed.renewal() };
    viewed.renew(&renewal).await.unwrap();
    assert_eq!(viewed.export(at(1)).await.unwrap().good_until, Some(at(1 + 90 * DAY)));
    viewed.scene.publish_as(&Terms { root: 14, ..Terms::of(at(2)) }, 2, at(2));
    refused!(viewed.export(at(3)).await, ViewError::RootKeys { .. });
    viewed.sign(ROOT);
    viewed.sign(31);
    viewed.accept().unwrap();
    // Its own holders have it now, and whom the hub names does not matter any more.
    assert_eq!(viewed.export(at(4)).await.unwrap().good_until, Some(at(4 + 7 * DAY)));
}

#[actix_web::test]
async fn new_keys_of_a_view_reach_sites_with_its_next_root() {
    let viewed = Viewed::accepted().await;
    let first = viewed.export(at(1)).await.unwrap();
    let site = viewed.site();
    site.believe(&first, at(2)).await.unwrap();
    let old = std::fs::read_dir(viewed.dir().join("keys")).unwrap().count();
    let drafted = viewed.renew(&ViewRenewal { new_keys: true, ..viewed.renewal() }).await.unwrap();
    viewed.sign(ROOT);
    let accepted = viewed.accept().unwrap();
    assert_eq!(accepted.version, drafted.version);
    assert_eq!((old, std::fs::read_dir(viewed.dir().join("keys")).unwrap().count()), (2, 4));
    let second = viewed.export(at(3)).await.unwrap();
    site.believe(&second, at(4)).await.unwrap();
    let root = Document::<Root>::parse(&TopRole::Root.into(), &viewed.root()).unwrap();
    for (role, key_id) in [TopRole::Snapshot, TopRole::Timestamp].into_iter().zip(drafted.online) {
        assert!(root.body.keys(role).keys.contains_key(&key_id), "{role}");
    }
}

#[actix_web::test]
async fn a_hub_that_recovered_from_a_fast_forward_needs_new_keys_of_its_views_too() {
    let mut viewed = Viewed::accepted().await;
    viewed.scene.publish_again(1_000_000, at(1));
    let first = viewed.export(at(2)).await.unwrap();
    let site = viewed.site();
    site.believe(&first, at(3)).await.unwrap();

    // New keys for snapshot and timestamp at the hub lift its floors; versions begin anew.
    viewed.scene.publish_as(&Terms { online: [13, 14], ..Terms::of(at(3)) }, 2, at(3));
    let error = refused!(viewed.export(at(4)).await, ViewError::GoesBack { .. });
    assert_eq!(error.attack(), Some(Attack::Rollback), "{error:?}");
    assert!(error.hint().contains("view renew --new-keys"), "{}", error.hint());
    viewed.renew(&ViewRenewal { new_keys: true, ..viewed.renewal() }).await.unwrap();
    viewed.sign(ROOT);
    viewed.accept().unwrap();
    let second = viewed.export(at(5)).await.unwrap();
    site.believe(&second, at(6)).await.unwrap();
}
