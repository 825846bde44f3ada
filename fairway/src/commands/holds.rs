//! `fairway hold`, `holds`, `resume`: stopping things and letting them go on.

use channels::names::{ChannelName, ProductRef};
use channels::version::ReleaseVersion;
use channels::wire::{Hold, HoldRequest, HoldScope, Page, ResumeRequest};
use jiff::Timestamp;

use super::clusters::resolve;
use crate::error::{CliError, Result};
use crate::hub::{Hub, HubArgs};
use crate::out::Out;
use crate::span::age;
use crate::table::{Format, Table, cell};
use crate::watch::WatchArgs;

/// Arguments of `fairway hold`.
#[derive(Debug, clap::Args)]
pub(crate) struct HoldArgs {
    #[command(flatten)]
    scope: ScopeArgs,
    /// Why; shown on every cluster it stops
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    hub: HubArgs,
}

/// What to stop: exactly one of these.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct ScopeArgs {
    /// Every cluster
    #[arg(long)]
    fleet: bool,
    /// Every cluster that runs the product
    #[arg(long, value_name = "VENDOR/PRODUCT")]
    product: Option<ProductRef>,
    /// Every cluster that follows the product's channel
    #[arg(long, num_args = 2, value_names = ["VENDOR/PRODUCT", "CHANNEL"])]
    channel: Option<Vec<String>>,
    /// Every move to the release
    #[arg(long, num_args = 2, value_names = ["VENDOR/PRODUCT", "VERSION"])]
    release: Option<Vec<String>>,
    /// One cluster, by id or name
    #[arg(long, value_name = "CLUSTER")]
    cluster: Option<String>,
}

/// Arguments of `fairway holds`.
#[derive(Debug, clap::Args)]
pub(crate) struct HoldsArgs {
    /// Show lifted holds too, newest first
    #[arg(long)]
    all: bool,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    watch: WatchArgs,
    #[command(flatten)]
    hub: HubArgs,
}

/// Arguments of `fairway resume`.
#[derive(Debug, clap::Args)]
pub(crate) struct ResumeArgs {
    /// Number of the hold; holds lists them
    hold: u64,
    /// What you have seen and accept; kept in the audit log
    #[arg(long, value_name = "TEXT")]
    acknowledge: String,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    hub: HubArgs,
}

/// Runs `fairway hold`.
pub(crate) async fn hold(args: &HoldArgs, out: &mut Out) -> Result<()> {
    let reason = required(&args.reason, "--reason")?;
    let hub = Hub::new(&args.hub.connection(None)?)?;
    let scope = scope(&args.scope, &hub).await?;
    let request = HoldRequest { scope, reason };
    let hold: Hold = hub.post("api/v1/holds", "application/json", &request).await?;
    if args.output == Format::Table {
        out.line(&hold.id.to_string())?;
    }
    let told = format!(
        "{} is held; lift it with: fairway resume {} --acknowledge TEXT",
        describe(&hold.scope),
        hold.id
    );
    super::answered(out, args.output, &hold, || row(&hold), &told)
}

/// Runs `fairway holds`.
pub(crate) async fn list(args: &HoldsArgs, now: Timestamp, out: &mut Out) -> Result<()> {
    let hub = Hub::new(&args.hub.connection(None)?)?;
    args.watch.run(now, out, async |now, out| show(&hub, args, now, out).await).await
}

async fn show(hub: &Hub, args: &HoldsArgs, now: Timestamp, out: &mut Out) -> Result<()> {
    let query: Vec<_> = args.all.then(|| ("all", "true".to_owned())).into_iter().collect();
    let page: Page<Hold> = hub.get("api/v1/holds", &query).await?;
    super::print(
        out,
        args.output,
        &page,
        || table(&page.items, now, args.output),
        "nothing is held",
    )
}

/// Runs `fairway resume`.
pub(crate) async fn resume(args: &ResumeArgs, out: &mut Out) -> Result<()> {
    let acknowledge = required(&args.acknowledge, "--acknowledge")?;
    let hub = Hub::new(&args.hub.connection(None)?)?;
    let path = format!("api/v1/holds/{}/resume", args.hold);
    let hold: Hold = hub.post(&path, "application/json", &ResumeRequest { acknowledge }).await?;
    let told = format!("{} goes on (hold {} is lifted)", describe(&hold.scope), hold.id);
    super::answered(out, args.output, &hold, || row(&hold), &told)
}

fn required(text: &str, flag: &str) -> Result<String> {
    let text = text.trim();
    if text.is_empty() {
        return Err(CliError::failed(format!("{flag} must not be empty")));
    }
    Ok(text.to_owned())
}

async fn scope(args: &ScopeArgs, hub: &Hub) -> Result<HoldScope> {
    if let Some(product) = &args.product {
        return Ok(HoldScope::Product { product: product.clone() });
    }
    if let Some([product, channel]) = args.channel.as_deref() {
        let channel: ChannelName = parse(channel)?;
        return Ok(HoldScope::Channel { product: parse(product)?, channel });
    }
    if let Some([product, version]) = args.release.as_deref() {
        let version: ReleaseVersion = parse(version)?;
        return Ok(HoldScope::Release { product: parse(product)?, version });
    }
    match &args.cluster {
        Some(cluster) => Ok(HoldScope::Cluster { cluster: resolve(hub, cluster).await? }),
        None => Ok(HoldScope::Fleet),
    }
}

fn parse<T: std::str::FromStr<Err = channels::names::NameError>>(text: &str) -> Result<T> {
    text.parse().map_err(|error: channels::names::NameError| CliError::failed(error.to_string()))
}

