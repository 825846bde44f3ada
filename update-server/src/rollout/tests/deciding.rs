//! Who may start, who may go on, and what people can do about it.

use super::*;
use channels::rollout::ClusterState;

fn hold(ring: Option<&str>) -> RolloutCommand {
    let ring = ring.map(|ring| ring.parse().unwrap());
    RolloutCommand::Hold { ring, reason: "careful".to_owned() }
}

#[test]
fn a_step_that_is_not_served_opens_no_rollout() {
    let mut site = Site::new(OPEN, &["a"]);
    site.clusters[0].1.version = version("1.1.0");
    assert_eq!(codes(&site.ask(0, "1.0.0", 1)), ["not_served"]);
    assert_eq!(site.rollouts.views(minute(1)).len(), 1);
}

#[test]
fn nobody_starts_before_the_fleet_was_counted() {
    let mut site = Site::new(OPEN, &["a"]);
    site.restart();
    assert_eq!(codes(&site.ask(0, "1.1.0", 1)), ["not_counted"]);
    site.tick(1);
    assert_eq!(site.ask(0, "1.1.0", 1), go());
}

#[test]
fn a_grant_that_lapses_frees_its_place_and_is_no_failure() {
    let mut site = Site::new(&OPEN.replace("concurrent: 2", "concurrent: 1"), &["a", "a"]);
    assert_eq!(site.ask(0, "1.1.0", 1), go());
    assert_eq!(codes(&site.ask(1, "1.1.0", 2)), ["cap_concurrent"]);
    site.tick(16);
    assert_eq!(codes(&site.ask(1, "1.1.0", 16)), ["cap_concurrent"], "a report may be on its way");
    site.tick(17);
    assert_eq!(site.ask(1, "1.1.0", 17), go());
    assert!(site.view(17).failures.is_empty());
}

#[test]
fn a_lapsed_grant_counts_in_its_period_also_after_a_restart() {
    let policy = OPEN.replace("concurrent: 2", "per_period: {grants: 1, period: 1h}");
    let mut site = Site::new(&policy, &["a", "a"]);
    assert_eq!(site.ask(0, "1.1.0", 1), go());
    site.tick(30);
    site.restart();
    site.tick(30);
    assert_eq!(codes(&site.ask(1, "1.1.0", 30)), ["cap_period"]);
    assert_eq!(site.ask(1, "1.1.0", 61), go());
}

#[test]
fn a_cluster_that_begins_after_its_grant_lapsed_is_watched_and_counted() {
    let mut site = Site::new(&OPEN.replace("concurrent: 2", "concurrent: 1"), &["a", "a"]);
    assert_eq!(site.ask(0, "1.1.0", 1), go());
    site.tick(20);
    site.hear(0, rolling(&site.releases, "1.0.0", "1.1.0"), 21);
    assert_eq!(codes(&site.ask(1, "1.1.0", 22)), ["cap_concurrent"]);
    site.tick(90);
    let failed = site.attempt(0, 90).state;
    assert!(matches!(failed, ClusterState::Failed { .. }), "it fell silent: {failed:?}");
}

#[test]
fn windows_and_caps_are_for_starts_and_stops_are_for_everybody() {
    let windows = "calendar: {time_zone: UTC, windows: [{days: [mon], start: '08:00', duration: \
                   1h}]}\ncaps: {concurrent: 1}\n";
    let mut site = Site::new(&OPEN.replace("caps: {concurrent: 2}\n", windows), &["a", "a"]);
    assert_eq!(site.ask(0, "1.1.0", 1), go());
    site.hear(0, rolling(&site.releases, "1.0.0", "1.1.0"), 2);
    assert_eq!(codes(&site.ask(1, "1.1.0", 61)), ["outside_windows", "cap_concurrent"]);
    assert_eq!(site.ask(0, "1.1.0", 61), go());
    site.command(&hold(None), 62).unwrap();
    let held = site.ask(0, "1.1.0", 63);
    assert_eq!((codes(&held), matches!(held, Turn::Hold { .. })), (vec!["held"], true));
}

