//! When a rollout's clock may run: weekly maintenance windows minus freezes.
//!
//! Windows open at a time on the wall of one IANA time zone and stay open for a length of real
//! time: eight hours are eight hours in the night the clocks change. An opening time that a change
//! skips is moved behind the gap; one that happens twice is the first of the two.

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use super::amount::Period;

/// Most windows of a calendar: one for each hour of the week.
pub const WINDOWS_MAX: usize = 168;
/// Most freezes of a calendar: a week's worth for ten years of weekly change stops.
pub const FREEZES_MAX: usize = 512;
/// Shortest window: the clock is not looked at more often than about once a minute.
pub const WINDOW_MIN: Period = Period::from_mins(1);
/// Longest window: after a week it opens anew anyway.
pub const WINDOW_MAX: Period = Period::from_hours(7 * 24);
/// How far ahead an opening is looked for. The longest curve (366 days) in windows of a third of
/// the week fits in.
pub const LOOK_AHEAD: SignedDuration = SignedDuration::from_hours(3 * 366 * 24);
/// How much of the past is counted. A rollout that is still open after ten years stays as it is.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(10 * 366 * 24);
/// Openings are listed four weeks at a time, which bounds memory.
const STRETCH: SignedDuration = SignedDuration::from_hours(28 * 24);

/// Windows and freezes in one time zone. Without windows it is always open but for freezes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "CalendarFile", into = "CalendarFile")]
pub struct Calendar {
    zone: Zone,
    windows: Vec<Window>,
    freezes: Vec<Freeze>,
}

/// A weekly window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The days on which it opens.
    pub days: Vec<Day>,
    /// When it opens on each of them, on the wall.
    pub start: Time,
    /// How long it stays open, in real time.
    pub duration: Period,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "seven days")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl From<Weekday> for Day {
    fn from(day: Weekday) -> Self {
        match day {
            Weekday::Monday => Self::Mon,
            Weekday::Tuesday => Self::Tue,
            Weekday::Wednesday => Self::Wed,
            Weekday::Thursday => Self::Thu,
            Weekday::Friday => Self::Fri,
            Weekday::Saturday => Self::Sat,
            Weekday::Sunday => Self::Sun,
        }
    }
}

/// A time in which nothing starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    /// Its first instant.
    pub from: Timestamp,
    /// The first instant after it.
    pub until: Timestamp,
    /// Why, for people.
    pub reason: String,
    written: (String, String),
}

/// Why a calendar is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    /// The time zone is not in the database.
    #[error("time zone {name:?} is not known; write an IANA name such as Europe/Berlin")]
    Zone {
        /// What was written.
        name: String,
    },
    /// A window opens on no day.
    #[error("a window at {start} has no days; list them, such as [mon, tue]")]
    NoDays {
        /// When it would open.
        start: Time,
    },
    /// A window is too short or too long.
    #[error("a window is open for {duration}; write from {min} to {max}", min = WINDOW_MIN, max = WINDOW_MAX)]
    Length {
        /// What was written.
        duration: Period,
    },
    /// Too many windows or freezes.
    #[error("a calendar has {count} {what}; at most {max} are read")]
    TooMany {
        /// Windows or freezes.
        what: &'static str,
        /// How many.
        count: usize,
        /// The bound.
        max: usize,
    },
    /// A time of a freeze cannot be read.
    #[error("{text:?} is not a time; write 2026-12-20, 2026-12-20T18:00 or 2026-12-20T18:00:00Z")]
    Time {
        /// What was written.
        text: String,
    },
    /// A freeze ends before it begins.
    #[error("a freeze goes from {from} to {until}; it must end after it begins")]
    Backwards {
        /// Its beginning.
        from: Timestamp,
        /// Its end.
        until: Timestamp,
    },
    /// A freeze says nothing to the people it stops.
    #[error("the freeze from {from} has no reason; say why, people will ask")]
    NoReason {
        /// Its beginning.
        from: Timestamp,
    },
}

