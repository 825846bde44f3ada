//! The hub client against a small server: answers, problems, bounds.

use channels::wire::HubStatus;

use super::testing::{Answer, FakeHub};
use super::*;

fn status() -> HubStatus {
    HubStatus {
        version: "0.1.0".into(),
        at: "2026-05-01T12:00:00Z".parse().unwrap(),
        root_version: Some(1),
        expires: None,
        products: vec!["acme/kafka".parse().unwrap()],
        default_product: None,
    }
}

#[tokio::test]
async fn a_document_is_fetched_with_its_query_and_token() {
    let hub = FakeHub::start(vec![("GET /api/v1/hub?name=a%26b", Answer::json(&status()))]).await;
    let args = HubArgs { server: Some(hub.url.clone()), ..HubArgs::default() };
    let mut client = Hub::new(&args.connection(None).unwrap()).unwrap();
    client.authorization = Some(HeaderValue::from_static("Bearer fw_x"));
    let got: HubStatus = client.get("api/v1/hub", &[("name", "a&b".into())]).await.unwrap();
    assert_eq!(got, status());
    assert_eq!(hub.seen(), ["GET /api/v1/hub?name=a%26b Bearer fw_x"]);
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let body = vec![b' '; MAX_ANSWER_BYTES + 1];
    let answer = Answer { status: 200, content_type: "application/json", body };
    let hub = FakeHub::start(vec![("GET /api/v1/hub", answer)]).await;
    let error = hub.hub().get::<HubStatus>("api/v1/hub", &[]).await.unwrap_err();
    assert_eq!(error.to_string(), "the hub's answer is larger than 67108864 bytes");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let content_type = "text/html\r\nlocation: /api/v1/other";
    let answer = Answer { status: 302, content_type, body: Vec::new() };
    let other = ("GET /api/v1/other", Answer::json(&status()));
    let hub = FakeHub::start(vec![("GET /api/v1/hub", answer), other]).await;
    let error = hub.hub().get::<HubStatus>("api/v1/hub", &[]).await.unwrap_err();
    assert_eq!(error.to_string(), "the hub answered 302 Found to api/v1/hub");
}

#[tokio::test]
async fn something_else_than_a_hub_is_recognised() {
    let answer = Answer { status: 200, content_type: "text/html", body: b"<html>".to_vec() };
    let hub = FakeHub::start(vec![("GET /api/v1/hub", answer)]).await;
    let error = hub.hub().get::<HubStatus>("api/v1/hub", &[]).await.unwrap_err();
    assert!(error.to_string().starts_with("failed to read the hub's answer to api/v1/hub: "));
    assert!(error.hint_text().unwrap().contains("fairway hub"));
}

#[tokio::test]
async fn a_hub_that_is_not_there_is_named() {
    // Bound and dropped: nobody listens on this port.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let args = HubArgs { server: Some(format!("http://{port}")), ..HubArgs::default() };
    let client = Hub::new(&args.connection(None).unwrap()).unwrap();
    let error = client.get::<HubStatus>("api/v1/hub", &[]).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("the hub at http://{port}/ cannot be reached")));
}
