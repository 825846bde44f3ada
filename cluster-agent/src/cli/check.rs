//! `check`: what would block the next unit, found out without touching anything.
//!
//! It reads the agent's memory without its lock, probes the units, and verifies the repository
//! against a copy of the trusted metadata that it throws away afterwards.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use channels::names::ProductRef;
use channels::wire::{self, ProductState, Role};
use serde::Serialize;

use super::{Answer, CheckArgs, Output, Verdict, commands};
use crate::agent::{Core, Ledger, Metadata, Prober, Refresh, open_change, product_states, refresh};
use crate::clock;
use crate::config::Settings;
use crate::hub::HubReleases;
use crate::kube::Kube;
use crate::kube::resource::{
    self, AgentStatus, Found, Link, Read, Shown, Standing, Standings, order,
};
use crate::observation::ClusterGate;
use crate::plan::{AT_REST, Grants, Known, Policy, finding_to_wire, follow};
use crate::state::{self, Control};

/// Reasons that only time or the hub can settle: they say nothing against the next unit.
const NOT_COUNTED: [&str; 4] = ["baseline", "gate_once", "observation_old", "other_product"];

/// Longest wait, beyond the time asked for, for answers of Prometheus about risks: a dozen questions
/// at one a second, or one that times out.
const ASKING_MAX: Duration = Duration::from_secs(30);

/// Longest wait for the resources of Kubernetes.
const RESOURCES_MAX: Duration = Duration::from_secs(15);

/// Between two looks whether they have been read.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How long units are probed unless it is said: a dozen pages for lags.
const LOOK: Duration = Duration::from_secs(6);

/// The answer of `check`.
#[derive(Debug, Serialize)]
struct Checked {
    blocked: bool,
    /// What stands against the cluster as a whole, whether or not anything wants to go.
    gates: Vec<wire::WaitingOn>,
    /// What an agent would go by and could not be looked at: then nobody knows that it could go.
    unknown: Vec<String>,
    products: Vec<CheckedProduct>,
}

#[derive(Debug, Serialize)]
struct CheckedProduct {
    state: ProductState,
    blockers: Vec<wire::WaitingOn>,
}

pub(super) fn check(args: &CheckArgs) -> anyhow::Result<Answer> {
    let settings = commands::settings(&args.read.config)?;
    let time = args.seconds.map_or_else(|| enough(&settings), Duration::from_secs);
    let checked = commands::runtime()?.block_on(look(&settings, time))?;
    let text = match args.read.output {
        Output::Text => render(&checked),
        Output::Json => serde_json::to_string_pretty(&checked)? + "\n",
    };
    let verdict = if checked.blocked { Verdict::No } else { Verdict::Yes };
    Ok(Answer { text, verdict })
}

/// Enough to judge every unit by: a node is unknown until it has relisted often enough.
fn enough(settings: &Settings) -> Duration {
    let pools = settings.products.values().flat_map(|product| &product.pools);
    let has_nodes = pools.into_iter().any(|pool| pool.role == Role::Node);
    let pleg = &settings.pleg_limits;
    let relists = Duration::from_millis(u64::from(pleg.min_relists).saturating_mul(pleg.period_ms));
    if has_nodes { LOOK.saturating_add(relists) } else { LOOK }
}

