//! Windows, freezes, paused pools and zones: when a unit may start, and which is next.

use channels::rollout::Calendar;
use channels::wire::Role;
use jiff::{SignedDuration, Timestamp};

use super::world::{Build, World, unit};

const KAFKA: &str = "acme/kafka";
const PLATFORM: &str = "acme/platform";

/// Open for `minutes` from `from` on, and then not for a day.
fn window(from: Timestamp, minutes: i64) -> Calendar {
    let start = from.to_zoned(jiff::tz::TimeZone::UTC);
    let all = r#"["mon","tue","wed","thu","fri","sat","sun"]"#;
    let text = format!(
        r#"{{"time_zone":"UTC","windows":[
            {{"days":{all},"start":"{}","duration":"{minutes}m"}}]}}"#,
        start.strftime("%H:%M:%S")
    );
    serde_json::from_str(&text).unwrap()
}

fn frozen(reason: &str) -> Calendar {
    let text = format!(
        r#"{{"time_zone":"UTC","freezes":[
            {{"from":"2020-01-01","until":"2100-01-01","reason":"{reason}"}}]}}"#
    );
    serde_json::from_str(&text).unwrap()
}

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

fn refused(world: &mut World, gate: &str) -> channels::wire::WaitingOn {
    world.steps(60);
    assert_eq!(world.sim.state().ledger.restarts, [], "{}", world.text());
    let state = world.report().remove(&KAFKA.parse().unwrap()).unwrap();
    let found = state.waiting_on.iter().find(|why| why.gate == gate).cloned();
    found.unwrap_or_else(|| panic!("{gate} not in {:#?}", state.waiting_on))
}

#[test]
fn nothing_starts_outside_the_windows_and_it_is_said_when_the_next_one_opens() {
    let mut world = World::new(&Build { nodes: 0, ..Build::default() });
    let opens = world.now() + minutes(60);
    world.rule(KAFKA, |rules| rules.windows = window(opens, 60));
    let why = refused(&mut world, "window");
    assert!(why.message.contains(&format!("it opens at {opens:.0}")), "{why:?}");
    assert!(!world.core.is_engaged(), "a closed window is no matter of seconds");
    world.now_ms += 3_600_000;
    world.until(400, |w| w.sim.state().ledger.restarts.len() == 1);
}

#[test]
fn a_freeze_stops_everything_and_says_why() {
    let mut world = World::new(&Build { nodes: 0, ..Build::default() });
    world.rule(KAFKA, |rules| rules.windows = frozen("end of the year"));
    let why = refused(&mut world, "freeze");
    assert!(why.message.contains("end of the year"), "{why:?}");
}

#[test]
fn a_pools_own_windows_count_beside_those_of_its_product() {
    let mut world = World::new(&Build { nodes: 0, ..Build::default() });
    world.rule(KAFKA, |rules| {
        rules.pools.entry("pool".parse().unwrap()).or_default().windows = frozen("new racks");
    });
    let why = refused(&mut world, "freeze");
    assert!(why.message.contains("of pool pool: new racks"), "{why:?}");
}

#[test]
fn no_unit_of_a_paused_pool_starts() {
    let mut world = World::new(&Build { nodes: 0, ..Build::default() });
    world.rule(KAFKA, |rules| {
        rules.pools.entry("pool".parse().unwrap()).or_default().paused = true;
    });
    let why = refused(&mut world, "pool_paused");
    assert!(why.message.contains("pool pool"), "{why:?}");
    world.rule(KAFKA, |rules| rules.pools.clear());
    world.until(400, |w| w.sim.state().ledger.restarts.len() == 1);
}

#[test]
fn no_unit_starts_that_cannot_finish_inside_its_window() {
    let mut world = World::new(&Build { nodes: 0, ..Build::default() });
    let opens = world.now() - minutes(50);
    world.rule(KAFKA, |rules| rules.windows = window(opens, 60));
    // Nothing has been learnt yet: the owner expects a quarter of an hour.
    world.core.policy.timings.expected_ms.insert(Role::Controller, 900_000);
    let why = refused(&mut world, "window_too_short");
    assert_eq!(why.limit, Some(900_000.0));
    assert!(why.observed.unwrap() < 600_000.0, "{why:?}");
    world.core.policy.timings.expected_ms.insert(Role::Controller, 60_000);
    world.until(400, |w| w.sim.state().ledger.restarts.len() == 1);
}

