//! One roll past a risk, a Prometheus that falls silent, and an alert in the middle.

use super::{MetricsPage, RULES, Server};
use crate::e2e::cluster::{Cluster, Shape};
use crate::e2e::process::{eventually, run, run_ok};
use crate::e2e::world::{KAFKA, World};

const RISK: &str = "\
to: \">=4.0.0\"
from: \">=3.9.0, <4.0.0\"
name: SlowDisks
url: https://example.com/slow-disks
message: Log recovery takes hours on slow disks.
matchingRules:
  - type: PromQL
    promql:
      promql: max(slow_disks > bool 0)
";

/// Requests of brokers, one of them in a version that Kafka 4.0 removes.
const OLD_CLIENT: &str = "kafka_network_requestmetrics_deprecatedrequests_total\
                          {request=\"FETCH\",version=\"2\",clientSoftwareName=\"old\"} 3\n";

fn page_of(slow_disks: u8, alert: u8) -> String {
    format!(
        "slow_disks {slow_disks}\npage_alert {alert}\n\
         kafka_network_requestmetrics_requests_total{{request=\"FETCH\",version=\"17\"}} 7\n"
    )
}

fn tables(server: &Server) -> String {
    format!(
        "[[prometheus.removed_apis]]\nproduct = \"acme/kafka\"\nkind = \"kafka\"\n\
         [prometheus]\nurl = \"{}\"\ntimeout_ms = 1000\nperiod_ms = 500\nwatchdog = \"Watchdog\"\n\
         risk_between_ms = 100\nrisk_refresh_ms = 1000\nrisk_retry_ms = 1000\n\
         [[prometheus.alerts]]\nname = \"critical\"\nmatchers = 'severity=\"critical\"'\n\
         stops = true\n\
         [[prometheus.gates]]\nname = \"disks seen\"\nquery = \"count(slow_disks) == bool 1\"\n",
        server.url()
    )
}

/// Waits until the agent says that it waits at this gate, and returns its words.
fn eventually_waits(cluster: &Cluster, gate: &str, words: &str) {
    eventually(&format!("it waits at {gate}: {words}"), || {
        let status = cluster.status()?;
        let mut reasons = status.products.iter().flat_map(|product| &product.waiting_on);
        let paused = status.pause.iter().map(|pause| &pause.why);
        match reasons
            .by_ref()
            .chain(paused)
            .find(|why| why.gate == gate && why.message.contains(words))
        {
            Some(_) => Ok(()),
            None => Err(cluster.status_text()),
        }
    });
}

#[test]
#[ignore = "needs Prometheus"]
fn a_roll_waits_for_a_risk_for_silence_and_for_an_alert_and_says_so() {
    let mut world = World::new("");
    let page = MetricsPage::serve(&page_of(1, 0));
    let server = Server::start(&world.dir().join("prometheus"), &page, RULES);
    let shape = Shape { tables: tables(&server), ..Shape::default() };
    world.add_cluster("east", &shape);
    world.settled();
    world.vendor.write("kafka/blocked-edges/SlowDisks.yaml", RISK);
    world.release(false);
    let cluster = &world.clusters[0];

    eventually_waits(cluster, "risk", "SlowDisks");
    let config = cluster.config();
    let config = config.to_str().unwrap();
    let checked = run(&["agent", "check", "--seconds", "2", "--config", config], &[]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(!checked.status.success() && said.contains("[risk]"), "{said}");

    server.freeze();
    eventually_waits(cluster, "risk_unknown", "SlowDisks (");
    let checked = run(&["agent", "check", "--seconds", "2", "--config", config], &[]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(
        said.contains("cluster  [query_unknown] gate alerts critical cannot be told"),
        "{said}"
    );
    server.thaw();
    eventually_waits(cluster, "risk", "SlowDisks");

    page.show(&(page_of(0, 1) + OLD_CLIENT));
    eventually_waits(cluster, "alert", "PageAlert");
    eventually_waits(cluster, "check_deprecated_apis", "request FETCH version 2");
    assert!(cluster.begun("preflight").is_empty());

    cluster.block("after-mutate");
    page.show(&page_of(0, 0));
    eventually("its first unit is out", || {
        if cluster.begun("mutate").len() == 1 { Ok(()) } else { Err(cluster.status_text()) }
    });
    page.show(&page_of(0, 1));
    eventually_waits(cluster, "alert", "PageAlert");
    cluster.unblock("after-mutate");
    eventually("the roll is paused", || {
        let status = cluster.status()?;
        let why = status.pause.as_ref().map(|pause| pause.why.gate.clone());
        if why.as_deref() == Some("alert") { Ok(()) } else { Err(cluster.status_text()) }
    });
    page.show(&page_of(0, 0));
    eventually("nothing stands against the cluster", || {
        let checked = run(&["agent", "check", "--seconds", "2", "--config", config], &[]);
        let said = String::from_utf8_lossy(&checked.stdout).into_owned();
        if said.contains("cluster  [") { Err(said) } else { Ok(()) }
    });
    // The running agent looks twice a second, as the check did.
    world.hear_reports(&["east"], 2);
    run_ok(&["agent", "resume", "--config", config], &[]);
    world.eventually_upgraded("east");
    let restarts = world.clusters[0].rolled_once();
    assert_eq!(restarts[0].1.version, KAFKA[1]);
}
