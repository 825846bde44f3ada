//! Lists of a hub, page by page.

use channels::wire::Page;
use serde::de::DeserializeOwned;

use super::{Hub, PAGE_ROWS};
use crate::error::Result;

impl Hub {
    /// Follows the pages of a list to its end, or until there are `limit` rows; `next` then says
    /// whether there are more.
    pub(crate) async fn pages<T: DeserializeOwned>(
        &self,
        path: &str,
        filters: &[(&str, String)],
        limit: usize,
    ) -> Result<Page<T>> {
        let mut all = Page { items: Vec::new(), next: None };
        loop {
            let room = limit.saturating_sub(all.items.len());
            let mut query = filters.to_vec();
            query.push(("limit", PAGE_ROWS.min(room).to_string()));
            query.extend(all.next.take().map(|cursor| ("cursor", cursor)));
            let page: Page<T> = self.get(path, &query).await?;
            // An empty page that promises more would be asked for again for ever.
            let progressed = !page.items.is_empty();
            all.items.extend(page.items);
            all.items.truncate(limit);
            all.next = page.next;
            if all.next.is_none() || !progressed || all.items.len() >= limit {
                return Ok(all);
            }
        }
    }
}
