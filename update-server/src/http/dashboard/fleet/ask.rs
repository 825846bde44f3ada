//! The address of the page, read: which clusters somebody wants to see. What is typed into the form
//! and what a link says are the same, and the parameters are those of `/api/v1/clusters`.

use std::collections::BTreeMap;

use actix_web::web::Query;
use channels::names::{ChannelName, ProductRef};
use channels::rollout::Selector;
use form_urlencoded::{Serializer, parse};

use crate::auth::Scope;
use crate::fleet::HeatBy;
use crate::http::api::clusters::ListQuery;
use crate::http::problem::{ApiError, Code};

/// Parameters that the API has too. Those of a page of rows, `cursor` and `limit`, are not kept in
/// links.
const SHARED: [&str; 16] = [
    "product",
    "channel",
    "version",
    "phase",
    "health",
    "freshness",
    "activity",
    "drift",
    "hops_min",
    "hops_max",
    "age_min_days",
    "age_max_days",
    "name",
    "selector",
    "risk",
    "site",
];
/// Labels with a field of their own; the API takes them in `selector`.
pub(super) const LABELS: [&str; 2] = ["ring", "region"];
/// What makes a group of the heat strip.
pub(super) const GROUP: &str = "group";
/// Where a page of rows begins.
pub(super) const CURSOR: &str = "cursor";
/// Those that say which clusters the whole page is about; the others are about the list.
const WHOLE_PAGE: [&str; 6] = ["product", "channel", "selector", "ring", "region", GROUP];

/// What somebody wants to see.
#[derive(Debug, Default)]
pub(super) struct Ask {
    /// Every parameter that says something, as it was sent.
    fields: BTreeMap<String, String>,
    /// Of the list.
    pub(super) list: ListQuery,
    /// Of the figures.
    pub(super) product: Option<ProductRef>,
    /// Of the figures.
    pub(super) channel: Option<ChannelName>,
    /// Labels, all together as a selector.
    pub(super) selector: Option<(String, Selector)>,
}

impl Ask {
    /// Reads a query; what it does not know it leaves alone.
    pub(super) fn read(query: &str) -> Result<Self, ApiError> {
        let known = |key: &str| {
            SHARED.contains(&key) || LABELS.contains(&key) || key == GROUP || key == CURSOR
        };
        let fields: BTreeMap<String, String> = parse(query.as_bytes())
            // A form sends its empty fields too.
            .filter(|(key, value)| known(key) && !value.trim().is_empty())
            .map(|(key, value)| (key.into_owned(), value.trim().to_owned()))
            .collect();
        let wrong = |name: &str, error: &dyn std::fmt::Display| {
            ApiError::new(Code::InvalidRequest, format!("{name}: {error}"))
        };
        let mut ask = Self { fields, ..Self::default() };
        if let Some(text) = ask.selector_text() {
            let selector = text.parse::<Selector>().map_err(|error| wrong("selector", &error))?;
            ask.selector = Some((text, selector));
        }
        ask.list = Query::<ListQuery>::from_query(&ask.api_query(CURSOR))
            .map_err(|error| wrong("filter", &error))?
            .into_inner();
        let named = |name: &str| ask.fields.get(name);
        ask.product = named("product")
            .map(|text| text.parse::<ProductRef>().map_err(|error| wrong("product", &error)))
            .transpose()?;
        ask.channel = named("channel")
            .map(|text| text.parse::<ChannelName>().map_err(|error| wrong("channel", &error)))
            .transpose()?;
        Ok(ask)
    }

    /// The same form, where what was asked for cannot be read.
    pub(super) fn unread(query: &str) -> Self {
        let fields = parse(query.as_bytes()).map(|(key, value)| (key.into(), value.into()));
        Self { fields: fields.collect(), ..Self::default() }
    }

    fn selector_text(&self) -> Option<String> {
        let labels = LABELS.iter().filter_map(|label| {
            let value = self.fields.get(*label)?;
            Some(format!("{label}={value}"))
        });
        let terms: Vec<String> =
            self.fields.get("selector").cloned().into_iter().chain(labels).collect();
        (!terms.is_empty()).then(|| terms.join(","))
    }

    /// What stands in a field of the form.
    pub(super) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// Whether the list is about some of the clusters only.
    pub(super) fn is_narrow(&self) -> bool {
        self.fields.keys().any(|key| key != GROUP && key != CURSOR)
    }

    /// Whether this is not the first page of rows.
    pub(super) fn is_later_page(&self) -> bool {
        self.fields.contains_key(CURSOR)
    }

