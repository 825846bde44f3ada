//! The page over made-up fleets.

use actix_web::body::MessageBody as _;
use actix_web::test::TestRequest;
use askama::Template as _;
use channels::rollout::Labels;
use channels::wire::{
    ClusterRow, Drift, DriftSpread, DriftState, DriftTotals, Freshness, HealthAnswer,
    HealthSummary, HealthVerdict, Hold, HoldScope, LagRow, LagTotals, Page as List, Phase,
    ProductRow, Progress, Reason, StuckRow, VersionCount, WaitingOn,
};
use jiff::Timestamp;

use super::super::send;
use super::super::shell::{Live, Place, Shell};
use super::super::visitor::Visitor;
use super::super::words::{lag, relative, span};
use super::ask::Ask;
use super::form::Offered;
use super::{FleetView, KINDS, view::Page};
use crate::auth::Scope;
use crate::catalog::CatalogStatus;
use crate::fleet::{
    DriftMemo, FleetIndex, GraphKey, HealthQuestion, Heat, HeatCell, HeatGroup, HeatMark,
    HeatQuestion, Slot, Standing, View,
};

fn health() -> HealthAnswer {
    HealthAnswer {
        at: now(),
        healthy: 2,
        unhealthy: 0,
        unknown: 1,
        worst: Vec::new(),
        silent: 1,
        never: 1,
        lags: Vec::new(),
        stuck: Vec::new(),
        stuck_total: 0,
        stuck_more: false,
        stuck_after_s: 3600,
        risks: Vec::new(),
    }
}

fn lags() -> LagTotals {
    let row = |lag_ms, unit: &str, name: &str| LagRow {
        lag_ms,
        unit: Some(unit.parse().unwrap()),
        cluster: "9b2a3f0e-6f0f-4b6c-8d3a-0c1d2e3f4a5b".parse().unwrap(),
        name: name.to_owned(),
        verdict: HealthVerdict::Unhealthy,
        since: Some(ago(720)),
    };
    LagTotals {
        product: "acme/kafka".parse().unwrap(),
        channel: "stable".parse().unwrap(),
        active: 3,
        silent: 1,
        healthy: 2,
        unhealthy: 0,
        unknown: 1,
        quorum_lag_known: 2,
        quorum_lag: vec![row(812, "controller-3", "site-a")],
        pleg_lag_known: 1,
        pleg_lag: vec![row(4_200, "node-7", "site-b")],
    }
}

fn stuck() -> StuckRow {
    StuckRow {
        cluster: "9b2a3f0e-6f0f-4b6c-8d3a-0c1d2e3f4a5b".parse().unwrap(),
        name: "site-s".to_owned(),
        product: "acme/kafka".parse().unwrap(),
        channel: "stable".parse().unwrap(),
        version: "3.9.1".parse().unwrap(),
        target: Some("4.0.0".parse().unwrap()),
        phase: Phase::AwaitHealth,
        since: ago(7300),
        unit: Some("broker-2".parse().unwrap()),
        progress: None,
        gate: Some("under_replicated".to_owned()),
        message: Some("4 partitions are <under>".to_owned()),
    }
}

fn standing(version: &str, age_days: u64, clusters: u64) -> Standing {
    let graph = GraphKey {
        product: "acme/kafka".parse().unwrap(),
        channel: "stable".parse().unwrap(),
        arch: "amd64".parse().unwrap(),
    };
    let drift = Drift {
        age_days: Some(age_days),
        head: Some("4.0.0".parse().unwrap()),
        ..Drift::no_graph()
    };
    Standing { graph, version: version.parse().unwrap(), drift, clusters }
}

fn cell(clusters: u64, name: &str) -> HeatCell {
    HeatCell { clusters, names: vec![name.to_owned()] }
}

fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn ago(seconds: i64) -> Timestamp {
    now() - jiff::SignedDuration::from_secs(seconds)
}

