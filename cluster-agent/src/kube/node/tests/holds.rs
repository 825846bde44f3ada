//! Who has a node in hand: this agent's mark, and everybody else's.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::super::evidence::{version, witness};
use super::super::hold::Holds;
use super::super::mark::{self, Mark, Marked, mark_of, marked};
use super::super::objects::{Job, Maintenance, Node, Object};
use super::{node, pool};
use crate::config::{NodeEvidence, NodePool};
use crate::driver::StepId;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn plain(name: &str) -> Node {
    node(json!({ "metadata": { "name": name, "resourceVersion": "7" } }))
}

fn cordoned(by: &str) -> Node {
    node(json!({
        "metadata": { "name": "n1", "managedFields": [
            { "manager": "kubelet", "fieldsV1": { "f:status": {} } },
            { "manager": by, "fieldsV1": { "f:spec": { "f:unschedulable": {} } } },
        ] },
        "spec": { "unschedulable": true },
    }))
}

fn own_mark() -> Mark {
    Mark {
        step: StepId::new(),
        unit: crate::observation::UnitKey {
            product: "acme/platform".parse().unwrap(),
            unit: "n1".parse().unwrap(),
        },
        at: now(),
        unschedulable: false,
        unready: vec![],
    }
}

/// The node with the patch applied, as far as it matters here.
fn patched(mut node: Node, patch: &serde_json::Value) -> Node {
    for (key, value) in patch["metadata"]["annotations"].as_object().unwrap() {
        match value.as_str() {
            Some(text) => node.metadata.annotations.insert(key.clone(), text.to_owned()),
            None => node.metadata.annotations.remove(key),
        };
    }
    match &patch["spec"]["unschedulable"] {
        serde_json::Value::Bool(to) => node.spec.unschedulable = *to,
        _ if patch.get("spec").is_some() => node.spec.unschedulable = false,
        _ => {}
    }
    node
}

fn said(holds: &Holds, node: &Node) -> Vec<String> {
    holds.findings(node).iter().map(ToString::to_string).collect()
}

#[test]
fn a_cordon_of_somebody_elses_is_found_with_its_manager() {
    let found = said(&Holds::default(), &cordoned("kubectl-cordon"));
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("someone (field manager kubectl-cordon)"), "{found:?}");
    assert!(said(&Holds::default(), &plain("n1")).is_empty());
}

#[test]
fn a_cordon_of_this_agents_is_nobody_elses() {
    let mark = own_mark();
    let patch = mark::cordon(&plain("n1"), &mark);
    assert_eq!(patch["metadata"]["resourceVersion"], "7");
    let node = patched(plain("n1"), &patch);
    assert!(node.spec.unschedulable);
    assert!(said(&Holds::default(), &node).is_empty());
    assert_eq!(mark_of(&node, mark.step), Some(mark.clone()));
    assert_eq!(mark_of(&node, StepId::new()), None);
    let back = patched(node, &mark::uncordon(&plain("n1"), &mark));
    assert!(!back.spec.unschedulable);
    assert_eq!(marked(&back), Marked::No);
}

#[test]
fn a_node_that_was_unschedulable_before_stays_so() {
    let mark = Mark { unschedulable: true, ..own_mark() };
    let node = patched(plain("n1"), &mark::cordon(&plain("n1"), &mark));
    let back = patched(node, &mark::uncordon(&plain("n1"), &mark));
    assert!(back.spec.unschedulable);
}

#[test]
fn a_mark_that_cannot_be_read_is_no_leave_to_uncordon() {
    let mut node = cordoned("x");
    node.metadata.annotations.insert("fairway.dev/cordoned-by".into(), "me".into());
    assert_eq!(marked(&node), Marked::Unreadable);
    assert!(said(&Holds::default(), &node)[0].contains("a mark that cannot be read"));
}

fn kured(lock: &str) -> Object {
    let value = json!({ "metadata": { "name": "kured", "namespace": "kube-system", "annotations": {
        "weave.works/kured-node-lock": lock,
    } } });
    serde_json::from_value(value).unwrap()
}

