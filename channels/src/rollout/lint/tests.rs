//! Every rule has a policy that breaks it and one that does not.

use std::path::Path;

use jiff::Timestamp;

use super::{Finding, Fleet, Rule, lint_curve, lint_fcos, lint_policy};
use crate::lint::Severity;
use crate::rollout::tests::{at, labels, policy};
use crate::rollout::{Curve, FcosRollout, Labels, Period, Template, Wave};

fn now() -> Timestamp {
    at("2026-11-20T12:00Z")
}

fn lint(text: &str, fleet: &Fleet<'_>) -> Vec<Finding> {
    lint_policy(Path::new("p.yaml"), &policy(text), fleet, now())
}

fn codes(text: &str) -> Vec<&'static str> {
    codes_for(text, &Fleet::Unknown)
}

fn codes_for(text: &str, fleet: &Fleet<'_>) -> Vec<&'static str> {
    lint(text, fleet).iter().map(|finding| finding.code.as_str()).collect()
}

const ALL: &str = "name: p\nrings: [{name: all, rest: true}]\n";

fn all_with(more: &str) -> String {
    format!("{ALL}{more}\n")
}

fn fleet(of: &[(&str, usize)]) -> Vec<Labels> {
    let one = |(ring, count): &(&str, usize)| vec![labels(&[("ring", ring)]); *count];
    of.iter().flat_map(one).collect()
}

#[test]
fn the_plain_policy_and_every_template_but_emergency_are_clean() {
    assert_eq!(codes(ALL), [""; 0]);
    for template in ["default", "fast", "slow"] {
        assert_eq!(codes(&all_with(&format!("curve: {{template: {template}}}"))), [""; 0]);
    }
}

#[test]
fn start_in_past() {
    assert_eq!(codes(&all_with("start: 2025-12-01T08:00:00Z")), ["start_in_past"]);
    assert_eq!(codes(&all_with("start: 2026-12-01T08:00:00Z")), [""; 0]);
}

#[test]
fn the_fedora_coreos_start_of_the_wrong_year_opens_everything_at_once() {
    // 2020-09-23, published with the year 2019.
    let wrong = FcosRollout {
        start_epoch: at("2019-09-23T14:00:00Z").as_second(),
        start_percentage: 0.0,
        duration_minutes: Some(2880),
    };
    let published = at("2020-09-23T10:00:00Z");
    let found = lint_fcos(Path::new("stable.json"), &wrong, published);
    let codes: Vec<(&str, &str)> =
        found.iter().map(|f| (f.severity.as_str(), f.code.as_str())).collect();
    assert_eq!(codes, [("error", "share_at_once"), ("warning", "start_in_past")]);
    assert!(found[0].message.contains("so 100% open at the moment of publication"));
    let right = FcosRollout { start_epoch: at("2020-09-23T14:00:00Z").as_second(), ..wrong };
    assert_eq!(lint_fcos(Path::new("stable.json"), &right, published), []);
    let finished = FcosRollout { start_epoch: 0, start_percentage: 1.0, duration_minutes: None };
    assert_eq!(lint_fcos(Path::new("stable.json"), &finished, published), []);
}

#[test]
fn the_default_waves_of_bottlerocket_open_forty_per_cent_at_once() {
    let table = [(0, 1), (1, 4), (5, 24), (15, 48), (40, 96), (60, 120), (90, 144)];
    let wave = |(percent, hours): (u32, u32)| Wave {
        first_seed: percent * 2048 / 100,
        starts_after: Period::from_hours(hours),
    };
    let waves: Vec<Wave> = table.into_iter().map(wave).collect();
    let found = lint_curve(Path::new("waves.toml"), &Curve::from_waves(&waves).unwrap());
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].code, found[0].severity), (Rule::ShareAtOnce, Severity::Error));
    assert!(found[0].message.starts_with("the curve opens 40."), "{}", found[0].message);
    for template in Template::ALL {
        assert_eq!(lint_curve(Path::new("p"), &template.into()), [], "{template}");
    }
}

