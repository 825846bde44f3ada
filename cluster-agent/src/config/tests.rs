//! What a configuration may say, and how it is told what it may not.

use std::path::Path;

use super::*;
use crate::plan::Mode;

/// The complete example of the documentation.
const EXAMPLE: &str = include_str!("example.toml");

fn parse(text: &str) -> Result<Settings, ConfigError> {
    Settings::parse(text, Path::new("agent.toml"), Path::new("/etc/fairway"), Overrides::default())
}

fn refused(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn the_documented_example_is_valid_and_complete() {
    let settings = parse(EXAMPLE).unwrap();
    assert_eq!(settings.products.len(), 2);
    assert_eq!(settings.state_dir, Path::new("/var/lib/fairway-agent"));
    assert_eq!(settings.hub.root, Path::new("/etc/fairway/root.json"));
    let kafka = &settings.products[&"acme/kafka".parse().unwrap()];
    assert_eq!(kafka.policy.mode, Mode::Auto);
    assert_eq!(kafka.pools[0].units.len(), 3);
}

#[test]
fn the_example_shows_the_defaults() {
    // Every number the example writes down is the default, so it documents what is left out.
    let shown = parse(EXAMPLE).unwrap();
    let head = EXAMPLE.split("# --- defaults").next().unwrap();
    let required: Vec<&str> = head.lines().filter(|l| !l.contains("# default:")).collect();
    let kept = required.join("\n") + "\n";
    assert!(!kept.contains("refresh_ms"));
    let products = &EXAMPLE[EXAMPLE.find("[[products]]").unwrap()..];
    let bare = parse(&(kept + products)).unwrap();
    assert_eq!(format!("{:?}", shown.timings), format!("{:?}", bare.timings));
    assert_eq!(shown.probes, bare.probes);
    assert_eq!(shown.gate, bare.gate);
    assert_eq!(shown.pleg_limits, bare.pleg_limits);
    assert_eq!(shown.quorum_limits, bare.quorum_limits);
    assert_eq!(shown.hub, bare.hub);
}

/// The table a line of the example belongs to, by what the reader sees and by what TOML says.
#[test]
fn no_key_of_the_example_stands_apart_from_the_table_it_belongs_to() {
    let mut table = String::new();
    let mut apart = false;
    for line in EXAMPLE.lines() {
        let bare = line.trim();
        if bare.starts_with('[') {
            table = bare.to_owned();
            apart = false;
        } else if bare.is_empty() {
            apart = true;
        } else if !table.is_empty() && !bare.starts_with('#') && line == bare {
            let key = bare.split('=').next().unwrap();
            assert!(!apart, "{key}is below a blank line and reads as if it were not of {table}");
        }
    }
    let parsed: toml::Table = EXAMPLE.parse().unwrap();
    let top: Vec<&str> = parsed.iter().filter(|(_, v)| !v.is_table()).map(|(k, _)| &**k).collect();
    assert_eq!(top, ["products", "state_dir"]);
    assert_eq!(parsed["hub"]["refresh_ms"].as_integer(), Some(120_000));
    assert_eq!(parsed["hub"]["grant_max_age_ms"].as_integer(), Some(15_000));
}

#[test]
fn paths_of_a_configuration_named_by_a_relative_path_are_absolute() {
    let overrides = Overrides { state_dir: Some("state".into()), ..Overrides::default() };
    let settings = Settings::load(Path::new("src/config/example.toml"), overrides).unwrap();
    let dir = std::env::current_dir().unwrap().join("src/config");
    assert_eq!(settings.state_dir, dir.join("state"));
    assert_eq!(settings.hub.root, dir.join("root.json"));
}

#[test]
fn an_unknown_key_is_refused_where_it_stands() {
    let text = EXAMPLE.replacen("state_dir =", "state_dri =", 1);
    let error = parse(&text).unwrap_err();
    assert!(matches!(error, ConfigError::Parse { .. }), "{error}");
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("state_dri"));
}

