//! The policy file: what is read, what is refused and where, and that nothing makes it panic.

use proptest::prelude::*;

use super::{at, labels, policy, try_policy};
use crate::rollout::{
    Amount, CalendarError, Curve, CurveError, Deadlines, Gates, GatesError, Percent, Period,
    PolicyError, PolicyFault, Start, Template,
};

pub(crate) const WHOLE: &str = r#"
name: production
applies_to:
  - product: acme/kafka
    channels: [stable-4]
  - vendor: other
start: 2026-12-01T08:00:00+01:00
emergency: false
calendar:
  time_zone: Europe/Berlin
  windows:
    - {days: [mon, tue, wed, thu], start: "22:00", duration: 6h}
  freezes:
    - {from: 2026-12-20, until: 2027-01-06T12:00, reason: end of the year}
curve: {template: slow}
gates:
  success: 95%
  soak: 2h
  max_failures: 2%
  max_unknown: 1
  min_sample: 10
  baselines:
    - name: errors
      query: sum(rate(request_errors_total[5m]))
      bad_when: above
      tolerance: 150%
      over: 1d
rings:
  - name: canary
    select:
      match_labels: {ring: canary}
    curve: {points: [{after: 0s, share: 100%}]}
    gates: {soak: 1d, min_sample: 1}
  - name: early
    select:
      match_expressions:
        - {key: region, operator: in, values: [eu, us]}
    curve: {template: fast}
  - name: everyone
    rest: true
caps:
  concurrent: 50
  per_period: {grants: 100, period: 1h}
  per_failure_domain: {label: site, concurrent: 2}
deadlines: {progress: 6h, silence: 30m}
"#;

#[test]
fn a_whole_policy_is_read_and_written_again() {
    let policy = policy(WHOLE);
    assert_eq!(policy.name.as_str(), "production");
    assert_eq!(policy.start, Start::At(at("2026-12-01T07:00:00Z")));
    let rings: Vec<(&str, Option<Template>, String)> = policy
        .rings
        .iter()
        .map(|ring| (ring.name.as_str(), ring.curve.template(), ring.gates.soak.to_string()))
        .collect();
    let expected = [
        ("canary", None, "1d".to_owned()),
        ("early", Some(Template::Fast), "2h".to_owned()),
        ("everyone", Some(Template::Slow), "2h".to_owned()),
    ];
    assert_eq!(rings, expected);
    // A ring's own gates replace the policy's as a whole: strict defaults, not the 2 %.
    assert_eq!(policy.rings[0].gates.max_failures, Amount::Count(0));
    assert_eq!(policy.rings[1].gates.max_failures, Amount::Percent(Percent::from_hundredths(200)));
    assert_eq!(policy.deadlines.unit, Deadlines::default().unit);
    let shown = serde_json::to_value(&policy).unwrap();
    assert_eq!(shown["caps"]["per_period"]["period"], "1h");
    assert_eq!(shown["calendar"]["freezes"][0]["from"], "2026-12-20");
    assert_eq!(shown["rings"][1]["curve"]["template"], "fast");
    assert_eq!(shown["rings"][1]["gates"]["max_failures"], "2%");
}

#[test]
fn the_shortest_policy_has_strict_defaults() {
    let policy = policy("name: p\nrings: [{name: all, rest: true}]");
    assert_eq!(policy.rings[0].curve, Curve::from(Template::Default));
    assert_eq!(policy.rings[0].gates, Gates::default());
    assert_eq!(policy.start, Start::Publication);
    assert!(!policy.emergency && policy.caps.concurrent.is_none());
    assert!(policy.applies_to(&"a/b".parse().unwrap(), &"c".parse().unwrap()));
}

#[test]
fn a_policy_is_for_the_products_and_channels_it_names() {
    let policy = policy(WHOLE);
    let applies = |product: &str, channel: &str| {
        policy.applies_to(&product.parse().unwrap(), &channel.parse().unwrap())
    };
    assert!(applies("acme/kafka", "stable-4") && applies("other/x", "any"));
    assert!(!applies("acme/kafka", "fast-4") && !applies("acme/platform", "stable-4"));
}

#[test]
fn a_rollout_never_starts_before_publication() {
    let policy = policy(WHOLE);
    let start = at("2026-12-01T07:00:00Z");
    assert_eq!(policy.starts_at(at("2026-11-01T00:00:00Z")), start);
    let late = at("2026-12-24T00:00:00Z");
    assert_eq!(policy.starts_at(late), late);
}

