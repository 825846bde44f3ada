//! The task that asks about removed APIs, for the releases that products want to move to.

use std::collections::BTreeMap;
use std::time::Duration;

use channels::names::ProductRef;
use jiff::Timestamp;
use signing::causes::chain;
use tokio::sync::watch;

use super::Client;
use super::deprecated::{ApiAnswers, ApiCheck, ApiSubject, NAME};
use crate::clock;
use crate::plan::{CheckOutcome, CheckResult};

/// How often it is asked while a product wants to move and all is well: the planner takes results
/// that are some minutes old.
const ASK_EVERY: Duration = Duration::from_mins(1);

/// The same while something is not: whoever mends a client, or Prometheus, wants to see it.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// What was found, by product.
pub(super) type Results = BTreeMap<ProductRef, Vec<CheckResult>>;

/// The results for these subjects; a check whose result is of another release still runs.
pub(super) fn results_for(
    checks: &[ApiCheck],
    subjects: &[ApiSubject],
    found: &Results,
    now: Timestamp,
) -> Results {
    let mut results = Results::new();
    for (check, subject) in pairs(checks, subjects) {
        let known = found.get(&check.product).into_iter().flatten();
        let known = known.filter(|result| result.release == subject.release).cloned();
        let mut known: Vec<CheckResult> = known.collect();
        if known.is_empty() {
            known.push(result(subject, CheckOutcome::Running, now));
        }
        results.insert(check.product.clone(), known);
    }
    results
}

fn pairs<'a>(
    checks: &'a [ApiCheck],
    subjects: &'a [ApiSubject],
) -> impl Iterator<Item = (&'a ApiCheck, &'a ApiSubject)> {
    checks.iter().flat_map(|check| {
        let own = subjects.iter().filter(move |subject| subject.product == check.product);
        own.map(move |subject| (check, subject))
    })
}

fn result(subject: &ApiSubject, outcome: CheckOutcome, at: Timestamp) -> CheckResult {
    let release = subject.release;
    CheckResult { name: NAME.to_owned(), release, unit: None, outcome, at }
}

pub(super) async fn check_apis(
    checks: Vec<ApiCheck>,
    skew_ms: u64,
    client: Client,
    mut subjects: watch::Receiver<Vec<ApiSubject>>,
    found: watch::Sender<Results>,
) {
    loop {
        let wanted = subjects.borrow_and_update().clone();
        let mut results = Results::new();
        for (check, subject) in pairs(&checks, &wanted) {
            let outcome = ask(check, subject, skew_ms, &client).await;
            results.insert(check.product.clone(), vec![result(subject, outcome, clock::now())]);
        }
        let well = results.values().flatten().all(|found| found.outcome == CheckOutcome::Passed);
        if found.send(results).is_err() {
            return;
        }
        tokio::select! {
            () = found.closed() => return,
            changed = subjects.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            () = tokio::time::sleep(if well { ASK_EVERY } else { ASK_AGAIN }) => {}
        }
    }
}

async fn ask(
    check: &ApiCheck,
    subject: &ApiSubject,
    skew_ms: u64,
    client: &Client,
) -> CheckOutcome {
    if let Some(settled) = check.settled(subject) {
        return settled;
    }
    let answer = async |query: String| client.query(&query).await.map_err(|error| chain(&error));
    let witness = answer(check.witness_query()).await;
    let uses = answer(check.use_query()).await;
    check.judge(subject, &ApiAnswers { witness, uses }, skew_ms, clock::now())
}
