//! How long a look counts.

use super::*;
use crate::observation::GateScope;
use crate::prometheus::MaterialPaths;

fn settings() -> PrometheusSettings {
    let critical = AlertRule {
        name: "critical".to_owned(),
        matchers: r#"severity="critical""#.parse().unwrap(),
        scope: GateScope::All,
        stops: true,
    };
    PrometheusSettings {
        endpoint: Endpoint {
            url: "http://127.0.0.1:9".parse().unwrap(),
            material: MaterialPaths::default(),
            timeout_ms: 1_000,
            body_max_bytes: 4_096,
        },
        period_ms: 5_000,
        skew_ms: 60_000,
        risks: AskerTimes::default(),
        watchdog: None,
        alerts: vec![critical],
        gates: vec![],
        apis: vec![],
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn told(look: Option<&Look>, second: i64) -> Vec<String> {
    let gates = settings().standing(look, at(second));
    gates.iter().map(|gate| gate.finding.to_string()).collect()
}

#[test]
fn a_look_counts_until_three_periods_and_a_query_have_passed() {
    let fine = look(400);
    assert!(told(Some(&fine), 16).is_empty());
    let late = ["gate alerts critical cannot be told: the last answer is 17000 ms old, limit \
                 16000 ms (9 queries took 400 ms)"];
    assert_eq!(told(Some(&fine), 17), late);
}

#[test]
fn before_the_first_look_nothing_can_be_told() {
    let unasked = ["gate alerts critical cannot be told: Prometheus has not been asked yet"];
    assert_eq!(told(None, 0), unasked);
}

fn look(took_ms: u64) -> Look {
    Look { at: at(0), took_ms, queries: 9, gates: vec![] }
}

#[test]
fn slow_looks_that_succeed_are_no_silence() {
    let slow = look(20_000);
    assert!(told(Some(&slow), 60).is_empty(), "the next look may end only at second 40");
    assert!(!told(Some(&slow), 62).is_empty());
}

#[test]
fn however_slow_looks_are_an_answer_of_five_minutes_ago_is_none() {
    let slow = look(1_000_000);
    assert!(told(Some(&slow), 300).is_empty());
    assert!(!told(Some(&slow), 301).is_empty());
}

#[tokio::test]
async fn what_the_hub_wants_is_asked_of_a_server_that_speaks_prometheus_api() {
    use crate::prometheus::tests::faults::{endpoint, http, serve};
    fn answer(request: &str) -> Option<Vec<u8>> {
        let value = if request.contains("avg_over_time") { "2.5" } else { "4" };
        let at = clock::now().as_second();
        let body = format!(
            r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{}},"value":[{at},"{value}"]}}]}}}}"#
        );
        http("200 OK", "application/json", &body)
    }
    let (url, requests) = serve(answer).await;
    let asked = PrometheusSettings { alerts: vec![], endpoint: endpoint(&url), ..settings() };
    let mut prometheus = Prometheus::start(asked);
    let measure = Measure {
        product: "acme/kafka".parse().unwrap(),
        id: MeasureId::of("errors", 600),
        name: "errors".to_owned(),
        query: "errors".to_owned(),
        over_s: 600,
    };
    prometheus.measure(std::slice::from_ref(&measure));
    let told = loop {
        prometheus.measured.changed().await.unwrap();
        if let Some(told) = prometheus.measured(clock::now()).remove(&measure.id) {
            break told;
        }
    };
    assert_eq!((told.value, told.mean, told.why), (Some(4.0), Some(2.5), None));
    assert_eq!(requests.lock().unwrap().len(), 2);
    prometheus.measure(&[]);
}
