//! Tells how far a create is: bars for people, JSON lines for programs. Decides nothing.

use std::io::Write as _;
use std::sync::Mutex;
use std::sync::PoisonError;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::oci::Digest;

/// Bytes between two lines about how far all is: a few lines per second at the most.
const LINE_EVERY_BYTES: u64 = 64 * 1024 * 1024;
/// Characters of a digest that are shown; enough to tell a bundle's blobs apart.
const SHOWN_CHARS: usize = 19;

/// How progress is told.
#[derive(Debug)]
pub struct Progress {
    form: Form,
    state: Mutex<State>,
}

#[derive(Debug)]
enum Form {
    Bar(ProgressBar),
    Lines,
    Nothing,
}

#[derive(Debug, Default)]
struct State {
    done: u64,
    all: u64,
    told: u64,
}

/// One line.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event<'a> {
    /// The plan stands.
    Plan { name: &'a str, sequence: u64, blobs: u64, bytes: u64, went_on: bool },
    /// A blob is being fetched, from the given byte on.
    Blob { digest: &'a Digest, size: u64, from: u64 },
    /// A blob is whole and has its digest.
    BlobDone { digest: &'a Digest, size: u64 },
    /// A blob could not be fetched.
    BlobFailed { digest: &'a Digest, why: &'a str },
    /// How far all blobs together are.
    Bytes { done: u64, all: u64 },
}

impl Progress {
    /// One bar on standard error.
    pub fn bar() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        // A template of ours: were it wrong, the default one shows.
        let style = ProgressStyle::with_template(
            "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} eta {eta} {msg}",
        );
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Self::with(Form::Bar(bar))
    }

    /// JSON lines on standard error.
    pub fn lines() -> Self {
        Self::with(Form::Lines)
    }

    /// Silence.
    pub fn nothing() -> Self {
        Self::with(Form::Nothing)
    }

    fn with(form: Form) -> Self {
        Self { form, state: Mutex::default() }
    }

    pub(super) fn planned(&self, name: &str, sequence: u64, blobs: u64, bytes: u64, went_on: bool) {
        // What is down of it is counted anew: a smaller plan may follow one that came far.
        self.change(|state| *state = State { all: bytes, ..State::default() });
        if let Form::Bar(bar) = &self.form {
            bar.set_length(bytes);
            bar.set_position(0);
        }
        self.tell(&Event::Plan { name, sequence, blobs, bytes, went_on });
    }

    pub(super) fn begun(&self, digest: &Digest, size: u64, from: u64) {
        self.tell(&Event::Blob { digest, size, from });
        self.add(from);
        if let Form::Bar(bar) = &self.form {
            bar.set_message(digest.to_string().chars().take(SHOWN_CHARS).collect::<String>());
        }
    }

    /// Some more bytes are here.
    pub(super) fn add(&self, bytes: u64) {
        let line = self.change(|state| {
            state.done = state.done.saturating_add(bytes);
            let is_due = state.done.saturating_sub(state.told) >= LINE_EVERY_BYTES;
            if is_due {
                state.told = state.done;
            }
            is_due.then_some((state.done, state.all))
        });
        if let Form::Bar(bar) = &self.form {
            bar.inc(bytes);
        }
        if let Some((done, all)) = line {
            self.tell(&Event::Bytes { done, all });
        }
    }

    /// Bytes that were counted are not worth anything after all.
    pub(super) fn lost(&self, bytes: u64) {
        self.change(|state| {
            state.done = state.done.saturating_sub(bytes);
            state.told = state.told.min(state.done);
        });
        if let Form::Bar(bar) = &self.form {
            bar.dec(bytes);
        }
    }

    pub(super) fn done(&self, digest: &Digest, size: u64) {
        self.tell(&Event::BlobDone { digest, size });
    }

    pub(super) fn failed(&self, digest: &Digest, why: &str) {
        self.tell(&Event::BlobFailed { digest, why });
    }

    pub(super) fn ended(&self) {
        if let Form::Bar(bar) = &self.form {
            bar.finish_and_clear();
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A reader that went away does not stop the work.
    fn tell(&self, event: &Event<'_>) {
        if let (Form::Lines, Ok(line)) = (&self.form, serde_json::to_string(event)) {
            drop(writeln!(std::io::stderr(), "{line}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_form_that_programs_read() {
        let digest = Digest::of(b"x");
        let line = |event: &Event<'_>| serde_json::to_string(event).unwrap();
        assert_eq!(
            line(&Event::Plan { name: "b", sequence: 7, blobs: 2, bytes: 9, went_on: false }),
            r#"{"event":"plan","name":"b","sequence":7,"blobs":2,"bytes":9,"went_on":false}"#
        );
        assert_eq!(
            line(&Event::Blob { digest: &digest, size: 9, from: 4 }),
            format!(r#"{{"event":"blob","digest":"{digest}","size":9,"from":4}}"#)
        );
        assert_eq!(
            line(&Event::BlobDone { digest: &digest, size: 9 }),
            format!(r#"{{"event":"blob_done","digest":"{digest}","size":9}}"#)
        );
        assert_eq!(
            line(&Event::Bytes { done: 1, all: 9 }),
            r#"{"event":"bytes","done":1,"all":9}"#
        );
    }

    #[test]
    fn how_far_all_is_is_told_now_and_then() {
        let progress = Progress::nothing();
        progress.planned("b", 1, 1, 3 * LINE_EVERY_BYTES, false);
        progress.add(LINE_EVERY_BYTES - 1);
        assert_eq!(progress.change(|state| state.told), 0);
        progress.add(1);
        assert_eq!(progress.change(|state| state.told), LINE_EVERY_BYTES);
        progress.lost(5);
        assert_eq!(
            progress.change(|state| (state.done, state.told)),
            (LINE_EVERY_BYTES - 5, LINE_EVERY_BYTES - 5)
        );
        progress.planned("b", 1, 1, 9, true);
        let counted = progress.change(|state| (state.done, state.all, state.told));
        assert_eq!(counted, (0, 9, 0), "a smaller plan begins at nothing");
    }
}
