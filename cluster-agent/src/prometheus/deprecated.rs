//! Removed APIs that are still in use, where metrics show it.
//!
//! Pure: what to ask, and what the answers say about one target release. Two witnesses are known:
//! the API servers of Kubernetes name the release that removes each API they serve
//! (`apiserver_requested_deprecated_apis`), and brokers of Kafka 3.7 to 3.9 count requests in
//! protocol versions that 4.0 removes (KIP-896, `DeprecatedRequestsPerSec`).

use std::collections::{BTreeMap, BTreeSet};

use channels::names::ProductRef;
use channels::wire::Role;
use jiff::Timestamp;
use signing::Sha256Digest;

use super::answer::{Answer, Sample, Value};
use super::expect::away;
use crate::plan::CheckOutcome;

/// Name of the check; its gate is `check_deprecated_apis`.
pub(super) const NAME: &str = "deprecated_apis";

/// Uses named one by one; what goes beyond is counted.
const USES_NAMED_MAX: usize = 5;

/// Longest label value that is shown.
const LABEL_CHARS_MAX: usize = 80;

/// Names under which rule files of the JMX exporter publish the counter of deprecated requests.
const KAFKA_DEPRECATED: &str =
    r#"{__name__=~"kafka_network_requestmetrics_deprecatedrequests(persec)?(_count)?(_total)?"}"#;

/// The same for all requests: as long as these are there, no deprecated ones means none were made.
const KAFKA_REQUESTS: &str =
    r#"{__name__=~"kafka_network_requestmetrics_requests(persec)?(_count)?(_total)?"}"#;

/// Labels that name one API of Kubernetes.
const API_LABELS: &str = "group, version, resource, subresource";

/// Whose APIs are removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApiKind {
    /// Those of API servers, by the Kubernetes version of nodes.
    Kubernetes,
    /// Those of brokers, by the Kafka version of controllers and brokers.
    Kafka,
}

/// One check as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiCheck {
    /// The product that brings the version.
    pub product: ProductRef,
    /// Whose APIs.
    pub kind: ApiKind,
    /// A use counts if it is not longer ago than this, seconds.
    pub window_s: u64,
}

/// A release that a product wants to move to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiSubject {
    /// The product.
    pub product: ProductRef,
    /// Digest of the release document.
    pub release: Sha256Digest,
    /// The component version each role gets.
    pub to: BTreeMap<Role, String>,
    /// The component versions that units of each role may still run.
    pub from: BTreeMap<Role, BTreeSet<String>>,
    /// When a person said `resume`, if what was found before then no longer counts.
    pub resumed_at: Option<Timestamp>,
}

/// The answers to one check's queries; errors as people read them.
#[derive(Debug)]
pub struct ApiAnswers {
    /// To [`ApiCheck::witness_query`].
    pub witness: Result<Answer, String>,
    /// To [`ApiCheck::use_query`].
    pub uses: Result<Answer, String>,
}

impl ApiCheck {
    /// One sample if the servers that would show a use are all scraped; else silence means nothing.
    pub fn witness_query(&self) -> String {
        let requests = match self.kind {
            ApiKind::Kubernetes => "apiserver_request_total",
            ApiKind::Kafka => KAFKA_REQUESTS,
        };
        // `up` stays when a server goes, its other series do not: its job is known by the others'.
        format!("min(up and on (job) count by (job) ({requests})) == 1")
    }

    /// One sample for each removed API that was used within the window.
    ///
    /// Counters are compared with themselves a window ago, which costs two look-ups; a counter that
    /// was not there yet, or went back, was used since.
    pub fn use_query(&self) -> String {
        let window = format!("{}s", self.window_s);
        match self.kind {
            ApiKind::Kubernetes => {
                let requests = format!("sum by ({API_LABELS}) (apiserver_request_total)");
                let before =
                    format!("sum by ({API_LABELS}) (apiserver_request_total offset {window})");
                format!(
                    "max by ({API_LABELS}, removed_release) \
                     (apiserver_requested_deprecated_apis{{removed_release!=\"\"}} == 1) \
                     and on ({API_LABELS}) \
                     (({requests} != {before}) or (({requests} > 0) unless {before}))"
                )
            }
            ApiKind::Kafka => {
                let (now, before) =
                    (KAFKA_DEPRECATED, format!("{KAFKA_DEPRECATED} offset {window}"));
                format!("({now} != {before}) or (({now} > 0) unless {before})")
            }
        }
    }

