//! Looks at every byte of a set once: content by its digest, what lies between by comparing.
//!
//! Entries are hashed on several threads, the longest first, so that the last one to end is short.
//! With one thread they are read in the order of the files, which is what optical media want. Reads
//! only; all damaged places are found in one pass, up to a bound.

mod entry;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use self::entry::Worker;
use super::error::BundleError;
use super::evidence::{DAMAGE_MAX, Damage, Evidence, SegmentEvidence};
use super::manifest::{BundleManifest, Entry};
use super::reader::Reader;

/// More threads than this only wait for the medium.
const THREADS_MAX: usize = 64;

/// Something that one thread looks at.
enum Job<'a> {
    /// A file, a manifest, or a blob with all its parts.
    Object(&'a [Entry]),
    /// Headers, padding and end of one segment.
    Framing(u32),
}

impl Job<'_> {
    fn bytes(&self) -> u64 {
        match self {
            Self::Object(entries) => entries.iter().map(|entry| entry.size).sum(),
            Self::Framing(_) => 0,
        }
    }
}

/// What the threads found.
#[derive(Default)]
struct Findings {
    damage: BTreeSet<Damage>,
    by_file: BTreeMap<String, u64>,
    error: Option<BundleError>,
}

impl Findings {
    fn add(&mut self, found: Vec<Damage>) {
        for damage in found {
            let count = self.by_file.entry(damage.file.clone()).or_default();
            *count = count.saturating_add(1);
            self.damage.insert(damage);
            if self.damage.len() > DAMAGE_MAX {
                self.damage.pop_last();
            }
        }
    }
}

/// Looks at every byte. `progress` is told of content bytes as they are hashed, from several threads.
///
/// # Errors
/// [`BundleError::Damaged`] with all damaged places; [`BundleError::SegmentLength`],
/// [`BundleError::NotAFile`] or [`BundleError::Io`] when a segment cannot be opened.
pub fn check(
    reader: &Reader,
    threads: NonZeroUsize,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Evidence, BundleError> {
    let threads = threads.get().min(THREADS_MAX);
    let mut jobs = jobs(reader.manifest());
    if threads > 1 {
        jobs.sort_by_key(|job| std::cmp::Reverse(job.bytes()));
    }
    let (next, findings) = (AtomicUsize::new(0), Mutex::new(Findings::default()));
    let lock = || findings.lock().unwrap_or_else(PoisonError::into_inner);
    let work = || {
        let mut worker = Worker::new(reader, progress);
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let found = match job {
                Job::Object(entries) => worker.object(entries),
                Job::Framing(segment) => worker.framing(*segment),
            };
            match found {
                Ok(damage) => lock().add(damage),
                Err(error) => {
                    lock().error.get_or_insert(error);
                    // Nobody takes another job.
                    next.store(jobs.len(), Ordering::Relaxed);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(jobs.len()) {
            scope.spawn(work);
        }
        work();
    });
    let findings = findings.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = findings.error {
        return Err(error);
    }
    let evidence = evidence(reader.manifest(), findings);
    if evidence.damage_count == 0 {
        return Ok(evidence);
    }
    Err(BundleError::Damaged { evidence: Box::new(evidence) })
}

/// Everything there is to look at, in the order of the files.
fn jobs(manifest: &BundleManifest) -> Vec<Job<'_>> {
    let mut jobs = Vec::new();
    let is_same = |a: &Entry, b: &Entry| a.blob().is_some() && a.blob() == b.blob();
    let mut framed = 0_u32;
    for object in manifest.entries.chunk_by(is_same) {
        let segment = object.first().map_or(0, |entry| entry.segment);
        while framed <= segment {
            jobs.push(Job::Framing(framed));
            framed = framed.saturating_add(1);
        }
        jobs.push(Job::Object(object));
    }
    let all = u32::try_from(manifest.segments.len()).unwrap_or(u32::MAX);
    jobs.extend((framed..all).map(Job::Framing));
    jobs
}

fn evidence(manifest: &BundleManifest, findings: Findings) -> Evidence {
    let mut counts = BTreeMap::<u32, u64>::new();
    for entry in &manifest.entries {
        let count = counts.entry(entry.segment).or_default();
        *count = count.saturating_add(1);
    }
    let segments = (0_u32..).zip(&manifest.segments).map(|(index, segment)| SegmentEvidence {
        file: segment.file.clone(),
        bytes: segment.size,
        entries: counts.get(&index).copied().unwrap_or_default(),
        damage_count: findings.by_file.get(&segment.file).copied().unwrap_or_default(),
    });
    Evidence {
        name: manifest.name.to_string(),
        segments: segments.collect(),
        damage_count: findings.by_file.values().sum(),
        damage: findings.damage.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests;
