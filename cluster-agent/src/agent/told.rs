//! What the hub is known to have of this cluster, so that a report which would say it again says only
//! that nothing has changed.
//!
//! Pure. What a hub has is what it acknowledged: a report that was lost, or whose answer was, is
//! followed by the whole state, and so is a start of this process, a wish of the hub for it, and half
//! an hour of nothing new. A report that leaves products out is never sent while another one is
//! under way, so none can overtake a change.

use std::collections::VecDeque;

use channels::wire::{HealthSummary, ProductState};
use jiff::{SignedDuration, Timestamp};

/// The whole state is told at least this often: whatever went wrong where nobody looked is mended
/// then.
const WHOLE_EVERY: SignedDuration = SignedDuration::from_mins(30);

/// A quorum that is well lags by less than this; what lies below is told as it was when something
/// else is told.
const QUIET_QUORUM_LAG_MS: u64 = 100;

/// A kubelet relists every second, so a node that is well lags by up to that and a little more.
const QUIET_PLEG_LAG_MS: u64 = 2_000;

/// What the hub has, and what is on its way there.
#[derive(Debug, Default)]
pub(super) struct Told {
    known: Option<(Vec<ProductState>, Timestamp)>,
    /// Oldest first; `None` for one that leaves all products out.
    under_way: VecDeque<Option<Vec<ProductState>>>,
}

impl Told {
    /// Whether the hub has these states already, so that none needs to be told. A request for a
    /// grant is always told.
    pub(super) fn has(&self, states: &[ProductState], now: Timestamp) -> bool {
        let Some((known, at)) = &self.known else { return false };
        let age = now.duration_since(*at);
        // A clock that was set back says nothing about age.
        let lately = !age.is_negative() && age < WHOLE_EVERY;
        lately
            && self.under_way.is_empty()
            && known.len() == states.len()
            && known.iter().zip(states).all(|(known, state)| *known == essence(state))
    }

    /// A report was handed over: with these states, or with none of them.
    pub(super) fn sent(&mut self, states: Option<&[ProductState]>) {
        self.under_way.push_back(states.map(|states| states.iter().map(essence).collect()));
    }

    /// The oldest report under way was acknowledged; the hub may want the whole state all the same.
    pub(super) fn acknowledged(&mut self, whole_wanted: bool, now: Timestamp) {
        if let Some(states) = self.under_way.pop_front().flatten() {
            self.known = Some((states, now));
        }
        if whole_wanted {
            self.known = None;
        }
    }

    /// The oldest report under way was not answered: whether it was committed is not known.
    pub(super) fn lost(&mut self) {
        self.under_way.pop_front();
        self.known = None;
    }
}

/// A state as it is compared: without a request, and with figures that tell small ones from large
/// ones. A figure of a cluster that is well is another one at every look.
fn essence(state: &ProductState) -> ProductState {
    let health = &state.health;
    let quorum = magnitude(health.quorum_lag_ms, QUIET_QUORUM_LAG_MS);
    let pleg = magnitude(health.pleg_lag_ms, QUIET_PLEG_LAG_MS);
    // Whichever of many quiet units is the worst at this moment is no news.
    let loud = |magnitude: Option<u64>| magnitude.is_some_and(|magnitude| magnitude > 0);
    let health = HealthSummary {
        quorum_lag_ms: quorum,
        quorum_lag_unit: health.quorum_lag_unit.clone().filter(|_| loud(quorum)),
        pleg_lag_ms: pleg,
        pleg_lag_unit: health.pleg_lag_unit.clone().filter(|_| loud(pleg)),
        ..health.clone()
    };
    ProductState { health, ..state.clone() }
}

