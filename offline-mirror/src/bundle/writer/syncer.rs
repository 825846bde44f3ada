//! The thread that waits for the disk, so that downloads do not.

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use crate::bundle::error::BundleError;

use super::shared::{Shared, lock};

/// Syncs whenever it is woken, until it is dropped; dropping waits for the last sync.
#[derive(Debug)]
pub(super) struct Syncer {
    shared: Weak<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    pub(super) fn start(shared: &Arc<Shared>) -> Result<Self, BundleError> {
        // One wake that waits is as good as many.
        let (wake, woken) = sync_channel(1);
        let weak = Arc::downgrade(shared);
        let seen = Weak::clone(&weak);
        let thread = std::thread::Builder::new().name("bundle-sync".to_owned()).spawn(move || {
            while woken.recv().is_ok() {
                let Some(shared) = seen.upgrade() else { return };
                // Whoever writes or finishes next meets the same failure and reports it.
                if let Err(error) = shared.sync() {
                    tracing::warn!(%error, "the bundle cannot be synced");
                }
            }
        });
        let thread = thread.map_err(BundleError::io("start a thread for", &shared.dir))?;
        *lock(&shared.wake) = Some(wake);
        Ok(Self { shared: weak, thread: Some(thread) })
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            lock(&shared.wake).take();
        }
        if let Some(thread) = self.thread.take() {
            // It only syncs; a panic there has been printed.
            drop(thread.join());
        }
    }
}
