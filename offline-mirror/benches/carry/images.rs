//! Twenty images of three layers, 34 layers of 60 MB in all, pushed into a registry.

use anyhow::Context as _;
use offline_mirror::oci::Digest;
use serde_json::json;

/// Images of the release.
pub(crate) const IMAGES: usize = 20;
/// Layers that images share.
const BASES: usize = 14;
/// Length of a layer. No multiple of anything, like real ones.
const LAYER_BYTES: usize = 59_812_345;
/// Repository of an image.
pub(crate) fn repository(number: usize) -> String {
    format!("acme/part-{number:02}")
}

/// Bytes that do not compress, the same in every run.
fn layer(number: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ u64::try_from(number).unwrap_or(u64::MAX);
    let mut bytes = Vec::with_capacity(LAYER_BYTES + 8);
    while bytes.len() < LAYER_BYTES {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(LAYER_BYTES);
    bytes
}

/// Pushes all images; their digests, and how many bytes of blobs there are, each once.
pub(crate) async fn push(host: &str) -> anyhow::Result<(Vec<Digest>, u64)> {
    let http = reqwest::Client::builder().build()?;
    let (mut layers, mut bytes) = (Vec::new(), 0);
    for number in 0..BASES + IMAGES {
        let layer = layer(number);
        let digest = Digest::of(&layer);
        bytes += u64::try_from(layer.len())?;
        let mut users = (0..IMAGES).filter(|image| layers_of(*image).contains(&number));
        let first = repository(users.next().context("a layer that no image has")?);
        blob(&http, host, &first, digest, layer.into()).await?;
        for other in users {
            let other = repository(other);
            let mount = format!("{other}/blobs/uploads/?mount={digest}&from={first}");
            http.post(format!("http://{host}/v2/{mount}")).send().await?.error_for_status()?;
        }
        layers.push(digest);
    }
    let mut digests = Vec::new();
    for image in 0..IMAGES {
        let config = json!({"architecture": "amd64", "os": "linux", "number": image}).to_string();
        let of_config = Digest::of(config.as_bytes());
        let size = config.len();
        bytes += u64::try_from(size)?;
        blob(&http, host, &repository(image), of_config, config.into()).await?;
        let listed: Vec<_> = layers_of(image)
            .iter()
            .filter_map(|number| layers.get(*number))
            .map(|digest| {
                json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest,
                       "size": LAYER_BYTES})
            })
            .collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
                       "digest": of_config, "size": size},
            "layers": listed,
        })
        .to_string();
        let digest = Digest::of(manifest.as_bytes());
        let url = format!("http://{host}/v2/{}/manifests/{digest}", repository(image));
        let put =
            http.put(url).header("content-type", "application/vnd.oci.image.manifest.v1+json");
        put.body(manifest).send().await?.error_for_status()?;
        digests.push(digest);
    }
    Ok((digests, bytes))
}

/// The layers of an image: two that others have as well, and one of its own.
fn layers_of(image: usize) -> [usize; 3] {
    [image % BASES, (image + 5) % BASES, BASES + image]
}

async fn blob(
    http: &reqwest::Client,
    host: &str,
    repository: &str,
    digest: Digest,
    bytes: bytes::Bytes,
) -> anyhow::Result<()> {
    let begin = http.post(format!("http://{host}/v2/{repository}/blobs/uploads/")).send().await?;
    let begin = begin.error_for_status()?;
    let at = begin.headers().get("location").context("an upload without Location")?.to_str()?;
    let at = if at.starts_with('/') { format!("http://{host}{at}") } else { at.to_owned() };
    let joint = if at.contains('?') { '&' } else { '?' };
    let put = http.put(format!("{at}{joint}digest={digest}")).body(bytes);
    put.send().await?.error_for_status()?;
    Ok(())
}
