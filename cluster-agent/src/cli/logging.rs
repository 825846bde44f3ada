//! Where log lines go and what they look like.
//!
//! A JSON line has `timestamp`, `level`, `target` and `message`; what it is about stands beside
//! them under names that stay: `unit`, `phase`, `gate`, `step.id`, `product`, `error`, ….

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The filter unless `FAIRWAY_LOG` holds one. The client of the API server says of every request
/// that fails that it did, and not why; who asked says both, once.
const FILTER: &str = "info,kube_client::client::builder=off";

/// Sends log lines to stderr. `FAIRWAY_LOG` holds a filter, by default `info`.
pub(super) fn start(format: Option<LogFormat>) {
    let filter = EnvFilter::try_from_env("FAIRWAY_LOG").unwrap_or_else(|_| EnvFilter::new(FILTER));
    let terminal = std::io::stderr().is_terminal();
    let format = format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
    // A program that carries the agent may have started its own logging: that one stays.
    let _already_there = match format {
        LogFormat::Text => tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(terminal)
            .finish()
            .try_init(),
        LogFormat::Json => json(filter, std::io::stderr).try_init(),
    };
}

fn json<W>(filter: EnvFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .json()
        .flatten_event(true)
        .finish()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_json_line_has_the_names_that_log_stores_are_told() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = json(EnvFilter::new(FILTER), move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!("not shown");
            tracing::error!(target: "kube_client::client::builder", "failed, nobody knows why");
            tracing::warn!(unit = "c-1", step.id = "7", gate = "quorum_lag", "paused: {}", "lag\n");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut names: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["gate", "level", "message", "step.id", "target", "timestamp", "unit"]);
        assert_eq!((&line["level"], &line["message"]), (&"WARN".into(), &"paused: lag\n".into()));
        let at: jiff::Timestamp = line["timestamp"].as_str().unwrap().parse().unwrap();
        assert!(at > jiff::Timestamp::UNIX_EPOCH);
    }
}
