//! Notes of how the fleet was, every five minutes.
//!
//! The pass over the fleet is made by the caller's thread, beside the writer; the writer inserts some
//! dozens of rows. Two hubs on one database write the same note once.

use std::sync::PoisonError;

use channels::names::{ChannelName, ProductRef};
use channels::wire::TrendFigures;
use jiff::{SignedDuration, Timestamp};
use rusqlite::params;

use super::db::{Db, DbResult};
use super::load::At;
use super::rollouts::last_tick;
use super::soak::SoakNote;
use super::{Batch, LoadError, Refusal, Store};
use crate::fleet::SeriesName;
use crate::telemetry::TrendClock;

/// Notes are read a day at a time: a long statement keeps the log from being truncated.
const READ_AT_ONCE: SignedDuration = SignedDuration::from_hours(24);
/// With a note older than what is kept, so much of them goes at once: two hundred thousand rows at
/// most, also after somebody set fewer days.
const PRUNE_AT_ONCE: SignedDuration = SignedDuration::from_hours(24);

/// From the first note to after the last one, if there are any.
pub(super) fn span(db: &Db) -> DbResult<Option<(Timestamp, Timestamp)>> {
    let first = at_of(db, "SELECT min(at) FROM trend")?;
    let last = at_of(db, "SELECT max(at) FROM trend")?;
    let after = last.and_then(|last| last.checked_add(SignedDuration::from_secs(1)).ok());
    Ok(first.zip(after))
}

/// What is asked of trends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrendQuestion {
    /// Only this product.
    pub product: Option<ProductRef>,
    /// Only this channel.
    pub channel: Option<ChannelName>,
    /// From the note of this time on.
    pub from: Timestamp,
    /// Up to the one before this time.
    pub to: Timestamp,
    /// Seconds of one step.
    pub step_s: i64,
}

/// The clock after a start.
pub(super) fn clock(db: &Db) -> Result<TrendClock, LoadError> {
    let last = at_of(db, "SELECT max(at) FROM trend")?;
    Ok(TrendClock::new(last, last_tick(db)?))
}

/// The first or the last time, if there is a note.
fn at_of(db: &Db, sql: &str) -> DbResult<Option<Timestamp>> {
    let at: Option<i64> = db.row(sql, &[], |row| row.get(0))?;
    Ok(at.and_then(|ms| Timestamp::from_millisecond(ms).ok()))
}

/// Looks at notes in order of time for as long as `look` wants more; says whether it did to the end.
pub(super) fn each(
    db: &Db,
    question: &TrendQuestion,
    look: &mut dyn FnMut(SeriesName, Timestamp, TrendFigures) -> bool,
) -> Result<bool, LoadError> {
    let text = |name: Option<String>| name.unwrap_or_default();
    let sql = "SELECT at, product, channel, body FROM trend WHERE at >= ?1 AND at < ?2 \
               AND (?3 = '' OR product = ?3) AND (?4 = '' OR channel = ?4) \
               ORDER BY at, product, channel";
    let params = params![
        question.from.as_millisecond(),
        question.to.as_millisecond(),
        text(question.product.as_ref().map(ToString::to_string)),
        text(question.channel.as_ref().map(ToString::to_string)),
    ];
    let mut fits = true;
    db.each(sql, params, |row| {
        if fits {
            let row = At { table: "trend", id: row.get("at")?, row };
            fits = look(name(&row)?, row.some_time("at")?, row.json("body")?);
        }
        Ok::<_, LoadError>(())
    })?;
    Ok(fits)
}

/// The parts of a question that are read one after the other.
pub(super) fn days(question: &TrendQuestion) -> impl Iterator<Item = TrendQuestion> {
    let mut next = Some(question.from);
    let question = question.clone();
    std::iter::from_fn(move || {
        let from = next.filter(|from| *from < question.to)?;
        next = from.checked_add(READ_AT_ONCE).ok();
        let to = next.unwrap_or(question.to).min(question.to);
        Some(TrendQuestion { from, to, ..question.clone() })
    })
}

fn name(row: &At<'_>) -> Result<SeriesName, LoadError> {
    let (product, channel): (String, String) = (row.get("product")?, row.get("channel")?);
    if product.is_empty() {
        return Ok(None);
    }
    let product = product.parse().map_err(|e| row.wrong("product", e))?;
    let channel = channel.parse().map_err(|e| row.wrong("channel", e))?;
    Ok(Some((product, channel)))
}

impl Store {
    /// Notes how the fleet is, if that is due; says whether it was. Passes over all rows: blocks a
    /// thread for some 20 ms per million clusters, so the pass is made on one that may.
    pub async fn note_trends(&self, now: Timestamp) -> Result<bool, Refusal> {
        let committed = std::sync::Arc::clone(&self.committed);
        let interval_s = committed.fleet().interval_s();
        let due = committed.trend_clock().due(interval_s, now);
        let Some(at) = due else { return Ok(false) };
        let passing = std::sync::Arc::clone(&committed);
        let passed = tokio::task::spawn_blocking(move || {
            let fleet = passing.fleet();
            (fleet.roll_up(), SoakNote::of(&fleet, now))
        });
        let Ok((notes, soak)) = passed.await else { return Err(Refusal::Failed) };
        self.submit(move |batch| {
            batch.note_trends(at, &notes, now)?;
            batch.forget_attempts(now)?;
            Ok(batch.note_soak(soak, now)?)
        })
        .await?;
        committed.trend_clock().noted(at);
        Ok(true)
    }
}

impl super::Committed {
    /// When notes are due.
    pub(super) fn trend_clock(&self) -> std::sync::MutexGuard<'_, TrendClock> {
        self.trends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the last note was made.
    pub fn last_trend_note(&self) -> Option<Timestamp> {
        self.trend_clock().last_note()
    }
}

impl Batch<'_> {
    fn note_trends(
        &self,
        at: Timestamp,
        notes: &[(SeriesName, TrendFigures)],
        now: Timestamp,
    ) -> DbResult<()> {
        for (name, figures) in notes {
            let (product, channel) = match name {
                Some((product, channel)) => (product.to_string(), channel.to_string()),
                None => (String::new(), String::new()),
            };
            // Names and numbers: always serialise.
            let body = serde_json::to_string(figures).unwrap_or_default();
            self.db.execute(
                "INSERT INTO trend (at, product, channel, body) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (at, product, channel) DO NOTHING",
                params![at.as_millisecond(), product, channel, body],
            )?;
        }
        self.prune_trends(now)
    }

    /// Forgets notes that are older than history is kept: a day of them at a time, so neither fewer
    /// days nor a clock that ran ahead costs all of them at once.
    fn prune_trends(&self, now: Timestamp) -> DbResult<()> {
        let keep = SignedDuration::from_hours(24 * i64::from(self.settings.history_days));
        let Ok(oldest_kept) = now.checked_sub(keep) else { return Ok(()) };
        let first = at_of(self.db, "SELECT min(at) FROM trend")?;
        let Some(first) = first.filter(|first| *first < oldest_kept) else { return Ok(()) };
        let until = first.checked_add(PRUNE_AT_ONCE).unwrap_or(oldest_kept).min(oldest_kept);
        let until = params![until.as_millisecond()];
        self.db.execute("DELETE FROM trend WHERE at < ?1", until).map(drop)
    }
}
