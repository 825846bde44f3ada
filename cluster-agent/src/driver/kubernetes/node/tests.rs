//! A node's step against an API server whose controllers act when told to. Every call is made by a
//! driver without a memory, unless a test is about the memory.

use std::collections::BTreeSet;

use channels::wire::Role;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::super::{
    DriverError, EXIT_TIMED_OUT, Pass, Stage, StepId, StepOrder, StepStatus,
};
use super::NodeDriver;
use crate::config::{AgentPlace, DrainSettings, NodeEvidence, NodePool};
use crate::kube::fake::FakeApi;
use crate::kube::node::{NodeWatch, Watched};
use crate::kube::{Kube, KubeError};
use crate::observation::{Finding, GateScope, UnitKey};

mod drains;
mod leased;
mod looks;
mod own;
mod repeated;

const NODE: &str = "/api/v1/nodes/n1";
const PODS: &str = "/api/v1/namespaces/shop/pods";
const BUDGETS: &str = "/apis/policy/v1/namespaces/shop/poddisruptionbudgets";
const MARK: &str = "fairway.dev/cordoned-by";

const TEMPLATE: &str = "
apiVersion: batch/v1
kind: Job
spec:
  template:
    spec:
      containers: [{ name: up, image: 'registry.example/up:1', args: ['{component_version}'] }]
";

struct Lab {
    api: FakeApi,
    dir: tempfile::TempDir,
    place: AgentPlace,
    timeout_ms: u64,
}

impl Lab {
    fn new() -> Self {
        let api = FakeApi::start();
        api.put(NODE, node("n1"));
        api.put("/version", json!({ "major": "1", "minor": "34", "metadata": {} }));
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("job.yaml"), TEMPLATE).unwrap();
        Self { api, dir, place: AgentPlace::default(), timeout_ms: 3_600_000 }
    }

    fn pool(&self) -> NodePool {
        NodePool {
            job_template: self.dir.path().join("job.yaml"),
            namespace: "jobs".to_owned(),
            service_account: "upgrade".to_owned(),
            job_timeout_ms: 60_000,
            job_retries: 2,
            drain: DrainSettings {
                delete_empty_dir: false,
                force_unmanaged: false,
                grace_s: Some(30),
                timeout_ms: self.timeout_ms,
                waived_budgets: BTreeSet::new(),
            },
            evidence: NodeEvidence::KubeletVersion,
            reboot: true,
        }
    }

    fn kube(&self) -> Kube {
        self.api.kube_at(self.place.clone())
    }

    fn driver(&self) -> NodeDriver {
        NodeDriver::open(self.kube(), &self.pool()).unwrap()
    }

    async fn start(&self, order: &StepOrder, stage: Stage) -> Result<(), DriverError> {
        self.driver().start(order, stage).await
    }

    async fn status(&self, order: &StepOrder, stage: Stage) -> StepStatus {
        self.driver().status(order, stage, Pass::Act).await.unwrap()
    }

    /// How a stage stands, told by an agent without the lease.
    async fn watched(&self, order: &StepOrder, stage: Stage) -> StepStatus {
        self.driver().status(order, stage, Pass::Look).await.unwrap()
    }

    async fn refusal(&self, order: &StepOrder) -> String {
        match self.status(order, Stage::Preflight).await {
            StepStatus::Finished { exit_code: 1, log_tail } => log_tail,
            other => panic!("{other:?}"),
        }
    }

    async fn detail(&self, order: &StepOrder, stage: Stage) -> String {
        match self.status(order, stage).await {
            StepStatus::Running { detail: Some(detail), .. } => detail,
            other => panic!("{other:?}"),
        }
    }

    fn add_pod(&self, name: &str) -> String {
        let path = format!("{PODS}/{name}");
        self.api.put(&path, pod(name));
        path
    }

    fn evictions(&self) -> Vec<String> {
        let writes = self.api.writes().into_iter().filter(|call| call.verb == "EVICT");
        writes.map(|call| call.path.rsplit('/').next().unwrap().to_owned()).collect()
    }

    fn unschedulable(&self) -> bool {
        self.api.object(NODE)["spec"]["unschedulable"] == true
    }
}

