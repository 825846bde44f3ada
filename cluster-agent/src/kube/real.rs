//! A namespace of a real cluster, for tests of what only real controllers do.
//!
//! `FAIRWAY_KUBECONFIG` names a cluster that may be changed and has a node; `tests/peers/kubernetes.sh`
//! and `hollow_node.sh` make one.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::Kube;
use crate::config::{AgentPlace, KubernetesSettings, KuredSettings};
use crate::driver::{StepId, StepStatus};
use crate::telemetry::KubeletAccess;

/// Longest wait for the cluster to do its part.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// Between two looks.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A Job that a hollow node understands: it changes the version of the node's kubelet and reboots.
pub(crate) const NODE_JOB: &str = r#"
apiVersion: batch/v1
kind: Job
spec:
  template:
    spec:
      containers:
        - name: upgrade
          image: registry.example/tools:1
          env: [{ name: VERSION, value: "v{component_version}" }]
          securityContext: { privileged: true }
"#;

/// A namespace of its own in a real cluster.
pub(crate) struct RealCluster {
    pub(crate) kube: Kube,
    /// The file that names it.
    pub(crate) kubeconfig: PathBuf,
    pub(crate) namespace: String,
}

impl RealCluster {
    pub(crate) async fn open() -> Self {
        let kubeconfig = std::env::var_os("FAIRWAY_KUBECONFIG").map(PathBuf::from);
        let kubeconfig = kubeconfig.expect("FAIRWAY_KUBECONFIG names a cluster");
        let kube = Kube::new(KubernetesSettings {
            kubeconfig: Some(kubeconfig.clone()),
            context: None,
            period_ms: 2_000,
            timeout_ms: 10_000,
            namespace: "fairway-system".to_owned(),
            lease: "fairway-agent".to_owned(),
            etcd: None,
            kubelet: KubeletAccess::default(),
            kured: KuredSettings { namespace: "kube-system".to_owned(), name: "kured".to_owned() },
            place: AgentPlace::default(),
        });
        let namespace = format!("fairway-{}", StepId::new());
        let cluster = Self { kube, kubeconfig, namespace };
        let named = json!({ "metadata": { "name": cluster.namespace } });
        cluster.create("/api/v1/namespaces", named).await;
        cluster
    }

    /// Where objects of a kind of the namespace are: `path("apps/v1", "deployments")`.
    pub(crate) fn path(&self, api_version: &str, plural: &str) -> String {
        let root = if api_version.contains('/') { "apis" } else { "api" };
        format!("/{root}/{api_version}/namespaces/{}/{plural}", self.namespace)
    }

    pub(crate) async fn create(&self, path: &str, object: Value) {
        self.kube.create::<Value>(path, &object).await.unwrap();
    }

    pub(crate) async fn merge(&self, path: &str, name: &str, patch: Value) {
        self.kube.merge::<Value>(path, name, &patch).await.unwrap();
    }

    pub(crate) async fn get(&self, path: &str, name: &str) -> Option<Value> {
        self.kube.get(path, name).await.unwrap()
    }

    /// Waits until something holds.
    pub(crate) async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let begun = tokio::time::Instant::now();
        while !holds().await {
            assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Polls a stage as the agent does until it ends; says what it waited for, each once.
    pub(crate) async fn poll(
        &self,
        status: impl AsyncFn() -> StepStatus,
    ) -> (i32, String, Vec<String>) {
        let begun = tokio::time::Instant::now();
        let mut waits: Vec<String> = Vec::new();
        loop {
            match status().await {
                StepStatus::Absent => panic!("it was never started"),
                StepStatus::Running { detail, .. } => {
                    let detail = detail.unwrap();
                    if waits.last() != Some(&detail) {
                        waits.push(detail);
                    }
                }
                StepStatus::Finished { exit_code, log_tail } => {
                    return (exit_code, log_tail, waits);
                }
            }
            assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {waits:?}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
