//! The first admin token: made once, into a file only its owner reads; its path is logged, never
//! its content.

use std::io::Read as _;

use jiff::Timestamp;

use super::RunError;
use super::data_dir::{DataDir, failed, write_private};
use crate::auth::{Access, Scope, Secret, SecretKind};
use crate::store::{NewToken, Store};

/// File name below the data directory. People move its content elsewhere and delete it.
const TOKEN_FILE: &str = "admin.token";
/// A token and a newline.
const MAX_FILE_BYTES: u64 = 256;

/// Makes sure that somebody can administer the hub.
///
/// The file is written before the hash is committed, so a crash between the two leaves a token
/// that the next start takes over, never an admin nobody can be.
pub(super) async fn ensure_admin(
    data_dir: &DataDir,
    store: &Store,
    now: Timestamp,
) -> Result<(), RunError> {
    if store.has_lasting_admin() {
        return Ok(());
    }
    let path = data_dir.path().join(TOKEN_FILE);
    let found = path.exists();
    let secret = if found {
        let mut text = String::new();
        std::fs::File::open(&path)
            .and_then(|file| file.take(MAX_FILE_BYTES).read_to_string(&mut text))
            .map_err(failed("read", &path))?;
        Secret::parse(SecretKind::Api, text.trim())
            .ok_or_else(|| RunError::TokenFile { path: path.clone() })?
    } else {
        let secret = Secret::generate(SecretKind::Api)?;
        write_private(&path, &format!("{}\n", secret.reveal()))?;
        secret
    };
    let new = NewToken {
        name: "admin".to_owned(),
        access: Access::Admin,
        scope: Scope::whole(),
        expires_at: None,
        digest: secret.digest(),
        by: "hub".to_owned(),
        now,
    };
    if !store.first_admin(new).await? {
        // Another replica was faster, and its file has the one token there is.
        if !found {
            std::fs::remove_file(&path).map_err(failed("remove", &path))?;
        }
        return Ok(());
    }
    tracing::info!(file = %path.display(), "first start: admin token written");
    Ok(())
}
