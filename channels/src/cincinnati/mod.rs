//! Cincinnati graph JSON, version 1, in both directions, and the target paths graphs live under.
//!
//! Writing is canonical: nodes by version, keys sorted, edges sorted, conditional groups sorted by
//! their risks, no white space. The same graph gives the same bytes, so a digest or an `ETag` can
//! stand for it. The format is that of OpenShift's update service, plus two keys, `origin` and
//! `feeder`, which its clients ignore.

mod read;
mod target;
#[cfg(test)]
mod tests;
mod write;

pub use read::from_json;
pub use target::{TargetKind, parse_target_path, target_path};
pub use write::to_json;

/// Largest graph document read. All of OpenShift in one graph takes 14 MB (2026).
pub const MAX_GRAPH_BYTES: usize = 64 * 1024 * 1024;

/// The only form of graph document.
const FORMAT: u64 = 1;
