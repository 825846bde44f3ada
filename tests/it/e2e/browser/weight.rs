//! What the pages of a large fleet weigh, and how long the hub takes for them.
//!
//! Bytes are a promise. Times depend on the machine and the build, so they are only told:
//! `cargo test --release … browser::weight -- --ignored --nocapture` tells those that matter. With
//! `FAIRWAY_BROWSER_PICTURES=DIR` it keeps a picture of each page on each screen there.

use std::fmt::Write as _;
use std::path::Path;

use super::driver::{Browser, Screen};
use super::pages;
use crate::e2e::process::{eventually, run_ok};
use crate::e2e::vendor::Vendor;
use crate::e2e::world::Hub;

/// The fleet, unless `FAIRWAY_BROWSER_CLUSTERS` says another number.
const CLUSTERS: &str = "100000";
/// Most bytes of one page, with everything that it loads.
const BYTES_MAX: u64 = 150_000;
/// Looks at each page; the quickest is told, the others waited for the machine.
const LOOKS: usize = 5;
/// Channels and versions of `fairway bench seed`.
const CHANNELS: u32 = 12;
/// Minors, each with so many patches.
const MINORS: u32 = 10;
const PATCHES: u32 = 20;

const POLICY: &str = "\
name: everyone
applies_to: [{product: bench/product-1}]
rings:
  - {name: few, approval: true, select: {match_labels: {ring: few}}}
  - {name: everyone, rest: true}
";

/// A vendor with the releases and channels that the seeded fleet says it runs and follows.
fn publish(hub: &Hub, dir: &std::path::Path) {
    let vendor = Vendor::init_as(hub, &dir.join("bench"), "bench", "product-1");
    // The scaffold's own channel names a release that is not among these.
    vendor.remove("product-1/channels/stable.yaml");
    let mut channels: Vec<Vec<String>> = (1..=CHANNELS).map(|_| Vec::new()).collect();
    for minor in 0..MINORS {
        for patch in 0..PATCHES {
            let version = format!("4.{minor}.{patch}");
            let from = format!("[\">=4.{}.0, <{version}\"]", minor.saturating_sub(1));
            vendor.release("product-1", "controller", &version, &from);
            for (channel, versions) in (1..).zip(&mut channels) {
                if minor <= channel {
                    versions.push(version.clone());
                }
            }
        }
    }
    for (number, versions) in (1..).zip(channels) {
        let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
        vendor.channel("product-1", &format!("stable-4.{number}"), &versions);
    }
    vendor.publish();
}

fn hub(dir: &std::path::Path) -> Hub {
    let clusters = std::env::var("FAIRWAY_BROWSER_CLUSTERS").unwrap_or(CLUSTERS.to_owned());
    let data = dir.join("hub");
    let data = data.to_str().expect("a utf-8 path");
    run_ok(&["bench", "seed", "--data-dir", data, "--clusters", &clusters], &[]);
    let hub = Hub::start(dir, "anonymous_viewer = true\n[limits]\npeople_per_s = 10000\n");
    let policy = dir.join("policy.yaml");
    std::fs::write(&policy, POLICY).expect("a policy");
    hub.fairway(&["rollout", "apply", policy.to_str().expect("utf-8"), "--yes"]);
    publish(&hub, dir);
    eventually("a rollout of the large fleet", || {
        let page: channels::wire::Page<channels::wire::RolloutRow> = hub.get("/api/v1/rollouts")?;
        if page.items.is_empty() { Err("none".to_owned()) } else { Ok(()) }
    });
    hub
}

/// The first view of each page, and of the list of clusters the next one and a filtered one.
fn addresses(browser: &mut Browser, hub: &str) -> Vec<String> {
    let mut pages = pages::all(browser, hub);
    pages.push("/?channel=stable-4.9&product=bench%2Fproduct-1".to_owned());
    browser.goto(hub);
    pages.extend(browser.links("main a[rel=next]").into_iter().take(1));
    pages
}

/// Pictures of the page on every screen, for a person to look at.
fn keep_pictures(browser: &mut Browser, address: &str, name: &str, folder: &Path) {
    for (on, screen) in Screen::EVERY {
        browser.open(screen);
        browser.goto(address);
        browser.picture(&folder.join(format!("{name}-{on}.png")));
    }
}

#[test]
#[ignore = "needs chromium and node"]
fn browser_pages_of_a_large_fleet_stay_light() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = hub(dir.path());
    let mut browser = Browser::start();
    browser.open(Screen::WIDE);
    let addresses = addresses(&mut browser, &hub.url());
    // The audit log is for operators, whose token a browser may send as a password.
    let token = std::fs::read_to_string(dir.path().join("hub/admin.token")).expect("a token");
    let base = hub.url().replace("http://", &format!("http://admin:{}@", token.trim()));
    let mut table = String::from("bytes  document  server ms  page\n");
    let mut heavy = Vec::new();
    let pictures = std::env::var_os("FAIRWAY_BROWSER_PICTURES");
    for (number, page) in addresses.into_iter().enumerate() {
        if let Some(folder) = &pictures {
            let name = page.split(['/', '?']).find(|part| !part.is_empty()).unwrap_or("fleet");
            let name = format!("{number:02}-{name}");
            keep_pictures(&mut browser, &format!("{base}{page}"), &name, Path::new(folder));
        }
        // A fresh profile for each, so that nothing comes from a cache.
        let mut quickest = f64::INFINITY;
        let (mut bytes, mut document) = (0, 0);
        for _ in 0..LOOKS {
            browser.open(Screen::WIDE);
            let arrived = browser.goto(&format!("{base}{page}"));
            assert_eq!(arrived.status, 200, "{page}");
            let weight = browser.weight();
            quickest = quickest.min(weight.server_ms);
            (bytes, document) = (weight.bytes, weight.document);
        }
        let _infallible = writeln!(table, "{bytes:>6} {document:>8} {quickest:>9.1}  {page}");
        if bytes > BYTES_MAX {
            heavy.push(format!("{page}: {bytes} bytes, at most {BYTES_MAX}"));
        }
    }
    eprintln!("{table}");
    assert!(heavy.is_empty(), "{}", heavy.join("\n"));
}
