//! A server that does what an OCI registry must and takes publications.
//!
//! It refuses a manifest whose children it does not have, as real registries do, and logs every
//! request, so that tests can assert order and number.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use actix_web::http::{Method, StatusCode, header};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use channels::wire::{Problem, Publication, PublicationReply};
use serde_json::Value;
use signing::Sha256Digest;

/// Larger than anything a test uploads.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

#[derive(Debug, Default)]
struct Inner {
    /// By `<repository>@<digest>`.
    blobs: BTreeMap<String, Vec<u8>>,
    manifests: BTreeMap<String, (String, Vec<u8>)>,
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

    /// Every blob and manifest by repository and digest or tag.
    pub(crate) fn everything(&self) -> BTreeMap<String, Vec<u8>> {
        let inner = self.lock();
        let manifests = inner.manifests.iter().map(|(name, (_, bytes))| (name, bytes));
        inner.blobs.iter().chain(manifests).map(|(n, b)| (n.clone(), b.clone())).collect()
    }

    /// Loses a blob or manifest of a repository.
    pub(crate) fn lose(&self, repository: &str, digest: Sha256Digest) {
        let name = format!("{repository}@{digest}");
        let mut inner = self.lock();
        assert!(inner.blobs.remove(&name).is_some() || inner.manifests.remove(&name).is_some());
    }

    /// Requests since the last call, without the probes of sign-in.
    pub(crate) fn asked(&self) -> Vec<String> {
        let mut log = std::mem::take(&mut self.lock().log);
        log.retain(|line| line != "GET /v2/");
        log
    }
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
    if path == "/api/v1/publications" {
        return take_publication(&mut inner, &body);
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
    let (Some(media_type), Some(bytes)) = (media_type, bytes) else {
        return HttpResponse::NotFound().finish();
    };
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
    let own = Sha256Digest::of(body).to_string();
    let is_tag = !digest.contains(':');
    if !complete || !is_tag && own != digest {
        return HttpResponse::BadRequest().body("MANIFEST_BLOB_UNKNOWN");
    }
    let stored = (media_type.to_owned(), body.to_vec());
    inner.manifests.insert(format!("{repository}@{own}"), stored.clone());
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
