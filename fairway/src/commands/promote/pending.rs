//! What may enter a channel, and when the rest may.

use channels::promotion::{PROMOTIONS_FILE, Verdict, Wait};

use super::super::print as print_answer;
use crate::error::Result;
use crate::out::Out;
use crate::table::{Format, Table, cell};

/// Prints verdicts as a table, JSON or CSV.
pub(super) fn print(verdicts: &[Verdict], format: Format, out: &mut Out) -> Result<()> {
    let render = || {
        let mut table =
            Table::new(&["channel", "version", "feeder", "entered", "due", "earliest", "waits"]);
        for verdict in verdicts {
            table.row(vec![
                verdict.channel.to_string(),
                verdict.version.to_string(),
                cell(verdict.feeder.as_ref()),
                cell(verdict.entered.as_ref()),
                if verdict.may_enter() { "yes" } else { "no" }.to_owned(),
                cell(verdict.earliest.as_ref()),
                told(verdict),
            ]);
        }
        table
    };
    print_answer(out, format, &verdicts, render, "every channel has all that its feeder has")
}

fn told(verdict: &Verdict) -> String {
    verdict.waits.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// One line on a release that must wait.
pub(super) fn line(verdict: &Verdict) -> String {
    let Verdict { channel, version, .. } = verdict;
    let when = verdict
        .earliest
        .map_or_else(String::new, |earliest| format!(" (at the earliest {earliest})"));
    format!("{version} waits for {channel}: {}{when}", told(verdict))
}

/// What to do about a release that must wait.
pub(super) fn hint(verdict: &Verdict) -> String {
    let unknown = verdict.waits.iter().any(|wait| matches!(wait, Wait::EntryUnknown { .. }));
    match (unknown, verdict.earliest) {
        (true, _) => format!(
            "write when it entered into {PROMOTIONS_FILE}, or pass --early REASON to promote it \
             now"
        ),
        (false, Some(earliest)) => {
            format!("wait until {earliest}, or pass --early REASON to promote it now")
        }
        (false, None) => "pass --early REASON to promote it all the same".to_owned(),
    }
}
