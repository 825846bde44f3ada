//! The example vendor: keys in memory, publishing over the hub's public API.

use std::path::Path;

use channels::compile::compile;
use channels::repository::Workspace;
use channels::wire::{HubKeys, PublicationReply, media_type};
use jiff::Timestamp;
use signing::StagedRepository;

use crate::error::{CliError, Result};
use crate::hub::Hub;
use crate::publisher::{
    Ceremony, CeremonySpec, Content, Layout, MemoryKeyring, Terms, assemble, hold_ceremony,
};

/// The vendor of the example repository.
const VENDOR: &str = "acme";

/// A publisher whose keys live as long as the demo.
#[derive(Debug)]
pub(super) struct Vendor {
    keyring: MemoryKeyring,
    layout: Layout,
    published: StagedRepository,
    root: Vec<u8>,
}

impl Vendor {
    /// Makes all keys and signs root 1 over the hub's public halves.
    pub(super) async fn establish(hub: &Hub, now: Timestamp) -> Result<Self> {
        let name =
            VENDOR.parse().map_err(|e| CliError::because("failed to name the vendor", &e))?;
        let keys: HubKeys = hub.get("api/v1/hub/keys", &[]).await?;
        let spec = CeremonySpec { vendors: vec![name], root_keys: 1, root_threshold: 1 };
        let ceremony = hold_ceremony(&spec, &keys, &Terms::default(), now)
            .map_err(|e| CliError::because("failed to make keys and root", &e))?;
        let Ceremony { keyring, layout, root, repository, .. } = ceremony;
        Ok(Self { keyring, layout, published: repository, root })
    }

    /// Root 1, which every agent of the demo pins.
    pub(super) fn root(&self) -> &[u8] {
        &self.root
    }

    /// Compiles the channel repository in `dir`, signs what changed, publishes it.
    pub(super) async fn publish(
        &mut self,
        dir: &Path,
        hub: &Hub,
        message: &str,
        now: Timestamp,
    ) -> Result<PublicationReply> {
        let workspace = Workspace::load(dir).map_err(|errors| first("load", &errors))?;
        let mut content = Content::default();
        for product in &workspace.products {
            let compiled = compile(product).map_err(|errors| first("compile", &errors))?;
            content
                .add_product(&compiled)
                .map_err(|e| CliError::because("failed to add a product", &e))?;
        }
        let assembly = assemble(
            &content,
            &self.layout,
            &mut self.keyring,
            &self.published,
            &Terms::default(),
            now,
        )
        .map_err(|e| CliError::because("failed to sign", &e))?;
        let publication = assembly
            .publication(message)
            .map_err(|e| CliError::because("failed to pack the publication", &e))?;
        let reply = hub.post("api/v1/publications", media_type::PUBLICATION, &publication).await?;
        self.published = assembly.repository;
        Ok(reply)
    }
}

/// The first of several errors, in the command line's form.
fn first<E: std::error::Error + 'static>(what: &str, errors: &[E]) -> CliError {
    match errors.first() {
        Some(error) => CliError::because(format!("failed to {what} the example repository"), error),
        None => CliError::failed(format!("failed to {what} the example repository")),
    }
}
