//! A registry on a free loopback port, and a client that says what it expects.

use std::time::Duration;

use offline_mirror::oci::{Algorithm, Digest, Hasher};
use offline_mirror::serve::{Allowed, Anonymous, Running, ServeSettings, Tokens};
use offline_mirror::store::Store;
use reqwest::header::HeaderMap;
use reqwest::{Client, Method};
use serde_json::{Value, json};

pub(crate) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const REPO: &str = "conformance/repo1";
pub(crate) const OTHER: &str = "conformance/repo2";

/// An answer that was read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Asserts status and code of an error.
    pub(crate) fn refused(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.json()["errors"][0]["code"], code);
    }

    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }
}

/// The registry; ends with the test.
pub(crate) struct Scene {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) running: Option<Running>,
    pub(crate) base: String,
    pub(crate) client: Client,
}

pub(crate) fn settings() -> ServeSettings {
    ServeSettings {
        listen: ([127, 0, 0, 1], 0).into(),
        allowed: Allowed { push: true, delete: true },
        tokens: Tokens::default(),
        anonymous: Anonymous::All,
        tls: None,
        gc_every: None,
        clock: now,
    }
}

#[expect(clippy::disallowed_methods, reason = "the registry under test is a shell")]
pub(crate) fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

pub(crate) fn client() -> reqwest::ClientBuilder {
    signing::source::install_tls_provider();
    Client::builder().timeout(Duration::from_mins(1)).no_proxy()
}

impl Scene {
    pub(crate) fn open() -> Self {
        Self::with(settings())
    }

