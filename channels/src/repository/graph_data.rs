//! A bare copy of OpenShift's graph data: channels and blocked edges without release files.

use std::path::Path;

use super::files::read_folder;
use super::{BlockSource, ChannelSource, RepositoryError, block, channel};

/// What such a copy holds.
#[derive(Debug, Clone)]
pub struct GraphData {
    /// `channels/*.yaml`, by file name.
    pub channels: Vec<ChannelSource>,
    /// `internal-channels/*.yaml`, by file name: version-less channels that feed the others.
    pub internal_channels: Vec<ChannelSource>,
    /// `blocked-edges/*.yaml`, by file name.
    pub blocks: Vec<BlockSource>,
}

/// Reads a copy of OpenShift's graph data as strictly as a product's own files.
pub fn load_graph_data(directory: &Path) -> Result<GraphData, Vec<RepositoryError>> {
    let mut errors = Vec::new();
    let channels = read_folder(directory, Path::new("channels"), &mut errors, channel::parse);
    let internal = Path::new("internal-channels");
    let internal_channels = read_folder(directory, internal, &mut errors, channel::parse);
    let mut patterns = block::Patterns::new();
    let blocks = read_folder(directory, Path::new("blocked-edges"), &mut errors, |file, text| {
        block::parse(file, text, &mut patterns)
    });
    if errors.is_empty() {
        Ok(GraphData { channels, internal_channels, blocks })
    } else {
        Err(errors)
    }
}
