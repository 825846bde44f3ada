//! Sign-in at a real provider: npm's oidc-provider, which demands PKCE.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use reqwest::Url;
use reqwest::redirect::Policy;

use super::*;

const CALLBACK: &str = "http://localhost:8480/auth/callback";

/// The provider; it ends with its standard input.
struct Peer {
    issuer: String,
    child: Child,
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

impl Peer {
    fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/peers/oidc.sh");
        let mut child = Command::new(script)
            .args(["hub", "s3cret: &=", CALLBACK])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut issuer = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut issuer).unwrap();
        let issuer = issuer.trim().to_owned();
        assert!(issuer.starts_with("http://127.0.0.1:"), "the provider did not start");
        Self { issuer, child }
    }

    async fn hub(&self, dir: &Path) -> Hub {
        let secret = dir.join("secret");
        std::fs::write(&secret, "s3cret: &=\n").unwrap();
        let hub = Hub::with(&format!(
            "public_url = 'http://localhost:8480'\n[oidc]\nissuer = '{}'\nclient_id = 'hub'\n\
             client_secret_file = {secret:?}\nscopes = ['groups']\n\
             [[oidc.roles]]\nclaim = 'groups'\nvalue = 'fleet'\naccess = 'operator'\n",
            self.issuer
        ))
        .await;
        // The provider's tokens are of this very minute.
        hub.clock_s.store(crate::clock::now().as_second(), Ordering::Relaxed);
        hub
    }
}

/// Cookies by name, as a browser keeps them for one host.
type Jar = BTreeMap<String, String>;

fn keep<'a>(jar: &mut Jar, set: impl Iterator<Item = &'a str>) {
    for cookie in set {
        let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
        jar.insert(name.to_owned(), value.to_owned());
    }
}

fn header(jar: &Jar) -> String {
    jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
}

/// `/auth/login`: where the browser is sent, and the cookie it was given.
async fn begin(hub: &Hub) -> (Url, Jar) {
    let answer = hub.ask_with(None, "GET", "/auth/login", None).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let mut jar = Jar::new();
    keep(&mut jar, answer.headers.get_all("set-cookie").map(|value| value.to_str().unwrap()));
    (answer.header("location").unwrap().parse().unwrap(), jar)
}

/// Follows the provider's redirects until it sends the browser back; the query it sends it with.
async fn at_provider(start: &Url) -> String {
    signing::source::install_tls_provider();
    let client = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
    let (mut url, mut jar) = (start.clone(), Jar::new());
    for _ in 0..10 {
        let answer = client.get(url.clone()).header("cookie", header(&jar)).send().await.unwrap();
        keep(
            &mut jar,
            answer.headers().get_all("set-cookie").iter().map(|value| value.to_str().unwrap()),
        );
        let status = answer.status();
        let location = answer.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
        let Some(location) = location else {
            panic!("{status} at {url}: {}", answer.text().await.unwrap());
        };
        url = url.join(&location).unwrap();
        if url.as_str().starts_with(CALLBACK) {
            return url.query().unwrap().to_owned();
        }
    }
    panic!("the provider sends the browser in a circle: {url}");
}

async fn back(hub: &Hub, jar: &Jar, query: &str) -> Answer {
    let request = TestRequest::get()
        .uri(&format!("/auth/callback?{query}"))
        .insert_header(("cookie", header(jar)));
    hub.call(request).await
}

/// The address with one parameter exchanged.
fn exchanged(url: &Url, name: &str, value: &str) -> Url {
    let mut other = url.clone();
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    other.query_pairs_mut().clear().extend_pairs(
        pairs.iter().map(|(key, old)| (key, if key == name { value } else { old.as_str() })),
    );
    other
}

#[actix_web::test]
#[ignore = "needs node and npm's oidc-provider"]
async fn oidc_provider_signs_a_person_in() {
    let (peer, dir) = (Peer::start(), tempfile::tempdir().unwrap());
    let hub = peer.hub(dir.path()).await;
    let (url, jar) = begin(&hub).await;
    let query = at_provider(&url).await;
    let answer = back(&hub, &jar, &query).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let mut signed_in = Jar::new();
    let set = answer.headers.get_all("set-cookie").map(|value| value.to_str().unwrap());
    keep(&mut signed_in, set);
    let cookie = ("cookie", header(&signed_in));
    let me = hub.call(TestRequest::get().uri("/auth/session").insert_header(cookie)).await;
    let me: Value = me.json();
    assert_eq!((&me["name"], &me["access"]), (&json!("sso:mira"), &json!("operator")));
    // A code works once.
    let again = back(&hub, &jar, &query).await;
    assert_eq!(again.problem(), (401, "sign_in_refused".into()));
}

#[actix_web::test]
#[ignore = "needs node and npm's oidc-provider"]
async fn oidc_provider_and_the_hub_refuse_another_state_nonce_and_verifier_by_name() {
    let (peer, dir) = (Peer::start(), tempfile::tempdir().unwrap());
    let hub = peer.hub(dir.path()).await;
    let (url, jar) = begin(&hub).await;
    let query = at_provider(&exchanged(&url, "state", "another")).await;
    assert_eq!(back(&hub, &jar, &query).await.problem(), (400, "sign_in_state".into()));
    let (_, other) = begin(&hub).await;
    let query = at_provider(&url).await;
    let refused = back(&hub, &other, &query).await;
    assert_eq!(refused.problem(), (400, "sign_in_state".into()), "another browser's answer");
    let query = at_provider(&exchanged(&url, "nonce", "another")).await;
    assert_eq!(back(&hub, &jar, &query).await.problem(), (401, "sign_in_nonce".into()));
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let query = at_provider(&exchanged(&url, "code_challenge", challenge)).await;
    let refused = back(&hub, &jar, &query).await;
    assert!(refused.text().contains("invalid_grant"), "{}", refused.text());
    assert_eq!(refused.problem(), (401, "sign_in_refused".into()));
    assert!(hub.state.store.committed().sessions().is_empty());
}
