//! A server that does what an OCI registry must, serves a TUF repository, and takes publications.
//!
//! It refuses a manifest whose children it does not have, as real registries do, and logs every
//! request, so that tests can assert order and number.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use actix_web::http::{Method, StatusCode, header};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use channels::wire::{Problem, Publication, PublicationReply};
use serde_json::{Value, json};
use signing::Sha256Digest;

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// Larger than anything a test uploads.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What the server does instead of serving a digest.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Other bytes, with status 200.
    Instead(Vec<u8>),
    /// The connection breaks after so many bytes.
    BreakAfter(usize),
}

/// How a registry asks for its user, `ann` with the password `secret`.
#[derive(Debug, Clone)]
pub(crate) enum SignIn {
    /// With every request.
    Basic,
    /// At a token service; every other request has this token.
    Bearer(String),
}

#[derive(Debug, Default)]
struct Inner {
    sign_in: Option<SignIn>,
    /// By `<repository>@<digest>`.
    blobs: BTreeMap<String, Vec<u8>>,
    manifests: BTreeMap<String, (String, Vec<u8>)>,
    faults: BTreeMap<Sha256Digest, Fault>,
    tuf: BTreeMap<String, Vec<u8>>,
    publications: Vec<Publication>,
    refusal: Option<Problem>,
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
            App::new()
                .app_data(data.clone())
                .app_data(web::PayloadConfig::new(BODY_BYTES_MAX))
                .default_service(web::to(answer))
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
    pub(crate) fn put_image(&self, repository: &str, layers: &[&[u8]]) -> Sha256Digest {
        let manifest = image_manifest(layers);
        for blob in layers.iter().chain([&&b"{}"[..]]) {
            let digest = Sha256Digest::of(blob);
            self.lock().blobs.insert(format!("{repository}@{digest}"), blob.to_vec());
        }
        self.put_manifest(repository, MANIFEST_TYPE, manifest)
    }

    /// Stores an index over manifests of the same repository.
    pub(crate) fn put_index(&self, repository: &str, children: &[Sha256Digest]) -> Sha256Digest {
        let manifests: Vec<_> = children
            .iter()
            .map(|digest| {
                let (media_type, bytes) =
                    self.lock().manifests[&format!("{repository}@{digest}")].clone();
                json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
            })
            .collect();
        let index = json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests});
        self.put_manifest(repository, INDEX_TYPE, index.to_string().into_bytes())
    }

    fn put_manifest(&self, repository: &str, media_type: &str, bytes: Vec<u8>) -> Sha256Digest {
        let digest = Sha256Digest::of(&bytes);
        let name = format!("{repository}@{digest}");
        self.lock().manifests.insert(name, (media_type.to_owned(), bytes));
        digest
    }

    /// Answers for `digest` with a fault from here on.
    pub(crate) fn fault(&self, digest: Sha256Digest, fault: Fault) {
        self.lock().faults.insert(digest, fault);
    }

    /// Wants a user from here on.
    pub(crate) fn require(&self, sign_in: SignIn) {
        self.lock().sign_in = Some(sign_in);
    }

    pub(crate) fn mend(&self) {
        self.lock().faults.clear();
    }

    /// Serves a TUF repository below `/tuf/`.
    pub(crate) fn serve_tuf(&self, files: BTreeMap<String, Vec<u8>>) {
        self.lock().tuf = files;
    }

    /// Refuses publications from here on.
    pub(crate) fn refuse_publications(&self, problem: Problem) {
        self.lock().refusal = Some(problem);
    }

    pub(crate) fn publications(&self) -> Vec<Publication> {
        self.lock().publications.clone()
    }

    pub(crate) fn blob(&self, repository: &str, digest: Sha256Digest) -> Option<Vec<u8>> {
        self.lock().blobs.get(&format!("{repository}@{digest}")).cloned()
    }

    pub(crate) fn manifest(&self, repository: &str, digest: Sha256Digest) -> Option<Vec<u8>> {
        self.lock().manifests.get(&format!("{repository}@{digest}")).map(|(_, b)| b.clone())
    }

    /// Requests since the last call, without the probes of sign-in.
    pub(crate) fn asked(&self) -> Vec<String> {
        let mut log = std::mem::take(&mut self.lock().log);
        log.retain(|line| line != "GET /v2/");
        log
    }
}

