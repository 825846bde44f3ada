//! What a Job template may say, and what comes of it.

use channels::wire::Role;

use super::*;
use crate::config::{DrainSettings, NodeEvidence};

const TEMPLATE: &str = r#"
apiVersion: batch/v1
kind: Job
metadata:
  labels: { app: upgrade }
spec:
  template:
    spec:
      hostPID: true
      tolerations: [{ key: special, operator: Exists }]
      containers:
        - name: upgrade
          image: registry.example/tools@{digest}
          args: ["--to", "{component_version}", "--step={step_id}", "${{HOME}}"]
          env: [{ name: COUNT, value: "3" }]
"#;

fn template(text: &str) -> Result<JobTemplate, String> {
    JobTemplate::parse(Path::new("job.yaml"), text).map_err(|error| error.to_string())
}

fn order() -> StepOrder {
    StepOrder::sample(
        ("acme/platform", "n1"),
        Role::Node,
        ["1.0.0", "1.1.0"],
        ("1.34.0", "acme/node", b"n"),
    )
}

fn pool() -> NodePool {
    NodePool {
        job_template: "job.yaml".into(),
        namespace: "jobs".to_owned(),
        service_account: "upgrade".to_owned(),
        job_timeout_ms: 90_500,
        job_retries: 2,
        drain: DrainSettings {
            delete_empty_dir: false,
            force_unmanaged: false,
            grace_s: None,
            timeout_ms: 1,
            waived_budgets: std::collections::BTreeSet::new(),
        },
        evidence: NodeEvidence::KubeletVersion,
        reboot: true,
    }
}

#[test]
fn a_job_is_pinned_to_its_node_and_named_after_its_step() {
    let order = order();
    let job = template(TEMPLATE).unwrap().render(&order, &pool()).unwrap();
    let at = |pointer: &str| job.pointer(pointer).cloned().unwrap_or_default();
    assert_eq!(at("/metadata/name"), format!("fairway-{}", order.step_id));
    assert_eq!(at("/metadata/namespace"), "jobs");
    assert_eq!(at("/metadata/labels/app"), "upgrade");
    assert_eq!(at("/metadata/labels/fairway.dev~1step"), order.step_id.to_string());
    assert_eq!(at("/spec/backoffLimit"), 2);
    assert_eq!(at("/spec/activeDeadlineSeconds"), 91);
    assert_eq!(at("/spec/ttlSecondsAfterFinished"), Value::Null, "a failed one stays");
    let pod = at("/spec/template/spec");
    assert_eq!(pod["nodeName"], "n1");
    assert_eq!(pod["serviceAccountName"], "upgrade");
    assert_eq!(pod["restartPolicy"], "Never");
    assert_eq!(pod["hostPID"], true);
    assert_eq!(pod["tolerations"][0]["key"], "special");
    assert_eq!(pod["tolerations"][1], json!({ "operator": "Exists" }));
    let container = &pod["containers"][0];
    let args: Vec<&str> =
        container["args"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let step = format!("--step={}", order.step_id);
    assert_eq!(args, ["--to", "1.34.0", &step, "${HOME}"]);
    assert!(
        container["image"].as_str().unwrap().contains(&order.component.image.digest.to_string())
    );
}

#[test]
fn a_version_that_could_be_more_than_a_version_is_refused() {
    let mut order = order();
    order.component.version = "1.34.0; reboot".to_owned();
    let refused = template(TEMPLATE).unwrap().render(&order, &pool()).unwrap_err();
    assert!(matches!(refused, DriverError::UnsafeValue { placeholder: "component_version", .. }));
}

#[test]
fn where_and_as_whom_a_job_runs_is_not_the_templates_to_say() {
    for (from, to, key) in [
        ("      hostPID: true", "      nodeName: n9", "spec.template.spec.nodeName"),
        (
            "      hostPID: true",
            "      serviceAccountName: root",
            "spec.template.spec.serviceAccountName",
        ),
        ("  labels:", "  namespace: kube-system\n  labels:", "metadata.namespace"),
        ("spec:\n  template", "spec:\n  backoffLimit: 9\n  template", "spec.backoffLimit"),
    ] {
        let refused = template(&TEMPLATE.replacen(from, to, 1)).unwrap_err();
        assert!(refused.contains(&format!("must not set {key}")), "{refused}");
    }
    let two = TEMPLATE.replacen("spec:\n  template", "spec:\n  parallelism: 2\n  template", 1);
    assert!(template(&two).unwrap_err().contains("spec.parallelism must be 1"));
}

#[test]
fn a_template_without_a_pod_or_of_another_kind_is_refused() {
    assert!(template("apiVersion: batch/v1\nkind: Job\n").unwrap_err().contains("no pod"));
    assert!(
        template(&TEMPLATE.replace("kind: Job", "kind: Pod")).unwrap_err().contains("kind Job")
    );
    assert!(template(&TEMPLATE.replace("{digest}", "{token}")).unwrap_err().contains("token"));
    assert!(template("[").is_err());
}

const DOCUMENTED: [&str; 4] = [
    include_str!("../../../../../deploy/kubernetes/jobs/kubeadm.yaml"),
    include_str!("../../../../../deploy/kubernetes/jobs/bootc.yaml"),
    include_str!("../../../../../deploy/kubernetes/jobs/rpm-ostree.yaml"),
    include_str!("../../../../../deploy/kubernetes/jobs/sysupdate.yaml"),
];

/// The template that stands in the shipped `ConfigMap`.
fn shipped() -> String {
    let text = include_str!("../../../../../deploy/kubernetes/4-config.yaml");
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    let found = documents.iter().find_map(|one| one["data"]["node-job.yaml"].as_str());
    found.unwrap().to_owned()
}

#[test]
fn every_shipped_template_names_the_registry_of_an_image() {
    for text in DOCUMENTED.into_iter().chain([shipped().as_str()]) {
        let places: Vec<usize> = text.match_indices("{repository}").map(|(at, _)| at).collect();
        for at in places {
            let before = text[..at].rsplit(['\'', '"', ' ', ':']).next().unwrap();
            let host = before.strip_suffix('/').unwrap_or_default();
            assert!(host.contains('.'), "no host before {{repository}} in\n{text}");
        }
    }
}

#[test]
fn the_shipped_job_does_what_the_documented_one_does() {
    let args = |text: &str| {
        let job = template(text).unwrap().render(&order(), &pool()).unwrap();
        let container = &job["spec"]["template"]["spec"]["containers"][0];
        (container["command"].clone(), container["args"].clone())
    };
    assert_eq!(args(&shipped()), args(DOCUMENTED[1]));
}

#[test]
fn the_documented_templates_are_templates() {
    for text in DOCUMENTED {
        let job = template(text).unwrap().render(&order(), &pool()).unwrap();
        let container = &job["spec"]["template"]["spec"]["containers"][0];
        let script = container["args"][0].as_str().unwrap();
        assert!(!script.contains(['{', '}']), "{script}");
    }
}
