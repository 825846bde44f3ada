//! `offline-mirror plan`, and the options it shares with `create`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use channels::names::{Arch, ChannelName, ProductRef, SiteName};
use channels::version::{ReleaseVersion, Requirement};
use clap::Args;
use jiff::Timestamp;
use signing::PublicKey;

use super::view::read_public;
use super::{Output, say, tuf_source};
use crate::belief::read_root;
use crate::bundle::{BundleName, SegmentSize};
use crate::oci::Host;
use crate::plan::config::OtherRegistry;
use crate::plan::{
    CONCURRENCY, CONCURRENCY_MAX, Config, HubConfig, PlanError, Presumed, ProductRequest, Request,
    Routes, plan, read_inventory, read_missing,
};
use crate::registry::{
    AccessArgs, ImageName, Jitter, Registry, RegistryAccess, Traffic, parse_rate,
};

/// What a bundle is to hold: a file, options, or both; options go first.
#[derive(Debug, Args)]
pub(super) struct WhatArgs {
    /// File that says what is carried (mirror.toml).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Base URL of the hub.
    #[arg(long, env = "FAIRWAY_SERVER")]
    server: Option<String>,
    /// The hub's root, as its agents pin it.
    #[arg(long)]
    root: Option<PathBuf>,
    /// Directory of the view that the bundle is made under.
    #[arg(long, value_name = "VIEWDIR")]
    view: Option<PathBuf>,
    /// Product to carry, as vendor/product, instead of those of the file.
    #[arg(long)]
    product: Option<ProductRef>,
    /// Its channel.
    #[arg(long, requires = "product")]
    channel: Option<ChannelName>,
    /// What clusters run: the releases behind it on the recommended way are carried.
    #[arg(long, requires = "channel", conflicts_with_all = ["versions", "releases"])]
    from: Option<ReleaseVersion>,
    /// End of that way; the head of the channel when left out.
    #[arg(long, requires = "from")]
    to: Option<ReleaseVersion>,
    /// Release to carry (repeatable).
    #[arg(
        long = "version",
        value_name = "VERSION",
        requires = "product",
        conflicts_with = "versions"
    )]
    releases: Vec<ReleaseVersion>,
    /// Carry every release of the channel that this semver requirement matches.
    #[arg(long, value_name = "REQUIREMENT", requires = "channel")]
    versions: Option<Requirement>,
    /// Architecture to carry (repeatable); all of them when left out.
    #[arg(long = "arch", requires = "product")]
    arches: Vec<Arch>,
    /// Risk that does not keep a release off the way (repeatable).
    #[arg(long = "accept-risk", value_name = "NAME", requires = "product")]
    accept_risks: Vec<String>,
    /// Extra image to carry (repeatable), instead of those of the file.
    #[arg(long = "image", value_name = "HOST/REPOSITORY:TAG")]
    images: Vec<ImageName>,
    /// Registry that holds the images of releases, instead of the file's: host[:port].
    #[arg(long)]
    registry: Option<Host>,
    #[command(flatten)]
    access: AccessArgs,
    /// Name in front of the bundle's files.
    #[arg(long)]
    name: Option<BundleName>,
    /// Largest segment file: fat32, dvd, bd25, or a number with MB, MiB, GB or GiB.
    #[arg(long, value_name = "SIZE")]
    segment_size: Option<SegmentSize>,
    /// Site that the bundle is for (repeatable); any site of the view when left out.
    #[arg(long = "for", value_name = "SITE")]
    sites: Vec<SiteName>,
    /// A site's public key, instead of the file's (repeatable).
    #[arg(long = "site-key", value_name = "SITE=FILE", value_parser = site_key)]
    site_keys: Vec<(SiteName, PathBuf)>,
    /// Leave out what the site says it has (repeatable, one per site).
    #[arg(long = "since-inventory", value_name = "FILE", conflicts_with_all = ["assume", "repair"])]
    inventories: Vec<PathBuf>,
    /// Leave out what the bundles up to this sequence hold, though nobody confirmed that they
    /// arrived.
    #[arg(long, value_name = "SEQUENCE", conflicts_with = "repair")]
    assume: Option<u64>,
    /// Carry just what a refused import listed as missing.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["product", "images"])]
    repair: Option<PathBuf>,
    /// Most blobs and images fetched at once.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=i64::from(CONCURRENCY_MAX)))]
    concurrency: Option<u16>,
    /// Leave out images that cannot be read: the bundle lists them as missing and is not complete.
    #[arg(long)]
    keep_going: bool,
}

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    what: WhatArgs,
    /// How to say what would be carried.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// A request with the shells it is carried out by.
pub(super) struct Ready {
    pub(super) request: Request,
    pub(super) source: signing::HttpSource,
    pub(super) registries: Vec<Registry>,
}

