//! Rules over the signed metadata that lies beside a channel repository.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::Deserialize;

use super::{Code, Finding, finding};

/// What is known of the newest metadata of one role.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expiry {
    /// The role's name.
    pub role: String,
    /// The file, relative to the repository's root.
    pub file: PathBuf,
    /// When clients begin to refuse it.
    pub expires: Timestamp,
    /// Whether so little of its life is left that it cannot wait for the next regular publication.
    pub urgent: bool,
    /// The command that renews it.
    pub next: String,
}

/// Finds what has expired or soon will.
pub fn lint_expiry(roles: &[Expiry], now: Timestamp) -> Vec<Finding> {
    let mut findings: Vec<Finding> = roles.iter().filter_map(|role| check(role, now)).collect();
    findings.sort();
    findings
}

fn check(role: &Expiry, now: Timestamp) -> Option<Finding> {
    let Expiry { role, file, expires, urgent, next } = role;
    let days = expires.duration_since(now).as_hours().div_euclid(24);
    let (code, message) = if *expires <= now {
        (Code::RoleExpired, format!("{role} expired at {expires}; renew it: {next}"))
    } else if *urgent {
        let message =
            format!("{role} expires at {expires}, {days} days from now; renew it: {next}");
        (Code::RoleExpiresSoon, message)
    } else {
        return None;
    };
    Some(finding(code, file, message))
}
