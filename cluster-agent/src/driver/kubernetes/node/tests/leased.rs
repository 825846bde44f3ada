//! An agent that lost the lease, or was restarted and does not hold it yet: it looks and waits.

use super::*;

fn waits(status: &StepStatus) -> String {
    match status {
        StepStatus::Running { detail: Some(detail), .. } => {
            assert!(detail.starts_with("waiting for the lease; "), "{detail}");
            detail.clone()
        }
        other => panic!("{other:?}"),
    }
}

#[actix_web::test]
async fn without_the_lease_no_pod_is_evicted_and_no_node_uncordoned() {
    let (lab, order) = (Lab::new(), order());
    let web = lab.add_pod("web-1");
    lab.start(&order, Stage::Quiesce).await.unwrap();
    let writes = lab.api.writes().len();
    let detail = waits(&lab.watched(&order, Stage::Quiesce).await);
    assert!(detail.contains("shop/web-1"), "{detail}");
    lab.api.remove(&web);
    assert_eq!(lab.watched(&order, Stage::Quiesce).await, good(), "what has ended has ended");
    waits(&lab.watched(&order, Stage::Restore).await);
    assert!(lab.unschedulable());
    assert_eq!(lab.api.writes().len(), writes);
    assert_eq!(lab.status(&order, Stage::Restore).await, good());
    assert_eq!(lab.watched(&order, Stage::Restore).await, good());
}

#[actix_web::test]
async fn without_the_lease_neither_marks_nor_jobs_are_written() {
    let (lab, order) = (Lab::new(), order());
    lab.start(&order, Stage::Quiesce).await.unwrap();
    lab.start(&order, Stage::Mutate).await.unwrap();
    let done = json!([{ "type": "Complete", "status": "True" }]);
    lab.api.change(&job_path(&order), |job| job["status"] = json!({ "conditions": done }));
    let writes = lab.api.writes().len();
    assert_eq!(lab.watched(&order, Stage::Mutate).await, good());
    assert_eq!(lab.watched(&again(&order), Stage::Preflight).await, good());
    assert_eq!(lab.api.writes().len(), writes);
}

#[actix_web::test]
async fn a_drain_goes_on_as_soon_as_the_lease_is_back() {
    let (lab, order) = (Lab::new(), order());
    lab.add_pod("web-1");
    lab.start(&order, Stage::Quiesce).await.unwrap();
    let driver = lab.driver();
    waits(&driver.status(&order, Stage::Quiesce, Pass::Look).await.unwrap());
    driver.status(&order, Stage::Quiesce, Pass::Act).await.unwrap();
    assert_eq!(lab.evictions(), ["web-1"]);
    waits(&driver.status(&order, Stage::Quiesce, Pass::Look).await.unwrap());
}
