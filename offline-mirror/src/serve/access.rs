//! Who may do what. Pure, except for reading the token file at start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::error::ServeError;

/// Longest token file; a line has about 100 bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Longest `Authorization` header that is looked at.
const HEADER_BYTES_MAX: usize = 4096;

/// What somebody may do; each includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Read.
    Pull,
    /// Read, push and move tags.
    Push,
    /// Everything, deleting too.
    Delete,
}

/// What people without a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anonymous {
    /// Nothing.
    Nothing,
    /// Read.
    Pull,
    /// Whatever the registry allows at all.
    All,
}

/// Who can reach the registry, and what its operator wrote about that.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct Exposure {
    /// Only processes of this machine reach it.
    pub is_loopback: bool,
    /// It speaks TLS.
    pub is_encrypted: bool,
    /// It has a token file.
    pub has_tokens: bool,
    /// It takes pushes or deletes.
    pub allows_changes: bool,
    /// `--anonymous-pull`
    pub anonymous_pull: bool,
    /// `--plain-http`
    pub plain_http: bool,
}

impl Exposure {
    /// What people without a token may do.
    ///
    /// # Errors
    /// When more would be open than the operator wrote.
    pub fn anonymous(self) -> Result<Anonymous, ServeError> {
        if !self.is_loopback && !self.is_encrypted && !self.plain_http {
            return Err(ServeError::Unsafe(
                "other machines reach it: give --tls-cert and --tls-key, or --plain-http",
            ));
        }
        match (self.has_tokens, self.anonymous_pull, self.is_loopback) {
            (true, false, _) => Ok(Anonymous::Nothing),
            (false, false, true) => Ok(Anonymous::All),
            (false, false, false) => Err(ServeError::Unsafe(
                "other machines reach it: give --token-file, or --anonymous-pull to let them read",
            )),
            // On loopback too: whoever writes it has others in mind, behind a proxy of this machine.
            (false, true, _) if self.allows_changes => Err(ServeError::Unsafe(
                "--anonymous-pull opens it to everybody: pushes and deletes need --token-file",
            )),
            (_, true, _) => Ok(Anonymous::Pull),
        }
    }
}

/// Tokens by name, as their SHA-256.
#[derive(Clone, Default)]
pub struct Tokens(BTreeMap<String, (Role, [u8; 32])>);

/// A token file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A line is not what it should be. The line itself is not repeated: it may hold a secret.
    #[error("{} line {line}: {why}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        why: &'static str,
    },
}

/// Whether a request may go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Yes.
    Yes,
    /// It has no token, or one that nobody has.
    WhoAreYou,
    /// The holder of the token may not do this.
    No {
        /// The token's name.
        name: String,
    },
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Tokens {
    /// Reads a token file: lines `name:role:sha256-hex`, role one of `pull`, `push`, `delete`; empty
    /// lines and lines that begin with `#` are skipped.
    ///
    /// # Errors
    /// When the file cannot be read, names no token, or a line cannot be read.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let read = |source| TokenError::Read { path: path.to_owned(), source };
        if std::fs::metadata(path).map_err(read)?.len() > FILE_BYTES_MAX {
            return Err(read(std::io::Error::other("it is larger than 1 MiB")));
        }
        let text = std::fs::read_to_string(path).map_err(read)?;
        Self::parse(&text).map_err(|(line, why)| {
            let path = path.to_owned();
            TokenError::Line { path, line, why }
        })
    }

    fn parse(text: &str) -> Result<Self, (usize, &'static str)> {
        let mut tokens = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let refuse = |why| (index.saturating_add(1), why);
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut parts = line.split(':');
            let (Some(name), Some(role), Some(hash), None) =
                (parts.next(), parts.next(), parts.next(), parts.next())
            else {
                return Err(refuse("it is not name:role:sha256-hex"));
            };
            let role = match role {
                "pull" => Role::Pull,
                "push" => Role::Push,
                "delete" => Role::Delete,
                _ => return Err(refuse("the role is none of pull, push, delete")),
            };
            let mut digest = [0; 32];
            hex::decode_to_slice(hash, &mut digest)
                .map_err(|_| refuse("the hash is not 64 hex digits"))?;
            if name.is_empty() || tokens.insert(name.to_owned(), (role, digest)).is_some() {
                return Err(refuse("the name is empty or stands there twice"));
            }
        }
        if tokens.is_empty() { Err((0, "it names no token")) } else { Ok(Self(tokens)) }
    }

    /// Judges a request by its `Authorization` header.
    pub(super) fn judge(
        &self,
        header: Option<&str>,
        wanted: Role,
        anonymous: Anonymous,
    ) -> Verdict {
        let is_open = match anonymous {
            Anonymous::Nothing => false,
            Anonymous::Pull => wanted == Role::Pull,
            Anonymous::All => true,
        };
        let Some(header) = header else {
            return if is_open { Verdict::Yes } else { Verdict::WhoAreYou };
        };
        match self.holder(header) {
            Some((_, role)) if role >= wanted || is_open => Verdict::Yes,
            Some((name, _)) => Verdict::No { name: name.to_owned() },
            // Without tokens there is nobody whom a header could name; clients send what they have.
            None if self.0.is_empty() && is_open => Verdict::Yes,
            None => Verdict::WhoAreYou,
        }
    }

    /// Compares with every token and always to the end, so that the time says nothing.
    fn holder(&self, header: &str) -> Option<(&str, Role)> {
        let (user, secret) = credentials(header)?;
        let found: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
        let mut holder = None;
        for (name, (role, expected)) in &self.0 {
            let is_named = user.as_ref().is_none_or(|user| user == name);
            let differing = found.iter().zip(expected).fold(0, |all, (a, b)| all | (a ^ b));
            if std::hint::black_box(differing) == 0 && is_named {
                holder = Some((name.as_str(), *role));
            }
        }
        holder
    }
}

