//! The next step of one cluster.

use std::collections::BTreeSet;

use super::{distances, first_step};
use crate::graph::{Graph, Node, Risk};
use crate::version::ReleaseVersion;

/// Where a cluster wants to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// The head of the channel, or the newest release on the way that can be reached.
    Head,
    /// One release, newer or older.
    Version(ReleaseVersion),
    /// The newest reachable release of the same major and minor.
    PatchOnly,
    /// As `Head`, but no release above this one, on the way neither.
    HeadUpTo(ReleaseVersion),
    /// As `PatchOnly`, but no release above this one.
    PatchUpTo(ReleaseVersion),
}

/// The answer of [`next_step`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextStep {
    /// The release to move to now; `None` with a reason in `why`.
    pub to: Option<ReleaseVersion>,
    /// Releases the graph offers directly towards the goal, but with risks that are not accepted;
    /// newest first. Filled also when there is a step.
    pub refused: Vec<Refused>,
    /// Why there is no step.
    pub why: Option<NoStep>,
}

/// A direct target that is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The target.
    pub to: ReleaseVersion,
    /// Names of its risks that are neither cleared nor accepted, sorted.
    pub reasons: Vec<String>,
}

/// Why there is no next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoStep {
    /// The cluster is where it wants to be, or past it.
    AtGoal,
    /// The running version is not in the graph.
    CurrentNotInGraph,
    /// The wanted version is not in the graph.
    GoalNotInGraph,
    /// The wanted version was withdrawn.
    GoalWithdrawn,
    /// Every way towards the goal is refused for its risks.
    Risks,
    /// No way leads there.
    NoPath,
}

impl NoStep {
    /// Stable, `snake_case` name for logs and `waiting_on`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AtGoal => "at_goal",
            Self::CurrentNotInGraph => "current_not_in_graph",
            Self::GoalNotInGraph => "goal_not_in_graph",
            Self::GoalWithdrawn => "goal_withdrawn",
            Self::Risks => "risks",
            Self::NoPath => "no_path",
        }
    }
}

/// Picks the release to move to now: the newest direct target on a shortest way to the goal.
///
/// `accepted` holds the names of risks that were cleared on this cluster or accepted by its owner;
/// an edge with any other risk is not used, on the first hop or later.
pub fn next_step(
    graph: &Graph,
    from: &ReleaseVersion,
    goal: &Goal,
    accepted: &BTreeSet<String>,
) -> NextStep {
    next_step_where(graph, from, goal, &|risk| accepted.contains(&risk.name))
}

/// As [`next_step`], for whoever judges each risk by itself: `accept` says whether the cluster is not
/// exposed to it or its owner accepts it.
pub fn next_step_where(
    graph: &Graph,
    from: &ReleaseVersion,
    goal: &Goal,
    accept: &dyn Fn(&Risk) -> bool,
) -> NextStep {
    let none = |why| NextStep { to: None, refused: Vec::new(), why: Some(why) };
    let Some(start) = graph.node_index(from) else { return none(NoStep::CurrentNotInGraph) };
    let nodes = graph.nodes();
    let scope = match goal {
        Goal::Head => Scope::Up { line: None, limit: None },
        Goal::PatchOnly => Scope::Up { line: Some(line(&nodes[start])), limit: None },
        Goal::HeadUpTo(max) => Scope::Up { line: None, limit: Some(below(nodes, max)) },
        Goal::PatchUpTo(max) => {
            Scope::Up { line: Some(line(&nodes[start])), limit: Some(below(nodes, max)) }
        }
        Goal::Version(version) => match graph.node_index(version) {
            None => return none(NoStep::GoalNotInGraph),
            Some(index) if index == start => return none(NoStep::AtGoal),
            Some(index) if nodes[index].is_tombstone() => return none(NoStep::GoalWithdrawn),
            Some(index) => Scope::To { index },
        },
    };
    let ceiling = match scope {
        Scope::Up { .. } => graph.head_index().unwrap_or(start).max(start),
        Scope::To { index } => index.max(start),
    };
    let allow = |_: usize, to: usize, risks: &[Risk]| {
        scope.holds(nodes, start, to) && risks.iter().all(accept)
    };
    let aim = match scope {
        Scope::To { index } => Some(index),
        Scope::Up { .. } => newest_reachable(graph, start, ceiling, &allow),
    };
    let step = aim.and_then(|aim| {
        let distance = distances(graph, aim, start, &allow);
        first_step(graph, start, aim, &distance, &allow)
    });
    let refused = refused(graph, start, ceiling, &scope, accept);
    let why = match step {
        Some(_) => None,
        None if !refused.is_empty() => Some(NoStep::Risks),
        None if at_goal(graph, start, &scope) => Some(NoStep::AtGoal),
        None => Some(NoStep::NoPath),
    };
    NextStep { to: step.map(|index| nodes[index].version.clone()), refused, why }
}

