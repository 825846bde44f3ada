//! Raises a feature's level, and finds out what came of it: a request whose answer is lost may have
//! been carried out all the same.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::client::KafkaClient;
use super::error::KafkaError;

/// Between two looks at the levels.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// How it became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raised {
    /// The leader said so.
    Answered,
    /// Its answer was lost, and the level is there.
    ReadBack,
}

/// Why it is not known to be raised.
#[derive(Debug, thiserror::Error)]
pub enum RaiseError {
    /// It is not: the leader refuses, or was never asked.
    #[error("the level is not raised")]
    Refused(#[source] KafkaError),
    /// It may be, or may still become so.
    #[error(
        "whether {feature} was raised to {level} is not known; read back last: {}",
        shown(*read_back)
    )]
    Unknown {
        /// The feature.
        feature: String,
        /// The level.
        level: i16,
        /// Its level when it was read last, if it could be read.
        read_back: Option<i16>,
        /// What the answer was.
        #[source]
        source: KafkaError,
    },
}

fn shown(level: Option<i16>) -> String {
    level.map_or_else(|| "nothing".to_owned(), |level| level.to_string())
}

impl KafkaClient {
    /// Raises a feature to `level`; never lowers one. After an answer that does not say what
    /// happened the level is read until `until`.
    pub async fn raise_feature(
        &mut self,
        feature: &str,
        level: i16,
        until: Instant,
    ) -> Result<Raised, RaiseError> {
        let source = match self.update_feature(feature, level, false).await {
            Ok(()) => return Ok(Raised::Answered),
            Err(error) if error.may_have_happened() => error,
            Err(error) => return Err(RaiseError::Refused(error)),
        };
        let mut read_back = None;
        loop {
            if let Ok((finalized, _)) = self.levels().await {
                // Levels of a feature begin at 1; one that is not listed is at 0.
                let found = finalized.get(feature).copied().unwrap_or(0);
                if found >= level {
                    return Ok(Raised::ReadBack);
                }
                read_back = Some(found);
            }
            if Instant::now() >= until {
                let feature = feature.to_owned();
                return Err(RaiseError::Unknown { feature, level, read_back, source });
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Lets the servers check whether a feature could be raised; changes nothing.
    pub async fn try_feature(&mut self, feature: &str, level: i16) -> Result<(), KafkaError> {
        self.update_feature(feature, level, true).await
    }
}
