//! From a metrics endpoint to samples that can be trusted.
//!
//! Never decides about health: it says what was read, what is absent and what cannot be read.

pub mod alias;
mod anybody;
mod fetcher;
pub mod filter;
mod kubelet;
mod line;
pub mod page;
pub mod scrape;
mod sieve;
pub mod signal;
pub mod wanted;

pub use alias::AliasMap;
pub use kubelet::KubeletAccess;
pub use page::{FamilyReading, Page, PageError, Sample, SampleValue};
pub(crate) use scrape::PROBES_AT_ONCE;
pub use scrape::{Probe, ProbeTarget, ScrapeError, ScrapeLimits, Scraped, Scraper};
pub use signal::Signal;
pub use wanted::{FamilyKind, Wanted, WantedError};

#[cfg(test)]
#[expect(
    clippy::default_trait_access,
    clippy::format_collect,
    clippy::type_complexity,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]
mod tests;
