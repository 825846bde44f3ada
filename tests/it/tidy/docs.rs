//! Documents point at files that exist and quote commands that exist.

use std::path::PathBuf;

use super::{assert_none, files_below, root};

fn documents() -> Vec<PathBuf> {
    files_below(&root(), &["md"])
}

#[test]
fn relative_links_lead_somewhere() {
    let mut faults = Vec::new();
    for path in documents() {
        let text = std::fs::read_to_string(&path).expect("utf-8 text");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            if !path.parent().expect("a folder").join(file).exists() {
                faults.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert_none("links to nowhere", &faults);
}