fn describe(scope: &HoldScope) -> String {
    match scope {
        HoldScope::Fleet => "the whole fleet".to_owned(),
        HoldScope::Product { product } => format!("product {product}"),
        HoldScope::Channel { product, channel } => format!("channel {channel} of {product}"),
        HoldScope::Release { product, version } => format!("release {version} of {product}"),
        HoldScope::Cluster { cluster } => format!("cluster {cluster}"),
    }
}

/// One hold for CSV, which has no ages and needs no `now`.
fn row(hold: &Hold) -> Table {
    table(std::slice::from_ref(hold), Timestamp::UNIX_EPOCH, Format::Csv)
}

fn table(holds: &[Hold], now: Timestamp, format: Format) -> Table {
    let mut table = Table::new(&["id", "scope", "by", "since", "reason", "resumed", "resumed_by"]);
    let time = |at: &Timestamp| match format {
        Format::Table => age(*at, now),
        Format::Json | Format::Csv => at.to_string(),
    };
    for hold in holds {
        table.row(vec![
            hold.id.to_string(),
            describe(&hold.scope),
            hold.by.clone(),
            time(&hold.at),
            hold.reason.clone(),
            hold.resumed_at.as_ref().map_or_else(String::new, time),
            cell(hold.resumed_by.as_ref()),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::hub::testing::{Answer, FakeHub};
    use crate::out::capture;

    #[derive(clap::Parser)]
    enum Cli {
        Hold(HoldArgs),
        Holds(HoldsArgs),
        Resume(ResumeArgs),
    }

    fn held(scope: HoldScope) -> Hold {
        Hold {
            id: 3,
            scope,
            reason: "storm".into(),
            by: "ann".into(),
            at: "2026-05-01T11:50:00Z".parse().unwrap(),
            resumed_at: None,
            resumed_by: None,
        }
    }

    async fn fairway(hub: &FakeHub, words: &[&str]) -> (Result<()>, String, String) {
        let server = ["--server", hub.url.as_str()];
        let words = std::iter::once(&"fairway").chain(words).chain(&server);
        let (mut out, stdout, stderr) = capture::out();
        let result = match Cli::try_parse_from(words).unwrap() {
            Cli::Hold(args) => hold(&args, &mut out).await,
            Cli::Holds(args) => {
                list(&args, "2026-05-01T12:00:00Z".parse().unwrap(), &mut out).await
            }
            Cli::Resume(args) => resume(&args, &mut out).await,
        };
        (result, stdout.text(), stderr.text())
    }

    #[tokio::test]
    async fn a_hold_on_a_channel_names_product_and_channel() {
        let scope = HoldScope::Channel {
            product: "acme/kafka".parse().unwrap(),
            channel: "stable".parse().unwrap(),
        };
        let answer = Answer::json(&held(scope));
        let hub = FakeHub::start(vec![("POST /api/v1/holds", answer)]).await;
        let words = ["hold", "--channel", "acme/kafka", "stable", "--reason", "storm"];
        let (result, stdout, stderr) = fairway(&hub, &words).await;
        result.unwrap();
        assert_eq!(stdout, "3\n");
        assert_eq!(
            stderr,
            "channel stable of acme/kafka is held; \
             lift it with: fairway resume 3 --acknowledge TEXT\n"
        );
        let body = r#"{"scope":{"kind":"channel","product":"acme/kafka","channel":"stable"},"reason":"storm"}"#;
        assert_eq!(hub.seen(), [format!("POST /api/v1/holds - {body}")]);
    }

    #[tokio::test]
    async fn a_hold_without_a_reason_is_refused_before_it_is_sent() {
        let hub = FakeHub::start(vec![]).await;
        let (result, ..) = fairway(&hub, &["hold", "--fleet", "--reason", " "]).await;
        assert_eq!(result.unwrap_err().to_string(), "--reason must not be empty");
        assert_eq!(hub.seen().len(), 0);
    }

    #[test]
    fn a_hold_takes_exactly_one_scope() {
        let none = ["fairway", "hold", "--reason", "x"];
        assert!(Cli::try_parse_from(none).is_err());
        let two = ["fairway", "hold", "--reason", "x", "--fleet", "--product", "acme/kafka"];
        assert!(Cli::try_parse_from(two).is_err());
    }

    #[tokio::test]
    async fn holds_are_listed_with_who_and_why() {
        let page = Page { items: vec![held(HoldScope::Fleet)], next: None };
        let hub = FakeHub::start(vec![("GET /api/v1/holds", Answer::json(&page))]).await;
        let (result, stdout, _) = fairway(&hub, &["holds"]).await;
        result.unwrap();
        insta::assert_snapshot!(stdout, @"
        ID  SCOPE            BY   SINCE  REASON  RESUMED  RESUMED-BY
        3   the whole fleet  ann  10m    storm   -        -
        ");
    }

    #[tokio::test]
    async fn resume_sends_what_was_acknowledged() {
        let answer = Answer::json(&held(HoldScope::Fleet));
        let hub = FakeHub::start(vec![("POST /api/v1/holds/3/resume", answer)]).await;
        let (result, _, stderr) =
            fairway(&hub, &["resume", "3", "--acknowledge", "storm is over"]).await;
        result.unwrap();
        assert_eq!(stderr, "the whole fleet goes on (hold 3 is lifted)\n");
        let sent = r#"POST /api/v1/holds/3/resume - {"acknowledge":"storm is over"}"#;
        assert_eq!(hub.seen(), [sent]);
    }
}