#[test]
fn a_number_outside_its_range_is_refused_with_the_range() {
    let text = EXAMPLE.replacen("fast_ms = 500", "fast_ms = 5", 1);
    assert_eq!(refused(&text), "probes.fast_ms: 5 is not between 100 and 2000");
}

#[test]
fn a_controller_without_its_id_is_refused() {
    let text = EXAMPLE.replacen("node_id = 1, ", "", 1);
    assert!(refused(&text).contains("controller c1 needs its node_id"), "{}", refused(&text));
}

#[test]
fn what_is_drained_must_be_put_back() {
    let text = EXAMPLE.replacen("restore =", "# restore =", 1);
    assert!(refused(&text).contains("quiesce and restore come together"), "{}", refused(&text));
}

#[test]
fn mode_hub_without_reports_is_refused() {
    let text = EXAMPLE.replacen("reports = true", "reports = false", 1).replacen(
        "mode = \"auto\"",
        "mode = \"hub\"",
        1,
    );
    assert!(refused(&text).contains("only a hub grants"), "{}", refused(&text));
    let alone = EXAMPLE.replacen("reports = true", "reports = false", 1);
    assert_eq!(parse(&alone).unwrap().hub.reports, Reports::Off);
}

#[test]
fn two_units_of_one_name_are_refused() {
    let text = EXAMPLE.replacen("name = \"c2\"", "name = \"c1\"", 1);
    assert!(refused(&text).contains("unit c1 is listed twice"), "{}", refused(&text));
}

#[test]
fn a_pool_has_exactly_one_driver() {
    let text = EXAMPLE.replacen(
        "[products.pools.exec]",
        "[products.pools.simulated]\nurl = \"http://127.0.0.1:1\"\n[products.pools.exec]",
        1,
    );
    assert!(refused(&text).contains("exactly one driver"), "{}", refused(&text));
}

#[test]
fn relative_paths_become_absolute_because_commands_run_elsewhere() {
    let here = std::env::current_dir().unwrap();
    let dir = tempfile::tempdir_in(&here).unwrap();
    let text = EXAMPLE.replacen("/var/lib/fairway-agent", "state", 1);
    std::fs::write(dir.path().join("agent.toml"), text).unwrap();
    let relative = dir.path().strip_prefix(&here).unwrap().join("agent.toml");
    let settings = Settings::load(&relative, Overrides::default()).unwrap();
    assert_eq!(settings.state_dir, dir.path().join("state"));
}

#[test]
fn the_slowest_probes_that_are_allowed_still_make_a_series() {
    let slow = EXAMPLE.replace("node_fast_ms = 2000", "node_fast_ms = 10000");
    let timings =
        parse(&slow.replace("node_idle_ms = 30000", "node_idle_ms = 60000")).unwrap().timings;
    assert_eq!(timings.gate_gap_max_ms, 30_000);
    assert_eq!(parse(EXAMPLE).unwrap().timings.gate_gap_max_ms, 10_000);
}

#[test]
fn a_pool_outside_of_what_its_product_may_use_is_refused_by_the_key() {
    let cases = [
        ("kinds = [\"node\"]", "kinds = [\"deployment\"]", "kinds: \"node\""),
        ("namespaces = [\"fairway-system\"]", "namespaces = [\"jobs\"]", "namespaces: \"fairway-"),
        (
            "templates = [\"jobs/kubeadm.yaml\"]",
            "templates = []",
            "templates: \"/etc/fairway/jobs/",
        ),
        ("accounts = [\"node-upgrade\"]", "accounts = []", "service_accounts: \"node-upgrade\""),
    ];
    for (from, to, key) in cases {
        let said = refused(&EXAMPLE.replacen(from, to, 1));
        let wanted = format!("kubernetes.allow.\"acme/platform\".{key}");
        assert!(said.starts_with(&wanted) && said.contains("is not among them"), "{said}");
    }
}

