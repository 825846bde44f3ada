//! The example vendor's channel repository, carried inside the binary so that the demo needs no
//! checkout, and written out in two editions: before and after the new releases.

use std::path::Path;

use crate::error::{CliError, Result};

/// Every file of `examples/acme`, by its path below it.
const FILES: &[(&str, &str)] = &include!("example_files.in");

/// Releases the vendor has not made yet when the demo begins.
const HELD_BACK: [(&str, &[&str]); 2] =
    [("kafka", &["4.3.0", "4.3.1"]), ("platform", &["1.34.0", "1.34.1", "1.34.2"])];

/// What the repository holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edition {
    /// Without the releases of [`HELD_BACK`].
    Before,
    /// Everything.
    After,
}

/// Writes the repository below `dir`.
pub(super) fn write(dir: &Path, edition: Edition) -> Result<()> {
    for (path, text) in FILES {
        let text = match edition {
            Edition::After => Some((*text).to_owned()),
            Edition::Before => before(path, text),
        };
        let Some(text) = text else { continue };
        let file = dir.join(path);
        let failed =
            |error: std::io::Error| CliError::because(format!("failed to write {path}"), &error);
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        std::fs::write(&file, text).map_err(failed)?;
    }
    Ok(())
}

/// The file as it was before the new releases; `None` if it did not exist.
fn before(path: &str, text: &str) -> Option<String> {
    let held = HELD_BACK
        .iter()
        .find(|(product, _)| path.starts_with(&format!("{product}/")))
        .map_or(&[][..], |(_, versions)| *versions);
    if held.iter().any(|version| path.ends_with(&format!("/releases/{version}.yaml"))) {
        return None;
    }
    if !path.contains("/channels/") {
        return Some(text.to_owned());
    }
    let listed = |line: &str| {
        line.trim_start().strip_prefix("- ").is_some_and(|version| held.contains(&version.trim()))
    };
    Some(text.lines().filter(|line| !listed(line)).flat_map(|line| [line, "\n"]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_example_is_inside_the_binary() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/acme");
        let mut on_disk = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let path = path.strip_prefix(&root).unwrap();
                    on_disk.push(path.to_str().unwrap().to_owned());
                }
            }
        }
        on_disk.sort();
        let inside: Vec<_> = FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(inside, on_disk, "run examples/embed.sh");
    }

    #[test]
    fn both_editions_lint_clean_and_differ_by_the_held_back_releases() {
        let now = "2026-11-20T00:00:00Z".parse().unwrap();
        let mut versions = Vec::new();
        for edition in [Edition::Before, Edition::After] {
            let dir = tempfile::tempdir().unwrap();
            write(dir.path(), edition).unwrap();
            let workspace = channels::repository::Workspace::load(dir.path()).unwrap();
            let findings = channels::lint::lint(&workspace, now);
            let errors: Vec<_> =
                findings.iter().filter(|f| f.severity == channels::lint::Severity::Error).collect();
            assert!(errors.is_empty(), "{edition:?}: {errors:?}");
            versions.push(workspace.products.iter().map(|p| p.releases.len()).sum::<usize>());
        }
        let held: usize = HELD_BACK.iter().map(|(_, v)| v.len()).sum();
        assert_eq!(versions[1] - versions[0], held);
    }
}
