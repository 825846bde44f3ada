//! Keyset paging: an opaque cursor that names the last row of the page before.

use std::str::FromStr;

use actix_web::http::header::{CACHE_CONTROL, ETAG, HeaderValue, LINK, VARY};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use channels::wire::Page;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::negotiate::if_none_match;
use super::super::problem::{ApiError, Code};
use super::HubState;
use crate::fleet::MAX_PAGE;

/// Rows in a page unless the request says otherwise.
const DEFAULT_LIMIT: usize = 100;
/// Says what a cursor counts, so that one list's cursor is refused by another.
const FORM: &str = "1";

/// Parameters of a list without filters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    cursor: Option<String>,
    limit: Option<usize>,
}

impl PageQuery {
    /// Before which row the page of `list` begins, if it is not the first, and how long it is.
    pub(super) fn read(&self, list: &str) -> Result<(Option<u64>, usize), ApiError> {
        self.read_as(list)
    }

    /// The same for a list whose cursors name something else than a number.
    pub(super) fn read_as<T: FromStr>(&self, list: &str) -> Result<(Option<T>, usize), ApiError> {
        Ok((after(list, self.cursor.as_deref())?, limit(self.limit)?))
    }
}

/// A page of rows that come newest first and are numbered from 1.
pub(super) fn newest_first<T>(
    list: &str,
    items: Vec<T>,
    limit: usize,
    id: impl Fn(&T) -> u64,
) -> Page<T> {
    let last = items.last().filter(|_| items.len() == limit).map(id).filter(|id| *id > 1);
    Page { next: last.map(|id| cursor(list, id)), items }
}

/// Makes a cursor of `list` that goes on after `last`.
pub(super) fn cursor(list: &str, last: impl std::fmt::Display) -> String {
    URL_SAFE_NO_PAD.encode(format!("{list}:{FORM}:{last}"))
}

/// What a cursor of `list` names as the last row; `None` for a cursor of another list.
pub(super) fn last_of(list: &str, cursor: &str) -> Option<String> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let last = text.strip_prefix(list)?.strip_prefix(':')?;
    last.strip_prefix(FORM)?.strip_prefix(':').map(str::to_owned)
}

/// Reads a cursor of `list`.
pub(super) fn after<T: FromStr>(list: &str, cursor: Option<&str>) -> Result<Option<T>, ApiError> {
    let Some(cursor) = cursor else { return Ok(None) };
    match last_of(list, cursor).and_then(|last| last.parse().ok()) {
        Some(last) => Ok(Some(last)),
        None => Err(ApiError::new(
            Code::InvalidCursor,
            "pass the `next` of the page before, or no cursor for the first page",
        )),
    }
}

/// A page as JSON; the next one is in `Link` as well (RFC 8288), with the parameters of this one.
pub(super) fn respond<T: Serialize>(request: &HttpRequest, page: &Page<T>) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    if let Some(next) = &page.next {
        response.insert_header((LINK, link(request.path(), request.query_string(), next)));
    }
    response.json(page)
}

fn link(path: &str, query: &str, next: &str) -> String {
    let kept = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="));
    // Of our own making: base64url needs no escapes.
    let cursor = format!("cursor={next}");
    let query: Vec<&str> = kept.chain([cursor.as_str()]).collect();
    format!("<{path}?{}>; rel=\"next\"", query.join("&"))
}

/// The version of an answer from memory: it stays until a commit or a maintenance tick. Weak, because
/// the answer's own time is in it.
pub(super) struct Version(String);

impl Version {
    /// The version of what is in memory. Take it before the answer: one that is too old only costs a
    /// client another request.
    pub(super) fn of(state: &HubState) -> Self {
        let committed = state.store.committed();
        let run = committed.events().id(committed.generation());
        Self(format!("\"{run}.{}\"", state.catalog.generation()))
    }

    /// The version of what notes of trends say up to `to`: it stays until the next note.
    pub(super) fn of_notes(state: &HubState, last: Option<Timestamp>, to: Timestamp) -> Self {
        let run = state.store.committed().events().id(0);
        let last = last.map_or(0, Timestamp::as_second);
        Self(format!("\"{run}.{last}.{}\"", to.as_second()))
    }

    /// 304 for a client that has it.
    pub(super) fn known_to(&self, request: &HttpRequest) -> Option<HttpResponse> {
        if_none_match(request.headers(), &self.0)
            .then(|| self.on(HttpResponse::NotModified().finish()))
    }

    /// Tells it with an answer, which is for its asker alone.
    pub(super) fn on(&self, mut response: HttpResponse) -> HttpResponse {
        let headers = response.headers_mut();
        if let Ok(version) = HeaderValue::from_str(&format!("W/{}", self.0)) {
            headers.insert(ETAG, version);
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        headers.insert(VARY, HeaderValue::from_static("Accept, Authorization, Cookie"));
        response
    }
}

/// Reads a page size.
pub(super) fn limit(limit: Option<usize>) -> Result<usize, ApiError> {
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    if (1..=MAX_PAGE).contains(&limit) {
        return Ok(limit);
    }
    Err(ApiError::new(Code::InvalidRequest, format!("limit must be between 1 and {MAX_PAGE}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_leads_on_unless_it_is_short_or_ends_with_the_first_row() {
        let next = |ids: &[u64], limit| newest_first("audit", ids.to_vec(), limit, |id| *id).next;
        assert_eq!(next(&[9, 8], 2), Some(cursor("audit", 8)));
        assert_eq!([next(&[9], 2), next(&[2, 1], 2), next(&[], 2)], [None, None, None]);
    }

    #[test]
    fn a_link_keeps_the_filters_and_replaces_the_cursor() {
        let next = link("/api/v1/clusters", "phase=idle&cursor=old&limit=2", "new");
        assert_eq!(next, "</api/v1/clusters?phase=idle&limit=2&cursor=new>; rel=\"next\"");
        assert_eq!(link("/x", "", "new"), "</x?cursor=new>; rel=\"next\"");
    }

    #[test]
    fn a_cursor_reads_back_only_for_its_own_list() {
        let made = cursor("clusters", 41);
        assert_eq!(after("clusters", Some(&made)).unwrap(), Some(41_u64));
        assert_eq!(after::<u64>("clusters", None).unwrap(), None);
        for (list, bad) in [("audit", made.as_str()), ("clusters", "x"), ("clusters", "")] {
            assert_eq!(after::<u64>(list, Some(bad)).unwrap_err().code(), Code::InvalidCursor);
        }
    }
}
