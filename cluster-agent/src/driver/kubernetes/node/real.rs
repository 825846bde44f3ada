//! One node of a real cluster, from preflight to restore, by a driver that is made anew for every
//! call: whatever goes on, goes on by what the cluster says.
//!
//! `FAIRWAY_KUBECONFIG` names a cluster whose nodes may be changed; `tests/peers/kubernetes.sh`
//! and `hollow_node.sh` make one.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use ::kube::api::{DeleteParams, ListParams};
use channels::wire::Role;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use serde_json::{Value, json};

use super::super::super::{Pass, Stage, StepOrder, StepStatus};
use super::NodeDriver;
use crate::config::{DrainSettings, EtcdSettings, NodeEvidence, NodePool};
use crate::kube::node::etcd::EtcdWatch;
use crate::kube::node::objects::Node;
use crate::kube::node::{NODES, NodeWatch, Watched, pods_of};
use crate::kube::object::Pod;
use crate::kube::real::{LOOK_EVERY, NODE_JOB, PATIENCE, RealCluster};
use crate::observation::{Finding, Witness};

/// A Job of a hollow node's that fails.
const FAILING: &str = r#"
apiVersion: batch/v1
kind: Job
spec:
  template:
    spec:
      containers: [{ name: upgrade, image: "registry.example/tools:1", env: [{ name: EXIT, value: "3" }] }]
"#;

struct Lab {
    cluster: RealCluster,
    node: String,
    dir: tempfile::TempDir,
}

impl Lab {
    async fn open() -> Self {
        let cluster = RealCluster::open().await;
        let nodes: Vec<Node> = cluster.kube.list(NODES, &ListParams::default()).await.unwrap();
        let node = nodes.first().expect("a node").metadata.name.clone();
        let account = json!({ "metadata": { "name": "upgrade" } });
        cluster.create(&cluster.path("v1", "serviceaccounts"), account).await;
        Self { cluster, node, dir: tempfile::tempdir().unwrap() }
    }

