//! Which policy governs, and what is refused.

use super::*;
use crate::rollout::Policies;
use channels::names::{ChannelName, ProductRef};

fn policy(name: &str, scope: &str) -> String {
    let scope = if scope.is_empty() { String::new() } else { format!("applies_to: [{scope}]\n") };
    format!("name: {name}\n{scope}rings: [{{name: all, rest: true}}]\n")
}

fn policies(all: &[(&str, &str)]) -> Policies {
    let row = |(name, scope): &(&str, &str)| PolicyRow {
        name: name.parse().unwrap(),
        version: 1,
        text: policy(name, scope),
        deleted: false,
        at: minute(0),
        by: "ann".to_owned(),
    };
    Policies::restore(all.iter().map(row)).unwrap()
}

const SCOPES: [(&str, &str); 5] = [
    ("everything", ""),
    ("vendor", "{vendor: acme}"),
    ("vendor-channel", "{vendor: acme, channels: [fast]}"),
    ("product", "{product: acme/kafka}"),
    ("product-channel", "{product: acme/kafka, channels: [stable]}"),
];

fn governing(product: &str, channel: &str) -> String {
    let product: ProductRef = product.parse().unwrap();
    let channel: ChannelName = channel.parse().unwrap();
    policies(&SCOPES).governing(&product, &channel).unwrap().row.name.to_string()
}

#[test]
fn the_most_specific_policy_governs() {
    assert_eq!(governing("acme/kafka", "stable"), "product-channel");
    assert_eq!(governing("acme/kafka", "fast"), "product");
    assert_eq!(governing("acme/other", "fast"), "vendor-channel");
    assert_eq!(governing("acme/other", "stable"), "vendor");
    assert_eq!(governing("other/kafka", "stable"), "everything");
}

#[test]
fn equally_specific_policies_that_overlap_are_refused_by_name() {
    let known = policies(&SCOPES);
    let check = |name: &str, scope: &str| {
        known.check(&policy(name, scope), &lint::Fleet::Unknown, "ann", minute(0)).map(drop)
    };
    for (name, scope, what) in [
        ("everything", "", "everything"),
        ("vendor", "{vendor: acme}", "acme"),
        ("product-channel", "{product: acme/kafka, channels: [x, stable]}", "acme/kafka in stable"),
    ] {
        let refused = RolloutRefusal::Overlap {
            name: "mine".parse().unwrap(),
            other: name.parse().unwrap(),
            what: what.to_owned(),
        };
        assert_eq!(check("mine", scope), Err(refused));
        assert_eq!(check(name, scope), Ok(()), "a new version of the same one");
    }
    assert_eq!(check("mine", "{product: acme/kafka, channels: [fast]}"), Ok(()));
}

#[test]
fn a_policy_that_lint_finds_an_error_in_is_refused() {
    let mut site = Site::new(OPEN, &["a"]);
    let steep = OPEN.replace("emergency: true\n", "");
    let refused = site.apply(&steep, 1);
    assert!(matches!(refused, Err(RolloutRefusal::Lint { .. })), "{refused:?}");
}

#[test]
fn the_same_file_again_is_no_new_version() {
    let mut site = Site::new(OPEN, &["a"]);
    site.apply(OPEN, 1).unwrap();
    assert_eq!((site.policies.len(), site.view(1).policy_version), (1, 1));
    site.apply(&OPEN.replace("concurrent: 2", "concurrent: 3"), 2).unwrap();
    assert_eq!((site.policies.len(), site.view(2).policy_version), (2, 2));
}

#[test]
fn without_its_policy_a_rollout_starts_nobody_and_judges_those_under_way() {
    let mut site = Site::new(OPEN, &["a", "a"]);
    assert_eq!(site.ask(0, "1.1.0", 1), go());
    site.hear(0, rolling(&site.releases, "1.0.0", "1.1.0"), 2);
    let name = "open".parse().unwrap();
    site.batch(minute(3), |_, draft| draft.delete_policy(&name, "ann", minute(3))).unwrap();
    assert_eq!(site.ask(1, "1.1.0", 4), Turn::Ungoverned);
    assert_eq!(site.ask(0, "1.1.0", 5), go(), "it goes on");
    site.hear(0, paused(&site.releases, "1.0.0", "1.1.0", minute(6)), 6);
    site.tick(7);
    assert_eq!(site.view(7).failures.len(), 1);
    site.restart();
    assert_eq!(site.view(8).failures.len(), 1);
}
