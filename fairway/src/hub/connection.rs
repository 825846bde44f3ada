//! Which hub, with which token: from flags, files, profiles and the environment.

use std::path::{Path, PathBuf};

use offline_mirror::is_open;
use reqwest::Url;

use super::choice::{By, Choice, Namer, Said, TokenSource, Wishes, choose};
use super::confirmed::{confirm, is_confirmed};
use super::profiles::{Profiles, check_private, config_path};
use crate::error::{CliError, Result};
use crate::files::read_bounded;

/// Longest token file read; a token has 46 characters.
const MAX_TOKEN_BYTES: u64 = 4_096;

/// Environment variable that holds a token itself.
const TOKEN_VARIABLE: &str = "FAIRWAY_TOKEN";

/// Flags of every command that talks to a hub.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct HubArgs {
    /// Address of the update server, with its scheme
    #[arg(long, env = "FAIRWAY_SERVER", value_name = "URL", global = true)]
    pub(crate) server: Option<String>,

    /// A server and token by the name that `fairway profile` gave them
    #[arg(long, env = "FAIRWAY_PROFILE", value_name = "NAME", global = true)]
    pub(crate) profile: Option<String>,

    /// File that holds the API token.
    #[arg(
        long,
        help = "File that holds the API token; FAIRWAY_TOKEN may hold the token itself",
        env = "FAIRWAY_TOKEN_FILE",
        value_name = "FILE",
        global = true
    )]
    pub(crate) token_file: Option<PathBuf>,

    /// Show the API token over plain HTTP to another machine, on a network that nobody listens to
    #[arg(long, env = "FAIRWAY_TOKEN_OVER_HTTP", global = true)]
    pub(crate) token_over_http: bool,
}

/// A secret that is never shown by accident.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

impl Token {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// A checked address with what is needed to talk to it.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    /// Base of all paths; ends in `/`.
    pub(crate) server: Url,
    /// The API token, where there is one.
    pub(crate) token: Option<Token>,
    /// Where the two come from; for hints.
    pub(crate) origin: Origin,
}

/// Where an address and a token come from, as a person would change them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Of the address; empty where it is nobody's setting.
    pub(crate) server: String,
    /// Of the token; empty where there is none.
    pub(crate) token: String,
}

impl Connection {
    /// With the token a file holds.
    pub(crate) fn with_token_file(server: Url, file: &Path) -> Result<Self> {
        let origin =
            Origin { token: format!("of the file {}", file.display()), ..Origin::default() };
        Ok(Self { server, token: Some(read_token(file)?), origin })
    }

    /// Without a token.
    pub(crate) fn anonymous(server: Url) -> Self {
        Self { server, token: None, origin: Origin::default() }
    }
}

impl HubArgs {
    /// Reads files and environment; `fallback` is the address to use when none was given.
    pub(crate) fn connection(&self, fallback: Option<&str>) -> Result<Connection> {
        self.reach(fallback).map(|(connection, _namer)| connection)
    }

    /// Whether a person named a hub for this command. A default profile names none: what can be
    /// done without a hub does not ask one unasked.
    pub(crate) fn names_a_hub(&self) -> bool {
        self.server.is_some() || self.profile.is_some()
    }

    /// The address alone, for what is read without a token.
    pub(crate) fn address(&self) -> Result<Url> {
        Ok(choose(&self.wishes(), &profiles()?, None)?.server)
    }

    fn wishes(&self) -> Wishes {
        // `clap` fills fields from the environment too; a flag that says the same changes nothing.
        let by = |variable: &str, value: &std::ffi::OsStr| {
            if std::env::var_os(variable).as_deref() == Some(value) {
                By::Environment
            } else {
                By::Flag
            }
        };
        let text = |variable: &str, value: &Option<String>| {
            let value = value.as_ref()?;
            Some(Said { value: value.clone(), by: by(variable, value.as_ref()) })
        };
        let token_file = self.token_file.as_ref().map(|file| Said {
            value: file.clone(),
            by: by("FAIRWAY_TOKEN_FILE", file.as_os_str()),
        });
        Wishes {
            server: text("FAIRWAY_SERVER", &self.server),
            profile: text("FAIRWAY_PROFILE", &self.profile),
            token_file,
            token: std::env::var(TOKEN_VARIABLE).ok().and_then(|text| clean_token(&text)),
        }
    }

