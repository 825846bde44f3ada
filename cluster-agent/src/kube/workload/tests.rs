//! Workloads against an API server with controllers that act when told to.

use channels::wire::Role;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Workloads;
use crate::config::{
    Field, FieldValue, ResourcePool, StrimziPool, Wanted, WorkloadKind, WorkloadPool,
};
use crate::driver::{Stage, StepOrder, StepStatus};
use crate::kube::fake::FakeApi;
use crate::observation::{Finding, UnitKey, Witness};

/// What the image of the new release holds.
const IMAGE: &[u8] = b"shop 2.0.0";

const SHOP: &str = "/apis/apps/v1/namespaces/shop/deployments/shop";
const KAFKA: &str = "/apis/kafka.strimzi.io/v1/namespaces/kafka/kafkas/east";
const PODS: &str = "/api/v1/namespaces/kafka/pods";
const WIDGET: &str = "/apis/apps.example/v1/namespaces/shop/widgets/w";

fn digest() -> signing::Sha256Digest {
    signing::Sha256Digest::of(IMAGE)
}

fn key(unit: &str) -> UnitKey {
    UnitKey { product: "acme/shop".parse().unwrap(), unit: unit.parse().unwrap() }
}

fn order(unit: &str) -> StepOrder {
    StepOrder::sample(
        ("acme/shop", unit),
        Role::Workload,
        ["1.0.0", "2.0.0"],
        ("2.0.0", "acme/shop", IMAGE),
    )
}

fn pool(kind: WorkloadKind) -> WorkloadPool {
    WorkloadPool {
        kind,
        namespace: "shop".to_owned(),
        wanted: Wanted { container: "web".to_owned(), init_containers: vec![] },
        registry: "registry.site".parse().unwrap(),
        stuck_after_ms: 600_000,
    }
}

fn deployment() -> Value {
    json!({
        "metadata": { "name": "shop", "uid": "d", "generation": 1 },
        "spec": {
            "replicas": 3,
            "template": {
                "metadata": { "labels": { "app": "shop", "app.kubernetes.io/version": "1.0.0" } },
                "spec": { "containers": [
                    { "name": "web", "image": "registry.site/acme/shop:1.0.0" },
                    { "name": "proxy", "image": "registry.site/proxy:7" },
                ] },
            },
        },
        "status": {
            "observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3,
            "conditions": [{ "type": "Progressing", "status": "True" }],
        },
    })
}

async fn ended(workloads: &Workloads, order: &StepOrder, stage: Stage) -> (i32, String) {
    match workloads.status(order, stage).await.unwrap() {
        StepStatus::Finished { exit_code, log_tail } => (exit_code, log_tail),
        other => panic!("{other:?}"),
    }
}

async fn preflight(workloads: &Workloads, order: &StepOrder) -> (i32, String) {
    workloads.start(order, Stage::Preflight).await.unwrap();
    ended(workloads, order, Stage::Preflight).await
}

async fn waits(workloads: &Workloads, order: &StepOrder) -> String {
    match workloads.status(order, Stage::Mutate).await.unwrap() {
        StepStatus::Running { detail: Some(detail), .. } => detail,
        other => panic!("{other:?}"),
    }
}

async fn word(workloads: &Workloads, unit: &str) -> Witness {
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let mut words = workloads.look(&[key(unit)], now).await;
    words.remove(&key(unit)).unwrap().unwrap()
}

/// The controller has this many updated, old and available pods.
fn rolls(api: &FakeApi, updated: i64, old: i64, available: i64) {
    api.change(SHOP, |shop| {
        let status = &mut shop["status"];
        status["updatedReplicas"] = json!(updated);
        status["replicas"] = json!(updated + old);
        status["availableReplicas"] = json!(available);
    });
}

fn observes(api: &FakeApi, path: &str) {
    api.change(path, |object| {
        object["status"]["observedGeneration"] = object["metadata"]["generation"].clone();
    });
}

