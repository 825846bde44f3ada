//! The client against servers that misbehave.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::prometheus::{Answer, AnswerError, Client, Endpoint, MaterialPaths, QueryError, Value};

pub(in crate::prometheus) type Requests = Arc<Mutex<Vec<String>>>;

/// Answers each request with what `answer` makes of it; `None` = never.
pub(in crate::prometheus) async fn serve(
    answer: fn(&str) -> Option<Vec<u8>>,
) -> (String, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Requests::default();
    let seen = Arc::clone(&requests);
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            let request = whole_request(&mut socket).await;
            seen.lock().unwrap().push(request.clone());
            match answer(&request) {
                Some(bytes) => drop(socket.write_all(&bytes).await),
                None => open.push(socket),
            }
        }
    });
    (url, requests)
}

async fn whole_request(socket: &mut tokio::net::TcpStream) -> String {
    let mut request = Vec::new();
    loop {
        let mut part = vec![0; 8192];
        let read = socket.read(&mut part).await.unwrap_or(0);
        request.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok()
            });
            if body.len() >= length.unwrap_or(0_usize) {
                return text;
            }
        }
        if read == 0 {
            return text;
        }
    }
}

pub(in crate::prometheus) fn endpoint(url: &str) -> Endpoint {
    Endpoint {
        url: url.parse().unwrap(),
        material: MaterialPaths::default(),
        timeout_ms: 30_000,
        body_max_bytes: 64 * 1024,
    }
}

async fn ask(url: &str) -> Result<Answer, QueryError> {
    Client::new(endpoint(url)).query("up == 1").await
}

#[expect(clippy::unnecessary_wraps, reason = "what `serve` wants")]
pub(in crate::prometheus) fn http(status: &str, kind: &str, body: &str) -> Option<Vec<u8>> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n");
    Some(format!("{head}connection: close\r\n\r\n{body}").into_bytes())
}

const ONE: &str = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"1"]}]}}"#;

