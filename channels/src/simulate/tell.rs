//! From runs to the report.

use jiff::{SignedDuration, Timestamp};

use super::Settings;
use super::cast::Cast;
use super::fault::Fault;
use super::fleet::Fleet;
use super::report::{
    CURVE_POINTS_MAX, CurvePoint, Event, Exposure, FORMAT, Harm, HitAfter, LargestStep, Report,
    RingExposure, RingReport, Shadow, Totals, WaitReport, share,
};
use super::run::{Happening, RingTale, Sample, Tale};
use crate::rollout::{Period, Policy};

/// When exposure is told in a shadow run: the hours a person on duty thinks in.
const MARKS: [Period; 6] = [
    Period::from_hours(1),
    Period::from_hours(6),
    Period::from_hours(24),
    Period::from_hours(3 * 24),
    Period::from_hours(6 * 24),
    Period::from_hours(13 * 24),
];

/// The runs of one simulation.
pub(super) struct Runs {
    pub(super) plan: Tale,
    pub(super) actual: Tale,
    pub(super) unreadable: Option<Tale>,
    pub(super) unseen: Option<Tale>,
}

pub(super) fn report(
    policy: &Policy,
    fleet: &Fleet,
    faults: &[Fault],
    settings: &Settings,
    cast: &Cast<'_>,
    runs: &Runs,
) -> Report {
    let tale = &runs.actual;
    let clusters = cast.size();
    let last = last(tale);
    Report {
        format: FORMAT,
        policy: policy.name.clone(),
        fleet: fleet.name().to_owned(),
        release: settings.release.clone(),
        seed: settings.seed,
        step: settings.step,
        starts_at: tale.starts_at,
        faults: faults.iter().map(|fault| fault.text().to_owned()).collect(),
        clusters,
        in_no_ring: cast.in_no_ring,
        already_there: cast.already_there,
        ended: tale.ending,
        ended_after_s: secs(last.after),
        totals: Totals {
            begun: last.begun,
            succeeded: last.succeeded,
            failed: last.failed,
            in_flight: last.begun.saturating_sub(last.succeeded).saturating_sub(last.failed),
            not_started: clusters.saturating_sub(last.begun),
        },
        largest_step: largest_step(tale, clusters),
        in_flight_most: tale.in_flight_most,
        rings: rings(policy, runs),
        events: tale.happenings.iter().map(|happening| event(policy, tale, happening)).collect(),
        harm: harm(policy, cast, runs),
        waits: waits(tale),
        curve: curve(runs),
    }
}

fn last(tale: &Tale) -> Sample {
    tale.samples.last().copied().unwrap_or_default()
}

fn secs(after: SignedDuration) -> u64 {
    u64::try_from(after.as_secs()).unwrap_or(0)
}

fn since_start(tale: &Tale, at: Timestamp) -> u64 {
    secs(at.duration_since(tale.starts_at))
}

fn largest_step(tale: &Tale, clusters: u32) -> LargestStep {
    let mut largest = LargestStep { clusters: 0, share: share(0, clusters), after_s: 0 };
    let mut before = 0;
    for sample in &tale.samples {
        let new = sample.eligible.saturating_sub(before);
        before = sample.eligible;
        if new > largest.clusters {
            let after_s = secs(sample.after);
            largest = LargestStep { clusters: new, share: share(new, clusters), after_s };
        }
    }
    largest
}

fn rings(policy: &Policy, runs: &Runs) -> Vec<RingReport> {
    let Runs { plan, actual, .. } = runs;
    let rows = policy.rings.iter().zip(&actual.rings).enumerate();
    rows.map(|(index, (ring, tale))| {
        let planned = plan.rings.get(index).and_then(|ring| ring.opened_at);
        let at = |at: Option<Timestamp>| at.map(|at| since_start(actual, at));
        RingReport {
            name: ring.name.clone(),
            clusters: tale.clusters,
            planned_s: planned.map(|at| since_start(plan, at)),
            opened_s: at(tale.opened_at),
            first_grant_s: at(tale.first_grant_at),
            passed_s: at(tale.passed_at),
            converged_s: at(tale.converged_at),
            begun: tale.begun,
            succeeded: tale.succeeded,
            failed: tale.failed,
        }
    })
    .collect()
}

