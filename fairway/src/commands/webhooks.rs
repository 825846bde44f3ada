//! `fairway webhooks list|add|remove|test|dead|retry`: where the hub sends events, and what became of
//! those it could not deliver.

use channels::wire::{DeadDelivery, NewWebhook, Page, Webhook, WebhookAttempt, WebhookRequest};
use jiff::Timestamp;
use serde::Serialize;

use crate::error::{CliError, Result};
use crate::hub::{Hub, HubArgs};
use crate::out::Out;
use crate::span::{age, until};
use crate::table::{Format, Table, cell};

/// Most events listed; the hub keeps 200 of each webhook.
const MAX_DEAD: usize = 10_000;

/// Arguments of `fairway webhooks`.
#[derive(Debug, clap::Args)]
pub(crate) struct WebhooksArgs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    hub: HubArgs,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t, global = true)]
    output: Format,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List webhooks, how far each one is and what is wrong with it
    List,
    /// Have events sent to an address; the key that signs them is shown once
    Add {
        /// Where to: https, and not this machine's own address
        url: String,
        /// Which: names of actions as in the audit log, `rollout.*` for all that begin so, `*` for
        /// everything; may be given several times
        #[arg(long = "kind", value_name = "KIND", required = true)]
        kinds: Vec<String>,
    },
    /// Send no more events there
    Remove {
        /// Its number, as listed
        id: u64,
    },
    /// Send one event that is none, and say what the receiver answered
    Test {
        /// Its number, as listed
        id: u64,
    },
    /// List the events that were given up on, newest first
    Dead {
        /// Its number, as listed
        id: u64,
    },
    /// Send events that were given up on once more, oldest first, until one fails
    Retry {
        /// Its number, as listed
        id: u64,
        /// Only this one, as `dead` lists it
        #[arg(long, value_name = "N")]
        event: Option<u64>,
    },
}

/// Runs `fairway webhooks …`.
pub(crate) async fn run(args: &WebhooksArgs, now: Timestamp, out: &mut Out) -> Result<()> {
    let hub = Hub::new(&args.hub.connection(None)?)?;
    let format = args.output;
    match args.command.as_ref().unwrap_or(&Command::List) {
        Command::List => {
            let page: Page<Webhook> = hub.get("api/v1/webhooks", &[]).await?;
            let table = || webhooks(&page.items, now, format);
            super::print(out, format, &page, table, "there are no webhooks")
        }
        Command::Add { url, kinds } => {
            let request = WebhookRequest { url: url.clone(), kinds: kinds.clone() };
            let made: NewWebhook =
                hub.post("api/v1/webhooks", "application/json", &request).await?;
            if format == Format::Table {
                out.line(&made.secret)?;
            }
            let told = format!(
                "webhook {} sends {} to {}; the key above signs, and is shown this once",
                made.webhook.id,
                made.webhook.kinds.join(", "),
                made.webhook.url
            );
            super::answered(out, format, &made, || new_webhook(&made), &told)
        }
        Command::Remove { id } => {
            super::answers_nothing(format, "webhooks remove")?;
            hub.delete(&format!("api/v1/webhooks/{id}")).await?;
            out.note(&format!("webhook {id} is removed"))
        }
        Command::Test { id } => test(&hub, *id, format, out).await,
        Command::Dead { id } => {
            let page = given_up(&hub, *id).await?;
            let table = || dead(&page.items, now, format);
            super::print(out, format, &page, table, "it has given up on nothing")
        }
        Command::Retry { id, event } => retry(&hub, *id, *event, format, out).await,
    }
}

async fn given_up(hub: &Hub, id: u64) -> Result<Page<DeadDelivery>> {
    hub.pages(&format!("api/v1/webhooks/{id}/dead"), &[], MAX_DEAD).await
}

async fn test(hub: &Hub, id: u64, format: Format, out: &mut Out) -> Result<()> {
    let path = format!("api/v1/webhooks/{id}/test");
    let attempt: WebhookAttempt = hub.post(&path, "application/json", &()).await?;
    match format {
        Format::Json => out.json(&attempt)?,
        Format::Csv => {
            let mut table = Table::new(&["webhook", "delivered", "error"]);
            let delivered = if attempt.delivered { "yes" } else { "no" };
            table.row(vec![id.to_string(), delivered.to_owned(), cell(attempt.error.as_ref())]);
            out.csv(&table)?;
        }
        Format::Table => {}
    }
    match attempt.error {
        None => out.note(&format!("the receiver of webhook {id} took a test event")),
        Some(error) => Err(CliError::no(format!("the test event was not delivered: {error}"))),
    }
}

/// What became of one event that was sent once more.
#[derive(Debug, Serialize)]
struct Retried {
    event: u64,
    #[serde(flatten)]
    attempt: WebhookAttempt,
}

