//! What the hub keeps: one database file, one writer, and the committed state in memory.
//!
//! ```text
//! handler --try_send--> bounded queue --> writer thread: BEGIN, jobs, COMMIT --> memory --> ack
//! ```
//!
//! A caller hears "yes" only after the commit that holds its change, and only then can a reader
//! see it. If a commit fails, nobody in it is answered with success and memory stays as it was.
//! The queue never blocks a caller: when it is full the answer is [`Refusal::Busy`].

mod admin;
mod audit;
mod batch;
mod beat;
mod chain;
mod committed;
mod db;
mod enrol;
mod follow;
mod history;
mod identity;
mod ingest;
mod judge;
mod leader;
mod load;
mod locks;
mod migrate;
mod people;
mod queue;
mod reader;
mod reply;
mod repository;
mod rollouts;
mod row;
mod schema;
mod sessions;
mod sites;
mod snapshot;
mod soak;
mod state;
#[cfg(test)]
pub(crate) mod tests;
mod tokens;
mod trends;
mod units;
mod upkeep;
mod webhooks;
mod writer;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use channels::rollout::LabelError;
use channels::wire::KeyRevocation;
use jiff::Timestamp;
use tokio::sync::oneshot;

use self::db::DbResult;
use crate::fleet::KeyEnd;
use crate::rollout::RolloutRefusal;
use crate::served::Served;
pub(crate) use admin::changed as changed_settings;
pub use admin::{BulkDone, BulkWork, SetLabels, SetSettings};
pub use audit::{AuditFilter, AuditFound, ChainCheck, Event};
pub(crate) use batch::Batch;
pub use chain::{Run, row_hash};
pub use committed::Committed;
pub use db::{AddressError, Database, DbError, Server};
pub use enrol::{Enrolment, JoinTokenRow};
pub use history::{HistoryPlace, HistoryRow};
pub use identity::{KeyRotation, Revoke, Trust};
pub use ingest::AcceptedReport;
pub use leader::{LeaderError, LeaderThread, Lease};
pub use load::LoadError;
pub use migrate::{MigrateError, Migration, MovedTable};
pub use people::{NewHold, NewJoinToken};
use queue::NotQueued;
pub use reader::{Reader, ReaderError};
pub use repository::{
    KnownFiles, PublishTurn, RepositoryError, SharedRepository, StoredFile, StoredSet,
};
pub use rollouts::{AppliedPolicy, Governed, NewPolicy, RemovedPolicy, Steer};
pub use schema::SchemaError;
pub use sessions::NewSession;
pub use sites::{NewSite, NewStatus, StatusRequest};
pub use snapshot::{Content, SnapshotError, check_database, copy_database};
pub use tokens::NewToken;
pub use trends::TrendQuestion;
pub use upkeep::prepare;
pub use webhooks::{DeadRow, NewWebhookRow, Passed, Retried, WebhookRecord};

/// File name of the database below the data directory.
pub const DATABASE_FILE: &str = "hub.sqlite3";

/// What the store needs to know.
#[derive(Debug, Clone, Copy)]
pub struct StoreSettings {
    /// Seconds between two reports of one cluster.
    pub report_interval_s: u64,
    /// Seconds a grant is valid.
    pub grant_ttl_s: u64,
    /// Writes that may wait.
    pub queue_capacity: usize,
    /// Days of history kept.
    pub history_days: u32,
}

