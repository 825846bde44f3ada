//! Selectors: what they match, and what is no selector.

use proptest::prelude::*;

use super::labels;
use crate::rollout::selector::{Expression, Operator};
use crate::rollout::{Labels, Selector, SelectorError};

fn term(key: &str, operator: Operator, values: &[&str]) -> Expression {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    Expression { key: key.to_owned(), operator, values }
}

fn terms(terms: &[Expression]) -> Result<Selector, SelectorError> {
    Selector::new(Labels::new(), terms.to_vec())
}

#[test]
fn every_term_must_hold() {
    let select = Selector::new(
        labels(&[("ring", "canary")]),
        vec![
            term("region", Operator::In, &["eu", "us"]),
            term("tier", Operator::NotIn, &["gold"]),
            term("owner", Operator::Exists, &[]),
            term("frozen", Operator::DoesNotExist, &[]),
        ],
    )
    .unwrap();
    let good = [("ring", "canary"), ("region", "us"), ("owner", "x")];
    assert!(select.matches(&labels(&good)));
    for (change, value) in [("ring", "prod"), ("region", "ap"), ("tier", "gold"), ("frozen", "")] {
        let mut other = labels(&good);
        other.insert(change.to_owned(), value.to_owned());
        assert!(!select.matches(&other), "{change}");
    }
    for missing in ["ring", "region", "owner"] {
        let mut other = labels(&good);
        other.remove(missing);
        assert!(!select.matches(&other), "{missing}");
    }
    assert_eq!(
        select.to_string(),
        "ring=canary, region in eu|us, tier not in gold, owner exists, frozen does not exist"
    );
}

#[test]
fn what_would_match_everything_or_nothing_by_mistake_is_refused() {
    assert_eq!(terms(&[]), Err(SelectorError::Empty));
    let key = || "a".to_owned();
    assert_eq!(terms(&[term("", Operator::Exists, &[])]), Err(SelectorError::NoKey));
    assert_eq!(terms(&[term("a", Operator::In, &[])]), Err(SelectorError::NoValues { key: key() }));
    assert_eq!(
        terms(&[term("a", Operator::Exists, &["b"])]),
        Err(SelectorError::ValuesUnused { key: key() })
    );
    assert_eq!(terms(&[term("a", Operator::In, &["v"; 257])]), Err(SelectorError::TooLong));
    assert_eq!(terms(&vec![term("a", Operator::Exists, &[]); 257]), Err(SelectorError::TooLong));
}

fn any_term() -> impl Strategy<Value = Expression> {
    let operators = [Operator::In, Operator::NotIn, Operator::Exists, Operator::DoesNotExist];
    (0_usize..2, 0_usize..4, prop::collection::btree_set(0_usize..3, 1..3)).prop_map(
        move |(key, operator, values)| {
            let operator = operators[operator];
            let takes_values = matches!(operator, Operator::In | Operator::NotIn);
            let values: Vec<&str> =
                values.into_iter().filter(|_| takes_values).map(|v| ["x", "y", "z"][v]).collect();
            term(["a", "b"][key], operator, &values)
        },
    )
}

proptest! {
    #[test]
    fn what_covers_matches_whatever_the_covered_matches(
        wide in prop::collection::vec(any_term(), 1..3),
        narrow in prop::collection::vec(any_term(), 1..4),
    ) {
        let (wide, narrow) = (terms(&wide).unwrap(), terms(&narrow).unwrap());
        let covers = wide.covers(&narrow);
        let values = [None, Some("x"), Some("y"), Some("z"), Some("other")];
        for a in values {
            for b in values {
                let pairs = [("a", a), ("b", b)];
                let set: Vec<(&str, &str)> =
                    pairs.iter().filter_map(|(key, value)| value.map(|v| (*key, v))).collect();
                let set = labels(&set);
                prop_assert!(!covers || !narrow.matches(&set) || wide.matches(&set), "{set:?}");
            }
        }
    }
}
