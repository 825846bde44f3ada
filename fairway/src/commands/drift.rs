//! `fairway drift`: how far the fleet is from the heads of its channels, and dark sites with the age
//! of what is known of them.

use channels::names::{ChannelName, ProductRef, SiteName};
use channels::wire::{DriftAnswer, DriftTotals, SiteDrift, VersionCount};
use jiff::Timestamp;

use crate::error::Result;
use crate::hub::{Hub, HubArgs};
use crate::out::Out;
use crate::span::age;
use crate::table::{Format, Table, cell};
use crate::watch::WatchArgs;

/// Versions named in a table row; the rest is counted. JSON and CSV name all of them.
const VERSIONS_SHOWN: usize = 4;

/// Arguments of `fairway drift`.
#[derive(Debug, clap::Args)]
pub(crate) struct DriftArgs {
    /// Only this product
    #[arg(long, value_name = "VENDOR/PRODUCT")]
    product: Option<ProductRef>,
    /// Only this channel
    #[arg(long)]
    channel: Option<ChannelName>,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    watch: WatchArgs,
    #[command(flatten)]
    hub: HubArgs,
}

/// Runs `fairway drift`.
pub(crate) async fn run(args: &DriftArgs, now: Timestamp, out: &mut Out) -> Result<()> {
    let hub = Hub::new(&args.hub.connection(None)?)?;
    args.watch.run(now, out, async |now, out| show(&hub, args, now, out).await).await
}

async fn show(hub: &Hub, args: &DriftArgs, now: Timestamp, out: &mut Out) -> Result<()> {
    let mut answer: DriftAnswer = hub.get("api/v1/drift", &[]).await?;
    let wanted = |item: &DriftTotals| {
        args.product.as_ref().is_none_or(|product| *product == item.product)
            && args.channel.as_ref().is_none_or(|channel| *channel == item.channel)
    };
    answer.items.retain(wanted);
    answer.sites.retain(|site| wanted(&site.totals));
    let render = || table(&answer, now, args.output);
    super::print(out, args.output, &answer, render, "no cluster follows such a channel")?;
    if args.output != Format::Json && !answer.sites_never_reported.is_empty() {
        let names: Vec<&str> = answer.sites_never_reported.iter().map(SiteName::as_str).collect();
        out.note(&format!("no status was ever imported of: {}", names.join(", ")))?;
    }
    Ok(())
}

/// Live clusters first; a dark site has rows of its own, with when its status was made and the head
/// that it serves itself. CSV always has these columns: a script must not break at the first site.
fn table(answer: &DriftAnswer, now: Timestamp, format: Format) -> Table {
    if answer.sites.is_empty() && format == Format::Table {
        let mut table = Table::new(COLUMNS);
        answer.items.iter().for_each(|item| table.row(cells(item, now, format)));
        return table;
    }
    let columns: Vec<&'static str> = SITE_COLUMNS.iter().chain(COLUMNS).copied().collect();
    let mut table = Table::new(&columns);
    for item in &answer.items {
        let mut row = cells(item, now, format);
        row.splice(0..0, SITE_COLUMNS.map(|_| String::new()));
        table.row(row);
    }
    for site in &answer.sites {
        let mut row = cells(&site.totals, now, format);
        row.splice(0..0, site_cells(site, now, format));
        table.row(row);
    }
    table
}

/// Site, age of what is known with its class, head there.
fn site_cells(site: &SiteDrift, now: Timestamp, format: Format) -> [String; 3] {
    let as_of = match format {
        Format::Table => format!("{} ({})", age(site.as_of, now), site.freshness.as_str()),
        Format::Json | Format::Csv => site.as_of.to_string(),
    };
    [site.site.to_string(), as_of, cell(site.head_at_site.as_ref())]
}