/// A named time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Zone {
    name: String,
    zone: TimeZone,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CalendarFile {
    time_zone: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    windows: Vec<Window>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    freezes: Vec<FreezeFile>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FreezeFile {
    from: String,
    until: String,
    reason: String,
}

impl TryFrom<CalendarFile> for Calendar {
    type Error = CalendarError;
    fn try_from(file: CalendarFile) -> Result<Self, CalendarError> {
        let name = file.time_zone;
        let Ok(zone) = TimeZone::get(&name) else { return Err(CalendarError::Zone { name }) };
        let calendar = Self { zone: Zone { name, zone }, windows: file.windows, freezes: vec![] };
        check_windows(&calendar.windows)?;
        let (count, max) = (file.freezes.len(), FREEZES_MAX);
        if count > max {
            return Err(CalendarError::TooMany { what: "freezes", count, max });
        }
        let freezes = file.freezes.into_iter().map(|freeze| calendar.freeze(freeze));
        Ok(Self { freezes: freezes.collect::<Result<_, _>>()?, ..calendar.clone() })
    }
}

fn check_windows(windows: &[Window]) -> Result<(), CalendarError> {
    let (count, max) = (windows.len(), WINDOWS_MAX);
    if count > max {
        return Err(CalendarError::TooMany { what: "windows", count, max });
    }
    for Window { days, start, duration } in windows {
        if days.is_empty() {
            return Err(CalendarError::NoDays { start: *start });
        }
        if *duration < WINDOW_MIN || *duration > WINDOW_MAX {
            return Err(CalendarError::Length { duration: *duration });
        }
    }
    Ok(())
}

impl From<Calendar> for CalendarFile {
    fn from(calendar: Calendar) -> Self {
        let freeze =
            |Freeze { reason, written: (from, until), .. }| FreezeFile { from, until, reason };
        Self {
            time_zone: calendar.zone.name,
            windows: calendar.windows,
            freezes: calendar.freezes.into_iter().map(freeze).collect(),
        }
    }
}

impl Default for Calendar {
    /// Always open.
    fn default() -> Self {
        let zone = Zone { name: "UTC".to_owned(), zone: TimeZone::UTC };
        Self { zone, windows: vec![], freezes: vec![] }
    }
}

/// Whether the calendar is open at a moment, and if not, why and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// It is.
    Open,
    /// No window is open.
    OutsideWindows {
        /// When the next one opens; `None` when that is further off than [`LOOK_AHEAD`].
        opens_at: Option<Timestamp>,
    },
    /// A freeze stops everything.
    Frozen {
        /// Why, in the words of the policy.
        reason: String,
        /// When a window is open again and no freeze is on.
        opens_at: Option<Timestamp>,
    },
}

impl Calendar {
    /// The weekly windows.
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// The freezes.
    pub fn freezes(&self) -> &[Freeze] {
        &self.freezes
    }

    /// The same freezes, and always open otherwise.
    #[must_use]
    pub fn without_windows(&self) -> Self {
        Self { windows: Vec::new(), ..self.clone() }
    }

    /// The IANA name of its time zone.
    pub fn time_zone(&self) -> &str {
        &self.zone.name
    }

    fn freeze(&self, file: FreezeFile) -> Result<Freeze, CalendarError> {
        let (from, until) = (self.moment(&file.from)?, self.moment(&file.until)?);
        if until <= from {
            return Err(CalendarError::Backwards { from, until });
        }
        if file.reason.trim().is_empty() {
            return Err(CalendarError::NoReason { from });
        }
        Ok(Freeze { from, until, reason: file.reason, written: (file.from, file.until) })
    }

    /// A time with an offset, or one on the wall of the calendar's zone.
    fn moment(&self, text: &str) -> Result<Timestamp, CalendarError> {
        let refuse = || CalendarError::Time { text: text.to_owned() };
        if let Ok(timestamp) = text.parse() {
            return Ok(timestamp);
        }
        let civil: DateTime = text.parse().map_err(|_| refuse())?;
        self.on_the_clock(civil).ok_or_else(refuse)
    }

    fn on_the_clock(&self, civil: DateTime) -> Option<Timestamp> {
        self.zone.zone.to_ambiguous_timestamp(civil).compatible().ok()
    }

    /// Whether it is open at `at`, and if not, why.
    pub fn opening(&self, at: Timestamp) -> Opening {
        let frozen = self.freezes.iter().find(|freeze| freeze.from <= at && at < freeze.until);
        match frozen {
            Some(freeze) => {
                Opening::Frozen { reason: freeze.reason.clone(), opens_at: self.next_open(at) }
            }
            None if self.is_open(at) => Opening::Open,
            None => Opening::OutsideWindows { opens_at: self.next_open(at) },
        }
    }

    /// Whether the clock may run at `at`.
    pub fn is_open(&self, at: Timestamp) -> bool {
        !self.open_stretches(at, at.saturating_add(INSTANT).unwrap_or(at)).is_empty()
    }

    /// The first open moment at or after `from`, within [`LOOK_AHEAD`].
    pub fn next_open(&self, from: Timestamp) -> Option<Timestamp> {
        self.after(from, SignedDuration::ZERO)
    }

