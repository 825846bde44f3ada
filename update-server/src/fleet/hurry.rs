//! Whether a cluster reports faster than it has anything to say.

use channels::wire::{ProductState, Report};
use jiff::{SignedDuration, Timestamp};

use super::{FleetIndex, ProductRecord, Slot};

impl FleetIndex {
    /// Seconds that a cluster should wait before it sends such a report: it comes less than
    /// `floor_s` after the one before and tells neither a change of a roll nor a new process, and
    /// asks for nothing. `None` if it is to be taken. Works from the row that is held anyway, so
    /// nothing is kept per cluster for it.
    pub fn hurries(
        &self,
        slot: Slot,
        report: &Report,
        floor_s: u64,
        now: Timestamp,
    ) -> Option<u64> {
        let row = self.rows.get(slot.index())?;
        let since = now.duration_since(row.last_seen.get()?);
        let floor = SignedDuration::from_secs(i64::try_from(floor_s).unwrap_or(i64::MAX));
        // A clock that was set back says nothing about pace.
        if since >= floor || since.is_negative() {
            return None;
        }
        let header = &report.cluster;
        // The last one again: its answer was lost.
        if header.seq <= row.seq {
            return None;
        }
        let record = self.record(slot)?;
        if header.instance != record.instance {
            return None;
        }
        let is_known = |state: &ProductState| {
            state.wants.is_none() && record.products.iter().any(|known| says_the_same(known, state))
        };
        let wait_s = floor.saturating_sub(since).as_secs().max(1);
        report.products.iter().all(is_known).then(|| u64::try_from(wait_s).unwrap_or(1))
    }
}

/// As far as a roll goes: reasons, lags and progress are told in the next regular report.
fn says_the_same(known: &ProductRecord, state: &ProductState) -> bool {
    known.graph.product == state.product
        && known.graph.channel == state.channel
        && known.version == state.version
        && known.target == state.target
        && known.phase == state.phase
        && known.unit == state.unit
        && known.failure.is_some() == state.failure.is_some()
}
