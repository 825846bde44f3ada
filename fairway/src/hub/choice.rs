//! Which hub and which token: a flag counts more than the environment, that more than a profile, and
//! that more than what a directory says.
//!
//! A profile's token goes to the profile's server alone: who names another server by a flag does not
//! hand it the token by mistake.

use std::path::PathBuf;

use reqwest::Url;

use super::connection::{Token, server_url};
use super::profiles::{Profile, Profiles};
use crate::error::{CliError, Result};

/// Something a person said, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said<T> {
    pub(super) value: T,
    pub(super) by: By,
}

/// How.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// An option of the command.
    Flag,
    /// A variable of the environment.
    Environment,
}

/// Everything a person said.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    pub(super) server: Option<Said<String>>,
    pub(super) token_file: Option<Said<PathBuf>>,
    /// `FAIRWAY_TOKEN`.
    pub(super) token: Option<Token>,
    pub(super) profile: Option<Said<String>>,
}

/// Who named the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Namer {
    /// `--server`.
    Flag,
    /// `FAIRWAY_SERVER`.
    Environment,
    /// The profile of this name.
    Profile(String),
    /// The directory that the command works in, or the program itself.
    Directory,
}

/// Where the token comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TokenSource {
    /// There is none.
    Nowhere,
    /// A file that a flag or the environment names.
    File(PathBuf),
    /// The file of a profile, which nobody else may read.
    OfProfile(PathBuf),
    /// The environment itself.
    Text(Token),
}

/// What follows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) server: Url,
    pub(super) namer: Namer,
    pub(super) token: TokenSource,
    /// Whether the profile lets its token go over plain HTTP.
    pub(super) over_http: bool,
}

/// Decides; `fallback` is what a directory says. A default profile counts less than a directory: a
/// publication must not go elsewhere because of a setting that nobody thought of.
pub(super) fn choose(
    wishes: &Wishes,
    profiles: &Profiles,
    fallback: Option<&str>,
) -> Result<Choice> {
    let named = match (&wishes.profile, &profiles.default) {
        (Some(said), _) => Some((said.value.as_str(), Some(said.by))),
        (None, Some(name)) => Some((name.as_str(), None)),
        (None, None) => None,
    };
    let profile = match named {
        Some((name, by)) => Some((name, by, profiles.get(name)?)),
        None => None,
    };
    let (address, namer) = address(wishes, profile, fallback)?;
    let server = server_url(address)?;
    let own = match profile {
        Some((_, by, profile)) if server_url(&profile.server)?.origin() == server.origin() => {
            Some((by, profile))
        }
        Some(_) | None => None,
    };
    let (token, over_http) = token(wishes, own);
    Ok(Choice { server, namer, token, over_http })
}

fn address<'a>(
    wishes: &'a Wishes,
    profile: Option<(&str, Option<By>, &'a Profile)>,
    fallback: Option<&'a str>,
) -> Result<(&'a str, Namer)> {
    let server = |by| wishes.server.as_ref().filter(|said| said.by == by);
    let of = |wanted: Option<By>| profile.filter(|(_, by, _)| *by == wanted);
    let by_profile = |(name, _, profile): (&str, Option<By>, &'a Profile)| {
        (profile.server.as_str(), Namer::Profile(name.to_owned()))
    };
    if let Some(said) = server(By::Flag) {
        return Ok((&said.value, Namer::Flag));
    }
    if let Some(found) = of(Some(By::Flag)) {
        return Ok(by_profile(found));
    }
    if let Some(said) = server(By::Environment) {
        return Ok((&said.value, Namer::Environment));
    }
    if let Some(found) = of(Some(By::Environment)) {
        return Ok(by_profile(found));
    }
    if let Some(address) = fallback {
        return Ok((address, Namer::Directory));
    }
    of(None).map(by_profile).ok_or_else(|| {
        CliError::failed("no update server is named").hint(
            "pass --server URL, set FAIRWAY_SERVER, or make a profile: fairway profile add NAME \
             --url URL --token-file FILE",
        )
    })
}

