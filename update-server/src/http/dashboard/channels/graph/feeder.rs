//! Where a channel's releases come from and go on to, in words.

use channels::graph::{Feeding, SoakRule};
use channels::names::ChannelName;
use jiff::Span;
use jiff::fmt::friendly::{Designator, Spacing, SpanPrinter};

use super::ChannelFacts;
use crate::fleet::GraphKey;
use crate::http::dashboard::channels::address;

/// Another channel of the product, with its page where it has one.
#[derive(Debug)]
pub(super) struct Neighbour {
    pub(super) name: String,
    pub(super) href: Option<String>,
}

/// The feeder's rule.
#[derive(Debug)]
pub(super) struct Feeder {
    pub(super) from: Neighbour,
    /// What is asked of a release; each goes on from "it".
    pub(super) needs: Vec<String>,
}

/// The feeder of a channel, where its graph names one.
pub(super) fn feeder(facts: &ChannelFacts) -> Option<Feeder> {
    let feeding = facts.graph.feeding()?;
    let from = neighbour(&facts.key, &feeding.name, facts.feeder_has_graph);
    Some(Feeder { from, needs: needs(feeding) })
}

/// The channels that this one feeds.
pub(super) fn fed(facts: &ChannelFacts) -> Vec<Neighbour> {
    facts.feeds.iter().map(|name| neighbour(&facts.key, name, true)).collect()
}

fn neighbour(here: &GraphKey, name: &ChannelName, has_graph: bool) -> Neighbour {
    let there = GraphKey { channel: name.clone(), ..here.clone() };
    Neighbour { name: name.to_string(), href: has_graph.then(|| address(&there)) }
}

fn needs(feeding: &Feeding) -> Vec<String> {
    let from = &feeding.name;
    let delay = feeding.delay.map(Span::from).filter(|delay| !delay.is_zero());
    let errata = feeding.errata.as_deref().map(|errata| match errata {
        "public" => "has a public erratum".to_owned(),
        other => format!("has an erratum that is {other}"),
    });
    let all = [
        delay.map(|delay| format!("has been in {from} for {}", long(&delay))),
        feeding.filter.as_ref().map(|filter| format!("has a version that matches {filter}")),
        errata,
        feeding.soak.as_ref().map(|rule| soak(rule, from)),
    ];
    all.into_iter().flatten().collect()
}

fn soak(SoakRule { clusters, days, max_unhealthy }: &SoakRule, from: &ChannelName) -> String {
    format!(
        "has {days} healthy days in a row in {from}: on each, at least {clusters} healthy clusters \
         and at most {max_unhealthy} unhealthy"
    )
}

/// `1 week`, as people say it.
fn long(span: &Span) -> String {
    let printer = SpanPrinter::new().designator(Designator::Verbose);
    printer.spacing(Spacing::BetweenUnitsAndDesignators).span_to_string(span)
}
