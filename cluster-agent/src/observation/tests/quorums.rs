//! Quorums of three: lag, agreement, commits, and pages that leave something out.

use channels::health::CommitProgress;
use channels::wire::{HealthVerdict, Role};

use super::*;

/// What a test varies of a controller's page.
#[derive(Clone)]
pub(super) struct Voter {
    pub(super) id: i64,
    pub(super) leader: i64,
    pub(super) epoch: u64,
    pub(super) offset: i64,
    pub(super) high_watermark: String,
    pub(super) extra: String,
}

pub(super) fn voter(id: i64, offset: i64) -> Voter {
    let high_watermark = offset.to_string();
    Voter { id, leader: 1, epoch: 7, offset, high_watermark, extra: String::new() }
}

pub(super) fn page(voter: &Voter) -> String {
    let Voter { id, leader, epoch, offset, high_watermark, extra } = voter;
    let leads = id == leader;
    let state = if leads { "leader" } else { "follower" };
    let raft = "kafka_server_raftmetrics";
    let metadata = "kafka_controller_kafkacontroller";
    format!(
        "process_start_time_seconds 1.7e9\n\
         kafka_server_app_info{{version=\"3.9.1\"}} 1\n\
         {raft}_log_end_offset {offset}\n{raft}_log_end_epoch {epoch}\n\
         {raft}_high_watermark {high_watermark}\n{raft}_current_leader {leader}\n\
         {raft}_current_epoch {epoch}\n{raft}_current_state{{current_state=\"{state}\"}} 1\n\
         {metadata}_activecontrollercount {}\n{metadata}_metadataerrorcount 0\n\
         {metadata}_offlinepartitionscount 0\n{metadata}_fencedbrokercount 0\n{extra}",
        u8::from(leads)
    )
}

pub(super) fn quorum() -> Observer {
    observer((1..=3).map(|id| target(&format!("c{id}"), Role::Controller, Some(id))).collect())
}

fn texts(pages: &[(i64, String)], ms: i64) -> Results {
    let probe = |(id, text): &(i64, String)| {
        (key(&format!("c{id}")), Ok(probe_of(Role::Controller, text, ms)))
    };
    pages.iter().map(probe).collect()
}

pub(super) fn round(voters: &[Voter], ms: i64) -> Results {
    let pages: Vec<_> = voters.iter().map(|voter| (voter.id, page(voter))).collect();
    texts(&pages, ms)
}

/// The offset of an idle leader (2/s) after `ms`.
pub(super) fn idle(ms: i64) -> i64 {
    1000 + ms / 500
}

/// Runs a healthy quorum up to and with `until_ms`; followers are one record behind.
pub(super) fn run_healthy(observer: &mut Observer, until_ms: i64) -> Observation {
    let mut last = None;
    for ms in (0..=until_ms).step_by(500) {
        let voters = [voter(1, idle(ms)), voter(2, idle(ms) - 1), voter(3, idle(ms))];
        last = Some(observer.apply(round(&voters, ms), PROBE_MS, at(ms)));
    }
    last.unwrap()
}

fn quorum_gates(observation: &Observation) -> Vec<&'static str> {
    gates(&observation.quorums.get(&key("c1").product).unwrap().findings)
}

#[test]
fn a_healthy_quorum_is_healthy_once_followers_passed_a_sample() {
    let mut observer = quorum();
    let first = run_healthy(&mut observer, 0);
    assert_eq!(gates(&unit(&first, "c2").findings), ["quorum_lag_unknown"]);
    assert_eq!(unit(&first, "c2").verdict, HealthVerdict::Unknown);
    assert_eq!(quorum_gates(&first), ["commit_unknown"]);
    let later = run_healthy(&mut observer, 5_000);
    for (name, lag) in [("c1", 0), ("c2", 510), ("c3", 10)] {
        let unit = unit(&later, name);
        assert_eq!(
            (unit.verdict, unit.quorum_lag_ms),
            (HealthVerdict::Healthy, Some(lag)),
            "{name}"
        );
        assert_eq!(unit.version.as_deref(), Some("3.9.1"));
    }
    let seen = later.quorums.get(&key("c1").product).unwrap();
    assert_eq!(seen.leader.as_ref().unwrap().as_str(), "c1");
    assert_eq!((seen.epoch, seen.leader_log_end_offset), (Some(7), Some(1010)));
    assert!(seen.findings.is_empty() && seen.commits == CommitProgress::Moving);
    assert_eq!(later.health(&key("c1").product, None).verdict, HealthVerdict::Healthy);
    assert!(unit(&later, "c2").voter.as_ref().unwrap().good_probes >= 5);
}