fn node(name: &str) -> Value {
    json!({
        "metadata": { "name": name, "labels": {}, "annotations": {} },
        "spec": {},
        "status": {
            "conditions": [{ "type": "Ready", "status": "True" }],
            "nodeInfo": { "kubeletVersion": "v1.33.0", "bootID": "b-1" },
        },
    })
}

fn pod(name: &str) -> Value {
    json!({
        "metadata": {
            "name": name, "namespace": "shop", "uid": format!("uid-{name}"),
            "labels": { "app": "web" },
            "ownerReferences": [{ "kind": "ReplicaSet", "name": "web", "controller": true }],
        },
        "spec": { "nodeName": "n1" },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
    })
}

fn order() -> StepOrder {
    StepOrder::sample(
        ("acme/platform", "n1"),
        Role::Node,
        ["1.0.0", "1.1.0"],
        ("1.34.0", "acme/node", b"n"),
    )
}

/// The next attempt at the same unit.
fn again(order: &StepOrder) -> StepOrder {
    StepOrder { step_id: StepId::new(), attempt: 2, ..order.clone() }
}

fn good() -> StepStatus {
    StepStatus::Finished { exit_code: 0, log_tail: String::new() }
}

fn job_path(order: &StepOrder) -> String {
    format!("/apis/batch/v1/namespaces/jobs/jobs/fairway-{}", order.step_id)
}

#[actix_web::test]
async fn a_step_is_carried_through_by_drivers_that_remember_nothing() {
    let (lab, order) = (Lab::new(), order());
    let web = lab.add_pod("web-1");
    assert_eq!(lab.status(&order, Stage::Preflight).await, good());
    assert!(lab.api.writes().is_empty(), "preflight changed something");
    assert_eq!(lab.status(&order, Stage::Quiesce).await, StepStatus::Absent);

    lab.start(&order, Stage::Quiesce).await.unwrap();
    lab.start(&order, Stage::Quiesce).await.unwrap();
    assert!(lab.unschedulable());
    assert!(lab.detail(&order, Stage::Quiesce).await.contains("shop/web-1: it goes"));
    assert!(lab.detail(&order, Stage::Quiesce).await.contains("on its way out"));
    lab.api.remove(&web);
    assert_eq!(lab.status(&order, Stage::Quiesce).await, good());

    assert_eq!(lab.status(&order, Stage::Mutate).await, StepStatus::Absent);
    lab.start(&order, Stage::Mutate).await.unwrap();
    lab.start(&order, Stage::Mutate).await.unwrap();
    assert!(lab.detail(&order, Stage::Mutate).await.contains("has no pod yet"));
    let done = json!([{ "type": "Complete", "status": "True" }]);
    lab.api.change(&job_path(&order), |job| job["status"] = json!({ "conditions": done }));
    assert_eq!(lab.status(&order, Stage::Mutate).await, good());

    assert_eq!(lab.status(&order, Stage::Restore).await, good());
    assert_eq!(lab.status(&order, Stage::Restore).await, good());
    assert!(!lab.unschedulable());
    assert_eq!(lab.api.object(NODE)["metadata"]["annotations"], json!({}));
    let jobs = lab.api.writes().into_iter().filter(|call| call.verb == "POST").count();
    assert_eq!((jobs, lab.evictions()), (1, vec!["web-1".to_owned()]));
}

#[actix_web::test]
async fn an_eviction_says_which_life_of_the_pod_it_means_and_with_which_grace() {
    let (lab, order) = (Lab::new(), order());
    lab.add_pod("web-1");
    lab.start(&order, Stage::Quiesce).await.unwrap();
    lab.detail(&order, Stage::Quiesce).await;
    let eviction = lab.api.writes().into_iter().find(|call| call.verb == "EVICT").unwrap();
    let options = json!({ "gracePeriodSeconds": 30, "preconditions": { "uid": "uid-web-1" } });
    assert_eq!(eviction.body["deleteOptions"], options);
    assert_eq!(eviction.body["kind"], "Eviction");
}

