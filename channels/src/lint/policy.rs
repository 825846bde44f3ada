//! Findings about rollout policies, in the form of all others.
//!
//! The rules themselves are [`crate::rollout::lint`]'s; this adds what is known here of PromQL.

use std::path::Path;

use jiff::Timestamp;

use super::promql::{self, Fault};
use super::{Code, Finding, Near, finding};
use crate::rollout::lint::{Fleet, Rule, lint_policy as apply_rules};
use crate::rollout::{Policy, PolicyError};

/// Reads a policy and applies every rule for a release published at `now`; worst findings first.
pub fn lint_policy(file: &Path, text: &str, fleet: &Fleet<'_>, now: Timestamp) -> Vec<Finding> {
    let policy = match Policy::parse(file, text) {
        Ok(policy) => policy,
        Err(error) => return vec![malformed(file, &error)],
    };
    let mut findings: Vec<Finding> = apply_rules(file, &policy, fleet, now)
        .into_iter()
        .map(|found| {
            let code = Code::from(found.code);
            let near = Some(found.near).filter(|near| !near.is_empty()).map(Near::Word);
            Finding { severity: found.severity, near, ..finding(code, file, found.message) }
        })
        .collect();
    for ring in &policy.rings {
        for baseline in &ring.gates.baselines {
            let fault = promql::parse(&baseline.query).err();
            let Some((code, why)) = fault.and_then(Fault::of_syntax) else { continue };
            let message = format!("the query of baseline {} does not parse: {why}", baseline.name);
            findings.push(finding(code, file, message).near(Near::Word(baseline.name.to_string())));
        }
    }
    findings.sort();
    // Rings without gates of their own share those of the policy.
    findings.dedup();
    findings
}

fn malformed(file: &Path, error: &PolicyError) -> Finding {
    Finding::unreadable(file, error.line(), error)
}

impl From<Rule> for Code {
    fn from(rule: Rule) -> Self {
        match rule {
            Rule::ShareAtOnce => Self::ShareAtOnce,
            Rule::FirstHourSteep => Self::FirstHourSteep,
            Rule::WindowsNeverOpen => Self::WindowsNeverOpen,
            Rule::WindowTooShort => Self::WindowTooShort,
            Rule::RingShadowed => Self::RingShadowed,
            Rule::GateNeverPasses => Self::GateNeverPasses,
            Rule::CapZero => Self::CapZero,
            Rule::FailuresStall => Self::FailuresStall,
            Rule::StartInPast => Self::StartInPast,
            Rule::FreezeCoversCurve => Self::FreezeCoversCurve,
            Rule::NeverEnds => Self::NeverEnds,
            Rule::RingEmpty => Self::RingEmpty,
            Rule::ClustersInNoRing => Self::ClustersInNoRing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lint(text: &str) -> Vec<String> {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let found = lint_policy(Path::new("p.yaml"), text, &Fleet::Unknown, now);
        let line = |finding: &Finding| finding.near.as_ref().and_then(|near| near.line_in(text));
        found.iter().map(|finding| format!("{:?} {finding}", line(finding))).collect()
    }

    #[test]
    fn the_rules_of_policies_have_the_same_codes_and_severities_here() {
        for rule in Rule::ALL {
            let code = Code::from(rule);
            assert_eq!((code.as_str(), code.severity()), (rule.as_str(), rule.severity()));
        }
    }

    #[test]
    fn a_policy_that_does_not_read_is_a_finding_with_its_line() {
        let found = lint("name: p\nrings: []\n");
        assert_eq!(found.len(), 1);
        assert!(
            found[0].starts_with("Some(2) p.yaml: error: the policy has no rings"),
            "{found:?}"
        );
        assert!(found[0].ends_with("[malformed]"), "{found:?}");
    }

    #[test]
    fn a_baseline_whose_query_does_not_parse_is_found_once_for_all_rings() {
        let text = |query: &str| {
            format!(
                "name: p\ngates:\n  baselines:\n    - name: errors\n      query: {query}\n      \
                 bad_when: above\n      tolerance: 150%\n      over: 1d\nrings:\n  - {{name: a, \
                 select: {{match_labels: {{ring: a}}}}}}\n  - {{name: all, rest: true}}\n"
            )
        };
        assert_eq!(lint(&text("sum(rate(errors_total[5m]))")), [""; 0]);
        let found = lint(&text("sum(rate(errors_total))"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("Some(4) p.yaml: error: the query of baseline errors does"));
        assert!(found[0].ends_with("[promql_invalid]"));
    }
}
