//! A view: an export that lives for weeks, under a root of its own over the same vendor files.

/// Asserts an error of a view by its kind.
macro_rules! refused {
    ($answer:expr, $pattern:pat) => {{
        let error = $answer.unwrap_err();
        assert!(matches!(&error, Error::View($pattern)), "{error:?}");
        assert!(!error.hint().is_empty());
        error
    }};
}

mod roots;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use offline_mirror::{
    Accepted, DEFAULT_LIFE_DAYS, DEFAULT_ROOT_DAYS, Drafted, Error, ExportRequest, Exported,
    Holders, ImportRequest, ViewError, ViewInit, ViewRenewal, view_accept, view_init, view_renew,
};
use signing::metadata::{Document, Root, Snapshot, TimestampMetadata};
use signing::repository::request::{Signing, SigningRequest};
use signing::{Attack, Client, FileName, MemSource, MemStore, TopRole};

use crate::hub::{ROOT, Terms, key};
use crate::scene::{Scene, at};

const DAY: i64 = 24;

/// A scene with a view of its hub.
pub(crate) struct Viewed {
    pub(crate) scene: Scene,
}

impl Viewed {
    /// A view whose first root is signed by the hub's one root key.
    pub(crate) async fn accepted() -> Self {
        let viewed = Self { scene: Scene::new() };
        viewed.init(Holders::Hub).await.unwrap();
        viewed.sign(ROOT);
        viewed.accept().unwrap();
        viewed
    }

    fn dir(&self) -> PathBuf {
        self.scene.folder().join("view")
    }

    fn request(&self) -> PathBuf {
        self.dir().join("request.json")
    }

    fn init_request(&self, holders: Holders) -> ViewInit {
        ViewInit {
            dir: self.dir(),
            root: self.scene.hub.root_1.clone(),
            holders,
            days: DEFAULT_LIFE_DAYS,
            root_days: DEFAULT_ROOT_DAYS,
        }
    }

    async fn init(&self, holders: Holders) -> Result<Drafted, Error> {
        view_init(&self.init_request(holders), self.scene.hub.source(), at(0)).await
    }

    fn renewal(&self) -> ViewRenewal {
        ViewRenewal {
            dir: self.dir(),
            root: self.scene.hub.root_1.clone(),
            holders: None,
            days: None,
            root_days: DEFAULT_ROOT_DAYS,
            new_keys: false,
        }
    }

    async fn renew(&self, renewal: &ViewRenewal) -> Result<Drafted, Error> {
        view_renew(renewal, self.scene.hub.source(), at(1)).await
    }

    /// Signs the request where it lies.
    fn sign(&self, seed: u8) {
        self.sign_to(seed, &self.request());
    }

    /// Signs a copy of the request as it was written.
    fn sign_to(&self, seed: u8, to: &Path) {
        let request = SigningRequest::from_json(&std::fs::read(self.request()).unwrap()).unwrap();
        match request.add_signature(&key(seed), at(1)).unwrap() {
            Signing::Added(signed) => std::fs::write(to, signed.to_json().unwrap()).unwrap(),
            Signing::Already => {}
        }
    }

    fn accept(&self) -> Result<Accepted, Error> {
        view_accept(&self.dir(), &[self.request()])
    }

    fn root(&self) -> Vec<u8> {
        std::fs::read(self.dir().join("root.json")).unwrap()
    }

    fn export_request(&self) -> ExportRequest {
        ExportRequest { view: Some(self.dir()), ..self.scene.export_request() }
    }

    pub(crate) async fn export(&self, now: Timestamp) -> Result<Exported, Error> {
        self.scene.export_at(&self.export_request(), now).await
    }

    pub(crate) fn import_request(&self) -> ImportRequest {
        ImportRequest {
            root: self.root(),
            state: Some(self.scene.state()),
            ..self.scene.import_request()
        }
    }

    /// The versions of snapshot and timestamp in the export.
    fn carried(&self) -> (u64, u64) {
        let bytes = std::fs::read(self.scene.dir().join("tuf/metadata/timestamp.json")).unwrap();
        let role = TopRole::Timestamp.into();
        let timestamp = Document::<TimestampMetadata>::parse(&role, &bytes).unwrap().body;
        (timestamp.snapshot().version, timestamp.version)
    }
}

