//! Curves of other systems, with their own arithmetic, faults included: to import them, to compare
//! with them, and to let lint say what they would have done.

use jiff::{SignedDuration, Timestamp};

use super::amount::Period;
use super::curve::{Curve, CurveError, Point};
use super::share::Share;

/// Seeds of a Bottlerocket host run from 0 to just below this.
const WAVE_SEEDS: u32 = 2048;

/// A Fedora `CoreOS` rollout, as its stream metadata has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FcosRollout {
    /// Seconds since 1970; 0 when the file has none, which is long past.
    pub start_epoch: i64,
    /// Share open at the start, 0 to 1.
    pub start_percentage: f64,
    /// Minutes until everything is open; without them the start's share stays for ever.
    pub duration_minutes: Option<u64>,
}

/// One wave of a Bottlerocket update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wave {
    /// The first seed of the wave, 0 to 2047; it goes up to the next wave's first.
    pub first_seed: u32,
    /// When the wave begins, after the start of the update.
    pub starts_after: Period,
}

impl Curve {
    /// The curve of a Fedora `CoreOS` rollout and its start: straight from `start_percentage` to 1.
    ///
    /// A rollout of 0 minutes takes one, as upstream. One that stays below 1 is refused as
    /// [`CurveError::StopsShort`].
    pub fn from_fcos(rollout: &FcosRollout) -> Result<(Timestamp, Self), CurveError> {
        let refuse = |what, advice| CurveError::OutOfRange { what, advice };
        let start = Timestamp::from_second(rollout.start_epoch)
            .map_err(|_| refuse("start_epoch", "write seconds since 1970"))?;
        let first = share_of(rollout.start_percentage)
            .ok_or_else(|| refuse("start_percentage", "write a number from 0 to 1"))?;
        let mut points = vec![Point { after: Period::ZERO, share: first }];
        if let Some(minutes) = rollout.duration_minutes {
            let after = u32::try_from(minutes.max(1))
                .ok()
                .filter(|minutes| *minutes <= Period::MAX.secs() / 60)
                .ok_or_else(|| refuse("duration_minutes", "write at most 366 days"))?;
            points.push(Point { after: Period::from_mins(after), share: Share::ALL });
        }
        Ok((start, Self::from_points(points)?))
    }

    /// The curve of a Bottlerocket update's waves, given in order of their seeds.
    ///
    /// Upstream's arithmetic: a host waits `wave length / wave width * its seed` from the wave's
    /// start, and no longer than to the wave's end. As the seed is counted from 0 and not from the
    /// wave's first, late waves open with a jump; the last one opens at once.
    pub fn from_waves(waves: &[Wave]) -> Result<Self, CurveError> {
        let mut points = Vec::new();
        let in_order = "sort the waves by seed, the first at 0, all below 2048";
        let refuse = || CurveError::OutOfRange { what: "a wave's first seed", advice: in_order };
        if waves.first().is_some_and(|wave| wave.first_seed != 0) {
            return Err(refuse());
        }
        for (index, wave) in waves.iter().enumerate() {
            let (first, start) = (wave.first_seed, wave.starts_after);
            let Some(next) = waves.get(index + 1) else {
                if first >= WAVE_SEEDS {
                    return Err(refuse());
                }
                points.push(Point { after: start, share: seeds(first) });
                points.push(Point { after: start, share: Share::ALL });
                break;
            };
            let (end_seed, end) = (next.first_seed, next.starts_after);
            let width = end_seed.checked_sub(first).filter(|width| *width > 0);
            let width = width.ok_or_else(refuse)?;
            if end < start {
                return Err(CurveError::TimeFalls { from: start, to: end });
            }
            points.push(Point { after: start, share: seeds(first) });
            if first < width {
                let wait = u64::from(end.secs() - start.secs()) * u64::from(first);
                let wait = u32::try_from(wait / u64::from(width)).unwrap_or(u32::MAX);
                let after = Period::from_secs(start.secs().saturating_add(wait));
                points.push(Point { after, share: seeds(first) });
                points.push(Point { after: end, share: seeds(width) });
            } else {
                points.push(Point { after: end, share: seeds(first) });
            }
            points.push(Point { after: end, share: seeds(end_seed) });
        }
        points.dedup();
        Self::from_points(points)
    }
}

fn seeds(count: u32) -> Share {
    Share::of_ratio(u64::from(count), u64::from(WAVE_SEEDS))
}

/// A fraction to the nearest billionth, which is finer than any stream file is written.
fn share_of(fraction: f64) -> Option<Share> {
    if !(0.0..=1.0).contains(&fraction) {
        return None;
    }
    // The only way from a float to whole numbers that says so when it fails: as "seconds".
    let billionths = SignedDuration::try_from_secs_f64(fraction).ok()?.as_nanos();
    Some(Share::of_ratio(u64::try_from(billionths).ok()?, 1_000_000_000))
}
