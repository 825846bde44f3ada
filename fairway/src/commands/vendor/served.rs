//! What a hub serves now, verified from the pinned root as an agent would.

use jiff::Timestamp;
use reqwest::Url;
use signing::client::limits::MAX_TARGETS_BYTES;
use signing::metadata::{DelegatedRole, Document, Snapshot, Targets};
use signing::source::HttpLimits;
use signing::{
    Client, Fetched, FileName, HttpSource, MemStore, Recording, RoleName, Source as _,
    StagedRepository, TopRole,
};

use crate::commands::verify::refuse;
use crate::error::{CliError, Result, chain};
use crate::publisher::Floors;

/// The verified top of a hub's repository.
pub(crate) struct Served {
    server: Url,
    source: Recording<HttpSource>,
    delegations: Vec<DelegatedRole>,
    snapshot: Document<Snapshot>,
}

impl Served {
    /// Fetches and verifies root, timestamp, snapshot and targets.
    pub(crate) async fn refresh(server: &Url, pinned: &[u8], now: Timestamp) -> Result<Self> {
        let base = server.join("tuf/").map_err(|error| {
            CliError::because(format!("failed to join tuf/ to {server}"), &error)
        })?;
        let http = HttpSource::new(base.as_str(), HttpLimits::default())
            .map_err(|error| CliError::because("failed to prepare the HTTP client", &error))?;
        let source = Recording::of_metadata(http);
        let mut client = Client::open(pinned, &source, MemStore::new())
            .map_err(|error| CliError::because("the pinned root is not usable", &error))?;
        client.refresh(now).await.map_err(|error| refuse(&error))?;
        let delegations = client.delegations(now).map_err(|error| refuse(&error))?;
        let role = RoleName::from(TopRole::Snapshot);
        let version = Some(client.trusted_versions().snapshot);
        let bytes = source.get(&FileName::Metadata { role: role.clone(), version });
        let snapshot = Document::parse(&role, &bytes.unwrap_or_default());
        let snapshot = snapshot.map_err(|error| refuse(&error))?;
        Ok(Self { server: server.clone(), source, delegations, snapshot })
    }

    /// Address of the hub.
    pub(super) fn server(&self) -> &Url {
        &self.server
    }

    /// What targets says about a vendor's role.
    pub(super) fn delegation(&self, role: &RoleName) -> Option<&DelegatedRole> {
        self.delegations.iter().find(|delegation| delegation.name == *role)
    }

    /// Versions of every role that the hub has, whoever signed them.
    pub(crate) fn floors(&self) -> Floors {
        let role = |(file, version): (&String, u64)| {
            Some((RoleName::new(file.strip_suffix(".json")?).ok()?, version))
        };
        let meta = self.snapshot.body.meta.iter();
        meta.filter_map(|(file, pin)| role((file, pin.version))).collect()
    }

    /// The metadata of a role as the snapshot pins it. Nobody's signature is checked here.
    pub(super) async fn role(&self, role: &RoleName) -> Result<Option<Document<Targets>>> {
        let Some(pin) = self.snapshot.body.pin(role) else { return Ok(None) };
        let name = FileName::Metadata { role: role.clone(), version: Some(pin.version) };
        let failed = |why: String| {
            CliError::failed(format!("failed to fetch {name} from {}: {why}", self.server))
        };
        let limit = pin.length.unwrap_or(MAX_TARGETS_BYTES).min(MAX_TARGETS_BYTES);
        let fetched = self.source.fetch(&name, limit, None).await;
        let bytes = match fetched.map_err(|error| failed(chain(&error)))? {
            Fetched::Body { bytes, .. } => bytes,
            Fetched::NotFound | Fetched::NotModified => {
                return Err(failed("it is pinned and missing".to_owned()));
            }
        };
        pin.check(&name, &bytes).map_err(|error| refuse(&error))?;
        Document::parse(role, &bytes).map(Some).map_err(|error| failed(chain(&error)))
    }

    /// The metadata of these roles, as far as there is any.
    pub(super) async fn staged(&self, roles: &[RoleName]) -> Result<StagedRepository> {
        let mut staged = StagedRepository::new();
        for role in roles {
            if let Some(document) = self.role(role).await? {
                staged.put_metadata(role, document.raw().to_vec()).map_err(|error| {
                    CliError::because(format!("the hub's metadata of {role} is unusable"), &error)
                })?;
            }
        }
        Ok(staged)
    }
}
