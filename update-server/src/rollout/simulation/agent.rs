//! A cluster and its agent: what it does with a grant, and what it says of itself.

use channels::names::ClusterId;
use channels::rollout::Labels;
use channels::version::ReleaseVersion;
use channels::wire::{Failure, Grant, GrantRequest, HealthSummary, HealthVerdict, Phase, Progress};
use jiff::{SignedDuration, Timestamp};

use super::releases::Releases;
use crate::fleet::{ProductRecord, Slot};

/// How long one unit is out.
const UNIT: SignedDuration = SignedDuration::from_mins(10);
/// Units of a cluster.
const UNITS: u32 = 3;
/// How long a cluster has units out for one release.
pub(super) const AT_WORK: SignedDuration = SignedDuration::from_mins(30);

/// What a bad release does to a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Harm {
    /// A unit does not come back: the agent pauses.
    Error,
    /// The agent goes back.
    RollsBack,
    /// The whole cluster dies with its agent.
    Dies,
    /// It succeeds and is unhealthy from then on.
    Worse,
    /// It hangs with a unit out.
    Hangs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Nothing,
    Unit { until: Timestamp },
    Hanging,
    Paused { at: Timestamp },
    WentBack,
}

#[derive(Debug, Clone)]
pub(super) struct Cluster {
    pub(super) slot: Slot,
    pub(super) id: ClusterId,
    pub(super) labels: Labels,
    pub(super) version: ReleaseVersion,
    pub(super) seq: u64,
    pub(super) harm: Option<(ReleaseVersion, Harm)>,
    /// Cut off, or switched off, until then.
    pub(super) dead_until: Option<Timestamp>,
    /// Releases it truly began.
    pub(super) began: Vec<ReleaseVersion>,
    /// Loses its life when it hears of its next grant.
    pub(super) dies_of_grant: bool,
    to: Option<ReleaseVersion>,
    done: u32,
    doing: Doing,
    grant: Option<Grant>,
    worse: bool,
    changed: bool,
}

/// What a cluster says, on its way.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) seq: u64,
    pub(super) record: ProductRecord,
    pub(super) wants: Option<GrantRequest>,
}

impl Cluster {
    pub(super) fn new(slot: Slot, id: ClusterId, labels: Labels, version: ReleaseVersion) -> Self {
        Self {
            slot,
            id,
            labels,
            version,
            seq: 0,
            harm: None,
            dead_until: None,
            began: Vec::new(),
            dies_of_grant: false,
            to: None,
            done: 0,
            doing: Doing::Nothing,
            grant: None,
            worse: false,
            changed: true,
        }
    }

    pub(super) fn is_dead(&self, now: Timestamp) -> bool {
        self.dead_until.is_some_and(|until| until > now)
    }

    /// A person looked after it: nothing of the release harms it any more.
    pub(super) fn repair(&mut self) {
        self.harm = None;
        self.dead_until = None;
        self.dies_of_grant = false;
        self.worse = false;
        self.changed = true;
        if !matches!(self.doing, Doing::Unit { .. }) {
            self.doing = Doing::Nothing;
        }
    }

    fn target(&self, releases: &Releases) -> Option<ReleaseVersion> {
        if self.doing == Doing::WentBack {
            return None;
        }
        self.to.clone().or_else(|| releases.best_from(&self.version))
    }

    /// Lives on to `now`; true if it has something to report at once.
    pub(super) fn live(&mut self, releases: &Releases, now: Timestamp) -> bool {
        if self.is_dead(now) {
            return false;
        }
        self.dead_until = None;
        let before = self.doing;
        if let Doing::Unit { until } = self.doing
            && until <= now
        {
            self.end_unit(now);
        }
        if self.doing == Doing::Nothing
            && let Some(target) = self.target(releases)
            && let Some(grant) = self.grant.take()
            && grant.to == target
            && grant.expires_at > now
        {
            self.doing = Doing::Unit { until: now + UNIT };
            if self.to.is_none() {
                self.to = Some(target.clone());
                self.done = 0;
            }
            if !self.began.contains(&target) {
                self.began.push(target);
            }
        }
        std::mem::take(&mut self.changed) || self.doing != before
    }

    fn end_unit(&mut self, now: Timestamp) {
        self.doing = Doing::Nothing;
        let Some(to) = self.to.clone() else { return };
        let harm = self.harm.as_ref().filter(|(release, _)| *release == to).map(|(_, harm)| *harm);
        match harm {
            Some(Harm::Error) => {
                self.doing = Doing::Paused { at: now };
                return;
            }
            Some(Harm::RollsBack) => {
                self.to = None;
                self.doing = Doing::WentBack;
                return;
            }
            Some(Harm::Dies) => {
                self.dead_until = Some(Timestamp::MAX);
                return;
            }
            Some(Harm::Hangs) => {
                self.doing = Doing::Hanging;
                return;
            }
            Some(Harm::Worse) | None => {}
        }
        self.done += 1;
        self.changed = true;
        if self.done == UNITS {
            self.version = to;
            self.to = None;
            self.worse = harm == Some(Harm::Worse);
        }
    }

    /// Hears the hub's answer.
    pub(super) fn answered(&mut self, grant: Option<Grant>) {
        if grant.is_some() && self.dies_of_grant {
            self.dies_of_grant = false;
            self.dead_until = Some(Timestamp::MAX);
        }
        if grant.is_some() {
            self.changed = true;
        }
        self.grant = grant;
    }

    /// What it says at `now`.
    pub(super) fn say(&mut self, releases: &Releases, now: Timestamp) -> Said {
        self.seq += 1;
        let target = self.target(releases);
        let asks = self.doing == Doing::Nothing && target.is_some();
        let phase = match self.doing {
            Doing::Unit { .. } | Doing::Hanging => Phase::AwaitReturn,
            Doing::Paused { .. } => Phase::Paused,
            Doing::Nothing if asks => Phase::Waiting,
            Doing::Nothing | Doing::WentBack => Phase::Idle,
        };
        let failure = match self.doing {
            Doing::Paused { at } => Some(Failure {
                kind: "unit".to_owned(),
                message: "it did not return".to_owned(),
                at,
            }),
            Doing::Nothing | Doing::Unit { .. } | Doing::Hanging | Doing::WentBack => None,
        };
        let verdict = if self.worse { HealthVerdict::Unhealthy } else { HealthVerdict::Healthy };
        let wants = target.as_ref().filter(|_| asks).map(|to| GrantRequest {
            to: to.clone(),
            release_digest: releases.digest(to).unwrap(),
            renews: None,
        });
        let record = ProductRecord {
            graph: releases.graph.clone(),
            version: self.version.clone(),
            target,
            phase,
            since: now,
            unit: None,
            progress: self.to.as_ref().map(|_| Progress { done: self.done, total: UNITS }),
            health: HealthSummary { verdict, ..HealthSummary::default() },
            waiting_on: Vec::new(),
            why_not: Vec::new(),
            failure,
            accepted_risks: Vec::new(),
        };
        Said { seq: self.seq, record, wants }
    }
}
