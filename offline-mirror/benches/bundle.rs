//! What writing and checking a set costs, beside a bare hash over the same bytes.
//!
//! Prints gigabytes per second of processor time and the ratio to the bare hash, which holds on any
//! machine. The bars: writing 0.9, checking 1.5 GB per CPU-second, 150 MB resident (design §10).
//! `FAIRWAY_BENCH_MIB` sets how much is written (1536).
#![expect(clippy::print_stdout, reason = "printing is what a benchmark is for")]

use std::hint::black_box;
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use offline_mirror::bundle::{
    BundleDir, BundleManifest, Planned, PlannedEntry, SegmentSize, Writer, check, lay_out, seal,
};
use offline_mirror::oci::{Algorithm, Hasher};
use signing::{KeySet, SecretKey};

const MIB: usize = 1024 * 1024;
/// Length of a layer.
const BLOB_MIB: usize = 48;
/// What a network hands over at a time.
const NETWORK_BYTES: usize = 64 * 1024;
/// Rounds per figure; the fastest counts, which is the least disturbed.
const ROUNDS: usize = 3;
/// Unit of processor times in `/proc`, the same on every Linux of today.
const TICKS_PER_S: f64 = 100.0;

/// Processor seconds of this process and its children.
fn cpu_s() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').context("a name in stat")?.1.split_whitespace();
    let ticks: u32 = fields.skip(11).take(4).filter_map(|f| f.parse::<u32>().ok()).sum();
    Ok(f64::from(ticks) / TICKS_PER_S)
}

/// Processor seconds and wall seconds of the fastest round.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures the clock's time")]
fn fastest(
    mut prepare: impl FnMut() -> Result<()>,
    mut run: impl FnMut() -> Result<()>,
) -> Result<(f64, f64)> {
    let mut best = (f64::INFINITY, f64::INFINITY);
    for _ in 0..ROUNDS {
        prepare()?;
        let (cpu, wall) = (cpu_s()?, std::time::Instant::now());
        run()?;
        best = (best.0.min(cpu_s()? - cpu), best.1.min(wall.elapsed().as_secs_f64()));
    }
    Ok(best)
}

/// One mebibyte of a layer.
fn block(seed: usize) -> Vec<u8> {
    let mut state = u64::try_from(seed).unwrap_or(0).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..MIB / 8).flat_map(|_| next().to_le_bytes()).collect()
}

fn plan(blobs: usize) -> Vec<PlannedEntry> {
    let blob = |seed| {
        let (block, mut hasher) = (block(seed), Hasher::new(Algorithm::Sha256));
        (0..BLOB_MIB).for_each(|_| hasher.update(&block));
        let size = u64::try_from(BLOB_MIB * MIB).unwrap_or(0);
        PlannedEntry { digest: hasher.finish(), size, what: Planned::Blob }
    };
    (0..blobs).map(blob).collect()
}

/// Writes the set as a download would: in network pieces, with every sync that a real run makes.
fn write(dir: &Path, plan: &[PlannedEntry], key: &SecretKey) -> Result<()> {
    let name = "bench".parse()?;
    let writer = Writer::open(dir, lay_out(plan, SegmentSize::default(), &name)?)?;
    for (seed, entry) in plan.iter().enumerate() {
        let item = writer.laid().item_of(&entry.digest).context("planned")?;
        let (mut item, block) = (writer.begin(item)?, block(seed));
        for _ in 0..BLOB_MIB {
            block.chunks(NETWORK_BYTES).try_for_each(|piece| item.write(piece))?;
        }
        item.finish()?;
    }
    let written = writer.finish()?;
    let manifest = BundleManifest {
        format: BundleManifest::FORMAT,
        name,
        sequence: 1,
        created_at: jiff::Timestamp::UNIX_EPOCH,
        created_by: "bench".to_owned(),
        good_until: None,
        sites: Vec::new(),
        bases: Vec::new(),
        required: Vec::new(),
        complete: true,
        missing: Vec::new(),
        releases: Vec::new(),
        images: Vec::new(),
        segments: written.segments,
        entries: written.entries,
    };
    seal(dir, &manifest, &[key])?;
    Ok(())
}

/// A bare hash over a file, read as checks read.
fn hash_file(path: &Path) -> Result<()> {
    let mut file = std::fs::File::open(path)?;
    let (mut hasher, mut buffer) = (Hasher::new(Algorithm::Sha256), vec![0; 256 * 1024]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            black_box(hasher.finish());
            return Ok(());
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
    }
}

fn resident_peak_mb() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024.0 / 1e6)
}

fn main() -> Result<()> {
    let mib = std::env::var("FAIRWAY_BENCH_MIB").ok().and_then(|v| v.parse().ok()).unwrap_or(1536);
    let plan = plan(usize::max(mib / BLOB_MIB, 1));
    let gigabytes = f64::from(u32::try_from(plan.len() * BLOB_MIB)?) * 1.048_576 / 1000.0;
    let (key, dir) = (SecretKey::from_seed([1; 32]), tempfile::tempdir()?);
    let set = dir.path();
    let say = |what: &str, (cpu, wall): (f64, f64), bare: f64| {
        let (rate, ratio) = (gigabytes / cpu, bare / cpu);
        println!("{what:32} {rate:5.2} GB/CPU-s  {ratio:4.2} x bare hash  {wall:5.2} s wall");
    };
    println!("{gigabytes:.2} GB in {} blobs, fastest of {ROUNDS}", plan.len());
    let nothing = || Ok(());
    let clear = || {
        for entry in std::fs::read_dir(set)? {
            std::fs::remove_file(entry?.path())?;
        }
        Ok(())
    };
    let written = fastest(clear, || write(set, &plan, &key))?;
    let first = set.join("bench-0001.tar");
    let bare = fastest(nothing, || hash_file(&first))?;
    say("bare sha2 over the segment", bare, bare.0);
    let openssl = fastest(nothing, || {
        let done = Command::new("openssl").args(["dgst", "-sha256"]).arg(&first).output()?;
        anyhow::ensure!(done.status.success(), "openssl failed");
        Ok(())
    })?;
    say("openssl dgst -sha256", openssl, bare.0);
    say("write (hash, sync, journal)", written, bare.0);
    let reader = BundleDir::open(set, &[])?.reader(&KeySet::one(key.public().clone()))?;
    for threads in [1, 2] {
        let count = NonZeroUsize::new(threads).context("threads")?;
        let checked = fastest(nothing, || {
            black_box(check(&reader, count, &|_| {})?);
            Ok(())
        })?;
        say(&format!("check, {threads} threads"), checked, bare.0);
    }
    println!("resident at most {:.1} MB", resident_peak_mb()?);
    Ok(())
}
