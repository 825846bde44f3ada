//! Rules over risks and the files that declare them.

use std::collections::BTreeMap;
use std::path::Path;

use super::promql::{self, Fault};
use super::{Code, Finding, Near, finding};
use crate::graph::{Graph, MatchingRule, Risk};
use crate::repository::ProductSource;

/// Applies the rules to every blocked-edge file of a product.
pub(super) fn check(product: &ProductSource, findings: &mut Vec<Finding>) {
    let mut known: BTreeMap<&str, (&Risk, &Path)> = BTreeMap::new();
    let mut queries = Queries::default();
    for block in &product.blocks {
        let Some(risk) = &block.risk else { continue };
        texts(risk, &block.file, findings);
        rules(risk, &block.file, &mut queries, findings);
        match known.get(risk.name.as_str()) {
            Some((other, place)) if other.url != risk.url => {
                let message = format!(
                    "{} also names the risk of {}, which has another url; who accepts one accepts \
                     both, so give them two names",
                    risk.name,
                    place.display()
                );
                let found = finding(Code::RiskNameReused, &block.file, message);
                findings.push(found.near(Near::Key("name")));
            }
            Some(_) => {}
            None => {
                known.insert(&risk.name, (risk, &block.file));
            }
        }
    }
}

/// Applies the rules that need no source file to the risks of a graph, each once.
pub(super) fn check_graph(graph: &Graph, file: &Path, findings: &mut Vec<Finding>) {
    let mut queries = Queries::default();
    let mut risks: Vec<&Risk> = graph.conditional().iter().flat_map(|group| &group.risks).collect();
    risks.sort();
    risks.dedup();
    for risk in risks {
        texts(risk, file, findings);
        rules(risk, file, &mut queries, findings);
    }
}

/// What a person needs: a name to accept it by, a text to read, a page to read more.
fn texts(risk: &Risk, file: &Path, findings: &mut Vec<Finding>) {
    let Risk { name, url, message, .. } = risk;
    if !is_reason(name) {
        let message = format!(
            "{name:?} cannot be the reason of a condition: letters, digits, '_', ',' and ':', \
             beginning with a letter"
        );
        findings.push(finding(Code::RiskName, file, message).near(Near::Key("name")));
    }
    if !is_url(url) {
        let message = format!("{url:?} of {name} is no https:// or http:// address");
        findings.push(finding(Code::RiskUrl, file, message).near(Near::Key("url")));
    }
    if message.trim().is_empty() {
        let message = format!("{name} has no message; say what happens to an exposed cluster");
        findings.push(finding(Code::RiskMessage, file, message).near(Near::Key("message")));
    }
}

/// What is known of queries; a thousand files share sixty of them.
#[derive(Default)]
struct Queries<'q>(BTreeMap<&'q str, Result<(), Fault>>);

impl<'q> Queries<'q> {
    fn check(&mut self, query: &'q str) -> &Result<(), Fault> {
        self.0.entry(query).or_insert_with(|| promql::check(query))
    }
}

fn rules<'q>(risk: &'q Risk, file: &Path, queries: &mut Queries<'q>, findings: &mut Vec<Finding>) {
    let name = &risk.name;
    for rule in &risk.matching_rules {
        let MatchingRule::PromQl { promql } = rule else { continue };
        let Err(fault) = queries.check(promql) else { continue };
        let (code, message) = match fault {
            Fault::Invalid(why) => {
                (Code::PromqlInvalid, format!("a query of {name} does not parse: {why}"))
            }
            Fault::Function(why) => (Code::PromqlFunction, format!("a query of {name}: {why}")),
            Fault::NoAnswer(why) => (
                Code::RiskNotEvaluable,
                format!("a query of {name} can never answer one sample of 1 or 0: {why}"),
            ),
            Fault::OneSided(why) => (Code::RiskOneSided, format!("a query of {name}: {why}")),
        };
        findings.push(finding(code, file, message).near(Near::Key("promql")));
    }
    let known = |rule: &MatchingRule| !matches!(rule, MatchingRule::Unknown { .. });
    if !risk.matching_rules.iter().any(known) {
        let message = format!(
            "no rule of {name} is of a type that clusters know, so it stands for all of them"
        );
        let found = finding(Code::RiskNotEvaluable, file, message);
        findings.push(found.near(Near::Key("matchingRules")));
    }
    let always = risk.matching_rules.iter().position(|rule| *rule == MatchingRule::Always);
    if always.is_some_and(|place| place + 1 < risk.matching_rules.len()) {
        let message = format!("rules of {name} stand after Always and are never looked at");
        findings
            .push(finding(Code::RuleUnreached, file, message).near(Near::Word("Always".into())));
    }
}

/// The pattern Kubernetes sets for a condition's reason, which is where risk names end up.
fn is_reason(name: &str) -> bool {
    let bytes = name.as_bytes();
    let inner = |b: &u8| b.is_ascii_alphanumeric() || b"_,:".contains(b);
    let ends = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.last().is_some_and(ends)
        && bytes.iter().all(inner)
}

/// Whether a text is an address that a browser opens.
pub(super) fn is_url(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    !host.is_empty() && !url.chars().any(|c| c.is_whitespace() || c.is_control())
}