#[test]
fn a_product_that_is_not_allowed_anything_has_no_pool_in_the_cluster() {
    let text = EXAMPLE.replacen("allow.\"acme/platform\"", "allow.\"acme/kafka\"", 1);
    assert!(refused(&text).starts_with("kubernetes.allow.\"acme/platform\" is missing"));
}

#[test]
fn a_pool_of_nodes_without_a_cluster_is_refused() {
    let text = EXAMPLE.split("# --- Kubernetes").next().unwrap();
    assert!(refused(text).starts_with("kubernetes is missing"), "{}", refused(text));
}

#[test]
fn the_agents_own_node_is_known_by_its_environment() {
    let place = AgentPlace { node: Some("e2".to_owned()), ..AgentPlace::default() };
    let overrides = Overrides { place, ..Overrides::default() };
    let path = Path::new("agent.toml");
    let settings = Settings::parse(EXAMPLE, path, Path::new("/etc/fairway"), overrides).unwrap();
    let units = settings.products.values().flat_map(|p| &p.pools).flat_map(|pool| &pool.units);
    let hosts: Vec<&str> = units.filter(|u| u.hosts_agent).map(|u| u.name.as_str()).collect();
    // `w1` says so itself, in the file.
    assert_eq!(hosts, ["w1", "e2"]);
}

#[test]
fn certificates_of_kubelets_are_checked_or_not_but_not_both() {
    let text = EXAMPLE.replacen("# insecure = false", "insecure = true", 1);
    assert!(refused(&text).starts_with("kubernetes.kubelet.insecure"), "{}", refused(&text));
}

#[test]
fn control_plane_nodes_need_the_pages_of_etcd_or_the_word_that_there_are_none() {
    let url = "metrics_urls = [\"https://10.0.0.11:2381/metrics\"]";
    let text = EXAMPLE.replacen(url, "metrics_urls = []", 1);
    assert!(refused(&text).starts_with("kubernetes.etcd.metrics_urls is missing"));
    let none = EXAMPLE.replacen(url, "check = false", 1);
    assert!(!parse(&none).unwrap().kubernetes.unwrap().etcd.unwrap().check);
}

#[test]
fn the_owners_rules_are_read_as_they_are_written() {
    let settings = parse(EXAMPLE).unwrap();
    let kafka = &settings.products[&"acme/kafka".parse().unwrap()];
    let rules = &kafka.policy.rules;
    assert_eq!(rules.windows.time_zone(), "Europe/Berlin");
    assert_eq!((rules.windows.windows().len(), rules.windows.freezes().len()), (1, 1));
    assert!(rules.finalize.configured && rules.finalize.required_before_next);
    assert_eq!(kafka.finalize.as_ref().unwrap().timeout, std::time::Duration::from_mins(10));
    assert_eq!(rules.checks.commands[0].name, "validate");
    assert_eq!(kafka.checks.keys().collect::<Vec<_>>(), ["validate"]);
    let platform = &settings.products[&"acme/platform".parse().unwrap()];
    let pool = &platform.policy.rules.pools[&"workers".parse().unwrap()];
    assert_eq!(pool.zones, ["fra1-a", "fra1-b"]);
    assert_eq!(platform.policy.rules.zones[&"w2".parse().unwrap()], "fra1-b");
    assert_eq!(platform.pools[0].hooks.len(), 2);
    assert!(!platform.policy.rules.finalize.configured);
    assert!(!platform.policy.rules.finalize.required_before_next, "nobody could finalize");
}

