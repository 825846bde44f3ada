//! Steps and paths, by example and against a plain search.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::graph::tests::{graph, parts, tombstone, version, with_tombstones};

fn names(risks: &[&str]) -> BTreeSet<String> {
    risks.iter().map(|risk| (*risk).to_owned()).collect()
}

fn step(graph: &Graph, from: &str, goal: &Goal, accepted: &[&str]) -> NextStep {
    next_step(graph, &version(from), goal, &names(accepted))
}

/// Two ways of two hops to 1.2.0, one risky short cut, and a newer pre-release.
fn diamond() -> Graph {
    graph(
        &[
            ("1.0.0", "1.0.5"),
            ("1.0.0", "1.1.0"),
            ("1.0.5", "1.2.0"),
            ("1.1.0", "1.2.0"),
            ("1.2.0", "1.3.0-rc.1"),
        ],
        &[("1.0.0", "1.2.0")],
    )
}

#[test]
fn the_next_step_is_the_newest_one_on_a_shortest_way() {
    let step = step(&diamond(), "1.0.0", &Goal::Head, &[]);
    assert_eq!(step.to, Some(version("1.1.0")));
    assert_eq!(step.refused, [Refused { to: version("1.2.0"), reasons: vec!["Risky".into()] }]);
}

#[test]
fn an_accepted_risk_opens_the_short_cut() {
    let step = step(&diamond(), "1.0.0", &Goal::Head, &["Risky"]);
    assert_eq!((step.to, step.refused.len(), step.why), (Some(version("1.2.0")), 0, None));
}

#[test]
fn the_head_has_no_next_step_and_no_prerelease_is_offered() {
    let step = step(&diamond(), "1.2.0", &Goal::Head, &[]);
    assert_eq!((step.to, step.why), (None, Some(NoStep::AtGoal)));
}

#[test]
fn a_limit_is_never_stepped_over_not_even_on_the_way() {
    let up_to = |max: &str| Goal::HeadUpTo(version(max));
    let found = step(&diamond(), "1.0.0", &up_to("1.2.0"), &[]);
    assert_eq!(found.to, Some(version("1.1.0")), "as without a limit");
    let found = step(&diamond(), "1.0.0", &up_to("1.1.9"), &["Risky"]);
    assert_eq!(found.to, Some(version("1.1.0")), "the short cut leads over the limit");
    let found = step(&diamond(), "1.1.0", &up_to("1.1.9"), &["Risky"]);
    assert_eq!((found.to, found.why), (None, Some(NoStep::AtGoal)));
    let found = step(&diamond(), "1.2.0", &up_to("1.0.0"), &[]);
    assert_eq!((found.to, found.why), (None, Some(NoStep::AtGoal)), "a limit turns nobody back");
    let found = step(&diamond(), "1.0.0", &Goal::PatchUpTo(version("1.0.4")), &[]);
    assert_eq!((found.to, found.why), (None, Some(NoStep::AtGoal)));
    let found = step(&diamond(), "1.0.0", &Goal::PatchUpTo(version("1.0.5")), &[]);
    assert_eq!(found.to, Some(version("1.0.5")));
}

#[test]
fn a_head_out_of_reach_still_leaves_the_newest_release_in_reach() {
    let graph = graph(&[("1.0.0", "1.0.1"), ("1.0.1", "1.0.2")], &[("1.0.2", "1.1.0")]);
    assert_eq!(step(&graph, "1.0.0", &Goal::Head, &[]).to, Some(version("1.0.1")));
    let last = step(&graph, "1.0.2", &Goal::Head, &[]);
    assert_eq!((last.to, last.why), (None, Some(NoStep::Risks)));
    assert_eq!(last.refused[0].to, version("1.1.0"));
}

#[test]
fn patch_only_stays_in_its_minor() {
    let goal = Goal::PatchOnly;
    assert_eq!(step(&diamond(), "1.0.0", &goal, &["Risky"]).to, Some(version("1.0.5")));
    let done = step(&diamond(), "1.0.5", &goal, &[]);
    assert_eq!((done.to, done.why, done.refused.len()), (None, Some(NoStep::AtGoal), 0));
}