    fn reach(&self, fallback: Option<&str>) -> Result<(Connection, Namer)> {
        let choice = choose(&self.wishes(), &profiles()?, fallback)?;
        let namer = choice.namer.clone();
        let over_http = self.token_over_http || choice.over_http;
        let connection = connect(choice)?;
        if connection.token.is_some() && is_open(&connection.server) && !over_http {
            return Err(CliError::failed(format!(
                "{} is plain HTTP on another machine: everybody on the way could read the API \
                 token",
                connection.server
            ))
            .hint(
                "use its https address; where the network itself is closed, pass --token-over-http",
            ));
        }
        Ok((connection, namer))
    }

    /// The hub of the directory `dir`, whose `hub.toml` names `configured`. A token goes there only
    /// once a person has named that server; naming it is remembered in the directory.
    pub(crate) fn connection_of(&self, dir: &Path, configured: &str) -> Result<Connection> {
        let (connection, namer) = self.reach(Some(configured))?;
        if connection.token.is_none() {
            return Ok(connection);
        }
        let server = server_url(configured)?;
        if namer != Namer::Directory {
            if connection.server.origin() == server.origin() {
                confirm(dir, &server)?;
            }
        } else if !is_confirmed(dir, &server) {
            return Err(CliError::no(format!(
                "hub.toml names the server {server}, and nobody has confirmed on this machine \
                 that it may see the API token"
            ))
            .hint(
                "nothing was sent; if it is yours, say so once with --server URL (or \
                 FAIRWAY_SERVER); if not, restore hub.toml from git and look at who changed it",
            ));
        }
        Ok(connection)
    }
}

/// The file of profiles. Tests have none: what is on the machine they run on must not matter.
pub(crate) fn profiles_path() -> Option<PathBuf> {
    if cfg!(test) {
        return None;
    }
    config_path(|name| std::env::var_os(name).map(PathBuf::from))
}

fn profiles() -> Result<Profiles> {
    profiles_path().map_or_else(|| Ok(Profiles::default()), |path| Profiles::load(&path))
}

/// Reads the token that was chosen.
fn connect(choice: Choice) -> Result<Connection> {
    let Choice { server, namer, token, .. } = choice;
    let (token, told) = match token {
        TokenSource::Nowhere => (None, String::new()),
        TokenSource::File(path) => {
            (Some(read_token(&path)?), format!("of the file {}", path.display()))
        }
        TokenSource::OfProfile(path) => {
            check_private(&path)?;
            (Some(read_token(&path)?), format!("of the profile's file {}", path.display()))
        }
        TokenSource::Text(token) => (Some(token), format!("in {TOKEN_VARIABLE}")),
    };
    let named = match namer {
        Namer::Flag => "--server".to_owned(),
        Namer::Environment => "FAIRWAY_SERVER".to_owned(),
        Namer::Profile(name) => format!("profile {name}"),
        Namer::Directory => "hub.toml".to_owned(),
    };
    Ok(Connection { server, token, origin: Origin { server: named, token: told } })
}

/// Checks an address and makes it a base for paths.
pub(crate) fn server_url(text: &str) -> Result<Url> {
    let wrong = |why: &str| {
        CliError::failed(format!("{text:?} is not the address of an update server: {why}"))
            .hint("write it with its scheme, e.g. https://updates.example.com")
    };
    let mut url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("the scheme must be http or https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it must not hold a user or password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it must not hold a query or fragment"));
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

fn clean_token(text: &str) -> Option<Token> {
    let text = text.trim();
    (!text.is_empty()).then(|| Token(text.to_owned()))
}

