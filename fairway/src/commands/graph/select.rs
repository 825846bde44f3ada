//! Which product, channel and architecture is meant.

use channels::compile::{Compiled, compile};
use channels::graph::Graph;
use channels::names::{Arch, ChannelName, ProductName, ProductRef};
use channels::repository::{ProductSource, Workspace};

use crate::error::{CliError, Result, chain};

/// Flags that narrow down a question; what is left out means any.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Selection {
    /// The product, as `product` or `vendor/product`; may be left out when there is one
    #[arg(long)]
    pub(super) product: Option<String>,
    /// Only this channel
    #[arg(long)]
    pub(super) channel: Option<ChannelName>,
    /// Only this architecture
    #[arg(long)]
    pub(super) arch: Option<Arch>,
}

impl Selection {
    /// The graphs meant, at least one.
    pub(super) fn graphs<'c>(
        &self,
        compiled: &'c Compiled,
    ) -> Result<Vec<&'c (ChannelName, Arch, Graph)>> {
        let wanted = |(channel, arch, _): &&(ChannelName, Arch, Graph)| {
            self.channel.as_ref().is_none_or(|wanted| wanted == channel)
                && self.arch.as_ref().is_none_or(|wanted| wanted == arch)
        };
        let graphs: Vec<_> = compiled.graphs.iter().filter(wanted).collect();
        if graphs.is_empty() {
            return Err(CliError::no("there is no such channel and architecture").hint(format!(
                "{} has: {}",
                compiled.product,
                known(compiled)
            )));
        }
        Ok(graphs)
    }
}

/// The channels and architectures of a product, for hints.
pub(super) fn known(compiled: &Compiled) -> String {
    list(compiled.graphs.iter().map(|(channel, arch, _)| format!("{channel} {arch}")))
}

/// The product of that name, or the only one.
pub(crate) fn product<'w>(
    workspace: &'w Workspace,
    name: Option<&str>,
) -> Result<&'w ProductSource> {
    let wanted = |product: &ProductRef| name.is_none_or(|text| is_called(product, text));
    let products = workspace.products.iter().filter(|source| wanted(&source.product));
    only(products, "product").map_err(|error| {
        let known = workspace.products.iter().map(|product| product.product.to_string());
        error.hint(format!("name the product; there are: {}", list(known)))
    })
}

/// Compiles a product; what is wrong with it is the error.
pub(super) fn compiled(source: &ProductSource) -> Result<Compiled> {
    compile(source).map_err(|errors| CliError::no(list(errors.iter().map(|error| chain(error)))))
}

/// The one item, or an error that says whether there are none or several.
pub(super) fn only<T>(mut items: impl Iterator<Item = T>, what: &str) -> Result<T> {
    match (items.next(), items.next()) {
        (Some(item), None) => Ok(item),
        (None, _) => Err(CliError::no(format!("there is no such {what}"))),
        (Some(_), Some(_)) => Err(CliError::no(format!("there is more than one such {what}"))),
    }
}

pub(super) fn is_called(product: &ProductRef, text: &str) -> bool {
    let short: Option<ProductName> = text.parse().ok();
    short.is_some_and(|name| name == product.product) || product.to_string() == text
}

pub(super) fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}
