//! Orders of people to a running agent: small files in the state directory.
//!
//! `hold` and `resume` work whether or not an agent runs, and without a socket: the command writes
//! a file atomically, the agent reads the files before every decision. The agent only ever removes
//! `resume.json`, after what it asks for has been persisted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use channels::names::ProductRef;
use channels::version::ReleaseVersion;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use signing::Sha256Digest;

use super::{
    Durability, StateError, create_private_dir, encode, file_error, read_bounded, replace,
};

/// Someone on the cluster stopped every start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalHold {
    /// Why, in their words.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// Someone asked the agent to go on after a pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResumeOrder {
    /// When; clears only pauses that are older.
    pub at: Timestamp,
}

/// Someone gave up what was begun on a unit or product that is no longer configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GiveUpOrder {
    /// `vendor/product/unit`, or `vendor/product` for its roll.
    pub name: String,
    /// When.
    pub at: Timestamp,
}

/// Someone allowed one move of a product whose policy is `manual`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The product.
    pub product: ProductRef,
    /// The release it may move to.
    pub to: ReleaseVersion,
    /// When.
    pub at: Timestamp,
    /// Back to an older release, and stay there; whatever its policy is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub back: bool,
}

/// Someone allowed the irreversible step of one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinalizeApproval {
    /// The product.
    pub product: ProductRef,
    /// The release.
    pub release: ReleaseVersion,
    /// Digest of its document.
    pub release_digest: Sha256Digest,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
}

/// Someone looked after a finalize step that failed: its level is not in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelUnchanged {
    /// The product.
    pub product: ProductRef,
    /// The release whose step failed.
    pub release: ReleaseVersion,
    /// When they looked; says nothing about a step that failed later.
    pub at: Timestamp,
    /// Who.
    pub by: String,
}

/// The order files of one state directory.
#[derive(Debug, Clone)]
pub struct Control {
    dir: PathBuf,
}

