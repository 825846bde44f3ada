//! What may go. Pure.
//!
//! Whatever is not known is a reason to keep: a cluster that never reported keeps everything, a
//! version without a release document keeps its whole product and every image that ever was a
//! release's: which of them it runs, nobody can say.

use std::collections::{BTreeMap, BTreeSet};

use channels::names::ProductRef;
use channels::version::ReleaseVersion;
use channels::wire::{ClusterRow, Freshness};

use super::document::{Kept, Removable};
use crate::bundle::{CarriedImage, ImageRole};
use crate::oci::{Digest, Repository, Tag};

/// A manifest in a repository.
pub(crate) type Place = (Repository, Digest);

/// A release that the site knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownRelease {
    /// Product and version.
    pub(crate) id: (ProductRef, ReleaseVersion),
    /// Images that it names, for all architectures.
    pub(crate) images: BTreeSet<Place>,
    /// Versions that units report of themselves when they run its components.
    pub(crate) components: BTreeSet<String>,
    /// Known newer versions that may go back to it.
    pub(crate) back_from: BTreeSet<ReleaseVersion>,
}

/// Something at the target that has a name of its own there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    /// The image; none for one that no bundle brought.
    pub(crate) image: Option<CarriedImage>,
    /// Whether a bundle brought it as a release's image, whatever newer ones take it for.
    pub(crate) was_release: bool,
    /// Tags that somebody gave it at the site: removing it would take them away.
    pub(crate) tagged_here: BTreeSet<Tag>,
    /// Where it is.
    pub(crate) place: Place,
    /// Every manifest below it, itself included.
    pub(crate) manifests: BTreeSet<Digest>,
    /// Every blob below it, with its length.
    pub(crate) blobs: BTreeMap<Digest, u64>,
}

/// What a cluster needs of a product.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    /// The cluster's name.
    pub cluster: String,
    /// The product; none where the cluster never said what it runs.
    pub product: Option<ProductRef>,
    /// What of it.
    pub need: Need,
}

/// Why a cluster needs a version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// It runs it, or did when it last reported.
    Runs(ReleaseVersion),
    /// A unit of it reports this version of its component.
    UnitRuns(String),
    /// It is moving to it.
    MovesTo(ReleaseVersion),
    /// Nobody knows what it runs.
    Unknown,
}

/// What the clusters need, by their own last word.
pub(crate) fn uses(rows: &[ClusterRow]) -> Vec<Use> {
    let mut uses = Vec::new();
    for row in rows {
        let mut add = |product: Option<&ProductRef>, need| {
            uses.push(Use { cluster: row.name.clone(), product: product.cloned(), need });
        };
        let is_known = !matches!(row.freshness, Freshness::Never | Freshness::Unknown);
        if row.products.is_empty() || !is_known {
            add(None, Need::Unknown);
        }
        for product in &row.products {
            add(Some(&product.product), Need::Runs(product.version.clone()));
            if let Some(target) = &product.target {
                add(Some(&product.product), Need::MovesTo(target.clone()));
            }
            for reported in product.units.iter().filter_map(|unit| unit.version.as_ref()) {
                add(Some(&product.product), Need::UnitRuns(reported.clone()));
            }
        }
    }
    uses
}

/// Everything the decision looks at.
pub(crate) struct Input<'a> {
    /// What is at the target.
    pub(crate) stored: &'a [Stored],
    /// The releases that the site has documents of.
    pub(crate) releases: &'a [KnownRelease],
    /// What clusters need.
    pub(crate) uses: &'a [Use],
    /// Newest versions of each channel, which stay whoever runs them.
    pub(crate) newest: &'a BTreeMap<ProductRef, BTreeSet<ReleaseVersion>>,
    /// Which extra images the site asks for.
    pub(crate) allows: &'a dyn Fn(&CarriedImage) -> bool,
}

/// What stays and what goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Decision {
    /// What stays, with reasons.
    pub(crate) keep: Vec<Kept>,
    /// What may go.
    pub(crate) remove: Vec<Removable>,
    /// Bytes of blobs that nothing needs any more afterwards.
    pub(crate) bytes: u64,
}

