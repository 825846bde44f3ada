//! Pictures: golden ones, and that any graph gives valid XML.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::graph::{
    BARRIER_KEY, EOL_KEY, Graph, GraphBuilder, MatchingRule, Node, Origin, Risk, TOMBSTONE_KEY,
};

fn node(version: &str, mark: Option<(&str, &str)>) -> Node {
    let metadata = mark.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter();
    Node {
        version: version.parse().unwrap(),
        payload: String::new(),
        metadata: metadata.collect::<BTreeMap<_, _>>(),
    }
}

fn risk(name: &str, message: &str) -> Risk {
    Risk {
        name: name.into(),
        message: message.into(),
        url: String::new(),
        matching_rules: vec![MatchingRule::Always],
    }
}

fn sample() -> Graph {
    let mut builder = GraphBuilder::new(Some(Origin {
        product: "acme/kafka".parse().unwrap(),
        channel: "stable-4".parse().unwrap(),
        arch: "amd64".parse().unwrap(),
    }));
    let mut add = |version: &str, mark| builder.node(node(version, mark));
    let old = add("3.9.1", None);
    let first = add("4.0.0", None);
    let second = add("4.0.1", Some((BARRIER_KEY, "converts the log")));
    let bad = add("4.1.0", Some((TOMBSTONE_KEY, "true")));
    let head = add("4.1.1", None);
    let risks = builder.risks(vec![risk("Disk\"Fills", "a < b & c\n")]);
    builder.conditional(old, first, risks);
    for (from, to) in
        [(old, second), (first, second), (second, head), (bad, head), (first, head), (head, second)]
    {
        builder.edge(from, to);
    }
    builder.build().unwrap()
}

fn golden(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/draw").join(name);
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn the_picture_is_the_golden_one() {
    assert_eq!(svg(&sample()).unwrap(), golden("sample.svg"));
}

#[test]
fn the_title_of_a_release_tells_its_end_of_life() {
    let mut builder = GraphBuilder::new(None);
    builder.node(node("3.9.1", Some((EOL_KEY, "2026-12-31"))));
    builder.node(node("4.0.0", Some((EOL_KEY, "<soon>"))));
    let text = svg(&builder.build().unwrap()).unwrap();
    assert!(text.contains("<title>3.9.1, end of life 2026-12-31</title>"), "{text}");
    assert!(text.contains("<title>4.0.0, head</title>"), "{text}");
}

#[test]
fn the_text_for_graphviz_is_the_golden_one() {
    assert_eq!(dot(&sample()), golden("sample.dot"));
}

#[test]
fn edges_that_longer_ways_stand_for_are_left_out() {
    let text = svg(&sample()).unwrap();
    assert!(!text.contains("<title>4.0.0 to 4.1.1</title>"), "4.0.0 > 4.0.1 > 4.1.1 says it");
    assert!(text.contains("<title>4.0.1 to 4.1.1</title>"));
    assert!(text.contains("<title>3.9.1 to 4.0.0: Disk&quot;Fills</title>"));
}

#[test]
fn too_many_releases_are_refused_with_the_bound() {
    let mut builder = GraphBuilder::new(None);
    for patch in 0..=MAX_DRAWN_NODES {
        builder.node(node(&format!("1.0.{patch}"), None));
    }
    let error = svg(&builder.build().unwrap()).unwrap_err();
    assert_eq!(error, DrawError::TooLarge { nodes: MAX_DRAWN_NODES + 1, limit: MAX_DRAWN_NODES });
}

/// Checks what XML asks of such a document: one root, tags that close in order, quoted attributes,
/// no bare marks, no character XML forbids.
fn check_xml(text: &str) -> Result<(), String> {
    let allowed = |c: char| c == '\n' || (c >= ' ' && !('\u{7f}'..='\u{9f}').contains(&c));
    if let Some(bad) = text.chars().find(|c| !allowed(*c) || matches!(c, '\u{fffe}' | '\u{ffff}')) {
        return Err(format!("{bad:?} in the text"));
    }
    let (mut open, mut rest): (Vec<&str>, &str) = (Vec::new(), text.trim_end());
    while let Some(at) = rest.find('<') {
        entities(&rest[..at])?;
        if rest[..at].contains('>') && open.last() != Some(&"style") {
            return Err(format!("a bare > before {:?}", &rest[at..at + 20]));
        }
        let end = rest.find('>').ok_or("a tag without end")?;
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return Err(format!("</{name}> closes another tag"));
            }
            continue;
        }
        let body = tag.strip_suffix('/').unwrap_or(tag);
        let quotes = body.matches('"').count();
        if quotes % 2 != 0 || quotes != body.matches('=').count() * 2 {
            return Err(format!("attributes of <{tag}>"));
        }
        if !tag.ends_with('/') {
            open.push(body.split(' ').next().unwrap());
        }
        if open.is_empty() {
            return Err("two roots".into());
        }
    }
    if open.is_empty() && rest.is_empty() { Ok(()) } else { Err(format!("{open:?} open")) }
}

fn entities(text: &str) -> Result<(), String> {
    for (at, _) in text.match_indices('&') {
        let known = ["&amp;", "&lt;", "&gt;", "&quot;"];
        if !known.iter().any(|entity| text[at..].starts_with(entity)) {
            return Err(format!("a bare & in {text:?}"));
        }
    }
    Ok(())
}

#[test]
fn the_checker_finds_faults() {
    for bad in ["<a><b></a></b>", "<a>&</a>", "<a x=y/>", "<a/><b>", "<a>\u{1}</a>"] {
        assert!(check_xml(bad).is_err(), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn any_graph_is_valid_xml(
        name in ".{0,40}",
        message in "[\u{0}-\u{7f}<>&\"']{0,60}",
        edges in prop::collection::vec((0_usize..8, 0_usize..8, any::<bool>()), 0..20),
    ) {
        let mut builder = GraphBuilder::new(None);
        for number in 0..8_u32 {
            let mark = (number == 3).then_some((BARRIER_KEY, message.as_str()));
            builder.node(node(&format!("1.{}.{number}", number / 3), mark));
        }
        let set = builder.risks(vec![risk(&name, &message)]);
        for (from, to, plain) in edges {
            if plain {
                builder.edge(from, to);
            } else {
                builder.conditional(from, to, set);
            }
        }
        let text = svg(&builder.build().unwrap()).unwrap();
        prop_assert_eq!(check_xml(&text), Ok(()));
    }
}
