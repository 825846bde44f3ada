//! The committed state in memory: fleet, holds, tokens, sessions, dark sites, rollouts, and how the
//! writer is doing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use arc_swap::ArcSwap;
use channels::wire::Hold;
use tokio::time::{Duration, Instant};

use crate::auth::{SessionTable, TokenTable};
use crate::events::Bus;
use crate::fleet::{DriftMemo, FleetIndex, Slot};
use crate::rollout::{AttemptRow, Overlay, PolicyRow, RestoreError, RolloutRow, Rollouts};
use crate::site::Sites;
use crate::telemetry::TrendClock;

/// Everything reads are answered from. Only the writer changes it, after a commit.
#[derive(Debug)]
pub struct Committed {
    fleet: RwLock<FleetIndex>,
    memo: Mutex<DriftMemo>,
    holds: ArcSwap<Vec<Hold>>,
    tokens: ArcSwap<TokenTable>,
    sessions: ArcSwap<SessionTable>,
    sites: ArcSwap<Sites>,
    rollouts: RwLock<Rollouts>,
    /// One more than the catalog's generation whose heads rollouts were opened for; 0 = none.
    offered: AtomicU64,
    /// By row; 0 for units that no report since the start has brought.
    unit_marks: Mutex<Vec<u64>>,
    /// When the fleet is noted down for trends.
    pub(super) trends: Mutex<TrendClock>,
    events: Bus,
    generation: AtomicU64,
    /// When this replica knew last what all of them had committed; never without replicas.
    current: Mutex<Option<Instant>>,
    pub(super) queued: AtomicUsize,
    pub(super) writable: AtomicBool,
    pub(super) stopped: AtomicBool,
}

impl Committed {
    pub(super) fn new(
        fleet: FleetIndex,
        holds: Vec<Hold>,
        tokens: TokenTable,
        sessions: SessionTable,
        sites: Sites,
        rollouts: Rollouts,
        events: Bus,
    ) -> Self {
        Self {
            fleet: RwLock::new(fleet),
            memo: Mutex::default(),
            holds: ArcSwap::from_pointee(holds),
            tokens: ArcSwap::from_pointee(tokens),
            sessions: ArcSwap::from_pointee(sessions),
            sites: ArcSwap::from_pointee(sites),
            rollouts: RwLock::new(rollouts),
            offered: AtomicU64::new(0),
            unit_marks: Mutex::default(),
            trends: Mutex::default(),
            events,
            generation: AtomicU64::new(0),
            current: Mutex::default(),
            queued: AtomicUsize::new(0),
            writable: AtomicBool::new(true),
            stopped: AtomicBool::new(false),
        }
    }

    /// The fleet, for reading. Hold it briefly: the writer waits for it after each commit.
    pub fn fleet(&self) -> RwLockReadGuard<'_, FleetIndex> {
        self.fleet.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn fleet_mut(&self) -> RwLockWriteGuard<'_, FleetIndex> {
        self.fleet.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drift known already. Lock it after [`Committed::fleet`], never before.
    pub fn memo(&self) -> MutexGuard<'_, DriftMemo> {
        self.memo.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds in force, by number.
    pub fn holds(&self) -> Arc<Vec<Hold>> {
        self.holds.load_full()
    }

    pub(super) fn set_holds(&self, holds: Vec<Hold>) {
        self.holds.store(Arc::new(holds));
    }

    /// Tokens in force.
    pub fn tokens(&self) -> Arc<TokenTable> {
        self.tokens.load_full()
    }

    pub(super) fn set_tokens(&self, tokens: TokenTable) {
        self.tokens.store(Arc::new(tokens));
    }

    /// Sessions that nobody ended.
    pub fn sessions(&self) -> Arc<SessionTable> {
        self.sessions.load_full()
    }

    pub(super) fn set_sessions(&self, sessions: SessionTable) {
        self.sessions.store(Arc::new(sessions));
    }

