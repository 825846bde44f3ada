//! Whatever dies whenever, the bytes at the end are the same.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use super::journal::Record;
use super::segments::partial;
use super::shared::SYNC_BYTES;
use super::*;
use crate::bundle::sample::{blob, bytes_of, contents, key, laid_out, manifest_of, noise, scratch};
use crate::bundle::{SegmentSize, discard, seal};

/// Chunks of the sets below, so that small items have many.
const CHUNK: u64 = 512;

type Contents = Vec<(crate::bundle::PlannedEntry, Vec<u8>)>;

fn small() -> SegmentSize {
    SegmentSize::rehearsal(0)
}

fn open_set(dir: &Path, contents: &Contents) -> Result<Writer, BundleError> {
    Writer::open_with(dir, laid_out(contents, small()), CHUNK)
}

/// Writes what is left, all items a little at a time in turn.
fn write_left(writer: &Writer, contents: &Contents) {
    write_left_with(writer, contents, || {});
}

fn write_left_with(writer: &Writer, contents: &Contents, after_each: impl Fn()) {
    let mut open: Vec<_> = writer
        .left()
        .into_iter()
        .map(|item| (writer.begin(item).unwrap(), bytes_of(contents, &writer.laid().items()[item])))
        .collect();
    while !open.is_empty() {
        let mut later = Vec::new();
        for (mut item, bytes) in open {
            let from = usize::try_from(item.offset()).unwrap();
            if from == bytes.len() {
                item.finish().unwrap();
                continue;
            }
            item.write(&bytes[from..(from + 300).min(bytes.len())]).unwrap();
            later.push((item, bytes));
            after_each();
        }
        open = later;
    }
}

fn segments(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap()).filter(|name| name.contains(".tar"));
    names.map(|name| (name.clone(), fs::read(dir.join(name)).unwrap())).collect()
}

/// Bytes and entries of the sample, written without trouble.
fn reference(contents: &Contents) -> (BTreeMap<String, Vec<u8>>, Written) {
    let dir = scratch();
    let writer = open_set(dir.path(), contents).unwrap();
    write_left(&writer, contents);
    let written = writer.finish().unwrap();
    (segments(dir.path()), written)
}

/// Everything on disk that the journal does not speak of becomes something else, and, where a machine
/// died before its disk had it, everything of items that are not done.
fn spoil(dir: &Path, laid: &Laid, state: &State, has_disk: bool) {
    for (item, state) in laid.items().iter().zip(&state.items) {
        let is_kept = has_disk || state.is_done;
        for (piece, state) in item.pieces.iter().zip(&state.pieces) {
            let chunks = u64::try_from(state.chunks.len()).unwrap();
            let written = if state.digest.is_some() { piece.size } else { chunks * CHUNK };
            let good = if is_kept { written } else { 0 };
            let index = usize::try_from(piece.segment).unwrap();
            let path = partial(dir, &laid.segments()[index].file);
            let file = File::options().write(true).open(path).unwrap();
            let junk = vec![0xAA; usize::try_from(piece.size - good).unwrap()];
            file.write_all_at(&junk, piece.offset + good).unwrap();
        }
    }
}

#[test]
fn a_run_that_dies_at_any_record_ends_in_the_same_bytes() {
    let contents = contents();
    let (expected, written) = reference(&contents);
    let first = scratch();
    let writer = open_set(first.path(), &contents).unwrap();
    write_left(&writer, &contents);
    writer.sync().unwrap();
    let laid = writer.laid().clone();
    drop(writer);
    let journal = work_dir(first.path(), laid.name()).join("journal");
    let text = fs::read_to_string(&journal).unwrap();
    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
    assert!(ends.len() > 50, "{} records", ends.len());
    let ends = ends.iter().flat_map(|end| [*end, end + 40]).filter(|end| *end <= text.len());
    for (end, has_disk) in ends.flat_map(|end| [(end, true), (end, false)]) {
        let dir = scratch();
        let work = work_dir(dir.path(), laid.name());
        fs::create_dir(&work).unwrap();
        fs::write(work.join("journal"), &text[..end]).unwrap();
        for segment in laid.segments() {
            let (from, to) = (first.path(), dir.path());
            fs::copy(partial(from, &segment.file), partial(to, &segment.file)).unwrap();
        }
        let mut state = State::new(&laid);
        for (record, _) in replay(&text.as_bytes()[..end]).records {
            state.apply(&record, &laid, CHUNK).unwrap();
        }
        spoil(dir.path(), &laid, &state, has_disk);
        let writer = open_set(dir.path(), &contents).unwrap();
        write_left(&writer, &contents);
        assert_eq!(writer.finish().unwrap(), written, "journal cut at {end}");
        assert!(segments(dir.path()) == expected, "journal cut at {end}");
    }
}

