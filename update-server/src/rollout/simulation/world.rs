//! One world: who is in it, what goes wrong, and how it ends.

use std::collections::BTreeMap;

use channels::names::ClusterId;
use channels::rollout::Labels;
use channels::version::ReleaseVersion;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::agent::{self, Cluster, Harm, Said};
use super::dice::Dice;
use super::hub::{Hub, INTERVAL_S, Reply, hours};
use super::people::People;
use super::releases::{Releases, version};
use crate::fleet::Slot;

/// How fine time is.
const STEP_S: i64 = 150;
/// How long things go wrong.
const TROUBLE: SignedDuration = SignedDuration::from_hours(20);
/// How long it may take to end well afterwards, besides what caps take: curves, soaks, approvals and
/// closed windows, for two releases.
const PATIENCE: SignedDuration = SignedDuration::from_hours(72);
/// How long nothing at all may get on meanwhile. The longest pause there is, several times: a window
/// that is closed for 4 h, a curve that comes to the next cluster after 4 h, a person who approves
/// after some.
const STILL: SignedDuration = SignedDuration::from_hours(24);
/// Grants that a cluster may need: for two releases, and once more after a failure.
const TRIES: i32 = 3;

/// What a world was like.
pub(super) struct Outcome {
    pub(super) met: BTreeMap<&'static str, u64>,
    pub(super) breaks: Vec<String>,
}

/// Chances, per thousand.
struct Troubles {
    report_lost: u64,
    report_late: u64,
    answer_lost: u64,
    commit_fails: u64,
    bad: u64,
    dies_of_grant: u64,
}

struct World {
    dice: Dice,
    troubles: Troubles,
    releases: Releases,
    clusters: Vec<Cluster>,
    hub: Hub,
    people: People,
    /// What every fourth cluster still takes for the graph, and until when.
    old_view: Option<(Releases, Timestamp)>,
    /// Reports on their way, by arrival.
    late: BTreeMap<Timestamp, Vec<(usize, Said)>>,
    down_until: Option<Timestamp>,
    outages: Vec<(Timestamp, SignedDuration)>,
    newer_at: Option<(Timestamp, bool)>,
    start: Timestamp,
}

/// Plays a world to its end. Without people nobody approves, acknowledges or lifts anything.
pub(super) fn play(seed: u64, size: u32, people: bool) -> Outcome {
    let mut world = World::draw(seed, size);
    world.people.asleep = !people;
    let mut now = world.start;
    let calm = world.start + TROUBLE;
    let (mut end, mut far) = (Timestamp::MAX, (0, calm));
    let first = world.people.policy(0);
    world.hub.apply_policy(&world.clusters, &first, now);
    world.hub.wake(&world.clusters, &world.releases, now);
    while now < end && world.hub.breaks.is_empty() {
        now += SignedDuration::from_secs(STEP_S);
        if now >= calm {
            world.calm_down(now);
        }
        world.step(now, now < calm);
        if now < calm {
            continue;
        }
        if end == Timestamp::MAX {
            end = calm + PATIENCE + world.time_of_caps();
        }
        if world.is_over(now) {
            break;
        }
        if world.how_far() != far.0 {
            far = (world.how_far(), now);
        } else if now.duration_since(far.1) >= STILL {
            break;
        }
    }
    if world.hub.breaks.is_empty() && !world.is_over(now) {
        let stuck = world.stuck(now);
        world.hub.breaks.push(format!("it did not end by {now}: {stuck}"));
    }
    let lapsed = world.hub.lapsed() as u64;
    if lapsed > 0 {
        *world.hub.met.entry("lapsed").or_default() += lapsed;
    }
    Outcome { met: world.hub.met, breaks: world.hub.breaks }
}

impl World {
    fn draw(seed: u64, size: u32) -> Self {
        let mut dice = Dice::new(seed);
        let releases = Releases::new();
        let clusters: Vec<Cluster> = (0..size).map(|slot| cluster(&mut dice, slot)).collect();
        let troubles = Troubles {
            report_lost: *dice.pick(&[0, 20, 100]),
            report_late: *dice.pick(&[0, 20, 100]),
            answer_lost: *dice.pick(&[0, 20, 100]),
            commit_fails: *dice.pick(&[0, 10, 50]),
            bad: *dice.pick(&[0, 50, 50, 200]),
            dies_of_grant: *dice.pick(&[0, 0, 50]),
        };
        let start: Timestamp = "2026-12-07T08:00:00Z".parse().unwrap();
        let at = |dice: &mut Dice| {
            start + SignedDuration::from_mins(i64::try_from(dice.within(30, 1100)).unwrap())
        };
        let outages = (0..dice.within(0, 3))
            .map(|_| (at(&mut dice), hours(i64::try_from(dice.within(1, 7)).unwrap())))
            .collect();
        let newer_at = dice.per_mille(600).then(|| (at(&mut dice), dice.per_mille(500)));
        let mut hub = Hub::new(&clusters, &releases);
        hub.meet("world");
        let people = People::new(Dice::new(seed.rotate_left(7)), size);
        let late = BTreeMap::new();
        let mut world = Self {
            dice,
            troubles,
            releases,
            clusters,
            hub,
            people,
            old_view: None,
            late,
            down_until: None,
            outages,
            newer_at,
            start,
        };
        world.harm(&version("1.1.0"));
        world
    }

