//! An agent without a hub: its metadata comes from a directory, or from the one mirror that answers.

use std::net::SocketAddr;

use tokio::sync::watch;

use super::lab::{Lab, Offer, Part, until};
use crate::agent;
use crate::config::{Overrides, Settings};
use crate::status::Status;

/// The lab's configuration with other lines in `[hub]`.
fn settings(lab: &Lab, url: &str, more: &str) -> Settings {
    let text = std::fs::read_to_string(&lab.config).unwrap();
    let lines: Vec<String> = text
        .lines()
        .map(|line| match line {
            line if line.starts_with("url = \"http") && line.contains("/clusters/") => line.into(),
            line if line.starts_with("url = ") => format!("url = \"{url}\"\n{more}"),
            line => line.into(),
        })
        .collect();
    std::fs::write(&lab.config, lines.join("\n")).unwrap();
    Settings::load(&lab.config, Overrides::default()).unwrap()
}

fn failure(status: &Status) -> Option<(String, String)> {
    let failure = status.products.first()?.failure.as_ref()?;
    Some((failure.kind.clone(), failure.message.clone()))
}

#[actix_web::test]
async fn a_site_without_a_hub_rolls_from_a_directory_and_names_one_that_is_absent_or_half_full() {
    let dir = tempfile::tempdir().unwrap();
    let mut lab = Lab::start(dir.path(), SocketAddr::from(([127, 0, 0, 1], 0)));
    lab.publish(&Offer::default());
    let stick = dir.path().join("stick");
    let settings = settings(&lab, "dir:stick", "");
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(agent::run(settings.clone(), stopped));

    let status = until(&settings, "nothing is mounted", |s| failure(s).is_some()).await;
    let (kind, message) = failure(&status).unwrap();
    assert_eq!(kind, "hub_unreachable", "{message}");
    assert!(message.contains(&stick.join("metadata").display().to_string()), "{message}");

    lab.carry(&stick, Part::MetadataOnly);
    let unusable = |s: &Status| failure(s).is_some_and(|(kind, _)| kind == "metadata_unusable");
    let status = until(&settings, "half is there", unusable).await;
    let (_, message) = failure(&status).unwrap();
    assert!(message.contains("promised by signed metadata but missing"), "{message}");
    assert_eq!(lab.sim.state("east").unwrap().ledger.restarts, []);

    lab.carry(&stick, Part::Whole);
    until(&settings, "the end", |s| {
        let versions: Vec<String> = s.products.iter().map(|p| p.version.to_string()).collect();
        versions == ["4.0.0", "1.33.0"]
    })
    .await;
    stop.send(true).unwrap();
    running.await.unwrap().unwrap();
    lab.stop().await;
}

#[actix_web::test]
async fn a_mirror_serves_when_the_hub_is_away() {
    let dir = tempfile::tempdir().unwrap();
    let mut lab = Lab::start(dir.path(), SocketAddr::from(([127, 0, 0, 1], 0)));
    lab.publish(&Offer { upgrade_from: "^3.8.5, <3.9", ..Offer::default() });
    lab.carry(&dir.path().join("mirror"), Part::Whole);
    // Port 1 refuses connections at once.
    let mirrors = "mirrors = [\"dir:nothing-here\", \"dir:mirror\"]";
    let settings = settings(&lab, "http://127.0.0.1:1", mirrors);
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(agent::run(settings.clone(), stopped));
    let waits = |s: &Status| {
        let gates = s.products.first().map(|p| p.waiting_on.iter().map(|why| why.gate.as_str()));
        gates.is_some_and(|mut gates| gates.any(|gate| gate == "edge_not_allowed"))
    };
    let status = until(&settings, "its documents are known", waits).await;
    assert!(status.hub.verified_at.is_some() && failure(&status).is_none(), "{status:#?}");
    stop.send(true).unwrap();
    running.await.unwrap().unwrap();
    lab.stop().await;
}
