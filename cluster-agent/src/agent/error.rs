//! Why an agent cannot run.

use channels::names::{PoolName, ProductRef};
use channels::version::ReleaseVersion;
use std::path::PathBuf;

use crate::crash::CrashPointError;
use crate::driver::DriverError;
use crate::footprint::ListenError;
use crate::hub::{HubError, TrustError};
use crate::observation::ObserverError;
use crate::phase::Illegal;
use crate::state::StateError;
use crate::telemetry::ScrapeError;

/// An error that ends the agent; everything else is a reason to wait and is reported.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The state directory.
    #[error("the state directory cannot be used")]
    State {
        /// Why.
        source: StateError,
    },
    /// The agent reports, but has no identity.
    #[error(
        "this cluster is not enrolled at {url}: run `cluster-agent enroll --token TOKEN`, or set \
         hub.reports = false"
    )]
    NotEnrolled {
        /// The hub.
        url: String,
    },
    /// The enrolment belongs to another hub.
    #[error("this cluster is enrolled at {found}, the configuration says {expected}")]
    OtherHub {
        /// Where it is enrolled.
        found: String,
        /// Where it should be.
        expected: String,
    },
    /// The enrolment is there and its key is not.
    #[error(
        "the cluster's key {} is gone: enrol again with the token of `fairway clusters reinvite`",
        path.display()
    )]
    NoKey {
        /// Where it should be.
        path: PathBuf,
    },
    /// The pinned root cannot be read.
    #[error("cannot read the pinned root {}", path.display())]
    Root {
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The repository cannot be opened.
    #[error("the signed repository cannot be opened")]
    Trust {
        /// Why.
        source: Box<TrustError>,
    },
    /// The hub cannot be spoken to.
    #[error("the hub cannot be spoken to")]
    Hub {
        /// Why.
        source: Box<HubError>,
    },
    /// A driver cannot be set up.
    #[error("the driver of pool {pool} of {product} cannot be set up")]
    Driver {
        /// The product.
        product: ProductRef,
        /// The pool.
        pool: PoolName,
        /// Why.
        source: Box<DriverError>,
    },
    /// Commands beside those of drivers cannot be set up.
    #[error("the commands of checks and finalize steps cannot be set up")]
    Commands {
        /// Why.
        source: Box<DriverError>,
    },
    /// The units cannot be observed.
    #[error("the configured units cannot be observed")]
    Observer {
        /// Why.
        source: ObserverError,
    },
    /// Pages cannot be fetched.
    #[error("metrics pages cannot be fetched")]
    Scrape {
        /// Why.
        source: ScrapeError,
    },
    /// The agent's own metrics cannot be served.
    #[error("metrics and health cannot be served as configured")]
    Listen {
        /// Why not.
        source: ListenError,
    },
    /// The native clients cannot be made.
    #[error("the Kafka servers of [products.kafka] cannot be asked")]
    Kafka {
        /// Why.
        source: crate::kafka::KafkaError,
    },
    /// A defect: the loop fed a phase an event it does not know.
    #[error("the step cannot go on")]
    Illegal {
        /// What happened.
        source: Box<Illegal>,
    },
    /// The unit that is out belongs to no configured pool.
    #[error(
        "{unit} is out, but its pool {pool} is no longer configured: put it back, or finish \
             the step by hand and move state.json away"
    )]
    NoDriver {
        /// The unit.
        unit: String,
        /// The pool.
        pool: PoolName,
    },
    /// The unit that is out is no longer configured, as the agent starts.
    #[error(
        "{unit} of pool {pool} is out, and is no longer configured: put it back, or give its step up \
             with `cluster-agent resume --give-up {unit}` and start again; what the step has done to \
             the unit (a cordon, half a change) then stays until somebody undoes it by hand"
    )]
    OrphanedUnit {
        /// The unit.
        unit: String,
        /// The pool it was of.
        pool: PoolName,
    },
    /// A product of which units were changed is no longer configured, as the agent starts.
    #[error(
        "units of {product} were changed to {to}, and it is no longer configured: put it back, or \
             give its roll up with `cluster-agent resume --give-up {product}` and start again"
    )]
    OrphanedRoll {
        /// The product.
        product: ProductRef,
        /// Where its roll went.
        to: ReleaseVersion,
    },
    /// A finalize step runs, and its command is no longer configured.
    #[error(
        "{product} is being finalized, but products.finalize is no longer configured: put it back"
    )]
    NoFinalizer {
        /// The product.
        product: ProductRef,
    },
    /// The crash point of a test.
    #[error("the crash point cannot be read")]
    CrashPoint {
        /// Why.
        source: CrashPointError,
    },
    /// A task that talks to the hub ended.
    #[error("the task that talks to the hub ended early")]
    TaskEnded,
}
