//! Reader of a channel repository: the files release engineers keep in git.
//!
//! One directory per product with `fairway.toml`, `releases/`, `channels/` and `blocked-edges/`
//! (docs/channel-repository.md). A malformed file fails the whole read; nothing is skipped, because
//! a skipped block would open an edge. This is the only part of the crate that touches the disk,
//! and it never writes.

mod block;
mod channel;
mod error;
mod files;
mod graph_data;
mod product;
mod release;
mod settings;
#[cfg(test)]
pub(crate) mod tests;

use std::path::{Path, PathBuf};

pub(crate) use block::searched_text;
pub use block::{BlockSource, Sources, Targets};
pub use channel::{ChannelSource, Feeder};
pub use error::RepositoryError;
pub use graph_data::{
    Content, GraphData, KnownRelease, Scrape, Suggestion, Suggestions, load_graph_data,
    scraped_releases,
};
pub use product::ProductSource;
pub use release::{PullSpec, ReleaseSource};
pub use settings::{Defaults, GraphRules};

use files::{Entry, list};

/// Name of the file that makes a directory a product.
pub const SETTINGS_FILE: &str = "fairway.toml";

/// How far below the root products are looked for: `vendor/product` and one level to spare.
const MAX_DEPTH: usize = 3;

/// Every product of a channel repository.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// The directory it was read from.
    pub root: PathBuf,
    /// The products, by vendor and name.
    pub products: Vec<ProductSource>,
}

impl Workspace {
    /// Reads all products at or below `root`, up to three directories deep.
    ///
    /// All faults are reported, not only the first; each names the file, the line where one is
    /// known, and what to do.
    pub fn load(root: &Path) -> Result<Self, Vec<RepositoryError>> {
        let mut found = Vec::new();
        find_products(root, root, 0, &mut found).map_err(|error| vec![error])?;
        if found.is_empty() {
            return Err(vec![RepositoryError::NoProduct { directory: root.to_owned() }]);
        }
        let mut products: Vec<ProductSource> = Vec::new();
        let mut errors = Vec::new();
        for directory in found {
            match ProductSource::load(root, &directory) {
                Ok(product) => products.push(product),
                Err(faults) => errors.extend(faults),
            }
        }
        products.sort_by(|a, b| a.product.cmp(&b.product));
        for pair in products.windows(2) {
            if let [one, two] = pair
                && one.product == two.product
            {
                errors.push(RepositoryError::content(
                    &two.directory.join(SETTINGS_FILE),
                    format!("{} is also declared in {}", two.product, one.directory.display()),
                    "give each product one directory",
                ));
            }
        }
        if errors.is_empty() { Ok(Self { root: root.to_owned(), products }) } else { Err(errors) }
    }
}

/// Collects directories that hold a settings file, relative to `root`, in name order.
fn find_products(
    root: &Path,
    directory: &Path,
    depth: usize,
    found: &mut Vec<PathBuf>,
) -> Result<(), RepositoryError> {
    let entries = list(root, directory)?;
    let settings = |entry: &Entry| !entry.is_directory && entry.name == SETTINGS_FILE;
    if entries.iter().any(settings) {
        found.push(directory.strip_prefix(root).unwrap_or(directory).to_owned());
        return Ok(());
    }
    if depth < MAX_DEPTH {
        for entry in entries.iter().filter(|entry| entry.is_directory) {
            find_products(root, &directory.join(&entry.name), depth + 1, found)?;
        }
    }
    Ok(())
}
