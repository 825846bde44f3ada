//! When reports go out, against time alone.

use super::*;
use channels::wire::Directive;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// No chance in a test.
fn exactly(ms: u64) -> SignedDuration {
    SignedDuration::from_millis(i64::try_from(ms).unwrap())
}

fn product() -> ProductRef {
    "acme/kafka".parse().unwrap()
}

fn reply(action: Action, earliest_at: Option<Timestamp>) -> ReportReply {
    ReportReply {
        seq: 1,
        at: at(0),
        timestamp_etag: None,
        directives: vec![Directive {
            product: product(),
            action,
            grant: None,
            reasons: vec![],
            earliest_at,
        }],
        next_report_in_s: 300,
        full_state_wanted: false,
        settings: vec![],
        measures: vec![],
    }
}

#[test]
fn a_refused_request_waits_for_the_time_the_hub_names_or_the_slot() {
    let mut outbox = Outbox::default();
    outbox.sent(Some(&product()), Shape::new(), at(0));
    assert!(!outbox.may_ask(at(0)));
    outbox.answered(&reply(Action::Wait, Some(at(40))), Some(&product()), at(0));
    assert!(!outbox.may_ask(at(39)));
    assert!(outbox.may_ask(at(40)));
    outbox.answered(&reply(Action::Hold, None), Some(&product()), at(100));
    assert!(!outbox.may_ask(at(399)));
    assert!(outbox.may_ask(at(400)));
}

#[test]
fn a_hub_that_wants_the_whole_state_does_not_wait_a_slot_for_it() {
    let mut outbox = Outbox::default();
    let wants = ReportReply { full_state_wanted: true, ..reply(Action::Wait, None) };
    outbox.answered(&wants, None, at(0));
    assert!(!outbox.is_slot(at(4)) && outbox.is_slot(at(5)));
}

#[test]
fn a_busy_hub_is_left_alone_as_long_as_it_asks_but_never_for_more_than_a_minute() {
    let mut outbox = Outbox::default();
    for (asked_s, quiet_s) in [(20, 20), (3_600, 60)] {
        outbox.urge();
        outbox.failed(None, Some(asked_s), exactly, at(0));
        assert!(outbox.is_quiet(at(quiet_s - 1)) && !outbox.is_quiet(at(quiet_s)));
        let slot_s = i64::try_from(asked_s).unwrap();
        assert!(!outbox.is_slot(at(slot_s - 1)) && outbox.is_slot(at(slot_s)));
    }
    outbox.failed(None, None, exactly, at(5_000));
    assert!(!outbox.is_quiet(at(5_000)), "a hub that is away asks for nothing");
    outbox.failed(None, Some(20), exactly, at(6_000));
    outbox.answered(&reply(Action::Wait, None), None, at(6_001));
    assert!(!outbox.is_quiet(at(6_001)), "it answers again");
}

#[test]
fn a_granted_request_may_be_renewed_at_once() {
    let mut outbox = Outbox::default();
    outbox.sent(Some(&product()), Shape::new(), at(0));
    outbox.answered(&reply(Action::Proceed, None), Some(&product()), at(0));
    assert!(outbox.may_ask(at(0)));
}

fn waiting(gates: &[&str]) -> Shape {
    let gates = gates.iter().map(|gate| (*gate).to_owned()).collect();
    BTreeMap::from([(product(), (Phase::Waiting, gates))])
}

fn idle() -> Shape {
    BTreeMap::from([(product(), (Phase::Idle, BTreeSet::new()))])
}

#[test]
fn a_change_from_waiting_to_idle_is_told_long_before_the_slot() {
    let mut outbox = Outbox::default();
    outbox.sent(None, waiting(&["no_metadata"]), at(0));
    outbox.answered(&reply(Action::Wait, None), None, at(0));
    assert!(!outbox.has_news(&idle(), at(4)), "changes of one moment make one report");
    assert!(!outbox.has_news(&waiting(&["no_metadata"]), at(5)), "nothing changed");
    assert!(outbox.has_news(&idle(), at(5)));
    assert!(!outbox.is_slot(at(5)));
    outbox.sent(None, idle(), at(5));
    assert!(!outbox.has_news(&idle(), at(100)));
    assert!(outbox.has_news(&waiting(&["approval"]), at(100)), "another gate is news");
}

#[test]
fn a_gate_that_flaps_is_told_at_a_bounded_rate() {
    let mut outbox = Outbox::default();
    outbox.sent(None, idle(), at(0));
    let mut told = 0;
    for second in 1..=3_600 {
        let shape = if second % 2 == 0 { idle() } else { waiting(&["quorum_lag"]) };
        if outbox.has_news(&shape, at(second)) {
            outbox.sent(None, shape, at(second));
            told += 1;
        }
    }
    assert!((60..=130).contains(&told), "{told} in an hour");
}

#[test]
fn a_hub_that_does_not_answer_is_not_told_more_often_for_it() {
    let mut outbox = Outbox::default();
    outbox.sent(None, waiting(&["no_metadata"]), at(0));
    outbox.failed(None, None, exactly, at(0));
    assert!(!outbox.has_news(&idle(), at(30)));
    assert!(outbox.is_slot(at(30)), "the back-off sends the whole state");
}

