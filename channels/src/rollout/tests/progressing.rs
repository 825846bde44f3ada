//! A rollout as it goes: rings open, halts stop it, and nobody's turn is ever taken back.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use signing::Sha256Digest;

use super::{at, cluster, policy, salt};
use crate::rollout::{
    Acknowledged, Answer, Asking, ClusterState, Evaluation, FailureKind, HealthGate, Labels, Load,
    Member, Policy, Position, Rollout, Share, Stop, WaitReason, WhyNot,
};

const TWO_RINGS: &str = "
name: p
curve: {points: [{after: 0s, share: 0%}, {after: 10h, share: 100%}]}
gates: {soak: 1h, min_sample: 1}
rings:
  - {name: canary, select: {match_labels: {ring: canary}}, curve: {points: [{after: 0s, share: 100%}]}}
  - {name: rest, rest: true}
";

fn start() -> Timestamp {
    at("2026-01-05T00:00Z")
}

fn hours(count: i64) -> Timestamp {
    start() + SignedDuration::from_hours(count)
}

fn member(number: u32, state: ClusterState) -> Member {
    Member { cluster: cluster(number), state, health: HealthGate::Pass }
}

fn done(number: u32, when: Timestamp) -> Member {
    member(number, ClusterState::Succeeded { at: when })
}

fn broken(number: u32, when: Timestamp) -> Member {
    member(number, ClusterState::Failed { why: FailureKind::Error, at: when })
}

fn half(ring: usize) -> Position {
    Position { ring, place: Share::of_ratio(1, 2), cluster: cluster(50) }
}

fn ask(
    rollout: &Rollout,
    policy: &Policy,
    position: Option<&Position>,
    evaluation: &Evaluation,
    now: Timestamp,
) -> Answer {
    let (labels, load) = (Labels::new(), Load::default());
    let judgements = &evaluation.judgements;
    rollout.answer(&Asking { policy, position, labels: &labels, load: &load, judgements }, now)
}

#[test]
fn the_next_ring_opens_when_the_first_has_soaked_and_its_curve_begins_then() {
    let policy = policy(TWO_RINGS);
    let mut rollout = Rollout::starting_at(start());
    let rings = [vec![done(1, hours(1))], vec![]];
    let early = rollout.evaluate(&policy, &rings, hours(1));
    assert_eq!((early.opened, rollout.rings_open()), (None, 1));
    let answer = ask(&rollout, &policy, Some(&half(1)), &early, hours(1));
    let closed = WhyNot::RingClosed {
        ring: "rest".parse().unwrap(),
        behind: "canary".parse().unwrap(),
        waits_for: vec![WaitReason::Soaking { until: hours(2) }],
        opens_at: Some(hours(7) + SignedDuration::from_nanos(1)),
    };
    assert_eq!(answer.why_not, [closed]);
    assert_eq!(
        answer.why_not[0].to_string(),
        "ring rest opens after ring canary: the last success soaks until 2026-01-05T02:00:00Z"
    );
    let open = rollout.evaluate(&policy, &rings, hours(3));
    assert_eq!((open.opened, rollout.rings_open()), (Some(1), 2));
    let answer = ask(&rollout, &policy, Some(&half(1)), &open, hours(4));
    let eligible_at = hours(8) + SignedDuration::from_nanos(1);
    assert_eq!(answer.earliest_at, Some(eligible_at));
    assert!(matches!(
        &answer.why_not[..],
        [WhyNot::NotYet { open, .. }] if *open == Share::of_ratio(1, 10)
    ));
    assert!(ask(&rollout, &policy, Some(&half(1)), &open, eligible_at).is_go());
}

#[test]
fn no_time_is_promised_to_a_ring_two_rings_away() {
    let text = TWO_RINGS.replace(
        "  - {name: rest",
        "  - {name: second, select: {match_labels: {ring: second}}}\n  - {name: rest",
    );
    let policy = policy(&text);
    let mut rollout = Rollout::starting_at(start());
    let evaluation = rollout.evaluate(&policy, &[vec![done(1, hours(1))]], hours(1));
    let promised =
        |ring| ask(&rollout, &policy, Some(&half(ring)), &evaluation, hours(1)).earliest_at;
    assert_eq!((promised(1).is_some(), promised(2)), (true, None));
}

