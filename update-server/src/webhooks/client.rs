//! Sends one event. No redirects, no proxies, no address of this machine's, whatever a name resolves
//! to; answers are not read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use channels::wire::{AuditRow, HubEvent};
use jiff::Timestamp;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Url, redirect};
use signing::causes::chain;

use super::{AddressError, Patience, check_url, is_allowed, sign};
use crate::store::WebhookRecord;

/// For the connection, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For the whole exchange: receivers take an event and work on it later.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest error that is shown.
const MAX_ERROR_CHARS: usize = 300;

/// The client cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("failed to make the client of webhooks")]
pub struct ClientError(#[source] reqwest::Error);

/// An attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// Nothing may be sent there.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// No answer.
    #[error("{why}")]
    Transport {
        /// Why, with its causes.
        why: String,
    },
    /// An answer that is no success.
    #[error("the receiver answered {status}")]
    Status {
        /// The status.
        status: u16,
    },
}

impl DeliveryError {
    /// Whether it is worth trying for long.
    pub fn patience(&self) -> Patience {
        match self {
            Self::Address(_) => Patience::Short,
            Self::Transport { .. } => Patience::Long,
            Self::Status { status } => Patience::of(*status),
        }
    }
}

/// What goes over the wire.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delivery<'a> {
    pub(super) webhook: u64,
    pub(super) url: &'a str,
    pub(super) secret: &'a str,
    pub(super) event: &'a HubEvent,
}

impl<'a> Delivery<'a> {
    pub(super) fn of(webhook: &'a WebhookRecord, event: &'a HubEvent) -> Self {
        Self { webhook: webhook.id, url: &webhook.url, secret: &webhook.secret, event }
    }
}

/// An audit row as it is told.
pub(super) fn event(row: &AuditRow) -> HubEvent {
    HubEvent {
        id: row.id.to_string(),
        at: row.at,
        kind: row.action.clone(),
        object: row.object.clone(),
        actor: Some(row.actor.clone()),
        detail: serde_json::from_str(&row.detail).unwrap_or_default(),
    }
}

/// Sends events; clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    local_allowed: bool,
}

impl Client {
    /// A client that reaches this machine and its link only if `local_allowed`.
    pub fn new(local_allowed: bool) -> Result<Self, ClientError> {
        signing::source::install_tls_provider();
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .user_agent(concat!("fairway-hub/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(Guard { local_allowed }))
            .build()
            .map_err(ClientError)?;
        Ok(Self { http, local_allowed })
    }

    /// Makes one attempt at the event of an audit row.
    pub async fn send_row(
        &self,
        webhook: &WebhookRecord,
        row: &AuditRow,
        at: Timestamp,
    ) -> Result<(), DeliveryError> {
        self.send(Delivery::of(webhook, &event(row)), at).await
    }

    /// Sends an event that is none, so that a person sees whether events arrive. Its id is the time.
    pub async fn send_test(
        &self,
        webhook: &WebhookRecord,
        by: &str,
        at: Timestamp,
    ) -> Result<(), DeliveryError> {
        let event = HubEvent {
            id: format!("test-{}", at.as_millisecond()),
            at,
            kind: "test".to_owned(),
            object: format!("webhook/{}", webhook.id),
            actor: Some(by.to_owned()),
            detail: serde_json::Value::default(),
        };
        self.send(Delivery::of(webhook, &event), at).await
    }

    /// Makes one attempt.
    pub(super) async fn send(
        &self,
        delivery: Delivery<'_>,
        at: Timestamp,
    ) -> Result<(), DeliveryError> {
        // Again: the setting may be another one than when the webhook was made.
        let url: Url = check_url(delivery.url, self.local_allowed)?;
        let event = delivery.event;
        // Strings, times and JSON: always serialises.
        let body = serde_json::to_vec(event).unwrap_or_default();
        let answer = self
            .http
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("fairway-event", &event.kind)
            .header("fairway-delivery", format!("{}-{}", delivery.webhook, event.id))
            .header("fairway-signature", sign(delivery.secret, at, &body))
            .body(body)
            .send()
            .await
            // The address is on record; it need not be in every error.
            .map_err(|error| DeliveryError::Transport {
                why: chain(&error.without_url()).chars().take(MAX_ERROR_CHARS).collect(),
            })?;
        let status = answer.status();
        if status.is_success() {
            Ok(())
        } else {
            Err(DeliveryError::Status { status: status.as_u16() })
        }
    }
}

/// Looks names up and leaves out addresses that nothing may be sent to: a name may resolve to
/// something else at every attempt.
#[derive(Debug)]
struct Guard {
    local_allowed: bool,
}

/// A name that resolves to nothing but refused addresses.
#[derive(Debug, thiserror::Error)]
#[error("{name} resolves to no address that events may be sent to")]
struct NoAllowedAddress {
    name: String,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let local_allowed = self.local_allowed;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> =
                found.filter(|address| local_allowed || is_allowed(address.ip())).collect();
            if allowed.is_empty() {
                let name = name.as_str().to_owned();
                return Err(NoAllowedAddress { name }.into());
            }
            let addresses: Addrs = Box::new(allowed.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_resolves_to_this_machine_is_refused_at_every_attempt() {
        let name = "localhost".parse().unwrap();
        let refused = Guard { local_allowed: false }.resolve(name).await;
        let error = refused.err().unwrap().to_string();
        assert!(error.contains("localhost resolves to no address"), "{error}");
        let name = "localhost".parse().unwrap();
        assert!(Guard { local_allowed: true }.resolve(name).await.is_ok());
    }
}
