//! The course of a rollout: how many clusters its policy meant to let go by when, how many went, and
//! how many it will have let go if nothing stops it.
//!
//! Pure. A plan knows no clusters, only curves, windows and gates: a ring opens for it as soon as its
//! gates could pass, so what it says of the future is the earliest that can be.

use channels::rollout::{Calendar, Decision, Policy, Ring, Share};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::rollouts::Rollouts;
use super::state::{Head, RolloutId};
use super::view::RolloutStatus;
use crate::fleet::Slot;

/// Most points of one line: a chart is some hundred pixels wide, and each is a row of its table.
pub const COURSE_POINTS: usize = 96;

/// Just before a step of a curve.
const BEFORE: SignedDuration = SignedDuration::from_secs(1);

/// So many clusters may go from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenPoint {
    /// When.
    pub at: Timestamp,
    /// How many.
    pub clusters: u32,
}

/// How far clusters had come by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DonePoint {
    /// When.
    pub at: Timestamp,
    /// So many had been granted.
    pub started: u32,
    /// So many of them had succeeded and soaked.
    pub done: u32,
}

/// When one cluster went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Went {
    /// Its row.
    pub slot: Slot,
    /// When it was granted.
    pub started_at: Timestamp,
    /// When it had succeeded and soaked, if it has.
    pub done_at: Option<Timestamp>,
}

/// The lines of a rollout's chart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Course {
    /// As of then.
    pub at: Timestamp,
    /// Clusters that are to go: members that did not run the release already.
    pub clusters: u32,
    /// What the policy meant, had nothing stopped it since its start.
    pub planned: Vec<OpenPoint>,
    /// What happened.
    pub actual: Vec<DonePoint>,
    /// What follows if nothing stops it from now on; empty while something does, and at the end.
    pub expected: Vec<OpenPoint>,
    /// When the last cluster may go, at the earliest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all_open_at: Option<Timestamp>,
    /// When the last one can have soaked, at the earliest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Timestamp>,
}

/// Running time and the clock on the wall, from a moment at which both are known.
#[derive(Debug, Clone, Copy)]
struct Line<'a> {
    calendar: &'a Calendar,
    running: SignedDuration,
    at: Timestamp,
}

impl Line<'_> {
    fn wall(&self, running: SignedDuration) -> Option<Timestamp> {
        let missing = running.saturating_sub(self.running).max(SignedDuration::ZERO);
        self.calendar.after(self.at, missing)
    }

    fn running_at(&self, at: Timestamp) -> SignedDuration {
        self.running.saturating_add(self.calendar.open_time(self.at, at))
    }
}

/// How large a ring is, for its gates.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    members: u32,
    there: u32,
}

/// The running times at which rings open: those given, and each next one as soon as the gates of
/// the one before it could pass. Ends at a ring that `waits` for a person.
fn openings(
    line: Line<'_>,
    policy: &Policy,
    sizes: &[Size],
    opened: &[SignedDuration],
    passes_at: Option<Timestamp>,
    waits: impl Fn(&Ring) -> bool,
) -> Vec<SignedDuration> {
    let mut all = opened.to_vec();
    while let (Some(next), Some(last)) = (policy.rings.get(all.len()), all.last().copied()) {
        let Some(index) = all.len().checked_sub(1) else { break };
        let Some(ring) = policy.rings.get(index).filter(|_| !waits(next)) else { break };
        let known = passes_at.filter(|_| all.len() == opened.len());
        let size = sizes.get(index).copied().unwrap_or_default();
        let Some(at) = known.or_else(|| could_pass(line, ring, size, last)) else { break };
        all.push(line.running_at(at));
    }
    all
}

/// When the gates of a ring can pass: its sample was let go, succeeded at once, and soaked.
fn could_pass(
    line: Line<'_>,
    ring: &Ring,
    size: Size,
    opened: SignedDuration,
) -> Option<Timestamp> {
    let sample = ring.gates.min_sample.at_least(size.members).saturating_sub(size.there);
    let Some(before_last) = sample.checked_sub(1) else { return line.wall(opened) };
    let place = Share::of_ratio(u64::from(before_last), u64::from(size.members.max(1)));
    let enough = opened.saturating_add(ring.curve.first_open(place).unwrap_or_default());
    line.wall(enough)?.checked_add(ring.gates.soak.duration()).ok()
}

