//! Dark sites over HTTP: one hub exports, another one imports.

use super::*;
use channels::wire::{
    AuditRow, ClusterRow, DriftAnswer, DriftState, Freshness, Page, SiteImport, SiteKey, SiteRow,
    SiteStatus, StatusImportReply, media_type,
};

const DAY_S: i64 = 86_400;

/// A hub behind the gap with two clusters on 1.0.0 and the graph that ends there.
struct DarkSite {
    hub: Hub,
    agents: Vec<Agent>,
}

impl DarkSite {
    async fn new(name: &str) -> Self {
        let hub = Hub::with(&format!("site = {name:?}")).await;
        hub.state.publisher.publish(Fixture::new().publication(), t0()).unwrap();
        let mut agents = Vec::new();
        for n in 1..=2 {
            let agent = hub.agent(n).await;
            hub.reply(&agent, &agent.idle(1)).await;
            agents.push(agent);
        }
        Self { hub, agents }
    }

    async fn export(&self, query: &str) -> Answer {
        let path = format!("/api/v1/status-export{query}");
        self.hub.ask(Access::Operator, "GET", &path, None).await
    }

    async fn status(&self, query: &str) -> Vec<u8> {
        let answer = self.export(query).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("content-type"), Some(media_type::SITE_STATUS));
        answer.body.to_vec()
    }

    async fn key(&self) -> SiteKey {
        self.hub.get("/api/v1/status-export/key").await
    }
}

impl Hub {
    async fn register(&self, name: &str, key: &SiteKey, interval_s: Option<u64>) -> Answer {
        let body = json!({
            "public_key": key.public_key, "description": "a rig", "expected_interval_s": interval_s,
        });
        self.ask(Access::Admin, "PUT", &format!("/api/v1/sites/{name}"), Some(body)).await
    }

    async fn import(&self, bytes: &[u8], query: &str) -> Answer {
        let header = format!("Bearer {}", token(Access::Operator).reveal());
        let request = TestRequest::post()
            .uri(&format!("/api/v1/status-imports{query}"))
            .insert_header(("authorization", header))
            .insert_header(("content-type", media_type::SITE_STATUS))
            .set_payload(bytes.to_vec());
        self.call(request).await
    }

