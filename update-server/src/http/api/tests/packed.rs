//! Reports in compressed bodies.

use std::io::Write as _;

use super::*;

const REPORTS: &str = "/api/v1/reports";

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    to.write_all(plain).unwrap();
    to.finish().unwrap()
}

fn packed(encoding: &'static str, body: &[u8], agent: &Agent, at: Timestamp) -> TestRequest {
    signed(REPORTS, body, &agent.key, at).insert_header(("content-encoding", encoding))
}

#[actix_web::test]
async fn a_packed_report_is_taken_and_its_signature_is_over_the_bytes_that_came() {
    let hub = Hub::new().await;
    let agent = hub.agent(1).await;
    let body = gzip(&serde_json::to_vec(&agent.idle(1)).unwrap());
    assert_eq!(hub.call(packed("gzip", &body, &agent, t0())).await.status, 200);
    let again = hub.call(packed("gzip", &body, &agent, t0())).await;
    assert_eq!(again.status, 200, "a retry is known by the bytes that came");
    let plain = serde_json::to_vec(&agent.idle(2)).unwrap();
    let body = zstd::bulk::compress(&plain, 3).unwrap();
    assert_eq!(hub.call(packed("zstd", &body, &agent, t0())).await.status, 200);
    let body = gzip(&serde_json::to_vec(&agent.idle(3)).unwrap());
    let headers = signature(REPORTS, &plain, &agent.key, t0());
    let other = with_headers(REPORTS, &body, &headers).insert_header(("content-encoding", "gzip"));
    assert_eq!(hub.call(other).await.problem(), (401, "invalid_signature".to_owned()));
}

#[actix_web::test]
async fn a_bomb_is_refused_by_name_and_unpacked_for_nobody_who_did_not_sign_it() {
    let hub = Hub::new().await;
    let agent = hub.agent(1).await;
    let bomb = gzip(&vec![b' '; 16 * 1024 * 1024]);
    let answer = hub.call(packed("gzip", &bomb, &agent, t0())).await;
    assert_eq!(answer.problem(), (413, "compression_bomb".to_owned()));
    let stranger = signed(REPORTS, &bomb, &SecretKey::from_seed([99; 32]), t0());
    let answer = hub.call(stranger.insert_header(("content-encoding", "gzip"))).await;
    assert_eq!(answer.problem(), (401, "unknown_cluster".to_owned()));
    let page = hub.state.metrics.render();
    assert!(page.contains("fairway_reports_total{result=\"compression_bomb\"} 1"), "{page}");
}

#[actix_web::test]
async fn other_documents_are_not_taken_in_packed_form() {
    let hub = Hub::new().await;
    let agent = hub.agent(1).await;
    let path = "/api/v1/enrolments";
    let request = signed(path, &gzip(b"{}"), &agent.key, t0());
    let answer = hub.call(request.insert_header(("content-encoding", "gzip"))).await;
    assert_eq!(answer.problem(), (415, "unsupported_media_type".to_owned()));
}
