//! Dark sites: registered, removed, and their status replaced as a whole. Each with its audit row in
//! one transaction.

mod read;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use channels::names::{ClusterId, SiteName};
use channels::wire::{Redaction, SiteRegistration, SiteStatus, StatusImportReply};
use jiff::Timestamp;
use rusqlite::params;
use serde_json::json;
use signing::{PublicKey, Sha256Digest};

use super::audit::Event;
use super::{Batch, Refusal, Stop, Store};
use crate::site::{Carried, MAX_CARRIED, MAX_LISTED_LIVE, MAX_SITES, Origin, Site};
use read::floor;
pub(super) use read::{imports, load};

/// Imports remembered of one site and key: years of weekly ones. The audit log has all of them.
const MAX_IMPORTS: usize = 500;
/// Status files are text with many repetitions.
const LEVEL: i32 = 3;
/// Name of the row of `meta` that counts the statuses of this hub's own site.
const SEQUENCE: &str = "site_status_sequence";

/// A site to register.
#[derive(Debug, Clone)]
pub struct NewSite {
    /// Its name.
    pub name: SiteName,
    /// What its status must be signed with.
    pub key: PublicKey,
    /// What else was said; its key is the one above.
    pub said: SiteRegistration,
    /// Who registers it.
    pub by: String,
    /// When.
    pub now: Timestamp,
}

/// A status that was verified with the key `verified_with`.
#[derive(Debug, Clone)]
pub struct NewStatus {
    /// What it says.
    pub status: SiteStatus,
    /// The file.
    pub bytes: Vec<u8>,
    /// Its digest.
    pub digest: Sha256Digest,
    /// The site's key when it was verified.
    pub verified_with: PublicKey,
    /// Who imports it.
    pub by: String,
    /// When.
    pub now: Timestamp,
}

/// Who asks for the status of this hub's own site.
#[derive(Debug, Clone)]
pub struct StatusRequest {
    /// The site.
    pub site: SiteName,
    /// What is left out.
    pub redact: Vec<Redaction>,
    /// Who asks.
    pub by: String,
    /// When.
    pub now: Timestamp,
}

impl Store {
    /// Registers a site, or changes what is registered of it. Says whether it is new.
    pub async fn put_site(&self, new: NewSite) -> Result<bool, Refusal> {
        self.submit(move |batch| batch.put_site(new)).await
    }

    /// Forgets a site and what is known of it.
    pub async fn remove_site(
        &self,
        name: SiteName,
        by: String,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.submit(move |batch| batch.remove_site(&name, by, now)).await
    }

    /// Replaces what is known of a site.
    pub async fn import_status(&self, new: NewStatus) -> Result<StatusImportReply, Refusal> {
        self.submit(move |batch| batch.import_status(new)).await
    }

    /// The sequence of the next status of this hub's own site: above all before it, also after a
    /// restored backup, because it follows the clock.
    pub async fn next_status(&self, request: StatusRequest) -> Result<u64, Refusal> {
        self.submit(move |batch| batch.next_status(&request)).await
    }
}

