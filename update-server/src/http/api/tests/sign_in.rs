//! Sign-in with a browser against a provider made for it, and what a session may do.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use actix_web::{HttpResponse, HttpServer};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::*;

/// What the provider says next.
#[derive(Debug, Clone, Default)]
struct Script {
    issuer: String,
    /// Of the authorization request whose code is redeemed.
    challenge: String,
    claims: Value,
}

type Shared = web::Data<Mutex<Script>>;

fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

async fn discovery(script: Shared) -> HttpResponse {
    let issuer = script.lock().unwrap_or_else(PoisonError::into_inner).issuer.clone();
    HttpResponse::Ok().json(json!({
        "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/keys"),
        "code_challenge_methods_supported": ["S256"],
    }))
}

async fn keys() -> HttpResponse {
    let x = base64url(key().public_key());
    HttpResponse::Ok().json(json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": x }] }))
}

async fn redeem(script: Shared, form: web::Form<BTreeMap<String, String>>) -> HttpResponse {
    let script = script.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let verifier = form.get("code_verifier").map(String::as_str).unwrap_or_default();
    let challenge = base64url(signing::Sha256Digest::of(verifier.as_bytes()).as_bytes());
    if form.get("code").map(String::as_str) != Some("good") || challenge != script.challenge {
        return HttpResponse::BadRequest().json(json!({ "error": "invalid_grant" }));
    }
    let header = base64url(json!({ "alg": "EdDSA" }).to_string());
    let text = format!("{header}.{}", base64url(script.claims.to_string()));
    let signature = base64url(key().sign(text.as_bytes()));
    HttpResponse::Ok().json(json!({ "id_token": format!("{text}.{signature}"), "token_type": "x" }))
}

/// Configuration of a hub with this provider.
fn config(issuer: &str) -> String {
    format!(
        "public_url = 'http://localhost:8480'\n[oidc]\nissuer = '{issuer}'\n\
         client_id = 'hub'\nsession_hours = 2\nsession_idle_minutes = 30\n\
         [[oidc.roles]]\nclaim = 'groups'\nvalue = 'fleet'\naccess = 'operator'\n\
         [[oidc.roles]]\nclaim = 'groups'\nvalue = 'east'\naccess = 'viewer'\n\
         selector = 'site=east'\n"
    )
}

/// A hub with a provider.
pub(super) struct House {
    pub(super) hub: Hub,
    script: Shared,
}

/// A sign-in that a browser began.
struct Begun {
    cookie: String,
    asked: BTreeMap<String, String>,
}

fn set_cookies(answer: &Answer) -> BTreeMap<String, String> {
    answer
        .headers
        .get_all("set-cookie")
        .map(|value| value.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

impl House {
    pub(super) async fn new() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let script = Script { issuer: issuer.clone(), ..Script::default() };
        let script = Shared::new(Mutex::new(script));
        let data = script.clone();
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .route("/.well-known/openid-configuration", web::get().to(discovery))
                .route("/keys", web::get().to(keys))
                .route("/token", web::post().to(redeem))
        });
        let server = server.workers(1).disable_signals().listen(listener).unwrap().run();
        actix_web::rt::spawn(server);
        let hub = Hub::with(&config(&issuer)).await;
        Self { hub, script }
    }

    /// `/auth/login`, and what the provider would remember of it.
    async fn begin(&self, groups: &str) -> Begun {
        let answer = self.hub.ask_with(None, "GET", "/auth/login", None).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        let to: Url = answer.header("location").unwrap().parse().unwrap();
        let asked: BTreeMap<String, String> = to.query_pairs().into_owned().collect();
        let mut script = self.script.lock().unwrap();
        script.challenge = asked["code_challenge"].clone();
        let now = self.hub.now().as_second();
        script.claims = json!({
            "iss": script.issuer, "aud": "hub", "sub": "mira", "groups": [groups],
            "nonce": asked["nonce"], "iat": now, "exp": now + 300,
        });
        let cookie = set_cookies(&answer)["fairway-sign-in"].clone();
        Begun { cookie, asked }
    }

    async fn back(&self, cookie: &str, query: &str) -> Answer {
        let request = TestRequest::get()
            .uri(&format!("/auth/callback?{query}"))
            .insert_header(("cookie", format!("fairway-sign-in={cookie}")));
        self.hub.call(request).await
    }

    async fn finish(&self, begun: &Begun) -> Answer {
        self.back(&begun.cookie, &format!("code=good&state={}", begun.asked["state"])).await
    }

    /// The cookie of somebody of a group who signed in.
    pub(super) async fn session(&self, groups: &str) -> String {
        let begun = self.begin(groups).await;
        let answer = self.finish(&begun).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        assert_eq!(answer.header("location"), Some("http://localhost:8480/"));
        let set = set_cookies(&answer);
        assert_eq!(set["fairway-sign-in"], "");
        set["fairway"].clone()
    }

    pub(super) async fn with(&self, session: &str, request: TestRequest) -> Answer {
        let cookie = ("cookie", format!("fairway={session}"));
        self.hub.call(request.insert_header(cookie)).await
    }

    pub(super) async fn get(&self, session: &str, path: &str) -> Answer {
        self.with(session, TestRequest::get().uri(path)).await
    }
}

