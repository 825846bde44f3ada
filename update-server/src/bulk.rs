//! One change to many clusters: which would change and how, and a digest of exactly that. Pure.
//!
//! The digest is what a person agrees to after a preview. Whoever does it sends the digest back, and
//! a fleet that has changed meanwhile gives another one.

use std::sync::Arc;

use channels::names::{ClusterId, ProductRef};
use channels::rollout::{Labels, labels};
use channels::version::ReleaseVersion;
use channels::wire::{BulkAction, BulkChange, BulkExpect, BulkItem, ProductSettings};
use serde_json::json;
use signing::Sha256Digest;

use crate::store::changed_settings;

/// Most clusters that one change is for: a minute of writes among those of agents.
pub const MAX_CLUSTERS: usize = 100_000;
/// Clusters that one request changes, in one transaction: tenths of a second, in which agents wait for
/// their answers. No fewer than [`MAX_REINVITED`], so that tokens are never a part of what was agreed.
pub const PIECE: usize = 2_000;
/// Most clusters that one request invites again: each is a secret in the answer.
pub const MAX_REINVITED: usize = 1_000;
/// Clusters listed in a preview: a person reads them.
pub const MAX_LISTED: usize = 100;

/// A cluster that a filter matches, with what an action depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// Which.
    pub id: ClusterId,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Arc<Labels>,
    /// What is wanted of its products.
    pub settings: Arc<Vec<ProductSettings>>,
    /// Whether its key is revoked.
    pub revoked: bool,
}

/// What an action would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Every cluster that changes or that it is refused for, in row order.
    pub items: Vec<BulkItem>,
    /// Clusters that are so already.
    pub unchanged: u64,
    /// What a person agrees to.
    pub expect: BulkExpect,
}

/// Works out what `action` does to each of these clusters.
pub fn plan(selected: Vec<Selected>, action: &BulkAction) -> Planned {
    let mut unchanged = 0;
    let mut items = Vec::new();
    for cluster in selected {
        let item = item(cluster, action);
        if is_left(&item, action) {
            unchanged += 1;
        } else {
            items.push(item);
        }
    }
    let expect = expect(&items, action);
    Planned { items, unchanged, expect }
}

/// What one request does of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The clusters it changes, and before the end of these those that are refused.
    pub items: Vec<BulkItem>,
    /// What a plan of the rest will be; `None` if nothing is left.
    pub next: Option<BulkExpect>,
}

/// The first `most` clusters of a plan that change. Those that are refused stay in the plan: they will
/// be in that of the rest as well.
pub fn piece(items: Vec<BulkItem>, most: usize, action: &BulkAction) -> Piece {
    let mut changing = 0_usize;
    let end = items.iter().position(|item| {
        changing += usize::from(item.refused.is_none());
        changing > most
    });
    let Some(end) = end else { return Piece { items, next: None } };
    let mut first = items;
    let rest = first.split_off(end);
    let refused = first.iter().filter(|item| item.refused.is_some());
    let left: Vec<BulkItem> = refused.chain(&rest).cloned().collect();
    Piece { next: Some(expect(&left, action)), items: first }
}

/// Whether the action changes nothing about a cluster that could be changed.
fn is_left(item: &BulkItem, action: &BulkAction) -> bool {
    let always = matches!(action, BulkAction::Retire | BulkAction::Reinvite { .. });
    !always && item.changes.is_empty() && item.refused.is_none()
}

