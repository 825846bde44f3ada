//! The files of `deploy/kubernetes` against the code they are for.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::config::{Overrides, Settings};

const DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/kubernetes/");

fn text(file: &str) -> String {
    std::fs::read_to_string(format!("{DIR}{file}")).unwrap()
}

fn documents(file: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&text(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn one(file: &str, kind: &str) -> Value {
    let found = documents(file).into_iter().find(|document| document["kind"] == kind);
    found.unwrap_or_else(|| panic!("{file} has no {kind}"))
}

#[test]
fn the_configuration_in_the_config_map_is_accepted() {
    let map = one("4-config.yaml", "ConfigMap");
    let toml = map["data"]["agent.toml"].as_str().unwrap();
    let base = Path::new("/etc/fairway");
    let settings = Settings::parse(toml, Path::new("agent.toml"), base, Overrides::default());
    let settings = settings.unwrap_or_else(|error| panic!("{error}"));
    let kubernetes = settings.kubernetes.unwrap();
    assert_eq!(kubernetes.namespace, super::NAMESPACE);
    let address = settings.listen.unwrap();
    let port = &one("5-agent.yaml", "Deployment")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(port["ports"][0]["containerPort"], address.port());
    assert_eq!(kubernetes.kubeconfig, None, "the account of its pod");
    assert!(map["data"]["node-job.yaml"].is_string());
}

#[test]
fn the_agents_pod_knows_where_it_is_and_may_do_nothing_else() {
    let deployment = one("5-agent.yaml", "Deployment");
    let spec = &deployment["spec"];
    assert_eq!((&spec["replicas"], &spec["strategy"]["type"]), (&1.into(), &"Recreate".into()));
    let pod = &spec["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], super::ACCOUNT);
    let security = &pod["containers"][0]["securityContext"];
    assert_eq!(security["allowPrivilegeEscalation"], false);
    assert_eq!(security["readOnlyRootFilesystem"], true);
    assert_eq!(security["capabilities"]["drop"], serde_json::json!(["ALL"]));
    let probe = &pod["containers"][0]["livenessProbe"]["httpGet"];
    assert_eq!((&probe["path"], &probe["port"]), (&"/healthz".into(), &"metrics".into()));
    let environment: BTreeMap<&str, &str> = pod["containers"][0]["env"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| {
            let path = one["valueFrom"]["fieldRef"]["fieldPath"].as_str()?;
            Some((one["name"].as_str()?, path))
        })
        .collect();
    let expected = [
        ("FAIRWAY_NODE_NAME", "spec.nodeName"),
        ("FAIRWAY_POD_NAME", "metadata.name"),
        ("FAIRWAY_POD_NAMESPACE", "metadata.namespace"),
    ];
    assert_eq!(environment, BTreeMap::from(expected));
}

#[test]
fn the_sample_orders_are_followed() {
    for sample in documents("samples/clusterupdate.yaml") {
        let spec = crate::kube::resource::shape(&sample["spec"]).unwrap();
        let name = spec.product.replacen('/', ".", 1);
        assert_eq!(sample["metadata"]["name"], name.as_str());
    }
}
