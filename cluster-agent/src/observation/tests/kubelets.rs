//! Nodes: old and new metrics, hung relists, skewed clocks.

use channels::wire::{HealthVerdict, Role};

use super::*;
use crate::observation::LagSource;

fn page(relists: u32, last_seen_s: f64, extra: &str) -> String {
    format!(
        "process_start_time_seconds 1.7e9\nkubernetes_build_info{{git_version=\"v1.33.2\"}} 1\n\
         # TYPE kubelet_pleg_relist_duration_seconds histogram\n\
         kubelet_pleg_relist_duration_seconds_bucket{{le=\"0.05\"}} {relists}\n\
         kubelet_pleg_relist_duration_seconds_bucket{{le=\"+Inf\"}} {relists}\n\
         kubelet_pleg_relist_duration_seconds_sum 1\n\
         kubelet_pleg_relist_duration_seconds_count {relists}\n\
         kubelet_pleg_last_seen_seconds {last_seen_s}\n{extra}"
    )
}

fn node() -> Observer {
    observer(vec![target("n1", Role::Node, None)])
}

fn probe(observer: &mut Observer, text: &str, ms: i64, skew_ms: Option<i64>) -> UnitObservation {
    let mut probe = probe_of(Role::Node, text, ms);
    probe.date = skew_ms.map(|skew| at(ms + skew));
    let results = Results::from([(key("n1"), Ok(probe))]);
    unit(&observer.apply(results, 1000, at(ms)), "n1").clone()
}

/// Unix seconds of the node's clock `ms` after the start.
fn unix_s(ms: i64) -> f64 {
    f64::from(i32::try_from(1_800_000_000 + ms / 1000).unwrap())
}

/// A node that relisted once a second for a minute.
fn warmed_up() -> Observer {
    let mut observer = node();
    for second in 0..=60 {
        let text = page(u32::try_from(second).unwrap(), unix_s(second * 1000), "");
        probe(&mut observer, &text, second * 1000, None);
    }
    observer
}

#[test]
fn a_node_is_unknown_until_twenty_relists_were_seen() {
    let mut observer = node();
    probe(&mut observer, &page(5000, unix_s(0), ""), 0, None);
    let young = probe(&mut observer, &page(5019, unix_s(19_000), ""), 19_000, None);
    assert_eq!(young.findings, [Finding::TooFewRelists { observed: 19, limit: 20 }]);
    assert_eq!((young.verdict, young.pleg_lag_ms), (HealthVerdict::Unknown, None));
    let known = probe(&mut observer, &page(5020, unix_s(20_000), ""), 20_000, None);
    // All within the first bucket: 0.05 * 0.99.
    assert_eq!((known.verdict, known.pleg_lag_ms), (HealthVerdict::Healthy, Some(50)));
    assert_eq!(known.version.as_deref(), Some("1.33.2"), "without the leading v");
}

#[test]
fn a_hung_relist_turns_the_node_red_while_its_histogram_stays_flat() {
    let mut observer = warmed_up();
    let mut last = None;
    for second in 61..=90 {
        // `last_seen` is refreshed by nobody either, but its slack hides it for a while.
        last = Some(probe(&mut observer, &page(60, unix_s(60_000), ""), second * 1000, None));
    }
    let last = last.unwrap();
    assert_eq!(last.pleg.as_ref().unwrap().p99_ms, Some(50));
    let stall = Finding::PlegStall { observed_ms: 30_000, limit_ms: 30_000 };
    let lag =
        Finding::PlegLag { observed_ms: 28_000, limit_ms: 1000, source_of_lag: LagSource::Stall };
    assert_eq!(last.findings, [stall, lag]);
    assert_eq!(last.verdict, HealthVerdict::Unhealthy);
}