#[test]
fn share_at_once() {
    let step = "curve: {points: [{after: 0s, share: 1%}, {after: 5d, share: 5%}, {after: 5d, share: 100%}]}";
    let found = lint(&all_with(step), &Fleet::Unknown);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].code, found[0].severity), (Rule::ShareAtOnce, Severity::Error));
    assert!(
        found[0]
            .to_string()
            .starts_with("p.yaml: error: ring all opens 95% at once (within 5m, 4d 23h 55m after")
    );
    let cliff = step
        .replace("{after: 5d, share: 5%}, {after: 5d", "{after: 5d, share: 5%}, {after: 432240s");
    assert_eq!(codes(&all_with(&cliff)), ["share_at_once"], "a cliff of four minutes is a step");
    let gentle =
        step.replace("{after: 5d, share: 5%}, {after: 5d", "{after: 5d, share: 5%}, {after: 6d");
    assert_eq!(codes(&all_with(&gentle)), [""; 0]);
}

const CANARY: &str = "
name: p
rings:
  - {name: canary, select: {match_labels: {ring: canary}}, curve: {points: [{after: 0s, share: 100%}]}, gates: {min_sample: 50%}}
  - {name: rest, rest: true}
";

#[test]
fn a_small_canary_ring_may_open_at_once_and_a_large_one_may_not() {
    let severity = |clusters: &[Labels]| {
        let found = lint(CANARY, &Fleet::Labels(clusters));
        found.into_iter().map(|finding| (finding.code, finding.severity)).collect::<Vec<_>>()
    };
    assert_eq!(severity(&fleet(&[("canary", 5), ("x", 20)])), []);
    let some = fleet(&[("canary", 9), ("x", 200)]);
    assert_eq!(severity(&some), [(Rule::ShareAtOnce, Severity::Warning)]);
    let half = fleet(&[("canary", 100), ("x", 100)]);
    assert_eq!(severity(&half), [(Rule::ShareAtOnce, Severity::Error)]);
    // Nothing is known of the fleet, but gates stand behind the ring.
    let found = lint(CANARY, &Fleet::Unknown);
    assert_eq!((found.len(), found[0].severity), (1, Severity::Warning));
}

#[test]
fn first_hour_steep() {
    let emergency = all_with("curve: {template: emergency}");
    let found = lint(&emergency, &Fleet::Unknown);
    assert_eq!((found.len(), found[0].code), (1, Rule::FirstHourSteep));
    assert!(found[0].message.contains("opens 15% within its first hour"));
    assert_eq!(codes(&all_with("curve: {template: emergency}\nemergency: true")), [""; 0]);
    assert_eq!(codes_for(&emergency, &Fleet::Size(20)), [""; 0], "three clusters");
}

#[test]
fn windows_never_open() {
    let frozen = "calendar: {time_zone: UTC, windows: [{days: [mon], start: '10:00', duration: 1h}], freezes: [{from: 2026-11-01, until: UNTIL, reason: moved}]}";
    let two_years = all_with(&frozen.replace("UNTIL", "2028-01-01"));
    assert_eq!(codes(&two_years), ["windows_never_open", "freeze_covers_curve"]);
    assert_eq!(codes(&all_with(&frozen.replace("UNTIL", "2026-11-21"))), [""; 0]);
}

#[test]
fn window_too_short() {
    let window = "calendar: {time_zone: UTC, windows: [{days: [mon, tue, wed], start: '10:00', duration: 20m}, {days: [thu], start: '10:00', duration: 10h}]}";
    let found = lint(&all_with(window), &Fleet::Unknown);
    assert_eq!((found.len(), found[0].code), (1, Rule::WindowTooShort));
    assert!(
        found[0]
            .message
            .starts_with("the window at 10:00:00 is open for 20m, and one unit may take 30m")
    );
    assert_eq!(codes(&all_with(&format!("{window}\ndeadlines: {{unit: 20m}}"))), [""; 0]);
}

#[test]
fn freeze_covers_curve() {
    let frozen =
        "calendar: {time_zone: UTC, freezes: [{from: 2026-11-01, until: UNTIL, reason: moved}]}";
    assert_eq!(codes(&all_with(&frozen.replace("UNTIL", "2026-12-01"))), ["freeze_covers_curve"]);
    assert_eq!(codes(&all_with(&frozen.replace("UNTIL", "2026-11-22"))), [""; 0]);
}

