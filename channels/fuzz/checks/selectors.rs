//! Label selectors, as people write them in policies, scopes and queries.

use channels::rollout::{Labels, Selector};

/// Three lines: two selectors and labels as `key=value,…`. What is read is written and read again as
/// the same; what covers another selects whatever that one does.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let mut lines = text.splitn(3, '\n');
    let mut next = || lines.next().unwrap_or_default();
    let (one, other, labels) = (next(), next(), next());
    let pairs = labels.split(',').filter_map(|pair| pair.split_once('='));
    let labels: Labels = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let read = |text: &str| text.parse::<Selector>().ok();
    let (one, other) = (read(one), read(other));
    for selector in [&one, &other].into_iter().flatten() {
        let again: Selector = selector.to_string().parse().expect("a selector reads back");
        assert!(again == *selector, "a selector changes when it is written");
        assert_eq!(again.matches(&labels), selector.matches(&labels));
        assert!(selector.covers(selector), "a selector covers itself");
    }
    if let (Some(one), Some(other)) = (&one, &other)
        && one.covers(other)
        && other.matches(&labels)
    {
        assert!(one.matches(&labels), "{one} covers {other}, but not these labels");
    }
}
