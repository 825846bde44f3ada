//! Which phases, gates and events a run has seen: what no run sees is not tested.

use std::collections::BTreeMap;

use crate::agent::core::Core;
use crate::driver::Task;
use crate::phase::Phase;

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