#[test]
fn a_second_run_goes_on_at_the_last_whole_chunk() {
    let dir = scratch();
    let contents = vec![blob(noise(1, 5000))];
    let writer = open_set(dir.path(), &contents).unwrap();
    let mut item = writer.begin(0).unwrap();
    item.write(&contents[0].1[..2000]).unwrap();
    drop(item);
    writer.sync().unwrap();
    drop(writer);
    let writer = open_set(dir.path(), &contents).unwrap();
    let mut item = writer.begin(0).unwrap();
    assert_eq!(item.resume_at(), 3 * CHUNK);
    item.write(&contents[0].1[3 * 512..]).unwrap();
    item.finish().unwrap();
    assert!(writer.done(0) && writer.left().is_empty());
    writer.finish().unwrap();
}

#[test]
fn a_chunk_that_is_not_on_disk_as_the_journal_says_is_written_again() {
    for (spoilt, resumed) in [(0, 0), (700, 512), (1535, 1024), (1536, 1536)] {
        let dir = scratch();
        let contents = vec![blob(noise(1, 5000))];
        let writer = open_set(dir.path(), &contents).unwrap();
        let mut item = writer.begin(0).unwrap();
        item.write(&contents[0].1[..1600]).unwrap();
        drop(item);
        writer.sync().unwrap();
        let piece = writer.laid().items()[0].pieces[0].clone();
        let path = partial(dir.path(), "sample-0001.tar");
        let file = File::options().write(true).open(path).unwrap();
        file.write_all_at(b"\0\0", piece.offset + spoilt).unwrap();
        let item = writer.begin(0).unwrap();
        assert_eq!(item.resume_at(), resumed, "spoilt at {spoilt}");
        drop(item);
        write_left(&writer, &contents);
        writer.finish().unwrap();
        assert!(segments(dir.path()) == reference(&contents).0);
    }
}

#[test]
fn a_segment_that_somebody_removed_is_written_again() {
    let contents = contents();
    let (expected, written) = reference(&contents);
    for index in 0..expected.len() {
        let dir = scratch();
        let writer = open_set(dir.path(), &contents).unwrap();
        write_left(&writer, &contents);
        writer.sync().unwrap();
        let file = writer.laid().segments()[index].file.clone();
        drop(writer);
        fs::remove_file(partial(dir.path(), &file)).unwrap();
        // Dies right after it was made again, before anything is written into it.
        drop(open_set(dir.path(), &contents).unwrap());
        let writer = open_set(dir.path(), &contents).unwrap();
        assert!(!writer.left().is_empty());
        write_left(&writer, &contents);
        assert_eq!(writer.finish().unwrap(), written);
        assert!(segments(dir.path()) == expected, "{file}");
    }
}

#[test]
fn a_finish_that_died_between_two_names_is_finished() {
    let contents = contents();
    let (expected, written) = reference(&contents);
    for named in 0..=expected.len() {
        let dir = scratch();
        let writer = open_set(dir.path(), &contents).unwrap();
        write_left(&writer, &contents);
        writer.finish().unwrap();
        for file in expected.keys().skip(named) {
            fs::rename(dir.path().join(file), partial(dir.path(), file)).unwrap();
        }
        let writer = open_set(dir.path(), &contents).unwrap();
        assert_eq!(writer.finish().unwrap(), written);
        assert!(segments(dir.path()) == expected);
    }
}