#[actix_web::test]
async fn a_parcel_of_eight_weeks_is_imported_without_any_leave() {
    let viewed = Viewed::accepted().await;
    let exported = viewed.export(at(1)).await.unwrap();
    assert!(exported.record.is_view);
    assert_eq!(exported.record.good_until, Some(at(1 + 90 * DAY)));
    let late = at(56 * DAY);
    let imported = viewed.scene.import_with(&viewed.import_request(), late).await.unwrap();
    assert_eq!(imported.expired_as_of, None);
    assert_eq!(viewed.scene.site.publications().len(), 1);

    // The hub's own metadata of the same day is long a freeze.
    let plain = Scene::new();
    let exported = plain.export().await.unwrap();
    assert_eq!(exported.record.good_until, Some(at(DAY)));
    let error = plain.import_with(&plain.import_request(), late).await.unwrap_err();
    assert_eq!(error.attack(), Some(Attack::Freeze), "{error:?}");
}

#[actix_web::test]
async fn a_view_carries_the_hubs_files_byte_for_byte_and_nothing_of_its_own_but_three_roles() {
    let viewed = Viewed::accepted().await;
    viewed.export(at(1)).await.unwrap();
    let tuf = viewed.scene.dir().join("tuf");
    let hub = viewed.scene.hub.files();
    let mut own = Vec::new();
    for path in [viewed.scene.tuf_files("metadata"), viewed.scene.tuf_files("targets")].concat() {
        let name = path.strip_prefix(&tuf).unwrap().to_str().unwrap().to_owned();
        let bytes = std::fs::read(&path).unwrap();
        if hub.get(&name) != Some(&bytes) {
            let (_, role) = name.split_once('/').unwrap();
            own.push(role.rsplit('.').nth(1).unwrap().to_owned());
        }
    }
    own.sort_unstable();
    assert_eq!(own, ["root", "snapshot", "timestamp"]);
    for of_the_hub in ["1.root.json", "2.root.json"] {
        assert!(!tuf.join("metadata").join(of_the_hub).exists(), "{of_the_hub}");
    }

    // And the site hands on exactly what it does from a plain export.
    viewed.scene.import_with(&viewed.import_request(), at(2)).await.unwrap();
    let plain = Scene::new();
    plain.export().await.unwrap();
    plain.import().await.unwrap();
    let files = |scene: &Scene| {
        let mut files = scene.site.publications().remove(0).files;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files
    };
    assert_eq!(files(&viewed.scene), files(&plain));
}

#[actix_web::test]
async fn a_views_snapshot_pins_what_the_hubs_does() {
    let viewed = Viewed::accepted().await;
    viewed.export(at(1)).await.unwrap();
    let snapshot = |bytes: &[u8]| {
        Document::<Snapshot>::parse(&TopRole::Snapshot.into(), bytes).unwrap().body.meta
    };
    let find = |files: &BTreeMap<String, Vec<u8>>| {
        let (_, bytes) = files.iter().find(|(name, _)| name.contains("snapshot")).unwrap();
        snapshot(bytes)
    };
    let carried = viewed.scene.tuf_files("metadata");
    let carried = carried.iter().find(|path| path.to_str().unwrap().contains("snapshot")).unwrap();
    assert_eq!(snapshot(&std::fs::read(carried).unwrap()), find(&viewed.scene.hub.files()));
}

#[actix_web::test]
async fn a_view_ends_after_its_days_and_then_asks_for_leave_like_any_export() {
    let viewed = Viewed::accepted().await;
    viewed.export(at(1)).await.unwrap();
    let ended = at(1 + 90 * DAY);
    let request = viewed.import_request();
    let error = viewed.scene.import_with(&request, ended).await.unwrap_err();
    assert_eq!(error.attack(), Some(Attack::Freeze), "{error:?}");
    assert_eq!(viewed.scene.site.asked(), Vec::<String>::new());
}

