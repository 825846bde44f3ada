//! The two tasks that talk to the hub, so that a slow hub never delays a probe.
//!
//! The reporter sends one report after another; the refresher keeps metadata verified and fetches
//! the documents a decision needs. Both take orders from the loop and answer with news, over
//! bounded queues; neither decides anything.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use channels::names::{ClusterId, ProductRef};
use channels::wire::{Failure, Report, ReportReply};
use jiff::Timestamp;
use signing::KeyId;
use signing::causes::chain;
use tokio::sync::mpsc;

use crate::clock;
use crate::history::History;
use crate::hub::{
    HubClient, HubError, HubReleases, KeyPlace, TrustError, finish_rotation, open_key,
};
use crate::plan::{
    Knowledge, Known, Policy, RiskAnswers, Severity, Trouble, VerifiedRelease, documents_needed,
};
use crate::state::Approval;

/// Reports that may wait to be sent: a roll's phases can change faster than a slow hub answers;
/// beyond this the next full report says it all.
const REPORTS_WAITING_MAX: usize = 16;

/// A report, and which product it asks a grant for.
#[derive(Debug)]
pub(super) struct Sending {
    /// The report.
    pub report: Report,
    /// The product it asks for.
    pub asks: Option<ProductRef>,
}

/// What a decision about documents depends on.
#[derive(Debug)]
pub struct Refresh {
    /// Whether metadata is looked at, or only documents are fetched.
    pub metadata: Metadata,
    /// What the hub last said about `timestamp.json`.
    pub etag: Option<String>,
    /// The owner's policy.
    pub policy: Arc<Policy>,
    /// The agent's memory.
    pub history: History,
    /// Approved moves.
    pub approvals: Vec<Approval>,
    /// What the cluster's Prometheus said about risks.
    pub answers: RiskAnswers,
}

/// How far a refresh goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metadata {
    /// Ask the hub.
    Ask,
    /// Use what is verified already.
    Kept,
}

/// A report that was not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unanswered {
    /// Why, with all causes.
    pub why: String,
    /// Seconds after which a busy hub asks to be told again.
    pub retry_after_s: Option<u64>,
    /// Slug of a refusal of the cluster's key.
    pub key_refused: Option<&'static str>,
    /// A person at the hub ended the key: no later report will do better.
    pub for_good: bool,
    /// The number the hub goes on from, where it refused the report's.
    pub last_seq: Option<u64>,
}

impl From<&HubError> for Unanswered {
    fn from(error: &HubError) -> Self {
        Self {
            why: chain(error),
            retry_after_s: error.retry_after_s(),
            key_refused: error.key_refused(),
            for_good: error.key_refused_for_good(),
            last_seq: error.last_seq(),
        }
    }
}

/// What the tasks have to tell.
#[derive(Debug)]
pub(super) enum News {
    /// A report was answered, or not.
    Reported {
        /// When it was sent.
        sent_at: Timestamp,
        /// The product it asked for.
        asked: Option<ProductRef>,
        /// Whether it told the whole state, so that its answer is about every product.
        whole: bool,
        /// The answer.
        answer: Result<Box<ReportReply>, Unanswered>,
    },
    /// Metadata and documents were looked at.
    Refreshed {
        /// What is known and verified.
        known: Known,
        /// When metadata last verified, if this look succeeded.
        verified_at: Option<Timestamp>,
    },
}

/// The loop's ends of the queues.
#[derive(Debug)]
pub(super) struct Links {
    /// Reports to send; `None` if the agent does not report.
    pub reports: Option<mpsc::Sender<Sending>>,
    /// Refreshes to make; at most one waits.
    pub refreshes: mpsc::Sender<Refresh>,
    /// What came of it.
    pub news: mpsc::Receiver<News>,
}

/// Speaks for the cluster, and sees to its key.
#[derive(Debug)]
pub(super) struct Reporter {
    /// Signs with the key in force.
    pub client: HubClient,
    /// Where keys are.
    pub state_dir: PathBuf,
    /// Who reports.
    pub cluster: ClusterId,
    /// The next key the hub itself has refused for good; it is not asked again until the agent
    /// restarts.
    pub given_up: Option<KeyId>,
}

impl Reporter {
    /// Sends one report, after a rotation of the key that may be under way.
    pub(super) async fn send(&mut self, report: &Report) -> Result<ReportReply, HubError> {
        self.rotate(report.cluster.seq).await;
        let answer = self.client.report(report, clock::now()).await;
        match &answer {
            Err(error) if self.has_another_key(error) => {
                self.client.report(report, clock::now()).await
            }
            _ => answer,
        }
    }

    /// Whether `error` says that our key was replaced, and the disk has another one in force: a
    /// rotation whose last step failed after the rename. We sign with that one from here on.
    fn has_another_key(&mut self, error: &HubError) -> bool {
        if error.key_refused() != Some("key_replaced") {
            return false;
        }
        match open_key(&self.state_dir, KeyPlace::InForce) {
            Ok(Some(key)) if key.public().key_id() != self.client.key_id() => {
                tracing::warn!(key.id = %key.public().key_id(), "the key in force is another one");
                self.client.sign_with(key);
                true
            }
            Ok(_) => false,
            Err(error) => {
                tracing::warn!(error = chain(&error), "the cluster key cannot be read");
                false
            }
        }
    }

