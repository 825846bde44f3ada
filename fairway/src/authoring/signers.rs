//! One private key, named by its file: what a key holder signs with on a machine of their own.

use std::path::Path;

use signing::Signer;

use super::passphrase::Passphrases;
use super::private;
use crate::error::{CliError, Result};

/// Opens the key file (.pem) or signer file (.signer) and holds it to the public half beside it.
pub(crate) fn open_signer(file: &Path, passphrases: &mut Passphrases) -> Result<Box<dyn Signer>> {
    private::open(file, None, passphrases)
        .map(private::Private::into_signer)
        .map_err(|error| CliError::because("failed to open the key", &error))
}