/// The manifest of an image with an empty config.
pub(crate) fn image_manifest(layers: &[&[u8]]) -> Vec<u8> {
    let link = |media_type: &str, bytes: &[u8]| {
        let digest = Sha256Digest::of(bytes);
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    };
    let layers: Vec<_> =
        layers.iter().map(|l| link("application/vnd.oci.image.layer.v1.tar", l)).collect();
    let config = link("application/vnd.oci.image.config.v1+json", b"{}");
    json!({"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": layers})
        .to_string()
        .into_bytes()
}

async fn answer(
    request: HttpRequest,
    body: web::Bytes,
    inner: web::Data<Mutex<Inner>>,
) -> HttpResponse {
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
    if path == "/api/v1/publications" {
        return take_publication(&mut inner, &body);
    }
    if let Some(refused) = not_signed_in(&request, inner.sign_in.as_ref()) {
        return refused;
    }
    if path == "/v2/" {
        return HttpResponse::Ok().finish();
    }
    let Some((repository, kind, name)) = split(&path) else {
        return HttpResponse::NotFound().finish();
    };
    match (request.method(), kind) {
        (&Method::GET | &Method::HEAD, _) => serve(&inner, repository, kind, name, range),
        (&Method::POST, "uploads") => HttpResponse::Accepted()
            .insert_header((header::LOCATION, format!("/v2/{repository}/blobs/uploads/1")))
            .finish(),
        (&Method::PUT, "uploads") => {
            let digest = request.query_string().replace("%3A", ":");
            let digest = digest.strip_prefix("digest=").unwrap_or_default();
            take_blob(&mut inner, repository, digest, &body)
        }
        (&Method::PUT, "manifests") => {
            let media_type =
                request.headers().get(header::CONTENT_TYPE).unwrap().to_str().unwrap().to_owned();
            take_manifest(&mut inner, repository, name, &media_type, &body)
        }
        _ => HttpResponse::MethodNotAllowed().finish(),
    }
}

/// The answer to a request without the user or the token, or to one for the token.
fn not_signed_in(request: &HttpRequest, sign_in: Option<&SignIn>) -> Option<HttpResponse> {
    let found = request.headers().get(header::AUTHORIZATION);
    let found = found.map(|value| value.to_str().unwrap());
    let is_ann = found == Some(format!("Basic {}", STANDARD.encode("ann:secret")).as_str());
    let refuse = |challenge: String| {
        let name = header::WWW_AUTHENTICATE;
        Some(HttpResponse::Unauthorized().insert_header((name, challenge)).finish())
    };
    match sign_in {
        None => None,
        Some(SignIn::Basic) if is_ann => None,
        Some(SignIn::Basic) => refuse("Basic realm=\"registry\"".to_owned()),
        Some(SignIn::Bearer(token)) if request.path() == "/token" && is_ann => {
            Some(HttpResponse::Ok().json(json!({"token": token})))
        }
        Some(SignIn::Bearer(token)) if found == Some(&format!("Bearer {token}")) => None,
        Some(SignIn::Bearer(_)) => {
            let host = request.connection_info().host().to_owned();
            refuse(format!("Bearer realm=\"http://{host}/token\",service=\"registry\""))
        }
    }
}

/// `/v2/<repository>/(manifests|blobs|blobs/uploads)/<name>`.
fn split(path: &str) -> Option<(&str, &str, &str)> {
    let rest = path.strip_prefix("/v2/")?;
    for (marker, kind) in
        [("/blobs/uploads/", "uploads"), ("/blobs/", "blobs"), ("/manifests/", "manifests")]
    {
        if let Some((repository, name)) = rest.split_once(marker) {
            return Some((repository, kind, name));
        }
    }
    None
}

