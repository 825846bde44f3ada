//! The irreversible step: only when everything runs and is well, only with a person's word, once.

use std::sync::Arc;

use channels::wire::{Finalize, Phase, Role};

use super::world::{
    Build, Death, Hub, World, graph, knowledge, known, product, release, unit, version,
};
use crate::plan::{LeaseFact, QuorumChange};
use crate::sim::Fault;
use crate::state::{Approval, FinalizeApproval, LevelUnchanged, LocalHold};

const KAFKA: &str = "acme/kafka";

/// Something that goes wrong.
type Trouble<'a> = &'a dyn Fn(&mut World);

/// Kafka 3.9.0, 4.0.0, 4.1.0 and 4.1.1; all but the first finalize a level, and 3.9.0 may be gone back to.
fn kafka(edges: &[(usize, usize)]) -> crate::plan::Knowledge {
    let one = |text: &str, from: &[&str], back: &[&str], level: Option<&str>| {
        let mut made = release(KAFKA, text, Role::Controller, from);
        let document = Arc::make_mut(&mut made.document);
        document.downgrade_from = back.iter().map(|r| r.parse().unwrap()).collect();
        document.finalize = level.map(|level| Finalize {
            summary: "raises metadata.version".to_owned(),
            level: level.to_owned(),
        });
        made
    };
    let newest = edges.iter().map(|(_, to)| to + 1).max().unwrap_or(0);
    let versions = ["3.9.0", "4.0.0", "4.1.0", "4.1.1"];
    knowledge(
        graph(&versions[..newest], edges, &[]),
        vec![
            one("3.9.0", &[], &["=4.0.0"], None),
            one("4.0.0", &["^3.9"], &[], Some("4.0")),
            one("4.1.0", &["~4.0"], &[], Some("4.1")),
            one("4.1.1", &["~4.1"], &[], Some("4.1")),
        ],
    )
}

fn world_of(build: &Build, edges: &[(usize, usize)]) -> World {
    let mut world = World::new(build);
    let mut all = known();
    all.insert(product(KAFKA), kafka(edges));
    world.know(all);
    world.rule(KAFKA, |rules| {
        rules.finalize.configured = true;
        rules.finalize.required_before_next = true;
    });
    world
}

/// Everything runs the newest release of the graph.
fn arrived() -> World {
    let mut world = world_of(&Build::default(), &[(0, 1), (1, 0)]);
    world.until(1_500, World::is_done);
    world.answer();
    world
}

fn approval(world: &World) -> FinalizeApproval {
    let pending = world.core.history.products[&product(KAFKA)].finalization.clone().unwrap();
    FinalizeApproval {
        product: product(KAFKA),
        release: pending.release,
        release_digest: pending.release_digest,
        at: world.now(),
        by: "ada".to_owned(),
    }
}

fn approve(world: &mut World) {
    let approval = approval(world);
    world.core.finalize_approved(vec![approval]);
}

fn is_finalized(world: &World) -> bool {
    !world.core.history.products[&product(KAFKA)].finalized.is_empty()
}

fn order_back(world: &mut World, to: &str) {
    let at = world.now();
    let order = Approval { product: product(KAFKA), to: version(to), at, back: true };
    world.core.orders(None, vec![order]);
}

#[test]
fn a_release_that_runs_everywhere_waits_for_a_word_and_keeps_nobody_waiting() {
    let mut world = arrived();
    world.steps(40);
    assert_eq!(world.gates(KAFKA), ["finalize_approval"]);
    let state = world.report().remove(&product(KAFKA)).unwrap();
    assert_eq!(state.phase, Phase::Idle, "the lane is free for other products");
    assert!(state.waiting_on[0].message.contains("cluster-agent finalize acme/kafka"));
    assert!(state.waiting_on[0].message.contains("raises metadata.version"));
    assert!(!world.core.is_engaged());
    assert!(world.finalizes.is_empty());
}

