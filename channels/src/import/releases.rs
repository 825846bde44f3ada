//! Release files out of what graph data and a table of payloads know.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::repository::ReleaseSource;
use crate::version::Requirement;
use crate::wire::Role;

/// Path and text of a release file.
///
/// The payload is also the only component: it is what a unit of `role` runs.
pub(super) fn write(release: &ReleaseSource, role: Role) -> (PathBuf, String) {
    let document = &release.document;
    let version = &document.version;
    let mut text = String::new();
    let _infallible = writeln!(text, "version: {version}\nreleased_at: {}", document.released_at);
    if let Some(url) = &document.url {
        let _infallible = writeln!(text, "url: {}", super::quoted(url));
    }
    text.push_str("arches:\n");
    for (arch, payload) in &release.payloads {
        let _infallible = write!(
            text,
            "  {arch}:\n    payload: {payload}\n    components:\n      - role: {role}\n        \
             version: {version}\n        image: {payload}\n"
        );
        if let Some(fewer) = release.narrowed.get(arch) {
            let _infallible = writeln!(text, "    upgrade_from: {}", list(fewer));
        }
    }
    let _infallible = writeln!(text, "upgrade_from: {}", list(&document.upgrade_from));
    (Path::new("releases").join(format!("{version}.yaml")), text)
}

fn list(requirements: &[Requirement]) -> String {
    let texts: Vec<String> =
        requirements.iter().map(|one| super::quoted(&one.to_string())).collect();
    format!("[{}]", texts.join(", "))
}
