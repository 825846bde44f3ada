//! A publication, taken apart: decoded, its paths read, its metadata parsed. Nothing is trusted yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use channels::wire::{MAX_PUBLICATION_FILES, Publication, PublicationFile};
use signing::{FileName, RoleName, StagedRepository, TargetPath, TopRole};

use super::error::PublishError;

/// The decoded files.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    /// Roots by version.
    pub(super) roots: BTreeMap<u64, Arc<[u8]>>,
    /// Targets roles, top-level and delegated, with their versions.
    pub(super) roles: BTreeMap<RoleName, (u64, Arc<[u8]>)>,
    /// Targets by path.
    pub(super) targets: BTreeMap<TargetPath, Arc<[u8]>>,
}

impl Incoming {
    /// Reads every file; the first one that cannot be read refuses the whole.
    pub(super) fn read(publication: Publication) -> Result<Self, PublishError> {
        let (found, limit) = (publication.files.len(), MAX_PUBLICATION_FILES);
        if found > limit {
            return Err(PublishError::TooManyFiles { found, limit });
        }
        let mut incoming = Self::default();
        for file in publication.files {
            incoming.add(file)?;
        }
        Ok(incoming)
    }

    fn add(&mut self, file: PublicationFile) -> Result<(), PublishError> {
        let PublicationFile { path, base64 } = file;
        let bytes = STANDARD
            .decode(base64)
            .map_err(|source| PublishError::Base64 { path: path.clone(), source })?;
        let refuse = |why| PublishError::Path { path: path.clone(), why };
        if let Some(target) = path.strip_prefix("targets/") {
            let target = TargetPath::new(target).map_err(|_| refuse("it is not a target path"))?;
            let twice = self.targets.insert(target, bytes.into()).is_some();
            return if twice { Err(refuse("it is there twice")) } else { Ok(()) };
        }
        let name = FileName::from_relative_path(&path)
            .map_err(|_| refuse("it must read metadata/<N>.<role>.json or targets/…"))?;
        let FileName::Metadata { role, version: Some(version) } = name else {
            return Err(refuse("metadata must have its version in its name"));
        };
        // Parses, and checks that name and content agree.
        StagedRepository::new().put_file(&path, bytes.clone()).map_err(|source| {
            PublishError::Metadata { path: path.clone(), source: Box::new(source) }
        })?;
        let twice = match role.as_top() {
            Some(TopRole::Snapshot | TopRole::Timestamp) => {
                return Err(refuse("the hub signs snapshot and timestamp itself"));
            }
            Some(TopRole::Root) => self.roots.insert(version, bytes.into()).is_some(),
            Some(TopRole::Targets) | None => {
                self.roles.insert(role, (version, bytes.into())).is_some()
            }
        };
        if twice { Err(refuse("the role is there twice")) } else { Ok(()) }
    }
}
