//! How clusters fared on releases, day by day: what promotion by soak asks for.
//!
//! The day that is not over lives in memory and is written down with every note of trends; a hub that
//! comes back soon goes on with it, one that was away for longer than silence takes starts with a day
//! that proves nothing.

use channels::names::ProductRef;
use channels::wire::SoakDay;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rusqlite::params;

use super::db::{Db, DbResult};
use super::load::At;
use super::{Batch, LoadError, history, int};
use crate::fleet::{DayCount, FleetIndex};

const DAY_S: i64 = 86_400;
/// From this much time without a word on a cluster counts as silent, and so does what the hub itself
/// did not see.
const AWAY_MAX: SignedDuration = SignedDuration::from_mins(30);
/// Level of zstd: marks are runs of the same few bytes.
const ZSTD_LEVEL: i32 = 1;
/// Largest day read: a hundred million clusters are none of ours.
const MAX_DAY_BYTES: usize = 256 * 1024 * 1024;

/// The UTC day of a moment, in days since 1970.
fn day_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(DAY_S)
}

/// What is written with a note of trends.
pub(super) struct SoakNote {
    /// The day that is over, with its counts.
    over: Option<(i64, Vec<DayCount>)>,
    /// The day that is not, in a zstd frame; none at the turn of days.
    marks: Option<Vec<u8>>,
    day: i64,
}

impl SoakNote {
    /// Passes over the rows.
    pub(super) fn of(fleet: &FleetIndex, now: Timestamp) -> Self {
        let (day, today) = (fleet.day(), day_of(now));
        if day < today {
            return Self { over: Some((day, fleet.day_counts())), marks: None, day: today };
        }
        // Packing what is in memory does not fail.
        let marks = zstd::bulk::compress(&fleet.packed_day(), ZSTD_LEVEL).ok();
        Self { over: None, marks, day }
    }
}

/// Goes on with the day after a start.
pub(super) fn resume(db: &Db, fleet: &mut FleetIndex, now: Timestamp) -> Result<(), LoadError> {
    let sql = "SELECT id, day, at, marks FROM soak_mark WHERE id = 1";
    let kept = db.row_if_any(sql, &[], |row| {
        let at = Timestamp::from_millisecond(row.get("at")?).unwrap_or(Timestamp::MIN);
        Ok((row.get::<_, i64>("day")?, at, row.get::<_, Vec<u8>>("marks")?))
    })?;
    let fresh = kept.filter(|(_, at, _)| now.duration_since(*at).abs() <= AWAY_MAX);
    let Some((day, at, marks)) = fresh else {
        fleet.resume_day(day_of(now), &[], &[]);
        return Ok(());
    };
    let marks = zstd::bulk::decompress(&marks, MAX_DAY_BYTES).unwrap_or_default();
    fleet.resume_day(day, &marks, &history::changed_since(db, at)?);
    Ok(())
}

/// Days of a product's releases, oldest first; of one release or of all.
pub(super) fn days(db: &Db, product: &ProductRef) -> Result<Vec<SoakDay>, LoadError> {
    let sql = "SELECT * FROM soak_day WHERE product = ?1 ORDER BY day, channel, version";
    db.rows(sql, params![product.to_string()], |row| {
        let at = At { table: "soak_day", id: row.get("day")?, row };
        let wrong = |column, why: String| at.wrong(column, why);
        let channel: String = at.get("channel")?;
        let version: String = at.get("version")?;
        Ok(SoakDay {
            channel: channel.parse().map_err(|e| wrong("channel", format!("{e}")))?,
            version: version.parse().map_err(|e| wrong("version", format!("{e}")))?,
            date: date(at.id).ok_or_else(|| wrong("day", "no day".to_owned()))?,
            healthy: at.unsigned("healthy")?,
            unhealthy: at.unsigned("unhealthy")?,
            unknown: at.unsigned("unknown")?,
        })
    })
}

fn date(day: i64) -> Option<Date> {
    let midnight = Timestamp::from_second(day.checked_mul(DAY_S)?).ok()?;
    Some(midnight.to_zoned(TimeZone::UTC).date())
}

impl Batch<'_> {
    pub(super) fn note_soak(&mut self, note: SoakNote, now: Timestamp) -> DbResult<()> {
        if let Some((day, counts)) = note.over {
            for count in counts {
                self.db.execute(
                    "INSERT INTO soak_day \
                     (day, product, channel, version, healthy, unhealthy, unknown) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
                     ON CONFLICT (day, product, channel, version) DO NOTHING",
                    params![
                        day,
                        count.product.to_string(),
                        count.channel.to_string(),
                        count.version.to_string(),
                        int(count.healthy),
                        int(count.unhealthy),
                        int(count.unknown),
                    ],
                )?;
            }
            let oldest = day_of(now) - i64::from(self.settings.history_days);
            self.db.execute("DELETE FROM soak_day WHERE day < ?1", params![oldest])?;
            self.changes.begin_day = Some(note.day);
        }
        let Some(marks) = note.marks else { return Ok(()) };
        self.db
            .execute(
                "INSERT INTO soak_mark (id, day, at, marks) VALUES (1, ?1, ?2, ?3) \
                 ON CONFLICT (id) DO UPDATE SET day = excluded.day, at = excluded.at, \
                 marks = excluded.marks",
                params![note.day, now.as_millisecond(), marks],
            )
            .map(drop)
    }
}
