//! Settings of people's sign-in through an `OpenID` provider, and of their sessions.

use std::path::PathBuf;

use channels::rollout::Selector;
use reqwest::Url;
use serde::Deserialize;

use super::{ConfigError, in_range};
use crate::auth::{Access, Scope};

/// A working day.
const DEFAULT_SESSION_HOURS: u64 = 12;
/// Long enough for a meeting, short enough for a screen that was left alone.
const DEFAULT_IDLE_MINUTES: u64 = 60;
/// Rules from claims to roles; a fleet has a handful of groups.
const RULES_MAX: usize = 256;

/// `[oidc]` as a person may write it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcFragments {
    /// The provider's issuer identifier, an address; its discovery document is below it.
    pub issuer: String,
    /// This hub's name at the provider.
    pub client_id: String,
    /// File that holds the client's secret; without it the client is a public one.
    pub client_secret_file: Option<PathBuf>,
    /// PEM file of the authorities that the provider's certificate is checked against; the
    /// system's if absent.
    pub ca: Option<PathBuf>,
    /// Scopes asked for besides `openid`.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Claim that names a person in the audit log; `sub` if absent.
    pub name_claim: Option<String>,
    /// Hours a session lasts at most, 1 to 720.
    pub session_hours: Option<u64>,
    /// Minutes without a request after which it ends, 1 to 1,440.
    pub session_idle_minutes: Option<u64>,
    /// Who gets which role; the first rule that fits counts.
    #[serde(default)]
    pub roles: Vec<RoleFragment>,
}

/// One `[[oidc.roles]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleFragment {
    /// Claim of the ID token that is looked at.
    pub claim: String,
    /// What it must be, or hold if it is a list.
    pub value: String,
    /// The role given.
    pub access: Access,
    /// Only for these clusters, as `key=value,…`.
    pub selector: Option<String>,
}

/// Who gets which role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleRule {
    /// Claim of the ID token that is looked at.
    pub claim: String,
    /// What it must be, or hold if it is a list.
    pub value: String,
    /// The role given.
    pub access: Access,
    /// For which clusters.
    pub scope: Scope,
}

/// Sign-in with what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcSettings {
    /// The provider's issuer identifier, exactly as it must stand in its tokens.
    pub issuer: String,
    /// This hub's name at the provider.
    pub client_id: String,
    /// File that holds the client's secret.
    pub client_secret_file: Option<PathBuf>,
    /// PEM file of the authorities of the provider's certificate.
    pub ca: Option<PathBuf>,
    /// Scopes asked for, `openid` among them.
    pub scopes: Vec<String>,
    /// Claim that names a person.
    pub name_claim: String,
    /// Seconds a session lasts at most.
    pub session_s: i64,
    /// Seconds without a request after which it ends.
    pub idle_s: i64,
    /// Who gets which role; the first rule that fits counts.
    pub roles: Vec<RoleRule>,
}

impl TryFrom<OidcFragments> for OidcSettings {
    type Error = ConfigError;

    fn try_from(from: OidcFragments) -> Result<Self, ConfigError> {
        let invalid = |name, why: String| ConfigError::Invalid { name, why };
        safe_url("oidc.issuer", &from.issuer)?;
        if from.client_id.is_empty() {
            return Err(invalid("oidc.client_id", "it is empty".to_owned()));
        }
        if from.roles.is_empty() || from.roles.len() > RULES_MAX {
            let why = format!("nobody could sign in: give 1 to {RULES_MAX} `[[oidc.roles]]`");
            return Err(invalid("oidc.roles", why));
        }
        let mut scopes = vec!["openid".to_owned()];
        scopes.extend(from.scopes.into_iter().filter(|scope| scope != "openid"));
        if scopes.iter().any(|scope| scope.is_empty() || scope.contains(char::is_whitespace)) {
            return Err(invalid("oidc.scopes", "a scope is one word".to_owned()));
        }
        let hours = from.session_hours.unwrap_or(DEFAULT_SESSION_HOURS);
        let minutes = from.session_idle_minutes.unwrap_or(DEFAULT_IDLE_MINUTES);
        let seconds = |n: u64, each: i64| i64::try_from(n).unwrap_or(i64::MAX).saturating_mul(each);
        Ok(Self {
            issuer: from.issuer,
            client_id: from.client_id,
            client_secret_file: from.client_secret_file,
            ca: from.ca,
            scopes,
            name_claim: from.name_claim.unwrap_or_else(|| "sub".to_owned()),
            session_s: seconds(in_range("oidc.session_hours", hours, 1, 720)?, 3600),
            idle_s: seconds(in_range("oidc.session_idle_minutes", minutes, 1, 1_440)?, 60),
            roles: from.roles.into_iter().map(RoleRule::try_from).collect::<Result<_, _>>()?,
        })
    }
}

impl TryFrom<RoleFragment> for RoleRule {
    type Error = ConfigError;

    fn try_from(from: RoleFragment) -> Result<Self, ConfigError> {
        let invalid = |why: String| ConfigError::Invalid { name: "oidc.roles.selector", why };
        let scope = match from.selector {
            None => Scope::whole(),
            Some(text) => {
                let selector: Selector =
                    text.parse().map_err(|error: channels::rollout::SelectorError| {
                        invalid(error.to_string())
                    })?;
                Scope::of(text, selector)
            }
        };
        scope.fits(from.access).map_err(|error| invalid(error.to_string()))?;
        Ok(Self { claim: from.claim, value: from.value, access: from.access, scope })
    }
}

/// An address that a browser keeps secrets for: `https`, or `http` on this machine.
pub(super) fn safe_url(name: &'static str, text: &str) -> Result<Url, ConfigError> {
    let invalid = |why: &str| ConfigError::Invalid { name, why: format!("{text:?} {why}") };
    let url = Url::parse(text).map_err(|error| invalid(&format!("is no address: {error}")))?;
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => {}
        "http" if is_here => {}
        _ => return Err(invalid("must be https, or http on a loopback address")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("must not hold a user or password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("must not hold a query or fragment"));
    }
    Ok(url)
}