    /// Pods that can live on the node of the test only, and a budget over them.
    async fn make_work(&self) {
        let labels = json!({ "app": "web" });
        let work = json!({
            "metadata": { "name": "web" },
            "spec": {
                "replicas": 2,
                "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels }, "spec": {
                    "nodeSelector": { "kubernetes.io/hostname": self.node },
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{ "name": "web", "image": "registry.example/web:1" }],
                } },
            },
        });
        self.cluster.create(&self.cluster.path("apps/v1", "deployments"), work).await;
        let budget = json!({
            "metadata": { "name": "web-budget" },
            "spec": { "minAvailable": 2, "selector": { "matchLabels": labels } },
        });
        self.cluster.create(&self.cluster.path("policy/v1", "poddisruptionbudgets"), budget).await;
        self.budget_is(json!(2), 0).await;
    }

    /// Sets the budget, and waits until the cluster has worked out how many may go.
    async fn budget_is(&self, least: Value, allowed: i64) {
        let path = self.cluster.path("policy/v1", "poddisruptionbudgets");
        let patch = json!({ "spec": { "minAvailable": least } });
        self.cluster.merge(&path, "web-budget", patch).await;
        self.cluster
            .until("the budget is worked out", async || {
                let budget = self.cluster.get(&path, "web-budget").await.unwrap();
                let status = &budget["status"];
                let known = status["observedGeneration"] == budget["metadata"]["generation"];
                known && status["currentHealthy"] == 2 && status["disruptionsAllowed"] == allowed
            })
            .await;
    }

    fn pool(&self, template: &str) -> NodePool {
        let path = self.dir.path().join("job.yaml");
        std::fs::write(&path, template).unwrap();
        NodePool {
            job_template: path,
            namespace: self.cluster.namespace.clone(),
            service_account: "upgrade".to_owned(),
            job_timeout_ms: 90_000,
            job_retries: 2,
            drain: DrainSettings {
                delete_empty_dir: false,
                force_unmanaged: false,
                grace_s: Some(1),
                timeout_ms: 600_000,
                waived_budgets: BTreeSet::new(),
            },
            evidence: NodeEvidence::KubeletVersion,
            reboot: true,
        }
    }

    /// A driver without a memory.
    fn driver(&self, template: &str) -> NodeDriver {
        NodeDriver::open(self.cluster.kube.clone(), &self.pool(template)).unwrap()
    }

    fn order(&self, version: &str) -> StepOrder {
        StepOrder::sample(
            ("acme/platform", &self.node),
            Role::Node,
            ["1.0.0", "1.1.0"],
            (version, "acme/node", b"n"),
        )
    }

    async fn node(&self) -> Node {
        self.cluster.kube.get(NODES, &self.node).await.unwrap().unwrap()
    }

    async fn word(&self) -> Witness {
        let key = self.order("0").key;
        let watched = Watched { key: key.clone(), pool: self.pool(NODE_JOB) };
        let mut watch = NodeWatch::new(self.cluster.kube.clone(), vec![watched]);
        let (mut words, _) = watch.gather(None, Timestamp::UNIX_EPOCH).await.judge(None);
        words.remove(&key).unwrap().unwrap()
    }

    async fn stage_ends(&self, template: &str, order: &StepOrder, stage: Stage) -> (i32, String) {
        let begun = tokio::time::Instant::now();
        loop {
            match self.driver(template).status(order, stage, Pass::Act).await {
                Ok(StepStatus::Finished { exit_code, log_tail }) => return (exit_code, log_tail),
                found => assert!(begun.elapsed() < PATIENCE, "{stage} does not end: {found:?}"),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn close(self) {
        let api = ::kube::Api::<Namespace>::all(self.cluster.kube.client().await.unwrap());
        api.delete(&self.cluster.namespace, &DeleteParams::default()).await.unwrap();
    }
}

/// The version after the one a kubelet runs, so that the test can be run again.
fn another(version: &str) -> String {
    let (minor, patch) = version.rsplit_once('.').unwrap();
    let patch: u64 = patch.parse().unwrap();
    format!("{minor}.{}", patch + 1)
}

async fn preflight_names_the_budget(lab: &Lab, order: &StepOrder) {
    let (exit, said) = lab.stage_ends(NODE_JOB, order, Stage::Preflight).await;
    let budget = format!("{}/web-budget", lab.cluster.namespace);
    assert!(exit == 1 && said.contains(&budget) && said.contains("2 of 2"), "{exit}: {said}");
    assert!(!lab.node().await.spec.unschedulable, "cordoned in spite of the budget");
}

async fn drain_waits_for_the_budget(lab: &Lab, order: &StepOrder) {
    lab.budget_is(json!(1), 1).await;
    assert_eq!(lab.stage_ends(NODE_JOB, order, Stage::Preflight).await, (0, String::new()));
    lab.driver(NODE_JOB).start(order, Stage::Quiesce).await.unwrap();
    lab.driver(NODE_JOB).start(order, Stage::Quiesce).await.unwrap();
    assert!(lab.node().await.spec.unschedulable);
    // One goes; the other cannot, for its replacement has nowhere to be.
    lab.cluster
        .until("the drain waits for the budget", async || {
            let status =
                lab.driver(NODE_JOB).status(order, Stage::Quiesce, Pass::Act).await.unwrap();
            let StepStatus::Running { detail, .. } = status else { panic!("{status:?}") };
            let detail = detail.unwrap();
            detail.starts_with("1 pod is left") && detail.contains("web-budget")
        })
        .await;
    let budgets = lab.cluster.path("policy/v1", "poddisruptionbudgets");
    lab.cluster.merge(&budgets, "web-budget", json!({ "spec": { "minAvailable": 0 } })).await;
    assert_eq!(lab.stage_ends(NODE_JOB, order, Stage::Quiesce).await, (0, String::new()));
    let pods: Vec<Pod> = lab
        .cluster
        .kube
        .list(&pods_of(&lab.cluster.namespace), &crate::kube::node::on_node(&lab.node))
        .await
        .unwrap();
    assert!(pods.is_empty(), "{pods:?}");
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server in FAIRWAY_KUBECONFIG, and changes a node of it"]
async fn a_node_of_a_real_cluster_is_drained_changed_and_put_back() {
    let lab = Lab::open().await;
    lab.make_work().await;
    let before = lab.word().await;
    let order = lab.order(&another(before.version.as_deref().unwrap()));
    preflight_names_the_budget(&lab, &order).await;
    drain_waits_for_the_budget(&lab, &order).await;

    assert_eq!(
        lab.driver(NODE_JOB).status(&order, Stage::Mutate, Pass::Act).await.unwrap(),
        StepStatus::Absent
    );
    lab.driver(NODE_JOB).start(&order, Stage::Mutate).await.unwrap();
    lab.driver(NODE_JOB).start(&order, Stage::Mutate).await.unwrap();
    assert_eq!(lab.stage_ends(NODE_JOB, &order, Stage::Mutate).await, (0, String::new()));
    lab.cluster
        .until("the node says that it runs the new version", async || {
            let word = lab.word().await;
            word.version.as_deref() == Some(order.component.version.as_str())
                && word.incarnation != before.incarnation
                && word.ready == Some(true)
        })
        .await;

    // Another step has nothing to undo here.
    let other = lab.order("1.0.0");
    assert_eq!(lab.stage_ends(NODE_JOB, &other, Stage::Restore).await, (0, String::new()));
    assert!(lab.node().await.spec.unschedulable);
    assert_eq!(lab.stage_ends(NODE_JOB, &order, Stage::Restore).await, (0, String::new()));
    let after = lab.node().await;
    assert!(
        !after.spec.unschedulable
            && after.metadata.annotations.keys().all(|k| !k.contains("fairway"))
    );
    lab.close().await;
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server in FAIRWAY_KUBECONFIG"]
async fn members_of_etcd_are_asked_with_a_client_certificate() {
    let kubeconfig = PathBuf::from(std::env::var_os("FAIRWAY_KUBECONFIG").unwrap());
    let pki = kubeconfig.parent().unwrap().join("pki");
    let config = std::fs::read_to_string(&kubeconfig).unwrap();
    let server = config.lines().find_map(|line| line.trim().strip_prefix("server: ")).unwrap();
    // The API server's own page is behind a client certificate, as members' pages are elsewhere.
    let settings = EtcdSettings {
        check: true,
        metrics_urls: vec![format!("{server}/metrics")],
        ca: Some(pki.join("ca.crt")),
        identity: Some((pki.join("admin.crt"), pki.join("admin.key"))),
        max_pending: 0,
    };
    let look = async |settings: EtcdSettings| {
        let mut watch = EtcdWatch::new(settings, Duration::from_secs(5));
        watch.look(Timestamp::UNIX_EPOCH).await[0].to_string()
    };
    let found = look(settings.clone()).await;
    assert!(found.contains("no metric etcd_server_has_leader"), "{found}");
    let nobody = look(EtcdSettings { identity: None, ..settings.clone() }).await;
    assert!(nobody.contains("it answers 40"), "{nobody}");
    let unproved = look(EtcdSettings { ca: None, ..settings }).await;
    assert!(unproved.contains("does not answer"), "{unproved}");
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server in FAIRWAY_KUBECONFIG, and changes a node of it"]
async fn a_failed_job_and_a_foreign_cordon_are_said_on_a_real_cluster() {
    let lab = Lab::open().await;
    let order = lab.order("1.0.0");
    lab.driver(FAILING).start(&order, Stage::Quiesce).await.unwrap();
    let (exit, said) = lab.stage_ends(FAILING, &order, Stage::Quiesce).await;
    assert_eq!((exit, said.as_str()), (0, ""));
    lab.driver(FAILING).start(&order, Stage::Mutate).await.unwrap();
    let (exit, said) = lab.stage_ends(FAILING, &order, Stage::Mutate).await;
    assert!(exit == 1 && said.contains("BackoffLimitExceeded"), "{exit}: {said}");
    lab.stage_ends(FAILING, &order, Stage::Restore).await;
    assert!(!lab.node().await.spec.unschedulable);

    let cordon = json!({ "spec": { "unschedulable": true } });
    lab.cluster.merge(NODES, &lab.node, cordon).await;
    let next = lab.order("1.0.0");
    let (exit, said) = lab.stage_ends(NODE_JOB, &next, Stage::Preflight).await;
    assert!(exit == 1 && said.contains("not by this agent"), "{exit}: {said}");
    assert!(lab.word().await.findings.iter().any(|f| matches!(f, Finding::ForeignCordon { .. })));
    lab.driver(NODE_JOB).start(&next, Stage::Quiesce).await.unwrap_err();
    assert_eq!(lab.stage_ends(NODE_JOB, &next, Stage::Restore).await, (0, String::new()));
    assert!(lab.node().await.spec.unschedulable, "a foreign cordon was taken away");
    let uncordon = json!({ "spec": { "unschedulable": null } });
    lab.cluster.merge(NODES, &lab.node, uncordon).await;
    lab.close().await;
}
