//! Members of a StatefulSet against an API server with controllers that act when told to.

use std::collections::BTreeMap;

use channels::wire::Role;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::StatefulSetMembers;
use crate::config::{MemberEvidence, StatefulSetPool, Wanted};
use crate::driver::{Pass, Stage, StepId, StepOrder, StepStatus};
use crate::kube::fake::FakeApi;
use crate::observation::{Finding, Heard, UnitKey};

/// What the image of the new release holds.
const IMAGE: &[u8] = b"kafka 4.0.0";

const SET: &str = "/apis/apps/v1/namespaces/kafka/statefulsets/quorum";
const PODS: &str = "/api/v1/namespaces/kafka/pods";

fn pool() -> StatefulSetPool {
    StatefulSetPool {
        namespace: "kafka".to_owned(),
        name: "quorum".to_owned(),
        wanted: Wanted {
            container: "kafka".to_owned(),
            init_containers: vec!["format".to_owned()],
        },
        registry: "registry.site:5000".parse().unwrap(),
        grace_s: 30,
        timeout_ms: 900_000,
        evidence: MemberEvidence::Pod,
        mend: false,
    }
}

fn digest() -> signing::Sha256Digest {
    signing::Sha256Digest::of(IMAGE)
}

fn order(unit: &str) -> StepOrder {
    StepOrder::sample(
        ("acme/kafka", unit),
        Role::Controller,
        ["3.9.1", "4.0.0"],
        ("4.0.0", "acme/kafka", IMAGE),
    )
}

fn key(unit: &str) -> UnitKey {
    UnitKey { product: "acme/kafka".parse().unwrap(), unit: unit.parse().unwrap() }
}

fn set() -> Value {
    json!({
        "metadata": { "name": "quorum", "namespace": "kafka", "uid": "set", "generation": 1 },
        "spec": {
            "replicas": 3,
            "selector": { "matchLabels": { "app": "quorum" } },
            "updateStrategy": { "type": "OnDelete" },
            "template": {
                "metadata": { "labels": { "app": "quorum" }, "annotations": { "keep": "me" } },
                "spec": {
                    "initContainers": [{ "name": "format", "image": "registry.site:5000/acme/kafka:3.9.1" }],
                    "containers": [
                        { "name": "kafka", "image": "registry.site:5000/acme/kafka:3.9.1" },
                        { "name": "exporter", "image": "registry.site:5000/exporter:1" },
                    ],
                },
            },
        },
        "status": { "observedGeneration": 1, "updateRevision": "quorum-1" },
    })
}

/// A pod as the controller would make it from a template.
fn pod(name: &str, uid: &str, revision: &str, template: &Value, ready: bool) -> Value {
    let mut metadata = template["metadata"].clone();
    metadata["name"] = json!(name);
    metadata["namespace"] = json!("kafka");
    metadata["uid"] = json!(uid);
    metadata["labels"]["controller-revision-hash"] = json!(revision);
    let ready_text = if ready { "True" } else { "False" };
    json!({
        "metadata": metadata,
        "spec": template["spec"],
        "status": {
            "phase": "Running",
            "conditions": [{ "type": "Ready", "status": ready_text, "reason": "ContainersNotReady" }],
            "containerStatuses": [
                { "name": "kafka", "imageID": "registry.site:5000/acme/kafka@sha256:1", "restartCount": 0, "state": {} },
            ],
        },
    })
}

struct Lab {
    api: FakeApi,
    members: StatefulSetMembers,
}

impl Lab {
    fn start() -> Self {
        let api = FakeApi::start();
        api.put(SET, set());
        for n in 0..3 {
            let name = format!("quorum-{n}");
            let made =
                pod(&name, &format!("old-{n}"), "quorum-1", &set()["spec"]["template"], true);
            api.put(&format!("{PODS}/{name}"), made);
        }
        let members = StatefulSetMembers::new(api.kube(), pool());
        Self { api, members }
    }

    async fn status(&self, order: &StepOrder) -> StepStatus {
        self.members.status(order, Stage::Mutate, Pass::Act).await.unwrap()
    }

    async fn waits(&self, order: &StepOrder) -> String {
        match self.status(order).await {
            StepStatus::Running { detail: Some(detail), .. } => detail,
            other => panic!("{other:?}"),
        }
    }

    async fn preflight(&self, order: &StepOrder) -> (i32, String) {
        self.members.start(order, Stage::Preflight).await.unwrap();
        match self.members.status(order, Stage::Preflight, Pass::Act).await.unwrap() {
            StepStatus::Finished { exit_code, log_tail } => (exit_code, log_tail),
            other => panic!("{other:?}"),
        }
    }