fn empty() -> FleetView {
    FleetView {
        at: now(),
        status: CatalogStatus {
            root_version: None,
            expires: None,
            stale: None,
            expired_roles: Vec::new(),
            products: Vec::new(),
        },
        ask: Ask::default(),
        problem: None,
        offered: Offered::default(),
        in_force: 0,
        drift: Vec::new(),
        standings: Vec::new(),
        health: health(),
        heat: Vec::new(),
        list: List { items: Vec::new(), next: None },
        matching: 0,
        holds: Vec::new(),
        sites: Vec::new(),
        site_drift: Vec::new(),
    }
}

fn product(phase: Phase) -> ProductRow {
    ProductRow {
        product: "acme/kafka".parse().unwrap(),
        channel: "stable".parse().unwrap(),
        arch: "amd64".parse().unwrap(),
        version: "3.9.1".parse().unwrap(),
        target: Some("4.0.0".parse().unwrap()),
        phase,
        since: ago(90),
        unit: None,
        progress: Some(Progress { done: 2, total: 7 }),
        health: HealthSummary {
            verdict: HealthVerdict::Healthy,
            quorum_lag_ms: Some(12),
            quorum_lag_unit: Some("controller-2".parse().unwrap()),
            pleg_lag_ms: Some(1_234),
            ..HealthSummary::default()
        },
        drift: Drift {
            state: DriftState::Behind,
            hops: Some(1),
            behind_minor: 1,
            behind_patch: 0,
            age_days: Some(3),
            head: None,
            eol: None,
        },
        drift_at_site: None,
        waiting_on: Vec::new(),
        why_not: Vec::new(),
        earliest_at: None,
        failure: None,
        accepted_risks: Vec::new(),
        units: Vec::new(),
    }
}

fn cluster(name: &str, products: Vec<ProductRow>) -> ClusterRow {
    ClusterRow {
        id: "9b2a3f0e-6f0f-4b6c-8d3a-0c1d2e3f4a5b".parse().unwrap(),
        name: name.to_owned(),
        site: None,
        as_of: None,
        labels: Labels::new(),
        settings: Vec::new(),
        enrolled_at: ago(3600),
        last_seen: Some(ago(4)),
        freshness: Freshness::Fresh,
        agent_version: "0.1.0".to_owned(),
        seq: 9,
        identity_conflict_since: None,
        key_revoked: None,
        products,
    }
}

fn totals() -> DriftTotals {
    let count = |version: &str, clusters| VersionCount {
        version: version.parse().unwrap(),
        clusters,
        eol: None,
    };
    DriftTotals {
        product: "acme/kafka".parse().unwrap(),
        channel: "stable".parse().unwrap(),
        arch: "amd64".parse().unwrap(),
        head: Some("4.0.0".parse().unwrap()),
        active: 3,
        silent: 1,
        current: 1,
        behind: 2,
        stranded: 0,
        off_graph: 0,
        eol: 0,
        rolling: 1,
        stopped: 1,
        hops_max: Some(1),
        spread: DriftSpread {
            age_days_p50: Some(3),
            age_days_p95: Some(40),
            ..DriftSpread::default()
        },
        versions: vec![count("4.0.0", 1), count("3.9.1", 2)],
    }
}

