//! Names in the order in which people count: `stable-4.9` before `stable-4.10`.

/// A run of digits, or of anything else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// Leading zeros do not count.
    Number(u64),
    Text(String),
}

/// What to sort a name by. Names that differ may have the same key (`a01`, `a1`): sort stably.
pub(super) fn natural(name: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let is_digit = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != is_digit).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        // Digits that are no u64 are as good as letters.
        let number = run.parse().ok().filter(|_| is_digit);
        parts.push(number.map_or_else(|| Part::Text(run.to_owned()), Part::Number));
        rest = after;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted<'a>(names: &[&'a str]) -> Vec<&'a str> {
        let mut names = names.to_vec();
        names.sort_by_key(|name| natural(name));
        names
    }

    #[test]
    fn numbers_count_and_letters_do_not() {
        let names = ["stable-4.10", "stable-4.9", "fast-4.9", "stable", "stable-4.1"];
        assert_eq!(
            sorted(&names),
            ["fast-4.9", "stable", "stable-4.1", "stable-4.9", "stable-4.10"]
        );
        assert_eq!(sorted(&["b", "10", "9", ""]), ["", "9", "10", "b"]);
        // More digits than a number has, and letters of two bytes.
        assert_eq!(sorted(&["ä2", "ä10", "99999999999999999999999"]).len(), 3);
        assert_eq!(sorted(&["ä10", "ä2"]), ["ä2", "ä10"]);
    }
}
