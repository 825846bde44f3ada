//! Small words of sentences for people.

use signing::PublicKey;

/// `1 release`, `2 releases`, `no releases`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    match number {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// The key id in groups of four, which people can compare over a telephone.
pub(crate) fn fingerprint(key: &PublicKey) -> String {
    let id = key.key_id();
    let digits: Vec<char> = id.as_str().chars().collect();
    let groups: Vec<String> = digits.chunks(4).map(|group| group.iter().collect()).collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular() {
        assert_eq!([0, 1, 2].map(|n| count(n, "edge")), ["no edges", "1 edge", "2 edges"]);
    }
}