fn fleet() -> FleetView {
    let mut waiting = product(Phase::Waiting);
    waiting.waiting_on.push(WaitingOn {
        gate: "quorum_lag".to_owned(),
        unit: Some("controller-3".parse().unwrap()),
        message: "lag 812 ms is over 500 ms".to_owned(),
        observed: Some(812.0),
        limit: Some(500.0),
        since: None,
    });
    waiting.why_not.push(Reason { code: "held".to_owned(), message: "wait for <b>".to_owned() });
    let mut rolling = product(Phase::AwaitHealth);
    rolling.unit = Some("controller-1".parse().unwrap());
    FleetView {
        status: CatalogStatus {
            root_version: Some(2),
            expires: Some("2026-11-21T10:30:00Z".parse().unwrap()),
            products: vec!["acme/kafka".parse().unwrap()],
            ..empty().status
        },
        drift: vec![totals()],
        in_force: 5,
        standings: vec![standing("4.0.0", 0, 1), standing("3.9.1", 3, 2)],
        health: HealthAnswer { lags: vec![lags()], ..health() },
        heat: vec![HeatGroup {
            product: "acme/kafka".parse().unwrap(),
            name: Some("stable".to_owned()),
            is_rest: false,
            cells: [
                ((HeatMark::Plain, Heat::Current), cell(1, "site-c")),
                ((HeatMark::Plain, Heat::Behind(1)), cell(2, "site-a")),
                ((HeatMark::Silent, Heat::Behind(1)), cell(1, "site-d")),
            ]
            .into(),
        }],
        list: List {
            items: vec![
                cluster("site-b", vec![rolling]),
                cluster("site-a", vec![waiting]),
                cluster("site-new", Vec::new()),
            ],
            next: Some("abc".to_owned()),
        },
        matching: 5,
        holds: vec![Hold {
            id: 7,
            scope: HoldScope::Fleet,
            reason: "change freeze".to_owned(),
            by: "ops".to_owned(),
            at: ago(600),
            resumed_at: None,
            resumed_by: None,
        }],
        ..empty()
    }
}

fn page(view: &FleetView, query: &str) -> Page {
    let visitor = Visitor::sample(now(), "/", query);
    let shell = Shell::new(&visitor, &view.status, Place::Fleet, "Fleet", Live::On(KINDS));
    Page::new(view, shell)
}

fn render(view: &FleetView) -> askama::Result<String> {
    page(view, "").render()
}

#[track_caller]
fn has(html: &str, wanted: &[&str]) {
    for text in wanted {
        assert!(html.contains(text), "no {text:?} in\n{html}");
    }
}

#[test]
fn an_empty_hub_says_what_to_do_next() {
    let html = render(&empty()).unwrap();
    has(&html, &["Nothing is published.", "fairway publish", "fairway clusters invite"]);
}

#[test]
fn a_fleet_shows_what_moves_and_why_the_rest_does_not() {
    let html = render(&fleet()).unwrap();
    has(
        &html,
        &[
            "1/3 current · Fairway",
            "33 %",
            "1 of 3 on the head",
            "head <strong>4.0.0</strong>",
            "controller-3: lag 812 ms is over 500 ms",
            "4.2 s",
            "quorum_lag",
            "await health",
            "2/7",
            "12 ms<small>controller-2</small>",
            "1.2 s",
            "1 hop behind",
            "Held: the whole fleet.",
            "change freeze",
            "hold 7 by ops, 10 min ago",
            "root 2 · signed",
            "in 22 h 30 min",
            "Enrolled, not heard of yet",
            "site-new",
            "5 in all",
            "href=\"/clusters/9b2a3f0e-6f0f-4b6c-8d3a-0c1d2e3f4a5b\">site-a</a>",
            "half at most <strong>3</strong>, 95 % at most <strong>40</strong>",
            "controller-3 of <a href=\"/clusters/",
            "unhealthy for 12 min",
            "1 silent, 1 hop behind: site-d",
            "rel=\"next\"",
        ],
    );
    let list = html.split("id=\"table-clusters\"").nth(1).unwrap();
    let rows = [list.find("site-a").unwrap(), list.find("site-b").unwrap()];
    assert!(rows.is_sorted(), "rows are in the order of names");
}

#[test]
fn text_from_the_fleet_cannot_become_markup() {
    let mut view = fleet();
    view.list.items[0].name = "<script>alert(1)</script>".to_owned();
    let html = render(&view).unwrap();
    assert!(!html.contains("<script>"), "{html}");
    has(&html, &["&#60;script&#62;", "wait for &#60;b&#62;"]);
    let mut view = fleet();
    view.health.stuck.push(stuck());
    view.ask = Ask::read("name=%22%3E%3Cscript%3E&drift=behind").unwrap();
    view.heat[0].name = Some("\"><script>".to_owned());
    let html = render(&view).unwrap();
    assert!(!html.contains("<script>"), "{html}");
    has(&html, &["value=\"&#34;&#62;&#60;script&#62;\"", "are &#60;under&#62;"]);
}

