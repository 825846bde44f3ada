//! Passphrases: from the terminal, a file descriptor, or (for CI) the environment.

use std::io::Read as _;
use std::path::Path;

use signing::SecretKey;
use signing::keyfile::{self, KeyFileError};
use zeroize::Zeroizing;

use crate::colour::ColorChoice;
use crate::error::{CliError, Result};
use crate::out::Out;

/// How often a person may mistype one passphrase.
const ATTEMPTS: usize = 3;

/// Longest passphrase read from a descriptor.
const MAX_PASSPHRASE_BYTES: u64 = 1_024;

/// Environment variable that holds a passphrase.
const VARIABLE: &str = "FAIRWAY_PASSPHRASE";

/// Environment variable that holds the passphrase a key file is to get.
const NEW_VARIABLE: &str = "FAIRWAY_NEW_PASSPHRASE";

/// Flags of every command that opens private keys.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct PassphraseArgs {
    /// Read the keys' passphrase from this file descriptor.
    #[arg(
        long,
        help = "Read the keys' passphrase from this file descriptor; CI may set FAIRWAY_PASSPHRASE",
        value_name = "N",
        global = true
    )]
    pub(crate) passphrase_fd: Option<u32>,
}

/// Passphrases of this run; one that opened a key is tried on the next.
pub(crate) struct Passphrases {
    known: Vec<Zeroizing<String>>,
    /// Said when the first passphrase is used.
    warning: Option<String>,
    /// Whether a person may be asked.
    terminal: bool,
}

impl std::fmt::Debug for Passphrases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passphrases").field("known", &self.known.len()).finish_non_exhaustive()
    }
}

impl PassphraseArgs {
    /// Reads the descriptor or the environment; otherwise the terminal will be asked.
    pub(crate) fn passphrases(&self) -> Result<Passphrases> {
        if let Some(fd) = self.passphrase_fd {
            let text = from_fd(fd)?;
            return Ok(Passphrases { known: vec![text], warning: None, terminal: false });
        }
        match from_environment(VARIABLE) {
            Some(text) => {
                let warning = Some(format!(
                    "{VARIABLE} is visible to every process of this user; --passphrase-fd is not"
                ));
                Ok(Passphrases { known: vec![text], warning, terminal: false })
            }
            None => Ok(Passphrases { known: Vec::new(), warning: None, terminal: true }),
        }
    }
}

/// Where a key file's next passphrase comes from: a descriptor, the environment, or the terminal
/// (twice). Never from where the old one came: the two would be the same by mistake.
pub(crate) fn next_passphrase(fd: Option<u32>) -> Result<Zeroizing<String>> {
    match (fd, from_environment(NEW_VARIABLE)) {
        (Some(fd), _) => not_empty(from_fd(fd)?),
        (None, Some(text)) => Ok(text),
        (None, None) => ask_twice("New passphrase: ").map_err(|error| {
            error.hint(
                "without a terminal, pass --new-passphrase-fd N or set FAIRWAY_NEW_PASSPHRASE",
            )
        }),
    }
}

fn from_environment(variable: &str) -> Option<Zeroizing<String>> {
    std::env::var(variable).ok().filter(|text| !text.is_empty()).map(Zeroizing::new)
}

fn from_fd(fd: u32) -> Result<Zeroizing<String>> {
    let path = format!("/dev/fd/{fd}");
    read_line(Path::new(&path)).map_err(|error| {
        CliError::failed(format!("failed to read the passphrase from {path}: {error}"))
    })
}

fn read_line(path: &Path) -> std::io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    std::fs::File::open(path)?.take(MAX_PASSPHRASE_BYTES + 1).read_to_string(&mut text)?;
    // Half a passphrase would make a key file that the whole one does not open.
    if u64::try_from(text.len()).is_ok_and(|len| len > MAX_PASSPHRASE_BYTES) {
        let why = format!("there are more than {MAX_PASSPHRASE_BYTES} bytes");
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, why));
    }
    let line = text.lines().next().unwrap_or_default();
    Ok(Zeroizing::new(line.to_owned()))
}

