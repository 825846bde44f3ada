//! What graph and risks leave to choose from, before the release document is asked. Pure.

use channels::graph::Graph;
use channels::path::{Goal as PathGoal, NextStep, NoStep, next_step_where};
use channels::version::ReleaseVersion;

use super::WaitingOn;
use super::target::running;
use super::target_risks::{Awaited, Exposure};
use crate::history::ProductHistory;

/// What was chosen before the release document is asked.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Chosen {
    Nothing,
    To(ReleaseVersion),
    Blocked { to: Option<ReleaseVersion>, why: WaitingOn },
}

impl Chosen {
    /// Nothing, unless the release it goes to is one of those.
    pub(super) fn only(self, one_of: impl FnOnce(&ReleaseVersion) -> bool) -> Self {
        match self {
            Self::To(ref to) if !one_of(to) => Self::Nothing,
            Self::Nothing | Self::To(_) | Self::Blocked { .. } => self,
        }
    }

    /// The same, unless something speaks against the release it goes to.
    pub(super) fn unless(self, no: impl FnOnce(&ReleaseVersion) -> Option<WaitingOn>) -> Self {
        match self {
            Self::To(to) => match no(&to) {
                Some(why) => Self::Blocked { to: Some(to), why },
                None => Self::To(to),
            },
            Self::Nothing | Self::Blocked { .. } => self,
        }
    }

    /// A release that is there but that policy does not take by itself.
    pub(super) fn held_back(self, why: impl FnOnce(ReleaseVersion) -> WaitingOn) -> Self {
        match self {
            Self::To(to) => Self::Blocked { to: Some(to.clone()), why: why(to) },
            Self::Nothing | Self::Blocked { .. } => self,
        }
    }
}

/// The way back: in mid-roll to a release that the graph offers from every running one, at rest
/// step by step.
pub(super) fn back_to(
    record: &ProductHistory,
    graph: &Graph,
    to: &ReleaseVersion,
    exposure: &Exposure<'_>,
) -> Chosen {
    if record.roll.as_ref().is_none_or(|roll| !roll.touched) {
        return step(graph, &record.version, &PathGoal::Version(to.clone()), exposure);
    }
    let froms = running(record);
    let mut others = froms.iter().filter(|from| *from != to);
    match others.find_map(|from| unoffered(graph, from, to, exposure)) {
        None => Chosen::To(to.clone()),
        Some(WaitingOn::EdgeWithdrawn { from, to }) => {
            Chosen::Blocked { to: Some(to.clone()), why: WaitingOn::NoWayBack { from, to } }
        }
        Some(why) => Chosen::Blocked { to: Some(to.clone()), why },
    }
}

/// The step towards a goal. While an answer that could lead elsewhere is on its way, there is none:
/// the questions take seconds, and a detour takes a roll.
pub(super) fn step(
    graph: &Graph,
    from: &ReleaseVersion,
    goal: &PathGoal,
    exposure: &Exposure<'_>,
) -> Chosen {
    let awaited = Awaited::default();
    let sure = next_step_where(graph, from, goal, &|risk| awaited.strict(exposure, risk));
    let names = awaited.names();
    if !names.is_empty() {
        let hope = next_step_where(graph, from, goal, &|risk| Awaited::hopeful(exposure, risk));
        if let Some(to) = hope.to.filter(|to| sure.to.as_ref() != Some(to)) {
            let why = WaitingOn::RiskUnknown { to: to.clone(), risks: names };
            return Chosen::Blocked { to: Some(to), why };
        }
    }
    outcome(graph, from, sure, exposure)
}

fn outcome(
    graph: &Graph,
    from: &ReleaseVersion,
    step: NextStep,
    exposure: &Exposure<'_>,
) -> Chosen {
    if let Some(to) = step.to {
        return Chosen::To(to);
    }
    match (step.why, step.refused.into_iter().next()) {
        (Some(NoStep::AtGoal) | None, _) => Chosen::Nothing,
        (Some(NoStep::Risks), Some(refused)) => {
            let why = unoffered(graph, from, &refused.to, exposure);
            let named = || WaitingOn::Risks { to: refused.to.clone(), risks: refused.reasons };
            Chosen::Blocked { to: Some(refused.to.clone()), why: why.unwrap_or_else(named) }
        }
        (Some(why), _) => Chosen::Blocked {
            to: None,
            why: WaitingOn::NoWay { from: from.clone(), why: why.as_str().replace('_', " ") },
        },
    }
}

/// Why the graph does not let `from` go to `to`; `None` if it does.
pub(super) fn unoffered(
    graph: &Graph,
    from: &ReleaseVersion,
    to: &ReleaseVersion,
    exposure: &Exposure<'_>,
) -> Option<WaitingOn> {
    match graph.targets_of(from).into_iter().find(|offer| offer.to == to) {
        Some(offer) => exposure.closed(to, offer.risks),
        None => Some(WaitingOn::EdgeWithdrawn { from: from.clone(), to: to.clone() }),
    }
}
