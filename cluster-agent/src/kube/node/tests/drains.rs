//! Which pods a drain takes, and which budgets could never let one go.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::against_drain as against;
use super::super::budget::permanent;
use super::super::fate::{Fate, daemon_sets, fate};
use super::super::objects::Budget;
use super::{drain, pod, pool};
use crate::config::DrainSettings;
use crate::kube::object::Pod;

fn with(mut pod: Pod, patch: impl FnOnce(&mut Pod)) -> Pod {
    patch(&mut pod);
    pod
}

fn budget(name: &str, selector: Value, allowed: i64, desired: i64, expected: i64) -> Budget {
    let value = json!({
        "metadata": { "name": name, "namespace": "shop", "generation": 1 },
        "spec": { "selector": selector },
        "status": {
            "disruptionsAllowed": allowed, "desiredHealthy": desired, "expectedPods": expected,
            "observedGeneration": 1,
        },
    });
    serde_json::from_value(value).unwrap()
}

#[test]
fn pods_of_daemon_sets_and_of_the_kubelet_itself_stay() {
    let mirror = with(pod("m", json!({}), None), |pod| {
        pod.metadata.annotations.insert("kubernetes.io/config.mirror".into(), "h".into());
    });
    assert_eq!(fate(&mirror, &drain(), None), Fate::Stays);
    assert_eq!(fate(&pod("d", json!({}), Some("DaemonSet")), &drain(), None), Fate::Stays);
    let own = pod("j", json!({ "fairway.dev/step": "x" }), Some("Job"));
    assert_eq!(fate(&own, &drain(), None), Fate::Stays);
}

#[test]
fn what_would_lose_something_needs_the_owners_word() {
    let unmanaged = pod("u", json!({}), None);
    assert!(
        matches!(fate(&unmanaged, &drain(), None), Fate::Unmovable(why) if why.contains("force"))
    );
    let forced = DrainSettings { force_unmanaged: true, ..drain() };
    assert_eq!(fate(&unmanaged, &forced, None), Fate::Evicted);

    let value = json!({ "spec": { "volumes": [{ "name": "v", "emptyDir": {} }] } });
    let volumes = serde_json::from_value::<Pod>(value).unwrap().spec;
    let scratch = with(pod("s", json!({}), Some("ReplicaSet")), |pod| pod.spec = volumes);
    assert!(
        matches!(fate(&scratch, &drain(), None), Fate::Unmovable(why) if why.contains("emptyDir"))
    );
    let given_up = DrainSettings { delete_empty_dir: true, ..drain() };
    assert_eq!(fate(&scratch, &given_up, None), Fate::Evicted);
    // A finished pod has nothing left to lose.
    let finished = with(scratch, |pod| pod.status.phase = "Succeeded".to_owned());
    assert_eq!(fate(&finished, &drain(), None), Fate::Evicted);
}

#[test]
fn only_a_pod_that_tolerates_a_cordon_and_is_younger_comes_back() {
    let at = |second| jiff::Timestamp::from_second(second).unwrap();
    let made = |second, toleration: Value| {
        let spec = json!({ "spec": { "tolerations": [toleration] } });
        with(pod("w", json!({}), Some("ReplicaSet")), |pod| {
            pod.metadata.creation_timestamp = Some(at(second));
            pod.spec = serde_json::from_value::<Pod>(spec).unwrap().spec;
        })
    };
    let all = || json!({ "operator": "Exists" });
    assert_eq!(fate(&made(11, all()), &drain(), Some(at(10))), Fate::CameBack);
    assert_eq!(fate(&made(10, all()), &drain(), Some(at(10))), Fate::Evicted);
    assert_eq!(fate(&made(11, all()), &drain(), None), Fate::Evicted);
    let cordon = "node.kubernetes.io/unschedulable";
    for (toleration, comes_back) in [
        (json!({ "key": cordon, "operator": "Exists", "effect": "NoSchedule" }), true),
        (json!({ "key": cordon }), true),
        (json!({ "key": cordon, "value": "x" }), false),
        (json!({ "key": cordon, "operator": "Exists", "effect": "NoExecute" }), false),
        (json!({ "key": "other", "operator": "Exists" }), false),
        (json!({ "operator": "Exists", "effect": "NoExecute" }), false),
    ] {
        let found = fate(&made(11, toleration.clone()), &drain(), Some(at(10)));
        assert_eq!(found == Fate::CameBack, comes_back, "{toleration}");
    }
}

#[test]
fn a_pod_on_its_way_out_is_waited_for() {
    let leaving = with(pod("l", json!({}), Some("ReplicaSet")), |pod| {
        pod.metadata.deletion_timestamp = Some(jiff::Timestamp::UNIX_EPOCH);
    });
    assert_eq!(fate(&leaving, &drain(), None), Fate::Leaving);
}