#[actix_web::test]
async fn a_site_that_pinned_the_hub_believes_no_view_and_the_other_way_round() {
    let viewed = Viewed::accepted().await;
    viewed.export(at(1)).await.unwrap();
    let error = viewed.scene.refused().await;
    assert_eq!(error.attack(), Some(Attack::ArbitrarySoftware), "{error:?}");
    assert!(error.hint().contains("the view's"), "{}", error.hint());
    viewed.scene.export().await.unwrap();
    let error = viewed.scene.import_with(&viewed.import_request(), at(2)).await.unwrap_err();
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
async fn versions_of_a_view_grow_with_every_export_whatever_the_clock_says() {
    let viewed = Viewed::accepted().await;
    let mut last = (0, 0);
    for now in [at(1), at(1), at(5), at(3)] {
        viewed.export(now).await.unwrap();
        let found = viewed.carried();
        assert!(found.0 > last.0 && found.1 > last.1, "{last:?} then {found:?}");
        last = found;
    }
    let unix = u64::try_from(at(5).as_second()).unwrap();
    assert_eq!(last, (unix + 1, unix + 1));
    viewed.scene.import_with(&viewed.import_request(), at(6)).await.unwrap();
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
    viewed.export(at(1)).await.unwrap();
    let site = viewed.import_request();
    viewed.scene.import_with(&site, at(2)).await.unwrap();

    viewed.scene.publish_as(&Terms { targets: 12, ..Terms::of(at(2)) }, 2, at(2));
    let error = refused!(viewed.export(at(3)).await, ViewError::TargetsKeys { .. });
    assert!(error.is_refusal() && error.hint().contains("view renew"), "{}", error.hint());

    viewed.renew(&viewed.renewal()).await.unwrap();
    refused!(viewed.export(at(3)).await, ViewError::TargetsKeys { .. });
    viewed.sign(ROOT);
    viewed.accept().unwrap();
    viewed.export(at(4)).await.unwrap();
    // The site still pins the first root: the chain travels with the export.
    let imported = viewed.scene.import_with(&site, at(40 * DAY)).await.unwrap();
    assert_eq!(imported.expired_as_of, None);
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
async fn new_keys_of_a_view_reach_sites_with_its_next_root() {
    let viewed = Viewed::accepted().await;
    viewed.export(at(1)).await.unwrap();
    let site = viewed.import_request();
    viewed.scene.import_with(&site, at(2)).await.unwrap();
    let old = std::fs::read_dir(viewed.dir().join("keys")).unwrap().count();
    let drafted = viewed.renew(&ViewRenewal { new_keys: true, ..viewed.renewal() }).await.unwrap();
    viewed.sign(ROOT);
    let accepted = viewed.accept().unwrap();
    assert_eq!(accepted.version, drafted.version);
    assert_eq!((old, std::fs::read_dir(viewed.dir().join("keys")).unwrap().count()), (2, 4));
    viewed.export(at(3)).await.unwrap();
    viewed.scene.import_with(&site, at(4)).await.unwrap();
    let root = Document::<Root>::parse(&TopRole::Root.into(), &viewed.root()).unwrap();
    for (role, key_id) in [TopRole::Snapshot, TopRole::Timestamp].into_iter().zip(drafted.online) {
        assert!(root.body.keys(role).keys.contains_key(&key_id), "{role}");
    }
}

#[actix_web::test]
async fn a_hub_that_recovered_from_a_fast_forward_needs_new_keys_of_its_views_too() {
    let mut viewed = Viewed::accepted().await;
    viewed.scene.publish_again(1_000_000, at(1));
    viewed.export(at(2)).await.unwrap();
    let site = viewed.import_request();
    viewed.scene.import_with(&site, at(3)).await.unwrap();

    // New keys for snapshot and timestamp at the hub lift its floors; versions begin anew.
    viewed.scene.publish_as(&Terms { online: [13, 14], ..Terms::of(at(3)) }, 2, at(3));
    let error = refused!(viewed.export(at(4)).await, ViewError::GoesBack { .. });
    assert_eq!(error.attack(), Some(Attack::Rollback), "{error:?}");
    assert!(error.hint().contains("view renew --new-keys"), "{}", error.hint());
    viewed.renew(&ViewRenewal { new_keys: true, ..viewed.renewal() }).await.unwrap();
    viewed.sign(ROOT);
    viewed.accept().unwrap();
    viewed.export(at(5)).await.unwrap();
    viewed.scene.import_with(&site, at(6)).await.unwrap();
}
