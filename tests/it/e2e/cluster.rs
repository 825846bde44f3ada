//! One cluster under test: its members, the commands that change them, its agent.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use cluster_agent::sim::member::LedgerEntry;
use cluster_agent::status::Status;

use super::members::Members;
use super::process::{self, Process, run, run_ok};
use super::world::{Hub, KAFKA, PLATFORM};

/// What a cluster has beside its three controllers.
#[derive(Debug, Clone, Default)]
pub(super) struct Shape {
    /// A drain before, and an undrain after the change.
    pub(super) quiesce: bool,
    /// URL of a simulated cluster with nodes `n-1` and `n-2`.
    pub(super) nodes: Option<String>,
    /// Further lines for the table `[hub]` of the agent's file.
    pub(super) hub_lines: String,
    /// Further tables of the agent's file.
    pub(super) tables: String,
}

/// A cluster with its agent.
#[derive(Debug)]
pub(super) struct Cluster {
    /// Its name at the hub.
    pub(super) name: String,
    /// Its controllers.
    pub(super) members: Members,
    /// Its agent, if it runs.
    pub(super) agent: Option<Process>,
    dir: PathBuf,
}

/// A line of the log that the operator's commands write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CommandLine {
    /// `begin` or `end`.
    pub(super) event: String,
    /// Which stage's command.
    pub(super) stage: String,
    /// The unit it was told.
    pub(super) unit: String,
    /// The step it was told.
    pub(super) step: String,
}

/// The operator's command of all stages: logs, waits while a scenario blocks it, restarts.
const COMMAND: &str = r#"#!/bin/sh
# $1 = stage, $2 = unit, $3 = version, $4 = step
set -e
cd "$(dirname "$0")"
echo "begin $1 $2 $4" >>commands.log
while [ -e "block-$1" ]; do sleep 0.05; done
if [ "$1" = mutate ]; then
    "$FAIRWAY_BINARY" agent member restart --dir members --unit "$2" --version "$3"
fi
while [ -e "block-after-$1" ]; do sleep 0.05; done
echo "end $1 $2 $4" >>commands.log
"#;

impl Cluster {
    /// Starts the members and writes the configuration.
    pub(super) fn prepare(world: &Path, name: &str, shape: &Shape, hub: &Hub, root: &Path) -> Self {
        let dir = world.join(name);
        let members = Members::start(&dir.join("members"), KAFKA[0]);
        let command = dir.join("change-unit");
        std::fs::write(&command, COMMAND).expect("a command");
        std::fs::set_permissions(&command, std::fs::Permissions::from_mode(0o755))
            .expect("an executable command");
        let cluster = Self { name: name.to_owned(), members, agent: None, dir };
        std::fs::write(cluster.config(), cluster.configuration(shape, hub, root))
            .expect("a configuration");
        cluster
    }

    /// Its agent's configuration file.
    pub(super) fn config(&self) -> PathBuf {
        self.dir.join("agent.toml")
    }

    /// Its agent's state directory.
    pub(super) fn state_dir(&self) -> PathBuf {
        self.dir.join("state")
    }

    fn config_text(&self) -> String {
        self.config().to_str().expect("a utf-8 path").to_owned()
    }

    /// Registers at the hub.
    pub(super) fn enrol(&self, hub: &Hub) {
        let token = hub.invite();
        run_ok(&["agent", "enroll", "--config", &self.config_text(), "--token", &token], &[]);
    }

    /// Starts the agent, with a crash point if one is named.
    pub(super) fn run(&mut self, crash_at: Option<&str>) {
        let envs: Vec<_> = crash_at.iter().map(|at| ("FAIRWAY_CRASH_AT", *at)).collect();
        let config = self.config_text();
        let words = ["agent", "run", "--log-format", "text", "--config", &config];
        let log = self.dir.join("agent.log");
        self.agent = Some(Process::start(&words, &envs, &log));
    }