    /// The controller sees the template.
    fn observe(&self) {
        self.api.change(SET, |set| {
            set["status"]["observedGeneration"] = set["metadata"]["generation"].clone();
            set["status"]["updateRevision"] = json!("quorum-2");
        });
    }

    /// The controller makes a pod anew from the newest template.
    fn make(&self, name: &str, uid: &str, ready: bool) {
        let template = self.api.object(SET)["spec"]["template"].clone();
        let made = pod(name, uid, "quorum-2", &template, ready);
        self.api.put(&format!("{PODS}/{name}"), made);
    }

    fn unready(&self, name: &str) {
        self.api.change(&format!("{PODS}/{name}"), |pod| {
            pod["status"]["conditions"][0]["status"] = json!("False");
        });
    }

    fn template_changed(&self) -> bool {
        self.api.object(SET)["spec"]["template"] != set()["spec"]["template"]
    }

    fn evicted(&self) -> Vec<Value> {
        let writes = self.api.writes();
        writes.into_iter().filter(|call| call.verb == "EVICT").map(|call| call.body).collect()
    }

    async fn look(&self) -> BTreeMap<UnitKey, Heard> {
        let units = [key("quorum-0"), key("quorum-1"), key("quorum-2")];
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        self.members.look(&units, now).await.words
    }
}

#[tokio::test]
async fn a_member_is_made_anew_from_the_new_template_and_no_other_is_touched() {
    let (lab, order) = (Lab::start(), order("quorum-1"));
    assert_eq!(lab.preflight(&order).await.0, 0);
    assert_eq!(lab.status(&order).await, StepStatus::Absent);
    lab.members.start(&order, Stage::Mutate).await.unwrap();
    assert!(!lab.template_changed(), "the mark alone is written first");
    assert_eq!(lab.waits(&order).await, "the template of StatefulSet quorum has been changed");
    let template = lab.api.object(SET)["spec"]["template"].clone();
    let image = json!(format!("registry.site:5000/acme/kafka@{}", digest()));
    assert_eq!(template["spec"]["containers"][0]["image"], image);
    assert_eq!(template["spec"]["initContainers"][0]["image"], image);
    assert_eq!(template["spec"]["containers"][1]["image"], "registry.site:5000/exporter:1");
    assert_eq!(template["metadata"]["annotations"]["keep"], "me");
    // The controller must have seen it, or the pod would come back as it was.
    assert!(lab.waits(&order).await.contains("has not seen its new template"));
    assert_eq!(lab.evicted(), Vec::<Value>::new());
    lab.observe();
    assert_eq!(lab.waits(&order).await, "pod quorum-1 is stopping");
    assert_eq!(lab.waits(&order).await, "pod quorum-1 is stopping");
    let evictions = lab.evicted();
    assert_eq!(evictions.len(), 1, "a pod that is stopping is not asked again");
    assert_eq!(evictions[0]["deleteOptions"], json!({ "preconditions": { "uid": "old-1" } }));
    lab.api.remove(&format!("{PODS}/quorum-1"));
    assert!(lab.waits(&order).await.contains("has not been made anew"));
    lab.make("quorum-1", "new-1", false);
    let expected = "pod quorum-1 has been made anew".to_owned();
    let done = StepStatus::Finished { exit_code: 0, log_tail: expected };
    assert_eq!(lab.status(&order).await, done);
}

#[tokio::test]
async fn the_template_is_not_changed_while_any_member_is_not_ready() {
    let (lab, order) = (Lab::start(), order("quorum-1"));
    lab.members.start(&order, Stage::Mutate).await.unwrap();
    lab.unready("quorum-2");
    let why = lab.waits(&order).await;
    assert!(why.starts_with("member quorum-2 is not Ready"), "{why}");
    assert!(!lab.template_changed());
    lab.api.remove(&format!("{PODS}/quorum-2"));
    assert!(
        lab.waits(&order).await.starts_with("member quorum-2 is not Ready (it does not exist)")
    );
    assert!(!lab.template_changed());
}

#[tokio::test]
async fn a_pod_does_not_go_while_another_member_is_away() {
    let (lab, order) = (Lab::start(), order("quorum-1"));
    lab.members.start(&order, Stage::Mutate).await.unwrap();
    lab.waits(&order).await;
    lab.observe();
    lab.unready("quorum-0");
    assert!(lab.waits(&order).await.starts_with("member quorum-0 is not Ready"));
    assert_eq!(lab.evicted(), Vec::<Value>::new());
}

