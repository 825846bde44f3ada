//! The filter: a form that is sent as the page's own address, so that every view is a link.

use std::collections::BTreeSet;

use channels::rollout::Labels;
use channels::wire::{HealthVerdict, Phase};

use super::ask::{Ask, GROUP, LABELS};
use crate::http::api::clusters::{FRESHNESS, PHASES, VERDICTS};

/// Values offered for one field; what is not among them is typed into the selector.
const MAX_OFFERED: usize = 100;
/// What a link may ask for and no field of the form does.
const BY_LINK: [&str; 8] =
    ["activity", "drift", "hops_min", "hops_max", "age_min_days", "age_max_days", "risk", "site"];

/// What there is to choose from.
#[derive(Debug, Clone, Default)]
pub(super) struct Offered {
    pub(super) products: BTreeSet<String>,
    pub(super) channels: BTreeSet<String>,
    /// Values of the labels that have a field, in the order of [`LABELS`].
    pub(super) labels: [BTreeSet<String>; LABELS.len()],
}

impl Offered {
    /// Takes the values of a label set in.
    pub(super) fn add(&mut self, labels: &Labels) {
        for (label, values) in LABELS.iter().zip(&mut self.labels) {
            if let Some(value) = labels.get(*label).filter(|_| values.len() < MAX_OFFERED) {
                values.insert(value.clone());
            }
        }
    }
}

/// The form.
#[derive(Debug)]
pub(super) struct Form {
    pub(super) choices: Vec<Choice>,
    pub(super) texts: Vec<Text>,
    pub(super) by_link: Vec<Kept>,
    pub(super) narrow: bool,
}

/// A field with its values.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    /// What is shown for no value.
    pub(super) any: &'static str,
    pub(super) values: Vec<Value>,
}

/// A value.
#[derive(Debug)]
pub(super) struct Value {
    pub(super) text: String,
    pub(super) chosen: bool,
}

/// A field to type in.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) value: String,
    pub(super) hint: &'static str,
}

/// What a link asked for: kept when the form is sent.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) name: &'static str,
    pub(super) value: String,
}

fn choice(
    ask: &Ask,
    (name, label, any): (&'static str, &'static str, &'static str),
    values: impl IntoIterator<Item = String>,
) -> Choice {
    let chosen = ask.field(name);
    let mut values: Vec<Value> = values
        .into_iter()
        .take(MAX_OFFERED)
        .map(|text| Value { chosen: text == chosen, text })
        .collect();
    if !chosen.is_empty() && values.iter().all(|value| !value.chosen) {
        // What was asked for stays, though there is no such thing.
        values.push(Value { text: chosen.to_owned(), chosen: true });
    }
    Choice { name, label, any, values }
}

/// The form as somebody left it.
pub(super) fn form(ask: &Ask, offered: &Offered) -> Form {
    let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let phases: Vec<&str> = PHASES.iter().map(|phase: &Phase| phase.as_str()).collect();
    let verdicts: Vec<&str> = VERDICTS.iter().map(|v: &HealthVerdict| v.as_str()).collect();
    let fresh: Vec<&str> = FRESHNESS.iter().map(|class| class.as_str()).collect();
    let mut choices = vec![
        choice(ask, ("product", "Product", "all"), offered.products.iter().cloned()),
        choice(ask, ("channel", "Channel", "all"), offered.channels.iter().cloned()),
    ];
    for ((name, label), values) in LABELS.into_iter().zip(["Ring", "Region"]).zip(&offered.labels) {
        if !values.is_empty() || !ask.field(name).is_empty() {
            choices.push(choice(ask, (name, label, "all"), values.iter().cloned()));
        }
    }
    choices.extend([
        choice(ask, ("phase", "Phase", "any"), names(&phases)),
        choice(ask, ("health", "Health", "any"), names(&verdicts)),
        choice(ask, ("freshness", "Last report", "any"), names(&fresh)),
        choice(ask, (GROUP, "Strip by", "channel"), names(&LABELS)),
    ]);
    let text = |name, label, hint| Text { name, label, hint, value: ask.field(name).to_owned() };
    let by_link = BY_LINK.into_iter().map(|name| Kept { name, value: ask.field(name).to_owned() });
    Form {
        choices,
        texts: vec![
            text("name", "Name begins with", "shop-"),
            text("version", "Version", "4.2.0"),
            text("selector", "Labels", "env=prod,!canary"),
        ],
        by_link: by_link.filter(|kept| !kept.value.is_empty()).collect(),
        narrow: ask.is_narrow(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_holds_what_was_asked_for_even_where_there_is_no_such_thing() {
        let mut offered = Offered::default();
        offered.add(&Labels::from([("region".to_owned(), "eu".to_owned())]));
        let ask = Ask::read("region=mars&drift=behind&hops_min=2&name=x").unwrap();
        let form = form(&ask, &offered);
        let region = form.choices.iter().find(|choice| choice.name == "region").unwrap();
        let values: Vec<_> = region.values.iter().map(|v| (v.text.as_str(), v.chosen)).collect();
        assert_eq!(values, [("eu", false), ("mars", true)]);
        assert!(form.choices.iter().all(|choice| choice.name != "ring"), "nobody has that label");
        let kept: Vec<_> =
            form.by_link.iter().map(|kept| (kept.name, kept.value.as_str())).collect();
        assert_eq!(kept, [("drift", "behind"), ("hops_min", "2")]);
        assert!(form.narrow);
    }
}
