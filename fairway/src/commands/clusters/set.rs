//! `fairway clusters set`: `pin=4.2.0`, `channel=stable-4`, `max-version=4.3.1`; with `-` behind the
//! name it is taken away.

use std::str::FromStr;

use channels::names::{ChannelName, NameError};
use channels::version::ReleaseVersion;
use channels::wire::{ClusterRow, Patch, ProductSettings, SettingsPatch};

use crate::table::{Table, cell};

/// One change as it is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SettingChange {
    Channel(Option<ChannelName>),
    Pin(Option<ReleaseVersion>),
    MaxVersion(Option<ReleaseVersion>),
}

/// Why a text is no change of a setting.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotASetting {
    /// None of the forms.
    #[error(
        "write channel=NAME, pin=VERSION or max-version=VERSION, or channel-, pin-, max-version- to \
         take it away"
    )]
    Form,
    /// No channel, or no version.
    #[error(transparent)]
    Value(#[from] NameError),
}

impl FromStr for SettingChange {
    type Err = NotASetting;

    fn from_str(text: &str) -> Result<Self, NotASetting> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text.strip_suffix('-').ok_or(NotASetting::Form)?, None),
        };
        let version = || value.map(str::parse).transpose();
        Ok(match name {
            "channel" => Self::Channel(value.map(str::parse).transpose()?),
            "pin" => Self::Pin(version()?),
            "max-version" => Self::MaxVersion(version()?),
            _ => return Err(NotASetting::Form),
        })
    }
}

/// All changes as one; the last one of a name counts.
pub(super) fn patch(changes: &[SettingChange]) -> SettingsPatch {
    let mut patch = SettingsPatch::default();
    for change in changes {
        match change.clone() {
            SettingChange::Channel(channel) => patch.channel = Patch::from(channel),
            SettingChange::Pin(pin) => patch.pin = Patch::from(pin),
            SettingChange::MaxVersion(max) => patch.max_version = Patch::from(max),
        }
    }
    patch
}

/// Settings of one product for people, as they are typed.
pub(super) fn shown(settings: &ProductSettings) -> String {
    let parts = [
        settings.channel.as_ref().map(|channel| format!("channel={channel}")),
        settings.pin.as_ref().map(|pin| format!("pin={pin}")),
        settings.max_version.as_ref().map(|max| format!("max-version={max}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// One row per product with something set.
pub(super) fn table(row: &ClusterRow) -> Table {
    let mut table = Table::new(&["name", "cluster", "product", "channel", "pin", "max_version"]);
    for settings in &row.settings {
        table.row(vec![
            row.name.clone(),
            row.id.to_string(),
            settings.product.to_string(),
            cell(settings.channel.as_ref()),
            cell(settings.pin.as_ref()),
            cell(settings.max_version.as_ref()),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_written_as_a_label_is() {
        let changes: Vec<SettingChange> = ["channel=stable-4", "pin-", "max-version=4.3.1"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        let patch = patch(&changes);
        assert_eq!(patch.channel, Patch::Set("stable-4".parse().unwrap()));
        assert_eq!(patch.pin, Patch::Remove);
        assert_eq!(patch.max_version, Patch::Set("4.3.1".parse().unwrap()));
        for bad in ["pin", "pin=", "pin=latest", "channel=No Such", "version=1.0.0", "-"] {
            assert!(bad.parse::<SettingChange>().is_err(), "{bad}");
        }
    }
}