    /// Version of the `timestamp.json` that its agent believes.
    pub(super) fn timestamp_version(&self) -> Result<u64, String> {
        let path = self.state_dir().join("tuf/timestamp.json");
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        let value: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| error.to_string())?;
        value["signed"]["version"].as_u64().ok_or_else(|| "it has no version".to_owned())
    }

    /// Its folder: configuration, commands, state.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The agent's process.
    pub(super) fn agent(&mut self) -> &mut Process {
        self.agent.as_mut().expect("a running agent")
    }

    /// What the agent has logged in all its lives.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("agent.log")).unwrap_or_default()
    }

    /// `cluster-agent status`, as JSON.
    pub(super) fn status(&self) -> Result<Status, String> {
        let config = self.config_text();
        let output = run(&["agent", "status", "--output", "json", "--config", &config], &[]);
        serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// `cluster-agent status`, as people see it.
    pub(super) fn status_text(&self) -> String {
        let output = run(&["agent", "status", "--config", &self.config_text()], &[]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The agent's memory as it is on disk.
    pub(super) fn memory(&self) -> serde_json::Value {
        let text = std::fs::read_to_string(self.state_dir().join("state.json")).expect("a memory");
        serde_json::from_str(&text).expect("a readable memory")
    }

    /// Makes the command of a stage (`preflight`, `mutate`, …, or `after-mutate`) wait.
    pub(super) fn block(&self, stage: &str) {
        std::fs::write(self.dir.join(format!("block-{stage}")), "").expect("a marker");
    }

    /// Lets it go on.
    pub(super) fn unblock(&self, stage: &str) {
        std::fs::remove_file(self.dir.join(format!("block-{stage}"))).expect("a marker");
    }

    /// What the commands have logged.
    pub(super) fn commands(&self) -> Vec<CommandLine> {
        let text = std::fs::read_to_string(self.dir.join("commands.log")).unwrap_or_default();
        text.lines()
            .map(|line| {
                let mut words = line.split(' ').map(str::to_owned);
                let mut word = || words.next().expect("four words");
                CommandLine { event: word(), stage: word(), unit: word(), step: word() }
            })
            .collect()
    }

    /// Units whose `stage` was begun, in order.
    pub(super) fn begun(&self, stage: &str) -> Vec<String> {
        let begun = |line: &CommandLine| line.event == "begin" && line.stage == stage;
        self.commands().into_iter().filter(begun).map(|line| line.unit).collect()
    }

    /// Fails unless each controller went exactly once, from the old release to the new one, one at
    /// a time, the active one last. Returns the restarts in order.
    pub(super) fn rolled_once(&self) -> Vec<(LedgerEntry, LedgerEntry)> {
        let restarts: Vec<_> = self
            .members
            .restarts()
            .into_iter()
            .map(|(down, up)| (down, up.expect("it came back")))
            .collect();
        let mut units: Vec<_> = restarts.iter().map(|(down, _)| down.unit.to_string()).collect();
        units.sort();
        assert_eq!(units, ["c-1", "c-2", "c-3"], "each once: {restarts:#?}");
        let led: Vec<bool> = restarts.iter().map(|(down, _)| down.led).collect();
        assert_eq!(led, [false, false, true], "the active controller last: {restarts:#?}");
        for (down, up) in &restarts {
            assert_eq!((down.version.as_str(), up.version.as_str()), (KAFKA[0], KAFKA[1]));
        }
        let mut begun = self.begun("mutate");
        begun.sort();
        assert_eq!(begun, units, "each was ordered once");
        restarts
    }

    fn configuration(&self, shape: &Shape, hub: &Hub, root: &Path) -> String {
        let units: Vec<String> = self
            .members
            .units()
            .map(|(unit, id, address)| {
                format!(
                    "    {{ name = \"{unit}\", node_id = {id}, on_node = \"\", \
                     metrics_url = \"http://{address}/metrics\" }},\n"
                )
            })
            .collect();
        let mut text = format!(
            "{SCALED}\n[hub]\nurl = \"{url}\"\nroot = \"{root}\"\nrefresh_ms = 2000\n{hub_lines}\n\
             [cluster]\nname = \"{name}\"\n\
             [[products]]\nproduct = \"acme/kafka\"\nchannel = \"stable\"\n\
             initial_version = \"{initial}\"\n\
             [[products.pools]]\nname = \"controllers\"\nrole = \"controller\"\nunits = [\n{units}]\n\
             [products.pools.exec]\n",
            url = hub.url(),
            root = root.display(),
            hub_lines = shape.hub_lines,
            name = self.name,
            initial = KAFKA[0],
            units = units.concat(),
        );
        let mut stages = vec!["preflight", "mutate"];
        if shape.quiesce {
            stages.extend(["quiesce", "restore"]);
        }
        for stage in stages {
            let _ = writeln!(
                text,
                "{stage} = {{ command = [\"./change-unit\", \"{stage}\", \"{{unit}}\", \
                 \"{{component_version}}\", \"{{step_id}}\"], environment = {{ FAIRWAY_BINARY = \
                 \"{}\" }} }}",
                process::binary().display()
            );
        }
        if let Some(url) = &shape.nodes {
            let _ = write!(
                text,
                "[[products]]\nproduct = \"acme/platform\"\nchannel = \"stable\"\n\
                 initial_version = \"{}\"\n\
                 [[products.pools]]\nname = \"nodes\"\nrole = \"node\"\nunits = [\n\
                 \x20   {{ name = \"n-1\", metrics_url = \"{url}/units/n-1/metrics\" }},\n\
                 \x20   {{ name = \"n-2\", metrics_url = \"{url}/units/n-2/metrics\" }},\n]\n\
                 [products.pools.simulated]\nurl = \"{url}\"\n",
                PLATFORM[0]
            );
        }
        text.push_str(&shape.tables);
        text
    }
}

/// Waits and windows, scaled so that a scenario takes seconds; limits of lags are the real ones.
const SCALED: &str = r#"state_dir = "state"
[policy]
mode = "hub"
[probes]
fast_ms = 200
idle_ms = 500
node_fast_ms = 200
node_idle_ms = 1000
[timings]
baseline_ms = 1000
refused_retry_ms = 1000
[timings.controller]
soak_ms = 1000
[timings.node]
soak_ms = 1000
[limits.pleg]
period_ms = 50
"#;
