//! `fairway token new|list|revoke`: API tokens of people and machines.

use channels::rollout::Selector;
use channels::wire::Page;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::hub::{Hub, HubArgs};
use crate::out::Out;
use crate::span::{Span, age, until};
use crate::table::{Format, Table, cell};

/// Arguments of `fairway token`.
#[derive(Debug, clap::Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    hub: HubArgs,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t, global = true)]
    output: Format,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a token; it is shown once
    New {
        /// Who or what will hold it; the actor in the audit log
        name: String,
        /// What it may do
        #[arg(long, value_enum)]
        access: Access,
        /// Only for clusters whose labels match: key=value, key!=value, `key in (a,b)`, key, !key,
        /// with commas between them; viewers and operators only
        #[arg(long, short = 'l')]
        selector: Option<Selector>,
        /// How long it works; as long as nobody revokes it if absent
        #[arg(long, value_name = "TIME")]
        expires: Option<Span>,
    },
    /// List the tokens in force
    List,
    /// Revoke a token
    Revoke {
        /// Its number, as listed
        id: u64,
    },
}

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
enum Access {
    /// Read.
    Viewer,
    /// Read; hold, resume, invite, retire.
    Operator,
    /// Read; publish.
    Publisher,
    /// Everything, and tokens.
    Admin,
}

#[derive(Debug, Serialize)]
struct NewToken<'a> {
    name: &'a str,
    access: Access,
    #[serde(skip_serializing_if = "Option::is_none")]
    selector: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in_s: Option<u64>,
}

/// A token as the hub shows it: with its secret only when it was just made.
#[derive(Debug, Serialize, Deserialize)]
struct ApiToken {
    id: u64,
    name: String,
    access: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    selector: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_used: Option<String>,
}

/// Runs `fairway token …`.
pub(crate) async fn run(args: &TokenArgs, now: Timestamp, out: &mut Out) -> Result<()> {
    let hub = Hub::new(&args.hub.connection(None)?)?;
    match &args.command {
        Command::New { name, access, selector, expires } => {
            let request = NewToken {
                name,
                access: *access,
                selector: selector.as_ref().map(Selector::to_string),
                expires_in_s: expires.map(|span| span.0),
            };
            let made: ApiToken = hub.post("api/v1/tokens", "application/json", &request).await?;
            if args.output == Format::Table {
                out.line(made.token.as_deref().unwrap_or_default())?;
            }
            let told = format!(
                "token {} of {} ({}); it is shown this once",
                made.id, made.name, made.access
            );
            super::answered(out, args.output, &made, || new_token(&made), &told)
        }
        Command::List => {
            let page: Page<ApiToken> = hub.get("api/v1/tokens", &[]).await?;
            let table = || table(&page.items, now, args.output);
            super::print(out, args.output, &page, table, "there are no tokens")
        }
        Command::Revoke { id } => {
            super::answers_nothing(args.output, "token revoke")?;
            hub.delete(&format!("api/v1/tokens/{id}")).await?;
            out.note(&format!("token {id} is revoked"))
        }
    }
}

/// A token that was just made, with its secret.
fn new_token(made: &ApiToken) -> Table {
    let mut table = Table::new(&["id", "name", "access", "token", "selector", "expires"]);
    table.row(vec![
        made.id.to_string(),
        made.name.clone(),
        made.access.clone(),
        cell(made.token.as_ref()),
        cell(made.selector.as_ref()),
        cell(made.expires_at.as_ref()),
    ]);
    table
}

fn table(tokens: &[ApiToken], now: Timestamp, format: Format) -> Table {
    let mut table = Table::new(&[
        "id",
        "name",
        "access",
        "selector",
        "created",
        "created_by",
        "expires",
        "last_used",
    ]);
    for token in tokens {
        let created = token.created_at.map_or_else(String::new, |at| match format {
            Format::Table => age(at, now),
            Format::Json | Format::Csv => at.to_string(),
        });
        let expires = token.expires_at.map_or_else(String::new, |at| match format {
            Format::Table => until(at, now),
            Format::Json | Format::Csv => at.to_string(),
        });
        table.row(vec![
            token.id.to_string(),
            token.name.clone(),
            token.access.clone(),
            token.selector.clone().unwrap_or_default(),
            created,
            token.created_by.clone().unwrap_or_default(),
            expires,
            token.last_used.clone().unwrap_or_default(),
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
    struct Cli {
        #[command(flatten)]
        args: TokenArgs,
    }

    async fn token(hub: &FakeHub, words: &[&str]) -> (String, String) {
        let server = ["token", "--server", &hub.url];
        let args = Cli::try_parse_from(server.iter().chain(words)).unwrap().args;
        let (mut out, stdout, stderr) = capture::out();
        run(&args, "2026-05-01T12:00:00Z".parse().unwrap(), &mut out).await.unwrap();
        (stdout.text(), stderr.text())
    }

    #[tokio::test]
    async fn a_new_token_stands_alone_on_stdout() {
        let made = serde_json::json!(
            {"id": 2, "name": "ci", "access": "publisher", "token": "fw_x"}
        );
        let hub = FakeHub::start(vec![("POST /api/v1/tokens", Answer::json(&made))]).await;
        let (stdout, stderr) = token(&hub, &["new", "ci", "--access", "publisher"]).await;
        assert_eq!(stdout, "fw_x\n");
        assert_eq!(stderr, "token 2 of ci (publisher); it is shown this once\n");
        assert_eq!(hub.seen(), [r#"POST /api/v1/tokens - {"name":"ci","access":"publisher"}"#]);
    }

    #[tokio::test]
    async fn tokens_are_listed_without_their_secrets() {
        let page = serde_json::json!({"items": [{
            "id": 1, "name": "admin", "access": "admin",
            "created_at": "2026-05-01T11:00:00Z", "created_by": "hub"
        }, {
            "id": 2, "name": "east", "access": "viewer", "selector": "ring=canary",
            "created_at": "2026-05-01T11:30:00Z", "created_by": "admin",
            "expires_at": "2026-05-01T14:00:00Z", "last_used": "2026-05-01"
        }]});
        let hub = FakeHub::start(vec![("GET /api/v1/tokens", Answer::json(&page))]).await;
        insta::assert_snapshot!(token(&hub, &["list"]).await.0, @"
        ID  NAME   ACCESS  SELECTOR     CREATED  CREATED-BY  EXPIRES  LAST-USED
        1   admin  admin   -            60m      hub         -        -
        2   east   viewer  ring=canary  30m      admin       2h       2026-05-01
        ");
    }

    #[tokio::test]
    async fn a_token_for_some_clusters_and_some_time_is_asked_for_as_such() {
        let made = serde_json::json!({"id": 2, "name": "e", "access": "viewer", "token": "fw_x"});
        let hub = FakeHub::start(vec![("POST /api/v1/tokens", Answer::json(&made))]).await;
        let words = ["new", "e", "--access", "viewer", "-l", "ring=canary", "--expires", "30d"];
        token(&hub, &words).await;
        let asked =
            r#"{"name":"e","access":"viewer","selector":"ring=canary","expires_in_s":2592000}"#;
        assert_eq!(hub.seen(), [format!("POST /api/v1/tokens - {asked}")]);
    }
}
