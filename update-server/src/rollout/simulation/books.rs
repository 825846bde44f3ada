//! Somebody's own books of a simulated hub, kept from reports, grants and events alone, and the
//! invariants asked of them.

use std::collections::{BTreeMap, BTreeSet};

use channels::rollout::{Amount, Failure};
use channels::version::ReleaseVersion;
use channels::wire::Grant;
use jiff::Timestamp;

use super::agent::{Cluster, Said};
use super::hub::Hub;
use super::releases::Releases;
use crate::fleet::Slot;
use crate::rollout::{RolloutEvent, RolloutEventKind, RolloutStatus, Turn};
use crate::served::Served as _;

/// Somebody's own books about one rollout.
#[derive(Debug, Default, Clone)]
pub(super) struct Books {
    pub(super) version: Option<ReleaseVersion>,
    /// Clusters that may have a unit out by what the hub was told: until when they may begin, or
    /// that they did.
    out: BTreeMap<Slot, Option<Timestamp>>,
    starts: Vec<Timestamp>,
    pub(super) failed: BTreeMap<Failure, bool>,
    rings: BTreeSet<String>,
    pub(super) at_halt: Option<BTreeSet<Slot>>,
}

/// A grant that is no renewal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    pub(super) ring: Option<usize>,
    /// Not another try after a failure.
    pub(super) fresh: bool,
}

impl Hub {
    /// Own books: what a report says of who is out.
    pub(super) fn note_report(&mut self, slot: Slot, said: &Said) {
        let id = self.known[slot.0 as usize].id;
        for books in self.books.values_mut() {
            let version = books.version.as_ref();
            // Between grant and end is what caps count, and a failure is an end.
            let failed =
                books.failed.iter().any(|(failure, accepted)| failure.cluster == id && !accepted);
            if version == said.record.target.as_ref() && said.record.phase.is_rolling() && !failed {
                books.out.insert(slot, None);
            } else if version == Some(&said.record.version) && !said.record.phase.is_rolling() {
                books.out.remove(&slot);
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one call, and each is a fact of its own")]
    pub(super) fn note_grant(
        &mut self,
        slot: Slot,
        turn: &Turn,
        grant: &Grant,
        starts: Option<Start>,
        releases: &Releases,
        said: &Said,
        now: Timestamp,
    ) {
        let Turn::Go { rollout } = turn else { return };
        let id = *rollout;
        let view = self.rollouts.view(id, now).unwrap();
        if view.status == RolloutStatus::Halted || view.status == RolloutStatus::Held {
            self.breach(now, &format!("a grant although rollout {id} is {:?}", view.status));
        }
        let Some(Start { ring, fresh }) = starts else {
            self.meet("renewal");
            let out = &mut self.books.entry(id).or_default().out;
            if let Some(until @ Some(_)) = out.get_mut(&slot) {
                *until = Some(grant.expires_at);
            }
            return;
        };
        self.meet("start");
        let policy = self.policy();
        let books = self.books.entry(id).or_default();
        books.out.retain(|_, until| until.is_none_or(|until| until > now));
        books.out.remove(&slot);
        let mut breaks = Vec::new();
        if let Some(limit) = policy.caps.concurrent
            && books.out.len() >= limit as usize
        {
            let attempts = self.rollouts.attempts(id, now);
            let of = |slot: &Slot| attempts.iter().find(|attempt| attempt.slot == *slot);
            let out: Vec<_> =
                books.out.iter().map(|(slot, until)| (slot.0, until, of(slot))).collect();
            breaks.push(format!("rollout {id}: {limit} may be out, and are: {out:?}"));
        }
        if let Some(cap) = policy.caps.per_period {
            let period = cap.period.duration();
            let lately = books.starts.iter().filter(|at| now.duration_since(**at) < period).count();
            if lately >= cap.grants as usize {
                breaks
                    .push(format!("rollout {id}: {lately} granted lately, {} may be", cap.grants));
            }
        }
        let ring = ring.map(|ring| policy.rings[ring].name.to_string());
        let first = policy.rings[0].name.to_string();
        let opened = |ring: &String| *ring == first || books.rings.contains(ring);
        if fresh && !ring.as_ref().is_some_and(opened) {
            breaks.push(format!("rollout {id}: a start in {ring:?}, which never opened"));
        }
        books.starts.push(now);
        books.out.insert(slot, Some(grant.expires_at));
        let version = books.version.clone().unwrap();
        for newer in releases.edges.iter().filter(|(from, _)| *from == said.record.version) {
            let opened = self.books.values().any(|books| books.version.as_ref() == Some(&newer.1));
            // Whoever began it, heard or not, can no longer be sent elsewhere.
            if fresh
                && !said.record.has_begun(&version)
                && newer.1 > version
                && opened
                && releases.has_plain_edge(&releases.graph, &newer.0, &newer.1)
            {
                breaks.push(format!("a start of {version} where {} can be had", newer.1));
            }
        }
        for what in breaks {
            self.breach(now, &what);
        }
    }

    /// Own books: what events say.
    pub(super) fn follow(&mut self, clusters: &[Cluster], events: &[RolloutEvent], now: Timestamp) {
        for event in events {
            self.meet(event.kind.code());
            let view = self.rollouts.view(event.rollout, now).unwrap();
            let books = self.books.entry(event.rollout).or_default();
            books.version = Some(view.version.clone());
            match &event.kind {
                RolloutEventKind::RingOpened { ring } => {
                    books.rings.insert(ring.to_string());
                }
                RolloutEventKind::ClusterFailed { failure } => {
                    books.failed.insert(*failure, false);
                    let cluster = clusters.iter().find(|c| c.id == failure.cluster).unwrap();
                    books.out.remove(&cluster.slot);
                    let late = books
                        .at_halt
                        .as_ref()
                        .is_some_and(|at_halt| !at_halt.contains(&cluster.slot));
                    if !cluster.began.contains(&view.version) {
                        self.breach(now, &format!("{failure:?} of a cluster that never began"));
                    } else if late {
                        self.breach(now, &format!("{failure:?} began after the halt"));
                    }
                }
                RolloutEventKind::Halted { .. } => {
                    let attempts = self.rollouts.attempts(event.rollout, now);
                    let at_halt = attempts.iter().map(|attempt| attempt.slot).collect();
                    let books = self.books.entry(event.rollout).or_default();
                    books.at_halt.get_or_insert(at_halt);
                }
                _ => {}
            }
        }
    }

    /// More failures than there may be, and no halt.
    pub(super) fn halts_in_time(&mut self, now: Timestamp) {
        let policy = self.policy();
        for view in self.rollouts.views(now) {
            let Some(books) = self.books.get(&view.id) else { continue };
            let waiting = books.failed.values().filter(|accepted| !**accepted).count();
            let allowed: u32 = policy
                .rings
                .iter()
                .map(|ring| match ring.gates.max_failures {
                    Amount::Count(count) => count,
                    Amount::Percent(_) => unreachable!("simulated policies count"),
                })
                .sum();
            if waiting > allowed as usize && view.status != RolloutStatus::Halted {
                let (id, status) = (view.id, view.status);
                self.breach(now, &format!("rollout {id}: {waiting} failures and it is {status:?}"));
            }
        }
    }
}