#[test]
fn kureds_lock_holds_its_node_until_it_lapses() {
    let lock = |ttl: i64| {
        format!(
            r#"{{"nodeID":"n1","metadata":{{"unschedulable":false}},"created":"{}","TTL":{ttl}}}"#,
            now()
        )
    };
    let mut holds = Holds::default();
    holds.kured(&kured(&lock(0)), now() + SignedDuration::from_hours(1)).unwrap();
    assert!(said(&holds, &plain("n1"))[0].contains("kured holds the node"));
    assert!(said(&holds, &plain("n2")).is_empty());

    let minute = 60_000_000_000;
    let mut lapsed = Holds::default();
    lapsed.kured(&kured(&lock(minute)), now() + SignedDuration::from_secs(61)).unwrap();
    assert!(said(&lapsed, &plain("n1")).is_empty());

    let mut several = Holds::default();
    let text = format!(r#"{{"maxOwners":2,"locks":[{}]}}"#, lock(0));
    several.kured(&kured(&text), now()).unwrap();
    assert_eq!(said(&several, &plain("n1")).len(), 1);
    assert!(Holds::default().kured(&kured("?"), now()).is_err());
}

#[test]
fn maintenance_and_other_upgraders_hold_their_nodes() {
    let mut holds = Holds::default();
    let maintenance =
        json!({ "metadata": { "name": "nm" }, "spec": { "nodeName": "n1", "reason": "disk" } });
    holds.maintenances(&[serde_json::from_value::<Maintenance>(maintenance).unwrap()]);
    let job = |active: i64| {
        let labels = json!({ "upgrade.cattle.io/node": "n2", "upgrade.cattle.io/plan": "k3s" });
        let meta = json!({ "name": "j", "namespace": "system-upgrade", "labels": labels });
        serde_json::from_value::<Job>(json!({ "metadata": meta, "status": { "active": active } }))
    };
    holds.upgrade_jobs(&[job(1).unwrap()]);
    assert!(said(&holds, &plain("n1"))[0].contains("NodeMaintenance nm holds the node: disk"));
    assert!(said(&holds, &plain("n2"))[0].contains("plan k3s"));
    let mut idle = Holds::default();
    idle.upgrade_jobs(&[job(0).unwrap()]);
    assert!(said(&idle, &plain("n2")).is_empty());
    let tainted = json!({ "metadata": { "name": "n3" }, "spec": { "taints": [{ "key": "karpenter.sh/disrupted" }] } });
    assert!(said(&idle, &node(tainted))[0].contains("Karpenter"));
}

#[test]
fn the_version_shows_where_the_pool_says() {
    let shown = node(json!({
        "metadata": { "name": "n1", "labels": { "v": "v7" }, "annotations": { "a": " 8 " } },
        "status": { "nodeInfo": {
            "kubeletVersion": "v1.33.2", "osImage": "Example OS 41.2", "bootID": "b-1",
        }, "conditions": [{ "type": "Ready", "status": "True" }] },
    }));
    let os = |prefix: &str| NodeEvidence::OsImage { prefix: prefix.to_owned() };
    assert_eq!(version(&shown, &NodeEvidence::KubeletVersion).as_deref(), Some("1.33.2"));
    assert_eq!(version(&shown, &os("Example OS ")).as_deref(), Some("41.2"));
    assert_eq!(version(&shown, &os("Other OS ")), None);
    assert_eq!(version(&shown, &NodeEvidence::Label { key: "v".into() }).as_deref(), Some("7"));
    assert_eq!(
        version(&shown, &NodeEvidence::Annotation { key: "a".into() }).as_deref(),
        Some("8")
    );

    let word = witness(&shown, &pool(), vec![], now());
    assert_eq!((word.incarnation.as_deref(), word.ready), (Some("boot b-1"), Some(true)));
    let stays = NodePool { reboot: false, ..pool() };
    assert_eq!(witness(&shown, &stays, vec![], now()).incarnation, None);
    // Without the condition nobody says that it is ready.
    assert_eq!(witness(&plain("n2"), &pool(), vec![], now()).ready, Some(false));
}
