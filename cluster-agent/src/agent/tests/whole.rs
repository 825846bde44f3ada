//! The whole agent with its real loop: signed metadata, pages and steps over real HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::watch;

use super::lab::{Lab, Offer};
use crate::config::{Overrides, Settings};
use crate::state::{Control, LocalHold};
use crate::status::{self, Status};
use crate::{agent, clock};

/// Longest wait for anything; a loaded machine is slow, a defect is for ever.
const PATIENCE: Duration = Duration::from_mins(3);

fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

async fn until(settings: &Settings, what: &str, done: impl Fn(&Status) -> bool) -> Status {
    let begun = tokio::time::Instant::now();
    loop {
        let seen = status::read(&settings.state_dir).unwrap();
        if let Some(status) = seen.as_ref().filter(|status| done(status)) {
            return status.clone();
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: {seen:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn settings(lab: &Lab) -> Settings {
    Settings::load(&lab.config, Overrides::default()).unwrap()
}

fn kafka(status: &Status) -> &channels::wire::ProductState {
    status.products.iter().find(|p| p.product.to_string() == "acme/kafka").unwrap()
}

fn waits(status: &Status, gate: &str) -> bool {
    kafka(status).waiting_on.iter().any(|why| why.gate == gate)
}

#[actix_web::test]
async fn an_agent_refuses_what_is_wrongly_signed_obeys_a_hold_and_then_rolls_everything() {
    let dir = tempfile::tempdir().unwrap();
    let mut lab = Lab::start(dir.path(), anywhere());
    let settings = settings(&lab);
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(agent::run(settings.clone(), stopped));
    until(&settings, "metadata missing", |s| waits(s, "no_metadata")).await;

    lab.publish(&Offer { upgrade_from: "^3.8.5, <3.9", ..Offer::default() });
    let status = until(&settings, "edge", |s| waits(s, "edge_not_allowed")).await;
    assert_eq!(kafka(&status).version.to_string(), "3.9.0");

    let control = Control::new(&settings.state_dir);
    let hold = LocalHold { reason: "drill".to_owned(), since: clock::now() };
    control.place_hold(&hold).unwrap();
    // The same version of a release with other bytes is a new publication like any other here.
    lab.publish(&Offer::default());
    until(&settings, "hold", |s| waits(s, "hold")).await;
    assert_eq!(lab.sim.state("east").unwrap().ledger.restarts, []);

    control.lift_hold().unwrap();
    until(&settings, "the end", |s| {
        let versions: Vec<String> = s.products.iter().map(|p| p.version.to_string()).collect();
        versions == ["4.0.0", "1.33.0"]
    })
    .await;
    let ledger = lab.sim.state("east").unwrap().ledger;
    assert_eq!(ledger.violations, Vec::<String>::new());
    assert_eq!(ledger.restarts.len(), 5);
    assert_eq!(ledger.restarts[2].leader.as_ref(), Some(&ledger.restarts[2].unit));
    stop.send(true).unwrap();
    running.await.unwrap().unwrap();
    lab.stop().await;
}

#[actix_web::test]
async fn a_graph_signed_with_another_key_is_refused_by_the_attacks_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut lab = Lab::start(dir.path(), anywhere());
    lab.publish(&Offer { channels_key: 66, ..Offer::default() });
    let settings = settings(&lab);
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(agent::run(settings.clone(), stopped));
    let status = until(&settings, "refusal", |s| kafka(s).failure.is_some()).await;
    let failure = kafka(&status).failure.clone().unwrap();
    assert_eq!(failure.kind, "arbitrary_software", "{failure:?}");
    assert!(!kafka(&status).waiting_on.is_empty());
    assert_eq!(lab.sim.state("east").unwrap().ledger.restarts, []);
    stop.send(true).unwrap();
    running.await.unwrap().unwrap();
    lab.stop().await;
}

/// `cargo test -p cluster-agent --lib lab_by_hand -- --ignored`, then use the printed
/// configuration with the binary.
#[actix_web::test]
#[ignore = "a lab for trying the binary by hand; runs until it is stopped"]
async fn lab_by_hand() {
    let dir = std::env::temp_dir().join("fairway-lab");
    std::fs::create_dir_all(&dir).unwrap();
    let mut lab = Lab::start(&dir, anywhere());
    lab.publish(&Offer::default());
    eprintln!(
        "--config {} (hub {}, sim {})",
        lab.config.display(),
        lab.hub_url,
        lab.sim.cluster_url("east")
    );
    std::future::pending::<()>().await;
}