#[test]
fn a_wanted_version_is_approached_and_not_passed() {
    let goal = Goal::Version(version("1.0.5"));
    assert_eq!(step(&diamond(), "1.0.0", &goal, &[]).to, Some(version("1.0.5")));
    assert_eq!(step(&diamond(), "1.0.5", &goal, &[]).why, Some(NoStep::AtGoal));
    let gone = Goal::Version(version("9.9.9"));
    assert_eq!(step(&diamond(), "1.0.0", &gone, &[]).why, Some(NoStep::GoalNotInGraph));
    assert_eq!(step(&diamond(), "1.1.0", &goal, &[]).why, Some(NoStep::NoPath));
}

#[test]
fn a_downgrade_needs_an_edge_and_a_named_goal() {
    let graph = graph(&[("1.0.0", "1.0.1"), ("1.0.1", "1.0.0")], &[]);
    let back = Goal::Version(version("1.0.0"));
    assert_eq!(step(&graph, "1.0.1", &back, &[]).to, Some(version("1.0.0")));
    assert_eq!(step(&graph, "1.0.1", &Goal::Head, &[]).to, None);
}

#[test]
fn a_tombstone_is_left_but_never_entered() {
    let graph = with_tombstones(&[("1.0.0", "1.0.1"), ("1.0.1", "1.0.2")], &[], &["1.0.1"]);
    assert_eq!(step(&graph, "1.0.1", &Goal::Head, &[]).to, Some(version("1.0.2")));
    let stuck = step(&graph, "1.0.0", &Goal::Head, &[]);
    assert_eq!((stuck.to, stuck.why), (None, Some(NoStep::NoPath)));
    let named = Goal::Version(version("1.0.1"));
    assert_eq!(step(&graph, "1.0.0", &named, &[]).why, Some(NoStep::GoalWithdrawn));
}

#[test]
fn a_withdrawn_release_above_the_head_is_not_a_goal_reached() {
    let graph = tombstone(&[("1.0.0", "1.0.1")], "1.0.2");
    assert_eq!(step(&graph, "1.0.2", &Goal::Head, &[]).why, Some(NoStep::NoPath));
}

#[test]
fn a_version_outside_the_graph_has_no_step() {
    let step = step(&diamond(), "0.9.0", &Goal::Head, &[]);
    assert_eq!((step.to, step.why), (None, Some(NoStep::CurrentNotInGraph)));
}

#[test]
fn a_path_says_which_risks_close_it() {
    let graph = graph(&[("1.0.0", "1.0.1")], &[("1.0.1", "1.0.2")]);
    let (from, to) = (version("1.0.0"), version("1.0.2"));
    let closed = path(&graph, &from, &to, &|_| false).unwrap_err();
    assert_eq!(
        closed.to_string(),
        "the way from 1.0.0 to 1.0.2 carries risks that are not accepted: Risky"
    );
    let open = path(&graph, &from, &to, &|risk| risk.name == "Risky").unwrap();
    assert_eq!(open, [from.clone(), version("1.0.1"), to.clone()]);
    assert!(matches!(path(&graph, &to, &from, &|_| true), Err(NoPath::NoEdges { .. })));
    assert_eq!(path(&graph, &to, &to, &|_| false).unwrap(), [to]);
}

#[test]
fn hops_count_plain_edges_only() {
    assert_eq!(hops_to_head(&diamond(), &version("1.0.0")), Some(2));
    assert_eq!(hops_to_head(&diamond(), &version("1.2.0")), Some(0));
    assert_eq!(hops_to_head(&diamond(), &version("0.9.0")), None);
    assert_eq!(hops_to_head(&graph(&[], &[("1.0.0", "1.1.0")]), &version("1.0.0")), None);
}

#[test]
fn risks_ahead_are_those_of_every_edge_that_can_still_be_met() {
    let graph = graph(&[("1.0.0", "1.0.1")], &[("1.0.1", "1.0.2"), ("0.9.0", "1.0.0")]);
    assert_eq!(risks_ahead(&graph, &version("1.0.0")).len(), 1);
    assert_eq!(risks_ahead(&graph, &version("1.0.2")).len(), 0);
}