#[tokio::test]
async fn a_deployment_is_changed_once_and_watched_until_every_pod_is_new_and_available() {
    let api = FakeApi::start();
    api.put(SHOP, deployment());
    let workloads = Workloads::built_in(api.kube(), pool(WorkloadKind::Deployment));
    let order = order("shop");
    assert_eq!(word(&workloads, "shop").await.version.as_deref(), Some("1.0.0"));
    assert_eq!(preflight(&workloads, &order).await.0, 0);
    assert_eq!(workloads.status(&order, Stage::Mutate).await.unwrap(), StepStatus::Absent);
    workloads.start(&order, Stage::Mutate).await.unwrap();
    workloads.start(&order, Stage::Mutate).await.unwrap();
    assert_eq!(api.writes().len(), 1, "a second start does nothing");
    let containers = api.object(SHOP)["spec"]["template"]["spec"]["containers"].clone();
    assert_eq!(containers[0]["image"], json!(format!("registry.site/acme/shop@{}", digest())));
    assert_eq!(containers[1]["image"], "registry.site/proxy:7");
    assert!(waits(&workloads, &order).await.contains("has not seen generation 2"));
    observes(&api, SHOP);
    rolls(&api, 1, 3, 3);
    assert_eq!(waits(&workloads, &order).await, "1 of 3 pods are updated");
    let mixed = word(&workloads, "shop").await;
    assert_eq!(mixed.version, None, "while two versions run there is no one version");
    assert!(matches!(&mixed.findings[..], [Finding::RolloutIncomplete { .. }]));
    rolls(&api, 3, 1, 3);
    assert_eq!(waits(&workloads, &order).await, "1 old pods have not stopped");
    rolls(&api, 3, 0, 2);
    assert_eq!(waits(&workloads, &order).await, "2 of 3 updated pods are available");
    rolls(&api, 3, 0, 3);
    // An agent that was killed finds the same.
    let other = Workloads::built_in(api.kube(), pool(WorkloadKind::Deployment));
    assert_eq!(ended(&other, &order, Stage::Mutate).await.0, 0);
    let done = word(&workloads, "shop").await;
    assert_eq!((done.version.as_deref(), done.findings.len()), (Some("2.0.0"), 0));
}

#[tokio::test]
async fn a_rollout_that_its_controller_gave_up_fails_with_what_it_said() {
    let api = FakeApi::start();
    api.put(SHOP, deployment());
    let workloads = Workloads::built_in(api.kube(), pool(WorkloadKind::Deployment));
    let order = order("shop");
    workloads.start(&order, Stage::Mutate).await.unwrap();
    observes(&api, SHOP);
    rolls(&api, 1, 2, 2);
    api.change(SHOP, |shop| {
        shop["status"]["conditions"][0] = json!({
            "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
            "message": "ReplicaSet \"shop-2\" has timed out progressing.",
        });
    });
    let (code, why) = ended(&workloads, &order, Stage::Mutate).await;
    assert_eq!(code, 1);
    assert!(why.contains("1 of 3 pods are updated; ProgressDeadlineExceeded"), "{why}");
    // Nothing is rolled back.
    let image = &api.object(SHOP)["spec"]["template"]["spec"]["containers"][0]["image"];
    assert!(image.as_str().unwrap().contains(&digest().to_string()));
    assert_eq!(api.writes().len(), 1);
}

#[tokio::test]
async fn a_rollout_that_stands_still_fails_with_its_numbers() {
    let api = FakeApi::start();
    api.put(SHOP, deployment());
    let hasty = WorkloadPool { stuck_after_ms: 0, ..pool(WorkloadKind::Deployment) };
    let workloads = Workloads::built_in(api.kube(), hasty);
    let order = order("shop");
    workloads.start(&order, Stage::Mutate).await.unwrap();
    observes(&api, SHOP);
    rolls(&api, 1, 2, 2);
    let mut status = workloads.status(&order, Stage::Mutate).await.unwrap();
    // The clock must have moved on by a millisecond.
    while !matches!(status, StepStatus::Finished { .. }) {
        status = workloads.status(&order, Stage::Mutate).await.unwrap();
    }
    let StepStatus::Finished { exit_code: 1, log_tail } = status else { panic!("{status:?}") };
    assert_eq!(log_tail, "Deployment shop has not got on for 0 s: 1 of 3 pods are updated");
}

