//! The pages for people: what the fleet runs, what moves, why the rest does not, and what to do.
//!
//! Every page is a handler that reads the hub's memory, a view that is a pure function of what was
//! read, and a template below `base.html`. Pages work without script; with it, they keep themselves
//! up to date.

mod audit;
mod cache;
mod channels;
mod cluster;
mod fleet;
mod forms;
mod holds;
mod natural;
mod refusal;
mod rollouts;
mod send;
mod shell;
mod sites;
mod trust;
mod visitor;
mod words;

use actix_web::web::ServiceConfig;

pub use cache::PageCache;
pub use refusal::refuse_with_pages;

/// Registers every page.
pub(super) fn routes(config: &mut ServiceConfig) {
    fleet::routes(config);
    channels::routes(config);
    sites::routes(config);
    trust::routes(config);
    audit::routes(config);
    cluster::routes(config);
    rollouts::routes(config);
    holds::routes(config);
}