    /// A rotation that fails stops no report: the old key goes on until the hub has the new one.
    async fn rotate(&mut self, seq: u64) {
        let next = match open_key(&self.state_dir, KeyPlace::Next) {
            Ok(next) => next.map(|key| key.public().key_id()),
            Err(error) => {
                tracing::warn!(error = chain(&error), "the next cluster key cannot be read");
                return;
            }
        };
        if next.is_none() || next == self.given_up {
            return;
        }
        let mut answer = self.finish_rotation(seq).await;
        if matches!(&answer, Err(error) if self.has_another_key(error)) {
            answer = self.finish_rotation(seq).await;
        }
        match answer {
            Ok(Some(id)) => tracing::info!(key.id = %id, "cluster key replaced"),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(error = chain(&error), "cluster key not replaced");
                // Anything else may come from something in between, and the hub may have made the
                // rotation all the same: asked again, it says so.
                if error.refuses_next_key() {
                    self.given_up = next;
                }
            }
        }
    }

    async fn finish_rotation(&mut self, seq: u64) -> Result<Option<KeyId>, HubError> {
        let now = clock::now();
        finish_rotation(&self.state_dir, &mut self.client, self.cluster, seq, now).await
    }
}

impl Links {
    /// Starts the tasks; they end when the loop drops its ends.
    pub(super) fn start(reporter: Option<Reporter>, releases: HubReleases) -> Self {
        let (news_in, news) = mpsc::channel(REPORTS_WAITING_MAX);
        let reports = reporter.map(|reporter| {
            let (reports, orders) = mpsc::channel(REPORTS_WAITING_MAX);
            tokio::spawn(report_all(reporter, orders, news_in.clone()));
            reports
        });
        let (refreshes, orders) = mpsc::channel(1);
        tokio::spawn(refresh_all(releases, orders, news_in));
        Self { reports, refreshes, news }
    }
}

async fn report_all(
    mut reporter: Reporter,
    mut orders: mpsc::Receiver<Sending>,
    news: mpsc::Sender<News>,
) {
    while let Some(Sending { report, asks }) = orders.recv().await {
        let (sent_at, whole) = (report.cluster.sent_at, report.full);
        let answer = match reporter.send(&report).await {
            Ok(reply) => Ok(Box::new(reply)),
            Err(error) => Err(Unanswered::from(&error)),
        };
        if news.send(News::Reported { sent_at, asked: asks, whole, answer }).await.is_err() {
            return;
        }
    }
}

async fn refresh_all(
    mut releases: HubReleases,
    mut orders: mpsc::Receiver<Refresh>,
    news: mpsc::Sender<News>,
) {
    while let Some(order) = orders.recv().await {
        let (known, verified_at) = refresh(&mut releases, &order, clock::now()).await;
        if news.send(News::Refreshed { known, verified_at }).await.is_err() {
            return;
        }
    }
}

/// Looks at metadata, then at each product by itself: one vendor's broken metadata never stops
/// another vendor's updates.
pub async fn refresh(
    releases: &mut HubReleases,
    order: &Refresh,
    now: Timestamp,
) -> (Known, Option<Timestamp>) {
    let looked = match order.metadata {
        Metadata::Ask => releases.refresh(now, order.etag.as_deref()).await.map(Some),
        Metadata::Kept => Ok(None),
    };
    let verified_at = matches!(looked, Ok(Some(_))).then_some(now);
    let overall = looked.err().map(|error| trouble(&error, now));
    let mut known = Known::new();
    for product in order.policy.products.keys() {
        let knowledge = product_knowledge(releases, order, product, overall.as_ref(), now).await;
        known.insert(product.clone(), knowledge);
    }
    (known, verified_at)
}

async fn product_knowledge(
    releases: &mut HubReleases,
    order: &Refresh,
    product: &ProductRef,
    overall: Option<&Trouble>,
    now: Timestamp,
) -> Knowledge {
    let mut knowledge = Knowledge { failure: overall.cloned(), ..Knowledge::default() };
    let Some(policy) = order.policy.products.get(product) else { return knowledge };
    let verified = match releases.graph(product, &policy.channel, &policy.arch, now).await {
        Ok(verified) => verified,
        Err(error) => {
            knowledge.failure.get_or_insert_with(|| trouble(&error, now));
            return knowledge;
        }
    };
    let graph = Arc::new(verified.graph().clone());
    let exposure = policy.exposure(&order.answers, now);
    let needed =
        documents_needed(product, &graph, policy, &order.history, &order.approvals, &exposure);
    knowledge.graph = Some(graph);
    let mut found = BTreeMap::new();
    for version in needed {
        let release = releases.release(product, &version, now).await;
        let meant = release.and_then(|release| verified.check_release(&release).map(|()| release));
        let release = match meant {
            Ok(release) => Ok(VerifiedRelease {
                document: Arc::new(release.document().clone()),
                digest: release.digest(),
            }),
            Err(error) => Err(document_failure(&error, now)),
        };
        found.insert(version, release);
    }
    knowledge.releases = found;
    knowledge
}

/// A release nobody signed for is missing; anything else keeps the name of what it is.
fn document_failure(error: &TrustError, now: Timestamp) -> Failure {
    let mut failure = error.to_failure(now);
    if matches!(error, TrustError::NotListed { .. }) {
        "release_missing".clone_into(&mut failure.kind);
    }
    failure
}

fn trouble(error: &TrustError, now: Timestamp) -> Trouble {
    let severity = if error.is_transport() { Severity::Unreachable } else { Severity::Refused };
    Trouble { failure: error.to_failure(now), severity }
}
