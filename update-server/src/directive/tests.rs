//! Each rule by example, then the invariants over arbitrary fleets of requests.

use super::*;
use proptest::prelude::*;

const NOW: i64 = 1_790_000_000;
const TTL_S: u64 = 900;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn digest(n: u8) -> Sha256Digest {
    Sha256Digest::of(&[n])
}

/// One product's request, owned.
#[derive(Debug, Clone)]
struct Case {
    product: ProductRef,
    channel: ChannelName,
    version: ReleaseVersion,
    phase: Phase,
    wants: Option<GrantRequest>,
    facts: ReleaseFacts,
    turn: Turn,
    pin: Option<ReleaseVersion>,
    max_version: Option<ReleaseVersion>,
}

impl Case {
    fn asking(product: &str) -> Self {
        Self {
            product: product.parse().unwrap(),
            channel: "stable".parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            phase: Phase::Waiting,
            wants: Some(GrantRequest {
                to: "1.1.0".parse().unwrap(),
                release_digest: digest(1),
                renews: None,
            }),
            facts: ReleaseFacts { digest: Some(digest(1)), allowed: true, offered: true },
            turn: Turn::Ungoverned,
            pin: None,
            max_version: None,
        }
    }

    fn idle(product: &str) -> Self {
        Self { phase: Phase::Idle, wants: None, ..Self::asking(product) }
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            product: &self.product,
            channel: &self.channel,
            version: &self.version,
            target: self.wants.as_ref().map(|w| &w.to),
            phase: self.phase,
            wants: self.wants.as_ref(),
            facts: self.facts,
            turn: &self.turn,
            limits: Limits { pin: self.pin.as_ref(), max_version: self.max_version.as_ref() },
        }
    }
}

fn cluster() -> ClusterId {
    ClusterId(uuid::Uuid::from_u128(7))
}

fn hold(scope: HoldScope) -> Hold {
    Hold {
        id: 3,
        scope,
        reason: "brokers page".to_owned(),
        by: "mira".to_owned(),
        at: at(NOW - 60),
        resumed_at: None,
        resumed_by: None,
    }
}

fn run(holds: &[Hold], now: i64, ledger: &Ledger, cases: &[Case]) -> Decision {
    let situation = Situation { cluster: cluster(), holds, full: true, now: at(now), ttl_s: TTL_S };
    let asked: Vec<Asked<'_>> = cases.iter().map(Case::asked).collect();
    decide(&situation, ledger, &asked)
}

fn codes(decision: &Decision) -> Vec<&str> {
    decision
        .directives
        .iter()
        .map(|d| d.reasons.first().map_or("proceed", |r| r.code.as_str()))
        .collect()
}

#[test]
fn without_a_hold_who_asks_gets_a_grant_that_expires() {
    let decision = run(&[], NOW, &Ledger::default(), &[Case::asking("acme/kafka")]);
    let grant = decision.directives[0].grant.clone().unwrap();
    assert_eq!((grant.generation, grant.expires_at), (1, at(NOW + 900)));
    assert_eq!(grant.cluster, cluster());
    assert_eq!(decision.ledger.current, Some(grant));
}

#[test]
fn a_hold_of_any_scope_answers_hold_with_the_holders_reason() {
    let case = Case::asking("acme/kafka");
    let product = case.product.clone();
    let scopes = [
        HoldScope::Fleet,
        HoldScope::Product { product: product.clone() },
        HoldScope::Channel { product: product.clone(), channel: case.channel.clone() },
        HoldScope::Release { product, version: "1.1.0".parse().unwrap() },
        HoldScope::Cluster { cluster: cluster() },
    ];
    for scope in scopes {
        let decision =
            run(&[hold(scope.clone())], NOW, &Ledger::default(), std::slice::from_ref(&case));
        let directive = &decision.directives[0];
        assert_eq!(directive.action, Action::Hold, "{scope:?}");
        assert_eq!(directive.reasons[0].message, "held by mira: brokers page (hold 3)");
        assert_eq!(decision.ledger.generation, 0, "{scope:?}");
    }
}

#[test]
fn a_hold_elsewhere_or_lifted_stops_nobody() {
    let case = Case::asking("acme/kafka");
    let mut lifted = hold(HoldScope::Fleet);
    lifted.resumed_at = Some(at(NOW - 1));
    let other: ProductRef = "acme/platform".parse().unwrap();
    let holds = [
        lifted,
        hold(HoldScope::Product { product: other.clone() }),
        hold(HoldScope::Channel { product: other, channel: case.channel.clone() }),
        hold(HoldScope::Channel {
            product: case.product.clone(),
            channel: "fast".parse().unwrap(),
        }),
        hold(HoldScope::Release {
            product: case.product.clone(),
            version: "1.2.0".parse().unwrap(),
        }),
        hold(HoldScope::Cluster { cluster: ClusterId(uuid::Uuid::nil()) }),
    ];
    assert_eq!(codes(&run(&holds, NOW, &Ledger::default(), &[case])), ["proceed"]);
}

