//! Reads a hub the way an agent does, and finds the releases that are asked for.

use std::collections::{BTreeMap, BTreeSet};

use channels::cincinnati::{TargetKind, from_json, parse_target_path};
use channels::graph::Graph;
use channels::names::{Arch, ProductRef, VendorName};
use channels::version::ReleaseVersion;
use channels::wire::ReleaseDocument;
use jiff::Timestamp;
use signing::{Client, FileName, MemStore, Recording, Source, Versions};

use super::config::ProductRequest;
use super::error::PlanError;
use super::request::selection;
use super::select::{Place, SelectError, Selected, Selection, select};
use crate::bundle::CarriedRelease;
use crate::error::Error;
use crate::metadata::{copy_roots_before, copy_targets, fetch_release, trust};
use crate::oci::{Digest, Repository};
use crate::view::Files;

/// What was read of the hub, and what is wanted of it.
#[derive(Debug)]
pub(crate) struct AtHub {
    /// The TUF files that a client needs to come to the same belief.
    pub(crate) files: Files,
    /// The versions that were believed.
    pub(crate) found: Versions,
    /// Vendors of the products, whose files are carried whole.
    pub(crate) vendors: BTreeSet<VendorName>,
    /// The releases, in order.
    pub(crate) releases: Vec<CarriedRelease>,
    /// Their images.
    pub(crate) images: BTreeSet<(Repository, Digest)>,
}

/// Releases with the architectures they are wanted for.
type Wanted = BTreeMap<(ProductRef, ReleaseVersion), BTreeSet<Arch>>;

/// Steps of ways, which the release stepped to must allow.
type Steps = BTreeSet<(ProductRef, ReleaseVersion, ReleaseVersion)>;

/// Verifies the hub from its pinned root and works out which releases are meant.
pub(crate) async fn read<S: Source>(
    root: &[u8],
    source: S,
    products: &[ProductRequest],
    now: Timestamp,
) -> Result<AtHub, PlanError> {
    let recording = Recording::new(source);
    let mut client =
        Client::open(root, &recording, MemStore::new()).map_err(trust("the pinned root"))?;
    let pinned = client.trusted_versions().root;
    recording.add(FileName::root(pinned), root.to_vec());
    client.refresh(now).await.map_err(trust("the hub's repository"))?;

    let vendors: BTreeSet<_> = products.iter().map(|p| p.product.vendor.clone()).collect();
    let mut graphs = BTreeMap::new();
    for vendor in &vendors {
        for (path, bytes) in copy_targets(&mut client, vendor, now).await? {
            let Some(TargetKind::Graph { product, channel, arch }) =
                parse_target_path(path.as_str())
            else {
                continue;
            };
            if products.iter().any(|p| p.product == product && p.channel.as_ref() == Some(&channel))
            {
                let graph = from_json(&bytes).map_err(|error| Error::Document {
                    path: path.to_string(),
                    why: error.to_string(),
                })?;
                graphs.insert(Place { product, channel, arch }, graph);
            }
        }
    }
    let older = copy_roots_before(&recording, pinned).await;
    older.map_err(|source| Error::Trust {
        what: "the hub's older roots".to_owned(),
        source: Box::new(signing::Error::Fetch { file: FileName::root(pinned), source }),
    })?;

    let (wanted, steps) = wanted(products, &graphs)?;
    let (releases, images) = documents(&mut client, wanted, &steps, now).await?;
    let found = client.trusted_versions();
    Ok(AtHub { files: recording.files(), found, vendors, releases, images })
}

/// The releases that the requests mean, and the steps of the ways among them.
fn wanted(
    products: &[ProductRequest],
    graphs: &BTreeMap<Place, Graph>,
) -> Result<(Wanted, Steps), PlanError> {
    let (mut wanted, mut steps) = (Wanted::new(), Steps::new());
    for request in products {
        let product = &request.product;
        let refuse = |why: &str| PlanError::Usage { why: format!("{product}: {why}") };
        let meant = selection(request).map_err(refuse)?;
        for (arch, Selected { releases, from }) in selected(request, &meant, graphs)? {
            let mut before = from;
            for version in releases {
                if let Some(from) = before.take() {
                    steps.insert((product.clone(), from, version.clone()));
                    before = Some(version.clone());
                }
                let arches = wanted.entry((product.clone(), version)).or_default();
                arches.extend(arch.clone());
            }
        }
    }
    Ok((wanted, steps))
}