impl Passphrases {
    /// One passphrase and nobody to ask.
    #[cfg(test)]
    pub(crate) fn given(passphrase: &str) -> Self {
        let known = vec![Zeroizing::new(passphrase.to_owned())];
        Self { known, warning: None, terminal: false }
    }

    /// Whether a person sits at the terminal: nobody does where a passphrase was handed over.
    pub(crate) fn may_ask(&self) -> bool {
        self.terminal
    }

    /// The passphrase for keys that are about to be made; a person types it twice.
    pub(crate) fn for_new_keys(&mut self) -> Result<Zeroizing<String>> {
        if let Some(given) = self.known.first().cloned() {
            self.warn()?;
            return not_empty(given);
        }
        let first = ask_twice("Passphrase for the new keys: ")?;
        self.known.push(first.clone());
        Ok(first)
    }

    /// Warns once, and only a person whose passphrase is really needed.
    fn warn(&mut self) -> Result<()> {
        match self.warning.take() {
            Some(warning) => Out::process(ColorChoice::Auto).warn(&warning),
            None => Ok(()),
        }
    }

    /// Opens a private key: with a known passphrase, or by asking for it.
    pub(crate) fn open(&mut self, file: &Path, pem: &str) -> Result<SecretKey> {
        // Keys kept for machines need no passphrase; `keyfile::read` saw to their permissions.
        if pem.trim_start().starts_with("-----BEGIN PRIVATE KEY-----") {
            return keyfile::from_plain_pem(pem)
                .map_err(|error| CliError::because("failed to open the key", &error));
        }
        self.warn()?;
        for passphrase in &self.known {
            match keyfile::from_pem(pem, passphrase.as_bytes()) {
                Err(KeyFileError::Passphrase) => {}
                result => return finish(result),
            }
        }
        if !self.terminal {
            return finish(Err(KeyFileError::Passphrase));
        }
        for _ in 0..ATTEMPTS {
            let passphrase = ask(&format!("Passphrase of {}: ", file.display()))?;
            match keyfile::from_pem(pem, passphrase.as_bytes()) {
                Err(KeyFileError::Passphrase) => {}
                Ok(key) => {
                    self.known.push(passphrase);
                    return Ok(key);
                }
                result => return finish(result),
            }
        }
        finish(Err(KeyFileError::Passphrase))
    }
}

fn finish(result: std::result::Result<SecretKey, KeyFileError>) -> Result<SecretKey> {
    result.map_err(|error| CliError::because("failed to open the key", &error))
}

fn not_empty(passphrase: Zeroizing<String>) -> Result<Zeroizing<String>> {
    if passphrase.is_empty() {
        return Err(CliError::failed("the passphrase is empty"));
    }
    Ok(passphrase)
}

fn ask_twice(prompt: &str) -> Result<Zeroizing<String>> {
    let first = not_empty(ask(prompt)?)?;
    if first != ask("The same again: ")? {
        return Err(CliError::failed("the two passphrases differ"));
    }
    Ok(first)
}

fn ask(prompt: &str) -> Result<Zeroizing<String>> {
    rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(|error| {
        CliError::failed(format!("failed to ask for a passphrase: {error}"))
            .hint("without a terminal, pass --passphrase-fd N or set FAIRWAY_PASSPHRASE")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_the_first_line_without_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fd");
        std::fs::write(&path, "two words \r\nrest").unwrap();
        assert_eq!(read_line(&path).unwrap().as_str(), "two words ");
    }

    #[test]
    fn a_passphrase_that_is_too_long_is_not_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fd");
        std::fs::write(&path, "x".repeat(1024)).unwrap();
        assert_eq!(read_line(&path).unwrap().len(), 1024);
        std::fs::write(&path, "x".repeat(1025)).unwrap();
        assert_eq!(read_line(&path).unwrap_err().kind(), std::io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn new_keys_never_get_an_empty_passphrase() {
        let error = Passphrases::given("").for_new_keys().unwrap_err();
        assert_eq!(error.to_string(), "the passphrase is empty");
    }

    #[test]
    fn passphrases_are_not_printed() {
        assert!(!format!("{:?}", Passphrases::given("hunter2")).contains("hunter2"));
    }
}
