//! One hub, one agent, one simulated cluster of three controllers; and where a refusal must show.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use channels::names::UnitName;
use channels::wire::{ClusterRow, ProductRow, Role};
use cluster_agent::sim::{ClusterSpec, Fault, RestartRecord, SimServer};
use fairway::publisher::Content;

use super::proxy::Proxy;
use crate::e2e::process::{Process, run_ok};
use crate::e2e::server::hub::{Hub, until};
use crate::e2e::server::vendor::{CHANNEL, PRODUCT, Vendor};

/// The simulated cluster's name, at the hub too.
const CLUSTER: &str = "plant-7";
/// Divides how long simulated restarts take; quorum timers are never scaled.
const SPEED: u32 = 20;

/// A scene; everything ends when it is dropped.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) hub: Hub,
    pub(super) vendor: Vendor,
    pub(super) proxy: Proxy,
    pub(super) members: SimServer,
    agent: Option<Process>,
    /// Where the log of this start of the agent begins, and the last report of the start before.
    log_begins: usize,
    seq_before: u64,
    dir: tempfile::TempDir,
}

/// Which moves an agent makes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// All that are offered.
    Auto,
    /// None that a person has not approved.
    Manual,
}

impl Scene {
    /// A hub that serves `content`, and a cluster whose agent does not run yet.
    pub(super) async fn set(content: &Content, mode: Mode) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let hub = Hub::start(&dir.path().join("hub"), "report_interval_s = 1\n").await;
        let mut vendor = Vendor::establish(&hub).await;
        vendor.publish(&hub, content).await;
        let proxy = Proxy::start(&hub.url());
        let units = [(Role::Controller, 3, "3.9.1")];
        let cluster = ClusterSpec::of(CLUSTER, 7, SPEED, &units).expect("a cluster");
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let members = SimServer::start(&[cluster], listen).expect("a simulator");
        let scene =
            Self { hub, vendor, proxy, members, agent: None, log_begins: 0, seq_before: 0, dir };
        scene.write_config(mode);
        scene.leader().await;
        scene.enroll().await;
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn config(&self) -> String {
        self.path("agent.toml").to_str().expect("a path that is text").to_owned()
    }

    fn write_config(&self, mode: Mode) {
        let mode = match mode {
            Mode::Auto => "auto",
            Mode::Manual => "manual",
        };
        let mut units = Vec::new();
        for (id, unit) in (1..).zip(controllers()) {
            let page = self.members.metrics_url(CLUSTER, &unit);
            units.push(format!(
                r#"{{ name = "{unit}", metrics_url = "{page}", node_id = {id}, on_node = "" }}"#
            ));
        }
        let text = format!(
            r#"state_dir = "agent"
[cluster]
name = "{CLUSTER}"
[hub]
url = "{hub}"
root = "root.json"
refresh_ms = 500
[policy]
mode = "{mode}"
[probes]
fast_ms = 200
idle_ms = 400
timeout_ms = 1000
[timings]
baseline_ms = 1000
[timings.controller]
soak_ms = 200
[limits.quorum]
commit_window_ms = 2000
[[products]]
product = "{PRODUCT}"
channel = "{CHANNEL}"
initial_version = "3.9.1"
[[products.pools]]
name = "controllers"
role = "controller"
units = [
{units},
]
[products.pools.simulated]
url = "{members}"
"#,
            hub = self.proxy.url(),
            units = units.join(",\n"),
            members = self.members.cluster_url(CLUSTER),
        );
        std::fs::write(self.config(), text).expect("a configuration");
        std::fs::write(self.path("root.json"), self.vendor.root()).expect("a root");
    }

    async fn enroll(&self) {
        let token = self.hub.invite(1).await;
        run_agent(vec!["enroll".into(), "--config".into(), self.config(), "--token".into(), token])
            .await;
    }

    /// Starts the agent, or starts it again after `kill -9`.
    pub(super) async fn run_agent(&mut self) {
        self.agent = None;
        let before = std::fs::read_to_string(self.path("agent.log"));
        self.log_begins = before.map_or(0, |log| log.len());
        self.seq_before = self.row().await.map_or(0, |row| row.seq);
        let args = ["agent", "run", "--config", &self.config()];
        self.agent = Some(Process::start(&args, &[], &self.path("agent.log")));
    }

