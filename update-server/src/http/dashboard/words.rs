//! Numbers and states in the words and tones people read.

use channels::wire::{Drift, DriftState, Freshness, HealthVerdict, Phase};
use jiff::Timestamp;

/// A tone of the style sheet; the text beside it says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Move,
    Warn,
    Bad,
    Mute,
    Plain,
}

impl std::fmt::Display for Tone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Good => "good",
            Self::Move => "move",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Mute => "mute",
            Self::Plain => "plain",
        })
    }
}

/// A state as a coloured word.
#[derive(Debug, Clone)]
pub(super) struct Pill {
    pub(super) tone: Tone,
    pub(super) text: String,
}

impl Pill {
    pub(super) fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { tone, text: text.into() }
    }
}

pub(super) fn phase(phase: Phase) -> Pill {
    let (tone, text) = match phase {
        Phase::Idle => (Tone::Mute, "idle"),
        Phase::Waiting => (Tone::Warn, "waiting"),
        Phase::Preflight => (Tone::Move, "preflight"),
        Phase::Quiesce => (Tone::Move, "quiesce"),
        Phase::Mutate => (Tone::Move, "mutate"),
        Phase::AwaitReturn => (Tone::Move, "await return"),
        Phase::AwaitHealth => (Tone::Move, "await health"),
        Phase::Soak => (Tone::Move, "soak"),
        Phase::Paused => (Tone::Bad, "paused"),
        Phase::Unknown => (Tone::Warn, "unknown"),
    };
    Pill::new(tone, text)
}

pub(super) fn health(verdict: HealthVerdict) -> Pill {
    let tone = match verdict {
        HealthVerdict::Healthy => Tone::Good,
        HealthVerdict::Unhealthy => Tone::Bad,
        HealthVerdict::Unknown => Tone::Warn,
    };
    Pill::new(tone, verdict.as_str())
}

/// Fresh is what everybody expects, so it is not said.
pub(super) fn freshness(freshness: Freshness) -> Option<Pill> {
    match freshness {
        Freshness::Fresh => None,
        Freshness::Late => Some(Pill::new(Tone::Warn, "late")),
        Freshness::Silent => Some(Pill::new(Tone::Bad, "silent")),
        Freshness::Gone => Some(Pill::new(Tone::Mute, "gone")),
        Freshness::Never => Some(Pill::new(Tone::Mute, "never reported")),
        Freshness::Carried => Some(Pill::new(Tone::Plain, "carried")),
        Freshness::Unknown => Some(Pill::new(Tone::Warn, "freshness unknown")),
    }
}

pub(super) fn drift(drift: &Drift) -> String {
    match drift.state {
        DriftState::Current => "on the head".to_owned(),
        DriftState::Behind => match drift.hops {
            Some(1) => "1 hop behind".to_owned(),
            Some(hops) => format!("{hops} hops behind"),
            None => "behind".to_owned(),
        },
        DriftState::Stranded => "stranded: no way to the head".to_owned(),
        DriftState::OffGraph => "not in the graph".to_owned(),
        DriftState::NoGraph => "no graph published".to_owned(),
        DriftState::Unknown => "drift unknown".to_owned(),
    }
}

/// Milliseconds, or seconds from one second on.
pub(super) fn lag(milliseconds: u64) -> String {
    if milliseconds < 1000 {
        return format!("{milliseconds} ms");
    }
    let (seconds, tenths) = (milliseconds / 1000, milliseconds % 1000 / 100);
    if seconds < 60 { format!("{seconds}.{tenths} s") } else { span(seconds) }
}

/// A span in its two largest sensible parts.
pub(super) fn span(seconds: u64) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let two = |large: u64, name: &str, small: u64, small_name: &str| {
        if small == 0 {
            format!("{large} {name}")
        } else {
            format!("{large} {name} {small} {small_name}")
        }
    };
    match seconds {
        0..MINUTE => format!("{seconds} s"),
        MINUTE..HOUR => two(seconds / MINUTE, "min", seconds % MINUTE, "s"),
        HOUR..DAY => two(seconds / HOUR, "h", seconds % HOUR / MINUTE, "min"),
        _ => two(seconds / DAY, "d", seconds % DAY / HOUR, "h"),
    }
}

/// `12 s ago`, `in 6 d 4 h`, `just now`.
pub(super) fn relative(now: Timestamp, at: Timestamp) -> String {
    let ahead = at.as_second().saturating_sub(now.as_second());
    let distance = span(ahead.unsigned_abs());
    match ahead {
        0 => "just now".to_owned(),
        1.. => format!("in {distance}"),
        _ => format!("{distance} ago"),
    }
}

/// `1 cluster`, `12 clusters`.
pub(super) fn count<N: Copy + PartialEq + From<u8> + std::fmt::Display>(
    number: N,
    one: &str,
) -> String {
    if number == N::from(1) { format!("{number} {one}") } else { format!("{number} {one}s") }
}

/// A page that people may follow; other kinds of address are shown and lead nowhere.
pub(super) fn web_page(address: &str) -> Option<String> {
    let is_web = ["https://", "http://"].iter().any(|scheme| address.starts_with(scheme));
    is_web.then(|| address.to_owned())
}
