//! Options that say where images go, for every command of a site.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use crate::feed::read_token;
use crate::import::{ImportError, Target};
use crate::oci::Host;
use crate::registry::{AccessArgs, Jitter, Registry, RegistryAccess, Traffic};
use crate::server::ServerAccess;
use crate::site::SiteDir;
use crate::store::Store;

/// A registry or a store; what `site.toml` names when neither is given.
#[derive(Debug, Args)]
pub(super) struct TargetArgs {
    /// The site's own store: a directory, made where there is none.
    #[arg(long, value_name = "DIR", conflicts_with = "registry")]
    store: Option<PathBuf>,
    /// The site's registry: host[:port].
    #[arg(long, value_name = "HOST")]
    registry: Option<Host>,
    #[command(flatten)]
    access: AccessArgs,
}

/// The site's update server; what `site.toml` names when it is not given.
#[derive(Debug, Args)]
pub(super) struct ServerArgs {
    /// Base URL of the site's update server.
    #[arg(long, env = "FAIRWAY_SERVER", requires = "token_file")]
    server: Option<String>,
    /// File with an API token for it.
    #[arg(long, env = "FAIRWAY_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Show the token over plain HTTP to another machine, on a network that nobody listens to.
    #[arg(long, env = "FAIRWAY_TOKEN_OVER_HTTP")]
    token_over_http: bool,
}

impl TargetArgs {
    /// Opens the store or prepares the registry.
    pub(super) fn open(&self, site: &SiteDir) -> anyhow::Result<Target> {
        if let Some(dir) = &self.store {
            return Ok(Target::Store(Store::create(dir)?));
        }
        if let Some(access) = self.registry_access(site) {
            let traffic = self.access.limit_rate.map_or_else(Traffic::unlimited, Traffic::limited);
            let registry = Registry::with(access, traffic.into(), Jitter::default())?;
            return Ok(Target::Registry(registry));
        }
        match &site.config().store {
            Some(dir) => Ok(Target::Store(Store::create(&site.resolve(dir))?)),
            None => Err(ImportError::NoTarget.into()),
        }
    }

    /// Whether HTTP without TLS was asked for.
    pub(super) fn is_plain(&self) -> bool {
        self.access.plain_http
    }

    /// The registry that is meant, if one is.
    pub(super) fn registry_access(&self, site: &SiteDir) -> Option<RegistryAccess> {
        if self.store.is_some() {
            return None;
        }
        if let Some(host) = &self.registry {
            return Some(self.access.access(host.clone()));
        }
        let mut access = site.config().registry.clone()?;
        self.access.apply(&mut access);
        Some(access)
    }
}

impl ServerArgs {
    /// The server with the token for it, if one is meant.
    pub(super) fn server(&self, site: &SiteDir) -> anyhow::Result<Option<ServerAccess>> {
        if let Some(server) = &self.server {
            let file = self.token_file.as_ref().context("--token-file is missing")?;
            return Ok(Some(self.access(server, file)?));
        }
        let Some(server) = &site.config().server else { return Ok(None) };
        Ok(Some(self.access(&server.url, &site.resolve(&server.token_file))?))
    }

    fn access(&self, url: &str, token_file: &Path) -> anyhow::Result<ServerAccess> {
        Ok(ServerAccess::new(url, read_token(token_file)?, self.token_over_http)?)
    }
}
