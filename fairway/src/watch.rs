//! `--watch`: an answer shown again and again, redrawn on a terminal, continued elsewhere.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock;
use crate::colour::Stream;
use crate::error::{CliError, Exit, Result};
use crate::out::Out;

/// Back to the first column of the first line.
const HOME: &str = "\x1b[H";

/// Clears what is behind the cursor on its line.
const CLEAR_LINE: &str = "\x1b[K";

/// Clears everything behind the cursor.
const CLEAR_BELOW: &str = "\x1b[J";

/// Lines drawn at most: more than any terminal has are not seen, and would scroll it.
const MAX_LINES: usize = 500;

/// Lines drawn where the environment does not say how many there are.
const LINES_ASSUMED: usize = 24;

/// Whether an answer is shown once.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct WatchArgs {
    /// Show it again every 5 seconds, or every so many (1 to 3600), until Ctrl-C
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "5",
        value_parser = clap::value_parser!(u64).range(1..=3_600)
    )]
    watch: Option<u64>,
}

impl WatchArgs {
    /// Whether it was asked for.
    pub(crate) fn is_used(&self) -> bool {
        self.watch.is_some()
    }

    /// Shows the answer once, or until Ctrl-C, which is no failure. The first answer must come; a
    /// later one that does not is told, and asked for again.
    pub(crate) async fn run(
        &self,
        now: Timestamp,
        out: &mut Out,
        mut show: impl AsyncFnMut(Timestamp, &mut Out) -> Result<()>,
    ) -> Result<()> {
        let Some(seconds) = self.watch else { return show(now, out).await };
        tokio::select! {
            ended = rounds(now, Duration::from_secs(seconds), out, &mut show) => ended,
            stopped = tokio::signal::ctrl_c() => {
                stopped.map_err(|error| CliError::because("failed to wait for Ctrl-C", &error))
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    First,
    Later,
}

/// Ends only by failing.
async fn rounds(
    first: Timestamp,
    pause: Duration,
    out: &mut Out,
    show: &mut impl AsyncFnMut(Timestamp, &mut Out) -> Result<()>,
) -> Result<()> {
    let mut at = first;
    let mut shown = Round::First;
    loop {
        round(at, pause, shown, out, show).await?;
        shown = Round::Later;
        tokio::time::sleep(pause).await;
        at = clock::now();
    }
}

async fn round(
    at: Timestamp,
    pause: Duration,
    round: Round,
    out: &mut Out,
    show: &mut impl AsyncFnMut(Timestamp, &mut Out) -> Result<()>,
) -> Result<()> {
    let redrawn = out.ends() == Stream::Terminal;
    if redrawn {
        out.begin_frame();
    }
    let result = show(at, out).await;
    let outcome = match result {
        Err(error) if is_final(&error, round) => Err(error),
        Err(error) => out.error(&error),
        Ok(()) => Ok(()),
    };
    if !redrawn {
        return outcome;
    }
    let frame = out.take_frame();
    if outcome.is_err() {
        // What was written before it failed is not lost.
        out.data(&frame)?;
        return outcome;
    }
    let foot = format!("{} UTC, every {} s; Ctrl-C ends", at.strftime("%H:%M:%S"), pause.as_secs());
    out.data(&drawn(&frame, &foot, lines_of_terminal()))
}

/// A no is an answer and is shown; whoever cannot be asked at first is not asked again.
fn is_final(error: &CliError, round: Round) -> bool {
    match (error.exit(), round) {
        (Exit::Silent, _) | (Exit::Failure, Round::First) => true,
        (Exit::No, _) | (Exit::Failure, Round::Later) => false,
    }
}

/// `LINES` where a shell exports it.
fn lines_of_terminal() -> usize {
    let said = std::env::var("LINES").ok().and_then(|text| text.parse().ok());
    said.unwrap_or(LINES_ASSUMED).clamp(4, MAX_LINES)
}

/// One picture: every line overwrites the one that was there, and what does not fit is counted.
fn drawn(frame: &str, foot: &str, lines: usize) -> String {
    let room = lines.saturating_sub(2);
    let all: Vec<&str> = frame.lines().collect();
    let mut text = String::from(HOME);
    for line in all.iter().take(room) {
        text.push_str(line);
        text.push_str(CLEAR_LINE);
        text.push('\n');
    }
    let rest = all.len().saturating_sub(room);
    let more = if rest > 0 { format!("{rest} more lines; ") } else { String::new() };
    // Writing to a String cannot fail.
    let _infallible = writeln!(text, "{more}{foot}{CLEAR_LINE}{CLEAR_BELOW}");
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::out::capture;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        watch: WatchArgs,
    }

    fn seconds(words: &[&str]) -> Option<u64> {
        let words = std::iter::once("x").chain(words.iter().copied());
        Cli::try_parse_from(words).unwrap().watch.watch
    }

    #[test]
    fn the_rate_is_bounded_and_has_a_default() {
        assert_eq!(seconds(&[]), None);
        assert_eq!(seconds(&["--watch"]), Some(5));
        assert_eq!(seconds(&["--watch=60"]), Some(60));
        for bad in ["--watch=0", "--watch=3601", "--watch=soon"] {
            assert!(Cli::try_parse_from(["x", bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_picture_overwrites_the_one_before_and_counts_what_does_not_fit() {
        let picture = drawn("a\nb\nc\nd\n", "foot", 4);
        assert_eq!(picture, "\x1b[Ha\x1b[K\nb\x1b[K\n2 more lines; foot\x1b[K\x1b[J\n");
        assert_eq!(drawn("a\n", "foot", 4), "\x1b[Ha\x1b[K\nfoot\x1b[K\x1b[J\n");
    }

    /// Answers one after the other; the last one ends the watch as a reader that goes away does.
    async fn watched(out: &mut crate::out::Out, answers: Vec<Result<&str>>) -> Result<()> {
        let mut answers = answers.into_iter();
        let at = "2026-05-01T12:00:00Z".parse().unwrap();
        rounds(at, Duration::ZERO, out, &mut async |_, out: &mut Out| match answers.next() {
            Some(Ok(text)) => out.line(text),
            Some(Err(error)) => Err(error),
            None => Err(std::io::Error::from(std::io::ErrorKind::BrokenPipe).into()),
        })
        .await
    }

    #[tokio::test]
    async fn a_hub_that_is_away_for_a_while_is_asked_again() {
        let (mut out, stdout, stderr) = capture::out();
        let answers =
            vec![Ok("one"), Err(CliError::failed("away")), Err(CliError::no("no")), Ok("two")];
        let ended = watched(&mut out, answers).await.unwrap_err();
        assert_eq!(ended.exit(), Exit::Silent);
        assert_eq!(stdout.text(), "one\ntwo\n");
        assert_eq!(stderr.text(), "error: away\nerror: no\n");
    }

    #[tokio::test]
    async fn a_hub_that_was_never_there_is_a_failure() {
        let (mut out, stdout, _) = capture::out();
        let ended = watched(&mut out, vec![Err(CliError::failed("away"))]).await.unwrap_err();
        assert_eq!((ended.exit(), stdout.text().as_str()), (Exit::Failure, ""));
    }

    #[tokio::test]
    async fn a_terminal_is_redrawn() {
        let (out, stdout, _) = capture::out();
        let mut out = out.on_terminal();
        watched(&mut out, vec![Ok("one"), Ok("two")]).await.unwrap_err();
        let text = stdout.text();
        let pictures: Vec<&str> = text.split(HOME).skip(1).collect();
        assert!(pictures[0].starts_with("one\x1b[K\n12:00:00 UTC, every 0 s"), "{text:?}");
        assert!(pictures[1].starts_with("two\x1b[K\n"), "{text:?}");
    }
}