    /// The first moment from `from` on and before `to` at which it is closed.
    pub fn closes_between(&self, from: Timestamp, to: Timestamp) -> Option<Timestamp> {
        let to = to.min(later(from, LOOK_AHEAD));
        let mut begin = from;
        while begin < to {
            let end = to.min(later(begin, STRETCH));
            match self.open_stretches(begin, end).first() {
                Some((opens, closes)) if *opens == begin && *closes == end => begin = end,
                Some((opens, closes)) if *opens == begin => return Some(*closes),
                Some(_) | None => return Some(begin),
            }
        }
        None
    }

    /// Open time from `from` to `to`; zero when `to` is not later.
    pub fn open_time(&self, from: Timestamp, to: Timestamp) -> SignedDuration {
        let to = to.min(later(from, LOOK_BACK));
        let mut total = SignedDuration::ZERO;
        let mut begin = from;
        while begin < to {
            let end = to.min(later(begin, STRETCH));
            for (opens, closes) in self.open_stretches(begin, end) {
                total += closes.duration_since(opens);
            }
            begin = end;
        }
        total
    }

    /// The first *open* moment by which at least `open` of open time has passed since `from`;
    /// `None` when that is further off than [`LOOK_AHEAD`].
    pub fn after(&self, from: Timestamp, open: SignedDuration) -> Option<Timestamp> {
        let limit = later(from, LOOK_AHEAD);
        let mut rest = open;
        let mut begin = from;
        while begin < limit {
            let end = limit.min(later(begin, STRETCH));
            for (opens, closes) in self.open_stretches(begin, end) {
                let length = closes.duration_since(opens);
                if rest < length {
                    return Some(later(opens, rest));
                }
                rest -= length;
            }
            begin = end;
        }
        None
    }

    /// The open stretches from `from` to `to`, cut to them, in order and apart.
    fn open_stretches(&self, from: Timestamp, to: Timestamp) -> Vec<(Timestamp, Timestamp)> {
        let mut stretches = if self.windows.is_empty() {
            vec![(from, to)]
        } else {
            merge(self.window_stretches(from, to))
        };
        for freeze in &self.freezes {
            if freeze.from < to && from < freeze.until {
                stretches = without(&stretches, freeze);
            }
        }
        stretches.retain(|(opens, closes)| opens < closes);
        stretches
    }

    fn window_stretches(&self, from: Timestamp, to: Timestamp) -> Vec<(Timestamp, Timestamp)> {
        let date = |at: Timestamp| self.zone.zone.to_datetime(at).date();
        // A window that opened a week ago may still be open, and its opening may have been moved
        // by a change of the clocks.
        let mut day = date(from).checked_sub(8.days()).unwrap_or(Date::MIN);
        let last = date(to);
        let mut stretches = Vec::new();
        while day <= last {
            let today = Day::from(day.weekday());
            for window in self.windows.iter().filter(|window| window.days.contains(&today)) {
                if let Some(opens) = self.on_the_clock(day.to_datetime(window.start)) {
                    let closes = later(opens, window.duration.duration());
                    let stretch = (opens.max(from), closes.min(to));
                    if stretch.0 < stretch.1 {
                        stretches.push(stretch);
                    }
                }
            }
            match day.tomorrow() {
                Ok(tomorrow) => day = tomorrow,
                Err(_) => break,
            }
        }
        stretches
    }
}

/// The shortest stretch of time there is.
const INSTANT: SignedDuration = SignedDuration::from_nanos(1);

fn later(from: Timestamp, by: SignedDuration) -> Timestamp {
    from.saturating_add(by).unwrap_or(Timestamp::MAX)
}

fn merge(mut stretches: Vec<(Timestamp, Timestamp)>) -> Vec<(Timestamp, Timestamp)> {
    stretches.sort_unstable();
    let mut merged: Vec<(Timestamp, Timestamp)> = Vec::new();
    for (opens, closes) in stretches {
        match merged.last_mut() {
            Some(last) if opens <= last.1 => last.1 = last.1.max(closes),
            Some(_) | None => merged.push((opens, closes)),
        }
    }
    merged
}

fn without(stretches: &[(Timestamp, Timestamp)], freeze: &Freeze) -> Vec<(Timestamp, Timestamp)> {
    let pieces = stretches.iter().flat_map(|(opens, closes)| {
        [(*opens, (*closes).min(freeze.from)), ((*opens).max(freeze.until), *closes)]
    });
    pieces.filter(|(opens, closes)| opens < closes).collect()
}
