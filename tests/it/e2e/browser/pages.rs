//! Every page, on every screen: it opens, nothing complains, everybody can use it.

use super::driver::{Browser, Screen};
use super::stage::Stage;

/// What the menu leads to.
pub(super) const MENU: [&str; 6] = ["/", "/rollouts", "/channels", "/sites", "/trust", "/audit"];
/// Where links to pages of one thing stand: the page, and how such a link begins.
const DETAILS: [(&str, &str); 3] =
    [("/", "/clusters/"), ("/rollouts", "/rollouts/"), ("/channels", "/channels/")];
/// Stops of the keyboard that are looked at on each page.
const TABS: u32 = 60;

/// Every page that a person comes to: those of the menu, and one of each kind that they lead to.
pub(super) fn all(browser: &mut Browser, hub: &str) -> Vec<String> {
    browser.goto(hub);
    let menu = browser.links("nav a");
    for page in MENU {
        assert!(menu.iter().any(|link| link == page), "{page} is not in the menu: {menu:?}");
    }
    let mut pages: Vec<String> = MENU.map(str::to_owned).into();
    for (page, beginning) in DETAILS {
        browser.goto(&format!("{hub}{page}"));
        let links = browser.links("main a");
        let first = links.iter().find(|link| link.starts_with(beginning) && !link.contains('?'));
        let first = first.unwrap_or_else(|| panic!("{page} leads to no {beginning}…: {links:?}"));
        pages.push(first.clone());
    }
    pages
}

/// What is wrong with the page that is open.
fn faults(browser: &mut Browser, screen: Screen) -> Vec<String> {
    let mut faults = Vec::new();
    for (one, least) in [("h1", 1), ("main", 1), ("nav", 1), ("[lang]", 1)] {
        let found = browser.count(one);
        if found < least || (one != "nav" && found > 1 && one != "[lang]") {
            faults.push(format!("{found} × {one}"));
        }
    }
    for sharp in ["[style]", "style", "script:not([src])", "[onclick]"] {
        let found = browser.count(sharp);
        if found > 0 {
            faults.push(format!("{found} × {sharp}, which the policy forbids"));
        }
    }
    if screen.has_script() {
        faults.extend(browser.tabs(TABS));
    }
    browser.unfold();
    faults.extend(browser.axe());
    faults.extend(browser.wide());
    faults.extend(browser.complaints());
    faults
}

#[test]
#[ignore = "needs chromium, node and npm's oidc-provider"]
fn browser_opens_every_page_on_every_screen_and_nothing_complains() {
    let mut stage = Stage::set();
    let mut found = Vec::new();
    for (_, screen) in Screen::EVERY {
        stage.sign_in(screen);
        let pages = all(&mut stage.browser, &stage.world.hub.url());
        for page in pages {
            let arrived = stage.browser.goto(&stage.url(&page));
            if arrived.status != 200 {
                found.push(format!("{screen} {page}: status {}", arrived.status));
                continue;
            }
            let faults = faults(&mut stage.browser, screen);
            found.extend(faults.into_iter().map(|fault| format!("{screen} {page}: {fault}")));
        }
    }
    assert!(found.is_empty(), "{} findings:\n{}", found.len(), found.join("\n"));
}
