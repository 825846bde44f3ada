//! Decides what a bundle carries, before a byte of it is written.
//!
//! ```text
//! mirror.toml ─┐                 ┌─ hub: releases (select) ─┐
//!              ├─ Request ───────┤                          ├─ images ─ walk ─┐
//! options ─────┘                 └─ extra images ───────────┘                 ├─ Contents ─ Report
//!                    inventories ─ what every addressed site has ─────────────┘
//! ```
//! `select`, `contents`, `held`, `routes` and `report` are pure; `hub`, `walk` and
//! `inventory` read. Nothing here writes: a plan leaves no trace.

pub mod config;
mod contents;
mod error;
mod held;
mod hub;
mod inventory;
mod prepare;
mod repair;
mod report;
mod request;
mod routes;
mod select;
mod walk;

pub use config::{Config, HubConfig, ProductRequest, SiteConfig};
pub(crate) use contents::{BlobToCarry, Gathered, Place, listed};
pub use error::PlanError;
pub use inventory::{read_inventory, read_missing};
pub(crate) use prepare::{Prepared, prepare, tuf_path};
pub(crate) use report::readable;
pub use report::{Report, ReportedImage, ReportedSegment};
pub use request::{Asked, CONCURRENCY, CONCURRENCY_MAX, Presumed, Request, SignedInventory};
pub use routes::{RouteError, Routes};
pub use select::{SelectError, Selection};
pub(crate) use walk::causes;

use jiff::Timestamp;
use signing::Source;

use crate::bundle::lay_out;
use crate::registry::Registry;
use crate::view;

/// What a bundle would carry. Reads hub and registries, writes nothing.
///
/// Sizes are exact but for the view's own two roles, which are signed when a bundle is made.
///
/// # Errors
/// When what is asked for does not verify, is not there, or does not go together.
pub async fn plan<S: Source>(
    request: &Request,
    source: S,
    registries: &[Registry],
    now: Timestamp,
) -> Result<Report, PlanError> {
    let prepared = prepare(request, source, registries, now).await?;
    let roots = request.view.as_deref().map(view::accepted_roots).transpose()?;
    let files = view::foreseen(&prepared.hub.files, &roots.unwrap_or_default());
    let laid = lay_out(&prepared.entries(&files), request.segment_size, &request.name)?;
    let sent = registries.iter().map(Registry::requests).sum();
    Ok(Report::new(request, &prepared, laid.segments(), sent))
}
