//! What is said of a fleet, how it looks on the wire, and what happens when nobody takes it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::answer::{Next, after_status, wait};
use super::buffer::{Buffer, Request};
use super::config::{RemoteWriteError, RemoteWriteFragments, RemoteWriteSettings};
use super::page;
use super::round::{Round, Said};
use super::write::{STALE, Sample, request};
use crate::fleet::{ClusterRecord, Slot};

fn settings(text: &str) -> Result<RemoteWriteSettings, RemoteWriteError> {
    let fragments: RemoteWriteFragments = toml::from_str(text).unwrap();
    fragments.try_into()
}

fn plain() -> RemoteWriteSettings {
    settings("url = 'http://127.0.0.1:9090/api/v1/write'").unwrap()
}

fn t0() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn minutes(minutes: i64) -> Timestamp {
    t0() + SignedDuration::from_mins(minutes)
}

/// `name{a=b} value` of samples, sorted; `stale` for the mark.
fn shown(samples: &[Sample]) -> Vec<String> {
    let mut shown: Vec<String> = samples
        .iter()
        .map(|sample| {
            let labels: BTreeMap<_, _> = sample.labels.iter().cloned().collect();
            assert_eq!(labels.len(), sample.labels.len(), "no label twice");
            let value = match sample.bits {
                STALE => "stale".to_owned(),
                bits => f64::from_bits(bits).to_string(),
            };
            let others =
                labels.iter().filter(|(name, _)| !["__name__", "job"].contains(&name.as_str()));
            let others: Vec<String> =
                others.map(|(name, value)| format!("{name}={value}")).collect();
            format!("{}{{{}}} {value}", labels["__name__"], others.join(","))
        })
        .collect();
    shown.sort();
    shown
}

mod fleet {
    use super::*;
    use crate::fleet::tests::{cluster, kafka};
    use channels::wire::Phase;

    fn record(version: &str, lag_ms: Option<u64>, seen: Timestamp) -> ClusterRecord {
        let mut product = kafka(version, Phase::Idle);
        product.health.quorum_lag_ms = lag_ms;
        ClusterRecord { last_seen: Some(seen), ..cluster(0, None, vec![product]) }
    }

    fn said(said: &mut Said, now: Timestamp, record: Option<&ClusterRecord>) -> Vec<String> {
        let settings = plain();
        let round = Round { settings: &settings, report_interval_s: 300, now };
        shown(&said.cluster(&round, Slot(0), record))
    }

    #[test]
    fn a_cluster_has_its_lags_its_verdict_and_its_version() {
        let found = said(&mut Said::default(), t0(), Some(&record("1.0.0", Some(1500), t0())));
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(
            found[0].starts_with("fairway_cluster_health{cluster=") && found[0].ends_with("} 1")
        );
        assert!(found[1].contains("version=1.0.0") && found[1].ends_with("} 1"), "{found:?}");
        assert!(found[2].starts_with("fairway_cluster_quorum_lag_seconds{"), "{found:?}");
        assert!(found[2].ends_with("} 1.5"), "{found:?}");
    }

    #[test]
    fn series_that_go_are_ended_once() {
        let mut memory = Said::default();
        said(&mut memory, t0(), Some(&record("1.0.0", Some(10), t0())));
        // Another version, and the lag is not known any more.
        let next = said(&mut memory, minutes(1), Some(&record("1.1.0", None, t0())));
        let stale: Vec<&String> = next.iter().filter(|line| line.ends_with("stale")).collect();
        assert_eq!(stale.len(), 2, "{next:?}");
        assert!(stale[0].contains("fairway_cluster_info") && stale[0].contains("version=1.0.0"));
        assert!(stale[1].contains("fairway_cluster_quorum_lag_seconds"), "{next:?}");
        // Nobody has heard of it for half a day.
        let silent = said(&mut memory, minutes(720), Some(&record("1.1.0", None, t0())));
        assert_eq!(silent.len(), 2, "{silent:?}");
        assert!(silent.iter().all(|line| line.ends_with("stale")), "{silent:?}");
        assert_eq!(said(&mut memory, minutes(721), None), Vec::<String>::new(), "said once");
    }

    #[test]
    fn a_retired_cluster_is_ended_however_fresh() {
        let mut memory = Said::default();
        said(&mut memory, t0(), Some(&record("1.0.0", None, t0())));
        let retired = ClusterRecord { retired_at: Some(t0()), ..record("1.0.0", None, minutes(1)) };
        let found = said(&mut memory, minutes(1), Some(&retired));
        assert!(found.len() == 2 && found.iter().all(|line| line.ends_with("stale")), "{found:?}");
    }

    #[test]
    fn what_is_not_allowed_is_not_said() {
        let settings = settings("url = 'http://x/'\nseries = ['fairway_cluster_h*']").unwrap();
        let round = Round { settings: &settings, report_interval_s: 300, now: t0() };
        let record = record("1.0.0", Some(10), t0());
        let found = shown(&Said::default().cluster(&round, Slot(0), Some(&record)));
        assert!(found.len() == 1 && found[0].starts_with("fairway_cluster_health"), "{found:?}");
    }
}

