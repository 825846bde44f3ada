//! How far a cluster is behind the head of its channel, on its own graph.

use jiff::Timestamp;

use crate::eol::EndOfLife;
use crate::graph::Graph;
use crate::version::{Minor, ReleaseVersion};
use crate::wire::{Drift, DriftState};

/// Seconds in a day, as drift counts them (no calendar, no time zone).
const DAY_S: i64 = 86_400;

/// Drift of every version of one graph, worked out once; asking costs a binary search.
///
/// Only unconditional edges count, and only upwards: a cluster that needs an accepted risk to reach
/// the head is stranded until someone accepts it.
#[derive(Debug, Clone)]
pub struct DriftTable {
    head: Option<ReleaseVersion>,
    /// In version order.
    rows: Vec<Row>,
    /// Every minor line up to the head's, ascending.
    lines: Vec<Minor>,
}

#[derive(Debug, Clone)]
struct Row {
    version: ReleaseVersion,
    state: DriftState,
    hops: Option<u32>,
    /// When the newest release that can be reached came out.
    newest_at: Option<Timestamp>,
    /// The last day its line is supported.
    eol: Option<EndOfLife>,
}

impl DriftTable {
    /// Works out the table. `released_at` knows when a release came out, if anybody does.
    pub fn new(graph: &Graph, released_at: &dyn Fn(&ReleaseVersion) -> Option<Timestamp>) -> Self {
        let nodes = graph.nodes();
        let head = graph.head_index();
        // Newest node each one can reach and hops to the head, filled from the head downwards.
        let mut reach: Vec<(Option<u32>, usize)> = (0..nodes.len()).map(|i| (None, i)).collect();
        if let Some(head) = head {
            reach[head].0 = Some(0);
            for here in (0..head).rev() {
                let next = graph.offers_at(here).filter(|&(to, risks)| {
                    to > here && to <= head && risks.is_empty() && !nodes[to].is_tombstone()
                });
                let (mut hops, mut newest): (Option<u32>, usize) = (None, here);
                for (to, _) in next {
                    let (more, farthest) = reach[to];
                    hops = match (hops, more.map(|h| h + 1)) {
                        (Some(a), Some(b)) => Some(a.min(b)),
                        (a, b) => a.or(b),
                    };
                    newest = newest.max(farthest);
                }
                reach[here] = (hops, newest);
            }
        }
        let rows = nodes.iter().zip(&reach).enumerate();
        let rows = rows.map(|(index, (node, &(hops, newest)))| {
            let state = match head {
                Some(head) if index >= head && !node.is_tombstone() => DriftState::Current,
                Some(_) | None if hops.is_some_and(|hops| hops > 0) => DriftState::Behind,
                Some(_) | None => DriftState::Stranded,
            };
            let newest_at =
                if newest == index { None } else { released_at(&nodes[newest].version) };
            Row { version: node.version.clone(), state, hops, newest_at, eol: node.eol() }
        });
        let rows = rows.collect();
        let mut lines: Vec<Minor> = nodes
            .iter()
            .take(head.map_or(0, |head| head + 1))
            .filter(|node| !node.is_prerelease())
            .map(|node| Minor::of(&node.version))
            .collect();
        lines.dedup();
        Self { head: head.map(|head| nodes[head].version.clone()), rows, lines }
    }

    /// The head of the graph.
    pub fn head(&self) -> Option<&ReleaseVersion> {
        self.head.as_ref()
    }

    /// The drift of a cluster that runs `current`.
    pub fn of(&self, current: &ReleaseVersion, now: Timestamp) -> Drift {
        let found = self.rows.binary_search_by(|row| row.version.cmp(current));
        let row = found.ok().and_then(|index| self.rows.get(index));
        let state = row.map_or(DriftState::OffGraph, |row| row.state);
        let (hops, age_days) = match (state, row) {
            (DriftState::Current, _) => (Some(0), Some(0)),
            (_, Some(row)) => (row.hops, row.newest_at.map(|at| days_between(at, now))),
            (_, None) => (None, None),
        };
        let (behind_minor, behind_patch) = match (&self.head, state) {
            (_, DriftState::Current) | (None, _) => (0, 0),
            (Some(head), _) => self.behind(current, head),
        };
        let eol = row.map_or_else(|| self.eol_of(Minor::of(current)), |row| row.eol);
        Drift { state, hops, behind_minor, behind_patch, age_days, head: self.head.clone(), eol }
    }

    /// The end of life of a line, for releases that are not in the graph: as its newest one there
    /// says.
    fn eol_of(&self, line: Minor) -> Option<EndOfLife> {
        let after = self.rows.partition_point(|row| Minor::of(&row.version) <= line);
        let newest = self.rows.get(after.checked_sub(1)?)?;
        newest.eol.filter(|_| Minor::of(&newest.version) == line)
    }

    /// Minor and patch releases between two versions. Inside one major, minors are counted by
    /// number; across majors, the graph's own minor lines are counted.
    fn behind(&self, current: &ReleaseVersion, head: &ReleaseVersion) -> (u64, u64) {
        let (from, to) = (Minor::of(current), Minor::of(head));
        if from >= to {
            let patches = head.semver().patch.saturating_sub(current.semver().patch);
            return (0, if from == to { patches } else { 0 });
        }
        if from.major == to.major {
            return (to.minor - from.minor, 0);
        }
        let lines = self.lines.iter().filter(|line| **line > from).count();
        (u64::try_from(lines).unwrap_or(u64::MAX), 0)
    }
}