#[test]
fn a_stalled_follower_is_named_with_its_lag() {
    let mut observer = quorum();
    run_healthy(&mut observer, 5_000);
    let mut last = None;
    for ms in (5_500..=8_000).step_by(500) {
        let voters = [voter(1, idle(ms)), voter(2, 1010), voter(3, idle(ms))];
        last = Some(observer.apply(round(&voters, ms), PROBE_MS, at(ms)));
    }
    let last = last.unwrap();
    // It holds what the leader had when asked at 4.99 s.
    let expected = Finding::QuorumLag { observed_ms: 3010, limit_ms: 2000 };
    assert_eq!(unit(&last, "c2").findings, [expected]);
    assert_eq!(unit(&last, "c2").voter.as_ref().unwrap().good_probes, 0);
    let health = last.health(&key("c1").product, None);
    assert_eq!((health.verdict, health.quorum_lag_ms), (HealthVerdict::Unhealthy, Some(3010)));
    assert_eq!(health.quorum_lag_unit.unwrap().as_str(), "c2");
}

#[test]
fn a_leader_change_makes_lags_unknown_again() {
    let mut observer = quorum();
    run_healthy(&mut observer, 5_000);
    let elected = |id, offset| Voter { leader: 2, epoch: 8, ..voter(id, offset) };
    let voters = [elected(1, 1010), elected(2, 1012), elected(3, 1011)];
    let observation = observer.apply(round(&voters, 5_500), PROBE_MS, at(5_500));
    assert!(unit(&observation, "c2").is_leader && !unit(&observation, "c1").is_leader);
    for follower in ["c1", "c3"] {
        assert_eq!(unit(&observation, follower).findings, [Finding::QuorumLagUnknown]);
    }
    let voters = [elected(1, 1012), elected(2, 1013), elected(3, 1013)];
    let observation = observer.apply(round(&voters, 6_000), PROBE_MS, at(6_000));
    assert_eq!(unit(&observation, "c1").quorum_lag_ms, Some(510));
}

#[test]
fn a_stale_page_of_all_voters_is_a_commit_that_stalls() {
    let mut observer = quorum();
    run_healthy(&mut observer, 5_000);
    let mut last = None;
    for ms in (5_500..=10_000).step_by(500) {
        let frozen = [voter(1, 1010), voter(2, 1010), voter(3, 1010)];
        last = Some(observer.apply(round(&frozen, ms), PROBE_MS, at(ms)));
    }
    assert_eq!(quorum_gates(&last.unwrap()), ["commit_stalled"]);
}

#[test]
fn a_page_of_the_leader_that_followers_have_overtaken_is_stale_and_no_lag_is_known() {
    let mut observer = quorum();
    run_healthy(&mut observer, 5_000);
    let frozen = |ms| [voter(1, 1010), voter(2, idle(ms)), voter(3, idle(ms))];
    observer.apply(round(&frozen(5_500), 5_500), PROBE_MS, at(5_500));
    let seen = observer.apply(round(&frozen(6_000), 6_000), PROBE_MS, at(6_000));
    let behind = Finding::LeaderBehind { observed: 1010, limit: 1011 };
    assert_eq!(unit(&seen, "c1").findings, [behind, Finding::QuorumLagUnknown]);
    assert_eq!(gates(&unit(&seen, "c1").findings)[0], "stale");
    for name in ["c1", "c2", "c3"] {
        assert_eq!(unit(&seen, name).verdict, HealthVerdict::Unknown, "{name}");
        assert_eq!(unit(&seen, name).quorum_lag_ms, None, "{name}");
    }
}

#[test]
fn a_tail_that_the_leader_never_had_does_not_speak_against_its_page() {
    let mut observer = quorum();
    run_healthy(&mut observer, 5_000);
    let elected = |id, offset| Voter { leader: 2, epoch: 8, ..voter(id, offset) };
    // c1 led epoch 7 and has records that nobody else got; its log still ends in that epoch.
    let tail = |ms| {
        let old = page(&elected(1, 1090))
            .replace("raftmetrics_log_end_epoch 8", "raftmetrics_log_end_epoch 7");
        let followers = [elected(2, idle(ms)), elected(3, idle(ms))];
        let mut pages: Vec<_> = followers.iter().map(|v| (v.id, page(v))).collect();
        pages.insert(0, (1, old));
        texts(&pages, ms)
    };
    observer.apply(tail(5_500), PROBE_MS, at(5_500));
    let seen = observer.apply(tail(6_000), PROBE_MS, at(6_000));
    assert_eq!(unit(&seen, "c2").findings, []);
    assert_eq!(gates(&unit(&seen, "c1").findings), ["log_epoch_behind"]);
}