#[tokio::test]
async fn a_query_is_posted_below_the_base_address_with_its_own_limit_of_time() {
    let (url, requests) = serve(|_| http("200 OK", "application/json", ONE)).await;
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "s3cret").unwrap();
    let material = MaterialPaths { token: Some(token), ..MaterialPaths::default() };
    let client = Client::new(Endpoint { material, ..endpoint(&format!("{url}/prefix/")) });
    let answer = client.query("a{b=\"c d\"} > 0").await.unwrap();
    assert!(matches!(answer.value, Value::Vector(samples) if samples.len() == 1));
    let request = requests.lock().unwrap()[0].clone();
    assert!(request.starts_with("POST /prefix/api/v1/query HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("authorization: Bearer s3cret\r\n"), "{request}");
    let form = "query=a%7Bb%3D%22c+d%22%7D+%3E+0&timeout=30000ms";
    assert!(request.ends_with(form), "{request}");
}

#[tokio::test]
async fn a_server_that_takes_no_post_is_asked_by_get() {
    let (url, requests) = serve(|request| {
        if request.starts_with("GET ") {
            http("200 OK", "application/json; charset=utf-8", ONE)
        } else {
            http("405 Method Not Allowed", "text/plain", "no")
        }
    })
    .await;
    ask(&url).await.unwrap();
    let requests = requests.lock().unwrap();
    assert!(
        requests[1].starts_with("GET /api/v1/query?query=up+%3D%3D+1&timeout="),
        "{requests:?}"
    );
    assert_eq!(requests.len(), 2);
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_token() {
    let (url, requests) = serve(|_| {
        let head =
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:9/api/v1/query\r\n";
        Some(format!("{head}content-length: 0\r\nconnection: close\r\n\r\n").into_bytes())
    })
    .await;
    let error = ask(&url).await.unwrap_err();
    assert!(matches!(error, QueryError::Redirected { status: 307 }), "{error}");
    assert_eq!(requests.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_refusal_in_prometheus_own_words_is_told_with_them() {
    let (url, _) = serve(|request| {
        let (status, kind) = if request.contains("query=many") {
            ("422 Unprocessable Entity", "execution")
        } else {
            ("503 Service Unavailable", "timeout")
        };
        let body = format!(r#"{{"status":"error","errorType":"{kind}","error":"its words"}}"#);
        http(status, "application/json", &body)
    })
    .await;
    for (query, code, expected) in [("many", 422, "execution"), ("slow", 503, "timeout")] {
        let error = Client::new(endpoint(&url)).query(query).await.unwrap_err();
        assert!(
            matches!(&error, QueryError::Refused { status, kind, message }
                if *status == code && kind == expected && message == "its words"),
            "{query}: {error}"
        );
    }
}

#[tokio::test]
async fn a_status_without_words_is_told_by_its_number() {
    let (url, _) = serve(|_| http("503 Service Unavailable", "text/html", "<html>")).await;
    assert!(matches!(ask(&url).await, Err(QueryError::Status { status: 503 })));
    let (url, _) = serve(|_| http("401 Unauthorized", "application/json", "{}")).await;
    assert!(matches!(ask(&url).await, Err(QueryError::Status { status: 401 })));
}

#[tokio::test]
async fn another_content_type_is_no_answer() {
    let (url, _) = serve(|_| http("200 OK", "text/html", "<html>log in</html>")).await;
    let error = ask(&url).await.unwrap_err();
    assert!(matches!(&error, QueryError::ContentType { found } if found == "text/html"), "{error}");
}

#[tokio::test]
async fn json_that_is_cut_off_is_no_answer() {
    let (url, _) = serve(|_| http("200 OK", "application/json", &ONE[..40])).await;
    let error = ask(&url).await.unwrap_err();
    assert!(matches!(error, QueryError::Answer(AnswerError::Json(_))), "{error}");
    // The connection breaks before the promised length.
    let (url, _) = serve(|_| {
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n";
        Some(format!("{head}{ONE}").into_bytes())
    })
    .await;
    let error = ask(&url).await.unwrap_err();
    assert!(matches!(error, QueryError::Transport { .. }), "{error}");
}

#[tokio::test]
async fn an_answer_beyond_the_bound_is_not_read_to_its_end() {
    let (url, _) = serve(|_| http("200 OK", "application/json", &" ".repeat(70_000))).await;
    let error = ask(&url).await.unwrap_err();
    assert!(matches!(error, QueryError::TooLarge { limit_bytes: 65_536 }), "{error}");
}

#[tokio::test]
async fn a_partial_answer_of_thanos_is_no_answer() {
    let (url, _) = serve(|_| {
        let body = r#"{"status":"success","data":{"resultType":"vector","result":[]},"warnings":["no store matched"]}"#;
        http("200 OK", "application/json", body)
    })
    .await;
    let error = ask(&url).await.unwrap_err();
    assert!(matches!(
        &error,
        QueryError::Answer(AnswerError::Warning { warning }) if warning == "no store matched"
    ));
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let (url, _) = serve(|_| None).await;
    let client = Client::new(Endpoint { timeout_ms: 100, ..endpoint(&url) });
    let error = client.query("up").await.unwrap_err();
    assert!(matches!(error, QueryError::Timeout { limit_ms: 100 }), "{error}");
}

#[tokio::test]
async fn nobody_there_is_told_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    assert!(matches!(ask(&url).await, Err(QueryError::Transport { .. })));
}

#[tokio::test]
async fn a_certificate_that_is_none_is_named_with_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.crt");
    std::fs::write(&ca, "not a certificate").unwrap();
    let material = MaterialPaths { ca: Some(ca), ..MaterialPaths::default() };
    let client = Client::new(Endpoint { material, ..endpoint("https://127.0.0.1:9") });
    let error = client.query("up").await.unwrap_err();
    assert!(error.to_string().contains("ca.crt"), "{error}");
}