fn item(cluster: Selected, action: &BulkAction) -> BulkItem {
    let changes = match action {
        BulkAction::Label { labels: patch } => labels::patched(&cluster.labels, patch)
            .map(|after| label_changes(&cluster.labels, &after))
            .map_err(|error| error.to_string()),
        BulkAction::Set { product, change } => changed_settings(&cluster.settings, product, change)
            .map(|after| setting_changes(&cluster.settings, &after))
            .map_err(|error| error.to_string()),
        BulkAction::Retire => Ok(vec![whole("retired")]),
        BulkAction::Revoke { .. } if cluster.revoked => Ok(Vec::new()),
        BulkAction::Revoke { .. } => Ok(vec![whole("key revoked")]),
        BulkAction::Reinvite { .. } => Ok(vec![whole("invited again, with a new key")]),
    };
    let (changes, refused) = match changes {
        Ok(changes) => (changes, None),
        Err(why) => (Vec::new(), Some(why)),
    };
    BulkItem { id: cluster.id, name: cluster.name, changes, refused, token: None }
}

fn whole(after: &str) -> BulkChange {
    BulkChange { what: "cluster".to_owned(), before: None, after: Some(after.to_owned()) }
}

fn label_changes(before: &Labels, after: &Labels) -> Vec<BulkChange> {
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    let mut keys: Vec<&String> = after.keys().chain(gone).collect();
    keys.sort_unstable();
    keys.into_iter()
        .filter(|key| before.get(*key) != after.get(*key))
        .map(|key| BulkChange {
            what: format!("label {key}"),
            before: before.get(key).cloned(),
            after: after.get(key).cloned(),
        })
        .collect()
}

fn setting_changes(before: &[ProductSettings], after: &[ProductSettings]) -> Vec<BulkChange> {
    let mut products: Vec<_> =
        before.iter().chain(after).map(|settings| &settings.product).collect();
    products.sort_unstable();
    products.dedup();
    let values = |all: &[ProductSettings], product: &ProductRef| {
        let found = all.iter().find(|settings| settings.product == *product);
        let version = |of: fn(&ProductSettings) -> &Option<ReleaseVersion>| {
            found.and_then(|settings| of(settings).as_ref()).map(ToString::to_string)
        };
        let channel = found.and_then(|settings| settings.channel.as_ref());
        [
            ("channel", channel.map(ToString::to_string)),
            ("pin", version(|settings| &settings.pin)),
            ("max_version", version(|settings| &settings.max_version)),
        ]
    };
    products
        .into_iter()
        .flat_map(|product| {
            let pairs = values(before, product).into_iter().zip(values(after, product));
            pairs.filter(|((_, old), (_, new))| old != new).map(move |((name, old), (_, new))| {
                BulkChange { what: format!("{product} {name}"), before: old, after: new }
            })
        })
        .collect()
}

/// Count and digest over the action, every cluster and every change, in row order.
fn expect(items: &[BulkItem], action: &BulkAction) -> BulkExpect {
    let change = items.iter().filter(|item| item.refused.is_none()).count();
    let clusters = u64::try_from(change).unwrap_or(u64::MAX);
    // Digests of lines, so that no text of the whole is ever built.
    let mut digest = Sha256Digest::of(json!(["fairway-bulk-v1", action]).to_string().as_bytes());
    for item in items {
        let line = json!([digest.hex(), item.id, item.changes, item.refused]);
        digest = Sha256Digest::of(line.to_string().as_bytes());
    }
    BulkExpect { clusters, digest }
}

#[cfg(test)]
mod tests {
    use super::*;
    use channels::rollout::LabelPatch;
    use channels::wire::SettingsPatch;

    fn cluster(n: u128, labels: &[(&str, &str)]) -> Selected {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Selected {
            id: ClusterId(uuid::Uuid::from_u128(n)),
            name: format!("site-{n}"),
            labels: Arc::new(labels),
            settings: Arc::default(),
            revoked: false,
        }
    }

    fn label(key: &str, value: Option<&str>) -> BulkAction {
        let labels = LabelPatch::from([(key.to_owned(), value.map(str::to_owned))]);
        BulkAction::Label { labels }
    }

