//! OpenShift's graph data: channels, blocked edges and what stands beside them, without releases.
//!
//! Graph data says which versions a channel offers and which edges are blocked. Which edges there
//! are to block is in the release images, so [`GraphData::into_product`] needs what is known of the
//! releases: from `build-suggestions/` ([`GraphData::suggested_releases`]) or from a recorded scrape
//! of the images ([`scraped_releases`]). Nothing is skipped: a file this reader does not understand
//! fails the whole read.

mod convert;
mod patches;
mod scrape;
mod suggestions;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub use convert::{Content, KnownRelease};
pub use scrape::{Scrape, scraped_releases};
pub use suggestions::{Suggestion, Suggestions};

use super::files::{read, read_folder};
use super::{BlockSource, ChannelSource, RepositoryError, block, channel};
use crate::version::{Minor, ReleaseVersion};

/// The file that names the form of the data, `1.1.0`; other majors are refused.
const VERSION_FILE: &str = "version";

/// Major of the only form read.
const FORM: u64 = 1;

/// What such a copy holds.
#[derive(Debug, Clone)]
pub struct GraphData {
    /// `channels/*.yaml`, by file name.
    pub channels: Vec<ChannelSource>,
    /// `internal-channels/*.yaml`, by file name: version-less channels that feed the others.
    pub internal_channels: Vec<ChannelSource>,
    /// `blocked-edges/*.yaml` by file name, then the edges that `raw/metadata.json` takes away.
    pub blocks: Vec<BlockSource>,
    /// `build-suggestions/<minor>.yaml`: what may move to the releases of each minor.
    pub suggestions: BTreeMap<Minor, Suggestions>,
    /// `(from, to)` edges that `raw/metadata.json` adds to those of the release images.
    pub added: BTreeSet<(ReleaseVersion, ReleaseVersion)>,
}

/// Reads a copy of OpenShift's graph data as strictly as a product's own files.
pub fn load_graph_data(directory: &Path) -> Result<GraphData, Vec<RepositoryError>> {
    let mut errors = Vec::new();
    if let Err(error) = check_form(directory) {
        errors.push(error);
    }
    let channels = read_folder(directory, Path::new("channels"), &mut errors, channel::parse);
    let internal = Path::new("internal-channels");
    let internal_channels = read_folder(directory, internal, &mut errors, channel::parse);
    let mut patterns = block::Patterns::new();
    let folder = Path::new("blocked-edges");
    let mut blocks = read_folder(directory, folder, &mut errors, |file, text| {
        block::parse(file, text, &mut patterns)
    });
    let folder = Path::new("build-suggestions");
    let suggestions =
        read_folder(directory, folder, &mut errors, |file, text| suggestions::parse(&file, text));
    let mut added = BTreeSet::new();
    match patches::load(directory, &mut patterns) {
        Ok(patches) => {
            blocks.extend(patches.removed);
            added = patches.added;
        }
        Err(error) => errors.push(error),
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let suggestions = suggestions.into_iter().collect();
    Ok(GraphData { channels, internal_channels, blocks, suggestions, added })
}

/// Checks the form where the data names one.
fn check_form(directory: &Path) -> Result<(), RepositoryError> {
    let file = Path::new(VERSION_FILE);
    if !directory.join(file).exists() {
        return Ok(());
    }
    let text = read(directory, file)?;
    match text.trim().parse::<ReleaseVersion>() {
        Ok(version) if version.semver().major == FORM => Ok(()),
        Ok(_) | Err(_) => Err(RepositoryError::content(
            file,
            format!("{:?} is not a form of graph data this reader knows", text.trim()),
            "only forms 1.x are read",
        )),
    }
}

impl GraphData {
    /// Every version a channel or a tombstone names, once, without the architecture it may carry.
    pub fn versions(&self) -> BTreeSet<ReleaseVersion> {
        let channels = self.channels.iter().chain(&self.internal_channels);
        let entries = channels.flat_map(|one| one.versions.iter().chain(&one.tombstones));
        entries.map(ReleaseVersion::without_build).collect()
    }
}
