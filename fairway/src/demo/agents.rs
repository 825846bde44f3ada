//! One agent process of the demo: simulated clusters, and an agent for each of them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use channels::rollout::Labels;
use channels::wire::{JoinToken, JoinTokenRequest, Role};
use clap::Args;
use cluster_agent::agent::{EnrolKey, enroll};
use cluster_agent::config::{Overrides, Settings};
use cluster_agent::sim::{ClusterSpec, Fault, SimServer};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::scenario::{LAG_MS, Member};
use super::stage::write;
use crate::clock;
use crate::error::{CliError, Result};
use crate::hub::Hub;

/// Seconds a demo's join token is valid; enrolment is the first thing an agent does.
const TOKEN_LIFE_S: u64 = 600;
/// Baseline and soaks at speed 1, milliseconds: the agent's own defaults (rolling.md §9).
const BASELINE_MS: u32 = 120_000;
const CONTROLLER_SOAK_MS: u32 = 60_000;
const NODE_SOAK_MS: u32 = 120_000;
/// Period of relists and of idle node probes at speed 1, milliseconds.
const RELIST_MS: u32 = 1_000;
const NODE_IDLE_MS: u32 = 30_000;
/// The agent's shortest period of idle node probes.
const NODE_IDLE_MIN_MS: u32 = 2_000;

/// Between two looks for the first leader, and how many: 10 s, five election timeouts.
const LEADER_LOOK_EVERY: Duration = Duration::from_millis(100);
const LEADER_LOOKS_MAX: u32 = 100;

/// Options of the hidden command that is one agent process.
#[derive(Debug, Args)]
pub(crate) struct FleetArgs {
    /// What to simulate, as the demo wrote it
    #[arg(long, value_name = "FILE")]
    spec: PathBuf,
}

/// What one agent process has to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FleetSpec {
    hub: String,
    root: PathBuf,
    join_token: String,
    dir: PathBuf,
    speed: u32,
    members: Vec<Member>,
}

impl FleetSpec {
    /// Mints a join token with one use per member.
    pub(super) async fn invite(
        hub: &Hub,
        dir: &Path,
        root: &Path,
        members: &[Member],
        speed: u32,
    ) -> Result<Self> {
        std::fs::create_dir_all(dir)
            .map_err(|e| CliError::because(format!("failed to make {}", dir.display()), &e))?;
        let request = JoinTokenRequest {
            uses: u32::try_from(members.len()).unwrap_or(u32::MAX),
            expires_in_s: TOKEN_LIFE_S,
            note: "demo".to_owned(),
            labels: Labels::new(),
        };
        let token: JoinToken = hub.post("api/v1/join-tokens", "application/json", &request).await?;
        Ok(Self {
            hub: hub.base().to_string(),
            root: root.to_owned(),
            join_token: token.token,
            dir: dir.to_owned(),
            speed,
            members: members.to_vec(),
        })
    }

    /// Writes the file the process is started with.
    pub(super) fn write(&self) -> Result<PathBuf> {
        let file = self.dir.join("spec.json");
        let text = serde_json::to_string_pretty(self)
            .map_err(|e| CliError::because("failed to write the specification", &e))?;
        write(&file, text)?;
        Ok(file)
    }

    fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file)
            .map_err(|e| CliError::because(format!("failed to read {}", file.display()), &e))?;
        serde_json::from_str(&text)
            .map_err(|e| CliError::because(format!("failed to read {}", file.display()), &e))
    }
}

/// Simulates the clusters of a specification and runs an agent for each, until it is told to end.
pub(crate) async fn run(args: &FleetArgs) -> Result<()> {
    let spec = FleetSpec::read(&args.spec)?;
    let clusters: Vec<_> = spec
        .members
        .iter()
        .map(|member| ClusterSpec::of(&member.name, member.seed, spec.speed, &member.units()))
        .collect::<std::result::Result<_, _>>()
        .map_err(|e| CliError::because("failed to name a unit", &e))?;
    let simulator = SimServer::start(&clusters, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .map_err(|e| CliError::because("failed to start the simulator", &e))?;
    let mut agents = Vec::new();
    for (member, cluster) in spec.members.iter().zip(&clusters) {
        if member.lagging {
            lag(&simulator, &member.name).await?;
        }
        let file = spec.dir.join(format!("{}.toml", member.name));
        write(&file, configuration(&spec, member, cluster, &simulator))?;
        let settings = Settings::load(&file, Overrides::default())
            .map_err(|e| CliError::because("failed to configure an agent", &e))?;
        agents.push(settings);
    }
    write(&spec.dir.join("address"), simulator.address().to_string())?;
    let result = serve(agents, &spec.join_token).await;
    simulator.stop().await;
    result
}

/// Enrols and runs all agents until SIGTERM or until one of them ends by itself.
async fn serve(agents: Vec<Settings>, join_token: &str) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())
        .map_err(|e| CliError::because("failed to listen for SIGTERM", &e))?;
    let (stop, stopped) = watch::channel(false);
    let mut running = JoinSet::new();
    for settings in agents {
        enroll(&settings, join_token, EnrolKey::Kept, clock::now())
            .await
            .map_err(|e| CliError::because("failed to enrol a cluster", &e))?;
        running.spawn(cluster_agent::agent::run(settings, stopped.clone()));
    }
    let early = tokio::select! {
        ended = running.join_next() => ended,
        _ = terminate.recv() => None,
    };
    // Nobody listens any more only when every agent has ended.
    let _nobody = stop.send(true);
    let mut results: Vec<_> = early.into_iter().collect();
    while let Some(ended) = running.join_next().await {
        results.push(ended);
    }
    for result in results {
        let ended = result.map_err(|e| CliError::because("an agent broke", &e))?;
        ended.map_err(|e| CliError::because("an agent failed", &e))?;
    }
    Ok(())
}

