//! `fairway bench paths`: a closed loop over a few paths, one after the other, so that the cost of one
//! can be told in terms of another in the same run.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::connection::Connection;
use super::drive::get;
use super::process::Usage;
use super::tally::Tally;
use crate::error::{CliError, Result};
use crate::out::Out;
use crate::span::Span;
use crate::table::{Format, Table};

/// Arguments of `fairway bench paths`.
#[derive(Debug, clap::Args)]
pub(super) struct PathsArgs {
    /// Address and port of the hub; plain HTTP
    #[arg(long, value_name = "ADDR")]
    server: SocketAddr,
    /// Process of the hub on this machine, to look at what it uses
    #[arg(long)]
    pid: u32,
    /// How long each
    #[arg(long, value_name = "TIME", default_value = "5s")]
    duration: Span,
    /// Keep-alive connections
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1000))]
    connections: u32,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    /// What to ask for. One that has an entity tag is asked for twice: plainly, and with it. The
    /// first is what the others are compared with
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

/// One path, asked for in one way.
#[derive(Debug, Serialize)]
pub(super) struct Figure {
    path: String,
    status: u16,
    body_bytes: usize,
    per_s: f64,
    p99_ms: f64,
    pub(super) server_cpu_us: f64,
    /// Processor time of the first path over this one's: 1 is as cheap.
    ratio: f64,
}

/// Runs `fairway bench paths`.
pub(super) async fn run(args: &PathsArgs, out: &mut Out) -> Result<()> {
    let asking = Asking {
        server: args.server,
        pid: args.pid,
        duration: Duration::from_secs(args.duration.0),
        connections: args.connections,
    };
    let mut figures: Vec<Figure> = Vec::new();
    for path in &args.paths {
        let plain = asking.measure(path, None).await?;
        let etag = plain.1;
        figures.push(plain.0);
        if let Some(etag) = etag {
            figures.push(asking.measure(path, Some(&etag)).await?.0);
        }
    }
    let first = figures.first().map_or(0.0, |figure| figure.server_cpu_us);
    for figure in &mut figures {
        figure.ratio = first / figure.server_cpu_us.max(0.01);
    }
    match args.output {
        Format::Json => out.json(&figures),
        Format::Csv => out.csv(&table(&figures)),
        Format::Table => out.table(&table(&figures)),
    }
}

fn table(figures: &[Figure]) -> Table {
    let mut table =
        Table::new(&["path", "status", "body_bytes", "per_s", "p99_ms", "server_cpu_us", "ratio"]);
    for figure in figures {
        table.row(vec![
            figure.path.clone(),
            figure.status.to_string(),
            figure.body_bytes.to_string(),
            format!("{:.0}", figure.per_s),
            format!("{:.1}", figure.p99_ms),
            format!("{:.2}", figure.server_cpu_us),
            format!("{:.2}", figure.ratio),
        ]);
    }
    table
}

/// Whom to ask, and how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking {
    /// The hub.
    pub(super) server: SocketAddr,
    /// Its process.
    pub(super) pid: u32,
    /// How long.
    pub(super) duration: Duration,
    /// Connections.
    pub(super) connections: u32,
}

impl Asking {
    /// Asks for a path as often as it is answered; also says its `ETag`.
    pub(super) async fn measure(
        self,
        path: &str,
        etag: Option<&str>,
    ) -> Result<(Figure, Option<String>)> {
        let Self { server, pid, duration, connections } = self;
        let request: Arc<[u8]> = get(&server.to_string(), path, etag).into();
        let lost = |e: std::io::Error| CliError::because(format!("failed to ask for {path}"), &e);
        let sample = Connection::new(server).exchange(&request).await.map_err(lost)?;
        let (before, began) = (Usage::of(pid)?, Instant::now());
        let until = began + duration;
        let tally = Arc::new(Mutex::new(Tally::default()));
        let mut workers = JoinSet::new();
        for _ in 0..connections {
            let (request, tally) = (Arc::clone(&request), Arc::clone(&tally));
            let status = sample.status;
            workers.spawn(async move {
                let mut connection = Connection::new(server);
                while Instant::now() < until {
                    let sent = Instant::now();
                    let answer = connection.exchange(&request).await;
                    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                    match answer {
                        Ok(answer) if answer.status == status => tally.good(sent.elapsed()),
                        Ok(answer) => tally.other(format!("status {}", answer.status)),
                        Err(error) => tally.other(error.kind().to_string()),
                    }
                }
            });
        }
        while let Some(joined) = workers.join_next().await {
            joined.map_err(|e| CliError::because("a connection broke the run", &e))?;
        }
        let (after, took) = (Usage::of(pid)?, began.elapsed().as_secs_f64());
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((kind, count)) = tally.others().iter().next() {
            return Err(CliError::failed(format!("{path}: {count} answers were: {kind}")));
        }
        let answers = u32::try_from(tally.count()).map_or(f64::INFINITY, f64::from).max(1.0);
        let [_, p99_ms, ..] = tally.percentiles_ms();
        let figure = Figure {
            path: path.to_owned(),
            status: sample.status,
            body_bytes: sample.body.len(),
            per_s: answers / took,
            p99_ms,
            server_cpu_us: (after.cpu_s - before.cpu_s) * 1e6 / answers,
            ratio: 1.0,
        };
        Ok((figure, sample.etag))
    }
}