#[test]
fn a_hold_of_one_ring_stops_that_ring() {
    let rings = "rings: [{name: a, select: {match_labels: {ring: a}}}, {name: rest, rest: true}]";
    let policy = OPEN.replace("rings: [{name: all, rest: true}]", rings);
    let mut site = Site::new(&policy, &["a", "a", "b"]);
    site.succeed(0, 1);
    site.hear(0, record(&site.releases, "1.1.0"), 69);
    site.tick(70);
    assert_eq!(site.ask(1, "1.1.0", 71), go());
    site.command(&hold(Some("a")), 72).unwrap();
    assert_eq!(codes(&site.ask(1, "1.1.0", 73)), ["held"]);
    assert_eq!(site.ask(2, "1.1.0", 73), go());
    let release = RolloutCommand::Release { ring: Some("a".parse().unwrap()), reason: "ok".into() };
    site.command(&release, 74).unwrap();
    assert_eq!(site.ask(1, "1.1.0", 75), go());
    let again = site.command(&release, 76);
    assert_eq!(again, Err(RolloutRefusal::NotHeld { id: FIRST }));
}

#[test]
fn a_cluster_that_somebody_holds_in_mid_roll_does_not_run_out_of_time() {
    let policy = OPEN.to_owned() + "deadlines: {progress: 2h}\n";
    let mut site = Site::new(&policy, &["a"]);
    assert_eq!(site.ask(0, "1.1.0", 1), go());
    site.hear(0, rolling(&site.releases, "1.0.0", "1.1.0"), 2);
    site.holds.push(Hold {
        id: 1,
        scope: channels::wire::HoldScope::Cluster { cluster: id(0) },
        reason: "careful".to_owned(),
        by: "ann".to_owned(),
        at: minute(3),
        resumed_at: None,
        resumed_by: None,
    });
    for at in (3..300).step_by(10) {
        site.hear(0, rolling(&site.releases, "1.0.0", "1.1.0"), at);
        site.tick(at);
    }
    site.holds.clear();
    site.tick(300);
    assert!(matches!(site.attempt(0, 300).state, ClusterState::Rolling { .. }));
    site.hear(0, rolling(&site.releases, "1.0.0", "1.1.0"), 425);
    assert!(matches!(site.attempt(0, 425).state, ClusterState::Failed { .. }));
}

#[test]
fn a_newer_release_takes_the_place_where_it_can_be_had_directly() {
    let mut site = Site::new(OPEN, &["a", "a", "a"]);
    assert_eq!(site.ask(0, "1.1.0", 1), go());
    site.hear(0, rolling(&site.releases, "1.0.0", "1.1.0"), 2);
    site.releases.edges.push((version("1.1.0"), version("1.2.0")));
    site.offer(3);
    site.tick(3);
    assert_eq!(site.view(3).superseded_by, Some(RolloutId(2)));
    assert_eq!(site.ask(1, "1.1.0", 4), go(), "it is a step on the way");
    site.releases.edges.push((version("1.0.0"), version("1.2.0")));
    let superseded = site.ask(2, "1.1.0", 5);
    assert_eq!(codes(&superseded), ["superseded"]);
    let Turn::Wait { reasons, .. } = superseded else { panic!() };
    assert!(reasons[0].message.contains("rollout 2"), "{reasons:?}");
    assert_eq!(site.ask(0, "1.1.0", 5), go(), "what is under way goes on");
    site.hear(1, paused(&site.releases, "1.0.0", "1.1.0", minute(6)), 6);
    site.hear(0, paused(&site.releases, "1.0.0", "1.1.0", minute(6)), 6);
    assert_eq!(codes(&site.ask(0, "1.1.0", 7)), ["halted"], "and halts it as before");
    assert_eq!(site.ask(2, "1.2.0", 7), Turn::Go { rollout: RolloutId(2) });
}

#[test]
fn a_cluster_that_may_not_have_the_newer_release_goes_to_the_older() {
    let mut site = Site::new(OPEN, &["a", "a"]);
    site.releases.edges.push((version("1.0.0"), version("1.2.0")));
    site.offer(3);
    site.tick(3);
    assert_eq!(codes(&site.ask(0, "1.1.0", 4)), ["superseded"]);
    assert_eq!(site.ask_up_to(0, "1.1.0", Some("1.1.0"), 5), go(), "it is pinned");
}

