//! The view's roots: a draft goes out to the holders as a signing request, and comes back signed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use signing::metadata::{Document, Root};
use signing::repository::check_root_chain;
use signing::repository::request::SigningRequest;
use signing::{KeyId, PublicKey, Source, TopRole};

use super::dir::{Next, Signed, State, View};
use super::error::ViewError;
use super::hub::{Hub, Origin};
use super::plan::{self, HolderKind, Holders, MAX_LIFE_DAYS, MAX_ROOT_DAYS};
use super::{keys, request};
use crate::disk::write_file;
use crate::error::Error;

/// What to make a view of.
#[derive(Debug)]
pub struct ViewInit {
    /// Where it is kept; not there yet, or empty.
    pub dir: PathBuf,
    /// The hub's root, as its agents pin it.
    pub root: Vec<u8>,
    /// Who signs the view's roots.
    pub holders: Holders,
    /// Life of its snapshot and timestamp, in days, 1 to [`MAX_LIFE_DAYS`].
    pub days: u16,
    /// Life of its root, in days, 1 to [`MAX_ROOT_DAYS`].
    pub root_days: u16,
}

/// What to change with the next root of a view.
#[derive(Debug)]
pub struct ViewRenewal {
    /// The view.
    pub dir: PathBuf,
    /// The hub's root, as its agents pin it.
    pub root: Vec<u8>,
    /// Who signs from the next root on; none keeps the view's own holders, or follows the hub's.
    pub holders: Option<Holders>,
    /// Life of snapshot and timestamp once the root is accepted; none keeps it.
    pub days: Option<u16>,
    /// Life of the next root, in days.
    pub root_days: u16,
    /// Whether snapshot and timestamp get new keys.
    pub new_keys: bool,
}

/// A root that waits for its holders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drafted {
    /// The request to sign.
    pub request: PathBuf,
    /// Version of the root.
    pub version: u64,
    /// When the root will expire.
    pub expires: Timestamp,
    /// Keys of the holders.
    pub holders: BTreeSet<KeyId>,
    /// How many of them must sign, and those of the root before where there is one.
    pub threshold: u32,
    /// The view's keys for snapshot and timestamp.
    pub online: [KeyId; 2],
}

/// A root that the holders signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Accepted {
    /// What new sites pin.
    pub root: PathBuf,
    /// Version of the root.
    pub version: u64,
    /// When it expires.
    pub expires: Timestamp,
}

/// Makes the keys of a new view, and a request for its first root.
///
/// # Errors
/// When the hub does not verify, or the directory holds something.
pub async fn view_init<S: Source>(
    request: &ViewInit,
    source: S,
    now: Timestamp,
) -> Result<Drafted, Error> {
    let days = plan::check_days("a view's snapshot and timestamp", request.days, MAX_LIFE_DAYS)?;
    let hub = Hub::refreshed(&request.root, source, now).await?;
    let origin = hub.origin()?;
    let holders = signers(&request.holders, &origin)?;
    let new_keys = keys::generate()?;
    let terms = Terms { holders, online: keys::public(&new_keys), days: request.root_days };
    let draft = draft(&origin, None, plan::first_root_version(now), &terms, now)?;
    let state = State {
        format: State::FORMAT,
        days,
        holders: request.holders.kind(),
        next: None,
        roots: None,
        versions: Signed::default(),
        bundles: 0,
    };
    let view = View::create(&request.dir, state)?;
    hub.no_older_than(&view.seen(), now).await?;
    keys::write(&view.keys(), &new_keys)?;
    let drafted = hand_out(&view, &draft, &terms)?;
    view.save()?;
    Ok(drafted)
}

