//! How long the graph data of OpenShift takes to compile, and how much memory.
//!
//! `FAIRWAY_DATA=… cargo bench -p channels --bench compile`; one core, one process. Prints a line
//! per case: milliseconds, those on the processor, ratio to the bar of the design (1 s, and 150 ms
//! for the scrape of 2021), peak resident memory so far. Nothing is asserted here.
#![expect(clippy::print_stdout, reason = "a bench prints")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use channels::cincinnati::{from_json, to_json};
use channels::compile::{Compiled, Incremental, compile};
use channels::names::{Arch, ProductRef};
use channels::repository::{GraphData, ProductSource, PullSpec, load_graph_data, scraped_releases};
use channels::version::ReleaseVersion;
use signing::Sha256Digest;

/// The bar for all of OpenShift, in milliseconds.
const BAR_MS: f64 = 1000.0;
/// The bar for the scrape of 2021, in milliseconds.
const SCRAPE_BAR_MS: f64 = 150.0;
/// Runs of each case; the fastest counts, for other work on the machine only ever adds to one.
const RUNS: u32 = 7;

/// How long one run of a case took.
#[derive(Clone, Copy)]
struct Took {
    /// By the clock; other work on the machine is in it.
    wall_ms: f64,
    /// On the processor; this process has one thread.
    cpu_ms: f64,
}

#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn timed<T>(mut run: impl FnMut() -> T) -> (Took, T) {
    let mut once = || {
        let (start, cpu_ms) = (std::time::Instant::now(), cpu_ms());
        let answer = run();
        let wall_ms = start.elapsed().as_secs_f64() * 1000.0;
        (Took { wall_ms, cpu_ms: self::cpu_ms() - cpu_ms }, answer)
    };
    let (mut best, mut answer) = once();
    for _ in 1..RUNS {
        // One answer at a time: the peak is that of a single run.
        drop(answer);
        let (took, again) = once();
        best.wall_ms = best.wall_ms.min(took.wall_ms);
        best.cpu_ms = best.cpu_ms.min(took.cpu_ms);
        answer = again;
    }
    (best, answer)
}

/// Time this process has spent on the processor; 0 where the kernel does not say.
fn cpu_ms() -> f64 {
    let text = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanoseconds = text.split_whitespace().next().and_then(|first| first.parse::<f64>().ok());
    nanoseconds.unwrap_or_default() / 1e6
}

/// The most memory this process has had resident, in MB; 0 where the kernel does not say.
fn peak_mb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or_default() / 1024
}

fn report(case: &str, took: Took, bar_ms: f64) {
    let Took { wall_ms, cpu_ms } = took;
    let (ratio, peak) = (wall_ms / bar_ms, peak_mb());
    println!(
        "{case:<44} {wall_ms:>7.1} ms ({cpu_ms:>6.1} on the processor) {ratio:>6.3} x bar \
         ({bar_ms:.0} ms)  peak {peak} MB"
    );
}

fn arches() -> Result<Vec<Arch>, Box<dyn Error>> {
    let names = ["amd64", "arm64", "ppc64le", "s390x"];
    names.iter().map(|name| Ok(name.parse()?)).collect()
}

fn product() -> Result<ProductRef, Box<dyn Error>> {
    Ok("redhat/ocp".parse()?)
}

/// A made-up payload: graph data names none, and what it is does not matter here.
fn content(version: &ReleaseVersion, arch: &Arch) -> Option<PullSpec> {
    let digest = Sha256Digest::of(format!("{version}+{arch}").as_bytes());
    format!("ocp/release@{digest}").parse().ok()
}

fn load(folder: &Path) -> Result<GraphData, Box<dyn Error>> {
    load_graph_data(folder).map_err(|errors| {
        let first = errors.first().map(ToString::to_string).unwrap_or_default();
        format!("{} faults, first: {first}", errors.len()).into()
    })
}

fn compiled(source: &ProductSource) -> Result<Compiled, Box<dyn Error>> {
    compile(source).map_err(|errors| {
        let first = errors.first().map(ToString::to_string).unwrap_or_default();
        format!("{} faults, first: {first}", errors.len()).into()
    })
}

