//! Webhooks: what is taken, what is sent, and what is given up on.

use super::*;
use crate::store::{DeadRow, NewWebhookRow, Passed};
use crate::webhooks::{Client, Deliveries, run, verify};
use channels::wire::{DeadDelivery, HubEvent, NewWebhook, Page, Webhook, WebhookAttempt};
use std::collections::BTreeMap;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A request as a receiver saw it: headers by lower-case name, and the body.
type Seen = (BTreeMap<String, String>, Vec<u8>);

/// Answers these statuses in turn, then 204; tells what it got.
async fn receiver(statuses: Vec<u16>) -> (String, mpsc::UnboundedReceiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut statuses = statuses.into_iter();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            let end = loop {
                if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
                    break at + 4;
                }
                assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
            };
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let headers: BTreeMap<String, String> = head
                .lines()
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect();
            let length: usize = headers["content-length"].parse().unwrap();
            while bytes.len() < end + length {
                assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
            }
            let status = statuses.next().unwrap_or(204);
            let answer =
                format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            let _ = tell.send((headers, bytes[end..].to_vec()));
        }
    });
    (url, told)
}

fn start(hub: &Hub, local_allowed: bool) -> JoinHandle<()> {
    let state = &hub.state;
    let client = Client::new(local_allowed).unwrap();
    let (store, reader) = (state.store.clone(), state.reader.clone());
    let deliveries: Deliveries = state.deliveries.clone();
    tokio::spawn(run(store, reader, client, state.clock.clone(), deliveries))
}

async fn hold(hub: &Hub, reason: &str) {
    let body = json!({ "scope": { "kind": "fleet" }, "reason": reason });
    assert_eq!(hub.ask(Access::Operator, "POST", "/api/v1/holds", Some(body)).await.status, 201);
}

