//! Credentials: configured, or out of the files that Docker and Podman keep, or of their helpers.
//!
//! `docker_credential` reads the files. Helpers are run here, because a helper may hang and the
//! crate waits for it without end. No value ever reaches a message; only where it came from does.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::RegistryError;
use super::access::{RegistryAccess, read};

/// Time for a helper: it may ask a keyring or a cloud, but nobody sits there to unlock one.
const HELPER_TIMEOUT: Duration = Duration::from_secs(20);
/// Largest credential file; real ones have a few kilobytes.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// How Docker's files and helpers call Docker Hub.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// What opens a registry.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credential {
    /// User and password.
    Password {
        /// Name.
        user: String,
        /// Secret.
        password: String,
    },
    /// A token that buys tokens (an `OAuth2` refresh token).
    Identity(String),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Password { .. } => "Password",
            Self::Identity(_) => "Identity",
        })
    }
}

/// A credential, and how to name it to a person.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) credential: Credential,
    /// `user robot of /run/…/auth.json`.
    pub(super) origin: String,
}

/// Where credential files lie, in the order in which they are looked into: `REGISTRY_AUTH_FILE`,
/// `$XDG_RUNTIME_DIR/containers/auth.json`, `~/.config/containers/auth.json`, `DOCKER_CONFIG` or
/// `~/.docker`, with `config.json`. The first that knows the registry counts.
fn usual_files(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let dir = |name: &str| variable(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let home = dir("HOME");
    let below_home = |path: &str| home.as_ref().map(|home| home.join(path));
    let config = dir("XDG_CONFIG_HOME").or_else(|| below_home(".config"));
    let docker = dir("DOCKER_CONFIG").or_else(|| below_home(".docker"));
    let files = [
        dir("REGISTRY_AUTH_FILE"),
        dir("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json")),
        config.map(|dir| dir.join("containers/auth.json")),
        docker.map(|dir| dir.join("config.json")),
    ];
    files.into_iter().flatten().collect()
}