    pub(crate) fn with(settings: ServeSettings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let is_tls = settings.tls.is_some();
        let store = Store::create(&dir.path().join("store")).unwrap();
        let running = Running::start(store, settings).unwrap();
        let scheme = if is_tls { "https" } else { "http" };
        let base = format!("{scheme}://{}", running.address);
        Self { dir, running: Some(running), base, client: client().build().unwrap() }
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.dir.path().join("store")).unwrap()
    }

    /// Ends the process and starts another one over the same store.
    pub(crate) async fn restart(&mut self) {
        self.running.take().unwrap().stop().await;
        let running = Running::start(self.store(), settings()).unwrap();
        self.base = format!("http://{}", running.address);
        self.running = Some(running);
    }

    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let method: Method = method.parse().unwrap();
        let mut request = self.client.request(method, self.url(path)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, body: response.bytes().await.unwrap().to_vec() }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "").await
    }

    pub(crate) async fn head(&self, path: &str) -> Answer {
        self.ask("HEAD", path, &[], "").await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.ask("DELETE", path, &[], "").await
    }

    /// Begins an upload; its location.
    pub(crate) async fn begin(&self, repository: &str) -> String {
        let path = format!("/v2/{repository}/blobs/uploads/");
        let begun = self.ask("POST", &path, &[], "").await.is(202);
        assert_eq!(begun.header("range"), "0-0");
        begun.header("location").to_owned()
    }

    /// One piece of an upload.
    pub(crate) async fn patch(&self, location: &str, range: &str, body: &[u8]) -> Answer {
        self.ask("PATCH", location, &[("content-range", range)], body.to_vec()).await
    }

    /// The end of an upload.
    pub(crate) async fn put(&self, location: &str, digest: &Digest, body: &[u8]) -> Answer {
        self.ask("PUT", &format!("{location}?digest={digest}"), &[], body.to_vec()).await
    }

    /// Pushes a blob with POST and PUT.
    pub(crate) async fn push(&self, repository: &str, digest: &Digest, body: &[u8]) {
        let location = self.begin(repository).await;
        self.put(&location, digest, body).await.is(201);
    }

    /// What the suite asks after every push of a blob: that it is there, and that deleting works.
    pub(crate) async fn holds(&self, repository: &str, digest: &Digest, body: &[u8]) {
        let path = format!("/v2/{repository}/blobs/{digest}");
        let head = self.head(&path).await.is(200);
        assert_eq!(head.header("content-length"), body.len().to_string());
        assert_eq!(head.header("docker-content-digest"), digest.to_string());
        assert_eq!(self.get(&path).await.is(200).body, body);
        self.delete(&path).await.is(202);
        self.get(&path).await.refused(404, "BLOB_UNKNOWN");
    }

    pub(crate) async fn put_manifest(&self, reference: &str, kind: &str, body: &[u8]) -> Answer {
        let path = format!("/v2/{REPO}/manifests/{reference}");
        self.ask("PUT", &path, &[("content-type", kind)], body.to_vec()).await
    }

    /// Pushes a manifest by digest and by tag, reads it both ways, and finds the tag in the list.
    pub(crate) async fn keeps(&self, tag: &str, kind: &str, body: &[u8]) -> Answer {
        let digest = Digest::of(body).to_string();
        let put = self.put_manifest(&digest, kind, body).await.is(201);
        assert_eq!(put.header("location"), format!("/v2/{REPO}/manifests/{digest}"));
        assert_eq!(put.header("docker-content-digest"), digest);
        let tagged = self.put_manifest(tag, kind, body).await.is(201);
        assert_eq!(tagged.header("docker-content-digest"), digest);
        for reference in [tag, &digest] {
            let path = format!("/v2/{REPO}/manifests/{reference}");
            let head = self.head(&path).await.is(200);
            let got = self.ask("GET", &path, &[("accept", kind)], "").await.is(200);
            assert_eq!(got.body, body);
            for answer in [&head, &got] {
                assert_eq!(answer.header("content-type"), kind);
                assert_eq!(answer.header("content-length"), body.len().to_string());
                assert_eq!(answer.header("docker-content-digest"), digest);
            }
        }
        let tags = self.get(&format!("/v2/{REPO}/tags/list")).await.is(200).json();
        assert!(tags["tags"].as_array().unwrap().contains(&json!(tag)), "{tags}");
        put
    }

    /// Deletes tag and manifest, and asks whether they are gone at once.
    pub(crate) async fn forgets(&self, tag: &str, body: &[u8]) {
        for reference in [tag.to_owned(), Digest::of(body).to_string()] {
            let path = format!("/v2/{REPO}/manifests/{reference}");
            self.delete(&path).await.is(202);
            self.get(&path).await.refused(404, "MANIFEST_UNKNOWN");
        }
    }

    /// An image whose blobs are pushed.
    pub(crate) async fn image(&self, word: &str) -> Vec<u8> {
        let (config, layer) = (format!("{{\"c\":\"{word}\"}}"), format!("layer {word}"));
        for bytes in [config.as_bytes(), layer.as_bytes()] {
            self.push(REPO, &Digest::of(bytes), bytes).await;
        }
        image(config.as_bytes(), &[layer.as_bytes()]).to_string().into_bytes()
    }
}

pub(crate) fn digest_by(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish()
}

/// Bytes that differ from test to test.
pub(crate) fn bytes(word: &str, length: usize) -> Vec<u8> {
    word.bytes().chain(0..=250).cycle().take(length).collect()
}

pub(crate) fn link(kind: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": kind, "digest": Digest::of(bytes), "size": bytes.len()})
}

pub(crate) fn image(config: &[u8], layers: &[&[u8]]) -> Value {
    let layers: Vec<_> =
        layers.iter().map(|l| link("application/vnd.oci.image.layer.v1.tar+gzip", l)).collect();
    json!({"schemaVersion": 2, "mediaType": IMAGE, "layers": layers,
        "config": link("application/vnd.oci.image.config.v1+json", config)})
}

pub(crate) fn index(children: &[(&str, &[u8])]) -> Value {
    let manifests: Vec<_> = children.iter().map(|(kind, bytes)| link(kind, bytes)).collect();
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})
}
