//! Vendors and their hub's admin.