#[test]
fn a_hint_about_metadata_is_worth_one_refresh_period_and_no_more() {
    let mut outbox = Outbox::default();
    let hinted = ReportReply { timestamp_etag: Some("e1".to_owned()), ..reply(Action::Wait, None) };
    assert!(outbox.answered(&hinted, None, at(0)));
    assert_eq!(outbox.hint(30_000, at(29)).as_deref(), Some("e1"));
    assert_eq!(outbox.hint(30_000, at(30)), None, "reports come every 300 s, looks every 30");
    assert!(!outbox.answered(&hinted, None, at(300)));
    assert_eq!(outbox.hint(30_000, at(301)).as_deref(), Some("e1"));
}

#[test]
fn a_busy_hub_is_left_alone_for_as_long_as_it_asks() {
    let mut outbox = Outbox::default();
    outbox.failed(None, Some(120), exactly, at(0));
    assert!(!outbox.is_slot(at(119)) && !outbox.may_ask(at(119)));
    assert!(outbox.is_slot(at(120)) && outbox.may_ask(at(120)));
    outbox.failed(None, Some(1), exactly, at(200));
    assert!(!outbox.is_slot(at(203)), "the back-off is longer than what the hub asks for");
    assert!(outbox.is_slot(at(204)));
}

#[test]
fn nothing_waits_for_a_time_from_before_the_clock_was_set_back() {
    let (before, after) = (at(10_000), at(6_400));
    let mut outbox = Outbox::default();
    outbox.sent(Some(&product()), waiting(&["no_metadata"]), before);
    assert!(outbox.is_slot(after), "in flight");
    let refused =
        ReportReply { timestamp_etag: Some("e1".to_owned()), ..reply(Action::Wait, None) };
    outbox.answered(&refused, Some(&product()), before);
    assert!(!outbox.is_slot(before) && !outbox.may_ask(before));
    assert!(outbox.is_slot(after), "slot");
    assert!(outbox.may_ask(after), "request");
    assert!(outbox.has_news(&idle(), after), "news");
    assert_eq!(outbox.hint(30_000, after), None, "hint");

    outbox.failed(None, Some(600), exactly, before);
    assert!(outbox.is_slot(after), "back-off");
    outbox.urge();
    assert!(!outbox.is_urgent(before));
    assert!(outbox.is_urgent(after), "phase");
}

#[test]
fn a_fleet_does_not_come_back_in_step() {
    let mut outbox = Outbox::default();
    let by_half = |ms| exactly(ms + ms / 2);
    outbox.failed(Some(&product()), Some(60), by_half, at(0));
    assert!(!outbox.is_slot(at(89)) && !outbox.may_ask(at(89)));
    assert!(outbox.is_slot(at(90)) && outbox.may_ask(at(90)));
}

#[test]
fn changes_of_phase_are_told_to_a_hub_in_trouble_but_not_as_fast_as_they_come() {
    let mut outbox = Outbox::default();
    outbox.urge();
    assert!(outbox.is_urgent(at(0)));
    outbox.sent(None, idle(), at(0));
    assert!(!outbox.is_urgent(at(0)), "told once");
    outbox.urge();
    assert!(outbox.is_urgent(at(0)), "nothing failed");

    outbox.failed(None, Some(600), exactly, at(1));
    assert!(!outbox.is_urgent(at(5)));
    assert!(outbox.is_urgent(at(6)), "long before the hub wants the whole state");
    outbox.sent(None, idle(), at(6));
    outbox.urge();
    assert!(!outbox.is_urgent(at(10)), "nobody answered yet");
    assert!(outbox.is_urgent(at(11)));
    outbox.answered(&reply(Action::Wait, None), None, at(7));
    assert!(outbox.is_urgent(at(7)));
}

#[test]
fn a_number_that_was_refused_and_mended_is_followed_by_another_soon() {
    let mut outbox = Outbox::default();
    for second in [0, 10, 20] {
        outbox.failed(None, None, exactly, at(second));
        outbox.mended();
        assert!(!outbox.is_slot(at(second + 1)));
        assert!(outbox.is_slot(at(second + 2)), "not at a growing distance");
    }
}

#[test]
fn a_key_that_is_refused_for_good_is_shown_once_an_hour_whatever_happens_here() {
    let mut outbox = Outbox::default();
    outbox.sent(Some(&product()), waiting(&["no_metadata"]), at(0));
    outbox.failed(Some(&product()), None, exactly, at(0));
    outbox.give_up(exactly, at(0));
    outbox.urge();
    for second in [60, 600, 3_599] {
        let now = at(second);
        assert!(!outbox.is_slot(now) && !outbox.may_ask(now), "{second}");
        assert!(!outbox.is_urgent(now) && !outbox.has_news(&idle(), now), "{second}");
    }
    assert!(outbox.is_slot(at(3_600)));
    outbox.answered(&reply(Action::Wait, None), None, at(3_600));
    outbox.urge();
    assert!(outbox.is_urgent(at(3_600)), "the hub takes the key again");
}

#[test]
fn unanswered_reports_back_off_and_recover() {
    let mut outbox = Outbox::default();
    assert!(outbox.is_slot(at(0)));
    outbox.failed(None, None, exactly, at(0));
    assert!(!outbox.is_slot(at(1)));
    assert!(outbox.is_slot(at(2)));
    for _ in 0..10 {
        outbox.failed(None, None, exactly, at(100));
    }
    assert!(outbox.is_slot(at(160)));
    assert!(!outbox.is_slot(at(159)));
    outbox.answered(&reply(Action::Wait, None), None, at(200));
    assert!(outbox.is_slot(at(500)));
}
