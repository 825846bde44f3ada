//! The hub's own metrics: one registry, built once per process and passed down.
//!
//! Cardinality is bounded by construction: labels are HTTP statuses, slugs of a fixed table,
//! channels, versions and phases; never a cluster.

mod plain;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// Media type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Media type of [`plain_text`].
pub const PLAIN_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Label `status`: an HTTP status.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Status {
    /// The status code.
    pub status: u16,
}

/// Label `result`: `ok` or the slug of an error.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Outcome {
    /// `ok`, `unchanged` or a slug.
    pub result: &'static str,
}

/// Label `certificate`: whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Certificate {
    /// `server`.
    pub certificate: &'static str,
}

/// Label `what`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Limited {
    /// `requests` or `sign_ins`.
    pub what: &'static str,
}

/// Labels of `fairway_clusters`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ClusterLabels {
    /// `vendor/product`.
    pub product: String,
    /// Channel followed.
    pub channel: String,
    /// Release run; `other` beyond the bound of the caller.
    pub version: String,
    /// Phase.
    pub phase: &'static str,
}

/// Label `state`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct State {
    /// A drift state, a freshness or a verdict.
    pub state: &'static str,
}

/// Labels of `fairway_clusters_drift`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DriftLabels {
    /// `vendor/product`.
    pub product: String,
    /// Channel followed.
    pub channel: String,
    /// Drift state.
    pub state: &'static str,
}

/// Labels of `fairway_clusters_eol`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ChannelLabels {
    /// `vendor/product`.
    pub product: String,
    /// Channel followed.
    pub channel: String,
}

/// Labels of `fairway_rollouts`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RolloutLabels {
    /// `vendor/product`; `other` beyond the bound of the caller.
    pub product: String,
    /// How it stands.
    pub state: &'static str,
}

/// Label `product`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ProductLabel {
    /// `vendor/product`; `other` beyond the bound of the caller.
    pub product: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

/// A gauge of seconds since the epoch or other real numbers.
pub type Seconds = Gauge<f64, AtomicU64>;

/// Every metric of the process. Fields are cheap handles; clones count into the same series.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    /// Answers of the Cincinnati endpoint.
    pub graph_requests: Family<Status, Counter>,
    /// Answers of the TUF endpoints.
    pub tuf_requests: Family<Status, Counter>,
    /// Publications by result.
    pub publications: Family<Outcome, Counter>,
    /// Reports by result.
    pub reports: Family<Outcome, Counter>,
    /// The series that nearly every request counts into, found once: it is asked for thousands of
    /// times a second.
    usual: Usual,
    /// From the first byte of a report to its acknowledgement.
    pub report_ack_seconds: Histogram,
    /// Changes of the certificate's files by result.
    pub tls_reloads: Family<Outcome, Counter>,
    /// When certificates expire; none without TLS.
    pub tls_certificate_expiry_timestamp_seconds: Family<Certificate, Seconds>,
    /// Requests and sign-ins of people that came too fast.
    pub people_limited: Family<Limited, Counter>,
    /// Reports waiting for the writer.
    pub ingest_queue_depth: Gauge,
    /// Reports per commit.
    pub store_batch_size: Histogram,
    /// Duration of commits.
    pub store_commit_seconds: Histogram,
    /// When the served repository was last changed or re-signed.
    pub graph_build_timestamp_seconds: Seconds,
    /// When the earliest of the served metadata expires.
    pub graph_signature_expiry_timestamp_seconds: Seconds,
    /// Difference between agents' clocks and the server's, absolute.
    pub agent_clock_skew_seconds: Histogram,
    /// Clusters by what they run and do; filled at scrape.
    pub clusters: Family<ClusterLabels, Gauge>,
    /// Clusters by age class of their last report; filled at scrape.
    pub clusters_freshness: Family<State, Gauge>,
    /// Clusters by drift state; filled at scrape.
    pub clusters_drift: Family<DriftLabels, Gauge>,
    /// Clusters past the end of life of what they run; filled at scrape.
    pub clusters_eol: Family<ChannelLabels, Gauge>,
    /// Active clusters by health verdict; filled at scrape.
    pub clusters_health: Family<State, Gauge>,
    /// Silent clusters whose last word was that a unit is out; filled at scrape.
    pub silent_while_updating: Gauge,
    /// Clusters whose key more than one agent uses; filled at scrape.
    pub identity_conflicts: Gauge,
    /// Products that follow another channel than the hub wants; filled at scrape.
    pub channel_mismatches: Gauge,
    /// Dark sites by age class of their last status; filled at scrape.
    pub sites: Family<State, Gauge>,
    /// Rollouts that are not over, by how they stand; filled at scrape.
    pub rollouts: Family<RolloutLabels, Gauge>,
    /// Clusters that count against the caps of their rollout; filled at scrape.
    pub rollout_in_flight: Family<ProductLabel, Gauge>,
    /// Failures in rollouts that nobody acknowledged; filled at scrape.
    pub rollout_failures: Family<ProductLabel, Gauge>,
    /// Holds in force.
    pub holds: Gauge,
    /// 1 if this replica leads.
    pub leader: Gauge,
    /// When the writer last committed.
    pub store_commit_timestamp_seconds: Seconds,
    /// Samples for the long-term store by what became of them.
    pub remote_write_samples: Family<Outcome, Counter>,
    /// Samples that wait for the long-term store.
    pub remote_write_waiting_samples: Gauge,
}

