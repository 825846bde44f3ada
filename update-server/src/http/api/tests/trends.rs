//! Trends: notes every five minutes, read back in steps.

use super::*;
use channels::wire::{HealthVerdict, SoakAnswer, TrendsAnswer};

/// A quarter of a minute, as the maintenance timer has it, until `seconds` have passed.
async fn live(hub: &Hub, seconds: i64) {
    for _ in 0..seconds / 15 {
        hub.advance(15);
        hub.state.store.tick(hub.now()).await.unwrap();
        hub.state.store.note_trends(hub.now()).await.unwrap();
    }
}

async fn noted() -> Hub {
    let hub = Hub::published().await;
    for n in 1..=3 {
        let agent = hub.agent(n).await;
        hub.reply(&agent, &agent.idle(1)).await;
    }
    live(&hub, 1_200).await;
    hub
}

#[actix_web::test]
async fn trends_tell_what_clusters_ran_and_when_nobody_looked_there_is_nothing() {
    let hub = noted().await;
    hub.advance(3_600);
    live(&hub, 1_200).await;
    let answer: TrendsAnswer = hub.get("/api/v1/trends?product=acme/kafka").await;
    assert_eq!((answer.step_s, answer.series.len()), (300, 1));
    let points = &answer.series[0].points;
    let first = &points[0].figures;
    assert_eq!((first.fresh + first.late, first.silent), (3, 0));
    assert_eq!(first.versions[0].clusters, 3);
    let gaps: Vec<i64> =
        points.windows(2).map(|two| two[1].at.duration_since(two[0].at).as_secs()).collect();
    let holes: Vec<i64> = gaps.iter().copied().filter(|gap| *gap != 300).collect();
    assert!(matches!(holes[..], [hole] if hole >= 3_600), "{gaps:?}");
    let last = &points.last().unwrap().figures;
    assert_eq!((last.fresh + last.late, last.silent), (0, 3), "silent since the hub came back");
}

#[actix_web::test]
async fn a_client_that_has_the_notes_loads_them_again_only_after_the_next_one() {
    let hub = noted().await;
    let path = "/api/v1/trends?from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z";
    let first = hub.ask(Access::Viewer, "GET", path, None).await;
    let etag = first.header("etag").unwrap().to_owned();
    let again = |etag: String| {
        let header = format!("Bearer {}", token(Access::Viewer).reveal());
        let request = TestRequest::get().uri(path).insert_header(("authorization", header));
        hub.call(request.insert_header(("if-none-match", etag)))
    };
    assert_eq!(again(etag.clone()).await.status, 304);
    live(&hub, 300).await;
    assert_eq!(again(etag).await.status, 200);
}

#[actix_web::test]
async fn questions_without_a_bounded_answer_are_refused() {
    let hub = Hub::published().await;
    for bad in [
        "step=7m",
        "step=0m",
        "step=1s",
        "from=2026-01-01T00:00:00Z&to=2025-01-01T00:00:00Z",
        "from=2020-01-01T00:00:00Z&to=2026-01-01T00:00:00Z&step=5m",
        "from=yesterday",
    ] {
        let answer = hub.ask(Access::Viewer, "GET", &format!("/api/v1/trends?{bad}"), None).await;
        assert_eq!(answer.problem(), (400, "invalid_request".to_owned()), "{bad}");
    }
    let long = "/api/v1/trends?from=2020-01-01T00:00:00Z&to=2026-01-01T00:00:00Z";
    let answer: TrendsAnswer = hub.get(long).await;
    assert!(answer.step_s.is_multiple_of(300) && answer.series.is_empty());
    let day = "/api/v1/trends?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z";
    assert_eq!(hub.get::<TrendsAnswer>(day).await.step_s, 300);
}

/// Every note up to then.
fn all_until(to: jiff::Timestamp) -> crate::store::TrendQuestion {
    crate::store::TrendQuestion { product: None, channel: None, from: t0(), to, step_s: 300 }
}