#[actix_web::test]
async fn a_budget_that_refuses_is_named_and_waited_for() {
    let (lab, order) = (Lab::new(), order());
    lab.add_pod("web-1");
    lab.api.refuse_evictions(Some("The disruption budget web needs 1 healthy pods"));
    lab.start(&order, Stage::Quiesce).await.unwrap();
    let detail = lab.detail(&order, Stage::Quiesce).await;
    assert!(detail.contains("shop/web-1: The disruption budget web needs"), "{detail}");
    lab.api.refuse_evictions(None);
    assert!(lab.detail(&order, Stage::Quiesce).await.contains("it goes"));
    assert!(lab.api.has(&format!("{PODS}/web-1")), "nothing is ever deleted");
}

#[actix_web::test]
async fn every_other_refusal_of_an_eviction_is_waited_for_too() {
    for (code, reason, message) in [
        (500, "InternalError", "This pod has more than one PodDisruptionBudget"),
        (403, "Forbidden", "not allowed"),
        (503, "ServiceUnavailable", "later"),
        (429, "TooManyRequests", "the budget is still being processed"),
    ] {
        let (lab, order) = (Lab::new(), order());
        lab.add_pod("web-1");
        lab.api.answer_evictions(code, reason, message);
        lab.start(&order, Stage::Quiesce).await.unwrap();
        let detail = lab.detail(&order, Stage::Quiesce).await;
        assert!(detail.contains(message), "{detail}");
    }
}

#[actix_web::test]
async fn a_refused_eviction_is_not_asked_for_at_every_look() {
    let (lab, order) = (Lab::new(), order());
    lab.add_pod("web-1");
    lab.api.refuse_evictions(Some("no"));
    lab.start(&order, Stage::Quiesce).await.unwrap();
    let driver = lab.driver();
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let mut asked_at_s = Vec::new();
    for second in 0..1_300 {
        let before = lab.evictions().len();
        // A pass at every fifth second is what a drain of minutes comes to.
        if second % 5 == 0 {
            driver
                .drain(&order, Pass::Act, now + jiff::SignedDuration::from_secs(second))
                .await
                .unwrap();
        }
        if lab.evictions().len() > before {
            asked_at_s.push(second);
        }
    }
    let first: Vec<i64> = (0..90).step_by(5).collect();
    assert_eq!(asked_at_s[..first.len()], first, "every 5 s for 90 s");
    let then: Vec<i64> = asked_at_s[first.len()..].to_vec();
    assert_eq!(then, [145, 205, 265, 325, 385, 445, 505, 565, 865, 1165], "then less and less");
}

#[actix_web::test]
async fn a_pod_of_the_same_name_but_another_life_is_no_success() {
    let (lab, order) = (Lab::new(), order());
    let web = lab.add_pod("web-0");
    lab.start(&order, Stage::Quiesce).await.unwrap();
    lab.detail(&order, Stage::Quiesce).await;
    // A StatefulSet put its next life on the same node before the cordon was known.
    lab.api.change(&web, |pod| {
        pod["metadata"]["uid"] = json!("uid-other");
        pod["metadata"].as_object_mut().unwrap().remove("deletionTimestamp");
    });
    assert!(lab.detail(&order, Stage::Quiesce).await.contains("web-0: it goes"));
    assert_eq!(lab.evictions().len(), 2);
}

#[actix_web::test]
async fn the_agents_own_pod_goes_last() {
    let mut lab = Lab::new();
    lab.place = AgentPlace {
        node: Some("n1".to_owned()),
        pod: Some("agent".to_owned()),
        namespace: Some("shop".to_owned()),
    };
    let order = order();
    lab.add_pod("agent");
    let web = lab.add_pod("web-1");
    lab.start(&order, Stage::Quiesce).await.unwrap();
    let detail = lab.detail(&order, Stage::Quiesce).await;
    assert!(detail.contains("shop/agent: it is not its turn yet"), "{detail}");
    lab.detail(&order, Stage::Quiesce).await;
    assert_eq!(lab.evictions(), ["web-1"]);
    lab.api.remove(&web);
    lab.detail(&order, Stage::Quiesce).await;
    assert_eq!(lab.evictions(), ["web-1", "agent"]);
}

