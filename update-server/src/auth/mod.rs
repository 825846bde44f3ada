//! Who may do what: API tokens and sessions, their access and the clusters it is for.
//!
//! A token is 256 random bits shown once; the hub keeps its SHA-256 and looks tokens up by that
//! hash, so comparing leaks nothing about a secret. Never passwords, never in logs.

mod activity;
mod scope;
mod session;
mod table;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use signing::Sha256Digest;

pub use activity::{Activity, Used, day_of};
pub use scope::{Scope, Unconfinable};
pub use session::{SESSIONS_MAX, SessionRecord, SessionTable};
pub use table::{Numbered, SecretTable};

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Read.
    Viewer,
    /// Read; hold, resume, invite, retire.
    Operator,
    /// Read; publish.
    Publisher,
    /// Everything, and tokens.
    Admin,
}

impl Access {
    /// Whether a token of this access may do what `needed` may do. Operator and publisher are
    /// not in each other: who steers a fleet need not be who releases.
    pub fn allows(self, needed: Self) -> bool {
        self == Self::Admin || self == needed || needed == Self::Viewer
    }

    /// The name used on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Publisher => "publisher",
            Self::Admin => "admin",
        }
    }

    /// Reads the name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Viewer, Self::Operator, Self::Publisher, Self::Admin]
            .into_iter()
            .find(|access| access.as_str() == name)
    }
}

impl std::fmt::Display for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which kind of secret a text is; the prefix lets scanners find leaked ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKind {
    /// An API token of a person or a pipeline.
    Api,
    /// A join token of clusters.
    Join,
    /// The cookie of somebody who signed in.
    Session,
    /// The cookie of a sign-in that is under way.
    SignIn,
}

impl SecretKind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Api => "fw_",
            Self::Join => "fwj_",
            Self::Session => "fws_",
            Self::SignIn => "fwl_",
        }
    }
}

/// A token as its holder has it. Debug never shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Random bytes in a token: 256 bits make guessing and hashing trade-offs irrelevant.
    const BYTES: usize = 32;
    /// Those bytes in base64url without padding.
    const CHARS: usize = 43;

    /// Makes a new one from the operating system's randomness.
    pub fn generate(kind: SecretKind) -> Result<Self, NoRandomness> {
        let mut bytes = [0; Self::BYTES];
        getrandom::fill(&mut bytes).map_err(|e| NoRandomness { reason: e.to_string() })?;
        Ok(Self(format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// Takes a text that has a token's form; its value is checked by looking its hash up.
    pub fn parse(kind: SecretKind, text: &str) -> Option<Self> {
        let rest = text.strip_prefix(kind.prefix())?;
        let decoded = URL_SAFE_NO_PAD.decode(rest).ok()?;
        (rest.len() == Self::CHARS && decoded.len() == Self::BYTES).then(|| Self(text.to_owned()))
    }

    /// What the hub keeps.
    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::of(self.0.as_bytes())
    }

    /// The text, for its holder.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The operating system gave no random bytes.
#[derive(Debug, Clone, thiserror::Error)]
#[error("no randomness from the operating system: {reason}")]
pub struct NoRandomness {
    /// The system's answer.
    pub reason: String,
}

/// One API token as the hub keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenRecord {
    /// Its number.
    pub id: u64,
    /// Who or what holds it; the actor of audit rows. Unique among tokens in force.
    pub name: String,
    /// What it may do.
    pub access: Access,
    /// For which clusters.
    #[serde(rename = "selector", skip_serializing_if = "Scope::is_whole")]
    pub scope: Scope,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When it stops working; `None` = when it is revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The last day it was used, since 1970 in UTC.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "activity::as_date")]
    pub last_used: Option<i64>,
}

impl TokenRecord {
    /// Whether it works no more at `now`.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// All API tokens in force, by hash.
pub type TokenTable = SecretTable<TokenRecord>;

impl Numbered for TokenRecord {
    fn number(&self) -> u64 {
        self.id
    }
}

/// Takes the secret out of an `Authorization` header: `Bearer <token>`, or `Basic` with the token
/// as password, which is how a browser opens the dashboard.
pub fn secret_of_header(header: &str) -> Option<Secret> {
    let (scheme, value) = header.trim().split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Secret::parse(SecretKind::Api, value.trim());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(value.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    Secret::parse(SecretKind::Api, text.split_once(':')?.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;

    #[test]
    fn a_token_is_fw_and_43_characters_and_never_printed() {
        let secret = Secret::generate(SecretKind::Api).unwrap();
        assert_eq!((secret.reveal().len(), &secret.reveal()[..3]), (46, "fw_"));
        assert!(!format!("{secret:?}").contains(secret.reveal()));
        assert_ne!(secret, Secret::generate(SecretKind::Api).unwrap());
    }

    #[test]
    fn bearer_and_basic_carry_the_same_token() {
        let secret = Secret::generate(SecretKind::Api).unwrap();
        let basic = STANDARD.encode(format!("anyone:{}", secret.reveal()));
        for header in
            [format!("Bearer {}", secret.reveal()), format!("bearer  {}", secret.reveal())]
        {
            assert_eq!(secret_of_header(&header), Some(secret.clone()), "{header}");
        }
        assert_eq!(secret_of_header(&format!("Basic {basic}")), Some(secret));
    }

    #[test]
    fn what_is_not_a_token_is_not_looked_up() {
        let join = Secret::generate(SecretKind::Join).unwrap();
        let odd = format!("Bearer {}", join.reveal());
        for header in ["", "Bearer", "Bearer fw_short", "Basic !!!", "Digest x", &odd] {
            assert_eq!(secret_of_header(header), None, "{header}");
        }
    }

    #[test]
    fn publisher_and_operator_are_apart_and_admin_is_all() {
        use Access::{Admin, Operator, Publisher, Viewer};
        for needed in [Viewer, Operator, Publisher, Admin] {
            assert!(Admin.allows(needed));
            assert!(needed.allows(Viewer));
        }
        assert!(!Publisher.allows(Operator) && !Operator.allows(Publisher));
        assert!(!Operator.allows(Admin) && !Viewer.allows(Operator));
    }
}
