//! Every manifest of `deploy/kubernetes`, as a real API server takes it: no field that it does not
//! know, and pods that the namespaces' security standards let in.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::peer::Peer;

/// Namespaces, accounts and the custom resource: what the others need to be there.
const FIRST: [&str; 4] = ["1-namespace.yaml", "2-crd.yaml", "3-rbac.yaml", "hub/1-namespace.yaml"];

/// Everything else.
const REST: [&str; 7] = [
    "4-config.yaml",
    "5-agent.yaml",
    "samples/clusterupdate.yaml",
    "hub/2-config.yaml",
    "hub/3-network.yaml",
    "hub/sqlite/statefulset.yaml",
    "hub/postgres/deployment.yaml",
];

fn deployed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kubernetes")
}

/// What the API server makes of a manifest, which is refused if it has a field too many.
fn strictly(peer: &Peer, file: &Path, words: &[&str]) -> Result<String, String> {
    let file = file.to_str().expect("a utf-8 path");
    peer.try_kubectl(
        &[&["apply", "--server-side", "--validate=strict", "--filename", file], words].concat(),
    )
}

/// The objects of a dry run.
fn objects(peer: &Peer, file: &Path) -> Vec<Value> {
    let text = strictly(peer, file, &["--dry-run=server", "--output=json"])
        .unwrap_or_else(|why| panic!("{}: {why}", file.display()));
    // One document after the other, or a list of all.
    let documents = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
    let documents = documents.map(|document| document.expect("JSON"));
    documents
        .flat_map(|document| match document.get("items").and_then(Value::as_array) {
            Some(items) => items.clone(),
            None => vec![document],
        })
        .collect()
}

/// The YAML files below a folder but for the templates that the agent completes.
fn manifests(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("jobs") {
            found.extend(manifests(&path));
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
    found
}

/// A pod as the controller of this object would make it.
fn pod_of(object: &Value) -> Option<Value> {
    let template = object.pointer("/spec/template")?;
    let mut spec = template.get("spec")?.clone();
    // The claims of a StatefulSet are made with its pods.
    let claims = object.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array);
    let volumes = spec.get_mut("volumes").and_then(Value::as_array_mut);
    if let (Some(claims), Some(volumes)) = (claims, volumes) {
        volumes.extend(claims.iter().map(|claim| {
            let name = &claim["metadata"]["name"];
            json!({"name": name, "persistentVolumeClaim": {"claimName": name}})
        }));
    }
    let mut metadata = json!({"name": "tried", "labels": template["metadata"]["labels"]});
    metadata["namespace"] = object["metadata"]["namespace"].clone();
    Some(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}))
}

#[test]
#[ignore = "needs a Kubernetes API server"]
fn every_manifest_is_taken_as_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let peer = Peer::start(&dir.path().join("cluster"), 0);
    let mut known: Vec<PathBuf> =
        FIRST.iter().chain(&REST).map(|file| deployed().join(file)).collect();
    known.sort();
    let mut all = manifests(&deployed());
    all.sort();
    assert_eq!(all, known, "a new manifest is to be tried too");
    for file in FIRST {
        strictly(&peer, &deployed().join(file), &[]).unwrap_or_else(|why| panic!("{file}: {why}"));
    }
    let crd = "crd/clusterupdates.fairway.dev";
    peer.kubectl(&["wait", "--for=condition=Established", crd, "--timeout=60s"]);
    let mut pods = 0;
    for file in REST {
        for object in objects(&peer, &deployed().join(file)) {
            let Some(pod) = pod_of(&object) else { continue };
            let place = dir.path().join("pod.json");
            std::fs::write(&place, pod.to_string()).unwrap();
            let place = place.to_str().unwrap();
            let words = ["create", "--dry-run=server", "--validate=strict", "--filename", place];
            peer.try_kubectl(&words).unwrap_or_else(|why| panic!("{file}: {why}"));
            pods += 1;
        }
    }
    assert_eq!(pods, 3, "agent, and the hub in two forms");
}

#[test]
#[ignore = "needs a Kubernetes API server"]
fn a_field_too_many_and_a_pod_with_too_many_rights_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let peer = Peer::start(&dir.path().join("cluster"), 0);
    strictly(&peer, &deployed().join("hub/1-namespace.yaml"), &[]).unwrap();
    let file = deployed().join("hub/sqlite/statefulset.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let misspelt = dir.path().join("misspelt.yaml");
    std::fs::write(&misspelt, text.replace("runAsNonRoot:", "runAsNonroot:")).unwrap();
    let why = strictly(&peer, &misspelt, &["--dry-run=server"]).unwrap_err();
    assert!(why.contains("runAsNonroot"), "{why}");

    let mut pod = objects(&peer, &file).iter().find_map(pod_of).expect("a pod");
    pod["spec"]["securityContext"]["runAsNonRoot"] = false.into();
    let place = dir.path().join("pod.json");
    std::fs::write(&place, pod.to_string()).unwrap();
    let words = ["create", "--dry-run=server", "--filename", place.to_str().unwrap()];
    let why = peer.try_kubectl(&words).unwrap_err();
    assert!(why.contains("violates PodSecurity"), "{why}");
}