#[test]
fn a_skewed_node_clock_is_corrected_by_the_date_header() {
    // The node's clock is 90 s behind ours; it relists every second.
    let text = page(61, unix_s(61_000 - 90_000), "");
    let corrected = probe(&mut warmed_up(), &text, 61_000, Some(-90_000));
    assert_eq!(corrected.verdict, HealthVerdict::Healthy);
    let uncorrected = probe(&mut warmed_up(), &text, 61_000, None);
    let expected =
        Finding::PlegLag { observed_ms: 87_000, limit_ms: 1000, source_of_lag: LagSource::Age };
    assert_eq!(uncorrected.findings, [expected]);
}

#[test]
fn microsecond_summaries_of_old_kubelets_are_read() {
    let text = "process_start_time_seconds 1\nkubernetes_build_info{git_version=\"v1.11.0\"} 1\n\
                # TYPE kubelet_pleg_relist_latency_microseconds summary\n\
                kubelet_pleg_relist_latency_microseconds{quantile=\"0.5\"} 53000\n\
                kubelet_pleg_relist_latency_microseconds{quantile=\"0.99\"} 115000\n\
                kubelet_pleg_relist_latency_microseconds_count 9000\n";
    let mut old = target("n1", Role::Node, None);
    // Old kubelets have no `last_seen`.
    old.required.remove(&Signal::PlegLastSeen);
    let seen = probe(&mut observer(vec![old.clone()]), text, 0, None);
    assert_eq!((seen.verdict, seen.pleg_lag_ms), (HealthVerdict::Healthy, Some(115)));
    let without_p99 = text.replace("quantile=\"0.99\"", "quantile=\"0.9\"");
    let seen = probe(&mut observer(vec![old.clone()]), &without_p99, 0, None);
    assert_eq!(gates(&seen.findings), ["unreadable"]);
    let neither = text.replace("relist_latency", "renamed");
    let seen = probe(&mut observer(vec![old]), &neither, 0, None);
    assert_eq!(seen.findings, [Finding::MetricMissing { signal: Signal::RelistDuration }]);
}

#[test]
fn a_histogram_that_is_not_whole_is_unreadable() {
    let without_infinity = page(61, unix_s(61_000), "").replace("+Inf", "10");
    let without_count = page(61, unix_s(61_000), "").replace("seconds_count", "seconds_total");
    for text in [without_infinity, without_count] {
        let seen = probe(&mut warmed_up(), &text, 61_000, None);
        assert_eq!(gates(&seen.findings), ["unreadable"], "{text}");
        assert_eq!((seen.verdict, seen.pleg_lag_ms), (HealthVerdict::Unknown, None));
    }
}

#[test]
fn dropped_events_and_readiness_are_findings() {
    let mut observer = warmed_up();
    let text = page(61, unix_s(61_000), "kubelet_pleg_discard_events 0\n");
    assert!(probe(&mut observer, &text, 61_000, None).findings.is_empty());
    let text = page(62, unix_s(62_000), "kubelet_pleg_discard_events 3\n");
    let dropped = probe(&mut observer, &text, 62_000, None);
    assert_eq!(dropped.findings, [Finding::PlegDiscards { observed: 3, limit: 0 }]);
    let condition = |status: &str| {
        let name = "kube_node_status_condition";
        let ready = format!("{name}{{node=\"n1\",condition=\"Ready\",status=\"true\"}} {status}\n");
        page(61, unix_s(61_000), &ready)
    };
    let ready = probe(&mut warmed_up(), &condition("1"), 61_000, None);
    assert_eq!((ready.node_ready, ready.verdict), (Some(true), HealthVerdict::Healthy));
    let not_ready = probe(&mut warmed_up(), &condition("0"), 61_000, None);
    assert_eq!((not_ready.node_ready, not_ready.findings), (Some(false), vec![Finding::NotReady]));
}

#[test]
fn readiness_is_required_only_where_the_pool_says_so() {
    let mut strict = target("n1", Role::Node, None);
    strict.required.insert(Signal::NodeReady);
    let mut observer = observer(vec![strict]);
    probe(&mut observer, &page(0, unix_s(0), ""), 0, None);
    let seen = probe(&mut observer, &page(60, unix_s(60_000), ""), 60_000, None);
    assert_eq!(seen.findings, [Finding::MetricMissing { signal: Signal::NodeReady }]);
}