/// Why a write was not done. Everything but the last three is an answer to the caller's request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// `seq` did not grow and the body is not the last one again.
    #[error("seq {seq} is not above {last}, the last one committed for this cluster")]
    Replayed {
        /// What was sent.
        seq: u64,
        /// What is committed.
        last: u64,
    },
    /// `seq` is one that no clock reaches, see [`channels::wire::Report::SEQ_AHEAD_MAX_MS`].
    #[error("seq {seq} is more than a year ahead of the hub's clock in milliseconds")]
    SeqOutOfReach {
        /// What was sent.
        seq: u64,
        /// What is committed.
        last: u64,
    },
    /// No such cluster.
    #[error("no such cluster")]
    UnknownCluster,
    /// The cluster was retired.
    #[error("this cluster was retired; enrol it again with a new key")]
    Retired,
    /// The cluster has another key by now.
    #[error("{}", identity::key_replaced(*end))]
    KeyReplaced {
        /// Why this one ended.
        end: KeyEnd,
    },
    /// A person took the cluster's key out of force.
    #[error("{}", identity::key_revoked(.0))]
    KeyRevoked(Arc<KeyRevocation>),
    /// The key is one the hub knows already.
    #[error("this key is in use already; make a new one (`cluster-agent enroll --new-key`)")]
    KeyInUse,
    /// Two agents use the key: neither may decide which is the true one.
    #[error(
        "more than one agent uses this cluster's key; `fairway clusters reinvite` gives the true \
         one a new key, `fairway clusters trust` ends the conflict without"
    )]
    IdentityConflict {
        /// The last number committed, where the refused request is a report whose own is used up.
        last_seq: Option<u64>,
    },
    /// There is no conflict to end.
    #[error("no identity conflict is known of this cluster")]
    NoConflict,
    /// With those the cluster would have more products than a report may list.
    #[error("{found} products on one cluster, at most {max} are kept")]
    TooManyProducts {
        /// After merging.
        found: usize,
        /// The bound.
        max: usize,
    },
    /// The report invents more channels or versions than the index holds.
    #[error("the fleet has too many distinct channels or versions")]
    TooManyNames,
    /// A label that there cannot be, or too many of them.
    #[error(transparent)]
    Labels(#[from] LabelError),
    /// Nearly every cluster has labels that no other one has.
    #[error(
        "the fleet has {max} different sets of labels, which is as many as there may be: label \
         what clusters have in common, and find single ones by their name"
    )]
    TooManyLabelSets {
        /// The bound.
        max: usize,
    },
    /// Nearly every cluster has settings that no other one has.
    #[error(
        "the fleet has {max} different settings of clusters, which is as many as there may be: \
         take away what is no longer needed"
    )]
    TooManySettings {
        /// The bound.
        max: usize,
    },
    /// A pin that could never be reached.
    #[error("a pin to {pin} is above the highest version that is allowed, {max}")]
    PinAboveMax {
        /// Where it is pinned to.
        pin: String,
        /// How far it may go.
        max: String,
    },
    /// Unknown, expired or used up.
    #[error("the join token {why}")]
    JoinToken {
        /// Which of the three.
        why: &'static str,
    },
    /// Another cluster in force has the name.
    #[error("the name {name:?} is taken by another cluster")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// No such hold.
    #[error("there is no hold {id}")]
    UnknownHold {
        /// Its number.
        id: u64,
    },
    /// The hold was lifted before.
    #[error("hold {id} was lifted before")]
    AlreadyResumed {
        /// Its number.
        id: u64,
    },
    /// No such join token that is open.
    #[error("there is no open join token {id}")]
    UnknownJoinToken {
        /// Its number.
        id: u64,
    },
    /// No such token in force.
    #[error("there is no token {id} in force")]
    UnknownToken {
        /// Its number.
        id: u64,
    },
    /// No such session.
    #[error("there is no session {id}")]
    UnknownSession {
        /// Its number.
        id: u64,
    },
    /// Another token in force has the name.
    #[error("a token named {name:?} is in force")]
    TokenNameTaken {
        /// The name.
        name: String,
    },
    /// Nobody could administer the hub after it.
    #[error("this is the last admin token that does not expire; make another one first")]
    LastAdmin,
    /// Nobody has registered the site.
    #[error("no site {site:?} is registered here")]
    UnknownSite {
        /// Its name.
        site: String,
    },
    /// As many sites as there may be.
    #[error("{max} sites are registered, which is as many as there may be")]
    TooManySites {
        /// The bound.
        max: usize,
    },
    /// The site got another key while its status was on its way through this hub.
    #[error("site {site} was given another key just now; its status must be signed with that one")]
    SiteKeyReplaced {
        /// Its name.
        site: String,
    },
    /// The status is older than what is known.
    #[error("sequence {sequence} of site {site} is not above {newest}, the newest one imported")]
    StatusRollback {
        /// Whose.
        site: String,
        /// What the file says.
        sequence: u64,
        /// What was taken before.
        newest: u64,
    },
    /// With the file there would be more clusters of dark sites than are kept.
    #[error("{found} clusters of dark sites, at most {max} are kept")]
    TooManyCarried {
        /// With the file.
        found: usize,
        /// The bound.
        max: usize,
    },
    /// A rollout policy or a command to a rollout was refused.
    #[error(transparent)]
    Rollout(RolloutRefusal),
    /// As many webhooks as there may be.
    #[error("there are {max} webhooks, which is as many as there may be")]
    TooManyWebhooks {
        /// The bound.
        max: usize,
    },
    /// No such webhook.
    #[error("there is no webhook {id}")]
    UnknownWebhook {
        /// Its number.
        id: u64,
    },
    /// The queue is full.
    #[error("too many writes are waiting")]
    Busy,
    /// The commit failed; nothing was written. The log says why.
    #[error("the store cannot write")]
    Failed,
    /// The hub is going down; nothing was written.
    #[error("the server is shutting down")]
    Stopped,
}

