//! Carries a blob from one repository to another of a registry that does not do so itself.
//!
//! It goes through a file in the site directory, because it may be larger than memory and a push
//! must be able to start over.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;

use super::error::ImportError;
use super::target::plain;
use crate::oci::{Digest, Hasher, Repository};
use crate::registry::{BlobSink, Pieces, Registry};
use crate::site::SiteError;

/// Length of the pieces that are read back.
const PIECE_BYTES: usize = 1024 * 1024;
/// Name of the file; one blob at a time, under the site's lock.
const FILE: &str = "spool.partial";

struct Spool {
    file: File,
    hasher: Hasher,
    offset: u64,
}

impl BlobSink for Spool {
    fn offset(&self) -> u64 {
        self.offset
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.offset = self.offset.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    fn digest(&mut self) -> io::Result<Digest> {
        Ok(self.hasher.clone().finish())
    }
}

/// Copies a blob; the registry's bytes are compared with its digest on the way.
pub(super) async fn copy(
    dir: &Path,
    registry: &Registry,
    (digest, size): (Digest, u64),
    to: &Repository,
    from: &Repository,
) -> Result<(), ImportError> {
    let path = dir.join(FILE);
    let io = |operation| SiteError::io(operation, path.clone());
    let file = File::options().read(true).write(true).create(true).truncate(true).open(&path);
    let file = file.map_err(io("create"))?;
    // The name is not needed, and a run that is killed leaves nothing behind.
    std::fs::remove_file(&path).map_err(io("remove"))?;
    let back = Arc::new(file.try_clone().map_err(io("open"))?);
    let mut spool = Spool { file, hasher: Hasher::new(digest.algorithm()), offset: 0 };
    let blob = plain(digest, size);
    registry.pull(from, &blob, &mut spool).await?;
    let source = move |offset: u64| -> Pieces { pieces(Arc::clone(&back), offset, size) };
    registry.push_blob(to, &blob, None, &source).await?;
    Ok(())
}

fn pieces(file: Arc<File>, from: u64, size: u64) -> Pieces {
    let read = move |at: u64| -> io::Result<Option<(Bytes, u64)>> {
        let left = size.saturating_sub(at);
        if left == 0 {
            return Ok(None);
        }
        let length = usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        let mut piece = vec![0; length];
        file.read_exact_at(&mut piece, at)?;
        let next = at.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        Ok(Some((piece.into(), next)))
    };
    // What was just written is in memory still; reading it does not block for long.
    stream::unfold((read, Some(from)), |(read, at)| async move {
        match read(at?) {
            Ok(Some((piece, next))) => Some((Ok(piece), (read, Some(next)))),
            Ok(None) => None,
            Err(error) => Some((Err(error), (read, None))),
        }
    })
    .boxed()
}
