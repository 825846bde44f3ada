//! A rollout's clusters by what they do, and as bars. Pure.

use channels::rollout::Counts;

use super::super::words::Tone;
use crate::rollout::RingView;

/// Width of all bars together, in the drawing's own unit.
const FULL: u64 = 1000;
/// Between the bars of two rings, as long as there are few.
const GAP: u64 = 8;

/// Rings that a row names; its page has all of them.
const RINGS_NAMED: usize = 6;

/// Clusters of some rings by what they do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) members: u64,
    pub(super) not_started: u64,
    pub(super) granted: u64,
    pub(super) rolling: u64,
    pub(super) succeeded: u64,
    pub(super) there: u64,
    pub(super) failed: u64,
    pub(super) acknowledged: u64,
    pub(super) unknown: u64,
}

impl Totals {
    pub(super) fn of<'r>(rings: impl IntoIterator<Item = &'r RingView>) -> Self {
        let mut all = Self::default();
        for Counts {
            members,
            not_started,
            granted,
            rolling,
            succeeded,
            failed,
            acknowledged,
            unknown,
            there,
        } in rings.into_iter().map(|ring| ring.counts)
        {
            all.members += u64::from(members);
            all.not_started += u64::from(not_started);
            all.granted += u64::from(granted);
            all.rolling += u64::from(rolling);
            all.succeeded += u64::from(succeeded);
            all.there += u64::from(there);
            all.failed += u64::from(failed);
            all.acknowledged += u64::from(acknowledged);
            all.unknown += u64::from(unknown);
        }
        all
    }

    /// Clusters that run the release.
    pub(super) fn on_release(&self) -> u64 {
        self.succeeded + self.there
    }

    /// Each with its tone and its word, in the order of a bar.
    pub(super) fn parts(&self) -> [(Tone, &'static str, u64); 5] {
        [
            (Tone::Good, "run it", self.on_release()),
            (Tone::Move, "on the way", self.granted + self.rolling),
            (Tone::Bad, "failed", self.failed),
            (Tone::Warn, "failed and acknowledged", self.acknowledged),
            (Tone::Mute, "not started", self.not_started),
        ]
    }
}

/// A piece of a bar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) tone: Tone,
    pub(super) x: u64,
    pub(super) width: u64,
    pub(super) label: String,
}

/// The rings side by side, equally wide however large they are.
pub(super) fn bars(rings: &[RingView]) -> Vec<Part> {
    let count = u64::try_from(rings.len()).unwrap_or(u64::MAX).max(1);
    let gap = if count > 1 { GAP.min(FULL / count / 4) } else { 0 };
    let wide = (FULL + gap) / count;
    let mut parts = Vec::new();
    for (ring, left) in rings.iter().zip((0..).map(|index: u64| index * wide)) {
        let totals = Totals::of([ring]);
        let width = wide.saturating_sub(gap);
        let edge = |before: u64| {
            before.saturating_mul(width).checked_div(totals.members).unwrap_or(0).min(width)
        };
        let mut before = 0;
        if totals.members == 0 {
            let label = format!("{}: no clusters", ring.name);
            parts.push(Part { tone: Tone::Mute, x: left, width, label });
        }
        for (tone, word, value) in totals.parts().into_iter().filter(|(_, _, value)| *value > 0) {
            let (x, end) = (edge(before), edge(before + value));
            let label = format!("{}: {value} {word}", ring.name);
            parts.push(Part { tone, x: left + x, width: end.saturating_sub(x), label });
            before += value;
        }
    }
    parts
}

/// The same in words.
pub(super) fn bars_label(rings: &[RingView]) -> String {
    let one = |ring: &RingView| {
        let totals = Totals::of([ring]);
        format!("{} {} of {}", ring.name, totals.on_release(), totals.members)
    };
    let mut words: Vec<String> = rings.iter().take(RINGS_NAMED).map(one).collect();
    let rest = rings.len().saturating_sub(RINGS_NAMED);
    if rest > 0 {
        words.push(format!("{rest} rings more"));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(name: &str, counts: Counts) -> RingView {
        RingView {
            name: name.parse().unwrap(),
            counts,
            open: None,
            waits_for: Vec::new(),
            opens_at: None,
            held: None,
            needs_approval: false,
        }
    }

    #[test]
    fn rings_stand_side_by_side_and_each_is_filled_by_its_own_clusters() {
        let done = Counts { members: 3, succeeded: 2, there: 1, ..Counts::default() };
        let going =
            Counts { members: 4, rolling: 1, failed: 1, not_started: 2, ..Counts::default() };
        let rings = [ring("canary", done), ring("prod", going)];
        let told: Vec<(u64, u64, String)> =
            bars(&rings).into_iter().map(|part| (part.x, part.width, part.label)).collect();
        assert_eq!(
            told,
            [
                (0, 496, "canary: 3 run it".to_owned()),
                (504, 124, "prod: 1 on the way".to_owned()),
                (628, 124, "prod: 1 failed".to_owned()),
                (752, 248, "prod: 2 not started".to_owned()),
            ]
        );
        assert_eq!(bars_label(&rings), "canary 3 of 3, prod 0 of 4");
        assert_eq!(Totals::of(&rings).members, 7);
    }

    #[test]
    fn a_hundred_rings_and_an_empty_one_still_fit() {
        let rings: Vec<RingView> =
            (0..100).map(|n| ring(&format!("r{n}"), Counts::default())).collect();
        let parts = bars(&rings);
        assert_eq!(parts.len(), 100);
        assert!(parts.iter().all(|part| part.width > 0 && part.x + part.width <= FULL));
        assert_eq!(parts[0].label, "r0: no clusters");
        assert!(bars_label(&rings).ends_with("r5 0 of 0, 94 rings more"));
    }
}
