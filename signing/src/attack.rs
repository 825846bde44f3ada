//! Names of the attacks that verification stops, as they appear in reports and telemetry.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a failed check would have been, had it not been made (TUF 1.0.34 §1.5.2; Uptane asks
/// that a client reports the type).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attack {
    /// Older metadata or software offered as current.
    Rollback,
    /// Expired metadata offered as current, to hide updates.
    Freeze,
    /// Files that were never valid together.
    MixAndMatch,
    /// Content without the signatures it needs.
    ArbitrarySoftware,
    /// An answer larger than its signed length or its role's limit.
    EndlessData,
    /// An answer so slow that it holds the client.
    SlowRetrieval,
    /// A valid document of something else, served under our name.
    WrongSoftware,
}

impl Attack {
    /// The stable name, as in `serde`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rollback => "rollback",
            Self::Freeze => "freeze",
            Self::MixAndMatch => "mix_and_match",
            Self::ArbitrarySoftware => "arbitrary_software",
            Self::EndlessData => "endless_data",
            Self::SlowRetrieval => "slow_retrieval",
            Self::WrongSoftware => "wrong_software",
        }
    }
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attack_has_one_name_wherever_it_is_written() {
        for (attack, name) in [
            (Attack::Rollback, "rollback"),
            (Attack::Freeze, "freeze"),
            (Attack::MixAndMatch, "mix_and_match"),
            (Attack::ArbitrarySoftware, "arbitrary_software"),
            (Attack::EndlessData, "endless_data"),
            (Attack::SlowRetrieval, "slow_retrieval"),
            (Attack::WrongSoftware, "wrong_software"),
        ] {
            assert_eq!(attack.as_str(), name);
            assert_eq!(attack.to_string(), name);
            assert_eq!(serde_json::to_value(attack).unwrap(), name);
        }
    }
}
