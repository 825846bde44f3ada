//! Every fault is read as documented, or refused by name.

use std::path::Path;

use super::read::FORMS;
use super::*;
use crate::rollout::Percent;

fn kind(text: &str) -> Kind {
    text.parse::<Fault>().unwrap().kind
}

fn percent(text: &str) -> Percent {
    text.parse().unwrap()
}

#[test]
fn every_kind_is_read_as_its_example_shows() {
    for form in &FORMS {
        let fault: Fault = form.example.parse().unwrap();
        assert_eq!(fault.text(), form.example);
    }
    assert_eq!(kind("bad:0.05"), kind("bad:5%"));
    assert_eq!(kind("bad:1.0"), Kind::Bad { share: Percent::ALL });
    assert_eq!(kind("slow:1.5x"), Kind::Slow { hundredths: 150, share: Percent::ALL });
    let regress = Kind::Regress { share: percent("5%"), after: "6h".parse().unwrap() };
    assert_eq!(kind("regress:5%,after=6h"), regress);
    let always = Span { from: Period::ZERO, to: None };
    assert_eq!(kind("blind"), Kind::Blind { share: Percent::ALL, span: always });
    let span = Span { from: "1d".parse().unwrap(), to: Some("1d6h".parse().unwrap()) };
    assert_eq!(kind("outage:from=1d,to=1d6h"), Kind::Outage { span });
}

#[test]
fn labels_and_versions_narrow_a_fault() {
    let fault: Fault = "bad:5%,label=tier=edge,version=>=1.33.0,version=<1.34.0".parse().unwrap();
    let edge = Labels::from([("tier".to_owned(), "edge".to_owned())]);
    let version = |text: &str| text.parse::<ReleaseVersion>().unwrap();
    assert!(fault.may_hit(&edge, Some(&version("1.33.5"))));
    assert!(!fault.may_hit(&edge, Some(&version("1.34.0"))));
    assert!(!fault.may_hit(&edge, None));
    assert!(!fault.may_hit(&Labels::new(), Some(&version("1.33.5"))));
}

#[test]
fn what_cannot_be_read_is_refused_by_name() {
    let refused = |text: &str| text.parse::<Fault>().unwrap_err();
    assert!(matches!(refused("worse:5%"), FaultError::Kind { kind, .. } if kind == "worse"));
    assert!(matches!(refused(""), FaultError::Kind { .. }));
    for (text, stray) in [
        ("bad:5%,after=1h", "after"),
        ("bad:5%,6%", "6%"),
        ("outage:1d,from=1d", "1d"),
        ("resume:at=1d,at=2d", "at"),
        ("hold:from=1d,label=a=b", "label"),
        ("bad:5%,label=a=b,label=a=c", "a=c"),
    ] {
        let fault = refused(text);
        assert!(matches!(&fault, FaultError::Key { key, .. } if key == stray), "{fault}");
    }
    for (text, lacks) in
        [("bad", "its share"), ("regress:5%", "after"), ("slow", "its factor"), ("hold", "from")]
    {
        let fault = refused(text);
        assert!(
            matches!(&fault, FaultError::Missing { missing, .. } if *missing == lacks),
            "{fault}"
        );
    }
    for text in
        ["bad:5", "bad:1.5", "bad:101%", "bad:0.00005", "slow:0.5x", "slow:2", "bad:5%,label=a"]
    {
        assert!(matches!(refused(text), FaultError::Value { .. }), "{text}");
    }
    assert!(matches!(refused("outage:from=2d,to=1d"), FaultError::Backwards { .. }));
    assert!(matches!(refused(&"x".repeat(2000)), FaultError::TooLong { bytes: 2000 }));
}

#[test]
fn a_scenario_names_the_line_of_a_fault_that_cannot_be_read() {
    let file = Path::new("s.yaml");
    let good = scenario(file, "faults:\n  - bad:5%,label=tier=edge\n  - blind\n").unwrap();
    assert_eq!(
        good.iter().map(Fault::text).collect::<Vec<_>>(),
        ["bad:5%,label=tier=edge", "blind"]
    );
    let error = scenario(file, "faults:\n  - blind\n  - bad:5\n").unwrap_err();
    assert!(matches!(&error, ScenarioError::Fault { line: 3, .. }), "{error}");
    let error = scenario(file, "fault: []\n").unwrap_err();
    assert!(matches!(&error, ScenarioError::Syntax { line: 1, .. }), "{error}");
    let error = scenario(file, &" ".repeat(SCENARIO_MAX_BYTES + 1)).unwrap_err();
    assert!(matches!(&error, ScenarioError::TooLarge { .. }), "{error}");
}
