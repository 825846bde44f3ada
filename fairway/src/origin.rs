//! The hub that a bundle came from: its vendors, verified, for a site that cannot ask it.
//!
//! Reads and verifies; writes nothing.

use std::path::{Path, PathBuf};

use channels::names::VendorName;
use jiff::Timestamp;
use offline_mirror::import::ImportError;
use offline_mirror::{AcceptExpired, CarriedVendors, VendorsRequest};
use signing::{Delegation, PublicKey};

use crate::error::{CliError, Result, chain};
use crate::out::Out;
use crate::words::fingerprint;

/// Flags that say how to believe a bundle; whoever uses them has an argument `from_bundle`.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct OriginArgs {
    /// Root of the view the bundle was made under; carry it by another way than the bundle
    #[arg(long, value_name = "FILE", requires = "from_bundle")]
    root: Option<PathBuf>,
    /// Where the site remembers what it has seen of that view: seen/ of its site directory
    #[arg(long, value_name = "DIR", requires = "from_bundle")]
    state: Option<PathBuf>,
    /// Accept metadata that expired on its way, until this moment (2026-12-24T00:00:00Z)
    #[arg(long, value_name = "TIME", requires_all = ["reason", "state", "from_bundle"])]
    accept_expired_until: Option<Timestamp>,
    /// Why expired metadata is accepted
    #[arg(long, value_name = "TEXT", requires = "accept_expired_until")]
    reason: Option<String>,
}

/// What a verified bundle says about its hub.
#[derive(Debug)]
pub(crate) struct Origin {
    found: CarriedVendors,
    reason: Option<String>,
}

impl OriginArgs {
    /// Verifies metadata and manifest of `bundle` and reads its hub's vendors.
    pub(crate) async fn verified(&self, bundle: &Path, now: Timestamp) -> Result<Origin> {
        let root = self.root.as_ref().ok_or_else(|| CliError::failed("--root is missing"))?;
        let accept_expired = match (self.accept_expired_until, &self.reason) {
            (Some(until), Some(reason)) => Some(AcceptExpired { until, reason: reason.clone() }),
            _ => None,
        };
        let request = VendorsRequest {
            bundle: bundle.to_owned(),
            root: offline_mirror::read_root(root).map_err(|error| refuse(&error.into()))?,
            state: self.state.clone(),
            accept_expired,
        };
        let found = offline_mirror::vendors(&request, now).await.map_err(|error| refuse(&error))?;
        if found.vendors.is_empty() {
            return Err(CliError::no("the bundle's hub delegates to no vendor"));
        }
        let reason = self.reason.clone().filter(|_| found.expired_as_of.is_some());
        Ok(Origin { found, reason })
    }
}

impl Origin {
    /// The vendors and how their hub delegates to them.
    pub(crate) fn vendors(&self) -> &[(VendorName, Delegation)] {
        &self.found.vendors
    }

    /// Every vendor's keys with the names of their files.
    pub(crate) fn key_files(&self) -> Vec<(String, PublicKey)> {
        let files = |(vendor, delegation): &(VendorName, Delegation)| {
            let file = |key: &PublicKey| (key_file(vendor, key), key.clone());
            delegation.keys.iter().map(file).collect::<Vec<_>>()
        };
        self.vendors().iter().flat_map(files).collect()
    }

    /// One line on which bundle this was, for the record.
    pub(crate) fn told(&self) -> String {
        let CarriedVendors { manifest, expired_as_of, .. } = &self.found;
        let told = format!(
            "bundle {}, sequence {}, made at {}",
            manifest.name, manifest.sequence, manifest.created_at
        );
        match (expired_as_of, &self.reason) {
            (Some(at), Some(reason)) => {
                format!("{told}, accepted as of {at} although expired: {reason}")
            }
            _ => told,
        }
    }

    /// Says which keys were found: people compare them with the vendor's own word.
    pub(crate) fn report(&self, out: &mut Out) -> Result<()> {
        for (vendor, delegation) in self.vendors() {
            let (threshold, keys) = (delegation.threshold, delegation.keys.len());
            out.line(&format!("vendor {vendor}: {threshold} of {keys} must sign"))?;
            for key in &delegation.keys {
                out.line(&format!("  {}  {}", fingerprint(key), key_file(vendor, key)))?;
            }
        }
        match self.found.expired_as_of {
            Some(at) => out.warn(&format!("the bundle has expired; it was verified as of {at}")),
            None => Ok(()),
        }
    }
}

/// What the mirror says, with the attack's name first and its own hint.
fn refuse(error: &ImportError) -> CliError {
    let attack = error.attack().map(|attack| format!("{attack}: ")).unwrap_or_default();
    let text = format!("{attack}{}", chain(error));
    let told = if error.is_refusal() { CliError::no(text) } else { CliError::failed(text) };
    match error.hint() {
        Some(hint) => told.hint(hint),
        None => told,
    }
}

/// Name of the file of a vendor's key. A quarter of an id tells the keys of one vendor apart.
pub(crate) fn key_file(vendor: &VendorName, key: &PublicKey) -> String {
    let id: String = key.key_id().as_str().chars().take(16).collect();
    format!("{vendor}.{id}.pub")
}
