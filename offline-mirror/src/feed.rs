//! Hands a vendor's verified files, byte-identical, to a site's update server.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use channels::names::VendorName;
use channels::wire::{
    MAX_PUBLICATION_BYTES, MAX_PUBLICATION_FILES, Problem, Publication, PublicationFile,
    PublicationReply, media_type,
};
use jiff::Timestamp;
use signing::{Attack, Client, FileName, MemStore, Recording, Source};

use crate::error::Error;
use crate::metadata::copy_targets;
use crate::server::ServerAccess;

/// The server verifies the whole set before it answers; a large one takes seconds.
const PUBLISH_TIMEOUT: Duration = Duration::from_mins(2);
/// Longest answer read: a reply lists the graphs it serves, thousands at most.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Longest problem text read from a server that refuses.
const REFUSAL_CHARS_MAX: usize = 2000;

/// A site's update server.
pub struct Feed {
    http: reqwest::Client,
    url: String,
    server: ServerAccess,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Feed {
    /// The token needs the role publisher there.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(server: ServerAccess) -> Result<Self, Error> {
        let url = format!("{}/api/v1/publications", server.base());
        let http =
            ServerAccess::client(PUBLISH_TIMEOUT).map_err(|source| Error::Http { source })?;
        Ok(Self { http, url, server })
    }

    pub(crate) async fn publish(
        &self,
        message: String,
        files: Vec<PublicationFile>,
    ) -> Result<PublicationReply, Error> {
        let unreachable = |source| Error::Unreachable { url: self.url.clone(), source };
        check_size("files", files.len(), MAX_PUBLICATION_FILES)?;
        let body = serde_json::to_vec(&Publication { message, files })
            .map_err(|e| Error::Document { path: "publication".to_owned(), why: e.to_string() })?;
        check_size("bytes", body.len(), MAX_PUBLICATION_BYTES)?;
        let response = self
            .http
            .post(&self.url)
            .bearer_auth(self.server.token())
            .header("content-type", media_type::PUBLICATION)
            .body(body)
            .send()
            .await
            .map_err(unreachable)?;
        let status = response.status();
        let text = read_answer(response).await.map_err(unreachable)?;
        let refused = |detail, attack| Error::Refused { status: status.as_u16(), detail, attack };
        if status.is_success() {
            return serde_json::from_slice(&text)
                .map_err(|e| refused(format!("its answer cannot be read: {e}"), None));
        }
        let Ok(problem) = serde_json::from_slice::<Problem>(&text) else {
            let text = String::from_utf8_lossy(&text);
            return Err(refused(text.chars().take(REFUSAL_CHARS_MAX).collect(), None));
        };
        let attack = problem.attack.map(serde_json::Value::String);
        // A server newer than we are may name attacks that we have no name for.
        let attack = attack.and_then(|name| serde_json::from_value::<Attack>(name).ok());
        Err(refused(problem.detail, attack))
    }
}

fn check_size(unit: &'static str, found: usize, limit: usize) -> Result<(), Error> {
    if found <= limit { Ok(()) } else { Err(Error::TooLarge { unit, found, limit }) }
}

/// The answer as far as it is looked at; the rest of a longer one is left unread.
async fn read_answer(mut response: reqwest::Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut text = Vec::new();
    while let Some(piece) = response.chunk().await? {
        let room = ANSWER_BYTES_MAX.saturating_sub(text.len());
        text.extend(piece.iter().take(room));
        if text.len() >= ANSWER_BYTES_MAX {
            break;
        }
    }
    Ok(text)
}

/// The vendor's role files and targets, after the client believed each of them.
///
/// Root, targets, snapshot and timestamp stay behind: the site has its own, and its `targets` role
/// delegates to the same vendor keys.
pub(crate) async fn vendor_files<S: Source>(
    client: &mut Client<&Recording<S>, MemStore>,
    recording: &Recording<S>,
    vendor: &VendorName,
    now: Timestamp,
) -> Result<Vec<PublicationFile>, Error> {
    let mut files = Vec::new();
    for (path, bytes) in copy_targets(client, vendor, now).await? {
        files.push(file(format!("targets/{path}"), &bytes));
    }
    for (name, bytes) in recording.files() {
        let FileName::Metadata { role, version: Some(_) } = &name else { continue };
        if belongs_to(vendor.as_str(), role.as_str()) {
            files.push(file(name.relative_path(), &bytes));
        }
    }
    Ok(files)
}

/// Whether `role` is the vendor's own or one it delegates to.
pub(crate) fn belongs_to(vendor: &str, role: &str) -> bool {
    role.strip_prefix(vendor).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn file(path: String, bytes: &[u8]) -> PublicationFile {
    PublicationFile { path, base64: STANDARD.encode(bytes) }
}

/// Reads an API token from a file, without the newline an editor leaves.
pub(crate) fn read_token(path: &Path) -> Result<String, Error> {
    Ok(std::fs::read_to_string(path).map_err(Error::io("read", path))?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_vendors_own_roles_are_carried() {
        for (role, carried) in [
            ("acme", true),
            ("acme.releases", true),
            ("acmeco", false),
            ("targets", false),
            ("timestamp", false),
        ] {
            assert_eq!(belongs_to("acme", role), carried, "{role}");
        }
    }
}