async fn look(settings: &Settings, time: Duration) -> anyhow::Result<Checked> {
    let document = state::load(&settings.state_dir, &settings.cluster_name)?;
    let control = Control::new(&settings.state_dir);
    // The hub's leave is its own to give: only what this cluster can know is checked here.
    let configured = settings.policy(Grants::None);
    let kube = settings.kubernetes.clone().map(Kube::new);
    let (standings, unknown) = match steered(settings, kube.as_ref(), &configured).await {
        Ok(standings) => (standings, vec![]),
        Err(why) => (Standings::new(), vec![why]),
    };
    let owner = resource::policy(&configured, &standings, clock::now());
    let policy = follow(&owner, &document.wanted);
    let history = document.history;
    let approvals = resource::approvals(control.approvals()?, &standings, &history);
    let finalize =
        resource::finalize_approvals(control.finalize_approvals()?, &standings, &history);
    let mut core = Core::new(policy, history);
    core.orders(control.hold()?, approvals);
    core.finalize_approved(finalize);
    // Dropped with the core, like every other change here.
    drop(core.levels_unchanged(&control.levels_unchanged()?, clock::now()));
    let known = verify(settings, &core).await?;
    core.learn(known, clock::now());
    let mut prober = Prober::new(settings, kube)?;
    let until = tokio::time::Instant::now() + time;
    let asking_until = until + ASKING_MAX;
    loop {
        let so_far = tokio::time::Instant::now();
        if so_far >= until && !(prober.is_asking() && so_far < asking_until) {
            break;
        }
        let now = clock::now();
        prober.exchange(&mut core, now);
        let out = core.history.out.as_ref().map(|out| out.key().clone());
        if let Some(seen) = prober.probe_engaged(out.as_ref(), now).await {
            // The change is dropped with the core: nothing of it reaches the disk.
            drop(core.observe(seen, clock::now()));
        }
        tokio::time::sleep(Duration::from_millis(settings.probes.fast_ms)).await;
    }
    if core.lacks_documents(clock::now()) {
        // Answers about risks opened a way to a release that nobody had looked for.
        let known = verify(settings, &core).await?;
        core.learn(known, clock::now());
        prober.exchange(&mut core, clock::now());
    }
    core.quorum_change(open_change(settings, clock::now()));
    core.plan_only(clock::now());
    let gates = core.observation.iter().flat_map(|seen| &seen.gates).map(gate_to_wire).collect();
    let (states, _) = product_states(&core, &mut Ledger::default(), None, clock::now());
    let products: Vec<CheckedProduct> = states.into_iter().map(|s| judge(s, &core)).collect();
    let blocked =
        !unknown.is_empty() || products.iter().any(|product| !product.blockers.is_empty());
    Ok(Checked { blocked, gates, unknown, products })
}