#[derive(Debug, Clone, Default)]
struct Usual {
    report_ok: Counter,
    graph_ok: Counter,
    graph_unchanged: Counter,
}

/// Both latencies are bounded by the ack target of 250 ms; the buckets reach ten times beyond it.
fn latency_buckets() -> impl Iterator<Item = f64> {
    exponential_buckets(0.000_5, 2.0, 14)
}

impl Metrics {
    /// Registers everything under `fairway_`. `version` is the server's.
    pub fn new(version: &'static str) -> Self {
        let mut metrics = Self {
            registry: Arc::default(),
            graph_requests: Family::default(),
            tuf_requests: Family::default(),
            publications: Family::default(),
            reports: Family::default(),
            usual: Usual::default(),
            report_ack_seconds: Histogram::new(latency_buckets()),
            tls_reloads: Family::default(),
            tls_certificate_expiry_timestamp_seconds: Family::default(),
            people_limited: Family::default(),
            ingest_queue_depth: Gauge::default(),
            store_batch_size: Histogram::new(exponential_buckets(1.0, 2.0, 12)),
            store_commit_seconds: Histogram::new(latency_buckets()),
            graph_build_timestamp_seconds: Seconds::default(),
            graph_signature_expiry_timestamp_seconds: Seconds::default(),
            agent_clock_skew_seconds: Histogram::new(exponential_buckets(0.1, 4.0, 8)),
            clusters: Family::default(),
            clusters_freshness: Family::default(),
            clusters_drift: Family::default(),
            clusters_eol: Family::default(),
            clusters_health: Family::default(),
            silent_while_updating: Gauge::default(),
            identity_conflicts: Gauge::default(),
            channel_mismatches: Gauge::default(),
            sites: Family::default(),
            rollouts: Family::default(),
            rollout_in_flight: Family::default(),
            rollout_failures: Family::default(),
            holds: Gauge::default(),
            leader: Gauge::default(),
            store_commit_timestamp_seconds: Seconds::default(),
            remote_write_samples: Family::default(),
            remote_write_waiting_samples: Gauge::default(),
        };
        // One after the other: a family is locked while what it handed out is looked at.
        let answers = |status| metrics.graph_requests.get_or_create(&Status { status }).clone();
        let (graph_ok, graph_unchanged) = (answers(200), answers(304));
        let report_ok = metrics.reports.get_or_create(&Outcome { result: "ok" }).clone();
        metrics.usual = Usual { report_ok, graph_ok, graph_unchanged };
        let mut registry = Registry::with_prefix("fairway");
        registry.register("build", "What runs", Info::new(Build { version }));
        metrics.register_server(&mut registry);
        metrics.register_fleet(&mut registry);
        metrics.register_forwarder(&mut registry);
        metrics.registry = Arc::new(registry);
        metrics
    }

