//! A registry to read from: manifests, tags, referrers, blobs with ranges, and faults on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use actix_web::http::{Method, StatusCode, header};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use offline_mirror::oci::Digest;
use serde_json::{Value, json};

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_TYPE: &str = "application/vnd.docker.distribution.manifest.v2+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// Bytes of a piece of a slow answer.
const PIECE: usize = 16 * 1024;

/// A manifest that was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) repository: String,
    pub(crate) digest: Digest,
    pub(crate) size: usize,
    media_type: &'static str,
}

#[derive(Debug, Default)]
struct Inner {
    blobs: BTreeMap<(String, String), Vec<u8>>,
    /// By repository and digest or tag.
    manifests: BTreeMap<(String, String), (String, Vec<u8>)>,
    /// By repository and subject; none = the registry has no such API.
    referrers: Option<BTreeMap<(String, String), Vec<Value>>>,
    /// Blobs that are answered with other bytes.
    rotten: BTreeSet<Digest>,
    /// Bytes of all blobs that are still handed out before the registry goes silent.
    allowance: Option<usize>,
    tuf: BTreeMap<String, Vec<u8>>,
    log: Vec<String>,
}

/// The server; stops with the test's runtime.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    inner: Arc<Mutex<Inner>>,
    /// `127.0.0.1:<port>`.
    pub(crate) host: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        let inner = Arc::new(Mutex::new(Inner::default()));
        let data = web::Data::from(inner.clone());
        let server = HttpServer::new(move || {
            App::new().app_data(data.clone()).default_service(web::to(answer))
        })
        .workers(1)
        .disable_signals()
        .bind(("127.0.0.1", 0))
        .unwrap();
        let host = server.addrs()[0].to_string();
        actix_web::rt::spawn(server.run());
        Self { inner, host }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Stores an image with these layers and an empty config.
    pub(crate) fn image(&self, repository: &str, layers: &[&[u8]]) -> Image {
        self.image_of(repository, layers, &json!({}))
    }

    /// The same as Docker has it.
    pub(crate) fn docker_image(&self, repository: &str, layers: &[&[u8]]) -> Image {
        self.image_of(repository, layers, &json!({"mediaType": DOCKER_TYPE}))
    }

    /// Stores an artifact about another manifest, which the registry lists.
    pub(crate) fn referrer(&self, subject: &Image, layer: &[u8]) -> Image {
        let about = json!({"subject": link(subject.media_type, subject.digest, subject.size)});
        let artifact = self.image_of(&subject.repository, &[layer], &about);
        let listed = link(MANIFEST_TYPE, artifact.digest, artifact.size);
        let key = (subject.repository.clone(), subject.digest.to_string());
        let referrers = &mut self.lock().referrers;
        referrers.get_or_insert_default().entry(key).or_default().push(listed);
        artifact
    }

    /// Stores an artifact about another manifest, listed by the fallback tag alone.
    pub(crate) fn referrer_by_tag(&self, subject: &Image, layer: &[u8]) -> Image {
        let about = json!({"subject": link(subject.media_type, subject.digest, subject.size)});
        let artifact = self.image_of(&subject.repository, &[layer], &about);
        let list = self.index(&subject.repository, &[&artifact]);
        let hex = subject.digest.hex();
        self.tag(&list, &format!("sha256-{hex}"));
        artifact
    }

    fn image_of(&self, repository: &str, layers: &[&[u8]], more: &Value) -> Image {
        let config: &[u8] = b"{}";
        for blob in layers.iter().chain([&config]) {
            let key = (repository.to_owned(), Digest::of(blob).to_string());
            self.lock().blobs.insert(key, blob.to_vec());
        }
        let listed: Vec<_> =
            layers.iter().map(|layer| link(LAYER, Digest::of(layer), layer.len())).collect();
        let config = link("application/vnd.oci.image.config.v1+json", Digest::of(config), 2);
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": listed,
        });
        let members = more.as_object().unwrap().clone();
        manifest.as_object_mut().unwrap().extend(members);
        let is_docker = manifest["mediaType"] == DOCKER_TYPE;
        let media_type = if is_docker { DOCKER_TYPE } else { MANIFEST_TYPE };
        self.manifest(repository, media_type, &manifest)
    }

    /// Stores an index over manifests of the same repository.
    pub(crate) fn index(&self, repository: &str, children: &[&Image]) -> Image {
        let manifests: Vec<_> =
            children.iter().map(|c| link(c.media_type, c.digest, c.size)).collect();
        let index = json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests});
        self.manifest(repository, INDEX_TYPE, &index)
    }

    fn manifest(&self, repository: &str, media_type: &'static str, manifest: &Value) -> Image {
        let bytes = manifest.to_string().into_bytes();
        let (digest, size) = (Digest::of(&bytes), bytes.len());
        let image = Image { repository: repository.to_owned(), digest, size, media_type };
        let stored = (media_type.to_owned(), bytes);
        self.lock().manifests.insert((repository.to_owned(), digest.to_string()), stored);
        image
    }

    /// Points a tag at a manifest.
    pub(crate) fn tag(&self, image: &Image, tag: &str) {
        let mut inner = self.lock();
        let key = (image.repository.clone(), image.digest.to_string());
        let stored = inner.manifests[&key].clone();
        inner.manifests.insert((image.repository.clone(), tag.to_owned()), stored);
    }

    /// Loses a blob in every repository.
    pub(crate) fn lose(&self, blob: &[u8]) {
        let digest = Digest::of(blob).to_string();
        self.lock().blobs.retain(|(_, known), _| *known != digest);
    }

    /// Answers other bytes for a blob from here on.
    pub(crate) fn rot(&self, blob: &[u8]) {
        self.lock().rotten.insert(Digest::of(blob));
    }

    /// Answers what was stored for every blob again.
    pub(crate) fn heal(&self) {
        self.lock().rotten.clear();
    }

    /// Hands out so many more bytes of blobs, and breaks off every answer after that.
    pub(crate) fn allow(&self, bytes: Option<usize>) {
        self.lock().allowance = bytes;
    }

    /// Serves a TUF repository below `/tuf/`.
    pub(crate) fn serve_tuf(&self, files: BTreeMap<String, Vec<u8>>) {
        self.lock().tuf = files;
    }

    /// Requests since the last call.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().log)
    }
}

