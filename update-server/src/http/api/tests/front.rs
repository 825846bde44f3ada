//! The fleet's page over a real hub: its figures are the API's, and its links lead where they say.

use channels::wire::{DriftAnswer, HealthAnswer, HealthVerdict, WaitingOn};

use super::*;

impl Hub {
    async fn page(&self, path: &str) -> String {
        let answer = self.ask(Access::Viewer, "GET", path, None).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
        answer.text()
    }
}

/// Four on 1.0.0, one of them stuck and one silent; one on 1.1.0.
async fn mixed() -> Hub {
    let hub = Hub::published().await;
    let mut agents = Vec::new();
    for n in 1..=5 {
        let agent = hub.agent(n).await;
        let mut state = kafka(if n == 2 { Phase::AwaitHealth } else { Phase::Idle });
        state.health.verdict = HealthVerdict::Healthy;
        state.health.quorum_lag_ms = Some(u64::from(n));
        state.health.pleg_lag_ms = Some(100 * u64::from(n));
        if n == 2 {
            state.health.verdict = HealthVerdict::Unhealthy;
            state.waiting_on = vec![WaitingOn {
                gate: "quorum_lag".to_owned(),
                unit: None,
                message: "lag 812 ms is over 500 ms".to_owned(),
                observed: None,
                limit: None,
                since: None,
            }];
        }
        if n == 5 {
            state.version = "1.1.0".parse().unwrap();
        }
        hub.reply(&agent, &agent.of(1, vec![state.clone()])).await;
        hub.label(&format!("site-{n}"), json!({ "region": if n < 3 { "eu" } else { "us" } })).await;
        agents.push((n, agent, state));
    }
    hub.advance(2 * 3600);
    for (_, agent, state) in agents.iter().filter(|(n, ..)| *n != 4) {
        hub.reply(agent, &agent.of(2, vec![state.clone()])).await;
    }
    hub.state.store.tick(hub.now()).await.unwrap();
    hub
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    let rest = text.split(before).nth(1).unwrap_or_else(|| panic!("no {before:?} in {text}"));
    rest.split(after).next().unwrap()
}

/// What a tile says, without its markup.
fn tile(page: &str, label: &str) -> String {
    let value = between(page, &format!("<h2>{label}</h2>"), "</p>");
    value.rsplit_once("<p>").unwrap().1.replace("</a>", "").rsplit('>').next().unwrap().to_owned()
}

/// The numbers of a table's line that begins with this.
fn line(page: &str, begin: &str) -> Vec<u64> {
    let cells = between(page, begin, "</tr>");
    let numbers = cells.split("<td").skip(1).map(|cell| {
        let cell = cell.split("</td>").next().unwrap().replace("</a>", "");
        cell.rsplit('>').next().unwrap().parse().unwrap()
    });
    numbers.collect()
}

/// Links of the page that begin like this, as a browser reads them.
fn links(page: &str, begin: &str) -> Vec<String> {
    let links = page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let links = links.map(|link| link.replace("&#38;", "&"));
    links.filter(|link| link.starts_with(begin)).collect()
}

#[actix_web::test]
async fn every_figure_of_the_page_is_the_apis() {
    let hub = mixed().await;
    let page = hub.page("/").await;
    let drift: DriftAnswer = hub.get("/api/v1/drift").await;
    let health: HealthAnswer = hub.get("/api/v1/health").await;
    let totals = &drift.items[0];
    assert_eq!((totals.current, totals.active, totals.silent), (1, 4, 1), "{totals:?}");
    assert_eq!((health.stuck_total, health.unhealthy, health.silent), (1, 1, 1));
    assert_eq!(tile(&page, "On the head"), format!("{} %", totals.spread.on_head_percent));
    for (label, value) in [
        ("Clusters", 5),
        ("Rolling", totals.rolling),
        ("Unhealthy", health.unhealthy),
        ("Stuck", health.stuck_total),
        ("Silent", health.silent),
    ] {
        assert_eq!(tile(&page, label), value.to_string(), "{label}");
    }
    let worst = &health.lags[0].quorum_lag[0];
    assert_eq!((worst.lag_ms, worst.name.as_str()), (5, "site-5"), "{worst:?}");
    assert_eq!(tile(&page, "Worst quorum lag"), "5 ms");
    assert!(between(&page, "<h2>Worst quorum lag</h2>", "</li>").contains(">site-5</a>"));
    let spread = (totals.spread.age_days_p50.unwrap(), totals.spread.age_days_p95.unwrap());
    let ages = format!(
        "half at most <strong>{}</strong>, 95 % at most <strong>{}</strong>",
        spread.0, spread.1
    );
    assert!(page.contains(&ages), "{ages}");
    // The strip's table: behind, current, stuck, silent, all.
    let strip = line(&page, "<th scope=\"row\">stable</th>");
    let (behind, current) = (totals.behind, totals.current);
    assert_eq!(strip, [behind, current, health.stuck_total, totals.silent, 5]);
    for count in &totals.versions {
        let begin = format!("<tr><th scope=\"row\">{}", count.version);
        let numbers = line(&page, &begin);
        let (all, cells) = numbers.split_last().unwrap();
        assert_eq!((*all, cells.iter().sum::<u64>()), (count.clusters, count.clusters));
    }
}