#[test]
fn stuck_and_silent_ones_are_counted_apart() {
    let mut view = fleet();
    view.health.stuck.push(stuck());
    view.health.stuck_total = 1;
    let html = render(&view).unwrap();
    has(
        &html,
        &[
            "<h2 id=\"stuck\">Stuck <small>1 want to move",
            "<a href=\"#stuck\">1</a>",
            "<a href=\"/?activity=silent#clusters\">1</a>",
            "under_replicated",
            "2 h 1 min ago",
        ],
    );
    view.health.stuck_more = true;
    has(&render(&view).unwrap(), &["more than 1 want to move", ">1+</a>"]);
    assert!(!render(&fleet()).unwrap().contains("id=\"stuck\">Stuck"), "nobody is");
}

#[test]
fn a_filter_that_nothing_matches_leads_back_and_one_that_cannot_be_read_says_why() {
    let mut view = fleet();
    (view.list.items, view.list.next, view.matching) = (Vec::new(), None, 0);
    view.ask = Ask::read("name=nobody").unwrap();
    has(
        &render(&view).unwrap(),
        &["No cluster matches.", "<details class=\"filter\" id=\"filter\" open>"],
    );
    view.problem = Some("hops_min: no number".to_owned());
    has(&render(&view).unwrap(), &["The filter cannot be read.", "hops_min: no number"]);
}

#[test]
fn the_page_has_no_inline_script_or_style_and_needs_no_other_host() {
    let html = render(&fleet()).unwrap();
    for forbidden in ["<script>", "style=", "onclick", "http://", "https://", "<style"] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    assert_eq!(html.matches("<script").count(), html.matches("<script src=\"/assets/").count());
    let request = TestRequest::get().to_http_request();
    let response = send::page(&request, &page(&fleet(), "")).unwrap();
    let policy = response.headers().get("content-security-policy").unwrap().to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self';"));
    assert!(!policy.contains("unsafe"));
}

#[test]
fn expired_signatures_are_a_notice() {
    let mut view = fleet();
    view.status.stale = Some("root expired at 2026-11-19T00:00:00Z".to_owned());
    view.status.expired_roles = vec!["beta.channels".to_owned()];
    let html = render(&view).unwrap();
    has(&html, &["Signatures have expired.", "root expired at", "beta.channels must be signed"]);
    has(&html, &["root 2 · expired"]);
}

#[test]
fn the_page_keeps_itself_up_to_date_unless_it_is_paused() {
    let html = render(&fleet()).unwrap();
    has(&html, &["http-equiv=\"refresh\" content=\"15\"", "href=\"/?refresh=0\"", "data-events="]);
    let paused = page(&fleet(), "refresh=0").render().unwrap();
    assert!(!paused.contains("http-equiv") && !paused.contains("hx-get"), "{paused}");
}

#[test]
fn the_parts_of_a_bar_fill_it_exactly() {
    let mut view = fleet();
    let totals = &mut view.drift[0];
    (totals.current, totals.behind, totals.stranded, totals.off_graph, totals.silent) =
        (1, 1, 1, 3, 1);
    let html = render(&view).unwrap();
    let stack = html.split("class=\"stack\"").nth(1).unwrap().split("</svg>").next().unwrap();
    let number = |part: &str, name: &str| -> u64 {
        let after = part.split(&format!(" {name}=\"")).nth(1).unwrap();
        after.split('"').next().unwrap().parse().unwrap()
    };
    let mut edge = 0;
    for part in stack.split("<rect").skip(1) {
        assert_eq!(number(part, "x"), edge);
        edge += number(part, "width");
    }
    assert_eq!(edge, 1000);
}

#[test]
fn clusters_past_their_end_of_life_are_counted_where_there_are_any() {
    let mut view = fleet();
    assert!(!render(&view).unwrap().contains("past end of life"));
    view.drift[0].eol = 2;
    has(&render(&view).unwrap(), &["<dt>past end of life</dt><dd>2</dd>"]);
}