#[actix_web::test]
async fn somebody_signs_in_reads_and_signs_out() {
    let house = House::new().await;
    let session = house.session("fleet").await;
    assert_eq!(house.get(&session, "/api/v1/clusters").await.status, 200);
    let me: Value = house.get(&session, "/auth/session").await.json();
    assert_eq!((&me["name"], &me["access"]), (&json!("sso:mira"), &json!("operator")));
    let admin = house.get(&session, "/api/v1/tokens").await;
    assert_eq!(admin.problem(), (403, "forbidden".into()));
    let list = house.hub.ask(Access::Admin, "GET", "/api/v1/sessions", None).await.text();
    assert!(list.contains("sso:mira") && !list.contains(&session), "{list}");
    let form = |csrf: &str, origin: &'static str| {
        TestRequest::post()
            .uri("/auth/logout")
            .insert_header(("origin", origin))
            .set_form([("csrf", csrf)])
    };
    let csrf = me["csrf"].as_str().unwrap();
    for forged in [form("x", "http://localhost:8480"), form(csrf, "http://evil.example")] {
        let refused = house.with(&session, forged).await;
        assert_eq!(refused.problem(), (403, "cross_site".into()));
    }
    let gone = house.with(&session, form(csrf, "http://localhost:8480")).await;
    assert_eq!((gone.status, set_cookies(&gone)["fairway"].as_str()), (303, ""));
    assert_eq!(house.get(&session, "/api/v1/clusters").await.problem().0, 401);
    let audit = house.hub.ask(Access::Operator, "GET", "/api/v1/audit", None).await.text();
    assert!(audit.contains("sign_in") && audit.contains("sign_out"));
}

#[actix_web::test]
async fn a_change_with_a_cookie_comes_from_the_hubs_own_page() {
    let house = House::new().await;
    let session = house.session("fleet").await;
    let me: Value = house.get(&session, "/auth/session").await.json();
    let csrf = me["csrf"].as_str().unwrap().to_owned();
    let own = "http://localhost:8480";
    for (origin, token, status) in [
        (None, None, 403),
        (Some(own), None, 403),
        (None, Some(csrf.as_str()), 403),
        (Some(own), Some("wrong"), 403),
        (Some("https://evil.example"), Some(csrf.as_str()), 403),
        (Some(own), Some(csrf.as_str()), 201),
    ] {
        let body = json!({ "scope": { "kind": "fleet" }, "reason": "r" });
        let mut request = TestRequest::post().uri("/api/v1/holds").set_json(body);
        if let Some(origin) = origin {
            request = request.insert_header(("origin", origin));
        }
        if let Some(token) = token {
            request = request.insert_header(("x-fairway-csrf", token));
        }
        let answer = house.with(&session, request).await;
        assert_eq!(answer.status, status, "{origin:?} {token:?}");
        if status == 403 {
            assert_eq!(answer.problem().1, "cross_site");
        }
    }
}

#[actix_web::test]
async fn an_answer_to_no_sign_in_of_this_browser_is_refused() {
    let house = House::new().await;
    let (one, other) = (house.begin("fleet").await, house.begin("fleet").await);
    let state = |begun: &Begun| format!("code=good&state={}", begun.asked["state"]);
    let issuer = house.script.lock().unwrap().issuer.clone();
    for (cookie, query) in [
        (&one.cookie, state(&other)),
        (&one.cookie, "code=good".to_owned()),
        (&one.cookie, format!("code=good&state={}", "A".repeat(43))),
        (&"fwl_x".to_owned(), state(&one)),
        (&one.cookie, format!("{}&iss={issuer}/evil", state(&one))),
        (&one.cookie, format!("state={}", one.asked["state"])),
    ] {
        let refused = house.back(cookie, &query).await;
        assert_eq!(refused.problem(), (400, "sign_in_state".into()), "{query}");
        assert!(set_cookies(&refused).is_empty());
    }
    assert_eq!(house.hub.state.store.committed().sessions().len(), 0);
}

