//! What a check found, and how each finding is judged. Pure.

use jiff::{SignedDuration, Timestamp};
use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::commands::status::level::Level;
use crate::span::until;

/// Clocks this close together are in step: one request takes as long.
const SKEW_GOOD: SignedDuration = SignedDuration::from_secs(5);

/// The hub refuses signatures that are older or younger than this by its clock.
const SKEW_MAX: SignedDuration = SignedDuration::from_mins(1);

/// A certificate is renewed in its last third, which is a month for most; a week is late.
const CERTIFICATE_WARN: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Less than this and nobody may be there to renew it.
const CERTIFICATE_FAIL: SignedDuration = SignedDuration::from_hours(3 * 24);

/// Life of an offline role: a year.
const ROLE_LIFE: SignedDuration = SignedDuration::from_hours(365 * 24);

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// As it should be.
    Ok,
    /// Not looked at, and why.
    Skipped,
    /// It works; somebody should look at it.
    Warn,
    /// It does not.
    Fail,
}

impl Outcome {
    /// The word for tables.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// What was looked at.
    #[serde(rename = "check")]
    pub(super) name: &'static str,
    /// How it is.
    pub(super) outcome: Outcome,
    /// One line for people.
    pub(super) message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
}

impl Check {
    fn new(name: &'static str, outcome: Outcome, message: impl Into<String>) -> Self {
        Self { name, outcome, message: message.into(), hint: None }
    }

    pub(super) fn ok(name: &'static str, message: impl Into<String>) -> Self {
        Self::new(name, Outcome::Ok, message)
    }

    pub(super) fn skipped(name: &'static str, message: impl Into<String>) -> Self {
        Self::new(name, Outcome::Skipped, message)
    }

    pub(super) fn warn(name: &'static str, message: impl Into<String>) -> Self {
        Self::new(name, Outcome::Warn, message)
    }

