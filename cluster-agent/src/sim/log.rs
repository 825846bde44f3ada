//! A replicated log without its records: where each epoch begins and where the log ends.

/// Epochs and end of one voter's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Log {
    /// `(epoch, first offset)`, ascending; never empty.
    epochs: Vec<(u64, i64)>,
    end: i64,
}

impl Log {
    /// A log written in one epoch.
    pub(super) fn new(epoch: u64, end: i64) -> Self {
        Self { epochs: vec![(epoch, 0)], end }
    }

    /// The offset after the last record.
    pub(super) fn end(&self) -> i64 {
        self.end
    }

    /// The epoch of the last record.
    pub(super) fn last_epoch(&self) -> u64 {
        self.epochs.last().map_or(0, |(epoch, _)| *epoch)
    }

    /// The first offset of the last epoch.
    pub(super) fn last_epoch_start(&self) -> i64 {
        self.epochs.last().map_or(0, |(_, start)| *start)
    }

    /// Appends one record.
    pub(super) fn append(&mut self, epoch: u64) {
        if self.last_epoch() != epoch {
            self.epochs.push((epoch, self.end));
        }
        self.end += 1;
    }

    /// Whether a voter with this log may vote for one with `other` (Raft §5.4.1).
    pub(super) fn is_at_most(&self, other: &Self) -> bool {
        (self.last_epoch(), self.end) <= (other.last_epoch(), other.end)
    }

    /// The offset after the last record of `epoch` or of the newest older one.
    fn end_of(&self, epoch: u64) -> i64 {
        self.epochs.iter().find(|(e, _)| *e > epoch).map_or(self.end, |(_, start)| *start)
    }

    /// Drops what `leader` does not have, then copies from it up to `target`, at most `records`.
    pub(super) fn fetch(&mut self, leader: &Self, target: i64, records: i64) {
        let agreed = leader.end_of(self.last_epoch()).min(self.end);
        let end = target.min(leader.end).min(agreed + records).max(agreed);
        self.end = end;
        self.epochs =
            leader.epochs.iter().copied().filter(|(_, start)| *start < end.max(1)).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_the_leader_does_not_have_is_cut_off() {
        let mut old_leader = Log::new(1, 10);
        old_leader.append(1);
        old_leader.append(1);
        let mut leader = Log::new(1, 10);
        leader.append(2);
        old_leader.fetch(&leader, 11, 0);
        assert_eq!((old_leader.end(), old_leader.last_epoch()), (10, 1));
        old_leader.fetch(&leader, 11, 100);
        assert_eq!(old_leader, leader);
    }

    #[test]
    fn the_newer_epoch_wins_over_the_longer_log() {
        let long = Log::new(1, 100);
        let mut new = Log::new(1, 10);
        new.append(2);
        assert!(long.is_at_most(&new) && !new.is_at_most(&long));
    }
}