/// What one request selects, by architecture; none = all that the release has.
fn selected(
    request: &ProductRequest,
    meant: &Selection,
    graphs: &BTreeMap<Place, Graph>,
) -> Result<Vec<(Option<Arch>, Selected)>, PlanError> {
    let ProductRequest { product, arches, .. } = request;
    let Some(channel) = &request.channel else {
        let Selection::Listed { releases } = meant else {
            let why = format!("{product}: it needs a channel, or releases by name");
            return Err(PlanError::Usage { why });
        };
        let selected = Selected { releases: releases.clone(), from: None };
        let arches: Vec<_> = arches.iter().cloned().map(Some).collect();
        let arches = if arches.is_empty() { vec![None] } else { arches };
        return Ok(arches.into_iter().map(|arch| (arch, selected.clone())).collect());
    };
    let missing = |arch: Option<&Arch>| PlanError::NoChannel {
        product: product.clone(),
        channel: channel.to_string(),
        arch: arch.map(ToString::to_string),
    };
    let is_here = |place: &Place| place.product == *product && place.channel == *channel;
    let here: Vec<_> = graphs.iter().filter(|(place, _)| is_here(place)).collect();
    if let Some(arch) = arches.iter().find(|arch| !here.iter().any(|(p, _)| p.arch == **arch)) {
        return Err(missing(Some(arch)));
    }
    let (first, _) = here.first().ok_or_else(|| missing(None))?;
    if let (Selection::Listed { releases }, []) = (meant, arches.as_slice()) {
        return listed_anywhere(first, &here, releases);
    }
    let accepted = request.accept_risks.iter().cloned().collect();
    let chosen = here.iter().filter(|(p, _)| arches.is_empty() || arches.contains(&p.arch));
    chosen
        .map(|(place, graph)| {
            let selected = select(place, graph, meant, &accepted)?;
            Ok((Some(place.arch.clone()), selected))
        })
        .collect()
}

/// Releases by name without an architecture: for each that the channel offers them on, which must
/// be one at least.
fn listed_anywhere(
    first: &Place,
    here: &[(&Place, &Graph)],
    releases: &[ReleaseVersion],
) -> Result<Vec<(Option<Arch>, Selected)>, PlanError> {
    let mut all: BTreeMap<Option<Arch>, Vec<ReleaseVersion>> = BTreeMap::new();
    for version in releases {
        let one = Selection::Listed { releases: vec![version.clone()] };
        let mut refused = None;
        let mut is_found = false;
        for (place, graph) in here {
            match select(place, graph, &one, &BTreeSet::new()) {
                Ok(selected) => {
                    is_found = true;
                    all.entry(Some(place.arch.clone())).or_default().extend(selected.releases);
                }
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        if !is_found {
            let place = first.clone();
            let unknown = SelectError::NotInGraph { place, version: version.clone() };
            return Err(refused.unwrap_or(unknown).into());
        }
    }
    let selected = |(arch, releases)| (arch, Selected { releases, from: None });
    Ok(all.into_iter().map(selected).collect())
}

/// Reads the documents of the wanted releases, and the images they name.
async fn documents<S: Source>(
    client: &mut Client<S, MemStore>,
    wanted: Wanted,
    steps: &Steps,
    now: Timestamp,
) -> Result<(Vec<CarriedRelease>, BTreeSet<(Repository, Digest)>), PlanError> {
    let (mut releases, mut images) = (Vec::new(), BTreeSet::new());
    for ((product, version), arches) in wanted {
        let document = fetch_release(client, &product, &version, now).await?;
        for (_, from, to) in steps.iter().filter(|(of, _, to)| *of == product && *to == version) {
            if !document.allows_from(from) {
                let (from, to) = (from.clone(), to.clone());
                return Err(PlanError::NotAllowed { product, from, to });
            }
        }
        let all = || document.arches.keys().cloned().collect();
        let arches: Vec<Arch> =
            if arches.is_empty() { all() } else { arches.into_iter().collect() };
        for arch in &arches {
            images.extend(images_of(&document, arch)?);
        }
        releases.push(CarriedRelease { product, version, arches });
    }
    Ok((releases, images))
}

/// The images that a release names for an architecture. An image that is itself an index over
/// several architectures is carried whole: its digest is over all of them.
fn images_of(
    document: &ReleaseDocument,
    arch: &Arch,
) -> Result<Vec<(Repository, Digest)>, PlanError> {
    let path = ReleaseDocument::target_path(&document.product_ref(), &document.version);
    let Some(content) = document.arches.get(arch) else {
        let what =
            format!("architecture {arch} of {} {}", document.product_ref(), document.version);
        return Err(Error::NotListed { what }.into());
    };
    let components = content.components.iter().map(|component| &component.image);
    let image = |image: &channels::wire::Image| {
        let refuse =
            |e: crate::oci::NameError| Error::Document { path: path.clone(), why: e.to_string() };
        Ok((image.repository.parse().map_err(refuse)?, image.digest.into()))
    };
    std::iter::once(&content.payload).chain(components).map(image).collect()
}
