//! Looks at a cluster that does not answer, and at nodes of no pool.

use super::*;
use crate::config::EtcdSettings;
use crate::observation::ClusterGate;

const LIST: &str = "/api/v1/nodes";

fn said(gates: &[ClusterGate], scope: &GateScope) -> Vec<String> {
    let of = gates.iter().filter(|gate| gate.scope == *scope);
    of.map(|gate| gate.finding.to_string()).collect()
}

fn never_allows(lab: &Lab) {
    lab.add_pod("web-1");
    let budget = json!({
        "metadata": { "name": "web", "namespace": "shop" },
        "spec": { "selector": { "matchLabels": { "app": "web" } } },
        "status": { "disruptionsAllowed": 0, "expectedPods": 1, "desiredHealthy": 1 },
    });
    lab.api.put(&format!("{BUDGETS}/web"), budget);
}

#[actix_web::test]
async fn without_the_list_of_nodes_none_goes_and_what_was_found_last_stays() {
    let lab = Lab::new();
    never_allows(&lab);
    let (mut watch, key) = watch(&lab);
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    watch.gather(None, now).await;
    lab.api.break_reads_of(LIST);
    let later = now + jiff::SignedDuration::from_mins(9);
    let (words, gates) = watch.gather(None, later).await.judge(None);
    assert!(words[&key].is_err());
    let of_all = said(&gates, &GateScope::Role(Role::Node));
    assert!(of_all.iter().any(|why| why.contains("nodes")), "{gates:?}");
    let of_it = said(&gates, &GateScope::Unit(key));
    assert!(
        of_it[0].contains("shop/web") && of_it[0].contains(&format!("as of {now}")),
        "{of_it:?}"
    );
}

#[actix_web::test]
async fn etcd_is_asked_whether_or_not_nodes_can_be_listed() {
    let lab = Lab::new();
    lab.api.change(NODE, |node| {
        node["metadata"]["labels"]["node-role.kubernetes.io/control-plane"] = json!("");
    });
    let mut settings = lab.kube().settings().clone();
    settings.etcd = Some(EtcdSettings {
        check: true,
        metrics_urls: vec!["http://127.0.0.1:9/metrics".to_owned()],
        ca: None,
        identity: None,
        max_pending: 0,
    });
    let key = order().key;
    let watched = Watched { key: key.clone(), pool: lab.pool() };
    let mut watch = NodeWatch::new(Kube::new(settings), vec![watched]);
    let scope = GateScope::Unit(key);
    let mute = |gates: &[ClusterGate]| {
        said(gates, &scope).iter().any(|why| why.contains("does not answer"))
    };
    let now = crate::clock::now();
    let (_, gates) = watch.gather(None, now).await.judge(None);
    assert!(mute(&gates), "{gates:?}");
    lab.api.break_reads_of(LIST);
    let (_, gates) = watch.gather(None, now).await.judge(None);
    assert!(mute(&gates), "{gates:?}");
}

#[actix_web::test]
async fn a_node_of_no_pool_that_somebody_cordoned_holds_all_others_up() {
    let lab = Lab::new();
    let mut spare = node("spare");
    spare["spec"] = json!({ "unschedulable": true });
    lab.api.put("/api/v1/nodes/spare", spare);
    let (mut watch, _) = watch(&lab);
    let (_, gates) = watch.gather(None, crate::clock::now()).await.judge(None);
    let found = said(&gates, &GateScope::Role(Role::Node));
    assert_eq!(found.len(), 1, "{gates:?}");
    assert!(found[0].contains("spare") && found[0].contains("cordoned"), "{found:?}");
}

#[actix_web::test]
async fn a_node_of_no_pool_that_this_agent_left_cordoned_holds_all_others_up() {
    let (lab, mut order) = (Lab::new(), order());
    lab.api.put("/api/v1/nodes/spare", node("spare"));
    order.key.unit = "spare".parse().unwrap();
    lab.start(&order, Stage::Quiesce).await.unwrap();
    let (mut watch, _) = watch(&lab);
    let (_, gates) = watch.gather(None, crate::clock::now()).await.judge(None);
    let found = said(&gates, &GateScope::Role(Role::Node));
    assert!(found[0].contains("spare") && found[0].contains("no pool"), "{gates:?}");
}

#[actix_web::test]
async fn a_reboot_lock_of_kureds_holds_all_nodes_up_whosever_it_is() {
    for holder in ["n1", "spare", "gone"] {
        let lab = Lab::new();
        lab.api.put("/api/v1/nodes/spare", node("spare"));
        let lock = json!({ "nodeID": holder, "TTL": 0 }).to_string();
        let lock = json!({ "weave.works/kured-node-lock": lock });
        let kured = "/apis/apps/v1/namespaces/kube-system/daemonsets/kured";
        lab.api.put(kured, json!({ "metadata": { "name": "kured", "annotations": lock } }));
        let (mut watch, _) = watch(&lab);
        let (_, gates) = watch.gather(None, crate::clock::now()).await.judge(None);
        let found = said(&gates, &GateScope::Role(Role::Node));
        let named = |why: &String| why.contains("kured") && why.contains(holder);
        assert!(found.iter().any(named), "{holder}: {gates:?}");
    }
}
