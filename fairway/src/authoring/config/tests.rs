//! Settings that are read, and those that are refused.

use super::*;

const GOOD: &str = r#"
    server = "https://hub.example"
    [root]
    keys = ["keys/root-1.pub"]
    threshold = 1
    [targets]
    keys = ["keys/targets.pub"]
    threshold = 1
    [vendors.acme]
    keys = ["keys/acme.pub"]
    threshold = 1
    releases = { keys = ["keys/acme.releases.pub"], threshold = 1 }
    channels = { keys = ["keys/acme.channels.pub"], threshold = 1 }
"#;

fn error(text: &str) -> String {
    HubConfig::parse(Path::new("hub.toml"), text.as_bytes()).unwrap_err().to_string()
}

#[test]
fn lives_default_to_a_year() {
    let config = HubConfig::parse(Path::new("hub.toml"), GOOD.as_bytes()).unwrap();
    assert_eq!(config.expiry_days.terms(), Terms::default());
}

#[test]
fn a_misspelt_setting_names_its_line() {
    let text = error(&GOOD.replace("server", "sever"));
    assert!(text.starts_with("hub.toml: line 2: unknown field `sever`"), "{text}");
}

#[test]
fn a_life_of_no_days_is_refused() {
    let text = error(&format!("{GOOD}\n[expiry_days]\nroot = 0"));
    assert_eq!(text, "hub.toml: expiry_days.root is 0; it must be 1 to 3660");
}

const IMPORTED: &str = r#"
    [imported.zeta]
    keys = ["keys/zeta.pub"]
    threshold = 1
    paths = ["zeta/*/*"]
    terminating = true
"#;

#[test]
fn a_hub_may_have_vendors_of_others_alone_or_none_when_the_last_was_revoked() {
    let own = GOOD.find("[vendors.acme]").unwrap();
    for (more, imported) in [(IMPORTED, 1), ("", 0)] {
        let text = format!("{}{more}", &GOOD[..own]);
        let config = HubConfig::parse(Path::new("hub.toml"), text.as_bytes()).unwrap();
        assert_eq!((config.vendors.len(), config.imported.len()), (0, imported));
    }
}

/// The settings of a vendor's own directory.
fn of_vendor() -> String {
    let (root, own) = (GOOD.find("[root]").unwrap(), GOOD.find("[vendors.acme]").unwrap());
    format!("{}{}", &GOOD[..root], &GOOD[own..])
}

#[test]
fn without_root_and_targets_it_is_one_vendors_own() {
    let config = HubConfig::parse(Path::new("hub.toml"), of_vendor().as_bytes()).unwrap();
    assert!(matches!(config.kind(), Ok(Kind::Vendor { .. })));
    let text = error(&format!("{}{IMPORTED}", of_vendor()));
    assert!(text.contains("names that vendor alone"), "{text}");
    let targets = GOOD.find("[targets]").unwrap();
    let half = format!("{}{}", &GOOD[..targets], &GOOD[GOOD.find("[vendors").unwrap()..]);
    assert_eq!(error(&half), "hub.toml: it has [root] and lacks [targets]");
}

#[test]
fn a_delegated_vendor_gets_its_whole_path_space_and_nothing_of_others() {
    let text = "[delegated.zeta]\nkeys = [\"z.pub\"]\nthreshold = 1\n";
    let config =
        HubConfig::parse(Path::new("hub.toml"), format!("{GOOD}{text}").as_bytes()).unwrap();
    let (vendor, zeta) = config.delegated.first_key_value().unwrap();
    assert_eq!(zeta.paths(vendor), ["zeta/*/*"]);
    let astray = format!("{GOOD}{text}paths = [\"acme/*/*\"]\n");
    let expected = r#"hub.toml: delegated.zeta: "acme/*/*" does not begin with zeta/"#;
    assert_eq!(error(&astray), expected);
    let twice = format!("{GOOD}{}", text.replace("zeta", "acme"));
    assert_eq!(error(&twice), "hub.toml: acme is both in [vendors] and in [delegated]");
}

#[test]
fn a_threshold_that_no_keys_reach_is_refused() {
    let text = error(&GOOD.replace(
        "channels = { keys = [\"keys/acme.channels.pub\"], threshold = 1 }",
        "channels = { keys = [\"keys/acme.channels.pub\"], threshold = 2 }",
    ));
    assert_eq!(text, "hub.toml: vendors.acme: 1 keys cannot give 2 signatures");
}

#[test]
fn a_vendor_is_published_or_imported_and_never_both() {
    let text = format!("{GOOD}{}", IMPORTED.replace("zeta", "acme"));
    assert_eq!(error(&text), "hub.toml: acme is both in [vendors] and in [imported]");
}

#[test]
fn an_imported_vendor_keeps_to_its_own_paths() {
    let text = format!("{GOOD}{}", IMPORTED.replace("zeta/*", "*/*"));
    assert_eq!(error(&text), r#"hub.toml: imported.zeta: "*/*/*" does not begin with zeta/"#);
}