fn read_token(path: &Path) -> Result<Token> {
    let bytes = read_bounded(path, MAX_TOKEN_BYTES).map_err(|error| {
        CliError::failed(format!("failed to read the token file {}: {error}", path.display()))
    })?;
    let text = String::from_utf8(bytes)
        .map_err(|_| CliError::failed(format!("the token file {} is not text", path.display())))?;
    clean_token(&text)
        .ok_or_else(|| CliError::failed(format!("the token file {} is empty", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_becomes_a_base_for_paths() {
        let url = server_url("http://hub.example:8080").unwrap();
        assert_eq!(url.join("api/v1/hub").unwrap().as_str(), "http://hub.example:8080/api/v1/hub");
        let below = server_url("https://example.com/updates").unwrap();
        assert_eq!(
            below.join("api/v1/hub").unwrap().as_str(),
            "https://example.com/updates/api/v1/hub"
        );
    }

    #[test]
    fn an_address_with_secrets_or_without_scheme_is_refused() {
        for bad in ["hub.example", "ftp://hub", "http://u:p@hub", "http://hub/?a=b", "hub:8080"] {
            assert!(server_url(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_token_file_is_read_without_its_line_break_and_never_printed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "fw_secret\n").unwrap();
        let args = with_token(Some("https://hub"), path);
        let connection = args.connection(None).unwrap();
        assert_eq!(connection.token.as_ref().unwrap().as_str(), "fw_secret");
        assert!(!format!("{connection:?}").contains("fw_secret"));
    }

    #[test]
    fn an_empty_token_file_is_an_error_and_not_an_anonymous_request() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, " \n").unwrap();
        let args = with_token(Some("https://hub"), path);
        assert!(args.connection(None).unwrap_err().to_string().ends_with("is empty"));
    }

    fn with_token(server: Option<&str>, file: PathBuf) -> HubArgs {
        let server = server.map(str::to_owned);
        HubArgs { server, token_file: Some(file), ..HubArgs::default() }
    }

    fn token(dir: &Path) -> PathBuf {
        let path = dir.join("token");
        std::fs::write(&path, "fw_secret\n").unwrap();
        path
    }

    #[test]
    fn a_token_goes_over_plain_http_to_this_machine_alone() {
        let dir = tempfile::tempdir().unwrap();
        let token = token(dir.path());
        for good in
            ["https://hub.example", "http://127.0.0.1:1", "http://[::1]", "http://localhost"]
        {
            with_token(Some(good), token.clone()).connection(None).unwrap();
        }
        let mut args = with_token(Some("http://hub.example"), token);
        let error = args.connection(None).unwrap_err().to_string();
        assert!(error.contains("is plain HTTP on another machine"), "{error}");
        args.token_over_http = true;
        args.connection(None).unwrap();
    }

    #[test]
    fn a_token_goes_only_to_a_server_that_a_person_has_named() {
        let dir = tempfile::tempdir().unwrap();
        let token = token(dir.path());
        let silent = with_token(None, token.clone());
        let of = |args: &HubArgs, server: &str| args.connection_of(dir.path(), server);
        let error = of(&silent, "https://hub.example").unwrap_err();
        assert!(error.to_string().contains("nobody has confirmed on this machine"), "{error}");
        assert!(error.hint_text().unwrap().contains("--server URL"));
        // Naming another server than hub.toml does confirms neither.
        of(&with_token(Some("https://other.example"), token.clone()), "https://hub.example")
            .unwrap();
        of(&silent, "https://hub.example").unwrap_err();
        of(&with_token(Some("https://hub.example"), token), "https://hub.example").unwrap();
        of(&silent, "https://hub.example").unwrap();
        // Somebody edits hub.toml.
        of(&silent, "https://evil.example").unwrap_err();
        // Without a token there is nothing to lose.
        of(&HubArgs::default(), "https://evil.example").unwrap();
    }
}