    fn register_server(&self, to: &mut Registry) {
        to.register("graph_requests", "Graph answers by status", self.graph_requests.clone());
        to.register("tuf_requests", "TUF answers by status", self.tuf_requests.clone());
        to.register("publications", "Publications by result", self.publications.clone());
        to.register("reports", "Reports by result", self.reports.clone());
        let reloads = self.tls_reloads.clone();
        to.register("tls_reloads", "Changes of the certificate's files by result", reloads);
        let expiry = self.tls_certificate_expiry_timestamp_seconds.clone();
        let help = "When a certificate expires";
        to.register_with_unit("tls_certificate_expiry_timestamp", help, Unit::Seconds, expiry);
        let help = "Requests and sign-ins of people that came too fast";
        to.register("people_limited", help, self.people_limited.clone());
        let (ack, seconds) = (self.report_ack_seconds.clone(), Unit::Seconds);
        to.register_with_unit("report_ack", "From a report to its acknowledgement", seconds, ack);
        let depth = self.ingest_queue_depth.clone();
        to.register("ingest_queue_depth", "Reports waiting for the writer", depth);
        to.register("store_batch_size", "Reports per commit", self.store_batch_size.clone());
        let commit = self.store_commit_seconds.clone();
        to.register_with_unit("store_commit", "Duration of commits", Unit::Seconds, commit);
        let committed = self.store_commit_timestamp_seconds.clone();
        let help = "When the writer last committed";
        to.register_with_unit("store_commit_timestamp", help, Unit::Seconds, committed);
        let built = self.graph_build_timestamp_seconds.clone();
        let help = "When the repository last changed";
        to.register_with_unit("graph_build_timestamp", help, Unit::Seconds, built);
        let expiry = self.graph_signature_expiry_timestamp_seconds.clone();
        let help = "When the earliest metadata expires";
        to.register_with_unit("graph_signature_expiry_timestamp", help, Unit::Seconds, expiry);
        let skew = self.agent_clock_skew_seconds.clone();
        to.register_with_unit("agent_clock_skew", "Clock skew of agents", Unit::Seconds, skew);
    }

    fn register_fleet(&self, to: &mut Registry) {
        to.register("clusters", "Clusters by product, version and phase", self.clusters.clone());
        let freshness = self.clusters_freshness.clone();
        to.register("clusters_freshness", "Clusters by age of their last report", freshness);
        to.register("clusters_drift", "Clusters by drift state", self.clusters_drift.clone());
        to.register("clusters_eol", "Clusters past their end of life", self.clusters_eol.clone());
        to.register("clusters_health", "Active clusters by health", self.clusters_health.clone());
        let silent = self.silent_while_updating.clone();
        to.register("silent_while_updating", "Silent clusters with a unit out", silent);
        let conflicts = self.identity_conflicts.clone();
        to.register("identity_conflicts", "Clusters with more than one agent", conflicts);
        let mismatches = self.channel_mismatches.clone();
        to.register("channel_mismatches", "Products on another channel than wanted", mismatches);
        to.register("sites", "Dark sites by age of their last status", self.sites.clone());
        to.register("rollouts", "Rollouts that are not over by state", self.rollouts.clone());
        let help = "Clusters on their way in rollouts";
        to.register("rollout_in_flight", help, self.rollout_in_flight.clone());
        let help = "Failures in rollouts that nobody acknowledged";
        to.register("rollout_failures", help, self.rollout_failures.clone());
        to.register("holds", "Holds in force", self.holds.clone());
        to.register("leader", "1 if this replica does what only one does", self.leader.clone());
    }

    fn register_forwarder(&self, to: &mut Registry) {
        let help = "Samples for the long-term store by what became of them";
        to.register("remote_write_samples", help, self.remote_write_samples.clone());
        let help = "Samples that wait for the long-term store";
        let waiting = self.remote_write_waiting_samples.clone();
        to.register("remote_write_waiting_samples", help, waiting);
    }

    /// Counts samples for the long-term store: `sent`, `failed` or `dropped`.
    pub fn count_remote_write(&self, result: &'static str, samples: u64) {
        self.remote_write_samples.get_or_create(&Outcome { result }).inc_by(samples);
    }

    /// Counts one answer of the Cincinnati endpoint.
    pub fn count_graph(&self, status: u16) {
        match status {
            200 => self.usual.graph_ok.inc(),
            304 => self.usual.graph_unchanged.inc(),
            _ => self.graph_requests.get_or_create(&Status { status }).inc(),
        };
    }

    /// Counts one answer of the TUF endpoints.
    pub fn count_tuf(&self, status: u16) {
        self.tuf_requests.get_or_create(&Status { status }).inc();
    }

    /// Counts one publication: `ok`, `unchanged` or the slug of its error.
    pub fn count_publication(&self, result: &'static str) {
        self.publications.get_or_create(&Outcome { result }).inc();
    }

    /// Counts a report that was acknowledged.
    pub fn count_report_ok(&self) {
        self.usual.report_ok.inc();
    }

    /// Counts a report that was refused, by the slug of its error.
    pub fn count_report(&self, result: &'static str) {
        self.reports.get_or_create(&Outcome { result }).inc();
    }

    /// Counts one change of the certificate's files: `ok` or `refused`.
    pub fn count_tls_reload(&self, result: &'static str) {
        self.tls_reloads.get_or_create(&Outcome { result }).inc();
    }

