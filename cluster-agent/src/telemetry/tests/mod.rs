//! The filter and the parser behind it, names, and fetching.

mod alias_names;
mod fetching;
mod mangling;
mod oracle;
mod reading;
mod real_pages;
mod secured;