#[actix_web::test]
async fn notes_survive_a_restart_and_are_a_table_for_spreadsheets() {
    let hub = noted().await;
    let csv = hub.ask(Access::Viewer, "GET", "/api/v1/trends?format=csv", None).await.text();
    let lines: Vec<&str> = csv.split_terminator("\r\n").collect();
    assert!(lines[0].starts_with("product,channel,at,notes,fresh,"), "{csv}");
    assert!(lines.len() >= 4 && lines[1].starts_with("acme/kafka,stable,"), "{csv}");
    let columns: Vec<usize> = lines.iter().map(|line| line.split(',').count()).collect();
    assert_eq!(columns, vec![columns[0]; lines.len()], "{csv}");
    let reopened = Reader::open(hub.dir.path()).unwrap();
    assert_eq!(
        reopened.trends(&all_until(hub.now())).unwrap().unwrap()[0].points.len(),
        lines.len() - 1
    );
}

#[actix_web::test]
async fn notes_older_than_history_go_a_day_at_a_time() {
    let hub = Hub::with("history_days = 1").await;
    hub.state.publisher.publish(Fixture::new().publication(), t0()).unwrap();
    let agent = hub.agent(1).await;
    hub.reply(&agent, &agent.idle(1)).await;
    live(&hub, 900).await;
    for _ in 0..2 {
        hub.advance(40 * 3_600);
        live(&hub, 900).await;
    }
    let left = hub.state.reader.trends(&all_until(hub.now())).unwrap().unwrap();
    let first = left[0].points[0].at;
    assert!(hub.now().duration_since(first) < seconds(25 * 3_600), "{first}");
}

/// Seconds between two reports in the test below: late, and not silent.
const ROUND_S: i64 = 1_500;

#[actix_web::test]
async fn days_and_cluster_hours_are_evidence_for_promotion() {
    let hub = Hub::published().await;
    let agents = [hub.agent(1).await, hub.agent(2).await];
    let first_day_s = 86_400 - t0().as_second().rem_euclid(86_400);
    let (ill, end) = (first_day_s / ROUND_S + 10, (first_day_s + 86_400) / ROUND_S + 2);
    for round in 0..=end {
        for (n, agent) in agents.iter().enumerate() {
            let mut product = kafka(Phase::Idle);
            let is_ill = n == 1 && round == ill;
            let verdict = if is_ill { HealthVerdict::Unhealthy } else { HealthVerdict::Healthy };
            product.health.verdict = verdict;
            hub.reply(agent, &agent.of(u64::try_from(round).unwrap() + 1, vec![product])).await;
        }
        // The hub looks at its clock again: quiet for an interval, then a note.
        hub.advance(ROUND_S - 300);
        for _ in 0..6 {
            hub.state.store.note_trends(hub.now()).await.unwrap();
            hub.advance(50);
        }
        hub.state.store.note_trends(hub.now()).await.unwrap();
    }
    let answer: SoakAnswer = hub.get("/api/v1/soak?product=acme/kafka&version=1.0.0").await;
    let days: Vec<_> = answer.days.iter().map(|d| (d.healthy, d.unhealthy, d.unknown)).collect();
    assert_eq!(days, [(0, 0, 2), (1, 1, 0)], "the first one began before anybody was there");
    let release = &answer.releases[0];
    assert_eq!((answer.releases.len(), release.failures), (1, 0));
    let notes = f64::from(u32::try_from(end + 1).unwrap());
    let hours = release.healthy_cluster_hours + release.unhealthy_cluster_hours;
    assert!((hours * 12.0 - 2.0 * notes).abs() < 4.0, "{hours} of {notes} notes");
    assert!(release.unhealthy_cluster_hours > 0.0);
    let other: SoakAnswer = hub.get("/api/v1/soak?product=acme/kafka&channel=fast").await;
    assert_eq!((other.days.len(), other.releases.len()), (0, 0));
}