impl Control {
    /// The order files in `state_dir`.
    pub fn new(state_dir: &Path) -> Self {
        Self { dir: state_dir.to_owned() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StateError> {
        let path = self.path(name);
        let Some(bytes) = read_bounded(&path)? else { return Ok(None) };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| StateError::Unreadable { path, source })
    }

    fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<(), StateError> {
        let path = self.path(name);
        // A hold may be placed before the agent has ever run.
        create_private_dir(&self.dir)?;
        replace(&path, &encode(&path, value)?, Durability::Flushed)
    }

    fn remove(&self, name: &str) -> Result<(), StateError> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(file_error("remove", &path, source)),
        }
    }

    /// The hold in force.
    pub fn hold(&self) -> Result<Option<LocalHold>, StateError> {
        self.read("hold.json")
    }

    /// Stops every start.
    pub fn place_hold(&self, hold: &LocalHold) -> Result<(), StateError> {
        self.write("hold.json", hold)
    }

    /// Lifts the hold.
    pub fn lift_hold(&self) -> Result<(), StateError> {
        self.remove("hold.json")
    }

    /// The resume order that waits to be taken.
    pub fn resume_order(&self) -> Result<Option<ResumeOrder>, StateError> {
        self.read("resume.json")
    }

    /// Orders a resume.
    pub fn order_resume(&self, order: &ResumeOrder) -> Result<(), StateError> {
        self.write("resume.json", order)
    }

    /// The order has been carried out.
    pub fn resume_taken(&self) -> Result<(), StateError> {
        self.remove("resume.json")
    }

    /// What is to be given up when the agent starts.
    pub fn give_up_order(&self) -> Result<Option<GiveUpOrder>, StateError> {
        self.read("give_up.json")
    }

    /// Orders that something is given up.
    pub fn order_give_up(&self, order: &GiveUpOrder) -> Result<(), StateError> {
        self.write("give_up.json", order)
    }

    /// It was given up, or there was nothing to.
    pub fn give_up_taken(&self) -> Result<(), StateError> {
        self.remove("give_up.json")
    }

    /// Approved moves.
    pub fn approvals(&self) -> Result<Vec<Approval>, StateError> {
        Ok(self.read("approvals.json")?.unwrap_or_default())
    }

    /// Approved finalize steps.
    pub fn finalize_approvals(&self) -> Result<Vec<FinalizeApproval>, StateError> {
        Ok(self.read("finalize.json")?.unwrap_or_default())
    }

    /// Approves a finalize step; one per product, the newest counts.
    pub fn approve_finalize(&self, approval: FinalizeApproval) -> Result<(), StateError> {
        let mut approvals = self.finalize_approvals()?;
        approvals.retain(|old| old.product != approval.product);
        approvals.push(approval);
        self.write("finalize.json", &approvals)
    }

    /// What people found out about levels whose step failed.
    pub fn levels_unchanged(&self) -> Result<Vec<LevelUnchanged>, StateError> {
        Ok(self.read("levels-unchanged.json")?.unwrap_or_default())
    }

    /// States that levels are not in force; of a product what is said last counts.
    pub fn state_unchanged(&self, stated: Vec<LevelUnchanged>) -> Result<(), StateError> {
        let mut all = self.levels_unchanged()?;
        all.retain(|old| stated.iter().all(|new| new.product != old.product));
        all.extend(stated);
        self.write("levels-unchanged.json", &all)
    }

    /// Approves a move; one per product, the newest counts.
    pub fn approve(&self, approval: Approval) -> Result<(), StateError> {
        let mut approvals = self.approvals()?;
        approvals.retain(|old| old.product != approval.product);
        approvals.push(approval);
        self.write("approvals.json", &approvals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_stands_until_it_is_lifted() {
        let dir = tempfile::tempdir().unwrap();
        let control = Control::new(dir.path());
        assert_eq!(control.hold().unwrap(), None);
        let hold = LocalHold { reason: "audit".into(), since: Timestamp::UNIX_EPOCH };
        control.place_hold(&hold).unwrap();
        assert_eq!(control.hold().unwrap(), Some(hold));
        control.lift_hold().unwrap();
        control.lift_hold().unwrap();
        assert_eq!(control.hold().unwrap(), None);
    }

    #[test]
    fn what_was_found_out_about_levels_replaces_what_was_said_of_the_product_before() {
        let dir = tempfile::tempdir().unwrap();
        let control = Control::new(dir.path());
        assert_eq!(control.levels_unchanged().unwrap(), []);
        let said = |product: &str, release: &str| LevelUnchanged {
            product: product.parse().unwrap(),
            release: release.parse().unwrap(),
            at: Timestamp::UNIX_EPOCH,
            by: "ada".into(),
        };
        control.state_unchanged(vec![said("acme/kafka", "4.0.0")]).unwrap();
        control.state_unchanged(vec![said("acme/other", "1.0.0")]).unwrap();
        let new = vec![said("acme/kafka", "4.1.0"), said("acme/kafka", "4.2.0")];
        control.state_unchanged(new.clone()).unwrap();
        let expected = [vec![said("acme/other", "1.0.0")], new].concat();
        assert_eq!(control.levels_unchanged().unwrap(), expected);
    }

    #[test]
    fn an_unreadable_hold_is_an_error_and_never_no_hold() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("hold.json"), "{").unwrap();
        assert!(Control::new(dir.path()).hold().is_err());
    }

    #[test]
    fn a_product_has_one_approval_and_the_newest_counts() {
        let dir = tempfile::tempdir().unwrap();
        let control = Control::new(dir.path());
        for to in ["4.0.0", "4.1.0"] {
            let product = "acme/kafka".parse().unwrap();
            let to = to.parse().unwrap();
            let at = Timestamp::UNIX_EPOCH;
            control.approve(Approval { product, to, at, back: false }).unwrap();
        }
        let approvals = control.approvals().unwrap();
        assert_eq!(approvals.len(), 1);
        assert_eq!(approvals[0].to.to_string(), "4.1.0");
    }
}
