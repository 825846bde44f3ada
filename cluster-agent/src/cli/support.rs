//! `support-bundle`: one file for somebody who helps from afar.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use super::{Answer, ConfigArgs, commands};
use crate::clock;
use crate::footprint::support::{Pages, bundle};

/// `support-bundle`.
#[derive(Debug, Clone, Args)]
pub struct SupportArgs {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Where to write it, readable by its owner alone; stdout unless given.
    #[arg(long)]
    pub output: Option<PathBuf>,
    /// Leave out the units' metrics pages.
    #[arg(long)]
    pub no_pages: bool,
}

pub(super) fn support(args: &SupportArgs) -> anyhow::Result<Answer> {
    let pages = if args.no_pages { Pages::Left } else { Pages::Asked };
    let making = bundle(&args.config.config, pages, clock::now());
    let text = commands::runtime()?.block_on(making)?;
    let Some(path) = &args.output else { return Ok(Answer::yes(text)) };
    write_private(path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    let note = "read it before you pass it on: it names hosts, units and releases";
    Ok(Answer::yes(format!("wrote {}; {note}\n", path.display())))
}

/// Puts the file in its place only when it is whole, and always as a new one: rights of a file that
/// was there before do not count.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => {
            let why = "it is there and no file; without --output the bundle is printed";
            return Err(std::io::Error::new(std::io::ErrorKind::AlreadyExists, why));
        }
        Ok(_) | Err(_) => {}
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let beside = path.with_file_name(format!(".{name}.{}.tmp", uuid::Uuid::new_v4()));
    let mut file =
        std::fs::File::options().create_new(true).write(true).mode(0o600).open(&beside)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        // What went wrong is told; a file that cannot be removed either is only in the way.
        let _ = std::fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_bundle_is_its_owners_alone_whatever_was_there_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bundle.json");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let open = std::fs::File::open(&path).unwrap();
        write_private(&path, "new").unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(std::io::read_to_string(open).unwrap(), "old", "whoever had it open sees none");
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(left.len(), 1);
    }

    #[test]
    fn what_is_no_file_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        assert!(write_private(&link, "new").is_err());
        assert!(write_private(dir.path(), "new").is_err());
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    }
}
