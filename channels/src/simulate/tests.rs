//! What holds of every simulation, whatever the policy, the fleet and the faults.

use std::path::Path;

use jiff::SignedDuration;
use proptest::prelude::*;

use super::cast::Cast;
use super::draw::Dice;
use super::run::{Tale, Variant, run};
use super::*;

const POLICY: &str = "
name: careful
gates: {success: 90%, soak: 2h, max_failures: 4%, max_unknown: 20%, min_sample: 30%}
curve: {template: fast}
caps:
  concurrent: 12
  per_period: {grants: 20, period: 2h}
  per_failure_domain: {label: region, concurrent: 5}
rings:
  - name: canary
    select: {match_labels: {tier: canary}}
    gates: {max_failures: 0, soak: 1h, min_sample: 100%, max_unknown: 50%}
  - name: everyone
    rest: true
";

const FLEET: &str = "
name: shops
groups:
  - {name: first, clusters: 8, labels: {tier: canary}, spread: {region: [eu, us]}}
  - {name: shop, clusters: 150, spread: {region: [eu, us, ap]}, online: 90%, unknown: 5%}
";

fn policy(text: &str) -> Policy {
    Policy::parse(Path::new("policy.yaml"), text).unwrap()
}

fn fleet(text: &str) -> Fleet {
    Fleet::from_yaml(Path::new("fleet.yaml"), text, 1).unwrap()
}

fn settings(seed: u64) -> Settings {
    Settings {
        seed,
        step: "10m".parse().unwrap(),
        published_at: "2026-12-01T08:00:00Z".parse().unwrap(),
        release: "1.34.2".parse().unwrap(),
    }
}

fn faults(texts: &[&str]) -> Vec<Fault> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn report(texts: &[&str]) -> Report {
    simulate(&policy(POLICY), &fleet(FLEET), &faults(texts), &settings(1)).unwrap()
}

fn tale(texts: &[&str], seed: u64) -> Tale {
    let (policy, fleet, faults, settings) =
        (policy(POLICY), fleet(FLEET), faults(texts), settings(seed));
    let cast = Cast::new(&policy, &fleet, &faults, &settings.release, Dice::new(seed)).unwrap();
    run(&policy, &cast, &faults, &settings, Variant::Actual)
}

/// Grants of each step: what was begun since the one before.
fn grants(tale: &Tale) -> Vec<(SignedDuration, u32, bool)> {
    let mut before = 0;
    let grants = tale.samples.iter().map(|sample| {
        let new = sample.begun - before;
        before = sample.begun;
        (sample.after, new, sample.stopped)
    });
    grants.collect()
}

#[test]
fn a_good_release_reaches_everybody() {
    let report = report(&[]);
    assert_eq!(report.ended, report::Ending::Converged, "{}", chart::text(&report));
    assert_eq!(report.totals.succeeded, 158);
    assert!(report.harm.is_none());
    let opened = report.rings[1].opened_s.unwrap();
    assert!(report.rings[0].passed_s.unwrap() <= opened, "a ring opens when the one before passed");
    assert!(report.rings[1].first_grant_s.unwrap() >= opened);
}

#[test]
fn a_bad_release_is_halted_and_nobody_begins_afterwards() {
    let report = report(&["bad:50%"]);
    assert_eq!(report.ended, report::Ending::Halted, "{}", chart::text(&report));
    let harm = report.harm.unwrap();
    assert_eq!(harm.before_halt, harm.at_end, "somebody began after the halt");
    assert!(harm.before_halt.hit > 0 && harm.before_halt.begun <= 8, "{harm:?}");
    assert_eq!(report.rings[1].begun, 0);
    let unseen = harm.if_unseen;
    assert_eq!((unseen.ended, unseen.at_end.hit), (report::Ending::Converged, harm.harmed));
}

#[test]
fn a_blind_gate_lets_nobody_past_its_budget() {
    let report = report(&["blind"]);
    assert_eq!(report.ended, report::Ending::Stuck, "{}", chart::text(&report));
    assert_eq!(report.rings[1].begun, 0);
    assert!(report.waits.iter().any(|wait| wait.reason == "health_unknown"));
}

