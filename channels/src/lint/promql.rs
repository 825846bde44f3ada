//! Whether a query parses, and whether it can give the answers a risk needs.
//!
//! A risk's query must answer one sample of value 1 or 0. What is said here about values is only
//! what can be proved from the query's text, so a query that depends on the data passes. Nothing is
//! evaluated.

use promql_parser::parser::value::ValueType;
use promql_parser::parser::{self, AggregateExpr, BinaryExpr, Call, Expr, token};

use super::Code;

/// Longest query checked, in bytes. The longest in the field has 975; nesting, and with it the stack
/// of a recursive walk, is bounded by the length.
pub(super) const MAX_QUERY_BYTES: usize = 4096;

/// Most values a subexpression is followed through; beyond it, it may answer anything.
const MAX_VALUES: usize = 16;

/// What is wrong with a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// It does not parse, or its types do not fit.
    Invalid(String),
    /// It calls a function that is not known here.
    Function(String),
    /// It can never answer 1 or 0.
    NoAnswer(String),
    /// It can answer only one of 1 and 0.
    OneSided(&'static str),
}

impl Fault {
    /// The code and the parser's words, where the query does not parse.
    pub(super) fn of_syntax(self) -> Option<(Code, String)> {
        match self {
            Self::Invalid(why) => Some((Code::PromqlInvalid, why)),
            Self::Function(why) => Some((Code::PromqlFunction, why)),
            Self::NoAnswer(_) | Self::OneSided(_) => None,
        }
    }
}

/// Parses a query.
pub(super) fn parse(query: &str) -> Result<Expr, Fault> {
    if query.len() > MAX_QUERY_BYTES {
        let bytes = query.len();
        return Err(Fault::Invalid(format!("it has {bytes} bytes, at most {MAX_QUERY_BYTES}")));
    }
    parser::parse(&without_raw_strings(query)).map_err(|why| {
        if why.starts_with("unknown function") { Fault::Function(why) } else { Fault::Invalid(why) }
    })
}

/// Checks the query of a risk.
pub(super) fn check(query: &str) -> Result<(), Fault> {
    let expr = parse(query)?;
    let kind = expr.value_type();
    if kind != ValueType::Vector {
        return Err(Fault::NoAnswer(format!("it answers a {kind}, not samples")));
    }
    let values = values(&expr);
    match (values.may_be(0.0), values.may_be(1.0)) {
        (true, true) => Ok(()),
        (false, true) => Err(Fault::OneSided("it never answers 0, so it clears no cluster")),
        (true, false) => Err(Fault::OneSided("it never answers 1, so it warns no cluster")),
        (false, false) => Err(Fault::NoAnswer("no sample of it is ever 1 or 0".to_owned())),
    }
}

/// The query with raw strings written as quoted ones: the parser takes a backslash inside back
/// quotes for an escape, which Prometheus does not.
fn without_raw_strings(query: &str) -> String {
    let mut text = String::with_capacity(query.len());
    let mut chars = query.chars();
    while let Some(c) = chars.next() {
        match c {
            '#' => {
                text.push(c);
                // Up to the end of the line; quotes in comments open nothing.
                for c in chars.by_ref() {
                    text.push(c);
                    if c == '\n' {
                        break;
                    }
                }
            }
            '"' | '\'' => {
                text.push(c);
                let mut escaped = false;
                for inner in chars.by_ref() {
                    text.push(inner);
                    if inner == c && !escaped {
                        break;
                    }
                    escaped = inner == '\\' && !escaped;
                }
            }
            '`' => {
                text.push('"');
                for inner in chars.by_ref().take_while(|inner| *inner != '`') {
                    if matches!(inner, '\\' | '"' | '\n' | '\r' | '\t') {
                        text.extend(inner.escape_default());
                    } else {
                        text.push(inner);
                    }
                }
                text.push('"');
            }
            c => text.push(c),
        }
    }
    text
}

/// The values samples of an expression may have: a superset of what can happen.
#[derive(Debug, Clone, PartialEq)]
enum Values {
    /// One of these.
    Only(Vec<f64>),
    /// Anything, with or without the two that matter.
    Any { zero: bool, one: bool },
}

impl Values {
    const ALL: Self = Self::Any { zero: true, one: true };

    fn only(values: impl IntoIterator<Item = f64>) -> Self {
        // Minus zero is an answer of 0 too; adding zero makes them one.
        let mut values: Vec<f64> = values.into_iter().map(|value| value + 0.0).collect();
        values.sort_by(f64::total_cmp);
        values.dedup_by(|a, b| a.total_cmp(b).is_eq());
        if values.len() > MAX_VALUES { Self::ALL } else { Self::Only(values) }
    }