/// Shortest distance by plain breadth-first search, written apart from the code under test.
fn breadth_first(
    graph: &Graph,
    from: usize,
    to: usize,
    accepted: &BTreeSet<String>,
) -> Option<u32> {
    let mut seen = BTreeMap::from([(from, 0)]);
    let mut queue = VecDeque::from([from]);
    while let Some(here) = queue.pop_front() {
        let depth = seen[&here];
        for (next, risks) in graph.offers_at(here) {
            let onward =
                if from < to { next > here && next <= to } else { next < here && next >= to };
            let open = risks.iter().all(|risk| accepted.contains(&risk.name));
            if onward && open && !graph.nodes()[next].is_tombstone() && !seen.contains_key(&next) {
                seen.insert(next, depth + 1);
                queue.push_back(next);
            }
        }
    }
    seen.get(&to).copied()
}

proptest! {
    #[test]
    fn next_step_never_returns_a_refused_edge(
        parts in parts(),
        accepted in prop::collection::btree_set("[A-D]", 0..4),
        (from, to) in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        kind in 0..3,
    ) {
        let graph = parts.build();
        let pick = |index: &prop::sample::Index| &graph.nodes()[index.index(graph.nodes().len())];
        let (from, to) = (&pick(&from).version, &pick(&to).version);
        let goal = match kind {
            0 => Goal::Head,
            1 => Goal::PatchOnly,
            _ => Goal::Version(to.clone()),
        };
        let step = next_step(&graph, from, &goal, &accepted);
        prop_assert_eq!(step.to.is_none(), step.why.is_some());
        if let Some(next) = &step.to {
            let offers = graph.targets_of(from);
            let offer = offers.iter().find(|offer| offer.to == next);
            prop_assert!(offer.is_some(), "not offered");
            let open = offer.is_some_and(|o| o.risks.iter().all(|r| accepted.contains(&r.name)));
            prop_assert!(open, "a risk is not accepted");
            prop_assert!(step.refused.iter().all(|refused| refused.to != *next));
            prop_assert!(!graph.node(next).unwrap().is_tombstone());
        }
        for refused in &step.refused {
            prop_assert!(!refused.reasons.is_empty());
            prop_assert!(refused.reasons.iter().all(|name| !accepted.contains(name)));
        }
    }

    #[test]
    fn a_path_is_made_of_edges_and_none_is_shorter(
        parts in parts(),
        accepted in prop::collection::btree_set("[A-D]", 0..4),
        (from, to) in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
    ) {
        let graph = parts.build();
        let count = graph.nodes().len();
        let (start, goal) = (from.index(count), to.index(count));
        let (from, to) = (&graph.nodes()[start].version, &graph.nodes()[goal].version);
        let found = path(&graph, from, to, &|risk| accepted.contains(&risk.name));
        let expected = breadth_first(&graph, start, goal, &accepted);
        prop_assert_eq!(
            found.as_ref().ok().map(|way| u32::try_from(way.len()).unwrap() - 1),
            expected
        );
        if let Ok(way) = found {
            prop_assert_eq!((way.first(), way.last()), (Some(from), Some(to)));
            for hop in way.windows(2) {
                let offers = graph.targets_of(&hop[0]);
                prop_assert!(offers.iter().any(|offer| *offer.to == hop[1]));
            }
        }
    }

    #[test]
    fn following_the_next_step_reaches_the_end_without_a_loop(parts in parts()) {
        let graph = parts.build();
        let all = ["A", "B", "C", "D"].map(str::to_owned).into();
        let mut here = graph.nodes()[0].version.clone();
        for _ in 0..graph.nodes().len() {
            match next_step(&graph, &here, &Goal::Head, &all).to {
                Some(next) => { prop_assert!(next > here); here = next; }
                None => return Ok(()),
            }
        }
        prop_assert!(false, "more steps than nodes");
    }
}