#[test]
fn an_approved_step_runs_once_after_a_green_baseline_and_is_remembered_with_its_approver() {
    let mut world = arrived();
    world.core.standing.watch.clear();
    let approved_at = world.now_ms;
    approve(&mut world);
    world.step();
    assert_eq!(world.gates(KAFKA), ["baseline"]);
    assert!(world.core.is_engaged());
    world.until(200, |w| !w.finalizes.is_empty());
    assert!(world.now_ms - approved_at >= 7_000, "no baseline was held");
    world.step();
    assert_eq!(world.gates(KAFKA), ["finalizing"]);
    world.until(40, is_finalized);
    world.steps(100);
    assert_eq!(world.finalizes.len(), 1);
    assert_eq!(world.gates(KAFKA), Vec::<String>::new());
    let record = &world.disk.products[&product(KAFKA)];
    let done = &record.finalized[0];
    assert_eq!((done.release.to_string(), &*done.level, &*done.by), ("4.0.0".into(), "4.0", "ada"));
    assert_eq!(record.finalization, None);
    world.check();
}

#[test]
fn an_approval_of_another_release_or_of_other_bytes_is_none() {
    let mut world = arrived();
    let right = approval(&world);
    let other_release = FinalizeApproval { release: version("4.1.0"), ..right.clone() };
    let release_digest = signing::Sha256Digest::of(b"other bytes");
    let other_bytes = FinalizeApproval { release_digest, ..right.clone() };
    let other_product = FinalizeApproval { product: product("acme/platform"), ..right };
    for wrong in [other_release, other_bytes, other_product] {
        world.core.finalize_approved(vec![wrong]);
        world.steps(60);
        assert_eq!(world.gates(KAFKA), ["finalize_approval"]);
        assert!(world.finalizes.is_empty());
    }
}

#[test]
fn without_a_command_an_approval_does_nothing_and_the_reason_says_what_to_configure() {
    let mut world = arrived();
    world.rule(KAFKA, |rules| rules.finalize.configured = false);
    approve(&mut world);
    world.steps(60);
    assert!(world.finalizes.is_empty());
    let state = world.report().remove(&product(KAFKA)).unwrap();
    assert_eq!(state.waiting_on[0].gate, "finalize_approval");
    assert!(state.waiting_on[0].message.contains("[products.finalize]"), "{state:?}");
}

#[test]
fn a_failed_step_pauses_with_its_output_and_is_run_again_only_with_a_new_word() {
    let mut world = arrived();
    world.finalize_says_no = Some("ghost controller 9 is registered".to_owned());
    approve(&mut world);
    world.until(200, |w| w.core.history.pause.is_some());
    let pause = world.core.history.pause.clone().unwrap();
    assert_eq!(pause.why.gate, "finalize_failed");
    assert!(pause.why.message.contains("ghost controller 9"), "{pause:?}");
    let state = world.report().remove(&product(KAFKA)).unwrap();
    assert_eq!(state.phase, Phase::Paused);
    world.finalize_says_no = None;
    world.resume();
    world.steps(100);
    assert_eq!(world.finalizes.len(), 1, "the old approval is used up");
    assert_eq!(world.gates(KAFKA), ["finalize_approval"]);
    approve(&mut world);
    world.answer();
    world.until(200, is_finalized);
    assert_eq!(world.finalizes.len(), 2);
}

#[test]
fn a_command_that_cannot_be_started_pauses_instead_of_looping() {
    let mut world = arrived();
    world.finalize_error = Some("no such file");
    approve(&mut world);
    world.until(200, |w| w.core.history.pause.is_some());
    let pause = world.core.history.pause.clone().unwrap();
    assert_eq!(pause.why.gate, "finalize_failed");
    assert!(pause.why.message.contains("no such file"), "{pause:?}");
}

#[test]
fn an_agent_that_dies_around_the_step_finds_it_again_and_never_runs_it_twice() {
    for (change, death) in [
        (0, Death::BeforePersist),
        (0, Death::AfterPersist),
        (0, Death::AfterEffect),
        (1, Death::BeforePersist),
        (1, Death::AfterPersist),
    ] {
        let mut world = arrived();
        let word = approval(&world);
        world.core.finalize_approved(vec![word.clone()]);
        world.die_in = Some((change, death));
        for _ in 0..300 {
            world.step();
            // What people approved is in a file, which a new process reads.
            world.core.finalize_approved(vec![word.clone()]);
            if world.core.standing.answered_report_at.is_none() {
                world.answer();
            }
            if is_finalized(&world) {
                break;
            }
        }
        assert!(is_finalized(&world), "{death:?} at {change}: {}", world.text());
        assert_eq!(world.finalizes.len(), 1, "{death:?} at {change}");
        assert_eq!(world.core.history.pause, None);
    }
}

