//! What must hold for any input, as plain functions: the fuzz targets and `tests/corpus.rs` call
//! them.

pub(crate) mod authored_files;
pub(crate) mod graph_json;
pub(crate) mod reports;
pub(crate) mod selectors;
pub(crate) mod signatures;
pub(crate) mod versions;