#[test]
fn a_gate_that_sees_nothing_wrong_lets_a_bad_release_reach_everybody() {
    let harm = report(&["bad:50%", "blind"]).harm.unwrap();
    assert_eq!(harm.if_unseen.at_end.hit, harm.harmed);
    assert_eq!(harm.if_unseen.ended, report::Ending::Converged);
    assert!(harm.if_unreadable.at_end.hit < harm.harmed);
}

#[test]
fn a_failure_domain_never_holds_more_than_its_cap() {
    let one = FLEET.replace("region: [eu, us]}}", "region: [eu]}}");
    let one = one.replace("region: [eu, us, ap]}, online", "region: [eu]}, online");
    let wide =
        POLICY.replace("concurrent: 12", "concurrent: 100").replace("grants: 20", "grants: 99");
    let report = simulate(&policy(&wide), &fleet(&one), &[], &settings(1)).unwrap();
    assert_eq!(report.in_flight_most, 5);
    let report = simulate(&policy(&wide), &fleet(FLEET), &[], &settings(1)).unwrap();
    assert!((6..=15).contains(&report.in_flight_most), "{}", report.in_flight_most);
    assert!(report.waits.iter().any(|wait| wait.reason == "cap_failure_domain"));
}

#[test]
fn a_late_regression_halts_after_the_clusters_succeeded() {
    let report = report(&["regress:100%,after=8h"]);
    assert_eq!(report.ended, report::Ending::Halted, "{}", chart::text(&report));
    let harm = report.harm.unwrap();
    assert!(harm.time_to_halt_s.unwrap() >= 8 * 3_600, "{harm:?}");
}

#[test]
fn a_silent_cluster_is_a_failure_after_its_deadline() {
    let report = report(&["silent:100%,label=tier=canary"]);
    assert_eq!(report.ended, report::Ending::Halted, "{}", chart::text(&report));
    let harm = report.harm.unwrap();
    assert!(harm.time_to_halt_s.unwrap() >= 3_600, "an hour of silence: {harm:?}");
}

#[test]
fn an_outage_fails_nobody() {
    let report = report(&["outage:from=1h,to=9h"]);
    assert_eq!(report.totals.failed, 0, "{}", chart::text(&report));
    assert_eq!(report.totals.succeeded, 158);
    assert!(report.waits.iter().any(|wait| wait.reason == "hub_down"));
}

#[test]
fn an_acknowledged_halt_goes_on_and_new_failures_halt_again() {
    let report = report(&["bad:100%,label=tier=canary", "resume:at=1d"]);
    let named = |what: &str| report.events.iter().filter(|event| event.what == what).count();
    assert!(named("halted") >= 1 && named("resumed") == 1, "{}", chart::text(&report));
    let before = report.harm.as_ref().unwrap().before_halt.begun;
    assert!(report.totals.begun > before, "the acknowledged halt did not go on");
}

#[test]
fn slow_clusters_miss_their_deadline() {
    let report = report(&["slow:100x,label=tier=canary"]);
    assert!(report.rings[0].failed > 0, "{}", chart::text(&report));
    assert_eq!(report.ended, report::Ending::Halted);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let (policy, fleet) = (policy(POLICY), fleet(FLEET));
    let refused = |faults: &[&str], change: fn(&mut Settings)| {
        let mut settings = settings(1);
        change(&mut settings);
        simulate(&policy, &fleet, &super::tests::faults(faults), &settings).unwrap_err()
    };
    let step = "30s".parse().unwrap();
    assert_eq!(refused(&[], |s| s.step = "30s".parse().unwrap()), SimulateError::Step { step });
    let fault = "bad:5%,label=tier=cannary".to_owned();
    assert_eq!(refused(&[&fault], |_| ()), SimulateError::FaultHitsNobody { fault: fault.clone() });
    let many = vec!["bad:1%"; 33];
    assert_eq!(refused(&many, |_| ()), SimulateError::TooManyFaults { faults: 33 });
    let narrow = POLICY.replace("rest: true", "select: {match_labels: {tier: none}}");
    let narrow = self::policy(&narrow.replace("tier: canary", "tier: nobody"));
    assert_eq!(
        simulate(&narrow, &fleet, &[], &settings(1)),
        Err(SimulateError::NobodyToUpgrade { in_no_ring: 158, already_there: 0 })
    );
}

