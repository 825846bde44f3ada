//! The commands as an operator types them: what they print, and how they end.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Output};

use offline_mirror::oci::{Algorithm, Digest};
use offline_mirror::store::{Reference, Store};
use serde_json::{Value, json};

use crate::scene::{INDEX, REPO, index, now};
use crate::served::Served;

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_offline-mirror")).args(args).output().unwrap()
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn error_of(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A store with a blob that nothing needs, and a tagged index.
fn store(dir: &Path) -> (Store, Digest) {
    let store = Store::create(dir).unwrap();
    let repository = REPO.parse().unwrap();
    let upload = store.begin_upload(&repository, Algorithm::Sha256, now()).unwrap();
    upload.append(b"some bytes").unwrap();
    let digest = Digest::of(b"some bytes");
    upload.finish(&digest, now()).unwrap();
    let reference = Reference::Tag("v1".parse().unwrap());
    let put = offline_mirror::store::Put {
        reference: &reference,
        media_type: Some(INDEX),
        children: offline_mirror::store::Children::MustBeHeld,
    };
    store.put_manifest(&repository, index(&[]).to_string().as_bytes(), &put, now()).unwrap();
    (store, digest)
}

#[test]
fn ls_gc_and_fsck_say_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let (_, digest) = store(dir.path());
    let path = dir.path().to_str().unwrap();
    let listing = json_of(&run(&["store", "ls", path, "--output", "json"]));
    assert_eq!(listing["repositories"][0]["repository"], REPO);
    assert_eq!(listing["repositories"][0]["tags"][0]["tag"], "v1");
    assert_eq!(listing["totals"]["blobs"], 2);

    let kept = json_of(&run(&["store", "gc", path, "--output", "json"]));
    assert_eq!((&kept["links_dropped"], &kept["bytes_freed"]), (&json!(0), &json!(0)));
    let freed = run(&["store", "gc", path, "--grace-minutes", "0", "--output", "json"]);
    assert_eq!(json_of(&freed)["blobs_removed"], 1);
    assert!(!dir.path().join(digest.layout_path()).exists());

    let sound = run(&["store", "fsck", path]);
    assert!(sound.status.success());
    assert!(String::from_utf8(sound.stdout).unwrap().ends_with("all sound\n"));
}

#[test]
fn fsck_names_what_is_damaged_and_exits_1() {
    let dir = tempfile::tempdir().unwrap();
    let (_, digest) = store(dir.path());
    let (fan, hex) = (digest.hex()[..2].to_owned(), digest.hex());
    let file = dir.path().join("blobs/sha256").join(fan).join(hex);
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, b"some bytez").unwrap();
    let found = run(&["store", "fsck", dir.path().to_str().unwrap(), "--output", "json"]);
    assert_eq!(found.status.code(), Some(1));
    let damage = &json_of(&found)["damages"][0];
    assert_eq!(damage["digest"], digest.to_string());
    assert_eq!((&damage["file"], &damage["offset"]), (&json!(file), &json!(0)));
    assert!(error_of(&found).contains("--forget-damaged"));
    let forgotten = run(&["store", "fsck", dir.path().to_str().unwrap(), "--forget-damaged"]);
    assert_eq!(forgotten.status.code(), Some(1), "it is still to be brought again");
    let told = String::from_utf8(forgotten.stdout.clone()).unwrap();
    assert!(told.contains("1 of them count as absent from now on"), "{told}");
    assert!(error_of(&forgotten).contains("hint: bring them again"));
}

#[test]
fn a_collection_waits_for_its_turn() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = store(dir.path());
    let turn = store.exclusive().unwrap();
    let refused = run(&["store", "gc", dir.path().to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(error_of(&refused).contains("hint: wait for the other command"));
    drop(turn);
}

#[test]
fn where_there_is_no_store_the_way_on_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    for args in [["store", "ls", path].as_slice(), &["store", "fsck", path], &["serve", path]] {
        let refused = run(args);
        assert_eq!(refused.status.code(), Some(2), "{args:?}");
        assert!(error_of(&refused).contains("hint: import a bundle into it first"), "{args:?}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn serve_opens_no_more_than_was_written_down() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    for (switches, text) in [
        (["--listen", "0.0.0.0:0"].as_slice(), "--plain-http"),
        (&["--listen", "0.0.0.0:0", "--plain-http"], "--token-file"),
        (
            &["--listen", "[::]:0", "--plain-http", "--anonymous-pull", "--allow-push"],
            "need --token-file",
        ),
        (&["--token-file", "/nowhere"], "/nowhere"),
    ] {
        let refused = run(&[&["serve", path], switches].concat());
        assert_eq!(refused.status.code(), Some(2), "{switches:?}");
        assert!(error_of(&refused).contains(text), "{}", error_of(&refused));
    }
}

#[test]
fn serve_logs_json_and_ends_well_when_told() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path());
    let log = dir.path().join("log");
    let mut served = Served::logging(dir.path(), &log);
    let mut connection = std::net::TcpStream::connect(&served.host).unwrap();
    connection.write_all(b"GET /v2/ HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" 200 OK"), "{answer}");
    let pid = served.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(served.child.wait().unwrap().code(), Some(0));
    let text = std::fs::read_to_string(log).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let answer = lines.iter().find(|line| line["message"] == "answered").unwrap();
    assert_eq!((&answer["path"], &answer["status"]), (&json!("/v2/"), &json!(200)));
}
