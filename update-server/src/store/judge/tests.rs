//! Every way of reporting twice, and what the hub makes of it.

use proptest::prelude::*;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

/// The hub's side: judges, and remembers as a commit does.
#[derive(Debug, Default)]
struct Hub {
    last: LastSeen,
    conflict: bool,
}

impl Hub {
    fn take(&mut self, report: &Incoming) -> Verdict {
        let verdict = judge(&self.last, report);
        match verdict {
            Verdict::Retry => {}
            Verdict::Replay { heat } => self.last.heat = heat,
            Verdict::Conflict(_) if report.seq <= self.last.seq => self.conflict = true,
            Verdict::Fresh | Verdict::Conflict(_) => {
                self.conflict |= verdict != Verdict::Fresh;
                self.last = LastSeen {
                    seq: report.seq,
                    body_digest: Some(report.body_digest),
                    sent_at: Some(report.sent_at_most()),
                    superseded: succeed(&self.last, report),
                    instance: report.instance,
                    heat: self.last.heat.saturating_sub(1),
                };
            }
        }
        verdict
    }
}

/// One running agent: counts up, and above what the hub says when it is refused.
#[derive(Debug, Clone, Copy)]
struct Agent {
    seq: u64,
    instance: Option<AgentInstance>,
    heard: Option<u64>,
}

impl Agent {
    /// Starts from a counter on disk, at a time.
    fn start(disk: u64, second: u64, instance: u64) -> Self {
        let seq = disk.max(second * 1_000);
        Self { seq, instance: Some(AgentInstance(instance)), heard: None }
    }

    fn next(&mut self, second: i64) -> Incoming {
        self.seq += 1;
        let text = format!("{} {second} {:?}", self.seq, self.instance);
        Incoming {
            seq: self.seq,
            body_digest: Sha256Digest::of(text.as_bytes()),
            sent_at: at(second),
            // A report every ten minutes.
            received_at: at(second * 600),
            instance: self.instance,
            heard_seq: self.heard,
        }
    }

    fn report(&mut self, hub: &mut Hub, second: i64) -> Verdict {
        let report = self.next(second);
        let verdict = hub.take(&report);
        if hub.last.seq > report.seq || matches!(verdict, Verdict::Replay { .. }) {
            self.seq = hub.last.seq;
            self.heard = Some(hub.last.seq);
        }
        verdict
    }
}

#[test]
fn one_report_against_the_last_is_judged_by_this_table() {
    let (a, b, c) = (AgentInstance(1), AgentInstance(2), AgentInstance(3));
    let (body, other) = (Sha256Digest::of(b"body"), Sha256Digest::of(b"other"));
    let last = LastSeen {
        seq: 10,
        body_digest: Some(body),
        sent_at: Some(at(100)),
        instance: Some(b),
        superseded: vec![Superseded { instance: a, at_seq: 9, at_ms: 0 }],
        heat: 0,
    };
    let conflict = Verdict::Conflict(Proof::Superseded);
    let (cold, warm) = (Verdict::Replay { heat: 0 }, Verdict::Replay { heat: HEAT_PER_REFUSAL });
    for (case, seq, digest, second, instance, expected) in [
        ("the next one", 11, other, 101, Some(b), Verdict::Fresh),
        ("after a gap", 99, other, 101, Some(b), Verdict::Fresh),
        ("a restart", 5_000, other, 101, Some(c), Verdict::Fresh),
        ("an agent that names no instance", 11, other, 101, None, Verdict::Fresh),
        ("the lost answer again", 10, body, 100, Some(b), Verdict::Retry),
        ("other content under its number", 10, other, 101, Some(b), warm),
        ("a delayed report", 9, other, 99, Some(b), cold),
        ("a delayed report of the process before", 9, other, 99, Some(a), cold),
        ("restored state, first try", 7, other, 101, Some(c), cold),
        ("an old number without an instance", 7, other, 101, None, cold),
        ("the process before lives", 11, other, 101, Some(a), conflict),
    ] {
        let sent_at = at(second);
        let heard_seq = None;
        let received_at = sent_at;
        let report =
            Incoming { seq, body_digest: digest, sent_at, received_at, instance, heard_seq };
        assert_eq!(judge(&last, &report), expected, "{case}");
    }
}

