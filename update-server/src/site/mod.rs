//! Dark sites: what this hub says of its own, and what it was told of others.
//!
//! `export` makes the status of this hub's site, `key` is what signs it, `accept` decides whether a
//! carried one is taken, `answers` shows what was taken. Clusters of other sites live apart from
//! [`crate::fleet`]: they have no report slot, get no directive or grant, and count in no figure of
//! the live fleet. Only `key` does I/O; nothing here reads a clock.

mod accept;
mod answers;
mod carried;
mod export;
mod key;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use channels::names::SiteName;
use channels::wire::Freshness;
use jiff::{SignedDuration, Timestamp};
use signing::{PublicKey, Sha256Digest};

pub use accept::{AcceptError, accept, claimed_site};
pub use answers::{After, MAX_LISTED_LIVE};
pub use carried::{Carried, Origin};
pub use export::{ExportError, Facts, Pseudonyms, build, seal};
pub use key::{SiteKeyError, load_or_create};

/// Sites that a hub keeps: every one is registered by hand.
pub const MAX_SITES: usize = 1_000;
/// Clusters of all sites together; they take about a kilobyte each.
pub const MAX_CARRIED: usize = 100_000;
/// Shortest interval between two statuses: a minute, for tests and for sites with a modem.
pub const MIN_INTERVAL_S: u64 = 60;
/// Longest: a year.
pub const MAX_INTERVAL_S: u64 = 366 * 24 * 3600;
/// Unless somebody says otherwise: people walk by once a week.
pub const DEFAULT_INTERVAL_S: u64 = 7 * 24 * 3600;

/// A registered site.
#[derive(Debug, Clone)]
pub struct Site {
    /// Its name.
    pub name: SiteName,
    /// What its status must be signed with.
    pub key: PublicKey,
    /// For people.
    pub description: String,
    /// Seconds within which a status is expected, if an admin said so.
    pub expected_interval_s: Option<u64>,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// By whom.
    pub registered_by: String,
    /// Highest sequence ever taken under this key.
    pub floor: u64,
    /// Digest of the file that had it: that one is taken again, also when it is no longer shown.
    pub newest: Option<Sha256Digest>,
    /// The newest status.
    pub carried: Option<Arc<Carried>>,
}

impl Site {
    /// Seconds within which a status is expected.
    pub fn interval_s(&self) -> u64 {
        let said = self.carried.as_ref().map(|carried| carried.status.good_for_s);
        let interval_s = self.expected_interval_s.or(said).unwrap_or(DEFAULT_INTERVAL_S);
        interval_s.clamp(MIN_INTERVAL_S, MAX_INTERVAL_S)
    }

    /// Age class of what is known of it.
    pub fn freshness(&self, now: Timestamp) -> Freshness {
        match &self.carried {
            Some(carried) => age_class(carried.status.made_at, self.interval_s(), now),
            None => Freshness::Never,
        }
    }
}

/// Class of a status by its age: never `fresh`, because nobody has reported. One dated more than an
/// interval ahead was taken under a clock that ran ahead; its true age is unknown, so it is late.
fn age_class(made_at: Timestamp, interval_s: u64, now: Timestamp) -> Freshness {
    let age = now.duration_since(made_at);
    let interval_s = i64::try_from(interval_s).unwrap_or(i64::MAX);
    if age > SignedDuration::from_secs(interval_s.saturating_mul(2)) {
        Freshness::Silent
    } else if age.abs() > SignedDuration::from_secs(interval_s) {
        Freshness::Late
    } else {
        Freshness::Carried
    }
}

/// All registered sites; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Sites(BTreeMap<SiteName, Arc<Site>>);

impl Sites {
    /// The site of that name.
    pub fn get(&self, name: &SiteName) -> Option<&Arc<Site>> {
        self.0.get(name)
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Site>> {
        self.0.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts a site in, or in the place of the one of its name.
    pub fn put(&mut self, site: Site) {
        self.0.insert(site.name.clone(), Arc::new(site));
    }

    /// Takes a site out.
    pub fn remove(&mut self, name: &SiteName) -> Option<Arc<Site>> {
        self.0.remove(name)
    }

    /// Clusters shown of all sites but `except`.
    pub fn carried_clusters(&self, except: Option<&SiteName>) -> usize {
        self.iter()
            .filter(|site| Some(&site.name) != except)
            .filter_map(|site| site.carried.as_ref())
            .map(|carried| carried.status.clusters.len())
            .sum()
    }
}
