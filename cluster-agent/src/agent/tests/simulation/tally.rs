//! Which phases, gates and events a run has seen: what no run sees is not tested.

use std::collections::BTreeMap;

use crate::agent::core::Core;
use crate::driver::Task;
use crate::phase::Phase;

/// Reasons to wait that a long run meets.
const GATES: &[&str] = &[
    "grant_unfit",
    "hub_disowned",
    "hub_wait",
    "hub_hold",
    "hub_unreachable",
    "grant_expired",
    "pin",
    "policy_patch",
    "approval",
    "arch_missing",
    "dependency",
    "risk",
    "risk_unknown",
    "no_metadata",
    "release_missing",
    "edge_not_allowed",
    "no_component",
    "version_unknown",
    "finalize_pending",
];

/// Reasons of pauses that a long run meets.
const PAUSES: &[&str] =
    &["health_overdue", "no_leader", "return_overdue", "unexpected_election", "voters_bad"];

/// Phases that a long run meets.
const PHASES: &[&str] = &[
    "Preflight",
    "Before",
    "Quiesce",
    "Mutate",
    "AwaitReturn",
    "AwaitHealth",
    "Restore",
    "Soak",
    "After",
];

/// Stages that a long run starts.
const STAGES: &[&str] = &["preflight", "before", "quiesce", "mutate", "restore", "after"];

/// Counts by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) probes: u64,
    pub(super) events: BTreeMap<String, u64>,
    pub(super) gates: BTreeMap<String, u64>,
    pub(super) pauses: BTreeMap<String, u64>,
    pub(super) phases: BTreeMap<String, u64>,
    pub(super) stages: BTreeMap<String, u64>,
    paused: bool,
}

fn add(counts: &mut BTreeMap<String, u64>, name: &str, count: u64) {
    if let Some(known) = counts.get_mut(name) {
        *known += count;
    } else {
        counts.insert(name.to_owned(), count);
    }
}

impl Tally {
    pub(super) fn event(&mut self, name: &str) {
        add(&mut self.events, name, 1);
    }

    pub(super) fn phase(&mut self, phase: &Phase) {
        add(&mut self.phases, &super::run::phase(phase), 1);
    }

    pub(super) fn started(&mut self, stage: Task) {
        add(&mut self.stages, &stage.to_string(), 1);
    }

    /// Notes why nothing moves at one probe.
    pub(super) fn note(&mut self, core: &Core) {
        self.probes += 1;
        for why in core.plan.iter().flat_map(|plan| plan.waiting_on.values().flatten()) {
            add(&mut self.gates, &why.gate(), 1);
        }
        if let Some(why) = &core.current_wait {
            add(&mut self.gates, &why.gate, 1);
        }
        let pause = core.history.pause.as_ref();
        if let Some(pause) = pause.filter(|_| !self.paused) {
            add(&mut self.pauses, &pause.why.gate, 1);
        }
        self.paused = pause.is_some();
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.probes += other.probes;
        let both = [
            (&mut self.events, &other.events),
            (&mut self.gates, &other.gates),
            (&mut self.pauses, &other.pauses),
            (&mut self.phases, &other.phases),
            (&mut self.stages, &other.stages),
        ];
        for (own, others) in both {
            for (name, count) in others {
                add(own, name, *count);
            }
        }
    }

    /// What never happened, and should have in a long run.
    pub(super) fn never(&self) -> Vec<String> {
        let events = super::trouble::EVENTS.iter().map(|(name, _)| *name);
        let lists: [(&str, &BTreeMap<String, u64>, Vec<&str>); 5] = [
            ("event", &self.events, events.collect()),
            ("gate", &self.gates, GATES.to_vec()),
            ("pause", &self.pauses, PAUSES.to_vec()),
            ("phase", &self.phases, PHASES.to_vec()),
            ("stage", &self.stages, STAGES.to_vec()),
        ];
        let missing = |(what, seen, listed): (&str, &BTreeMap<String, u64>, Vec<&str>)| {
            let never = listed.into_iter().filter(|name| !seen.contains_key(*name));
            never.map(|name| format!("{what} {name}")).collect::<Vec<_>>()
        };
        lists.into_iter().flat_map(missing).collect()
    }

    /// A table for people.
    pub(super) fn table(&self) -> String {
        let parts = [
            ("events", &self.events),
            ("waiting on", &self.gates),
            ("pauses", &self.pauses),
            ("phases", &self.phases),
            ("stages", &self.stages),
        ];
        let mut text = format!("probes {}\n", self.probes);
        for (title, counts) in parts {
            text.extend([title, ":\n"]);
            let line = |(name, count): (&String, &u64)| format!("  {name:<28} {count:>10}\n");
            text.extend(counts.iter().map(line));
        }
        text
    }
}