/// Why a job of a batch ends without a result.
#[derive(Debug)]
pub(crate) enum Stop {
    /// This caller is refused; the others go on. Nothing may have been written for it, except a
    /// mark that memory was given as well.
    Refused(Refusal),
    /// The database failed; the whole batch is undone.
    Sql(DbError),
}

impl From<DbError> for Stop {
    fn from(error: DbError) -> Self {
        Self::Sql(error)
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Tells the caller, once the batch is durable.
type Delivery = Box<dyn FnOnce() + Send>;
type Work = Box<dyn FnOnce(&mut Batch<'_>) -> DbResult<Delivery> + Send>;

/// Called after every commit with the number of jobs and the time it took.
pub type CommitObserver = Box<dyn Fn(usize, Duration) + Send>;

/// The database could not be brought up.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// Its content.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// No thread for the writer.
    #[error("failed to start the writer thread")]
    Thread(#[source] std::io::Error),
}

/// Handle on the writer; cheap to clone.
#[derive(Clone)]
pub struct Store {
    queue: queue::Sender<Work>,
    committed: Arc<Committed>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("queued", &self.committed.queued()).finish_non_exhaustive()
    }
}

/// The writer thread; join it after [`Store::stop`].
#[derive(Debug)]
pub struct WriterThread(JoinHandle<()>);

impl WriterThread {
    /// Waits until everything queued before [`Store::stop`] is committed. Blocks.
    pub fn join(self) {
        // A panicked writer has answered nobody; there is nothing left to save.
        let _ = self.0.join();
    }
}

impl Store {
    /// Opens the database, brings its schema up to date, reads it into memory and starts the writer.
    /// Blocks.
    ///
    /// # Errors
    /// The database cannot be reached, or holds something that no hub wrote.
    pub fn open(
        database: impl Into<Database>,
        settings: StoreSettings,
        served: Arc<dyn Served>,
        observer: CommitObserver,
        now: Timestamp,
    ) -> Result<(Self, WriterThread), OpenError> {
        let database = database.into();
        let db = schema::open(&database)?;
        let (mut writer, committed) = writer::Writer::load(db, &database, served, settings, now)?;
        writer.wake(now)?;
        let (queue, jobs) = queue::bounded(settings.queue_capacity);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(&jobs, &observer))
            .map_err(OpenError::Thread)?;
        Ok((Self { queue, committed }, WriterThread(thread)))
    }

    /// What is committed.
    pub fn committed(&self) -> &Arc<Committed> {
        &self.committed
    }

    /// Ends the writer after everything queued so far.
    pub fn stop(&self) {
        self.queue.end();
    }

    /// Queues a job and waits for its commit.
    pub(crate) async fn submit<T, F>(&self, work: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: FnOnce(&mut Batch<'_>) -> Result<T, Stop> + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        let work: Work = Box::new(move |batch| {
            let result = match work(batch) {
                Ok(value) => Ok(value),
                Err(Stop::Refused(refusal)) => Err(refusal),
                Err(Stop::Sql(error)) => {
                    // Before `tell` goes: whoever hears of a failure also sees it in `/readyz`.
                    batch.committed.writable.store(false, Ordering::Relaxed);
                    return Err(error);
                }
            };
            // The caller may have gone away; its change is committed all the same.
            Ok(Box::new(move || drop(tell.send(result))))
        });
        self.committed.queued.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = self.queue.try_send(work) {
            self.committed.queued.fetch_sub(1, Ordering::Relaxed);
            return Err(match error {
                NotQueued::Full => Refusal::Busy,
                NotQueued::Closed => {
                    // The writer is gone, by order or by a panic: `/readyz` must not call that good.
                    self.committed.writable.store(false, Ordering::Relaxed);
                    Refusal::Stopped
                }
            });
        }
        // A batch that fails drops its jobs, and with them this channel's other end.
        told.await.unwrap_or_else(|_| {
            let stopped = self.committed.stopped.load(Ordering::Relaxed);
            Err(if stopped { Refusal::Stopped } else { Refusal::Failed })
        })
    }
}

/// The number of a row that was just written.
fn id_of(rowid: i64) -> u64 {
    u64::try_from(rowid).unwrap_or(0)
}

/// `SQLite` has no unsigned integers; nothing we count reaches 2^63.
fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
