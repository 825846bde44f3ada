//! Programs of others against the program itself: `skopeo`, and the public conformance suite.

use std::path::Path;
use std::process::Command;

use crate::served::Served;

fn run(program: &str, args: &[&str]) -> Vec<u8> {
    let done = Command::new(program).args(args).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{program} {args:?}\n{out}\n{err}");
    done.stdout
}

/// An OCI layout with one image, as `skopeo` reads it.
fn layout(dir: &Path) {
    use serde_json::json;
    use signing::Sha256Digest;
    let blobs = dir.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let put = |kind: &str, bytes: &[u8]| {
        let name = hex::encode(Sha256Digest::of(bytes).as_bytes());
        std::fs::write(blobs.join(&name), bytes).unwrap();
        json!({"mediaType": kind, "digest": format!("sha256:{name}"), "size": bytes.len()})
    };
    let mut tar = tar::Builder::new(Vec::new());
    let data = vec![5_u8; 2_000_000];
    let mut header = tar::Header::new_gnu();
    header.set_size(2_000_000);
    header.set_cksum();
    tar.append_data(&mut header, "data", data.as_slice()).unwrap();
    let tar = tar.into_inner().unwrap();
    let diff = hex::encode(Sha256Digest::of(&tar).as_bytes());
    let config = json!({"architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{diff}")]}});
    let config = put("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
    let layer = put("application/vnd.oci.image.layer.v1.tar", &tar);
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest =
        json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]});
    let mut entry = put(kind, manifest.to_string().as_bytes());
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": "v1"});
    let index = json!({"schemaVersion": 2, "manifests": [entry]});
    std::fs::write(dir.join("index.json"), index.to_string()).unwrap();
    std::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

#[test]
#[ignore = "needs skopeo"]
fn skopeo_copies_to_and_from() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    layout(&from);
    let store = dir.path().join("store");
    let served = Served::start(&store, &["--allow-push"]);
    let image = format!("docker://{}/acme/kafka:v1", served.host);
    let source = format!("oci:{}:v1", from.display());
    let copy = ["copy", "--preserve-digests", "--dest-tls-verify=false"];
    run("skopeo", &[&copy[..], &[&source, &image]].concat());
    drop(served);
    // What was pushed is there for a process that only reads.
    let served = Served::start(&store, &[]);
    let image = format!("docker://{}/acme/kafka:v1", served.host);
    let target = format!("oci:{}:v1", to.display());
    let copy = ["copy", "--preserve-digests", "--src-tls-verify=false"];
    run("skopeo", &[&copy[..], &[&image, &target]].concat());
    let raw = |name: &str, extra: &[&str]| {
        run("skopeo", &[&["inspect", "--raw"], extra, &[name]].concat())
    };
    assert_eq!(raw(&source, &[]), raw(&image, &["--tls-verify=false"]));
    assert_eq!(raw(&source, &[]), raw(&target, &[]));
    let blobs = |dir: &Path| {
        let mut names: Vec<_> = std::fs::read_dir(dir.join("blobs/sha256"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    assert_eq!(blobs(&from), blobs(&to));
    let checked = Command::new(env!("CARGO_BIN_EXE_offline-mirror"))
        .args(["store", "fsck"])
        .arg(&store)
        .status()
        .unwrap();
    assert!(checked.success());
}

/// `FAIRWAY_OCI_CONFORMANCE` names the suite's program (opencontainers/distribution-spec,
/// `conformance`). There is no list of expected failures: at its defaults, every test must pass.
#[test]
#[ignore = "needs the OCI conformance suite in FAIRWAY_OCI_CONFORMANCE"]
fn the_public_conformance_suite_passes_at_its_defaults() {
    let suite = std::env::var("FAIRWAY_OCI_CONFORMANCE").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(&dir.path().join("store"), &["--allow-push", "--allow-delete"]);
    let done = Command::new(suite)
        .env("OCI_REGISTRY", &served.host)
        .env("OCI_TLS", "disabled")
        .env("OCI_VERSION", "1.1")
        .env("OCI_RESULTS_DIR", dir.path().join("results"))
        .current_dir(dir.path())
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{report}");
    assert!(report.contains("OCI Conformance Result: Pass"), "{report}");
}
