//! Whether voters may change, by the agent's memory: not while a roll is open or a finalize step
//! runs, except for a controller whose disk is lost in a roll that stands still. Pure.

use channels::names::ProductRef;

use crate::history::{History, ProductHistory};
use crate::observation::UnitKey;

/// What the agent's memory says about changes of voters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stance {
    /// Nothing is under way.
    Free,
    /// A roll is open.
    Rolling {
        /// Why nothing may change.
        why: String,
        /// Nothing of it moves before a person says so.
        still: bool,
        /// The unit that is out.
        out: Option<UnitKey>,
    },
    /// A finalize step runs: it may change features that the quorum depends on.
    Finalizing(ProductRef),
}

/// The way out for a lost disk, in every refusal that a roll is the reason of.
const LOST_DISK: &str = "voters change only while no roll is open. A controller whose disk is lost \
     can be replaced (`quorum replace --id N`) once the roll is paused, or held (`cluster-agent \
     hold`) with no unit out";

/// Reads it. `held` = somebody on the cluster said hold.
pub(super) fn stance(history: &History, held: bool) -> Stance {
    let runs = |p: &ProductHistory| p.finalization.as_ref().is_some_and(|f| f.run.is_some());
    if let Some((product, _)) = history.products.iter().find(|(_, record)| runs(record)) {
        return Stance::Finalizing(product.clone());
    }
    let paused = history.pause.is_some();
    if let Some(out) = &history.out {
        let why = format!("unit {} is out: {LOST_DISK}", out.key());
        return Stance::Rolling { why, still: paused, out: Some(out.key().clone()) };
    }
    let begun = |p: &ProductHistory| p.roll.as_ref().is_some_and(|roll| roll.touched);
    match history.products.iter().find(|(_, record)| begun(record)) {
        Some((product, _)) => {
            let why = format!("{product} is being rolled: {LOST_DISK}");
            Stance::Rolling { why, still: paused || held, out: None }
        }
        None => Stance::Free,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use signing::Sha256Digest;

    use super::*;
    use crate::history::{Pause, Roll};

    fn rolling() -> History {
        let mut record = ProductHistory::new("3.9.0".parse().unwrap());
        record.roll = Some(Roll {
            to: "4.0.0".parse().unwrap(),
            release_digest: Sha256Digest::of(b"document"),
            started_at: Timestamp::UNIX_EPOCH,
            units_done: 1,
            touched: true,
            passed: vec![],
        });
        let mut history = History::default();
        history.products.insert("acme/kafka".parse().unwrap(), record);
        history
    }

    fn is_still(stance: &Stance) -> bool {
        matches!(stance, Stance::Rolling { still: true, .. })
    }

    #[test]
    fn an_open_roll_is_in_the_way_and_the_refusal_says_what_to_do_about_a_lost_disk() {
        let found = stance(&rolling(), false);
        let Stance::Rolling { why, still: false, out: None } = found else { panic!("{found:?}") };
        assert!(why.contains("voters change only while no roll is open"), "{why}");
        assert!(why.contains("cluster-agent hold"), "{why}");
        assert_eq!(stance(&History::default(), false), Stance::Free);
    }

    #[test]
    fn a_roll_stands_still_when_it_is_paused_or_held() {
        assert!(is_still(&stance(&rolling(), true)));
        let mut paused = rolling();
        let why = crate::phase::command_failed("mutate", 3, "", Timestamp::UNIX_EPOCH);
        paused.pause = Some(Pause { why, at: Timestamp::UNIX_EPOCH });
        assert!(is_still(&stance(&paused, false)));
    }
}