fn totals(what: &str, compiled: &Compiled) {
    let (mut nodes, mut plain, mut conditional) = (0, 0, 0);
    for (_, _, graph) in &compiled.graphs {
        nodes += graph.nodes().len();
        plain += graph.edges().len();
        conditional += graph.conditional().iter().map(|group| group.edges.len()).sum::<usize>();
    }
    println!(
        "{what}: {} releases, {} graphs, {nodes} nodes, {plain} plain and {conditional} \
         conditional edges",
        compiled.releases.len(),
        compiled.graphs.len()
    );
}

fn live(folder: &Path) -> Result<(), Box<dyn Error>> {
    let (arches, product) = (arches()?, product()?);
    let released_at = "2026-01-01T00:00:00Z".parse()?;
    let make = |data: GraphData| {
        let releases = data.suggested_releases(&arches, released_at, &content);
        data.into_product(product.clone(), releases)
    };
    let source = make(load(folder)?);
    let (took, one) = timed(|| compiled(&source));
    report("compile", took, BAR_MS);
    let one = one?;
    totals("live graph data", &one);
    drop(one);
    let mut whole = source.clone();
    whole.channels.retain(|name, _| name.as_str() == "stable-4.13");
    for channel in whole.channels.values_mut() {
        channel.versions = whole.releases.keys().cloned().collect();
    }
    let (took, everything) = timed(|| compiled(&whole));
    report("compile all releases as one channel", took, BAR_MS);
    totals("one channel", &everything?);
    let mut again = Incremental::new();
    let (took, _) = timed(|| again.compile(&source).is_ok());
    report("compile again, nothing changed", took, BAR_MS);
    drop(again);
    let one = compiled(&source)?;
    let (took, bytes) =
        timed(|| one.graphs.iter().map(|(_, _, g)| to_json(g).len()).sum::<usize>());
    report("write all graphs", took, BAR_MS);
    println!("{bytes} bytes");
    let (took, kept) =
        timed(|| one.graphs.iter().map(|(_, _, g)| g.reduced_edges().len()).sum::<usize>());
    report("reduce all graphs for drawing", took, BAR_MS);
    println!("{kept} edges to draw");
    drop(one);
    let (took, data) = timed(|| load(folder));
    report("read 1,800 files", took, BAR_MS);
    let data = data?;
    let (took, _) = timed(|| make(data.clone()));
    report("make releases", took, BAR_MS);
    let (took, all) = timed(|| {
        let one = compiled(&make(load(folder)?))?;
        let written = one.graphs.iter().map(|(_, _, graph)| to_json(graph).len());
        Ok::<usize, Box<dyn Error>>(written.sum())
    });
    report("read, make, compile and write, together", took, BAR_MS);
    all?;
    Ok(())
}

fn scrape(graph: &Path, folder: &Path) -> Result<(), Box<dyn Error>> {
    let bytes = fs::read(graph)?;
    let released_at = "2021-11-24T00:00:00Z".parse()?;
    let product = product()?;
    let data = load(folder)?;
    let make = || -> Result<ProductSource, Box<dyn Error>> {
        let scraped = scraped_releases(&from_json(&bytes)?, released_at, &content);
        Ok(data.clone().into_product(product.clone(), scraped.releases))
    };
    let source = make()?;
    let (took, one) = timed(|| compiled(&source));
    report("compile the scrape of 2021", took, SCRAPE_BAR_MS);
    totals("scrape of 2021", &one?);
    let (took, one) = timed(|| {
        let data = load(folder)?;
        let scraped = scraped_releases(&from_json(&bytes)?, released_at, &content);
        let source = data.into_product(product.clone(), scraped.releases);
        let one = compiled(&source)?;
        let written: BTreeMap<(String, String), usize> = one
            .graphs
            .iter()
            .map(|(channel, arch, g)| ((channel.to_string(), arch.to_string()), to_json(g).len()))
            .collect();
        Ok::<usize, Box<dyn Error>>(written.len())
    });
    report("the same with reading and writing all files", took, SCRAPE_BAR_MS);
    one?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let Some(folder) = env::var_os("FAIRWAY_DATA").map(PathBuf::from) else {
        println!("skipped: FAIRWAY_DATA names no folder");
        return Ok(());
    };
    live(&folder.join("openshift-graph-data"))?;
    let graph = folder.join("graphs/openshift-2021-11-24-raw.json");
    scrape(&graph, &folder.join("openshift-graph-data-2021"))
}