    /// Who is harmed by a release, and how.
    fn harm(&mut self, release: &ReleaseVersion) {
        for cluster in &mut self.clusters {
            if self.dice.per_mille(self.troubles.bad) {
                let all = [Harm::Error, Harm::RollsBack, Harm::Dies, Harm::Worse, Harm::Hangs];
                cluster.harm = Some((release.clone(), *self.dice.pick(&all)));
            }
            cluster.dies_of_grant |= self.dice.per_mille(self.troubles.dies_of_grant);
        }
    }

    fn calm_down(&mut self, now: Timestamp) {
        let quiet = Troubles {
            report_lost: 0,
            report_late: 0,
            answer_lost: 0,
            commit_fails: 0,
            bad: 0,
            dies_of_grant: 0,
        };
        self.troubles = quiet;
        self.newer_at = self.newer_at.map(|(at, direct)| (at.min(now), direct));
        self.outages.clear();
        for cluster in &mut self.clusters {
            let harmed = cluster.harm.is_some() || cluster.dead_until.is_some();
            if harmed || cluster.dies_of_grant {
                cluster.repair();
            }
        }
    }

    fn step(&mut self, now: Timestamp, trouble: bool) {
        if let Some((at, direct)) = self.newer_at
            && at <= now
        {
            self.newer_at = None;
            self.old_view = Some((self.releases.clone(), now + hours(3)));
            self.releases.edges.push((version("1.1.0"), version("1.2.0")));
            if direct {
                self.releases.edges.push((version("1.0.0"), version("1.2.0")));
            }
            if self.down_until.is_none() {
                self.hub.offered(&self.clusters, &self.releases, now);
            }
            if trouble {
                self.harm(&version("1.2.0"));
            }
        }
        self.outage(now);
        if self.down_until.is_none() {
            self.people.act(&mut self.hub, &mut self.clusters, now, trouble);
        }
        for index in 0..self.clusters.len() {
            let releases = view(self.old_view.as_ref(), &self.releases, index, now);
            let urgent = self.clusters[index].live(releases, now);
            if urgent || self.is_due(index, now) {
                self.send(index, now);
            }
        }
        let later = self.late.split_off(&(now + SignedDuration::from_nanos(1)));
        for (index, said) in std::mem::replace(&mut self.late, later).into_values().flatten() {
            self.deliver(index, &said, now);
        }
        if self.down_until.is_none() {
            self.hub.tick(&self.clusters, &self.releases, now);
        }
    }

    fn outage(&mut self, now: Timestamp) {
        if let Some(position) = self.outages.iter().position(|(at, _)| *at <= now) {
            let (_, length) = self.outages.remove(position);
            self.down_until = self.down_until.max(Some(now + length));
        }
        if self.down_until.is_some_and(|until| until <= now) {
            self.down_until = None;
            self.hub.restart(now);
            self.hub.wake(&self.clusters, &self.releases, now);
        }
    }

    fn is_due(&self, index: usize, now: Timestamp) -> bool {
        let interval = i64::try_from(INTERVAL_S).unwrap();
        let slot = i64::try_from(index).unwrap() * STEP_S % interval;
        now.as_second() % interval == slot && !self.clusters[index].is_dead(now)
    }

    fn send(&mut self, index: usize, now: Timestamp) {
        let releases = view(self.old_view.as_ref(), &self.releases, index, now);
        let said = self.clusters[index].say(releases, now);
        if self.dice.per_mille(self.troubles.report_lost) {
            self.hub.meet("report lost");
        } else if self.dice.per_mille(self.troubles.report_late) {
            let late = i64::try_from(self.dice.within(1, 900)).unwrap();
            let at = now + SignedDuration::from_secs(late);
            self.late.entry(at).or_default().push((index, said));
        } else {
            self.deliver(index, &said, now);
        }
    }