#[tokio::test]
async fn what_would_not_roll_out_is_refused_by_its_name() {
    let api = FakeApi::start();
    let refused = async |workloads: &Workloads, unit: &str| {
        let (code, why) = preflight(workloads, &order(unit)).await;
        assert_eq!(code, 1, "{why}");
        why
    };
    api.put(SHOP, deployment());
    let workloads = Workloads::built_in(api.kube(), pool(WorkloadKind::Deployment));
    api.change(SHOP, |shop| shop["spec"]["paused"] = json!(true));
    assert!(refused(&workloads, "shop").await.contains("Deployment shop is paused"));
    api.change(SHOP, |shop| shop["spec"]["paused"] = json!(false));
    rolls(&api, 2, 1, 3);
    let moving = refused(&workloads, "shop").await;
    assert_eq!(moving, "Deployment shop is not at rest: 2 of 3 pods are updated");
    rolls(&api, 3, 0, 3);
    let mut strange = pool(WorkloadKind::Deployment);
    strange.wanted.container = "server".to_owned();
    let workloads = Workloads::built_in(api.kube(), strange);
    assert!(refused(&workloads, "shop").await.contains("has no container server"));
    let set = "/apis/apps/v1/namespaces/shop/statefulsets/db";
    api.put(set, deployment());
    api.change(set, |db| {
        db["metadata"]["name"] = json!("db");
        db["spec"]["updateStrategy"] = json!({ "type": "OnDelete" });
    });
    let workloads = Workloads::built_in(api.kube(), pool(WorkloadKind::StatefulSet));
    assert!(refused(&workloads, "db").await.contains("updateStrategy OnDelete"));
    api.change(set, |db| {
        db["spec"]["updateStrategy"] =
            json!({ "type": "RollingUpdate", "rollingUpdate": { "partition": 2 } });
    });
    assert!(refused(&workloads, "db").await.contains("partition 2"));
    assert_eq!(api.writes(), vec![]);
}

#[tokio::test]
async fn a_daemon_set_is_done_when_every_node_has_the_new_pod() {
    let api = FakeApi::start();
    let path = "/apis/apps/v1/namespaces/shop/daemonsets/agent";
    api.put(path, deployment());
    api.change(path, |set| {
        set["metadata"]["name"] = json!("agent");
        set["status"] = json!({
            "observedGeneration": 1, "desiredNumberScheduled": 4, "currentNumberScheduled": 4,
            "updatedNumberScheduled": 4, "numberAvailable": 4,
        });
    });
    let workloads = Workloads::built_in(api.kube(), pool(WorkloadKind::DaemonSet));
    let order = order("agent");
    assert_eq!(preflight(&workloads, &order).await.0, 0);
    workloads.start(&order, Stage::Mutate).await.unwrap();
    observes(&api, path);
    api.change(path, |set| set["status"]["updatedNumberScheduled"] = json!(1));
    assert_eq!(waits(&workloads, &order).await, "1 of 4 pods are updated");
    api.change(path, |set| {
        set["status"]["updatedNumberScheduled"] = json!(4);
        set["status"]["numberAvailable"] = json!(3);
    });
    assert_eq!(waits(&workloads, &order).await, "3 of 4 updated pods are available");
    api.change(path, |set| set["status"]["numberAvailable"] = json!(4));
    assert_eq!(ended(&workloads, &order, Stage::Mutate).await.0, 0);
}

#[tokio::test]
async fn a_change_by_somebody_else_in_the_middle_fails_the_step() {
    let api = FakeApi::start();
    api.put(SHOP, deployment());
    let workloads = Workloads::built_in(api.kube(), pool(WorkloadKind::Deployment));
    let order = order("shop");
    workloads.start(&order, Stage::Mutate).await.unwrap();
    api.change(SHOP, |shop| {
        shop["spec"]["template"]["spec"]["containers"][0]["image"] = json!("registry.site/x:1");
    });
    let (code, why) = ended(&workloads, &order, Stage::Mutate).await;
    assert_eq!((code, why.contains("changed to something else")), (1, true), "{why}");
    observes(&api, SHOP);
    let word = word(&workloads, "shop").await;
    assert!(matches!(&word.findings[..], [Finding::VersionContradicted { .. }]), "{word:?}");
}

#[tokio::test]
async fn the_owner_may_say_which_version_runs_before_the_first_step() {
    let api = FakeApi::start();
    api.put(SHOP, deployment());
    let workloads = Workloads::built_in(api.kube(), pool(WorkloadKind::Deployment));
    api.change(SHOP, |shop| {
        shop["metadata"]["annotations"] = json!({ "fairway.dev/version": "1.0.1" });
    });
    assert_eq!(word(&workloads, "shop").await.version.as_deref(), Some("1.0.1"));
    workloads.start(&order("shop"), Stage::Mutate).await.unwrap();
    observes(&api, SHOP);
    assert_eq!(word(&workloads, "shop").await.version.as_deref(), Some("2.0.0"));
}

