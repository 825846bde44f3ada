//! The same engine at a registry that others wrote.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use offline_mirror::oci::{Descriptor, Digest, MANIFEST_TYPES, Repository};
use offline_mirror::registry::{Pushed, Reference, Registry, RegistryAccess, RegistryError};
use serde_json::json;

use crate::scene::{bytes, descriptor, open, pull, pull_from, repository, source};

/// `tests/peers/registry.sh`, which prints its address and ends with its standard input.
struct Peer {
    child: Child,
    host: String,
    _storage: tempfile::TempDir,
}

impl Peer {
    fn start() -> Self {
        let storage = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/peers/registry.sh");
        let mut child = Command::new("bash")
            .arg(script)
            .arg(storage.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut host = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut host).unwrap();
        assert!(host.starts_with("127.0.0.1:"), "the registry did not start: {host:?}");
        Self { child, host: host.trim().to_owned(), _storage: storage }
    }

    fn registry(&self) -> Registry {
        let mut access = RegistryAccess::new(self.host.parse().unwrap());
        access.plain_http = true;
        access.anonymous = true;
        access.proxy = Some("direct".to_owned());
        open(access)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // End of input tells the script to stop its registry; then nothing is left to kill.
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

#[tokio::test]
#[ignore = "needs docker-registry"]
async fn a_real_registry_takes_and_gives_back_everything() {
    let peer = Peer::start();
    let registry = peer.registry();
    let blob = bytes(3_000_000);
    let (here, there) = (repository(), "other/place".parse::<Repository>().unwrap());
    let push = |to: Repository, from: Option<Repository>| {
        let (registry, blob) = (registry.clone(), blob.clone());
        async move {
            let (descriptor, source) = (descriptor(&blob), source(&blob));
            registry.push_blob(&to, &descriptor, from.as_ref(), &source).await.unwrap()
        }
    };
    assert_eq!(push(here.clone(), None).await, Pushed::Sent);
    assert_eq!(push(here.clone(), None).await, Pushed::Present);
    assert_eq!(push(there.clone(), Some(here.clone())).await, Pushed::Mounted);
    assert_eq!(pull(&registry, &blob).await.unwrap(), blob);
    assert_eq!(pull_from(&registry, &blob, 1_234_567).await.unwrap(), blob);

    let config = b"{}".to_vec();
    registry.push_blob(&here, &descriptor(&config), None, &source(&config)).await.unwrap();
    let image = json!({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPES[0],
        "config": Descriptor::new("application/vnd.oci.image.config.v1+json", Digest::of(b"{}"), 2),
        "layers": [descriptor(&blob)],
    });
    let image = image.to_string().into_bytes();
    let digest = Digest::of(&image);
    let tag = Reference::Tag("v1".parse().unwrap());
    registry.push_manifest(&here, &tag, MANIFEST_TYPES[0], image.clone()).await.unwrap();
    for reference in [tag, digest.into()] {
        let fetched = registry.manifest(&here, &reference).await.unwrap();
        assert_eq!((fetched.bytes.as_slice(), fetched.digest), (image.as_slice(), digest));
    }
    refer(&registry, &here, &image).await;
    let tags = registry.tags(&here).await.unwrap();
    assert_eq!(tags.len(), 2, "v1 and the fallback tag: {tags:?}");
    assert!(registry.delete_manifest(&here, &digest.into()).await.unwrap());
    let gone = registry.manifest(&here, &digest.into()).await.unwrap_err();
    assert!(matches!(gone, RegistryError::NotFound { .. }));
    assert!(!registry.delete_manifest(&here, &digest.into()).await.unwrap());
}

/// Pushes an artifact about `image` and finds it again.
async fn refer(registry: &Registry, repository: &Repository, image: &[u8]) {
    let subject =
        Descriptor::new(MANIFEST_TYPES[0], Digest::of(image), image.len().try_into().unwrap());
    let artifact = json!({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPES[0], "artifactType": "x/sbom",
        "config": Descriptor::new("application/vnd.oci.empty.v1+json", Digest::of(b"{}"), 2),
        "layers": [], "subject": subject,
    });
    let artifact = artifact.to_string().into_bytes();
    let digest = Digest::of(&artifact);
    registry.push_manifest(repository, &digest.into(), MANIFEST_TYPES[0], artifact).await.unwrap();
    let found = registry.referrers(repository, &subject.digest).await.unwrap();
    assert_eq!(found.iter().map(|one| one.digest).collect::<Vec<_>>(), [digest]);
}