    fn deliver(&mut self, index: usize, said: &Said, now: Timestamp) {
        if self.down_until.is_some() {
            return;
        }
        let commit = !self.dice.per_mille(self.troubles.commit_fails);
        let answer = self.hub.report(&self.clusters, index, said, &self.releases, commit, now);
        if let Reply::Committed(grant) = answer {
            if self.dice.per_mille(self.troubles.answer_lost) {
                self.hub.meet("answer lost");
                return;
            }
            let cluster = &mut self.clusters[index];
            let fated = cluster.dies_of_grant;
            cluster.answered(grant);
            if fated && !cluster.dies_of_grant {
                self.hub.meet("died of its grant");
            }
        }
    }

    /// Every cluster runs the newest release, and the hub knows.
    fn is_over(&self, now: Timestamp) -> bool {
        let head = self.releases.head();
        self.down_until.is_none()
            && self.newer_at.is_none()
            && self.clusters.iter().all(|cluster| cluster.version == head)
            && self.hub.has_converged(&head, now)
    }

    /// The most that the caps of the policy in force take: each one as if it were alone, with windows
    /// that are open for 20 hours of 24.
    fn time_of_caps(&self) -> SignedDuration {
        let policy = self.hub.policy();
        let caps = &policy.caps;
        let rounds = |clusters: usize, at_once: u32| {
            let clusters = u32::try_from(clusters).unwrap();
            i32::try_from(clusters.div_ceil(at_once)).unwrap() * TRIES
        };
        let report = SignedDuration::from_secs(i64::try_from(INTERVAL_S).unwrap());
        // The next one hears that it may go when it reports.
        let turn = agent::AT_WORK + SignedDuration::from_secs(STEP_S) * 6 + report * 2;
        let mut time = SignedDuration::ZERO;
        if let Some(limit) = caps.concurrent {
            time += turn * rounds(self.clusters.len(), limit);
        }
        if let Some(cap) = &caps.per_failure_domain {
            let mut domains: BTreeMap<Option<&str>, usize> = BTreeMap::new();
            for cluster in &self.clusters {
                *domains.entry(caps.domain_of(&cluster.labels)).or_default() += 1;
            }
            let largest = domains.into_values().max().unwrap_or_default();
            time += turn * rounds(largest, cap.concurrent);
        }
        if let Some(cap) = caps.per_period {
            let period = cap.period.duration() + report;
            time += period * rounds(self.clusters.len(), cap.grants);
        }
        time * 24 / 20
    }

    /// Grows whenever a cluster reaches a release or a ring opens.
    fn how_far(&self) -> u64 {
        let rank = |cluster: &Cluster| match &cluster.version {
            version if *version == self.releases.head() => 2,
            version if *version == super::releases::version("1.0.0") => 0,
            _ => 1,
        };
        let opened = self.hub.met.get("rollout.ring_opened").copied().unwrap_or_default();
        self.clusters.iter().map(rank).sum::<u64>() + opened
    }

    fn stuck(&self, now: Timestamp) -> String {
        let views = self.hub.rollouts.views(now);
        let rings = |view: &crate::rollout::RolloutView| {
            let rings = view.rings.iter().map(|ring| {
                format!(
                    "{} {:?} open {:?} waits {:?}",
                    ring.name, ring.counts, ring.open, ring.waits_for
                )
            });
            rings.collect::<Vec<_>>().join("; ")
        };
        let rollouts = views.iter().map(|view| {
            format!("{} {:?} [{}] {:?}", view.id, view.status, rings(view), view.failures)
        });
        let behind = self.clusters.iter().filter(|cluster| cluster.version != self.releases.head());
        let behind = behind.map(|cluster| format!("{} at {}", cluster.slot.0, cluster.version));
        let (rollouts, behind): (Vec<_>, Vec<_>) = (rollouts.collect(), behind.collect());
        format!("{rollouts:#?} {behind:?}")
    }
}

/// The graph as a cluster has it.
fn view<'r>(
    old: Option<&'r (Releases, Timestamp)>,
    new: &'r Releases,
    index: usize,
    now: Timestamp,
) -> &'r Releases {
    match old {
        Some((releases, until)) if index.is_multiple_of(4) && now < *until => releases,
        Some(_) | None => new,
    }
}

fn cluster(dice: &mut Dice, slot: u32) -> Cluster {
    let ring = match slot {
        0 | 1 => "canary",
        2..=4 => "early",
        _ => *dice.pick(&["canary", "early", "rest", "rest", "rest", "rest"]),
    };
    let site = format!("s{}", dice.within(0, 4));
    let labels = Labels::from([("ring".to_owned(), ring.to_owned()), ("site".to_owned(), site)]);
    let id = ClusterId(Uuid::from_u128(u128::from(dice.next()) << 64 | u128::from(slot)));
    Cluster::new(Slot(slot), id, labels, version("1.0.0"))
}
