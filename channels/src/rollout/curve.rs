//! Share curves: how much of a ring is open after how much running time.
//!
//! A curve never falls. Between points it is straight, computed in whole numbers; two points at
//! one time are a step. What time is "running" time is the clock's matter, not the curve's.

use std::fmt;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::amount::Period;
use super::share::Share;

/// Most points of a curve: one for every hour of the slowest template leaves room to spare.
pub const CURVE_POINTS_MAX: usize = 512;

/// One point of a curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Running time since the ring opened.
    pub after: Period,
    /// Share of the ring that is open then.
    pub share: Share,
}

/// Why points are no curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CurveError {
    /// No points at all.
    #[error("a curve has no points; write at least {{after: 0s, share: 100%}}")]
    Empty,
    /// More points than are read.
    #[error("a curve has {points} points; at most {max} are read", max = CURVE_POINTS_MAX)]
    TooManyPoints {
        /// How many.
        points: usize,
    },
    /// A point is earlier than the one before it.
    #[error("a curve goes from {from} back to {to}; sort its points by time")]
    TimeFalls {
        /// Time of the point before.
        from: Period,
        /// Time of the offending point.
        to: Period,
    },
    /// A point opens less than the one before it.
    #[error("a curve falls from {from} to {to}; a share that was opened cannot be taken back")]
    ShareFalls {
        /// Share of the point before.
        from: Share,
        /// Share of the offending point.
        to: Share,
    },
    /// The last point is below 100 %.
    #[error("a curve ends at {share}; end it at 100%, or the rest never gets the release")]
    StopsShort {
        /// Share of the last point.
        share: Share,
    },
    /// A number of an imported curve is outside what such a curve can hold.
    #[error("{what} is out of range; {advice}")]
    OutOfRange {
        /// Which number.
        what: &'static str,
        /// What to do.
        advice: &'static str,
    },
}

/// The curves that have names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Template {
    /// Six days.
    Default,
    /// One day.
    Fast,
    /// Three hours; more than a careful first hour allows.
    Emergency,
    /// Thirteen days.
    Slow,
}

impl Template {
    /// Every template.
    pub const ALL: [Self; 4] = [Self::Default, Self::Fast, Self::Emergency, Self::Slow];

    /// The name in a policy.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Fast => "fast",
            Self::Emergency => "emergency",
            Self::Slow => "slow",
        }
    }

    /// Time from first to last cluster.
    pub fn length(self) -> Period {
        match self {
            Self::Default => Period::from_hours(6 * 24),
            Self::Fast => Period::from_hours(24),
            Self::Emergency => Period::from_hours(3),
            Self::Slow => Period::from_hours(13 * 24),
        }
    }

    /// Sixths of the length, and per cent open by then: slow while little is known, faster once
    /// two fifths have proved the release.
    const SHAPE: [(u32, u64); 6] = [(0, 0), (1, 5), (2, 15), (4, 40), (5, 60), (6, 100)];

    fn points(self) -> Vec<Point> {
        let sixth = self.length().secs() / 6;
        let point = |(sixths, percent)| Point {
            after: Period::from_secs(sixth * sixths),
            share: Share::of_ratio(percent, 100),
        };
        Self::SHAPE.into_iter().map(point).collect()
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A monotone, piecewise linear curve that ends at 100 %.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "CurveFile", into = "CurveFile")]
pub struct Curve {
    template: Option<Template>,
    points: Vec<Point>,
}

/// `{template: fast}` or `{points: [{after: 0s, share: 1%}, …]}`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CurveFile {
    Template(Template),
    Points(Vec<Point>),
}

impl TryFrom<CurveFile> for Curve {
    type Error = CurveError;
    fn try_from(file: CurveFile) -> Result<Self, CurveError> {
        match file {
            CurveFile::Template(template) => Ok(template.into()),
            CurveFile::Points(points) => Self::from_points(points),
        }
    }
}

impl From<Curve> for CurveFile {
    fn from(curve: Curve) -> Self {
        match curve.template {
            Some(template) => Self::Template(template),
            None => Self::Points(curve.points),
        }
    }
}