#[test]
fn other_bytes_than_planned_are_refused_and_the_item_starts_again() {
    let dir = scratch();
    let contents = vec![blob(noise(1, 20_000)), blob(noise(2, 3000))];
    let writer = open_set(dir.path(), &contents).unwrap();
    for number in 0..2 {
        let size = usize::try_from(writer.laid().items()[number].planned.size).unwrap();
        let mut item = writer.begin(number).unwrap();
        item.write(&vec![7; size]).unwrap();
        let error = item.finish().unwrap_err();
        assert!(matches!(error, BundleError::Digest { .. }), "{error}");
        assert_eq!(error.attack(), Some(signing::Attack::ArbitrarySoftware));
        let mut item = writer.begin(number).unwrap();
        assert_eq!(item.resume_at(), 0);
        let error = item.write(&vec![7; size + 1]).unwrap_err();
        assert_eq!(error.attack(), Some(signing::Attack::EndlessData));
        drop(item);
        let item = writer.begin(number).unwrap();
        let short = item.finish().unwrap_err();
        assert!(matches!(short, BundleError::TooShort { found: 0, .. }), "{short}");
    }
    let left = writer.clone().finish().unwrap_err();
    assert!(matches!(left, BundleError::Unfinished { left: 2, all: 2 }), "{left}");
    write_left(&writer, &contents);
    writer.finish().unwrap();
    assert!(segments(dir.path()) == reference(&contents).0);
}

#[test]
fn one_item_is_written_by_one_at_a_time() {
    let dir = scratch();
    let contents = vec![blob(noise(1, 600))];
    let writer = open_set(dir.path(), &contents).unwrap();
    let first = writer.begin(0).unwrap();
    assert!(matches!(writer.begin(0), Err(BundleError::NotOpen { item: 0, .. })));
    assert!(matches!(writer.begin(1), Err(BundleError::NotOpen { item: 1, .. })));
    drop(first);
    writer.put(0, &contents[0].1).unwrap();
    writer.put(0, &contents[0].1).unwrap();
    assert!(matches!(writer.begin(0), Err(BundleError::NotOpen { item: 0, .. })));
}

#[test]
fn many_threads_write_the_same_bytes() {
    let dir = scratch();
    let contents = many();
    let writer = open_set(dir.path(), &contents).unwrap();
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let item = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let Some(laid) = writer.laid().items().get(item) else { return };
                    writer.put(item, bytes_of(&contents, laid)).unwrap();
                }
            });
        }
    });
    writer.finish().unwrap();
    assert!(segments(dir.path()) == reference(&contents).0);
}

#[test]
fn nothing_of_another_bundle_or_run_is_overwritten() {
    let contents = contents();
    for file in ["sample-0001.tar", "sample-0002.tar", "sample-0003.tar.partial"] {
        let dir = scratch();
        fs::write(dir.path().join(file), b"precious").unwrap();
        let error = open_set(dir.path(), &contents).unwrap_err();
        assert!(error.to_string().contains(file), "{error}");
        assert!(matches!(error, BundleError::Occupied { .. }));
        assert_eq!(fs::read(dir.path().join(file)).unwrap(), b"precious");
    }
    let dir = scratch();
    let writer = open_set(dir.path(), &contents).unwrap();
    assert!(matches!(open_set(dir.path(), &contents), Err(BundleError::Locked { .. })));
    drop(writer);
    let other = vec![blob(noise(77, 10))];
    assert!(matches!(open_set(dir.path(), &other), Err(BundleError::OtherPlan { .. })));
    let writer = open_set(dir.path(), &contents).unwrap();
    write_left(&writer, &contents);
    // Prefixes of real sets are 8 MiB apart: the manifest takes entries of one such.
    let manifest = manifest_of(writer.finish().unwrap());
    assert!(matches!(seal(dir.path(), &manifest, &[&key()]), Err(BundleError::Structure { .. })));
    discard(dir.path(), &"sample".parse().unwrap()).unwrap();
    assert_eq!(segments(dir.path()).len(), 5, "what is finished stays");
    let error = open_set(dir.path(), &contents).unwrap_err();
    assert!(matches!(error, BundleError::Occupied { .. }), "{error}");
}