#[test]
fn nothing_goes_before_the_start_even_where_a_curve_begins_with_a_step() {
    let policy = policy(TWO_RINGS);
    let mut rollout = Rollout::starting_at(start());
    let before = start() - SignedDuration::from_hours(1);
    let evaluation = rollout.evaluate(&policy, &[vec![done(1, before)]], before);
    assert_eq!(rollout.share(&policy, 0, before), Share::NONE);
    assert!(!rollout.is_eligible(&policy, &half(0), before));
    let answer = ask(&rollout, &policy, Some(&half(0)), &evaluation, before);
    assert!(answer.why_not.contains(&WhyNot::NotStarted { starts_at: start() }));
    assert_eq!(answer.earliest_at, Some(start()));
    assert!(ask(&rollout, &policy, Some(&half(0)), &evaluation, start()).is_go());
}

#[test]
fn a_halt_stops_the_clock_until_the_failures_are_acknowledged() {
    let policy = policy(TWO_RINGS);
    let mut rollout = Rollout::starting_at(start());
    rollout.evaluate(&policy, &[vec![done(1, start())]], hours(2));
    assert_eq!(rollout.rings_open(), 2);
    let rings = [vec![done(1, start())], vec![broken(2, hours(3))]];
    let evaluation = rollout.evaluate(&policy, &rings, hours(4));
    assert_eq!(evaluation.new_failures.len(), 1);
    let share = rollout.share(&policy, 1, hours(4));
    assert_eq!(rollout.share(&policy, 1, hours(400)), share, "the clock stands still");
    let answer = ask(&rollout, &policy, Some(&half(1)), &evaluation, hours(5));
    assert!(answer.why_not.contains(&WhyNot::Halted { failures: 1 }));
    assert_eq!(answer.earliest_at, None);
    let again = rollout.evaluate(&policy, &rings, hours(6));
    assert_eq!(again.new_failures, [], "the same failure is new only once");
    let seen = rollout.halted_by().clone();
    rollout.resume(&seen, &policy, hours(10));
    let evaluation = rollout.evaluate(&policy, &rings, hours(10));
    assert!(evaluation.new_failures.is_empty() && rollout.clock().stops().is_empty());
    assert!(rollout.share(&policy, 1, hours(11)) > share);
    assert_eq!(rollout.acknowledged(), &seen);
}

#[test]
fn a_failure_nobody_saw_keeps_the_rollout_halted() {
    let policy = policy(TWO_RINGS);
    let mut rollout = Rollout::starting_at(start());
    let one = [vec![broken(1, hours(1)), member(2, ClusterState::NotStarted)]];
    rollout.evaluate(&policy, &one, hours(1));
    let seen = rollout.halted_by().clone();
    let two = [vec![broken(1, hours(1)), broken(2, hours(2))]];
    let evaluation = rollout.evaluate(&policy, &two, hours(2));
    assert_eq!(evaluation.new_failures.len(), 1, "the second joins the first");
    rollout.resume(&seen, &policy, hours(3));
    assert!(rollout.clock().stops().contains(&Stop::Halted));
    assert_eq!(rollout.halted_by().len(), 1);
}

#[test]
fn a_ring_that_passed_stays_under_judgement() {
    let policy = policy(TWO_RINGS);
    let mut rollout = Rollout::starting_at(start());
    rollout.evaluate(&policy, &[vec![done(1, start())]], hours(2));
    assert_eq!(rollout.rings_open(), 2);
    let since = hours(30);
    let late = Member { health: HealthGate::Fail { since }, ..done(1, start()) };
    let evaluation = rollout.evaluate(&policy, &[vec![late], vec![]], hours(30));
    assert_eq!(evaluation.new_failures[0].why, FailureKind::HealthRegression);
    assert!(rollout.clock().stops().contains(&Stop::Halted));
}

