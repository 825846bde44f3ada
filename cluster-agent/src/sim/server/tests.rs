//! Over real HTTP, with the driver that the agent uses.

use channels::wire::Role;

use super::*;
use crate::driver::{Driver, DriverError, Pass, SimulatedDriver, Stage, StepOrder, StepStatus};

fn start(speed: u32) -> SimServer {
    let units = [(Role::Controller, 3, "3.9.1"), (Role::Node, 1, "1.33.2")];
    let specs = ["east", "west"].map(|name| ClusterSpec::of(name, 1, speed, &units).unwrap());
    SimServer::start(&specs, "127.0.0.1:0".parse().unwrap()).unwrap()
}

fn order(unit: &str) -> StepOrder {
    StepOrder::sample(
        ("acme/k8s", unit),
        Role::Node,
        ["1.33.2", "1.34.0"],
        ("v1.34.0", "acme/node", b"n"),
    )
}

fn client() -> reqwest::Client {
    crate::hub::http_client(Duration::from_secs(5), Duration::from_secs(5)).unwrap()
}

#[tokio::test]
async fn the_simulated_driver_restarts_a_unit_once_and_sees_it_finish() {
    let server = start(100);
    let driver = Driver::Simulated(SimulatedDriver::new(&server.cluster_url("east")).unwrap());
    assert!(driver.has_stage(Stage::Mutate) && !driver.has_stage(Stage::Quiesce));
    let order = order("n-1");
    let absent = driver.status(&order, Stage::Mutate, Pass::Act).await.unwrap();
    assert_eq!(absent, StepStatus::Absent);
    driver.start(&order, Stage::Mutate).await.unwrap();
    driver.start(&order, Stage::Mutate).await.unwrap();
    loop {
        match driver.status(&order, Stage::Mutate, Pass::Act).await.unwrap() {
            StepStatus::Finished { exit_code, .. } => {
                assert_eq!(exit_code, 0);
                break;
            }
            StepStatus::Running { since, .. } => assert!(since.as_millisecond() > 0),
            StepStatus::Absent => panic!("the step was forgotten"),
        }
    }
    let (east, west) = (server.state("east").unwrap(), server.state("west").unwrap());
    assert_eq!(east.ledger.restarts.len(), 1);
    assert_eq!(east.units[&order.key.unit].version, "1.34.0");
    assert_eq!(west.ledger.restarts.len(), 0);
    server.stop().await;
}

#[tokio::test]
async fn the_simulated_driver_names_what_the_simulator_refused() {
    let server = start(1);
    let driver = SimulatedDriver::new(&server.cluster_url("east")).unwrap();
    let refused = driver.start(&order("x-9"), Stage::Mutate).await.unwrap_err();
    assert!(matches!(refused, DriverError::Refused { status: 404, .. }), "{refused}");
    let refused = driver.start(&order("n-1"), Stage::Preflight).await.unwrap_err();
    assert!(matches!(refused, DriverError::StageNotConfigured { stage: Stage::Preflight }));
    let url = server.cluster_url("east");
    server.stop().await;
    let gone = SimulatedDriver::new(&url).unwrap().start(&order("n-1"), Stage::Mutate).await;
    assert!(matches!(gone.unwrap_err(), DriverError::Request { .. }));
}

#[tokio::test]
async fn faults_defects_and_state_go_over_http() {
    let server = start(1);
    let (http, base) = (client(), server.cluster_url("west"));
    let fault = Fault::MissingMetric { family: "kubelet_pleg_last_seen_seconds".to_owned() };
    let metrics = server.metrics_url("west", &"n-1".parse().unwrap());
    let fault_url = format!("{base}/units/n-1/fault");
    let set = http.post(&fault_url).json(&fault).send().await.unwrap();
    assert_eq!(set.status(), 204);
    let page = http.get(&metrics).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("kubelet_pleg_relist") && !page.contains("last_seen"));
    let state: ClusterState = http.get(&base).send().await.unwrap().json().await.unwrap();
    assert_eq!(state.units[&"n-1".parse().unwrap()].faults, std::slice::from_ref(&fault));
    assert_eq!(http.delete(&fault_url).send().await.unwrap().status(), 204);
    let page = http.get(&metrics).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("last_seen"));
    let defect = Defect { version: "1.34.0".to_owned(), fault };
    let set = http.post(format!("{base}/defects")).json(&defect).send().await.unwrap();
    assert_eq!(set.status(), 204);
    let missing = http.get(format!("http://{}/clusters/north", server.address()));
    assert_eq!(missing.send().await.unwrap().status(), 404);
    server.stop().await;
}

#[tokio::test]
async fn a_unit_that_restarts_answers_503_and_one_that_hangs_does_not_answer() {
    let server = start(1);
    let n1: UnitName = "n-1".parse().unwrap();
    server.with("east", |cluster| cluster.upgrade(&n1, StepId::new(), "1.34.0").unwrap()).unwrap();
    server.with("west", |cluster| cluster.set_fault(&n1, Fault::Hang).unwrap()).unwrap();
    let down = client().get(server.metrics_url("east", &n1)).send().await.unwrap();
    assert_eq!(down.status(), 503);
    let brief = Duration::from_millis(200);
    let http = crate::hub::http_client(brief, brief).unwrap();
    let hangs = http.get(server.metrics_url("west", &n1)).send().await.unwrap_err();
    assert!(hangs.is_timeout(), "{hangs}");
    server.stop().await;
}

#[test]
fn two_clusters_of_one_name_are_refused() {
    let spec = ClusterSpec::of("east", 1, 1, &[]).unwrap();
    let twice = vec![spec; 2];
    let refused = SimServer::start(&twice, "127.0.0.1:0".parse().unwrap());
    assert!(matches!(refused.unwrap_err(), SimServerError::DuplicateName { .. }));
}
