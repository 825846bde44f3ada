//! `/api/v1/soak`: how clusters fared on a product's releases.

use actix_web::web;
use channels::names::{ChannelName, ProductRef};
use channels::version::ReleaseVersion;
use channels::wire::SoakAnswer;
use serde::Deserialize;

use super::super::problem::ApiError;
use super::state::from_disk;
use super::{Guarded, HubState, Viewer};

/// Parameters of the answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SoakQuery {
    product: ProductRef,
    channel: Option<ChannelName>,
    version: Option<ReleaseVersion>,
}

/// `GET /api/v1/soak`. Of the whole fleet, so not for callers confined to a part of it.
pub(super) async fn soak(
    _: Guarded<Viewer>,
    state: web::Data<HubState>,
    query: web::Query<SoakQuery>,
) -> Result<web::Json<SoakAnswer>, ApiError> {
    let SoakQuery { product, channel, version } = query.into_inner();
    let asked = product.clone();
    let (mut days, soaking) = from_disk(&state, move |reader| reader.soak(&asked)).await?;
    let failures = state.store.committed().rollouts().failures_of(&product);
    let mut releases =
        soaking.releases(|version| failures.get(version).copied().unwrap_or_default());
    let wanted = |its: &ChannelName, of: &ReleaseVersion| {
        channel.as_ref().is_none_or(|channel| channel == its)
            && version.as_ref().is_none_or(|version| version == of)
    };
    releases.retain(|release| wanted(&release.channel, &release.version));
    days.retain(|day| wanted(&day.channel, &day.version));
    Ok(web::Json(SoakAnswer { at: state.now(), product, releases, days }))
}
