//! The stop table.

use super::*;
use crate::gate::stop_conditions;
use crate::observation::LagSource;

fn stops(changes: &[Change]) -> Vec<String> {
    told(&stop_conditions(Some(&key("c2")), &changed(changes), &policy()))
}

fn lost_for(name: &'static str, ms: i64) -> Change {
    unit(name, move |unit| unit.last_good = Some(at(NOW_MS - ms)))
}

fn bad_for(name: &'static str, ms: i64) -> Change {
    unit(name, move |unit| {
        unit.verdict = HealthVerdict::Unknown;
        unit.bad_since = Some(at(NOW_MS - ms));
        unit.findings = vec![Finding::QuorumLagUnknown];
    })
}

#[test]
fn nothing_stops_a_healthy_roll() {
    assert!(stops(&[]).is_empty());
}

#[test]
fn each_row_of_the_stop_table_is_named_and_has_its_limit() {
    let leaderless = |ms| quorum(move |quorum| quorum.leaderless_since = Some(at(NOW_MS - ms)));
    assert!(stops(&[leaderless(10_000)]).is_empty(), "one election is allowed");
    assert_eq!(stops(&[leaderless(10_001)]), ["-:no_leader"]);
    let stalled = |for_ms| quorum(move |q| q.commits = CommitProgress::Stalled { for_ms });
    assert!(stops(&[stalled(10_000)]).is_empty());
    assert_eq!(stops(&[stalled(10_001)]), ["-:commit_stalled"]);
    assert!(stops(&[bad_for("c3", 60_000)]).is_empty(), "one voter may be bad");
    let two = |ms| stops(&[bad_for("c2", 60_000), bad_for("c3", ms)]);
    assert!(two(10_000).is_empty(), "an election makes lags unknown for a while");
    assert_eq!(two(10_001), ["-:voters_bad"]);
    let offline = view("c1", |view| view.offline_partitions = Some(2));
    assert_eq!(stops(&[offline]), ["-:offline_partitions"]);
}

#[test]
fn lost_scrapes_stop_at_two_voters_or_thirty_seconds_on_any() {
    let two = |ms| stops(&[lost_for("c3", 6_000), lost_for("c4", ms)]);
    assert!(two(5_000).is_empty());
    assert_eq!(two(5_001), ["-:scrapes_lost"]);
    assert!(stops(&[lost_for("b1", 30_000)]).is_empty());
    assert_eq!(stops(&[lost_for("b1", 30_001)]), ["b1:stale"]);
    assert!(stops(&[lost_for("c2", 600_000)]).is_empty(), "the unit that is out may be silent");
    // Units probed seldom have their own limit.
    let seldom = unit("n1", |unit| unit.stale_after_ms = 90_000);
    assert!(stops(&[seldom, lost_for("n1", 60_000)]).is_empty());
    // While something is out they are probed often: one that does not answer is lost like any.
    let silent = |ms| {
        unit("n1", move |unit| {
            unit.stale_after_ms = 90_000;
            unit.last_good = Some(at(NOW_MS - ms));
            unit.findings = vec![Finding::Unreachable { why: "refused".to_owned() }];
        })
    };
    assert!(stops(&[silent(30_000)]).is_empty());
    assert_eq!(stops(&[silent(30_001)]), ["n1:stale"]);
    // A unit that never answered is lost since it was first looked for.
    let never = |ms| {
        unit("n1", move |unit| {
            (unit.last_good, unit.bad_since) = (None, Some(at(NOW_MS - ms)));
        })
    };
    assert!(stops(&[never(500)]).is_empty());
    assert_eq!(stops(&[never(30_001)]), ["n1:stale"]);
}

#[test]
fn a_member_is_away_with_the_node_it_is_on_and_with_no_other() {
    let on = |node: &'static str| {
        unit("c3", move |unit| unit.placement = Placement::OnNode(node.parse().unwrap()))
    };
    let stops = |node, out| {
        let observation = changed(&[on(node), lost_for("c3", 600_000)]);
        told(&stop_conditions(Some(&key(out)), &observation, &policy()))
    };
    assert!(stops("n1", "n1").is_empty());
    assert_eq!(stops("n1", "n2"), ["c3:stale"]);
    assert_eq!(stops("n1", "c2"), ["c3:stale"]);
}

#[test]
fn red_and_unready_nodes_stop_unless_they_are_the_one_that_is_out() {
    let lag =
        Finding::PlegLag { observed_ms: 12_000, limit_ms: 1000, source_of_lag: LagSource::Stall };
    let coloured = |name: &'static str, colour: PlegColour| {
        let lag = lag.clone();
        let red = unit(name, move |unit| {
            unit.pleg.as_mut().unwrap().colour = colour;
            unit.verdict = HealthVerdict::Unhealthy;
            unit.findings = vec![lag.clone()];
        });
        let unready = finding(name, Finding::NotReady);
        (red, unready)
    };
    let (amber, _) = coloured("n1", PlegColour::Amber);
    assert!(stops(&[amber]).is_empty(), "amber only blocks new steps");
    for colour in [PlegColour::Red, PlegColour::Hard] {
        let (red, unready) = coloured("n1", colour);
        assert_eq!(stops(&[red]), ["n1:pleg_lag"]);
        assert_eq!(stops(&[unready]), ["n1:not_ready"]);
    }
    let (red, unready) = coloured("n1", PlegColour::Red);
    for change in [red, unready] {
        let observation = changed(&[change]);
        assert!(stop_conditions(Some(&key("n1")), &observation, &policy()).is_empty());
        assert!(!stop_conditions(None, &observation, &policy()).is_empty());
    }
}

#[test]
fn a_small_quorum_may_stand_still_while_its_own_voter_is_away_and_for_nothing_else() {
    let daring = GatePolicy { allow_small_quorum: true, ..policy() };
    let still: [(Change, &str); 2] = [
        (quorum(|quorum| quorum.leaderless_since = Some(at(NOW_MS - 15_000))), "-:no_leader"),
        (
            quorum(|quorum| quorum.commits = CommitProgress::Stalled { for_ms: 15_000 }),
            "-:commit_stalled",
        ),
    ];
    for (change, named) in still {
        for size in [1, 2] {
            let mut observation = quorum_of(size);
            change(&mut observation);
            let stops = |out: Option<&str>, policy: &GatePolicy| {
                told(&stop_conditions(out.map(key).as_ref(), &observation, policy))
            };
            assert_eq!(stops(Some("c1"), &daring), Vec::<String>::new(), "{size} voters");
            assert_eq!(stops(Some("c1"), &policy()), [named], "its owner does not allow it");
            assert_eq!(stops(Some("b1"), &daring), [named], "a broker takes no voter out");
            assert_eq!(stops(None, &daring), [named]);
        }
        let mut three = quorum_of(3);
        change(&mut three);
        assert_eq!(told(&stop_conditions(Some(&key("c1")), &three, &daring)), [named]);
    }
    // The other voter's lag cannot be told while nobody leads; that it is lost can.
    let mut two = quorum_of(2);
    bad_for("c1", 15_000)(&mut two);
    bad_for("c2", 15_000)(&mut two);
    assert_eq!(told(&stop_conditions(Some(&key("c2")), &two, &daring)), Vec::<String>::new());
    lost_for("c1", 6_000)(&mut two);
    lost_for("c2", 6_000)(&mut two);
    assert_eq!(told(&stop_conditions(Some(&key("c2")), &two, &daring)), ["-:scrapes_lost"]);
}