#[test]
fn a_sealed_set_is_not_written_again() {
    let dir = scratch();
    crate::bundle::sample::write_set(dir.path(), &contents(), small());
    let work = work_dir(dir.path(), &name());
    assert!(!work.exists());
    // As if the process had died before it cleared up.
    fs::create_dir(&work).unwrap();
    let error = Writer::open(dir.path(), laid_out(&contents(), small())).unwrap_err();
    assert!(matches!(error, BundleError::Sealed { .. }), "{error}");
    assert!(!work.exists());
}

#[test]
fn what_was_begun_can_be_discarded() {
    let dir = scratch();
    drop(open_set(dir.path(), &contents()).unwrap());
    fs::write(dir.path().join("sample-notes.tar.partial"), b"somebody's own").unwrap();
    discard(dir.path(), &"sample".parse().unwrap()).unwrap();
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["sample-notes.tar.partial"]);
    drop(open_set(dir.path(), &vec![blob(noise(1, 10))]).unwrap());
}

#[test]
fn a_set_that_does_not_fit_is_refused_before_anything_is_written() {
    let dir = scratch();
    let huge = crate::bundle::PlannedEntry { size: 1 << 45, ..blob(Vec::new()).0 };
    let laid = crate::bundle::lay_out(&[huge], "1024GiB".parse().unwrap(), &name()).unwrap();
    assert!(!room(dir.path(), &laid).unwrap().fits());
    let error = Writer::open(dir.path(), laid).unwrap_err();
    let BundleError::NoRoom { needed, free, .. } = &error else { panic!("{error}") };
    assert!(needed > free && *free > 0);
    assert!(error.hint().unwrap().contains(&(needed - free).to_string()));
    assert!(segments(dir.path()).is_empty());
}

fn name() -> BundleName {
    "sample".parse().unwrap()
}

/// A set of which everything but the third to last item is written, and the set without that and with
/// a shorter list.
fn set_with_a_hole(dir: &Path) -> (Contents, Contents, Laid) {
    let file = |text: &str| {
        let entry = crate::bundle::PlannedEntry::file("index.json", text.as_bytes());
        (entry, text.as_bytes().to_vec())
    };
    let mut before = vec![file("a list of everything that was asked for")];
    before.extend((1..12).map(|seed| blob(noise(seed, 700 * usize::try_from(seed).unwrap()))));
    before.push(blob(noise(99, 30_000)));
    let laid = laid_out(&before, small());
    let lost = &laid.items()[3].planned;
    let mut after: Contents = before.iter().filter(|(e, _)| e != lost).cloned().collect();
    after[0] = file("a shorter list");
    let writer = open_set(dir, &before).unwrap();
    for (number, item) in laid.items().iter().enumerate().filter(|(_, i)| i.planned != *lost) {
        writer.put(number, bytes_of(&before, item)).unwrap();
    }
    writer.sync().unwrap();
    (before, after, laid)
}

fn repack(dir: &Path, from: &Laid, after: &Contents) -> Writer {
    Writer::repack_with(dir, from, laid_out(after, small()), CHUNK).unwrap()
}

#[test]
fn what_cannot_be_had_is_left_out_and_the_rest_is_not_fetched_again() {
    let dir = scratch();
    let (before, after, from) = set_with_a_hole(dir.path());
    let (expected, written) = reference(&after);
    assert!(expected.len() <= from.segments().len());
    let writer = repack(dir.path(), &from, &after);
    assert_eq!(writer.left(), [0], "only the list is another");
    drop(writer);
    assert!(matches!(open_set(dir.path(), &before), Err(BundleError::OtherPlan { .. })));
    let writer = open_set(dir.path(), &after).unwrap();
    write_left(&writer, &after);
    assert_eq!(writer.finish().unwrap(), written);
    assert!(segments(dir.path()) == expected);
}