#[test]
fn rules_that_cannot_be_meant_are_refused_where_they_stand() {
    let swap = |from: &str, to: &str| {
        assert!(EXAMPLE.contains(from), "{from}");
        parse(&EXAMPLE.replacen(from, to, 1)).unwrap_err()
    };
    let said = |error: ConfigError| {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        format!("{error} {}", source.unwrap_or_default())
    };
    let zone = said(swap("Europe/Berlin", "Europe/Berlim"));
    assert!(zone.contains("Europe/Berlim"), "{zone}");
    let hook = said(swap("\"enable\", \"{unit}\"", "\"enable\", \"{level}\""));
    assert!(hook.contains("workers.hooks.after.command"), "{hook}");
    let finalize = said(swap("\"{level}\"", "\"{unit}\""));
    assert!(finalize.contains("products.acme/kafka.finalize.command"), "{finalize}");
    let check = said(swap("name = \"validate\" ", "name = \"Validate it\" "));
    assert!(check.contains("lower-case letters"), "{check}");
    let unit_of_roll = said(swap("\"--for\", \"{version}\"", "\"--for\", \"{unit}\""));
    assert!(unit_of_roll.contains("checks.commands.validate.command"), "{unit_of_roll}");
    let slow = said(swap("timeout_ms = 120000\nenv", "timeout_ms = 900001\nenv"));
    assert!(slow.contains("checks.max_age_ms") && slow.contains("900001 ms"), "{slow}");
    let expected = said(swap("expected_ms = 780000", "expected_ms = 1"));
    assert!(expected.contains("timings.controller.expected_ms"), "{expected}");
}

/// The example with one thing changed.
fn kafka(from: &str, to: &str) -> Result<Settings, ConfigError> {
    assert!(EXAMPLE.contains(from), "{from}");
    parse(&EXAMPLE.replacen(from, to, 1))
}

#[test]
fn servers_to_ask_make_their_word_about_controllers_required() {
    use crate::observation::WitnessSource;
    let settings = parse(EXAMPLE).unwrap();
    let [target] = settings.witness_targets().try_into().unwrap();
    assert_eq!(target.controllers.values().copied().collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(target.fetch_timeout_ms, 2_000);
    assert_eq!(target.servers.tls.unwrap().ca_file, Path::new("/etc/fairway/kafka-ca.pem"));
    let sasl = target.servers.sasl.unwrap();
    assert_eq!(sasl.password_file, Path::new("/etc/fairway/kafka-password"));
    let pools = settings.products.values().flat_map(|product| &product.pools);
    for unit in pools.flat_map(|pool| &pool.units) {
        let required = unit.target.witnesses.contains(&WitnessSource::Kafka);
        assert_eq!(required, unit.role == channels::wire::Role::Controller, "{}", unit.name);
    }
}

#[test]
fn a_login_without_tls_is_refused() {
    let from = "[products.kafka.tls]";
    let tables = &EXAMPLE[EXAMPLE.find(from).unwrap()..];
    let tls = &tables[..tables.find("[products.kafka.sasl]").unwrap()];
    let error = kafka(tls, "").unwrap_err().to_string();
    assert!(error.contains("a login needs [products.kafka.tls]"), "{error}");
}

#[test]
fn half_an_identity_and_unknown_mechanisms_are_refused() {
    let error = kafka("key_file = \"kafka-agent.key.pem\"\n", "").unwrap_err().to_string();
    assert!(error.contains("cert_file and key_file come together"), "{error}");
    let error = kafka("\"SCRAM-SHA-512\"", "\"GSSAPI\"").unwrap_err().to_string();
    assert!(error.contains("it must be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"), "{error}");
    let error = kafka("10.0.0.1:9093", "10.0.0.1").unwrap_err().to_string();
    assert!(error.contains("\"10.0.0.1\": it must be host:port"), "{error}");
}

#[test]
fn only_controllers_are_brokers_as_well() {
    let pools = &kafka("also_broker = false", "also_broker = true").unwrap().products;
    let kafka_pools = &pools[&"acme/kafka".parse().unwrap()].pools;
    let target = &kafka_pools[0].units[0].target;
    assert!(target.also_broker && target.required.contains(&crate::telemetry::Signal::AtMinIsr));
    let workers = "name = \"workers\"\n";
    let both = "name = \"workers\"\nalso_broker = true\n";
    let error = kafka(workers, both).unwrap_err().to_string();
    assert!(error.contains("only controllers can be brokers as well"), "{error}");
}
