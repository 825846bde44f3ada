//! What a client accepts (RFC 9110 §12.5) and what it already holds (§13.1.2).
//!
//! Pure functions of header text. Never panics and never fails on odd input: an item that cannot be
//! read is skipped, a header line that is not visible ASCII counts as absent.

use actix_web::http::header::{HeaderMap, HeaderName};

/// Items read of one header; real clients send fewer than ten, and a flood must stay cheap.
const MAX_ITEMS: usize = 64;

/// A weight in thousandths: `q=0.5` is 500.
type Quality = u16;

/// What an item without `q` weighs.
const FULL_QUALITY: Quality = 1000;

/// How a graph may be labelled; the bytes are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    /// `application/json`.
    Json,
    /// `application/vnd.redhat.cincinnati.v1+json`.
    Cincinnati,
}

impl MediaType {
    /// Both, in the order that breaks ties: Cincinnati answers wildcards with plain JSON.
    const ALL: [Self; 2] = [Self::Json, Self::Cincinnati];

    /// The value of `Content-Type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Cincinnati => channels::wire::media_type::CINCINNATI,
        }
    }
}

/// A content coding the server holds ready-made bodies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Encoding {
    /// As signed.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Encoding {
    /// The value of `Content-Encoding`; identity is never written there.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    fn is_named(self, name: &str) -> bool {
        name.eq_ignore_ascii_case(self.as_str())
            || (self == Self::Gzip && name.eq_ignore_ascii_case("x-gzip"))
    }
}

/// How a list of rows is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// One page as one JSON document.
    Json,
    /// All rows, one JSON document per line.
    Ndjson,
    /// All rows as RFC 4180 with a header.
    Csv,
}

impl Listing {
    /// All of them, the one that breaks ties first.
    pub const ALL: [Self; 3] = [Self::Json, Self::Ndjson, Self::Csv];

    /// The value of `format`, and the ending of a file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
        }
    }

    /// The value of `Content-Type`.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }

    fn is_named(self, range: &str) -> bool {
        let essence = self.media_type().split(';').next().unwrap_or_default();
        range.eq_ignore_ascii_case(essence)
    }
}

/// Chooses how to write a list: the one that is named with the greatest weight; JSON where none is.
pub fn listing(headers: &HeaderMap) -> Listing {
    let weight = |listing: &Listing| {
        items(lines(headers, &actix_web::http::header::ACCEPT))
            .filter(|(range, _)| listing.is_named(range))
            .map(|(_, quality)| quality)
            .max()
            .unwrap_or(0)
    };
    let mut best = (Listing::Json, 0);
    for listing in Listing::ALL {
        let weight = weight(&listing);
        if weight > best.1 {
            best = (listing, weight);
        }
    }
    best.0
}

/// Whether a person looks at the answer: a page is named, and no less wanted than JSON. What is asked
/// for by wildcard is not: that is how programs ask.
pub fn is_for_people(headers: &HeaderMap) -> bool {
    let weight = |wanted: &[&str]| {
        items(lines(headers, &actix_web::http::header::ACCEPT))
            .filter(|(range, _)| wanted.iter().any(|name| range.eq_ignore_ascii_case(name)))
            .map(|(_, quality)| quality)
            .max()
            .unwrap_or(0)
    };
    let page = weight(&["text/html"]);
    page > 0 && page >= weight(&["application/json", channels::wire::media_type::PROBLEM])
}

/// Text of all lines of one header; unreadable lines are skipped.
fn lines<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).filter_map(|value| value.to_str().ok())
}

/// `a;x=1;q=0.5, b` as `("a", 500), ("b", 1000)`, without the other parameters.
fn items<'a>(lines: impl Iterator<Item = &'a str>) -> impl Iterator<Item = (&'a str, Quality)> {
    lines.flat_map(|line| line.split(',')).take(MAX_ITEMS).filter_map(|item| {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?;
        let weight = parts.find_map(|part| {
            let (key, value) = part.split_once('=')?;
            key.trim().eq_ignore_ascii_case("q").then(|| value.trim())
        });
        Some((name, weight.map_or(Some(FULL_QUALITY), parse_quality)?))
    })
}

/// Reads `0`, `0.5`, `1.000` (RFC 9110 §12.4.2: at most three decimals, at most one).
fn parse_quality(text: &str) -> Option<Quality> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let thousandths: Quality = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(FULL_QUALITY),
        _ => None,
    }
}

