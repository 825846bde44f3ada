//! `fairway clusters label`: `key=value` sets a label, `key-` takes it away.

use std::str::FromStr;

use channels::rollout::{LabelError, LabelPatch, Labels, labels};
use channels::wire::ClusterRow;

use crate::table::Table;

/// One change as it is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LabelChange {
    key: String,
    value: Option<String>,
}

/// Why a text is no change of a label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotAChange {
    /// Neither of the two forms.
    #[error("write key=value to set a label, key- to take it away")]
    Form,
    /// No label that there could be.
    #[error(transparent)]
    Label(#[from] LabelError),
}

impl FromStr for LabelChange {
    type Err = NotAChange;

    fn from_str(text: &str) -> Result<Self, NotAChange> {
        if let Some((key, value)) = text.split_once('=') {
            labels::check_key(key)?;
            labels::check_value(key, value)?;
            return Ok(Self { key: key.to_owned(), value: Some(value.to_owned()) });
        }
        let key = text.strip_suffix('-').ok_or(NotAChange::Form)?;
        labels::check_key(key)?;
        Ok(Self { key: key.to_owned(), value: None })
    }
}

/// All changes as one; the last one of a key counts.
pub(super) fn patch(changes: &[LabelChange]) -> LabelPatch {
    changes.iter().map(|change| (change.key.clone(), change.value.clone())).collect()
}

/// A label to set, as `invite --label` takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NewLabel(String, String);

impl FromStr for NewLabel {
    type Err = NotAChange;

    fn from_str(text: &str) -> Result<Self, NotAChange> {
        match text.parse()? {
            LabelChange { key, value: Some(value) } => Ok(Self(key, value)),
            LabelChange { .. } => Err(NotAChange::Form),
        }
    }
}

/// All of them.
pub(super) fn labels_of(new: &[NewLabel]) -> Labels {
    new.iter().map(|NewLabel(key, value)| (key.clone(), value.clone())).collect()
}

/// Labels for people and for a table's cell.
pub(super) fn shown(labels: &Labels) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// One row per label that a cluster has.
pub(super) fn table(row: &ClusterRow) -> Table {
    let mut table = Table::new(&["name", "cluster", "label", "value"]);
    for (label, value) in &row.labels {
        table.row(vec![row.name.clone(), row.id.to_string(), label.clone(), value.clone()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_key_equals_value_or_key_minus() {
        let changes: Vec<LabelChange> =
            ["ring=canary", "site-", "empty="].iter().map(|text| text.parse().unwrap()).collect();
        let expected = LabelPatch::from([
            ("ring".into(), Some("canary".into())),
            ("site".into(), None),
            ("empty".into(), Some(String::new())),
        ]);
        assert_eq!(patch(&changes), expected);
        assert_eq!("ring".parse::<LabelChange>(), Err(NotAChange::Form));
        assert_eq!("site-".parse::<NewLabel>(), Err(NotAChange::Form));
        for bad in ["=x", "a b=c", "ring=a b", "-"] {
            assert!(matches!(bad.parse::<LabelChange>(), Err(NotAChange::Label(_))), "{bad}");
        }
    }
}