#[test]
fn leaving_out_survives_a_crash_at_any_record() {
    let first = scratch();
    let (_, after, from) = set_with_a_hole(first.path());
    let (expected, written) = reference(&after);
    let journal = |dir: &Path| work_dir(dir, &name()).join("journal");
    let old = fs::read(journal(first.path())).unwrap();
    let copy = |to: &Path, text: &[u8]| {
        fs::create_dir(work_dir(to, &name())).unwrap();
        fs::write(journal(to), text).unwrap();
        for entry in fs::read_dir(first.path()).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    };
    // Before anything has moved.
    let dir = scratch();
    copy(dir.path(), &old);
    let mut begun = Journal::open(&work_dir(dir.path(), &name())).unwrap().0;
    begun.cut(old.len()).unwrap();
    begun.begin(&laid_out(&after, small()).digest()).unwrap();
    drop(begun);
    assert_eq!(repack(dir.path(), &from, &after).left(), [0]);
    // After everything has, and the journal heard of a part of it.
    drop(repack(first.path(), &from, &after));
    let text = fs::read(journal(first.path())).unwrap();
    let lines = text.iter().enumerate().filter(|(at, b)| **b == b'\n' && *at >= old.len());
    for end in lines.map(|(at, _)| at + 1) {
        let dir = scratch();
        copy(dir.path(), &text[..end]);
        let writer = repack(dir.path(), &from, &after);
        write_left(&writer, &after);
        assert_eq!(writer.finish().unwrap(), written, "journal cut at {end}");
        assert!(segments(dir.path()) == expected, "journal cut at {end}");
    }
}

#[test]
fn enough_content_is_synced_without_anybody_waiting() {
    let dir = scratch();
    let contents = vec![blob(noise(1, 600))];
    let writer = open_set(dir.path(), &contents).unwrap();
    let records = || {
        let bytes = fs::read(work_dir(dir.path(), &name()).join("journal")).unwrap();
        replay(&bytes).records.len()
    };
    writer.put(0, &contents[0].1).unwrap();
    assert_eq!(records(), 2, "a chunk and a piece; that it is done is not on disk");
    let back = Record::Back { item: 0, pieces: 9, chunks: 0 };
    writer.shared.note(back, SYNC_BYTES, None).unwrap();
    drop(writer);
    assert_eq!(records(), 4, "and done, by the thread that syncs");
}

#[test]
fn a_full_disk_is_named_with_what_is_needed_and_stays_an_error() {
    let dir = scratch();
    let writer = open_set(dir.path(), &vec![blob(noise(1, 600))]).unwrap();
    lock(&writer.shared.live).broken = Some(std::io::ErrorKind::StorageFull);
    for _ in 0..2 {
        let error = writer.sync().unwrap_err();
        assert!(matches!(error, BundleError::NoRoom { needed, .. } if needed > 0), "{error}");
    }
    lock(&writer.shared.live).broken = Some(std::io::ErrorKind::Other);
    assert!(matches!(writer.sync(), Err(BundleError::Io { operation: "sync", .. })));
}

/// Where the child below writes, and how long its journal gets before it waits to be killed.
const CHILD_DIR: &str = "FAIRWAY_TEST_BUNDLE_DIR";
const CHILD_END: &str = "FAIRWAY_TEST_BUNDLE_END";

fn many() -> Contents {
    (1..60).map(|seed| blob(noise(seed, usize::try_from(seed).unwrap() * 371))).collect()
}

#[test]
#[ignore = "is run by the test that kills it"]
fn child_that_is_killed() {
    let (Some(dir), Ok(end)) = (std::env::var_os(CHILD_DIR), std::env::var(CHILD_END)) else {
        return;
    };
    let (dir, end): (_, u64) = (Path::new(&dir), end.parse().unwrap());
    let contents = many();
    let writer = open_set(dir, &contents).unwrap();
    write_left_with(&writer, &contents, || {
        while journal_length(dir) >= end {
            std::thread::park();
        }
    });
}

fn journal_length(dir: &Path) -> u64 {
    work_dir(dir, &name()).join("journal").metadata().map_or(0, |meta| meta.len())
}

#[test]
fn a_process_killed_again_and_again_ends_in_the_same_bytes() {
    let contents = many();
    let (expected, written) = reference(&contents);
    let dir = scratch();
    for end in (1..12).map(|round| round * 9_000) {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "bundle::writer::tests::child_that_is_killed", "--ignored"])
            .env(CHILD_DIR, dir.path())
            .env(CHILD_END, end.to_string())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        while journal_length(dir.path()) < end {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
            std::thread::yield_now();
        }
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success());
    }
    let writer = open_set(dir.path(), &contents).unwrap();
    write_left(&writer, &contents);
    assert_eq!(writer.finish().unwrap(), written);
    assert!(segments(dir.path()) == expected);
}