    /// What makes a group of the heat strip.
    pub(super) fn by(&self) -> HeatBy {
        match self.field(GROUP) {
            "" | "channel" => HeatBy::Channel,
            label => HeatBy::Label(label.to_owned()),
        }
    }

    /// The clusters among `scope` that the figures are about.
    pub(super) fn scope(&self, scope: &Scope) -> Scope {
        match &self.selector {
            None => scope.clone(),
            Some((text, selector)) => scope.narrowed(text.clone(), selector.clone()),
        }
    }

    /// The same question for `/api/v1/clusters`, with one more of its parameters if that is there.
    fn api_query(&self, with: &str) -> String {
        let mut query = Serializer::new(String::new());
        for name in SHARED.into_iter().filter(|name| *name != "selector").chain([with]) {
            if let Some(value) = self.fields.get(name) {
                query.append_pair(name, value);
            }
        }
        if let Some((text, _)) = &self.selector {
            query.append_pair("selector", text);
        }
        query.finish()
    }

    /// All that the list shows, in another format.
    pub(super) fn export(&self, format: &str) -> String {
        let query = self.api_query("");
        let and = if query.is_empty() { "" } else { "&" };
        format!("/api/v1/clusters?{query}{and}format={format}")
    }

    /// The list of clusters below the same figures with another filter.
    pub(super) fn listing(&self, filter: &[(&str, &str)]) -> String {
        let kept =
            |key: &str| WHOLE_PAGE.contains(&key) && filter.iter().all(|(name, _)| *name != key);
        self.address(kept, filter, "#clusters")
    }

    /// The next page of rows.
    pub(super) fn next(&self, cursor: &str) -> String {
        self.address(|key| key != CURSOR, &[(CURSOR, cursor)], "#clusters")
    }

    /// The first page of rows.
    pub(super) fn first(&self) -> String {
        self.address(|key| key != CURSOR, &[], "#clusters")
    }

    fn address(&self, kept: impl Fn(&str) -> bool, with: &[(&str, &str)], end: &str) -> String {
        let mut query = Serializer::new(String::new());
        query.extend_pairs(self.fields.iter().filter(|(key, _)| kept(key)));
        query.extend_pairs(with.iter().filter(|(_, value)| !value.is_empty()));
        let query = query.finish();
        if query.is_empty() { format!("/{end}") } else { format!("/?{query}{end}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_with_empty_fields_asks_for_everything() {
        let ask = Ask::read("product=&channel=&name=+&refresh=5&other=1").unwrap();
        assert!(!ask.is_narrow() && ask.selector.is_none());
        assert_eq!(ask.export("csv"), "/api/v1/clusters?format=csv");
        assert_eq!(ask.by(), HeatBy::Channel);
    }

    #[test]
    fn fields_for_labels_become_one_selector_and_a_narrower_scope() {
        let ask = Ask::read("ring=canary&region=eu&selector=env!%3Dtest&group=region").unwrap();
        assert_eq!(ask.selector.as_ref().unwrap().0, "env!=test,ring=canary,region=eu");
        assert_eq!(
            ask.export("ndjson"),
            "/api/v1/clusters?selector=env%21%3Dtest%2Cring%3Dcanary%2Cregion%3Deu&format=ndjson"
        );
        assert!(!ask.scope(&Scope::whole()).is_whole());
        assert_eq!(ask.by(), HeatBy::Label("region".to_owned()));
    }

    #[test]
    fn links_to_the_list_keep_what_the_page_is_about_and_drop_what_the_list_was_about() {
        let ask = Ask::read("product=acme/kafka&ring=a&phase=idle&name=x&cursor=abc").unwrap();
        assert_eq!(
            ask.listing(&[("activity", "silent"), ("product", "acme/os")]),
            "/?ring=a&activity=silent&product=acme%2Fos#clusters"
        );
        assert!(ask.is_later_page());
        let next = "/?name=x&phase=idle&product=acme%2Fkafka&ring=a&cursor=def#clusters";
        assert_eq!(ask.next("def"), next);
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_its_name_and_stays_in_the_form() {
        for (query, name) in [
            ("selector=a%3D%3D%3D", "selector"),
            ("hops_min=many", "filter"),
            ("product=kafka", "product"),
            ("age_min_days=-1", "filter"),
        ] {
            let error = Ask::read(query).unwrap_err().to_string();
            assert!(error.contains(name), "{query}: {error}");
        }
        assert_eq!(Ask::unread("hops_min=many").field("hops_min"), "many");
    }
}
