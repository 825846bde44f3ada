//! What the hub wants of a product, as far as the cluster's owner lets it. Pure.
//!
//! A highest version takes choices away and adds none, so it always counts. A pin chooses among the
//! releases that policy, graph and documents allow anyway, so it counts as one written down here,
//! unless there is one. A channel decides which releases may come here at all: it is followed only
//! where the owner says so.

use channels::path::Goal as PathGoal;
use channels::version::ReleaseVersion;
use channels::wire;

use super::{Policy, ProductPolicy, WaitingOn};

/// The hub's part of a product's policy.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HubWishes {
    /// The owner lets the hub choose the channel.
    pub may_set_channel: bool,
    /// The newest release it may go to.
    pub max_version: Option<ReleaseVersion>,
    /// What the hub wants and does not get.
    pub unheeded: Vec<WaitingOn>,
}

/// Lays what the hub wants over what the owner wrote down.
pub fn follow(owner: &Policy, wanted: &[wire::ProductSettings]) -> Policy {
    let mut policy = owner.clone();
    for settings in wanted {
        if let Some(own) = policy.products.get_mut(&settings.product) {
            lay(own, settings);
        }
    }
    policy
}

fn lay(own: &mut ProductPolicy, settings: &wire::ProductSettings) {
    own.hub.max_version.clone_from(&settings.max_version);
    match &settings.channel {
        Some(wanted) if *wanted != own.channel => {
            if own.hub.may_set_channel {
                own.channel = wanted.clone();
            } else {
                let (wanted, followed) = (wanted.clone(), own.channel.clone());
                own.hub.unheeded.push(WaitingOn::HubChannel { wanted, followed });
            }
        }
        Some(_) | None => {}
    }
    match (&settings.pin, &own.pin) {
        (Some(wanted), None) => own.pin = Some(wanted.clone()),
        (Some(wanted), Some(pin)) if wanted != pin => {
            let why = WaitingOn::HubPin { wanted: wanted.clone(), pin: pin.clone() };
            own.hub.unheeded.push(why);
        }
        (Some(_), Some(_)) | (None, _) => {}
    }
}

impl ProductPolicy {
    /// How far it wants to go: to its pin, or as far as there is something to go to.
    pub(super) fn farthest(&self) -> PathGoal {
        match (&self.pin, &self.hub.max_version) {
            (Some(pin), _) => PathGoal::Version(pin.clone()),
            (None, Some(max)) => PathGoal::HeadUpTo(max.clone()),
            (None, None) => PathGoal::Head,
        }
    }

    /// How far patch releases lead.
    pub(super) fn farthest_patch(&self) -> PathGoal {
        let max = self.hub.max_version.clone();
        max.map_or(PathGoal::PatchOnly, PathGoal::PatchUpTo)
    }

    /// Why a release is above what the hub lets it go to, if it is.
    pub(super) fn above_max(&self, to: &ReleaseVersion) -> Option<WaitingOn> {
        let max = self.hub.max_version.clone().filter(|max| to > max)?;
        Some(WaitingOn::AboveMax { max, to: to.clone() })
    }
}
