//! Pushes images the way any client does: blobs, then the manifest over them.

use serde_json::json;
use signing::Sha256Digest;

use super::client::{Answer, request};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Pushes an image with an empty config; its digest.
pub(super) fn push(host: &str, repository: &str, layers: &[&[u8]]) -> Sha256Digest {
    push_as(host, repository, None, layers)
}

/// The same under a tag.
pub(super) fn push_as(
    host: &str,
    repository: &str,
    tag: Option<&str>,
    layers: &[&[u8]],
) -> Sha256Digest {
    for bytes in layers.iter().chain([&&b"{}"[..]]) {
        blob(host, repository, bytes);
    }
    let link = |media_type: &str, bytes: &[u8]| {
        let digest = Sha256Digest::of(bytes);
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    };
    let layer = |bytes: &&[u8]| link("application/vnd.oci.image.layer.v1.tar", bytes);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": link("application/vnd.oci.image.config.v1+json", b"{}"),
        "layers": layers.iter().map(layer).collect::<Vec<_>>(),
    })
    .to_string();
    let digest = Sha256Digest::of(manifest.as_bytes());
    let reference = tag.map_or_else(|| digest.to_string(), ToOwned::to_owned);
    let path = format!("/v2/{repository}/manifests/{reference}");
    put(host, &path, MANIFEST, manifest.as_bytes());
    digest
}

fn blob(host: &str, repository: &str, bytes: &[u8]) {
    let begin = format!("/v2/{repository}/blobs/uploads/");
    let begun = request(host.parse().unwrap(), "POST", &begin, &[("content-length", "0")], &[]);
    let begun = begun.unwrap();
    assert_eq!(begun.status, 202, "{}", begun.text());
    let at = begun.header("location").unwrap();
    let at = at.strip_prefix(&format!("http://{host}")).unwrap_or(at);
    let joint = if at.contains('?') { '&' } else { '?' };
    let path = format!("{at}{joint}digest={}", Sha256Digest::of(bytes));
    put(host, &path, "application/octet-stream", bytes);
}

fn put(host: &str, path: &str, media_type: &str, bytes: &[u8]) -> Answer {
    let headers = [("content-type", media_type)];
    let answer = request(host.parse().unwrap(), "PUT", path, &headers, bytes).unwrap();
    assert_eq!(answer.status, 201, "{path}: {}", answer.text());
    answer
}
