//! Where a directory's tokens may go.
//!
//! `hub.toml` lies in git: whoever writes there must not name the machine that is shown an API
//! token. A person names the server once, on the command line or in the environment, and a file
//! that git does not carry remembers its origin. A checkout makes writable files, so a file of any
//! other mode than 0400 confirms nothing: no commit can bring one along.

use std::path::{Path, PathBuf};

use reqwest::Url;

use crate::error::{CliError, Result};
use crate::files::{read_local, write_local};

/// Its place below the directory; `.gitignore` names it.
pub(crate) const CONFIRMED_FILE: &str = "keys/server.confirmed";

/// Longest record read: an origin is a scheme, a name of at most 253 characters and a port.
const MAX_RECORD_BYTES: u64 = 512;

/// Remembers that tokens may go to the origin of `server`.
pub(crate) fn confirm(dir: &Path, server: &Url) -> Result<()> {
    if is_confirmed(dir, server) {
        return Ok(());
    }
    let path = place(dir);
    write_local(&path, &origin(server))
        .map_err(|error| CliError::failed(format!("failed to write {}: {error}", path.display())))
}

/// Whether a person has said that tokens may go there.
pub(crate) fn is_confirmed(dir: &Path, server: &Url) -> bool {
    read_local(&place(dir), MAX_RECORD_BYTES).is_some_and(|text| text == origin(server))
}

fn place(dir: &Path) -> PathBuf {
    dir.join(CONFIRMED_FILE)
}

/// Scheme, host and port: what a token is shown to.
fn origin(server: &Url) -> String {
    server.origin().ascii_serialization()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn an_origin_is_confirmed_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let hub = url("https://hub.example/updates/");
        assert!(!is_confirmed(dir.path(), &hub));
        confirm(dir.path(), &hub).unwrap();
        confirm(dir.path(), &hub).unwrap();
        assert!(is_confirmed(dir.path(), &hub));
        for other in ["http://hub.example/", "https://hub.example:444/", "https://evil.example/"] {
            assert!(!is_confirmed(dir.path(), &url(other)), "{other}");
        }
        confirm(dir.path(), &url("https://new.example/")).unwrap();
        assert!(!is_confirmed(dir.path(), &hub));
    }

    #[test]
    fn a_record_that_git_could_have_brought_confirms_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let hub = url("https://evil.example/");
        confirm(dir.path(), &hub).unwrap();
        let path = place(dir.path());
        for mode in [0o600, 0o644, 0o444] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert!(!is_confirmed(dir.path(), &hub), "{mode:o}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
        assert!(is_confirmed(dir.path(), &hub));
        std::fs::rename(&path, dir.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &path).unwrap();
        assert!(!is_confirmed(dir.path(), &hub));
    }
}