    #[test]
    fn a_plan_lists_what_changes_and_leaves_out_what_is_so_already() {
        let fleet =
            vec![cluster(1, &[("ring", "a")]), cluster(2, &[("ring", "b")]), cluster(3, &[])];
        let planned = plan(fleet, &label("ring", Some("b")));
        assert_eq!((planned.unchanged, planned.expect.clusters), (1, 2));
        let said: Vec<_> = planned.items.iter().map(|i| (i.name.as_str(), &i.changes[0])).collect();
        let change = |before: Option<&str>| BulkChange {
            what: "label ring".to_owned(),
            before: before.map(str::to_owned),
            after: Some("b".to_owned()),
        };
        assert_eq!(said, [("site-1", &change(Some("a"))), ("site-3", &change(None))]);
    }

    #[test]
    fn another_cluster_value_or_action_is_another_digest_and_the_same_is_the_same() {
        let digest = |fleet: Vec<Selected>, action: &BulkAction| plan(fleet, action).expect.digest;
        let set = label("ring", Some("b"));
        let base = digest(vec![cluster(1, &[])], &set);
        assert_eq!(base, digest(vec![cluster(1, &[]), cluster(2, &[("ring", "b")])], &set));
        let others = [
            digest(vec![cluster(2, &[])], &set),
            digest(vec![cluster(1, &[("ring", "a")])], &set),
            digest(vec![cluster(1, &[]), cluster(2, &[])], &set),
            digest(vec![cluster(1, &[])], &label("ring", Some("c"))),
            digest(vec![], &set),
            digest(vec![cluster(1, &[])], &BulkAction::Retire),
        ];
        assert!(others.iter().all(|other| *other != base));
    }

    #[test]
    fn settings_change_by_product_and_a_pin_above_the_limit_is_refused_for_that_cluster() {
        let product: ProductRef = "acme/kafka".parse().unwrap();
        let version = |text: &str| -> channels::version::ReleaseVersion { text.parse().unwrap() };
        let own = ProductSettings {
            max_version: Some(version("4.1.0")),
            ..ProductSettings::none(product.clone())
        };
        let limited = Selected { settings: Arc::new(vec![own]), ..cluster(2, &[]) };
        let change = SettingsPatch { pin: Some(version("4.2.0")).into(), ..Default::default() };
        let action = BulkAction::Set { product, change };
        let planned = plan(vec![cluster(1, &[]), limited], &action);
        let [first, second] = planned.items.as_slice() else { panic!("{planned:?}") };
        assert_eq!(first.changes[0].what, "acme/kafka pin");
        assert!(second.refused.as_ref().unwrap().contains("4.1.0"), "{second:?}");
        assert_eq!(planned.expect.clusters, 1, "that one is not among those that change");
    }

    #[test]
    fn the_rest_of_a_plan_is_what_a_plan_after_the_first_piece_says() {
        let product: ProductRef = "acme/kafka".parse().unwrap();
        let limited = ProductSettings {
            max_version: Some("4.1.0".parse().unwrap()),
            ..ProductSettings::none(product.clone())
        };
        let pinned = ProductSettings {
            pin: Some("4.2.0".parse().unwrap()),
            ..ProductSettings::none(product.clone())
        };
        let of = |n: u128, own: Option<&ProductSettings>| Selected {
            settings: Arc::new(own.into_iter().cloned().collect()),
            ..cluster(n, &[])
        };
        let change =
            SettingsPatch { pin: Some("4.2.0".parse().unwrap()).into(), ..Default::default() };
        let action = BulkAction::Set { product, change };
        let before = [of(1, None), of(2, Some(&limited)), of(3, None), of(4, None)];
        let Piece { items, next } = piece(plan(before.to_vec(), &action).items, 2, &action);
        assert_eq!(items.len(), 3, "two that change, and the refused one between them");
        let after =
            [of(1, Some(&pinned)), of(2, Some(&limited)), of(3, Some(&pinned)), of(4, None)];
        let rest = plan(after.to_vec(), &action);
        assert_eq!(next, Some(rest.expect));
        assert_eq!(rest.expect.clusters, 1);
        assert_eq!(piece(rest.items, 2, &action).next, None);
    }
}
