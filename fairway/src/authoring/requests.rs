//! Signing requests as files: `<role>-<version>.request.json`.

use std::path::{Path, PathBuf};

use signing::repository::request::{MAX_REQUEST_BYTES, RequestError};
use signing::{RoleName, SigningRequest, TopRole};

use super::Authoring;
use crate::error::{CliError, Result};
use crate::files::{read_bounded, replace};
use crate::words::count;

/// How every request file ends.
const SUFFIX: &str = ".request.json";

/// Most files looked at in one directory for requests.
const MAX_FILES: usize = 10_000;

/// Name of the file of a request.
pub(crate) fn request_file(role: &RoleName, version: u64) -> String {
    format!("{}-{version}{SUFFIX}", role.quoted())
}

/// Reads and checks a request.
pub(crate) fn read_request(path: &Path) -> Result<SigningRequest> {
    let bytes = read_bounded(path, MAX_REQUEST_BYTES)
        .map_err(|error| CliError::failed(format!("failed to read {}: {error}", path.display())))?;
    SigningRequest::from_json(&bytes).map_err(|error| refusal(&path.display().to_string(), &error))
}

/// Writes a request in one step: whoever reads the file sees the old one or the new one.
pub(crate) fn write_request(path: &Path, request: &SigningRequest) -> Result<()> {
    let bytes = request.to_json().map_err(|error| refusal(&path.display().to_string(), &error))?;
    replace(path, &bytes)
        .map_err(|error| CliError::failed(format!("failed to write {}: {error}", path.display())))
}

/// Every request file of a directory, by name.
pub(crate) fn requests_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error: std::io::Error| {
        CliError::failed(format!("failed to list {}: {error}", dir.display()))
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)?.take(MAX_FILES) {
        let path = entry.map_err(failed)?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(SUFFIX)) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Why there is no root that agents could pin, and who can change that.
pub(super) fn no_root(authoring: &Authoring, path: &Path, error: &std::io::Error) -> CliError {
    let file = authoring.root().join(request_file(&TopRole::Root.into(), 1));
    if !file.exists() {
        return CliError::failed(format!("failed to read {}: {error}", path.display()))
            .hint("restore the root that agents pin from git");
    }
    let request = match read_request(&file) {
        Ok(request) => request,
        Err(error) => return error,
    };
    let wanted: Vec<String> = request.wanted().values().map(|key| authoring.name_of(key)).collect();
    let (file, dir) = (file.display(), authoring.root().display());
    if wanted.is_empty() {
        return CliError::no(format!("root 1 is signed and not in its place yet: {file}"))
            .hint(format!("run: fairway root publish {dir} {file}"));
    }
    let missing = request.signers().iter().map(|set| set.missing()).max().unwrap_or(0);
    let missing = count(usize::try_from(missing).unwrap_or(usize::MAX), "more signature");
    CliError::no(format!("root 1 needs {missing}, by {}", wanted.join(" or ")))
        .hint(format!("each holder runs: fairway root sign {file} --key FILE"))
}

/// What a refused request tells a person.
pub(crate) fn refusal(what: &str, error: &RequestError) -> CliError {
    let text = crate::error::chain(error);
    let no = || CliError::no(format!("{what}: {text}"));
    match error {
        RequestError::PreviousUnverified { .. }
        | RequestError::Altered { .. }
        | RequestError::Stranger { .. }
        | RequestError::KeySets { .. }
        | RequestError::Version { .. }
        | RequestError::NoPrevious { .. } => no()
            .hint("do not sign it; fetch the request again from whoever drafted it, and ask why"),
        RequestError::Refused { finding, .. } => no().hint(match finding {
            signing::repository::request::Finding::Expired { .. } => {
                "is the clock of this machine right? otherwise have it drafted again"
            }
            _ => "have it drafted again",
        }),
        RequestError::MayNotSign { .. } => {
            no().hint("`fairway request show FILE` lists the keys that may sign")
        }
        RequestError::Incomplete { .. } => {
            no().hint("`fairway request show FILE` says who may still sign")
        }
        RequestError::Different { .. } => {
            no().hint("they were drafted apart: agree on one, and have it signed by everybody")
        }
        RequestError::OnlineRole { .. } => no(),
        RequestError::Format { .. } => {
            CliError::failed(format!("{what}: {text}")).hint("use a newer fairway")
        }
        RequestError::Malformed { .. } | RequestError::Metadata(_) | RequestError::Build(_) => {
            CliError::failed(format!("{what}: {text}"))
        }
    }
}
