//! A dark site, looked at on its own machine: its directory, what it took in, its registry's store.

use std::path::Path;

use jiff::Timestamp;
use offline_mirror::site::{Ledger, SiteDir};
use offline_mirror::store::{Fsck, Store};
use signing::{Client, DirSource, MemStore};

use super::check::Check;
use crate::error::{CliError, Result, chain};
use crate::span::{age, until};

/// The directory, and the checks of it.
pub(super) async fn look(dir: &Path, percent: u8, now: Timestamp) -> Result<(SiteDir, Vec<Check>)> {
    let site = SiteDir::open_to_read(dir).map_err(|error| {
        let refused = CliError::because(format!("{} is no site", dir.display()), &error);
        match error.hint() {
            Some(hint) => refused.hint(hint),
            None => refused,
        }
    })?;
    let name = &site.config().name;
    let mut checks = vec![Check::ok("site", format!("{name}, pinned root {}", site.pinned()))];
    checks.push(match site.key() {
        Ok(key) => Check::ok("key", format!("signs as {}", key.public().key_id())),
        Err(error) => {
            let check = Check::fail("key", chain(&error));
            check.hint(error.hint().unwrap_or_else(|| "restore it from backup".to_owned()))
        }
    });
    let ledger = site.ledger();
    match &ledger {
        Ok(ledger) => {
            checks.push(bundle(ledger, now));
            checks.push(metadata(&site, ledger, now).await);
        }
        Err(error) => checks.push(Check::fail("ledger", chain(error))),
    }
    let is_new = ledger.is_ok_and(|ledger| ledger.bundles.is_empty());
    checks.push(match site.config().store.as_ref().map(|store| site.resolve(store)) {
        Some(store) if is_new && !store.exists() => {
            Check::skipped("store", "the first import makes it")
        }
        Some(store) => registry(&store, percent, now),
        None => Check::skipped("store", "site.toml names none: the site has a registry of its own"),
    });
    Ok((site, checks))
}

fn bundle(ledger: &Ledger, now: Timestamp) -> Check {
    let name = "bundle";
    let Some(newest) = ledger.bundles.last() else {
        return Check::warn(name, "nothing was taken in yet")
            .hint("offline-mirror import takes in a bundle");
    };
    let found = format!(
        "{}, sequence {}, made {} ago, taken in {} ago",
        newest.name,
        newest.sequence,
        age(newest.created_at, now),
        age(newest.imported_at, now)
    );
    if newest.complete {
        Check::ok(name, found)
    } else {
        Check::warn(name, format!("{found}; not everything asked for was in it"))
            .hint("send the newest inventory for the next bundle")
    }
}

/// The files of the newest bundle, believed again as of when they were.
async fn metadata(site: &SiteDir, ledger: &Ledger, now: Timestamp) -> Check {
    // Not `metadata`: so is called what the site's hub serves.
    let name = "carried";
    let Some(believed_at) = ledger.believed_at else {
        return Check::skipped(name, "none was believed yet");
    };
    let source = DirSource::new(site.metadata());
    let refreshed = match Client::open(site.root(), source, MemStore::new()) {
        Ok(mut client) => client.refresh(believed_at).await,
        Err(error) => Err(error),
    };
    match refreshed {
        Ok(found) if found.expires <= now => {
            let text = format!("verified; expired {} ago", age(found.expires, now));
            Check::warn(name, text).hint("carry a newer bundle: agents here refuse what expired")
        }
        Ok(found) => Check::ok(name, format!("verified; good for {}", until(found.expires, now))),
        Err(error) => Check::fail(name, chain(&error)).hint("import the newest bundle again"),
    }
}

/// Hashes a share of the blobs; other days take other ones.
fn registry(dir: &Path, percent: u8, now: Timestamp) -> Check {
    let name = "store";
    let looked = Store::open(dir).and_then(|store| {
        let totals = store.totals()?;
        Ok((totals, store.fsck(Fsck { percent }, now, |_bytes| {})?))
    });
    let (totals, report) = match looked {
        Ok(found) => found,
        Err(error) => {
            return Check::fail(name, chain(&error))
                .hint("is it mounted? A new one is filled by a bundle made without an inventory");
        }
    };
    let repositories = if totals.repositories == 1 { "repository" } else { "repositories" };
    let found = format!(
        "{} {repositories}, {} blobs; {} of them hashed",
        totals.repositories, totals.blobs, report.blobs
    );
    match report.damages.first() {
        None => Check::ok(name, found),
        Some(first) => {
            let count = report.damages.len();
            Check::fail(
                name,
                format!("{count} damaged or missing: {}: {}", first.digest, first.why),
            )
            .hint("offline-mirror store fsck --forget-damaged, then import the newest bundle")
        }
    }
}