#[test]
fn a_regression_that_went_away_still_counts_until_it_is_acknowledged() {
    let text = TWO_RINGS.replace("min_sample: 1}", "min_sample: 1, max_failures: 1, success: 0%}");
    let policy = policy(&text.replace("gates: {soak", "gates: &g {soak").replace(
        "curve: {points: [{after: 0s, share: 100%}]}}",
        "curve: {points: [{after: 0s, share: 100%}]}, gates: *g}",
    ));
    let mut rollout = Rollout::starting_at(start());
    let worse =
        |number| Member { health: HealthGate::Fail { since: hours(1) }, ..done(number, start()) };
    let first = rollout.evaluate(&policy, &[vec![worse(1), done(2, start())]], hours(1));
    assert_eq!((first.judgements[0].counts.failed, first.new_failures.len()), (1, 0));
    let rings = [vec![done(1, start()), worse(2)]];
    let second = rollout.evaluate(&policy, &rings, hours(2));
    assert_eq!(second.judgements[0].counts.failed, 2, "the first is remembered");
    assert_eq!(second.new_failures.len(), 2);
    rollout.resume(&rollout.halted_by().clone(), &policy, hours(3));
    let third = rollout.evaluate(&policy, &rings, hours(3));
    let counts = third.judgements[0].counts;
    assert_eq!((counts.failed, counts.acknowledged, counts.succeeded), (0, 1, 1));
    let healed = [vec![done(1, start()), done(2, start())]];
    let fourth = rollout.evaluate(&policy, &healed, hours(4)).judgements[0].counts;
    assert_eq!(fourth.succeeded, 2, "what was acknowledged is not held against a cluster");
}

#[test]
fn unknown_health_stops_the_clock_and_clears_by_itself() {
    let policy = policy(TWO_RINGS);
    let mut rollout = Rollout::starting_at(start());
    let blind = Member { health: HealthGate::Unknown, ..done(1, start()) };
    let evaluation = rollout.evaluate(&policy, &[vec![blind]], hours(3));
    assert_eq!(evaluation.opened, None);
    let answer = ask(&rollout, &policy, Some(&half(0)), &evaluation, hours(3));
    assert_eq!(answer.why_not, [WhyNot::HealthUnknown { unknown: 1, allowed: 0 }]);
    let evaluation = rollout.evaluate(&policy, &[vec![done(1, start())]], hours(9));
    assert_eq!(evaluation.opened, Some(1), "known again");
    assert!(rollout.clock().stops().is_empty());
    assert_eq!(rollout.clock().running(hours(9), &policy.calendar).as_hours(), 3);
}

#[test]
fn a_hold_keeps_everybody_and_names_itself() {
    let policy = policy(TWO_RINGS);
    let mut rollout = Rollout::starting_at(start());
    rollout.hold(&policy, hours(1));
    let evaluation = rollout.evaluate(&policy, &[vec![done(1, start())]], hours(3));
    assert_eq!(evaluation.opened, None, "no ring opens while held");
    let answer = ask(&rollout, &policy, Some(&half(0)), &evaluation, hours(3));
    assert_eq!((answer.why_not, answer.earliest_at), (vec![WhyNot::Held], None));
    assert!(rollout.is_eligible(&policy, &half(0), hours(3)), "its turn is not taken back");
    rollout.release(&policy, hours(4));
    assert!(ask(&rollout, &policy, Some(&half(0)), &evaluation, hours(4)).is_go());
}

#[test]
fn a_cluster_in_no_ring_and_a_closed_window_are_named() {
    let text = TWO_RINGS.replace(
        "name: p\n",
        "name: p\ncalendar: {time_zone: UTC, windows: [{days: [tue], start: '10:00', duration: 2h}]}\n",
    );
    let policy = policy(&text);
    let mut rollout = Rollout::starting_at(start());
    let evaluation = rollout.evaluate(&policy, &[vec![]], hours(1));
    let answer = ask(&rollout, &policy, None, &evaluation, hours(1));
    let codes: Vec<&str> = answer.why_not.iter().map(WhyNot::code).collect();
    assert_eq!(codes, ["no_ring", "outside_windows"]);
    let answer = ask(&rollout, &policy, Some(&half(0)), &evaluation, hours(1));
    assert_eq!(answer.earliest_at, Some(at("2026-01-06T10:00Z")));
}

