//! What an edge asks of a cluster, in the words, classes and tones of the page.

use std::collections::BTreeMap;

use channels::graph::{Graph, Risk};

use crate::http::dashboard::words::{Pill, Tone};
use crate::telemetry::is_always;

/// What keeps clusters from taking an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Nothing.
    Plain,
    /// Risks that each cluster finds out about by its own metrics.
    Conditional,
    /// A risk that every cluster is exposed to, a hold among them: nobody goes unless it is accepted.
    Blocked,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Plain, Self::Conditional, Self::Blocked];

    pub(super) fn of(risks: &[Risk]) -> Self {
        if risks.iter().any(is_always) {
            Self::Blocked
        } else if risks.is_empty() {
            Self::Plain
        } else {
            Self::Conditional
        }
    }

    /// A class of the style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Conditional => "conditional",
            Self::Blocked => "blocked",
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Plain => "recommended",
            Self::Conditional => "conditional",
            Self::Blocked => "blocked",
        }
    }

    /// What it means, for the legend.
    pub(super) fn legend(self) -> &'static str {
        match self {
            Self::Plain => "recommended",
            Self::Conditional => "conditional: each cluster finds out by its own metrics",
            Self::Blocked => "blocked: a risk or a hold that is about every cluster",
        }
    }

    pub(super) fn pill(self) -> Pill {
        let tone = match self {
            Self::Plain => Tone::Good,
            Self::Conditional => Tone::Warn,
            Self::Blocked => Tone::Bad,
        };
        Pill::new(tone, self.words())
    }
}

/// Risks by edge; an edge without any is not in it.
pub(super) type RisksOf<'g> = BTreeMap<(usize, usize), &'g [Risk]>;

pub(super) fn risks_of(graph: &Graph) -> RisksOf<'_> {
    let groups = graph.conditional().iter();
    groups.flat_map(|group| group.edges.iter().map(|edge| (*edge, &*group.risks))).collect()
}

/// `DiskStorm, LostLogs`
pub(super) fn names(risks: &[Risk]) -> String {
    risks.iter().map(|risk| risk.name.as_str()).collect::<Vec<_>>().join(", ")
}