#[test]
fn times_and_lags_read_like_sentences() {
    assert_eq!(
        [lag(0), lag(999), lag(1000), lag(61_500)],
        ["0 ms", "999 ms", "1.0 s", "1 min 1 s"]
    );
    assert_eq!(
        [span(59), span(60), span(3_660), span(180_000)],
        ["59 s", "1 min", "1 h 1 min", "2 d 2 h"]
    );
    assert_eq!(relative(now(), ago(0)), "just now");
    assert_eq!(relative(now(), ago(5)), "5 s ago");
    assert_eq!(relative(now(), ago(-5)), "in 5 s");
}

/// What one look at a hub of 100,000 clusters costs: 20 channels, 24 versions, 6 regions.
#[test]
#[ignore = "100,000 clusters; prints how long a page takes"]
fn a_hundred_thousand_clusters_are_a_page_of_less_than_150_kb() {
    let mut index = FleetIndex::new(300);
    for n in 0..100_000_u32 {
        let mut state = crate::fleet::tests::kafka(&format!("1.{}.{}", n % 6, n % 4), Phase::Idle);
        state.graph.channel = format!("channel-{}", n % 20).parse().unwrap();
        state.since = ago(i64::from(n % 9_000));
        if n % 50 == 0 {
            state.phase = Phase::Waiting;
        }
        if n % 997 == 0 {
            state.phase = Phase::AwaitHealth;
        }
        state.health.quorum_lag_ms = Some(u64::from(n % 700));
        state.health.pleg_lag_ms = Some(u64::from(n % 3_000));
        let seen = now().as_second() - if n % 40 == 0 { 7_200 } else { 30 };
        let mut record = crate::fleet::tests::cluster(n, Some(seen), vec![state]);
        let labels =
            [("region".to_owned(), format!("r{}", n % 6)), ("ring".to_owned(), "a".to_owned())];
        record.labels = std::sync::Arc::new(labels.into());
        index.apply(Slot(n), &record, now());
    }
    for query in ["", "region=r3", "group=region", "drift=behind&hops_min=2", "name=site-99"] {
        let mut memo = DriftMemo::default();
        for round in ["cold", "warm"] {
            let begin = tokio::time::Instant::now();
            let ask = Ask::read(query).unwrap();
            let scope = ask.scope(&Scope::whole());
            let about = HealthQuestion { scope, ..HealthQuestion::default() };
            let filter =
                ask.list.filter(&crate::catalog::Catalog::new(None), &Scope::whole()).unwrap();
            let view = &mut View::new(now(), &crate::fleet::tests::Line, &mut memo);
            let question = HeatQuestion { by: ask.by(), about };
            let look = index.look(&question, &filter, view);
            let (items, _) = index.page(&filter, None, super::PAGE_ROWS, view);
            let seen = FleetView {
                in_force: look.overview.in_force,
                drift: look.overview.drift.items,
                standings: look.overview.standings,
                health: look.health,
                heat: look.heat,
                matching: look.matching,
                list: List { items, next: Some("abc".to_owned()) },
                ask,
                ..fleet()
            };
            let counted = begin.elapsed();
            if let Some(dir) = std::env::var_os("FAIRWAY_WRITE_PAGES") {
                let file = std::path::Path::new(&dir).join(format!("fleet{}.html", query.len()));
                std::fs::write(file, page(&seen, query).render().unwrap()).unwrap();
            }
            let request = TestRequest::get().insert_header(("accept-encoding", "gzip"));
            let response = send::page(&request.to_http_request(), &page(&seen, query)).unwrap();
            let body = response.into_body().try_into_bytes().unwrap();
            println!(
                "{query:25} {round}: counted {counted:?}, sent {:?}, {} bytes",
                begin.elapsed(),
                body.len()
            );
            assert!(body.len() < 100_000, "with style and script, 150 kB");
        }
    }
}
