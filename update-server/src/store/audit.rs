//! The audit log: append-only, each row hashed together with the one before.
//!
//! The chain shows that a row was changed or removed from the middle. Only a copy kept elsewhere
//! shows that the end was cut off, so exports carry the newest hash.

use channels::wire::AuditRow;
use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::params;

use super::chain::{GENESIS, row_hash};
use super::db::{Db, DbResult, Row, storable};

/// End of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    id: u64,
    hash: String,
}

impl Head {
    /// Number of the newest row.
    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

/// What happened, as its author tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When, by the hub's clock.
    pub at: Timestamp,
    /// A token's name, a cluster's id, or `hub`.
    pub actor: String,
    /// What, `snake_case`.
    pub action: &'static str,
    /// On what.
    pub object: String,
    /// Details.
    pub detail: serde_json::Value,
}

/// Reads the end of the chain.
pub(super) fn head(db: &Db) -> DbResult<Head> {
    let newest =
        db.row_if_any("SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1", &[], |row| {
            Ok(Head { id: unsigned(row, 0)?, hash: row.get(1)? })
        })?;
    Ok(newest.unwrap_or_else(|| Head { id: 0, hash: GENESIS.to_owned() }))
}

/// Adds a row after `head`, in the transaction of what it tells.
pub(super) fn append(db: &Db, head: &mut Head, event: &Event) -> DbResult<()> {
    let mut row = AuditRow {
        id: head.id + 1,
        at: event.at,
        // What is hashed must be what is kept.
        actor: storable(&event.actor).into_owned(),
        action: event.action.to_owned(),
        object: storable(&event.object).into_owned(),
        detail: event.detail.to_string(),
        previous: head.hash.clone(),
        hash: String::new(),
    };
    row.hash = row_hash(&row);
    db.execute(
        "INSERT INTO audit (id, at, actor, action, object, detail, previous, hash) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            super::int(row.id),
            row.at.to_string(),
            row.actor,
            row.action,
            row.object,
            row.detail,
            row.previous,
            row.hash
        ],
    )?;
    *head = Head { id: row.id, hash: row.hash };
    Ok(())
}

/// Up to `limit` rows below `before`, newest first.
pub(super) fn page(db: &Db, before: Option<u64>, limit: usize) -> DbResult<Vec<AuditRow>> {
    db.rows(
        "SELECT id, at, actor, action, object, detail, previous, hash FROM audit \
         WHERE id < ?1 ORDER BY id DESC LIMIT ?2",
        params![before.map_or(i64::MAX, super::int), i64::try_from(limit).unwrap_or(i64::MAX)],
        read,
    )
}

/// Up to `limit` rows above `after`, oldest first.
pub(super) fn page_after(db: &Db, after: u64, limit: usize) -> DbResult<Vec<AuditRow>> {
    db.rows(
        "SELECT id, at, actor, action, object, detail, previous, hash FROM audit \
         WHERE id > ?1 ORDER BY id LIMIT ?2",
        params![super::int(after), i64::try_from(limit).unwrap_or(i64::MAX)],
        read,
    )
}

/// Up to `limit` rows about `object` below `before`, newest first.
pub(super) fn page_of(
    db: &Db,
    object: &str,
    before: Option<u64>,
    limit: usize,
) -> DbResult<Vec<AuditRow>> {
    db.rows(
        "SELECT id, at, actor, action, object, detail, previous, hash FROM audit \
         WHERE object = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3",
        params![
            object,
            before.map_or(i64::MAX, super::int),
            i64::try_from(limit).unwrap_or(i64::MAX)
        ],
        read,
    )
}

/// Rows looked at for one page of a search. Nothing but the number is indexed, so what nobody ever did
/// would be looked for in the whole log.
const MAX_SEARCHED: u64 = 50_000;

