//! What `[prometheus]` may say.

use super::super::{ConfigError, Overrides, Settings};
use super::*;
use crate::prometheus::Comparison;

const EXAMPLE: &str = include_str!("../example.toml");

fn parse(text: &str) -> Result<PrometheusSettings, ConfigError> {
    let (path, base) = (Path::new("agent.toml"), Path::new("/etc/fairway"));
    let settings = Settings::parse(text, path, base, Overrides::default())?;
    Ok(settings.prometheus.expect("the table is there"))
}

/// What a changed example is refused with.
fn refused(old: &str, new: &str) -> String {
    assert!(EXAMPLE.contains(old), "{old}");
    parse(&EXAMPLE.replacen(old, new, 1)).unwrap_err().to_string()
}

#[test]
fn the_example_says_what_is_asked_and_whom_it_concerns() {
    let settings = parse(EXAMPLE).unwrap();
    assert_eq!(settings.watchdog.as_deref(), Some("Watchdog"));
    let [critical, kafka] = &settings.alerts[..] else { panic!("{:?}", settings.alerts) };
    assert!(critical.stops && critical.scope == GateScope::All);
    let product: ProductRef = "acme/kafka".parse().unwrap();
    let pool = GateScope::Pool(product.clone(), "controllers".parse().unwrap());
    assert!(!kafka.stops && kafka.scope == pool);
    let [gate] = &settings.gates[..] else { panic!("{:?}", settings.gates) };
    assert_eq!(gate.expect, Expect::Each(Comparison::AtLeast, 0.999));
    assert_eq!((gate.for_ms, gate.stops_after_ms), (30_000, 20_000));
    assert_eq!(gate.scope, GateScope::Product(product));
    assert_eq!(gate.fresh.up_query().as_deref(), Some("up{job=\"produce-probe\"}"));
    let [check] = &settings.apis[..] else { panic!("{:?}", settings.apis) };
    assert_eq!((check.kind, check.window_s), (ApiKind::Kubernetes, 86_400));
}

#[test]
fn the_example_shows_the_defaults_of_what_it_marks_as_such() {
    let shown = parse(EXAMPLE).unwrap();
    let is_default = |line: &&str| {
        let defaulted = line.contains("# default") && !line.contains("default 0");
        !(defaulted && line.contains('='))
    };
    let bare: Vec<&str> = EXAMPLE.lines().filter(is_default).collect();
    let bare = parse(&bare.join("\n")).unwrap();
    assert_eq!(shown.endpoint, bare.endpoint);
    assert_eq!(shown.risks, bare.risks);
    assert_eq!((shown.period_ms, shown.skew_ms), (bare.period_ms, bare.skew_ms));
    assert_eq!((shown.gates, shown.apis), (bare.gates, bare.apis));
}

#[test]
fn credentials_lie_beside_the_file_and_a_certificate_needs_its_key() {
    let keys = "ca_file = \"ca.crt\"\ntoken_file = \"/run/token\"\ncert_file = \"c.crt\"";
    let url = "url = \"http://prometheus.monitoring:9090\"";
    let without = EXAMPLE.replacen(url, &format!("{url}\n{keys}"), 1);
    let why = parse(&without).unwrap_err().to_string();
    assert_eq!(why, "prometheus.cert_file: cert_file and key_file come together");
    let with = without.replacen("cert_file =", "key_file = \"c.key\"\ncert_file =", 1);
    let material = parse(&with).unwrap().endpoint.material;
    assert_eq!(material.ca, Some(PathBuf::from("/etc/fairway/ca.crt")));
    assert_eq!(material.token, Some(PathBuf::from("/run/token")));
    assert_eq!(material.key, Some(PathBuf::from("/etc/fairway/c.key")));
}

#[test]
fn an_address_is_plain_and_carries_no_password() {
    for bad in
        ["ftp://x", "prometheus:9090", "http://", "http://a:b@x", "http://x/?q=1", "http://x#f"]
    {
        let why = refused("http://prometheus.monitoring:9090", bad);
        assert!(why.starts_with("prometheus.url: it must begin with"), "{bad}: {why}");
    }
    let missing = refused("url = \"http://prometheus.monitoring:9090\"", "");
    assert!(missing.starts_with("prometheus.url is missing"), "{missing}");
}

#[test]
fn a_scope_names_what_is_configured_here() {
    let scope = "scope = { product = \"acme/kafka\", pool = \"controllers\" }";
    for (other, why) in [
        ("{ product = \"acme/other\" }", "product acme/other is not configured here"),
        ("{ product = \"acme/kafka\", pool = \"x\" }", "product acme/kafka has no pool x"),
        ("{ pool = \"controllers\" }", "a pool needs its product"),
        ("{ role = \"node\", product = \"acme/kafka\" }", "role or product, not both"),
    ] {
        let told = refused(scope, &format!("scope = {other}"));
        assert_eq!(told, format!("prometheus.alerts.kafka.scope: {why}"));
    }
}

#[test]
fn rules_that_could_not_be_asked_are_refused_with_their_names() {
    let told = refused("namespace=\"kafka\"", "namespace=kafka");
    assert!(told.starts_with("prometheus.alerts.kafka.matchers: at"), "{told}");
    let told = refused("\">= 0.999\"", "\"at least 1\"");
    assert!(told.starts_with("prometheus.gates.produce success.expect: "), "{told}");
    let told = refused("query = 'sum", "query = '   ' # 'sum");
    assert_eq!(told, "prometheus.gates.produce success.query: a query has 1 to 4096 bytes");
    let told = refused("name = \"kafka\"", "name = \"critical\"");
    assert_eq!(told, "prometheus.alerts.critical: it is listed twice");
    let told = refused("name = \"critical\"", "name = \"a\\nb\"");
    assert!(told.starts_with("prometheus.alerts.name: it must have"), "{told}");
    let gate = EXAMPLE.replacen("stops = true\nstops_after_ms", "stops_after_ms", 1);
    assert_ne!(gate, EXAMPLE);
    let told = parse(&gate).unwrap_err().to_string();
    assert!(told.contains("it means nothing without stops = true"), "{told}");
    let told = refused("product = \"acme/platform\"\nkind", "product = \"acme/x\"\nkind");
    assert!(told.contains("product acme/x is not configured here"), "{told}");
}