fn site_key(text: &str) -> Result<(SiteName, PathBuf), String> {
    let (site, file) = text.split_once('=').ok_or("expected SITE=FILE")?;
    Ok((site.parse().map_err(|e: channels::names::NameError| e.to_string())?, file.into()))
}

impl WhatArgs {
    /// Puts file and options together.
    pub(super) fn ready(self) -> anyhow::Result<Ready> {
        let mut config = match &self.config {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        self.override_registries(&mut config)?;
        let hub = self.hub(config.hub.as_ref())?;
        let products = self.products(&config);
        let images = if self.images.is_empty() {
            config.images.iter().map(|image| image.image.clone()).collect()
        } else {
            self.images.clone()
        };
        let (products, images) =
            if self.repair.is_some() { (Vec::new(), Vec::new()) } else { (products, images) };
        if products.is_empty() && images.is_empty() && self.repair.is_none() {
            bail!(PlanError::Usage {
                why: "nothing is asked for: no product, no image".to_owned()
            });
        }
        let base = self.base(&config)?;
        let concurrency = self.concurrency.or(config.concurrency).unwrap_or(CONCURRENCY);
        let name = match &self.name {
            Some(name) => name.clone(),
            None => default_name(&self.sites, &products)?,
        };
        let request = Request {
            name,
            root: read_root(&hub.root)?,
            view: self.view.clone().or(config.view.clone()),
            routes: Routes::new(&config.registries),
            products,
            images,
            sites: self.sites.clone(),
            base,
            segment_size: self.segment_size(&config)?,
            concurrency: concurrency.clamp(1, CONCURRENCY_MAX),
            keep_going: self.keep_going,
        };
        let registries = self.registries(&config, &request.routes)?;
        Ok(Ready { request, source: tuf_source(&hub.server)?, registries })
    }

    /// `--registry` and its options stand for the file's default registry. An extra image at a host
    /// that is named nowhere is asked for on the command line: that is where hosts are chosen.
    fn override_registries(&self, config: &mut Config) -> Result<(), PlanError> {
        let default = &mut config.registries.default;
        match (&self.registry, default.as_mut()) {
            (Some(host), _) => *default = Some(self.access.access(host.clone())),
            (None, Some(access)) => self.access.apply(access),
            (None, None) => {}
        }
        let registries = &mut config.registries;
        let others = registries.others.iter().map(|other| &other.access);
        let named: BTreeSet<&Host> =
            registries.default.iter().chain(others).map(|access| &access.host).collect();
        let unnamed = self.images.iter().map(|image| &image.host);
        let unnamed: BTreeSet<Host> = unnamed.filter(|h| !named.contains(h)).cloned().collect();
        // With no registry named, the one host of the images is the registry that options mean.
        let is_meant = registries.default.is_none() && unnamed.len() == 1;
        if registries.default.is_none() && !is_meant {
            self.check_meant(unnamed.is_empty())?;
        }
        for host in unnamed {
            let access = if is_meant {
                RegistryAccess { prefix: None, ..self.access.access(host) }
            } else {
                self.access.elsewhere(host)
            };
            registries.others.push(OtherRegistry { repositories: Vec::new(), access });
        }
        Ok(())
    }

    /// Refuses options for a registry where there is none that they could mean.
    fn check_meant(&self, is_any_unused: bool) -> Result<(), PlanError> {
        let (for_one, for_any) = self.access.named();
        let unused: Vec<_> =
            for_one.into_iter().chain(for_any.into_iter().filter(|_| is_any_unused)).collect();
        if unused.is_empty() {
            return Ok(());
        }
        let why = format!(
            "{}: for the registry that --registry or [registries.default] names, and none is named",
            unused.join(", ")
        );
        Err(PlanError::Usage { why })
    }

    fn hub(&self, config: Option<&HubConfig>) -> anyhow::Result<HubConfig> {
        let server = self.server.clone().or(config.map(|hub| hub.server.clone()));
        let root = self.root.clone().or(config.map(|hub| hub.root.clone()));
        match (server, root) {
            (Some(server), Some(root)) => Ok(HubConfig { server, root }),
            (None, _) => bail!("no hub is named: --server, or [hub] in --config"),
            (_, None) => bail!("the hub's root is not named: --root, or [hub] in --config"),
        }
    }

    fn products(&self, config: &Config) -> Vec<ProductRequest> {
        let Some(product) = &self.product else { return config.products.clone() };
        vec![ProductRequest {
            product: product.clone(),
            channel: self.channel.clone(),
            versions: self.versions.clone(),
            releases: self.releases.clone(),
            from: self.from.clone(),
            to: self.to.clone(),
            arches: self.arches.clone(),
            accept_risks: self.accept_risks.clone(),
        }]
    }

    fn base(&self, config: &Config) -> anyhow::Result<Presumed> {
        if let Some(sequence) = self.assume {
            return Ok(Presumed::Assumed { sequence });
        }
        if let Some(file) = &self.repair {
            return Ok(Presumed::Repair(read_missing(file)?));
        }
        if self.inventories.is_empty() {
            return Ok(Presumed::Nothing);
        }
        let mut keys: BTreeMap<SiteName, PublicKey> = BTreeMap::new();
        let of_file = config.sites.iter().map(|site| (&site.name, &site.key));
        let of_line = self.site_keys.iter().map(|(site, file)| (site, file));
        for (site, file) in of_file.chain(of_line) {
            keys.insert(site.clone(), read_public(file)?);
        }
        let read = |file: &PathBuf| read_inventory(file, &keys);
        Ok(Presumed::Inventories(self.inventories.iter().map(read).collect::<Result<_, _>>()?))
    }

    fn segment_size(&self, config: &Config) -> anyhow::Result<SegmentSize> {
        match (self.segment_size, &config.segment_size) {
            (Some(size), _) => Ok(size),
            (None, Some(text)) => text.parse().context("segment_size in --config"),
            (None, None) => Ok(SegmentSize::default()),
        }
    }

    fn registries(&self, config: &Config, routes: &Routes) -> anyhow::Result<Vec<Registry>> {
        let of_file = config.byte_rate.as_deref().map(parse_rate).transpose();
        let of_file = of_file.map_err(|why| anyhow::anyhow!("byte_rate in --config: {why}"))?;
        let rate = self.access.limit_rate.or(of_file);
        let traffic = Arc::new(rate.map_or_else(Traffic::unlimited, Traffic::limited));
        let registry = |access: &RegistryAccess| {
            Registry::with(access.clone(), Arc::clone(&traffic), Jitter::default())
        };
        Ok(routes.accesses().iter().map(registry).collect::<Result<_, _>>()?)
    }
}

/// The one site or the one product, so that files are told apart on a stick.
fn default_name(sites: &[SiteName], products: &[ProductRequest]) -> anyhow::Result<BundleName> {
    let text = match (sites, products) {
        ([site], _) => site.to_string(),
        (_, [one]) => format!("{}-{}", one.product.vendor, one.product.product),
        _ => "bundle".to_owned(),
    };
    // Vendor and product together may be longer than a bundle's name.
    text.parse().context("the bundle needs a --name")
}

/// Runs `plan`.
pub(super) async fn run(args: PlanArgs, now: Timestamp) -> anyhow::Result<()> {
    let output = args.output;
    let Ready { request, source, registries } = args.what.ready()?;
    let report = plan(&request, source, &registries, now).await?;
    match output {
        Output::Json => say(&serde_json::to_string_pretty(&report)?),
        Output::Text => say(&report.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        what: WhatArgs,
    }

    const USER: [&str; 10] = [
        "--registry-user",
        "robot",
        "--registry-password-file",
        "password",
        "--registry-client-certificate",
        "c.pem",
        "--registry-client-key",
        "k.pem",
        "--registry-realm-host",
        "auth.example",
    ];

    fn accesses(file: &str, words: &[&str]) -> Result<Vec<RegistryAccess>, PlanError> {
        let line = Line::try_parse_from(["x"].iter().chain(words)).unwrap();
        let mut config: Config = toml::from_str(file).unwrap();
        line.what.override_registries(&mut config)?;
        Ok(Routes::new(&config.registries).accesses().to_vec())
    }

    #[test]
    fn a_registrys_password_is_not_for_the_host_of_an_extra_image() {
        let words = ["--registry", "main.example", "--image", "other.example/x:1", "--plain-http"];
        let found = accesses("", &[words.as_slice(), &USER].concat()).unwrap();
        let [main, other] = &found[..] else { panic!("{found:?}") };
        assert!(main.user.is_some() && main.client_key.is_some() && main.realm_hosts.len() == 1);
        let mut bare = RegistryAccess::new("other.example".parse().unwrap());
        bare.plain_http = true;
        assert_eq!(*other, bare, "without TLS, as asked, and without anything secret");
    }

    #[test]
    fn with_no_registry_named_options_mean_the_one_host_of_the_images() {
        let images = ["--image", "one.example/x:1", "--image", "one.example/y:1"];
        let found = accesses("", &[images.as_slice(), &USER].concat()).unwrap();
        assert_eq!(found.len(), 1);
        assert!(found[0].user.is_some() && found[0].client_key.is_some());
        let two = [images.as_slice(), &["--image", "two.example/x:1"], &USER].concat();
        let refused = accesses("", &two).unwrap_err().to_string();
        assert!(refused.starts_with("--registry-user, "), "{refused}");
    }

    #[test]
    fn options_that_nothing_would_use_are_refused() {
        let others = "[[registries.others]]\naccess.host = \"other.example\"";
        for words in [&["--plain-http"], &["--registry-anonymous"]] {
            let refused = accesses(others, words).unwrap_err().to_string();
            assert!(refused.starts_with(words[0]), "{refused}");
        }
        assert_eq!(accesses(others, &[]).unwrap().len(), 1);
    }
}