#[test]
fn a_budget_that_wants_every_pod_at_all_times_is_named() {
    let web = pod("web-1", json!({ "app": "web" }), Some("ReplicaSet"));
    let budgets = [budget("all", json!({ "matchLabels": { "app": "web" } }), 0, 1, 1)];
    let found = permanent(&web, &budgets, &BTreeSet::new()).unwrap().to_string();
    assert!(found.contains("shop/all") && found.contains("shop/web-1"), "{found}");
    let waived = BTreeSet::from(["shop/all".to_owned()]);
    assert_eq!(permanent(&web, &budgets, &waived), None);
}

#[test]
fn a_budget_without_room_at_this_moment_is_waited_for() {
    let web = pod("web-1", json!({ "app": "web" }), Some("ReplicaSet"));
    let none = BTreeSet::new();
    // Three pods, two needed, one of them away: there will be room again.
    assert_eq!(permanent(&web, &[budget("b", json!({}), 0, 2, 3)], &none), None);
    // Figures of an older budget say nothing.
    let mut old = budget("b", json!({}), 0, 1, 1);
    old.metadata.generation = 2;
    assert_eq!(permanent(&web, &[old], &none), None);
    // No selector, no pods; another namespace, other pods.
    assert_eq!(permanent(&web, &[budget("b", Value::Null, 0, 1, 1)], &none), None);
    let mut elsewhere = budget("b", json!({}), 0, 1, 1);
    elsewhere.metadata.namespace = "other".to_owned();
    assert_eq!(permanent(&web, &[elsewhere], &none), None);
}

#[test]
fn pods_that_do_not_run_are_nobodys_disruption() {
    let budgets = [budget("all", json!({}), 0, 1, 1)];
    for phase in ["Pending", "Succeeded", "Failed"] {
        let idle = with(pod("p", json!({}), Some("Job")), |pod| pod.status.phase = phase.into());
        assert_eq!(permanent(&idle, &budgets, &BTreeSet::new()), None, "{phase}");
    }
}

#[test]
fn an_unready_pod_goes_by_the_policy_of_its_budget() {
    let unready = with(pod("web-1", json!({}), Some("ReplicaSet")), |pod| {
        pod.status.conditions.clear();
    });
    let mut all = budget("all", json!({}), 0, 2, 2);
    assert!(permanent(&unready, &[all.clone()], &BTreeSet::new()).is_some());
    all.spec.unhealthy_pod_eviction_policy = Some("AlwaysAllow".to_owned());
    assert_eq!(permanent(&unready, &[all], &BTreeSet::new()), None);
}

#[test]
fn two_budgets_for_one_pod_are_a_mistake_that_is_named() {
    let web = pod("web-1", json!({ "app": "web" }), Some("ReplicaSet"));
    let picks =
        json!({ "matchExpressions": [{ "key": "app", "operator": "In", "values": ["web"] }] });
    let budgets = [budget("a", picks, 1, 1, 2), budget("b", json!({}), 1, 1, 2)];
    let found = permanent(&web, &budgets, &BTreeSet::new()).unwrap().to_string();
    assert!(found.contains("shop/a, shop/b"), "{found}");
}

#[test]
fn selectors_pick_as_the_api_server_does() {
    let web = pod("web-1", json!({ "app": "web" }), Some("ReplicaSet"));
    let cases = [
        (json!({ "key": "app", "operator": "NotIn", "values": ["web"] }), false),
        (json!({ "key": "tier", "operator": "NotIn", "values": ["db"] }), true),
        (json!({ "key": "app", "operator": "Exists" }), true),
        (json!({ "key": "tier", "operator": "Exists" }), false),
        (json!({ "key": "app", "operator": "DoesNotExist" }), false),
    ];
    for (expression, picked) in cases {
        let budgets = [budget("b", json!({ "matchExpressions": [expression] }), 0, 1, 1)];
        let found = permanent(&web, &budgets, &BTreeSet::new());
        assert_eq!(found.is_some(), picked, "{budgets:?}");
    }
}

#[test]
fn everything_against_a_drain_is_listed() {
    let pods = [
        pod("web-1", json!({ "app": "web" }), Some("ReplicaSet")),
        pod("lonely", json!({}), None),
        pod("agent", json!({}), Some("DaemonSet")),
    ];
    let budgets = [budget("all", json!({ "matchLabels": { "app": "web" } }), 0, 1, 1)];
    let found = against(&pods, &budgets, &pool());
    let gates: Vec<&str> = found.iter().map(crate::observation::Finding::gate_name).collect();
    assert_eq!(gates, ["disruption_budget", "pod_unmovable"]);
}

#[test]
fn daemon_sets_are_counted_by_their_pods() {
    let ready = pod("d-1", json!({}), Some("DaemonSet"));
    let unready = with(pod("d-2", json!({}), Some("DaemonSet")), |pod| {
        pod.status.conditions.clear();
    });
    let other = pod("web-1", json!({}), Some("ReplicaSet"));
    assert_eq!(daemon_sets(&[ready, unready, other]), (1, vec!["shop/o".to_owned()]));
}
