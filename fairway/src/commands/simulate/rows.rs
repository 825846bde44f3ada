//! The hub's clusters as a fleet to simulate: who they are, what they run, who answers.
//!
//! How long their upgrades take the hub does not say; every cluster has the model's usual habits.

use std::collections::BTreeSet;
use std::sync::Arc;

use channels::names::{ChannelName, ClusterId, ProductRef, SiteName};
use channels::rollout::{Labels, Policy};
use channels::simulate::fleet::CLUSTERS_MAX;
use channels::simulate::{Fleet, Habits, Member};
use channels::version::ReleaseVersion;
use channels::wire::{Freshness, Page};
use serde::Deserialize;

use crate::error::{CliError, Result};
use crate::hub::Hub;
use crate::out::Out;

/// What is needed of a row of `GET /api/v1/clusters`. A hub that keeps no labels sends none.
#[derive(Debug, Deserialize)]
struct Row {
    id: ClusterId,
    name: String,
    /// Of a cluster of a dark site: it hears nothing from this hub.
    site: Option<SiteName>,
    freshness: Freshness,
    #[serde(default)]
    labels: Labels,
    products: Vec<State>,
}

/// One product of a cluster.
#[derive(Debug, Deserialize)]
struct State {
    product: ProductRef,
    channel: ChannelName,
    version: ReleaseVersion,
}

pub(super) async fn fleet(
    hub: &Hub,
    product: Option<&ProductRef>,
    channel: Option<&ChannelName>,
    policy: &Policy,
    out: &mut Out,
) -> Result<Fleet> {
    let mut rows = fetch(hub, product, channel).await?;
    let all = rows.len();
    rows.retain(|row| row.site.is_none());
    if rows.len() < all {
        out.note(&format!(
            "{} clusters of dark sites are left out: nothing is rolled out to them from here",
            all - rows.len()
        ))?;
    }
    let product = one_product(&rows, product, channel)?;
    let is_wanted = |one: &State| {
        one.product == product && channel.is_none_or(|channel| one.channel == *channel)
    };
    if rows.iter().all(|row| row.labels.is_empty()) {
        out.warn("the hub tells no labels of its clusters; rings that select by label stay empty")?;
    }
    let mut members = Vec::new();
    let (mut elsewhere, mut unheard) = (0_usize, 0_usize);
    for row in rows {
        let Some(state) = row.products.into_iter().find(|one| is_wanted(one)) else { continue };
        if !policy.applies_to(&state.product, &state.channel) {
            elsewhere += 1;
            continue;
        }
        let answers = matches!(row.freshness, Freshness::Fresh | Freshness::Late);
        unheard += usize::from(!answers);
        members.push(Member {
            id: row.id,
            name: row.name,
            labels: Arc::new(row.labels),
            version: Some(state.version),
            habits: if answers { Habits::DEFAULT } else { Habits::DEFAULT.unreachable() },
        });
    }
    if elsewhere > 0 {
        out.note(&format!("{elsewhere} clusters follow channels the policy is not for"))?;
    }
    if unheard > 0 {
        out.note(&format!("{unheard} clusters do not report; they are simulated as never asking"))?;
    }
    Fleet::new(format!("{} at {}", product, hub.base()), members).map_err(|fault| {
        CliError::no(fault.to_string()).hint("fairway clusters lists what the hub knows")
    })
}

/// The product asked for, or the only one there is.
fn one_product(
    rows: &[Row],
    asked: Option<&ProductRef>,
    channel: Option<&ChannelName>,
) -> Result<ProductRef> {
    if let Some(product) = asked {
        return Ok(product.clone());
    }
    let products = rows.iter().flat_map(|row| &row.products);
    let products = products.filter(|one| channel.is_none_or(|channel| one.channel == *channel));
    let products: BTreeSet<&ProductRef> = products.map(|one| &one.product).collect();
    let mut all = products.iter();
    match (all.next(), all.next()) {
        (Some(one), None) => Ok((*one).clone()),
        (None, _) => Err(CliError::no("the hub has no such cluster")
            .hint("fairway clusters lists what the hub knows")),
        (Some(_), Some(_)) => {
            let names: Vec<String> = products.iter().map(ToString::to_string).collect();
            Err(CliError::failed("the clusters have more than one product")
                .hint(format!("pass --product; there are: {}", names.join(", "))))
        }
    }
}

/// Follows pages to the end.
async fn fetch(
    hub: &Hub,
    product: Option<&ProductRef>,
    channel: Option<&ChannelName>,
) -> Result<Vec<Row>> {
    let filters = [
        ("product", product.map(ToString::to_string)),
        ("channel", channel.map(ToString::to_string)),
    ];
    let filters: Vec<(&str, String)> =
        filters.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    // One more than may be, to know that there are too many.
    let page: Page<Row> = hub.pages("api/v1/clusters", &filters, CLUSTERS_MAX + 1).await?;
    if page.items.len() > CLUSTERS_MAX {
        return Err(CliError::failed(format!(
            "the hub has more than the {CLUSTERS_MAX} clusters that are simulated"
        ))
        .hint("pass --product and --channel"));
    }
    Ok(page.items)
}
