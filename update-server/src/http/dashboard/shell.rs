//! What all pages share: where one is, who one is, how the repository is, and how a page stays up to
//! date.

use form_urlencoded::{Serializer, parse};
use jiff::Timestamp;

use super::visitor::Visitor;
use super::words::{self, Tone};
use crate::catalog::CatalogStatus;

/// Seconds after which a page loads itself anew unless its address says otherwise. With script it
/// does so when something happens, too.
const REFRESH_S: u32 = 15;
/// Longest interval taken from the address, seconds.
const REFRESH_MAX_S: u32 = 3600;
/// The parameter that says so; 0 is never.
const REFRESH: &str = "refresh";

/// The pages that lead on, in the order shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Fleet,
    Rollouts,
    Channels,
    Sites,
    Trust,
    Audit,
}

const PLACES: [(Place, &str, &str); 6] = [
    (Place::Fleet, "Fleet", "/"),
    (Place::Rollouts, "Rollouts", "/rollouts"),
    (Place::Channels, "Channels", "/channels"),
    (Place::Sites, "Sites", "/sites"),
    (Place::Trust, "Trust", "/trust"),
    (Place::Audit, "Audit", "/audit"),
];

impl Place {
    /// Its page.
    fn href(self) -> &'static str {
        PLACES.iter().find(|(place, ..)| *place == self).map_or("/", |(.., href)| *href)
    }

    /// The one that a path stands under, and what its link says.
    pub(super) fn above(path: &str) -> (&'static str, &'static str) {
        let below = |href: &str| path.strip_prefix(href).is_some_and(|rest| rest.starts_with('/'));
        let place = PLACES.iter().find(|(_, _, href)| *href != "/" && below(href));
        place.map_or(("Fleet", "/"), |(_, label, href)| (*label, *href))
    }
}

/// How a page keeps itself up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Live {
    /// Not at all: it holds a form that somebody fills in, or what never changes.
    No,
    /// At events of these kinds, separated by commas, as `/api/v1/events` takes them; and now and
    /// then in any case.
    On(&'static str),
}

/// Somebody who is signed in with this browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SignedIn {
    /// Their name.
    pub(super) name: String,
    /// The token of their pages, for forms.
    pub(super) csrf: String,
}

/// Who looks at a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Person {
    /// With a session.
    SignedIn(SignedIn),
    /// Anybody, and there is somewhere to sign in.
    MaySignIn,
    /// With a token, or anybody where nobody signs in.
    Nobody,
}

/// A link to a page.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) label: &'static str,
    pub(super) href: &'static str,
    pub(super) current: bool,
}

/// How the signatures of the repository are.
#[derive(Debug, Clone)]
pub(super) struct Repository {
    pub(super) tone: Tone,
    pub(super) text: String,
    pub(super) expires: Option<When>,
}

/// A time for people, with the exact one beside it.
#[derive(Debug, Clone)]
pub(super) struct When {
    pub(super) exact: String,
    pub(super) relative: String,
}

impl When {
    /// A time as seen from now.
    pub(super) fn new(now: Timestamp, at: Timestamp) -> Self {
        Self { exact: at.to_string(), relative: words::relative(now, at) }
    }
}

/// How the page is loaded anew.
#[derive(Debug, Clone)]
pub(super) struct Refresh {
    /// The page itself.
    pub(super) here: String,
    /// The stream that says when; `None` for those who may not hear it.
    pub(super) events: Option<String>,
    /// Kinds of events on it, separated by commas.
    pub(super) kinds: &'static str,
    /// In any case after so many seconds; 0 is never.
    pub(super) every_s: u32,
    /// The same page the other way: paused, or going on.
    pub(super) toggle: String,
}

/// The frame of a page; `base.html` draws it.
#[derive(Debug, Clone)]
pub(super) struct Shell {
    /// Of the tab.
    pub(super) title: String,
    /// The one first heading.
    pub(super) heading: String,
    pub(super) nav: Vec<Item>,
    person: Person,
    pub(super) at: String,
    pub(super) at_short: String,
    /// Told to those who may read.
    pub(super) repository: Option<Repository>,
    pub(super) hub_version: &'static str,
    pub(super) refresh: Option<Refresh>,
}

