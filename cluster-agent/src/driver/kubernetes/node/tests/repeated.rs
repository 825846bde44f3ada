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
