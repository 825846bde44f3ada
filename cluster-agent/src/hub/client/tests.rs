//! Against a small server that checks signatures as the hub does.

use std::sync::{Arc, Mutex};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use channels::names::ClusterId;
use channels::wire::ClusterHeader;
use signing::PublicKey;

use super::*;

fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

/// What the server answers, and what it last saw.
#[derive(Debug, Default)]
struct Script {
    status: u16,
    body: Vec<u8>,
    retry_after: Option<&'static str>,
    seen: Option<(String, Vec<u8>)>,
}

type Shared = Arc<Mutex<Script>>;

/// Checks the signature over what arrived with `key`, then follows the script.
async fn answer(
    request: HttpRequest,
    body: web::Bytes,
    script: web::Data<Shared>,
    key: web::Data<PublicKey>,
) -> HttpResponse {
    let header = |name: &str| {
        let value = request.headers().get(name).unwrap();
        value.to_str().unwrap().to_owned()
    };
    let content_type = header("content-type");
    let parts = RequestParts {
        method: request.method().as_str(),
        path: request.uri().path(),
        query: request.uri().query().unwrap_or(""),
        content_type: Some(&content_type),
        body: &body,
    };
    let signed = message::SignedHeaders {
        content_digest: Some(header("content-digest")),
        signature_input: header("signature-input"),
        signature: header("signature"),
    };
    if message::verify(&parts, &signed, &key, now(), Duration::from_mins(5)).is_err() {
        return HttpResponse::Unauthorized().finish();
    }
    let mut script = script.lock().unwrap();
    script.seen = Some((request.uri().to_string(), body.to_vec()));
    let status = StatusCode::from_u16(script.status).unwrap();
    let status = actix_web::http::StatusCode::from_u16(status.as_u16()).unwrap();
    let mut answer = HttpResponse::build(status);
    if let Some(seconds) = script.retry_after {
        answer.insert_header(("retry-after", seconds));
    }
    answer.body(script.body.clone())
}

struct Hub {
    client: HubClient,
    script: Shared,
}

fn hub(status: u16, body: &[u8]) -> Hub {
    let key = SecretKey::from_seed([7; 32]);
    let script = Arc::new(Mutex::new(Script { status, body: body.to_vec(), ..Script::default() }));
    let (shared, public) = (script.clone(), key.public().clone());
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(shared.clone()))
            .app_data(web::Data::new(public.clone()))
            .default_service(web::to(answer))
    })
    .workers(1)
    .disable_signals()
    .bind("127.0.0.1:0")
    .unwrap();
    let address = server.addrs()[0];
    tokio::spawn(server.run());
    let client = HubClient::new(&format!("http://{address}/behind/proxy/"), key).unwrap();
    Hub { client, script }
}

fn report() -> Report {
    let header = ClusterHeader {
        id: ClusterId(uuid::Uuid::nil()),
        seq: 7,
        sent_at: now(),
        agent_version: "0.1.0".to_owned(),
        instance: None,
        heard_seq: None,
    };
    Report { cluster: header, full: true, products: Vec::new() }
}

fn reply() -> Vec<u8> {
    let reply = ReportReply {
        seq: 7,
        at: now(),
        timestamp_etag: Some("\"1-ab\"".to_owned()),
        directives: Vec::new(),
        next_report_in_s: 300,
        full_state_wanted: false,
        settings: vec![],
        measures: vec![],
    };
    serde_json::to_vec(&reply).unwrap()
}

#[tokio::test]
async fn a_report_arrives_signed_and_its_reply_is_read() {
    let hub = hub(200, &reply());
    let answer = hub.client.report(&report(), now()).await.unwrap();
    assert_eq!((answer.seq, answer.next_report_in_s), (7, 300));
    let (path, body) = hub.script.lock().unwrap().seen.clone().unwrap();
    assert_eq!(path, "/behind/proxy/api/v1/reports");
    assert_eq!(serde_json::from_slice::<Report>(&body).unwrap(), report());
}

