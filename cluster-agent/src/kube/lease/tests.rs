//! The Lease as two agents see it, against an API server of the tests.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::tenancy::{Tenancy, Term};
use super::{Holder, micros};
use crate::kube::fake::FakeApi;

const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/fairway-system/leases";

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/fairway-system/leases/fairway-agent";

fn holder(api: &FakeApi, me: &str) -> Holder {
    Holder {
        kube: api.kube(),
        path: PATH.to_owned(),
        name: "fairway-agent".to_owned(),
        me: me.to_owned(),
        began: Instant::now(),
        tenancy: Tenancy::new(me.to_owned()),
    }
}

fn term(of: &Holder) -> Term {
    of.tenancy.term(of.began.elapsed())
}

fn holds(of: &Holder) -> bool {
    matches!(term(of), Term::Held { .. })
}

#[actix_web::test]
async fn the_first_agent_makes_the_lease_and_the_second_leaves_it_alone() {
    let api = FakeApi::start();
    let (mut first, mut second) = (holder(&api, "a"), holder(&api, "b"));
    first.look().await.unwrap();
    second.look().await.unwrap();
    assert!(holds(&first));
    assert!(matches!(term(&second), Term::Elsewhere { holder, .. } if holder == "a"));
    let spec = api.object(LEASE)["spec"].clone();
    assert_eq!((&spec["holderIdentity"], &spec["leaseDurationSeconds"]), (&json!("a"), &json!(30)));
    assert_eq!(spec["leaseTransitions"], 1);
}

#[actix_web::test]
async fn a_lease_that_was_given_back_is_taken_at_the_next_look() {
    let api = FakeApi::start();
    let (mut first, mut second) = (holder(&api, "a"), holder(&api, "b"));
    first.look().await.unwrap();
    second.look().await.unwrap();
    first.give_back().await.unwrap();
    second.look().await.unwrap();
    assert!(holds(&second));
    first.look().await.unwrap();
    assert!(!holds(&first), "{:?}", term(&first));
}

#[actix_web::test]
async fn only_its_holder_gives_a_lease_back() {
    let api = FakeApi::start();
    let (mut first, mut second) = (holder(&api, "a"), holder(&api, "b"));
    first.look().await.unwrap();
    second.look().await.unwrap();
    second.give_back().await.unwrap();
    assert_eq!(api.object(LEASE)["spec"]["holderIdentity"], "a");
}

#[actix_web::test]
async fn a_race_that_was_lost_is_no_lease() {
    let api = FakeApi::start();
    let mut first = holder(&api, "a");
    api.put(LEASE, json!({ "metadata": { "name": "fairway-agent" }, "spec": {} }));
    api.race(1);
    first.look().await.unwrap();
    assert!(!holds(&first), "{:?}", term(&first));
    first.look().await.unwrap();
    assert!(holds(&first));
}

#[actix_web::test]
async fn what_others_wrote_beside_the_lease_stays() {
    let api = FakeApi::start();
    let mut first = holder(&api, "a");
    let metadata = json!({ "name": "fairway-agent", "labels": { "team": "platform" } });
    api.put(LEASE, json!({ "metadata": metadata, "spec": { "holderIdentity": "" } }));
    first.look().await.unwrap();
    first.look().await.unwrap();
    assert_eq!(api.object(LEASE)["metadata"]["labels"]["team"], "platform");
    assert_eq!(api.object(LEASE)["spec"]["leaseTransitions"], 1, "renewed, not taken again");
}

#[actix_web::test]
async fn a_refusal_is_said_and_is_no_lease() {
    let api = FakeApi::start();
    api.forbid();
    let mut first = holder(&api, "a");
    let error = first.look().await.unwrap_err();
    first.tenancy.failed(error.chain());
    assert!(matches!(term(&first), Term::Unknown { why } if why.contains("Forbidden")));
}

#[test]
fn times_are_written_as_the_api_writes_them() {
    let at = jiff::Timestamp::UNIX_EPOCH + Duration::from_micros(1_500_001);
    assert_eq!(micros(at), "1970-01-01T00:00:01.500001Z");
}
