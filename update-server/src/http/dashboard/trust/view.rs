//! From the facts to what the template prints.

use askama::Template;
use jiff::{SignedDuration, Timestamp};
use signing::TopRole;

use super::Online;
use super::facts::{RoleFacts, TrustFacts};
use crate::http::dashboard::shell::Shell;
use crate::http::dashboard::words::{self, Pill, Tone, count};

/// With so little left, people who hold keys must be found at once.
const URGENT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// With so little left, it is time to ask them.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Characters of a key's id that people compare.
const SHORT_ID: usize = 12;

/// The page.
#[derive(Debug, Template)]
#[template(path = "trust.html")]
pub(super) struct TrustPage {
    shell: Shell,
    next: Option<Next>,
    roles: Vec<Role>,
    online: Vec<OnlineKey>,
    unread: Vec<String>,
}

/// Who must sign next.
#[derive(Debug)]
struct Next {
    tone: Tone,
    role: String,
    when: String,
    who: String,
    how: Vec<&'static str>,
}

#[derive(Debug)]
struct Role {
    name: String,
    kind: &'static str,
    version: u64,
    expires: String,
    exact: String,
    pill: Pill,
    by: String,
    threshold: String,
    keys: Vec<Key>,
    paths: String,
    how: Vec<&'static str>,
}

#[derive(Debug)]
struct Key {
    id: String,
    short: String,
    scheme: &'static str,
    signed: bool,
}

#[derive(Debug)]
struct OnlineKey {
    role: &'static str,
    key: String,
    next: Option<String>,
    command: String,
}

/// Who keeps the keys of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    Root,
    Hub,
    Targets,
    Vendor,
    Nobody,
}

impl Holder {
    fn of(role: &RoleFacts) -> Self {
        let name = role.name.as_str();
        if role.by.is_none() {
            Self::Nobody
        } else if name == TopRole::Root.as_str() {
            Self::Root
        } else if name == TopRole::Targets.as_str() {
            Self::Targets
        } else if [TopRole::Snapshot, TopRole::Timestamp].iter().any(|top| top.as_str() == name) {
            Self::Hub
        } else {
            Self::Vendor
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Root => "offline, everything begins here",
            Self::Hub => "online, the hub renews it by itself",
            Self::Targets => "offline, says which vendors there are",
            Self::Vendor => "the vendor's",
            Self::Nobody => "revoked: nobody delegates to it, and no client reads it",
        }
    }

    /// What renews it.
    fn how(self) -> Vec<&'static str> {
        match self {
            Self::Root => vec![
                "fairway root new DIR --renew",
                "fairway root sign REQUEST --key FILE",
                "fairway root publish DIR REQUEST",
            ],
            Self::Targets | Self::Vendor => vec![
                "fairway publish DIR --out-requests DIR",
                "fairway request sign REQUEST --key FILE",
                "fairway publish DIR --signed REQUEST",
            ],
            Self::Hub | Self::Nobody => Vec::new(),
        }
    }
}

impl TrustPage {
    pub(super) fn new(
        shell: Shell,
        facts: Option<&TrustFacts>,
        online: &[Online],
        now: Timestamp,
    ) -> Self {
        let mut sorted: Vec<&RoleFacts> = facts.iter().flat_map(|facts| &facts.roles).collect();
        // What is revoked needs nobody, however soon it ends.
        sorted.sort_by_key(|role| (role.by.is_none(), role.expires));
        let people = |role: &&&RoleFacts| match Holder::of(role) {
            Holder::Root | Holder::Targets | Holder::Vendor => true,
            Holder::Hub | Holder::Nobody => false,
        };
        Self {
            shell,
            next: sorted.iter().find(people).map(|role| next(role, now)),
            roles: sorted.iter().map(|facts| role(facts, now)).collect(),
            online: online.iter().map(online_key).collect(),
            unread: facts.map(|facts| facts.unread.clone()).unwrap_or_default(),
        }
    }
}

fn next(role: &RoleFacts, now: Timestamp) -> Next {
    let keys = role.keys.len();
    Next {
        tone: pill(role.expires, now).tone,
        role: role.name.clone(),
        when: words::relative(now, role.expires),
        who: format!("{} of {} must sign", role.threshold, count(keys, "key")),
        how: Holder::of(role).how(),
    }
}

fn pill(expires: Timestamp, now: Timestamp) -> Pill {
    let left = expires.duration_since(now);
    if left <= SignedDuration::ZERO {
        Pill::new(Tone::Bad, "expired")
    } else if left <= URGENT {
        Pill::new(Tone::Bad, "ends within 7 days")
    } else if left <= SOON {
        Pill::new(Tone::Warn, "ends within 30 days")
    } else {
        Pill::new(Tone::Good, "signed")
    }
}

fn role(facts: &RoleFacts, now: Timestamp) -> Role {
    let holder = Holder::of(facts);
    let is_past = facts.expires <= now;
    let pill = match holder {
        Holder::Nobody => Pill::new(Tone::Mute, "revoked"),
        // Days are what it lives for: it is renewed long before.
        Holder::Hub if !is_past => Pill::new(Tone::Good, "signed"),
        Holder::Hub | Holder::Root | Holder::Targets | Holder::Vendor => pill(facts.expires, now),
    };
    let key = |key: &super::facts::KeyFacts| Key {
        short: key.id.chars().take(SHORT_ID).collect(),
        id: key.id.clone(),
        scheme: key.scheme,
        signed: key.signed,
    };
    Role {
        name: facts.name.clone(),
        kind: holder.words(),
        version: facts.version,
        expires: words::relative(now, facts.expires),
        exact: facts.expires.to_string(),
        by: facts.by.clone().unwrap_or_else(|| "nobody".to_owned()),
        threshold: if facts.keys.is_empty() {
            "–".to_owned()
        } else {
            format!("{} of {}", facts.threshold, facts.keys.len())
        },
        keys: facts.keys.iter().map(key).collect(),
        paths: facts.paths.join(", "),
        how: if pill.tone == Tone::Good { Vec::new() } else { holder.how() },
        pill,
    }
}

fn online_key(online: &Online) -> OnlineKey {
    OnlineKey {
        role: online.role.as_str(),
        key: online.key.clone(),
        next: online.next.clone(),
        command: format!("fairway rotate {} DIR", online.role.as_str()),
    }
}