#[test]
fn what_a_step_takes_is_learnt_from_the_steps_before_it() {
    let mut world = World::new(&Build { nodes: 0, ..Build::default() });
    world.until(600, |w| w.sim.state().ledger.restarts.len() == 1 && w.core.history.out.is_none());
    let taken = world.core.history.products[&KAFKA.parse().unwrap()].step_ms.clone();
    let took_ms = taken[&Role::Controller][0];
    assert!((5_000..120_000).contains(&took_ms), "{took_ms}");
    // A window that is shorter than the deadlines and longer than that step lets the next one go.
    let opens = world.now();
    world.rule(KAFKA, |rules| rules.windows = window(opens, 2));
    assert!(world.core.policy.timings.expected(Role::Controller) > 120_000);
    world.until(100, |w| w.sim.state().ledger.restarts.len() == 2);
}

#[test]
fn a_step_that_was_paused_teaches_nothing() {
    let mut world = World::new(&Build { nodes: 0, ..Build::default() });
    let soaks = |w: &World| {
        let out = w.core.history.out.as_ref();
        out.is_some_and(|out| matches!(out.phase, crate::phase::Phase::Soak { .. }))
    };
    world.until(400, soaks);
    world.core.history.out.as_mut().unwrap().disturbed = true;
    world.until(400, |w| w.core.history.out.is_none());
    assert!(world.core.history.products[&KAFKA.parse().unwrap()].step_ms.is_empty());
}

#[test]
fn a_window_that_closes_does_not_touch_the_unit_that_is_out() {
    let mut world = World::new(&Build { controllers: 3, nodes: 1, ..Build::default() });
    world.until(1_500, |w| w.core.history.out.as_ref().is_some_and(|o| o.role() == Role::Node));
    world.rule(PLATFORM, |rules| rules.windows = frozen("now"));
    world.until(400, |w| w.runs(PLATFORM) == "1.33.0");
    world.check();
}

fn nodes_in_order(world: &World) -> Vec<String> {
    let restarts = world.sim.state().ledger.restarts;
    restarts.iter().filter(|r| r.role == Role::Node).map(|r| r.unit.to_string()).collect()
}

#[test]
fn zones_are_rolled_one_after_another_in_the_order_of_the_pool() {
    let build = Build { nodes: 5, hosts_agent: Some("n-3"), ..Build::default() };
    let mut world = World::new(&build);
    world.rule(PLATFORM, |rules| {
        let zones = [("n-1", "b"), ("n-2", "a"), ("n-3", "b"), ("n-4", "c")];
        rules.zones = zones.map(|(name, zone)| (unit(name), zone.to_owned())).into();
        let pool = rules.pools.entry("pool".parse().unwrap()).or_default();
        pool.zones = vec!["b".to_owned()];
    });
    world.until(2_500, World::is_done);
    // Zone b is listed and so first; a and c follow by name; n-5 has none; the agent's host is last.
    assert_eq!(nodes_in_order(&world), ["n-1", "n-2", "n-4", "n-5", "n-3"]);
    world.check();
}

#[test]
fn a_product_outside_its_windows_lets_another_one_pass_and_comes_back() {
    let mut world = World::new(&Build::default());
    world.rule(KAFKA, |rules| rules.windows = frozen("end of the year"));
    world.until(1_500, |w| w.runs(PLATFORM) == "1.33.0");
    assert_eq!(world.runs(KAFKA), "3.9.0");
    world.rule(KAFKA, |rules| rules.windows = Calendar::default());
    world.until(1_500, World::is_done);
    assert!(world.sim.state().ledger.max_out <= 1);
}

#[test]
fn a_paused_pool_does_not_keep_another_pool_of_its_role_waiting() {
    let mut world = World::new(&Build { controllers: 3, nodes: 3, ..Build::default() });
    world.move_to_pool("n-1", "canaries");
    world.rule(PLATFORM, |rules| {
        rules.pools.entry("canaries".parse().unwrap()).or_default().paused = true;
    });
    world.until(2_500, |w| nodes_in_order(w).len() == 2);
    world.steps(100);
    assert_eq!(nodes_in_order(&world), ["n-2", "n-3"]);
    assert_eq!(world.gates(PLATFORM), ["pool_paused"]);
    world.rule(PLATFORM, |rules| rules.pools.clear());
    world.until(1_500, World::is_done);
    world.check();
}
