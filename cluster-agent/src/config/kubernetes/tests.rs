//! Pools of members and workloads: what they may say, and what is refused.

use std::path::Path;

use super::*;
use crate::config::{DriverSettings, Overrides, PoolSettings, Settings};

/// The kinds as the documented example shows them.
const EXAMPLE: &str = include_str!("../example.toml");

const HEAD: &str = r#"
state_dir = "/var/lib/fairway-agent"
[cluster]
name = "plant-7"
[hub]
url = "https://updates.example.com"
root = "root.json"
[kubernetes]
[kubernetes.allow."acme/shop"]
kinds = ["statefulset", "strimzi", "deployment", "daemonset", "resource"]
namespaces = ["shop", "kafka"]
[[products]]
product = "acme/shop"
channel = "stable"
initial_version = "1.0.0"
[[products.pools]]
name = "pool"
"#;

fn parse(text: &str) -> Result<Settings, ConfigError> {
    let path = Path::new("agent.toml");
    Settings::parse(text, path, Path::new("/etc/fairway"), Overrides::default())
}

/// The pool of a configuration whose only pool is of this role, with these units and this table.
fn pool_of(role: &str, units: &str, table: &str) -> Result<PoolSettings, ConfigError> {
    let pool = format!("role = {role:?}\nunits = [{units}]\n[products.pools.kubernetes]\n{table}");
    let settings = parse(&format!("{HEAD}{pool}"))?;
    let product = &settings.products[&"acme/shop".parse().unwrap()];
    Ok(product.pools[0].clone())
}

fn refused(role: &str, units: &str, table: &str) -> String {
    pool_of(role, units, table).unwrap_err().to_string()
}

fn kubernetes(pool: &PoolSettings) -> &KubernetesPool {
    let DriverSettings::Kubernetes(pool) = &pool.driver else { panic!("{pool:?}") };
    pool
}

const CONTROLLER: &str =
    r#"{ name = "quorum-0", node_id = 0, metrics_url = "http://10.0.0.1:9404/metrics" }"#;
const SHOP: &str = r#"{ name = "shop" }"#;
const SET: &str = r#"
kind = "statefulset"
namespace = "kafka"
name = "quorum"
container = "kafka"
registry = "registry.example"
"#;
const DEPLOYMENT: &str = r#"
kind = "deployment"
namespace = "shop"
container = "web"
registry = "registry.example"
"#;

/// The tables of the example that are of these kinds, as if they were not commented out.
fn examples() -> Vec<String> {
    let section = EXAMPLE.split("# --- units in Kubernetes").nth(1).unwrap();
    let tables = section.split("# [products.pools.kubernetes]\n").skip(1);
    let key = |line: &str| {
        let bare = line.strip_prefix("# ")?;
        let name = bare.split(" = ").next()?;
        let is_key =
            bare.contains(" = ") && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        is_key.then(|| bare.to_owned())
    };
    tables.map(|table| table.lines().map_while(key).collect::<Vec<_>>().join("\n")).collect()
}

#[test]
fn every_kind_is_documented_as_it_is_read() {
    let examples = examples();
    let kinds: Vec<KubernetesKind> = examples
        .iter()
        .map(|table| {
            let of_set = table.contains("\"statefulset\"\n");
            let (role, unit) = if of_set { ("controller", CONTROLLER) } else { ("workload", SHOP) };
            kubernetes(&pool_of(role, unit, table).unwrap()).kind()
        })
        .collect();
    let all = [
        KubernetesKind::Statefulset,
        KubernetesKind::Strimzi,
        KubernetesKind::Deployment,
        KubernetesKind::Resource,
    ];
    assert_eq!(kinds, all);
}

#[test]
fn what_the_example_calls_defaults_are_the_defaults() {
    let examples = examples();
    let full = pool_of("controller", CONTROLLER, &examples[0]).unwrap();
    let needed = ["kind", "namespace", "name", "container", "registry"];
    let bare: Vec<&str> = examples[0]
        .lines()
        .filter(|line| needed.contains(&line.split(" = ").next().unwrap()))
        .collect();
    let bare = pool_of("controller", CONTROLLER, &bare.join("\n")).unwrap();
    assert_eq!(kubernetes(&full), kubernetes(&bare));
    let strimzi = pool_of("workload", SHOP, "kind = \"strimzi\"\nnamespace = \"kafka\"").unwrap();
    let KubernetesPool::Strimzi(strimzi) = kubernetes(&strimzi).clone() else { panic!() };
    let documented = pool_of("workload", SHOP, &examples[1]).unwrap();
    let KubernetesPool::Strimzi(documented) = kubernetes(&documented).clone() else { panic!() };
    assert_eq!(strimzi.fields, documented.fields);
    assert_eq!(strimzi.stuck_after_ms, documented.stuck_after_ms);
}