#[tokio::test]
async fn a_workload_without_any_available_pod_is_down() {
    let api = FakeApi::start();
    api.put(SHOP, deployment());
    let workloads = Workloads::built_in(api.kube(), pool(WorkloadKind::Deployment));
    rolls(&api, 3, 0, 1);
    let some = word(&workloads, "shop").await;
    assert_eq!((some.ready, some.version.as_deref()), (Some(true), Some("1.0.0")));
    rolls(&api, 3, 0, 0);
    assert_eq!(word(&workloads, "shop").await.ready, Some(false));
}

fn resources(api: &FakeApi, group: &str, kind: &str, plural: &str) {
    let (name, version) = group.split_once('/').unwrap();
    let versions = json!([{ "groupVersion": group, "version": version }]);
    let group_entry = json!({
        "name": name, "versions": versions, "preferredVersion": versions[0],
    });
    api.put(
        "/apis",
        json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": [group_entry] }),
    );
    api.put(
        &format!("/apis/{group}"),
        json!({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group,
            "resources": [{
                "name": plural, "singularName": kind.to_lowercase(), "namespaced": true,
                "kind": kind, "verbs": ["get", "list", "patch"],
            }],
        }),
    );
}

fn widget_pool() -> ResourcePool {
    ResourcePool {
        namespace: "shop".to_owned(),
        api_version: "apps.example/v1".to_owned(),
        resource_kind: "Widget".to_owned(),
        fields: vec![
            Field { pointer: "/spec/image".parse().unwrap(), value: FieldValue::Image },
            Field {
                pointer: "/spec/app/version".parse().unwrap(),
                value: FieldValue::ComponentVersion,
            },
        ],
        registry: Some("registry.site".parse().unwrap()),
        version_pointer: None,
        ready_condition: "Ready".to_owned(),
        failed_condition: Some("Failed".to_owned()),
        stuck_after_ms: 600_000,
    }
}

fn widget() -> Value {
    json!({
        "metadata": { "name": "w", "uid": "w", "generation": 4 },
        "spec": { "image": "registry.site/acme/shop:1", "app": { "version": "1.0.0", "size": 3 } },
        "status": {
            "observedGeneration": 4, "conditions": [{ "type": "Ready", "status": "True" }],
        },
    })
}

#[tokio::test]
async fn only_the_configured_fields_of_a_resource_are_written() {
    let api = FakeApi::start();
    resources(&api, "apps.example/v1", "Widget", "widgets");
    api.put(WIDGET, widget());
    let (workloads, order) = (Workloads::custom(api.kube(), widget_pool()), order("w"));
    assert_eq!(word(&workloads, "w").await.version.as_deref(), Some("1.0.0"));
    assert_eq!(preflight(&workloads, &order).await.0, 0);
    workloads.start(&order, Stage::Mutate).await.unwrap();
    let image = format!("registry.site/acme/shop@{}", digest());
    let expected = json!({ "image": image, "app": { "version": "2.0.0", "size": 3 } });
    assert_eq!(api.object(WIDGET)["spec"], expected);
    assert!(waits(&workloads, &order).await.contains("has not dealt with generation 5"));
    observes(&api, WIDGET);
    api.change(WIDGET, |w| w["status"]["conditions"][0]["status"] = json!("False"));
    assert!(waits(&workloads, &order).await.starts_with("Ready"));
    api.change(WIDGET, |w| w["status"]["conditions"][0]["status"] = json!("True"));
    assert_eq!(ended(&workloads, &order, Stage::Mutate).await.0, 0);
    assert_eq!(word(&workloads, "w").await.version.as_deref(), Some("2.0.0"));
    api.change(WIDGET, |w| w["status"]["conditions"][0]["type"] = json!("Failed"));
    let (code, _) = ended(&workloads, &order, Stage::Mutate).await;
    assert_eq!(code, 1);
}

