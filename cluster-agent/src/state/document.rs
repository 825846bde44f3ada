//! The persisted document and its refusal rules.

use std::path::Path;

use channels::wire::{ProductSettings, Report};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StateError;
use crate::history::History;

/// The form this version writes; it reads this one and older ones, and refuses newer ones. An agent
/// that reads form 1 only does not know hooks, nor that a changed unit is never put back undone.
pub const FORMAT: u32 = 2;

/// How far above the clock the hub's last number is believed: a day more than the hub takes, so
/// that no difference between the two clocks makes a number that was taken one that is not believed.
const AHEAD_MAX_MS: u64 = Report::SEQ_AHEAD_MAX_MS + 24 * 3600 * 1000;

/// `state.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Form of the document.
    pub format: u32,
    /// The configured name of the cluster it belongs to.
    pub cluster: String,
    /// The highest report number that may have been sent; begins at the clock's milliseconds.
    pub seq: u64,
    /// What the hub wanted of products when it last answered, so that a restart changes nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wanted: Vec<ProductSettings>,
    /// What the agent remembers.
    pub history: History,
}

/// The only field every form has had and will have.
#[derive(Deserialize)]
struct Form {
    format: u32,
}

impl Document {
    /// The memory of a cluster that has none.
    pub fn new(cluster: &str) -> Self {
        let history = History::default();
        Self { format: FORMAT, cluster: cluster.to_owned(), seq: 0, wanted: vec![], history }
    }

    /// Counts on from the hub's last number, where it is above ours: a clock that ran ahead when
    /// reports were numbered, or a machine taken back to a snapshot while it ran. What is out of
    /// reach of any clock is not believed, so that a lie cannot use the numbers up. If our own
    /// number is out of the hub's reach, from a clock that ran years ahead, it goes back to the
    /// hub's last one or the clock. Says whether the hub's was believed.
    #[must_use]
    pub fn catch_up(&mut self, last: u64, now: Timestamp) -> bool {
        let by_clock = u64::try_from(now.as_millisecond()).unwrap_or(0);
        let believed = last <= by_clock.saturating_add(AHEAD_MAX_MS);
        if believed {
            let ours = self.seq <= by_clock.saturating_add(Report::SEQ_AHEAD_MAX_MS);
            self.seq = last.max(if ours { self.seq } else { by_clock });
        } else {
            tracing::warn!(last, "the hub's last report number is out of reach");
        }
        believed
    }
}

/// Parses and checks the bytes of `path`.
pub(super) fn parse(path: &Path, bytes: &[u8], cluster: &str) -> Result<Document, StateError> {
    let unreadable =
        |source: serde_json::Error| StateError::Unreadable { path: path.to_owned(), source };
    let Form { format } = serde_json::from_slice(bytes).map_err(unreadable)?;
    if format > FORMAT {
        return Err(StateError::Newer { path: path.to_owned(), found: format, known: FORMAT });
    }
    let document: Document = serde_json::from_slice(bytes).map_err(unreadable)?;
    let document = Document { format: FORMAT, ..document };
    if document.cluster != cluster {
        return Err(StateError::OtherCluster {
            path: path.to_owned(),
            found: document.cluster,
            expected: cluster.to_owned(),
        });
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_the_hub_does_not_take_goes_back_to_one_that_it_takes() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let far = 1_800_000_000_001 + Report::SEQ_AHEAD_MAX_MS;
        for (last, expected) in [(7, 1_800_000_000_000), (1_800_000_000_900, 1_800_000_000_900)] {
            let mut document = Document { seq: far, ..Document::new("east") };
            assert!(document.catch_up(last, now));
            assert_eq!(document.seq, expected);
        }
        let mut document = Document { seq: far - 1, ..Document::new("east") };
        assert!(document.catch_up(7, now));
        assert_eq!(document.seq, far - 1, "the hub takes it");
    }

    #[test]
    fn numbers_go_on_above_the_hubs_last_one_within_reason() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let mut document = Document { seq: 1_800_000_000_000, ..Document::new("east") };
        assert!(document.catch_up(1_800_000_000_500, now));
        assert_eq!(document.seq, 1_800_000_000_500);
        assert!(document.catch_up(7, now));
        assert_eq!(document.seq, 1_800_000_000_500, "never back");
        for lie in [u64::MAX, 1_800_000_000_001 + AHEAD_MAX_MS] {
            assert!(!document.catch_up(lie, now));
            assert_eq!(document.seq, 1_800_000_000_500, "{lie}");
        }
        assert!(document.catch_up(1_800_000_000_000 + AHEAD_MAX_MS, now));
        assert_eq!(document.seq, 1_800_000_000_000 + AHEAD_MAX_MS);
    }
}