#[test]
fn the_first_ring_that_selects_a_cluster_has_it() {
    let policy = policy(WHOLE);
    let ring = |pairs: &[(&str, &str)]| policy.ring_of(&labels(pairs));
    assert_eq!(ring(&[("ring", "canary"), ("region", "eu")]), Some(0));
    assert_eq!(ring(&[("region", "eu")]), Some(1));
    assert_eq!(ring(&[]), Some(2));
    let only = super::policy("name: p\nrings: [{name: a, select: {match_labels: {x: y}}}]");
    assert_eq!(only.ring_of(&labels(&[])), None);
}

/// The message of a syntax fault, and its line.
fn refused(text: &str) -> (u64, String) {
    let error = try_policy(text).unwrap_err();
    let shown = error.line();
    let PolicyError::Syntax { line, problem, advice, .. } = error else { panic!("{error}") };
    assert_eq!((shown, advice), (Some(line), "see \"The file\" in docs/rollouts.md"));
    (line, problem)
}

#[test]
fn a_value_that_is_none_is_refused_with_its_line_and_what_to_write() {
    let rest = "rings: [{name: all, rest: true}]";
    for (text, wanted) in [
        ("gates: {success: 0.95}", "write it with its sign, such as 5%".to_owned()),
        ("gates: {soak: 90}", "write whole numbers with units".to_owned()),
        ("gates: {max_failures: -1}", "-1".to_owned()),
        ("gates: {min_sample: 0}", GatesError::NoSample.to_string()),
        (
            "gates: {success: 101%}",
            GatesError::SuccessAboveAll { success: Percent::from_hundredths(10_100) }.to_string(),
        ),
        ("start: tomorrow", "write `publication`, or a time with its offset".to_owned()),
        ("curve: {template: quick}", "quick".to_owned()),
        (
            "curve: {points: [{after: 1h, share: 50%}]}",
            "a curve ends at 50%; end it at 100%".to_owned(),
        ),
        ("curve: {points: []}", CurveError::Empty.to_string()),
        (
            "calendar: {time_zone: Europe/Berln}",
            CalendarError::Zone { name: "Europe/Berln".into() }.to_string(),
        ),
        ("frezes: []", "unknown field `frezes`".to_owned()),
        ("deadlines: {progress: 6h, slience: 1h}", "unknown field `slience`".to_owned()),
    ] {
        let (line, problem) = refused(&format!("name: p\n{rest}\n{text}\n"));
        assert!(problem.contains(&wanted), "{text}: {problem}");
        assert_eq!(line, 3, "{text}: {problem}");
    }
}

#[test]
fn calendars_that_make_no_sense_are_refused_by_name() {
    let rest = "name: p\nrings: [{name: all, rest: true}]";
    let window = |inner: &str| format!("calendar: {{time_zone: UTC, windows: [{inner}]}}");
    let freeze = |inner: &str| format!("calendar: {{time_zone: UTC, freezes: [{inner}]}}");
    let (zero, week) = (Period::from_secs(0), Period::from_hours(8 * 24));
    let from = at("2026-12-20T00:00:00Z");
    for (text, wanted) in [
        (
            window("{days: [mon], start: '22:00', duration: 0s}"),
            CalendarError::Length { duration: zero },
        ),
        (
            window("{days: [mon], start: '22:00', duration: 8d}"),
            CalendarError::Length { duration: week },
        ),
        (
            window("{days: [], start: '22:00', duration: 1h}"),
            CalendarError::NoDays { start: "22:00".parse().unwrap() },
        ),
        (
            freeze("{from: 2026-12-20, until: 2026-12-20, reason: x}"),
            CalendarError::Backwards { from, until: from },
        ),
        (
            freeze("{from: 2026-12-20, until: 2026-12-21, reason: ' '}"),
            CalendarError::NoReason { from },
        ),
        (
            freeze("{from: christmas, until: 2026-12-21, reason: x}"),
            CalendarError::Time { text: "christmas".into() },
        ),
        (
            window(&vec!["{days: [mon], start: '22:00', duration: 1h}"; 169].join(", ")),
            CalendarError::TooMany { what: "windows", count: 169, max: 168 },
        ),
        (
            freeze(&vec!["{from: 2026-12-20, until: 2026-12-21, reason: x}"; 513].join(", ")),
            CalendarError::TooMany { what: "freezes", count: 513, max: 512 },
        ),
    ] {
        let (line, problem) = refused(&format!("{rest}\n{text}\n"));
        assert!(problem.contains(&wanted.to_string()), "{problem}");
        assert_eq!(line, 3);
    }
}