/// Looks for the credentials of a registry; none where nobody keeps any.
pub(super) async fn find(access: &RegistryAccess) -> Result<Option<Found>, RegistryError> {
    if let Some((user, password)) = access.password()? {
        let origin = format!("configured user {user}");
        return Ok(Some(Found { credential: Credential::Password { user, password }, origin }));
    }
    if access.anonymous {
        return Ok(None);
    }
    let files = match &access.auth_file {
        Some(file) => vec![file.clone()],
        None => usual_files(|name| std::env::var_os(name)),
    };
    let registry = access.host.as_str();
    for file in files {
        if access.auth_file.is_none() && !file.is_file() {
            continue;
        }
        let bytes = read(&file, FILE_BYTES_MAX)?;
        if let Some(found) = in_file(registry, &file, &bytes).await? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// How files call the registry, Docker's way first: Podman and Skopeo write Docker Hub as people do.
fn keys(registry: &str) -> Vec<&str> {
    match key(registry) {
        DOCKER_HUB => vec![DOCKER_HUB, "docker.io"],
        key => vec![key],
    }
}

/// How helpers, and Docker in its files, call the registry.
fn key(registry: &str) -> &str {
    match registry {
        "docker.io" | "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB,
        registry => registry,
    }
}

async fn in_file(
    registry: &str,
    file: &Path,
    bytes: &[u8],
) -> Result<Option<Found>, RegistryError> {
    let origin = file.display().to_string();
    let failed = |why: String| RegistryError::Credentials {
        registry: registry.to_owned(),
        origin: origin.clone(),
        why,
    };
    let mut document: Value =
        serde_json::from_slice(bytes).map_err(|e| failed(format!("not JSON: {e}")))?;
    let Some(members) = document.as_object_mut() else {
        return Err(failed("not a JSON object".to_owned()));
    };
    // Taken out, so that the crate below never runs a helper.
    let helpers = members.remove("credHelpers");
    let store = members.remove("credsStore");
    let name = |value: &Value| value.as_str().filter(|n| !n.is_empty()).map(str::to_owned);
    let own = helpers.as_ref().and_then(|h| h.get(key(registry)).or_else(|| h.get(registry)));
    if let Some(helper) = own.and_then(name) {
        return ask_helper(registry, &helper_program(&helper, &failed)?, &failed).await;
    }
    let text = document.to_string();
    for key in keys(registry) {
        match docker_credential::get_credential_from_reader(text.as_bytes(), key) {
            Ok(found) => return Ok(Some(named(found, &format!("in {origin}")))),
            Err(CredentialRetrievalError::NoCredentialConfigured) => {}
            // Its texts name no values.
            Err(error) => return Err(failed(error.to_string())),
        }
    }
    match store.as_ref().and_then(name) {
        Some(helper) => ask_helper(registry, &helper_program(&helper, &failed)?, &failed).await,
        None => Ok(None),
    }
}

fn named(credential: DockerCredential, place: &str) -> Found {
    match credential {
        DockerCredential::IdentityToken(token) => Found {
            credential: Credential::Identity(token),
            origin: format!("identity token {place}"),
        },
        DockerCredential::UsernamePassword(user, password) => {
            let origin = format!("user {user} {place}");
            Found { credential: Credential::Password { user, password }, origin }
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: String,
}

/// The program that Docker calls by this name, looked up in `PATH`.
fn helper_program(
    name: &str,
    failed: &impl Fn(String) -> RegistryError,
) -> Result<String, RegistryError> {
    if name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        return Ok(format!("docker-credential-{name}"));
    }
    Err(failed(format!("{name:?} is not the name of a helper")))
}

/// Runs a helper's `get` (Docker's credential helper protocol).
async fn ask_helper(
    registry: &str,
    program: &str,
    failed: &impl Fn(String) -> RegistryError,
) -> Result<Option<Found>, RegistryError> {
    let run = async {
        let mut child = Command::new(program)
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that ends without reading says why by its status.
            drop(stdin.write_all(key(registry).as_bytes()).await);
        }
        child.wait_with_output().await
    };
    let output = match tokio::time::timeout(HELPER_TIMEOUT, run).await {
        Err(_) => return Err(failed(format!("{program} did not answer in time"))),
        Ok(Err(error)) => return Err(failed(format!("{program}: {error}"))),
        Ok(Ok(output)) => output,
    };
    if !output.status.success() {
        // The protocol says "no such credentials" this way, in words of the helper's own.
        let words = String::from_utf8_lossy(&output.stdout).to_lowercase();
        if words.contains("not found") {
            return Ok(None);
        }
        return Err(failed(format!("{program} failed ({})", output.status)));
    }
    let answer: HelperAnswer = serde_json::from_slice(&output.stdout)
        .map_err(|_| failed(format!("{program} gave an answer that is none")))?;
    let credential = match answer.username.as_str() {
        "<token>" => DockerCredential::IdentityToken(answer.secret),
        _ => DockerCredential::UsernamePassword(answer.username, answer.secret),
    };
    Ok(Some(named(credential, &format!("from {program}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn look(registry: &str, text: &str) -> Result<Option<Found>, RegistryError> {
        in_file(registry, Path::new("auth.json"), text.as_bytes()).await
    }

    #[test]
    fn files_are_looked_into_in_podmans_order_then_dockers() {
        let files = usual_files(|name| match name {
            "REGISTRY_AUTH_FILE" => Some("/a.json".into()),
            "XDG_RUNTIME_DIR" => Some("/run/1".into()),
            "HOME" => Some("/home/x".into()),
            _ => None,
        });
        let expected = [
            "/a.json",
            "/run/1/containers/auth.json",
            "/home/x/.config/containers/auth.json",
            "/home/x/.docker/config.json",
        ];
        assert_eq!(files, expected.map(PathBuf::from));
        assert!(usual_files(|_| None).is_empty());
    }

    #[tokio::test]
    async fn a_user_in_a_file_is_found_and_named_without_the_password() {
        // robot:secret
        let text = r#"{"auths":{"r.example":{"auth":"cm9ib3Q6c2VjcmV0"}}}"#;
        let found = look("r.example", text).await.unwrap().unwrap();
        let expected =
            Credential::Password { user: "robot".to_owned(), password: "secret".to_owned() };
        assert_eq!(found.credential, expected);
        assert_eq!(found.origin, "user robot in auth.json");
        assert!(!format!("{found:?}").contains("secret"));
        assert!(look("other.example", text).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn docker_hub_is_known_by_its_old_name_and_tokens_by_theirs() {
        let text = r#"{"auths":{"https://index.docker.io/v1/":{"identitytoken":"t"}}}"#;
        let found = look("docker.io", text).await.unwrap().unwrap();
        assert_eq!(found.credential, Credential::Identity("t".to_owned()));
        // As Podman and Skopeo write it.
        let text = r#"{"auths":{"docker.io":{"auth":"cm9ib3Q6c2VjcmV0"}}}"#;
        for name in ["docker.io", "index.docker.io", "registry-1.docker.io"] {
            let found = look(name, text).await.unwrap().unwrap();
            assert_eq!(found.origin, "user robot in auth.json");
        }
    }

    #[tokio::test]
    async fn helpers_that_do_not_work_are_an_error_and_never_a_path() {
        for name in ["../../bin/sh", "no-such-helper"] {
            let text = format!(r#"{{"credHelpers":{{"r.example":"{name}"}}}}"#);
            let error = look("r.example", &text).await.unwrap_err();
            assert!(matches!(&error, RegistryError::Credentials { why, .. } if why.contains(name)));
            assert!(look("other.example", &text).await.unwrap().is_none());
        }
        assert!(matches!(look("x", "[]").await, Err(RegistryError::Credentials { .. })));
    }

    /// Asks a helper that is this script.
    async fn run(script: &str) -> Result<Option<Found>, RegistryError> {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("helper");
        // Written by another process: while one of ours has it open for writing, or was forked when
        // it had, it cannot be run.
        let write = r#"printf '#!/bin/sh\n%s\n' "$1" >"$2" && chmod 700 "$2""#;
        let mut writer = std::process::Command::new("sh");
        writer.args(["-c", write, "sh", script]).arg(&program);
        assert!(writer.status().unwrap().success());
        let failed = |why| RegistryError::Credentials {
            registry: "r.example".to_owned(),
            origin: "auth.json".to_owned(),
            why,
        };
        ask_helper("r.example", program.to_str().unwrap(), &failed).await
    }

    #[tokio::test]
    async fn a_helper_is_told_the_registry_and_answers_with_a_user_or_a_token() {
        let echo = |user: &str| {
            format!(
                r#"read at; test "$1" = get && echo "{{\"Username\":\"{user}\",\"Secret\":\"s-$at\"}}""#
            )
        };
        let found = run(&echo("robot")).await.unwrap().unwrap();
        let (user, password) = ("robot".to_owned(), "s-r.example".to_owned());
        assert_eq!(found.credential, Credential::Password { user, password });
        let found = run(&echo("<token>")).await.unwrap().unwrap();
        assert_eq!(found.credential, Credential::Identity("s-r.example".to_owned()));
    }

    #[tokio::test]
    async fn a_helper_that_has_none_is_no_failure_and_one_that_breaks_is() {
        let none = "cat >&2; echo credentials not found in native keychain; exit 1";
        assert!(run(none).await.unwrap().is_none());
        for script in ["cat >&2; echo locked; exit 1", "cat >&2; echo {}"] {
            let error = run(script).await.unwrap_err();
            assert!(matches!(error, RegistryError::Credentials { .. }), "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_helper_that_hangs_is_stopped() {
        let error = run("exec sleep 1000").await.unwrap_err();
        assert!(
            matches!(&error, RegistryError::Credentials { why, .. } if why.contains("in time"))
        );
    }
}