/// How many clusters are open after so much running time.
fn open_at(
    policy: &Policy,
    opened: &[SignedDuration],
    clusters: &[u32],
    at: SignedDuration,
) -> u32 {
    let rings = policy.rings.iter().zip(opened).zip(clusters);
    let open = |((ring, opened), clusters): ((&Ring, &SignedDuration), &u32)| {
        ring.curve.share_at(at.saturating_sub(*opened)).of(*clusters)
    };
    rings.map(open).fold(0, u32::saturating_add)
}

/// The line of what is open from a moment on: a point wherever a curve has one.
fn open_line(
    line: Line<'_>,
    policy: &Policy,
    opened: &[SignedDuration],
    clusters: &[u32],
) -> Vec<OpenPoint> {
    let rings = policy.rings.iter().zip(opened);
    let points = rings.flat_map(|(ring, opened)| {
        ring.curve.points().iter().flat_map(|point| {
            let at = opened.saturating_add(point.after.duration());
            [at.saturating_sub(BEFORE), at]
        })
    });
    let mut times: Vec<SignedDuration> =
        points.filter(|at| *at > line.running).chain([line.running]).collect();
    times.sort_unstable();
    times.dedup();
    let mut found: Vec<OpenPoint> = Vec::new();
    let mut here = line;
    for running in thinned(&times) {
        // From the point before: a year of windows is walked once, not once for every point.
        let Some(at) = here.wall(running) else { break };
        here = Line { running, at, ..line };
        found.push(OpenPoint { at, clusters: open_at(policy, opened, clusters, running) });
    }
    found
}

/// At most [`COURSE_POINTS`] of them, the first and the last among these.
fn thinned<T: Copy>(all: &[T]) -> Vec<T> {
    let step = all.len().div_ceil(COURSE_POINTS.saturating_sub(1)).max(1);
    let mut some: Vec<T> = all.iter().step_by(step).copied().collect();
    if all.len() % step != 1 && step > 1 {
        some.extend(all.last().copied());
    }
    some
}

/// What happened, counted up: a point at the end of every stretch in which something did, and one
/// for now.
pub fn actual(went: &[Went], from: Timestamp, now: Timestamp) -> Vec<DonePoint> {
    let mut started: Vec<Timestamp> = went.iter().map(|one| one.started_at.min(now)).collect();
    let mut done: Vec<Timestamp> =
        went.iter().filter_map(|one| one.done_at).map(|at| at.min(now)).collect();
    started.sort_unstable();
    done.sort_unstable();
    let from = started.first().copied().unwrap_or(from).min(from);
    let stretches = i64::try_from(COURSE_POINTS.saturating_sub(2)).unwrap_or(1).max(1);
    let length = now.duration_since(from).as_millis() / i128::from(stretches) + 1;
    let length = SignedDuration::from_millis(i64::try_from(length).unwrap_or(i64::MAX));
    let by = |times: &[Timestamp], at: Timestamp| {
        u32::try_from(times.partition_point(|one| *one <= at)).unwrap_or(u32::MAX)
    };
    let mut points = vec![DonePoint { at: from, started: 0, done: 0 }];
    let mut at = from;
    while at < now {
        at = at.checked_add(length).map_or(now, |end| end.min(now));
        let point = DonePoint { at, started: by(&started, at), done: by(&done, at) };
        let news = |last: &DonePoint| (last.started, last.done) != (point.started, point.done);
        if at == now || points.last().is_none_or(news) {
            points.push(point);
        }
    }
    points
}

impl Rollouts {
    /// The policy that applies to a rollout, as it applies.
    pub fn rules(&self, id: RolloutId) -> Option<&Policy> {
        self.heads.get(&id).map(|head| head.rules.as_ref())
    }

