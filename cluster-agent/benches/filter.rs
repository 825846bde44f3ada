//! How long a 2 MB kubelet page takes: filter and parser together against the parser alone.
//!
//! Prints a ratio of one run, which holds on any machine; the bar is 2 ms per page on two cores.
#![expect(clippy::print_stdout, reason = "printing is what a benchmark is for")]

use std::fmt::Write as _;
use std::hint::black_box;

use channels::wire::Role;
use cluster_agent::telemetry::{Page, alias};

/// Rounds per figure; the fastest counts, which is the least disturbed.
const ROUNDS: u32 = 20;

/// A page of the shape and size a busy kubelet serves, made up here.
fn kubelet_page() -> String {
    let mut page = String::new();
    let mut line = |text: String| page.push_str(&text);
    for family in 0..90 {
        line(format!("# HELP family_{family}_seconds Some help.\n"));
        line(format!("# TYPE family_{family}_seconds histogram\n"));
        for sample in 0..130 {
            line(format!(
                "family_{family}_seconds_bucket{{container=\"container-{sample}\",namespace=\"space\",\
                 pod=\"pod-with-a-long-name-{sample}-7d4b9c\",uid=\"0b6f1c9e-64d2-4f36-8c1b-{sample}\",\
                 path=\"/api/v1/pods\",le=\"0.5\"}} {sample}\n"
            ));
        }
    }
    line("process_start_time_seconds 1.8e+09\n".to_owned());
    line("kubelet_pleg_last_seen_seconds 1.8e+09\nkubelet_pleg_discard_events 0\n".to_owned());
    line("kubernetes_build_info{git_version=\"v1.33.2\"} 1\n".to_owned());
    let mut text = String::new();
    text.push_str("# TYPE kubelet_pleg_relist_duration_seconds histogram\n");
    for le in
        ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"]
    {
        let name = "kubelet_pleg_relist_duration_seconds_bucket";
        writeln!(text, "{name}{{le=\"{le}\"}} 900").unwrap_or_default();
    }
    text.push_str("kubelet_pleg_relist_duration_seconds_count 900\n");
    page + &text
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures the clock's time")]
fn fastest_ms(mut run: impl FnMut()) -> f64 {
    let mut fastest = f64::INFINITY;
    for _ in 0..ROUNDS {
        let started = std::time::Instant::now();
        run();
        fastest = fastest.min(started.elapsed().as_secs_f64() * 1000.0);
    }
    fastest
}

fn main() {
    let page = kubelet_page();
    let Ok(wanted) = alias::wanted_of(Role::Node, "kubernetes_build_info") else { return };
    let whole = fastest_ms(|| {
        let lines = page.lines().map(|line| Ok(line.to_owned()));
        drop(black_box(prometheus_parse::Scrape::parse(lines)));
    });
    let filtered = fastest_ms(|| {
        drop(black_box(Page::read(page.as_bytes(), &wanted)));
    });
    println!("page of {} bytes", page.len());
    println!("parser alone         {whole:8.3} ms");
    println!("filter and parser    {filtered:8.3} ms (bar: 2 ms)");
    println!("ratio                {:8.1}", whole / filtered);
}
