//! A quorum of three in a StatefulSet of a real cluster, by a driver that is made anew for every
//! call: whatever goes on, goes on by what the cluster says.

use std::collections::BTreeMap;

use channels::wire::Role;
use serde_json::{Value, json};

use super::StatefulSetMembers;
use crate::config::{MemberEvidence, StatefulSetPool, Wanted};
use crate::driver::{Pass, Stage, StepOrder, StepStatus};
use crate::kube::real::RealCluster;
use crate::observation::{UnitKey, Witness};

const BUDGETS: &str = "policy/v1";

struct Lab {
    cluster: RealCluster,
    sets: String,
    pods: String,
}

fn key(unit: &str) -> UnitKey {
    UnitKey { product: "acme/kafka".parse().unwrap(), unit: unit.parse().unwrap() }
}

fn order(unit: &str, version: &str) -> StepOrder {
    StepOrder::sample(
        ("acme/kafka", unit),
        Role::Controller,
        ["3.9.1", version],
        (version, "acme/kafka", version.as_bytes()),
    )
}

impl Lab {
    async fn open() -> Self {
        let cluster = RealCluster::open().await;
        let (sets, pods) = (cluster.path("apps/v1", "statefulsets"), cluster.path("v1", "pods"));
        let lab = Self { cluster, sets, pods };
        let labels = json!({ "app": "quorum" });
        let set = json!({
            "metadata": { "name": "quorum" },
            "spec": {
                "replicas": 3,
                "serviceName": "quorum",
                "podManagementPolicy": "Parallel",
                "updateStrategy": { "type": "OnDelete" },
                "selector": { "matchLabels": labels },
                "template": {
                    "metadata": { "labels": { "app": "quorum", "app.kubernetes.io/version": "3.9.1" } },
                    "spec": {
                        "terminationGracePeriodSeconds": 1,
                        "initContainers": [{ "name": "format", "image": "registry.example/acme/kafka:3.9.1" }],
                        "containers": [{ "name": "kafka", "image": "registry.example/acme/kafka:3.9.1" }],
                    },
                },
            },
        });
        lab.cluster.create(&lab.sets, set).await;
        let budget = json!({
            "metadata": { "name": "quorum" },
            "spec": { "maxUnavailable": 1, "selector": { "matchLabels": labels } },
        });
        lab.cluster.create(&lab.cluster.path(BUDGETS, "poddisruptionbudgets"), budget).await;
        lab.until_all_ready().await;
        lab
    }

    fn pool(&self) -> StatefulSetPool {
        StatefulSetPool {
            namespace: self.cluster.namespace.clone(),
            name: "quorum".to_owned(),
            wanted: Wanted {
                container: "kafka".to_owned(),
                init_containers: vec!["format".to_owned()],
            },
            registry: "registry.example".parse().unwrap(),
            grace_s: 30,
            timeout_ms: 900_000,
            evidence: MemberEvidence::Pod,
            mend: false,
        }
    }

    /// A driver without any memory.
    fn anew(&self) -> StatefulSetMembers {
        StatefulSetMembers::new(self.cluster.kube.clone(), self.pool())
    }

    async fn words(&self) -> BTreeMap<String, Witness> {
        let units = [key("quorum-0"), key("quorum-1"), key("quorum-2")];
        let words = self.anew().look(&units, crate::clock::now()).await.words;
        words.into_iter().map(|(key, word)| (key.unit.to_string(), word.unwrap())).collect()
    }

    async fn until_all_ready(&self) {
        self.cluster
            .until("all members are Ready", async || {
                self.words().await.values().all(|word| word.ready == Some(true))
            })
            .await;
    }

    async fn budget(&self, spec: Value) {
        let path = self.cluster.path(BUDGETS, "poddisruptionbudgets");
        self.cluster.merge(&path, "quorum", json!({ "spec": spec })).await;
        self.cluster
            .until("the budget is worked out", async || {
                let budget = self.cluster.get(&path, "quorum").await.unwrap();
                budget["status"]["observedGeneration"] == budget["metadata"]["generation"]
            })
            .await;
    }

    async fn preflight(&self, order: &StepOrder) -> (i32, String) {
        let members = self.anew();
        members.start(order, Stage::Preflight).await.unwrap();
        match members.status(order, Stage::Preflight, Pass::Act).await.unwrap() {
            StepStatus::Finished { exit_code, log_tail } => (exit_code, log_tail),
            other => panic!("{other:?}"),
        }
    }

    async fn mutate(&self, order: &StepOrder) -> (i32, String, Vec<String>) {
        self.anew().start(order, Stage::Mutate).await.unwrap();
        let status = async || self.anew().status(order, Stage::Mutate, Pass::Act).await.unwrap();
        self.cluster.poll(status).await
    }

