//! Refusals of the store as problems.

use super::super::problem::{ApiError, Code, RETRY_AFTER_S};
use crate::store::Refusal;
use signing::Attack;

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let code = match &refusal {
            Refusal::Replayed { .. } => Code::ReplayedReport,
            Refusal::SeqOutOfReach { .. } => Code::SeqOutOfReach,
            Refusal::KeyInUse => Code::KeyInUse,
            Refusal::UnknownCluster
            | Refusal::UnknownJoinToken { .. }
            | Refusal::UnknownHold { .. }
            | Refusal::UnknownSession { .. }
            | Refusal::UnknownToken { .. }
            | Refusal::UnknownWebhook { .. } => Code::NotFound,
            Refusal::UnknownSite { .. } => Code::UnknownSite,
            Refusal::StatusRollback { .. } => Code::StatusRollback,
            Refusal::Retired => Code::ClusterRetired,
            Refusal::KeyRevoked(_) => Code::KeyRevoked,
            Refusal::KeyReplaced { .. } => Code::KeyReplaced,
            Refusal::IdentityConflict { .. } => Code::IdentityConflict,
            Refusal::TooManyProducts { .. }
            | Refusal::TooManyNames
            | Refusal::Labels(_)
            | Refusal::TooManyLabelSets { .. }
            | Refusal::TooManySettings { .. }
            | Refusal::PinAboveMax { .. }
            | Refusal::TooManySites { .. }
            | Refusal::TooManyWebhooks { .. }
            | Refusal::TooManyCarried { .. } => Code::Unprocessable,
            Refusal::JoinToken { .. } => Code::InvalidJoinToken,
            Refusal::NameTaken { .. } => Code::NameTaken,
            Refusal::AlreadyResumed { .. }
            | Refusal::TokenNameTaken { .. }
            | Refusal::NoConflict
            | Refusal::SiteKeyReplaced { .. }
            | Refusal::LastAdmin => Code::Conflict,
            Refusal::Rollout(refusal) => return refusal.clone().into(),
            Refusal::Busy => Code::QueueFull,
            Refusal::Failed => Code::StoreUnavailable,
            Refusal::Stopped => Code::ShuttingDown,
        };
        let mut error = Self::new(code, refusal.to_string());
        if code == Code::StatusRollback {
            error = error.with_attack(Some(Attack::Rollback.to_string()));
        }
        if let Refusal::Replayed { last, .. }
        | Refusal::SeqOutOfReach { last, .. }
        | Refusal::IdentityConflict { last_seq: Some(last) } = refusal
        {
            error = error.with_last_seq(last);
        }
        if code.status().is_server_error() { error.with_retry_after(RETRY_AFTER_S) } else { error }
    }
}