    fn may_be(&self, wanted: f64) -> bool {
        match self {
            Self::Only(values) => values.iter().any(|value| value.total_cmp(&wanted).is_eq()),
            Self::Any { zero, one } => {
                (*zero && wanted.total_cmp(&0.0).is_eq())
                    || (*one && wanted.total_cmp(&1.0).is_eq())
            }
        }
    }

    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Only(mut one), Self::Only(other)) => {
                one.extend(other);
                Self::only(one)
            }
            (one, other) => Self::Any {
                zero: one.may_be(0.0) || other.may_be(0.0),
                one: one.may_be(1.0) || other.may_be(1.0),
            },
        }
    }

    fn map(self, change: impl Fn(f64) -> f64) -> Self {
        match self {
            Self::Only(values) => Self::only(values.into_iter().map(change)),
            Self::Any { .. } => Self::ALL,
        }
    }

    fn is_zero(&self) -> bool {
        matches!(self, Self::Only(values) if values.iter().all(|value| value.total_cmp(&0.0).is_eq()))
    }
}

fn values(expr: &Expr) -> Values {
    match expr {
        Expr::Aggregate(aggregate) => aggregated(aggregate),
        Expr::Unary(unary) => values(&unary.expr).map(|value| -value),
        Expr::Binary(binary) => combined(binary),
        Expr::Paren(paren) => values(&paren.expr),
        Expr::Subquery(subquery) => values(&subquery.expr),
        Expr::NumberLiteral(number) => Values::only([number.val]),
        Expr::Call(call) => called(call),
        Expr::StringLiteral(_)
        | Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::Extension(_) => Values::ALL,
    }
}

fn aggregated(aggregate: &AggregateExpr) -> Values {
    let inner = || values(&aggregate.expr);
    match aggregate.op.id() {
        token::T_GROUP => Values::only([1.0]),
        // Of no samples there is no count, not a count of 0.
        token::T_COUNT | token::T_COUNT_VALUES => Values::Any { zero: false, one: true },
        token::T_MIN
        | token::T_MAX
        | token::T_TOPK
        | token::T_BOTTOMK
        | token::T_LIMITK
        | token::T_LIMIT_RATIO => inner(),
        token::T_SUM if inner().is_zero() => Values::only([0.0]),
        token::T_AVG => match inner() {
            Values::Only(values) if values.len() == 1 => Values::Only(values),
            Values::Only(_) | Values::Any { .. } => Values::ALL,
        },
        _ => Values::ALL,
    }
}

fn called(call: &Call) -> Values {
    let argument =
        |number: usize| call.args.args.get(number).map_or(Values::ALL, |argument| values(argument));
    match call.func.name {
        "absent" | "absent_over_time" | "present_over_time" => Values::only([1.0]),
        "count_over_time" => Values::Any { zero: false, one: true },
        "vector" | "label_replace" | "label_join" | "sort" | "sort_desc" | "sort_by_label"
        | "sort_by_label_desc" | "info" | "min_over_time" | "max_over_time" | "last_over_time"
        | "first_over_time" => argument(0),
        "scalar" => argument(0).or(Values::only([f64::NAN])),
        "abs" => argument(0).map(f64::abs),
        "sgn" => match argument(0) {
            Values::Only(values) => Values::only(values.into_iter().filter_map(sign)),
            Values::Any { .. } => Values::ALL,
        },
        _ => Values::ALL,
    }
}

fn sign(value: f64) -> Option<f64> {
    let order = value.partial_cmp(&0.0)?;
    Some(match order {
        std::cmp::Ordering::Less => -1.0,
        std::cmp::Ordering::Equal => 0.0,
        std::cmp::Ordering::Greater => 1.0,
    })
}

fn combined(binary: &BinaryExpr) -> Values {
    let (left, right) = (values(&binary.lhs), values(&binary.rhs));
    let fills = binary.modifier.as_ref().map(|modifier| &modifier.fill_values);
    if fills.is_some_and(|fill| fill.lhs.is_some() || fill.rhs.is_some()) {
        return Values::ALL;
    }
    match binary.op.id() {
        token::T_LAND | token::T_LUNLESS => left,
        token::T_LOR => left.or(right),
        token::T_ADD => calculated(left, right, |a, b| a + b),
        token::T_SUB => calculated(left, right, |a, b| a - b),
        token::T_MUL if left.is_zero() || right.is_zero() => zero_times(left, right),
        token::T_MUL => calculated(left, right, |a, b| a * b),
        token::T_DIV => calculated(left, right, |a, b| a / b),
        token::T_EQLC
        | token::T_NEQ
        | token::T_GTR
        | token::T_GTE
        | token::T_LSS
        | token::T_LTE
            if binary.return_bool() =>
        {
            Values::only([0.0, 1.0])
        }
        // A comparison keeps samples of the side that has samples.
        op if binary.lhs.value_type() == ValueType::Scalar => kept(right, &left, mirrored(op)),
        op => kept(left, &right, op),
    }
}

fn zero_times(left: Values, right: Values) -> Values {
    match (&left, &right) {
        (Values::Only(_), Values::Only(_)) => calculated(left, right, |a, b| a * b),
        // What is infinite or no number gives no number.
        (_, _) => Values::only([0.0, f64::NAN]),
    }
}