fn token(wishes: &Wishes, own: Option<(Option<By>, &Profile)>) -> (TokenSource, bool) {
    let file = |by| wishes.token_file.as_ref().filter(|said| said.by == by);
    let of_profile = own.and_then(|(by, profile)| {
        let source = TokenSource::OfProfile(profile.token_file.clone()?);
        Some((by, (source, profile.token_over_http)))
    });
    if let Some(said) = file(By::Flag) {
        return (TokenSource::File(said.value.clone()), false);
    }
    if let Some((Some(By::Flag), found)) = of_profile {
        return found;
    }
    if let Some(said) = file(By::Environment) {
        return (TokenSource::File(said.value.clone()), false);
    }
    if let Some(token) = &wishes.token {
        return (TokenSource::Text(token.clone()), false);
    }
    of_profile.map_or((TokenSource::Nowhere, false), |(_, found)| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profiles(default: Option<&str>) -> Profiles {
        let profile = |name: &str| Profile {
            server: format!("https://{name}.example"),
            token_file: Some(format!("/c/{name}.token").into()),
            token_over_http: false,
        };
        Profiles {
            default: default.map(str::to_owned),
            profiles: ["lab", "prod"].map(|name| (name.to_owned(), profile(name))).into(),
        }
    }

    fn said(value: &str, by: By) -> Said<String> {
        Said { value: value.to_owned(), by }
    }

    fn shown(wishes: &Wishes, default: Option<&str>, fallback: Option<&str>) -> String {
        let choice = choose(wishes, &profiles(default), fallback).unwrap();
        let token = match &choice.token {
            TokenSource::Nowhere => "none".to_owned(),
            TokenSource::File(file) => format!("given {}", file.display()),
            TokenSource::OfProfile(file) => format!("profile {}", file.display()),
            TokenSource::Text(_) => "text".to_owned(),
        };
        format!("{} by {:?}, {token}", choice.server.host_str().unwrap(), choice.namer)
    }

    #[test]
    fn a_flag_counts_more_than_the_environment_and_that_more_than_a_profile() {
        let (flag, env) = (By::Flag, By::Environment);
        let mut wishes = Wishes::default();
        let none = choose(&wishes, &profiles(None), None).unwrap_err();
        assert!(none.hint_text().unwrap().contains("FAIRWAY_SERVER"));
        assert_eq!(shown(&wishes, None, Some("https://dir")), "dir by Directory, none");
        let lab = "lab.example by Profile(\"lab\"), profile /c/lab.token";
        assert_eq!(shown(&wishes, Some("lab"), None), lab);
        wishes.profile = Some(said("prod", env));
        let prod = "prod.example by Profile(\"prod\"), profile /c/prod.token";
        assert_eq!(shown(&wishes, Some("lab"), Some("https://dir")), prod);
        wishes.server = Some(said("https://env", env));
        assert_eq!(shown(&wishes, Some("lab"), None), "env by Environment, none");
        wishes.profile = Some(said("lab", flag));
        assert_eq!(shown(&wishes, None, Some("https://dir")), lab);
        wishes.server = Some(said("https://flag", flag));
        assert_eq!(shown(&wishes, None, None), "flag by Flag, none");
    }

    #[test]
    fn a_default_profile_does_not_send_a_directory_elsewhere_but_its_token_may_go_home() {
        let wishes = Wishes::default();
        let elsewhere = "dir by Directory, none";
        assert_eq!(shown(&wishes, Some("lab"), Some("https://dir")), elsewhere);
        let home = "lab.example by Directory, profile /c/lab.token";
        assert_eq!(shown(&wishes, Some("lab"), Some("https://lab.example/")), home);
    }

    #[test]
    fn a_profiles_token_goes_to_its_own_server_alone() {
        let mut wishes = Wishes { profile: said("prod", By::Flag), ..Wishes::default() };
        for other in ["https://evil.example", "http://prod.example", "https://prod.example:444"] {
            wishes.server = Some(said(other, By::Flag));
            assert!(shown(&wishes, None, None).ends_with("by Flag, none"), "{other}");
        }
        wishes.server = Some(said("https://prod.example/below", By::Flag));
        assert!(shown(&wishes, None, None).ends_with("profile /c/prod.token"));
    }

    #[test]
    fn a_profile_by_flag_brings_its_token_before_the_environment_does() {
        let file = |by| Some(Said { value: PathBuf::from("/t"), by });
        let mut wishes = Wishes {
            profile: said("prod", By::Environment),
            token_file: file(By::Environment),
            ..Wishes::default()
        };
        assert!(shown(&wishes, None, None).ends_with("given /t"));
        wishes.profile = Some(said("prod", By::Flag));
        assert!(shown(&wishes, None, None).ends_with("profile /c/prod.token"));
        wishes.token_file = file(By::Flag);
        assert!(shown(&wishes, None, None).ends_with("given /t"));
    }

    #[test]
    fn a_profile_that_is_not_there_is_a_failure_and_not_another_server() {
        let wishes = Wishes {
            server: said("https://flag", By::Flag),
            profile: said("prd", By::Flag),
            ..Wishes::default()
        };
        assert!(choose(&wishes, &profiles(None), None).is_err());
    }
}
