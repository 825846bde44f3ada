//! A rollout policy that compares each cluster with its own past, in numbers of a real Prometheus:
//! what is usual in one cluster is a failure in another.

use channels::wire::{AttemptState, Page, RolloutCluster, RolloutRow, RolloutState};

use super::hub::becomes;
use super::{MetricsPage, Server};
use crate::e2e::cluster::Shape;
use crate::e2e::process::eventually;
use crate::e2e::world::{KAFKA, World};

/// The mean is over a minute, of points that are 15 s apart.
const POLICY: &str = "\
name: compared
applies_to: [{product: acme/kafka}]
emergency: true
curve: {points: [{after: 0s, share: 100%}]}
gates:
  soak: 1h
  min_sample: 1
  max_unknown: 100%
  baselines:
    - name: failed-requests
      query: sum(failed_requests)
      bad_when: above
      tolerance: 10%
      over: 1m
rings:
  - {name: everyone, rest: true}
";

/// What an agent asks for the mean; before there are points, there is none.
const MEAN: &str = "avg_over_time((sum(failed_requests))[60s:15s])";

/// A cluster with so many failed requests, and the Prometheus that counts them.
fn add(world: &mut World, name: &str, failed: f64) -> (MetricsPage, Server) {
    let page = MetricsPage::serve(&page_of(failed));
    let folder = world.dir().join(format!("prometheus-{name}"));
    let server = Server::start(&folder, &page, "groups: []\n");
    let tables = format!("[prometheus]\nurl = \"{}\"\ntimeout_ms = 1000\n", server.url());
    world.add_cluster(name, &Shape { tables, ..Shape::default() });
    (page, server)
}

fn page_of(failed: f64) -> String {
    // Two brokers.
    let half = failed / 2.0;
    format!("failed_requests{{broker=\"1\"}} {half}\nfailed_requests{{broker=\"2\"}} {half}\n")
}

/// The rollout of the new release.
fn rollout(world: &World) -> Result<u64, String> {
    let page: Page<RolloutRow> = world.hub.get("/api/v1/rollouts")?;
    let row = page.items.into_iter().find(|row| row.release.to_string() == KAFKA[1]);
    row.map(|row| row.id).ok_or_else(|| "no rollout".to_owned())
}

fn member(world: &World, id: u64, name: &str) -> Result<RolloutCluster, String> {
    let page: Page<RolloutCluster> = world.hub.get(&format!("/api/v1/rollouts/{id}/clusters"))?;
    let row = page.items.into_iter().find(|row| row.name == name);
    row.ok_or_else(|| format!("{name} is no member"))
}

#[test]
#[ignore = "needs Prometheus"]
fn a_cluster_is_judged_against_its_own_past_and_both_numbers_are_named() {
    let mut world = World::new("");
    // A quiet cluster, and one in which much fails every day.
    let (quiet, quiet_server) = add(&mut world, "quiet", 2.0);
    let (busy, busy_server) = add(&mut world, "busy", 40.0);
    world.settled();
    for server in [&quiet_server, &busy_server] {
        becomes(server, "there is a mean", MEAN, 1);
    }
    let file = world.dir().join("compared.yaml");
    std::fs::write(&file, POLICY).expect("a policy");
    world.hub.fairway(&["rollout", "apply", file.to_str().expect("utf-8"), "--yes"]);
    world.release(false);
    for name in ["quiet", "busy"] {
        world.eventually_upgraded(name);
    }
    let id = rollout(&world).expect("its rollout");
    for name in ["quiet", "busy"] {
        eventually("it succeeded and is well", || {
            let row = member(&world, id, name)?;
            let well = row.state == AttemptState::Succeeded && row.why_not.is_empty();
            if well { Ok(()) } else { Err(format!("{row:#?}")) }
        });
    }

    // Both fail more than the quiet one ever did; for the busy one that is within its tolerance.
    busy.show(&page_of(42.0));
    quiet.show(&page_of(3.0));
    let failed = eventually("the quiet one is worse than before", || {
        let row = member(&world, id, "quiet")?;
        if row.state == AttemptState::Failed { Ok(row) } else { Err(format!("{row:#?}")) }
    });
    assert_eq!(failed.failure.as_deref(), Some("health_regression"));
    let reasons: Vec<_> =
        failed.why_not.iter().map(|why| (why.code.as_str(), why.message.as_str())).collect();
    let words = "failed-requests is 3 and was 2 before the upgrade";
    assert_eq!(reasons, [("baseline_worse", words)]);
    let row: RolloutRow = world.hub.get(&format!("/api/v1/rollouts/{id}")).expect("a rollout");
    assert_eq!(row.state, RolloutState::Halted, "{row:#?}");
    let failures: Vec<_> = row.failures.iter().map(|one| (&*one.name, &*one.why)).collect();
    assert_eq!(failures, [("quiet", "health_regression")]);
    let shown = world.hub.fairway(&["rollout", "clusters", &id.to_string()]);
    assert!(shown.contains(&format!("is less healthy than before: {words}")), "{shown}");

    // The other one has measured again by then, and is as well as it ever was.
    becomes(&busy_server, "it fails more", "sum(failed_requests) == 42", 1);
    world.hear_reports(&["busy"], 2);
    let other = member(&world, id, "busy").expect("a member");
    assert_eq!((other.state, other.why_not.len()), (AttemptState::Succeeded, 0), "{other:#?}");
}