    /// Dark sites, with what is known of them.
    pub fn sites(&self) -> Arc<Sites> {
        self.sites.load_full()
    }

    pub(super) fn set_sites(&self, sites: Sites) {
        self.sites.store(Arc::new(sites));
    }

    /// Policies and rollouts, for reading. Hold it briefly: the writer waits for it after each
    /// commit that changed one. Lock it after [`Committed::fleet`].
    pub fn rollouts(&self) -> RwLockReadGuard<'_, Rollouts> {
        self.rollouts.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what another replica committed.
    pub(super) fn adopt_rollouts(
        &self,
        policies: Option<Vec<PolicyRow>>,
        rollouts: Vec<RolloutRow>,
        attempts: Vec<AttemptRow>,
    ) -> Result<(), RestoreError> {
        let mut known = self.rollouts.write().unwrap_or_else(PoisonError::into_inner);
        known.adopt(policies, rollouts, attempts)
    }

    /// Takes over everything anew, after a time in which this replica could not follow the others.
    pub(super) fn replace(&self, fresh: Self) {
        let Self { fleet, holds, tokens, sessions, sites, rollouts, .. } = fresh;
        *self.fleet_mut() = fleet.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.memo().clear();
        self.holds.store(holds.into_inner());
        self.tokens.store(tokens.into_inner());
        self.sessions.store(sessions.into_inner());
        self.sites.store(sites.into_inner());
        *self.rollouts.write().unwrap_or_else(PoisonError::into_inner) =
            rollouts.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.unit_marks().clear();
    }

    pub(super) fn apply_rollouts(&self, overlay: Overlay) {
        self.rollouts.write().unwrap_or_else(PoisonError::into_inner).apply(overlay);
    }

    /// The catalog's generation whose heads rollouts were opened for.
    pub(super) fn offered(&self) -> Option<u64> {
        self.offered.load(Ordering::Relaxed).checked_sub(1)
    }

    pub(super) fn set_offered(&self, generation: u64) {
        self.offered.store(generation.saturating_add(1), Ordering::Relaxed);
    }

    fn unit_marks(&self) -> MutexGuard<'_, Vec<u64>> {
        self.unit_marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The mark of the units that the row has on disk, if it is known.
    pub(super) fn unit_mark(&self, slot: Slot) -> Option<u64> {
        let marks = self.unit_marks();
        marks.get(usize::try_from(slot.0).ok()?).copied().filter(|mark| *mark != 0)
    }

    pub(super) fn set_unit_marks(&self, new: BTreeMap<Slot, u64>) {
        let mut marks = self.unit_marks();
        for (slot, mark) in new {
            let Ok(index) = usize::try_from(slot.0) else { continue };
            if marks.len() <= index {
                marks.resize(index + 1, 0);
            }
            if let Some(known) = marks.get_mut(index) {
                *known = mark;
            }
        }
    }

    /// What the rows have is not known any more: another replica wrote them.
    pub(super) fn forget_unit_marks(&self, slots: impl Iterator<Item = Slot>) {
        self.set_unit_marks(slots.map(|slot| (slot, 0)).collect());
    }

    /// What has happened, for those who listen.
    pub fn events(&self) -> &Bus {
        &self.events
    }

    /// Grows with every commit and every maintenance tick: while it stays, answers from memory stay
    /// but for their times.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Counts a commit that readers see from here on.
    pub(super) fn changed(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// This replica has seen everything that was committed until a moment ago.
    pub(super) fn is_current(&self) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// For how long nothing is known of what other replicas commit; `None` without replicas.
    pub fn behind(&self) -> Option<Duration> {
        let current = *self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.map(|at| at.elapsed())
    }

    /// Writes that wait for the writer.
    pub fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// Whether the last commit succeeded and the writer is there for the next one.
    pub fn is_writable(&self) -> bool {
        self.writable.load(Ordering::Relaxed)
    }
}
