//! The key that signs the status of this hub's own site.
//!
//! Apart from the online TUF keys, which rotate: whoever reads status files on the other side of the
//! gap knows this one key for years. Made when it is first asked for.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use signing::keyfile::{self, KeyFileError};
use signing::{KeyError, SecretKey};

/// Below the data directory, beside the online keys.
const KEY_FILE: &str = "keys/site.pem";

/// The site key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SiteKeyError {
    /// The file system refused.
    #[error("failed to {action} {path}", path = path.display())]
    Disk {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The file is no key file, or others could read it.
    #[error("failed to use the site's key file")]
    File(#[from] KeyFileError),
    /// No randomness.
    #[error("failed to make the site's key")]
    New(#[from] KeyError),
}

/// Reads `<data-dir>/keys/site.pem` (plain PKCS#8, mode 0600), which is made if it is not there. Two
/// callers at once get one and the same key. Blocks.
///
/// # Errors
/// Disk, randomness, or a file that is not ours.
pub fn load_or_create(data_dir: &Path) -> Result<SecretKey, SiteKeyError> {
    let path = data_dir.join(KEY_FILE);
    if !path.exists() {
        create(&path)?;
    }
    Ok(keyfile::from_plain_pem(&keyfile::read(&path)?)?)
}

/// The name appears with the whole content or not at all, and never over another key.
fn create(path: &Path) -> Result<(), SiteKeyError> {
    let failed = |action, at: &Path| {
        let path = at.to_owned();
        move |source| SiteKeyError::Disk { action, path, source }
    };
    let directory = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(failed("create", directory))?;
    let key = SecretKey::generate()?;
    // Its own name, so that two requests at once do not write into one file.
    let draft = directory.join(format!("site.{}.new", uuid::Uuid::new_v4()));
    keyfile::write_new(&draft, &keyfile::to_plain_pem(&key)?)?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft).map_err(failed("remove", &draft))?;
    match linked {
        // Somebody else was faster: theirs is the key.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(failed("create", path)(error));
        }
        _ => {}
    }
    File::open(directory).and_then(|dir| dir.sync_all()).map_err(failed("flush", directory))
}