/// Chooses how to label a graph. `None` = the client takes neither (406).
pub fn media_type(headers: &HeaderMap) -> Option<MediaType> {
    let accept = &actix_web::http::header::ACCEPT;
    if items(lines(headers, accept)).next().is_none() {
        // No Accept, or none that says anything: Cincinnati's own type.
        return Some(MediaType::Cincinnati);
    }
    let weigh = |media: MediaType| {
        items(lines(headers, accept))
            .filter_map(|(range, quality)| Some((specificity(range, media)?, quality)))
            .max_by_key(|(specificity, _)| *specificity)
            .filter(|(_, quality)| *quality > 0)
            .map(|(specificity, quality)| (quality, specificity))
    };
    let mut best: Option<(MediaType, (Quality, u8))> = None;
    for media in MediaType::ALL {
        if let Some(weight) = weigh(media)
            && best.is_none_or(|(_, other)| weight > other)
        {
            best = Some((media, weight));
        }
    }
    best.map(|(media, _)| media)
}

/// How closely a media range fits: 2 exact, 1 `application/*`, 0 any; `None` = not at all.
fn specificity(range: &str, media: MediaType) -> Option<u8> {
    match range {
        // `*` alone is what some Java clients send; Cincinnati takes it too.
        "*" | "*/*" => Some(0),
        _ if range.eq_ignore_ascii_case("application/*") => Some(1),
        _ => range.eq_ignore_ascii_case(media.as_str()).then_some(2),
    }
}

/// Chooses a content coding among `ready` (coding and body length): the highest weight, then the
/// shortest body. `None` = the client refuses all of them (406).
pub fn encoding(headers: &HeaderMap, ready: &[(Encoding, usize)]) -> Option<Encoding> {
    let accept = &actix_web::http::header::ACCEPT_ENCODING;
    if !headers.contains_key(accept) {
        // RFC 9110 §12.5.3: anything would do; a client that says nothing may not decode.
        return ready.iter().map(|(coding, _)| *coding).min();
    }
    ready
        .iter()
        .filter_map(|(coding, length)| {
            let quality = coding_quality(headers, accept, *coding)?;
            Some((std::cmp::Reverse(quality), *length, *coding))
        })
        .min()
        .map(|(_, _, coding)| coding)
}

/// The weight of one coding; `None` = refused. An identity that nobody mentions is acceptable, but
/// weighs less than anything that was asked for.
fn coding_quality(headers: &HeaderMap, accept: &HeaderName, coding: Encoding) -> Option<Quality> {
    let mut wildcard = None;
    for (name, quality) in items(lines(headers, accept)) {
        if coding.is_named(name) {
            return (quality > 0).then_some(quality);
        }
        if name == "*" {
            wildcard = Some(quality);
        }
    }
    match wildcard {
        Some(quality) => (quality > 0).then_some(quality),
        None => (coding == Encoding::Identity).then_some(0),
    }
}

/// Whether `If-None-Match` names `etag` (with its quotes): lists, `*` and weak comparison
/// (RFC 9110 §13.1.2).
pub fn if_none_match(headers: &HeaderMap, etag: impl AsRef<[u8]>) -> bool {
    let (field, etag) = (&actix_web::http::header::IF_NONE_MATCH, etag.as_ref());
    // What clients send back is what they were given.
    if headers.get(field).is_some_and(|value| value.as_bytes() == etag) {
        return true;
    }
    lines(headers, field).any(|line| {
        let line = line.trim();
        line == "*" || tags(line).take(MAX_ITEMS).any(|tag| tag.as_bytes() == etag)
    })
}