#[test]
fn clusters_on_the_release_are_left_out() {
    let text = FLEET.replace("clusters: 8,", "clusters: 8, version: 1.34.2,");
    let report = simulate(&policy(POLICY), &fleet(&text), &[], &settings(1)).unwrap();
    assert_eq!((report.already_there, report.clusters), (8, 150));
}

#[test]
fn the_svg_is_balanced_escaped_and_has_a_title() {
    let mut report = report(&["bad:50%", "resume:at=1d"]);
    report.fleet = "<shops & \"co\">".to_owned();
    let svg = chart::svg(&report);
    assert!(svg.contains("aria-labelledby=\"title desc\"") && svg.contains("<title id=\"title\">"));
    assert!(svg.contains("&lt;shops &amp; &quot;co&quot;&gt;") && !svg.contains("<shops"));
    assert!(svg.contains("class=\"mark\"") && svg.contains(">halted</text>"));
    let mut open = Vec::new();
    for tag in svg.split('<').skip(1).map(|tag| tag.split('>').next().unwrap()) {
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "{tag}"),
            None if tag.ends_with('/') => {}
            None => open.push(tag.split(' ').next().unwrap()),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn the_text_fits_eighty_columns() {
    let text = chart::text(&report(&["bad:20%", "blind:40%,from=2h,to=5h", "resume:at=2d"]));
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
    }
}

fn any_fault() -> impl Strategy<Value = String> {
    prop_oneof![
        (0_u32..=40).prop_map(|share| format!("bad:{share}%")),
        (0_u32..=30).prop_map(|share| format!("silent:{share}%")),
        (0_u32..=30, 1_u32..40).prop_map(|(share, h)| format!("regress:{share}%,after={h}h")),
        (1_u32..40).prop_map(|factor| format!("slow:{factor}x,share=20%")),
        (0_u32..40, 1_u32..30)
            .prop_map(|(from, h)| format!("outage:from={from}h,to={}h", from + h)),
        (0_u32..40, 1_u32..30).prop_map(|(from, h)| format!("hold:from={from}h,to={}h", from + h)),
        (0_u32..40, 1_u32..30)
            .prop_map(|(from, h)| format!("blind:60%,from={from}h,to={}h", from + h)),
        (1_u32..60).prop_map(|at| format!("resume:at={at}h")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_same_seed_tells_the_same(
        seed in any::<u64>(),
        texts in prop::collection::vec(any_fault(), 0..4),
    ) {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        prop_assert_eq!(tale(&texts, seed), tale(&texts, seed));
    }

    #[test]
    fn caps_bind_and_nothing_is_granted_while_stopped(
        seed in any::<u64>(),
        texts in prop::collection::vec(any_fault(), 0..4),
    ) {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let tale = tale(&texts, seed);
        prop_assert!(tale.in_flight_most <= 12, "{} at a time", tale.in_flight_most);
        let grants = grants(&tale);
        for (index, (after, _, _)) in grants.iter().enumerate() {
            let period = SignedDuration::from_hours(2);
            let within = grants.iter().skip(index).take_while(|(at, _, _)| *at - *after < period);
            let within: u32 = within.map(|(_, new, _)| new).sum();
            prop_assert!(within <= 20, "{within} grants in two hours after {after:?}");
        }
        for (after, new, stopped) in &grants {
            prop_assert!(!stopped || *new == 0, "{new} grants while stopped, after {after:?}");
        }
        let begun: u32 = tale.rings.iter().map(|ring| ring.begun).sum();
        prop_assert_eq!(begun, tale.granted);
        let canary_passed = tale.rings[0].passed_at;
        prop_assert!(tale.rings[1].begun == 0 || canary_passed.is_some(), "ring 2 jumped the gate");
        prop_assert!(tale.samples.windows(2).all(|pair| pair[0].eligible <= pair[1].eligible));
    }

    #[test]
    fn no_text_makes_a_fault_panic(text in ".{0,60}") {
        let _answer = text.parse::<Fault>();
    }

    #[test]
    fn no_text_makes_a_fleet_panic(text in "(name|groups|clusters|- |: |[a-z0-9%\\[\\]{},\n ]){0,40}") {
        let _answer = Fleet::from_yaml(Path::new("f"), &text, 1);
    }
}
