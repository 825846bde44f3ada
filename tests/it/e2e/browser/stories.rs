//! What people come for: find a cluster, take the list away, stop a release and let it go on, see
//! what a risk is about. With JavaScript, and the same without.

use std::collections::BTreeSet;

use channels::wire::{Page, RolloutState};

use super::driver::Screen;
use super::pages;
use super::stage::{RISK, Stage};
use crate::e2e::process::eventually;
use crate::e2e::world::KAFKA;

/// Rows of the list of clusters.
const ROWS: &str = "main table.fleet tbody th a[href^='/clusters/']";
/// The button of the form that a page is about.
const SEND: &str = "main form[method=post] button[type=submit]";
/// Who is signed in.
const MIRA: &str = "sso:mira";

impl Stage {
    /// Opens a form by its link, says why, and sends it; where that leads must be well.
    fn send(&mut self, link: &str, reason: &str) {
        let browser = &mut self.browser;
        assert_eq!(browser.follow(&format!("main a.button:has-text('{link}')")).status, 200);
        let what = browser.text("main dl, main ul");
        assert!(!what.trim().is_empty(), "{link} does not say what it does before it does it");
        browser.fill("main form [name=reason]", reason);
        let arrived = browser.follow(SEND);
        let said = browser.text("main");
        assert_eq!(arrived.status, 200, "{link}: {said}");
        let here = format!("/rollouts/{}", self.rollout);
        assert!(arrived.url.contains(&here), "{link} leads to {}: {said}", arrived.url);
    }

    /// Holds the rollout and lets it go on, by the forms of its page.
    fn holds_and_resumes(&mut self) {
        let page = self.url(&format!("/rollouts/{}", self.rollout));
        self.browser.goto(&page);
        self.send("Hold", "a look at the canaries");
        let held = eventually("it is held", || {
            let row = self.row()?;
            if row.holds.is_empty() { Err(format!("{row:#?}")) } else { Ok(row) }
        });
        assert_eq!(held.holds[0].by, MIRA);
        let shown = self.browser.text("main");
        assert!(shown.contains("a look at the canaries"), "the page does not say why: {shown}");
        self.send("Resume", "the canaries are well");
        let row = self.row().expect("a rollout");
        assert!(row.holds.is_empty(), "{row:#?}");
        let audit = self.url("/audit");
        self.browser.goto(&audit);
        assert!(self.browser.text("main").contains(MIRA), "nobody wrote it down");
    }
}

/// The first column of a list in CSV, without its heading.
fn first_column(csv: &str) -> Vec<&str> {
    csv.lines().skip(1).filter_map(|line| line.split(',').next()).collect()
}

#[test]
#[ignore = "needs chromium, node and npm's oidc-provider"]
fn browser_finds_a_cluster_and_exports_what_the_api_says() {
    let mut stage = Stage::set();
    stage.sign_in(Screen::WIDE);
    stage.browser.click("#filter > summary");
    stage.browser.fill("main form[method=get] [name=name]", "shop");
    let arrived = stage.browser.follow("main form[method=get] button[type=submit]");
    assert!(arrived.url.contains("name=shop"), "not a link to share: {}", arrived.url);
    // A cluster has a row for each of its products.
    let rows = BTreeSet::from_iter(stage.browser.links(ROWS));
    assert_eq!(rows.len(), 4, "{rows:?}");
    let exported = stage.browser.download("main a[href*='clusters'][href*='format=csv']");
    let asked = "/api/v1/clusters?name=shop&format=csv";
    let answer = stage.world.hub.request("GET", asked, &[], &[]).expect("an answer").text();
    assert_eq!(exported.lines().next(), answer.lines().next(), "other columns");
    assert_eq!(first_column(&exported), first_column(&answer));
    let all = stage.browser.download("main a[href*='clusters'][href*='format=ndjson']");
    assert!(all.contains("shop-1") && !all.contains("canary-1"), "{all}");

    let arrived = stage.browser.follow(&format!("{ROWS} >> nth=0"));
    assert_eq!(arrived.status, 200);
    let name = stage.browser.text("h1");
    assert!(name.contains("shop-"), "{name}");
    let shown = stage.browser.text("main");
    assert!(shown.contains(KAFKA[0]), "it does not say what it runs: {shown}");
    let faults = stage.browser.complaints();
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
#[ignore = "needs chromium, node and npm's oidc-provider"]
fn browser_holds_resumes_and_approves_a_rollout_and_sees_it_go() {
    let mut stage = Stage::set();
    stage.sign_in(Screen::WIDE);
    stage.holds_and_resumes();
    let page = stage.url(&format!("/rollouts/{}", stage.rollout));
    stage.browser.goto(&page);
    stage.send("Approve", "the canaries are well");
    eventually("everybody is there", || {
        let row = stage.row()?;
        if row.state == RolloutState::Converged { Ok(()) } else { Err(format!("{row:#?}")) }
    });
    // Nobody loads the page again: it hears of it.
    stage.browser.wait("#live h2 .pill", RolloutState::Converged.as_str());
    let faults = stage.browser.complaints();
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
#[ignore = "needs chromium, node and npm's oidc-provider"]
fn browser_opens_a_risk_on_the_graph() {
    let mut stage = Stage::set();
    stage.sign_in(Screen::WIDE);
    let page = stage.url("/channels");
    stage.browser.goto(&page);
    stage.browser.follow("main a[href='/channels/acme/kafka/stable-4/amd64']");
    assert_eq!(stage.browser.count("main section.detail"), 0, "nothing is picked yet");
    let edges = stage.browser.links("main svg a");
    let risky = edges.iter().find(|link| link.contains("4.2.0") && link.contains("4.3.1"));
    let risky = risky.unwrap_or_else(|| panic!("the edge is not drawn: {edges:?}"));
    // The picture is a way for the keyboard as well.
    stage.browser.enter(&format!("main svg a[href='{risky}']"));
    let shown = stage.browser.text("main section.detail");
    for words in [RISK, "Compaction of large topics takes hours", "group(large_topics > 0)"] {
        assert!(shown.contains(words), "{words} is not said: {shown}");
    }
    let faults = stage.browser.complaints();
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
#[ignore = "needs chromium, node and npm's oidc-provider"]
fn browser_without_javascript_reads_every_page_and_sends_forms() {
    let mut stage = Stage::set();
    let screen = Screen::WIDE.without_script();
    stage.sign_in(screen);
    for page in pages::all(&mut stage.browser, &stage.world.hub.url()) {
        let url = stage.url(&page);
        assert_eq!(stage.browser.goto(&url).status, 200, "{page}");
        let shown = stage.browser.text("main");
        assert!(shown.len() > 100, "{page} says nothing: {shown}");
        let faults = stage.browser.complaints();
        assert!(faults.is_empty(), "{page}: {faults:?}");
    }
    stage.holds_and_resumes();
    // Signing out is a form as well.
    stage.browser.follow("header form button");
    let page: Result<Page<channels::wire::ClusterRow>, _> = stage.world.hub.get("/api/v1/clusters");
    assert_eq!(page.expect("the list").items.len(), 6, "only the person is gone");
    assert!(stage.browser.text("body").contains("signed out"));
}
