//! Real registries and a real client of them.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use signing::Sha256Digest;

/// Debian's `docker-registry` as `tests/peers/registry.sh` starts it; stopped when dropped.
pub(super) struct Registry {
    child: Child,
    /// `127.0.0.1:<port>`.
    pub(super) host: String,
}

impl Registry {
    /// Starts it over a directory, which it makes or finds as it left it.
    pub(super) fn start(storage: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/registry.sh");
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

impl Drop for Registry {
    fn drop(&mut self) {
        // End of input tells the script to stop its registry; then nothing is left to kill.
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

/// Runs `skopeo`, which must succeed; what it printed.
pub(super) fn skopeo(args: &[&str]) -> Vec<u8> {
    let output = Command::new("skopeo").args(args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "skopeo {args:?}: {stderr}");
    output.stdout
}

/// Pulls an image whole by its digest, all architectures of it, into a directory of its own.
pub(super) fn pull(host: &str, repository: &str, digest: &str, into: &Path) {
    let image = format!("docker://{host}/{repository}@{digest}");
    let raw = skopeo(&["inspect", "--raw", "--tls-verify=false", &image]);
    assert_eq!(Sha256Digest::of(&raw).to_string(), digest, "{image}");
    std::fs::create_dir_all(into).unwrap();
    let into = format!("dir:{}", into.display());
    let words = ["copy", "--quiet", "--all", "--preserve-digests", "--src-tls-verify=false"];
    skopeo(&[&words[..], &[&image, &into]].concat());
}

/// Writes an OCI layout by hand, an index over one image per architecture, and has `skopeo` push it
/// under a tag. Returns the digest of the index.
pub(super) fn push_index(host: &str, repository: &str, tag: &str, dir: &Path) -> String {
    let blobs = dir.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let put = |media_type: &str, bytes: &[u8]| -> Value {
        let digest = Sha256Digest::of(bytes);
        std::fs::write(blobs.join(digest.hex()), bytes).unwrap();
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    };
    let mut children = Vec::new();
    for arch in ["amd64", "arm64"] {
        let config = json!({"architecture": arch, "os": "linux", "rootfs": {"type": "layers",
                            "diff_ids": [Sha256Digest::of(arch.as_bytes())]}});
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": put("application/vnd.oci.image.config.v1+json",
                          config.to_string().as_bytes()),
            "layers": [put("application/vnd.oci.image.layer.v1.tar", arch.as_bytes())],
        });
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let mut child = put(media_type, manifest.to_string().as_bytes());
        child["platform"] = json!({"architecture": arch, "os": "linux"});
        children.push(child);
    }
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": children});
    let top = put(media_type, index.to_string().as_bytes());
    let list = json!({"schemaVersion": 2, "manifests": [top]});
    std::fs::write(dir.join("index.json"), list.to_string()).unwrap();
    std::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let (from, to) =
        (format!("oci:{}", dir.display()), format!("docker://{host}/{repository}:{tag}"));
    skopeo(&["copy", "--quiet", "--all", "--dest-tls-verify=false", &from, &to]);
    // What it pushed is its own rendering of the index.
    let pushed = skopeo(&["inspect", "--raw", "--tls-verify=false", &to]);
    Sha256Digest::of(&pushed).to_string()
}