#[test]
fn a_superseded_process_that_heard_of_its_successor_lives_and_one_that_did_not_may_be_late() {
    let (old, new) = (AgentInstance(1), AgentInstance(2));
    let last = LastSeen {
        seq: 30,
        instance: Some(new),
        superseded: vec![Superseded { instance: old, at_seq: 20, at_ms: 0 }],
        ..LastSeen::default()
    };
    let report = |heard_seq| Incoming {
        seq: 15,
        body_digest: Sha256Digest::of(b"body"),
        sent_at: at(0),
        received_at: at(0),
        instance: Some(old),
        heard_seq,
    };
    for heard in [20, 30] {
        let verdict = judge(&last, &report(Some(heard)));
        assert_eq!(verdict, Verdict::Conflict(Proof::Superseded), "{heard}");
    }
    for heard in [None, Some(14), Some(19)] {
        assert_eq!(judge(&last, &report(heard)), Verdict::Replay { heat: 0 }, "{heard:?}");
    }
}

#[test]
fn a_clone_that_reports_so_often_that_the_original_never_gets_in_is_found_out() {
    let mut hub = Hub::default();
    let mut original = Agent::start(0, 1_000, 1);
    original.report(&mut hub, 0);
    let mut clone = Agent::start(original.seq, 2_000, 2);
    clone.report(&mut hub, 1);
    assert!(matches!(original.report(&mut hub, 2), Verdict::Replay { .. }));
    for second in 3..9 {
        clone.report(&mut hub, second);
    }
    assert_eq!(original.report(&mut hub, 9), Verdict::Conflict(Proof::Superseded));
}

#[test]
fn a_cloned_disk_is_found_out_as_soon_as_both_have_reported_again() {
    let mut hub = Hub::default();
    let mut original = Agent::start(0, 1_000, 1);
    for second in 0..5 {
        assert_eq!(original.report(&mut hub, second), Verdict::Fresh);
    }
    let mut clone = Agent::start(original.seq, 2_000, 2);
    assert_eq!(clone.report(&mut hub, 6), Verdict::Fresh, "it could be a restart");
    assert!(matches!(original.report(&mut hub, 7), Verdict::Replay { .. }));
    assert_eq!(original.report(&mut hub, 8), Verdict::Conflict(Proof::Superseded));
}

#[test]
fn three_machines_with_one_disk_are_found_out_whatever_their_order() {
    let mut hub = Hub::default();
    let mut all: Vec<Agent> = (1_u64..=3).map(|n| Agent::start(0, 0, n)).collect();
    for second in 0..4 {
        for agent in &mut all {
            // A refused agent tries again long before the next slot.
            if agent.report(&mut hub, second) != Verdict::Fresh {
                agent.report(&mut hub, second);
            }
        }
    }
    assert!(hub.conflict);
}

#[test]
fn a_thief_who_names_no_instance_is_found_out_however_far_it_counts() {
    let mut hub = Hub::default();
    let mut agent = Agent::start(0, 1_000, 1);
    agent.report(&mut hub, 0);
    let mut thief = Agent { seq: 40_000_000_000, instance: None, heard: None };
    assert_eq!(thief.report(&mut hub, 1), Verdict::Fresh, "it could be an older agent");
    assert_eq!(hub.last.instance, None);
    assert!(matches!(agent.report(&mut hub, 2), Verdict::Replay { .. }));
    assert_eq!(agent.report(&mut hub, 3), Verdict::Conflict(Proof::Superseded));
}

#[test]
fn an_agent_that_never_names_an_instance_goes_on() {
    let mut hub = Hub::default();
    let mut agent = Agent { seq: 0, instance: None, heard: None };
    for second in 0..200 {
        assert_eq!(agent.report(&mut hub, second), Verdict::Fresh);
    }
    assert_eq!(hub.last.superseded, []);
}

#[test]
fn names_drawn_by_a_thief_do_not_push_the_true_one_out_of_memory() {
    for count in [1, 9, 63] {
        let mut hub = Hub::default();
        let mut agent = Agent::start(0, 1_000, 1);
        agent.report(&mut hub, 0);
        for n in 0..count {
            let mut thief = Agent::start(hub.last.seq, 0, 100 + n);
            assert_eq!(thief.report(&mut hub, 1), Verdict::Fresh);
        }
        assert!(matches!(agent.report(&mut hub, 2), Verdict::Replay { .. }));
        assert_eq!(agent.report(&mut hub, 3), Verdict::Conflict(Proof::Superseded), "{count}");
    }
    let mut hub = Hub::default();
    Agent::start(0, 1_000, 1).report(&mut hub, 0);
    let last = (0..200).find(|n| {
        let mut thief = Agent::start(hub.last.seq, 0, 100 + n);
        thief.report(&mut hub, 1) == Verdict::Conflict(Proof::ManyStarts)
    });
    assert_eq!(last, Some(64), "found out before anything is forgotten");
    assert!(hub.last.superseded.len() <= SUPERSEDED_MAX);
}