    /// A command of the agent on this cluster; its output.
    pub(super) async fn agent(&self, command: &str, rest: &[&str]) -> String {
        let mut args = vec![command.to_owned(), "--config".to_owned(), self.config()];
        args.extend(rest.iter().map(|&word| word.to_owned()));
        run_agent(args).await
    }

    /// The controllers' leader, once they have one.
    pub(super) async fn leader(&self) -> UnitName {
        until("the controllers elect a leader", async || {
            let state = self.members.state(CLUSTER).expect("the cluster");
            state.quorum.and_then(|quorum| quorum.leader).ok_or_else(|| "no leader".to_owned())
        })
        .await
    }

    /// Sets a fault on units.
    pub(super) fn fault<'u>(&self, units: impl IntoIterator<Item = &'u UnitName>, fault: &Fault) {
        for unit in units {
            let set = self.members.with(CLUSTER, |c| c.set_fault(unit, fault.clone()));
            set.expect("the cluster").expect("the fault is set");
        }
    }

    /// Clears all faults.
    pub(super) fn clear_faults(&self) {
        for unit in controllers() {
            let cleared = self.members.with(CLUSTER, |c| c.clear_faults(&unit));
            cleared.expect("the cluster").expect("the faults are cleared");
        }
    }

    /// Units that were ever told to restart.
    pub(super) fn restarts(&self) -> Vec<RestartRecord> {
        self.members.state(CLUSTER).expect("the cluster").ledger.restarts
    }

    /// What the agent has logged since it was started last.
    fn log(&self) -> String {
        let log = self.agent.as_ref().map(Process::log).unwrap_or_default();
        log.get(self.log_begins..).unwrap_or_default().to_owned()
    }

    async fn row(&self) -> Option<ClusterRow> {
        self.hub.clusters().await.into_iter().find(|row| row.name == CLUSTER)
    }

    /// The product as the running agent reported it.
    async fn product(&self) -> Option<ProductRow> {
        let row = self.row().await.filter(|row| row.seq > self.seq_before)?;
        row.products.into_iter().next()
    }

    /// Requires that the refusal shows, by its gate and its words, in all three places, and that
    /// nothing was touched.
    pub(super) async fn refuses(&self, gate: &str, words: &[&str]) {
        let has = |text: &str| words.iter().all(|word| text.contains(word));
        until(&format!("the hub shows {gate} {words:?}"), async || {
            let row = self.product().await;
            let why = row.iter().flat_map(|row| &row.waiting_on);
            let waits = why.clone().any(|why| why.gate == gate && has(&why.message));
            if waits { Ok(()) } else { Err(format!("{row:#?}\n{}", self.log())) }
        })
        .await;
        let log = self.log();
        let named = format!("\"gate\":\"{gate}\"");
        let logged = log.lines().any(|line| line.contains(&named) && has(line));
        assert!(logged, "{gate} {words:?} is not in the log:\n{log}");
        let status = self.agent("status", &[]).await;
        let named = format!("waiting  [{gate}]");
        let shown = status.lines().any(|line| line.contains(&named) && has(line));
        assert!(shown, "{gate} {words:?} is not in the status:\n{status}");
        assert_eq!(self.restarts(), [], "a unit was touched");
    }

    /// Requires that the hub's row also has it as the cluster's failure.
    pub(super) async fn fails_at_the_hub(&self, kind: &str) {
        let failure = self.product().await.and_then(|product| product.failure);
        assert_eq!(failure.map(|failure| failure.kind).as_deref(), Some(kind));
    }

    /// Requires that the same agent goes, now that nothing is wrong any more.
    pub(super) async fn goes(&self, to: &str) {
        let first = until("the first unit goes", async || {
            let first = self.restarts().into_iter().next();
            match first {
                Some(restart) => Ok(restart),
                None => Err(format!("{}\n{}", self.agent("status", &[]).await, self.log())),
            }
        })
        .await;
        assert_eq!(first.to, to);
    }
}

/// The units of the cluster.
pub(super) fn controllers() -> [UnitName; 3] {
    ["c-1", "c-2", "c-3"].map(|name| name.parse().expect("a name"))
}

/// Runs an agent's command to its end without keeping the runtime from serving the proxy.
async fn run_agent(args: Vec<String>) -> String {
    let run = move || {
        let mut all = vec!["agent"];
        all.extend(args.iter().map(String::as_str));
        run_ok(&all, &[])
    };
    tokio::task::spawn_blocking(run).await.expect("the command ends")
}