/// Makes a request for the view's next root: over the hub's targets keys of today, and over new keys
/// of its own where asked. The view goes on with what it has until the root is accepted.
///
/// # Errors
/// When the hub does not verify or went back, the view has no root, or a request is out already.
pub async fn view_renew<S: Source>(
    renewal: &ViewRenewal,
    source: S,
    now: Timestamp,
) -> Result<Drafted, Error> {
    let mut view = View::open(&renewal.dir)?;
    let newest =
        view.newest_root()?.ok_or_else(|| ViewError::NoRoot { dir: renewal.dir.clone() })?;
    let version = newest.body.version.saturating_add(1);
    if view.request().exists() {
        return Err(ViewError::Pending { version }.into());
    }
    let days = renewal.days.unwrap_or(view.state.days);
    let days = plan::check_days("a view's snapshot and timestamp", days, MAX_LIFE_DAYS)?;
    let hub = Hub::refreshed(&renewal.root, source, now).await?;
    hub.no_older_than(&view.seen(), now).await?;
    let origin = hub.origin()?;
    let kind = renewal.holders.as_ref().map_or(view.state.holders, Holders::kind);
    view.state.next = Some(Next { days, holders: kind });
    let holders = match (&renewal.holders, view.state.holders) {
        (Some(holders), _) => signers(holders, &origin)?,
        (None, HolderKind::Hub) => signers(&Holders::Hub, &origin)?,
        (None, HolderKind::Own) => plan::repeated(TopRole::Root, newest.body.keys(TopRole::Root))?,
    };
    let new_keys = if renewal.new_keys { Some(keys::generate()?) } else { None };
    let online = match &new_keys {
        Some(new_keys) => keys::public(new_keys),
        None => keys::named(&newest.body)?,
    };
    let terms = Terms { holders, online, days: renewal.root_days };
    let draft = draft(&origin, Some(&newest), version, &terms, now)?;
    if let Some(new_keys) = &new_keys {
        keys::write(&view.keys(), new_keys)?;
    }
    view.save()?;
    hand_out(&view, &draft, &terms)
}

/// What a root is drafted from, beside the hub's.
struct Terms {
    holders: (Vec<PublicKey>, u32),
    online: [PublicKey; 2],
    days: u16,
}

/// Who signs a root, as that root names them.
fn signers(holders: &Holders, origin: &Origin) -> Result<(Vec<PublicKey>, u32), ViewError> {
    match holders {
        Holders::Hub => plan::repeated(TopRole::Root, origin.root.body.keys(TopRole::Root)),
        Holders::Own { keys, threshold } => Ok((keys.clone(), *threshold)),
    }
}

fn draft(
    origin: &Origin,
    previous: Option<&Document<Root>>,
    version: u64,
    terms: &Terms,
    now: Timestamp,
) -> Result<SigningRequest, ViewError> {
    let days = plan::check_days("a view's root", terms.days, MAX_ROOT_DAYS)?;
    let expires = plan::expiry(TopRole::Root, now, days)?;
    let (holders, online) = (terms.holders.clone(), terms.online.clone());
    let spec = plan::root_spec(version, expires, &origin.root.body, holders, online)?;
    request::draft(&spec, previous.map(Document::raw), now)
}

/// Writes the request for a root.
fn hand_out(view: &View, draft: &SigningRequest, terms: &Terms) -> Result<Drafted, Error> {
    let path = view.request();
    let json = draft.to_json();
    let json = json.map_err(|source| ViewError::Draft { source: Box::new(source) })?;
    write_file(&path, &json)?;
    let (holders, threshold) = &terms.holders;
    let holders: BTreeSet<_> = holders.iter().map(PublicKey::key_id).collect();
    Ok(Drafted {
        request: path,
        version: draft.version(),
        expires: draft.expires(),
        holders,
        threshold: *threshold,
        online: terms.online.each_ref().map(PublicKey::key_id),
    })
}

/// Takes a root that its holders signed; several copies of the request are put together.
///
/// # Errors
/// When a copy is not of the request that waits here, or too few holders have signed.
pub fn view_accept(dir: &Path, signed: &[PathBuf]) -> Result<Accepted, Error> {
    let mut view = View::open(dir)?;
    let path = view.request();
    if !path.is_file() {
        return Err(ViewError::NothingPending.into());
    }
    let bytes = request::completed(&path, signed)?;
    let root = Document::<Root>::parse(&TopRole::Root.into(), &bytes)
        .map_err(crate::metadata::trust("the signed root"))?;
    let (version, expires) = (root.body.version, root.body.expires);
    let previous = view.newest_root()?;
    // Killed after the root was kept and before its request was removed: only the rest is left.
    if previous.as_ref().is_some_and(|taken| taken.canonical() == root.canonical()) {
        std::fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        return Ok(Accepted { root: view.pinned(), version, expires });
    }
    let chain = match &previous {
        Some(previous) => check_root_chain(previous.raw(), [bytes.as_slice()]),
        None => check_root_chain(&bytes, []),
    };
    chain.map_err(|source| ViewError::Chain { version, source: Box::new(source) })?;
    view.add_root(version, &bytes)?;
    std::fs::remove_file(&path).map_err(Error::io("remove", &path))?;
    Ok(Accepted { root: view.pinned(), version, expires })
}
