//! A site's own content store.
