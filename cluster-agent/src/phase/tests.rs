//! The phase table, event by event.

use super::*;

const TIMINGS: StepTimings = StepTimings {
    await_return_ms: 300_000,
    await_health_ms: 300_000,
    soak_ms: 60_000,
    green_probes: 3,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn why(gate: &str) -> wire::WaitingOn {
    wire::WaitingOn {
        gate: gate.to_owned(),
        unit: None,
        message: format!("{gate} is closed"),
        observed: None,
        limit: None,
        since: None,
    }
}

fn ok() -> Event {
    Event::Finished { exit_code: 0, log_tail: String::new() }
}

fn failed(log: &str) -> Event {
    Event::Finished { exit_code: 3, log_tail: log.to_owned() }
}

fn step(phase: Phase, event: Event, second: i64) -> (Phase, Vec<Effect>) {
    phase.step(event, at(second), &TIMINGS, Given::default()).unwrap()
}

fn healthy_from(mut phase: Phase, second: i64) -> (Phase, Vec<Effect>) {
    let mut effects = vec![];
    for i in 0..i64::from(TIMINGS.green_probes) {
        (phase, effects) = step(phase, Event::Healthy, second + i);
    }
    (phase, effects)
}

#[test]
fn what_came_up_in_the_new_version_before_its_change_is_not_changed() {
    let (phase, effects) = step(Phase::Before { since: at(0) }, Event::AlreadyThere, 1);
    assert_eq!((phase.wire(), effects), (wire::Phase::AwaitHealth, vec![]));
    let (_, effects) = healthy_from(phase, 2);
    assert_eq!(effects, [], "nothing was drained");
    let (phase, effects) = step(Phase::Quiesce { since: at(0) }, Event::AlreadyThere, 1);
    assert_eq!((phase.wire(), effects), (wire::Phase::AwaitHealth, vec![]));
    let (_, effects) = healthy_from(phase, 2);
    assert_eq!(effects, [Effect::Start(Task::Restore)]);
}

#[test]
fn a_unit_passes_every_phase_in_order() {
    let phase = Phase::first(at(0));
    let (phase, effects) = step(phase, Event::Cleared { quiesce: Quiesce::Present }, 1);
    assert_eq!(effects, [Effect::Start(Task::Quiesce)]);
    let (phase, _) = step(phase, ok(), 2);
    let (phase, effects) = step(phase, Event::Cleared { quiesce: Quiesce::Present }, 3);
    assert_eq!(effects, [Effect::Start(Task::Mutate)]);
    let (phase, _) = step(phase, Event::Running, 4);
    let (phase, _) = step(phase, ok(), 5);
    assert_eq!(phase.wire(), wire::Phase::AwaitReturn);
    let (phase, _) = step(phase, Event::Returned, 6);
    let (phase, effects) = healthy_from(phase, 7);
    assert_eq!(effects, [Effect::Start(Task::Restore)]);
    let (phase, _) = step(phase, ok(), 20);
    let phase = healthy_every_5_s(phase, 20..=75);
    assert_eq!(phase.wire(), wire::Phase::Soak);
    let (phase, _) = step(phase, Event::Healthy, 80);
    assert_eq!(phase, Phase::Done);
}

fn soaking(second: i64, breaks: u32) -> Phase {
    Phase::Soak { since: at(second), breaks, watched_ms: 0, last_probe: None }
}

fn healthy_every_5_s(phase: Phase, seconds: std::ops::RangeInclusive<i64>) -> Phase {
    seconds.step_by(5).fold(phase, |phase, second| step(phase, Event::Healthy, second).0)
}

#[test]
fn a_soak_does_not_count_the_time_in_which_the_agent_was_down() {
    let soak = healthy_every_5_s(soaking(0, 0), 0..=5);
    let text = serde_json::to_string(&soak).unwrap();
    let found: Phase = serde_json::from_str::<Phase>(&text).unwrap().woken();
    let found = healthy_every_5_s(found, 125..=175);
    assert_eq!(found.wire(), wire::Phase::Soak, "{found:?}");
    assert_eq!(step(found, Event::Healthy, 180).0, Phase::Done);
}

#[test]
fn a_soak_counts_little_of_a_gap_whatever_made_it() {
    // The clock jumps by an hour, or nothing could be probed for one.
    let (soak, _) = step(healthy_every_5_s(soaking(0, 0), 0..=5), Event::Healthy, 3_600);
    let Phase::Soak { watched_ms, .. } = soak else { panic!("{soak:?}") };
    assert_eq!(watched_ms, 15_000);
}

#[test]
fn a_clock_that_steps_back_neither_ends_a_soak_nor_stops_it() {
    let soak = healthy_every_5_s(soaking(3_600, 0), 3_600..=3_630);
    let soak = healthy_every_5_s(soak, 0..=25);
    assert_eq!(soak.wire(), wire::Phase::Soak);
    assert_eq!(step(soak, Event::Healthy, 30).0, Phase::Done);
}

#[test]
fn a_soak_written_by_an_older_agent_is_watched_from_its_beginning() {
    let text = serde_json::to_string(&at(0)).unwrap();
    let old = format!(r#"{{"name":"soak","since":{text},"breaks":1}}"#);
    assert_eq!(serde_json::from_str::<Phase>(&old).unwrap(), soaking(0, 1));
}

#[test]
fn green_probes_of_the_process_before_are_no_probes_in_a_row() {
    let green =
        |green_probes| Phase::AwaitHealth { since: at(0), quiesced: true, green_probes, breaks: 1 };
    assert_eq!(green(2).woken(), green(0));
}

#[test]
fn a_soak_is_written_from_time_to_time_and_not_at_every_probe() {
    let soak =
        |watched_ms| Phase::Soak { since: at(0), breaks: 0, watched_ms, last_probe: Some(at(1)) };
    assert!(soak(1_000).differs_little(&soak(9_500)));
    assert!(!soak(9_500).differs_little(&soak(10_000)));
    assert!(!soak(9_500).differs_little(&Phase::Done));
}

#[test]
fn a_driver_without_quiesce_goes_from_preflight_to_mutate_and_restores_nothing() {
    let (phase, effects) =
        step(Phase::first(at(0)), Event::Cleared { quiesce: Quiesce::Absent }, 1);
    assert_eq!(effects, [Effect::Start(Task::Mutate)]);
    let (phase, _) = step(phase, ok(), 2);
    let (phase, _) = step(phase, Event::Returned, 3);
    let (phase, effects) = healthy_from(phase, 4);
    assert_eq!((phase.wire(), effects), (wire::Phase::Soak, vec![]));
}

#[test]
fn a_closed_gate_before_the_change_leaves_nothing_out() {
    let (phase, effects) = step(Phase::first(at(0)), Event::Refused { why: why("quorum_lag") }, 1);
    assert_eq!((phase, effects), (Phase::Dropped { why: why("quorum_lag") }, vec![]));
}

#[test]
fn a_gate_that_closes_while_draining_undoes_the_drain() {
    let draining = Phase::Quiesce { since: at(0) };
    let (phase, effects) = step(draining, Event::Refused { why: why("hold") }, 1);
    assert_eq!(effects, [Effect::Start(Task::Restore)]);
    let (phase, _) = step(phase, ok(), 2);
    assert_eq!(phase, Phase::Dropped { why: why("hold") });
}

#[test]
fn a_failed_drain_is_undone_and_its_output_is_the_reason() {
    let (phase, _) = step(Phase::Quiesce { since: at(0) }, failed("PDB web blocks"), 1);
    let Phase::Undo { why, .. } = phase else { panic!("{phase:?}") };
    assert_eq!(why.gate, "quiesce_failed");
    assert!(why.message.contains("PDB web blocks"), "{}", why.message);
}

#[test]
fn a_step_whose_effect_never_ran_asks_its_gates_again() {
    let lost = Phase::Mutate { since: at(0), quiesced: true };
    let (phase, effects) = step(lost, Event::NotStarted, 900);
    assert_eq!(phase, Phase::Preflight { since: at(900), quiesced: true, prepared: false });
    assert_eq!(effects, []);
    // The drain did run: a closed gate must undo it.
    let (phase, effects) = step(phase, Event::Refused { why: why("pleg_lag") }, 901);
    assert_eq!(phase.wire(), wire::Phase::Quiesce);
    assert_eq!(effects, [Effect::Start(Task::Restore)]);
}

#[test]
fn a_failed_change_pauses_and_keeps_the_unit() {
    let changing = Phase::Mutate { since: at(0), quiesced: false };
    let (phase, effects) = step(changing.clone(), failed("no space"), 1);
    assert_eq!(phase, changing);
    let [Effect::Fail(Failed::Change, why)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(why.gate, "mutate_failed");
    let (phase, _) = step(phase, Event::Resumed { retry: Retry::Again }, 9);
    assert_eq!(phase, Phase::Preflight { since: at(9), quiesced: false, prepared: false });
}

#[test]
fn a_unit_that_does_not_return_in_time_pauses_the_roll() {
    let away = Phase::AwaitReturn { since: at(0), quiesced: false };
    let (away, effects) = step(away, Event::NotReturned { why: why("unreachable") }, 300);
    assert_eq!(effects, []);
    let (away, effects) = step(away, Event::NotReturned { why: why("unreachable") }, 301);
    let [Effect::Fail(Failed::Return, pause)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(pause.gate, "return_overdue");
    assert_eq!(away.wire(), wire::Phase::AwaitReturn);
}

#[test]
fn one_red_probe_starts_the_green_count_again() {
    let phase = Phase::AwaitHealth { since: at(0), quiesced: false, green_probes: 2, breaks: 0 };
    let (phase, _) = step(phase, Event::NotHealthy { why: why("quorum_lag") }, 1);
    let (phase, _) = step(phase, Event::Healthy, 2);
    let (phase, _) = step(phase, Event::Healthy, 3);
    assert_eq!(phase.wire(), wire::Phase::AwaitHealth);
    let (phase, _) = step(phase, Event::Healthy, 4);
    assert_eq!(phase.wire(), wire::Phase::Soak);
}

#[test]
fn a_unit_that_keeps_losing_its_health_while_soaking_pauses_the_roll() {
    let mut phase = soaking(0, 0);
    for i in 0..i64::from(SOAK_BREAKS_MAX) {
        let (lost, effects) = step(phase, Event::NotHealthy { why: why("x") }, 10 * i);
        assert_eq!(effects, []);
        (phase, _) = healthy_from(lost, 10 * i + 1);
        assert_eq!(phase.wire(), wire::Phase::Soak);
    }
    let (_, effects) = step(phase, Event::NotHealthy { why: why("x") }, 100);
    let [Effect::Pause(pause)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(pause.gate, "soak_broken");
}

#[test]
fn a_stop_lets_a_restart_complete_and_starts_nothing() {
    let changing = Phase::Mutate { since: at(0), quiesced: true };
    let (phase, effects) = step(changing.clone(), Event::Stop { why: why("no_leader") }, 1);
    assert_eq!(phase, changing);
    assert_eq!(effects, [Effect::Pause(why("no_leader"))]);
    let (phase, _) = step(phase, ok(), 2);
    assert_eq!(phase.wire(), wire::Phase::AwaitReturn);
}

#[test]
fn a_resumed_soak_starts_over() {
    let watched = healthy_every_5_s(soaking(0, 1), 0..=30);
    let (phase, _) = step(watched, Event::Resumed { retry: Retry::GoOn }, 500);
    assert_eq!(phase, soaking(500, 0));
}

#[test]
fn an_event_of_another_phase_is_an_error_and_not_a_guess() {
    let error =
        Phase::first(at(0)).step(Event::Healthy, at(1), &TIMINGS, Given::default()).unwrap_err();
    assert_eq!(error.event, Event::Healthy);
    assert!(Phase::Done.step(Event::Running, at(1), &TIMINGS, Given::default()).is_err());
}

#[test]
fn every_phase_survives_being_written_and_read() {
    let phases = [
        Phase::first(at(0)),
        Phase::Quiesce { since: at(1) },
        Phase::Undo { since: at(1), why: why("hold") },
        Phase::Mutate { since: at(2), quiesced: true },
        Phase::AwaitReturn { since: at(3), quiesced: true },
        Phase::AwaitHealth { since: at(4), quiesced: false, green_probes: 2, breaks: 1 },
        Phase::Restore { since: at(5), breaks: 0 },
        Phase::Soak { since: at(6), breaks: 2, watched_ms: 4_500, last_probe: Some(at(9)) },
        Phase::Before { since: at(7) },
        Phase::After { since: at(8), dropped: None },
        Phase::After { since: at(8), dropped: Some(why("hold")) },
        Phase::Done,
        Phase::Dropped { why: why("hold") },
    ];
    for phase in phases {
        let text = serde_json::to_string(&phase).unwrap();
        assert_eq!(serde_json::from_str::<Phase>(&text).unwrap(), phase, "{text}");
    }
}

#[test]
fn a_unit_that_visibly_recovers_gets_its_deadline_anew_and_one_that_does_not_is_overdue() {
    let waits = |second| Phase::AwaitReturn { since: at(second), quiesced: false };
    let (phase, effects) = step(waits(0), Event::Progresses { why: why("log_recovery") }, 299);
    assert_eq!((phase.clone(), effects), (waits(299), vec![]));
    let (_, effects) = step(phase.clone(), Event::NotReturned { why: why("log_recovery") }, 598);
    assert_eq!(effects, []);
    let (_, effects) = step(phase, Event::NotReturned { why: why("log_recovery") }, 600);
    let [Effect::Fail(Failed::Return, pause)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(pause.gate, "return_overdue");
}

#[test]
fn a_phase_written_before_there_were_hooks_is_read() {
    let text = serde_json::to_string(&at(0)).unwrap();
    let old = format!(r#"{{"name":"preflight","since":{text},"quiesced":true}}"#);
    let read: Phase = serde_json::from_str(&old).unwrap();
    assert_eq!(read, Phase::Preflight { since: at(0), quiesced: true, prepared: false });
}

#[test]
fn before_another_attempt_nothing_is_dropped_and_nothing_undone() {
    let given = Given { changed: true, ..Given::default() };
    let step = |phase: Phase, event| phase.step(event, at(9), &TIMINGS, given).unwrap();
    for phase in [
        Phase::Preflight { since: at(0), quiesced: true, prepared: false },
        Phase::first(at(0)),
        Phase::Quiesce { since: at(0) },
    ] {
        let refused = step(phase.clone(), Event::Refused { why: why("pleg_lag") });
        assert_eq!(refused, (phase.clone(), vec![]));
        let (after, effects) = step(phase.clone(), failed("no"));
        let [Effect::Fail(Failed::Prepare, _)] = &effects[..] else { panic!("{effects:?}") };
        assert_eq!(after, phase);
        let (after, effects) = step(phase.clone(), Event::Stop { why: why("no_leader") });
        assert_eq!((after, effects), (phase, vec![Effect::Pause(why("no_leader"))]));
    }
}

#[test]
fn a_unit_that_leaves_its_step_takes_back_its_drain_and_nothing_else() {
    let leaves = |quiesced| {
        let waits = Phase::AwaitHealth { since: at(0), quiesced, green_probes: 0, breaks: 0 };
        step(waits, Event::Left { why: why("back_ordered") }, 9)
    };
    let undo = Phase::Undo { since: at(9), why: why("back_ordered") };
    assert_eq!(leaves(true), (undo.clone(), vec![Effect::Start(Task::Restore)]));
    assert_eq!(leaves(false), (undo.clone(), vec![]));
    assert_eq!(step(undo, ok(), 10).0, Phase::Dropped { why: why("back_ordered") });
    let left = Phase::Done.step(Event::Left { why: why("x") }, at(1), &TIMINGS, Given::default());
    assert!(left.is_err());
}
