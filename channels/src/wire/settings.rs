//! What a fleet's owner sets at the hub for one cluster.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::names::{ChannelName, ProductRef};
use crate::rollout::LabelPatch;
use crate::version::ReleaseVersion;

/// `PUT /api/v1/clusters/{id or name}/labels`: labels with a value are set, labels with `null` are
/// taken away, the others stay (a JSON merge patch). Answered with the cluster as it is then.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelsRequest {
    /// The change.
    pub labels: LabelPatch,
}

/// What the hub wants of one product of a cluster. The agent follows it as far as the policy of the
/// cluster's own owner allows, and only to releases that graph and release documents allow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProductSettings {
    /// Which product.
    pub product: ProductRef,
    /// The channel it should follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelName>,
    /// The release it should go to and stay on, newer or older than the one it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<ReleaseVersion>,
    /// The newest release it may go to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_version: Option<ReleaseVersion>,
}

impl ProductSettings {
    /// Nothing set for a product.
    pub fn none(product: ProductRef) -> Self {
        Self { product, channel: None, pin: None, max_version: None }
    }

    /// Whether anything is set.
    pub fn is_none(&self) -> bool {
        self.channel.is_none() && self.pin.is_none() && self.max_version.is_none()
    }
}

/// `PUT /api/v1/clusters/{id or name}/settings`: what is absent stays as it is, `null` takes it
/// away. Answered with the cluster as it is then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsRequest {
    /// Which product.
    pub product: ProductRef,
    /// What changes.
    #[serde(default, skip_serializing_if = "SettingsPatch::is_empty")]
    pub change: SettingsPatch,
}

/// A change of what is set for one product.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsPatch {
    /// The channel it should follow.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub channel: Patch<ChannelName>,
    /// The release it should go to and stay on.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub pin: Patch<ReleaseVersion>,
    /// The newest release it may go to.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub max_version: Patch<ReleaseVersion>,
}

impl SettingsPatch {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The settings after the change.
    #[must_use]
    pub fn applied(&self, before: &ProductSettings) -> ProductSettings {
        ProductSettings {
            product: before.product.clone(),
            channel: self.channel.applied(before.channel.as_ref()),
            pin: self.pin.applied(before.pin.as_ref()),
            max_version: self.max_version.applied(before.max_version.as_ref()),
        }
    }
}

/// A field of a merge patch: absent, `null` or a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Patch<T> {
    /// Absent: it stays as it is.
    #[default]
    Keep,
    /// `null`: it is taken away.
    Remove,
    /// It is set.
    Set(T),
}

impl<T: Clone> Patch<T> {
    /// The value after the change.
    pub fn applied(&self, before: Option<&T>) -> Option<T> {
        match self {
            Self::Keep => before.cloned(),
            Self::Remove => None,
            Self::Set(value) => Some(value.clone()),
        }
    }
}

impl<T> Patch<T> {
    /// Whether it changes nothing. Such a field is not written.
    pub fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }
}

impl<T> From<Option<T>> for Patch<T> {
    /// Sets a value, or takes it away.
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Remove, Self::Set)
    }
}

impl<T: Serialize> Serialize for Patch<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Keep | Self::Remove => serializer.serialize_none(),
            Self::Set(value) => serializer.serialize_some(value),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self::from)
    }
}
