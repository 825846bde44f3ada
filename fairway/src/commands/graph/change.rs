//! Carrying out edits of a channel repository: show, check, ask, write.
//!
//! Nothing is written before the edited repository was read, linted and compiled as a whole from a
//! copy, and no edit passes that would leave a version without a way on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use channels::diff::{Stranded, resting_tombstones, stranded};
use channels::edit::FileEdit;
use channels::lint::{Finding, Severity, lint};
use channels::repository::{ProductSource, SETTINGS_FILE, Workspace};
use channels::version::ReleaseVersion;
use jiff::Timestamp;

use super::super::lint as lint_command;
use super::compare::{Graphs, compare, compiled, render, summary};
use super::fleet;
use crate::commands::request::Ask;
use crate::error::{CliError, Result};
use crate::files::{read_bounded, replace};
use crate::hub::HubArgs;
use crate::out::{Out, printable};
use crate::words::count;

/// What a repository's reader looks at in a product's directory, besides its settings.
const FOLDERS: [&str; 4] = ["releases", "channels", "internal-channels", "blocked-edges"];

/// Largest file edited: the bound of the repository's reader.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Flags of every command that edits a channel repository.
#[derive(Debug, clap::Args)]
pub(crate) struct ChangeArgs {
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Show what would change and write nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    #[command(flatten)]
    pub(crate) hub: HubArgs,
}

