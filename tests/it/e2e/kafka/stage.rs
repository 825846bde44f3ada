//! One hub, one vendor, one real Kafka cluster, one agent that changes it by commands.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use channels::wire::{Phase, ProductState, WaitingOn};
use cluster_agent::status::Status;

use super::peer::{Member, Members, Peer, script};
use crate::e2e::agent::Agent;
use crate::e2e::process::{eventually_within, tail};
use crate::e2e::vendor::Vendor;
use crate::e2e::world::{Hub, KAFKA};

/// Longest wait for one thing to happen to a cluster of six servers on two busy cores.
pub(super) const PATIENCE: Duration = Duration::from_mins(3);

/// Digest of an image that no scenario pulls.
const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The operator's command for one unit. Says when it begins and ends, in wall-clock milliseconds.
const CHANGE: &str = r#"#!/usr/bin/env bash
# $1 = unit, $2 = version
set -euo pipefail
cd "$(dirname "$0")"
echo "begin $1 $2 $(date +%s%3N)" >>changes.log
"$MEMBER" "$CLUSTER" "$1" restart "$2"
echo "end $1 $2 $(date +%s%3N)" >>changes.log
"#;

/// The operator's command for the step that cannot be undone.
const FINALIZE: &str = r#"#!/usr/bin/env bash
# $1 = level
set -euo pipefail
exec "$TOOL" "$CLUSTER" features upgrade --release-version "$1"
"#;

/// The operator's check before each unit: no while the file `not-now` is there.
const CHECK: &str = r#"#!/usr/bin/env bash
cd "$(dirname "$0")"
if [ -e not-now ]; then
    echo "not now"
    exit 1
fi
"#;

/// A line of the log of changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// `begin` or `end`.
    pub(super) event: String,
    /// The unit.
    pub(super) unit: String,
    /// To which version.
    pub(super) version: String,
    /// When, milliseconds of the wall clock.
    pub(super) at_ms: i64,
}

/// A scene; everything ends with it, the agent first.
#[derive(Debug)]
pub(super) struct Stage {
    /// The agent.
    pub(super) agent: Agent,
    hub: Hub,
    vendor: Vendor,
    /// The cluster.
    pub(super) peer: Peer,
    timings: String,
    dir: tempfile::TempDir,
}

impl Stage {
    /// Starts everything but the agent, whose waits are `timings` (TOML).
    pub(super) fn set(which: Members, timings: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let peer = Peer::start(&dir.path().join("cluster"), which);
        let hub = Hub::start(dir.path(), "report_interval_s = 1\n");
        let vendor = Vendor::init(&hub, &dir.path().join("acme"));
        let agent = Agent::new(dir.path(), PATIENCE);
        let stage = Self { agent, hub, vendor, peer, timings: timings.to_owned(), dir };
        for (name, text) in [("change", CHANGE), ("finalize", FINALIZE), ("check", CHECK)] {
            let path = stage.dir.path().join(name);
            std::fs::write(&path, text).expect("a command");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
                .expect("an executable command");
        }
        stage.publish(KAFKA[0], "upgrade_from: []\ndowngrade_from: [\"=4.3.1\"]\n");
        stage.configure(&stage.peer.members);
        let token = stage.hub.invite();
        stage.agent.run_ok(&["enroll", "--token", &token]);
        stage
    }

    /// The vendor releases the newer version, with its finalize step.
    pub(super) fn release(&self) {
        let finalize = "finalize:\n  summary: raises metadata.version\n  level: \"4.3\"\n";
        let upgrade = "upgrade_from: [\">=3.9.0, <4.3.1\"]\n";
        self.publish(KAFKA[1], &[upgrade, finalize].concat());
    }

    fn publish(&self, version: &str, lines: &str) {
        let mut text = format!(
            "version: {version}\nreleased_at: 2026-01-01\npayload: acme/kafka@{DIGEST}\n\
             components:\n"
        );
        for role in ["controller", "broker"] {
            let image = format!("acme/kafka@{DIGEST}");
            let _ = write!(text, "  - role: {role}\n    version: {version}\n    image: {image}\n");
        }
        self.vendor.write(&format!("kafka/releases/{version}.yaml"), &(text + lines));
        let known: Vec<&str> = KAFKA.into_iter().filter(|known| *known <= version).collect();
        self.vendor.channel("kafka", "stable", &known);
        self.vendor.publish();
    }

