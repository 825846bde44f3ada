//! What the hub sets on a product: how far it goes, where it is kept, and what is not followed.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use channels::wire::{Measure, MeasureId, Measured, Phase, ProductSettings, Report, Role};
use tokio::sync::watch;

use super::lab::{Lab, Offer, until};
use super::whole::enrolled;
use super::world::{Build, World, graph, knowledge, known, product, release, version};
use crate::plan::{Knowledge, Known, Mode, follow};
use crate::status::Status;

const KAFKA: &str = "acme/kafka";

fn alone(kafka: Knowledge) -> Known {
    let mut all = known();
    all.remove(&product("acme/platform"));
    all.insert(product(KAFKA), kafka);
    all
}

/// 3.9.0, 3.9.1, 4.0.0 and 4.1.0, each reachable from the one before and back.
fn world(mode: Mode) -> World {
    let mut world = World::new(&Build { mode, nodes: 0, ..Build::default() });
    let versions = ["3.9.0", "3.9.1", "4.0.0", "4.1.0"];
    let ways = [(0, 1), (0, 2), (1, 2), (2, 3), (2, 1)];
    let mut releases: Vec<_> = [("3.9.0", &[][..]), ("3.9.1", &["^3.9"]), ("4.0.0", &["^3.9"])]
        .into_iter()
        .chain([("4.1.0", &["^4.0"][..])])
        .map(|(to, from)| release(KAFKA, to, Role::Controller, from))
        .collect();
    let back = std::sync::Arc::make_mut(&mut releases[1].document);
    back.downgrade_from = vec!["=4.0.0".parse().unwrap()];
    world.know(alone(knowledge(graph(&versions, &ways, &[]), releases)));
    world
}

fn settings() -> ProductSettings {
    ProductSettings::none(product(KAFKA))
}

/// The hub wants this.
fn want(world: &mut World, wanted: ProductSettings) {
    let owner = world.policy.clone();
    world.core.policy = follow(&owner, &[wanted]);
}

fn arrives(world: &mut World, at: &str) {
    world.until(2_500, |w| w.core.history.products[&product(KAFKA)].version == version(at));
    world.steps(80);
    assert_eq!(world.core.history.products[&product(KAFKA)].version, version(at));
}

#[test]
fn the_highest_version_ends_the_way_and_a_higher_one_lets_it_go_on() {
    let mut world = world(Mode::Auto);
    want(&mut world, ProductSettings { max_version: Some(version("4.0.5")), ..settings() });
    arrives(&mut world, "4.0.0");
    assert!(world.gates(KAFKA).is_empty(), "it is where it may be: {}", world.text());
    want(&mut world, settings());
    arrives(&mut world, "4.1.0");
}

#[test]
fn a_highest_version_set_in_mid_roll_keeps_the_next_unit() {
    let mut world = world(Mode::Auto);
    world.until(400, |world| world.phases.iter().any(|(_, phase)| *phase == Phase::Mutate));
    want(&mut world, ProductSettings { max_version: Some(version("3.9.0")), ..settings() });
    world.until(600, |world| world.core.history.out.is_none());
    world.steps(80);
    assert_eq!(world.sim.state().ledger.restarts.len(), 1, "{}", world.text());
    assert!(world.gates(KAFKA).contains(&"max_version".to_owned()), "{}", world.text());
    want(&mut world, settings());
    arrives(&mut world, "4.1.0");
}

#[test]
fn a_pin_of_the_hub_is_gone_to_and_back_to_where_graph_and_release_allow_it() {
    let mut world = world(Mode::Hub);
    want(&mut world, ProductSettings { pin: Some(version("4.0.0")), ..settings() });
    arrives(&mut world, "4.0.0");
    want(&mut world, ProductSettings { pin: Some(version("3.9.1")), ..settings() });
    arrives(&mut world, "3.9.1");
    // There is an edge to 4.0.0 only, and none further back.
    want(&mut world, ProductSettings { pin: Some(version("3.9.0")), ..settings() });
    world.steps(80);
    assert_eq!(world.gates(KAFKA), ["no_way"]);
    assert_eq!(world.core.history.products[&product(KAFKA)].version, version("3.9.1"));
}

#[test]
fn a_pin_of_the_hub_moves_nothing_that_a_person_has_to_approve() {
    let mut world = world(Mode::Manual);
    want(&mut world, ProductSettings { pin: Some(version("4.0.0")), ..settings() });
    world.steps(80);
    assert_eq!(world.gates(KAFKA), ["approval"]);
    assert!(world.sim.state().ledger.restarts.is_empty());
}

#[test]
fn a_channel_is_followed_only_where_the_owner_says_so_and_a_pin_of_the_owner_stays() {
    let mut owner = world(Mode::Auto).policy;
    let wanted = [ProductSettings {
        channel: Some("fast".parse().unwrap()),
        pin: Some(version("4.0.0")),
        ..settings()
    }];
    let kafka = follow(&owner, &wanted).products.remove(&product(KAFKA)).unwrap();
    assert_eq!((kafka.channel.as_str(), kafka.pin), ("stable", Some(version("4.0.0"))));
    let said: Vec<_> = kafka.hub.unheeded.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        ["the hub wants channel fast, the policy here follows stable \
          (products.hub_may_set_channel)"]
    );
    let own = owner.products.get_mut(&product(KAFKA)).unwrap();
    own.hub.may_set_channel = true;
    own.pin = Some(version("3.9.1"));
    let kafka = follow(&owner, &wanted).products.remove(&product(KAFKA)).unwrap();
    assert_eq!((kafka.channel.as_str(), kafka.pin), ("fast", Some(version("3.9.1"))));
    let gates: Vec<_> = kafka.hub.unheeded.iter().map(crate::plan::WaitingOn::gate).collect();
    assert_eq!(gates, ["hub_pin"]);
    let others = follow(&owner, &[ProductSettings::none("acme/other".parse().unwrap())]);
    assert_eq!(others.products.len(), owner.products.len(), "a product nobody configured");
}

