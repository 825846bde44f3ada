//! What the pages of etcd members say about a control-plane node's going.

use super::super::etcd::judge;

const LEADER: &str = "# TYPE etcd_server_has_leader gauge\netcd_server_has_leader 1\n\
    etcd_server_is_leader 1\netcd_server_proposals_pending 0\n";
const FOLLOWER: &str =
    "etcd_server_has_leader 1\netcd_server_is_leader 0\netcd_server_proposals_pending 0\n";

fn judged(pages: &[Result<&str, &str>]) -> Vec<String> {
    let pages: Vec<_> = pages
        .iter()
        .enumerate()
        .map(|(i, page)| {
            let page = page.map(str::to_owned).map_err(str::to_owned);
            (format!("http://m{i}"), page)
        })
        .collect();
    judge(&pages, 0).iter().map(ToString::to_string).collect()
}

#[test]
fn members_that_all_answer_and_agree_hold_nothing_up() {
    assert!(judged(&[Ok(LEADER), Ok(FOLLOWER), Ok(FOLLOWER)]).is_empty());
}

#[test]
fn every_member_must_answer() {
    let found = judged(&[Ok(LEADER), Err("connection refused"), Ok(FOLLOWER)]);
    assert_eq!(found, ["etcd: member http://m1 does not answer: connection refused"]);
}

#[test]
fn a_member_without_a_leader_and_pending_proposals_are_named() {
    let lost = FOLLOWER.replace("has_leader 1", "has_leader 0");
    assert!(judged(&[Ok(LEADER), Ok(&lost)])[0].contains("m1 knows no leader"));
    let busy = FOLLOWER.replace("pending 0", "pending 3");
    assert!(judged(&[Ok(LEADER), Ok(&busy)])[0].contains("3 pending proposals, limit 0"));
}

#[test]
fn exactly_one_member_leads() {
    assert!(judged(&[Ok(LEADER), Ok(LEADER)])[0].starts_with("etcd: 2 of 2 members"));
    assert!(judged(&[Ok(FOLLOWER)])[0].starts_with("etcd: 0 of 1 members"));
}

#[test]
fn a_page_that_is_not_etcds_is_no_good_word() {
    let found = judged(&[Ok("up 1\n")]);
    assert!(found[0].contains("no metric etcd_server_has_leader"), "{found:?}");
    let torn = LEADER.replace("proposals_pending 0", "proposals_pending NaN");
    assert!(judged(&[Ok(&torn)])[0].contains("no metric etcd_server_proposals_pending"));
}
