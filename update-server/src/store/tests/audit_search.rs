//! The audit log is searched alike in every kind of database.

use jiff::civil::Date;

use super::super::audit::{AuditFilter, Event, append, head, search};
use super::*;

/// Actor, action, object and second of each row beyond the hub's own, oldest first.
const ROWS: [(&str, &str, &str, i64); 6] = [
    ("mira", "hold", "hold/1", 0),
    ("mira", "hold", "hold/10", 1),
    ("o'neil", "resume", "hold/1", 2),
    ("cluster-ü", "grant", "cluster/süd-1", 3),
    ("cluster-ü", "grant", "cluster/süd-2", 86_400),
    ("%", "grant", "100%_sure\\", 86_401),
];

/// A hub's database with these rows in its log.
fn log() -> (Hub, Db) {
    let hub = Hub::new();
    let db = hub.place.connection();
    let mut end = head(&db).unwrap();
    for (actor, action, object, second) in ROWS {
        let event = Event {
            at: at(NOW + second),
            actor: actor.to_owned(),
            action,
            object: object.to_owned(),
            detail: serde_json::json!({}),
        };
        append(&db, &mut end, &event).unwrap();
    }
    (hub, db)
}

fn filter(change: impl FnOnce(&mut AuditFilter)) -> AuditFilter {
    let mut filter = AuditFilter::default();
    change(&mut filter);
    filter
}

#[test]
fn objects_are_found_by_their_begin_and_all_else_as_it_is() {
    let (_hub, db) = log();
    let objects = |filter: &AuditFilter| -> Vec<String> {
        let found = search(&db, filter, None, 100).unwrap();
        found.rows.into_iter().map(|row| row.object).rev().collect()
    };
    let of_object = |begin: &str| objects(&filter(|f| f.object = begin.to_owned()));
    assert_eq!(of_object("hold/1"), ["hold/1", "hold/10", "hold/1"]);
    assert_eq!(of_object("hold/10"), ["hold/10"]);
    assert_eq!(of_object("cluster/sü"), ["cluster/süd-1", "cluster/süd-2"], "letters, not bytes");
    assert_eq!(of_object("100%"), ["100%_sure\\"]);
    for nobody in ["%", "old/1", "HOLD", "_old", "hold/1 or more", "'; --", "\\"] {
        assert_eq!(of_object(nobody), [""; 0], "{nobody}");
    }
    assert_eq!(objects(&filter(|f| f.actor = "o'neil".to_owned())), ["hold/1"]);
    assert_eq!(objects(&filter(|f| f.actor = "%".to_owned())), ["100%_sure\\"]);
    let both = filter(|f| (f.action, f.object) = ("grant".to_owned(), "cluster/".to_owned()));
    assert_eq!(objects(&both), ["cluster/süd-1", "cluster/süd-2"]);
}

#[test]
fn days_and_pages_cut_where_they_say() {
    let (_hub, db) = log();
    // The hub's own rows come first, and there may be none.
    let own = head(&db).unwrap().id() - 6;
    let ids = |filter: &AuditFilter, before, limit| {
        let found = search(&db, filter, before, limit).unwrap();
        (found.rows.into_iter().map(|row| row.id - own).collect::<Vec<_>>(), found.go_on)
    };
    let day = |text: &str| -> Option<Date> { Some(text.parse().unwrap()) };
    // The first four are of 2026-09-21, the others of the day after.
    let second_day = filter(|f| f.since = day("2026-09-22"));
    assert_eq!(ids(&second_day, None, 100).0, [6, 5]);
    let mira = |f: &mut AuditFilter| f.actor = "mira".to_owned();
    let first_day = filter(|f| (f.until, f.action) = (day("2026-09-21"), "grant".to_owned()));
    assert_eq!(ids(&first_day, None, 100).0, [4]);
    assert_eq!(ids(&filter(mira), None, 1), (vec![2], Some(own + 2)));
    assert_eq!(ids(&filter(mira), Some(own + 2), 100).0, [1]);
}
