//! How many requests run at a registry at once: more while it copes, half when it says it does not.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// Requests at once to begin with: enough to hide latency, few enough for any registry.
const START: u32 = 4;
/// Most at once where configuration does not say; more connections rarely bring more bytes.
pub(super) const MOST_DEFAULT: u32 = 12;
/// Fixed-point unit: limits grow by fractions.
const UNIT: u32 = 1000;

/// Additive increase, multiplicative decrease. Pure.
///
/// One more request at once for as many successes as the limit has, half as many after a refusal.
/// Requests that were under way when the limit was halved do not halve it again: one burst of
/// refusals is one sign.
#[derive(Debug)]
pub(super) struct Aimd {
    /// In units of 1/1000.
    limit: u32,
    most: u32,
    running: u32,
    /// Counts the halvings, so that each request knows under which limit it began.
    era: u64,
}

impl Aimd {
    /// `most` is at least one request at once.
    pub(super) fn new(most: u32) -> Self {
        let most = most.max(1);
        Self { limit: START.min(most).saturating_mul(UNIT), most, running: 0, era: 0 }
    }

    /// Requests at once, as of now.
    pub(super) fn limit(&self) -> u32 {
        self.limit / UNIT
    }

    /// Begins a request if one may; answers the era it begins in.
    fn begin(&mut self) -> Option<u64> {
        if self.running >= self.limit() {
            return None;
        }
        self.running += 1;
        Some(self.era)
    }

    fn end(&mut self) {
        self.running = self.running.saturating_sub(1);
    }

    fn succeeded(&mut self) {
        let step = (UNIT * UNIT) / self.limit.max(UNIT);
        self.limit = self.limit.saturating_add(step).min(self.most.saturating_mul(UNIT));
    }

    fn refused(&mut self, era: u64) {
        if era == self.era {
            self.limit = (self.limit / 2).max(UNIT);
            self.era += 1;
        }
    }
}

/// [`Aimd`], shared: requests wait their turn here.
#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<Aimd>,
    freed: Notify,
}

impl Gate {
    pub(super) fn new(most: u32) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(Aimd::new(most)), freed: Notify::new() })
    }

    /// Waits until a request may begin. The permit is held until the answer's body has ended.
    pub(super) async fn enter(self: &Arc<Self>) -> Permit {
        loop {
            let freed = self.freed.notified();
            if let Some(era) = self.with(Aimd::begin) {
                return Permit { gate: Arc::clone(self), era };
            }
            freed.await;
        }
    }

    /// Requests at once, as of now.
    pub(super) fn limit(&self) -> u32 {
        self.with(|state| state.limit())
    }

    fn with<T>(&self, change: impl FnOnce(&mut Aimd) -> T) -> T {
        // Nothing in here panics; the counters would be as good after one that did.
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Leave to run one request.
#[derive(Debug)]
pub(super) struct Permit {
    gate: Arc<Gate>,
    era: u64,
}

impl Permit {
    /// The registry coped with this request.
    pub(super) fn succeeded(&self) {
        self.gate.with(Aimd::succeeded);
        self.gate.freed.notify_one();
    }

    /// The registry said that it is too much.
    pub(super) fn refused(&self) {
        self.gate.with(|state| state.refused(self.era));
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.with(Aimd::end);
        self.gate.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_grows_by_one_per_round_up_to_the_most() {
        let mut state = Aimd::new(6);
        assert_eq!(state.limit(), START);
        for _ in 0..5 {
            state.succeeded();
        }
        assert_eq!(state.limit(), 5);
        (0..100).for_each(|_| state.succeeded());
        assert_eq!(state.limit(), 6);
    }

    #[test]
    fn one_burst_of_refusals_halves_once_and_one_request_always_runs() {
        let mut state = Aimd::new(8);
        let eras: Vec<_> = (0..4).map(|_| state.begin().unwrap()).collect();
        assert_eq!(state.begin(), None, "full");
        for era in eras {
            state.refused(era);
        }
        assert_eq!(state.limit(), 2);
        (0..4).for_each(|_| state.end());
        for _ in 0..5 {
            let era = state.begin().unwrap();
            state.refused(era);
            state.end();
        }
        assert_eq!(state.limit(), 1);
    }

    #[tokio::test]
    async fn who_waits_goes_when_another_ends() {
        let gate = Gate::new(1);
        let first = gate.enter().await;
        let second = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { drop(gate.enter().await) }
        });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop(first);
        second.await.unwrap();
    }
}
