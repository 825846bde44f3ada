//! One cluster's history and what people did to it, as one list.

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

use channels::wire::{AuditRow, TimelineEntry};

use crate::store::{HistoryPlace, HistoryRow};

/// Where a page ends: the last entry shown of each of the two lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Position {
    /// Of the changes.
    pub history: Option<HistoryPlace>,
    /// Of the audit rows, by number.
    pub audit: Option<u64>,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.history {
            Some(HistoryPlace { day, row }) => write!(f, "{day}.{row}/")?,
            None => f.write_str("/")?,
        }
        self.audit.map_or(Ok(()), |id| write!(f, "{id}"))
    }
}

/// Not a position that this made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a position in a timeline")]
pub struct NotAPosition;

impl FromStr for Position {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let (history, audit) = text.split_once('/').ok_or(NotAPosition)?;
        let number = |text: &str| text.parse().map_err(|_| NotAPosition);
        let history = match history.split_once('.') {
            None if history.is_empty() => None,
            None => return Err(NotAPosition),
            Some((day, row)) => Some(HistoryPlace {
                day: day.parse().map_err(|_| NotAPosition)?,
                row: row.parse().map_err(|_| NotAPosition)?,
            }),
        };
        let audit = if audit.is_empty() { None } else { Some(number(audit)?) };
        Ok(Self { history, audit })
    }
}

/// The newest `limit` entries of both lists, which are newest first, and where to go on if either may
/// have more. Each list was read with the same `limit`, after `from`.
pub fn merge(
    history: Vec<(HistoryPlace, HistoryRow)>,
    audit: Vec<AuditRow>,
    from: Position,
    limit: usize,
) -> (Vec<TimelineEntry>, Option<Position>) {
    let found = history.len() + audit.len();
    let mut end = from;
    let mut entries = Vec::new();
    let (mut history, mut audit) = (history.into_iter().peekable(), audit.into_iter().peekable());
    while entries.len() < limit {
        // An action comes after the report of the same moment: people see before they act.
        let newer = match (history.peek(), audit.peek()) {
            (Some((_, change)), Some(action)) => Reverse(change.at) < Reverse(action.at),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => break,
        };
        if newer {
            let Some((place, row)) = history.next() else { break };
            end.history = Some(place);
            entries.push(change(row));
        } else {
            let Some(row) = audit.next() else { break };
            end.audit = Some(row.id);
            entries.push(action(row));
        }
    }
    let more = found > entries.len() || entries.len() == limit;
    (entries, more.then_some(end))
}

fn change(row: HistoryRow) -> TimelineEntry {
    let HistoryRow { at, product, version, target, phase, unit, health, seq, .. } = row;
    TimelineEntry::Change { at, product, version, target, phase, unit, health, seq }
}

fn action(row: AuditRow) -> TimelineEntry {
    TimelineEntry::Action {
        at: row.at,
        audit: row.id,
        action: row.action,
        actor: row.actor,
        detail: row.detail,
    }
}

#[cfg(test)]
mod tests {
    use channels::wire::{HealthVerdict, Phase};
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn changed(row: i64, second: i64) -> (HistoryPlace, HistoryRow) {
        let history = HistoryRow {
            at: at(second),
            product: "acme/kafka".parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            target: None,
            phase: Phase::Idle,
            unit: None,
            health: HealthVerdict::Healthy,
            quorum_lag_ms: None,
            pleg_lag_ms: None,
            seq: 1,
        };
        (HistoryPlace { day: 20_261_121, row }, history)
    }

    fn acted(id: u64, second: i64) -> AuditRow {
        AuditRow {
            id,
            at: at(second),
            actor: "mira".to_owned(),
            action: "trust".to_owned(),
            object: "c".to_owned(),
            detail: "{}".to_owned(),
            previous: String::new(),
            hash: String::new(),
        }
    }

    #[test]
    fn a_position_reads_back() {
        let place = HistoryPlace { day: 20_261_121, row: 45 };
        for history in [None, Some(place)] {
            for audit in [None, Some(8)] {
                let position = Position { history, audit };
                assert_eq!(position.to_string().parse(), Ok(position));
            }
        }
        for bad in ["", "5", "x.1/", "1/1", "/x", "1.2.3/4"] {
            assert_eq!(bad.parse::<Position>(), Err(NotAPosition), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn pages_of_any_size_show_every_entry_once_and_newest_first(
            changes in proptest::collection::vec(0i64..50, 0..20),
            actions in proptest::collection::vec(0i64..50, 0..20),
            limit in 1usize..7,
        ) {
            let (mut changes, mut actions) = (changes, actions);
            changes.sort_unstable_by_key(|s| Reverse(*s));
            actions.sort_unstable_by_key(|s| Reverse(*s));
            let all_changes: Vec<_> = (1..=i64::try_from(changes.len()).unwrap()).rev()
                .zip(&changes).map(|(row, s)| changed(row, *s)).collect();
            let all_actions: Vec<_> = (1..=u64::try_from(actions.len()).unwrap()).rev()
                .zip(&actions).map(|(id, s)| acted(id, *s)).collect();
            let mut seen = Vec::new();
            let mut from = Some(Position::default());
            while let Some(position) = from {
                let history = all_changes.iter()
                    .filter(|(place, _)| position.history.is_none_or(|last| place.row < last.row));
                let audit = all_actions.iter()
                    .filter(|row| position.audit.is_none_or(|last| row.id < last));
                let (page, next) = merge(
                    history.take(limit).cloned().collect(),
                    audit.take(limit).cloned().collect(),
                    position.clone(),
                    limit,
                );
                seen.extend(page);
                from = next;
            }
            prop_assert_eq!(seen.len(), changes.len() + actions.len());
            prop_assert!(seen.windows(2).all(|pair| pair[0].at() >= pair[1].at()));
        }
    }
}