#[test]
fn whatever_is_not_well_keeps_the_step_from_running_and_is_named() {
    let ill = |w: &mut World| w.sim.set_fault(&unit("c-2"), Fault::Lag { ms: 9_000 }).unwrap();
    let gone = |w: &mut World| w.sim.set_fault(&unit("n-2"), Fault::Hang).unwrap();
    let held = |w: &mut World| {
        let hold = LocalHold { reason: "audit".to_owned(), since: w.now() };
        w.core.orders(Some(hold), vec![]);
    };
    let lease = |w: &mut World| {
        let since = w.now();
        w.core.leased(Some(LeaseFact::Elsewhere { holder: "other".to_owned(), since }));
    };
    let change = |w: &mut World| {
        let (what, since) = ("replace controller 3".to_owned(), w.now());
        w.core.quorum_change(Some(QuorumChange { product: product(KAFKA), what, since }));
    };
    let closed = |w: &mut World| {
        let frozen = r#"{"time_zone":"UTC","freezes":[
            {"from":"2020-01-01","until":"2100-01-01","reason":"year's end"}]}"#;
        w.rule(KAFKA, |rules| rules.windows = serde_json::from_str(frozen).unwrap());
    };
    let silent = |w: &mut World| {
        let now = w.now();
        w.core.unheard("connection refused".to_owned(), None, now);
    };
    let cases: [(&str, Trouble<'_>); 7] = [
        ("quorum_lag", &ill),
        ("unreachable", &gone),
        ("hold", &held),
        ("lease", &lease),
        ("quorum_change", &change),
        ("freeze", &closed),
        ("hub_unreachable", &silent),
    ];
    for (gate, trouble) in cases {
        let mut world = arrived();
        world.core.standing.watch.clear();
        approve(&mut world);
        trouble(&mut world);
        world.steps(100);
        assert!(world.finalizes.is_empty(), "{gate} did not hold it up");
        assert!(world.gates(KAFKA).contains(&gate.to_owned()), "{gate}: {:?}", world.gates(KAFKA));
    }
}

#[test]
fn before_it_is_finalized_a_release_can_be_left_on_request_and_the_product_stays_there() {
    let mut world = arrived();
    order_back(&mut world, "3.9.0");
    world.until(1_500, |w| w.runs(KAFKA) == "3.9.0");
    world.steps(100);
    assert_eq!(world.gates(KAFKA), Vec::<String>::new(), "auto does not go up again by itself");
    assert_eq!(world.core.history.products[&product(KAFKA)].finalization, None);
}

#[test]
fn in_mid_roll_it_goes_back_where_the_document_allows_it() {
    let mut world = world_of(&Build { nodes: 0, ..Build::default() }, &[(0, 1), (1, 0)]);
    world.until(600, |w| w.sim.state().ledger.restarts.len() == 1 && w.core.history.out.is_none());
    order_back(&mut world, "3.9.0");
    world.until(600, |w| w.sim.state().ledger.restarts.len() == 2 && w.core.history.out.is_none());
    world.steps(40);
    let restarts = world.sim.state().ledger.restarts;
    assert_eq!(restarts.len(), 2);
    assert_eq!((&restarts[1].unit, &*restarts[1].to), (&restarts[0].unit, "3.9.0"));
    assert_eq!(world.runs(KAFKA), "3.9.0");
    assert_eq!(world.core.history.products[&product(KAFKA)].roll, None);
}

#[test]
fn in_mid_roll_a_way_back_that_nobody_offers_is_refused_and_it_does_not_go_on_either() {
    let mut world = world_of(&Build { nodes: 0, ..Build::default() }, &[(0, 1)]);
    world.until(600, |w| w.sim.state().ledger.restarts.len() == 1 && w.core.history.out.is_none());
    order_back(&mut world, "3.9.0");
    world.steps(100);
    assert_eq!(world.sim.state().ledger.restarts.len(), 1);
    assert_eq!(world.gates(KAFKA), ["no_way"]);
}

