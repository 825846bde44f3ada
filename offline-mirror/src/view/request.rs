//! The signing request of a view's root, on its way to the holders and back.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use signing::repository::request::{MAX_REQUEST_BYTES, Signing, SigningRequest};
use signing::{KeyError, RootSpec, SecretKey, TopRole, build_root};

use super::error::ViewError;
use crate::belief::read_bounded;
use crate::error::Error;

/// The request for a root that follows `previous`; for the first root of a view, the seed of its
/// chain is made here.
pub(super) fn draft(
    spec: &RootSpec,
    previous: Option<&[u8]>,
    now: Timestamp,
) -> Result<SigningRequest, ViewError> {
    let refused = |source| ViewError::Draft { source: Box::new(source) };
    let Some(previous) = previous else {
        let (seed, key) = seed(spec).map_err(|source| ViewError::NewKey { source })?;
        let seed = build_root(&seed, &[&key], None).map_err(ViewError::build(TopRole::Root))?;
        let request = SigningRequest::for_root(Some(&seed), spec).map_err(refused)?;
        return match request.add_signature(&key, now).map_err(refused)? {
            Signing::Added(request) => Ok(*request),
            Signing::Already => Ok(request),
        };
    };
    SigningRequest::for_root(Some(previous), spec).map_err(refused)
}

/// What the first root of a view follows, so that its version can be far from any hub's: a root of
/// one key for everything, which signs this one step and is forgotten. Nobody pins it and it is
/// carried nowhere; and as it shares no key with the root that follows, holders are shown that
/// root's every key as new.
fn seed(first: &RootSpec) -> Result<(RootSpec, SecretKey), KeyError> {
    let key = SecretKey::generate()?;
    let roles = TopRole::ALL.map(|role| (role, (vec![key.public().clone()], 1)));
    let version = first.version.saturating_sub(1);
    Ok((RootSpec { version, expires: first.expires, roles: roles.into() }, key))
}

/// The root that is wanted at `own`, once the `signed` copies together are enough.
pub(super) fn completed(own: &Path, signed: &[PathBuf]) -> Result<Vec<u8>, Error> {
    let mut request = read(own)?;
    for path in signed {
        let copy = read(path)?;
        request = request.merge(&copy).map_err(|source| ViewError::OtherRequest {
            path: path.clone(),
            source: Box::new(source),
        })?;
    }
    let version = request.version();
    let completed = request.completed();
    Ok(completed.map_err(|source| ViewError::Unsigned { version, source: Box::new(source) })?)
}

fn read(path: &Path) -> Result<SigningRequest, Error> {
    let bytes = read_bounded(path, MAX_REQUEST_BYTES)?;
    let request = SigningRequest::from_json(&bytes);
    Ok(request
        .map_err(|source| ViewError::Request { path: path.to_owned(), source: Box::new(source) })?)
}
