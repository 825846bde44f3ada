//! The real program, told to stop in the middle of a roll.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../benches/site/mod.rs"]
mod site;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use channels::wire::{Phase, Role};
use cluster_agent::sim::{ClusterSpec, Fault, SimServer};
use cluster_agent::status;
use rustix::process::{Pid, Signal, kill_process};

/// Longest wait for anything; a loaded machine is slow, a defect is for ever.
const PATIENCE: Duration = Duration::from_mins(3);

/// A site: a simulated cluster, a repository in a directory, an agent's configuration.
struct Site {
    dir: tempfile::TempDir,
    sim: SimServer,
}

impl Site {
    fn new(probe_timeout_ms: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sizes = [(Role::Controller, 3, "3.9.0"), (Role::Node, 3, "1.32.0")];
        let spec = ClusterSpec::of("east", 5, 10, &sizes).unwrap();
        let sim = SimServer::start(&[spec], SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let root = site::publish(&dir.path().join("repository")).unwrap();
        std::fs::write(dir.path().join("root.json"), root).unwrap();
        let text = configuration(&sim, probe_timeout_ms);
        std::fs::write(dir.path().join("agent.toml"), text).unwrap();
        Self { dir, sim }
    }

    fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn run(&self) -> Agent {
        let log = self.dir.path().join("agent.log");
        let file = std::fs::File::create(&log).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_cluster-agent"))
            .args(["run", "--log-format", "json", "--config"])
            .arg(self.dir.path().join("agent.toml"))
            .stdin(Stdio::null())
            .stderr(file)
            .spawn()
            .unwrap();
        Agent { child, log }
    }

    /// The phases of all products at this moment.
    fn phases(&self) -> Vec<Phase> {
        let status = status::read(&self.state_dir()).unwrap();
        status.map_or_else(Vec::new, |seen| seen.products.iter().map(|p| p.phase).collect())
    }
}

struct Agent {
    child: Child,
    log: PathBuf,
}

impl Agent {
    fn signal(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).unwrap();
    }

    async fn ended(&mut self) -> ExitStatus {
        let mut seen = None;
        until(&self.log.clone(), "the agent ends", || {
            seen = self.child.try_wait().unwrap();
            seen.is_some()
        })
        .await;
        seen.unwrap()
    }

    fn threads(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap().count()
    }

    fn says(&self, text: &str) -> bool {
        std::fs::read_to_string(&self.log).unwrap().contains(text)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn until(log: &Path, what: &str, mut done: impl FnMut() -> bool) {
    let begun = tokio::time::Instant::now();
    while !done() {
        let late = begun.elapsed() > PATIENCE;
        assert!(!late, "{what}: {}", std::fs::read_to_string(log).unwrap_or_default());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn configuration(sim: &SimServer, probe_timeout_ms: u64) -> String {
    let url = |unit: &str| sim.metrics_url("east", &unit.parse().unwrap());
    let (mut controllers, mut nodes) = (String::new(), String::new());
    for n in 1..=3 {
        let page = url(&format!("c-{n}"));
        // Writing to a String cannot fail.
        let _ = writeln!(
            controllers,
            "  {{ name = \"c-{n}\", node_id = {n}, metrics_url = \"{page}\", on_node = \"\" }},"
        );
        let page = url(&format!("n-{n}"));
        let _ = writeln!(nodes, "  {{ name = \"n-{n}\", metrics_url = \"{page}\" }},");
    }
    let driver = sim.cluster_url("east");
    format!(
        r#"state_dir = "state"
[cluster]
name = "east"
[hub]
url = "dir:repository"
root = "root.json"
[policy]
mode = "auto"
[probes]
fast_ms = 200
node_fast_ms = 400
timeout_ms = {probe_timeout_ms}
[timings]
baseline_ms = 1000
[timings.controller]
soak_ms = 1000
[timings.node]
soak_ms = 1000
[[products]]
product = "acme/kafka"
channel = "stable"
initial_version = "3.9.0"
[[products.pools]]
name = "controllers"
role = "controller"
units = [{controllers}]
[products.pools.simulated]
url = "{driver}"
[[products]]
product = "acme/platform"
channel = "stable"
initial_version = "1.32.0"
[[products.pools]]
name = "workers"
role = "node"
units = [{nodes}]
[products.pools.simulated]
url = "{driver}"
"#
    )
}

/// Its own, two of the runtime, eight for names and files.
const THREADS_MAX: usize = 11;

#[actix_web::test]
async fn an_agent_stopped_in_any_phase_exits_with_0_and_the_next_one_goes_on_where_it_was() {
    let site = Site::new(2_000);
    for phase in [Phase::Mutate, Phase::AwaitReturn, Phase::AwaitHealth, Phase::Soak] {
        let mut agent = site.run();
        let log = agent.log.clone();
        until(&log, phase.as_str(), || site.phases().contains(&phase)).await;
        assert!(agent.threads() <= THREADS_MAX, "{phase}: {} threads", agent.threads());
        agent.signal();
        let ended = agent.ended().await;
        assert_eq!(ended.code(), Some(0), "{phase}: {ended}");
        assert!(agent.says("agent stopped"), "{phase}");
    }
    let mut agent = site.run();
    let log = agent.log.clone();
    until(&log, "the end", || {
        let status = status::read(&site.state_dir()).unwrap();
        let versions = status.map_or_else(Vec::new, |seen| {
            seen.products.iter().map(|p| p.version.to_string()).collect()
        });
        versions == ["4.0.0", "1.33.0"]
    })
    .await;
    agent.signal();
    assert_eq!(agent.ended().await.code(), Some(0));
    let ledger = site.sim.state("east").unwrap().ledger;
    assert_eq!(ledger.violations, Vec::<String>::new());
    let mut restarted: Vec<&str> = ledger.restarts.iter().map(|r| r.unit.as_str()).collect();
    restarted.sort_unstable();
    assert_eq!(restarted, ["c-1", "c-2", "c-3", "n-1", "n-2", "n-3"], "each once");
}

#[actix_web::test]
async fn a_second_signal_ends_an_agent_at_once_that_waits_for_a_silent_unit() {
    let site = Site::new(30_000);
    let unit = "c-1".parse().unwrap();
    site.sim.with("east", |cluster| cluster.set_fault(&unit, Fault::Hang)).unwrap().unwrap();
    let mut agent = site.run();
    let log = agent.log.clone();
    until(&log, "it has started", || agent.says("agent started")).await;
    agent.signal();
    until(&log, "it is stopping", || agent.says("a second signal ends at once")).await;
    agent.signal();
    let ended = agent.ended().await;
    assert_eq!(ended.code(), Some(2), "{ended}");
    assert!(agent.says("ended by a second signal"));
}