#[test]
fn an_agent_that_is_restarted_every_ten_minutes_for_ever_is_no_conflict() {
    let mut hub = Hub::default();
    for n in 0..300 {
        let mut agent = Agent::start(hub.last.seq, 0, n + 1);
        let second = i64::try_from(n).unwrap();
        assert_eq!(agent.report(&mut hub, second), Verdict::Fresh, "{n}");
    }
    assert_eq!(hub.last.superseded.len(), SUPERSEDED_MAX);
}

#[test]
fn a_report_from_the_future_does_not_make_later_ones_look_older() {
    let report = Incoming {
        seq: 1,
        body_digest: Sha256Digest::of(b"body"),
        sent_at: "9999-12-30T00:00:00Z".parse().unwrap(),
        received_at: at(5),
        instance: None,
        heard_seq: None,
    };
    assert_eq!(report.sent_at_most(), at(5));
}

#[test]
fn a_machine_cloned_with_its_memory_is_found_out_by_its_counting() {
    let mut hub = Hub::default();
    let mut original = Agent::start(0, 1_000, 1);
    original.report(&mut hub, 0);
    let mut clone = original;
    for second in 1..20 {
        original.report(&mut hub, second * 2);
        clone.report(&mut hub, second * 2 + 1);
    }
    assert!(hub.conflict);
}

#[test]
fn a_machine_taken_back_to_a_snapshot_of_its_memory_is_no_clone() {
    let mut hub = Hub::default();
    let mut agent = Agent::start(0, 1_000, 1);
    for round in 0..20_i64 {
        let snapshot = agent.seq;
        for second in 0..6 {
            agent.report(&mut hub, round * 10 + second);
        }
        agent.seq = snapshot;
    }
    assert!(!hub.conflict, "one refusal for every six reports");
}

/// What happens to one honest agent, in any order.
#[derive(Debug, Clone, Copy)]
enum Event {
    Report,
    /// The hub commits, the answer is lost, the same bytes come again.
    Twice,
    /// The agent is told nothing and makes the next report.
    LostAnswer,
    /// Restarted with its state.
    Restart,
    /// Restarted with its state lost; its clock is right.
    StateLost,
    /// Restarted with a copy of its state from long ago; its clock is right.
    StateRestored,
    /// The last but one report arrives late.
    Delayed,
    /// The hub is restored from its beginning.
    HubRestored,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let one = prop_oneof![
        4 => Just(Event::Report),
        1 => Just(Event::Twice),
        1 => Just(Event::LostAnswer),
        1 => Just(Event::Restart),
        1 => Just(Event::StateLost),
        1 => Just(Event::StateRestored),
        1 => Just(Event::Delayed),
        1 => Just(Event::HubRestored),
    ];
    proptest::collection::vec(one, 1..200)
}

proptest! {
    #[test]
    fn one_honest_agent_is_never_a_conflict_and_never_stuck(events in events()) {
        let mut hub = Hub::default();
        let mut agent = Agent::start(0, 1_000, 1);
        let mut sent: Vec<Incoming> = vec![];
        for (n, event) in events.into_iter().enumerate() {
            let n = u64::try_from(n).unwrap();
            let second = i64::try_from(n).unwrap();
            // Ten seconds pass from start to start.
            let later = 1_000 + 10 * n;
            match event {
                Event::Report => { agent.report(&mut hub, second); }
                Event::Twice => {
                    let report = agent.next(second);
                    if hub.take(&report) == Verdict::Fresh {
                        prop_assert_eq!(hub.take(&report), Verdict::Retry);
                    }
                    sent.push(report);
                }
                Event::LostAnswer => {
                    let report = agent.next(second);
                    hub.take(&report);
                    sent.push(report);
                }
                Event::Restart => agent = Agent::start(agent.seq, later, 1_000 + n),
                Event::StateLost => agent = Agent::start(0, later, 1_000 + n),
                Event::StateRestored => agent = Agent::start(agent.seq / 2, later, 1_000 + n),
                Event::Delayed => {
                    if let Some(old) = sent.len().checked_sub(2).and_then(|i| sent.get(i)) {
                        hub.take(&old.clone());
                    }
                }
                Event::HubRestored => hub.last = LastSeen::default(),
            }
            prop_assert!(!hub.conflict, "{event:?}");
        }
        agent.report(&mut hub, 1_000);
        prop_assert_eq!(agent.report(&mut hub, 1_001), Verdict::Fresh);
    }
}
