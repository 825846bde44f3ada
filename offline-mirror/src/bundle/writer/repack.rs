//! Leaves things out of a set that was begun: moves what is written to where it belongs then.
//!
//! What could not be fetched leaves a hole that no reader takes, and closing it moves everything
//! behind it towards the front. Items are moved in the order of the bundle inside the same files, so
//! no second copy is made: with less in front of it nothing comes to lie further back than it was.
//!
//! The journal is begun anew for the new layout before anything moves, so a crash here costs at most
//! downloads, never a wrong byte: every item is hashed as it moves.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::bundle::error::BundleError;
use crate::bundle::layout::{Item, Laid, Piece};
use crate::bundle::manifest::CHUNK_BYTES;

use super::journal::{Journal, replay};
use super::segments::{partial, sync_dir};
use super::shared::{Shared, restore};
use super::state::State;
use super::{Writer, work_dir};

/// Bytes moved at a time.
const MOVE_BYTES: usize = 1024 * 1024;

impl Writer {
    /// Goes on with the set that was begun for `from` as one for `to`, which has the same name and
    /// usually lacks some of its items. What both have and is written is kept. After a crash call it
    /// again with the same two layouts.
    ///
    /// # Errors
    /// [`BundleError::OtherPlan`] when neither was begun here, [`BundleError::Locked`] or
    /// [`BundleError::Io`].
    pub fn repack(dir: &Path, from: &Laid, to: Laid) -> Result<Self, BundleError> {
        Self::repack_with(dir, from, to, CHUNK_BYTES)
    }

    pub(super) fn repack_with(
        dir: &Path,
        from: &Laid,
        to: Laid,
        chunk_bytes: u64,
    ) -> Result<Self, BundleError> {
        let work = work_dir(dir, to.name());
        let (mut journal, bytes) = Journal::open(&work)?;
        let replayed = replay(&bytes);
        let begun = replayed.layout.map(|(layout, _)| layout);
        let (kept, state) = if begun == Some(from.digest()) {
            let before = restore(&mut journal, &replayed, from, chunk_bytes)?;
            journal.begin(&to.digest())?;
            (kept(from, &to, |item| before.items.get(item).is_some_and(|s| s.is_done)), None)
        } else if begun == Some(to.digest()) {
            let state = restore(&mut journal, &replayed, &to, chunk_bytes)?;
            (kept(from, &to, |_| true), Some(state))
        } else {
            return Err(BundleError::OtherPlan { work });
        };
        let state = state.unwrap_or_else(|| State::new(&to));
        let shared = Shared::new(dir, to, chunk_bytes, journal, state);
        shared.stretch_segments(from)?;
        let writer = Self::over(shared)?;
        for (item, old) in kept {
            writer.take_over(item, old)?;
        }
        writer.sync()?;
        writer.shared.trim_segments(from)?;
        Ok(writer)
    }

    /// Moves one item. One that is not whole where it was is left to be fetched.
    fn take_over(&self, item: usize, old: &Item) -> Result<(), BundleError> {
        if self.done(item) {
            return Ok(());
        }
        let mut writer = self.begin(item)?;
        let mut buffer = vec![0; MOVE_BYTES];
        for piece in &old.pieces {
            let end = piece.from.saturating_add(piece.size);
            let file = self.shared.open_segment(piece.segment)?;
            while writer.offset() < end {
                let at = writer.offset();
                let left = usize::try_from(end - at).unwrap_or(usize::MAX);
                let run = &mut buffer[..left.min(MOVE_BYTES)];
                let place = piece.offset.saturating_add(at - piece.from);
                if file.read_exact_at(run, place).is_err() {
                    return writer.restart();
                }
                writer.write(run)?;
            }
        }
        match writer.finish() {
            Err(BundleError::Digest { .. }) => Ok(()),
            other => other,
        }
    }
}

/// Items of `to`, in order, that lie whole in `from` and nowhere further back than there.
fn kept<'a>(
    from: &'a Laid,
    to: &Laid,
    is_written: impl Fn(usize) -> bool,
) -> Vec<(usize, &'a Item)> {
    let numbered = from.items().iter().enumerate();
    let there: BTreeMap<String, (usize, &Item)> =
        numbered.map(|(number, item)| (item.planned.path(), (number, item))).collect();
    let items = to.items().iter().enumerate();
    let kept = items.filter_map(|(number, item)| {
        let (old_number, old) = there.get(&item.planned.path())?;
        let stays = old.planned == item.planned && is_written(*old_number);
        (stays && item.pieces.iter().all(|piece| is_before(piece, old))).then_some((number, *old))
    });
    kept.collect()
}

/// Whether the first byte of a piece comes to lie no further back than it was. Inside a piece both
/// places grow alike, and a segment's end takes the old place further back only.
fn is_before(piece: &Piece, old: &Item) -> bool {
    let was = old.pieces.iter().rfind(|was| was.from <= piece.from);
    was.is_some_and(|was| {
        let offset = was.offset.saturating_add(piece.from - was.from);
        (piece.segment, piece.offset) <= (was.segment, offset)
    })
}

impl Shared {
    /// Makes every file long enough for both layouts.
    fn stretch_segments(&self, from: &Laid) -> Result<(), BundleError> {
        for (index, segment) in (0_u32..).zip(self.laid.segments()) {
            let position = usize::try_from(index).unwrap_or(usize::MAX);
            let before = from.segments().get(position).map_or(0, |segment| segment.size);
            let path = partial(&self.dir, &segment.file);
            if path.metadata().is_ok_and(|meta| meta.len() >= segment.size.max(before)) {
                continue;
            }
            if !path.exists() {
                self.forget(&std::iter::once(index).collect())?;
                self.sync()?;
            }
            let file = File::options().create(true).truncate(false).write(true).open(&path);
            let made = file.and_then(|file| file.set_len(segment.size.max(before)));
            made.map_err(BundleError::io("make", &path))?;
        }
        Ok(())
    }

    /// Gives files their final lengths and removes those that hold nothing any more.
    fn trim_segments(&self, from: &Laid) -> Result<(), BundleError> {
        for segment in self.laid.segments() {
            let path = partial(&self.dir, &segment.file);
            let file = File::options().write(true).open(&path);
            let cut = file.and_then(|file| file.set_len(segment.size));
            cut.map_err(BundleError::io("cut", &path))?;
        }
        for segment in from.segments().iter().skip(self.laid.segments().len()) {
            let path = partial(&self.dir, &segment.file);
            match std::fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(BundleError::io("remove", path)(e));
                }
                _ => {}
            }
        }
        sync_dir(&self.dir)
    }
}
