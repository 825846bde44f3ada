//! Every operation, in the order of the manual.

mod fleet;
mod people;
mod public;

use super::operation::{Kind, Operation, Query, Who};
use crate::auth::Access;

/// All of them.
pub(super) fn all() -> Vec<Operation> {
    [public::all(), fleet::all(), people::all()].concat()
}

fn anyone(path: &'static str, summary: &'static str) -> Operation {
    Operation::new("GET", path, Who::Anyone, summary)
}

fn agent(path: &'static str, summary: &'static str) -> Operation {
    Operation::new("POST", path, Who::Agent, summary)
}

fn viewer(path: &'static str, summary: &'static str) -> Operation {
    Operation::new("GET", path, Who::Person(Access::Viewer), summary)
}

fn operator(method: &'static str, path: &'static str, summary: &'static str) -> Operation {
    Operation::new(method, path, Who::Person(Access::Operator), summary)
}

fn admin(method: &'static str, path: &'static str, summary: &'static str) -> Operation {
    Operation::new(method, path, Who::Person(Access::Admin), summary)
}

const PRODUCT: Query = ("product", Kind::Text, "Only this product, `vendor/product`.");
const CHANNEL: Query = ("channel", Kind::Text, "Only this channel.");
const LIMIT: Query = ("limit", Kind::Int(1, 500), "Rows; 100 if not given.");
