//! Entity tags and HEAD.

use super::stage::{RELEASES, Stage, graph, nodes};
use crate::e2e::client::Answer;

/// Names and values.
type Headers<'a> = &'a [(&'a str, &'a str)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_holds_the_graph_is_told_so_until_it_changes() {
    let mut stage = Stage::set().await;
    let first = stage.get(&graph(), &[]).await;
    assert_eq!((first.status, nodes(&first)), (200, RELEASES));
    let tag = first.header("etag").expect("a tag").to_owned();
    assert!(tag.starts_with('"'), "a strong one: {tag}");
    assert!(first.header("cache-control").is_some_and(|text| text.contains("max-age")));
    let lists = [
        tag.clone(),
        format!("W/{tag}"),
        format!("\"other\", {tag}"),
        format!("\"a,b\" ,W/\"c\",{tag}"),
        "*".to_owned(),
    ];
    for held in lists {
        let again = stage.get(&graph(), &[("If-None-Match", &held)]).await;
        assert_eq!(again.status, 304, "{held}");
        assert_eq!(again.header("etag"), Some(tag.as_str()), "{held}");
        assert_eq!(again.header("vary"), first.header("vary"), "{held}");
    }
    for other in ["\"other\"", "other", "\"", "W/", tag.trim_matches('"'), ""] {
        let again = stage.get(&graph(), &[("If-None-Match", other)]).await;
        assert_eq!(again.body, first.body, "{other}");
    }
    stage.publish(RELEASES + 1).await;
    let changed = stage.get(&graph(), &[("If-None-Match", &tag)]).await;
    assert_eq!((changed.status, nodes(&changed)), (200, RELEASES + 1));
    assert_ne!(changed.header("etag"), Some(tag.as_str()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_coding_has_its_own_tag() {
    let stage = Stage::set().await;
    let mut tags = std::collections::BTreeMap::new();
    for coding in ["identity", "gzip", "zstd"] {
        let answer = stage.get(&graph(), &[("Accept-Encoding", coding)]).await;
        tags.insert(answer.header("etag").expect("a tag").to_owned(), coding);
    }
    assert_eq!(tags.len(), 3, "{tags:?}");
    for (tag, coding) in &tags {
        for (asked, expected) in [(*coding, 304), ("gzip;q=0.1, identity;q=0.2, zstd;q=0.3", 0)] {
            let headers = [("If-None-Match", tag.as_str()), ("Accept-Encoding", asked)];
            let answer = stage.get(&graph(), &headers).await;
            let expected = match expected {
                0 if *coding == "zstd" => 304,
                0 => 200,
                status => status,
            };
            assert_eq!(answer.status, expected, "{tag} of {coding}, asked for {asked}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn head_says_what_get_says_without_the_body() {
    let stage = Stage::set().await;
    let tag = stage.get(&graph(), &[]).await.header("etag").expect("a tag").to_owned();
    let cases: [(&str, Headers<'_>, u16); 8] = [
        (&graph(), &[], 200),
        (&graph(), &[("Accept-Encoding", "gzip")], 200),
        (&graph(), &[("If-None-Match", &tag)], 304),
        (&graph(), &[("Accept", "text/html")], 406),
        ("/api/upgrades_info/v1/graph", &[], 400),
        ("/api/upgrades_info/v1/graph?channel=elsewhere", &[], 200),
        ("/api/upgrades_info/acme/none/v1/graph?channel=stable", &[], 404),
        ("/tuf/metadata/timestamp.json", &[], 200),
    ];
    for (path, headers, status) in cases {
        let get = stage.get(path, headers).await;
        let head = stage.ask("HEAD", path, headers).await;
        assert_eq!((get.status, head.status), (status, status), "{path} {headers:?}");
        let without_date = |answer: &Answer| {
            let mut headers = answer.headers.clone();
            headers.retain(|(name, _)| name != "date");
            headers.sort();
            headers
        };
        assert_eq!(without_date(&head), without_date(&get), "{path} {headers:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_that_finds_nothing_new_costs_one_304() {
    let mut stage = Stage::set().await;
    let path = "/tuf/metadata/timestamp.json";
    let first = stage.get(path, &[]).await;
    let tag = first.header("etag").expect("a tag").to_owned();
    assert_eq!(stage.get(path, &[("If-None-Match", &tag)]).await.status, 304);
    stage.publish(RELEASES + 1).await;
    let next = stage.get(path, &[("If-None-Match", &tag)]).await;
    assert_eq!(next.status, 200);
    assert_ne!(next.header("etag"), Some(tag.as_str()));
    // What a name pins never changes: caches may keep it.
    let root = stage.get("/tuf/metadata/1.root.json", &[]).await;
    assert!(root.header("cache-control").is_some_and(|text| text.contains("immutable")));
    let missing = stage.get("/tuf/metadata/2.root.json", &[]).await;
    assert_eq!(missing.status, 404);
    assert!(missing.header("cache-control").is_some_and(|text| !text.contains("immutable")));
}