#[test]
fn what_is_not_followed_is_told_and_the_product_stays_at_rest() {
    let mut world = world(Mode::Auto);
    arrives(&mut world, "4.1.0");
    want(&mut world, ProductSettings { channel: Some("fast".parse().unwrap()), ..settings() });
    world.steps(4);
    assert_eq!(world.gates(KAFKA), ["hub_channel"]);
    let now = world.now();
    let mut ledger = crate::agent::Ledger::default();
    let (states, _) = crate::agent::product_states(&world.core, &mut ledger, None, now);
    let phases: BTreeMap<_, _> = states.iter().map(|s| (s.product.clone(), s.phase)).collect();
    assert_eq!(phases[&product(KAFKA)], Phase::Idle);
}

#[actix_web::test]
async fn a_channel_of_the_hub_is_kept_over_a_restart_until_the_hub_takes_it_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut lab = Lab::start(dir.path(), SocketAddr::from(([127, 0, 0, 1], 0)));
    let text = std::fs::read_to_string(&lab.config).unwrap();
    let allowed = "initial_version = \"3.9.0\"\nhub_may_set_channel = true";
    std::fs::write(&lab.config, text.replace("initial_version = \"3.9.0\"", allowed)).unwrap();
    lab.publish(&Offer::default());
    let wanted = ProductSettings { channel: Some("fast".parse().unwrap()), ..settings() };
    {
        let mut hub = lab.hub.lock().unwrap();
        hub.hold = Some("nothing is to move here".to_owned());
        hub.settings = vec![wanted.clone()];
    }
    let settings = enrolled(&lab).await;
    let follows = |status: &Status, channel: &str| {
        let kafka = status.products.iter().find(|p| p.product == product(KAFKA));
        kafka.is_some_and(|kafka| kafka.channel.as_str() == channel)
    };
    let run = || {
        let (stop, stopped) = watch::channel(false);
        (stop, tokio::spawn(crate::agent::run(settings.clone(), stopped)))
    };
    let (stop, running) = run();
    until(&settings, "the hub's channel", |s| follows(s, "fast")).await;
    stop.send(true).unwrap();
    running.await.unwrap().unwrap();
    let document = crate::state::load(&settings.state_dir, "east").unwrap();
    assert_eq!(document.wanted, [wanted]);

    lab.hub.lock().unwrap().refuse = Some((503, "queue_full"));
    std::fs::remove_file(settings.state_dir.join("status.json")).unwrap();
    let (stop, running) = run();
    until(&settings, "the same channel, unheard", |s| follows(s, "fast")).await;
    {
        let mut hub = lab.hub.lock().unwrap();
        (hub.refuse, hub.settings) = (None, vec![]);
    }
    until(&settings, "its own channel", |s| follows(s, "stable")).await;
    stop.send(true).unwrap();
    running.await.unwrap().unwrap();
    let reports = std::mem::take(&mut lab.hub.lock().unwrap().reports);
    let told = |report: &Report, channel: &str| {
        report.products.iter().any(|p| p.product == product(KAFKA) && p.channel.as_str() == channel)
    };
    assert!(reports.iter().any(|report| told(report, "fast")), "it says what it really follows");
    lab.stop().await;
}

fn errors() -> Measure {
    Measure {
        product: product(KAFKA),
        id: MeasureId::of("errors", 3_600),
        name: "errors".to_owned(),
        query: "errors".to_owned(),
        over_s: 3_600,
    }
}

#[test]
fn what_is_measured_is_told_with_the_health_of_its_product_and_what_is_still_asked_is_not() {
    let mut world = world(Mode::Auto);
    world.steps(2);
    let told = |world: &World| {
        let mut ledger = crate::agent::Ledger::default();
        let now = world.now();
        let (states, _) = crate::agent::product_states(&world.core, &mut ledger, None, now);
        states.into_iter().find(|s| s.product == product(KAFKA)).unwrap().health.measured
    };
    let elsewhere = Measure { product: product("acme/platform"), ..errors() };
    world.core.measures = vec![errors(), elsewhere];
    let why = told(&world).remove(0).why;
    assert_eq!(why.as_deref(), Some("no [prometheus] is configured here"));
    world.core.measured = Some(BTreeMap::new());
    assert_eq!(told(&world), []);
    let known = Measured { id: errors().id, value: Some(4.0), mean: Some(2.5), why: None };
    world.core.measured = Some(BTreeMap::from([(known.id.clone(), known.clone())]));
    assert_eq!(told(&world), [known]);
}

#[actix_web::test]
async fn an_agent_without_prometheus_says_so_to_a_hub_that_wants_something_measured() {
    let dir = tempfile::tempdir().unwrap();
    let mut lab = Lab::start(dir.path(), SocketAddr::from(([127, 0, 0, 1], 0)));
    lab.publish(&Offer::default());
    lab.hub.lock().unwrap().measures = vec![errors()];
    let settings = enrolled(&lab).await;
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(crate::agent::run(settings.clone(), stopped));
    until(&settings, "the answer", |status| {
        let kafka = status.products.iter().find(|p| p.product == product(KAFKA));
        kafka.is_some_and(|kafka| !kafka.health.measured.is_empty())
    })
    .await;
    stop.send(true).unwrap();
    running.await.unwrap().unwrap();
    lab.stop().await;
}
