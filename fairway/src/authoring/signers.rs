//! One private key, named by its file: what a key holder signs with on a machine of their own.

use std::path::Path;

use signing::{Signer, keyfile};

use super::passphrase::Passphrases;
use crate::error::{CliError, Result};

/// Opens the key in `file`.
pub(crate) fn open_signer(file: &Path, passphrases: &mut Passphrases) -> Result<Box<dyn Signer>> {
    let pem =
        keyfile::read(file).map_err(|error| CliError::because("failed to open the key", &error))?;
    Ok(Box::new(passphrases.open(file, &pem)?))
}
