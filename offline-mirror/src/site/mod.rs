//! What a site is, has and has received: identity, inventory, receipts.