impl From<Template> for Curve {
    fn from(template: Template) -> Self {
        Self { template: Some(template), points: template.points() }
    }
}

impl Curve {
    /// Takes points in time order. Before the first one nothing is open.
    pub fn from_points(points: Vec<Point>) -> Result<Self, CurveError> {
        if points.len() > CURVE_POINTS_MAX {
            return Err(CurveError::TooManyPoints { points: points.len() });
        }
        for (one, next) in points.iter().zip(points.iter().skip(1)) {
            if next.after < one.after {
                return Err(CurveError::TimeFalls { from: one.after, to: next.after });
            }
            if next.share < one.share {
                return Err(CurveError::ShareFalls { from: one.share, to: next.share });
            }
        }
        match points.last().map(|last| last.share) {
            None => Err(CurveError::Empty),
            Some(Share::ALL) => Ok(Self { template: None, points }),
            Some(share) => Err(CurveError::StopsShort { share }),
        }
    }

    /// The template it was made from, if any.
    pub fn template(&self) -> Option<Template> {
        self.template
    }

    /// The points, in time order.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// Running time until everything is open.
    pub fn length(&self) -> Period {
        self.points.iter().find(|point| point.share == Share::ALL).map_or(Period::ZERO, |p| p.after)
    }

    /// The share open after `running` time; at a step, the upper one.
    pub fn share_at(&self, running: SignedDuration) -> Share {
        let mut below: Option<&Point> = None;
        for point in &self.points {
            if point.after.duration() > running {
                return below.map_or(Share::NONE, |from| between(from, point, running));
            }
            below = Some(point);
        }
        below.map_or(Share::NONE, |last| last.share)
    }

    /// The first running time at which a cluster at `place` is eligible, to the nanosecond; `None`
    /// only for the place 100 %, which no cluster has.
    pub fn first_open(&self, place: Share) -> Option<SignedDuration> {
        let mut below: Option<&Point> = None;
        for point in &self.points {
            if point.share > place {
                return Some(match below {
                    Some(from) => reaches(from, point, place.steps() + 1),
                    None => point.after.duration(),
                });
            }
            below = Some(point);
        }
        None
    }

    /// The largest share that opens within any `tick` of running time, and the running time at
    /// which that begins; the step at that very time counts.
    pub fn steepest(&self, tick: Period) -> (Share, SignedDuration) {
        let tick = tick.duration();
        let instant = SignedDuration::from_nanos(1);
        // The growth over a sliding tick is itself piecewise linear; it peaks where an end of the
        // tick meets a point, seen from just before the step as well as on it.
        let mut best = (Share::NONE, SignedDuration::ZERO);
        for point in &self.points {
            let at = point.after.duration();
            for begin in [at, at - tick] {
                for before in [begin - instant, begin] {
                    let grown = self.share_at(before).up_to(self.share_at(before + tick));
                    if grown > best.0 {
                        best = (grown, begin.max(SignedDuration::ZERO));
                    }
                }
            }
        }
        best
    }
}

fn nanos(duration: SignedDuration) -> u128 {
    u128::try_from(duration.as_nanos()).unwrap_or(0)
}

/// The share between two points; `running` is at or after the first and before the second.
fn between(from: &Point, to: &Point, running: SignedDuration) -> Share {
    let rise = u128::from(from.share.up_to(to.share).steps());
    let length = nanos(to.after.duration() - from.after.duration()).max(1);
    let into = nanos(running - from.after.duration());
    let steps = u64::try_from(rise * into / length).unwrap_or(0);
    Share::from_steps(from.share.steps() + steps)
}

/// The first running time at which the share is `steps` or more, on the way up to `to`.
fn reaches(from: &Point, to: &Point, steps: u64) -> SignedDuration {
    let rise = u128::from(from.share.up_to(to.share).steps()).max(1);
    let length = nanos(to.after.duration() - from.after.duration());
    let wanted = u128::from(steps.saturating_sub(from.share.steps()));
    let into = (wanted * length).div_ceil(rise);
    let into = i64::try_from(into).map_or(to.after.duration(), SignedDuration::from_nanos);
    (from.after.duration() + into).min(to.after.duration())
}