    async fn imported(&self, bytes: &[u8]) -> StatusImportReply {
        let answer = self.import(bytes, "").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    async fn refused(&self, bytes: &[u8], query: &str) -> (u16, String, Option<String>) {
        let answer = self.import(bytes, query).await;
        let (status, slug) = answer.problem();
        (status, slug, answer.json::<Problem>().attack)
    }
}

fn refusal(status: u16, slug: &str, attack: Option<&str>) -> (u16, String, Option<String>) {
    (status, slug.to_owned(), attack.map(str::to_owned))
}

#[actix_web::test]
async fn a_dark_site_shows_in_drift_with_the_age_of_what_is_known() {
    let north = DarkSite::new("north").await;
    let hub = Hub::published().await;
    let live = hub.agent(9).await;
    hub.reply(&live, &live.idle(1)).await;
    let before: DriftAnswer = hub.get("/api/v1/drift").await;
    assert_eq!(hub.register("north", &north.key().await, Some(3_600)).await.status, 201);
    let known: DriftAnswer = hub.get("/api/v1/drift").await;
    assert_eq!(known.sites_never_reported, ["north".parse().unwrap()]);
    let bytes = north.status("?newest_bundle=4").await;
    let reply = hub.imported(&bytes).await;
    assert_eq!((reply.clusters, reply.changed, reply.made_at), (2, true, t0()));

    let drift: DriftAnswer = hub.get("/api/v1/drift").await;
    assert_eq!(drift.items, before.items, "the live figures are what they were");
    let [site] = drift.sites.as_slice() else { panic!("{drift:?}") };
    assert_eq!((site.as_of, site.freshness), (t0(), Freshness::Carried));
    assert_eq!((site.totals.active, site.totals.behind), (2, 2));
    assert_eq!(site.totals.head, Some("1.1.0".parse().unwrap()), "on this hub's graph");
    assert_eq!(site.head_at_site, Some("1.1.0".parse().unwrap()));
    assert!(drift.sites_never_reported.is_empty());
    for (later_s, class) in [(3_601, Freshness::Late), (3_600, Freshness::Silent)] {
        hub.advance(later_s);
        let drift: DriftAnswer = hub.get("/api/v1/drift?product=acme/kafka").await;
        assert_eq!((drift.sites[0].as_of, drift.sites[0].freshness), (t0(), class));
    }
    let other: DriftAnswer = hub.get("/api/v1/drift?channel=beta").await;
    assert!(other.sites.is_empty(), "filters hold for sites too");
    let sites: Page<SiteRow> = hub.get("/api/v1/sites").await;
    let head = sites.items[0].status.as_ref().unwrap();
    assert_eq!((head.newest_bundle, head.counts.clusters), (Some(4), 2));
    assert_eq!(head.imported_by, "the-operator");
}

#[actix_web::test]
async fn drift_is_that_of_this_hubs_graph_with_the_sites_own_beside_it() {
    let north = DarkSite::new("north").await;
    // A hub that serves nothing: here there is no such graph, there there is.
    let hub = Hub::new().await;
    hub.register("north", &north.key().await, None).await;
    hub.imported(&north.status("").await).await;
    let page: Page<ClusterRow> = hub.get("/api/v1/clusters").await;
    let product = &page.items[0].products[0];
    assert_eq!(product.drift.state, DriftState::NoGraph);
    let there = product.drift_at_site.as_ref().unwrap();
    assert_eq!((there.state, there.hops), (DriftState::Behind, Some(1)));
}

#[actix_web::test]
async fn clusters_of_dark_sites_come_after_the_live_ones_on_pages_of_any_length() {
    let north = DarkSite::new("north").await;
    let hub = Hub::published().await;
    for n in [7, 8] {
        hub.agent(n).await;
    }
    hub.register("north", &north.key().await, None).await;
    hub.imported(&north.status("").await).await;
    for limit in 1..=5 {
        let (mut names, mut cursor) = (Vec::new(), String::new());
        loop {
            let page: Page<ClusterRow> =
                hub.get(&format!("/api/v1/clusters?limit={limit}{cursor}")).await;
            assert!(page.items.len() <= limit);
            let name = |row: &ClusterRow| (row.site.clone().map(String::from), row.name.clone());
            names.extend(page.items.iter().map(name));
            match page.next {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(names.len(), 4, "{limit}: {names:?}");
        assert!(names[..2].iter().all(|(site, _)| site.is_none()), "{names:?}");
        assert!(names[2..].iter().all(|(site, _)| site.as_deref() == Some("north")));
    }
    let of_site: Page<ClusterRow> = hub.get("/api/v1/clusters?site=north&name=site-1").await;
    assert_eq!(of_site.items.len(), 1);
    let none: Page<ClusterRow> = hub.get("/api/v1/clusters?site=south").await;
    assert_eq!(none.items.len(), 0);
    let carried: Page<ClusterRow> = hub.get("/api/v1/clusters?freshness=carried").await;
    assert_eq!(carried.items.len(), 2);
    let fresh: Page<ClusterRow> = hub.get("/api/v1/clusters?freshness=fresh").await;
    assert_eq!(fresh.items.len(), 0, "nothing carried is fresh");
}

#[actix_web::test]
async fn a_cluster_of_a_dark_site_is_shown_but_nothing_can_be_done_to_it() {
    let north = DarkSite::new("north").await;
    let hub = Hub::published().await;
    hub.register("north", &north.key().await, None).await;
    hub.imported(&north.status("").await).await;
    let id = north.agents[0].id;
    let row: ClusterRow = hub.get(&format!("/api/v1/clusters/{id}")).await;
    assert_eq!((row.site, row.freshness), (Some("north".parse().unwrap()), Freshness::Carried));
    let by_name: ClusterRow = hub.get("/api/v1/clusters/site-2").await;
    assert_eq!(by_name.id, north.agents[1].id);
    for (method, path, body) in [
        ("DELETE", String::new(), None),
        ("POST", "/trust".to_owned(), Some(json!({ "acknowledge": "a" }))),
        ("POST", "/join-tokens".to_owned(), Some(json!({ "expires_in_s": 60 }))),
        ("GET", "/history".to_owned(), None),
    ] {
        let path = format!("/api/v1/clusters/{id}{path}");
        let answer = hub.ask(Access::Operator, method, &path, body).await;
        assert_eq!(answer.problem(), (404, "not_found".to_owned()), "{method} {path}");
        assert!(answer.text().contains("dark site north"), "{}", answer.text());
    }
    let hold = json!({ "scope": { "kind": "cluster", "cluster": id }, "reason": "r" });
    assert_eq!(hub.ask(Access::Operator, "POST", "/api/v1/holds", Some(hold)).await.status, 404);
    // Its key is not known here, so it gets no directive either.
    let report = hub.report(&north.agents[0], &north.agents[0].idle(5)).await;
    assert_eq!(report.problem(), (401, "unknown_cluster".to_owned()));
}

#[actix_web::test]
async fn a_status_is_refused_by_name_and_nothing_changes() {
    let north = DarkSite::new("north").await;
    let south = DarkSite::new("south").await;
    let hub = Hub::published().await;
    let bytes = north.status("").await;
    let unknown = refusal(404, "unknown_site", None);
    assert_eq!(hub.refused(&bytes, "").await, unknown);
    // South's key under north's name.
    hub.register("north", &south.key().await, None).await;
    let wrong_key = refusal(422, "status_unverified", Some("arbitrary_software"));
    assert_eq!(hub.refused(&bytes, "").await, wrong_key);
    hub.register("north", &north.key().await, None).await;
    let foreign = refusal(422, "status_unverified", Some("wrong_software"));
    assert_eq!(hub.refused(&bytes, "?site=south").await, foreign);
    let newer = north.status("").await;
    assert!(hub.imported(&newer).await.changed);
    let old = refusal(409, "status_rollback", Some("rollback"));
    assert_eq!(hub.refused(&bytes, "").await, old);
    assert!(!hub.imported(&newer).await.changed, "the same file again changes nothing");
    north.hub.advance(2 * 3_600);
    let future = north.status("").await;
    assert_eq!(hub.refused(&future, "").await, refusal(422, "status_from_future", None));
    let oversize = vec![b' '; SiteStatus::MAX_BYTES + 1];
    assert_eq!(hub.refused(&oversize, "").await, refusal(413, "body_too_large", None));
    let history: Page<SiteImport> = hub.get("/api/v1/sites/north/imports").await;
    assert_eq!(history.items.len(), 1, "refused ones left nothing");
}

#[actix_web::test]
async fn a_removed_site_that_comes_back_does_not_take_an_old_status() {
    let north = DarkSite::new("north").await;
    let hub = Hub::published().await;
    let (old, new) = (north.status("").await, north.status("").await);
    let key = north.key().await;
    hub.register("north", &key, None).await;
    hub.imported(&new).await;
    let path = "/api/v1/sites/north";
    assert_eq!(hub.ask(Access::Admin, "DELETE", path, None).await.status, 204);
    let gone = hub.ask(Access::Admin, "DELETE", path, None).await;
    assert_eq!(gone.problem(), (404, "unknown_site".to_owned()));
    let drift: DriftAnswer = hub.get("/api/v1/drift").await;
    assert!(drift.sites.is_empty());
    assert_eq!(hub.register("north", &key, None).await.status, 201);
    let old = hub.refused(&old, "").await;
    assert_eq!(old, refusal(409, "status_rollback", Some("rollback")));
    assert!(hub.imported(&new).await.changed, "the newest one is shown again");
    let drift: DriftAnswer = hub.get("/api/v1/drift").await;
    assert_eq!(drift.sites.len(), 1);
    let history: Page<SiteImport> = hub.get("/api/v1/sites/north/imports").await;
    assert_eq!(history.items.len(), 1, "and was taken once");
}

#[actix_web::test]
async fn another_key_for_a_site_takes_what_the_old_one_signed_off_the_page() {
    let north = DarkSite::new("north").await;
    let hub = Hub::published().await;
    let key = north.key().await;
    hub.register("north", &key, None).await;
    let bytes = north.status("").await;
    hub.imported(&bytes).await;
    let again = hub.register("north", &key, Some(600)).await;
    assert_eq!(again.status, 200);
    assert!(again.json::<SiteRow>().status.is_some(), "the same key, another interval");
    let other = DarkSite::new("other").await.key().await;
    let row: SiteRow = hub.register("north", &other, None).await.json();
    assert_eq!((row.freshness, row.status), (Freshness::Never, None));
    assert_eq!(hub.refused(&bytes, "").await.1, "status_unverified");
}

#[actix_web::test]
async fn a_flipped_byte_anywhere_is_refused_by_a_name() {
    let north = DarkSite::new("north").await;
    let hub = Hub::published().await;
    hub.register("north", &north.key().await, None).await;
    let good = north.status("").await;
    let mut names = std::collections::BTreeSet::new();
    for at in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        names.insert(hub.refused(&bad, "").await.1);
    }
    let wanted = ["status_unverified", "unknown_site"].map(str::to_owned);
    assert!(names.is_subset(&wanted.into()) && names.contains("status_unverified"), "{names:?}");
    assert!(hub.imported(&good).await.changed, "the file itself is good");
}

#[actix_web::test]
async fn what_a_site_keeps_to_itself_reaches_nobody() {
    let north = DarkSite::new("north").await;
    let text = String::from_utf8(north.status("").await).unwrap();
    assert!(text.contains("site-1"));
    let bytes = north.status("?redact=names,labels,messages").await;
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(!text.contains("site-1") && !text.contains("site-2") && !text.contains("message\":"));
    let hub = Hub::published().await;
    hub.register("north", &north.key().await, None).await;
    hub.imported(&bytes).await;
    let page: Page<ClusterRow> = hub.get("/api/v1/clusters?site=north").await;
    assert!(page.items.iter().all(|row| row.name.starts_with("cluster-")));
    let wrong = north.export("?redact=everything").await;
    assert_eq!(wrong.problem(), (400, "invalid_request".to_owned()));
}

#[actix_web::test]
async fn a_cluster_that_reports_here_itself_is_not_shown_twice() {
    // The site's hub is a copy of this one: the same ids on both sides.
    let north = DarkSite::new("north").await;
    let key = north.key().await;
    let bytes = north.status("").await;
    assert_eq!(north.hub.register("north", &key, None).await.status, 201);
    let reply = north.hub.imported(&bytes).await;
    assert_eq!((reply.clusters, reply.live_here.len()), (0, 2));
    let page: Page<ClusterRow> = north.hub.get("/api/v1/clusters").await;
    assert_eq!(page.items.len(), 2);
    assert!(page.items.iter().all(|row| row.site.is_none()));
    let drift: DriftAnswer = north.hub.get("/api/v1/drift").await;
    assert!(drift.sites.is_empty());
}

#[actix_web::test]
async fn a_hub_without_a_site_exports_nothing() {
    let hub = Hub::published().await;
    for path in ["/api/v1/status-export", "/api/v1/status-export/key"] {
        let answer = hub.ask(Access::Operator, "GET", path, None).await;
        assert_eq!(answer.problem(), (409, "conflict".to_owned()));
        assert!(answer.text().contains("--site"), "{}", answer.text());
    }
    let head = hub.ask(Access::Operator, "HEAD", "/api/v1/status-export", None).await;
    assert_eq!((head.status, head.header("allow")), (405, Some("GET")));
}

#[actix_web::test]
async fn sequences_grow_also_within_a_second_and_after_a_clock_that_went_back() {
    let north = DarkSite::new("north").await;
    let sequence = async || {
        let value: Value = serde_json::from_slice(&north.status("").await).unwrap();
        value["signed"]["sequence"].as_u64().unwrap()
    };
    let first = sequence().await;
    assert_eq!(i64::try_from(first).unwrap(), t0().as_second(), "it follows the clock");
    assert_eq!(sequence().await, first + 1);
    north.hub.advance(-DAY_S);
    assert_eq!(sequence().await, first + 2);
    north.hub.advance(3 * DAY_S);
    assert!(sequence().await > first + 3, "and catches up with it");
}

#[actix_web::test]
async fn exports_and_imports_are_on_record() {
    let north = DarkSite::new("north").await;
    let hub = Hub::published().await;
    hub.register("north", &north.key().await, None).await;
    hub.imported(&north.status("?redact=names").await).await;
    hub.ask(Access::Admin, "DELETE", "/api/v1/sites/north", None).await;
    let actions = async |hub: &Hub| {
        let page: Page<AuditRow> = hub.get("/api/v1/audit?limit=3").await;
        page.items
            .into_iter()
            .map(|row| format!("{} {}", row.actor, row.action))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        actions(&hub).await,
        ["the-admin remove_site", "the-operator import_status", "the-admin register_site"]
    );
    assert_eq!(actions(&north.hub).await[0], "the-operator export_status");
    let page: Page<AuditRow> = north.hub.get("/api/v1/audit?limit=1").await;
    assert!(page.items[0].detail.contains("names"), "{:?}", page.items[0]);
}

#[actix_web::test]
async fn a_registration_that_cannot_work_is_refused() {
    let hub = Hub::new().await;
    let key = DarkSite::new("north").await.key().await;
    let put = async |name: &str, body: Value| {
        hub.ask(Access::Admin, "PUT", &format!("/api/v1/sites/{name}"), Some(body)).await
    };
    let bad = put("north", json!({ "public_key": "no key" })).await;
    assert_eq!(bad.problem(), (422, "unprocessable".to_owned()));
    let bad = json!({ "public_key": key.public_key, "expected_interval_s": 5 });
    assert_eq!(put("north", bad).await.problem(), (422, "unprocessable".to_owned()));
    let good = json!({ "public_key": key.public_key });
    assert_eq!(put("North!", good).await.problem(), (404, "not_found".to_owned()));
}

#[actix_web::test]
async fn the_dashboard_shows_dark_sites_and_how_old_they_are() {
    let north = DarkSite::new("north").await;
    let hub = Hub::published().await;
    hub.register("north", &north.key().await, Some(3_600)).await;
    hub.register("south", &DarkSite::new("south").await.key().await, None).await;
    hub.imported(&north.status("").await).await;
    hub.advance(5_400);
    let metrics = hub.ask_with(None, "GET", "/metrics", None).await.text();
    for wanted in ["sites{state=\"late\"} 1", "sites{state=\"never\"} 1"] {
        assert!(metrics.contains(wanted), "{metrics}");
    }
    let page = hub.ask(Access::Viewer, "GET", "/", None).await.text();
    for wanted in ["Dark sites", "1 h 30 min ago", "never reported", "stable · site north", "late"]
    {
        assert!(page.contains(wanted), "{wanted}");
    }
}

#[actix_web::test]
async fn the_receipt_of_the_newest_bundle_goes_with_the_status_and_a_wrong_one_is_refused() {
    let north = DarkSite::new("north").await;
    let receipt = |more: &str| {
        let digest = signing::Sha256Digest::of(b"x");
        let text = format!(
            r#"{{"bundle":"north-4","sequence":4,"manifest":"{digest}","imported_at":"2026-11-19T16:30:00Z","complete":true,"digest":"{digest}"{more}}}"#
        );
        format!("receipt={}", urlencode(&text))
    };
    for query in ["?receipt=4", "?receipt=%7B%7D", &format!("?newest_bundle=5&{}", receipt(""))] {
        let refused = north.export(query).await;
        assert_eq!(refused.status, 400, "{query}");
        assert!(refused.text().contains("receipt: "), "{}", refused.text());
    }
    let hub = Hub::published().await;
    hub.register("north", &north.key().await, None).await;
    // What a newer mirror adds is no reason to refuse the rest.
    hub.imported(&north.status(&format!("?{}", receipt(r#","more":1"#))).await).await;
    let sites: Page<SiteRow> = hub.get("/api/v1/sites").await;
    let head = sites.items[0].status.as_ref().unwrap();
    assert_eq!(head.newest_bundle, Some(4), "the receipt names it");
    let known = head.receipt.as_ref().unwrap();
    assert_eq!((known.bundle.as_str(), known.complete), ("north-4", true));
}

/// Percent-encodes everything that is no letter or digit.
fn urlencode(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}