    /// The course of a rollout. `clusters` says of each ring how many are to go, as far as they are
    /// shown; when rings open is decided by all of them.
    pub fn course(
        &self,
        id: RolloutId,
        status: RolloutStatus,
        clusters: &[u32],
        went: &[Went],
        now: Timestamp,
    ) -> Option<Course> {
        let head = self.heads.get(&id)?;
        let (policy, starts_at) = (head.rules.as_ref(), head.state.core.clock().starts_at());
        let calendar = &policy.calendar;
        let sizes = sizes(head);
        let begin = Line { calendar, running: SignedDuration::ZERO, at: starts_at };
        let planned = openings(begin, policy, &sizes, &[SignedDuration::ZERO], None, |_| false);
        let mut course = Course {
            at: now,
            clusters: clusters.iter().copied().fold(0, u32::saturating_add),
            planned: open_line(begin, policy, &planned, clusters),
            actual: actual(went, starts_at.min(now), now),
            expected: Vec::new(),
            all_open_at: None,
            done_at: None,
        };
        let goes_on = matches!(status, RolloutStatus::Running | RolloutStatus::Scheduled);
        if goes_on && !policy.rings.first().is_some_and(|ring| head.state.core.needs_approval(ring))
        {
            head.expect(&sizes, clusters, now, &mut course);
        }
        Some(course)
    }
}

/// The sizes of a rollout's rings as of the last look.
fn sizes(head: &Head) -> Vec<Size> {
    let of = |index: usize| {
        let rest = head.rest.get(index).copied().unwrap_or_default();
        match head.judgements.get(index) {
            Some(judged) => Size { members: judged.counts.members, there: judged.counts.there },
            None => Size {
                members: rest.not_started.saturating_add(rest.settled).saturating_add(rest.there),
                there: rest.there,
            },
        }
    };
    (0..head.rules.rings.len()).map(of).collect()
}

impl Head {
    /// Fills in what follows from now on.
    fn expect(&self, sizes: &[Size], clusters: &[u32], now: Timestamp, course: &mut Course) {
        let (policy, core) = (self.rules.as_ref(), &self.state.core);
        let calendar = &policy.calendar;
        let running = core.clock().running(now, calendar);
        let line = Line { calendar, running, at: now.max(core.clock().starts_at()) };
        let opened = core.opened();
        let last = self.judgements.get(opened.len().saturating_sub(1));
        let passes_at = last.and_then(|judged| match &judged.decision {
            Decision::Advance => Some(now),
            Decision::Wait { earliest_at, .. } => *earliest_at,
            Decision::Halt { .. } => None,
        });
        let waits = |ring: &Ring| core.needs_approval(ring);
        let opened = openings(line, policy, sizes, opened, passes_at, waits);
        course.expected = open_line(line, policy, &opened, clusters);
        if opened.len() < policy.rings.len() {
            return;
        }
        let ends = policy.rings.iter().zip(&opened).filter_map(|(ring, opened)| {
            let open = line.wall(opened.saturating_add(ring.curve.length().duration()))?;
            Some((open, open.checked_add(ring.gates.soak.duration()).ok()?))
        });
        let ends: Vec<(Timestamp, Timestamp)> = ends.collect();
        if ends.len() == policy.rings.len() {
            course.all_open_at = ends.iter().map(|(open, _)| *open).max();
            course.done_at = ends.iter().map(|(_, done)| *done).max();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const POLICY: &str = "\
name: p
curve: {points: [{after: 0s, share: 0%}, {after: 10h, share: 100%}]}
gates: {soak: 1h, min_sample: 50%}
rings:
  - {name: a, select: {match_labels: {ring: a}}}
  - {name: b, rest: true}
";

    fn policy(text: &str) -> Policy {
        Policy::parse(Path::new("p.yaml"), text).unwrap()
    }

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000).unwrap() + SignedDuration::from_hours(hours)
    }