#[actix_web::test]
async fn a_drain_that_takes_too_long_is_given_up_by_name() {
    let mut lab = Lab::new();
    lab.timeout_ms = 1_000;
    let order = order();
    lab.add_pod("web-1");
    lab.api.refuse_evictions(Some("The disruption budget web needs 1 healthy pods"));
    lab.start(&order, Stage::Quiesce).await.unwrap();
    let later = crate::clock::now() + jiff::SignedDuration::from_secs(2);
    match lab.driver().drain(&order, Pass::Act, later).await.unwrap() {
        StepStatus::Finished { exit_code, log_tail } => {
            assert_eq!(exit_code, EXIT_TIMED_OUT);
            assert!(log_tail.contains("disruption budget web"), "{log_tail}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(lab.status(&order, Stage::Restore).await, good());
    assert!(!lab.unschedulable());
}

#[actix_web::test]
async fn a_stop_ends_a_drain_and_asks_no_other_pod_to_go() {
    let (lab, order) = (Lab::new(), order());
    lab.add_pod("web-1");
    lab.start(&order, Stage::Quiesce).await.unwrap();
    let driver = lab.driver();
    driver.supervise(&again(&order), true);
    let other = driver.status(&order, Stage::Quiesce, Pass::Act).await.unwrap();
    assert!(matches!(other, StepStatus::Running { .. }), "another step was stopped: {other:?}");
    let asked = lab.evictions().len();
    lab.add_pod("web-2");
    driver.supervise(&order, true);
    let status = driver.status(&order, Stage::Quiesce, Pass::Act).await.unwrap();
    assert!(
        matches!(&status, StepStatus::Finished { exit_code: 1, log_tail } if log_tail.contains("stopped"))
    );
    assert_eq!(lab.evictions().len(), asked);
    assert_eq!(driver.status(&order, Stage::Restore, Pass::Act).await.unwrap(), good());
    assert!(!lab.unschedulable());
}

#[actix_web::test]
async fn preflight_names_everything_before_any_cordon() {
    let (lab, order) = (Lab::new(), order());
    lab.add_pod("web-1");
    let lonely = lab.add_pod("lonely");
    lab.api.change(&lonely, |pod| {
        pod["metadata"].as_object_mut().unwrap().remove("ownerReferences");
        pod["metadata"]["labels"] = json!({});
    });
    let budget = json!({
        "metadata": { "name": "web", "namespace": "shop" },
        "spec": { "selector": { "matchLabels": { "app": "web" } } },
        "status": { "disruptionsAllowed": 0, "expectedPods": 1, "desiredHealthy": 1 },
    });
    lab.api.put(&format!("{BUDGETS}/web"), budget);
    lab.api.forbid();
    lab.api.put("/version", json!({ "major": "1", "minor": "33", "metadata": {} }));
    let said = lab.refusal(&order).await;
    for reason in [
        "may not patch nodes",
        "may not create pods/eviction",
        "may not create jobs in namespace jobs",
        "kubelet 1.34.0 is newer than the API server, 1.33",
        "disruption budget shop/web never allows pod shop/web-1",
        "pod shop/lonely cannot be moved",
    ] {
        assert!(said.contains(reason), "{reason}: {said}");
    }
    assert!(!lab.unschedulable() && lab.api.writes().is_empty());
}

#[actix_web::test]
async fn a_cordon_of_somebody_elses_is_left_alone() {
    let (lab, order) = (Lab::new(), order());
    lab.api.change(NODE, |node| node["spec"]["unschedulable"] = json!(true));
    assert!(lab.refusal(&order).await.contains("cordoned by someone, not by this agent"));
    let refused = lab.start(&order, Stage::Quiesce).await.unwrap_err();
    assert!(matches!(refused, DriverError::HeldByOther { .. }), "{refused}");
    assert_eq!(lab.status(&order, Stage::Restore).await, good());
    assert!(lab.unschedulable() && lab.api.writes().is_empty());
}

#[actix_web::test]
async fn the_next_attempt_takes_over_what_the_last_one_cordoned() {
    let (lab, first) = (Lab::new(), order());
    lab.start(&first, Stage::Quiesce).await.unwrap();
    let second = again(&first);
    assert_eq!(lab.status(&second, Stage::Preflight).await, good());
    // Refused now, the second attempt undoes the cordon of the first.
    assert_eq!(lab.status(&second, Stage::Restore).await, good());
    assert!(!lab.unschedulable());

    lab.start(&first, Stage::Quiesce).await.unwrap();
    lab.start(&second, Stage::Quiesce).await.unwrap();
    let mark = lab.api.object(NODE)["metadata"]["annotations"][MARK].clone();
    assert!(mark.as_str().unwrap().contains(&second.step_id.to_string()), "{mark}");
    assert_eq!(lab.status(&first, Stage::Quiesce).await, StepStatus::Absent);
}

#[actix_web::test]
async fn a_node_that_is_written_by_others_meanwhile_is_cordoned_all_the_same() {
    let (lab, order) = (Lab::new(), order());
    lab.api.race(3);
    lab.start(&order, Stage::Quiesce).await.unwrap();
    assert!(lab.unschedulable());
    lab.api.race(9);
    assert!(lab.driver().status(&order, Stage::Restore, Pass::Act).await.is_err());
    assert!(lab.unschedulable(), "an error is no end");
    lab.api.race(0);
    assert_eq!(lab.status(&order, Stage::Restore).await, good());
}

#[actix_web::test]
async fn only_a_node_that_is_cordoned_for_the_step_is_changed() {
    let (lab, order) = (Lab::new(), order());
    let refused = lab.start(&order, Stage::Mutate).await.unwrap_err();
    assert!(matches!(refused, DriverError::NotCordoned { .. }), "{refused}");
    lab.start(&again(&order), Stage::Quiesce).await.unwrap();
    lab.start(&order, Stage::Mutate).await.unwrap_err();
    assert!(!lab.api.has(&job_path(&order)));
}

#[actix_web::test]
async fn a_failed_job_ends_the_stage_with_the_end_of_its_log() {
    let (lab, order) = (Lab::new(), order());
    lab.start(&order, Stage::Quiesce).await.unwrap();
    lab.start(&order, Stage::Mutate).await.unwrap();
    let pod = format!("/api/v1/namespaces/jobs/pods/{}", "up-1");
    lab.api.put(
        &pod,
        json!({ "metadata": {
            "name": "up-1", "namespace": "jobs",
            "labels": { "fairway.dev/step": order.step_id.to_string() },
        } }),
    );
    lab.api.put_log(&pod, "preparing\n\u{1b}[31mno space left\n");
    let fail = |reason: &str| {
        let failed = json!([{ "type": "Failed", "status": "True", "reason": reason }]);
        lab.api.change(&job_path(&order), |job| job["status"] = json!({ "conditions": failed }));
    };
    fail("BackoffLimitExceeded");
    match lab.status(&order, Stage::Mutate).await {
        StepStatus::Finished { exit_code: 1, log_tail } => {
            assert!(log_tail.contains("BackoffLimitExceeded"), "{log_tail}");
            assert!(log_tail.ends_with("preparing\n[31mno space left\n"), "{log_tail}");
        }
        other => panic!("{other:?}"),
    }
    fail("DeadlineExceeded");
    let late = lab.status(&order, Stage::Mutate).await;
    assert!(matches!(late, StepStatus::Finished { exit_code: EXIT_TIMED_OUT, .. }), "{late:?}");
}

#[actix_web::test]
async fn a_job_that_cannot_begin_says_why() {
    let (lab, order) = (Lab::new(), order());
    lab.start(&order, Stage::Quiesce).await.unwrap();
    lab.start(&order, Stage::Mutate).await.unwrap();
    let waiting = json!({ "reason": "ImagePullBackOff", "message": "no such image" });
    lab.api.put(
        "/api/v1/namespaces/jobs/pods/up-1",
        json!({
            "metadata": {
                "name": "up-1", "namespace": "jobs",
                "labels": { "fairway.dev/step": order.step_id.to_string() },
            },
            "status": { "containerStatuses": [{ "state": { "waiting": waiting } }] },
        }),
    );
    let detail = lab.detail(&order, Stage::Mutate).await;
    assert!(detail.contains("ImagePullBackOff no such image"), "{detail}");
}

#[actix_web::test]
async fn a_job_of_the_steps_name_that_is_not_the_steps_is_no_success() {
    let (lab, order) = (Lab::new(), order());
    let foreign = json!({
        "metadata": { "name": "x", "namespace": "jobs" },
        "status": { "conditions": [{ "type": "Complete", "status": "True" }] },
    });
    lab.api.put(&job_path(&order), foreign);
    let error = lab.driver().status(&order, Stage::Mutate, Pass::Act).await.unwrap_err();
    assert!(matches!(error, DriverError::HeldByOther { .. }), "{error}");
}

#[actix_web::test]
async fn a_hold_that_came_in_the_meantime_keeps_the_node_cordoned() {
    let (lab, order) = (Lab::new(), order());
    lab.start(&order, Stage::Quiesce).await.unwrap();
    let lock = json!({ "weave.works/kured-node-lock": r#"{"nodeID":"n1","TTL":0}"# });
    let kured = "/apis/apps/v1/namespaces/kube-system/daemonsets/kured";
    lab.api.put(kured, json!({ "metadata": { "name": "kured", "annotations": lock } }));
    let detail = lab.detail(&order, Stage::Restore).await;
    assert!(detail.contains("kured holds the node"), "{detail}");
    assert!(lab.unschedulable());
    lab.api.remove(kured);
    assert_eq!(lab.status(&order, Stage::Restore).await, good());
    assert!(!lab.unschedulable());
}

#[actix_web::test]
async fn an_api_server_that_is_away_is_an_error_and_no_answer() {
    let lab = Lab::new();
    let mut settings = lab.kube().settings().clone();
    settings.kubeconfig = Some(lab.dir.path().join("none"));
    let driver = NodeDriver::open(Kube::new(settings), &lab.pool()).unwrap();
    for stage in Stage::ALL {
        let error = driver.status(&order(), stage, Pass::Act).await.unwrap_err();
        let DriverError::Kube { source } = error else { panic!("{error}") };
        assert!(matches!(*source, KubeError::Kubeconfig { .. }), "{source}");
    }
}

fn watch(lab: &Lab) -> (NodeWatch, UnitKey) {
    let key = order().key;
    let watched = Watched { key: key.clone(), pool: lab.pool() };
    (NodeWatch::new(lab.kube(), vec![watched]), key)
}

#[actix_web::test]
async fn a_look_speaks_of_every_configured_node() {
    let lab = Lab::new();
    let now = crate::clock::now();
    let (mut watch, key) = watch(&lab);
    let (words, gates) = watch.gather(None, now).await.judge(None);
    let word = words[&key].as_ref().unwrap();
    assert_eq!(word.version.as_deref(), Some("1.33.0"));
    assert_eq!(word.incarnation.as_deref(), Some("boot b-1"));
    assert_eq!((word.ready, word.at), (Some(true), now));
    assert!(word.findings.is_empty() && gates.is_empty(), "{word:?} {gates:?}");

    lab.api.remove(NODE);
    let (words, _) = watch.gather(None, now).await.judge(None);
    assert_eq!(words[&key].as_ref().unwrap_err(), "there is no node n1");
}

#[actix_web::test]
async fn a_budget_that_never_allows_the_drain_is_a_gate_of_that_node() {
    let lab = Lab::new();
    lab.add_pod("web-1");
    let budget = json!({
        "metadata": { "name": "web", "namespace": "shop" },
        "spec": { "selector": { "matchLabels": { "app": "web" } } },
        "status": { "disruptionsAllowed": 0, "expectedPods": 1, "desiredHealthy": 1 },
    });
    lab.api.put(&format!("{BUDGETS}/web"), budget);
    let (mut watch, key) = watch(&lab);
    let (_, gates) = watch.gather(None, crate::clock::now()).await.judge(None);
    assert_eq!(gates.len(), 1);
    assert_eq!(gates[0].scope, GateScope::Unit(key));
    assert!(gates[0].finding.to_string().contains("shop/web"), "{gates:?}");
}

#[actix_web::test]
async fn a_mark_counts_only_while_its_unit_is_out() {
    let (lab, order) = (Lab::new(), order());
    lab.start(&order, Stage::Quiesce).await.unwrap();
    let now = crate::clock::now();
    let (mut watch, key) = watch(&lab);
    let findings = |words: &std::collections::BTreeMap<UnitKey, crate::observation::Heard>| {
        words[&key].as_ref().unwrap().findings.clone()
    };
    let out = Some(&order.key);
    assert!(findings(&watch.gather(out, now).await.judge(out).0).is_empty());
    // It came back between the look and its judgement: nobody else's cordon either.
    assert!(findings(&watch.gather(out, now).await.judge(None).0).is_empty());
    let found = findings(&watch.gather(None, now).await.judge(None).0);
    assert!(matches!(&found[..], [Finding::ForeignCordon { by }] if by.contains("not under way")));
}

#[actix_web::test]
async fn daemon_set_pods_must_be_back_unless_they_were_away_before() {
    let (lab, order) = (Lab::new(), order());
    let agent = lab.add_pod("logs-1");
    lab.api.change(&agent, |pod| {
        pod["metadata"]["ownerReferences"][0] =
            json!({ "kind": "DaemonSet", "name": "logs", "controller": true });
    });
    lab.start(&order, Stage::Quiesce).await.unwrap();
    let unready = |pod: &mut Value| pod["status"]["conditions"] = json!([]);
    lab.api.change(&agent, unready);
    let (mut watch, key) = watch(&lab);
    let out = Some(&order.key);
    let (words, _) = watch.gather(out, crate::clock::now()).await.judge(out);
    let found = &words[&key].as_ref().unwrap().findings;
    assert_eq!(found.len(), 1);
    assert!(found[0].to_string().contains("shop/logs"), "{found:?}");

    // The same, but it was away when the node was cordoned.
    assert_eq!(lab.status(&order, Stage::Restore).await, good());
    lab.start(&order, Stage::Quiesce).await.unwrap();
    let (words, _) = watch.gather(out, crate::clock::now()).await.judge(out);
    assert!(words[&key].as_ref().unwrap().findings.is_empty());
}

#[actix_web::test]
async fn a_node_of_no_pool_that_is_down_holds_all_others_up() {
    let lab = Lab::new();
    let mut spare = node("spare");
    spare["status"]["conditions"] = json!([{ "type": "Ready", "status": "Unknown" }]);
    lab.api.put("/api/v1/nodes/spare", spare);
    let (mut watch, _) = watch(&lab);
    let (_, gates) = watch.gather(None, crate::clock::now()).await.judge(None);
    assert_eq!(gates[0].scope, GateScope::Role(Role::Node));
    assert!(gates[0].finding.to_string().contains("spare not"), "{gates:?}");
}

#[actix_web::test]
async fn a_control_plane_node_waits_until_etcd_can_be_asked() {
    let lab = Lab::new();
    lab.api.change(NODE, |node| {
        node["metadata"]["labels"]["node-role.kubernetes.io/control-plane"] = json!("");
    });
    let (mut watch, key) = watch(&lab);
    let (_, gates) = watch.gather(None, crate::clock::now()).await.judge(None);
    assert_eq!(gates[0].scope, GateScope::Unit(key));
    assert!(gates[0].finding.to_string().contains("kubernetes.etcd is not configured"));
}