#[tokio::test]
async fn a_resource_whose_field_lies_in_a_list_or_whose_operator_is_mute_is_refused() {
    let api = FakeApi::start();
    resources(&api, "apps.example/v1", "Widget", "widgets");
    api.put(WIDGET, widget());
    let workloads = Workloads::custom(api.kube(), widget_pool());
    api.change(WIDGET, |w| w["spec"]["app"] = json!([{ "version": "1.0.0" }]));
    let (code, why) = preflight(&workloads, &order("w")).await;
    assert_eq!(code, 1);
    assert!(why.contains("/spec/app/version leads through app, which is no object"), "{why}");
    api.put(WIDGET, widget());
    api.change(WIDGET, |w| w["status"]["observedGeneration"] = Value::Null);
    let (code, why) = preflight(&workloads, &order("w")).await;
    assert_eq!(code, 1);
    assert!(why.contains("reports no status.observedGeneration"), "{why}");
    assert_eq!(api.writes(), vec![]);
}

fn strimzi(api: &FakeApi) -> Workloads {
    resources(api, "kafka.strimzi.io/v1", "Kafka", "kafkas");
    api.put(
        KAFKA,
        json!({
            "metadata": { "name": "east", "uid": "k", "generation": 3, "annotations": { "own": "x" } },
            "spec": { "kafka": { "version": "1.0.0", "config": { "a": 1 } } },
            "status": {
                "observedGeneration": 3, "kafkaVersion": "1.0.0",
                "conditions": [{ "type": "Ready", "status": "True" }],
            },
        }),
    );
    for n in 0..2 {
        kafka_pod(api, n, "1.0.0");
    }
    let pool = StrimziPool {
        namespace: "kafka".to_owned(),
        api_version: None,
        fields: vec![Field {
            pointer: "/spec/kafka/version".parse().unwrap(),
            value: FieldValue::ComponentVersion,
        }],
        registry: None,
        stuck_after_ms: 600_000,
    };
    Workloads::strimzi(api.kube(), pool)
}

fn kafka_pod(api: &FakeApi, n: u32, version: &str) {
    api.put(
        &format!("{PODS}/east-{n}"),
        json!({
            "metadata": {
                "name": format!("east-{n}"), "uid": format!("{n}-{version}"),
                "labels": { "strimzi.io/name": "east-kafka" },
                "annotations": { "strimzi.io/kafka-version": version },
            },
            "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
        }),
    );
}

#[tokio::test]
async fn a_kafka_resource_is_told_the_version_and_its_pods_are_left_to_strimzi() {
    let api = FakeApi::start();
    let (workloads, order) = (strimzi(&api), order("east"));
    let before = word(&workloads, "east").await;
    assert_eq!((before.version.as_deref(), before.ready), (Some("1.0.0"), Some(true)));
    assert_eq!(preflight(&workloads, &order).await.0, 0);
    workloads.start(&order, Stage::Mutate).await.unwrap();
    let spec = json!({ "kafka": { "version": "2.0.0", "config": { "a": 1 } } });
    assert_eq!(api.object(KAFKA)["spec"], spec);
    kafka_pod(&api, 0, "2.0.0");
    let how = waits(&workloads, &order).await;
    let expected = "Strimzi has not finished generation 4: 1 of 2 pods run 2.0.0, 2 are Ready";
    assert_eq!(how, expected);
    let mixed = word(&workloads, "east").await;
    assert_eq!((mixed.version, mixed.ready), (None, Some(false)), "nothing else may go");
    observes(&api, KAFKA);
    assert_eq!(waits(&workloads, &order).await, "1 of 2 pods run 2.0.0, 2 are Ready");
    kafka_pod(&api, 1, "2.0.0");
    assert_eq!(ended(&workloads, &order, Stage::Mutate).await.0, 0);
    assert_eq!(word(&workloads, "east").await.version.as_deref(), Some("2.0.0"));
    assert!(api.writes().iter().all(|call| call.path == KAFKA), "no pod is touched");
}

