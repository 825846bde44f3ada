//! Workloads in a real cluster: its own controllers roll them out. Strimzi's operator is played by
//! the test, on a custom resource of its name.

use channels::wire::Role;
use serde_json::{Value, json};

use super::Workloads;
use crate::config::{Field, FieldValue, StrimziPool, Wanted, WorkloadKind, WorkloadPool};
use crate::driver::{Stage, StepOrder, StepStatus};
use crate::kube::real::RealCluster;
use crate::observation::{UnitKey, Witness};

fn key(unit: &str) -> UnitKey {
    UnitKey { product: "acme/shop".parse().unwrap(), unit: unit.parse().unwrap() }
}

fn order(unit: &str, version: &str) -> StepOrder {
    StepOrder::sample(
        ("acme/shop", unit),
        Role::Workload,
        ["1.0.0", version],
        (version, "acme/shop", version.as_bytes()),
    )
}

fn pool(cluster: &RealCluster, kind: WorkloadKind, registry: &str) -> WorkloadPool {
    WorkloadPool {
        kind,
        namespace: cluster.namespace.clone(),
        wanted: Wanted { container: "web".to_owned(), init_containers: vec![] },
        registry: registry.parse().unwrap(),
        stuck_after_ms: 3_000,
    }
}

fn object(spec: &Value) -> Value {
    let labels = json!({ "app": "shop" });
    let mut object = json!({
        "metadata": { "name": "shop" },
        "spec": {
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": { "app": "shop", "app.kubernetes.io/version": "1.0.0" } },
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{ "name": "web", "image": "registry.example/acme/shop:1" }],
                },
            },
        },
    });
    for (name, value) in spec.as_object().unwrap() {
        object["spec"][name] = value.clone();
    }
    object
}

async fn word(workloads: &Workloads, unit: &str) -> Witness {
    let mut words = workloads.look(&[key(unit)], crate::clock::now()).await;
    words.remove(&key(unit)).unwrap().unwrap()
}

async fn preflight(workloads: &Workloads, order: &StepOrder) -> (i32, String) {
    workloads.start(order, Stage::Preflight).await.unwrap();
    match workloads.status(order, Stage::Preflight).await.unwrap() {
        StepStatus::Finished { exit_code, log_tail } => (exit_code, log_tail),
        other => panic!("{other:?}"),
    }
}