/// Makes the quorum's followers replicate too slowly, so that no controller can be spared.
async fn lag(simulator: &SimServer, cluster: &str) -> Result<()> {
    let missing = || CliError::failed(format!("no simulated cluster {cluster}"));
    for _ in 0..LEADER_LOOKS_MAX {
        let state = simulator.state(cluster).ok_or_else(missing)?;
        if state.quorum.is_some_and(|quorum| quorum.leader.is_some()) {
            let followers = state
                .units
                .iter()
                .filter(|(_, unit)| unit.role == Role::Controller && !unit.is_leader);
            for (unit, _) in followers {
                simulator
                    .with(cluster, |cluster| cluster.set_fault(unit, Fault::Lag { ms: LAG_MS }))
                    .ok_or_else(missing)?
                    .map_err(|e| CliError::because("failed to make a controller lag", &e))?;
            }
            return Ok(());
        }
        tokio::time::sleep(LEADER_LOOK_EVERY).await;
    }
    Err(CliError::failed(format!("the controllers of {cluster} elected no leader")))
}

/// An agent's configuration file, as a person would write it. Soak and baseline times are divided
/// by the demo's speed; quorum limits never are.
fn configuration(
    spec: &FleetSpec,
    member: &Member,
    cluster: &ClusterSpec,
    simulator: &SimServer,
) -> String {
    let scaled = |ms: u32| ms / spec.speed.max(1);
    let head = format!(
        r#"# Written by `fairway demo`.
state_dir = "{state}"

[cluster]
name = "{name}"

[hub]
url = "{hub}"
root = "{root}"
refresh_ms = 5000

[policy]
mode = "hub"

[probes]
node_idle_ms = {node_idle}

[timings]
baseline_ms = {baseline}

[timings.controller]
soak_ms = {controller_soak}

[timings.node]
soak_ms = {node_soak}

[limits.pleg]
period_ms = {relist}
"#,
        state = spec.dir.join(&member.name).display(),
        name = member.name,
        hub = spec.hub,
        root = spec.root.display(),
        node_idle = scaled(NODE_IDLE_MS).max(NODE_IDLE_MIN_MS),
        baseline = scaled(BASELINE_MS),
        controller_soak = scaled(CONTROLLER_SOAK_MS),
        node_soak = scaled(NODE_SOAK_MS),
        relist = scaled(RELIST_MS),
    );
    let simulated = |role| pool(role, member, cluster, simulator);
    let kafka = product("acme/kafka", "stable-4", &member.kafka, &simulated(Role::Controller));
    let platform =
        product("acme/platform", "stable-1.34", &member.platform, &simulated(Role::Node));
    format!("{head}{kafka}{platform}")
}

/// One product with its one pool.
fn product(name: &str, channel: &str, version: &str, pool: &str) -> String {
    format!(
        r#"
[[products]]
product = "{name}"
channel = "{channel}"
initial_version = "{version}"
{pool}"#
    )
}

/// The pool of all units of a role.
fn pool(role: Role, member: &Member, cluster: &ClusterSpec, simulator: &SimServer) -> String {
    let units =
        cluster.units.iter().filter(|unit| unit.role == role).enumerate().map(|(i, unit)| {
            let metrics = simulator.metrics_url(&member.name, &unit.name);
            // Simulated controllers get node ids 1, 2, … in this order and run on none of the nodes.
            let voter = match role {
                Role::Controller => format!(", node_id = {}, on_node = \"\"", i + 1),
                Role::Broker | Role::Node | Role::Workload => String::new(),
            };
            format!("    {{ name = \"{}\", metrics_url = \"{metrics}\"{voter} }},", unit.name)
        });
    format!(
        r#"
[[products.pools]]
name = "{role}s"
role = "{role}"
units = [
{units}
]

[products.pools.simulated]
url = "{url}"
"#,
        units = units.collect::<Vec<_>>().join("\n"),
        url = simulator.cluster_url(&member.name),
    )
}