#[test]
fn after_it_was_finalized_there_is_no_way_back_whoever_asks() {
    let mut world = arrived();
    approve(&mut world);
    world.until(200, is_finalized);
    order_back(&mut world, "3.9.0");
    world.steps(100);
    assert_eq!(world.gates(KAFKA), ["finalized"]);
    assert_eq!(world.runs(KAFKA), "4.0.0");
    let policy = world.core.policy.products.get_mut(&product(KAFKA)).unwrap();
    policy.pin = Some(version("3.9.0"));
    world.core.orders(None, vec![]);
    world.steps(20);
    assert_eq!(world.gates(KAFKA), ["finalized"], "a pin cannot go back either");
    world.kill();
    order_back(&mut world, "3.9.0");
    world.steps(20);
    assert_eq!(world.gates(KAFKA), ["finalized"], "remembered for ever");
}

#[test]
fn the_next_release_waits_until_this_one_is_finalized() {
    let mut world = world_of(&Build { nodes: 0, ..Build::default() }, &[(0, 1), (1, 2)]);
    world.until(1_500, |w| w.runs(KAFKA) == "4.0.0");
    world.steps(60);
    let gates = world.gates(KAFKA);
    assert_eq!(gates, ["finalize_pending", "finalize_approval"]);
    world.answer();
    approve(&mut world);
    world.until(1_500, |w| w.runs(KAFKA) == "4.1.0");
    world.step();
    let record = &world.core.history.products[&product(KAFKA)];
    assert_eq!(record.finalized.len(), 1);
    assert_eq!(record.finalization.as_ref().unwrap().level, "4.1");
    world.check();
}

#[test]
fn the_next_release_goes_on_where_its_owner_lets_the_level_lag() {
    let mut world = world_of(&Build { nodes: 0, ..Build::default() }, &[(0, 1), (1, 2)]);
    world.rule(KAFKA, |rules| rules.finalize.required_before_next = false);
    world.until(2_500, |w| w.runs(KAFKA) == "4.1.0");
    let pending = world.core.history.products[&product(KAFKA)].finalization.clone().unwrap();
    assert_eq!(pending.release, version("4.1.0"), "the newest level is what is left to finalize");
}

#[test]
fn a_patch_of_the_same_level_does_not_wait_and_takes_the_open_step_over() {
    let build = Build { nodes: 0, ..Build::default() };
    let mut world = world_of(&build, &[(0, 1), (1, 2), (2, 3)]);
    world.until(1_500, |w| w.runs(KAFKA) == "4.0.0");
    world.answer();
    approve(&mut world);
    world.until(2_500, |w| w.runs(KAFKA) == "4.1.1");
    let pending = world.core.history.products[&product(KAFKA)].finalization.clone().unwrap();
    assert_eq!((pending.release, &*pending.level), (version("4.1.1"), "4.1"));
    assert_eq!(world.finalizes.len(), 1, "only the first level");
}

#[test]
fn no_unit_of_any_product_starts_while_a_step_runs() {
    let mut world = world_of(&Build { nodes: 1, ..Build::default() }, &[(0, 1)]);
    world.hub = Hub::Grants;
    // The other product is not offered anything until the step runs.
    let mut all = known();
    let platform = all.remove(&product("acme/platform")).unwrap();
    all.insert(product(KAFKA), kafka(&[(0, 1)]));
    world.know(all.clone());
    world.until(1_500, |w| w.runs(KAFKA) == "4.0.0");
    world.answer();
    approve(&mut world);
    world.slow_checks = true;
    world.until(200, |w| !w.finalizes.is_empty());
    all.insert(product("acme/platform"), platform);
    world.know(all);
    world.steps(100);
    assert_eq!(world.sim.state().ledger.restarts.len(), 3, "controllers only");
    assert_eq!(world.gates("acme/platform"), ["finalizing"]);
    world.slow_checks = false;
    world.until(1_500, World::is_done);
    world.check();
}

#[test]
fn a_memory_without_finalize_steps_is_read_and_one_with_them_comes_back() {
    let world = arrived();
    let text = serde_json::to_string(&world.core.history).unwrap();
    let back: crate::history::History = serde_json::from_str(&text).unwrap();
    assert_eq!(back, world.core.history);
    let old = r#"{"version":"3.9.0","roll":null,"completed":[]}"#;
    let old: crate::history::ProductHistory = serde_json::from_str(old).unwrap();
    assert_eq!(old, crate::history::ProductHistory::new(version("3.9.0")));
}