    /// Whether the target can remove anything: `Some` says how it ended without asking.
    pub fn settled(&self, subject: &ApiSubject) -> Option<CheckOutcome> {
        match self.kind {
            ApiKind::Kubernetes => {
                let version = subject.to.get(&Role::Node)?;
                minor(version).is_none().then(|| unreadable(version))
            }
            ApiKind::Kafka => {
                let roles = [Role::Controller, Role::Broker];
                let to: Vec<&String> =
                    roles.iter().filter_map(|role| subject.to.get(role)).collect();
                let from = roles.iter().filter_map(|role| subject.from.get(role)).flatten();
                if let Some(bad) =
                    to.iter().copied().chain(from.clone()).find(|v| minor(v).is_none())
                {
                    return Some(unreadable(bad));
                }
                let newest = to.into_iter().filter_map(|v| minor(v)).max();
                let oldest = from.filter_map(|v| minor(v)).min();
                let crosses = newest.zip(oldest).is_some_and(|(to, from)| to.0 > from.0);
                (!crosses).then_some(CheckOutcome::Passed)
            }
        }
    }

    /// What the answers say about the release.
    pub fn judge(
        &self,
        subject: &ApiSubject,
        answers: &ApiAnswers,
        skew_ms: u64,
        now: Timestamp,
    ) -> CheckOutcome {
        if let Some(settled) = self.settled(subject) {
            return settled;
        }
        let samples = match self.samples(answers, skew_ms, now) {
            Ok(samples) => samples,
            Err(why) => return CheckOutcome::Unknown { why },
        };
        let mut uses = BTreeSet::new();
        for sample in samples {
            let used = match self.kind {
                ApiKind::Kafka => Ok(Some(kafka_use(sample))),
                ApiKind::Kubernetes => kubernetes_use(sample, subject),
            };
            match used {
                Ok(used) => uses.extend(used),
                Err(why) => return CheckOutcome::Unknown { why },
            }
        }
        if uses.is_empty() {
            return CheckOutcome::Passed;
        }
        let more = uses.len().saturating_sub(USES_NAMED_MAX);
        let mut named: Vec<String> = uses.into_iter().take(USES_NAMED_MAX).collect();
        if more > 0 {
            named.push(format!("{more} more"));
        }
        CheckOutcome::Failed { why: format!("still in use: {}", named.join("; ")) }
    }

    fn samples<'a>(
        &self,
        answers: &'a ApiAnswers,
        skew_ms: u64,
        now: Timestamp,
    ) -> Result<&'a [Sample], String> {
        let witness = vector(&answers.witness, skew_ms, now)?;
        if witness.is_empty() {
            return Err(match self.kind {
                ApiKind::Kubernetes => {
                    "Prometheus has no apiserver_request_total, or an API server is not up"
                }
                ApiKind::Kafka => {
                    "Prometheus has no kafka_network_requestmetrics_requests_total, or a broker is \
                     not up"
                }
            }
            .to_owned());
        }
        vector(&answers.uses, skew_ms, now)
    }
}

fn vector(
    answer: &Result<Answer, String>,
    skew_ms: u64,
    now: Timestamp,
) -> Result<&[Sample], String> {
    let answer = answer.as_ref().map_err(Clone::clone)?;
    let Value::Vector(samples) = &answer.value else {
        return Err(format!("the answer is a {}, not a vector", answer.value.kind()));
    };
    let mut points = samples.iter().filter_map(|sample| sample.point);
    match points.find_map(|point| away(point, skew_ms, now)) {
        Some(why) => Err(why),
        None => Ok(samples),
    }
}

fn unreadable(version: &str) -> CheckOutcome {
    CheckOutcome::Unknown { why: format!("{version:?} is not a version like 1.33") }
}

/// Major and minor of `v1.33.2`, `1.33`, `4.0.0`.
fn minor(version: &str) -> Option<(u64, u64)> {
    let mut parts = crate::plan::plain(version).split(['.', '-', '+']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// A use that the target removes; `None` if a later release does.
fn kubernetes_use(sample: &Sample, subject: &ApiSubject) -> Result<Option<String>, String> {
    // A release without nodes changes no Kubernetes version.
    let Some(to) = subject.to.get(&Role::Node).and_then(|version| minor(version)) else {
        return Ok(None);
    };
    let removed = sample.label("removed_release");
    let Some(removed_in) = minor(removed) else {
        return Err(format!("removed_release {removed:?} is not a version like 1.33"));
    };
    let part = |name| shown(sample.label(name));
    let api = [part("group"), part("version"), part("resource"), part("subresource")];
    let api: Vec<String> = api.into_iter().filter(|part| !part.is_empty()).collect();
    Ok((removed_in <= to).then(|| format!("{} (removed in {removed})", api.join("/"))))
}

fn kafka_use(sample: &Sample) -> String {
    let told = ["request", "version", "clientSoftwareName", "clientSoftwareVersion"];
    // Rule files spell labels as they like, in lower case too.
    let told = told.into_iter().filter_map(|name| {
        let (_, value) =
            sample.labels.iter().find(|(label, _)| label.eq_ignore_ascii_case(name))?;
        Some(format!("{name} {}", shown(value)))
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() {
        "requests of a client that is not named".to_owned()
    } else {
        told.join(" ")
    }
}

fn shown(value: &str) -> String {
    value.chars().filter(|c| !c.is_control()).take(LABEL_CHARS_MAX).collect()
}
