//! A unit that is tried again under another step: what the step before left is taken up or undone.

use super::*;

#[actix_web::test]
async fn a_mark_of_another_unit_is_not_undone() {
    let (lab, first) = (Lab::new(), order());
    lab.start(&first, Stage::Quiesce).await.unwrap();
    // Another product, perhaps another agent's, that knows the same node.
    let mut other = order();
    other.key.product = "other/platform".parse().unwrap();
    assert_eq!(lab.status(&other, Stage::Restore).await, good());
    assert!(lab.unschedulable());
}

#[actix_web::test]
async fn a_restore_undoes_what_an_earlier_step_of_the_unit_cordoned() {
    let (lab, first) = (Lab::new(), order());
    lab.start(&first, Stage::Quiesce).await.unwrap();
    // A resume gave the unit that waits for its health another step.
    assert_eq!(lab.status(&again(&first), Stage::Restore).await, good());
    assert!(!lab.unschedulable());
    assert_eq!(lab.api.object(NODE)["metadata"]["annotations"], json!({}));
}

#[actix_web::test]
async fn a_step_that_is_tried_again_has_the_whole_time_for_its_drain() {
    let (lab, first) = (Lab::new(), order());
    lab.add_pod("web-1");
    lab.api.refuse_evictions(Some("no"));
    lab.start(&first, Stage::Quiesce).await.unwrap();
    lab.api.change(NODE, |node| {
        let mark = &mut node["metadata"]["annotations"][MARK];
        let mut text: Value = serde_json::from_str(mark.as_str().unwrap()).unwrap();
        text["at"] = json!("2026-01-01T00:00:00Z");
        *mark = json!(text.to_string());
    });
    let late = lab.status(&first, Stage::Quiesce).await;
    assert!(matches!(late, StepStatus::Finished { exit_code: EXIT_TIMED_OUT, .. }), "{late:?}");
    let second = again(&first);
    assert_eq!(lab.status(&second, Stage::Preflight).await, good());
    lab.start(&second, Stage::Quiesce).await.unwrap();
    lab.detail(&second, Stage::Quiesce).await;
}

const CLEARED: &str = "/spec/ttlSecondsAfterFinished";

fn ends(lab: &Lab, order: &StepOrder, how: &str) {
    let condition = json!([{ "type": how, "status": "True" }]);
    lab.api.change(&job_path(order), |job| job["status"] = json!({ "conditions": condition }));
}

#[actix_web::test]
async fn a_job_is_cleared_away_only_once_its_unit_was_changed_well() {
    let (lab, first) = (Lab::new(), order());
    lab.start(&first, Stage::Quiesce).await.unwrap();
    lab.start(&first, Stage::Mutate).await.unwrap();
    ends(&lab, &first, "Failed");
    let failed = lab.status(&first, Stage::Mutate).await;
    assert!(matches!(failed, StepStatus::Finished { exit_code: 1, .. }), "{failed:?}");
    let kept = |order: &StepOrder| lab.api.object(&job_path(order)).pointer(CLEARED).is_none();
    assert!(kept(&first), "a failed Job is what says that the node is half-changed");

    let mut other = order();
    other.key.product = "other/platform".parse().unwrap();
    let mut stranger = lab.api.object(&job_path(&first));
    stranger["metadata"]["name"] = json!("stranger");
    stranger["metadata"]["annotations"]["fairway.dev/unit"] = json!(other.key.to_string());
    lab.api.put(&job_path(&other), stranger);

    let second = again(&first);
    lab.start(&second, Stage::Quiesce).await.unwrap();
    lab.start(&second, Stage::Mutate).await.unwrap();
    assert!(kept(&second));
    ends(&lab, &second, "Complete");
    assert_eq!(lab.status(&second, Stage::Mutate).await, good());
    assert!(!kept(&second) && !kept(&first) && kept(&other));
    let writes = lab.api.writes().len();
    assert_eq!(lab.status(&second, Stage::Mutate).await, good());
    assert_eq!(lab.api.writes().len(), writes, "once is enough");
}