#[test]
fn baselines_that_make_no_sense_are_refused_by_name() {
    let one = "{name: e, query: up, bad_when: below, tolerance: 5%, over: 1h}";
    let name = || "e".parse().unwrap();
    for (baselines, wanted) in [
        (format!("{one}, {one}"), GatesError::BaselineTwice { name: name() }),
        (one.replace("up", "''"), GatesError::Query { name: name(), bytes: 0 }),
        (one.replace("up", &"u".repeat(4097)), GatesError::Query { name: name(), bytes: 4097 }),
        (one.replace("1h", "0s"), GatesError::OverNothing { name: name() }),
        (vec![one; 33].join(", "), GatesError::TooManyBaselines { count: 33 }),
    ] {
        let text = format!(
            "name: p\ngates: {{baselines: [{baselines}]}}\nrings: [{{name: a, rest: true}}]"
        );
        assert!(refused(&text).1.contains(&wanted.to_string()));
    }
}

/// The fault of a policy whose values do not fit together, and its line.
fn misfit(text: &str) -> (u64, PolicyFault) {
    let error = try_policy(text).unwrap_err();
    let PolicyError::Content { line, fault, .. } = error else { panic!("{error}") };
    (line, fault)
}

#[test]
fn rings_that_do_not_fit_together_are_refused_with_the_line_of_the_ring() {
    let name = |name: &str| name.parse().unwrap();
    let select = "select: {match_labels: {x: y}}";
    for (rings, line, fault) in [
        ("[]".to_owned(), 2, PolicyFault::NoRings),
        (
            format!("\n- {{name: a, {select}}}\n- {{name: a, rest: true}}"),
            4,
            PolicyFault::RingTwice { name: name("a") },
        ),
        ("\n- {name: a}".to_owned(), 3, PolicyFault::RingMembers { name: name("a") }),
        (
            format!("\n- {{name: a, rest: true, {select}}}"),
            3,
            PolicyFault::RingMembers { name: name("a") },
        ),
        (
            format!("\n- {{name: a, rest: true}}\n- {{name: b, {select}}}"),
            3,
            PolicyFault::RestNotLast { name: name("a") },
        ),
        (
            format!("[{}]", vec!["{name: a, rest: true}"; 101].join(", ")),
            2,
            PolicyFault::TooManyRings { rings: 101 },
        ),
    ] {
        assert_eq!(misfit(&format!("name: p\nrings: {rings}\n")), (line, fault));
    }
}

#[test]
fn deadlines_and_caps_of_no_time_are_refused_with_their_line() {
    let rings = "name: p\nrings: [{name: a, rest: true}]\n";
    for (text, key) in [
        ("deadlines: {progress: 0s}", "deadlines.progress"),
        ("deadlines: {silence: 0h}", "deadlines.silence"),
        ("deadlines: {unit: 0m}", "deadlines.unit"),
        ("caps: {per_period: {grants: 1, period: 0s}}", "caps.per_period.period"),
    ] {
        let (line, fault) = misfit(&format!("{rings}{text}\n"));
        assert_eq!((line, fault), (3, PolicyFault::NoTime { key }));
    }
    let text = "caps: {per_failure_domain: {label: '', concurrent: 1}}";
    assert_eq!(misfit(&format!("{rings}{text}\n")), (3, PolicyFault::NoLabel));
}

#[test]
fn scopes_that_do_not_fit_together_are_refused_with_their_line() {
    let rings = "rings: [{name: a, rest: true}]";
    for scope in ["{}", "{vendor: acme, product: acme/kafka}", "{channels: [fast]}"] {
        let text = format!("name: p\n{rings}\napplies_to:\n- {scope}\n");
        assert_eq!(misfit(&text), (4, PolicyFault::ScopeUnclear));
    }
    let many = vec!["{vendor: acme}"; 257].join(", ");
    let text = format!("name: p\n{rings}\napplies_to: [{many}]\n");
    assert_eq!(misfit(&text), (3, PolicyFault::TooManyScopes));
}

#[test]
fn a_file_that_is_too_large_is_not_parsed() {
    let error = try_policy(&" ".repeat(1024 * 1024 + 1)).unwrap_err();
    assert!(matches!(error, PolicyError::TooLarge { bytes: 1_048_577, .. }));
    assert_eq!(error.line(), None);
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(?s).{0,200}") {
        let _ = try_policy(&text);
    }

    /// Near misses reach deeper than noise: a good file with one piece replaced.
    #[test]
    fn no_mutation_of_a_good_file_makes_the_reader_panic(
        from in 0_usize..WHOLE.len(), length in 0_usize..40,
        piece in "[-0-9a-z%:{}\\[\\]*&!|>., \n]{0,12}",
    ) {
        let bytes = WHOLE.as_bytes();
        let until = (from + length).min(bytes.len());
        let mutated = [&bytes[..from], piece.as_bytes(), &bytes[until..]].concat();
        if let Ok(policy) = try_policy(&String::from_utf8_lossy(&mutated)) {
            let now = at("2026-11-20T00:00:00Z");
            let _ = crate::rollout::lint::lint_policy(
                std::path::Path::new("p"), &policy, &crate::rollout::lint::Fleet::Size(5), now,
            );
        }
    }
}