/// What `ClusterUpdate`s say, read once; nothing without Kubernetes. The lease is not asked for: which
/// agent acts is no question of whether a unit could go.
async fn steered(
    settings: &Settings,
    kube: Option<&Kube>,
    configured: &Policy,
) -> Result<Standings, String> {
    let Some(kube) = kube else { return Ok(Standings::new()) };
    let period = Duration::from_millis(kube.settings().period_ms);
    let shown = Shown {
        // Who does not act writes nothing.
        acting: false,
        agent: AgentStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            holder: "check".to_owned(),
        },
        views: BTreeMap::new(),
        products: configured.products.keys().cloned().collect(),
    };
    let mut link = Link::start(kube.clone(), period, shown);
    let mut why = "no answer".to_owned();
    let until = tokio::time::Instant::now() + RESOURCES_MAX;
    while tokio::time::Instant::now() < until {
        match link.news() {
            Some(Read { complete: true, found, .. }) => {
                return Ok(standings(&found, settings, configured));
            }
            Some(Read { trouble, .. }) => why = trouble.unwrap_or(why),
            None => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
    Err(format!(
        "ClusterUpdates could not be read ({why}): their holds, windows and policy are not in this \
         answer"
    ))
}

/// What each resource says, as an agent that has just started would take it.
fn standings(
    found: &BTreeMap<ProductRef, Found>,
    settings: &Settings,
    configured: &Policy,
) -> Standings {
    let since = clock::now();
    let own = found.iter().filter(|(product, _)| configured.products.contains_key(*product));
    let judge = |found: &Found| {
        let spec = found.spec.clone();
        match spec.and_then(|spec| order(&spec, configured, settings.hub.reports)) {
            Ok(order) => Standing::Followed { order: Box::new(order), since },
            Err(error) => Standing::Refused { why: error.to_string(), since },
        }
    };
    own.map(|(product, found)| (product.clone(), judge(found))).collect()
}

fn gate_to_wire(gate: &ClusterGate) -> wire::WaitingOn {
    finding_to_wire(&(None, gate.finding.clone()), None)
}

fn judge(state: ProductState, core: &Core) -> CheckedProduct {
    let mut blockers: Vec<wire::WaitingOn> = state
        .waiting_on
        .iter()
        .filter(|reason| !NOT_COUNTED.contains(&reason.gate.as_str()))
        .filter(|reason| !AT_REST.contains(&reason.gate.as_str()))
        .filter(|reason| !is_command(core, &state, reason))
        .cloned()
        .collect();
    if let Some(out) = core.history.out.as_ref().filter(|out| out.key().product == state.product) {
        blockers.push(wire::WaitingOn {
            gate: "unit_out".to_owned(),
            unit: Some(out.key().unit.clone()),
            message: format!("{} is out, in phase {}", out.key().unit, out.phase.wire()),
            observed: None,
            limit: None,
            since: out.phase.since(),
        });
    }
    CheckedProduct { state, blockers }
}

/// The owner's checks are commands, and nothing is run here: that they have not been made says
/// nothing.
fn is_command(core: &Core, state: &ProductState, reason: &wire::WaitingOn) -> bool {
    let policy = core.policy.products.get(&state.product);
    let commands = policy.into_iter().flat_map(|policy| &policy.rules.checks.commands);
    commands.into_iter().any(|check| reason.gate == format!("check_{}", check.name))
}

async fn verify(settings: &Settings, core: &Core) -> anyhow::Result<Known> {
    let root = std::fs::read(&settings.hub.root)
        .with_context(|| format!("cannot read {}", settings.hub.root.display()))?;
    let scratch = Scratch::copy_of(&settings.state_dir)?;
    let mut releases =
        HubReleases::open(&root, &settings.hub.addresses, &settings.hub.network, &scratch.path)?;
    let order = Refresh {
        metadata: Metadata::Ask,
        etag: None,
        policy: Arc::new(core.policy.clone()),
        history: core.history.clone(),
        approvals: core.approvals.clone(),
        answers: core.answers.clone(),
    };
    let (known, _) = refresh(&mut releases, &order, clock::now()).await;
    Ok(known)
}

/// A throw-away copy of the trusted metadata, so that rollback floors count and nothing is written.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn copy_of(state_dir: &Path) -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("fairway-check-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let scratch = Self { path };
        let from = state_dir.join("tuf");
        if from.is_dir() {
            let to = scratch.path.join("tuf");
            std::fs::create_dir(&to).with_context(|| format!("cannot create {}", to.display()))?;
            for entry in std::fs::read_dir(&from).with_context(|| format!("{}", from.display()))? {
                let entry = entry.with_context(|| format!("cannot list {}", from.display()))?;
                if entry.path().is_file() {
                    std::fs::copy(entry.path(), to.join(entry.file_name()))
                        .with_context(|| format!("cannot copy {}", entry.path().display()))?;
                }
            }
        }
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays behind in the temporary directory is public metadata.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn render(checked: &Checked) -> String {
    let mut text = String::new();
    for why in &checked.unknown {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "unknown  {why}");
    }
    for gate in &checked.gates {
        let _ = writeln!(text, "cluster  [{}] {}", gate.gate, gate.message);
    }
    for CheckedProduct { state, blockers } in &checked.products {
        let target = state.target.as_ref().filter(|target| **target != state.version);
        let target = target.map_or_else(String::new, |target| format!(" -> {target}"));
        let _ = writeln!(
            text,
            "{} {}{target}: {}",
            state.product,
            state.version,
            word(state, blockers, &checked.unknown)
        );
        for blocker in blockers {
            let _ = writeln!(text, "  blocked  [{}] {}", blocker.gate, blocker.message);
        }
        if let Some(failure) = &state.failure {
            let _ = writeln!(text, "  failure  [{}] {}", failure.kind, failure.message);
        }
        for unit in state.units.iter().filter(|u| u.health != wire::HealthVerdict::Healthy) {
            let why = unit.why.as_deref().unwrap_or("no reason given");
            let _ = writeln!(text, "  {} {} {}: {why}", unit.health, unit.role, unit.name);
        }
    }
    text
}

fn word(state: &ProductState, blockers: &[wire::WaitingOn], unknown: &[String]) -> &'static str {
    let same = state.target.as_ref().is_none_or(|target| *target == state.version);
    verdict(blockers.is_empty(), same, unknown.is_empty())
}

fn verdict(free: bool, same: bool, known: bool) -> &'static str {
    match (free, known, same) {
        (false, _, _) => "blocked",
        (true, false, _) => "not known",
        (true, true, true) => "nothing to do",
        (true, true, false) => "could go",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;

    fn settings(file: &str) -> Settings {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/agent");
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        Settings::parse(&text, Path::new(file), Path::new("/etc/fairway"), Overrides::default())
            .unwrap()
    }

    #[test]
    fn a_look_lasts_until_nodes_can_be_judged() {
        assert_eq!(enough(&settings("kafka-ssh.toml")), Duration::from_secs(6));
        // limits.pleg: 20 relists, one a second.
        assert_eq!(enough(&settings("nodes.toml")), Duration::from_secs(26));
    }

    #[test]
    fn what_could_not_be_looked_at_is_no_could_go() {
        assert_eq!(verdict(true, false, true), "could go");
        assert_eq!(verdict(true, false, false), "not known");
        assert_eq!(verdict(true, true, false), "not known");
        assert_eq!(verdict(false, false, false), "blocked");
    }
}
