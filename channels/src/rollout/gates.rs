//! Gates: what must hold before the next ring opens, and what halts a rollout.

use serde::{Deserialize, Serialize};

use super::amount::{Amount, Percent, Period};
use super::policy::Name;

/// Most baselines of one ring: each is a query per cluster and evaluation.
pub const BASELINES_MAX: usize = 32;
/// Longest query, in bytes; longer ones belong into recording rules.
pub const QUERY_MAX_BYTES: usize = 4096;

/// The gates of one ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "GatesFile", into = "GatesFile")]
pub struct Gates {
    /// Least share of the attempted clusters that must have succeeded.
    pub success: Percent,
    /// How long after the last success the ring must stay well.
    pub soak: Period,
    /// Most unacknowledged failures; a share is of the attempted clusters. One more halts.
    pub max_failures: Amount,
    /// Most attempted clusters of unknown health; a share is of the attempted. One more holds.
    pub max_unknown: Amount,
    /// Least number of attempted clusters before the ring is judged; a share is of the ring.
    pub min_sample: Amount,
    /// Comparisons with each cluster's own past. Data for the hub, which evaluates them.
    pub baselines: Vec<Baseline>,
}

impl Default for Gates {
    /// Strict: everything attempted succeeds, half of the ring is attempted, an hour of soak, and
    /// the first failure or unknown cluster stops it.
    fn default() -> Self {
        Self {
            success: Percent::ALL,
            soak: Period::from_hours(1),
            max_failures: Amount::Count(0),
            max_unknown: Amount::Count(0),
            min_sample: Amount::Percent(Percent::from_hundredths(5000)),
            baselines: Vec::new(),
        }
    }
}

/// A query whose value after the upgrade is compared with the cluster's own before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// Its name, shown when it fails.
    pub name: Name,
    /// `PromQL` that answers one sample.
    pub query: String,
    /// On which side of the baseline values are bad.
    pub bad_when: Side,
    /// How far on that side is still good, relative to the baseline.
    pub tolerance: Percent,
    /// How far back before the cluster's grant the baseline is taken from.
    pub over: Period,
}

/// A side of a baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Larger values are worse, as for errors or latency.
    Above,
    /// Smaller values are worse, as for throughput.
    Below,
}

/// Why gates cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GatesError {
    /// A success share above the whole.
    #[error("`success` is {success}; write at most 100%")]
    SuccessAboveAll {
        /// What was written.
        success: Percent,
    },
    /// A sample of nobody proves nothing.
    #[error("`min_sample` is 0, so a ring would pass before anybody tried; write at least 1")]
    NoSample,
    /// More baselines than are read.
    #[error("there are {count} baselines; at most {max} are read", max = BASELINES_MAX)]
    TooManyBaselines {
        /// How many.
        count: usize,
    },
    /// Two baselines of one name.
    #[error("two baselines are called {name}; give each its own name")]
    BaselineTwice {
        /// The name.
        name: Name,
    },
    /// A query that is empty or too long.
    #[error(
        "the query of baseline {name} has {bytes} bytes; write 1 to {max}, and put long ones into \
         a recording rule", max = QUERY_MAX_BYTES
    )]
    Query {
        /// The baseline.
        name: Name,
        /// Its query's length.
        bytes: usize,
    },
    /// A baseline over no time.
    #[error("baseline {name} is taken over no time; write for example `over: 1h`")]
    OverNothing {
        /// The baseline.
        name: Name,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct GatesFile {
    success: Percent,
    soak: Period,
    max_failures: Amount,
    max_unknown: Amount,
    min_sample: Amount,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    baselines: Vec<Baseline>,
}

impl Default for GatesFile {
    fn default() -> Self {
        Gates::default().into()
    }
}

impl From<Gates> for GatesFile {
    fn from(gates: Gates) -> Self {
        let Gates { success, soak, max_failures, max_unknown, min_sample, baselines } = gates;
        Self { success, soak, max_failures, max_unknown, min_sample, baselines }
    }
}

impl TryFrom<GatesFile> for Gates {
    type Error = GatesError;
    fn try_from(file: GatesFile) -> Result<Self, GatesError> {
        let GatesFile { success, soak, max_failures, max_unknown, min_sample, baselines } = file;
        if success > Percent::ALL {
            return Err(GatesError::SuccessAboveAll { success });
        }
        if min_sample == Amount::Count(0) || min_sample == Amount::Percent(Percent::ZERO) {
            return Err(GatesError::NoSample);
        }
        let count = baselines.len();
        if count > BASELINES_MAX {
            return Err(GatesError::TooManyBaselines { count });
        }
        for (index, Baseline { name, query, over, .. }) in baselines.iter().enumerate() {
            let (name, bytes) = (name.clone(), query.trim().len());
            if baselines.iter().take(index).any(|other| other.name == name) {
                return Err(GatesError::BaselineTwice { name });
            }
            if bytes == 0 || bytes > QUERY_MAX_BYTES {
                return Err(GatesError::Query { name, bytes });
            }
            if *over == Period::ZERO {
                return Err(GatesError::OverNothing { name });
            }
        }
        Ok(Self { success, soak, max_failures, max_unknown, min_sample, baselines })
    }
}