#[tokio::test]
async fn enrolment_sends_the_public_key_and_proves_possession() {
    let reply = EnrolmentReply { cluster_id: ClusterId(uuid::Uuid::max()), next_report_in_s: 9 };
    let hub = hub(200, &serde_json::to_vec(&reply).unwrap());
    let enrolled = hub.client.enrol("token", "east", "0.1.0", now()).await.unwrap();
    assert_eq!(enrolled, reply);
    let (path, body) = hub.script.lock().unwrap().seen.clone().unwrap();
    assert_eq!(path, "/behind/proxy/api/v1/enrolments");
    let sent: EnrolmentRequest = serde_json::from_slice(&body).unwrap();
    assert_eq!(sent.join_token, "token");
    let key = SecretKey::from_seed([7; 32]);
    assert_eq!(&PublicKey::from_spki_pem(&sent.public_key).unwrap(), key.public());
}

#[tokio::test]
async fn a_request_signed_at_another_time_is_refused_by_the_hub() {
    let hub = hub(200, &reply());
    let stale = now() - jiff::SignedDuration::from_mins(20);
    let refused = hub.client.report(&report(), stale).await.unwrap_err();
    assert!(matches!(refused, HubError::Status { status: 401, .. }), "{refused:?}");
    assert!(!refused.is_transient());
}

#[tokio::test]
async fn a_busy_hub_says_when_to_come_back_within_reason() {
    for (status, header, expected) in [
        (503, Some("17"), 17),
        (503, None, 30),
        (503, Some("soon"), 30),
        (503, Some("99999999"), 3600),
        (429, Some("8"), 8),
        (429, None, 30),
    ] {
        let hub = hub(status, b"");
        hub.script.lock().unwrap().retry_after = header;
        let busy = hub.client.report(&report(), now()).await.unwrap_err();
        assert!(matches!(busy, HubError::Busy { .. }), "{busy:?}");
        assert_eq!(busy.retry_after_s(), Some(expected));
        assert!(busy.is_transient());
    }
}

#[tokio::test]
async fn a_problem_is_handed_on_with_its_detail() {
    let problem = Problem {
        kind: "/problems/replay".to_owned(),
        title: "Replay".to_owned(),
        status: 409,
        detail: "seq 7 was committed before".to_owned(),
        attack: None,
        last_seq: None,
    };
    let hub = hub(409, &serde_json::to_vec(&problem).unwrap());
    let refused = hub.client.report(&report(), now()).await.unwrap_err();
    assert_eq!(refused.kind(), "hub_refused");
    assert!(refused.to_string().contains("seq 7 was committed before"), "{refused}");
}

#[tokio::test]
async fn an_endless_answer_and_one_that_is_not_json_are_named() {
    let hub = hub(200, &vec![b' '; ANSWER_MAX_BYTES + 1]);
    let refused = hub.client.report(&report(), now()).await.unwrap_err();
    assert!(matches!(refused, HubError::TooLargeToRead { .. }), "{refused:?}");
    hub.script.lock().unwrap().body = b"<html>".to_vec();
    let refused = hub.client.report(&report(), now()).await.unwrap_err();
    assert!(matches!(refused, HubError::Decode { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_report_larger_than_the_hub_reads_is_not_sent() {
    let hub = hub(200, &reply());
    let mut large = report();
    large.cluster.agent_version = "x".repeat(Report::MAX_BYTES);
    let refused = hub.client.report(&large, now()).await.unwrap_err();
    assert!(matches!(refused, HubError::TooLargeToSend { .. }), "{refused:?}");
    assert_eq!(hub.script.lock().unwrap().seen, None);
}

#[tokio::test]
async fn a_hub_that_is_away_is_unreachable() {
    let client = HubClient::new("http://127.0.0.1:1", SecretKey::from_seed([7; 32])).unwrap();
    let away = client.report(&report(), now()).await.unwrap_err();
    assert_eq!((away.kind(), away.is_transient()), ("hub_unreachable", true));
}

#[test]
fn an_address_that_is_no_hubs_is_refused() {
    for bad in ["", "hub", "ftp://hub", "https://hub?x=1", "https://hub#x", "file:///etc"] {
        let refused = HubClient::new(bad, SecretKey::from_seed([7; 32])).unwrap_err();
        assert!(matches!(refused, HubError::Address { .. }), "{bad:?}: {refused:?}");
    }
}
