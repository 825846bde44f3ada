//! Queries of every kind, judged by what a real server says to them.

use std::collections::{BTreeMap, BTreeSet};

use channels::wire::{HealthVerdict, Role};
use cluster_agent::observation::GateScope;
use cluster_agent::plan::{CheckOutcome, RiskOutcome};
use cluster_agent::prometheus::{
    AlertRule, Answer, ApiAnswers, ApiCheck, ApiKind, ApiSubject, AskerTimes, Client, Empty,
    Endpoint, Expect, Fresh, GateRule, Judged, MaterialPaths, Prometheus, PrometheusSettings,
    QueryError, risk_outcome,
};

use super::{MetricsPage, RULES, Server};
use crate::e2e::process::{eventually, now};

const SKEW_MS: u64 = 60_000;

const PAGE: &str = "\
slow_disks 0
page_alert 0
page_nan NaN
page_two{n=\"1\"} 1
page_two{n=\"2\"} 1
apiserver_requested_deprecated_apis{group=\"batch\",version=\"v1beta1\",resource=\"cronjobs\",subresource=\"\",removed_release=\"1.25\"} 1
apiserver_request_total{group=\"batch\",version=\"v1beta1\",resource=\"cronjobs\",subresource=\"\",verb=\"LIST\"} 7
kafka_network_requestmetrics_requests_total{request=\"FETCH\",version=\"17\"} 7
kafka_network_requestmetrics_deprecatedrequests_total{request=\"FETCH\",version=\"2\",clientSoftwareName=\"old\"} 0
";

fn endpoint(server: &Server) -> Endpoint {
    Endpoint {
        url: server.url().parse().expect("a url"),
        material: MaterialPaths::default(),
        timeout_ms: 2_000,
        body_max_bytes: 1024 * 1024,
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[test]
#[ignore = "needs Prometheus"]
fn a_risk_matches_does_not_or_cannot_be_told_by_real_answers() {
    let dir = tempfile::tempdir().unwrap();
    let page = MetricsPage::serve(PAGE);
    let server = Server::start(&dir.path().join("prometheus"), &page, RULES);
    let (runtime, client) = (runtime(), Client::new(endpoint(&server)));
    let outcome =
        |query: &str| runtime.block_on(client.query(query)).map(|answer| risk_outcome(&answer));
    eventually("the page is scraped", || match outcome("max(slow_disks > bool 0)") {
        Ok(RiskOutcome::Clear) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(outcome("group(slow_disks)").unwrap(), RiskOutcome::Matches);
    for (query, why) in [
        ("slow_disks > 0", "0 samples"),
        ("page_two", "2 samples"),
        ("page_nan", "NaN, neither"),
        ("slow_disks + 0.5", "0.5, neither"),
        ("1", "a scalar"),
        ("slow_disks[1m]", "a matrix"),
        ("\"text\"", "a string"),
    ] {
        let told = outcome(query).unwrap();
        assert!(
            matches!(&told, RiskOutcome::Failed { why: said } if said.contains(why)),
            "{query}: {told:?}"
        );
    }
    let refused = outcome("sum(").unwrap_err();
    assert!(
        matches!(&refused, QueryError::Refused { status: 400, kind, .. } if kind == "bad_data"),
        "{refused}"
    );
    let many = outcome("slow_disks * on() page_two").unwrap_err();
    assert!(
        matches!(&many, QueryError::Refused { status: 422, kind, .. } if kind == "execution"),
        "{many}"
    );
    server.freeze();
    let silent = outcome("slow_disks").unwrap_err();
    assert!(matches!(silent, QueryError::Timeout { limit_ms: 2_000 }), "{silent}");
    server.thaw();
}

#[test]
#[ignore = "needs Prometheus"]
fn numbers_of_a_target_that_is_gone_prove_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let page = MetricsPage::serve(PAGE);
    let server = Server::start(&dir.path().join("prometheus"), &page, RULES);
    let (runtime, client) = (runtime(), Client::new(endpoint(&server)));
    let fresh = Fresh {
        up: Some("job=\"page\"".parse().unwrap()),
        newest: Some("slow_disks".to_owned()),
        max_age_ms: 30_000,
    };
    let judged = |expect: &str, query: String| {
        let expect: Expect = expect.parse().unwrap();
        let answer = runtime.block_on(client.query(&query)).map_err(|error| error.to_string())?;
        Ok::<_, String>(expect.judge(&answer, Empty::Unknown, SKEW_MS, now()))
    };
    eventually("the page is up", || {
        let told = judged("== 1", fresh.up_query().unwrap())?;
        if matches!(told, Judged::Holds) { Ok(()) } else { Err(format!("{told:?}")) }
    });
    assert_eq!(judged("<= 30", fresh.age_query().unwrap()), Ok(Judged::Holds));
    assert_eq!(judged("== 0", "slow_disks".to_owned()), Ok(Judged::Holds));
    page.show("no metrics at all {");
    eventually("the page is down", || {
        let told = judged("== 1", fresh.up_query().unwrap())?;
        if matches!(told, Judged::Fails { observed: Some(_), .. }) {
            Ok(())
        } else {
            Err(format!("{told:?}"))
        }
    });
    eventually("its numbers are gone", || {
        let told = judged("== 0", "slow_disks".to_owned())?;
        if matches!(told, Judged::Unknown { .. }) { Ok(()) } else { Err(format!("{told:?}")) }
    });
}

fn settings(server: &Server) -> PrometheusSettings {
    let critical = AlertRule {
        name: "critical".to_owned(),
        matchers: "severity=\"critical\"".parse().unwrap(),
        scope: GateScope::All,
        stops: true,
    };
    let disks = GateRule {
        name: "disks".to_owned(),
        query: "slow_disks".to_owned(),
        expect: "<= 3".parse().unwrap(),
        empty: Empty::Unknown,
        for_ms: 0,
        scope: GateScope::Role(Role::Broker),
        stops: false,
        stops_after_ms: 0,
        fresh: Fresh::default(),
    };
    PrometheusSettings {
        endpoint: endpoint(server),
        period_ms: 500,
        skew_ms: SKEW_MS,
        risks: AskerTimes::default(),
        watchdog: Some("Watchdog".to_owned()),
        alerts: vec![critical],
        gates: vec![disks],
        apis: vec![],
    }
}

#[test]
#[ignore = "needs Prometheus"]
fn alerts_and_gates_of_a_real_server_are_told_as_findings() {
    let dir = tempfile::tempdir().unwrap();
    let page = MetricsPage::serve(PAGE);
    let server = Server::start(&dir.path().join("prometheus"), &page, RULES);
    let runtime = runtime();
    let _inside = runtime.enter();
    let asked = Prometheus::start(settings(&server));
    let told = || -> Vec<String> {
        asked.gates(now()).iter().map(|gate| gate.finding.to_string()).collect()
    };
    let becomes = |what: &str, wanted: &[&str]| {
        eventually(what, || {
            let told = told();
            let same = told.len() == wanted.len()
                && told.iter().zip(wanted).all(|(told, wanted)| told.contains(wanted));
            if same { Ok(()) } else { Err(format!("{told:?}")) }
        });
    };
    becomes("nothing stands against a roll", &[]);
    page.show(
        &PAGE.replace("page_alert 0", "page_alert 1").replace("slow_disks 0", "slow_disks 4"),
    );
    becomes(
        "the alert fires and the gate fails",
        &["alert PageAlert fires", "gate disks does not hold: {__name__=\"slow_disks\""],
    );
    let gates = asked.gates(now());
    assert_eq!((gates[0].stops, &gates[0].scope), (true, &GateScope::All));
    assert_eq!((gates[1].stops, &gates[1].scope), (false, &GateScope::Role(Role::Broker)));
    assert_eq!((gates[1].finding.observed(), gates[1].finding.limit()), (Some(4.0), Some(3.0)));
    page.show(PAGE);
    becomes("nothing stands against a roll again", &[]);
    server.freeze();
    becomes(
        "neither can be told",
        &["gate alerts critical cannot be told", "gate disks cannot be told"],
    );
    let verdicts: BTreeSet<_> =
        asked.gates(now()).iter().map(|gate| gate.finding.verdict()).collect();
    assert_eq!(verdicts, BTreeSet::from([HealthVerdict::Unknown]));
    server.thaw();
    becomes("nothing stands against a roll after all", &[]);
}

#[test]
#[ignore = "needs Prometheus"]
fn silence_without_the_watchdog_is_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let page = MetricsPage::serve(PAGE);
    let server = Server::start(&dir.path().join("prometheus"), &page, "groups: []\n");
    let runtime = runtime();
    let _inside = runtime.enter();
    let asked = Prometheus::start(PrometheusSettings { gates: vec![], ..settings(&server) });
    eventually("silence is doubted", || {
        let gates = asked.gates(now());
        let why = gates.first().map(|gate| gate.finding.to_string()).unwrap_or_default();
        if why.contains("Watchdog must always fire and does not") { Ok(()) } else { Err(why) }
    });
}

#[test]
#[ignore = "needs Prometheus"]
fn removed_apis_in_use_are_found_and_old_uses_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let page = MetricsPage::serve(PAGE);
    let server = Server::start(&dir.path().join("prometheus"), &page, RULES);
    let (runtime, client) = (runtime(), Client::new(endpoint(&server)));
    let judged = |kind, role, from: &str, to: &str| {
        let product: channels::names::ProductRef = "acme/platform".parse().unwrap();
        // A window of seconds, so that a test sees both of its sides.
        let check = ApiCheck { product: product.clone(), kind, window_s: 3 };
        let subject = ApiSubject {
            product,
            release: signing::Sha256Digest::of(b"release"),
            to: BTreeMap::from([(role, to.to_owned())]),
            from: BTreeMap::from([(role, BTreeSet::from([from.to_owned()]))]),
            resumed_at: None,
        };
        let ask = |query: String| -> Result<Answer, String> {
            runtime.block_on(client.query(&query)).map_err(|error| error.to_string())
        };
        let answers =
            ApiAnswers { witness: ask(check.witness_query()), uses: ask(check.use_query()) };
        check.judge(&subject, &answers, SKEW_MS, now())
    };
    let kubernetes = || judged(ApiKind::Kubernetes, Role::Node, "v1.24.1", "v1.25.0");
    let kafka = || judged(ApiKind::Kafka, Role::Broker, "3.9.1", "4.0.0");
    let becomes = |what: &str, look: &dyn Fn() -> CheckOutcome, wanted: &str| {
        eventually(what, || {
            let told = format!("{:?}", look());
            if told.contains(wanted) { Ok(()) } else { Err(told) }
        });
    };
    // Counters that were not there a window ago: used, as far as anybody can tell.
    let named = "batch/v1beta1/cronjobs (removed in 1.25)";
    becomes("a new counter is a use", &kubernetes, named);
    becomes("requests of Kafka clients are counted", &kafka, "Passed");
    becomes("a counter that stands still is none", &kubernetes, "Passed");
    let used = PAGE.replace("verb=\"LIST\"} 7", "verb=\"LIST\"} 8");
    page.show(&used.replace("clientSoftwareName=\"old\"} 0", "clientSoftwareName=\"old\"} 2"));
    becomes("a counter that moves is a use", &kubernetes, named);
    becomes("an old client is named", &kafka, "request FETCH version 2 clientSoftwareName old");
    page.show("slow_disks 0\n");
    becomes("silence of servers that are gone is no pass", &kubernetes, "Unknown");
}

#[test]
#[ignore = "needs Prometheus and FAIRWAY_DATA"]
fn every_query_of_a_real_channel_is_understood() {
    let data = std::env::var("FAIRWAY_DATA").unwrap();
    let graph = std::path::Path::new(&data).join("graphs/openshift-stable-4.13-amd64.json");
    let graph = channels::cincinnati::from_json(&std::fs::read(graph).unwrap()).unwrap();
    let risks = graph.conditional().iter().flat_map(|edges| &edges.risks);
    let queries: BTreeSet<&str> = risks
        .flat_map(|risk| &risk.matching_rules)
        .filter_map(|rule| match rule {
            channels::graph::MatchingRule::PromQl { promql } => Some(promql.as_str()),
            channels::graph::MatchingRule::Always
            | channels::graph::MatchingRule::Unknown { .. } => None,
        })
        .collect();
    assert!(queries.len() > 3, "{queries:?}");
    let dir = tempfile::tempdir().unwrap();
    let page = MetricsPage::serve(PAGE);
    let server = Server::start(&dir.path().join("prometheus"), &page, RULES);
    let (runtime, client) = (runtime(), Client::new(endpoint(&server)));
    for query in queries {
        // It knows none of their metrics: the answers are empty vectors, or the other half of an `or`.
        let outcome = runtime.block_on(client.query(query)).map(|answer| risk_outcome(&answer));
        assert!(outcome.is_ok(), "{query}: {outcome:?}");
    }
}