/// Which rows are wanted; what is empty is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Exactly this actor.
    pub actor: String,
    /// Exactly this action.
    pub action: String,
    /// Objects that begin with this.
    pub object: String,
    /// From the begin of this day on, UTC.
    pub since: Option<Date>,
    /// To the end of this day, UTC.
    pub until: Option<Date>,
}

/// Some rows that match, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditFound {
    /// The rows.
    pub rows: Vec<AuditRow>,
    /// Rows below this number were not looked at; none where there are no others.
    pub go_on: Option<u64>,
}

/// Up to `limit` rows that match, below `before`, newest first.
pub(super) fn search(
    db: &Db,
    filter: &AuditFilter,
    before: Option<u64>,
    limit: usize,
) -> DbResult<AuditFound> {
    let end = before.unwrap_or(u64::MAX).min(head(db)?.id.saturating_add(1));
    let begin = end.saturating_sub(MAX_SEARCHED).max(1);
    // Times are kept as text that begins with the day, so days compare as text does.
    let since = filter.since.map_or_else(String::new, |day| day.to_string());
    let until = filter.until.and_then(|day| day.tomorrow().ok());
    let until = until.map_or_else(|| "9999-99-99".to_owned(), |day| day.to_string());
    let rows = db.rows(
        "SELECT id, at, actor, action, object, detail, previous, hash FROM audit \
         WHERE id < ?1 AND id >= ?2 AND at >= ?3 AND at < ?4 \
         AND (?5 = '' OR actor = ?5) AND (?6 = '' OR action = ?6) \
         AND substr(object, 1, length(?7)) = ?7 ORDER BY id DESC LIMIT ?8",
        params![
            super::int(end),
            super::int(begin),
            since,
            until,
            filter.actor,
            filter.action,
            filter.object,
            i64::try_from(limit).unwrap_or(i64::MAX)
        ],
        read,
    )?;
    let looked_to = rows.last().filter(|_| rows.len() == limit).map_or(begin, |row| row.id);
    Ok(AuditFound { go_on: (looked_to > 1).then_some(looked_to), rows })
}

fn read(row: &Row<'_>) -> DbResult<AuditRow> {
    let at: String = row.get(1)?;
    Ok(AuditRow {
        id: unsigned(row, 0)?,
        // A time that does not parse was not written by us; the epoch makes the hash differ.
        at: at.parse().unwrap_or(Timestamp::UNIX_EPOCH),
        actor: row.get(2)?,
        action: row.get(3)?,
        object: row.get(4)?,
        detail: row.get(5)?,
        previous: row.get(6)?,
        hash: row.get(7)?,
    })
}

fn unsigned(row: &Row<'_>, column: usize) -> DbResult<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

/// What checking the whole chain found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ChainCheck {
    /// Rows that were checked and are good.
    pub rows: u64,
    /// Hash of the last good row.
    pub head: String,
    /// First row that does not fit, if one does not.
    pub broken_at: Option<u64>,
}