/// User, where one is named, and secret.
fn credentials(header: &str) -> Option<(Option<String>, String)> {
    if header.len() > HEADER_BYTES_MAX {
        return None;
    }
    let (scheme, value) = header.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some((None, value.trim().to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
    let (user, secret) = decoded.split_once(':')?;
    Some((Some(user.to_owned()), secret.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        let line = |name: &str, role: &str, secret: &str| {
            format!("{name}:{role}:{}\n", hex::encode(Sha256::digest(secret.as_bytes())))
        };
        let text = format!(
            "# ours\n\n{}{}{}",
            line("node", "pull", "one"),
            line("ci", "push", "two"),
            line("ops", "delete", "three")
        );
        Tokens::parse(&text).unwrap()
    }

    fn basic(user: &str, secret: &str) -> String {
        format!("Basic {}", STANDARD.encode(format!("{user}:{secret}")))
    }

    #[test]
    fn a_token_may_do_what_its_role_includes_and_no_more() {
        let tokens = tokens();
        let judge = |header: &str, role| tokens.judge(Some(header), role, Anonymous::Nothing);
        let no = |name: &str| Verdict::No { name: name.to_owned() };
        assert_eq!(judge(&basic("node", "one"), Role::Pull), Verdict::Yes);
        assert_eq!(judge(&basic("node", "one"), Role::Push), no("node"));
        assert_eq!(judge("Bearer two", Role::Push), Verdict::Yes);
        assert_eq!(judge("bearer two", Role::Delete), no("ci"));
        assert_eq!(judge("Bearer three", Role::Delete), Verdict::Yes);
    }

    #[test]
    fn a_wrong_secret_or_another_ones_name_is_nobody() {
        let tokens = tokens();
        for header in [
            basic("node", "two"),
            basic("nobody", "one"),
            "Bearer ".to_owned(),
            "Bearer four".to_owned(),
            "Digest one".to_owned(),
            "Basic !".to_owned(),
            String::new(),
        ] {
            let verdict = tokens.judge(Some(&header), Role::Pull, Anonymous::Pull);
            assert_eq!(verdict, Verdict::WhoAreYou, "{header}");
        }
    }

    #[test]
    fn people_without_a_token_may_do_what_was_opened() {
        let tokens = tokens();
        for (anonymous, role, expected) in [
            (Anonymous::Nothing, Role::Pull, Verdict::WhoAreYou),
            (Anonymous::Pull, Role::Pull, Verdict::Yes),
            (Anonymous::Pull, Role::Push, Verdict::WhoAreYou),
            (Anonymous::All, Role::Delete, Verdict::Yes),
        ] {
            assert_eq!(tokens.judge(None, role, anonymous), expected, "{anonymous:?} {role:?}");
        }
        let none = Tokens::default();
        assert_eq!(none.judge(Some("Bearer x"), Role::Push, Anonymous::All), Verdict::Yes);
    }

    #[test]
    fn nothing_is_open_to_other_machines_that_was_not_written_down() {
        let closed = Exposure {
            is_loopback: false,
            is_encrypted: true,
            has_tokens: false,
            allows_changes: false,
            anonymous_pull: false,
            plain_http: false,
        };
        let home = Exposure { is_loopback: true, is_encrypted: false, ..closed };
        assert_eq!(home.anonymous().unwrap(), Anonymous::All);
        let tokens = Exposure { has_tokens: true, allows_changes: true, ..closed };
        assert_eq!(tokens.anonymous().unwrap(), Anonymous::Nothing);
        let open = Exposure { anonymous_pull: true, ..closed };
        assert_eq!(open.anonymous().unwrap(), Anonymous::Pull);
        for refused in [
            closed,
            Exposure { is_encrypted: false, ..tokens },
            Exposure { allows_changes: true, ..open },
            // A reverse proxy on this machine may carry everybody's requests here.
            Exposure { allows_changes: true, anonymous_pull: true, ..home },
        ] {
            assert!(matches!(refused.anonymous(), Err(ServeError::Unsafe(_))), "{refused:?}");
        }
        let read = Exposure { anonymous_pull: true, ..home };
        assert_eq!(read.anonymous().unwrap(), Anonymous::Pull);
        let asked = Exposure { is_encrypted: false, plain_http: true, ..tokens };
        assert_eq!(asked.anonymous().unwrap(), Anonymous::Nothing);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named_by_its_number_alone() {
        let hash = "00".repeat(32);
        for (text, line) in [
            (format!("a:pull:{hash}\nb:pull:secret"), 2),
            (format!("a:admin:{hash}"), 1),
            (format!("a:pull:{hash}\n#\na:pull:{hash}"), 3),
            (format!(":pull:{hash}"), 1),
            ("a".to_owned(), 1),
            ("# nobody".to_owned(), 0),
        ] {
            let (found, why) = Tokens::parse(&text).unwrap_err();
            assert_eq!(found, line, "{text}");
            assert!(!why.contains("secret"));
        }
    }
}
