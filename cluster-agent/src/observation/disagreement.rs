//! Whether the metrics pages and the quorum's leader tell the same story (rolling.md §0, 3).
//!
//! An election between the two readings makes them differ for a moment, so only what differs twice
//! in a row counts. Pure.

use std::collections::BTreeSet;

use channels::names::UnitName;
use jiff::Timestamp;

use super::{Finding, QuorumObservation, UnitObservation, WitnessSource};

/// Comparisons in a row that must differ.
const TWICE: u32 = 2;

/// What the leader itself says of the quorum, by `DescribeQuorum`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumWord {
    /// When it was heard (agent's clock).
    pub at: Timestamp,
    /// The leader's node id.
    pub leader: i64,
    /// Its epoch.
    pub epoch: u64,
    /// Node ids of the voters.
    pub voters: BTreeSet<i64>,
    /// Those of the configured controllers that are voters and caught up.
    pub in_sync: BTreeSet<i64>,
}

/// What is remembered of the comparisons of one product.
#[derive(Debug, Default)]
pub(super) struct Disagreement {
    word: Option<QuorumWord>,
    compared_at: Option<Timestamp>,
    differed: u32,
    finding: Option<Finding>,
}

impl Disagreement {
    /// Takes the newest word; `None` = nobody spoke, which is a finding elsewhere.
    pub(super) fn hear(&mut self, word: Option<QuorumWord>) {
        self.word = word;
    }

    /// Compares a new word with the pages; says what differed at the last comparison.
    /// `lag_limit_ms` is the lag from which on a page's voter is behind.
    pub(super) fn compare(
        &mut self,
        quorum: &QuorumObservation,
        voters: &[(&UnitName, &UnitObservation)],
        lag_limit_ms: u64,
    ) -> Option<Finding> {
        let Some(word) = &self.word else {
            // There is nothing to disagree with; that is said of every unit.
            self.finding = None;
            return None;
        };
        if self.compared_at != Some(word.at) {
            self.compared_at = Some(word.at);
            let differences = differences(word, quorum, voters, lag_limit_ms);
            self.differed =
                if differences.is_empty() { 0 } else { self.differed.saturating_add(1) };
            self.finding = (self.differed >= TWICE).then(|| Finding::WitnessDisagrees {
                source_of_word: WitnessSource::Kafka,
                what: differences.join("; "),
            });
        }
        self.finding.clone()
    }
}

fn differences(
    word: &QuorumWord,
    quorum: &QuorumObservation,
    voters: &[(&UnitName, &UnitObservation)],
    lag_limit_ms: u64,
) -> Vec<String> {
    let mut differences = Vec::new();
    let by_name = |name: &UnitName| voters.iter().find(|(voter, _)| *voter == name);
    let leader = quorum.leader.as_ref().and_then(by_name).and_then(|(_, unit)| unit.node_id);
    if let Some(leader) = leader.filter(|leader| *leader != word.leader) {
        differences.push(format!("the pages name leader {leader}, it names {}", word.leader));
    }
    if let Some(epoch) = quorum.epoch.filter(|epoch| *epoch != word.epoch) {
        differences.push(format!("the pages are in epoch {epoch}, it is in {}", word.epoch));
    }
    let counted = voters.iter().filter_map(|(_, unit)| unit.voter.as_ref()?.number_of_voters).max();
    let heard = super::agreement::count(word.voters.len());
    if let Some(counted) = counted.filter(|counted| *counted != heard) {
        differences.push(format!("the pages count {counted} voters, it counts {heard}"));
    }
    for (name, unit) in voters {
        // An unknown lag is a finding of its own.
        let (Some(id), Some(lag_ms)) = (unit.node_id, unit.quorum_lag_ms) else { continue };
        let lags = lag_ms >= lag_limit_ms;
        if lags == word.in_sync.contains(&id) {
            let (page, other) =
                if lags { ("behind", "caught up") } else { ("caught up", "behind") };
            differences.push(format!("{name} is {page} by its page, {other} by the leader"));
        }
    }
    differences
}
