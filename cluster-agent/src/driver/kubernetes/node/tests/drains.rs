//! Pods that a cordon does not keep away.

use super::*;

/// A pod that the scheduler puts on a cordoned node, made at that time.
fn tolerant(lab: &Lab, name: &str, made: &str) -> String {
    let path = lab.add_pod(name);
    lab.api.change(&path, |pod| {
        pod["metadata"]["creationTimestamp"] = json!(made);
        pod["spec"]["tolerations"] = json!([{ "operator": "Exists" }]);
    });
    path
}

#[actix_web::test]
async fn a_pod_that_comes_back_to_the_cordoned_node_is_evicted_once() {
    let (lab, order) = (Lab::new(), order());
    let web = tolerant(&lab, "web-1", "2026-01-01T00:00:00Z");
    let other = lab.add_pod("api-1");
    lab.start(&order, Stage::Quiesce).await.unwrap();
    assert!(lab.detail(&order, Stage::Quiesce).await.contains("shop/web-1: it goes"));
    lab.api.remove(&web);
    tolerant(&lab, "web-2", "2999-01-01T00:00:00Z");
    let detail = lab.detail(&order, Stage::Quiesce).await;
    assert!(detail.starts_with("1 pod is left: shop/api-1"), "{detail}");
    assert!(detail.contains("shop/web-2 tolerates the cordon"), "{detail}");
    lab.api.remove(&other);
    let StepStatus::Finished { exit_code: 0, log_tail } = lab.status(&order, Stage::Quiesce).await
    else {
        panic!("the drain goes on");
    };
    assert!(log_tail.contains("shop/web-2 tolerates the cordon"), "{log_tail}");
    let mut asked = lab.evictions();
    asked.sort();
    assert_eq!(asked, ["api-1", "web-1"]);
}
