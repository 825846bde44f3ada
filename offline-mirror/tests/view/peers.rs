//! A bundle from a real registry, with a real client as judge.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::json;
use signing::Sha256Digest;

use crate::hub::{Named, release_document};
use crate::scene::{REPOSITORY, Scene, at, publish};
use crate::views::Viewed;

/// A process that is stopped when the test ends.
struct Peer {
    child: Child,
    host: String,
}

impl Peer {
    /// `tests/peers/registry.sh`, which prints its address and ends with its standard input.
    fn start(storage: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/peers/registry.sh");
        let mut child = Command::new("bash")
            .arg(script)
            .arg(storage)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut host = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut host).unwrap();
        assert!(host.starts_with("127.0.0.1:"), "the registry did not start: {host:?}");
        Self { child, host: host.trim().to_owned() }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // End of input tells the script to stop its registry; then nothing is left to kill.
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

/// The manifest of an image with an empty config.
fn image_manifest(layers: &[&[u8]]) -> Vec<u8> {
    let link = |media_type: &str, bytes: &[u8]| {
        let digest = Sha256Digest::of(bytes);
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    };
    let layers: Vec<_> =
        layers.iter().map(|l| link("application/vnd.oci.image.layer.v1.tar", l)).collect();
    let config = link("application/vnd.oci.image.config.v1+json", b"{}");
    json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config, "layers": layers,
    })
    .to_string()
    .into_bytes()
}

fn skopeo(args: &[&str]) -> Vec<u8> {
    let output = Command::new("skopeo").args(args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "skopeo {args:?}: {stderr}");
    output.stdout
}

/// Writes an OCI layout by hand: an index over one image per architecture.
fn write_layout(dir: &Path) -> Sha256Digest {
    let blobs = dir.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8]| {
        let digest = Sha256Digest::of(bytes);
        std::fs::write(blobs.join(digest.hex()), bytes).unwrap();
        digest
    };
    // Larger than one piece of a push, so that streaming is exercised.
    let shared: Vec<u8> = (0..750_000_u32).flat_map(u32::to_le_bytes).collect();
    put(b"{}");
    let mut manifests = Vec::new();
    for arch in ["amd64", "arm64"] {
        let own = format!("a layer for {arch}").into_bytes();
        let manifest = image_manifest(&[&shared, &own]);
        put(&shared);
        put(&own);
        manifests.push(json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": put(&manifest), "size": manifest.len(),
            "platform": {"architecture": arch, "os": "linux"},
        }));
    }
    let index = |manifests| {
        json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": manifests,
        })
        .to_string()
        .into_bytes()
    };
    let image = index(json!(manifests));
    let digest = put(&image);
    let top = index(json!([{
        "mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest,
        "size": image.len(), "annotations": {"org.opencontainers.image.ref.name": "v1"},
    }]));
    std::fs::write(dir.join("index.json"), top).unwrap();
    std::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    digest
}

#[actix_web::test]
#[ignore = "needs docker-registry and skopeo"]
async fn a_bundle_of_a_real_registrys_image_is_a_layout_that_others_read() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| -> PathBuf { folder.path().join(name) };
    let (hub, site) = (Peer::start(&place("hub")), Peer::start(&place("site")));
    let digest = write_layout(&place("layout"));
    let from = format!("oci:{}:v1", place("layout").display());
    let to = format!("docker://{}/{REPOSITORY}:v1", hub.host);
    skopeo(&["copy", "--all", "--preserve-digests", "--dest-tls-verify=false", &from, &to]);

    let mut scene = Scene::new();
    let image = Named { arch: "amd64", repository: REPOSITORY, digest };
    scene.hub = publish(release_document("app", "1.2.0", &[image]), 1, at(0));
    let viewed = Viewed::of(scene).await;
    let exported = viewed.export_from(&hub.host, at(1)).await.unwrap();
    viewed.site().believe(&exported, at(2)).await.unwrap();

    // Unpacked by anybody's tar, the one segment is an OCI layout.
    let unpacked = place("unpacked");
    std::fs::create_dir(&unpacked).unwrap();
    let tar = exported.dir().join("b-0001.tar");
    let status = Command::new("tar").arg("-xf").arg(&tar).arg("-C").arg(&unpacked).status();
    assert!(status.unwrap().success());
    let from = format!("oci:{}:{REPOSITORY}@{digest}", unpacked.display());
    let to = format!("docker://{}/{REPOSITORY}:v1", site.host);
    skopeo(&["copy", "--all", "--preserve-digests", "--dest-tls-verify=false", &from, &to]);
    let at_site = format!("docker://{}/{REPOSITORY}@{digest}", site.host);
    let raw = skopeo(&["inspect", "--raw", "--tls-verify=false", &at_site]);
    assert_eq!(Sha256Digest::of(&raw), digest);
}