    /// When the hub's certificate expires; nothing is shown where that is not known.
    pub fn set_certificate_expiry(&self, at: Option<Timestamp>) {
        let whose = Certificate { certificate: "server" };
        match at.map(|at| at.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64()) {
            Some(seconds) => {
                self.tls_certificate_expiry_timestamp_seconds.get_or_create(&whose).set(seconds);
            }
            None => drop(self.tls_certificate_expiry_timestamp_seconds.remove(&whose)),
        }
    }

    /// Counts a refusal of somebody who is too fast: `requests` or `sign_ins`.
    pub fn count_limited(&self, what: &'static str) {
        self.people_limited.get_or_create(&Limited { what }).inc();
    }

    /// Counts the time a report took to be acknowledged.
    pub fn observe_ack(&self, took: Duration) {
        self.report_ack_seconds.observe(took.as_secs_f64());
    }

    /// Counts one commit that ended at `now`.
    pub fn observe_commit(&self, reports: u32, took: Duration, now: Timestamp) {
        let since = now.duration_since(Timestamp::UNIX_EPOCH);
        self.store_commit_timestamp_seconds.set(since.as_secs_f64());
        self.store_batch_size.observe(f64::from(reports));
        self.store_commit_seconds.observe(took.as_secs_f64());
    }

    /// Everything as `OpenMetrics` text (see [`CONTENT_TYPE`]).
    pub fn render(&self) -> String {
        let mut page = String::new();
        // Writing to a String has no failing case.
        let _ = text::encode(&mut page, &self.registry);
        page
    }
}

/// A page of [`Metrics::render`] in the older text form (see [`PLAIN_CONTENT_TYPE`]).
pub fn plain_text(page: &str) -> String {
    plain::of(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_form_names_families_as_their_samples_are_named() {
        let metrics = Metrics::new("0.1.0");
        metrics.count_graph(304);
        metrics.observe_ack(Duration::from_millis(3));
        let page = plain_text(&metrics.render());
        for line in [
            "# HELP fairway_build_info What runs.",
            "# TYPE fairway_build_info gauge",
            "fairway_build_info{version=\"0.1.0\"} 1",
            "# TYPE fairway_graph_requests_total counter",
            "fairway_graph_requests_total{status=\"304\"} 1",
            "# TYPE fairway_report_ack_seconds histogram",
            "# TYPE fairway_holds gauge",
            "# TYPE fairway_leader gauge",
        ] {
            assert!(page.lines().any(|found| found == line), "no {line:?} in\n{page}");
        }
        assert!(!page.contains("# UNIT") && !page.contains("# EOF"), "{page}");
    }

    #[test]
    fn the_page_has_every_family_under_our_prefix() {
        let metrics = Metrics::new("0.1.0");
        metrics.count_graph(304);
        metrics.count_tuf(200);
        metrics.count_publication("ok");
        metrics.count_report("replayed_report");
        metrics.observe_ack(Duration::from_millis(3));
        metrics.observe_commit(17, Duration::from_millis(2), Timestamp::from_second(9).unwrap());
        metrics.count_remote_write("dropped", 40);
        metrics.graph_build_timestamp_seconds.set(1.5);
        metrics.count_limited("sign_ins");
        metrics.set_certificate_expiry(Timestamp::from_second(7).ok());
        let page = metrics.render();
        for line in [
            "fairway_build_info{version=\"0.1.0\"} 1",
            "fairway_graph_requests_total{status=\"304\"} 1",
            "fairway_tuf_requests_total{status=\"200\"} 1",
            "fairway_publications_total{result=\"ok\"} 1",
            "fairway_reports_total{result=\"replayed_report\"} 1",
            "fairway_report_ack_seconds_count 1",
            "fairway_store_batch_size_sum 17.0",
            "fairway_store_commit_seconds_count 1",
            "fairway_store_commit_timestamp_seconds 9.0",
            "fairway_remote_write_samples_total{result=\"dropped\"} 40",
            "fairway_graph_build_timestamp_seconds 1.5",
            "fairway_ingest_queue_depth 0",
            "fairway_people_limited_total{what=\"sign_ins\"} 1",
            "fairway_tls_certificate_expiry_timestamp_seconds{certificate=\"server\"} 7.0",
            "# EOF",
        ] {
            assert!(page.lines().any(|found| found == line), "no {line:?} in\n{page}");
        }
        assert!(page.lines().all(|line| line.starts_with('#') || line.starts_with("fairway_")));
    }
}
