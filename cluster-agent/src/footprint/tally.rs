//! What is counted since the process started. Never reset, never persisted.

use std::collections::BTreeMap;

use channels::names::ProductRef;

use crate::observation::UnitKey;
use crate::phase::elapsed_ms;
use crate::telemetry::{Probe, ScrapeError};

/// Fetches of metrics pages.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ScrapeTally {
    /// By outcome: `ok`, `unreadable`, or what failed.
    pub pages: BTreeMap<&'static str, u64>,
    /// Milliseconds spent waiting for pages that came, summed over pages.
    pub waited_ms: u64,
}

impl ScrapeTally {
    /// Counts one round.
    pub fn note(&mut self, results: &BTreeMap<UnitKey, Result<Probe, ScrapeError>>) {
        for result in results.values() {
            let outcome = match result {
                Ok(probe) => {
                    let took_ms = elapsed_ms(probe.requested_at, probe.received_at);
                    self.waited_ms = self.waited_ms.saturating_add(took_ms);
                    if probe.page.is_ok() { "ok" } else { "unreadable" }
                }
                Err(error) => kind(error),
            };
            let count = self.pages.entry(outcome).or_default();
            *count = count.saturating_add(1);
        }
    }
}

fn kind(error: &ScrapeError) -> &'static str {
    match error {
        ScrapeError::Tls { .. } => "tls",
        ScrapeError::Address { .. } => "address",
        ScrapeError::Credentials { .. } => "credentials",
        ScrapeError::Timeout { .. } => "timeout",
        ScrapeError::Transport { .. } => "transport",
        ScrapeError::Status { .. } => "status",
        ScrapeError::TooLarge { .. } => "too_large",
    }
}

/// Times a gate began to keep a product waiting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GateTally {
    /// By product and gate.
    pub began: BTreeMap<(ProductRef, String), u64>,
}

/// Gates counted by name per process: all there are, and the operator's own checks of eight
/// products.
const GATES_MAX: usize = 1_000;

impl GateTally {
    /// Counts one.
    pub fn note(&mut self, product: &ProductRef, gate: &str) {
        let key = (product.clone(), gate.to_owned());
        if self.began.len() >= GATES_MAX && !self.began.contains_key(&key) {
            return;
        }
        let count = self.began.entry(key).or_default();
        *count = count.saturating_add(1);
    }
}
