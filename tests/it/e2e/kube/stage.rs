//! One hub, one vendor, one real cluster, one agent with the account that `deploy/` gives it.

use std::fmt::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use channels::wire::{Phase, ProductState, WaitingOn};
use cluster_agent::sim::member::{LedgerEntry, read_ledger};
use cluster_agent::status::Status;

use super::objects::{self, METRICS_PORT, SHOP};
use super::peer::{NODE_VERSION, Peer};
use crate::e2e::agent::Agent;
use crate::e2e::process::{eventually_within, run_ok, tail};
use crate::e2e::vendor::Vendor;
use crate::e2e::world::{Hub, KAFKA};

/// Longest wait for one thing to happen to a whole cluster on two busy cores.
pub(super) const PATIENCE: Duration = Duration::from_mins(4);

/// The products with their role, and the releases they go from and to.
pub(super) const PRODUCTS: [(&str, &str, [&str; 2]); 3] = [
    ("kafka", "controller", KAFKA),
    ("platform", "node", [NODE_VERSION, "1.33.5"]),
    ("shop", "workload", SHOP),
];

/// The agent's waits. A person would sit for minutes at each; limits of health are the defaults but
/// for how many relists a node must show before it is judged and after it was changed.
const TIMINGS: &str = r#"state_dir = "state"
[policy]
mode = "manual"
[probes]
idle_ms = 1000
node_fast_ms = 500
node_idle_ms = 1000
[timings]
baseline_ms = 2000
refused_retry_ms = 2000
[timings.controller]
soak_ms = 2000
[timings.node]
soak_ms = 2000
[timings.workload]
soak_ms = 2000
[limits.pleg]
min_relists = 5
[limits.gate]
relists_after_update = 5
"#;

/// A scene; everything ends with it, the agent first.
#[derive(Debug)]
pub(super) struct Stage {
    /// The agent.
    pub(super) agent: Agent,
    hub: Hub,
    vendor: Vendor,
    /// The cluster.
    pub(super) peer: Peer,
    // Goes last: everything lives in it.
    _dir: tempfile::TempDir,
}

