//! `x.signer`: which local program signs for the key of `x.pub`.
//!
//! The directory is a git repository, and nothing in git may choose a command. So the file must have
//! mode 0400 exactly: git makes files that their owner may write, whatever the umask.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use signing::signer::{Program, SignerError};

use crate::files::read_bounded;

/// Largest file read: a command and a few names.
const MAX_SIGNER_BYTES: u64 = 16 * 1024;

/// The one mode a signer file may have.
const MODE: u32 = 0o400;

/// Longest time a program may be given for one answer: a person who has to fetch a token.
const MAX_TIME_S: u64 = 3_600;

/// Our own variables may hold a passphrase or a token, which no signer needs.
const OUR_VARIABLES: &str = "FAIRWAY_";

/// Why a signer file is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignerFileError {
    #[error("{0}")]
    Read(std::io::Error),
    #[error("it is a link or no file; a signer file is a plain file")]
    NotAFile,
    #[error(
        "its mode is {found:o}; only a file of mode 400 may choose a command: look at what it \
         runs, then chmod 400 it"
    )]
    Mode { found: u32 },
    #[error("it is not UTF-8 text")]
    Text,
    #[error("{0}")]
    Toml(String),
    #[error("timeout_s is {found}; it must be 1 to {MAX_TIME_S}")]
    Time { found: u64 },
    #[error("environment names {name:?}, which is not for other programs")]
    Variable { name: String },
    #[error("{0}")]
    Program(SignerError),
}

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignerFile {
    /// Absolute path of the program, and its arguments.
    command: Vec<String>,
    /// Names of variables it is given beside `PATH` and `HOME`.
    #[serde(default)]
    environment: Vec<String>,
    /// Seconds it may take for one answer; two minutes unless said.
    timeout_s: Option<u64>,
}

/// Reads a signer file; nothing is run.
pub(super) fn read(path: &Path) -> Result<Program, SignerFileError> {
    let metadata = std::fs::symlink_metadata(path).map_err(SignerFileError::Read)?;
    if !metadata.is_file() {
        return Err(SignerFileError::NotAFile);
    }
    let found = metadata.permissions().mode() & 0o7777;
    if found != MODE {
        return Err(SignerFileError::Mode { found });
    }
    let bytes = read_bounded(path, MAX_SIGNER_BYTES).map_err(SignerFileError::Read)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| SignerFileError::Text)?;
    let file: SignerFile =
        toml::from_str(text).map_err(|error| SignerFileError::Toml(error.message().to_owned()))?;
    if let Some(name) = file.environment.iter().find(|name| name.starts_with(OUR_VARIABLES)) {
        return Err(SignerFileError::Variable { name: name.clone() });
    }
    let program = Program::new(&file.command)
        .map_err(SignerFileError::Program)?
        .with_environment(file.environment);
    match file.timeout_s {
        None => Ok(program),
        Some(seconds) if (1..=MAX_TIME_S).contains(&seconds) => {
            Ok(program.with_time(Duration::from_secs(seconds)))
        }
        Some(found) => Err(SignerFileError::Time { found }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, mode: u32) -> SignerFileError {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.signer");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        read(&path).unwrap_err()
    }

    const GOOD: &str = "command = ['/bin/false']\nenvironment = ['AWS_PROFILE']\ntimeout_s = 9\n";

    #[test]
    fn a_file_that_git_could_have_made_never_chooses_a_command() {
        for mode in [0o644, 0o600, 0o700, 0o755, 0o440, 0o404, 0o500] {
            let error = refused(GOOD, mode);
            assert!(matches!(error, SignerFileError::Mode { found } if found == mode), "{error}");
        }
    }

    #[test]
    fn a_link_is_no_signer_file() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("a.signer"), dir.path().join("b.signer"));
        std::fs::write(&path, GOOD).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
        read(&path).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(read(&link).unwrap_err(), SignerFileError::NotAFile));
    }

    #[test]
    fn settings_that_cannot_be_meant_are_refused() {
        let relative = refused("command = ['sign']", MODE);
        assert!(matches!(relative, SignerFileError::Program(SignerError::Command { .. })));
        let misspelt = refused("comand = ['/bin/false']", MODE);
        assert!(matches!(misspelt, SignerFileError::Toml(_)), "{misspelt}");
        let never = refused("command = ['/bin/false']\ntimeout_s = 0", MODE);
        assert!(matches!(never, SignerFileError::Time { found: 0 }), "{never}");
        let ours = "command = ['/bin/false']\nenvironment = ['FAIRWAY_PASSPHRASE']";
        assert!(matches!(refused(ours, MODE), SignerFileError::Variable { .. }));
    }
}
