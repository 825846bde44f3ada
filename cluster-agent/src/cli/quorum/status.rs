//! `quorum status`: voters, observers, levels, and the change that is open.

use std::fmt::Write as _;

use channels::names::ProductRef;
use serde::Serialize;

use super::super::{Answer, Output, commands};
use super::{QuorumStatusArgs, product};
use crate::kafka::change::{Change, ChangeFile};
use crate::kafka::{CaughtUp, Endpoint, Features, KafkaClient, QuorumView, Replica};

/// The answer of `quorum status`.
#[derive(Debug, Serialize)]
struct Shown {
    product: ProductRef,
    leader: i64,
    epoch: u64,
    high_watermark: Option<i64>,
    voters: Vec<ShownReplica>,
    observers: Vec<ShownReplica>,
    features: Features,
    open_change: Option<Change>,
}

#[derive(Debug, Serialize)]
struct ShownReplica {
    id: i64,
    directory: String,
    log_end_offset: Option<i64>,
    caught_up: bool,
    behind_ms: Option<u64>,
    endpoints: Vec<Endpoint>,
}

pub(super) async fn status(args: &QuorumStatusArgs) -> anyhow::Result<Answer> {
    let settings = commands::settings(&args.read.config)?;
    let (name, servers) = product(&settings, args.product.as_ref())?;
    let mut client = KafkaClient::new(servers)?;
    let open_change =
        ChangeFile::new(&settings.state_dir).read()?.filter(|open| open.product == *name);
    client.also_ask(open_change.as_ref().map_or(&[], |open| open.goal.newcomers()));
    let view = client.describe().await?;
    let features = client.features().await?;
    let limit_ms = settings.quorum_limits.fetch_timeout_ms;
    let shown = |replicas: &[Replica]| {
        replicas.iter().map(|replica| show(replica, &view, limit_ms)).collect()
    };
    let shown = Shown {
        product: name.clone(),
        leader: view.leader,
        epoch: view.epoch,
        high_watermark: view.high_watermark,
        voters: shown(&view.voters),
        observers: shown(&view.observers),
        features,
        open_change,
    };
    Ok(Answer::yes(match args.read.output {
        Output::Json => serde_json::to_string_pretty(&shown)? + "\n",
        Output::Text => render(&shown),
    }))
}

fn show(replica: &Replica, view: &QuorumView, limit_ms: u64) -> ShownReplica {
    let (caught_up, behind_ms) = match view.caught_up(replica, limit_ms) {
        CaughtUp::Yes(ms) => (true, Some(ms)),
        CaughtUp::Behind(ms) => (false, Some(ms)),
        CaughtUp::Never => (false, None),
    };
    ShownReplica {
        id: replica.id,
        directory: replica.directory.to_string(),
        log_end_offset: replica.log_end_offset,
        caught_up,
        behind_ms,
        endpoints: view.endpoints.get(&replica.id).cloned().unwrap_or_default(),
    }
}

fn render(shown: &Shown) -> String {
    let number = |value: Option<i64>| value.map_or("?".to_owned(), |value| value.to_string());
    let mut text = format!(
        "{}: leader {}, epoch {}, high watermark {}\n",
        shown.product,
        shown.leader,
        shown.epoch,
        number(shown.high_watermark)
    );
    let roles = [("voter", &shown.voters), ("observer", &shown.observers)];
    for (role, replica) in roles.iter().flat_map(|(role, list)| list.iter().map(move |r| (role, r)))
    {
        let state = match (replica.caught_up, replica.behind_ms) {
            (true, _) => "caught up".to_owned(),
            (false, Some(ms)) => format!("{ms} ms behind"),
            (false, None) => "not caught up".to_owned(),
        };
        let places: Vec<String> = replica.endpoints.iter().map(ToString::to_string).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  {role:8} {:5}  {:22}  end {:>10}  {state:14} {}",
            replica.id,
            replica.directory,
            number(replica.log_end_offset),
            places.join(" ")
        );
    }
    for (feature, level) in &shown.features {
        let _ = writeln!(text, "  feature  {feature} {level}");
    }
    if let Some(open) = &shown.open_change {
        let _ = writeln!(text, "  open     {} since {}", open.goal, open.opened_at);
    }
    text
}