fn calculated(left: Values, right: Values, apply: impl Fn(f64, f64) -> f64) -> Values {
    let (Values::Only(left), Values::Only(right)) = (left, right) else { return Values::ALL };
    let pairs = left.iter().flat_map(|a| right.iter().map(|b| apply(*a, *b)));
    Values::only(pairs)
}

/// The same comparison seen from the other side.
fn mirrored(op: token::TokenId) -> token::TokenId {
    match op {
        token::T_GTR => token::T_LSS,
        token::T_GTE => token::T_LTE,
        token::T_LSS => token::T_GTR,
        token::T_LTE => token::T_GTE,
        op => op,
    }
}

/// What a comparison without `bool` lets through of `samples`.
fn kept(samples: Values, limit: &Values, op: token::TokenId) -> Values {
    let holds: fn(f64, f64) -> bool = match op {
        token::T_EQLC => |a, b| a.partial_cmp(&b) == Some(std::cmp::Ordering::Equal),
        token::T_NEQ => |a, b| a.partial_cmp(&b) != Some(std::cmp::Ordering::Equal),
        token::T_GTR => |a, b| a > b,
        token::T_GTE => |a, b| a >= b,
        token::T_LSS => |a, b| a < b,
        token::T_LTE => |a, b| a <= b,
        _ => return Values::ALL,
    };
    let Values::Only(limits) = limit else { return samples };
    let passes = |value: f64| limits.iter().any(|limit| holds(value, *limit));
    match samples {
        Values::Only(values) => Values::only(values.into_iter().filter(|value| passes(*value))),
        Values::Any { .. } if op == token::T_EQLC => Values::only(limits.iter().copied()),
        Values::Any { zero, one } => {
            Values::Any { zero: zero && passes(0.0), one: one && passes(1.0) }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_invalid(query: &str) -> bool {
        matches!(check(query), Err(Fault::Invalid(_)))
    }

    fn has_no_answer(query: &str) -> bool {
        matches!(check(query), Err(Fault::NoAnswer(_)))
    }

    fn is_one_sided(query: &str) -> bool {
        matches!(check(query), Err(Fault::OneSided(_)))
    }

    #[test]
    fn queries_that_ask_both_ways_pass() {
        for query in [
            "group(bad == 1) or 0 * group(bad)",
            "cluster_provider{type=~\"A|B\"} or 0 * cluster_provider",
            "topk(1, group by (a) (x) or 0 * group by (a) (y)) * on (a) group_left (b) up",
            "max(bad)",
            "sum(rate(errors[5m])) > bool 0.5",
            "label_replace(group(x), \"a\", \"b\", \"\", \"\") or on () vector(0)",
            "# isn't `this fine\nup{job=~`a\\d+\"`}",
            "max_over_time((bad == bool 1)[1h:5m])",
            "1 - (group(good) or 0 * group(all))",
            "count(bad) > bool 0",
            "clamp_max(sum(bad), 1)",
        ] {
            assert_eq!(check(query), Ok(()), "{query}");
        }
    }

    #[test]
    fn what_prometheus_refuses_is_invalid() {
        for query in [
            "group(bad",
            "rate(bad)",
            "sum(bad[5m])",
            "a and on (x) group_left b",
            "up{a=~\"*\"}",
            "{}",
            "1 == 1",
            "label_replace(bad, \"a\", \"b\")",
            "",
        ] {
            assert!(is_invalid(query), "{query}: {:?}", check(query));
        }
        assert!(matches!(check("nosuch(bad)"), Err(Fault::Function(_))));
    }

    #[test]
    fn answers_that_are_no_samples_or_never_one_or_zero_are_found() {
        for query in [
            "1",
            "scalar(bad)",
            "\"1\"",
            "bad[5m]",
            "vector(2)",
            "group(bad) + 1",
            "count(bad) > 1",
            "5 < bad",
            "group(bad) == 2",
            "-group(bad)",
        ] {
            assert!(has_no_answer(query), "{query}: {:?}", check(query));
        }
    }

    #[test]
    fn queries_that_answer_one_side_only_are_found() {
        for query in [
            "group(bad == 1)",
            "bad == 1",
            "absent(good)",
            "count(bad)",
            "0 * group(bad)",
            "bad > 0",
        ] {
            assert!(is_one_sided(query), "{query}: {:?}", check(query));
        }
    }

    #[test]
    fn nesting_up_to_the_bound_fits_the_stack_and_beyond_it_is_refused() {
        let half = MAX_QUERY_BYTES / 2 - 1;
        let deep = format!("{}a{}", "(".repeat(half), ")".repeat(half));
        assert_eq!(check(&deep), Ok(()));
        let minus = format!("{}a", "-".repeat(MAX_QUERY_BYTES - 1));
        assert_eq!(check(&minus), Ok(()));
        assert!(is_invalid(&format!("({deep}   )")));
        let sum = format!("a{}", "+a".repeat(half));
        assert_eq!(check(&sum), Ok(()));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_check_panic(
            text in "([a-z_(){}\\[\\]\"'`#\\\\ \n0-9.*+<>=!~,:@-]|group|or|bool|offset|by){0,60}"
        ) {
            let _ = check(&text);
        }
    }
}
