//! A site's directory from a bundle: what is believed, what is written, what is refused.

use clap::Parser as _;
use offline_mirror::bundle::{
    BundleManifest, CarriedRelease, Planned, PlannedEntry, SegmentSize, Writer, lay_out, seal,
};

use super::tests::{Cli, hub, now};
use super::*;
use crate::authoring::Authoring;
use crate::hub::testing::FakeHub;
use crate::out::capture;
use crate::publisher::testing::{World, acme, content, secret};
use crate::publisher::{Change, Content, Keyring as _, RoleKeys, plan, targets_role};

/// A bundle with acme's app whose vendor role wants 2 of 3 keys, signed at `signed`.
fn bundle(dir: &Path, signed: Timestamp) -> World {
    bundle_with(dir, signed, |_, text| text)
}

/// The same with the metadata files as `change` leaves them.
fn bundle_with(dir: &Path, signed: Timestamp, change: impl Fn(&str, String) -> String) -> World {
    let mut world = World::new();
    let keys = [21, 22, 23].map(|seed| world.keyring.add(secret(seed))).to_vec();
    if let Some(vendor) = world.layout.vendors.get_mut(&acme()) {
        vendor.vendor = RoleKeys { keys, threshold: 2 };
    }
    let staged = world.staged(&content(&["1.0.0"]), signed);
    let files: Vec<(PlannedEntry, Vec<u8>)> = staged
        .write_order()
        .into_iter()
        .map(|(path, bytes)| {
            let bytes = change(&path, String::from_utf8(bytes.to_vec()).unwrap()).into_bytes();
            (PlannedEntry::file(&format!("tuf/{path}"), &bytes), bytes)
        })
        .collect();
    let planned: Vec<PlannedEntry> = files.iter().map(|(entry, _)| entry.clone()).collect();
    let (name, carry) = ("site-1".parse().unwrap(), dir.join("carry"));
    let laid = lay_out(&planned, SegmentSize::default(), &name).unwrap();
    std::fs::create_dir_all(&carry).unwrap();
    let writer = Writer::open(&carry, laid).unwrap();
    for (at, item) in writer.laid().items().to_vec().iter().enumerate() {
        assert!(matches!(item.planned.what, Planned::File { .. }));
        let (_, bytes) =
            files.iter().find(|(entry, _)| entry.path() == item.planned.path()).unwrap();
        writer.put(at, bytes).unwrap();
    }
    let written = writer.finish().unwrap();
    let manifest = BundleManifest {
        format: BundleManifest::FORMAT,
        name,
        sequence: 1,
        created_at: signed,
        created_by: "test".into(),
        good_until: None,
        sites: Vec::new(),
        bases: Vec::new(),
        required: Vec::new(),
        complete: true,
        missing: Vec::new(),
        releases: vec![CarriedRelease {
            product: "acme/app".parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            arches: vec!["amd64".parse().unwrap()],
        }],
        images: Vec::new(),
        segments: written.segments,
        entries: written.entries,
    };
    seal(&carry, &manifest, &[&world.snapshot]).unwrap();
    std::fs::write(dir.join("origin.json"), &world.root).unwrap();
    world
}

fn words(hub: &FakeHub, dir: &Path, more: &[&str]) -> Vec<String> {
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let mut words = vec!["init".to_owned(), path("site"), "--server".into(), hub.url.clone()];
    words.extend(["--from-bundle".to_owned(), path("carry"), "--root".into(), path("origin.json")]);
    words.extend(more.iter().map(|word| word.replace("STATE", &path("seen"))));
    words
}

async fn init_site(dir: &Path, more: &[&str]) -> (Result<()>, String, String) {
    let hub = hub(None).await;
    let args = Cli::try_parse_from(words(&hub, dir, more)).unwrap().args;
    let (mut out, stdout, stderr) = capture::out();
    let result = run(&args, Passphrases::given("pass"), now(), &mut out).await;
    (result, stdout.text(), stderr.text())
}

fn hours_before(hours: i64) -> Timestamp {
    now() - jiff::SignedDuration::from_hours(hours)
}