/// The quoted tags of a list, without their `W/`. Stops where the list is no longer well formed.
fn tags(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let open = rest.strip_prefix("W/").unwrap_or(rest);
        let length = open.strip_prefix('"')?.find('"')? + 2;
        let (tag, after) = open.split_at_checked(length)?;
        rest = after;
        Some(tag)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{ACCEPT, ACCEPT_ENCODING, HeaderValue, IF_NONE_MATCH};
    use proptest::prelude::*;

    const READY: [(Encoding, usize); 3] =
        [(Encoding::Identity, 100), (Encoding::Gzip, 30), (Encoding::Zstd, 20)];

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for value in values {
            map.append(name.clone(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        map
    }

    #[track_caller]
    fn accepts(value: &str, expected: Option<MediaType>) {
        assert_eq!(media_type(&headers(&ACCEPT, &[value])), expected, "Accept: {value}");
    }

    #[test]
    fn what_cincinnati_accepts_exactly_is_labelled_as_it_labels_it() {
        assert_eq!(media_type(&HeaderMap::new()), Some(MediaType::Cincinnati));
        for wildcard in ["*", "*/*", "application/*", "application/json"] {
            accepts(wildcard, Some(MediaType::Json));
        }
        accepts("application/vnd.redhat.cincinnati.v1+json", Some(MediaType::Cincinnati));
        accepts("text/html", None);
    }

    #[test]
    fn lists_and_weights_are_honoured_where_cincinnati_answers_406() {
        accepts("application/json, */*;q=0.5", Some(MediaType::Json));
        accepts(
            "text/html, application/vnd.redhat.cincinnati.v1+json;q=0.2",
            Some(MediaType::Cincinnati),
        );
        accepts(
            "application/json;q=0.1, application/vnd.redhat.cincinnati.v1+json",
            Some(MediaType::Cincinnati),
        );
        accepts("APPLICATION/JSON; charset=utf-8", Some(MediaType::Json));
        accepts("application/json;q=0, */*", Some(MediaType::Cincinnati));
        accepts("*/*;q=0", None);
        accepts("application/json;q=0", None);
        accepts("application/json;q=7", Some(MediaType::Cincinnati));
    }

    #[test]
    fn several_accept_lines_count_as_one_list() {
        let map = headers(&ACCEPT, &["text/html", "application/json"]);
        assert_eq!(media_type(&map), Some(MediaType::Json));
    }

    #[test]
    fn pages_are_for_those_who_name_them_first() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for page in [browser, "text/html, */*", "TEXT/HTML;q=0.5", "text/html, application/json"] {
            assert!(is_for_people(&headers(&ACCEPT, &[page])), "{page}");
        }
        for other in ["*/*", "text/*", "text/html;q=0", "application/json, text/html;q=0.9", ""] {
            assert!(!is_for_people(&headers(&ACCEPT, &[other])), "{other}");
        }
        assert!(!is_for_people(&HeaderMap::new()));
    }

    #[track_caller]
    fn encodes(value: &str, expected: Option<Encoding>) {
        let map = headers(&ACCEPT_ENCODING, &[value]);
        assert_eq!(encoding(&map, &READY), expected, "Accept-Encoding: {value}");
    }

    #[test]
    fn the_shortest_of_the_best_weighted_codings_wins() {
        assert_eq!(encoding(&HeaderMap::new(), &READY), Some(Encoding::Identity));
        encodes("", Some(Encoding::Identity));
        encodes("gzip", Some(Encoding::Gzip));
        encodes("x-gzip", Some(Encoding::Gzip));
        encodes("gzip, deflate, br, zstd", Some(Encoding::Zstd));
        encodes("zstd;q=0.3, gzip;q=0.8", Some(Encoding::Gzip));
        encodes("identity, gzip;q=0.5", Some(Encoding::Identity));
        encodes("br", Some(Encoding::Identity));
        encodes("*", Some(Encoding::Zstd));
        encodes("gzip;q=0, *", Some(Encoding::Zstd));
        encodes("gzip;q=bad", Some(Encoding::Identity));
    }

    #[test]
    fn a_coding_is_refused_only_if_nothing_fits() {
        encodes("identity;q=0, gzip", Some(Encoding::Gzip));
        encodes("identity;q=0", None);
        encodes("*;q=0", None);
        encodes("*;q=0, gzip;q=0.1", Some(Encoding::Gzip));
        encodes("br, identity;q=0", None);
    }

    #[track_caller]
    fn matches(value: &str, expected: bool) {
        let map = headers(&IF_NONE_MATCH, &[value]);
        assert_eq!(if_none_match(&map, "\"abc\""), expected, "If-None-Match: {value}");
    }

    #[test]
    fn tags_match_weakly_in_lists_and_by_star() {
        matches("\"abc\"", true);
        matches("W/\"abc\"", true);
        matches("*", true);
        matches("\"x,y\" , W/\"z\",\"abc\"", true);
        matches("\"abcd\"", false);
        matches("abc", false);
        matches("\"ab, c\"", false);
        matches("\"abc", false);
        matches("", false);
        assert!(!if_none_match(&HeaderMap::new(), "\"abc\""));
        assert!(if_none_match(&headers(&IF_NONE_MATCH, &["\"x\"", "\"abc\""]), "\"abc\""));
    }

    #[test]
    fn bytes_outside_ascii_count_as_an_absent_header() {
        let mut map = HeaderMap::new();
        for name in [ACCEPT, IF_NONE_MATCH] {
            map.insert(name, HeaderValue::from_bytes(b"\xff\xfe\"").unwrap());
        }
        assert_eq!(media_type(&map), Some(MediaType::Cincinnati));
        assert!(!if_none_match(&map, "\"abc\""));
    }

    proptest! {
        #[test]
        fn no_header_text_panics_and_a_choice_is_one_of_those_offered(value in "[ -~]{0,80}") {
            let mut map = HeaderMap::new();
            for name in [ACCEPT, ACCEPT_ENCODING, IF_NONE_MATCH] {
                map.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            let _ = media_type(&map);
            let _ = if_none_match(&map, "\"abc\"");
            let offered = [(Encoding::Gzip, 30)];
            prop_assert!(encoding(&map, &offered).is_none_or(|chosen| chosen == Encoding::Gzip));
        }

        #[test]
        fn weights_of_the_grammar_are_read_exactly(thousandths in 0u16..=1000) {
            let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
            prop_assert_eq!(parse_quality(&text), Some(thousandths));
        }
    }
}