#[tokio::test]
async fn another_strategy_is_refused_by_its_name() {
    let (lab, order) = (Lab::start(), order("quorum-0"));
    lab.api.change(SET, |set| set["spec"]["updateStrategy"] = json!({ "type": "RollingUpdate" }));
    let (code, why) = lab.preflight(&order).await;
    assert_eq!(code, 1);
    assert!(why.contains("updateStrategy RollingUpdate; it must be OnDelete"), "{why}");
    // Changed behind the agent's back after the checks: the template must not follow.
    lab.members.start(&order, Stage::Mutate).await.unwrap();
    let StepStatus::Finished { exit_code: 1, log_tail } = lab.status(&order).await else {
        panic!("it goes on");
    };
    assert!(log_tail.contains("updateStrategy RollingUpdate"), "{log_tail}");
    assert!(!lab.template_changed());
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_before_anything_is_touched() {
    let lab = Lab::start();
    let refused = |why: (i32, String)| {
        assert_eq!(why.0, 1, "{}", why.1);
        why.1
    };
    let stranger = refused(lab.preflight(&order("quorum-3")).await);
    assert!(stranger.contains("quorum-3 is none of the 3 members"), "{stranger}");
    lab.api.put(
        "/apis/policy/v1/namespaces/kafka/poddisruptionbudgets/kafka",
        json!({
            "metadata": { "name": "kafka", "namespace": "kafka" },
            "spec": { "selector": { "matchLabels": { "app": "quorum" } } },
            "status": { "disruptionsAllowed": 0, "currentHealthy": 3, "desiredHealthy": 3, "expectedPods": 3 },
        }),
    );
    let budget = refused(lab.preflight(&order("quorum-0")).await);
    assert!(budget.contains("disruption budget kafka/kafka never allows"), "{budget}");
    lab.api.remove("/apis/policy/v1/namespaces/kafka/poddisruptionbudgets/kafka");
    lab.unready("quorum-2");
    let unready = refused(lab.preflight(&order("quorum-0")).await);
    assert!(unready.contains("member quorum-2 is not Ready"), "{unready}");
    lab.make("quorum-2", "old-2", true);
    lab.api.forbid();
    let forbidden = refused(lab.preflight(&order("quorum-0")).await);
    assert!(forbidden.contains("may not patch statefulsets in namespace kafka"), "{forbidden}");
    assert_eq!(lab.api.writes(), vec![]);
}

#[tokio::test]
async fn a_refused_eviction_is_waited_for_and_never_becomes_a_deletion() {
    let (lab, order) = (Lab::start(), order("quorum-1"));
    lab.members.start(&order, Stage::Mutate).await.unwrap();
    lab.waits(&order).await;
    lab.observe();
    lab.api.refuse_evictions(Some("The disruption budget kafka needs 3 healthy pods"));
    for _ in 0..3 {
        let why = lab.waits(&order).await;
        assert!(why.contains("pod quorum-1 may not go yet"), "{why}");
        assert!(why.contains("disruption budget kafka needs 3 healthy pods"), "{why}");
    }
    // The fake knows no DELETE at all: one would have made it panic.
    assert!(lab.api.has(&format!("{PODS}/quorum-1")));
    assert_eq!(lab.evicted().len(), 1, "it is not asked at every look");
    lab.api.refuse_evictions(None);
    let patient = StatefulSetMembers::new(lab.api.kube(), pool());
    let StepStatus::Running { detail, .. } =
        patient.status(&order, Stage::Mutate, Pass::Act).await.unwrap()
    else {
        panic!("it has ended");
    };
    assert_eq!(detail.as_deref(), Some("pod quorum-1 is stopping"));
}

#[tokio::test]
async fn in_mid_roll_a_member_that_is_itself_not_ready_may_be_the_next() {
    let (lab, first) = (Lab::start(), order("quorum-1"));
    lab.members.start(&first, Stage::Mutate).await.unwrap();
    lab.waits(&first).await;
    lab.observe();
    lab.make("quorum-1", "new-1", true);
    lab.unready("quorum-2");
    let next = order("quorum-2");
    assert_eq!(lab.preflight(&next).await.0, 0, "the template is what it should be");
    lab.members.start(&next, Stage::Mutate).await.unwrap();
    assert_eq!(lab.waits(&next).await, "pod quorum-2 is stopping");
    let (code, why) = lab.preflight(&order("quorum-0")).await;
    assert_eq!((code, why.contains("member quorum-2 is not Ready")), (1, true), "{why}");
}

#[tokio::test]
async fn a_release_mends_a_broken_member_only_if_the_owner_says_so() {
    let (lab, order) = (Lab::start(), order("quorum-2"));
    lab.unready("quorum-2");
    let (code, why) = lab.preflight(&order).await;
    assert_eq!((code, why.contains("member quorum-2 is not Ready")), (1, true), "{why}");
    let mends = StatefulSetPool { mend: true, ..pool() };
    let members = StatefulSetMembers::new(lab.api.kube(), mends);
    let checked = members.status(&order, Stage::Preflight, Pass::Act).await.unwrap();
    assert!(matches!(checked, StepStatus::Finished { exit_code: 0, .. }), "{checked:?}");
    members.start(&order, Stage::Mutate).await.unwrap();
    members.status(&order, Stage::Mutate, Pass::Act).await.unwrap();
    assert!(lab.template_changed());
    // The others must all the same.
    lab.unready("quorum-0");
    let other = StatefulSetMembers::new(lab.api.kube(), StatefulSetPool { mend: true, ..pool() });
    let checked = other.status(&order, Stage::Preflight, Pass::Act).await.unwrap();
    assert!(matches!(checked, StepStatus::Finished { exit_code: 1, .. }), "{checked:?}");
}

#[tokio::test]
async fn pods_say_on_which_node_they_are() {
    let lab = Lab::start();
    lab.api.change(&format!("{PODS}/quorum-1"), |pod| pod["spec"]["nodeName"] = json!("w2"));
    lab.api.remove(&format!("{PODS}/quorum-2"));
    let units = [key("quorum-0"), key("quorum-1"), key("quorum-2")];
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let places = lab.members.look(&units, now).await.places;
    let on: Vec<Option<String>> =
        units.iter().map(|key| places[key].as_ref().map(ToString::to_string)).collect();
    assert_eq!(on, [None, Some("w2".to_owned()), None]);
}

#[tokio::test]
async fn only_exactly_the_pod_that_was_looked_at_is_evicted() {
    let (lab, order) = (Lab::start(), order("quorum-1"));
    lab.members.start(&order, Stage::Mutate).await.unwrap();
    lab.waits(&order).await;
    lab.observe();
    // It restarts by itself into the new version before it is asked to go.
    lab.make("quorum-1", "stray", true);
    assert!(matches!(lab.status(&order).await, StepStatus::Finished { exit_code: 0, .. }));
    assert_eq!(lab.evicted(), Vec::<Value>::new());
}

#[tokio::test]
async fn a_short_grace_period_is_made_longer() {
    let (lab, order) = (Lab::start(), order("quorum-1"));
    lab.api.change(&format!("{PODS}/quorum-1"), |pod| {
        pod["spec"]["terminationGracePeriodSeconds"] = json!(5);
    });
    lab.members.start(&order, Stage::Mutate).await.unwrap();
    lab.waits(&order).await;
    lab.observe();
    lab.waits(&order).await;
    assert_eq!(lab.evicted()[0]["deleteOptions"]["gracePeriodSeconds"], 30);
}

#[tokio::test]
async fn a_restarted_agent_goes_on_where_the_set_stands() {
    let (lab, order) = (Lab::start(), order("quorum-1"));
    lab.members.start(&order, Stage::Mutate).await.unwrap();
    let other = StatefulSetMembers::new(lab.api.kube(), pool());
    other.start(&order, Stage::Mutate).await.unwrap();
    assert_eq!(lab.api.writes().len(), 1, "a second start does nothing");
    let going = other.status(&order, Stage::Mutate, Pass::Act).await.unwrap();
    assert!(matches!(going, StepStatus::Running { .. }), "{going:?}");
    assert!(lab.template_changed());
    let stranger = StepOrder { step_id: StepId::new(), ..order };
    assert_eq!(
        other.status(&stranger, Stage::Mutate, Pass::Act).await.unwrap(),
        StepStatus::Absent
    );
}

#[tokio::test]
async fn a_set_that_changes_meanwhile_is_looked_at_again() {
    let (lab, order) = (Lab::start(), order("quorum-1"));
    lab.api.race(2);
    lab.members.start(&order, Stage::Mutate).await.unwrap();
    lab.api.race(1);
    assert_eq!(lab.waits(&order).await, "StatefulSet quorum changed meanwhile");
    assert!(!lab.template_changed());
    lab.api.race(9);
    let late = self::order("quorum-2");
    let error = lab.members.start(&late, Stage::Mutate).await.unwrap_err();
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(why, "StatefulSet quorum changes faster than it can be written");
}

#[tokio::test]
async fn time_runs_out_and_then_nothing_is_begun() {
    let (lab, order) = (Lab::start(), order("quorum-1"));
    let late = StatefulSetPool { timeout_ms: 0, ..pool() };
    let members = StatefulSetMembers::new(lab.api.kube(), late);
    members.start(&order, Stage::Mutate).await.unwrap();
    let mut ended = StepStatus::Absent;
    // The clock must have moved on by a millisecond.
    while !matches!(ended, StepStatus::Finished { .. }) {
        ended = members.status(&order, Stage::Mutate, Pass::Act).await.unwrap();
    }
    let StepStatus::Finished { exit_code, log_tail } = ended else { panic!("{ended:?}") };
    assert_eq!(exit_code, crate::driver::EXIT_TIMED_OUT);
    assert!(log_tail.starts_with("not done after 0 s"), "{log_tail}");
}

#[tokio::test]
async fn pods_say_which_version_they_run_and_which_life_of_theirs_it_is() {
    let (lab, order) = (Lab::start(), order("quorum-1"));
    lab.members.start(&order, Stage::Mutate).await.unwrap();
    lab.waits(&order).await;
    lab.make("quorum-1", "new-1", false);
    lab.api.remove(&format!("{PODS}/quorum-2"));
    let words = lab.look().await;
    let of = |name: &str| words[&key(name)].clone().unwrap();
    let old = of("quorum-0");
    assert_eq!((old.version, old.ready), (None, Some(true)));
    assert_eq!(old.incarnation.as_deref(), Some("old-0/0"));
    let new = of("quorum-1");
    assert_eq!((new.version.as_deref(), new.ready), (Some("4.0.0"), Some(false)));
    assert_eq!(new.incarnation.as_deref(), Some("new-1/0"));
    let gone = of("quorum-2");
    assert_eq!((gone.version, gone.incarnation, gone.ready), (None, None, Some(false)));
    assert!(matches!(&gone.findings[..], [Finding::PodWaiting { pod, .. }] if pod == "quorum-2"));
}

#[tokio::test]
async fn an_image_that_somebody_changed_by_hand_is_no_evidence() {
    let (lab, order) = (Lab::start(), order("quorum-1"));
    lab.members.start(&order, Stage::Mutate).await.unwrap();
    lab.waits(&order).await;
    lab.make("quorum-1", "new-1", true);
    lab.api.change(&format!("{PODS}/quorum-1"), |pod| {
        pod["spec"]["containers"][0]["image"] = json!("registry.site:5000/acme/kafka:nightly");
        pod["status"]["containerStatuses"][0]["restartCount"] = json!(2);
    });
    let words = lab.look().await;
    let word = words[&key("quorum-1")].clone().unwrap();
    assert_eq!(word.version, None);
    assert_eq!(word.incarnation.as_deref(), Some("new-1/2"));
    assert!(matches!(&word.findings[..], [Finding::VersionContradicted { .. }]), "{word:?}");
}

#[tokio::test]
async fn a_set_that_cannot_be_read_makes_its_source_silent() {
    let lab = Lab::start();
    lab.api.remove(SET);
    let words = lab.look().await;
    assert_eq!(words[&key("quorum-0")], Err("there is no StatefulSet quorum".to_owned()));
}

#[tokio::test]
async fn without_the_lease_neither_the_template_nor_a_pod_is_touched() {
    let (lab, order) = (Lab::start(), order("quorum-2"));
    lab.members.start(&order, Stage::Mutate).await.unwrap();
    let look = async || match lab.members.status(&order, Stage::Mutate, Pass::Look).await.unwrap() {
        StepStatus::Running { detail: Some(detail), .. } => detail,
        other => panic!("{other:?}"),
    };
    let writes = lab.api.writes().len();
    let template = look().await;
    assert_eq!(template, "waiting for the lease; the template is not changed yet");
    assert_eq!(lab.api.writes().len(), writes);
    lab.waits(&order).await;
    lab.observe();
    let writes = lab.api.writes().len();
    assert_eq!(look().await, "waiting for the lease; pod quorum-2 stays as it is");
    assert_eq!(lab.api.writes().len(), writes);
}
