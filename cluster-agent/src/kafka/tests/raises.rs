//! Raising a feature when the answer does not say what happened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kafka_protocol::messages::UpdateFeaturesResponse;
use tokio::time::{Duration, Instant};

use super::faults::{quorum, settings};
use super::server::{Reply, Request, Server, serve};
use crate::kafka::{ErrorCode, KafkaClient, RaiseError, Raised};

const UPDATE: i16 = 57;
const FEATURE: &str = "metadata.version";

/// A leader at level 21 that answers a raise like this; it is at 25 then, if `raises`.
async fn leader(
    raises: bool,
    answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> Server {
    let raised = Arc::new(AtomicBool::new(false));
    serve(move |request| match request.key {
        18 => {
            let level = if raised.load(Ordering::SeqCst) { 25 } else { 21 };
            request.versions_and(&[(UPDATE, 1, 1)], &[(FEATURE, level)])
        }
        55 => request.answer(1, &quorum(1, 7)),
        _ => {
            raised.store(raises, Ordering::SeqCst);
            answer(&request)
        }
    })
    .await
}

fn coded(request: &Request, code: i16) -> Reply {
    request.answer(1, &UpdateFeaturesResponse::default().with_error_code(code))
}

async fn raise(server: &Server) -> Result<Raised, RaiseError> {
    let mut client = KafkaClient::new(&settings(&[server])).unwrap();
    let until = Instant::now() + Duration::from_secs(2);
    client.raise_feature(FEATURE, 25, until).await
}

#[tokio::test]
async fn a_level_whose_answer_was_lost_is_read_back() {
    let closing = leader(true, |_| Reply::Close).await;
    assert_eq!(raise(&closing).await.unwrap(), Raised::ReadBack);
    let late = leader(true, |request| coded(request, ErrorCode::REQUEST_TIMED_OUT.0)).await;
    assert_eq!(raise(&late).await.unwrap(), Raised::ReadBack);
    let plain = leader(true, |request| coded(request, 0)).await;
    assert_eq!(raise(&plain).await.unwrap(), Raised::Answered);
}

#[tokio::test]
async fn a_level_that_does_not_come_is_not_known_and_never_called_unchanged() {
    let closing = leader(false, |_| Reply::Close).await;
    let error = raise(&closing).await.unwrap_err();
    assert!(matches!(error, RaiseError::Unknown { read_back: Some(21), .. }), "{error}");
}

#[tokio::test]
async fn a_refusal_is_one_at_once() {
    let strict = leader(false, |request| coded(request, 31)).await;
    let error = raise(&strict).await.unwrap_err();
    assert!(matches!(error, RaiseError::Refused(_)), "{error}");
}
