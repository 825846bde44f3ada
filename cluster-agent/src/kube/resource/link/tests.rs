//! The task that reads and writes resources, against an API server of the tests.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::publisher::{Budget, EVENTS_PER_MINUTE, Publisher};
use super::{Read, Shown};
use crate::kube::fake::FakeApi;
use crate::kube::resource::sample::{calm, rolling};
use crate::kube::resource::{AgentStatus, Note, Place, View, moves};

const KAFKA: &str = "/apis/fairway.dev/v1/clusterupdates/acme.kafka";

const EVENTS: &str = "/api/v1/namespaces/default/events/";

struct Lab {
    api: FakeApi,
    publisher: Publisher,
    reads: watch::Receiver<Read>,
    shown: watch::Sender<Shown>,
    told: mpsc::Sender<(channels::names::ProductRef, Note)>,
}

fn shown(view: Option<View>) -> Shown {
    let product: channels::names::ProductRef = "acme/kafka".parse().unwrap();
    Shown {
        acting: true,
        agent: AgentStatus { version: "0".into(), holder: "me".into() },
        views: view.into_iter().map(|view| (product.clone(), view)).collect(),
        products: vec![product],
    }
}

fn resource(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "fairway.dev/v1", "kind": "ClusterUpdate",
        "metadata": { "name": name, "uid": "u1", "generation": 1, "labels": { "keep": "me" } },
        "spec": spec,
    })
}

impl Lab {
    fn start(view: Option<View>) -> Self {
        let api = FakeApi::start();
        api.put(KAFKA, resource("acme.kafka", &json!({ "product": "acme/kafka" })));
        let (shown, showing) = watch::channel(shown(view));
        let (reads_in, reads) = watch::channel(Read::default());
        let (told, telling) = mpsc::channel(8);
        let period = std::time::Duration::from_secs(2);
        let publisher = Publisher::new(api.kube(), period, reads_in, showing, telling);
        Self { api, publisher, reads, shown, told }
    }

    async fn round(&mut self) {
        self.publisher.round().await.unwrap();
    }

    fn show(&self, view: View) {
        self.shown.send(shown(Some(view))).unwrap();
    }

    /// Statuses written so far.
    fn statuses(&self) -> Vec<Value> {
        let writes = self.api.writes().into_iter();
        writes.filter(|call| call.path.ends_with("/status")).map(|call| call.body).collect()
    }

    /// Reason, count and message of every event there is.
    fn events(&self) -> Vec<(String, i64)> {
        let mut found = BTreeMap::new();
        for call in self.api.writes() {
            let Some(name) = call.path.strip_prefix(EVENTS) else { continue };
            let event = self.api.object(&call.path);
            let reason = event["reason"].as_str().unwrap().to_owned();
            found.insert(name.to_owned(), (reason, event["count"].as_i64().unwrap()));
        }
        found.into_values().collect()
    }
}

#[actix_web::test]
async fn a_status_is_written_once_and_leaves_the_rest_alone() {
    let mut lab = Lab::start(Some(calm()));
    lab.round().await;
    lab.round().await;
    assert_eq!(lab.statuses().len(), 1, "nothing changed in between");
    let object = lab.api.object(KAFKA);
    assert_eq!(object["metadata"]["labels"]["keep"], "me");
    assert_eq!(object["spec"], json!({ "product": "acme/kafka" }));
    assert_eq!(object["status"]["version"], "4.0.0");
    assert_eq!(object["status"]["conditions"].as_array().unwrap().len(), 6);
    let read = lab.reads.borrow().clone();
    assert!(read.complete && read.found.len() == 1 && read.trouble.is_none(), "{read:?}");
}

#[actix_web::test]
async fn an_agent_that_does_not_act_reads_and_writes_nothing() {
    let mut lab = Lab::start(None);
    lab.shown.send(Shown { acting: false, ..shown(Some(calm())) }).unwrap();
    lab.round().await;
    assert_eq!(lab.api.writes(), []);
    assert!(lab.reads.borrow().complete);
}

