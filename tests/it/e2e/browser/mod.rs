//! The dashboard in a real browser: every page from the menu, by day and by night, at a desk and on
//! a phone, with and without JavaScript, and axe's opinion of each.
//!
//! `tests/peers/install.sh browser` installs what drives Debian's chromium; without it these tests
//! are left out by name.

mod driver;
mod pages;
mod stage;
mod stories;
mod weight;
