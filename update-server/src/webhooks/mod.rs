//! Webhooks: committed events, sent to where people want them.
//!
//! The audit log is the queue. Every webhook keeps the number of the last row it is done with, so an
//! event is sent at least once, in order, also over a restart, and nothing is kept twice. A receiver
//! tells repetitions by the event's `id`. What cannot be delivered within the bounds below is put on
//! a list that people see, and the next event has its turn.

mod address;
mod client;
mod patience;
mod signature;
mod worker;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

pub use address::{AddressError, check_url, is_allowed};
pub use client::{Client, ClientError, DeliveryError};
pub use patience::{Patience, next_attempt};
pub use signature::{sign, verify};
pub use worker::run;

/// Webhooks of one hub: each keeps a connection busy while it delivers.
pub const MAX_WEBHOOKS: usize = 32;
/// Kinds of one webhook.
pub const MAX_KINDS: usize = 50;
/// Longest name of a kind.
const MAX_KIND_BYTES: usize = 64;
/// Longest address taken.
pub const MAX_URL_BYTES: usize = 2000;

/// Whether a webhook for `kinds` wants events of `kind`.
pub fn wants(kinds: &[String], kind: &str) -> bool {
    kinds.iter().any(|wanted| match wanted.strip_suffix('*') {
        Some(prefix) => kind.starts_with(prefix),
        None => wanted == kind,
    })
}

/// Whether this can be a kind, or the beginning of some with `*`.
pub fn is_kind(text: &str) -> bool {
    let name = text.strip_suffix('*').unwrap_or(text);
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.".contains(&b);
    !text.is_empty() && text.len() <= MAX_KIND_BYTES && name.bytes().all(plain)
}

/// Makes the key of a webhook: 256 random bits.
pub fn new_secret() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(format!("fwh_{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// How the delivery of a webhook's event goes at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Failed attempts at this event.
    pub failures: u32,
    /// What the last one said.
    pub error: String,
    /// When the next one is made.
    pub retry_at: Timestamp,
}

/// What the workers tell about themselves; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Deliveries(Arc<Mutex<BTreeMap<u64, Trouble>>>);

impl Deliveries {
    fn table(&self) -> MutexGuard<'_, BTreeMap<u64, Trouble>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The trouble of a webhook, if it has any.
    pub fn trouble(&self, webhook: u64) -> Option<Trouble> {
        self.table().get(&webhook).cloned()
    }

    fn set(&self, webhook: u64, trouble: Option<Trouble>) {
        match trouble {
            Some(trouble) => self.table().insert(webhook, trouble),
            None => self.table().remove(&webhook),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_every_kind_that_begins_like_it() {
        let kinds = ["hold".to_owned(), "rollout.*".to_owned()];
        for (kind, wanted) in
            [("hold", true), ("holds", false), ("rollout.halted", true), ("publish", false)]
        {
            assert_eq!(wants(&kinds, kind), wanted, "{kind}");
        }
        assert!(wants(&["*".to_owned()], "anything"));
    }

    #[test]
    fn what_cannot_be_a_kind_is_refused() {
        for good in ["hold", "*", "rollout.*", "re_enrol"] {
            assert!(is_kind(good), "{good}");
        }
        for bad in ["", "Hold", "a b", "*hold", "hold**", &"x".repeat(65)] {
            assert!(!is_kind(bad), "{bad}");
        }
    }
}