/// Checks every row against the one before it.
pub(super) fn verify_chain(db: &Db) -> DbResult<ChainCheck> {
    let mut check = ChainCheck { rows: 0, head: GENESIS.to_owned(), broken_at: None };
    let sql = "SELECT id, at, actor, action, object, detail, previous, hash FROM audit ORDER BY id";
    db.each(sql, &[], |row| -> DbResult<()> {
        let row = read(row)?;
        if check.broken_at.is_some() {
            return Ok(());
        }
        if row.id != check.rows + 1 || row.previous != check.head || row.hash != row_hash(&row) {
            check.broken_at = Some(row.id);
            return Ok(());
        }
        check.rows = row.id;
        check.head = row.hash;
        Ok(())
    })?;
    Ok(check)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema::open_writer;

    fn log_of(rows: u64) -> (tempfile::TempDir, Db) {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::from(open_writer(&dir.path().join("hub.sqlite3")).unwrap());
        let mut end = head(&db).unwrap();
        for n in 1..=rows {
            let event = Event {
                at: Timestamp::from_second(1_790_000_000).unwrap(),
                actor: "mira".to_owned(),
                action: "hold",
                object: n.to_string(),
                detail: serde_json::json!({ "reason": "x" }),
            };
            append(&db, &mut end, &event).unwrap();
        }
        assert_eq!(head(&db).unwrap(), end);
        (dir, db)
    }

    #[test]
    fn an_untouched_chain_verifies() {
        let (_dir, db) = log_of(5);
        let check = verify_chain(&db).unwrap();
        assert_eq!((check.rows, check.broken_at), (5, None));
    }

    #[test]
    fn rows_can_be_neither_changed_nor_deleted() {
        let (_dir, db) = log_of(2);
        for sql in ["UPDATE audit SET actor = 'x'", "DELETE FROM audit"] {
            let error = db.execute(sql, &[]).unwrap_err();
            assert!(error.to_string().contains("append-only"), "{error}");
        }
    }

    #[test]
    fn tampering_behind_the_triggers_is_found_at_its_row() {
        for (tamper, broken_at) in [
            ("UPDATE audit SET actor = 'eve' WHERE id = 3", 3),
            ("UPDATE audit SET at = '2020-01-01T00:00:00Z' WHERE id = 2", 2),
            ("DELETE FROM audit WHERE id = 4", 5),
            ("UPDATE audit SET hash = previous WHERE id = 5", 5),
        ] {
            let (_dir, db) = log_of(6);
            db.execute_batch(
                "DROP TRIGGER audit_is_append_only_1; DROP TRIGGER audit_is_append_only_2",
            )
            .unwrap();
            db.execute(tamper, &[]).unwrap();
            assert_eq!(verify_chain(&db).unwrap().broken_at, Some(broken_at), "{tamper}");
        }
    }

    #[test]
    fn pages_go_backwards_from_the_newest() {
        let (_dir, db) = log_of(5);
        let ids = |before| -> Vec<u64> {
            page(&db, before, 2).unwrap().into_iter().map(|r| r.id).collect()
        };
        assert_eq!((ids(None), ids(Some(4)), ids(Some(2))), (vec![5, 4], vec![3, 2], vec![1]));
    }

    #[test]
    fn a_search_finds_what_matches_and_says_where_it_stopped() {
        let (_dir, db) = log_of(5);
        let find = |filter: &AuditFilter, before, limit| {
            let found = search(&db, filter, before, limit).unwrap();
            (found.rows.iter().map(|row| row.id).collect::<Vec<_>>(), found.go_on)
        };
        let all = AuditFilter::default();
        assert_eq!(find(&all, None, 9), (vec![5, 4, 3, 2, 1], None));
        assert_eq!(find(&all, None, 2), (vec![5, 4], Some(4)));
        assert_eq!(find(&all, Some(2), 2), (vec![1], None));
        let of = |change: fn(&mut AuditFilter)| {
            let mut filter = AuditFilter::default();
            change(&mut filter);
            find(&filter, None, 9).0.len()
        };
        assert_eq!([of(|f| f.actor = "mira".into()), of(|f| f.actor = "mir".into())], [5, 0]);
        assert_eq!([of(|f| f.action = "hold".into()), of(|f| f.action = "%".into())], [5, 0]);
        assert_eq!([of(|f| f.object = "3".into()), of(|f| f.object = "%".into())], [1, 0]);
        let day = |text: &str| -> Option<Date> { Some(text.parse().unwrap()) };
        // All rows are of 2026-09-21.
        for (since, until, rows) in [
            (day("2026-09-21"), day("2026-09-21"), 5),
            (day("2026-09-22"), None, 0),
            (None, day("2026-09-20"), 0),
            (None, day("9999-12-31"), 5),
        ] {
            let filter = AuditFilter { since, until, ..AuditFilter::default() };
            assert_eq!(find(&filter, None, 9).0.len(), rows, "{filter:?}");
        }
    }
}