#[tokio::test]
async fn a_stop_pauses_strimzi_and_says_what_that_does_not_stop() {
    let api = FakeApi::start();
    let (workloads, order) = (strimzi(&api), order("east"));
    workloads.start(&order, Stage::Mutate).await.unwrap();
    workloads.supervise(&order, true).await.unwrap();
    workloads.supervise(&order, true).await.unwrap();
    assert_eq!(api.writes().len(), 2, "what has been told is told once");
    let annotations = api.object(KAFKA)["metadata"]["annotations"].clone();
    assert_eq!(annotations["strimzi.io/pause-reconciliation"], "true");
    let by: Value =
        serde_json::from_str(annotations["fairway.dev/paused-by"].as_str().unwrap()).unwrap();
    assert_eq!(by, json!({ "step": order.step_id, "unit": order.key }));
    let how = waits(&workloads, &order).await;
    assert!(how.contains("one that had begun is finished by Strimzi"), "{how}");
    // A restarted agent, after a person resumed; the step is long over.
    let other = strimzi_again(&api);
    other.free(&[key("west"), order.key]).await.unwrap();
    let annotations = api.object(KAFKA)["metadata"]["annotations"].clone();
    assert_eq!(annotations.get("strimzi.io/pause-reconciliation"), None);
    assert_eq!(annotations["own"], "x");
}

fn strimzi_again(api: &FakeApi) -> Workloads {
    let object = api.object(KAFKA);
    let again = strimzi(api);
    api.put(KAFKA, object);
    again
}

#[tokio::test]
async fn somebody_elses_pause_is_named_and_left_alone() {
    let api = FakeApi::start();
    let (workloads, order) = (strimzi(&api), order("east"));
    api.change(KAFKA, |kafka| {
        kafka["metadata"]["annotations"]["strimzi.io/pause-reconciliation"] = json!("true");
    });
    let (code, why) = preflight(&workloads, &order).await;
    assert_eq!(code, 1);
    assert!(why.contains("which this agent did not set"), "{why}");
    workloads.supervise(&order, true).await.unwrap();
    workloads.free(std::slice::from_ref(&order.key)).await.unwrap();
    assert_eq!(api.writes(), vec![]);
}

#[tokio::test]
async fn a_pause_of_another_agents_unit_is_left_alone() {
    let api = FakeApi::start();
    let (workloads, order) = (strimzi(&api), order("east"));
    let other = json!({ "product": "other/kafka", "unit": "east" });
    for by in [json!({ "step": order.step_id, "unit": other }).to_string(), "somebody".to_owned()] {
        api.change(KAFKA, |kafka| {
            kafka["metadata"]["annotations"] = json!({
                "strimzi.io/pause-reconciliation": "true", "fairway.dev/paused-by": by,
            });
        });
        workloads.free(std::slice::from_ref(&order.key)).await.unwrap();
        let (code, why) = preflight(&workloads, &self::order("east")).await;
        assert_eq!((code, why.contains("somebody else holds it")), (1, true), "{why}");
    }
    assert_eq!(api.writes(), vec![]);
}

#[tokio::test]
async fn a_step_that_has_changed_nothing_pauses_nothing() {
    let api = FakeApi::start();
    let (workloads, order) = (strimzi(&api), order("east"));
    workloads.supervise(&order, true).await.unwrap();
    assert_eq!(api.writes(), vec![]);
}

#[tokio::test]
async fn a_pause_taken_back_in_a_race_is_taken_back_again() {
    let api = FakeApi::start();
    let (workloads, order) = (strimzi(&api), order("east"));
    workloads.start(&order, Stage::Mutate).await.unwrap();
    workloads.supervise(&order, true).await.unwrap();
    api.race(1);
    let units = [order.key];
    assert!(workloads.free(&units).await.is_err(), "somebody else changed it meanwhile");
    workloads.free(&units).await.unwrap();
    let annotations = api.object(KAFKA)["metadata"]["annotations"].clone();
    assert_eq!(annotations.get("strimzi.io/pause-reconciliation"), None);
}

#[tokio::test]
async fn strimzi_that_says_not_ready_is_quoted_and_waited_for() {
    let api = FakeApi::start();
    let (workloads, order) = (strimzi(&api), order("east"));
    workloads.start(&order, Stage::Mutate).await.unwrap();
    observes(&api, KAFKA);
    api.change(KAFKA, |kafka| {
        kafka["status"]["conditions"] = json!([{
            "type": "NotReady", "status": "True", "reason": "FatalProblem", "message": "pod east-1",
        }]);
    });
    let how = waits(&workloads, &order).await;
    assert!(how.starts_with("Strimzi says FatalProblem: pod east-1: 0 of 2 pods"), "{how}");
    // And a roll of its own keeps a step from beginning.
    let (code, why) = preflight(&workloads, &self::order("east")).await;
    assert_eq!(code, 1);
    assert!(why.contains("Kafka east is not at rest"), "{why}");
}