impl Shell {
    /// The frame of the page that a visitor opened. `place` is the item of the navigation that it
    /// stands under.
    pub(super) fn new(
        visitor: &Visitor,
        status: &CatalogStatus,
        place: Place,
        heading: &str,
        live: Live,
    ) -> Self {
        let (path, query) = (visitor.path.as_str(), visitor.query.as_str());
        let refresh = match live {
            Live::No => None,
            Live::On(kinds) => Some(refresh(path, query, kinds, visitor.scope.is_whole())),
        };
        let mut shell = Self::bare(visitor.person.clone(), visitor.at, heading);
        for item in &mut shell.nav {
            item.current = item.href == place.href();
        }
        Self { repository: Some(repository(status, visitor.at)), refresh, ..shell }
    }

    /// The frame for somebody who may read nothing, maybe: it tells nothing of the hub.
    pub(super) fn bare(person: Person, at: Timestamp, heading: &str) -> Self {
        Self {
            title: format!("{heading} · Fairway"),
            heading: heading.to_owned(),
            nav: PLACES.map(|(_, label, href)| Item { label, href, current: false }).to_vec(),
            person,
            at: at.to_string(),
            at_short: at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
            repository: None,
            hub_version: env!("CARGO_PKG_VERSION"),
            refresh: None,
        }
    }

    /// The same with another title: what a tab says from afar.
    pub(super) fn titled(self, title: String) -> Self {
        Self { title, ..self }
    }

    /// Who is signed in.
    pub(super) fn signed_in(&self) -> Option<&SignedIn> {
        match &self.person {
            Person::SignedIn(signed_in) => Some(signed_in),
            Person::MaySignIn | Person::Nobody => None,
        }
    }

    /// Whether there is somewhere to sign in, and nobody has.
    pub(super) fn may_sign_in(&self) -> bool {
        self.person == Person::MaySignIn
    }

    /// The token that a form of this page carries; empty without a session.
    pub(super) fn csrf(&self) -> &str {
        self.signed_in().map_or("", |signed_in| &signed_in.csrf)
    }
}

fn refresh(path: &str, query: &str, kinds: &'static str, hears: bool) -> Refresh {
    let every_s = parse(query.as_bytes())
        .find(|(key, _)| key == REFRESH)
        .and_then(|(_, value)| value.parse().ok())
        .map_or(REFRESH_S, |seconds: u32| seconds.min(REFRESH_MAX_S));
    let address = |with: Option<&str>| {
        let mut to = Serializer::new(String::new());
        to.extend_pairs(parse(query.as_bytes()).filter(|(key, _)| key != REFRESH));
        if let Some(value) = with {
            to.append_pair(REFRESH, value);
        }
        let query = to.finish();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    };
    let events = (hears && every_s > 0).then(|| format!("/api/v1/events?kinds={kinds}"));
    Refresh {
        here: address(None),
        events,
        kinds,
        every_s,
        toggle: address((every_s > 0).then_some("0")),
    }
}

fn repository(status: &CatalogStatus, now: Timestamp) -> Repository {
    let (tone, text) = match (status.root_version, &status.stale) {
        (None, _) => (Tone::Mute, "nothing published".to_owned()),
        (Some(root), Some(_)) => (Tone::Bad, format!("root {root} · expired")),
        (Some(root), None) => (Tone::Good, format!("root {root} · signed")),
    };
    let expires = status.expires.map(|expires| When::new(now, expires));
    Repository { tone, text, expires }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refreshing_can_be_paused_and_set_and_keeps_the_rest_of_the_address() {
        for (query, every_s, toggle) in [
            ("", REFRESH_S, "/x?refresh=0"),
            ("refresh=0", 0, "/x"),
            ("a=1&refresh=30&b=%26", 30, "/x?a=1&b=%26&refresh=0"),
            ("a=1&refresh=0", 0, "/x?a=1"),
            ("refresh=x", REFRESH_S, "/x?refresh=0"),
            ("refresh=99999", REFRESH_MAX_S, "/x?refresh=0"),
        ] {
            let refresh = refresh("/x", query, "fleet", true);
            assert_eq!((refresh.every_s, refresh.toggle.as_str()), (every_s, toggle), "{query}");
            assert_eq!(refresh.events.is_some(), every_s > 0, "{query}");
        }
        let address = "/x?name=%22%3E%3Cscript%3E";
        assert_eq!(refresh("/x", "name=%22%3e%3cscript%3E", "fleet", true).here, address);
    }

    #[test]
    fn those_who_may_not_hear_the_stream_are_not_sent_there() {
        assert_eq!(refresh("/x", "", "fleet", false).events, None);
        let heard = refresh("/x", "", "fleet,hold", true).events;
        assert_eq!(heard.as_deref(), Some("/api/v1/events?kinds=fleet,hold"));
    }
}