#[test]
fn a_hold_also_stops_the_renewal_before_the_next_unit() {
    let mut case = Case::asking("acme/kafka");
    let first = run(&[], NOW, &Ledger::default(), &[case.clone()]);
    case.wants.as_mut().unwrap().renews = Some(1);
    let second = run(&[hold(HoldScope::Fleet)], NOW + 5, &first.ledger, &[case]);
    assert_eq!(second.directives[0].action, Action::Hold);
    assert_eq!(second.ledger, first.ledger, "nothing new was given");
}

#[test]
fn a_renewal_has_a_new_generation_and_a_new_end() {
    let mut case = Case::asking("acme/kafka");
    let first = run(&[], NOW, &Ledger::default(), &[case.clone()]);
    case.wants.as_mut().unwrap().renews = Some(1);
    let second = run(&[], NOW + 30, &first.ledger, &[case]);
    let grant = second.directives[0].grant.as_ref().unwrap();
    assert_eq!((grant.generation, grant.expires_at), (2, at(NOW + 930)));
}

#[test]
fn the_second_product_waits_and_is_told_which_one_holds_the_grant() {
    let cases = [Case::asking("acme/kafka"), Case::asking("acme/platform")];
    let decision = run(&[], NOW, &Ledger::default(), &cases);
    assert_eq!(codes(&decision), ["proceed", "grant_elsewhere"]);
    let waiting = &decision.directives[1];
    assert!(waiting.reasons[0].message.starts_with("acme/kafka of this cluster"));
    assert_eq!(waiting.earliest_at, Some(at(NOW + 900)));
}

#[test]
fn the_product_with_a_unit_out_goes_before_the_one_that_would_start() {
    let mut rolling = Case::asking("acme/platform");
    rolling.phase = Phase::Soak;
    let cases = [Case::asking("acme/kafka"), rolling];
    let lapsed = Ledger::default();
    assert_eq!(codes(&run(&[], NOW, &lapsed, &cases)), ["grant_elsewhere", "proceed"]);
}

#[test]
fn a_finished_product_hands_its_grant_on_and_a_waiting_one_keeps_it() {
    let first = run(&[], NOW, &Ledger::default(), &[Case::asking("acme/kafka")]);
    let done = [Case::idle("acme/kafka"), Case::asking("acme/platform")];
    assert_eq!(codes(&run(&[], NOW + 9, &first.ledger, &done)), ["not_asked", "proceed"]);
    let mut waiting = Case::idle("acme/kafka");
    waiting.phase = Phase::Waiting;
    let cases = [waiting, Case::asking("acme/platform")];
    assert_eq!(codes(&run(&[], NOW + 9, &first.ledger, &cases)), ["not_asked", "grant_elsewhere"]);
    assert_eq!(codes(&run(&[], NOW + 900, &first.ledger, &cases)), ["not_asked", "proceed"]);
}

#[test]
fn every_step_the_hub_does_not_serve_is_refused_by_name() {
    let good = Case::asking("acme/kafka").facts;
    for (facts, code) in [
        (ReleaseFacts { digest: None, ..good }, "release_unknown"),
        (ReleaseFacts { digest: Some(digest(2)), ..good }, "digest_mismatch"),
        (ReleaseFacts { allowed: false, ..good }, "edge_not_allowed"),
        (ReleaseFacts { offered: false, ..good }, "edge_not_offered"),
    ] {
        let case = Case { facts, ..Case::asking("acme/kafka") };
        let decision = run(&[], NOW, &Ledger::default(), &[case]);
        assert_eq!(codes(&decision), [code]);
        assert_eq!(decision.ledger, Ledger::default());
    }
}