#[actix_web::test]
async fn a_number_leads_to_a_list_of_as_many_and_so_does_the_export() {
    let hub = mixed().await;
    let page = hub.page("/").await;
    let cells = between(&page, "<table class=\"fleet figures\">", "</table>");
    let figures: Vec<(String, usize)> = cells
        .split("<a href=\"")
        .skip(1)
        .map(|rest| {
            let (href, rest) = rest.split_once("\">").unwrap();
            (href.replace("&#38;", "&"), rest.split('<').next().unwrap().parse().unwrap())
        })
        .filter(|(href, _)| href != "#stuck")
        .collect();
    assert_eq!(figures.len(), 3, "{figures:?}");
    for (href, number) in figures {
        let path = href.split('#').next().unwrap();
        let list = hub.page(path).await;
        assert_eq!(listed(&list), number, "{href}");
        let export = links(&list, "/api/v1/clusters?").into_iter().find(|l| l.ends_with("ndjson"));
        let rows = hub.ask(Access::Viewer, "GET", &export.unwrap(), None).await.text();
        assert_eq!(rows.lines().count(), number, "{href}");
    }
}

/// Clusters in the list; links of worst lags and stuck ones stand elsewhere.
fn listed(page: &str) -> usize {
    links(between(page, "id=\"table-clusters\"", "</table>"), "/clusters/").len()
}

#[actix_web::test]
async fn labels_narrow_the_whole_page_and_group_the_strip() {
    let hub = mixed().await;
    let eu = hub.page("/?region=eu").await;
    assert_eq!((tile(&eu, "Clusters"), tile(&eu, "Silent")), ("2".to_owned(), "0".to_owned()));
    assert!(!eu.contains("site-5") && eu.contains("<option selected>eu</option>"), "{eu}");
    let grouped = hub.page("/?group=region").await;
    assert_eq!(line(&grouped, "<th scope=\"row\">eu</th>").last(), Some(&2));
    assert_eq!(line(&grouped, "<th scope=\"row\">us</th>").last(), Some(&3));
    let late = hub.page("/?activity=silent").await;
    assert!(
        late.contains("1 match") && tile(&late, "Clusters") == "5",
        "the list alone is narrower"
    );
}

#[actix_web::test]
async fn a_filter_that_cannot_be_read_is_said_and_stays() {
    let hub = mixed().await;
    for query in
        ["hops_min=many", "selector=%3D%3D", "phase=dancing", "freshness=stale", "cursor=x"]
    {
        let answer = hub.ask(Access::Viewer, "GET", &format!("/?{query}"), None).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.text().contains("The filter cannot be read."), "{query}");
    }
    let odd = hub.ask(Access::Viewer, "GET", "/?name=%22%3E%3Cscript%3E", None).await.text();
    assert!(odd.contains("No cluster matches.") && !odd.contains("<script>"));
}

#[actix_web::test]
async fn many_clusters_come_by_pages() {
    let hub = Hub::published().await;
    for n in 1..=101 {
        let agent = hub.agent(n).await;
        hub.reply(&agent, &agent.idle(1)).await;
    }
    let first = hub.page("/?channel=stable").await;
    assert!(!first.contains(">site-101</a>") && first.contains("101 match"));
    let next = links(&first, "/?channel=stable&cursor=");
    let second = hub.page(next[0].split('#').next().unwrap()).await;
    assert!(second.contains(">site-101</a>") && second.contains("First page"));
    assert!(!second.contains("Next page"));
}

#[actix_web::test]
async fn the_api_takes_the_filters_of_the_page() {
    let hub = mixed().await;
    for (query, names) in [
        ("drift=behind", vec!["site-1", "site-2", "site-3", "site-4"]),
        ("drift=behind&activity=active", vec!["site-1", "site-2", "site-3"]),
        ("activity=silent", vec!["site-4"]),
        ("hops_min=1&hops_max=1&name=site-1", vec!["site-1"]),
        ("hops_min=2", vec![]),
        ("hops_max=0", vec!["site-5"]),
        ("age_max_days=0", vec!["site-5"]),
    ] {
        assert_eq!(hub.names(query).await, names, "{query}");
    }
    for bad in ["drift=far", "activity=loud", "hops_min=-1"] {
        let path = format!("/api/v1/clusters?{bad}");
        assert_eq!(hub.ask(Access::Viewer, "GET", &path, None).await.problem().0, 400, "{bad}");
    }
}

#[actix_web::test]
async fn a_value_that_a_filter_does_not_know_is_refused_with_those_it_knows() {
    let hub = mixed().await;
    let known = "fresh, late, silent, gone, never, carried";
    for value in ["stale", "unknown", "Fresh"] {
        for path in ["/api/v1/clusters?", "/api/v1/clusters?format=csv&", "/?"] {
            let path = format!("{path}freshness={value}");
            let answer = hub.ask(Access::Viewer, "GET", &path, None).await;
            let said = format!("freshness must be one of {known}");
            assert_eq!(answer.status, 400, "{path}");
            assert!(answer.text().contains(&said), "{path}: {}", answer.text());
        }
        let body = json!({ "filter": { "freshness": value }, "action": { "kind": "retire" } });
        let answer = hub.ask(Access::Operator, "POST", "/api/v1/bulk", Some(body)).await;
        assert_eq!(answer.problem().0, 400, "{value}");
    }
    assert_eq!(hub.names("freshness=fresh").await, ["site-1", "site-2", "site-3", "site-5"]);
}
