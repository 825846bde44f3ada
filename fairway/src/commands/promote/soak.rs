//! How clusters fared on releases, asked of the hub.

use channels::names::ProductRef;
use channels::promotion::{HealthDay, HealthHistory};
use channels::repository::ProductSource;
use channels::version::ReleaseVersion;
use channels::wire::{SoakAnswer, SoakRelease};

use crate::error::Result;
use crate::hub::{Hub, HubArgs};
use crate::out::Out;

/// The health history, where a hub is named. One that cannot be asked is a warning: then nothing has
/// soaked, and the rule says to wait.
pub(super) async fn ask(
    args: &HubArgs,
    source: &ProductSource,
    version: Option<&ReleaseVersion>,
    out: &mut Out,
) -> Result<HealthHistory> {
    if !args.names_a_hub() {
        out.note("no hub is named (--server), so nothing is known to have soaked")?;
        return Ok(HealthHistory::default());
    }
    match answer(args, &source.product).await {
        Ok(answer) => {
            let about = |one: &&SoakRelease| version.is_none_or(|version| *version == one.version);
            for release in answer.releases.iter().filter(about) {
                out.note(&line(release))?;
            }
            Ok(history(answer))
        }
        Err(error) => {
            out.warn(&format!("nothing is known to have soaked: {error}"))?;
            Ok(HealthHistory::default())
        }
    }
}

async fn answer(args: &HubArgs, product: &ProductRef) -> Result<SoakAnswer> {
    let hub = Hub::new(&args.connection(None)?)?;
    hub.get("api/v1/soak", &[("product", product.to_string())]).await
}

fn history(answer: SoakAnswer) -> HealthHistory {
    let days = answer.days.into_iter().map(|day| HealthDay {
        channel: day.channel,
        version: day.version,
        date: day.date,
        healthy: day.healthy,
        unhealthy: day.unhealthy,
    });
    HealthHistory { days: days.collect() }
}

fn line(release: &SoakRelease) -> String {
    let SoakRelease { channel, version, since, failures, .. } = release;
    format!(
        "{version} in {channel} since {since}: {:.0} cluster-hours healthy, {:.0} unhealthy, {:.0} \
         unknown; {failures} failures in rollouts",
        release.healthy_cluster_hours,
        release.unhealthy_cluster_hours,
        release.unknown_cluster_hours
    )
}