/// The drift of one cluster; for many clusters on one graph, keep a [`DriftTable`].
pub fn drift(
    graph: &Graph,
    released_at: &dyn Fn(&ReleaseVersion) -> Option<Timestamp>,
    current: &ReleaseVersion,
    now: Timestamp,
) -> Drift {
    DriftTable::new(graph, released_at).of(current, now)
}

/// Whole days, 0 for a release that claims to come from the future.
fn days_between(released: Timestamp, now: Timestamp) -> u64 {
    u64::try_from((now.as_second() - released.as_second()) / DAY_S).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tests::{graph, node, tombstone, version};
    use crate::graph::{EOL_KEY, GraphBuilder};

    const NOW: i64 = 1_800_000_000;

    fn asked(edges: &[(&str, &str)], risky: &[(&str, &str)], current: &str) -> Drift {
        let graph = graph(edges, risky);
        let released = |v: &ReleaseVersion| {
            let days = i64::try_from(v.semver().patch).unwrap();
            Timestamp::from_second(NOW - days * DAY_S).ok()
        };
        drift(&graph, &released, &version(current), Timestamp::from_second(NOW).unwrap())
    }

    #[test]
    fn the_head_is_current_with_nothing_to_do() {
        let drift = asked(&[("1.0.0", "1.0.3")], &[], "1.0.3");
        assert_eq!(drift.state, DriftState::Current);
        assert_eq!((drift.hops, drift.age_days, drift.behind_patch), (Some(0), Some(0), 0));
    }

    #[test]
    fn a_cluster_on_the_way_counts_hops_patches_and_days_since_the_newest_it_can_reach() {
        let drift = asked(&[("1.0.0", "1.0.2"), ("1.0.2", "1.0.3")], &[], "1.0.0");
        assert_eq!(drift.state, DriftState::Behind);
        assert_eq!((drift.hops, drift.behind_minor, drift.behind_patch), (Some(2), 0, 3));
        assert_eq!(drift.age_days, Some(3));
    }

    #[test]
    fn a_way_that_needs_a_risk_strands_but_still_shows_what_can_be_reached() {
        let drift = asked(&[("1.0.0", "1.0.2")], &[("1.0.2", "1.1.7")], "1.0.0");
        assert_eq!((drift.state, drift.hops), (DriftState::Stranded, None));
        assert_eq!((drift.age_days, drift.behind_minor), (Some(2), 1));
    }

    #[test]
    fn an_unknown_version_is_off_the_graph_and_still_counts_minors() {
        let drift = asked(&[("3.8.0", "3.9.0"), ("3.9.0", "4.1.0")], &[], "3.7.5");
        assert_eq!((drift.state, drift.hops), (DriftState::OffGraph, None));
        assert_eq!(drift.behind_minor, 3);
        assert_eq!(drift.age_days, None);
    }

    /// A graph whose lines end on the days given; of 1.1 only the newest release says so.
    fn ending() -> Graph {
        let mut builder = GraphBuilder::new(None);
        for (text, day) in [
            ("1.0.0", "2027-01-15"),
            ("1.0.2-rc.1", "2027-01-15"),
            ("1.1.0", "soon"),
            ("1.1.2", "2027-06-30"),
            ("1.10.0", ""),
        ] {
            let mut one = node(text);
            if !day.is_empty() {
                one.metadata.insert(EOL_KEY.to_owned(), day.to_owned());
            }
            builder.node(one);
        }
        builder.build().unwrap()
    }

    #[test]
    fn the_end_of_a_line_is_that_of_the_running_release_and_passes_by_itself() {
        let (graph, now) = (ending(), Timestamp::from_second(NOW).unwrap());
        assert_eq!(now.to_string(), "2027-01-15T08:00:00Z");
        let table = DriftTable::new(&graph, &|_| None);
        let eol = |text: &str| table.of(&version(text), now).eol.map(|day| day.to_string());
        assert_eq!(eol("1.0.0").as_deref(), Some("2027-01-15"));
        assert_eq!(eol("1.1.0"), None, "what is no day says nothing");
        assert_eq!(eol("1.10.0"), None);
        let past = |at: &str| {
            let at = at.parse().unwrap();
            table.of(&version("1.0.0"), at).is_past_eol(at)
        };
        assert!(!past("2027-01-15T23:59:59.999Z") && past("2027-01-16T00:00:00Z"));
        assert!(!table.of(&version("1.10.0"), now).is_past_eol(Timestamp::MAX));
    }

    #[test]
    fn a_release_off_the_graph_ends_with_its_line_where_the_graph_knows_it() {
        let table = DriftTable::new(&ending(), &|_| None);
        let now = Timestamp::from_second(NOW).unwrap();
        let eol = |text: &str| {
            let drift = table.of(&version(text), now);
            assert_eq!(drift.state, DriftState::OffGraph, "{text}");
            drift.eol.map(|day| day.to_string())
        };
        assert_eq!(eol("1.0.1").as_deref(), Some("2027-01-15"));
        assert_eq!(eol("1.0.9+build").as_deref(), Some("2027-01-15"));
        assert_eq!(eol("1.1.1").as_deref(), Some("2027-06-30"));
        for unknown in ["0.9.0", "1.2.0", "1.10.1", "2.0.0"] {
            assert_eq!(eol(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_withdrawn_release_above_the_head_strands_its_clusters() {
        let graph = tombstone(&[("1.0.0", "1.0.1")], "1.0.2");
        let now = Timestamp::from_second(NOW).unwrap();
        let drift = drift(&graph, &|_| None, &version("1.0.2"), now);
        assert_eq!(drift.state, DriftState::Stranded);
        assert_eq!(drift.head, Some(version("1.0.1")));
    }
}
