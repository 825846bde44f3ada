//! Streams blobs from registries to their places in the segments: received, hashed and written once.
//!
//! Every blob is fetched by one transfer, because the plan names each once. Hashing and writing happen
//! where the bytes are received; the writer's journal lets the next run go on where this one ends,
//! however it ends.

use std::collections::BTreeMap;
use std::io;

use futures_util::stream::{self, StreamExt as _};

use super::error::CreateError;
use super::pinned::{Pinned, PinnedBlob};
use super::progress::Progress;
use crate::bundle::{BundleError, ItemWriter, Planned, Writer};
use crate::oci::{Descriptor, Digest};
use crate::plan::{Place, causes};
use crate::registry::{BlobSink, Registry, RegistryError};

/// How blobs are fetched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// Transfers at once.
    pub(super) concurrency: usize,
    /// Whether a blob that registries refuse ends the run only when all others are here.
    pub(super) keep_going: bool,
}

/// What a run brought.
#[derive(Debug, Default)]
pub(super) struct Brought {
    /// Blobs that came over the network.
    pub(super) blobs: u64,
    /// Their bytes, without those of earlier runs.
    pub(super) bytes: u64,
    /// Blobs that cannot be had, each with the whole chain of reasons.
    pub(super) failed: BTreeMap<Digest, String>,
}

/// Whatever ends a run, also a signal: what was written is put into the journal.
struct SyncAtTheEnd<'a>(&'a Writer);

impl Drop for SyncAtTheEnd<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.sync() {
            tracing::warn!(%error, "the end of this run is not in the journal");
        }
    }
}

/// Fetches every blob that is not here yet.
pub(super) async fn fetch(
    pinned: &Pinned,
    writer: &Writer,
    registries: &[Registry],
    manner: Manner,
    progress: &Progress,
) -> Result<Brought, CreateError> {
    let _sync = SyncAtTheEnd(writer);
    let all = pinned.blobs.len();
    let mut left: Vec<(usize, Digest, &PinnedBlob)> = Vec::new();
    for number in writer.left() {
        let Some(item) = writer.laid().items().get(number) else { continue };
        if let (Planned::Blob, Some(blob)) =
            (&item.planned.what, pinned.blobs.get(&item.planned.digest))
        {
            left.push((number, item.planned.digest, blob));
        }
    }
    let here: u64 = pinned.blobs.values().map(|blob| blob.size).sum::<u64>()
        - left.iter().map(|(_, _, blob)| blob.size).sum::<u64>();
    progress.add(here);
    let mut brought = Brought::default();
    let (mut down, mut first) = (all.saturating_sub(left.len()), None);
    let one = |(number, digest, blob): (usize, Digest, &PinnedBlob)| {
        let places = blob.places.clone();
        let descriptor = Descriptor::new(&blob.media_type, digest, blob.size);
        async move {
            let got = from_anywhere(writer, number, &descriptor, &places, registries, progress);
            (digest, got.await)
        }
    };
    let mut transfers =
        stream::iter(left.into_iter().map(one)).buffer_unordered(manner.concurrency);
    while let Some((digest, got)) = transfers.next().await {
        match got {
            Ok(bytes) => {
                down = down.saturating_add(1);
                brought.blobs = brought.blobs.saturating_add(1);
                brought.bytes = brought.bytes.saturating_add(bytes);
            }
            Err(Failed::Registry(source)) => {
                let why = causes(&source);
                progress.failed(&digest, &why);
                // Nothing is left out because nobody could be asked for it.
                if !manner.keep_going || !source.is_answer() {
                    first = Some(source);
                    break;
                }
                brought.failed.insert(digest, why);
            }
            Err(Failed::Disk(error)) => return Err(error.into()),
        }
    }
    drop(transfers);
    match first {
        Some(source) => Err(CreateError::Fetch { down, all, source }),
        None => Ok(brought),
    }
}

/// Why a blob is not here.
enum Failed {
    Registry(RegistryError),
    Disk(BundleError),
}

