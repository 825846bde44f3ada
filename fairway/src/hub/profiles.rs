//! Named servers of a person: `~/.config/fairway/config.toml`.
//!
//! A profile holds an address and the name of a token file, never a token: the file may be shown,
//! copied and kept with other settings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{CliError, Result};
use crate::files::read_bounded;

/// Largest file read: a profile is three lines.
const MAX_CONFIG_BYTES: u64 = 1024 * 1024;

/// Longest name of a profile.
const MAX_NAME_BYTES: usize = 64;

/// The file, parsed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profiles {
    /// The one to take where nothing else names a server.
    #[serde(default)]
    pub(crate) default: Option<String>,
    #[serde(default)]
    pub(crate) profiles: BTreeMap<String, Profile>,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    /// Address, with its scheme.
    pub(crate) server: String,
    /// File with the API token; where it is relative, from the folder of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token_file: Option<PathBuf>,
    /// Show the token over plain HTTP to another machine.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) token_over_http: bool,
}

impl Profiles {
    /// Reads the file; one that is not there has no profiles.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let bytes = match read_bounded(path, MAX_CONFIG_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => {
                let what = format!("failed to read {}", path.display());
                return Err(CliError::because(what, &error));
            }
        };
        let mut profiles = Self::parse(&String::from_utf8_lossy(&bytes), path)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        for profile in profiles.profiles.values_mut() {
            profile.token_file = profile.token_file.take().map(|file| folder.join(file));
        }
        Ok(profiles)
    }

    fn parse(text: &str, path: &Path) -> Result<Self> {
        let profiles: Self = toml::from_str(text).map_err(|error| {
            // Without the line itself: a token that somebody wrote there is not shown.
            CliError::failed(format!("{}: {}", path.display(), error.message())).hint(
                "it holds `default = NAME` and tables [profiles.NAME] with server, token_file, \
                 token_over_http; a token belongs into a file of its own",
            )
        })?;
        profiles.profiles.keys().try_for_each(|name| checked_name(name).map(drop))?;
        Ok(profiles)
    }

    /// The profile of that name.
    pub(crate) fn get(&self, name: &str) -> Result<&Profile> {
        self.profiles.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.profiles.keys().map(String::as_str).collect();
            let error = CliError::failed(format!("there is no profile {name:?}"));
            if known.is_empty() {
                error.hint("make one with: fairway profile add NAME --url URL --token-file FILE")
            } else {
                error.hint(format!("there are: {}", known.join(", ")))
            }
        })
    }
}

/// A name that reads well in a shell and as a TOML key.
pub(crate) fn checked_name(name: &str) -> Result<&str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.chars().all(fits) {
        let what = format!("{name:?} is no name of a profile");
        return Err(CliError::failed(what)
            .hint("write up to 64 letters, digits, - and _, such as prod or lab-2"));
    }
    Ok(name)
}

/// Where the file is, by the environment: `FAIRWAY_PROFILES`, else below `XDG_CONFIG_HOME`, else below
/// `~/.config`.
pub(crate) fn config_path(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let set = |name| variable(name).filter(|value| !value.as_os_str().is_empty());
    if let Some(path) = set("FAIRWAY_PROFILES") {
        return Some(path);
    }
    // A relative one is to be ignored (XDG base directory specification).
    let base = set("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    let base = base.or_else(|| set("HOME").map(|home| home.join(".config")))?;
    Some(base.join("fairway/config.toml"))
}

/// Refuses a token file that others on this machine can read.
#[cfg(unix)]
pub(crate) fn check_private(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let data = std::fs::metadata(path).map_err(|error| {
        CliError::failed(format!("failed to read the token file {}: {error}", path.display()))
    })?;
    let mode = data.permissions().mode() & 0o777;
    let of_others = mode & 0o077;
    if of_others == 0 {
        return Ok(());
    }
    let shown = path.display();
    Err(CliError::failed(format!(
        "others on this machine can use the token file {shown} ({mode:o})"
    ))
    .hint(format!("chmod 600 {shown}; if others may have read it, have the token revoked")))
}

/// Only Unix says who may read a file.
#[cfg(not(unix))]
pub(crate) fn check_private(_path: &Path) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_found_by_the_environment() {
        let path = |set: &[(&str, &str)]| {
            let find = |name: &str| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
            };
            config_path(find).map(|path| path.display().to_string())
        };
        let home = ("HOME", "/h");
        assert_eq!(path(&[home]).unwrap(), "/h/.config/fairway/config.toml");
        let xdg = ("XDG_CONFIG_HOME", "/x");
        assert_eq!(path(&[home, xdg]).unwrap(), "/x/fairway/config.toml");
        let relative = ("XDG_CONFIG_HOME", "x");
        assert_eq!(path(&[home, relative]).unwrap(), "/h/.config/fairway/config.toml");
        assert_eq!(path(&[home, xdg, ("FAIRWAY_PROFILES", "f.toml")]).unwrap(), "f.toml");
        assert_eq!(
            path(&[home, ("FAIRWAY_PROFILES", "")]).unwrap(),
            "/h/.config/fairway/config.toml"
        );
        assert_eq!(path(&[]), None);
    }

    #[test]
    fn a_token_in_the_file_is_refused_and_not_shown() {
        let text = "[profiles.prod]\nserver = \"https://hub\"\ntoken = \"fw_secret\"\n";
        let error = Profiles::parse(text, Path::new("c.toml")).unwrap_err();
        assert!(error.to_string().contains("unknown field `token`"), "{error}");
        assert!(!error.to_string().contains("fw_secret"), "{error}");
        assert!(error.hint_text().unwrap().contains("a file of its own"));
    }

    #[test]
    fn a_profile_that_is_not_there_names_those_that_are() {
        let text =
            "[profiles.prod]\nserver = \"https://hub\"\n[profiles.lab]\nserver = \"http://l\"";
        let profiles = Profiles::parse(text, Path::new("c.toml")).unwrap();
        let error = profiles.get("prd").unwrap_err();
        assert_eq!(error.hint_text(), Some("there are: lab, prod"));
        assert!(Profiles::default().get("x").unwrap_err().hint_text().unwrap().contains("add"));
        assert!(Profiles::parse("[profiles.\"a b\"]\nserver = \"x\"", Path::new("c")).is_err());
    }

    #[test]
    fn token_files_are_relative_to_the_file_that_names_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        let text = "[profiles.a]\nserver = \"https://h\"\ntoken_file = \"a.token\"\n";
        std::fs::write(&path, text).unwrap();
        let profiles = Profiles::load(&path).unwrap();
        let file = profiles.get("a").unwrap().token_file.clone();
        assert_eq!(file, Some(dir.path().join("a.token")));
        assert_eq!(Profiles::load(&dir.path().join("none")).unwrap(), Profiles::default());
    }

    #[cfg(unix)]
    #[test]
    fn a_token_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "fw_x").unwrap();
        for (mode, good) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(check_private(&path).is_ok(), good, "{mode:o}");
        }
    }
}
