//! Webhooks: where people want events sent, and what became of the deliveries.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// `POST /api/v1/webhooks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookRequest {
    /// Where to send events: `https`, a name or an address that is not this machine's.
    pub url: String,
    /// Which kinds: names of actions as in the audit log; one that ends in `*` stands for all that
    /// begin like it, `*` alone for everything.
    pub kinds: Vec<String>,
}

/// One webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Its number.
    pub id: u64,
    /// Where events are sent.
    pub url: String,
    /// Which kinds.
    pub kinds: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// Rows of the audit log that were not looked at for it so far.
    pub behind: u64,
    /// Events that were given up on and are still listed.
    pub dead: u64,
    /// Failed attempts at the event it is at; 0 while all is well.
    pub failures: u32,
    /// What the last of them said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When the next attempt is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
}

/// Answer to `POST /api/v1/webhooks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewWebhook {
    /// The webhook.
    pub webhook: Webhook,
    /// The key of `Fairway-Signature`, shown this once.
    pub secret: String,
}

/// An event that was given up on: `GET /api/v1/webhooks/{id}/dead`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadDelivery {
    /// Position in the list.
    pub id: u64,
    /// The event's row of the audit log.
    pub audit: u64,
    /// Attempts that were made.
    pub attempts: u32,
    /// When the last one failed.
    pub gave_up: Timestamp,
    /// What it said.
    pub error: String,
}

/// Answer to `POST /api/v1/webhooks/{id}/test` and to a retry of an event that was given up on: one
/// attempt, made while the caller waited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookAttempt {
    /// Whether the receiver took it.
    pub delivered: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