    fn begin(policy: &Policy) -> Line<'_> {
        Line { calendar: &policy.calendar, running: SignedDuration::ZERO, at: at(0) }
    }

    fn hours(hours: i64) -> SignedDuration {
        SignedDuration::from_hours(hours)
    }

    fn went(started: i64, done: Option<i64>) -> Went {
        Went { slot: Slot(0), started_at: at(started), done_at: done.map(at) }
    }

    #[test]
    fn a_ring_opens_for_the_plan_when_half_of_the_one_before_it_was_let_go_and_soaked() {
        let policy = policy(POLICY);
        let sizes = [Size { members: 10, there: 0 }, Size { members: 90, there: 0 }];
        let opened =
            openings(begin(&policy), &policy, &sizes, &[SignedDuration::ZERO], None, |_| false);
        // The fifth of ten is at 40 % of ten hours, to the nanosecond after it.
        assert_eq!(opened.len(), 2);
        assert_eq!(opened[1].as_secs(), 5 * 3_600);
        let line = open_line(begin(&policy), &policy, &opened, &[10, 90]);
        let by = |hour| line.iter().rev().find(|point| point.at <= at(hour)).unwrap().clusters;
        assert_eq!((by(0), by(10), by(15)), (0, 55, 100));
        assert!(line.iter().is_sorted_by_key(|point| (point.at, point.clusters)));
    }

    #[test]
    fn clusters_that_ran_the_release_already_are_part_of_the_sample_and_of_no_soak() {
        let policy = policy(POLICY);
        let sizes = [Size { members: 10, there: 5 }, Size::default()];
        let opened =
            openings(begin(&policy), &policy, &sizes, &[SignedDuration::ZERO], None, |_| false);
        assert_eq!(opened[1], SignedDuration::ZERO);
    }

    #[test]
    fn a_plan_ends_at_a_ring_that_waits_for_a_person_and_takes_what_the_judge_says_of_the_next() {
        let policy = policy(POLICY);
        let sizes = [Size { members: 10, there: 0 }; 2];
        let open = [SignedDuration::ZERO];
        let held = openings(begin(&policy), &policy, &sizes, &open, None, |ring| {
            ring.name.as_str() == "b"
        });
        assert_eq!(held, open);
        let told = openings(begin(&policy), &policy, &sizes, &open, Some(at(3)), |_| false);
        assert_eq!(told, [hours(0), hours(3)]);
    }

    #[test]
    fn windows_stretch_a_plan_and_a_step_is_a_step() {
        let text = POLICY
            .replace("name: p\n", "name: p\ncalendar: {time_zone: UTC, windows: [{days: [mon, tue, wed, thu, fri, sat, sun], start: \"00:00\", duration: 12h}]}\n")
            .replace("{after: 0s, share: 0%}, {after: 10h, share: 100%}", "{after: 0s, share: 10%}, {after: 13h, share: 10%}, {after: 13h, share: 100%}");
        let policy = policy(&text);
        // 2026-09-21T14:13:20Z: outside of the window.
        let line = open_line(begin(&policy), &policy, &[hours(0)], &[100, 0]);
        let times: Vec<(String, u32)> =
            line.iter().map(|point| (point.at.to_string(), point.clusters)).collect();
        assert_eq!(
            times,
            [
                ("2026-09-22T00:00:00Z".to_owned(), 10),
                ("2026-09-23T00:59:59Z".to_owned(), 10),
                ("2026-09-23T01:00:00Z".to_owned(), 100),
            ]
        );
    }

    #[test]
    fn what_happened_is_counted_up_and_ends_now() {
        let points = actual(&[went(1, Some(3)), went(2, None)], at(0), at(4));
        let last = points.last().unwrap();
        assert_eq!((last.at, last.started, last.done), (at(4), 2, 1));
        assert_eq!((points[0].at, points[0].started), (at(0), 0));
        let half = points.iter().rev().find(|point| point.at < at(2)).unwrap();
        assert_eq!((half.started, half.done), (1, 0));
        assert!(points.len() <= COURSE_POINTS);
        assert_eq!(actual(&[], at(0), at(0)), [DonePoint { at: at(0), started: 0, done: 0 }]);
    }

    #[test]
    fn a_hundred_thousand_clusters_are_as_many_points_as_a_chart_has() {
        let all: Vec<Went> = (0..100_000).map(|n| went(n / 1_000, Some(n / 1_000 + 1))).collect();
        let points = actual(&all, at(0), at(200));
        assert!(points.len() <= COURSE_POINTS);
        assert_eq!(
            points.last().map(|point| (point.started, point.done)),
            Some((100_000, 100_000))
        );
        for len in [0, 1, 2, 95, 96, 97, 191, 500] {
            let all: Vec<usize> = (0..len).collect();
            let some = thinned(&all);
            assert!(some.len() <= COURSE_POINTS, "{len}");
            assert_eq!((some.first(), some.last()), (all.first(), all.last()), "{len}");
            assert!(some.is_sorted_by(|one, next| one < next), "{len}");
        }
    }
}
