//! Why a Kafka server did not do as asked, and what its error codes are called.

use std::fmt;
use std::io;
use std::path::PathBuf;

use kafka_protocol::ResponseError;
use signing::causes;

/// A Kafka error code that is not 0, by the name the protocol gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode(pub i16);

impl ErrorCode {
    /// The server is not the quorum's leader.
    pub const NOT_LEADER_OR_FOLLOWER: Self = Self(6);
    /// A change did not commit in time; it may still.
    pub const REQUEST_TIMED_OUT: Self = Self(7);
    /// The server does not know the version of the request.
    pub const UNSUPPORTED_VERSION: Self = Self(35);
    /// The leader's epoch is over.
    pub const FENCED_LEADER_EPOCH: Self = Self(74);
    /// The leader's epoch is newer than the server's.
    pub const UNKNOWN_LEADER_EPOCH: Self = Self(75);
    /// The voter, with this id, is in the voter set already.
    pub const DUPLICATE_VOTER: Self = Self(126);
    /// No such voter.
    pub const VOTER_NOT_FOUND: Self = Self(127);

    /// `None` for 0, which is no error.
    pub(super) fn of(code: i16) -> Option<Self> {
        (code != 0).then_some(Self(code))
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(code) = self;
        let name = match ResponseError::try_from_code(*code) {
            None => "NONE".to_owned(),
            Some(ResponseError::Unknown(_)) => "unnamed error".to_owned(),
            Some(error) => constant_case(&format!("{error:?}")),
        };
        f.pad(&format!("{name} ({code})"))
    }
}

/// `NotLeaderOrFollower` as the protocol writes it: `NOT_LEADER_OR_FOLLOWER`.
fn constant_case(name: &str) -> String {
    let mut constant = String::with_capacity(name.len() * 2);
    for (index, letter) in name.chars().enumerate() {
        if letter.is_ascii_uppercase() && index > 0 {
            constant.push('_');
        }
        constant.push(letter.to_ascii_uppercase());
    }
    constant
}

/// Why a Kafka server could not be asked, or what it refused.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the sentence above each variant says what its fields hold")]
pub enum KafkaError {
    #[error("no connection to {address}")]
    Connect { address: String, source: io::Error },
    #[error("the connection to {address} broke")]
    Broken { address: String, source: io::Error },
    #[error("{address} did not answer {what} within {limit_ms} ms")]
    Timeout { address: String, what: &'static str, limit_ms: u64 },
    #[error("TLS cannot be used with {}: {why}", path.display())]
    TlsFile { path: PathBuf, why: String },
    #[error("TLS cannot be set up: {why}")]
    TlsSetup { why: String },
    #[error("the password file {} cannot be read", path.display())]
    PasswordFile { path: PathBuf, source: io::Error },
    #[error("the password file {} is empty, larger than 4 KiB or not text", path.display())]
    Password { path: PathBuf },
    #[error("the answer of {address} to {what} has {size} bytes, limit {limit}")]
    FrameSize { address: String, what: &'static str, size: i64, limit: usize },
    #[error("the answer of {address} to {what} cannot be read: {why}")]
    Unreadable { address: String, what: &'static str, why: String },
    #[error("{what} cannot be asked for: {why}")]
    Encode { what: &'static str, why: String },
    #[error("{address} speaks {what} in versions {theirs:?}, this agent in {ours:?}")]
    Version { address: String, what: &'static str, theirs: Option<(i16, i16)>, ours: (i16, i16) },
    #[error("{address} answers {what} with {code}{}", said(message.as_deref()))]
    Refused { address: String, what: &'static str, code: ErrorCode, message: Option<String> },
    #[error("{address} refuses to log in with {mechanism}: {why}")]
    Login { address: String, mechanism: &'static str, why: String },
    #[error("no controller answers as the quorum's leader: {}{}", why.join("; "), lacks(lacking))]
    NoLeader { why: Vec<String>, lacking: Vec<String> },
    #[error("no broker answers: {}", why.join("; "))]
    NoBroker { why: Vec<String> },
}

impl KafkaError {
    /// The code, if a server refused.
    pub fn code(&self) -> Option<ErrorCode> {
        if let Self::Refused { code, .. } = self { Some(*code) } else { None }
    }

    /// Whether what was asked for may have happened all the same: the answer is what is missing.
    pub fn may_have_happened(&self) -> bool {
        matches!(self, Self::Broken { .. } | Self::Timeout { .. } | Self::Unreadable { .. })
            || self.code() == Some(ErrorCode::REQUEST_TIMED_OUT)
    }

    /// The whole story in one line, sources included.
    pub fn story(&self) -> String {
        causes::chain(self)
    }
}

/// What else was asked: after a change of voters the leader may be one that is not configured.
fn lacks(lacking: &[String]) -> String {
    if lacking.is_empty() {
        return String::new();
    }
    format!(
        "; kafka.bootstrap lacks {}, which the quorum or a change of it names",
        lacking.join(", ")
    )
}

fn said(message: Option<&str>) -> String {
    message.map_or_else(String::new, |message| format!(": {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_protocols_names() {
        assert_eq!(ErrorCode(6).to_string(), "NOT_LEADER_OR_FOLLOWER (6)");
        assert_eq!(ErrorCode::DUPLICATE_VOTER.to_string(), "DUPLICATE_VOTER (126)");
        assert_eq!(ErrorCode(-1).to_string(), "UNKNOWN_SERVER_ERROR (-1)");
        assert_eq!(ErrorCode(9_999).to_string(), "unnamed error (9999)");
        assert_eq!(ErrorCode::of(0), None);
    }

    #[test]
    fn an_error_tells_its_sources_in_one_line() {
        let source = io::Error::other("reset");
        let error = KafkaError::Broken { address: "c1:9093".into(), source };
        assert_eq!(error.story(), "the connection to c1:9093 broke: reset");
        assert!(error.may_have_happened());
    }
}
