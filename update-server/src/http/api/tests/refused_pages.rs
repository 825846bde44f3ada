//! Who opens a page that is refused gets a page; programs get the problem.

use super::sign_in::House;
use super::*;

const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

impl Hub {
    /// What a browser gets that was given this token as the password.
    async fn open(&self, access: Option<Access>, path: &str) -> Answer {
        let mut request = TestRequest::get().uri(path).insert_header(BROWSER);
        if let Some(access) = access {
            let bearer = format!("Bearer {}", token(access).reveal());
            request = request.insert_header(("authorization", bearer));
        }
        self.call(request).await
    }
}

/// Asserts that it is a page of the hub that says this, and that nothing in it runs.
#[track_caller]
fn assert_page(answer: &Answer, status: u16, texts: &[&str]) {
    let page = answer.text();
    assert_eq!(answer.status, status, "{page}");
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    for text in ["<nav aria-label=\"Pages\">", "<main class=\"wrap\" id=\"main\">"] {
        assert!(page.contains(text), "no {text:?} in\n{page}");
    }
    for text in texts {
        assert!(page.contains(text), "no {text:?} in\n{page}");
    }
}

#[actix_web::test]
async fn a_page_that_is_refused_is_a_page_with_the_same_status() {
    let hub = Hub::published().await;
    let closed = hub.open(None, "/").await;
    assert_page(&closed, 401, &["API token as the password", "unauthenticated"]);
    assert!(closed.header("www-authenticate").unwrap().starts_with("Basic "));
    assert!(!closed.text().contains("root 1"), "told to somebody unknown: {}", closed.text());
    let refused = hub.open(Some(Access::Viewer), "/audit").await;
    assert_page(&refused, 403, &["this needs operator", "forbidden", "href=\"/\">Back to Fleet"]);
    let missing = hub.open(Some(Access::Viewer), "/rollouts/9").await;
    assert_page(&missing, 404, &["not_found", "href=\"/rollouts\">Back to Rollouts"]);
    for path in ["/clusters/%3Cscript%3E", "/nowhere/at/all", "/channels/a/b/c/d", "/sites?site=x"]
    {
        let answer = hub.open(Some(Access::Viewer), path).await;
        assert_page(&answer, 404, &["Back to "]);
        assert!(!answer.text().contains("<script>"), "{path}: {}", answer.text());
    }
    let unread = hub.open(Some(Access::Viewer), "/channels?page=many").await;
    assert_page(&unread, 400, &["href=\"/channels\">The same page without a filter"]);
    let method = TestRequest::put().uri("/trust").insert_header(BROWSER);
    let answer = hub.call(method).await;
    assert_page(&answer, 405, &["method_not_allowed"]);
    assert_eq!(answer.header("allow"), Some("GET, HEAD"));
}

#[actix_web::test]
async fn programs_and_the_api_get_the_problem_whatever_they_accept() {
    let hub = Hub::published().await;
    for path in ["/api/v1/clusters/none", "/api/v1/nowhere", "/api/v1/clusters?phase=none"] {
        let answer = hub.open(Some(Access::Viewer), path).await;
        assert_eq!(answer.problem().0, if path.contains('?') { 400 } else { 404 }, "{path}");
    }
    for accept in ["*/*", "application/json", "application/problem+json, text/html;q=0.5"] {
        let request = TestRequest::get().uri("/").insert_header(("accept", accept));
        assert_eq!(hub.call(request).await.problem(), (401, "unauthenticated".to_owned()));
    }
    assert_eq!(hub.call(TestRequest::get().uri("/nowhere")).await.problem().0, 404);
}

#[actix_web::test]
async fn a_refused_page_says_who_is_signed_in_and_where_to_sign_in() {
    let house = House::new().await;
    let session = house.session("east").await;
    let open = |path: &str| TestRequest::get().uri(path).insert_header(BROWSER);
    let refused = house.with(&session, open("/audit")).await;
    assert_page(&refused, 403, &["sso:mira", "action=\"/auth/logout\""]);
    let denied = house.hub.call(open("/auth/callback?error=access_denied")).await;
    assert_page(&denied, 400, &["sign_in_state", "href=\"/auth/login\""]);
    let wrong = open("/").insert_header(("authorization", "Bearer wrong"));
    assert_page(&house.hub.call(wrong).await, 401, &["API token"]);
}
