//! Root files in a row, walked exactly as an agent walks them.

use signing::metadata::{Document, Root};
use signing::repository::check_root_chain;

use crate::error::{CliError, Result};

/// One accepted root.
#[derive(Debug)]
pub(crate) struct Step {
    /// The root.
    pub(crate) root: Document<Root>,
}

/// Orders roots by version and walks them from the oldest, which is trusted by being pinned. Copies
/// of one root are one; two different ones of a version are an error.
pub(crate) fn walk(mut roots: Vec<Document<Root>>) -> Result<Vec<Step>> {
    roots.sort_by_key(|root| root.body.version);
    let mut steps: Vec<Step> = Vec::new();
    for root in roots {
        let version = root.body.version;
        match steps.last() {
            Some(last) if last.root.canonical() == root.canonical() => continue,
            Some(last) if last.root.body.version == version => {
                return Err(CliError::no(format!("there are two different roots {version}")));
            }
            Some(last) if version > last.root.body.version.saturating_add(1) => {
                let missing = last.root.body.version.saturating_add(1);
                return Err(CliError::no(format!("root {missing} is missing before {version}"))
                    .hint("name every root file in between"));
            }
            Some(_) | None => {}
        }
        let checked = {
            let following = steps.iter().skip(1).map(|step| step.root.raw()).chain([root.raw()]);
            match steps.first() {
                Some(first) => check_root_chain(first.root.raw(), following),
                None => check_root_chain(root.raw(), []),
            }
        };
        checked.map_err(|error| {
            CliError::no(format!("agents refuse root {version}: {}", crate::error::chain(&error)))
        })?;
        steps.push(Step { root });
    }
    Ok(steps)
}