#[test]
fn a_cluster_that_goes_on_to_a_newer_release_leaves_the_older_rollout() {
    let mut site = Site::new(OPEN, &["a"]);
    site.succeed(0, 1);
    site.releases.edges.push((version("1.1.0"), version("1.2.0")));
    site.offer(10);
    site.tick(10);
    assert_eq!(site.ask(0, "1.2.0", 11), Turn::Go { rollout: RolloutId(2) });
    assert_eq!(site.rollouts.attempt(FIRST, Slot(0), minute(11)), None);
    assert!(site.rollouts.has_settled(FIRST, Slot(0)));
}

#[test]
fn an_emergency_needs_no_window_and_keeps_caps() {
    let windows = "calendar: {time_zone: UTC, windows: [{days: [tue], start: '08:00', duration: \
                   1h}]}\ncaps: {concurrent: 1}\n";
    let mut site = Site::new(&OPEN.replace("caps: {concurrent: 2}\n", windows), &["a", "a"]);
    assert_eq!(codes(&site.ask(0, "1.1.0", 1)), ["outside_windows"]);
    let emergency = RolloutCommand::Emergency { reason: "a hole".to_owned() };
    site.command(&emergency, 2).unwrap();
    site.restart();
    site.tick(3);
    assert_eq!(site.ask(0, "1.1.0", 3), go());
    assert_eq!(codes(&site.ask(1, "1.1.0", 3)), ["cap_concurrent"]);
}

#[test]
fn a_command_needs_a_reason_a_rollout_and_a_ring() {
    let mut site = Site::new(OPEN, &["a"]);
    let silent = RolloutCommand::Hold { ring: None, reason: " ".to_owned() };
    assert_eq!(site.command(&silent, 1), Err(RolloutRefusal::Reason));
    let ring = "no".parse().unwrap();
    assert_eq!(site.command(&hold(Some("no")), 1), Err(RolloutRefusal::NoRing { id: FIRST, ring }));
    let ring: channels::rollout::Name = "all".parse().unwrap();
    let approve = RolloutCommand::Approve { ring: ring.clone(), reason: "ok".to_owned() };
    let refused = RolloutRefusal::NoApprovalNeeded { id: FIRST, ring };
    assert_eq!(site.command(&approve, 1), Err(refused));
}

#[test]
fn a_draft_that_is_dropped_leaves_no_trace() {
    let mut site = Site::new(OPEN, &["a"]);
    let before = format!("{:?}", site.view(1));
    let mut overlay = Overlay::default();
    overlay.on(&site.rollouts).command(FIRST, &hold(None), "ann", minute(1)).unwrap();
    drop(overlay);
    assert_eq!(format!("{:?}", site.view(1)), before);
    assert_eq!(site.ask(0, "1.1.0", 1), go());
}

#[test]
fn a_cluster_half_way_to_a_superseded_release_goes_on_also_if_its_grant_lapsed() {
    let mut site = Site::new(OPEN, &["a"]);
    site.releases.edges.push((version("1.0.0"), version("1.2.0")));
    site.offer(1);
    site.tick(1);
    assert_eq!(codes(&site.ask(0, "1.1.0", 2)), ["superseded"]);
    let progress = Some(channels::wire::Progress { done: 1, total: 3 });
    let target = Some(version("1.1.0"));
    let waiting = Phase::Waiting;
    let half = record(&site.releases, "1.0.0");
    site.hear(0, ProductRecord { target, progress, phase: waiting, ..half }, 3);
    assert_eq!(site.ask(0, "1.1.0", 4), go());
}

/// Its first unit went out and never came back, and nothing of that was heard: it has done none.
#[test]
fn a_cluster_that_began_a_superseded_release_unheard_goes_on() {
    let mut site = Site::new(OPEN, &["a", "a"]);
    site.releases.edges.push((version("1.0.0"), version("1.2.0")));
    site.offer(1);
    site.tick(1);
    let progress = Some(channels::wire::Progress { done: 0, total: 3 });
    let target = Some(version("1.1.0"));
    let waiting = Phase::Waiting;
    let begun = record(&site.releases, "1.0.0");
    site.hear(0, ProductRecord { target, progress, phase: waiting, ..begun }, 3);
    assert_eq!(site.ask(0, "1.1.0", 4), go());
    assert_eq!(codes(&site.ask(1, "1.1.0", 4)), ["superseded"], "this one has begun nothing");
}
