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
    assert_eq!(select.to_string(), "ring=canary, region in (eu,us), tier!=gold, owner, !frozen");
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

#[test]
fn the_syntax_of_kubernetes_is_read() {
    let read = |text: &str| text.parse::<Selector>();
    let expected = Selector::new(
        labels(&[("ring", "canary"), ("empty", ""), ("a.b/c", "x")]),
        vec![
            term("region", Operator::In, &["eu", "us"]),
            term("tier", Operator::NotIn, &["gold"]),
            term("zone", Operator::NotIn, &["a", ""]),
            term("owner", Operator::Exists, &[]),
            term("frozen", Operator::DoesNotExist, &[]),
            term("ring", Operator::In, &["prod"]),
        ],
    );
    let text = " ring = canary ,empty=, a.b/c==x,region in (eu, us),tier!=gold,zone  notin (a,) \
                ,owner , ! frozen,ring=prod";
    assert_eq!(read(text), expected);
}

#[test]
fn text_that_is_no_selector_is_refused_by_its_part() {
    let read = |text: &str| text.parse::<Selector>();
    assert_eq!(read(""), Err(SelectorError::Empty));
    assert_eq!(read("  "), Err(SelectorError::Empty));
    for (text, part) in [
        ("a,", ""),
        (",a", ""),
        ("a=b,x in (c", "x in (c"),
        ("x in", "x in"),
        ("x on (a)", "x on (a)"),
        ("in (a)", "in (a)"),
        ("x in (a) b", "x in (a) b"),
    ] {
        assert_eq!(read(text), Err(SelectorError::NotATerm { text: part.into() }), "{text}");
    }
    for text in ["=a", "!", "a=b=c", "a!=b!=c", "a>1", "x in (a b)", "a=b c", "!a b"] {
        assert!(matches!(read(text), Err(SelectorError::Label(_))), "{text}: {:?}", read(text));
    }
}

proptest! {
    #[test]
    fn a_selector_written_as_text_selects_the_same(
        select in prop::collection::vec(any_term(), 1..4).prop_map(|all| terms(&all).unwrap()),
    ) {
        let read: Selector = select.to_string().parse().unwrap();
        prop_assert!(read.covers(&select) && select.covers(&read), "{select} -> {read}");
        prop_assert_eq!(read.to_string().parse::<Selector>().unwrap(), read);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[-!=(), a-c/.\u{e4}]{0,24}") {
        let _ = text.parse::<Selector>();
    }

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
