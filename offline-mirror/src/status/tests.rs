//! A hub that answers from a script: what is carried out, and what is not.

use std::sync::{Arc, Mutex};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use signing::{SecretKey, statement};

use super::*;

const GOLDEN: &str = include_str!("../../../channels/golden/v1/site-status--redacted.json");

fn key() -> SecretKey {
    SecretKey::from_seed([1; 32])
}

fn site_key(site: &str) -> SiteKey {
    let key = key();
    SiteKey {
        site: site.parse().unwrap(),
        public_key: key.public().to_spki_pem(),
        key_id: key.public().key_id().as_str().to_owned(),
    }
}

fn sealed(by: &SecretKey) -> Vec<u8> {
    let status: SiteStatus = serde_json::from_str(GOLDEN).unwrap();
    statement::sign(SiteStatus::KIND, &status, &[by]).unwrap()
}

fn redact(words: &[&str]) -> BTreeSet<Redaction> {
    words.iter().map(|word| word.parse().unwrap()).collect()
}

#[test]
fn a_status_is_carried_out_only_with_everything_left_out_that_was_to_be() {
    let bytes = sealed(&key());
    let all = redact(&["names", "labels", "messages"]);
    assert!(check(&bytes, &site_key("north"), &all).is_ok());
    let mut status: SiteStatus = serde_json::from_str(GOLDEN).unwrap();
    status.redacted = redact(&["names", "messages"]);
    let bytes = statement::sign(SiteStatus::KIND, &status, &[&key()]).unwrap();
    let error = check(&bytes, &site_key("north"), &all).unwrap_err();
    assert_eq!(error.to_string(), "the hub did not leave out labels");
    assert!(error.is_refusal());
}

#[test]
fn a_status_of_another_key_or_site_is_refused_by_its_attack() {
    let other = SecretKey::from_seed([2; 32]);
    let error = check(&sealed(&other), &site_key("north"), &BTreeSet::new()).unwrap_err();
    assert_eq!(error.attack(), Some(Attack::ArbitrarySoftware));
    let error = check(&sealed(&key()), &site_key("south"), &BTreeSet::new()).unwrap_err();
    assert_eq!(error.attack(), Some(Attack::WrongSoftware));
}

struct FakeHub {
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

/// Answers with the key of `north` and with `status`.
fn hub(status: HttpStatus) -> FakeHub {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let server = HttpServer::new(move || {
        let (log, status) = (Arc::clone(&log), status.clone());
        App::new().default_service(web::to(move |request: HttpRequest| {
            let token = request.headers().get("authorization").unwrap().to_str().unwrap();
            log.lock().unwrap().push(format!("{} {token}", request.uri()));
            let is_key = request.path().ends_with("/key");
            let (code, body) = if is_key {
                (200, serde_json::to_vec(&site_key("north")).unwrap())
            } else {
                status.clone()
            };
            let code = actix_web::http::StatusCode::from_u16(code).unwrap();
            async move { HttpResponse::build(code).body(body) }
        }))
    })
    .workers(1)
    .bind("127.0.0.1:0")
    .unwrap();
    let url = format!("http://{}", server.addrs()[0]);
    actix_web::rt::spawn(server.run());
    FakeHub { url, seen }
}

type HttpStatus = (u16, Vec<u8>);

fn site_hub(url: &str) -> SiteHub {
    SiteHub::new(ServerAccess::new(url, "fw_x".to_owned(), false).unwrap()).unwrap()
}

#[actix_web::test]
async fn what_is_asked_for_reaches_the_hub_and_the_file_is_what_it_signed() {
    let hub = hub((200, sealed(&key())));
    let request = StatusRequest {
        redact: redact(&["names", "messages"]),
        newest_bundle: Some(4),
        receipt: None,
        good_for_s: None,
    };
    let site = site_hub(&format!("{}/", hub.url));
    let exported = site.export(&request).await.unwrap();
    assert_eq!(exported.bytes, sealed(&key()));
    let query = "redact=names%2Cmessages&newest_bundle=4";
    let seen = hub.seen.lock().unwrap().clone();
    let wanted = [
        "/api/v1/status-export/key Bearer fw_x".to_owned(),
        format!("/api/v1/status-export?{query} Bearer fw_x"),
    ];
    assert_eq!(seen, wanted);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("north.status.json");
    write(&file, &exported.bytes).unwrap();
    write(&file, &exported.bytes).unwrap();
    assert_eq!(fs::read(&file).unwrap(), exported.bytes);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no draft stays");
}

#[actix_web::test]
async fn a_refusal_of_the_hub_is_told_with_what_to_do() {
    let problem = serde_json::json!({
        "type": "/problems/forbidden", "title": "No", "status": 403, "detail": "not an operator",
    });
    let hub = hub((403, serde_json::to_vec(&problem).unwrap()));
    let site = site_hub(&hub.url);
    let error = site.export(&StatusRequest::default()).await.unwrap_err();
    let wanted = "the site's update server refused (403): not an operator";
    assert_eq!(error.to_string(), wanted);
    assert!(error.hint().unwrap().contains("role operator"));
}

#[actix_web::test]
async fn an_endless_answer_ends_at_the_bound() {
    let hub = hub((200, vec![b' '; SiteStatus::MAX_BYTES + 1]));
    let site = site_hub(&hub.url);
    let error = site.export(&StatusRequest::default()).await.unwrap_err();
    assert_eq!(error.attack(), Some(Attack::EndlessData));
}
