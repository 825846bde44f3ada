//! Everything that goes wrong, changes or is ordered while a roll is under way.

use channels::names::UnitName;
use channels::rollout::Calendar;
use channels::wire::Role;
use jiff::SignedDuration;

use super::super::world::{Death, product, version};
use super::catalogue::{RiskKind, Unfit};
use super::hands::{CordonedBy, Fate};
use super::hub::{Hub, Misfit};
use super::network::{Trick, family};
use super::run::Run;
use super::shape::{KAFKA, PLATFORM, PRODUCTS};
use crate::driver::Task;
use crate::plan::{CheckOutcome, LeaseFact, Mode, QuorumChange, RiskOutcome, WaitingOn};
use crate::sim::Fault;
use crate::state::{Approval, FinalizeApproval, LocalHold};

/// One kind of event; the name is what the table counts.
type Event = (&'static str, fn(&mut Run));

/// Every kind; one is drawn at a time.
pub(super) const EVENTS: &[Event] = &[
    ("heals", heals),
    ("heals", heals),
    ("heals", heals),
    ("everything is well again", calm_signals),
    ("election", |run| run.sim.unseat_leader()),
    ("leader hangs", leader_hangs),
    ("leader is cut off", leader_is_cut_off),
    ("leader's page is stale", leader_is_stale),
    ("unit hangs", |run| fault(run, Fault::Hang)),
    ("unit is cut off", |run| fault(run, Fault::Cut)),
    ("page is stale", |run| fault(run, Fault::StalePage)),
    ("unit lags", unit_lags),
    ("relists hang", |run| fault(run, Fault::RelistStall)),
    ("metric vanishes", metric_vanishes),
    ("metric cannot be read", metric_unreadable),
    ("pages arrive late", |run| trick(run, Trick::Late)),
    ("pages are torn", |run| trick(run, Trick::Torn)),
    ("figures are not numbers", |run| trick(run, Trick::NotANumber)),
    ("metrics are renamed", |run| trick(run, Trick::Renamed)),
    ("pages are lost", |run| trick(run, Trick::Lost)),
    ("unit crashes", |run| crash(run, false)),
    ("unit crashes into the new version", |run| crash(run, true)),
    ("restart takes long", slow_restart),
    ("release is bad", bad_release),
    ("agent dies", Run::kill),
    ("agent dies", Run::kill),
    ("agent dies before it writes", |run| dies(run, Death::BeforePersist)),
    ("agent dies after it wrote", |run| dies(run, Death::AfterPersist)),
    ("agent dies after it acted", |run| dies(run, Death::AfterEffect)),
    ("agent stands still", stands_still),
    ("clock jumps ahead", |run| jump(run, 1)),
    ("clock jumps back", |run| jump(run, -1)),
    ("hub is silent", |run| hub(run, Hub::Silent)),
    ("hub holds", |run| hub(run, Hub::Holds)),
    ("hub says wait", |run| hub(run, Hub::Waits)),
    ("hub refuses the key", |run| hub(run, Hub::Disowns)),
    ("grants do not fit", misgrants),
    ("hub grants", |run| hub(run, Hub::Grants)),
    ("hub grants", |run| hub(run, Hub::Grants)),
    ("hub answers a report", Run::report),
    ("grants are short", |run| run.grant_lasts_ms = 1_000),
    ("hold on the cluster", hold),
    ("hold is lifted", |run| run.people.hold = None),
    ("approval", approve),
    ("approval", approve),
    ("order back", order_back),
    ("finalize approval", approve_finalize),
    ("finalize approval", approve_finalize),
    ("resume", resume),
    ("resume", resume),
    ("resume", resume),
    ("newer release", |run| publish(run, true)),
    ("newer release, no way from all", |run| publish(run, false)),
    ("edge withdrawn", withdraw),
    ("edge carries a risk", |run| risk(run, RiskKind::Always)),
    ("edge carries a question", |run| risk(run, RiskKind::Asked)),
    ("edge carries a question", |run| risk(run, RiskKind::Asked)),
    ("cluster is not exposed", |run| run.moment.risk = Some(RiskOutcome::Clear)),
    ("cluster is exposed", |run| run.moment.risk = Some(RiskOutcome::Matches)),
    ("exposure cannot be told", exposure_unknown),
    ("nobody answers about exposure", |run| run.moment.risk = None),
    ("release that is not for this cluster", unfit),
    ("it is taken back", fit_again),
    ("pin", pin),
    ("pin", pin),
    ("pin is removed", unpin),
    ("metadata expires", |run| expire(run, true)),
    ("metadata is fetched again", |run| expire(run, false)),
    ("edges are offered again", offer_again),
    ("metadata does not verify", |run| tamper(run, true)),
    ("metadata verifies again", |run| tamper(run, false)),
    ("stage fails", |run| fate(run, Fate::Fails)),
    ("stage cannot be started", |run| fate(run, Fate::Unstartable)),
    ("change leaves the old version", |run| {
        run.hands.fates.insert(Task::Mutate, Fate::OldVersion);
    }),
    ("stages are well", stages_are_well),
    ("stages are well", stages_are_well),
    ("driver is silent", |run| run.hands.silent = true),
    ("driver answers", |run| run.hands.silent = false),
    ("stages are slow", |run| run.hands.slow_ms = 8_000),
    ("person cordons", person_cordons),
    ("person uncordons", person_uncordons),
    ("node is not ready", not_ready),
    ("API server is silent", |run| run.moment.api_silent = true),
    ("API server answers", api_answers),
    ("alert fires", |run| run.moment.alert = true),
    ("alert is resolved", |run| run.moment.alert = false),
    ("lease is lost", lease_lost),
    ("lease runs out", lease_runs_out),
    ("lease is held", lease_held),
    ("lease is held", lease_held),
    ("voters are being changed", quorum_changes),
    ("voters are changed", |run| run.moment.quorum_change = None),
    ("check fails", |run| check(run, Some(CheckOutcome::Failed { why: "no space".to_owned() }))),
    ("check cannot be told", |run| check(run, Some(CheckOutcome::Unknown { why: "?".to_owned() }))),
    ("check is not made", |run| check(run, None)),
    ("check passes", |run| check(run, Some(CheckOutcome::Passed))),
    ("freeze", freeze),
    ("window closes soon", window_closes_soon),
    ("windows open", windows_open),
    ("windows open", windows_open),
    ("pool is paused", |run| pool(run, true)),
    ("pool goes on", |run| pool(run, false)),
];

/// One event.
pub(super) fn happens(run: &mut Run) {
    let index = usize::try_from(run.dice.below(EVENTS.len() as u64)).unwrap();
    let (name, event) = EVENTS[index];
    run.tally.event(name);
    run.say(&format!("* {name}"));
    event(run);
    super::laws::after_step(run);
}

/// The trouble ends: everything is as it should be, and people let things go.
pub(super) fn ends(run: &mut Run) {
    run.say("* the trouble ends");
    calm_signals(run);
    run.hub = if run.shape.hub { Hub::Grants } else { Hub::Absent };
    run.grant_lasts_ms = 900_000;
    run.people.hold = None;
    run.people.approvals.clear();
    run.hands.cordons.retain(|_, by| *by != CordonedBy::Person);
    run.court.cordoned_by_people.clear();
    stages_are_well(run);
    run.hands.silent = false;
    (run.moment.lease, run.moment.quorum_change, run.moment.alert) = (None, None, false);
    run.moment.check = Some(CheckOutcome::Passed);
    windows_open(run);
    pool(run, false);
    offer_again(run);
    tamper(run, false);
    expire(run, false);
    unpin(run);
    run.report();
    run.die_in = None;
    run.skew_ms = 0;
    run.looks.uneven_at_ms = Some(run.now_ms);
}

fn any(run: &mut Run) -> (UnitName, Role) {
    let index = usize::try_from(run.dice.below(run.targets.len() as u64)).unwrap();
    let target = &run.targets[index];
    (target.key.unit.clone(), target.role)
}

fn fault(run: &mut Run, fault: Fault) {
    let (name, _) = any(run);
    set(run, &name, fault);
}

fn set(run: &mut Run, name: &UnitName, fault: Fault) {
    run.say(&format!("  {name} {fault:?}"));
    run.sim.set_fault(name, fault);
}

fn heals(run: &mut Run) {
    let (name, _) = any(run);
    run.say(&format!("  {name}"));
    run.sim.clear_faults(&name);
    run.network.tricks.remove(&name);
}

fn calm_signals(run: &mut Run) {
    let names: Vec<UnitName> = run.targets.iter().map(|t| t.key.unit.clone()).collect();
    for name in names {
        run.sim.clear_faults(&name);
    }
    run.network.tricks.clear();
    run.sim.clear_defects();
    run.moment.not_ready.clear();
    run.moment.api_silent = false;
    run.moment.alert = false;
    run.hands.slow_ms = 0;
}

fn leader(run: &Run) -> Option<UnitName> {
    run.sim.voters().into_iter().find(|(_, voter)| voter.leads).map(|(name, _)| name)
}

fn leader_hangs(run: &mut Run) {
    if let Some(name) = leader(run) {
        set(run, &name, Fault::Hang);
    }
}

fn leader_is_cut_off(run: &mut Run) {
    if let Some(name) = leader(run) {
        set(run, &name, Fault::Cut);
    }
}

fn leader_is_stale(run: &mut Run) {
    if let Some(name) = leader(run) {
        set(run, &name, Fault::StalePage);
    }
}

fn unit_lags(run: &mut Run) {
    let ms = 500 + u32::try_from(run.dice.below(9_000)).unwrap();
    fault(run, Fault::Lag { ms });
}

fn metric_vanishes(run: &mut Run) {
    let (name, role) = any(run);
    let family = family(role, &mut run.dice).to_owned();
    set(run, &name, Fault::MissingMetric { family });
}

fn metric_unreadable(run: &mut Run) {
    let (name, role) = any(run);
    let family = family(role, &mut run.dice).to_owned();
    set(run, &name, Fault::Unreadable { family });
}

fn trick(run: &mut Run, trick: Trick) {
    let (name, _) = any(run);
    run.say(&format!("  {name} {trick:?}"));
    run.network.tricks.insert(name, trick);
}

fn crash(run: &mut Run, into_new: bool) {
    let (name, role) = any(run);
    let own = super::shape::product_of(role);
    let newest = run.catalogue.shelves[&own].newest();
    let away_ms = i64::try_from(run.dice.below(6_000)).unwrap();
    let id = run.id();
    run.say(&format!("  {name}, back after {away_ms} ms or more"));
    let _restarts_already = run.sim.crash(&name, id, into_new.then_some(newest), away_ms);
}

fn slow_restart(run: &mut Run) {
    if let Some(change) = &run.court.change {
        let more_ms = 5_000 + i64::try_from(run.dice.below(30_000)).unwrap();
        run.sim.delay(&change.unit, more_ms);
    }
}

fn bad_release(run: &mut Run) {
    let index = run.dice.below(3);
    let newest = run.catalogue.shelf(index).newest();
    run.sim.set_defect(newest, Fault::Lag { ms: 8_000 });
}

fn dies(run: &mut Run, death: Death) {
    let changes = u32::try_from(run.dice.below(4)).unwrap();
    run.die_in = Some((changes, death));
}

fn stands_still(run: &mut Run) {
    run.stands_still_ms = 1_000 + i64::try_from(run.dice.below(40_000)).unwrap();
    run.looks.uneven_at_ms = Some(run.now_ms);
}

fn jump(run: &mut Run, sign: i64) {
    run.skew_ms += sign * i64::try_from(run.dice.below(120_000)).unwrap();
    run.looks.uneven_at_ms = Some(run.now_ms);
}

fn hub(run: &mut Run, hub: Hub) {
    if run.shape.hub {
        run.hub = hub;
        run.grant_lasts_ms = 900_000;
        run.report();
    }
}

fn misgrants(run: &mut Run) {
    let misfit = run.dice.below(Misfit::ALL.len() as u64);
    let misfit = Misfit::ALL[usize::try_from(misfit).unwrap()];
    run.say(&format!("  {misfit:?}"));
    hub(run, Hub::Misgrants(misfit));
}

pub(super) fn hold(run: &mut Run) {
    let since = run.now();
    run.people.hold = Some(LocalHold { reason: "drill".to_owned(), since });
}

fn resume(run: &mut Run) {
    if run.core.history.pause.is_some() {
        run.resume();
    }
}

/// A person approves the newest release of every product.
pub(super) fn approve(run: &mut Run) {
    let at = run.now();
    for name in PRODUCTS {
        let to = version(run.catalogue.shelves[&product(name)].newest());
        let approval = Approval { product: product(name), to, at, back: false };
        run.people.approvals.retain(|old| old.product != approval.product);
        run.people.approvals.push(approval);
    }
}

fn order_back(run: &mut Run) {
    let at = run.now();
    let approval = Approval { product: product(KAFKA), to: version("3.9.0"), at, back: true };
    run.people.approvals.retain(|old| old.product != approval.product);
    run.people.approvals.push(approval);
}

fn approve_finalize(run: &mut Run) {
    let at = run.now();
    let Some(record) = run.core.history.products.get(&product(KAFKA)) else { return };
    let Some(pending) = &record.finalization else { return };
    let approval = FinalizeApproval {
        product: product(KAFKA),
        release: pending.release.clone(),
        release_digest: pending.release_digest,
        at,
        by: "ada".to_owned(),
    };
    run.people.finalize.push(approval);
}

fn publish(run: &mut Run, from_everywhere: bool) {
    let index = run.dice.below(3);
    run.catalogue.shelf(index).publish(from_everywhere);
    run.news = true;
}

fn withdraw(run: &mut Run) {
    let index = run.dice.below(3);
    run.catalogue.shelf(index).edges.remove(&(0, 1));
    run.news = true;
}

fn risk(run: &mut Run, kind: RiskKind) {
    let index = run.dice.below(3);
    run.catalogue.shelf(index).risky.insert((0, 1), kind);
    run.news = true;
}

fn exposure_unknown(run: &mut Run) {
    run.moment.risk = Some(RiskOutcome::Failed { why: "no data".to_owned() });
}

fn unfit(run: &mut Run) {
    let (index, kind) = (run.dice.below(3), run.dice.below(Unfit::ALL.len() as u64));
    let kind = Unfit::ALL[usize::try_from(kind).unwrap()];
    run.say(&format!("  {kind:?}"));
    run.catalogue.shelf(index).unfit = Some(kind);
    run.news = true;
}

fn fit_again(run: &mut Run) {
    for shelf in run.catalogue.shelves.values_mut() {
        shelf.unfit = None;
    }
    run.news = true;
}

/// The owner pins a product to one of its releases.
fn pin(run: &mut Run) {
    let (index, draw) = (run.dice.below(3), run.dice.below(6));
    let text = run.catalogue.shelf(index).any(draw);
    let name = product(PRODUCTS[usize::try_from(index).unwrap()]);
    run.say(&format!("  {name} to {text}"));
    for policy in [&mut run.policy, &mut run.core.policy] {
        policy.products.get_mut(&name).unwrap().pin = Some(version(text));
    }
}

fn unpin(run: &mut Run) {
    for policy in [&mut run.policy, &mut run.core.policy] {
        policy.products.values_mut().for_each(|product| product.pin = None);
    }
}

fn expire(run: &mut Run, expired: bool) {
    run.catalogue.expired = expired;
    run.news = true;
}

fn offer_again(run: &mut Run) {
    for shelf in run.catalogue.shelves.values_mut() {
        shelf.mend();
    }
    run.news = true;
}

fn tamper(run: &mut Run, tampered: bool) {
    run.catalogue.tampered = tampered;
    run.news = true;
}

fn fate(run: &mut Run, fate: Fate) {
    let index = usize::try_from(run.dice.below(Task::ALL.len() as u64)).unwrap();
    let stage = Task::ALL.into_iter().nth(index).unwrap();
    run.say(&format!("  {stage} {fate:?}"));
    run.hands.fates.insert(stage, fate);
}

fn stages_are_well(run: &mut Run) {
    run.hands.fates.clear();
    run.hands.slow_ms = 0;
}

fn person_cordons(run: &mut Run) {
    let (name, role) = any(run);
    if role == Role::Node && !run.hands.cordons.contains_key(&name) {
        run.hands.cordons.insert(name.clone(), CordonedBy::Person);
        run.court.cordoned_by_people.insert(name);
    }
}

fn person_uncordons(run: &mut Run) {
    run.hands.cordons.retain(|_, by| *by != CordonedBy::Person);
    run.court.cordoned_by_people.clear();
}

fn not_ready(run: &mut Run) {
    let (name, role) = any(run);
    if role == Role::Node {
        run.moment.not_ready.insert(name);
    }
}

fn api_answers(run: &mut Run) {
    run.moment.api_silent = false;
    run.moment.not_ready.clear();
}

pub(super) fn lease_lost(run: &mut Run) {
    let since = run.now();
    run.moment.lease = Some(LeaseFact::Elsewhere { holder: "another".to_owned(), since });
}

fn lease_runs_out(run: &mut Run) {
    run.moment.lease = Some(LeaseFact::Held { until: run.now() + SignedDuration::from_secs(5) });
}

fn lease_held(run: &mut Run) {
    run.moment.lease = Some(LeaseFact::Held { until: run.now() + SignedDuration::from_hours(9) });
}

fn quorum_changes(run: &mut Run) {
    let (what, since) = ("replace controller 3".to_owned(), run.now());
    run.moment.quorum_change = Some(QuorumChange { product: product(KAFKA), what, since });
}

fn check(run: &mut Run, outcome: Option<CheckOutcome>) {
    run.moment.check = outcome;
}

fn rule(run: &mut Run, change: impl Fn(&mut crate::plan::ProductRules)) {
    for policy in [&mut run.policy, &mut run.core.policy] {
        for product in policy.products.values_mut() {
            change(&mut product.rules);
        }
    }
}

pub(super) fn freeze(run: &mut Run) {
    let text = r#"{"time_zone":"UTC","freezes":[
        {"from":"2020-01-01","until":"2100-01-01","reason":"drill"}]}"#;
    let calendar: Calendar = serde_json::from_str(text).unwrap();
    rule(run, |rules| rules.windows = calendar.clone());
}

