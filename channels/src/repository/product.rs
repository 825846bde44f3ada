//! One product's directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::files::{list, misread, read, read_folder};
use super::{
    BlockSource, ChannelSource, Defaults, GraphRules, ReleaseSource, RepositoryError,
    SETTINGS_FILE, block, channel, release, settings,
};
use crate::eol::EndOfLife;
use crate::graph::{Delay, Feeding};
use crate::names::{ChannelName, ProductRef};
use crate::promotion::{PROMOTIONS_FILE, Record};
use crate::version::{Minor, ReleaseVersion};

const RELEASES: &str = "releases";
const CHANNELS: &str = "channels";
const INTERNAL_CHANNELS: &str = "internal-channels";
const BLOCKED_EDGES: &str = "blocked-edges";

/// One product as its directory says it.
#[derive(Debug, Clone)]
pub struct ProductSource {
    /// The directory, relative to the repository's root.
    pub directory: PathBuf,
    /// Which product it is.
    pub product: ProductRef,
    /// What its releases need not repeat.
    pub defaults: Defaults,
    /// Rules for the edges of all its graphs.
    pub rules: GraphRules,
    /// Last days of support by minor line; lines that are not named have none.
    pub eol: BTreeMap<Minor, EndOfLife>,
    /// Releases by version.
    pub releases: BTreeMap<ReleaseVersion, ReleaseSource>,
    /// Channels by name.
    pub channels: BTreeMap<ChannelName, ChannelSource>,
    /// Channels that only feed others, by name: they are promoted from and never compiled.
    pub internal_channels: BTreeMap<ChannelName, ChannelSource>,
    /// Blocked edges in the order of their file names.
    pub blocks: Vec<BlockSource>,
    /// When releases entered channels, and how long they soak.
    pub promotions: Record,
}

impl ProductSource {
    /// Reads the product in `directory` below `root`.
    pub fn load(root: &Path, directory: &Path) -> Result<Self, Vec<RepositoryError>> {
        let mut errors = lookalikes(root, directory).unwrap_or_else(|error| vec![error]);
        let file = directory.join(SETTINGS_FILE);
        let settings = read(root, &file).and_then(|text| settings::parse(&file, &text));
        let settings = match settings {
            Ok(settings) => settings,
            Err(error) => {
                errors.push(error);
                return Err(errors);
            }
        };
        // File names are checked against their content, so neither map can meet a key twice.
        let releases = read_folder(root, &directory.join(RELEASES), &mut errors, |file, text| {
            release::parse(file, text, &settings.product, &settings.defaults)
        });
        let channels = read_folder(root, &directory.join(CHANNELS), &mut errors, channel::parse);
        let folder = directory.join(INTERNAL_CHANNELS);
        let internal = read_folder(root, &folder, &mut errors, channel::parse);
        for hidden in &internal {
            if let Some(public) = channels.iter().find(|public| public.name == hidden.name) {
                errors.push(RepositoryError::content(
                    &hidden.file,
                    format!("{} is also the name of {}", hidden.name, public.file.display()),
                    "a feeder could mean either; give the internal channel another name",
                ));
            }
        }
        let mut patterns = block::Patterns::new();
        let blocks = read_folder(root, &directory.join(BLOCKED_EDGES), &mut errors, |f, text| {
            block::parse(f, text, &mut patterns)
        });
        let promotions = promotions(root, &directory.join(PROMOTIONS_FILE));
        let promotions = promotions.unwrap_or_else(|error| {
            errors.push(error);
            Record::default()
        });
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            directory: directory.to_owned(),
            product: settings.product,
            defaults: settings.defaults,
            rules: settings.rules,
            eol: settings.eol,
            releases: releases.into_iter().map(|r| (r.document.version.clone(), r)).collect(),
            channels: channels.into_iter().map(|c| (c.name.clone(), c)).collect(),
            internal_channels: internal.into_iter().map(|c| (c.name.clone(), c)).collect(),
            blocks,
            promotions,
        })
    }

    /// A channel by its name, also an internal one.
    pub fn channel(&self, name: &ChannelName) -> Option<&ChannelSource> {
        self.channels.get(name).or_else(|| self.internal_channels.get(name))
    }

    /// Where a channel's releases come from and what they need, as its graph says it.
    pub fn feeding(&self, channel: &ChannelSource) -> Option<Feeding> {
        let feeder = channel.feeder.as_ref()?;
        Some(Feeding {
            delay: feeder.delay.map(Delay::from),
            errata: feeder.errata.clone(),
            filter: feeder.filter.as_ref().map(|filter| filter.as_str().to_owned()),
            name: feeder.name.clone(),
            soak: self.promotions.soak.get(&channel.name).cloned(),
        })
    }
}

/// The record of promotions; without a file nothing is recorded.
fn promotions(root: &Path, file: &Path) -> Result<Record, RepositoryError> {
    if !root.join(file).exists() {
        return Ok(Record::default());
    }
    Record::parse(&read(root, file)?).map_err(|fault| misread(file, fault, "Promotion"))
}

/// Finds entries whose names are nearly those that are read, e.g. `blocked_edges`: such a
/// directory would be skipped in silence, and its blocks with it.
fn lookalikes(root: &Path, directory: &Path) -> Result<Vec<RepositoryError>, RepositoryError> {
    let known = [RELEASES, CHANNELS, INTERNAL_CHANNELS, BLOCKED_EDGES];
    let near = |name: &str| {
        let name = name.to_ascii_lowercase();
        let is_document = Path::new(&name).extension().is_some_and(|e| e == "md");
        !is_document
            && ["release", "channel", "internal", "block"].iter().any(|stem| name.starts_with(stem))
    };
    let entries = list(root, &root.join(directory))?;
    let stray = entries
        .into_iter()
        .filter(|entry| !known.contains(&entry.name.as_str()) && near(&entry.name));
    Ok(stray
        .map(|entry| RepositoryError::StrayFile {
            file: directory.join(entry.name),
            advice: format!("the names read are {}", known.join(", ")),
        })
        .collect())
}