/// Rolls an object of a kind out well, then into an image that nobody can pull.
async fn rolls_and_sticks(kind: WorkloadKind, plural: &str, spec: Value) {
    let cluster = RealCluster::open().await;
    let path = cluster.path("apps/v1", plural);
    cluster.create(&path, object(&spec)).await;
    let anew =
        || Workloads::built_in(cluster.kube.clone(), pool(&cluster, kind, "registry.example"));
    cluster
        .until("it is rolled out", async || {
            word(&anew(), "shop").await.version.as_deref() == Some("1.0.0")
                && word(&anew(), "shop").await.findings.is_empty()
        })
        .await;
    let good = order("shop", "2.0.0");
    let (code, said) = preflight(&anew(), &good).await;
    assert_eq!(code, 0, "{said}");
    // One driver to the end: how long a rollout has stood still is its memory.
    let patient =
        WorkloadPool { stuck_after_ms: 60_000, ..pool(&cluster, kind, "registry.example") };
    let driver = Workloads::built_in(cluster.kube.clone(), patient);
    driver.start(&good, Stage::Mutate).await.unwrap();
    let status = async || driver.status(&good, Stage::Mutate).await.unwrap();
    let (code, said, waits) = cluster.poll(status).await;
    println!("{}: {waits:?} {said}", kind.as_str());
    assert_eq!(code, 0, "{said}");
    let rolled = word(&anew(), "shop").await;
    assert_eq!((rolled.version.as_deref(), rolled.findings.len()), (Some("2.0.0"), 0));
    let bad = order("shop", "3.0.0");
    let driver =
        Workloads::built_in(cluster.kube.clone(), pool(&cluster, kind, "registry.invalid"));
    driver.start(&bad, Stage::Mutate).await.unwrap();
    let status = async || driver.status(&bad, Stage::Mutate).await.unwrap();
    let (code, said, waits) = cluster.poll(status).await;
    println!("{}: {waits:?} {said}", kind.as_str());
    assert_eq!((code, said.contains("has not got on for 3 s")), (1, true), "{said}");
    let stuck = word(&anew(), "shop").await;
    assert!(!stuck.findings.is_empty());
    let image = cluster.get(&path, "shop").await.unwrap();
    let image = image["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap();
    assert!(image.starts_with("registry.invalid/"), "nothing is rolled back: {image}");
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server with a node, FAIRWAY_KUBECONFIG"]
async fn a_deployment_rolls_out_and_a_stuck_one_fails() {
    rolls_and_sticks(WorkloadKind::Deployment, "deployments", json!({ "replicas": 2 })).await;
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server with a node, FAIRWAY_KUBECONFIG"]
async fn a_stateful_set_rolls_out_and_a_stuck_one_fails() {
    let spec = json!({ "replicas": 2, "serviceName": "shop" });
    rolls_and_sticks(WorkloadKind::StatefulSet, "statefulsets", spec).await;
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server with a node, FAIRWAY_KUBECONFIG"]
async fn a_daemon_set_rolls_out_and_a_stuck_one_fails() {
    rolls_and_sticks(WorkloadKind::DaemonSet, "daemonsets", json!({})).await;
}

/// The part of Strimzi's resource that is written and read here.
async fn define_kafka(cluster: &RealCluster) {
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    if cluster.get(path, "kafkas.kafka.strimzi.io").await.is_none() {
        let any = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": { "name": "kafkas.kafka.strimzi.io" },
            "spec": {
                "group": "kafka.strimzi.io", "scope": "Namespaced",
                "names": { "kind": "Kafka", "plural": "kafkas", "singular": "kafka" },
                "versions": [{
                    "name": "v1", "served": true, "storage": true, "subresources": { "status": {} },
                    "schema": { "openAPIV3Schema": {
                        "type": "object", "properties": { "spec": any, "status": any },
                    } },
                }],
            },
        });
        cluster.create(path, definition).await;
    }
    let kafkas = cluster.path("kafka.strimzi.io/v1", "kafkas");
    cluster
        .until("the kind is served", async || {
            cluster.kube.list::<Value>(&kafkas, &::kube::api::ListParams::default()).await.is_ok()
        })
        .await;
}

/// What the operator reports after a reconciliation.
async fn reconciled(cluster: &RealCluster, version: &str) {
    let kafkas = cluster.path("kafka.strimzi.io/v1", "kafkas");
    let kafka = cluster.get(&kafkas, "east").await.unwrap();
    let status = json!({ "status": {
        "observedGeneration": kafka["metadata"]["generation"], "kafkaVersion": version,
        "conditions": [{ "type": "Ready", "status": "True" }],
    } });
    cluster.merge(&format!("{kafkas}/east"), "status", status).await;
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server with a node, FAIRWAY_KUBECONFIG"]
async fn a_kafka_resource_is_told_paused_and_followed() {
    let cluster = RealCluster::open().await;
    define_kafka(&cluster).await;
    let (kafkas, pods) =
        (cluster.path("kafka.strimzi.io/v1", "kafkas"), cluster.path("v1", "pods"));
    let kafka = json!({
        "apiVersion": "kafka.strimzi.io/v1", "kind": "Kafka", "metadata": { "name": "east" },
        "spec": { "kafka": { "version": "1.0.0", "listeners": [{ "port": 9092 }] } },
    });
    cluster.create(&kafkas, kafka).await;
    let pod = json!({
        "metadata": {
            "name": "east-0", "labels": { "strimzi.io/name": "east-kafka" },
            "annotations": { "strimzi.io/kafka-version": "1.0.0" },
        },
        "spec": { "containers": [{ "name": "kafka", "image": "registry.example/kafka:1" }] },
    });
    cluster.create(&pods, pod).await;
    reconciled(&cluster, "1.0.0").await;
    let workloads = Workloads::strimzi(
        cluster.kube.clone(),
        StrimziPool {
            namespace: cluster.namespace.clone(),
            api_version: None,
            fields: vec![Field {
                pointer: "/spec/kafka/version".parse().unwrap(),
                value: FieldValue::ComponentVersion,
            }],
            registry: None,
            stuck_after_ms: 60_000,
        },
    );
    cluster.until("it is whole", async || word(&workloads, "east").await.ready == Some(true)).await;
    let order = order("east", "2.0.0");
    let (code, said) = preflight(&workloads, &order).await;
    assert_eq!(code, 0, "{said}");
    workloads.start(&order, Stage::Mutate).await.unwrap();
    workloads.supervise(&order, true).await.unwrap();
    let told = cluster.get(&kafkas, "east").await.unwrap();
    let spec = json!({ "kafka": { "version": "2.0.0", "listeners": [{ "port": 9092 }] } });
    assert_eq!(told["spec"], spec);
    assert_eq!(told["metadata"]["annotations"]["strimzi.io/pause-reconciliation"], "true");
    let StepStatus::Running { detail: Some(how), .. } =
        workloads.status(&order, Stage::Mutate).await.unwrap()
    else {
        panic!("it has ended");
    };
    assert!(how.contains("one that had begun is finished by Strimzi"), "{how}");
    workloads.free(std::slice::from_ref(&order.key)).await.unwrap();
    let free = cluster.get(&kafkas, "east").await.unwrap();
    assert_eq!(free["metadata"]["annotations"].get("strimzi.io/pause-reconciliation"), None);
    let version = json!({ "metadata": { "annotations": { "strimzi.io/kafka-version": "2.0.0" } } });
    cluster.merge(&pods, "east-0", version).await;
    reconciled(&cluster, "2.0.0").await;
    let status = async || workloads.status(&order, Stage::Mutate).await.unwrap();
    let (code, said, _) = cluster.poll(status).await;
    assert_eq!(code, 0, "{said}");
    assert_eq!(word(&workloads, "east").await.version.as_deref(), Some("2.0.0"));
}
