//! The node that the agent runs on.

use super::*;

/// The agent runs on the node, with its state in a volume of that affinity; n2 could take it over.
fn lab(affinity: &Value) -> Lab {
    let mut lab = Lab::new();
    lab.place = AgentPlace {
        node: Some("n1".to_owned()),
        pod: Some("agent".to_owned()),
        namespace: Some("shop".to_owned()),
    };
    lab.api.change(NODE, |node| {
        node["metadata"]["labels"] = json!({ "kubernetes.io/hostname": "n1", "zone": "a" });
    });
    let mut other = node("n2");
    other["metadata"]["labels"] = json!({ "kubernetes.io/hostname": "n2", "zone": "a" });
    lab.api.put("/api/v1/nodes/n2", other);
    let agent = lab.add_pod("agent");
    lab.api.change(&agent, |pod| {
        let claim = json!({ "name": "state", "persistentVolumeClaim": { "claimName": "state" } });
        pod["spec"]["volumes"] = json!([{ "name": "config", "configMap": {} }, claim]);
    });
    let claim = "/api/v1/namespaces/shop/persistentvolumeclaims/state";
    lab.api.put(claim, json!({ "spec": { "volumeName": "pv-1" } }));
    let spec = json!({ "nodeAffinity": affinity });
    lab.api.put("/api/v1/persistentvolumes/pv-1", json!({ "spec": spec }));
    lab
}

fn by(key: &str, value: &str) -> Value {
    let one = json!({ "key": key, "operator": "In", "values": [value] });
    json!({ "required": { "nodeSelectorTerms": [{ "matchExpressions": [one] }] } })
}

#[actix_web::test]
async fn the_agents_own_node_is_refused_if_its_volume_cannot_follow_it() {
    let lab = lab(&by("kubernetes.io/hostname", "n1"));
    let why = lab.refusal(&order()).await;
    assert!(
        why.contains("volume pv-1 (claim shop/state) can be mounted on no other node"),
        "{why}"
    );
    // Another node is none of its business.
    let mut other = order();
    other.key.unit = "n2".parse().unwrap();
    assert_eq!(lab.status(&other, Stage::Preflight).await, good());
}

#[actix_web::test]
async fn a_volume_that_another_node_can_mount_follows_the_agent() {
    for affinity in [by("zone", "a"), json!({})] {
        let lab = lab(&affinity);
        assert_eq!(lab.status(&order(), Stage::Preflight).await, good(), "{affinity}");
    }
    // But not to a node that is cordoned, or to one that is not Ready.
    let lab = lab(&by("zone", "a"));
    lab.api.change("/api/v1/nodes/n2", |node| node["spec"]["unschedulable"] = json!(true));
    assert!(lab.refusal(&order()).await.contains("on no other node"));
}