/// Every different risk on edges that newer releases can be reached over from `from`, sorted.
///
/// An agent clears or keeps these before it asks for a step; a name is cleared only when all risks
/// of that name are.
pub fn risks_ahead<'g>(graph: &'g Graph, from: &ReleaseVersion) -> BTreeSet<&'g Risk> {
    let mut found = BTreeSet::new();
    let Some(start) = graph.node_index(from) else { return found };
    let mut reached = vec![false; graph.nodes().len()];
    reached[start] = true;
    for here in start..reached.len() {
        if !reached[here] {
            continue;
        }
        for (to, risks) in graph.offers_at(here).filter(|(to, _)| *to > here) {
            reached[to] = true;
            found.extend(risks);
        }
    }
    found
}

/// How many nodes are not above a release: nodes are in the order of their versions.
fn below(nodes: &[Node], max: &ReleaseVersion) -> usize {
    nodes.partition_point(|node| node.version <= *max)
}

/// Which nodes a way may use.
enum Scope {
    /// Newer ones, of one `(major, minor)` and with an index below the limit if given.
    Up { line: Option<(u64, u64)>, limit: Option<usize> },
    /// Those between the start and one release.
    To { index: usize },
}

impl Scope {
    fn holds(&self, nodes: &[Node], start: usize, to: usize) -> bool {
        match self {
            Self::Up { line: wanted, limit } => {
                to > start
                    && limit.is_none_or(|limit| to < limit)
                    && wanted.is_none_or(|wanted| line(&nodes[to]) == wanted)
            }
            Self::To { index } => (start.min(*index)..=start.max(*index)).contains(&to),
        }
    }
}

fn line(node: &Node) -> (u64, u64) {
    (node.version.semver().major, node.version.semver().minor)
}

/// The newest node up to `ceiling` that allowed edges lead to; a pre-release only for a cluster
/// that runs one, or where the head itself is one.
fn newest_reachable(
    graph: &Graph,
    start: usize,
    ceiling: usize,
    allow: &dyn Fn(usize, usize, &[Risk]) -> bool,
) -> Option<usize> {
    let nodes = graph.nodes();
    let mut reached = vec![false; nodes.len()];
    reached[start] = true;
    for here in start..=ceiling {
        if !reached[here] {
            continue;
        }
        for (to, risks) in graph.offers_at(here) {
            if to > here && to <= ceiling && !nodes[to].is_tombstone() && allow(here, to, risks) {
                reached[to] = true;
            }
        }
    }
    let previews = nodes[start].is_prerelease() || nodes[ceiling].is_prerelease();
    (start + 1..=ceiling).rev().find(|&i| reached[i] && (previews || !nodes[i].is_prerelease()))
}

fn refused(
    graph: &Graph,
    start: usize,
    ceiling: usize,
    scope: &Scope,
    accept: &dyn Fn(&Risk) -> bool,
) -> Vec<Refused> {
    let nodes = graph.nodes();
    let mut refused: Vec<Refused> = graph
        .offers_at(start)
        .filter(|&(to, _)| {
            to != start
                && to <= ceiling
                && scope.holds(nodes, start, to)
                && !nodes[to].is_tombstone()
        })
        .filter_map(|(to, risks)| {
            let open: BTreeSet<&str> =
                risks.iter().filter(|risk| !accept(risk)).map(|risk| risk.name.as_str()).collect();
            (!open.is_empty()).then(|| Refused {
                to: nodes[to].version.clone(),
                reasons: open.into_iter().map(str::to_owned).collect(),
            })
        })
        .collect();
    refused.reverse();
    refused
}

/// Whether nothing newer exists that the goal could mean.
fn at_goal(graph: &Graph, start: usize, scope: &Scope) -> bool {
    let nodes = graph.nodes();
    let newer = |limit: usize| {
        (start + 1..=limit).any(|to| {
            scope.holds(nodes, start, to)
                && !nodes[to].is_tombstone()
                && (!nodes[to].is_prerelease() || nodes[start].is_prerelease())
        })
    };
    match scope {
        Scope::To { .. } => false,
        Scope::Up { line: None, limit: None } => {
            !nodes[start].is_tombstone() && graph.head_index().is_none_or(|head| head <= start)
        }
        // A withdrawn release at its limit has no way on either: that is not to be kept from people.
        Scope::Up { .. } => !nodes[start].is_tombstone() && !newer(nodes.len().saturating_sub(1)),
    }
}