/// Fetches one blob from the first place that has it; answers how many bytes came.
async fn from_anywhere(
    writer: &Writer,
    number: usize,
    blob: &Descriptor,
    places: &std::collections::BTreeSet<Place>,
    registries: &[Registry],
    progress: &Progress,
) -> Result<u64, Failed> {
    let item = apart(registries, || writer.begin(number)).map_err(Failed::Disk)?;
    let from = item.resume_at();
    progress.begun(&blob.digest, blob.size, from);
    let mut sink =
        ItemSink { writer, number, digest: blob.digest, item: Some(item), progress, broken: None };
    let mut failed = None;
    for place in places {
        let Some(registry) = registries.get(place.registry) else { continue };
        let pulled = registry.pull(&place.repository, blob, &mut sink).await;
        if let Some(error) = sink.broken.take() {
            return Err(Failed::Disk(error));
        }
        match pulled {
            Ok(()) => {
                apart(registries, || sink.end()).map_err(Failed::Disk)?;
                progress.done(&blob.digest, blob.size);
                return Ok(blob.size.saturating_sub(from));
            }
            Err(error) if failed.as_ref().is_none_or(|f| weight(&error) > weight(f)) => {
                failed = Some(error);
            }
            Err(_) => {}
        }
        apart(registries, || sink.begin_again()).map_err(Failed::Disk)?;
    }
    let nowhere = || RegistryError::Protocol {
        what: format!("blob {}", blob.digest),
        why: "no registry is configured for it".to_owned(),
    };
    Err(Failed::Registry(failed.unwrap_or_else(nowhere)))
}

/// Does what the disk takes its time for, and reads what is there again; the registries of a run
/// share their account of it.
fn apart<T>(registries: &[Registry], work: impl FnOnce() -> T) -> T {
    match registries.first() {
        Some(registry) => registry.apart(work),
        None => work(),
    }
}

/// How much a failure says of a blob that may be in several places: where nobody answered it may
/// still be, and what went wrong where it should be says more than where it is not.
fn weight(error: &RegistryError) -> u8 {
    match error.is_answer() {
        false => 2,
        true if !matches!(error, RegistryError::NotFound { .. }) => 1,
        true => 0,
    }
}

/// Writes a blob where the layout says.
struct ItemSink<'a> {
    writer: &'a Writer,
    number: usize,
    digest: Digest,
    /// None once the writer compared the digest.
    item: Option<ItemWriter>,
    progress: &'a Progress,
    /// What the disk said, which the registry cannot be blamed for.
    broken: Option<BundleError>,
}

impl ItemSink<'_> {
    fn fail(&mut self, error: BundleError) -> io::Error {
        let told = io::Error::other(causes(&error));
        self.broken = Some(error);
        told
    }

    /// Nothing was expected of a blob without bytes, so nobody asked for its digest.
    fn end(mut self) -> Result<(), BundleError> {
        self.item.take().map_or(Ok(()), ItemWriter::finish)
    }

    fn begin_again(&mut self) -> Result<(), BundleError> {
        if self.item.is_none() && !self.writer.done(self.number) {
            self.item = Some(self.writer.begin(self.number)?);
        }
        Ok(())
    }
}

impl BlobSink for ItemSink<'_> {
    fn offset(&self) -> u64 {
        self.item.as_ref().map_or(0, ItemWriter::offset)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(item) = &mut self.item else {
            return Err(io::Error::other("the blob was compared already"));
        };
        match item.write(bytes) {
            Ok(()) => {
                self.progress.add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                Ok(())
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    fn digest(&mut self) -> io::Result<Digest> {
        let Some(item) = self.item.take() else { return Ok(self.digest) };
        match item.finish() {
            Ok(()) => Ok(self.digest),
            Err(BundleError::Digest { found, .. }) => Ok(found),
            Err(error) => Err(self.fail(error)),
        }
    }

    fn restart(&mut self) -> io::Result<bool> {
        // A wrong digest took the item back to its start.
        let begun = self.begin_again();
        begun.map_err(|error| self.fail(error))?;
        let size = self.item.as_ref().map_or(0, ItemWriter::size);
        self.progress.lost(size.saturating_sub(self.offset()));
        Ok(self.offset() == 0)
    }
}