fn event(policy: &Policy, tale: &Tale, happening: &Happening) -> Event {
    let ring = happening.ring.and_then(|index| policy.rings.get(index));
    Event {
        after_s: since_start(tale, happening.at),
        at: happening.at,
        what: happening.code.to_owned(),
        ring: ring.map(|ring| ring.name.clone()),
        detail: happening.detail.clone(),
    }
}

fn harm(policy: &Policy, cast: &Cast<'_>, runs: &Runs) -> Option<Harm> {
    let (unreadable, unseen) = (runs.unreadable.as_ref()?, runs.unseen.as_ref()?);
    let tale = &runs.actual;
    let clusters = cast.size();
    let harmed = cast.rings.iter().flatten().filter(|player| player.fate.is_harmed()).count();
    let (first_hit_s, halted_s) = (
        tale.first_hit_at.map(|at| since_start(tale, at)),
        tale.first_halt_at.map(|at| since_start(tale, at)),
    );
    let rings = tale.at_halt.as_ref().unwrap_or(&tale.rings);
    let by_ring = policy.rings.iter().zip(rings);
    let by_ring = by_ring.map(|(ring, RingTale { begun, hit, .. })| RingExposure {
        ring: ring.name.clone(),
        begun: *begun,
        hit: *hit,
    });
    Some(Harm {
        harmed: super::cast::count(harmed),
        first_hit_s,
        halted_s,
        time_to_halt_s: halted_s.zip(first_hit_s).map(|(halt, hit)| halt.saturating_sub(hit)),
        before_halt: exposure(rings, clusters),
        at_end: exposure(&tale.rings, clusters),
        by_ring: by_ring.collect(),
        if_unreadable: shadow(unreadable, clusters),
        if_unseen: shadow(unseen, clusters),
    })
}

fn exposure(rings: &[RingTale], clusters: u32) -> Exposure {
    let hit = rings.iter().map(|ring| ring.hit).sum();
    let begun = rings.iter().map(|ring| ring.begun).sum();
    Exposure { begun, hit, hit_share: share(hit, clusters) }
}

fn shadow(tale: &Tale, clusters: u32) -> Shadow {
    let hit_by = |mark: Period| {
        let by = tale.samples.iter().take_while(|sample| sample.after <= mark.duration()).last();
        HitAfter { after_s: u64::from(mark.secs()), hit: by.map_or(0, |sample| sample.hit) }
    };
    Shadow {
        ended: tale.ending,
        at_end: exposure(&tale.rings, clusters),
        hit_after: MARKS.into_iter().map(hit_by).collect(),
    }
}

fn waits(tale: &Tale) -> Vec<WaitReport> {
    let mut waits: Vec<(u64, WaitReport)> = tale
        .waits
        .iter()
        .map(|(reason, wait)| {
            let report = WaitReport {
                reason: (*reason).to_owned(),
                cluster_hours: (wait.cluster_secs + 1_800) / 3_600,
                most: wait.most,
                first_s: since_start(tale, wait.first_at),
                example: wait.example.clone(),
            };
            (wait.cluster_secs, report)
        })
        .collect();
    waits.sort_by(|(a, x), (b, y)| b.cmp(a).then_with(|| x.reason.cmp(&y.reason)));
    waits.into_iter().map(|(_, report)| report).collect()
}

/// Both runs side by side, as long as the longer one: every nth step, the last, and those at which
/// the rollout stops or goes on.
fn curve(runs: &Runs) -> Vec<CurvePoint> {
    let (plan, actual) = (&runs.plan.samples, &runs.actual.samples);
    let longer = if plan.len() > actual.len() { plan } else { actual };
    let length = longer.len();
    let every = length.div_ceil(CURVE_POINTS_MAX - 1).max(1);
    let at = |samples: &[Sample], index: usize| {
        samples.get(index).or(samples.last()).copied().unwrap_or_default()
    };
    let mut flips = 0;
    let told = longer.iter().enumerate().filter(|(index, _)| {
        let before = at(actual, index.saturating_sub(1));
        let flipped = before.stopped != at(actual, *index).stopped && flips < CURVE_POINTS_MAX;
        flips += usize::from(flipped);
        index % every == 0 || index + 1 == length || flipped
    });
    told.map(|(index, sample)| {
        let now = at(actual, index);
        CurvePoint {
            after_s: secs(sample.after),
            planned: at(plan, index).eligible,
            eligible: now.eligible,
            begun: now.begun,
            succeeded: now.succeeded,
            failed: now.failed,
            stopped: now.stopped,
        }
    })
    .collect()
}
