//! `kill -9` at any point of an import, and the same import again, end in the same state.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use offline_mirror::oci::Digest;
use offline_mirror::store::{Reference, Store};

use crate::scene::{REPOSITORY, Scene};

/// Kills spread over the length of one import.
const KILLS: u32 = 12;
/// Blobs beside the release's, so that there is something to be in the middle of.
const BLOBS: usize = 24;
const BLOB_BYTES: usize = 512 * 1024;

/// A scene of now, since the program reads the clock, and a bundle with many blobs.
fn scene() -> (Scene, PathBuf, PathBuf) {
    #[expect(clippy::disallowed_methods, reason = "the program under test reads the clock")]
    let scene = Scene::as_of(Timestamp::now());
    let mut maker = scene.maker("north-1", 1);
    maker.segment_bytes = 4 * 1024 * 1024;
    let blobs: Vec<Vec<u8>> =
        (0..BLOBS).map(|n| vec![u8::try_from(n).unwrap(); BLOB_BYTES]).collect();
    let layers: Vec<&[u8]> = blobs.iter().map(Vec::as_slice).collect();
    let image = crate::maker::image(&layers, None);
    for blob in &blobs {
        maker.add_blob(blob);
    }
    let role = offline_mirror::bundle::ImageRole::Extra;
    maker.carry("tools/big", &image, &["v1"], role);
    let bundle = scene.made(&maker);
    drop(scene.site());
    let site = scene.site_path();
    (scene, bundle, site)
}

fn command(site: &Path, bundle: &Path, target: &[&str]) -> Command {
    command_with(site, &[bundle], target)
}

fn command_with(site: &Path, bundles: &[&Path], target: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_offline-mirror"));
    command.arg("import").arg(site).args(bundles).args(target);
    command.env_remove("FAIRWAY_SERVER").stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Runs it to its end on a thread of its own: the server it talks to may be in this process.
async fn run_through(mut command: Command) -> Duration {
    let (output, took) = actix_web::web::block(move || {
        let begun = tokio::time::Instant::now();
        (command.output().unwrap(), begun.elapsed())
    })
    .await
    .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    took
}

async fn kill_at(mut command: Command, after: Duration) {
    actix_web::web::block(move || {
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(after);
        child.kill().unwrap();
        child.wait().unwrap();
    })
    .await
    .unwrap();
}

/// Everything that a store holds, by digest, with the bytes of what is small.
fn contents(dir: &Path) -> BTreeMap<String, (u64, bool, usize)> {
    let store = Store::open(dir).unwrap();
    let held = store.held(None).unwrap();
    for one in &held {
        let reader = store.reader(&one.digest, None).unwrap().unwrap();
        let bytes = reader.read_all(BLOB_BYTES).unwrap();
        assert_eq!(one.digest.same_of(&bytes), one.digest);
    }
    held.iter()
        .map(|one| (one.digest.to_string(), (one.size, one.is_manifest, one.repositories.len())))
        .collect()
}

#[actix_web::test]
async fn an_import_into_a_store_that_is_killed_again_and_again_ends_as_if_it_never_was() {
    let (scene, bundle, site) = scene();
    let whole = scene.folder().join("whole");
    let took = run_through(command(&site, &bundle, &["--store", whole.to_str().unwrap()])).await;
    let expected = contents(&whole);
    assert_eq!(expected.len(), BLOBS + 4 + 3);
    let broken = scene.folder().join("broken");
    let target = ["--store", broken.to_str().unwrap()];
    for kill in 0..KILLS {
        kill_at(command(&site, &bundle, &target), took * kill / KILLS).await;
    }
    run_through(command(&site, &bundle, &target)).await;
    assert_eq!(contents(&broken), expected);
    let store = Store::open(&broken).unwrap();
    let tag = Reference::Tag("v1".parse().unwrap());
    store.manifest(&"tools/big".parse().unwrap(), &tag).unwrap();
    let amd64 = Reference::Digest(Digest::of(&scene.amd64));
    store.manifest(&REPOSITORY.parse().unwrap(), &amd64).unwrap();
    assert_eq!(scene.site().ledger().unwrap().bundles.len(), 1);
}

#[actix_web::test]
async fn an_import_into_a_registry_that_is_killed_again_and_again_ends_as_if_it_never_was() {
    let (scene, bundle, site) = scene();
    let host = scene.server.host.clone();
    let target = ["--registry", host.as_str(), "--plain-http", "--registry-anonymous"];
    let other = crate::registry::Server::start();
    let whole = ["--registry", other.host.as_str(), "--plain-http", "--registry-anonymous"];
    let took = run_through(command(&site, &bundle, &whole)).await;
    for kill in 0..KILLS {
        kill_at(command(&site, &bundle, &target), took * kill / KILLS).await;
    }
    run_through(command(&site, &bundle, &target)).await;
    assert_eq!(scene.server.everything(), other.everything());
    assert!(scene.server.everything().len() > BLOBS);
}

#[actix_web::test]
async fn an_import_of_two_bundles_that_is_killed_again_and_again_can_always_be_run_again() {
    let (mut scene, first, site) = scene();
    // Versions are seconds: published within the first one's, this would be another of its version.
    #[expect(clippy::disallowed_methods, reason = "the program under test reads the clock")]
    let later = Timestamp::now() + jiff::SignedDuration::from_mins(1);
    scene.publish_as(&crate::hub::Terms::of(later), 2, later);
    let second = scene.made(&scene.maker("north-2", 2));
    let both: [&Path; 2] = [&first, &second];
    let other = crate::registry::Server::start();
    let whole = ["--registry", other.host.as_str(), "--plain-http", "--registry-anonymous"];
    let host = scene.server.host.clone();
    let target = ["--registry", host.as_str(), "--plain-http", "--registry-anonymous"];
    // The length is that of a site of its own: this one's is not to know the bundles yet.
    let measured = scene.folder().join("measured");
    copy_dir(&site, &measured);
    let took = run_through(command_with(&measured, &both, &whole)).await;
    for kill in 0..KILLS {
        kill_at(command_with(&site, &both, &target), took * kill / KILLS).await;
    }
    run_through(command_with(&site, &both, &target)).await;
    run_through(command_with(&site, &both, &target)).await;
    assert_eq!(scene.server.everything(), other.everything());
    assert_eq!(scene.site().ledger().unwrap().bundles.len(), 2);
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_dir(&path, &to);
        } else {
            std::fs::copy(&path, &to).unwrap();
        }
    }
}
