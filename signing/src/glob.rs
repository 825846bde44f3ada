//! Path patterns of delegations: `*` and `?` inside one path segment (TUF 1.0.34 §4.5).
//!
//! A wildcard never crosses `/`, so `acme/*` covers `acme/app` and not `acme/app/x`. Everything
//! else is literal, `[` included. Work is at most pattern length times segment length, with no
//! recursion: a hostile pattern such as `*a*a*a*b` costs nothing special.

/// Whether `path` matches `pattern`, segment by segment.
pub fn matches(pattern: &str, path: &str) -> bool {
    let mut patterns = pattern.split('/');
    let mut segments = path.split('/');
    loop {
        match (patterns.next(), segments.next()) {
            (None, None) => return true,
            (Some(pattern), Some(segment)) if segment_matches(pattern, segment) => {}
            _ => return false,
        }
    }
}

/// Matches one segment, remembering only the last `*`: a later star can always take over what an
/// earlier one would have given back.
fn segment_matches(pattern: &str, segment: &str) -> bool {
    let (mut pattern, mut segment) = (pattern.chars(), segment.chars());
    let mut last_star: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let segment_here = segment.clone();
        match (pattern.next(), segment.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                segment = segment_here;
                last_star = Some((pattern.clone(), segment.clone()));
            }
            (Some('?'), Some(_)) => {}
            (Some(want), Some(have)) if want == have => {}
            _ => {
                let Some((after_star, mut taken)) = last_star.take() else { return false };
                if taken.next().is_none() {
                    return false;
                }
                pattern = after_star.clone();
                segment = taken.clone();
                last_star = Some((after_star, taken));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wildcards_stay_inside_one_segment() {
        for (pattern, path, expected) in [
            ("acme/*", "acme/app", true),
            ("acme/*", "acme/app/x", false),
            ("acme/*/*.release.json", "acme/app/1.2.3.release.json", true),
            ("acme/*/*.release.json", "acme/app/x/1.release.json", false),
            ("acme/*/*.release.json", "evil/app/1.release.json", false),
            ("a?c", "a/c", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("*", "a/b", false),
            ("**", "ab", true),
            ("*b*d", "abcbcd", true),
            ("[a]", "a", false),
            ("[a]", "[a]", true),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn star_pattern_that_defeats_naive_matchers_is_answered() {
        let pattern = "*a".repeat(200) + "b";
        assert!(!matches(&pattern, &"a".repeat(500)));
    }

    /// The definition, word for word, exponential and obviously right.
    fn by_definition(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) if by_definition(rest, text) => true,
            (Some(('*', _)), Some(('/', _))) => false,
            (Some(('*', _)), Some((_, rest))) => by_definition(pattern, rest),
            (Some(('?', more)), Some((have, rest))) => *have != '/' && by_definition(more, rest),
            (Some((want, more)), Some((have, rest))) => want == have && by_definition(more, rest),
            _ => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*?/]{0,8}", path in "[ab/]{0,8}") {
            let as_chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(
                matches(&pattern, &path),
                by_definition(&as_chars(&pattern), &as_chars(&path))
            );
        }
    }
}
