//! One agent process of the demo: simulated clusters, and an agent for each of them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use channels::wire::{JoinToken, JoinTokenRequest};
use clap::Args;
use cluster_agent::config::{Overrides, Settings};
use cluster_agent::sim::{ClusterSpec, Fault, SimServer};
use serde::{Deserialize, Serialize};

use super::scenario::{LAG_MS, Member};
use super::stage::{LAGGING_UNIT, write};
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
        };
        let token: JoinToken =
            hub.post("api/v1/join-tokens", "application/json", &request).await?;
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
            lag(&simulator, &member.name)?;
        }
        let file = spec.dir.join(format!("{}.toml", member.name));
        write(&file, configuration(&spec, member, cluster, &simulator))?;
        let settings = Settings::load(&file, Overrides::default())
            .map_err(|e| CliError::because("failed to configure an agent", &e))?;
        agents.push(settings);
    }
    write(&spec.dir.join("address"), simulator.address().to_string())?;
    cluster_agent::serve_all(agents, &spec.join_token)
        .await
        .map_err(|e| CliError::because("an agent failed", &e))?;
    simulator.stop().await;
    Ok(())
}

fn lag(simulator: &SimServer, cluster: &str) -> Result<()> {
    let unit = LAGGING_UNIT.parse().map_err(|e| CliError::because("bad unit name", &e))?;
    simulator
        .with(cluster, |cluster| cluster.set_fault(&unit, Fault::Lag { ms: LAG_MS }))
        .ok_or_else(|| CliError::failed(format!("no simulated cluster {cluster}")))?
        .map_err(|e| CliError::because("failed to make a controller lag", &e))
}

/// An agent's configuration file, as a person would write it.
fn configuration(
    spec: &FleetSpec,
    member: &Member,
    cluster: &ClusterSpec,
    simulator: &SimServer,
) -> String {
    let scaled = |ms: u32| ms / spec.speed.max(1);
    let url = simulator.cluster_url(&member.name);
    let pool = |role: channels::wire::Role| -> String {
        let units = cluster.units.iter().filter(|unit| unit.role == role).enumerate();
        units
            .map(|(i, unit)| {
                let metrics = simulator.metrics_url(&member.name, &unit.name);
                let node_id = match role {
                    channels::wire::Role::Controller => format!(", node_id = {}, on_node = \"\"", i + 1),
                    channels::wire::Role::Broker
                    | channels::wire::Role::Node
                    | channels::wire::Role::Workload => String::new(),
                };
                format!("    {{ name = \"{}\", metrics_url = \"{metrics}\"{node_id} }},\n", unit.name)
            })
            .collect()
    };
    format!(
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

# Soak and baseline times are divided by the demo's speed; quorum limits never are.
[timings]
baseline_ms = {baseline}

[timings.controller]
soak_ms = {controller_soak}

[timings.node]
soak_ms = {node_soak}

[limits.pleg]
period_ms = {relist}

[[products]]
product = "acme/kafka"
channel = "stable-4"
initial_version = "{kafka}"

[[products.pools]]
name = "controllers"
role = "controller"
units = [
{controllers}]

[products.pools.simulated]
url = "{url}"

[[products]]
product = "acme/platform"
channel = "stable-1.34"
initial_version = "{platform}"

[[products.pools]]
name = "nodes"
role = "node"
units = [
{nodes}]

[products.pools.simulated]
url = "{url}"
"#,
        state = spec.dir.join(&member.name).display(),
        name = member.name,
        hub = spec.hub,
        root = spec.root.display(),
        node_idle = scaled(NODE_IDLE_MS).max(1_000),
        baseline = scaled(BASELINE_MS),
        controller_soak = scaled(CONTROLLER_SOAK_MS),
        node_soak = scaled(NODE_SOAK_MS),
        relist = scaled(RELIST_MS),
        kafka = member.kafka,
        platform = member.platform,
        controllers = pool(channels::wire::Role::Controller),
        nodes = pool(channels::wire::Role::Node),
    )
}