/// Decides.
pub(crate) fn decide(input: &Input<'_>) -> Decision {
    let reasons = protected(input);
    let mut kept: BTreeMap<Place, BTreeSet<String>> = BTreeMap::new();
    for stored in input.stored {
        let because = reasons_to_keep(input, stored, &reasons);
        if !because.is_empty() {
            kept.insert(stored.place.clone(), because);
        }
    }
    keep_referrers(input.stored, &mut kept);

    let is_kept = |stored: &&Stored| kept.contains_key(&stored.place);
    let needed: BTreeSet<Place> =
        input.stored.iter().filter(is_kept).flat_map(manifests_of).collect();
    let mut decision = Decision::default();
    for (place, because) in &kept {
        decision.keep.push(Kept {
            repository: place.0.clone(),
            digest: place.1,
            because: because.iter().cloned().collect(),
        });
    }
    let mut gone: BTreeSet<Place> = BTreeSet::new();
    let leaving: Vec<&Stored> = input.stored.iter().filter(|s| !is_kept(s)).collect();
    for stored in &leaving {
        let Some(image) = &stored.image else { continue };
        let why = why_removable(image);
        // The image itself before its children: an index that lost a child is worse than none.
        let own = std::iter::once(stored.place.clone());
        for place in own.chain(manifests_of(stored)) {
            if !needed.contains(&place) && gone.insert(place.clone()) {
                let (repository, digest) = place;
                let tags = if digest == image.digest { image.tags.clone() } else { Vec::new() };
                let why = why.clone();
                decision.remove.push(Removable { repository, digest, tags, why });
            }
        }
    }
    decision.bytes = freed(input.stored, &leaving, &is_kept);
    decision
}

fn manifests_of(stored: &Stored) -> impl Iterator<Item = Place> + '_ {
    stored.manifests.iter().map(|digest| (stored.place.0.clone(), *digest))
}

/// Bytes of blobs that only what leaves needs.
fn freed(stored: &[Stored], leaving: &[&Stored], is_kept: &dyn Fn(&&Stored) -> bool) -> u64 {
    let needed: BTreeSet<&Digest> =
        stored.iter().filter(|s| is_kept(s)).flat_map(|s| s.blobs.keys()).collect();
    let gone: BTreeMap<&Digest, u64> = leaving
        .iter()
        .filter(|stored| stored.image.is_some())
        .flat_map(|stored| stored.blobs.iter().map(|(digest, size)| (digest, *size)))
        .filter(|(digest, _)| !needed.contains(digest))
        .collect();
    gone.values().fold(0, |sum: u64, size| sum.saturating_add(*size))
}

fn why_removable(image: &CarriedImage) -> String {
    match &image.role {
        ImageRole::Release => {
            "no cluster runs, moves to or may go back to a release that names it".to_owned()
        }
        ImageRole::Extra => "site.toml does not list it any more".to_owned(),
        ImageRole::Referrer { subject } => format!("what it is about goes: {subject}"),
    }
}

/// Which releases are needed, and why.
fn protected(input: &Input<'_>) -> Reasons {
    let mut reasons = Reasons::default();
    for used in input.uses {
        let Some(product) = &used.product else {
            reasons.everything.insert(format!("{} never said what it runs", used.cluster));
            continue;
        };
        let (version, told) = match &used.need {
            Need::Runs(version) => (version.clone(), format!("{} runs it", used.cluster)),
            Need::MovesTo(version) => (version.clone(), format!("{} moves to it", used.cluster)),
            Need::UnitRuns(reported) => {
                unit(input, product, reported, &used.cluster, &mut reasons);
                continue;
            }
            Need::Unknown => {
                reasons.unnamed(product, format!("nobody knows what {} runs", used.cluster));
                continue;
            }
        };
        let id = (product.clone(), version);
        if !input.releases.iter().any(|release| release.id == id) {
            let told = format!("{} is on {}, of which there is no document", used.cluster, id.1);
            reasons.unnamed(product, told);
            continue;
        }
        for back in input.releases.iter().filter(|r| r.id.0 == id.0 && r.back_from.contains(&id.1))
        {
            let told = format!("{} may go back to it", used.cluster);
            reasons.releases.entry(back.id.clone()).or_default().insert(told);
        }
        reasons.releases.entry(id).or_default().insert(told);
    }
    for (product, versions) in input.newest {
        for version in versions {
            let id = (product.clone(), version.clone());
            let told = "it is among the newest of a channel".to_owned();
            reasons.releases.entry(id).or_default().insert(told);
        }
    }
    reasons
}

