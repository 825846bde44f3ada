//! What edits keep, and what they refuse.

use super::*;
use crate::graph::{MatchingRule, Risk};
use crate::promotion::{Entry, Record};
use crate::version::ReleaseVersion;

fn version(text: &str) -> ReleaseVersion {
    text.parse().unwrap()
}

const CHANNEL: &str = "\
# What customers run.
name: stable-4
feeder: {name: fast-4, delay: P1W}
versions:
  - 4.0.0
  - 4.0.1   # first good one
  # the long-term one
  - 4.1.0
# 4.0.5 lost data.
tombstones:
  - 4.0.5
";

#[test]
fn a_promotion_adds_one_line_in_version_order() {
    let edit = |to: &str| FileEdit {
        file: "channels/stable-4.yaml".into(),
        before: Some(CHANNEL.to_owned()),
        after: Some(promote(CHANNEL, &version(to)).unwrap()),
    };
    insta_like(
        &edit("4.2.0").unified(),
        "--- a/channels/stable-4.yaml\n+++ b/channels/stable-4.yaml\n@@ -6,6 +6,7 @@\n   - 4.0.1   \
         # first good one\n   # the long-term one\n   - 4.1.0\n+  - 4.2.0\n # 4.0.5 lost data.\n \
         tombstones:\n   - 4.0.5\n",
    );
    let middle = edit("4.0.2").unified();
    assert!(middle.contains(" # first good one\n+  - 4.0.2\n   # the long-term one\n"), "{middle}");
    let first = edit("3.9.0").unified();
    assert!(first.contains(" versions:\n+  - 3.9.0\n   - 4.0.0\n"), "{first}");
}

fn insta_like(found: &str, expected: &str) {
    assert_eq!(found, expected, "\n{found}");
}

#[test]
fn a_withdrawal_moves_the_line_with_its_comment() {
    let after = withdraw(CHANNEL, &version("4.0.1")).unwrap();
    let expected = CHANNEL
        .replace("  - 4.0.1   # first good one\n", "")
        .replace("tombstones:\n", "tombstones:\n  - 4.0.1   # first good one\n");
    assert_eq!(after, expected);
}

#[test]
fn a_list_that_does_not_exist_is_made_and_one_that_empties_stays_a_list() {
    let text = "name: a\nversions:\n- 1.0.0 # only one\n";
    let after = withdraw(text, &version("1.0.0")).unwrap();
    assert_eq!(after, "name: a\nversions: []\ntombstones:\n- 1.0.0 # only one\n");
    assert_eq!(
        promote("name: a", &version("1.0.0")).unwrap(),
        "name: a\nversions:\n  - 1.0.0\n",
        "a missing line break is made"
    );
}

#[test]
fn lists_in_brackets_and_windows_line_breaks_stay_what_they_are() {
    let text = "name: a\r\nversions: [1.0.0, \"1.1.0\"] # two\r\n";
    let more = promote(text, &version("1.0.5")).unwrap();
    assert_eq!(more, "name: a\r\nversions: [1.0.0, 1.0.5, \"1.1.0\"] # two\r\n");
    let less = withdraw(text, &version("1.1.0")).unwrap();
    assert_eq!(less, "name: a\r\nversions: [1.0.0] # two\r\ntombstones:\r\n  - 1.1.0\r\n");
    assert_eq!(
        promote("name: a\nversions: []\n", &version("1.0.0")).unwrap(),
        "name: a\nversions: [1.0.0]\n"
    );
}

#[test]
fn what_the_channel_already_says_is_refused() {
    let listed = promote(CHANNEL, &version("4.1.0")).unwrap_err();
    assert_eq!(listed, EditError::Listed { version: version("4.1.0"), key: "versions" });
    let withdrawn = promote(CHANNEL, &version("4.0.5")).unwrap_err();
    assert_eq!(withdrawn, EditError::Withdrawn { version: version("4.0.5") });
    let missing = withdraw(CHANNEL, &version("9.0.0")).unwrap_err();
    assert_eq!(missing, EditError::NotListed { version: version("9.0.0"), key: "versions" });
}

#[test]
fn styles_that_are_not_known_are_refused_with_their_line() {
    let cases = [
        ("name: a\nversions: [1.0.0,\n  1.1.0]\n", 2),
        ("name: a\nversions: &v [1.0.0]\n", 2),
        ("name: a\nversions:\n- 1.0.0\n-\n  1.1.0\n", 4),
        ("name: a\nversions:\n  1.0.0\n", 3),
    ];
    for (text, line) in cases {
        let error = promote(text, &version("2.0.0")).unwrap_err();
        assert_eq!(error, EditError::Style { key: "versions", line }, "{text:?}");
    }
    let syntax = promote("name: [a\n", &version("2.0.0")).unwrap_err();
    assert!(matches!(syntax, EditError::Syntax { .. }), "{syntax}");
}

#[test]
fn an_edit_that_would_mean_something_else_is_refused() {
    // The parser sees a key that the text edit does not recognise, and would get it twice.
    let quoted = "name: a\n\"versions\":\n- 1.0.0\n";
    let error = promote(quoted, &version("2.0.0")).unwrap_err();
    assert!(matches!(error, EditError::Meaning | EditError::Style { .. }), "{error}");
    let indented = "  name: a\n  versions:\n  - 1.0.0\n";
    let error = promote(indented, &version("2.0.0")).unwrap_err();
    assert!(matches!(error, EditError::Meaning | EditError::Style { .. }), "{error}");
}