    pub(super) fn fail(name: &'static str, message: impl Into<String>) -> Self {
        Self::new(name, Outcome::Fail, message)
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The transport, and the certificate where there is one.
pub(super) fn tls(server: &Url, expires: Option<Timestamp>, now: Timestamp) -> Check {
    let name = "tls";
    if server.scheme() != "https" {
        return if offline_mirror::is_open(server) {
            Check::warn(name, "plain HTTP from another machine")
                .hint("give the hub a certificate (docs/access.md#tls); no token should go there")
        } else {
            Check::ok(name, "plain HTTP on this machine")
        };
    }
    let Some(expires) = expires else {
        return Check::ok(name, "verified; its end cannot be read");
    };
    let left = expires.duration_since(now);
    let found =
        format!("verified; the certificate is good until {expires} ({})", until(expires, now));
    let renew = "renew it; the hub takes a new file without a restart";
    if left < CERTIFICATE_FAIL {
        Check::fail(name, found).hint(renew)
    } else if left < CERTIFICATE_WARN {
        Check::warn(name, found).hint(renew)
    } else {
        Check::ok(name, found)
    }
}

/// The hub's clock against ours, read at about the same moment.
pub(super) fn clock(theirs: Timestamp, ours: Timestamp) -> Check {
    let skew = theirs.duration_since(ours);
    let amount = skew.abs();
    let side = if skew.is_negative() { "behind" } else { "ahead of" };
    let found = format!("{} s {side} this machine's clock", amount.as_secs());
    let hint = "which of the two is wrong? agents sign with their clock, and the hub refuses more \
                than a minute";
    if amount <= SKEW_GOOD {
        Check::ok("clock", "in step with this machine's clock")
    } else if amount <= SKEW_MAX {
        Check::warn("clock", found).hint(hint)
    } else {
        Check::fail("clock", found).hint(hint)
    }
}

/// Answer of `/readyz`.
#[derive(Debug, Deserialize)]
struct Readiness {
    #[serde(default)]
    reasons: Vec<channels::wire::Reason>,
}

/// `/readyz`: with its own reasons where it is not.
pub(super) fn ready(status: u16, body: &[u8]) -> Check {
    if status == 200 {
        return Check::ok("ready", "what it serves is fresh, and reports can be committed");
    }
    let said = serde_json::from_slice::<Readiness>(body).map(|answer| answer.reasons);
    let reasons = said.unwrap_or_default();
    let told: Vec<String> =
        reasons.iter().map(|reason| format!("{}: {}", reason.code, reason.message)).collect();
    let text = if told.is_empty() { format!("/readyz answers {status}") } else { told.join("; ") };
    Check::fail("ready", text).hint("docs/operations.md#is-it-well says what each reason means")
}

/// The hub's version against this tool's.
pub(super) fn version(theirs: &str, ours: &str) -> Check {
    let parts = |text: &str| {
        let mut parts = text.split(['.', '-', '+']).map_while(|part| part.parse::<u64>().ok());
        Some((parts.next()?, parts.next()?))
    };
    let found = format!("hub {theirs}, this tool {ours}");
    match (parts(theirs), parts(ours)) {
        (Some((major, minor)), Some((own_major, own_minor)))
            if major == own_major && minor.abs_diff(own_minor) <= 2 =>
        {
            Check::ok("version", found)
        }
        _ => Check::warn("version", found)
            .hint("hub, agents and tools work together up to two minor releases apart"),
    }
}

/// The end of what is served as a whole.
pub(super) fn metadata(root: Option<u64>, expires: Option<Timestamp>, now: Timestamp) -> Check {
    let name = "metadata";
    let Some(root) = root else {
        return Check::fail(name, "nothing has been published")
            .hint("fairway init makes root 1, fairway publish the rest");
    };
    match expires {
        Some(expires) if expires <= now => {
            Check::fail(name, format!("root {root}; it expired at {expires}: agents refuse it"))
                .hint("fairway status says which role, and what to do")
        }
        Some(expires) => {
            Check::ok(name, format!("root {root}; good until {expires} ({})", until(expires, now)))
        }
        None => {
            Check::warn(name, format!("root {root}; the hub does not say until when it is good"))
        }
    }
}

/// The end of each offline role.
pub(super) fn roles(roles: &[(String, Timestamp)], now: Timestamp) -> Check {
    let name = "expiries";
    let urgent =
        |(_, expires): &&(String, Timestamp)| Level::of(*expires, ROLE_LIFE, now).needs_a_person();
    let told = |(role, expires): &(String, Timestamp)| format!("{role} {}", until(*expires, now));
    let mut due: Vec<&(String, Timestamp)> = roles.iter().filter(urgent).collect();
    due.sort_by_key(|(_, expires)| *expires);
    let Some((_, first)) = due.first() else {
        let next = roles.iter().min_by_key(|(_, expires)| *expires);
        let next = next.map_or_else(|| "there are none".to_owned(), told);
        return Check::ok(name, format!("of the roles that people sign, the next: {next}"));
    };
    let text: Vec<String> = due.iter().map(|role| told(role)).collect();
    let hint = "fairway status DIR in the directory it is published from says who must sign";
    if *first <= now {
        Check::fail(name, text.join(", ")).hint(hint)
    } else {
        Check::warn(name, text.join(", ")).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const NOW: &str = "2026-05-01T12:00:00Z";

    #[test]
    fn a_certificate_is_judged_by_what_is_left() {
        let https: Url = "https://hub.example/".parse().unwrap();
        let of = |expires: &str| tls(&https, Some(at(expires)), at(NOW)).outcome;
        assert_eq!(of("2026-08-01T12:00:00Z"), Outcome::Ok);
        assert_eq!(of("2026-05-10T12:00:00Z"), Outcome::Warn);
        assert_eq!(of("2026-05-03T12:00:00Z"), Outcome::Fail);
        assert_eq!(tls(&https, None, at(NOW)).outcome, Outcome::Ok);
        let plain = |url: &str| tls(&url.parse().unwrap(), None, at(NOW)).outcome;
        assert_eq!(plain("http://127.0.0.1:8480/"), Outcome::Ok);
        assert_eq!(plain("http://hub.example/"), Outcome::Warn);
    }

    #[test]
    fn a_clock_that_is_more_than_a_minute_off_fails() {
        let of = |theirs: &str| clock(at(theirs), at(NOW));
        assert_eq!(of("2026-05-01T12:00:04Z").outcome, Outcome::Ok);
        assert_eq!(of("2026-05-01T11:59:30Z").outcome, Outcome::Warn);
        let fast = of("2026-05-01T12:02:00Z");
        assert_eq!(fast.outcome, Outcome::Fail);
        assert_eq!(fast.message, "120 s ahead of this machine's clock");
    }

    #[test]
    fn a_hub_that_is_not_ready_tells_why() {
        let body = br#"{"ready":false,"reasons":[{"code":"store_stalled","message":"no commit"}]}"#;
        assert_eq!(ready(503, body).message, "store_stalled: no commit");
        assert_eq!(ready(502, b"<html>").message, "/readyz answers 502");
        assert_eq!(ready(200, b"{}").outcome, Outcome::Ok);
    }

    #[test]
    fn versions_two_minors_apart_work_together() {
        assert_eq!(version("0.3.1", "0.1.0").outcome, Outcome::Ok);
        assert_eq!(version("0.4.0-rc.1", "0.1.0").outcome, Outcome::Warn);
        assert_eq!(version("1.1.0", "0.1.0").outcome, Outcome::Warn);
        assert_eq!(version("x", "0.1.0").outcome, Outcome::Warn);
    }

    #[test]
    fn what_expired_fails_and_what_expires_soon_is_named_first() {
        let role = |name: &str, expires: &str| (name.to_owned(), at(expires));
        let far = role("root", "2027-04-01T00:00:00Z");
        assert_eq!(roles(std::slice::from_ref(&far), at(NOW)).outcome, Outcome::Ok);
        let soon = role("acme", "2026-05-20T12:00:00Z");
        let sooner = role("targets", "2026-05-06T12:00:00Z");
        let found = roles(&[far.clone(), soon, sooner], at(NOW));
        assert_eq!(
            (found.outcome, found.message.as_str()),
            (Outcome::Warn, "targets 5d, acme 19d")
        );
        let gone = role("acme", "2026-04-01T12:00:00Z");
        assert_eq!(roles(&[far, gone], at(NOW)).outcome, Outcome::Fail);
        assert_eq!(metadata(None, None, at(NOW)).outcome, Outcome::Fail);
        assert_eq!(
            metadata(Some(1), Some(at("2026-05-01T11:00:00Z")), at(NOW)).outcome,
            Outcome::Fail
        );
    }
}
