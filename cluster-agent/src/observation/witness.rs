//! What a source other than a unit's own metrics page says about it.
//!
//! Plain values: the Kubernetes API, a native Kafka client or another source is asked by its own
//! shell; the observer only keeps the last word of each and how old it is.

use std::collections::BTreeMap;

use channels::health::elapsed_ms;
use jiff::Timestamp;

use super::Finding;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WitnessSource {
    /// The Kubernetes API server.
    Kubernetes,
    /// A Kafka controller, by `DescribeQuorum`.
    Kafka,
}

impl std::fmt::Display for WitnessSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Kubernetes => "Kubernetes",
            Self::Kafka => "Kafka",
        })
    }
}

/// One source's word about one unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Witness {
    /// When it was read (agent's clock).
    pub at: Timestamp,
    /// The version it says the unit runs, without a leading `v`.
    pub version: Option<String>,
    /// Names this life of the unit: a boot id, a pod's uid and restart count. Another one is
    /// evidence of a restart.
    pub incarnation: Option<String>,
    /// Nodes: readiness.
    pub ready: Option<bool>,
    /// What is wrong with the unit; empty if the source finds nothing.
    pub findings: Vec<Finding>,
}

/// What became of asking a source: its word, or why it said nothing.
pub type Heard = Result<Witness, String>;

/// The last words about one unit, by source.
#[derive(Debug, Default)]
pub(super) struct Words {
    said: BTreeMap<WitnessSource, Witness>,
    silent: BTreeMap<WitnessSource, String>,
}

impl Words {
    /// Keeps what a source said; a source that fails keeps its last word, which grows old.
    pub(super) fn take(&mut self, source: WitnessSource, heard: Heard) {
        match heard {
            Ok(witness) => {
                self.silent.remove(&source);
                self.said.insert(source, witness);
            }
            Err(why) => {
                self.silent.insert(source, why);
            }
        }
    }

    /// The last word of a source.
    pub(super) fn of(&self, source: WitnessSource) -> Option<&Witness> {
        self.said.get(&source)
    }

    /// Everything the sources find, and what is missing of the required ones.
    pub(super) fn findings<'a>(
        &'a self,
        required: impl Iterator<Item = &'a WitnessSource>,
        limit_ms: u64,
        now: Timestamp,
    ) -> Vec<Finding> {
        let mut findings: Vec<Finding> =
            self.said.values().flat_map(|witness| witness.findings.iter().cloned()).collect();
        for &source in required {
            let why = self.silent.get(&source).cloned();
            match self.said.get(&source) {
                None => findings.push(Finding::WitnessSilent {
                    source_of_word: source,
                    why: why.unwrap_or_else(|| "it has not been asked yet".to_owned()),
                }),
                Some(word) => {
                    let age_ms = elapsed_ms(word.at, now);
                    if age_ms > limit_ms {
                        findings.push(Finding::WitnessStale {
                            source_of_word: source,
                            age_ms,
                            limit_ms,
                        });
                    }
                }
            }
        }
        findings
    }
}
