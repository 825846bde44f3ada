//! Whoever sits between agent and hub: passes everything on, but may answer `/tuf/` itself.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use signing::StagedRepository;

use crate::e2e::server::hub::http;

/// Headers that matter between an agent and its hub.
const PASSED_ON: [&str; 7] = [
    "content-type",
    "content-digest",
    "signature",
    "signature-input",
    "if-none-match",
    "etag",
    "retry-after",
];

/// Files by their path below `/tuf/`.
type Files = BTreeMap<String, Vec<u8>>;

#[derive(Debug)]
struct Middle {
    upstream: String,
    client: reqwest::Client,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Answers `/tuf/` out of these instead of the hub's.
    files: Option<Files>,
    /// Every path below `/tuf/` that was asked for.
    asked: Vec<String>,
}

/// A running proxy; ends with the test's runtime.
#[derive(Debug)]
pub(super) struct Proxy {
    address: SocketAddr,
    middle: Arc<Middle>,
    _handle: ServerHandle,
}

impl Proxy {
    /// Starts in front of `upstream`, honest until told otherwise.
    pub(super) fn start(upstream: &str) -> Self {
        let (upstream, client) = (upstream.to_owned(), http());
        let middle = Arc::new(Middle { upstream, client, seen: Mutex::default() });
        let data = web::Data::from(Arc::clone(&middle));
        let server = HttpServer::new(move || {
            App::new().app_data(data.clone()).default_service(web::to(answer))
        })
        .workers(1)
        .disable_signals()
        .shutdown_timeout(0)
        .bind("127.0.0.1:0")
        .expect("a free port");
        let address = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Self { address, middle, _handle: handle }
    }

    /// Where agents find it.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on answers `/tuf/` out of `repository`.
    pub(super) fn serve(&self, repository: &StagedRepository) {
        let files = repository.files().map(|(name, bytes)| (name.url_path(), bytes.to_vec()));
        self.middle.seen().files = Some(files.collect());
    }

    /// Loses the files whose path ends in `suffix`; at least one does.
    pub(super) fn lose(&self, suffix: &str) {
        let mut seen = self.middle.seen();
        let files = seen.files.as_mut().expect("files of its own");
        let before = files.len();
        files.retain(|path, _| !path.ends_with(suffix));
        assert!(files.len() < before, "nothing ends in {suffix}");
    }

    /// From now on passes everything on.
    pub(super) fn be_honest(&self) {
        self.middle.seen().files = None;
    }

    /// How often a path that ends in `suffix` was asked for.
    pub(super) fn asked(&self, suffix: &str) -> usize {
        self.middle.seen().asked.iter().filter(|path| path.ends_with(suffix)).count()
    }
}

impl Middle {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its own answer, if it has one for this path.
    fn own(&self, path: &str) -> Option<HttpResponse> {
        let path = path.strip_prefix("/tuf/")?;
        let mut seen = self.seen();
        seen.asked.push(path.to_owned());
        let files = seen.files.as_ref()?;
        Some(match files.get(path) {
            Some(bytes) => HttpResponse::Ok().body(bytes.clone()),
            None => HttpResponse::NotFound().finish(),
        })
    }

    async fn pass_on(&self, request: &HttpRequest, body: Bytes) -> Option<HttpResponse> {
        let method = reqwest::Method::from_bytes(request.method().as_str().as_bytes()).ok()?;
        let url = format!("{}{}", self.upstream, request.uri());
        let mut onward = self.client.request(method, url).body(body);
        for name in PASSED_ON {
            if let Some(value) = request.headers().get(name) {
                onward = onward.header(name, value.as_bytes());
            }
        }
        // Requests are signed for the host's path, not for its name; the hub needs none.
        let answer = onward.send().await.ok()?;
        let mut response =
            HttpResponse::build(StatusCode::from_u16(answer.status().as_u16()).ok()?);
        for name in PASSED_ON {
            if let Some(value) = answer.headers().get(name) {
                response.insert_header((name, value.as_bytes()));
            }
        }
        Some(response.body(answer.bytes().await.ok()?))
    }
}

async fn answer(middle: web::Data<Middle>, request: HttpRequest, body: Bytes) -> HttpResponse {
    if let Some(own) = middle.own(request.uri().path()) {
        return own;
    }
    let passed = middle.pass_on(&request, body).await;
    passed.unwrap_or_else(|| HttpResponse::BadGateway().finish())
}