#[test]
fn a_stored_rollout_reads_back_as_it_was() {
    let policy = policy(TWO_RINGS);
    let mut rollout = Rollout::starting_at(start());
    rollout.evaluate(&policy, &[vec![broken(1, hours(1))]], hours(2));
    rollout.hold(&policy, hours(3));
    let text = serde_json::to_string(&rollout).unwrap();
    assert_eq!(serde_json::from_str::<Rollout>(&text).unwrap(), rollout);
}

/// Something that happens to a rollout.
#[derive(Debug, Clone)]
enum Event {
    Hold,
    Release,
    Resume,
    Settle,
    Evaluate(Vec<(u8, bool)>),
}

fn any_event() -> impl Strategy<Value = Event> {
    let members = prop::collection::vec((0_u8..5, any::<bool>()), 0..6);
    prop_oneof![
        1 => Just(Event::Hold),
        1 => Just(Event::Release),
        1 => Just(Event::Resume),
        1 => Just(Event::Settle),
        5 => members.prop_map(Event::Evaluate),
    ]
}

fn happens(rollout: &mut Rollout, policy: &Policy, event: &Event, now: Timestamp) {
    match event {
        Event::Hold => rollout.hold(policy, now),
        Event::Release => rollout.release(policy, now),
        Event::Resume => {
            let seen: Acknowledged = rollout.halted_by().clone();
            rollout.resume(&seen, policy, now);
        }
        Event::Settle => rollout.settle(policy, now),
        Event::Evaluate(states) => {
            let mut rings = vec![Vec::new(); 2];
            for (number, (state, known)) in (0_u32..).zip(states) {
                let state = match state {
                    0 => ClusterState::NotStarted,
                    1 => ClusterState::Rolling { began_at: start() },
                    2 => ClusterState::Failed { why: FailureKind::Silent, at: start() },
                    _ => ClusterState::Succeeded { at: start() },
                };
                let health = if *known { HealthGate::Pass } else { HealthGate::Unknown };
                let member = Member { cluster: cluster(number), state, health };
                rings[usize::from(number >= 3)].push(member);
            }
            rollout.evaluate(policy, &rings, now);
        }
    }
}

