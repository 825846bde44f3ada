//! The hash chain of the audit log: how a row is hashed, and whether rows follow each other.
//!
//! Pure, so that an export is checked far from the hub by the same code that wrote it.

use channels::wire::AuditRow;
use signing::Sha256Digest;

/// `previous` of the first row.
pub(super) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// SHA-256 over `previous` and every other column, as one JSON array: lengths and borders of the
/// columns are part of what is hashed. Lower-case hex.
pub fn row_hash(row: &AuditRow) -> String {
    let at = row.at.to_string();
    let canonical = serde_json::json!([
        row.previous,
        row.id,
        at,
        row.actor,
        row.action,
        row.object,
        row.detail
    ]);
    Sha256Digest::of(canonical.to_string().as_bytes()).hex()
}

/// What checking a run of rows found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// Number of the oldest row, 0 without rows.
    pub oldest: u64,
    /// `previous` of the oldest row.
    pub after: String,
    /// Number of the newest row, 0 without rows.
    pub newest: u64,
    /// Hash of the newest row.
    pub head: String,
    /// How many rows there were.
    pub rows: u64,
    /// The lowest number of a row that was changed, or does not follow the one below it.
    pub broken_at: Option<u64>,
    last: Option<Link>,
    order: Option<Order>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Link {
    id: u64,
    previous: String,
    hash: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    OldestFirst,
    NewestFirst,
}

impl Run {
    /// Checks the next row. Rows come oldest first or newest first, all of a run alike.
    pub fn take(&mut self, row: &AuditRow) {
        let link = Link { id: row.id, previous: row.previous.clone(), hash: row.hash.clone() };
        if row.hash != row_hash(row) || (row.id <= 1 && row.previous != GENESIS) {
            self.broke(row.id);
        }
        if let Some(last) = self.last.take() {
            let order = *self.order.get_or_insert(if row.id > last.id {
                Order::OldestFirst
            } else {
                Order::NewestFirst
            });
            let (lower, upper) = match order {
                Order::OldestFirst => (&last, &link),
                Order::NewestFirst => (&link, &last),
            };
            if lower.id.checked_add(1) != Some(upper.id) || upper.previous != lower.hash {
                self.broke(upper.id);
            }
        }
        if self.rows == 0 || link.id < self.oldest {
            self.oldest = link.id;
            self.after.clone_from(&link.previous);
        }
        if link.id > self.newest {
            self.newest = link.id;
            self.head.clone_from(&link.hash);
        }
        self.rows += 1;
        self.last = Some(link);
    }

    fn broke(&mut self, id: u64) {
        self.broken_at = Some(self.broken_at.map_or(id, |known| known.min(id)));
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn rows(n: u64) -> Vec<AuditRow> {
        let mut previous = GENESIS.to_owned();
        (1..=n)
            .map(|id| {
                let mut row = AuditRow {
                    id,
                    at: Timestamp::UNIX_EPOCH,
                    actor: "mira".to_owned(),
                    action: "hold".to_owned(),
                    object: id.to_string(),
                    detail: "{}".to_owned(),
                    previous: previous.clone(),
                    hash: String::new(),
                };
                row.hash = row_hash(&row);
                previous.clone_from(&row.hash);
                row
            })
            .collect()
    }

    fn checked<'r>(rows: impl Iterator<Item = &'r AuditRow>) -> Run {
        let mut run = Run::default();
        rows.for_each(|row| run.take(row));
        run
    }

    #[test]
    fn a_run_is_in_order_from_either_end_and_from_the_middle() {
        let rows = rows(6);
        for run in [checked(rows.iter()), checked(rows.iter().rev())] {
            assert_eq!((run.oldest, run.newest, run.rows, run.broken_at), (1, 6, 6, None));
            assert_eq!(run.head, rows[5].hash);
        }
        let middle = checked(rows[2..4].iter());
        assert_eq!((middle.oldest, middle.broken_at), (3, None));
        assert_eq!(middle.after, rows[1].hash);
    }

    #[test]
    fn the_lowest_row_that_was_tampered_with_is_named_from_either_end() {
        type Tamper = fn(&mut Vec<AuditRow>);
        let cases: [(Tamper, u64); 6] = [
            (|rows| rows[2].actor = "eve".to_owned(), 3),
            (|rows| rows[1].detail = "{\"a\":1}".to_owned(), 2),
            (|rows| drop(rows.remove(3)), 5),
            (|rows| rows.swap(1, 2), 2),
            (|rows| rows[0].previous = "11".to_owned(), 1),
            (
                |rows| {
                    rows[2].actor = "eve".to_owned();
                    rows[2].hash = row_hash(&rows[2]);
                },
                4,
            ),
        ];
        for (n, (tamper, broken_at)) in cases.into_iter().enumerate() {
            let mut rows = rows(6);
            tamper(&mut rows);
            assert_eq!(checked(rows.iter()).broken_at, Some(broken_at), "{n}");
            assert_eq!(checked(rows.iter().rev()).broken_at, Some(broken_at), "{n} reversed");
        }
    }
}
