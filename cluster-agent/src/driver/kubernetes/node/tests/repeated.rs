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
