//! Loading one delegated role over one edge (TUF 1.0.34 §5.6.7.2).

use super::limits::{MAX_TARGETS_BYTES, at_most};
use super::{Client, memory};
use crate::error::Error;
use crate::metadata::{DelegatedRole, Document, Targets};
use crate::source::Source;
use crate::store::Store;
use jiff::Timestamp;
use std::sync::Arc;

impl<S: Source, T: Store> Client<S, T> {
    /// The delegate of `edge`, verified with the keys that `delegator` gives it. None if the
    /// snapshot does not know the role: then it does not exist, and nothing is fetched.
    pub(super) async fn delegate(
        &mut self,
        delegator: &Document<Targets>,
        edge: &DelegatedRole,
        now: Timestamp,
    ) -> Result<Option<Arc<Document<Targets>>>, Error> {
        let ready = self.ready.as_ref().ok_or(Error::NotRefreshed)?;
        let Some(pin) = ready.pin(&edge.name) else { return Ok(None) };
        let key = (delegator.digest(), edge.name.clone());
        if let Some(known) = self.delegated.get(&key) {
            known.check_expiry(ready.effective(now))?;
            return Ok(Some(known.clone()));
        }
        let stored = memory::load(&self.store, &edge.name)?;
        let usable = stored.and_then(|bytes| ready.delegated(edge, &bytes, now).ok());
        let document = if let Some(document) = usable {
            document
        } else {
            let file = ready.roots().metadata_file(&edge.name, pin.version);
            let limit = at_most(pin.length, MAX_TARGETS_BYTES);
            let bytes = self.fetch_promised(&file, limit).await?;
            let document = ready.delegated(edge, &bytes, now)?;
            memory::save(&mut self.store, &edge.name, &bytes)?;
            document
        };
        let document = Arc::new(document);
        self.delegated.insert(key, document.clone());
        Ok(Some(document))
    }
}