#[actix_web::test]
async fn a_write_in_between_is_read_again_and_never_overwritten() {
    let mut lab = Lab::start(Some(calm()));
    lab.api.race(1);
    lab.round().await;
    assert_eq!(lab.statuses().len(), 0);
    lab.round().await;
    assert_eq!(lab.statuses().len(), 1);
}

#[actix_web::test]
async fn nothing_is_shown_of_a_product_of_which_nothing_is_known_yet() {
    let mut lab = Lab::start(None);
    lab.round().await;
    assert_eq!(lab.api.writes(), []);
}

#[actix_web::test]
async fn a_product_that_is_not_configured_is_told_so() {
    let mut lab = Lab::start(Some(calm()));
    let other = "/apis/fairway.dev/v1/clusterupdates/acme.other";
    lab.api.put(other, resource("acme.other", &json!({ "product": "acme/other" })));
    lab.round().await;
    let status = lab.api.object(other)["status"].clone();
    let conditions = status["conditions"].as_array().unwrap();
    assert!(conditions.iter().all(|condition| condition["reason"] == "InvalidSpec"), "{status}");
    let message = conditions[0]["message"].as_str().unwrap();
    assert!(message.contains("acme/other is not configured"), "{message}");
}

#[actix_web::test]
async fn a_resource_under_another_products_name_is_refused() {
    let mut lab = Lab::start(Some(calm()));
    lab.api.put(KAFKA, resource("acme.kafka", &json!({ "product": "acme/other" })));
    lab.round().await;
    let read = lab.reads.borrow().clone();
    let found = read.found.values().next().unwrap();
    let why = found.spec.clone().unwrap_err().to_string();
    assert!(why.contains("acme/other has another name"), "{why}");
}

#[actix_web::test]
async fn an_event_that_happens_again_is_counted_up() {
    let mut lab = Lab::start(Some(calm()));
    lab.round().await;
    for _ in 0..3 {
        lab.show(rolling());
        lab.round().await;
        lab.show(calm());
        lab.round().await;
    }
    assert_eq!(lab.events(), [("UpdateStarted".to_owned(), 3)]);
}

#[actix_web::test]
async fn what_the_loop_tells_becomes_an_event_even_if_the_status_never_showed_it() {
    let mut lab = Lab::start(Some(calm()));
    let before = Place { unit: None, phase: calm().state.phase };
    for note in moves(&before, &rolling().state) {
        lab.told.send(("acme/kafka".parse().unwrap(), note)).await.unwrap();
    }
    lab.round().await;
    assert_eq!(lab.events(), [("UnitSoak".to_owned(), 1)]);
}

#[actix_web::test]
async fn an_order_is_told_when_its_generation_is_new() {
    let mut lab = Lab::start(Some(calm()));
    lab.round().await;
    lab.api.change(KAFKA, |object| {
        object["spec"]["desired"] = json!("4.1.0");
        object["metadata"]["generation"] = json!(2);
    });
    lab.round().await;
    lab.round().await;
    assert_eq!(lab.events(), [("ReleaseOrdered".to_owned(), 1)]);
}

#[actix_web::test]
async fn a_right_to_write_events_that_is_missing_stops_no_status() {
    let mut lab = Lab::start(Some(calm()));
    lab.round().await;
    lab.api.forbid();
    lab.show(rolling());
    lab.round().await;
    assert_eq!(lab.statuses().len(), 2);
    assert_eq!(lab.events(), []);
}

#[actix_web::test]
async fn events_of_a_minute_are_bounded() {
    let mut budget = Budget::new();
    let taken = (0..1_000).filter(|_| budget.take()).count();
    assert_eq!(u32::try_from(taken).unwrap(), EVENTS_PER_MINUTE);
}
