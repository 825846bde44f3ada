//! Removed APIs that are still in use.

use std::collections::{BTreeMap, BTreeSet};

use channels::wire::Role;
use signing::Sha256Digest;

use super::{SKEW_MS, now, vector};
use crate::plan::CheckOutcome;
use crate::prometheus::{Answer, ApiAnswers, ApiCheck, ApiKind, ApiSubject};

fn check(kind: ApiKind) -> ApiCheck {
    ApiCheck { product: "acme/platform".parse().unwrap(), kind, window_s: 86_400 }
}

fn subject(role: Role, from: &str, to: &str) -> ApiSubject {
    ApiSubject {
        product: "acme/platform".parse().unwrap(),
        release: Sha256Digest::of(b"release"),
        to: BTreeMap::from([(role, to.to_owned())]),
        from: BTreeMap::from([(role, BTreeSet::from([from.to_owned()]))]),
        resumed_at: None,
    }
}

fn said(witness: &[(&str, &str)], uses: &[(&str, &str)]) -> ApiAnswers {
    ApiAnswers { witness: Ok(vector(witness)), uses: Ok(vector(uses)) }
}

const SCRAPED: [(&str, &str); 1] = [("{}", "1")];
const CRON: (&str, &str) = (
    r#"{"group":"batch","version":"v1beta1","resource":"cronjobs","subresource":"","removed_release":"1.25"}"#,
    "1",
);

fn kubernetes(to: &str, answers: &ApiAnswers) -> CheckOutcome {
    check(ApiKind::Kubernetes).judge(&subject(Role::Node, "v1.24.9", to), answers, SKEW_MS, now())
}

#[test]
fn an_api_that_the_release_removes_and_that_is_used_fails_by_name() {
    let outcome = kubernetes("v1.25.3", &said(&SCRAPED, &[CRON]));
    let why = "still in use: batch/v1beta1/cronjobs (removed in 1.25)".to_owned();
    assert_eq!(outcome, CheckOutcome::Failed { why });
    assert_eq!(kubernetes("v1.24.12", &said(&SCRAPED, &[CRON])), CheckOutcome::Passed);
    assert_eq!(kubernetes("v1.25.3", &said(&SCRAPED, &[])), CheckOutcome::Passed);
}

#[test]
fn silence_of_servers_that_are_not_scraped_is_no_pass() {
    let outcome = kubernetes("v1.25.3", &said(&[], &[]));
    assert!(matches!(outcome, CheckOutcome::Unknown { why } if why.contains("is not up")));
    let failed = || Err::<Answer, String>("no answer within 10 ms".to_owned());
    for (witness, uses) in [(failed(), Ok(vector(&[]))), (Ok(vector(&SCRAPED)), failed())] {
        let outcome = kubernetes("v1.25.3", &ApiAnswers { witness, uses });
        assert!(matches!(outcome, CheckOutcome::Unknown { why } if why.contains("within 10 ms")));
    }
}

#[test]
fn versions_that_cannot_be_compared_are_unknown() {
    let odd = (r#"{"resource":"x","removed_release":"soon"}"#, "1");
    let outcome = kubernetes("v1.25.3", &said(&SCRAPED, &[odd]));
    assert!(matches!(outcome, CheckOutcome::Unknown { why } if why.contains("soon")));
    let outcome = kubernetes("latest", &said(&SCRAPED, &[]));
    assert!(matches!(outcome, CheckOutcome::Unknown { why } if why.contains("latest")));
}

#[test]
fn minor_releases_are_compared_as_numbers() {
    let nine = (r#"{"resource":"x","removed_release":"1.9"}"#, "1");
    let hundred = (r#"{"resource":"y","removed_release":"1.100"}"#, "1");
    let outcome = kubernetes("v1.25.3", &said(&SCRAPED, &[nine, hundred]));
    assert_eq!(
        outcome,
        CheckOutcome::Failed { why: "still in use: x (removed in 1.9)".to_owned() }
    );
}

#[test]
fn a_long_list_of_uses_is_shortened() {
    let labels: Vec<String> =
        (0..9).map(|i| format!(r#"{{"resource":"r{i}","removed_release":"1.25"}}"#)).collect();
    let uses: Vec<(&str, &str)> = labels.iter().map(|labels| (&**labels, "1")).collect();
    let CheckOutcome::Failed { why } = kubernetes("v1.25.3", &said(&SCRAPED, &uses)) else {
        panic!()
    };
    assert!(why.ends_with("r4 (removed in 1.25); 4 more"), "{why}");
}

#[test]
fn old_kafka_clients_stand_in_the_way_of_a_new_major_release_alone() {
    let kafka = check(ApiKind::Kafka);
    let client = (
        r#"{"request":"PRODUCE","version":"2","clientsoftwarename":"sarama","clientSoftwareVersion":"1.9"}"#,
        "7",
    );
    let answers = said(&SCRAPED, &[client]);
    let judged = |from, to| kafka.judge(&subject(Role::Broker, from, to), &answers, SKEW_MS, now());
    let why = "still in use: request PRODUCE version 2 clientSoftwareName sarama \
               clientSoftwareVersion 1.9";
    assert_eq!(judged("3.9.1", "4.0.0"), CheckOutcome::Failed { why: why.to_owned() });
    assert_eq!(judged("4.0.0", "4.1.0"), CheckOutcome::Passed);
    assert_eq!(kafka.settled(&subject(Role::Broker, "3.8.0", "3.9.1")), Some(CheckOutcome::Passed));
    assert_eq!(kafka.settled(&subject(Role::Broker, "3.9.1", "4.0.0")), None);
}

#[test]
fn a_use_is_a_counter_that_differs_from_itself_a_window_ago() {
    let query = check(ApiKind::Kubernetes).use_query();
    assert!(query.contains("offset 86400s") && query.contains("unless"), "{query}");
    assert!(!query.contains('['), "a range over a day would read millions of samples: {query}");
}
