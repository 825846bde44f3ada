//! How long the graph data of OpenShift takes to compile, and how much memory.
//!
//! `FAIRWAY_DATA=… cargo bench -p channels --bench compile`; one core, one process. Prints a line
//! per case: milliseconds, ratio to the bar of the design (1 s, and 150 ms for the scrape of 2021),
//! peak resident memory so far. Nothing is asserted here.
#![expect(clippy::print_stdout, reason = "a bench prints")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use channels::cincinnati::{from_json, to_json};
use channels::compile::{Compiled, compile};
use channels::names::{Arch, ProductRef};
use channels::repository::{GraphData, ProductSource, PullSpec, load_graph_data, scraped_releases};
use channels::version::ReleaseVersion;
use signing::Sha256Digest;

/// The bar for all of OpenShift, in milliseconds.
const BAR_MS: f64 = 1000.0;
/// The bar for the scrape of 2021, in milliseconds.
const SCRAPE_BAR_MS: f64 = 150.0;
/// Runs of each case; the fastest counts, for other work on the machine only ever adds.
const RUNS: u32 = 7;

#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn timed<T>(mut run: impl FnMut() -> T) -> (f64, T) {
    let mut once = || {
        let start = std::time::Instant::now();
        let answer = run();
        (start.elapsed().as_secs_f64() * 1000.0, answer)
    };
    let mut best = once();
    for _ in 1..RUNS {
        let best_ms = best.0;
        // One answer at a time: the peak is that of a single run.
        drop(best);
        best = once();
        best.0 = best.0.min(best_ms);
    }
    best
}

/// The most memory this process has had resident, in MB; 0 where the kernel does not say.
fn peak_mb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or_default() / 1024
}

fn report(case: &str, ms: f64, bar_ms: f64) {
    let ratio = ms / bar_ms;
    let peak = peak_mb();
    println!("{case:<44} {ms:>8.1} ms  {ratio:>6.3} x bar ({bar_ms:.0} ms)  peak {peak} MB");
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
    let (ms, one) = timed(|| compiled(&source));
    report("compile", ms, BAR_MS);
    let one = one?;
    totals("live graph data", &one);
    let (ms, bytes) = timed(|| one.graphs.iter().map(|(_, _, g)| to_json(g).len()).sum::<usize>());
    report("write all graphs", ms, BAR_MS);
    println!("{bytes} bytes");
    drop(one);
    let (ms, data) = timed(|| load(folder));
    report("read 1,800 files", ms, BAR_MS);
    let data = data?;
    let (ms, _) = timed(|| make(data.clone()));
    report("make releases", ms, BAR_MS);
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
    let (ms, one) = timed(|| compiled(&source));
    report("compile the scrape of 2021", ms, SCRAPE_BAR_MS);
    totals("scrape of 2021", &one?);
    let (ms, one) = timed(|| {
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
    report("the same with reading and writing all files", ms, SCRAPE_BAR_MS);
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