fn serve(
    inner: &Inner,
    repository: &str,
    kind: &str,
    digest: &str,
    range: Option<String>,
) -> HttpResponse {
    let name = format!("{repository}@{digest}");
    let (media_type, bytes) = match kind {
        "manifests" => inner.manifests.get(&name).cloned().unzip(),
        _ => (Some("application/octet-stream".to_owned()), inner.blobs.get(&name).cloned()),
    };
    let (Some(media_type), Some(mut bytes)) = (media_type, bytes) else {
        return HttpResponse::NotFound().finish();
    };
    match digest.parse().ok().and_then(|digest| inner.faults.get(&digest)) {
        Some(Fault::Instead(other)) => bytes.clone_from(other),
        Some(Fault::BreakAfter(length)) => {
            let start = web::Bytes::copy_from_slice(&bytes[..*length]);
            let broken = std::io::Error::other("the cable was pulled");
            let pieces = futures_util::stream::iter([Ok(start), Err(broken)]);
            return HttpResponse::Ok().streaming(pieces);
        }
        None => {}
    }
    let from: usize = range
        .and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok())
        .unwrap_or_default();
    let status = if from == 0 { StatusCode::OK } else { StatusCode::PARTIAL_CONTENT };
    HttpResponse::build(status)
        .insert_header((header::CONTENT_TYPE, media_type))
        .insert_header(("Docker-Content-Digest", digest))
        .body(bytes[from..].to_vec())
}

fn take_blob(inner: &mut Inner, repository: &str, digest: &str, body: &[u8]) -> HttpResponse {
    if Sha256Digest::of(body).to_string() != digest {
        return HttpResponse::BadRequest().body("DIGEST_INVALID");
    }
    inner.blobs.insert(format!("{repository}@{digest}"), body.to_vec());
    HttpResponse::Created()
        .insert_header((header::LOCATION, format!("/v2/{repository}/blobs/{digest}")))
        .finish()
}

fn take_manifest(
    inner: &mut Inner,
    repository: &str,
    digest: &str,
    media_type: &str,
    body: &[u8],
) -> HttpResponse {
    let manifest: Value = serde_json::from_slice(body).unwrap();
    let links = |member: &str| -> Vec<String> {
        let listed = match (manifest.get(member), manifest[member].as_array()) {
            (_, Some(listed)) => listed.clone(),
            (Some(one), None) => vec![one.clone()],
            (None, None) => vec![],
        };
        listed.iter().map(|l| format!("{repository}@{}", l["digest"].as_str().unwrap())).collect()
    };
    let blobs = [links("config"), links("layers")].concat();
    let complete = blobs.iter().all(|name| inner.blobs.contains_key(name))
        && links("manifests").iter().all(|name| inner.manifests.contains_key(name));
    if !complete || Sha256Digest::of(body).to_string() != digest {
        return HttpResponse::BadRequest().body("MANIFEST_BLOB_UNKNOWN");
    }
    let stored = (media_type.to_owned(), body.to_vec());
    inner.manifests.insert(format!("{repository}@{digest}"), stored);
    HttpResponse::Created()
        .insert_header((header::LOCATION, format!("/v2/{repository}/manifests/{digest}")))
        .finish()
}

fn take_publication(inner: &mut Inner, body: &[u8]) -> HttpResponse {
    if let Some(problem) = &inner.refusal {
        let status = StatusCode::from_u16(problem.status).unwrap();
        return HttpResponse::build(status).json(problem);
    }
    let publication: Publication = serde_json::from_slice(body).unwrap();
    let changed = inner.publications.iter().all(|earlier| earlier.files != publication.files);
    inner.publications.push(publication);
    HttpResponse::Ok().json(PublicationReply {
        changed,
        root_version: 1,
        snapshot_version: 7,
        timestamp_version: 7,
        graphs: vec![],
    })
}
