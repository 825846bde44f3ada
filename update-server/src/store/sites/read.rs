//! Dark sites from disk: at a warm start, and the history of their imports.

use std::sync::Arc;

use channels::names::SiteName;
use channels::wire::{SiteImport, SiteStatus};
use rusqlite::params;
use signing::{KeySet, PublicKey, Sha256Digest, Statement};

use super::super::db::{Db, DbResult, Row};
use super::super::load::{At, LoadError};
use crate::fleet::FleetIndex;
use crate::site::{Carried, Origin, Site, Sites};

/// The highest sequence ever taken of a site under a key, and the digest of the file that had it.
pub(super) fn floor(
    db: &Db,
    site: &SiteName,
    key: &PublicKey,
) -> DbResult<(u64, Option<Sha256Digest>)> {
    let newest: Option<(i64, [u8; 32])> = db.row_if_any(
        "SELECT sequence, digest FROM site_import WHERE site = ?1 AND key_id = ?2 \
             ORDER BY sequence DESC LIMIT 1",
        params![site.as_str(), key.key_id().as_str()],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(newest.map_or((0, None), |(sequence, digest)| {
        (u64::try_from(sequence).unwrap_or(0), Some(digest.into()))
    }))
}

/// Every site with its newest status.
pub(in crate::store) fn load(db: &Db, fleet: &FleetIndex) -> Result<Sites, LoadError> {
    let mut sites = Sites::default();
    for mut site in db.rows("SELECT * FROM site ORDER BY name", &[], |row| site(row, fleet))? {
        (site.floor, site.newest) = floor(db, &site.name, &site.key)?;
        sites.put(site);
    }
    Ok(sites)
}

/// What a site's row says; its floor is in other rows.
fn site(row: &Row<'_>, fleet: &FleetIndex) -> Result<Site, LoadError> {
    let at = At { table: "site", id: 0, row };
    let name: String = at.get("name")?;
    let name: SiteName = name.parse().map_err(|error| at.wrong("name", error))?;
    let pem: String = at.get("key")?;
    let key = PublicKey::from_spki_pem(&pem).map_err(|error| at.wrong("key", error))?;
    let interval: Option<i64> = at.get("expected_interval_s")?;
    let mut site = Site {
        floor: 0,
        newest: None,
        name,
        key,
        description: at.get("description")?,
        expected_interval_s: interval.and_then(|s| u64::try_from(s).ok()),
        registered_at: at.some_time("registered_at")?,
        registered_by: at.get("registered_by")?,
        carried: None,
    };
    let Some(frame) = at.get::<Option<Vec<u8>>>("status")? else { return Ok(site) };
    match read_status(&site, &frame) {
        Ok((status, digest)) => {
            let origin =
                Origin { digest, at: at.some_time("imported_at")?, by: at.get("imported_by")? };
            let is_live = |id| {
                let known = fleet.slot(id).and_then(|slot| fleet.record(slot));
                known.is_some_and(|record| record.retired_at.is_none())
            };
            site.carried = Some(Arc::new(Carried::new(status, origin, is_live)));
        }
        // A status is shown, nothing hangs on it: the hub starts without it.
        Err(why) => tracing::warn!(site = %site.name, why, "stored status is not readable"),
    }
    Ok(site)
}

fn read_status(site: &Site, frame: &[u8]) -> Result<(SiteStatus, Sha256Digest), String> {
    let bytes =
        zstd::bulk::decompress(frame, SiteStatus::MAX_BYTES).unwrap_or_else(|_| frame.to_vec());
    let statement =
        Statement::parse(SiteStatus::KIND, &bytes).map_err(|error| error.to_string())?;
    let status = statement
        .verify::<SiteStatus>(&KeySet::one(site.key.clone()))
        .map_err(|error| error.to_string())?
        .into_inner();
    status.check().map_err(|error| error.to_string())?;
    Ok((status, statement.digest()))
}

/// The newest imports of a site, newest first.
pub(in crate::store) fn imports(
    db: &Db,
    site: &SiteName,
    limit: usize,
) -> Result<Vec<SiteImport>, LoadError> {
    let sql = "SELECT * FROM site_import WHERE site = ?1 ORDER BY id DESC LIMIT ?2";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    db.rows(sql, params![site.as_str(), limit], |row| {
        let at = At { table: "site_import", id: row.get("id")?, row };
        Ok(SiteImport {
            id: at.unsigned("id")?,
            sequence: at.unsigned("sequence")?,
            made_at: at.some_time("made_at")?,
            imported_at: at.some_time("imported_at")?,
            imported_by: at.get("imported_by")?,
            digest: at.digest("digest")?,
            clusters: at.unsigned("clusters")?,
        })
    })
}