    async fn uid(&self, pod: &str) -> Value {
        self.cluster.get(&self.pods, pod).await.unwrap()["metadata"]["uid"].clone()
    }
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server with a node, FAIRWAY_KUBECONFIG"]
async fn a_quorum_is_rolled_one_member_at_a_time() {
    let lab = Lab::open().await;
    let mut uids = Vec::new();
    for n in 0..3 {
        uids.push(lab.uid(&format!("quorum-{n}")).await);
    }
    for n in [2, 0, 1] {
        let (unit, before) = (format!("quorum-{n}"), lab.words().await);
        let order = order(&unit, "4.0.0");
        let (code, said) = lab.preflight(&order).await;
        assert_eq!((code, said.contains("disruption budget quorum")), (0, true), "{said}");
        let (code, said, waits) = lab.mutate(&order).await;
        println!("{unit}: {waits:?} {said}");
        assert_eq!(code, 0, "{said}");
        lab.until_all_ready().await;
        let after = lab.words().await;
        for (name, word) in &after {
            let same = before[name].incarnation == word.incarnation;
            assert_eq!(same, *name != unit, "{name} while {unit} was rolled");
        }
        assert_eq!(after[&unit].version.as_deref(), Some("4.0.0"));
        uids[n] = lab.uid(&unit).await;
    }
    let words = lab.words().await;
    assert!(words.values().all(|word| word.version.as_deref() == Some("4.0.0")));
    assert!(words.values().all(|word| word.findings.is_empty()), "{words:?}");
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server with a node, FAIRWAY_KUBECONFIG"]
async fn a_budget_that_never_allows_is_named_and_one_that_does_not_now_is_waited_for() {
    let lab = Lab::open().await;
    lab.budget(json!({ "maxUnavailable": 0 })).await;
    let order = order("quorum-1", "4.0.0");
    let (code, why) = lab.preflight(&order).await;
    assert_eq!((code, why.contains("/quorum never allows pod")), (1, true), "{why}");
    // Set after the checks: the eviction is refused, and nothing is deleted instead.
    let before = lab.uid("quorum-1").await;
    lab.anew().start(&order, Stage::Mutate).await.unwrap();
    lab.cluster
        .until("the eviction is refused", async || {
            match lab.anew().status(&order, Stage::Mutate, Pass::Act).await.unwrap() {
                StepStatus::Running { detail: Some(detail), .. } => {
                    detail.contains("may not go yet") && detail.contains("quorum")
                }
                other => panic!("{other:?}"),
            }
        })
        .await;
    assert_eq!(lab.uid("quorum-1").await, before);
    lab.budget(json!({ "maxUnavailable": 1 })).await;
    let status = async || lab.anew().status(&order, Stage::Mutate, Pass::Act).await.unwrap();
    let (code, said, _) = lab.cluster.poll(status).await;
    assert_eq!(code, 0, "{said}");
    assert_ne!(lab.uid("quorum-1").await, before);
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server with a node, FAIRWAY_KUBECONFIG"]
async fn a_member_that_restarts_by_itself_comes_back_new_and_says_so() {
    let lab = Lab::open().await;
    let order = order("quorum-0", "4.0.0");
    let (code, said, _) = lab.mutate(&order).await;
    assert_eq!(code, 0, "{said}");
    lab.until_all_ready().await;
    let before = lab.words().await["quorum-2"].clone();
    assert_eq!(before.version.as_deref(), Some("3.9.1"));
    // Somebody evicts another member: under OnDelete it is made from the new template.
    let body = json!({
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": { "name": "quorum-2", "namespace": lab.cluster.namespace },
    });
    let kube = &lab.cluster.kube;
    kube.post_subresource::<Value>(&lab.pods, "quorum-2", "eviction", &body).await.unwrap();
    lab.cluster
        .until("it is back", async || {
            let word = lab.words().await["quorum-2"].clone();
            word.ready == Some(true) && word.incarnation != before.incarnation
        })
        .await;
    let after = lab.words().await["quorum-2"].clone();
    assert_eq!(after.version.as_deref(), Some("4.0.0"));
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server with a node, FAIRWAY_KUBECONFIG"]
async fn an_image_that_cannot_be_pulled_takes_out_one_member_and_no_more() {
    let lab = Lab::open().await;
    let mut pool = lab.pool();
    pool.registry = "registry.invalid".parse().unwrap();
    let members = StatefulSetMembers::new(lab.cluster.kube.clone(), pool);
    let first = order("quorum-1", "4.0.0");
    members.start(&first, Stage::Mutate).await.unwrap();
    let status = async || members.status(&first, Stage::Mutate, Pass::Act).await.unwrap();
    assert_eq!(lab.cluster.poll(status).await.0, 0, "the pod is made anew, and cannot start");
    lab.cluster
        .until("it says what it waits for", async || {
            let word = lab.words().await["quorum-1"].clone();
            word.findings.iter().any(|finding| finding.to_string().contains("ImagePull"))
        })
        .await;
    let word = lab.words().await["quorum-1"].clone();
    assert_eq!((word.ready, word.version), (Some(false), None), "what never started runs nothing");
    let (code, why) = lab.preflight(&order("quorum-2", "4.0.0")).await;
    assert_eq!((code, why.contains("member quorum-1 is not Ready")), (1, true), "{why}");
}