async fn hooked(hub: &Hub, url: &str, kinds: &[&str]) -> NewWebhook {
    let body = json!({ "url": url, "kinds": kinds });
    let made = hub.ask(Access::Admin, "POST", "/api/v1/webhooks", Some(body)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    made.json()
}

async fn list(hub: &Hub) -> Vec<Webhook> {
    hub.ask(Access::Admin, "GET", "/api/v1/webhooks", None).await.json::<Page<Webhook>>().items
}

#[actix_web::test]
async fn events_arrive_signed_in_order_and_only_those_asked_for() {
    let hub = Hub::with("webhooks_to_local_addresses = true").await;
    let (url, mut told) = receiver(vec![]).await;
    hold(&hub, "before").await;
    let hook = hooked(&hub, &url, &["hold"]).await;
    let _task = start(&hub, true);
    let body = json!({ "name": "ci", "access": "viewer" });
    assert_eq!(hub.ask(Access::Admin, "POST", "/api/v1/tokens", Some(body)).await.status, 201);
    for reason in ["storm", "flood"] {
        hold(&hub, reason).await;
        let (headers, body) = told.recv().await.unwrap();
        let event: HubEvent = serde_json::from_slice(&body).unwrap();
        assert_eq!((event.kind.as_str(), &event.detail["reason"]), ("hold", &json!(reason)));
        assert_eq!(headers["fairway-event"], "hold");
        assert_eq!(headers["fairway-delivery"], format!("{}-{}", hook.webhook.id, event.id));
        assert!(verify(&hook.secret, &headers["fairway-signature"], &body));
        assert!(!verify("another", &headers["fairway-signature"], &body));
    }
}

#[actix_web::test]
async fn a_receiver_that_is_busy_gets_the_same_event_again_and_others_their_turn_after_it() {
    let hub = Hub::with("webhooks_to_local_addresses = true").await;
    let (url, mut told) = receiver(vec![503, 500]).await;
    hooked(&hub, &url, &["hold"]).await;
    let task = start(&hub, true);
    hold(&hub, "storm").await;
    hold(&hub, "flood").await;
    let mut deliveries = Vec::new();
    for _ in 0..4 {
        deliveries.push(told.recv().await.unwrap().0["fairway-delivery"].clone());
    }
    assert_eq!(deliveries[0], deliveries[1]);
    assert_eq!(deliveries[1], deliveries[2]);
    assert_ne!(deliveries[2], deliveries[3]);
    // A hub that comes back goes on where it was.
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    let _again = start(&hub, true);
    hold(&hub, "third").await;
    let last = loop {
        let (_, body) = told.recv().await.unwrap();
        let event: HubEvent = serde_json::from_slice(&body).unwrap();
        if event.detail["reason"] == "third" {
            break event;
        }
        assert_eq!(event.detail["reason"], "flood", "at least once, and nothing older");
    };
    assert_eq!(last.kind, "hold");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_delivered_is_given_up_on_and_listed() {
    let hub = Hub::new().await;
    // As one that was made while the hub allowed it.
    let new = NewWebhookRow {
        url: "https://127.0.0.1/hook".to_owned(),
        kinds: vec!["hold".to_owned()],
        secret: "s".to_owned(),
        by: "mira".to_owned(),
        now: t0(),
    };
    let hook = hub.state.store.create_webhook(new).await.unwrap();
    let _task = start(&hub, false);
    hold(&hub, "storm").await;
    let path = format!("/api/v1/webhooks/{}/dead", hook.id);
    let dead = loop {
        let page = hub.ask(Access::Admin, "GET", &path, None).await.json::<Page<DeadDelivery>>();
        if let Some(dead) = page.items.first() {
            break dead.clone();
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    };
    assert_eq!(dead.attempts, 5);
    assert!(dead.error.contains("127.0.0.1"), "{}", dead.error);
    let shown = list(&hub).await;
    assert_eq!((shown[0].dead, shown[0].failures), (1, 0));
    let gone = format!("/api/v1/webhooks/{}", hook.id);
    assert_eq!(hub.ask(Access::Admin, "DELETE", &gone, None).await.status, 204);
    for (method, path) in [("GET", &path), ("DELETE", &gone)] {
        let answer = hub.ask(Access::Admin, method, path, None).await;
        assert_eq!(answer.problem(), (404, "not_found".to_owned()), "{path}");
    }
}

#[actix_web::test]
async fn a_webhook_to_this_machine_or_for_no_kind_is_refused_and_no_secret_is_shown_twice() {
    let hub = Hub::new().await;
    for body in [
        json!({ "url": "https://127.0.0.1/", "kinds": ["hold"] }),
        json!({ "url": "https://[::ffff:169.254.169.254]/", "kinds": ["hold"] }),
        json!({ "url": "http://hooks.example.org/", "kinds": ["hold"] }),
        json!({ "url": "https://hooks.example.org/", "kinds": [] }),
        json!({ "url": "https://hooks.example.org/", "kinds": ["Hold!"] }),
    ] {
        let answer = hub.ask(Access::Admin, "POST", "/api/v1/webhooks", Some(body.clone())).await;
        assert_eq!(answer.problem(), (422, "unprocessable".to_owned()), "{body}");
    }
    let made = hooked(&hub, "https://hooks.example.org/x", &["rollout.*", "hold", "hold"]).await;
    assert_eq!(made.webhook.kinds, ["hold", "rollout.*"]);
    let shown = hub.ask(Access::Admin, "GET", "/api/v1/webhooks", None).await.text();
    let audit = hub.ask(Access::Operator, "GET", "/api/v1/audit", None).await.text();
    assert!(shown.contains("hooks.example.org") && audit.contains("create_webhook"));
    assert!(!shown.contains(&made.secret) && !audit.contains(&made.secret));
    for n in 1..crate::webhooks::MAX_WEBHOOKS {
        hooked(&hub, &format!("https://hooks.example.org/{n}"), &["*"]).await;
    }
    let body = json!({ "url": "https://hooks.example.org/", "kinds": ["*"] });
    let full = hub.ask(Access::Admin, "POST", "/api/v1/webhooks", Some(body)).await;
    assert_eq!(full.problem(), (422, "unprocessable".to_owned()));
}

async fn attempt(hub: &Hub, path: &str) -> WebhookAttempt {
    let answer = hub.ask(Access::Admin, "POST", path, None).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[actix_web::test]
async fn a_person_tries_a_webhook_and_is_told_what_the_receiver_said() {
    let hub = Hub::with("webhooks_to_local_addresses = true").await;
    let (url, mut told) = receiver(vec![204, 503]).await;
    let hook = hooked(&hub, &url, &["hold"]).await;
    let path = format!("/api/v1/webhooks/{}/test", hook.webhook.id);
    let taken = attempt(&hub, &path).await;
    assert_eq!(taken, WebhookAttempt { delivered: true, error: None });
    let (headers, body) = told.recv().await.unwrap();
    let event: HubEvent = serde_json::from_slice(&body).unwrap();
    assert_eq!((event.kind.as_str(), headers["fairway-event"].as_str()), ("test", "test"));
    assert!(verify(&hook.secret, &headers["fairway-signature"], &body));
    let refused = attempt(&hub, &path).await;
    assert_eq!(
        (refused.delivered, refused.error.as_deref()),
        (false, Some("the receiver answered 503"))
    );
    assert_eq!(list(&hub).await[0].dead, 0, "nothing is kept of a test");
    for (access, id, expected) in [(Access::Operator, 1, 403), (Access::Admin, 99, 404)] {
        let path = format!("/api/v1/webhooks/{id}/test");
        assert_eq!(hub.ask(access, "POST", &path, None).await.status, expected);
    }
}

#[actix_web::test]
async fn an_event_that_was_given_up_on_is_sent_again_and_leaves_the_list_when_it_is_taken() {
    let hub = Hub::with("webhooks_to_local_addresses = true").await;
    let (url, mut told) = receiver(vec![500]).await;
    let hook = hooked(&hub, &url, &["hold"]).await.webhook.id;
    hold(&hub, "storm").await;
    let audit = hub.state.reader.audit_after(0, 500).unwrap();
    let audit = audit.iter().rev().find(|row| row.action == "hold").unwrap().id;
    let dead = DeadRow { audit, attempts: 15, gave_up: t0(), error: "refused".to_owned() };
    let passed = Passed { webhook: hook, after: audit, dead: Some(dead) };
    hub.state.store.webhook_passed(passed).await.unwrap();
    let all = format!("/api/v1/webhooks/{hook}/dead");
    let listed =
        async || hub.ask(Access::Admin, "GET", &all, None).await.json::<Page<DeadDelivery>>().items;
    let path = format!("{all}/{}/retry", listed().await[0].id);
    assert!(!attempt(&hub, &path).await.delivered);
    let still = listed().await;
    assert_eq!((still[0].attempts, still[0].error.as_str()), (16, "the receiver answered 500"));
    assert!(attempt(&hub, &path).await.delivered);
    let first = told.recv().await.unwrap();
    let event: HubEvent = serde_json::from_slice(&told.recv().await.unwrap().1).unwrap();
    assert_eq!(event.detail["reason"], "storm");
    assert_eq!(first.0["fairway-delivery"], format!("{hook}-{audit}"));
    assert_eq!(listed().await, []);
    assert_eq!(hub.ask(Access::Admin, "POST", &path, None).await.status, 404);
    let log = hub.ask(Access::Operator, "GET", "/api/v1/audit", None).await.text();
    assert_eq!(log.matches("retry_delivery").count(), 1);
}