#[actix_web::test]
async fn another_sign_ins_token_and_a_stolen_code_are_refused_by_name() {
    let house = House::new().await;
    let begun = house.begin("fleet").await;
    house.script.lock().unwrap().claims["nonce"] = json!("another");
    assert_eq!(house.finish(&begun).await.problem(), (401, "sign_in_nonce".into()));
    // A code that was made for another verifier.
    let begun = house.begin("fleet").await;
    house.script.lock().unwrap().challenge = "another".to_owned();
    let refused = house.finish(&begun).await;
    assert!(refused.text().contains("invalid_grant"), "{}", refused.text());
    assert_eq!(refused.problem(), (401, "sign_in_refused".into()));
    let begun = house.begin("fleet").await;
    house.script.lock().unwrap().claims["aud"] = json!("another");
    assert_eq!(house.finish(&begun).await.problem(), (401, "sign_in_token".into()));
    let begun = house.begin("nobody").await;
    assert_eq!(house.finish(&begun).await.problem(), (403, "no_role".into()));
    let begun = house.begin("fleet").await;
    let query = format!("error=access_denied&state={}", begun.asked["state"]);
    let denied = house.back(&begun.cookie, &query).await;
    assert_eq!(denied.problem(), (401, "sign_in_refused".into()));
}

#[actix_web::test]
async fn a_session_ends_when_nobody_uses_it_at_its_expiry_and_by_an_admin() {
    let house = House::new().await;
    let session = house.session("fleet").await;
    let works = async |session: &str| house.get(session, "/api/v1/clusters").await.status == 200;
    // Each look is within 30 minutes of the one before.
    for _ in 0..4 {
        house.hub.advance(29 * 60);
        assert!(works(&session).await);
        let used = house.hub.state.access.activity.take();
        house.hub.state.store.note_use(used).await.unwrap();
    }
    house.hub.advance(4 * 60);
    assert!(!works(&session).await, "two hours are over");
    let idle = house.session("fleet").await;
    house.hub.advance(30 * 60);
    assert!(!works(&idle).await);
    house.hub.state.store.sweep_sessions(seconds(1800), house.hub.now()).await.unwrap();
    assert!(house.hub.state.store.committed().sessions().is_empty());
    let ended = house.session("fleet").await;
    let id = house.hub.state.store.committed().sessions().list()[0].id;
    let path = format!("/api/v1/sessions/{id}");
    assert_eq!(house.hub.ask(Access::Admin, "DELETE", &path, None).await.status, 204);
    assert!(!works(&ended).await);
}

#[actix_web::test]
async fn a_person_is_confined_as_the_rule_says() {
    let house = House::new().await;
    house.hub.agent(1).await;
    let session = house.session("east").await;
    let list: Value = house.get(&session, "/api/v1/clusters").await.json();
    assert_eq!(list["items"], json!([]));
    house.hub.label("site-1", json!({ "site": "east" })).await;
    let list: Value = house.get(&session, "/api/v1/clusters").await.json();
    assert_eq!(list["items"][0]["name"], "site-1");
}

#[actix_web::test]
async fn a_browser_that_opens_the_dashboard_is_led_to_the_sign_in_and_programs_are_not() {
    let house = House::new().await;
    let open = |accept: &'static str| TestRequest::get().uri("/").insert_header(("accept", accept));
    let browser = house.hub.call(open("text/html,*/*;q=0.8")).await;
    assert_eq!((browser.status, browser.header("location")), (303, Some("/auth/login")));
    assert_eq!(house.hub.call(open("*/*")).await.problem().0, 401);
    let session = house.session("fleet").await;
    let page = house.get(&session, "/").await.text();
    assert!(page.contains("sso:mira") && page.contains("action=\"/auth/logout\""), "{page}");
}

#[actix_web::test]
async fn a_hub_without_a_provider_has_no_sign_in_and_takes_no_cookie() {
    let hub = Hub::new().await;
    assert_eq!(hub.ask_with(None, "GET", "/auth/login", None).await.problem().0, 404);
    let secret = Secret::generate(SecretKind::Session).unwrap();
    let cookie = format!("fairway={0}; __Host-fairway={0}", secret.reveal());
    let request = TestRequest::get().uri("/api/v1/clusters").insert_header(("cookie", cookie));
    assert_eq!(hub.call(request).await.problem().0, 401);
}

#[actix_web::test]
async fn a_provider_that_is_down_or_is_another_one_is_told_of() {
    let house = House::new().await;
    house.script.lock().unwrap().issuer = "http://127.0.0.1:1".to_owned();
    let refused = house.hub.ask_with(None, "GET", "/auth/login", None).await;
    assert_eq!(refused.problem(), (502, "provider_unavailable".into()));
}

#[actix_web::test]
async fn a_sign_in_that_began_at_one_replica_ends_at_another() {
    let house = House::new().await;
    let issuer = house.script.lock().unwrap().issuer.clone();
    let other = House { hub: Hub::with(&config(&issuer)).await, script: house.script.clone() };
    let begun = house.begin("fleet").await;
    let answer = other.finish(&begun).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert!(set_cookies(&answer).contains_key("fairway"));
    // The state of somebody else's browser is refused there as well.
    let stranger = house.begin("fleet").await;
    let query = format!("code=good&state={}", stranger.asked["state"]);
    assert_eq!(other.back(&begun.cookie, &query).await.status, 400);
}
