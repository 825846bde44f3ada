//! Webhooks on disk: what people asked for, how far each one is, and what was given up on.

use jiff::Timestamp;
use rusqlite::params;
use serde_json::json;

use channels::wire::DeadDelivery;

use super::audit::Event;
use super::db::{Db, Row};
use super::load::{At, LoadError};
use super::{Batch, Refusal, Stop, Store};
use crate::webhooks::MAX_WEBHOOKS;

/// Given-up events that are kept per webhook; older ones are only counted in the log.
const MAX_DEAD: i64 = 200;

/// A webhook to make.
#[derive(Debug, Clone)]
pub struct NewWebhookRow {
    /// Where to.
    pub url: String,
    /// Which kinds.
    pub kinds: Vec<String>,
    /// What signs.
    pub secret: String,
    /// Who makes it.
    pub by: String,
    /// When.
    pub now: Timestamp,
}

/// A webhook.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookRecord {
    /// Its number.
    pub id: u64,
    /// Where to.
    pub url: String,
    /// Which kinds.
    pub kinds: Vec<String>,
    /// What signs.
    pub secret: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// The audit row it is done with.
    pub after: u64,
    /// The newest audit row.
    pub newest: u64,
    /// Events on the list of those given up on.
    pub dead: u64,
}

impl std::fmt::Debug for WebhookRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not its secret.
        f.debug_struct("WebhookRecord").field("id", &self.id).finish_non_exhaustive()
    }
}

/// An event that was given up on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadRow {
    /// Its row of the audit log.
    pub audit: u64,
    /// Attempts made.
    pub attempts: u32,
    /// When the last one failed.
    pub gave_up: Timestamp,
    /// What it said.
    pub error: String,
}

/// How far a webhook is.
#[derive(Debug, Clone)]
pub struct Passed {
    /// Which one.
    pub webhook: u64,
    /// The audit row it is done with.
    pub after: u64,
    /// That row's event, if it was given up on.
    pub dead: Option<DeadRow>,
}

impl Store {
    /// Makes a webhook for events from here on.
    pub async fn create_webhook(&self, new: NewWebhookRow) -> Result<WebhookRecord, Refusal> {
        self.submit(move |batch| batch.create_webhook(new)).await
    }

    /// Removes a webhook with everything that is known of its deliveries.
    pub async fn delete_webhook(&self, id: u64, by: String, now: Timestamp) -> Result<(), Refusal> {
        self.submit(move |batch| batch.delete_webhook(id, by, now)).await
    }

    /// Remembers how far a webhook is; nothing if it was removed meanwhile. Bookkeeping of what the
    /// audit log says already, so it has no row there.
    pub async fn webhook_passed(&self, passed: Passed) -> Result<(), Refusal> {
        self.submit(move |batch| batch.webhook_passed(&passed)).await
    }
}

/// How another attempt at an event that was given up on went.
#[derive(Debug, Clone)]
pub struct Retried {
    /// Of which webhook.
    pub webhook: u64,
    /// Position in its list of those given up on.
    pub dead: u64,
    /// The event's row of the audit log.
    pub audit: u64,
    /// Why it failed again; it leaves the list if it did not.
    pub error: Option<String>,
    /// Who wanted it.
    pub by: String,
    /// When.
    pub now: Timestamp,
}

impl Store {
    /// Keeps how another attempt at an event that was given up on went.
    pub async fn webhook_retried(&self, retried: Retried) -> Result<(), Refusal> {
        self.submit(move |batch| batch.webhook_retried(&retried)).await
    }
}