fn link(media_type: &str, digest: Digest, size: usize) -> Value {
    json!({"mediaType": media_type, "digest": digest, "size": size})
}

async fn answer(request: HttpRequest, inner: web::Data<Mutex<Inner>>) -> HttpResponse {
    let shared = inner.clone();
    let mut inner = inner.lock().unwrap();
    let path = request.path().to_owned();
    let range = request.headers().get(header::RANGE).map(|r| r.to_str().unwrap().to_owned());
    let suffix = range.as_deref().map(|range| format!(" {range}")).unwrap_or_default();
    inner.log.push(format!("{} {path}{suffix}", request.method()));
    if let Some(file) = path.strip_prefix("/tuf/") {
        return match inner.tuf.get(file) {
            Some(bytes) => HttpResponse::Ok().body(bytes.clone()),
            None => HttpResponse::NotFound().finish(),
        };
    }
    let rest = path.strip_prefix("/v2/").unwrap_or_default();
    let is_head = request.method() == Method::HEAD;
    if let Some((repository, subject)) = rest.split_once("/referrers/") {
        let Some(all) = &inner.referrers else { return HttpResponse::NotFound().finish() };
        let listed = all.get(&(repository.to_owned(), subject.to_owned()));
        let index = json!({
            "schemaVersion": 2, "mediaType": INDEX_TYPE,
            "manifests": listed.cloned().unwrap_or_default(),
        });
        return HttpResponse::Ok().content_type(INDEX_TYPE).body(index.to_string());
    }
    if let Some((repository, name)) = rest.split_once("/manifests/") {
        let found = inner.manifests.get(&(repository.to_owned(), name.to_owned()));
        let Some((media_type, bytes)) = found else { return HttpResponse::NotFound().finish() };
        let body = if is_head { Vec::new() } else { bytes.clone() };
        return HttpResponse::Ok().content_type(media_type.clone()).body(body);
    }
    let Some((repository, digest)) = rest.split_once("/blobs/") else {
        return HttpResponse::NotFound().finish();
    };
    let found = inner.blobs.get(&(repository.to_owned(), digest.to_owned())).cloned();
    let Some(mut bytes) = found else { return HttpResponse::NotFound().finish() };
    if is_head {
        return HttpResponse::Ok().finish();
    }
    if digest.parse().is_ok_and(|digest| inner.rotten.contains(&digest)) {
        bytes.fill(b'?');
    }
    let total = bytes.len();
    let from: usize = range
        .and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok())
        .unwrap_or_default();
    let status = if from == 0 { StatusCode::OK } else { StatusCode::PARTIAL_CONTENT };
    let mut response = HttpResponse::build(status);
    if from > 0 {
        let range = format!("bytes {from}-{}/{total}", total - 1);
        response.insert_header((header::CONTENT_RANGE, range));
    }
    let pieces: Vec<web::Bytes> =
        bytes[from..].chunks(PIECE).map(web::Bytes::copy_from_slice).collect();
    response.insert_header((header::CONTENT_TYPE, "application/octet-stream"));
    let pieces = futures_util::stream::iter(pieces.into_iter().map(move |piece| {
        let mut inner = shared.lock().unwrap();
        let Some(allowance) = &mut inner.allowance else { return Ok(piece) };
        if *allowance < piece.len() {
            return Err(std::io::Error::other("the cable was pulled"));
        }
        *allowance -= piece.len();
        Ok(piece)
    }));
    response.no_chunking(u64::try_from(total - from).unwrap()).streaming(pieces)
}