/// A unit tells the version of its component, which several releases may have.
fn unit(
    input: &Input<'_>,
    product: &ProductRef,
    reported: &str,
    cluster: &str,
    reasons: &mut Reasons,
) {
    let has =
        |release: &&KnownRelease| release.id.0 == *product && release.components.contains(reported);
    let mut naming = input.releases.iter().filter(has).peekable();
    if naming.peek().is_none() {
        let told = format!("a unit of {cluster} runs {reported:?}, which no release names");
        reasons.unnamed(product, told);
    }
    for release in naming {
        let told = format!("a unit of {cluster} runs {reported}");
        reasons.releases.entry(release.id.clone()).or_default().insert(told);
    }
}

#[derive(Debug, Default)]
struct Reasons {
    everything: BTreeSet<String>,
    /// Of every image that ever was a release's: without its document nobody knows which one it is.
    any_release: BTreeSet<String>,
    products: BTreeMap<ProductRef, BTreeSet<String>>,
    releases: BTreeMap<(ProductRef, ReleaseVersion), BTreeSet<String>>,
}

impl Reasons {
    /// A cluster needs something of the product that no document describes.
    fn unnamed(&mut self, product: &ProductRef, told: String) {
        self.any_release.insert(format!("{product}: {told}"));
        self.products.entry(product.clone()).or_default().insert(told);
    }
}

fn reasons_to_keep(input: &Input<'_>, stored: &Stored, reasons: &Reasons) -> BTreeSet<String> {
    let Some(image) = &stored.image else {
        return BTreeSet::from(["no bundle brought it".to_owned()]);
    };
    let told = |tag: &Tag| format!("somebody at the site gave it the tag {tag}");
    let mut because: BTreeSet<String> = stored.tagged_here.iter().map(told).collect();
    let naming: Vec<&KnownRelease> =
        input.releases.iter().filter(|r| r.images.contains(&stored.place)).collect();
    for release in &naming {
        let (product, version) = &release.id;
        let told = |why: &String| format!("{product} {version}: {why}");
        because.extend(reasons.everything.iter().map(told));
        because.extend(reasons.products.get(product).into_iter().flatten().map(told));
        because.extend(reasons.releases.get(&release.id).into_iter().flatten().map(told));
    }
    if image.role == ImageRole::Extra && (input.allows)(image) {
        because.insert("site.toml lists it".to_owned());
    }
    if stored.was_release {
        because.extend(reasons.everything.iter().cloned());
        because.extend(reasons.any_release.iter().cloned());
        if naming.is_empty() {
            because.insert("its release's document is not at hand".to_owned());
        }
    }
    because
}

/// What is about something that stays, stays; and what is about that.
fn keep_referrers(stored: &[Stored], kept: &mut BTreeMap<Place, BTreeSet<String>>) {
    loop {
        let needed: BTreeSet<Place> =
            stored.iter().filter(|s| kept.contains_key(&s.place)).flat_map(manifests_of).collect();
        let mut added = false;
        for referrer in stored.iter().filter(|s| !kept.contains_key(&s.place)).collect::<Vec<_>>() {
            let Some(ImageRole::Referrer { subject }) = referrer.image.as_ref().map(|i| &i.role)
            else {
                continue;
            };
            if needed.contains(&(referrer.place.0.clone(), *subject)) {
                let told = format!("it is about {subject}, which stays");
                kept.insert(referrer.place.clone(), BTreeSet::from([told]));
                added = true;
            }
        }
        if !added {
            return;
        }
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
