//! What all kinds of units have alike: bounds of a pass, and how often one is made.

use channels::wire::Role;
use serde_json::{Value, json};

use super::KubernetesDriver;
use crate::config::{KubernetesPool, MemberEvidence, StatefulSetPool, Wanted};
use crate::driver::{DriverError, Pass, Stage, StepOrder, StepStatus};
use crate::kube::fake::FakeApi;
use crate::kube::{Kube, KubeError};

const SET: &str = "/apis/apps/v1/namespaces/kafka/statefulsets/quorum";
const PODS: &str = "/api/v1/namespaces/kafka/pods";

fn order() -> StepOrder {
    StepOrder::sample(
        ("acme/kafka", "quorum-0"),
        Role::Controller,
        ["3.9.1", "4.0.0"],
        ("4.0.0", "acme/kafka", b"kafka 4.0.0"),
    )
}

fn set() -> Value {
    let container = json!({ "name": "kafka", "image": "registry.site/acme/kafka:3.9.1" });
    json!({
        "metadata": { "name": "quorum", "namespace": "kafka", "uid": "set", "generation": 1 },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": { "app": "quorum" } },
            "updateStrategy": { "type": "OnDelete" },
            "template": {
                "metadata": { "labels": { "app": "quorum" } },
                "spec": { "containers": [container] },
            },
        },
        "status": { "observedGeneration": 1 },
    })
}

fn driver(api: &FakeApi, timeout_ms: u64) -> KubernetesDriver {
    api.put(SET, set());
    let mut settings = api.kube().settings().clone();
    settings.timeout_ms = timeout_ms;
    let pool = KubernetesPool::StatefulSet(StatefulSetPool {
        namespace: "kafka".to_owned(),
        name: "quorum".to_owned(),
        wanted: Wanted { container: "kafka".to_owned(), init_containers: vec![] },
        registry: "registry.site".parse().unwrap(),
        grace_s: 30,
        timeout_ms: 900_000,
        evidence: MemberEvidence::Pod,
        mend: false,
    });
    KubernetesDriver::open(&Kube::new(settings), &pool).unwrap()
}

#[actix_web::test]
async fn passes_of_members_are_bounded_as_a_whole() {
    let api = FakeApi::start();
    let (driver, order) = (driver(&api, 400), order());
    // The set is read at once, its pods never: the request alone would end later than the pass.
    api.hang_on(PODS);
    let cut_off = |error: DriverError| match error {
        DriverError::Kube { source } => match *source {
            KubeError::Timeout { what, .. } => what,
            other => panic!("{other}"),
        },
        other => panic!("{other}"),
    };
    let error = driver.status(&order, Stage::Mutate, Pass::Act).await.unwrap_err();
    assert_eq!(cut_off(error), "do a pass of stage mutate");
    let error = driver.start(&order, Stage::Mutate).await.unwrap_err();
    assert_eq!(cut_off(error), "start stage mutate");
}

#[actix_web::test]
async fn a_pass_over_members_is_not_made_again_within_a_second() {
    let api = FakeApi::start();
    let (driver, order) = (driver(&api, 30_000), order());
    let status = async |pass| driver.status(&order, Stage::Mutate, pass).await.unwrap();
    assert_eq!(status(Pass::Act).await, StepStatus::Absent);
    driver.start(&order, Stage::Mutate).await.unwrap();
    let first = status(Pass::Act).await;
    assert!(matches!(first, StepStatus::Running { .. }), "{first:?}");
    let reads = api.reads();
    assert_eq!(status(Pass::Act).await, first);
    assert_eq!(api.reads(), reads);
    status(Pass::Look).await;
    assert!(api.reads() > reads, "a pass that only looks is another");
}