async fn retry(
    hub: &Hub,
    id: u64,
    event: Option<u64>,
    format: Format,
    out: &mut Out,
) -> Result<()> {
    let mut events: Vec<u64> = match event {
        Some(event) => vec![event],
        None => given_up(hub, id).await?.items.iter().map(|row| row.id).collect(),
    };
    events.sort_unstable();
    let all = events.len();
    let mut sent: Vec<Retried> = Vec::new();
    for event in events {
        let path = format!("api/v1/webhooks/{id}/dead/{event}/retry");
        let attempt: WebhookAttempt = hub.post(&path, "application/json", &()).await?;
        let failed = attempt.error.is_some();
        sent.push(Retried { event, attempt });
        if failed {
            break;
        }
    }
    let delivered = sent.iter().filter(|one| one.attempt.error.is_none()).count();
    let told = match all {
        0 => "it has given up on nothing".to_owned(),
        _ => format!("{delivered} of {all} were delivered"),
    };
    let error = sent.iter().find_map(|one| Some((one.event, one.attempt.error.as_ref()?)));
    match (format, error) {
        // The error says it.
        (Format::Table, Some(_)) => {}
        (Format::Table | Format::Json | Format::Csv, _) => {
            super::answered(out, format, &sent, || retried(&sent), &told)?;
        }
    }
    match error {
        None => Ok(()),
        Some((event, error)) => {
            Err(CliError::no(format!("{told}; event {event} failed again: {error}")))
        }
    }
}

fn retried(events: &[Retried]) -> Table {
    let mut table = Table::new(&["event", "delivered", "error"]);
    for Retried { event, attempt } in events {
        let delivered = if attempt.delivered { "yes" } else { "no" };
        table.row(vec![event.to_string(), delivered.to_owned(), cell(attempt.error.as_ref())]);
    }
    table
}

/// A webhook that was just made, with its key.
fn new_webhook(made: &NewWebhook) -> Table {
    let mut table = Table::new(&["id", "url", "kinds", "secret"]);
    let NewWebhook { webhook, secret } = made;
    let (id, kinds) = (webhook.id.to_string(), webhook.kinds.join("; "));
    table.row(vec![id, webhook.url.clone(), kinds, secret.clone()]);
    table
}

fn webhooks(webhooks: &[Webhook], now: Timestamp, format: Format) -> Table {
    let mut table = Table::new(&[
        "id",
        "url",
        "kinds",
        "created",
        "created_by",
        "behind",
        "dead",
        "failures",
        "retry",
        "last_error",
    ]);
    for webhook in webhooks {
        let (created, retry) = match format {
            Format::Table => (
                age(webhook.created_at, now),
                webhook.retry_at.map(|at| format!("in {}", until(at, now))),
            ),
            Format::Json | Format::Csv => {
                (webhook.created_at.to_string(), webhook.retry_at.map(|at| at.to_string()))
            }
        };
        table.row(vec![
            webhook.id.to_string(),
            webhook.url.clone(),
            webhook.kinds.join("; "),
            created,
            webhook.created_by.clone(),
            webhook.behind.to_string(),
            webhook.dead.to_string(),
            webhook.failures.to_string(),
            retry.unwrap_or_default(),
            cell(webhook.last_error.as_ref()),
        ]);
    }
    table
}