#[test]
fn the_page_is_read_as_it_is_written_and_what_vanishes_is_ended() {
    let metrics = crate::metrics::Metrics::new("0.1.0");
    metrics.holds.set(2);
    let labels = crate::metrics::ClusterLabels {
        product: "acme/kafka".to_owned(),
        channel: "a\"b\\c\nd,e=f}".to_owned(),
        version: "1.0.0".to_owned(),
        phase: "idle",
    };
    metrics.clusters.get_or_create(&labels).set(7);
    let settings = plain();
    let mut said = Said::default();
    let round = |now| Round { settings: &settings, report_interval_s: 300, now };
    let found = shown(&said.page(&round(t0()), &metrics.render()));
    let odd =
        "fairway_clusters{channel=a\"b\\c\nd,e=f},phase=idle,product=acme/kafka,version=1.0.0} 7";
    assert!(found.iter().any(|line| line == odd), "{found:?}");
    assert!(found.iter().any(|line| line == "fairway_holds{} 2"), "{found:?}");
    assert!(!found.iter().any(|line| line.contains("store_commit")), "not on the list");
    metrics.clusters.clear();
    let samples = said.page(&round(minutes(1)), &metrics.render());
    let ended: Vec<&Sample> = samples.iter().filter(|sample| sample.bits == STALE).collect();
    assert_eq!(ended.len(), 1, "{:?}", shown(&samples));
    assert!(ended[0].at_ms < minutes(1).as_millisecond(), "before whatever comes under its labels");
}

#[test]
fn constant_labels_are_on_every_sample() {
    let settings = settings("url = 'http://x/'\nlabels = { hub = 'eu' }").unwrap();
    let round = Round { settings: &settings, report_interval_s: 300, now: t0() };
    let samples = Said::default().page(&round, "fairway_holds 1\n");
    let has =
        |name: &str, value: &str| samples[0].labels.contains(&(name.to_owned(), value.to_owned()));
    assert!(has("hub", "eu") && has("job", "fairway"), "{samples:?}");
}

#[test]
fn a_configuration_that_cannot_work_is_refused_by_key() {
    for (text, why) in [
        ("", "remote_write.url is not set"),
        ("url = 'x'", "remote_write.url is no address"),
        ("url = 'ftp://x/'", "remote_write.url must begin"),
        ("url = 'http://ann:pw@x/'", "remote_write.url holds a user"),
        ("url = 'http://x/'\nbearer_token_file = '/t'", "remote_write.url must be https"),
        ("url = 'http://x/'\ninterval_s = 0", "remote_write.interval_s is 0"),
        ("url = 'http://x/'\nbuffer_samples = 1", "remote_write.buffer_samples is 1"),
        ("url = 'http://x/'\nseries = ['up']", "remote_write.series has \"up\""),
        ("url = 'http://x/'\nseries = ['fairway_*x']", "remote_write.series has"),
        ("url = 'http://x/'\nlabels = { cluster = 'x' }", "remote_write.labels has cluster"),
        ("url = 'http://x/'\nlabels = { '1a' = 'x' }", "remote_write.labels has \"1a\""),
        ("url = 'http://x/'\ntenant_header = 'a b'", "remote_write.tenant_header is"),
        ("url = 'http://x/'\ntenant = \"a\\nb\"", "remote_write.tenant holds"),
    ] {
        let error = settings(text).unwrap_err().to_string();
        assert!(error.starts_with(why), "{text}: {error}");
    }
    let local =
        settings("url = 'http://[::1]:1/'\nbearer_token_file = '/t'\ntenant = 'a'").unwrap();
    assert_eq!(local.tenant.unwrap().0.as_str(), "x-scope-orgid");
}

#[test]
fn a_full_buffer_lets_the_oldest_go_and_counts_them() {
    let request = |n: u8| Request { body: Bytes::from(vec![n]), samples: 40 };
    let mut buffer = Buffer::new(100);
    assert_eq!([buffer.push(request(1)), buffer.push(request(2))], [0, 0]);
    assert!(buffer.has_room(20) && !buffer.has_room(21));
    assert_eq!(buffer.push(request(3)), 40);
    assert_eq!((buffer.samples(), buffer.pop()), (80, Some(request(2))));
    assert_eq!(buffer.push(Request { body: Bytes::new(), samples: 101 }), 141, "none fits");
    assert_eq!((buffer.samples(), buffer.pop()), (0, None));
}

#[test]
fn only_what_may_pass_is_tried_again() {
    for status in [200, 204] {
        assert_eq!(after_status(status, None, 3), Next::Sent);
    }
    for status in [301, 400, 401, 403, 404, 408, 409, 413, 415] {
        assert_eq!(after_status(status, Some("5"), 0), Next::GiveUp, "{status}");
    }
    for status in [429, 500, 503] {
        assert_eq!(after_status(status, None, 0), Next::Retry(Duration::from_secs(1)));
        assert_eq!(after_status(status, Some("30"), 0), Next::Retry(Duration::from_secs(30)));
        assert_eq!(after_status(status, Some("1"), 5), Next::Retry(Duration::from_secs(32)));
        assert_eq!(after_status(status, Some("86400"), 0), Next::Retry(Duration::from_mins(10)));
        assert_eq!(after_status(status, Some("soon"), 0), Next::Retry(Duration::from_secs(1)));
    }
    assert_eq!(wait(1000), Duration::from_mins(1));
}

#[test]
fn a_request_is_the_protobuf_of_remote_write_in_a_snappy_block() {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let sample = Sample {
        labels: vec![pair("b", "2"), pair("__name__", "up")],
        bits: 1.0_f64.to_bits(),
        at_ms: 300,
    };
    let body = request(vec![sample]).unwrap();
    let plain = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
    let mut expected = vec![0x0a, 38];
    expected.extend(b"\x0a\x0e\x0a\x08__name__\x12\x02up");
    expected.extend(b"\x0a\x06\x0a\x01b\x12\x012");
    expected.extend(b"\x12\x0c\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\xac\x02");
    assert_eq!(plain, expected);
}

proptest! {
    #[test]
    fn no_line_of_a_page_panics(text in "[ -~\n]{0,200}") {
        let page = format!("fairway_holds{text}");
        page::series(&page, &plain().series);
    }
}
