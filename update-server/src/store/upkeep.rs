//! What keeps the store in order beside what callers ask for: its schema, the maintenance tick, and
//! word of other replicas.

use jiff::Timestamp;

use super::{Database, Event, Refusal, SchemaError, Store, schema};

/// Brings the schema of a database up to date. Blocks.
///
/// # Errors
/// It cannot be reached, or a newer hub wrote it.
pub fn prepare(database: &Database) -> Result<(), SchemaError> {
    schema::open(database).map(drop)
}

impl Store {
    /// Maintenance: ages rows into their freshness class, forgets old history, truncates the log,
    /// and finds out whether the disk still takes a commit.
    pub async fn tick(&self, now: Timestamp) -> Result<(), Refusal> {
        self.submit(move |batch| batch.tick(now)).await
    }

    /// The part of the maintenance that every replica does for its own memory, while another one does
    /// the rest: rows age into their freshness class, and rollouts are counted, because nobody is
    /// granted on figures that are not known.
    pub async fn sweep(&self, now: Timestamp) -> Result<(), Refusal> {
        self.submit(move |batch| {
            batch.sweep(now);
            Ok(())
        })
        .await
    }

    /// Comes back when memory has everything that replicas committed before the call.
    pub async fn catch_up(&self) -> Result<(), Refusal> {
        self.submit(|_| Ok(())).await
    }

    /// Adds an audit row about something that is not in the database (a publication).
    pub async fn record(&self, event: Event) -> Result<(), Refusal> {
        self.submit(move |batch| {
            batch.audit(&event)?;
            // A publication may be what is told.
            batch.offer_heads(event.at);
            Ok(())
        })
        .await
    }
}