/// The text of a file of a repository; `None` when there is none.
pub(crate) fn read(dir: &Path, file: &Path) -> Result<Option<String>> {
    let failed =
        |problem: String| CliError::failed(format!("failed to read {}: {problem}", file.display()));
    match read_bounded(&dir.join(file), MAX_FILE_BYTES) {
        Ok(bytes) => String::from_utf8(bytes).map(Some).map_err(|_| failed("not text".into())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// The edit of one file from a function of its text; a refusal names the file.
pub(crate) fn edit<E: std::error::Error + 'static>(
    dir: &Path,
    file: PathBuf,
    change: impl FnOnce(&str) -> std::result::Result<String, E>,
) -> Result<FileEdit> {
    let before = read(dir, &file)?.unwrap_or_default();
    let after = change(&before).map_err(|error| refused(&file, &error))?;
    Ok(FileEdit { file, before: Some(before), after: Some(after) })
}

/// What an edit that was refused tells a person.
pub(crate) fn refused(file: &Path, error: &(dyn std::error::Error + 'static)) -> CliError {
    CliError::no(format!("{}: {}", file.display(), crate::error::chain(error)))
        .hint("nothing was written")
}

/// Shows the edits and what they do to the graphs and the fleet, asks, and writes.
pub(crate) async fn carry_out(
    dir: &Path,
    workspace: &Workspace,
    edits: &[FileEdit],
    args: &ChangeArgs,
    ask: &Ask,
    now: Timestamp,
    out: &mut Out,
) -> Result<()> {
    let edited = tempfile::tempdir()
        .map_err(|error| CliError::because("failed to make a copy to try this on", &error))?;
    copy(dir, workspace, edits, edited.path())
        .map_err(|error| CliError::because("failed to make a copy to try this on", &error))?;
    for edit in edits {
        out.data(&visible(&edit.unified()))?;
    }
    let after = lint_command::load(edited.path(), out)
        .map_err(|error| CliError::no(error.to_string()).hint("nothing was written"))?;
    let warnings = check_lint(workspace, &after, now, out)?;
    let (old, new) = (compiled(workspace, None)?, compiled(&after, None)?);
    let counted = fleet::count(&args.hub, out).await?;
    let diffs = compare(&old, &new, counted.as_ref())?;
    render(&diffs, out)?;
    check_ways(&old, &new, out)?;
    for warning in warnings {
        out.note(&warning.to_string())?;
    }
    if diffs.is_empty() {
        out.note("no graph changes")?;
    } else {
        out.note(&summary(&diffs, counted.as_ref()))?;
    }
    if args.dry_run {
        return out.note("nothing was written");
    }
    let number = count(edits.len(), "file");
    if !args.yes && !ask(&format!("Write {number} in {}?", dir.display()))? {
        return Err(CliError::no("nothing was written"));
    }
    write(dir, edits)?;
    out.note(&format!("{number} written; look at them, commit, then fairway publish"))
}

/// Copies what the reader of a repository looks at, with the edits made.
fn copy(dir: &Path, workspace: &Workspace, edits: &[FileEdit], to: &Path) -> std::io::Result<()> {
    for ProductSource { directory, .. } in &workspace.products {
        fs::create_dir_all(to.join(directory))?;
        let settings = directory.join(SETTINGS_FILE);
        fs::copy(dir.join(&settings), to.join(&settings))?;
        for folder in FOLDERS.map(|folder| directory.join(folder)) {
            if !dir.join(&folder).is_dir() {
                continue;
            }
            fs::create_dir_all(to.join(&folder))?;
            for entry in fs::read_dir(dir.join(&folder))? {
                let entry = entry?;
                if entry.path().is_file() {
                    fs::copy(entry.path(), to.join(&folder).join(entry.file_name()))?;
                }
            }
        }
    }
    for edit in edits {
        let path = to.join(&edit.file);
        match &edit.after {
            Some(text) => {
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent)?;
                }
                fs::write(path, text)?;
            }
            None => fs::remove_file(path)?,
        }
    }
    Ok(())
}

/// Refuses errors that were not there before; new warnings are the answer.
fn check_lint(
    before: &Workspace,
    after: &Workspace,
    now: Timestamp,
    out: &mut Out,
) -> Result<Vec<Finding>> {
    let known = lint(before, now);
    let new = lint(after, now).into_iter().filter(|finding| !known.contains(finding));
    let (errors, rest): (Vec<Finding>, Vec<Finding>) =
        new.partition(|finding| finding.severity == Severity::Error);
    if errors.is_empty() {
        return Ok(rest.into_iter().filter(|one| one.severity == Severity::Warning).collect());
    }
    for finding in &errors {
        out.note(&finding.to_string())?;
    }
    let what = count(errors.len(), "new lint error");
    Err(CliError::no(format!("the edit makes {what}")).hint("nothing was written"))
}

/// Refuses to strand a version; names withdrawn versions that must wait for a newer release.
fn check_ways(old: &Graphs, new: &Graphs, out: &mut Out) -> Result<()> {
    let mut lost: BTreeMap<Stranded, Vec<String>> = BTreeMap::new();
    let mut resting: BTreeMap<ReleaseVersion, Vec<String>> = BTreeMap::new();
    for (key, before) in old {
        let (product, channel, arch) = key;
        let place = || format!("{product} {channel} {arch}");
        let Some(after) = new.get(key) else {
            return Err(CliError::no(format!("the edit empties {}", place()))
                .hint("withdraw releases instead of taking them out; nothing was written"));
        };
        for one in stranded(before, after) {
            lost.entry(one).or_default().push(place());
        }
        let rested = resting_tombstones(before);
        for version in resting_tombstones(after).into_iter().filter(|one| !rested.contains(one)) {
            resting.entry(version).or_default().push(place());
        }
    }
    for (version, places) in &resting {
        let places = places.join(", ");
        out.warn(&format!(
            "clusters on {version} stay there until a newer release lists it in upgrade_from \
             ({places})"
        ))?;
    }
    if lost.is_empty() {
        return Ok(());
    }
    for (one, places) in &lost {
        out.note(&format!("{one} ({})", places.join(", ")))?;
    }
    let versions: BTreeSet<String> = lost.keys().map(|one| one.version().to_string()).collect();
    let versions: Vec<String> = versions.into_iter().collect();
    Err(CliError::no(format!("the edit strands clusters on {}", versions.join(", "))).hint(
        "nothing was written. First give them another way on (a newer release that lists them in \
         upgrade_from), put a risk on the edges instead of removing them, or withdraw the release \
         nothing leads to",
    ))
}

/// Writes all edits, or puts back what was there.
fn write(dir: &Path, edits: &[FileEdit]) -> Result<()> {
    for edit in edits {
        if read(dir, &edit.file)? != edit.before {
            let file = edit.file.display();
            return Err(CliError::failed(format!("{file} was changed meanwhile"))
                .hint("nothing was written; run the command again"));
        }
    }
    for (done, edit) in edits.iter().enumerate() {
        if let Err(error) = put(dir, &edit.file, edit.after.as_deref()) {
            let back = edits[..done].iter().rev();
            let failed: Vec<String> = back
                .filter(|edit| put(dir, &edit.file, edit.before.as_deref()).is_err())
                .map(|edit| edit.file.display().to_string())
                .collect();
            let hint = if failed.is_empty() {
                "everything is as it was".to_owned()
            } else {
                format!("these were written and could not be put back: {}", failed.join(", "))
            };
            let what = format!("failed to write {}", edit.file.display());
            return Err(CliError::because(what, &error).hint(hint));
        }
    }
    Ok(())
}

fn put(dir: &Path, file: &Path, text: Option<&str>) -> std::io::Result<()> {
    let path = dir.join(file);
    match text {
        Some(text) => {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            replace(&path, text.as_bytes())
        }
        None => fs::remove_file(path),
    }
}

/// A diff as a terminal may show it, line by line, with its tabs.
fn visible(diff: &str) -> String {
    let line = |line: &str| {
        let cells: Vec<String> = line.split('\t').map(printable_cell).collect();
        cells.join("\t") + "\n"
    };
    diff.lines().map(line).collect()
}

/// Unlike [`printable`], keeps white space at the end: in a diff it matters.
fn printable_cell(cell: &str) -> String {
    let end = cell.len() - cell.trim_end().len();
    printable(cell) + &" ".repeat(end)
}