fn dead(events: &[DeadDelivery], now: Timestamp, format: Format) -> Table {
    let mut table = Table::new(&["id", "audit", "attempts", "gave_up", "error"]);
    for event in events {
        table.row(vec![
            event.id.to_string(),
            event.audit.to_string(),
            event.attempts.to_string(),
            match format {
                Format::Table => format!("{} ago", age(event.gave_up, now)),
                Format::Json | Format::Csv => event.gave_up.to_string(),
            },
            event.error.clone(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::error::Exit;
    use crate::hub::testing::{Answer, FakeHub};
    use crate::out::capture;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: WebhooksArgs,
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    async fn webhooks(hub: &FakeHub, words: &[&str]) -> (Result<()>, String, String) {
        let server = ["webhooks", "--server", &hub.url];
        let args = Cli::try_parse_from(server.iter().chain(words)).unwrap().args;
        let (mut out, stdout, stderr) = capture::out();
        let result = run(&args, at("2026-05-01T12:00:00Z"), &mut out).await;
        (result, stdout.text(), stderr.text())
    }

    fn webhook() -> Webhook {
        Webhook {
            id: 3,
            url: "https://hooks.example.org/x".into(),
            kinds: vec!["hold".into(), "rollout.*".into()],
            created_at: at("2026-05-01T10:00:00Z"),
            created_by: "ann".into(),
            behind: 7,
            dead: 1,
            failures: 2,
            last_error: Some("the receiver answered 503".into()),
            retry_at: Some(at("2026-05-01T12:05:00Z")),
        }
    }

    fn event(id: u64) -> DeadDelivery {
        DeadDelivery {
            id,
            audit: 40 + id,
            attempts: 15,
            gave_up: at("2026-05-01T11:00:00Z"),
            error: "the receiver answered 503".into(),
        }
    }

    #[tokio::test]
    async fn webhooks_are_listed_with_their_trouble() {
        let page = Page { items: vec![webhook()], next: None };
        let hub = FakeHub::start(vec![("GET /api/v1/webhooks", Answer::json(&page))]).await;
        let (result, stdout, _) = webhooks(&hub, &[]).await;
        result.unwrap();
        insta::assert_snapshot!(stdout, @"
        ID  URL                          KINDS            CREATED  CREATED-BY  BEHIND  DEAD  FAILURES  RETRY  LAST-ERROR
        3   https://hooks.example.org/x  hold; rollout.*  2h       ann         7       1     2         in 5m  the receiver answered 503
        ");
        let none: Page<Webhook> = Page { items: vec![], next: None };
        let hub = FakeHub::start(vec![("GET /api/v1/webhooks", Answer::json(&none))]).await;
        assert_eq!(webhooks(&hub, &["list"]).await.2, "there are no webhooks\n");
    }

    #[tokio::test]
    async fn a_new_webhooks_key_stands_alone_on_stdout() {
        let made = NewWebhook { webhook: webhook(), secret: "fwh_x".into() };
        let hub = FakeHub::start(vec![("POST /api/v1/webhooks", Answer::json(&made))]).await;
        let words = ["add", "https://hooks.example.org/x", "--kind", "hold", "--kind", "rollout.*"];
        let (result, stdout, stderr) = webhooks(&hub, &words).await;
        result.unwrap();
        assert_eq!(stdout, "fwh_x\n");
        assert_eq!(
            stderr,
            "webhook 3 sends hold, rollout.* to https://hooks.example.org/x; the key above signs, \
             and is shown this once\n"
        );
        let asked = r#"{"url":"https://hooks.example.org/x","kinds":["hold","rollout.*"]}"#;
        assert_eq!(hub.seen(), [format!("POST /api/v1/webhooks - {asked}")]);
    }

    #[tokio::test]
    async fn a_test_that_fails_is_a_no_with_the_receivers_answer() {
        let path = "POST /api/v1/webhooks/3/test";
        let taken = WebhookAttempt { delivered: true, error: None };
        let hub = FakeHub::start(vec![(path, Answer::json(&taken))]).await;
        let (result, _, stderr) = webhooks(&hub, &["test", "3"]).await;
        result.unwrap();
        assert_eq!(stderr, "the receiver of webhook 3 took a test event\n");
        let refused = WebhookAttempt { delivered: false, error: Some("it said 503".into()) };
        let hub = FakeHub::start(vec![(path, Answer::json(&refused))]).await;
        let error = webhooks(&hub, &["test", "3"]).await.0.unwrap_err();
        assert_eq!(error.to_string(), "the test event was not delivered: it said 503");
        assert_eq!(error.exit(), Exit::No);
    }

    #[tokio::test]
    async fn events_that_were_given_up_on_are_listed_and_sent_again_oldest_first() {
        let page = Page { items: vec![event(2), event(1)], next: None };
        let list = "GET /api/v1/webhooks/3/dead?limit=500";
        let hub = FakeHub::start(vec![(list, Answer::json(&page))]).await;
        let (_, stdout, _) = webhooks(&hub, &["dead", "3"]).await;
        insta::assert_snapshot!(stdout, @"
        ID  AUDIT  ATTEMPTS  GAVE-UP  ERROR
        2   42     15        60m ago  the receiver answered 503
        1   41     15        60m ago  the receiver answered 503
        ");
        let taken = WebhookAttempt { delivered: true, error: None };
        let refused = WebhookAttempt { delivered: false, error: Some("it said 503".into()) };
        let first = "POST /api/v1/webhooks/3/dead/1/retry";
        let second = "POST /api/v1/webhooks/3/dead/2/retry";
        let hub = FakeHub::start(vec![
            (list, Answer::json(&page)),
            (first, Answer::json(&taken)),
            (second, Answer::json(&refused)),
        ])
        .await;
        let error = webhooks(&hub, &["retry", "3"]).await.0.unwrap_err();
        assert_eq!(error.to_string(), "1 of 2 were delivered; event 2 failed again: it said 503");
        let hub = FakeHub::start(vec![(second, Answer::json(&taken))]).await;
        let (result, _, stderr) = webhooks(&hub, &["retry", "3", "--event", "2"]).await;
        result.unwrap();
        assert_eq!(stderr, "1 of 1 were delivered\n");
    }
}