impl Batch<'_> {
    fn put_site(&mut self, new: NewSite) -> Result<bool, Stop> {
        let mut sites = self.sites();
        let known = sites.get(&new.name).cloned();
        if known.is_none() && sites.len() >= MAX_SITES {
            return Err(Refusal::TooManySites { max: MAX_SITES }.into());
        }
        // What another key signed is not shown under this one.
        let same_key = known.as_ref().is_some_and(|site| site.key == new.key);
        let carried = known.as_ref().filter(|_| same_key).and_then(|site| site.carried.clone());
        let (registered_at, registered_by) = known.as_ref().map_or_else(
            || (new.now, new.by.clone()),
            |site| (site.registered_at, site.registered_by.clone()),
        );
        self.db.execute(
            "INSERT INTO site (name, key, description, expected_interval_s, registered_at, \
                 registered_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (name) DO UPDATE SET \
                 key = excluded.key, description = excluded.description, \
                 expected_interval_s = excluded.expected_interval_s",
            params![
                new.name.as_str(),
                new.key.to_spki_pem(),
                new.said.description,
                new.said.expected_interval_s.map(super::int),
                registered_at.as_millisecond(),
                registered_by,
            ],
        )?;
        if !same_key {
            self.db.execute(
                "UPDATE site SET status = NULL, imported_at = NULL, imported_by = NULL \
                     WHERE name = ?1",
                params![new.name.as_str()],
            )?;
        }
        let key_id = new.key.key_id();
        self.audit(&Event {
            at: new.now,
            actor: new.by,
            action: "register_site",
            object: format!("site/{}", new.name),
            detail: json!({
                "key_id": key_id.as_str(), "description": new.said.description,
                "expected_interval_s": new.said.expected_interval_s,
                "replaces_key": known.as_ref().filter(|_| !same_key)
                    .map(|site| site.key.key_id().as_str().to_owned()),
            }),
        })?;
        let (floor, newest) = floor(self.db, &new.name, &new.key)?;
        sites.put(Site {
            name: new.name,
            key: new.key,
            description: new.said.description,
            expected_interval_s: new.said.expected_interval_s,
            registered_at,
            registered_by,
            floor,
            newest,
            carried,
        });
        self.changes.sites = Some(sites);
        Ok(known.is_none())
    }

    fn remove_site(&mut self, name: &SiteName, by: String, now: Timestamp) -> Result<(), Stop> {
        let mut sites = self.sites();
        let gone = sites.remove(name).ok_or_else(|| unknown(name))?;
        self.db.execute("DELETE FROM site WHERE name = ?1", params![name.as_str()])?;
        self.audit(&Event {
            at: now,
            actor: by,
            action: "remove_site",
            object: format!("site/{name}"),
            detail: json!({ "key_id": gone.key.key_id().as_str(), "sequence": gone.floor }),
        })?;
        self.changes.sites = Some(sites);
        Ok(())
    }

    fn import_status(&mut self, new: NewStatus) -> Result<StatusImportReply, Stop> {
        let mut sites = self.sites();
        let name = new.status.site.clone();
        let site = sites.get(&name).cloned().ok_or_else(|| unknown(&name))?;
        if site.key != new.verified_with {
            return Err(Refusal::SiteKeyReplaced { site: name.to_string() }.into());
        }
        if let Some(shown) = site.carried.as_deref().filter(|c| c.origin.digest == new.digest) {
            return Ok(reply(shown, false));
        }
        let (sequence, newest) = (new.status.sequence, site.floor);
        // Its display is lost: the key was another one for a while, or what is stored unreadable.
        let again = site.newest == Some(new.digest);
        if sequence <= newest && !again {
            return Err(Refusal::StatusRollback { site: name.to_string(), sequence, newest }.into());
        }
        let listed = new.status.clusters.len();
        let found = sites.carried_clusters(Some(&name)).saturating_add(listed);
        if found > MAX_CARRIED {
            return Err(Refusal::TooManyCarried { found, max: MAX_CARRIED }.into());
        }
        self.write_status(&name, &new)?;
        if !again {
            self.remember_import(&name, &new, listed)?;
        }
        self.audit_import(&name, &new, listed)?;
        let newest = Some(new.digest);
        let origin = Origin { digest: new.digest, at: new.now, by: new.by };
        let carried = Carried::new(new.status, origin, |id| self.is_live(id));
        let reply = reply(&carried, true);
        let carried = Some(Arc::new(carried));
        sites.put(Site { floor: sequence, newest, carried, ..Site::clone(&site) });
        self.changes.sites = Some(sites);
        Ok(reply)
    }

    fn write_status(&mut self, name: &SiteName, new: &NewStatus) -> Result<(), Stop> {
        // A frame in memory fails only for want of memory; then the file is kept as it is, which
        // reads the same.
        let frame = zstd::bulk::compress(&new.bytes, LEVEL).unwrap_or_else(|_| new.bytes.clone());
        self.db.execute(
            "UPDATE site SET status = ?2, imported_at = ?3, imported_by = ?4 WHERE name = ?1",
            params![name.as_str(), frame, new.now.as_millisecond(), new.by],
        )?;
        Ok(())
    }

    /// A row of the site's history; the newest ones hold the floor.
    fn remember_import(
        &mut self,
        name: &SiteName,
        new: &NewStatus,
        listed: usize,
    ) -> Result<(), Stop> {
        let key_id = new.verified_with.key_id();
        self.db.execute(
            "INSERT INTO site_import (site, key_id, sequence, made_at, imported_at, \
                 imported_by, digest, clusters) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                name.as_str(),
                key_id.as_str(),
                super::int(new.status.sequence),
                new.status.made_at.as_millisecond(),
                new.now.as_millisecond(),
                new.by,
                new.digest.as_bytes(),
                i64::try_from(listed).unwrap_or(i64::MAX),
            ],
        )?;
        self.db.execute(
            "DELETE FROM site_import WHERE site = ?1 AND key_id = ?2 AND id <= \
                 (SELECT id FROM site_import WHERE site = ?1 AND key_id = ?2 ORDER BY id DESC \
                 LIMIT 1 OFFSET ?3)",
            params![name.as_str(), key_id.as_str(), i64::try_from(MAX_IMPORTS).unwrap_or(i64::MAX)],
        )?;
        Ok(())
    }

    fn audit_import(
        &mut self,
        name: &SiteName,
        new: &NewStatus,
        listed: usize,
    ) -> Result<(), Stop> {
        Ok(self.audit(&Event {
            at: new.now,
            actor: new.by.clone(),
            action: "import_status",
            object: format!("site/{name}"),
            detail: json!({
                "sequence": new.status.sequence, "made_at": new.status.made_at.to_string(),
                "digest": new.digest.to_string(), "clusters": listed,
                "redacted": new.status.redacted,
            }),
        })?)
    }

    /// Whether a cluster of this id reports to this hub.
    fn is_live(&self, id: ClusterId) -> bool {
        let known = self.slot(id).and_then(|slot| self.cluster(slot));
        known.is_some_and(|record| record.retired_at.is_none())
    }

    fn next_status(&mut self, request: &StatusRequest) -> Result<u64, Stop> {
        let last: Option<String> = self.db.row_if_any(
            "SELECT value FROM meta WHERE name = ?1",
            params![SEQUENCE],
            |row| row.get(0),
        )?;
        let last: u64 = last.and_then(|text| text.parse().ok()).unwrap_or(0);
        let clock = u64::try_from(request.now.as_second()).unwrap_or(0);
        let sequence = last.saturating_add(1).max(clock);
        self.db.execute(
            "INSERT INTO meta (name, value) VALUES (?1, ?2) \
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            params![SEQUENCE, sequence.to_string()],
        )?;
        self.audit(&Event {
            at: request.now,
            actor: request.by.clone(),
            action: "export_status",
            object: format!("site/{}", request.site),
            detail: json!({ "sequence": sequence, "redact": request.redact }),
        })?;
        Ok(sequence)
    }
}

fn unknown(name: &SiteName) -> Refusal {
    Refusal::UnknownSite { site: name.to_string() }
}

fn reply(carried: &Carried, changed: bool) -> StatusImportReply {
    let status = &carried.status;
    StatusImportReply {
        site: status.site.clone(),
        sequence: status.sequence,
        made_at: status.made_at,
        clusters: u64::try_from(status.clusters.len()).unwrap_or(u64::MAX),
        live_here: carried.live_here.iter().copied().take(MAX_LISTED_LIVE).collect(),
        changed,
    }
}