proptest! {
    #[test]
    fn eligibility_never_goes_backwards(
        events in prop::collection::vec((0_i64..2000, any_event()), 0..24),
        windows in any::<bool>(),
    ) {
        let text = if windows {
            TWO_RINGS.replace("name: p\n", "name: p\ncalendar: {time_zone: Europe/Berlin, windows: [{days: [mon, wed, sun], start: '20:00', duration: 9h}], freezes: [{from: 2026-01-11, until: 2026-01-13, reason: x}]}\n")
        } else {
            TWO_RINGS.to_owned()
        };
        let policy = policy(&text);
        let release = Sha256Digest::of(b"release");
        let positions: Vec<Position> = (0..40)
            .map(|n| Position::new(usize::try_from(n % 2).unwrap(), &release, &salt(), cluster(n)))
            .collect();
        let mut rollout = Rollout::starting_at(start());
        let mut now = start() - SignedDuration::from_mins(300);
        let mut eligible = vec![false; positions.len()];
        let mut shares = [Share::NONE; 2];
        for (wait, event) in &events {
            now += SignedDuration::from_mins(*wait);
            for step in 0..2 {
                if step == 1 {
                    happens(&mut rollout, &policy, event, now);
                }
                for (position, was) in positions.iter().zip(&mut eligible) {
                    let is = rollout.is_eligible(&policy, position, now);
                    prop_assert!(is || !*was, "{:?} lost its turn at {}", position, now);
                    *was = is;
                }
                for (ring, before) in shares.iter_mut().enumerate() {
                    let share = rollout.share(&policy, ring, now);
                    prop_assert!(share >= *before);
                    *before = share;
                }
            }
        }
    }

    #[test]
    fn the_share_stands_still_while_held(at_minute in 0_i64..600, held in 0_i64..6000, after in 1_i64..600) {
        let policy = policy("name: p\ncurve: {points: [{after: 0s, share: 0%}, {after: 20h, share: 100%}]}\nrings: [{name: all, rest: true}]");
        let minute = |m: i64| start() + SignedDuration::from_mins(m);
        let mut rollout = Rollout::starting_at(start());
        rollout.hold(&policy, minute(at_minute));
        let share = rollout.share(&policy, 0, minute(at_minute));
        prop_assert_eq!(rollout.share(&policy, 0, minute(at_minute + held)), share);
        rollout.release(&policy, minute(at_minute + held));
        let expected = policy.rings[0].curve.share_at(SignedDuration::from_mins(at_minute + after));
        prop_assert_eq!(rollout.share(&policy, 0, minute(at_minute + held + after)), expected);
    }

    #[test]
    fn the_promised_time_is_the_first_at_which_a_cluster_is_eligible_and_the_calendar_open(
        place in 0_u64..(1 << 53), asked in -600_i64..3000,
    ) {
        let policy = policy("name: p\ncalendar: {time_zone: Europe/Berlin, windows: [{days: [mon, wed, sat], start: '21:00', duration: 5h}]}\ncurve: {points: [{after: 0s, share: 1%}, {after: 20h, share: 100%}]}\nrings: [{name: all, rest: true}]");
        let mut rollout = Rollout::starting_at(start());
        let now = start() + SignedDuration::from_mins(asked);
        let evaluation = rollout.evaluate(&policy, &[vec![]], now);
        let position = Position { ring: 0, place: Share::from_steps(place), cluster: cluster(1) };
        let answer = ask(&rollout, &policy, Some(&position), &evaluation, now);
        if answer.is_go() {
            prop_assert!(rollout.is_eligible(&policy, &position, now));
        } else {
            let promised = answer.earliest_at.unwrap();
            prop_assert!(promised > now);
            prop_assert!(ask(&rollout, &policy, Some(&position), &evaluation, promised).is_go());
            let before = promised - SignedDuration::from_nanos(1);
            prop_assert!(!ask(&rollout, &policy, Some(&position), &evaluation, before).is_go());
        }
    }
}

#[test]
fn every_reason_has_its_own_code_and_sentence() {
    let name = || "a".parse().unwrap();
    let when = start();
    let load_site = ("site".to_owned(), "x".to_owned());
    let period = crate::rollout::Period::from_hours(1);
    let all = [
        WhyNot::NoRing,
        WhyNot::NotStarted { starts_at: when },
        WhyNot::Held,
        WhyNot::Halted { failures: 2 },
        WhyNot::HealthUnknown { unknown: 2, allowed: 1 },
        WhyNot::NeedsApproval { ring: name() },
        WhyNot::RingClosed { ring: name(), behind: name(), waits_for: vec![], opens_at: None },
        WhyNot::NotYet { ring: name(), place: Share::ALL, open: Share::NONE, eligible_at: None },
        WhyNot::OutsideWindows { opens_at: Some(when) },
        WhyNot::Frozen { reason: "r".into(), opens_at: None },
        WhyNot::CapConcurrent { in_flight: 2, limit: 2 },
        WhyNot::CapPeriod { granted: 2, limit: 2, period, frees_at: None },
        WhyNot::CapFailureDomain {
            label: load_site.0,
            domain: load_site.1,
            in_flight: 1,
            limit: 1,
        },
    ];
    let codes: std::collections::BTreeSet<&str> = all.iter().map(WhyNot::code).collect();
    let sentences: std::collections::BTreeSet<String> =
        all.iter().map(ToString::to_string).collect();
    assert_eq!((codes.len(), sentences.len()), (all.len(), all.len()));
    for why in &all {
        assert_eq!(serde_json::to_value(why).unwrap()["code"], why.code());
    }
    let manual = include_str!("../../../../docs/rollouts.md");
    for code in codes {
        assert!(manual.contains(&format!("`{code}`")), "docs/rollouts.md lacks {code}");
    }
}