#[tokio::test]
async fn a_site_delegates_to_exactly_the_vendors_keys_and_signs_nothing_of_theirs() {
    let temp = tempfile::tempdir().unwrap();
    let world = bundle(temp.path(), hours_before(1));
    let (result, stdout, stderr) = init_site(temp.path(), &[]).await;
    result.unwrap();
    assert!(stdout.contains("vendor acme: 2 of 3 must sign"), "{stdout}");
    assert!(stderr.contains("offline-mirror import"), "{stderr}");

    let authoring = Authoring::open(&temp.path().join("site")).unwrap();
    let layout = authoring.layout();
    assert!(layout.vendors.is_empty());
    let found = &layout.imported[&acme()];
    let ids = |keys: &RoleKeys| {
        let mut ids: Vec<_> = keys.keys.iter().map(PublicKey::key_id).collect();
        ids.sort();
        (ids, keys.threshold)
    };
    assert_eq!(ids(&found.keys), ids(&world.layout.vendors[&acme()].vendor));
    assert_eq!((&found.paths[..], found.terminating), (&["acme/*/*".to_owned()][..], true));

    let previous = authoring.metadata().load().unwrap();
    let planned = plan(&Content::default(), layout, &previous, &authoring.terms(), now()).unwrap();
    let roles: Vec<_> = planned.iter().map(|Change { role, .. }| role.clone()).collect();
    assert_eq!(roles, [targets_role()]);
    let mut keyring = authoring.keyring(Passphrases::given("pass"));
    assert_eq!(keyring.open(&targets_role(), &layout.targets).unwrap().len(), 1);
    assert!(keyring.open(&targets_role(), &found.keys).is_err(), "no private key of the vendor");
}

#[tokio::test]
async fn a_bundle_older_than_a_day_needs_leave_which_is_written_down() {
    let temp = tempfile::tempdir().unwrap();
    bundle(temp.path(), hours_before(72));
    let error = init_site(temp.path(), &[]).await.0.unwrap_err();
    assert!(error.to_string().starts_with("freeze: "), "{error}");
    assert_eq!(error.exit().code(), 1);
    assert!(error.hint_text().unwrap().contains("--accept-expired-until"));
    assert!(!temp.path().join("site").exists());

    let until = (now() + jiff::SignedDuration::from_hours(1)).to_string();
    let leave = |reason| ["--state", "STATE", "--accept-expired-until", &until, "--reason", reason];
    let error = init_site(temp.path(), &leave("a ship\nroot = 1")).await.0.unwrap_err();
    assert!(error.to_string().contains("the reason holds a control character"), "{error}");
    let leave = leave("a ship");
    let (result, _, stderr) = init_site(temp.path(), &leave).await;
    result.unwrap();
    assert!(stderr.contains("it was verified as of"), "{stderr}");
    let text = std::fs::read_to_string(temp.path().join("site/hub.toml")).unwrap();
    let told = text.lines().find(|line| line.contains("a ship")).unwrap();
    assert!(told.starts_with("# ") && told.contains("although expired"), "{told}");
    Authoring::open(&temp.path().join("site")).unwrap();
}

#[tokio::test]
async fn a_changed_bundle_makes_no_site() {
    let temp = tempfile::tempdir().unwrap();
    bundle_with(temp.path(), hours_before(1), |path, text| match path {
        "metadata/1.targets.json" => text.replace("\"threshold\":2", "\"threshold\":1"),
        _ => text,
    });
    let error = init_site(temp.path(), &[]).await.0.unwrap_err();
    assert!(error.to_string().starts_with("mix_and_match: "), "{error}");
    assert!(!temp.path().join("site").exists());
}

#[tokio::test]
async fn a_bundle_and_a_vendor_of_ones_own_exclude_each_other() {
    let temp = tempfile::tempdir().unwrap();
    let hub = hub(None).await;
    for more in [["--vendor", "acme"], ["--product", "app"], ["--role", "node"]] {
        let error = Cli::try_parse_from(words(&hub, temp.path(), &more)).unwrap_err();
        assert_eq!(error.kind(), clap::error::ErrorKind::ArgumentConflict, "{error}");
    }
    let mut alone = words(&hub, temp.path(), &[]);
    alone.retain(|word| word != "--from-bundle" && !word.ends_with("carry"));
    alone.extend(["--vendor", "acme", "--product", "app"].map(str::to_owned));
    let error = Cli::try_parse_from(alone).unwrap_err();
    assert_eq!(error.kind(), clap::error::ErrorKind::ArgumentConflict, "{error}");
}