/// 0 for a quiet figure, then how often it was doubled since.
fn magnitude(lag_ms: Option<u64>, quiet_ms: u64) -> Option<u64> {
    lag_ms.map(|lag_ms| (lag_ms / quiet_ms).checked_ilog2().map_or(0, |n| u64::from(n) + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use channels::wire::{HealthVerdict, Phase};
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    fn state(phase: Phase, quorum_lag_ms: u64) -> ProductState {
        ProductState {
            product: "acme/kafka".parse().unwrap(),
            channel: "stable".parse().unwrap(),
            arch: "amd64".parse().unwrap(),
            version: "4.1.0".parse().unwrap(),
            target: None,
            phase,
            since: at(0),
            unit: None,
            progress: None,
            health: HealthSummary {
                verdict: HealthVerdict::Healthy,
                since: Some(at(0)),
                quorum_lag_ms: Some(quorum_lag_ms),
                quorum_lag_unit: Some(format!("controller-{}", quorum_lag_ms % 3).parse().unwrap()),
                pleg_lag_ms: None,
                pleg_lag_unit: None,
                measured: Vec::new(),
            },
            waiting_on: vec![],
            failure: None,
            accepted_risks: vec![],
            wants: None,
            units: vec![],
        }
    }

    fn idle() -> Vec<ProductState> {
        vec![state(Phase::Idle, 3)]
    }

    /// After a whole report that was acknowledged.
    fn told() -> Told {
        let mut told = Told::default();
        told.sent(Some(&idle()));
        told.acknowledged(false, at(0));
        told
    }

    #[test]
    fn what_was_acknowledged_is_not_told_again_for_half_an_hour() {
        let told = told();
        assert!(told.has(&idle(), at(1)) && told.has(&idle(), at(1_799)));
        assert!(!told.has(&idle(), at(1_800)));
        assert!(!told.has(&idle(), at(-1)), "a clock that was set back");
        assert!(!Told::default().has(&idle(), at(1)), "the first report of a process is whole");
    }

    #[test]
    fn figures_of_a_cluster_that_is_well_are_no_news_and_those_of_one_that_is_not_are() {
        let told = told();
        assert!(told.has(&[state(Phase::Idle, 99)], at(1)));
        for lag_ms in [100, 250, 10_000] {
            assert!(!told.has(&[state(Phase::Idle, lag_ms)], at(1)), "{lag_ms}");
        }
        let classes = [0, 99, 100, 199, 200, 399, 400].map(|ms| magnitude(Some(ms), 100));
        assert_eq!(classes, [0, 0, 1, 1, 2, 2, 3].map(Some));
    }

    #[test]
    fn another_phase_fewer_products_and_a_request_are_told() {
        let told = told();
        assert!(!told.has(&[state(Phase::Waiting, 3)], at(1)));
        assert!(!told.has(&[], at(1)));
        let risk = channels::wire::AcceptedRisk {
            name: "SlowStart".to_owned(),
            reason: "we wait".to_owned(),
            until: None,
        };
        assert!(
            !told.has(&[ProductState { accepted_risks: vec![risk], ..idle().remove(0) }], at(1))
        );
        let wants = channels::wire::GrantRequest {
            to: "4.2.0".parse().unwrap(),
            release_digest: signing::Sha256Digest::of(b"release"),
            renews: None,
        };
        assert!(!told.has(&[ProductState { wants: Some(wants), ..idle().remove(0) }], at(1)));
    }

    #[test]
    fn nothing_is_left_out_while_a_report_is_under_way_or_after_one_that_was_lost() {
        let mut told = told();
        told.sent(None);
        assert!(!told.has(&idle(), at(1)));
        told.acknowledged(false, at(1));
        assert!(told.has(&idle(), at(2)));
        told.sent(None);
        told.lost();
        assert!(!told.has(&idle(), at(3)));
    }

    #[test]
    fn a_hub_that_wants_the_whole_state_gets_it() {
        let mut told = told();
        told.sent(None);
        told.acknowledged(true, at(1));
        assert!(!told.has(&idle(), at(2)));
    }

    /// What becomes of a report.
    #[derive(Debug, Clone, Copy)]
    enum Fate {
        Arrives,
        IsLost,
        AnswerIsLost,
    }

    proptest! {
        /// The hub keeps what it has of products that a report leaves out. Whatever is lost, and
        /// however many reports are under way at once, it has the agent's state after the next one
        /// that is answered.
        #[test]
        fn whatever_is_lost_the_hub_ends_with_the_state_of_the_agent(
            steps in proptest::collection::vec((0u64..3, 0usize..3, 0u8..3), 1..60)
        ) {
            let (mut told, mut hub) = (Told::default(), None);
            let mut under_way = VecDeque::new();
            let mut now = 0;
            for (changed, waits, fate) in steps {
                now += 60;
                let states = vec![state([Phase::Idle, Phase::Waiting, Phase::Paused][usize::try_from(changed).unwrap()], 3)];
                let brief = told.has(&states, at(now));
                let said = (!brief).then_some(states.clone());
                told.sent(said.as_deref());
                under_way.push_back((said, states));
                let fate = [Fate::Arrives, Fate::IsLost, Fate::AnswerIsLost][usize::from(fate)];
                while under_way.len() > waits {
                    let (said, states) = under_way.pop_front().unwrap();
                    if !matches!(fate, Fate::IsLost) && let Some(said) = said {
                        hub = Some(said);
                    }
                    match fate {
                        Fate::Arrives => {
                            told.acknowledged(false, at(now));
                            prop_assert_eq!(hub.as_ref(), Some(&states));
                        }
                        Fate::IsLost | Fate::AnswerIsLost => told.lost(),
                    }
                }
            }
        }
    }
}
