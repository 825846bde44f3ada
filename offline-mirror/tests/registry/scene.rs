//! What the tests of this folder have in common: a blob, a repository, a client.

use std::sync::Arc;

use offline_mirror::oci::{Algorithm, Descriptor, Digest, Repository};
use offline_mirror::registry::{
    BlobSink as _, Jitter, MemorySink, Pieces, Registry, RegistryAccess, RegistryError, Traffic,
};

use crate::server::{Asked, Reply, Server};

/// User and password of [`with_user`], as a header has them.
pub(crate) const BASIC: &str = "Basic cm9ib3Q6aHVudGVyMg==";

pub(crate) fn repository() -> Repository {
    "acme/kafka".parse().unwrap()
}

/// Bytes in which every place differs from its neighbourhood.
pub(crate) fn bytes(length: usize) -> Vec<u8> {
    (0_u32..).flat_map(u32::to_be_bytes).take(length).collect()
}

pub(crate) fn descriptor(bytes: &[u8]) -> Descriptor {
    Descriptor::new("a/b", Digest::of(bytes), bytes.len().try_into().unwrap())
}

/// A registry in plain HTTP that is entered without credentials, and without chance.
pub(crate) fn access(server: &Server) -> RegistryAccess {
    let mut access = RegistryAccess::new(server.host.parse().unwrap());
    access.plain_http = true;
    access.anonymous = true;
    access.proxy = Some("direct".to_owned());
    access
}

pub(crate) fn open(access: RegistryAccess) -> Registry {
    Registry::with(access, Arc::new(Traffic::unlimited()), Jitter::new(|| 0)).unwrap()
}

pub(crate) fn registry(server: &Server) -> Registry {
    open(access(server))
}

/// The same with the user of [`BASIC`]; the password file lives as long as the directory.
pub(crate) fn with_user(server: &Server, dir: &tempfile::TempDir) -> RegistryAccess {
    let file = dir.path().join("password");
    std::fs::write(&file, "hunter2\n").unwrap();
    let mut access = access(server);
    access.user = Some("robot".to_owned());
    access.password_file = Some(file);
    access.anonymous = false;
    access
}

/// Pulls `bytes` into memory that holds the first `has` of them already.
pub(crate) async fn pull_from(
    registry: &Registry,
    bytes: &[u8],
    has: usize,
) -> Result<Vec<u8>, RegistryError> {
    let mut sink = MemorySink::resume(Algorithm::Sha256, bytes[..has].to_vec());
    registry.pull(&repository(), &descriptor(bytes), &mut sink).await?;
    assert_eq!(sink.offset(), u64::try_from(bytes.len()).unwrap());
    Ok(sink.into_bytes())
}

pub(crate) async fn pull(registry: &Registry, bytes: &[u8]) -> Result<Vec<u8>, RegistryError> {
    pull_from(registry, bytes, 0).await
}

/// A blob in pieces of 64 KiB.
pub(crate) fn source(bytes: &[u8]) -> impl Fn(u64) -> Pieces + Sync + use<> {
    let bytes = bytes::Bytes::copy_from_slice(bytes);
    move |from| {
        let rest = bytes.slice(usize::try_from(from).unwrap()..);
        let pieces: Vec<_> =
            rest.chunks(64 * 1024).map(|piece| Ok(rest.slice_ref(piece))).collect();
        Box::pin(futures_util::stream::iter(pieces))
    }
}

/// What a good registry does with `Range`.
pub(crate) fn serve(asked: &Asked, blob: &[u8]) -> Reply {
    let from = asked.header("range").map(|range| {
        let from = range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap();
        from.parse::<usize>().unwrap()
    });
    match from {
        None => Reply::new(200, blob),
        Some(from) => Reply::new(206, &blob[from..])
            .with("content-range", &format!("bytes {from}-{}/{}", blob.len() - 1, blob.len())),
    }
}