#[test]
fn between_probes_of_the_quorum_commits_do_not_stall() {
    let mut observer = quorum();
    run_healthy(&mut observer, 5_000);
    let later = observer.apply(Results::new(), PROBE_MS, at(11_500));
    assert!(quorum_gates(&later).is_empty());
    // What is old shows as stale on the units instead.
    let stale = Finding::Stale { age_ms: 6500, limit_ms: 2000 };
    assert_eq!(unit(&later, "c1").findings, [stale]);
}

#[test]
fn figures_that_are_not_finite_or_whole_are_unreadable() {
    for bad in ["NaN", "+Inf", "-Inf", "10.5", "1e300"] {
        let mut observer = quorum();
        run_healthy(&mut observer, 5_000);
        let odd = Voter { high_watermark: bad.to_owned(), ..voter(2, 1010) };
        let voters = [voter(1, 1011), odd, voter(3, 1011)];
        let observation = observer.apply(round(&voters, 5_500), PROBE_MS, at(5_500));
        assert_eq!(gates(&unit(&observation, "c2").findings), ["unreadable"], "{bad}");
        assert_eq!(unit(&observation, "c2").verdict, HealthVerdict::Unknown);
    }
}

#[test]
fn a_label_the_parser_would_mangle_makes_the_voter_unknown() {
    let mut observer = quorum();
    run_healthy(&mut observer, 5_000);
    let extra = "kafka_server_raftmetrics_number_of_voters{a=\"x,y\"} 3\n".to_owned();
    let voters = [voter(1, 1011), Voter { extra, ..voter(2, 1010) }, voter(3, 1011)];
    let observation = observer.apply(round(&voters, 5_500), PROBE_MS, at(5_500));
    assert_eq!(gates(&unit(&observation, "c2").findings), ["unreadable"]);
}

#[test]
fn each_required_signal_that_is_missing_is_named() {
    for (metric, signal) in [
        ("kafka_server_raftmetrics_log_end_offset", Signal::LogEndOffset),
        ("kafka_server_raftmetrics_log_end_epoch", Signal::LogEndEpoch),
        ("kafka_server_raftmetrics_high_watermark", Signal::HighWatermark),
        ("kafka_server_raftmetrics_current_leader", Signal::CurrentLeader),
        ("kafka_server_raftmetrics_current_epoch", Signal::CurrentEpoch),
        ("kafka_controller_kafkacontroller_activecontrollercount", Signal::ActiveController),
        ("kafka_controller_kafkacontroller_metadataerrorcount", Signal::MetadataErrors),
        ("kafka_controller_kafkacontroller_offlinepartitionscount", Signal::OfflinePartitions),
        ("kafka_controller_kafkacontroller_fencedbrokercount", Signal::FencedBrokers),
        ("process_start_time_seconds", Signal::ProcessStart),
        ("kafka_server_app_info", Signal::Version),
    ] {
        let mut observer = quorum();
        run_healthy(&mut observer, 5_000);
        let mut pages: Vec<_> =
            [voter(1, 1011), voter(2, 1010), voter(3, 1011)].map(|v| (v.id, page(&v))).into();
        for (_, text) in pages.iter_mut().skip(1).take(1) {
            *text = text.replace(&format!("\n{metric}"), "\nrenamed");
            *text = text.replace(
                "process_start_time_seconds",
                match signal {
                    Signal::ProcessStart => "renamed",
                    _ => "process_start_time_seconds",
                },
            );
        }
        let observation = observer.apply(texts(&pages, 5_500), PROBE_MS, at(5_500));
        let findings = &unit(&observation, "c2").findings;
        assert!(findings.contains(&Finding::MetricMissing { signal }), "{metric}: {findings:?}");
        assert_eq!(unit(&observation, "c2").verdict, HealthVerdict::Unknown);
    }
}

