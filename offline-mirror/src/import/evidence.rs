//! What was checked, with which keys, and when: for auditors, as JSON and as lines.

use channels::names::SiteName;
use jiff::Timestamp;
use serde::Serialize;
use signing::{Attack, KeyId, Sha256Digest};

use crate::bundle::{BundleName, CarriedRelease, Segment};
use crate::site::Told;

/// Everything one verification or import looked at and did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// Version of this program.
    pub verified_by: String,
    /// The site; none for a verification against a root alone.
    pub site: Option<SiteName>,
    /// Digest of the pinned root that everything was believed from.
    pub pinned_root: Sha256Digest,
    /// Where things were pushed; none for a verification.
    pub target: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// The bundles, by sequence.
    pub bundles: Vec<BundleEvidence>,
    /// What was counted.
    pub told: Told,
    /// Images of incomplete bundles that were left out, as `repository@digest`.
    pub left_out: Vec<String>,
    /// What the update server said, vendor by vendor.
    pub publications: Vec<Publication>,
    /// The steps in order.
    pub steps: Vec<Step>,
}

/// What was believed of one bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BundleEvidence {
    /// Its name.
    pub name: BundleName,
    /// Its sequence.
    pub sequence: u64,
    /// Digest of its signed manifest.
    pub manifest: Sha256Digest,
    /// When it was begun, by its own word.
    pub created_at: Timestamp,
    /// Keys of the view's snapshot role whose signature on the manifest counted.
    pub signed_by: Vec<KeyId>,
    /// Version of the view's root, timestamp, snapshot and targets.
    pub versions: [u64; 4],
    /// The moment the metadata was verified as of, if it has expired since and that was accepted.
    pub verified_as_of: Option<Timestamp>,
    /// Why expired metadata was accepted.
    pub accepted_because: Option<String>,
    /// Whether it says that it carries all that was asked for.
    pub complete: bool,
    /// The releases whose signed documents were compared with what is carried.
    pub releases: Vec<CarriedRelease>,
    /// Its tar files.
    pub segments: Vec<Segment>,
}

/// What came of a vendor's files at the site's update server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Publication {
    /// The vendor.
    pub vendor: String,
    /// Version of the site's snapshot that has them; none if they were refused.
    pub snapshot_version: Option<u64>,
    /// Whether anything changed.
    pub changed: bool,
    /// Why they were refused, the attack's name first where there is one.
    pub refused: Option<String>,
    /// The attack that the server named.
    #[serde(skip)]
    pub attack: Option<Attack>,
    /// Whether the server looked at them and refused, rather than not being got at.
    #[serde(skip)]
    pub is_refusal: bool,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// When it ended.
    pub at: Timestamp,
    /// Its name, the same in every run.
    pub step: &'static str,
    /// What came of it.
    pub found: String,
}

/// Collects steps, and shows each as it is done.
pub struct Log<'a> {
    clock: &'a (dyn Fn() -> Timestamp + Sync),
    show: &'a (dyn Fn(&Step) + Sync),
    steps: Vec<Step>,
}

impl std::fmt::Debug for Log<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("steps", &self.steps).finish_non_exhaustive()
    }
}

impl<'a> Log<'a> {
    /// Steps are stamped by `clock` and shown by `show`.
    pub fn new(
        clock: &'a (dyn Fn() -> Timestamp + Sync),
        show: &'a (dyn Fn(&Step) + Sync),
    ) -> Self {
        Self { clock, show, steps: Vec::new() }
    }

    /// The time, for what the steps do.
    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// A step is done.
    pub(crate) fn done(&mut self, step: &'static str, found: impl Into<String>) {
        let step = Step { at: self.now(), step, found: found.into() };
        (self.show)(&step);
        self.steps.push(step);
    }

    pub(crate) fn into_steps(self) -> Vec<Step> {
        self.steps
    }
}