#[test]
fn nothing_is_granted_beyond_a_pin_or_the_highest_version() {
    let version = |text: &str| -> ReleaseVersion { text.parse().unwrap() };
    // The step is from 1.0.0 to 1.1.0, or back.
    for (pin, max, back, expected) in [
        (Some("1.2.0"), None, false, "proceed"),
        (Some("1.1.0"), Some("1.1.0"), false, "proceed"),
        (Some("1.0.0"), None, false, "pinned"),
        (Some("1.0.5"), None, false, "pinned"),
        (Some("0.9.0"), None, false, "pinned"),
        (None, Some("1.0.9"), false, "above_max"),
        (None, Some("1.1.0"), false, "proceed"),
        (Some("1.0.0"), None, true, "proceed"),
        (Some("0.9.0"), None, true, "proceed"),
        (Some("1.0.5"), None, true, "pinned"),
        (Some("1.2.0"), None, true, "pinned"),
        (None, Some("0.1.0"), true, "above_max"),
    ] {
        let mut case = Case { pin: pin.map(version), ..Case::asking("acme/kafka") };
        case.max_version = max.map(version);
        if back {
            let wants = case.wants.as_mut().unwrap();
            std::mem::swap(&mut wants.to, &mut case.version);
        }
        let decision = run(&[], NOW, &Ledger::default(), &[case]);
        assert_eq!(codes(&decision), [expected], "{pin:?} {max:?} {back}");
    }
}

fn any_phase() -> impl Strategy<Value = Phase> {
    prop::sample::select(vec![
        Phase::Idle,
        Phase::Waiting,
        Phase::Mutate,
        Phase::Soak,
        Phase::Paused,
        Phase::Unknown,
    ])
}

fn any_case(product: &'static str) -> impl Strategy<Value = Case> {
    let facts = (prop::option::of(0u8..3), any::<bool>(), any::<bool>());
    let wants = prop::option::of((0u8..3, prop::option::of(0u64..9)));
    (any_phase(), wants, facts).prop_map(move |(phase, wants, (served, allowed, offered))| Case {
        phase,
        wants: wants.map(|(n, renews)| GrantRequest {
            to: "1.1.0".parse().unwrap(),
            release_digest: digest(n),
            renews,
        }),
        facts: ReleaseFacts { digest: served.map(digest), allowed, offered },
        ..Case::asking(product)
    })
}

fn any_holds() -> impl Strategy<Value = Vec<Hold>> {
    let scope = prop_oneof![
        Just(HoldScope::Fleet),
        Just(HoldScope::Product { product: "acme/kafka".parse().unwrap() }),
        Just(HoldScope::Cluster { cluster: cluster() }),
        Just(HoldScope::Cluster { cluster: ClusterId(uuid::Uuid::nil()) }),
    ];
    prop::collection::vec(
        (scope, any::<bool>()).prop_map(|(scope, lifted)| Hold {
            resumed_at: lifted.then(|| at(NOW)),
            ..hold(scope)
        }),
        0..2,
    )
}

proptest! {
    #[test]
    fn no_sequence_of_reports_gets_two_products_a_grant_at_once(
        reports in prop::collection::vec(
            (0i64..1200, any_holds(), any_case("acme/kafka"), any_case("acme/platform")), 1..12)
    ) {
        let mut now = NOW;
        let mut ledger = Ledger::default();
        let mut valid: Option<Grant> = None;
        for (elapsed, holds, a, b) in reports {
            now += elapsed;
            let cases = [a, b];
            let decision = run(&holds, now, &ledger, &cases);
            prop_assert!(decision.ledger.generation >= ledger.generation);
            let given: Vec<&Grant> =
                decision.directives.iter().filter_map(|d| d.grant.as_ref()).collect();
            prop_assert!(given.len() <= 1);
            for (directive, case) in decision.directives.iter().zip(&cases) {
                prop_assert_eq!(&directive.product, &case.product);
                prop_assert_eq!(directive.action == Action::Proceed, directive.grant.is_some());
                prop_assert_eq!(directive.reasons.is_empty(), directive.grant.is_some());
                let covered = holds.iter().any(|h| covers(h, cluster(), &case.asked()));
                prop_assert_eq!(directive.action == Action::Hold, covered);
            }
            if let Some(grant) = given.first() {
                let case = cases.iter().find(|c| c.product == grant.product).unwrap();
                let wants = case.wants.as_ref().unwrap();
                prop_assert_eq!(case.facts.digest, Some(wants.release_digest));
                prop_assert!(case.facts.allowed && case.facts.offered);
                prop_assert!(grant.generation > ledger.generation);
                prop_assert_eq!(grant.expires_at, at(now + 900));
                if let Some(held) = &valid {
                    let holder = cases.iter().find(|c| c.product == held.product).unwrap();
                    let finished = holder.phase == Phase::Idle && holder.wants.is_none();
                    prop_assert!(
                        held.product == grant.product || held.expires_at <= at(now) || finished
                    );
                }
                valid = Some((*grant).clone());
            }
            ledger = decision.ledger;
        }
    }
}