/// Open now, but not for as long as a unit takes.
fn window_closes_soon(run: &mut Run) {
    let start = (run.now() - SignedDuration::from_mins(59)).to_zoned(jiff::tz::TimeZone::UTC);
    let text = format!(
        r#"{{"time_zone":"UTC","windows":[{{
            "days":["mon","tue","wed","thu","fri","sat","sun"],
            "start":"{}","duration":"60m"}}]}}"#,
        start.strftime("%H:%M:%S")
    );
    let calendar: Calendar = serde_json::from_str(&text).unwrap();
    rule(run, |rules| rules.windows = calendar.clone());
}

fn windows_open(run: &mut Run) {
    rule(run, |rules| rules.windows = Calendar::default());
}

fn pool(run: &mut Run, paused: bool) {
    let name = product(PLATFORM);
    for policy in [&mut run.policy, &mut run.core.policy] {
        let rules = &mut policy.products.get_mut(&name).unwrap().rules;
        rules.pools.entry("pool".parse().unwrap()).or_default().paused = paused;
    }
}

/// A person takes back what nobody ordered: a unit that came up in a release that is neither where
/// its product was nor where it goes. The agent waits and names the unit, as it must: there may be no
/// way for it from there. What runs one of the two is left to `resume`, which takes it as it is.
fn take_back(run: &mut Run) {
    let plan = run.core.plan.iter();
    let told = plan.flat_map(|plan| plan.waiting_on.values().flatten());
    let foreign = told.filter(|why| matches!(why, WaitingOn::VersionUnknown { .. }));
    let mut strays: Vec<(UnitName, String)> = Vec::new();
    for name in foreign.filter_map(WaitingOn::unit).cloned() {
        let target = run.targets.iter().find(|target| target.key.unit == name).unwrap();
        let version = run.core.history.products[&target.key.product].version.to_string();
        strays.push((name, version));
    }
    if let Some(out) = &run.core.history.out
        && run.core.history.pause.as_ref().is_some_and(|pause| pause.why.gate == "health_overdue")
        && let Some(runs) = run.sim.version(&out.key().unit)
    {
        let record = &run.core.history.products[&out.key().product];
        let goal = record.roll.as_ref().map(|roll| roll.to.to_string());
        let known = [Some(record.version.to_string()), goal];
        if !known.iter().flatten().any(|version| version == runs) {
            strays.push((out.key().unit.clone(), out.order.component.version.clone()));
        }
    }
    for (name, version) in strays {
        run.say(&format!("{name} is taken back to {version}"));
        run.tally.event("unit is taken back");
        let id = run.id();
        let _restarts_already = run.sim.crash(&name, id, Some(&version), 0);
    }
}

/// What people still have to say once the trouble is over.
pub(super) fn act(run: &mut Run) {
    take_back(run);
    if run.shape.mode != Mode::Auto {
        approve(run);
    }
    resume(run);
    approve_finalize(run);
}
