//! One task per webhook, which walks the audit log; and the task over them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use channels::wire::AuditRow;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::client::{Delivery, event};
use super::{Client, Deliveries, DeliveryError, Trouble, next_attempt, wants};
use crate::http::public::Clock;
use crate::store::{DeadRow, Passed, Reader, ReaderError, Store, WebhookRecord};

/// Rows read at once.
const PAGE: usize = 100;
/// Events wake the workers; a wake-up that is lost costs so long at most.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// After a database that does not answer.
const STORE_RETRY: Duration = Duration::from_secs(5);

/// What workers work with.
#[derive(Debug, Clone)]
struct Shared {
    store: Store,
    reader: Reader,
    client: Client,
    clock: Clock,
    deliveries: Deliveries,
}

/// Runs a worker per webhook until it is dropped; webhooks come and go meanwhile.
pub async fn run(
    store: Store,
    reader: Reader,
    client: Client,
    clock: Clock,
    deliveries: Deliveries,
) {
    let mut told = store.committed().events().listen();
    let shared = Arc::new(Shared { store, reader, client, clock, deliveries });
    let mut workers: BTreeMap<u64, AbortHandle> = BTreeMap::new();
    // Dropped with this task, and ends them.
    let mut tasks = JoinSet::new();
    loop {
        told.mark_unchanged();
        match blocking(&shared, Reader::webhooks).await {
            Ok(webhooks) => {
                workers.retain(|id, worker| {
                    let kept = webhooks.iter().any(|webhook| webhook.id == *id);
                    if !kept {
                        worker.abort();
                        shared.deliveries.set(*id, None);
                    }
                    kept && !worker.is_finished()
                });
                for webhook in webhooks {
                    workers
                        .entry(webhook.id)
                        .or_insert_with(|| tasks.spawn(work(Arc::clone(&shared), webhook)));
                }
            }
            Err(error) => tracing::warn!(error, "webhooks not read"),
        }
        while tasks.try_join_next().is_some() {}
        wait(&mut told, LOOK_EVERY).await;
    }
}

async fn wait(told: &mut watch::Receiver<u64>, at_most: Duration) {
    // The store holds the sender for as long as this runs.
    let _ = timeout(at_most, told.changed()).await;
}

async fn blocking<T: Send + 'static>(
    shared: &Arc<Shared>,
    read: impl FnOnce(&Reader) -> Result<T, ReaderError> + Send + 'static,
) -> Result<T, String> {
    let reader = shared.reader.clone();
    match tokio::task::spawn_blocking(move || read(&reader)).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(signing::causes::chain(&error)),
        Err(panic) => Err(panic.to_string()),
    }
}

async fn work(shared: Arc<Shared>, webhook: WebhookRecord) {
    let mut told = shared.store.committed().events().listen();
    let mut after = webhook.after;
    loop {
        told.mark_unchanged();
        let begin = after;
        let rows = match blocking(&shared, move |reader| reader.audit_after(begin, PAGE)).await {
            Ok(rows) => rows,
            Err(error) => {
                tracing::warn!(webhook = webhook.id, error, "audit log not read");
                sleep(STORE_RETRY).await;
                continue;
            }
        };
        if rows.is_empty() {
            wait(&mut told, LOOK_EVERY).await;
            continue;
        }
        for row in &rows {
            let wanted = wants(&webhook.kinds, &row.action);
            let dead = if wanted { deliver(&shared, &webhook, row).await } else { None };
            after = row.id;
            if wanted {
                pass(&shared, webhook.id, after, dead).await;
            }
        }
        pass(&shared, webhook.id, after, None).await;
    }
}

/// Sends one event until it is taken or given up on.
async fn deliver(shared: &Shared, webhook: &WebhookRecord, row: &AuditRow) -> Option<DeadRow> {
    let event = event(row);
    let mut failures = 0;
    loop {
        let error =
            match shared.client.send(Delivery::of(webhook, &event), shared.clock.now()).await {
                Ok(()) => {
                    shared.deliveries.set(webhook.id, None);
                    return None;
                }
                Err(error) => error,
            };
        failures += 1;
        let now = shared.clock.now();
        let Some(delay) = next_attempt(failures, error.patience(), jitter()) else {
            shared.deliveries.set(webhook.id, None);
            return Some(dead(webhook.id, row, failures, &error, now));
        };
        tracing::debug!(webhook = webhook.id, audit = row.id, failures, %error, "delivery failed");
        let retry_at = now.checked_add(delay).unwrap_or(now);
        let trouble = Trouble { failures, error: error.to_string(), retry_at };
        shared.deliveries.set(webhook.id, Some(trouble));
        sleep(delay).await;
    }
}

fn dead(
    webhook: u64,
    row: &AuditRow,
    attempts: u32,
    error: &DeliveryError,
    gave_up: Timestamp,
) -> DeadRow {
    tracing::warn!(webhook, audit = row.id, attempts, %error, "delivery given up");
    DeadRow { audit: row.id, attempts, gave_up, error: error.to_string() }
}

/// Remembers how far a webhook is, until the store takes it.
async fn pass(shared: &Shared, webhook: u64, after: u64, dead: Option<DeadRow>) {
    loop {
        let passed = Passed { webhook, after, dead: dead.clone() };
        match shared.store.webhook_passed(passed).await {
            Ok(()) => return,
            Err(refusal) => {
                tracing::warn!(webhook, reason = %refusal, "progress not kept, tried again");
                sleep(STORE_RETRY).await;
            }
        }
    }
}

/// Thousandths by chance; none if the system has no chance to give.
fn jitter() -> u64 {
    getrandom::u64().map_or(0, |number| number % 1000)
}