fn risk() -> Risk {
    Risk {
        name: "DiskFills".into(),
        url: "https://e.com/1".into(),
        message: "It's \"full\": 100 % #now\nreally".into(),
        matching_rules: vec![
            MatchingRule::PromQl { promql: "group(x{a=\"b: c\"} > 0)\nor\n0 * group(x)".into() },
            MatchingRule::Always,
        ],
    }
}

#[test]
fn a_block_is_a_file_the_repository_reads() {
    let block = NewBlock {
        to: ">=1.1.0".into(),
        from: "<1.1.0".into(),
        fixed_in: Some(version("1.1.2")),
        risk: Some(risk()),
    };
    let text = block_file(&block).unwrap();
    let product = crate::repository::tests::product(&[], "versions: []\n", &[("x", &text)]);
    assert_eq!(product.blocks[0].risk, Some(risk()));
    assert_eq!(product.blocks[0].fixed_in, Some(version("1.1.2")));
    let plain = NewBlock { to: "1.1.0".into(), from: ".*".into(), fixed_in: None, risk: None };
    assert_eq!(block_file(&plain).unwrap(), "to: 1.1.0\nfrom: \".*\"\n");
}

#[test]
fn a_rule_nobody_can_evaluate_is_not_written() {
    let matching_rules = vec![MatchingRule::Unknown { kind: "Moon".into() }];
    let risk = Some(Risk { matching_rules, ..risk() });
    let block = NewBlock { to: "1.1.0".into(), from: ".*".into(), fixed_in: None, risk };
    assert_eq!(block_file(&block).unwrap_err(), EditError::Meaning);
}

#[test]
fn a_range_ends_where_the_fault_does_and_one_version_has_no_end() {
    let text = "# Why.\nto: \">=1.0.0\" # all\nfrom: .*\n";
    let ended = end_range(text, &version("1.0.2")).unwrap();
    assert_eq!(ended, "# Why.\nto: \">=1.0.0\" # all\nfixedIn: 1.0.2\nfrom: .*\n");
    let later = end_range(&ended.replace("1.0.2", "1.0.2 # hoped"), &version("1.0.3")).unwrap();
    assert!(later.contains("fixedIn: 1.0.3 # hoped\n"), "{later}");
    let one = end_range("to: 1.0.0\nfrom: .*\n", &version("1.0.2")).unwrap_err();
    assert_eq!(one, EditError::NotARange);
}

fn entry(channel: &str, text: &str, why: &str) -> Entry {
    let at = "2026-05-01T12:00:00Z".parse().unwrap();
    Entry { channel: channel.parse().unwrap(), version: version(text), at, why: why.into() }
}

#[test]
fn the_record_grows_at_its_end_and_is_made_where_there_is_none() {
    let first = entry("fast-4", "4.1.0", "rule");
    let made = record(None, std::slice::from_ref(&first)).unwrap();
    assert_eq!(Record::parse(&made).unwrap().entered, std::slice::from_ref(&first));
    let second = entry("stable-4", "4.1.0+arm64", "said: \"now\" # by Ann");
    let grown = record(Some(&made), std::slice::from_ref(&second)).unwrap();
    assert!(grown.starts_with(&made), "{grown}");
    assert_eq!(Record::parse(&grown).unwrap().entered, [first, second]);
}

#[test]
fn soak_rules_and_comments_of_the_record_stay() {
    let text = "soak:\n  stable-4: {days: 7, clusters: 3}\nentered:\n- channel: fast-4 # by hand\n  \
                version: 4.0.0\n  at: 2026-04-01T00:00:00Z\n# end\n";
    let grown = record(Some(text), &[entry("stable-4", "4.0.0", "rule")]).unwrap();
    let read = Record::parse(&grown).unwrap();
    assert_eq!((read.soak.len(), read.entered.len()), (1, 2));
    assert!(grown.contains("# by hand\n") && grown.ends_with("# end\n"), "{grown}");
}

#[test]
fn a_unified_diff_names_new_and_deleted_files_and_missing_line_breaks() {
    let file = std::path::Path::new("a.yaml");
    assert_eq!(unified(file, Some("x\n"), Some("x\n")), "");
    assert_eq!(
        unified(file, None, Some("x\n")),
        "--- /dev/null\n+++ b/a.yaml\n@@ -0,0 +1 @@\n+x\n"
    );
    assert_eq!(
        unified(file, Some("x"), None),
        "--- a/a.yaml\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n\\ No newline at end of file\n"
    );
    let old = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\n";
    let new = old.replace("b\n", "").replace("j\n", "j\nJ\n");
    assert_eq!(
        unified(file, Some(old), Some(&new)),
        "--- a/a.yaml\n+++ b/a.yaml\n@@ -1,5 +1,4 @@\n a\n-b\n c\n d\n e\n@@ -8,4 +7,5 @@\n h\n i\n \
         j\n+J\n k\n"
    );
}