const COLUMNS: &[&str] = &[
    "product",
    "channel",
    "arch",
    "head",
    "active",
    "current",
    "behind",
    "stranded",
    "off_graph",
    "eol",
    "rolling",
    "stopped",
    "silent",
    "hops_max",
    "days_p50",
    "days_p95",
    "versions",
];

/// Stand before [`COLUMNS`] where dark sites are shown.
const SITE_COLUMNS: [&str; 3] = ["site", "as_of", "head_at_site"];

fn cells(item: &DriftTotals, now: Timestamp, format: Format) -> Vec<String> {
    vec![
        item.product.to_string(),
        item.channel.to_string(),
        item.arch.to_string(),
        cell(item.head.as_ref()),
        item.active.to_string(),
        item.current.to_string(),
        item.behind.to_string(),
        item.stranded.to_string(),
        item.off_graph.to_string(),
        item.eol.to_string(),
        item.rolling.to_string(),
        item.stopped.to_string(),
        item.silent.to_string(),
        cell(item.hops_max.as_ref()),
        cell(item.spread.age_days_p50.as_ref()),
        cell(item.spread.age_days_p95.as_ref()),
        versions(item, now, format),
    ]
}

/// A table marks versions that are past their end of life; CSV has numbers only.
fn versions(item: &DriftTotals, now: Timestamp, format: Format) -> String {
    let shown = if format == Format::Table { VERSIONS_SHOWN } else { usize::MAX };
    let past = |count: &VersionCount| {
        format == Format::Table && count.eol.is_some_and(|day| day.is_past(now))
    };
    let mut parts: Vec<String> = item
        .versions
        .iter()
        .take(shown)
        .map(|count| {
            let mark = if past(count) { " (eol)" } else { "" };
            format!("{}: {}{mark}", count.version, count.clusters)
        })
        .collect();
    let rest = item.versions.len().saturating_sub(shown);
    if rest > 0 {
        parts.push(format!("{rest} more"));
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use channels::wire::DriftSpread;
    use clap::Parser as _;

    use super::*;
    use crate::hub::testing::{Answer, FakeHub};
    use crate::out::capture;

    fn totals(product: &str) -> DriftTotals {
        let versions = ["4.1.0", "4.0.1", "4.0.0", "3.9.1", "3.9.0"];
        let count = |text: &&str| VersionCount {
            version: text.parse().unwrap(),
            clusters: 2,
            eol: text.starts_with("3.").then(|| "2026-04-30".parse().unwrap()),
        };
        DriftTotals {
            product: product.parse().unwrap(),
            channel: "stable".parse().unwrap(),
            arch: "amd64".parse().unwrap(),
            head: Some("4.1.0".parse().unwrap()),
            active: 10,
            silent: 1,
            current: 2,
            behind: 8,
            stranded: 0,
            off_graph: 0,
            eol: 4,
            rolling: 1,
            stopped: 1,
            hops_max: Some(3),
            spread: DriftSpread {
                on_head_percent: 20,
                age_days_p50: Some(12),
                age_days_p95: Some(40),
                behind_minor_max: 2,
            },
            versions: versions.iter().map(count).collect(),
        }
    }

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: DriftArgs,
    }

    async fn drift(args: &[&str]) -> (String, String) {
        drift_with(Vec::new(), args).await
    }

    async fn drift_with(sites: Vec<SiteDrift>, args: &[&str]) -> (String, String) {
        let now: Timestamp = "2026-05-01T12:00:00Z".parse().unwrap();
        let never = if sites.is_empty() { vec![] } else { vec!["south".parse().unwrap()] };
        let answer = DriftAnswer {
            at: now,
            items: vec![totals("acme/kafka"), totals("acme/platform")],
            sites,
            sites_never_reported: never,
        };
        let hub = FakeHub::start(vec![("GET /api/v1/drift", Answer::json(&answer))]).await;
        let server = ["drift", "--server", &hub.url];
        let args = Cli::try_parse_from(server.iter().chain(args)).unwrap().args;
        let (mut out, stdout, stderr) = capture::out();
        run(&args, now, &mut out).await.unwrap();
        (stdout.text(), stderr.text())
    }

    #[tokio::test]
    async fn the_table_has_a_row_per_graph() {
        insta::assert_snapshot!(drift(&[]).await.0, @"
        PRODUCT        CHANNEL  ARCH   HEAD   ACTIVE  CURRENT  BEHIND  STRANDED  OFF-GRAPH  EOL  ROLLING  STOPPED  SILENT  HOPS-MAX  DAYS-P50  DAYS-P95  VERSIONS
        acme/kafka     stable   amd64  4.1.0  10      2        8       0         0          4    1        1        1       3         12        40        4.1.0: 2; 4.0.1: 2; 4.0.0: 2; 3.9.1: 2 (eol); 1 more
        acme/platform  stable   amd64  4.1.0  10      2        8       0         0          4    1        1        1       3         12        40        4.1.0: 2; 4.0.1: 2; 4.0.0: 2; 3.9.1: 2 (eol); 1 more
        ");
    }

    #[tokio::test]
    async fn dark_sites_have_rows_of_their_own_with_the_age_of_what_is_known() {
        let north = SiteDrift {
            site: "north".parse().unwrap(),
            as_of: "2026-04-20T12:00:00Z".parse().unwrap(),
            freshness: channels::wire::Freshness::Late,
            head_at_site: Some("4.0.1".parse().unwrap()),
            totals: totals("acme/kafka"),
        };
        let (stdout, stderr) = drift_with(vec![north], &["--product", "acme/kafka"]).await;
        insta::assert_snapshot!(stdout, @"
        SITE   AS-OF       HEAD-AT-SITE  PRODUCT     CHANNEL  ARCH   HEAD   ACTIVE  CURRENT  BEHIND  STRANDED  OFF-GRAPH  EOL  ROLLING  STOPPED  SILENT  HOPS-MAX  DAYS-P50  DAYS-P95  VERSIONS
        -      -           -             acme/kafka  stable   amd64  4.1.0  10      2        8       0         0          4    1        1        1       3         12        40        4.1.0: 2; 4.0.1: 2; 4.0.0: 2; 3.9.1: 2 (eol); 1 more
        north  11d (late)  4.0.1         acme/kafka  stable   amd64  4.1.0  10      2        8       0         0          4    1        1        1       3         12        40        4.1.0: 2; 4.0.1: 2; 4.0.0: 2; 3.9.1: 2 (eol); 1 more
        ");
        assert_eq!(stderr, "no status was ever imported of: south\n");
    }

    #[tokio::test]
    async fn csv_names_every_version() {
        insta::assert_snapshot!(drift(&["--product", "acme/kafka", "--output", "csv"]).await.0, @"
        site,as_of,head_at_site,product,channel,arch,head,active,current,behind,stranded,off_graph,eol,rolling,stopped,silent,hops_max,days_p50,days_p95,versions
        ,,,acme/kafka,stable,amd64,4.1.0,10,2,8,0,0,4,1,1,1,3,12,40,4.1.0: 2; 4.0.1: 2; 4.0.0: 2; 3.9.1: 2; 3.9.0: 2
        ");
    }

    #[tokio::test]
    async fn json_is_the_hubs_document() {
        let (stdout, _) = drift(&["--output", "json", "--product", "acme/platform"]).await;
        let answer: DriftAnswer = serde_json::from_str(&stdout).unwrap();
        assert_eq!(answer.items, [totals("acme/platform")]);
    }

    #[tokio::test]
    async fn nothing_found_is_said_on_stderr_and_leaves_stdout_empty() {
        let (stdout, stderr) = drift(&["--channel", "beta"]).await;
        assert_eq!((stdout.as_str(), stderr.as_str()), ("", "no cluster follows such a channel\n"));
    }
}
