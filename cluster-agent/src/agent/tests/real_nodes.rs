//! The whole agent rolls the nodes of a real cluster: signed metadata, kubelets' pages over TLS with
//! a token, cordon, eviction, Job, boot id, uncordon.
//!
//! `FAIRWAY_KUBECONFIG` names a cluster of hollow nodes (`tests/peers/kubernetes.sh`), all of which
//! run 1.32.0; beside it lies `pki/ca.crt`.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use ::kube::api::ListParams;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::lab::{Lab, Offer};
use crate::config::{Overrides, Settings};
use crate::kube::real::{NODE_JOB, RealCluster};
use crate::status::{self, Status};
use crate::{agent, clock};

/// Some nodes, each with a drain, a reboot and relists to be counted.
const PATIENCE: Duration = Duration::from_mins(8);

struct Cluster {
    real: RealCluster,
    nodes: Vec<(String, u64)>,
}

impl Cluster {
    async fn open(dir: &Path) -> Self {
        let real = RealCluster::open().await;
        let found: Vec<Value> =
            real.kube.list("/api/v1/nodes", &ListParams::default()).await.unwrap();
        let port = |node: &Value| {
            node.pointer("/status/daemonEndpoints/kubeletEndpoint/Port")
                .and_then(Value::as_u64)
                .unwrap()
        };
        let name = |node: &Value| node["metadata"]["name"].as_str().unwrap().to_owned();
        let nodes = found.iter().map(|node| (name(node), port(node))).collect();
        let cluster = Self { real, nodes };
        cluster.prepare(dir).await;
        cluster
    }

    /// Some work to be moved, and an account that may read kubelets' pages.
    async fn prepare(&self, dir: &Path) {
        let RealCluster { kube, namespace, .. } = &self.real;
        let accounts = self.real.path("v1", "serviceaccounts");
        self.real.create(&accounts, json!({ "metadata": { "name": "upgrade" } })).await;
        self.real.create(&accounts, json!({ "metadata": { "name": "reader" } })).await;
        let rbac = "/apis/rbac.authorization.k8s.io/v1";
        let rule = json!({ "apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"] });
        let role = json!({ "metadata": { "name": namespace }, "rules": [rule] });
        self.real.create(&format!("{rbac}/clusterroles"), role).await;
        let binding = json!({
            "metadata": { "name": namespace },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": namespace },
            "subjects": [{ "kind": "ServiceAccount", "name": "reader", "namespace": namespace }],
        });
        self.real.create(&format!("{rbac}/clusterrolebindings"), binding).await;
        let asked = json!({ "spec": { "expirationSeconds": 3600 } });
        let token: Value =
            kube.post_subresource(&accounts, "reader", "token", &asked).await.unwrap();
        std::fs::write(dir.join("token"), token["status"]["token"].as_str().unwrap()).unwrap();
        std::fs::write(dir.join("job.yaml"), NODE_JOB).unwrap();
        let labels = json!({ "app": "web" });
        let work = json!({
            "metadata": { "name": "web" },
            "spec": {
                "replicas": 4,
                "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels }, "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{ "name": "web", "image": "registry.example/web:1" }],
                } },
            },
        });
        self.real.create(&self.real.path("apps/v1", "deployments"), work).await;
        let budget = json!({
            "metadata": { "name": "web" },
            "spec": { "minAvailable": 3, "selector": { "matchLabels": labels } },
        });
        self.real.create(&self.real.path("policy/v1", "poddisruptionbudgets"), budget).await;
    }

    /// The lab's configuration with the real nodes in place of everything simulated.
    fn configure(&self, lab: &Lab) {
        let text = std::fs::read_to_string(&lab.config).unwrap();
        let head = text.split("[[products]]").next().unwrap();
        let unit = |(name, port): &(String, u64)| {
            format!("{{ name = \"{name}\", metrics_url = \"https://127.0.0.1:{port}/metrics\" }}")
        };
        let units: Vec<String> = self.nodes.iter().map(unit).collect();
        let RealCluster { kubeconfig, namespace, .. } = &self.real;
        let ca = kubeconfig.parent().unwrap().join("pki/ca.crt");
        let tail = format!(
            r#"
[limits.pleg]
min_relists = 5
[limits.gate]
relists_after_update = 5
[[products]]
product = "acme/platform"
channel = "stable"
initial_version = "1.32.0"
[[products.pools]]
name = "workers"
role = "node"
units = [{units}]
[products.pools.kubernetes]
kind = "node"
job_template = "job.yaml"
service_account = "upgrade"
namespace = "{namespace}"
reboot = true
[kubernetes]
kubeconfig = {kubeconfig:?}
[kubernetes.kubelet]
token_file = "token"
ca = {ca:?}
[kubernetes.allow."acme/platform"]
kinds = ["node"]
namespaces = ["{namespace}"]
templates = ["job.yaml"]
service_accounts = ["upgrade"]
"#,
            units = units.join(", "),
        );
        std::fs::write(&lab.config, head.to_owned() + &tail).unwrap();
    }
}

async fn until(settings: &Settings, what: &str, done: impl Fn(&Status) -> bool) -> Status {
    let begun = tokio::time::Instant::now();
    let mut said = String::new();
    loop {
        let seen = status::read(&settings.state_dir).unwrap();
        if let Some(status) = seen.as_ref().filter(|status| done(status)) {
            return status.clone();
        }
        if let Some(status) = &seen {
            let text = status::render(status, crate::state::InUse::Yes, clock::now());
            let gates: Vec<&str> = text.lines().filter(|line| !line.contains("ago")).collect();
            let gates = gates.join("\n");
            if gates != said {
                println!("{gates}\n");
                said = gates;
            }
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: {seen:#?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[actix_web::test]
#[ignore = "needs a Kubernetes API server in FAIRWAY_KUBECONFIG, and changes its nodes"]
async fn the_nodes_of_a_real_cluster_are_rolled_one_after_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut lab = Lab::start(dir.path(), SocketAddr::from(([127, 0, 0, 1], 0)));
    lab.publish(&Offer::default());
    let cluster = Cluster::open(dir.path()).await;
    cluster.configure(&lab);
    let settings = Settings::load(&lab.config, Overrides::default()).unwrap();
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(agent::run(settings.clone(), stopped));
    until(&settings, "the end", |s| {
        s.products.iter().all(|product| product.version.to_string() == "1.33.0")
    })
    .await;
    let found: Vec<Value> =
        cluster.real.kube.list("/api/v1/nodes", &ListParams::default()).await.unwrap();
    for node in &found {
        assert_eq!(node["status"]["nodeInfo"]["kubeletVersion"], "v1.33.0", "{node}");
        assert!(node["spec"]["unschedulable"].is_null(), "{node}");
        let annotations = node["metadata"]["annotations"].to_string();
        assert!(!annotations.contains("fairway.dev"), "{annotations}");
    }
    stop.send(true).unwrap();
    running.await.unwrap().unwrap();
    lab.stop().await;
}
