//! The page over a really signed repository.

use askama::Template as _;
use jiff::Timestamp;

use super::Online;
use super::facts::TrustFacts;
use super::view::TrustPage;
use crate::catalog::Catalog;
use crate::http::dashboard::shell::{Live, Place, Shell};
use crate::http::dashboard::visitor::Visitor;
use crate::publish::OnlineRole;
use crate::publish::fixture::{Fixture, hours, open, t0};

fn served() -> (tempfile::TempDir, Catalog) {
    let dir = tempfile::tempdir().unwrap();
    let (publisher, catalog) = open(dir.path(), t0());
    publisher.publish(Fixture::new().publication(), t0()).unwrap();
    (dir, catalog)
}

fn read(catalog: &Catalog) -> TrustFacts {
    TrustFacts::read(&|name| catalog.tuf_file(name).map(|file| file.bytes))
}

fn html(catalog: &Catalog, facts: Option<&TrustFacts>, now: Timestamp) -> String {
    let visitor = Visitor::sample(now, "/trust", "");
    let shell = Shell::new(&visitor, &catalog.status(now), Place::Trust, "Trust", Live::No);
    let online =
        [Online { role: OnlineRole::Timestamp, key: "aa".to_owned(), next: Some("bb".to_owned()) }];
    TrustPage::new(shell, facts, &online, now).render().unwrap()
}

#[test]
fn every_role_that_is_served_is_read_with_its_keys_and_who_signed() {
    let (_dir, catalog) = served();
    let facts = read(&catalog);
    assert_eq!(facts.unread, Vec::<String>::new());
    let names: Vec<&str> = facts.roles.iter().map(|role| role.name.as_str()).collect();
    for name in
        ["root", "targets", "snapshot", "timestamp", "acme", "acme.releases", "acme.channels"]
    {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    let served = catalog.served();
    let expires = &served.published.as_ref().unwrap().versions.expires;
    for role in &facts.roles {
        assert_eq!(expires.get(&role.name), Some(&role.expires), "{}", role.name);
        let signed = role.keys.iter().filter(|key| key.signed).count();
        assert!(u64::try_from(signed).unwrap() >= role.threshold, "{role:?}");
    }
    let by = |name: &str| facts.roles.iter().find(|r| r.name == name).unwrap().by.clone().unwrap();
    assert_eq!([by("acme"), by("acme.releases"), by("snapshot")], ["targets", "acme", "root"]);
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_the_rest_is_shown() {
    let (_dir, catalog) = served();
    let facts = TrustFacts::read(&|name| {
        catalog.tuf_file(name).map(|file| file.bytes).filter(|_| !name.contains("acme.releases"))
    });
    assert!(facts.unread.len() == 1 && facts.unread[0].contains("acme.releases"), "{facts:?}");
    assert!(facts.roles.iter().any(|role| role.name == "acme.channels"));
    assert!(html(&catalog, Some(&facts), t0()).contains("cannot be read"));
}

#[test]
fn the_role_that_ends_first_is_the_one_people_sign_next_and_the_hubs_own_are_not_theirs() {
    let (_dir, catalog) = served();
    let facts = read(&catalog);
    let soonest = facts
        .roles
        .iter()
        .filter(|role| !["snapshot", "timestamp"].contains(&role.name.as_str()))
        .min_by_key(|role| role.expires)
        .unwrap();
    let page = html(&catalog, Some(&facts), t0());
    assert!(page.contains(&format!("<strong>{}</strong> ends first", soonest.name)), "{page}");
    assert!(!page.contains("ends within"), "all of it is good for long");
    let late = soonest.expires - jiff::SignedDuration::from_hours(24 * 3);
    let page = html(&catalog, Some(&facts), late);
    assert!(page.contains("ends within 7 days"), "{page}");
    let page = html(&catalog, Some(&facts), hours(24 * 5000));
    assert!(page.contains("<span class=\"pill bad\">expired</span>"), "{page}");
}

#[test]
fn keys_of_the_hub_are_shown_with_what_waits_and_an_empty_hub_says_how_to_begin() {
    let dir = tempfile::tempdir().unwrap();
    let (_publisher, catalog) = open(dir.path(), t0());
    let page = html(&catalog, None, t0());
    assert!(page.contains("fairway init DIR --server URL"), "{page}");
    assert!(page.contains("bb</td>") && page.contains("fairway rotate timestamp DIR"), "{page}");
}