    /// Writes the agent's configuration for these members.
    pub(super) fn configure(&self, members: &[Member]) {
        let of_role = |role: &'static str| members.iter().filter(move |member| member.role == role);
        let servers = |role: &'static str| {
            let ports: Vec<String> =
                of_role(role).map(|m| format!("\"127.0.0.1:{}\"", m.kafka_port)).collect();
            ports.join(", ")
        };
        let mut text = format!(
            "state_dir = \"state\"\n[policy]\nmode = \"hub\"\n{timings}\n\
             [hub]\nurl = \"{url}\"\nroot = \"{root}\"\nrefresh_ms = 2000\n\
             [cluster]\nname = \"plant\"\n\
             [[products]]\nproduct = \"acme/kafka\"\nchannel = \"stable\"\n\
             initial_version = \"{initial}\"\n\
             kafka = {{ bootstrap = [{controllers}], brokers = [{brokers}] }}\n\
             [products.finalize]\ncommand = [\"./finalize\", \"{{level}}\"]\n\
             environment = {{ TOOL = \"{tool}\", CLUSTER = \"{cluster}\" }}\n\
             [products.checks]\ncommands = [\n\
             \x20   {{ name = \"duty\", when = \"unit\", command = [\"./check\"] }},\n]\n",
            timings = self.timings,
            url = self.hub.url(),
            root = self.vendor.root().display(),
            initial = KAFKA[0],
            controllers = servers("controller"),
            brokers = servers("broker"),
            tool = script("kafka_tool.sh").display(),
            cluster = self.peer.dir().display(),
        );
        for role in ["controller", "broker"] {
            if of_role(role).next().is_none() {
                continue;
            }
            let _ = write!(
                text,
                "[[products.pools]]\nname = \"{role}s\"\nrole = \"{role}\"\nunits = [\n"
            );
            for Member { name, node_id, metrics_url, .. } in of_role(role) {
                let _ = writeln!(
                    text,
                    "    {{ name = \"{name}\", node_id = {node_id}, on_node = \"\", \
                     metrics_url = \"{metrics_url}\" }},"
                );
            }
            let _ = write!(
                text,
                "]\n[products.pools.exec]\nmutate = {{ command = [\"./change\", \"{{unit}}\", \
                 \"{{component_version}}\"], timeout_ms = 300000, environment = {{ MEMBER = \
                 \"{member}\", CLUSTER = \"{cluster}\" }} }}\n",
                member = script("kafka_member.sh").display(),
                cluster = self.peer.dir().display(),
            );
        }
        std::fs::write(self.dir.path().join("agent.toml"), text).expect("a configuration");
    }

    /// Waits until a gate of that name is waited at, and gives what is said about it.
    pub(super) fn until_gate(&self, gate: &str) -> WaitingOn {
        let status =
            self.agent.until(&format!("it waits at {gate}"), |s| at_gate(s, gate).is_some());
        at_gate(&status, gate).cloned().expect("just seen")
    }

    /// Waits until nothing is wanted and every unit is healthy on `version`.
    pub(super) fn until_idle(&self, version: &str) {
        self.agent.until(&format!("it rests on {version}"), |status| {
            let state = kafka(status);
            state.phase == Phase::Idle
                && state.version.to_string() == version
                && state.waiting_on.is_empty()
                && state.health.verdict == channels::wire::HealthVerdict::Healthy
        });
    }

    /// What the operator's command has logged.
    pub(super) fn changes(&self) -> Vec<Change> {
        let text = std::fs::read_to_string(self.agent.path("changes.log")).unwrap_or_default();
        text.lines()
            .map(|line| {
                let mut words = line.split(' ').map(str::to_owned);
                let mut word = || words.next().expect("four words");
                let (event, unit, version) = (word(), word(), word());
                Change { event, unit, version, at_ms: word().parse().expect("milliseconds") }
            })
            .collect()
    }

    /// Units whose change was begun, in order.
    pub(super) fn begun(&self) -> Vec<String> {
        let begun = self.changes().into_iter().filter(|change| change.event == "begin");
        begun.map(|change| change.unit).collect()
    }

    /// Waits until so many changes were begun.
    pub(super) fn until_begun(&self, count: usize) -> Vec<String> {
        eventually_within(PATIENCE, &format!("{count} changes are begun"), || {
            let begun = self.begun();
            if begun.len() >= count { Ok(begun) } else { Err(self.agent.status_text()) }
        })
    }
}

/// The state of the one product there is.
pub(super) fn kafka(status: &Status) -> &ProductState {
    status.products.first().expect("one product")
}

/// What the product waits for at a gate of that name.
pub(super) fn at_gate<'s>(status: &'s Status, gate: &str) -> Option<&'s WaitingOn> {
    kafka(status).waiting_on.iter().find(|why| why.gate == gate)
}

/// Prints a figure or a sentence that people want to see of a run (`--nocapture`).
#[expect(clippy::print_stderr, reason = "delays and what is said are results, too")]
pub(super) fn show(what: &str) {
    eprintln!("{what}");
}

#[expect(clippy::print_stderr, reason = "the last words of a scenario that failed")]
impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- status\n{}", self.agent.status_text());
            eprintln!("--- agent\n{}", tail(&self.agent.log()));
            for change in self.changes() {
                eprintln!("{change:?}");
            }
        }
    }
}

/// Copies a rule file with one setting changed.
pub(super) fn copy_with(path: &Path, from: &str, to: &str, target: &Path) {
    let text = std::fs::read_to_string(path).expect("a rule file");
    assert!(text.contains(from), "{} holds {from:?}", path.display());
    std::fs::write(target, text.replace(from, to)).expect("a copy");
}
