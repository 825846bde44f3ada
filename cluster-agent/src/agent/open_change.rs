//! Whether a guided command changes the voters of a quorum at the moment.

use jiff::Timestamp;

use crate::config::Settings;
use crate::kafka::change::ChangeFile;
use crate::plan::QuorumChange;

/// The change that is open; a file that cannot be read is one, too.
pub fn open_change(settings: &Settings, now: Timestamp) -> Option<QuorumChange> {
    match ChangeFile::new(&settings.state_dir).read() {
        Ok(None) => None,
        Ok(Some(change)) => Some(QuorumChange {
            product: change.product,
            what: change.goal.to_string(),
            since: change.opened_at,
        }),
        Err(error) => {
            // Without a product there is nothing to roll and nothing to keep.
            let product = settings.products.keys().next()?.clone();
            let what = format!("{error}; `cluster-agent quorum abort` removes it");
            Some(QuorumChange { product, what, since: now })
        }
    }
}