/// A step that ended badly, and the time it did.
fn failed() -> World {
    let mut world = arrived();
    world.finalize_says_no = Some("timed out".to_owned());
    approve(&mut world);
    world.until(200, |w| w.core.history.pause.is_some());
    world.resume();
    world
}

fn state_unchanged(world: &mut World, release: &str, at: jiff::Timestamp) {
    let (release, by) = (version(release), "ada".to_owned());
    let stated = LevelUnchanged { product: product(KAFKA), release, at, by };
    let change = world.core.levels_unchanged(&[stated], world.now());
    if change.persist {
        world.disk = world.core.history.clone();
    }
}

#[test]
fn a_step_that_failed_may_have_taken_effect_and_nothing_goes_back_before_somebody_has_looked() {
    let mut world = failed();
    let failed_at = world.core.history.products[&product(KAFKA)].doubts[0].since;
    world.kill();
    order_back(&mut world, "3.9.0");
    world.steps(200);
    assert_eq!(world.runs(KAFKA), "4.0.0");
    let gates = world.gates(KAFKA);
    assert!(gates.contains(&"finalize_doubtful".to_owned()), "{gates:?}");
    let before = failed_at - jiff::SignedDuration::from_millis(1);
    state_unchanged(&mut world, "4.0.0", before);
    let now = world.now();
    state_unchanged(&mut world, "4.1.0", now);
    world.steps(200);
    assert_eq!(
        world.runs(KAFKA),
        "4.0.0",
        "an older look, or one at another release, says nothing"
    );
    let now = world.now();
    state_unchanged(&mut world, "4.0.0", now);
    world.until(1_500, |w| w.runs(KAFKA) == "3.9.0");
}

#[test]
fn a_step_that_failed_and_then_ended_well_leaves_no_doubt() {
    let mut world = failed();
    world.finalize_says_no = None;
    approve(&mut world);
    world.answer();
    world.until(200, is_finalized);
    assert_eq!(world.core.history.products[&product(KAFKA)].doubts, []);
    order_back(&mut world, "3.9.0");
    world.steps(20);
    assert_eq!(world.gates(KAFKA), ["finalized"]);
}

#[test]
fn arriving_elsewhere_does_not_forget_that_a_level_may_be_in_force() {
    let build = Build { nodes: 0, ..Build::default() };
    let mut world = world_of(&build, &[(0, 1), (1, 0), (1, 2)]);
    world.rule(KAFKA, |rules| rules.finalize.required_before_next = false);
    let release = version("4.0.0");
    let pinned = world.core.policy.products.get_mut(&product(KAFKA)).unwrap();
    pinned.pin = Some(release.clone());
    world.until(1_500, |w| w.runs(KAFKA) == "4.0.0");
    world.answer();
    world.finalize_says_no = Some("timed out".to_owned());
    approve(&mut world);
    world.until(200, |w| w.core.history.pause.is_some());
    world.core.finalize_approved(vec![]);
    world.core.policy.products.get_mut(&product(KAFKA)).unwrap().pin = None;
    world.resume();
    world.until(1_500, |w| w.runs(KAFKA) == "4.1.0");
    let record = &world.core.history.products[&product(KAFKA)];
    assert_eq!(record.doubts[0].release, release);
    assert_eq!(record.floor().unwrap().release, &release);
}

#[test]
fn a_command_that_never_started_leaves_the_way_back_open() {
    let mut world = arrived();
    world.finalize_error = Some("no such file");
    approve(&mut world);
    world.until(200, |w| w.core.history.pause.is_some());
    world.resume();
    order_back(&mut world, "3.9.0");
    world.until(1_500, |w| w.runs(KAFKA) == "3.9.0");
}

#[test]
fn the_step_runs_only_after_a_word_of_the_hub_that_is_not_old() {
    let mut world = arrived();
    // Longer ago than `grant_max_age_ms`: a hold may have been placed since.
    world.steps(100);
    approve(&mut world);
    world.steps(100);
    assert!(world.finalizes.is_empty(), "nobody has asked the hub");
    assert_eq!(world.gates(KAFKA), ["hub_word"]);
    assert!(world.core.wants_word, "the agent has to ask");
    world.answer();
    world.until(10, |w| !w.finalizes.is_empty());
    world.step();
    assert!(!world.core.wants_word);
}
