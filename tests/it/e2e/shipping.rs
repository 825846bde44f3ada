//! What is handed out to be installed: units of systemd, container images, the folder of a release.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent").to_owned()
}

/// Runs a command to its end, which must be success; returns standard output.
fn ok(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&stderr));
    said
}

/// A small program under the name of ours: what it is does not matter to what packs it.
fn stand_in(dir: &Path) -> PathBuf {
    let bin = dir.join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::fs::copy("/bin/echo", bin.join("fairway")).unwrap();
    bin
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a utf-8 path")
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
#[ignore = "needs systemd-analyze"]
fn units_are_read_without_a_fault_and_are_locked_up() {
    let dir = tempfile::tempdir().unwrap();
    let from = root().join("deploy/systemd");
    // The programs are not installed here; everything else is as it is.
    let install = |name: &str, to: PathBuf| {
        let unit = std::fs::read_to_string(from.join(name)).unwrap();
        let words: Vec<String> = unit
            .split(' ')
            .map(|word| match word.split_once("=/usr/local/bin/") {
                Some((key, _)) => format!("{key}=/bin/true"),
                None => word.to_owned(),
            })
            .collect();
        std::fs::write(to, words.join(" ")).unwrap();
    };
    let sandbox = dir.path().join("cluster-agent.service.d");
    std::fs::create_dir(&sandbox).unwrap();
    install("cluster-agent-sandbox.conf", sandbox.join("sandbox.conf"));
    for unit in ["update-server.service", "offline-mirror.service", "cluster-agent.service"] {
        let place = dir.path().join(unit);
        install(unit, place.clone());
        let said = Command::new("systemd-analyze")
            .args(["verify", "--man=no", text(&place)])
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.status.success() && words.is_empty(), "{unit}: {words}");
        // Tenths of its measure: below 2 of 10, which it calls OK.
        let words = ["security", "--offline=true", "--no-pager", "--threshold=20", text(&place)];
        ok(Command::new("systemd-analyze").args(words));
    }
}

fn build_image(out: &Path, bin: &Path) -> String {
    let script = root().join("deploy/images/build.sh");
    let words = ["--out", text(out), "--binaries", text(bin), "--version", "1.2.3"];
    ok(Command::new(script).args(words))
}

#[test]
#[ignore = "needs skopeo"]
fn an_image_is_whole_is_nobodys_and_is_the_same_every_time() {
    let dir = tempfile::tempdir().unwrap();
    let bin = stand_in(dir.path());
    let out = dir.path().join("images");
    let made = build_image(&out, &bin);
    let (name, digest) = made.trim().split_once('\t').expect("a name and a digest");
    assert_eq!(name, format!("{}/fairway:1.2.3", out.display()));
    std::fs::write(bin.join("notes"), "of no program").unwrap();
    assert_eq!(build_image(&out, &bin), made, "the same input is the same image");

    // skopeo reads every blob by its digest, and knows the image by its manifest's.
    let copied = dir.path().join("copied");
    let from = format!("oci:{name}");
    ok(Command::new("skopeo")
        .args(["copy", "--insecure-policy", &from])
        .arg(format!("dir:{}", copied.display())));
    let inspected = ok(Command::new("skopeo").args(["inspect", &from]));
    let inspected: Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(inspected["Digest"], digest);
    let config = ok(Command::new("skopeo").args(["inspect", "--config", &from]));
    let config: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Entrypoint"][0], "/usr/local/bin/fairway");

    let unpacked = dir.path().join("root");
    std::fs::create_dir(&unpacked).unwrap();
    let blobs = out.join("fairway/blobs/sha256");
    let manifest = json(&blobs.join(digest.trim_start_matches("sha256:")));
    for layer in manifest["layers"].as_array().unwrap() {
        let blob = blobs.join(layer["digest"].as_str().unwrap().trim_start_matches("sha256:"));
        ok(Command::new("tar").args(["-xzf", text(&blob), "-C", text(&unpacked)]));
    }
    assert!(!unpacked.join("bin/sh").exists(), "there is no shell in it");
    let certificates = std::fs::read_to_string(unpacked.join("etc/ssl/certs/ca-certificates.crt"));
    assert!(certificates.unwrap().contains("BEGIN CERTIFICATE"));
    let mut inside = Command::new("unshare");
    inside.args(["--user", "--map-root-user", "chroot", text(&unpacked)]);
    let said = ok(inside.args(["/usr/local/bin/fairway", "it runs"]));
    assert_eq!(said, "it runs\n");
}

#[test]
#[ignore = "needs jq and openssl"]
fn a_release_lists_what_is_in_it_and_is_signed_if_somebody_gives_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let binary = stand_in(dir.path()).join("fairway");
    let key = dir.path().join("key.pem");
    let words = ["genpkey", "-algorithm", "ed25519", "-out", text(&key)];
    ok(Command::new("openssl").args(words));
    let out = dir.path().join("release");
    let script = root().join("deploy/release.sh");
    let words = ["--out", text(&out), "--binary", text(&binary), "--sign", text(&key)];
    let said = ok(Command::new(&script).args(words).env("SOURCE_DATE_EPOCH", "1700000000"));
    assert!(said.contains("components in"), "{said}");
    ok(Command::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(&out));
    let words = "pkeyutl -verify -rawin -in SHA256SUMS -sigfile SHA256SUMS.sig -inkey";
    ok(Command::new("openssl").args(words.split(' ')).arg(&key).current_dir(&out));

    let mut entries = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path());
    let list = entries.find(|path| text(path).ends_with(".cdx.json")).expect("a list");
    let list = json(&list);
    assert_eq!((&list["bomFormat"], &list["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
    let components = list["components"].as_array().unwrap();
    let named = |name: &str| components.iter().find(|component| component["name"] == name);
    let tokio = named("tokio").expect("tokio is in the programs");
    assert_eq!(tokio["hashes"][0]["content"].as_str().map(str::len), Some(64));
    assert!(tokio["licenses"][0]["expression"].is_string());
    assert!(named("signing").is_some() && named("insta").is_none(), "tests are not in it");
    for dependency in list["dependencies"].as_array().unwrap() {
        for reference in dependency["dependsOn"].as_array().unwrap() {
            let known = components.iter().any(|component| component["bom-ref"] == *reference);
            assert!(known, "{reference} is no component");
        }
    }
    let again = Command::new(&script).args(["--out", text(&out)]).output().unwrap();
    assert_eq!(again.status.code(), Some(2), "what is there is not overwritten");
}