impl Batch<'_> {
    fn webhook_retried(&mut self, retried: &Retried) -> Result<(), Stop> {
        let (webhook, dead) = (super::int(retried.webhook), super::int(retried.dead));
        if let Some(error) = &retried.error {
            self.db.execute(
                "UPDATE webhook_dead SET attempts = attempts + 1, gave_up = ?3, error = ?4 \
                 WHERE webhook = ?1 AND id = ?2",
                params![webhook, dead, retried.now.as_millisecond(), error],
            )?;
            return Ok(());
        }
        let gone = self.db.execute(
            "DELETE FROM webhook_dead WHERE webhook = ?1 AND id = ?2",
            params![webhook, dead],
        )?;
        if gone > 0 {
            self.audit(&Event {
                at: retried.now,
                actor: retried.by.clone(),
                action: "retry_delivery",
                object: format!("webhook/{}", retried.webhook),
                detail: json!({ "audit": retried.audit }),
            })?;
        }
        Ok(())
    }

    fn create_webhook(&mut self, new: NewWebhookRow) -> Result<WebhookRecord, Stop> {
        let known: i64 = self.db.row("SELECT count(*) FROM webhook", &[], |r| r.get(0))?;
        if usize::try_from(known).is_ok_and(|known| known >= MAX_WEBHOOKS) {
            return Err(Refusal::TooManyWebhooks { max: MAX_WEBHOOKS }.into());
        }
        let kinds = json!(new.kinds);
        let after = self.changes.head.id();
        let id = self.db.insert(
            "INSERT INTO webhook (url, kinds, secret, created_at, created_by, after) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING id",
            params![
                new.url,
                kinds.to_string(),
                new.secret,
                new.now.as_millisecond(),
                new.by,
                super::int(after)
            ],
        )?;
        let id = super::id_of(id);
        self.audit(&Event {
            at: new.now,
            actor: new.by.clone(),
            action: "create_webhook",
            object: format!("webhook/{id}"),
            detail: json!({ "url": new.url, "kinds": kinds }),
        })?;
        Ok(WebhookRecord {
            id,
            url: new.url,
            kinds: new.kinds,
            secret: new.secret,
            created_at: new.now,
            created_by: new.by,
            after,
            newest: after,
            dead: 0,
        })
    }

    fn delete_webhook(&mut self, id: u64, by: String, now: Timestamp) -> Result<(), Stop> {
        let gone = self.db.execute("DELETE FROM webhook WHERE id = ?1", params![super::int(id)])?;
        if gone == 0 {
            return Err(Refusal::UnknownWebhook { id }.into());
        }
        self.db.execute("DELETE FROM webhook_dead WHERE webhook = ?1", params![super::int(id)])?;
        self.audit(&Event {
            at: now,
            actor: by,
            action: "delete_webhook",
            object: format!("webhook/{id}"),
            detail: json!({}),
        })?;
        Ok(())
    }

    fn webhook_passed(&mut self, passed: &Passed) -> Result<(), Stop> {
        let webhook = super::int(passed.webhook);
        let known = self.db.execute(
            "UPDATE webhook SET after = ?2 WHERE id = ?1",
            params![webhook, super::int(passed.after)],
        )?;
        let Some(dead) = passed.dead.as_ref().filter(|_| known > 0) else { return Ok(()) };
        self.db.execute(
            "INSERT INTO webhook_dead (webhook, audit, attempts, gave_up, error) \
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                webhook,
                super::int(dead.audit),
                dead.attempts,
                dead.gave_up.as_millisecond(),
                dead.error
            ],
        )?;
        self.db.execute(
            "DELETE FROM webhook_dead WHERE webhook = ?1 AND id NOT IN \
                 (SELECT id FROM webhook_dead WHERE webhook = ?1 ORDER BY id DESC LIMIT ?2)",
            params![webhook, MAX_DEAD],
        )?;
        Ok(())
    }
}

/// All webhooks, by number.
pub(super) fn all(db: &Db) -> Result<Vec<WebhookRecord>, LoadError> {
    db.rows(
        "SELECT webhook.*, (SELECT max(id) FROM audit) AS newest, \
         (SELECT count(*) FROM webhook_dead WHERE webhook_dead.webhook = webhook.id) AS dead \
         FROM webhook ORDER BY id",
        &[],
        record,
    )
}

fn record(row: &Row<'_>) -> Result<WebhookRecord, LoadError> {
    let at = At { table: "webhook", id: row.get("id")?, row };
    let kinds: String = at.get("kinds")?;
    let newest: Option<i64> = at.get("newest")?;
    Ok(WebhookRecord {
        id: at.unsigned("id")?,
        url: at.get("url")?,
        kinds: serde_json::from_str(&kinds).map_err(|error| at.wrong("kinds", error))?,
        secret: at.get("secret")?,
        created_at: at.some_time("created_at")?,
        created_by: at.get("created_by")?,
        after: at.unsigned("after")?,
        newest: newest.and_then(|newest| u64::try_from(newest).ok()).unwrap_or(0),
        dead: at.unsigned("dead")?,
    })
}

/// Events of a webhook that were given up on, below `before`, newest first.
pub(super) fn dead(
    db: &Db,
    webhook: u64,
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<DeadDelivery>, LoadError> {
    let (webhook, before) = (super::int(webhook), before.map_or(i64::MAX, super::int));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    db.rows(
        "SELECT id, audit, attempts, gave_up, error FROM webhook_dead \
         WHERE webhook = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3",
        params![webhook, before, limit],
        |row| {
            let at = At { table: "webhook_dead", id: row.get("id")?, row };
            Ok(DeadDelivery {
                id: at.unsigned("id")?,
                audit: at.unsigned("audit")?,
                attempts: at.get("attempts")?,
                gave_up: at.some_time("gave_up")?,
                error: at.get("error")?,
            })
        },
    )
}