#[test]
fn dropped_raft_metrics_name_what_is_missing_and_never_pass() {
    // Names as of a chart that drops raft-metrics and appends the attribute.
    let text = |id: i64, offset: i64| {
        let metadata = "kafka_controller_kafkacontroller";
        format!(
            "process_start_time_seconds 1\nkafka_server_app_info{{version=\"3.9.1\"}} 1\n\
             {metadata}_lastappliedrecordoffset_value {offset}\n\
             {metadata}_lastcommittedrecordoffset_value {offset}\n\
             {metadata}_activecontrollercount_value {}\n{metadata}_metadataerrorcount_value 0\n\
             {metadata}_offlinepartitionscount_value 0\n{metadata}_fencedbrokercount_value 0\n",
            u8::from(id == 1)
        )
    };
    let mut observer = quorum();
    let pages: Vec<_> = (1..=3).map(|id| (id, text(id, 10))).collect();
    let observation = observer.apply(texts(&pages, 0), PROBE_MS, at(0));
    for name in ["c1", "c2", "c3"] {
        let findings = &unit(&observation, name).findings;
        for signal in [Signal::CurrentLeader, Signal::CurrentEpoch] {
            assert!(findings.contains(&Finding::MetricMissing { signal }), "{name} {findings:?}");
        }
        let stands_in = Finding::MetricMissing { signal: Signal::LogEndOffset };
        assert!(!findings.contains(&stands_in), "the last applied record stands in");
    }
    assert!(quorum_gates(&observation).contains(&"no_leader"));
}

#[test]
fn where_the_state_is_not_exported_leader_and_activity_tell_it() {
    let bare = |voter: &Voter| {
        let whole = page(voter);
        let kept: Vec<&str> = whole.lines().filter(|l| !l.contains("current_state")).collect();
        (voter.id, kept.join("\n") + "\n")
    };
    let mut observer = quorum();
    let pages = [voter(1, 1001), voter(2, 1001), voter(3, 1001)].map(|v| bare(&v));
    let observation = observer.apply(texts(&pages, 0), PROBE_MS, at(0));
    let state = |name| unit(&observation, name).voter.as_ref().unwrap().state.clone();
    assert_eq!(state("c1"), Some(crate::observation::VoterState::Leader));
    assert_eq!(state("c2"), Some(crate::observation::VoterState::Follower));
    assert_eq!(unit(&observation, "c2").verdict, HealthVerdict::Healthy);
}

#[test]
fn voters_that_tell_different_stories_are_found_out() {
    let check = |voters: [Voter; 3], expected: &[&str]| {
        let mut observer = quorum();
        run_healthy(&mut observer, 5_000);
        let observation = observer.apply(round(&voters, 5_500), PROBE_MS, at(5_500));
        assert_eq!(quorum_gates(&observation), expected);
    };
    let (one, two, three) = (voter(1, 1011), voter(2, 1011), voter(3, 1011));
    check([one.clone(), two.clone(), Voter { epoch: 6, ..three.clone() }], &["epoch_mismatch"]);
    check([one.clone(), two.clone(), Voter { leader: 2, ..three.clone() }], &["leaders_disagree"]);
    let none = [one.clone(), two.clone(), three.clone()].map(|v| Voter { leader: -1, ..v });
    check(none, &["no_leader"]);
    let counted = |n| format!("kafka_server_raftmetrics_number_of_voters {n}\n");
    check([Voter { extra: counted(3), ..one.clone() }, two.clone(), three.clone()], &[]);
    let four = Voter { extra: counted(4), ..one.clone() };
    check([four, two.clone(), three.clone()], &["voters_mismatch"]);
    let extra = "kafka_server_raftmetrics_uncommitted_voter_change 1\n".to_owned();
    check([Voter { extra, ..one }, two, three], &["uncommitted_voter_change"]);
}

#[test]
fn a_follower_that_applies_old_records_or_none_is_seen_by_the_witness() {
    for (lag, gate) in
        [("2999", None), ("3000", Some("applied_lag")), ("1.7e12", Some("not_in_quorum"))]
    {
        let mut observer = quorum();
        run_healthy(&mut observer, 5_000);
        let extra = format!("kafka_controller_kafkacontroller_lastappliedrecordlagms {lag}\n");
        let voters = [voter(1, 1011), Voter { extra, ..voter(2, 1011) }, voter(3, 1011)];
        let observation = observer.apply(round(&voters, 5_500), PROBE_MS, at(5_500));
        let expected: Vec<&str> = gate.into_iter().collect();
        assert_eq!(gates(&unit(&observation, "c2").findings), expected, "{lag}");
    }
}

#[test]
fn time_without_a_leader_is_counted_until_one_is_confirmed() {
    let mut observer = quorum();
    run_healthy(&mut observer, 5_000);
    let headless = [1, 2, 3].map(|id| Voter { leader: -1, ..voter(id, 1010) });
    observer.apply(round(&headless, 5_500), PROBE_MS, at(5_500));
    let later = observer.apply(round(&headless, 8_500), PROBE_MS, at(8_500));
    let product = key("c1").product;
    assert_eq!(later.quorums.get(&product).unwrap().leaderless_since, Some(at(5_500)));
    let back = run_healthy(&mut observer, 10_000);
    assert_eq!(back.quorums.get(&product).unwrap().leaderless_since, None);
}
