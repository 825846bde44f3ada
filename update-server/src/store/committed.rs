//! The committed state in memory: fleet, holds, tokens, dark sites, and how the writer is doing.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use arc_swap::ArcSwap;
use channels::wire::Hold;

use crate::auth::TokenTable;
use crate::fleet::{DriftMemo, FleetIndex};
use crate::rollout::{Overlay, Rollouts};
use crate::site::Sites;

/// Everything reads are answered from. Only the writer changes it, after a commit.
#[derive(Debug)]
pub struct Committed {
    fleet: RwLock<FleetIndex>,
    memo: Mutex<DriftMemo>,
    holds: ArcSwap<Vec<Hold>>,
    tokens: ArcSwap<TokenTable>,
    sites: ArcSwap<Sites>,
    rollouts: RwLock<Rollouts>,
    /// One more than the catalog's generation whose heads rollouts were opened for; 0 = none.
    offered: AtomicU64,
    pub(super) queued: AtomicUsize,
    pub(super) writable: AtomicBool,
    pub(super) stopped: AtomicBool,
}

impl Committed {
    pub(super) fn new(
        fleet: FleetIndex,
        holds: Vec<Hold>,
        tokens: TokenTable,
        sites: Sites,
        rollouts: Rollouts,
    ) -> Self {
        Self {
            fleet: RwLock::new(fleet),
            memo: Mutex::default(),
            holds: ArcSwap::from_pointee(holds),
            tokens: ArcSwap::from_pointee(tokens),
            sites: ArcSwap::from_pointee(sites),
            rollouts: RwLock::new(rollouts),
            offered: AtomicU64::new(0),
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

    /// Writes that wait for the writer.
    pub fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// Whether the last commit succeeded and the writer is there for the next one.
    pub fn is_writable(&self) -> bool {
        self.writable.load(Ordering::Relaxed)
    }
}