impl Stage {
    /// Starts everything but the agent: a cluster with so many nodes, in which `applied` runs and an
    /// agent for these products is enrolled. `applied` is given a folder that pods may share.
    pub(super) fn set(nodes: usize, products: &[&str], applied: impl Fn(&Path) -> String) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let peer = Peer::start(&dir.path().join("cluster"), nodes);
        let members = dir.path().join("members");
        std::fs::create_dir(&members).expect("a folder");
        peer.apply(&applied(&members));
        for file in ["1-namespace.yaml", "2-crd.yaml", "3-rbac.yaml", "4-config.yaml"] {
            let path = deployed(file);
            peer.kubectl(&["apply", "--filename", path.to_str().expect("a utf-8 path")]);
        }
        let mut rights = vec!["agent", "manifests", "rbac"];
        for (product, bound) in [("kafka", "members=kafka"), ("shop", "workloads=shop")] {
            if products.contains(&product) {
                rights.extend(["--bind", bound]);
            }
        }
        peer.apply(&run_ok(&rights, &[]));
        let hub = Hub::start(dir.path(), "report_interval_s = 1\n");
        let vendor = Vendor::init(&hub, &dir.path().join("acme"));
        let agent = Agent::new(dir.path(), PATIENCE);
        let stage = Self { agent, hub, vendor, peer, _dir: dir };
        stage.publish();
        stage.peer.kubectl(&[
            "wait",
            "--for=condition=Ready",
            "pods",
            "--all",
            "--all-namespaces",
            "--timeout=180s",
        ]);
        stage.give_an_account();
        stage.configure(products);
        let token = stage.hub.invite();
        stage.agent.run_ok(&["enroll", "--token", &token]);
        stage
    }

    /// The vendor releases both versions of everything.
    fn publish(&self) {
        for (product, role, [old, new]) in PRODUCTS {
            if product != "kafka" {
                self.vendor.product(product);
            }
            self.vendor.release(product, role, old, "[]");
            self.vendor.release(product, role, new, &format!("[\"={old}\"]"));
            self.vendor.channel(product, "stable", &[old, new]);
        }
        self.vendor.publish();
    }

    /// A kubeconfig of the deployed service account, and its token for kubelets.
    fn give_an_account(&self) {
        let words = ["create", "token", "fairway-agent", "--namespace", "fairway-system"];
        let token = self.peer.kubectl(&[&words[..], &["--duration", "2h"]].concat());
        let token = token.trim();
        std::fs::write(self.agent.path("token"), token).expect("a token");
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: agent\n\
             clusters: [{{ name: it, cluster: {{ server: \"{api}\", \
             certificate-authority: \"{ca}\" }} }}]\n\
             users: [{{ name: agent, user: {{ token: \"{token}\" }} }}]\n\
             contexts: [{{ name: agent, context: {{ cluster: it, user: agent }} }}]\n",
            api = self.peer.api(),
            ca = self.peer.ca().display(),
        );
        std::fs::write(self.agent.path("kubeconfig"), kubeconfig).expect("a kubeconfig");
        std::fs::write(self.agent.path("node-job.yaml"), objects::NODE_JOB).expect("a template");
    }

    /// Writes the agent's configuration for these products.
    fn configure(&self, products: &[&str]) {
        let mut text = format!(
            "{TIMINGS}[hub]\nurl = \"{url}\"\nroot = \"{root}\"\nrefresh_ms = 2000\n\
             [cluster]\nname = \"east\"\n\
             [kubernetes]\nkubeconfig = \"kubeconfig\"\nperiod_ms = 1000\n\
             [kubernetes.kubelet]\ntoken_file = \"token\"\nca = \"{ca}\"\n\
             [kubernetes.allow.\"acme/kafka\"]\nkinds = [\"statefulset\"]\nnamespaces = [\"kafka\"]\n\
             [kubernetes.allow.\"acme/platform\"]\nkinds = [\"node\"]\n\
             namespaces = [\"fairway-system\"]\ntemplates = [\"node-job.yaml\"]\n\
             service_accounts = [\"fairway-node-job\"]\n\
             [kubernetes.allow.\"acme/shop\"]\nkinds = [\"deployment\"]\nnamespaces = [\"shop\"]\n",
            url = self.hub.url(),
            root = self.vendor.root().display(),
            ca = self.peer.ca().display(),
        );
        for (product, role, [initial, _]) in PRODUCTS {
            if !products.contains(&product) {
                continue;
            }
            let (units, table) = match product {
                "kafka" => (
                    self.members(),
                    "kind = \"statefulset\"\nnamespace = \"kafka\"\nname = \"quorum\"\n\
                     container = \"kafka\"\nregistry = \"registry.example\"\n",
                ),
                "platform" => (
                    self.nodes(),
                    "kind = \"node\"\njob_template = \"node-job.yaml\"\n\
                     service_account = \"fairway-node-job\"\nreboot = true\n",
                ),
                _ => (
                    "    { name = \"web\" },\n".to_owned(),
                    "kind = \"deployment\"\nnamespace = \"shop\"\ncontainer = \"web\"\n\
                     registry = \"registry.example\"\n",
                ),
            };
            let _ = write!(
                text,
                "[[products]]\nproduct = \"acme/{product}\"\nchannel = \"stable\"\n\
                 initial_version = \"{initial}\"\n\
                 [[products.pools]]\nname = \"{role}s\"\nrole = \"{role}\"\nunits = [\n{units}]\n\
                 [products.pools.kubernetes]\n{table}"
            );
        }
        std::fs::write(self.agent.path("agent.toml"), text).expect("a configuration");
    }

    fn members(&self) -> String {
        let pods = self.peer.get(&["pods", "--namespace", "kafka"]);
        let pods = pods["items"].as_array().expect("pods");
        let unit = |(pod, id): (&serde_json::Value, usize)| {
            let name = pod["metadata"]["name"].as_str().expect("a name");
            let address = pod["status"]["podIP"].as_str().expect("an address");
            format!(
                "    {{ name = \"{name}\", node_id = {id}, \
                 metrics_url = \"http://{address}:{METRICS_PORT}/metrics\" }},\n"
            )
        };
        pods.iter().zip(1..).map(unit).collect()
    }

    fn nodes(&self) -> String {
        let unit = |node: &super::peer::Node| {
            let (name, kubelet) = (&node.name, &node.kubelet);
            format!("    {{ name = \"{name}\", metrics_url = \"{kubelet}/metrics\" }},\n")
        };
        self.peer.nodes.iter().map(unit).collect()
    }

    /// Waits until the agent has ended by a signal, and says which.
    pub(super) fn until_agent_ended(&mut self, what: &str) -> Option<i32> {
        let text = self.agent.status_text();
        let agent = self.agent.process();
        let ended = eventually_within(PATIENCE, what, || {
            agent.exited().ok_or_else(|| format!("{text}\n{}", tail(&agent.log())))
        });
        ended.signal()
    }

    /// What the controllers wrote about their starts and ends.
    pub(super) fn ledger(&self) -> Vec<LedgerEntry> {
        read_ledger(&self.agent.path("members")).expect("a readable ledger")
    }

    /// Waits until a product waits at a gate of that name, and gives what is said about it.
    pub(super) fn until_gate(&self, product: &str, gate: &str) -> WaitingOn {
        let what = format!("{product} waits at {gate}");
        let status = self.agent.until(&what, |status| at_gate(status, product, gate).is_some());
        at_gate(&status, product, gate).cloned().expect("just seen")
    }

    /// Waits until every product rests on its new release.
    pub(super) fn until_rolled(&self, products: &[&str]) {
        self.agent.until("every product rests on its new release", |status| {
            PRODUCTS.iter().filter(|(product, ..)| products.contains(product)).all(
                |(product, _, [_, new])| {
                    let state = state(status, product);
                    state.phase == Phase::Idle
                        && state.version.to_string() == *new
                        && state.waiting_on.is_empty()
                },
            )
        });
    }

    /// Waits until the hub has heard so many more reports: so often at least the agent has decided.
    pub(super) fn hear_reports(&self, more: u64) {
        let seq = || self.hub.cluster("east").map(|row| row.seq);
        let from = seq().expect("an enrolled cluster");
        eventually_within(PATIENCE, "reports go on", || {
            let found = seq()?;
            if found >= from + more { Ok(()) } else { Err(format!("{from} to {found}")) }
        });
    }

    /// Waits until `kubectl` shows of a product's resource what `is` wants.
    pub(super) fn until_shown(
        &self,
        product: &str,
        what: &str,
        is: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        let name = format!("acme.{product}");
        eventually_within(PATIENCE, what, || {
            let found = self.peer.get(&["clusterupdate", &name]);
            if is(&found["status"]) {
                Ok(found["status"].clone())
            } else {
                Err(format!("{found:#}"))
            }
        })
    }

    /// Messages of events about a product's resource, with their reasons, as `kubectl` shows them.
    pub(super) fn events(&self, product: &str) -> Vec<(String, String)> {
        let about = format!("involvedObject.name=acme.{product}");
        let found = self.peer.get(&["events", "--namespace=default", "--field-selector", &about]);
        let text = |event: &serde_json::Value, key: &str| {
            event[key].as_str().expect("a text of the event").to_owned()
        };
        let events = found["items"].as_array().expect("events");
        events.iter().map(|event| (text(event, "reason"), text(event, "message"))).collect()
    }

    /// A kubelet's page, asked for as the agent does.
    pub(super) fn page(&self, node: &str) -> String {
        let token = std::fs::read_to_string(self.agent.path("token")).expect("a token");
        let output = std::process::Command::new("curl")
            .args(["--silent", "--fail", "--max-time", "30", "--cacert"])
            .arg(self.peer.ca())
            .args(["--header", &format!("authorization: Bearer {token}")])
            .arg(format!("{}/metrics", self.peer.node(node).kubelet))
            .output()
            .expect("curl runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("a page of UTF-8")
    }
}

fn deployed(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kubernetes").join(file)
}

/// The state of one product.
pub(super) fn state<'s>(status: &'s Status, product: &str) -> &'s ProductState {
    let named = format!("acme/{product}");
    let found = status.products.iter().find(|state| state.product.to_string() == named);
    found.expect("a configured product")
}

/// What a product waits for at a gate of that name.
pub(super) fn at_gate<'s>(status: &'s Status, product: &str, gate: &str) -> Option<&'s WaitingOn> {
    state(status, product).waiting_on.iter().find(|why| why.gate == gate)
}

#[expect(clippy::print_stderr, reason = "the last words of a scenario that failed")]
impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- status\n{}", self.agent.status_text());
            eprintln!("--- agent\n{}", tail(&self.agent.log()));
            let wide = self.peer.try_kubectl(&["get", "nodes,pods,pdb,cu", "--all-namespaces"]);
            eprintln!("--- cluster\n{}", wide.unwrap_or_else(|why| why));
        }
    }
}
