//! What one batch changed of what replicas keep in memory. A kind that a newer hub adds is passed over
//! by an older one, which does not keep it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::super::LoadError;

/// Keys of rows, or only that something of a small kind changed.
#[expect(clippy::struct_excessive_bools, reason = "each is a kind of its own")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct Change {
    /// Rows of clusters.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(in crate::store) clusters: BTreeSet<i64>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(in crate::store) holds: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(in crate::store) tokens: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(in crate::store) sessions: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(in crate::store) sites: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(in crate::store) policies: bool,
    /// Numbers of rollouts.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(in crate::store) rollouts: BTreeSet<i64>,
    /// Rollout, row of the cluster, generation.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(in crate::store) attempts: BTreeSet<(i64, i64, i64)>,
    /// Rows were added to the audit log.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(in crate::store) audit: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Change {
    /// Reads a row.
    pub(super) fn parse(what: &str) -> Result<Self, LoadError> {
        serde_json::from_str(what).map_err(|error| LoadError::Value {
            table: "change",
            row: 0,
            column: "what",
            why: error.to_string(),
        })
    }

    /// The row. Numbers and words: always serialises.
    pub(in crate::store) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether there is nothing to tell.
    pub(in crate::store) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds a later one.
    pub(super) fn and(&mut self, later: Self) {
        self.clusters.extend(later.clusters);
        self.holds |= later.holds;
        self.tokens |= later.tokens;
        self.sessions |= later.sessions;
        self.sites |= later.sites;
        self.policies |= later.policies;
        self.rollouts.extend(later.rollouts);
        self.attempts.extend(later.attempts);
        self.audit |= later.audit;
    }

    pub(super) fn has_rollouts(&self) -> bool {
        self.policies || !self.rollouts.is_empty() || !self.attempts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_only_what_changed_and_is_read_back() {
        let change = Change { clusters: [7, 2].into(), audit: true, ..Change::default() };
        assert_eq!(change.text(), r#"{"clusters":[2,7],"audit":true}"#);
        assert_eq!(Change::parse(&change.text()).unwrap(), change);
        assert!(!change.is_empty() && Change::default().is_empty());
    }

    #[test]
    fn what_a_newer_hub_tells_besides_is_passed_over() {
        let change = Change::parse(r#"{"attempts":[[1,2,3]],"weather":"storm"}"#).unwrap();
        assert_eq!(change, Change { attempts: [(1, 2, 3)].into(), ..Change::default() });
        Change::parse("storm").unwrap_err();
    }
}