#[test]
fn members_prove_themselves_by_their_page_unless_told_otherwise() {
    let page = pool_of("controller", CONTROLLER, SET).unwrap();
    assert_eq!(page.units[0].target.evidence_from, EvidenceFrom::Page);
    assert!(page.units[0].target.witnesses.contains(&WitnessSource::Kubernetes));
    let pod = pool_of("controller", CONTROLLER, &format!("{SET}evidence = \"pod\"")).unwrap();
    let witness = EvidenceFrom::Witness(WitnessSource::Kubernetes);
    assert_eq!(pod.units[0].target.evidence_from, witness);
    let without = CONTROLLER.replace("metrics_url = \"http://10.0.0.1:9404/metrics\"", "");
    let without = without.replace("0,  }", "0 }");
    assert!(refused("controller", &without, SET).contains("metrics_url"));
}

#[test]
fn a_workload_needs_neither_a_page_nor_a_metric() {
    let pool = pool_of("workload", SHOP, DEPLOYMENT).unwrap();
    let target = &pool.units[0].target;
    assert_eq!(target.metrics_url, None);
    assert_eq!(target.evidence_from, EvidenceFrom::Witness(WitnessSource::Kubernetes));
    let paged = r#"{ name = "shop", metrics_url = "http://shop/metrics" }"#;
    let pool = pool_of("workload", paged, DEPLOYMENT).unwrap();
    assert!(pool.units[0].target.required.is_empty(), "{:?}", pool.units[0].target.required);
}

#[test]
fn a_set_of_workloads_rolls_by_itself() {
    let table = SET.replace("name = \"quorum\"\n", "");
    let pool = pool_of("workload", SHOP, &table).unwrap();
    let KubernetesPool::Workload(pool) = kubernetes(&pool).clone() else { panic!() };
    assert_eq!(pool.kind, WorkloadKind::StatefulSet);
    let named = refused("workload", SHOP, SET);
    assert!(named.contains("kubernetes.name: it is for controllers and brokers"), "{named}");
}

#[test]
fn kinds_of_units_and_roles_go_together() {
    let strimzi = "kind = \"strimzi\"\nnamespace = \"kafka\"";
    let why = refused("controller", CONTROLLER, strimzi);
    assert!(why.contains("Strimzi rolls a cluster as a whole"), "{why}");
    assert!(
        refused("controller", CONTROLLER, DEPLOYMENT).contains("are workloads, not controllers")
    );
    let node = r#"{ name = "n1", metrics_url = "https://n1:10250/metrics" }"#;
    assert!(refused("node", node, SET).contains("controllers or brokers, not nodes"));
}

#[test]
fn what_a_product_may_not_use_is_refused_by_its_name() {
    let elsewhere = DEPLOYMENT.replace("\"shop\"", "\"kube-system\"");
    let why = refused("workload", SHOP, &elsewhere);
    assert!(why.contains("kubernetes.allow.\"acme/shop\".namespaces: \"kube-system\""), "{why}");
    let kind = HEAD.replace("\"deployment\", ", "");
    let pool = format!("role = \"workload\"\nunits = [{SHOP}]\n[products.pools.kubernetes]\n");
    let why = parse(&format!("{kind}{pool}{DEPLOYMENT}")).unwrap_err().to_string();
    assert!(why.contains("kubernetes.allow.\"acme/shop\".kinds: \"deployment\""), "{why}");
}

#[test]
fn a_registry_with_a_scheme_and_a_grace_below_thirty_seconds_are_refused() {
    let scheme = DEPLOYMENT.replace("registry.example", "https://registry.example");
    assert!(refused("workload", SHOP, &scheme).contains("without a scheme"));
    let hasty = format!("{SET}grace_s = 5");
    assert!(refused("controller", CONTROLLER, &hasty).contains("grace_s: 5 is not between 30"));
}