#[test]
fn never_ends() {
    let window =
        "calendar: {time_zone: UTC, windows: [{days: [mon], start: '10:00', duration: LENGTH}]}";
    // 144 hours at one a week are almost three years; at half an hour, six.
    assert_eq!(codes(&all_with(&window.replace("LENGTH", "30m"))), ["never_ends"]);
    assert_eq!(codes(&all_with(&window.replace("LENGTH", "4h"))), [""; 0]);
}

#[test]
fn ring_shadowed() {
    let rings = |first: &str, second: &str| {
        format!(
            "name: p\nrings:\n- {{name: a, select: {{match_labels: {first}}}}}\n- {{name: b, select: {{match_labels: {second}}}}}\n- {{name: c, rest: true}}\n"
        )
    };
    let wide_first = rings("{region: eu}", "{region: eu, tier: test}");
    let found = lint(&wide_first, &Fleet::Unknown);
    assert_eq!((found.len(), found[0].code), (1, Rule::RingShadowed));
    assert_eq!(
        found[0].message,
        "every cluster that ring b selects (region=eu, tier=test) is already in ring a; put the \
         narrower ring first"
    );
    assert_eq!(codes(&rings("{region: eu, tier: test}", "{region: eu}")), [""; 0]);
}

#[test]
fn ring_empty() {
    let clusters = fleet(&[("x", 20)]);
    assert_eq!(codes_for(CANARY, &Fleet::Labels(&clusters)), ["ring_empty"]);
    let clusters = fleet(&[("canary", 2), ("x", 20)]);
    assert_eq!(codes_for(CANARY, &Fleet::Labels(&clusters)), [""; 0]);
}

#[test]
fn clusters_in_no_ring() {
    let only = "name: p\nrings: [{name: a, select: {match_labels: {ring: a}}}]";
    let clusters = fleet(&[("a", 20), ("b", 3)]);
    let found = lint(only, &Fleet::Labels(&clusters));
    assert_eq!((found.len(), found[0].code), (1, Rule::ClustersInNoRing));
    assert!(found[0].message.starts_with("3 of 23 clusters are in no ring"));
    assert_eq!(codes_for(only, &Fleet::Labels(&clusters[..20])), [""; 0]);
}

#[test]
fn gate_never_passes() {
    let ten = all_with("gates: {min_sample: 10}");
    assert_eq!(codes_for(&ten, &Fleet::Size(9)), ["gate_never_passes"]);
    assert_eq!(codes_for(&ten, &Fleet::Size(10)), [""; 0]);
}

#[test]
fn failures_stall() {
    for gates in ["{max_failures: 1}", "{max_failures: 2%}", "{success: 99%, max_failures: 2%}"] {
        let found = lint(&all_with(&format!("gates: {gates}")), &Fleet::Unknown);
        let found: Vec<_> = found.iter().map(|f| (f.code, f.near.as_str())).collect();
        assert_eq!(found, [(Rule::FailuresStall, "all")], "{gates}");
    }
    for gates in ["{success: 98%, max_failures: 2%}", "{success: 99%, max_failures: 1}", "{}"] {
        assert_eq!(codes(&all_with(&format!("gates: {gates}"))), [""; 0], "{gates}");
    }
}

#[test]
fn cap_zero() {
    for cap in [
        "{concurrent: 0}",
        "{per_period: {grants: 0, period: 1h}}",
        "{per_failure_domain: {label: site, concurrent: 0}}",
    ] {
        assert_eq!(codes(&all_with(&format!("caps: {cap}"))), ["cap_zero"], "{cap}");
    }
    assert_eq!(codes(&all_with("caps: {concurrent: 1}")), [""; 0]);
}

#[test]
fn every_rule_is_in_the_manual_with_its_severity() {
    let manual = include_str!("../../../../docs/rollouts.md");
    for rule in Rule::ALL {
        let row = format!("| `{rule}` | {} |", rule.severity().as_str());
        assert!(manual.contains(&row), "docs/rollouts.md lacks {row}");
        assert_eq!(serde_json::to_value(rule).unwrap(), rule.as_str());
    }
}
