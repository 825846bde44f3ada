//! A report: what it says of attempts.

use jiff::Timestamp;

use super::draft::Draft;
use super::facts::Heard;

impl Draft<'_> {
    /// Takes note of a report, before its questions are answered with [`Draft::may_go`].
    pub fn heard(&mut self, heard: &Heard<'_>, now: Timestamp) {
        let _ = (heard, now);
    }
}
