//! Commands that change something at the hub: people are told in a sentence, scripts get the
//! document that the hub answered, or a refusal before anything is done where there is none.

use serde_json::{Value, json};

use super::{first, forms, golden};

/// The cluster of the recorded page.
const CLUSTER: &str = "0192f0c5-3c1e-7b6a-9a53-0f5a8c1d2e3f";

fn cluster() -> Value {
    first(&golden("cluster-row-page"))
}

/// The recorded token while it still works.
fn join_token() -> Value {
    let mut token = golden("join-token");
    token["expires_at"] = "2026-11-20T13:10:00Z".into();
    token
}

/// Like the one of reads, and with more requests behind the one that answers.
macro_rules! golden_forms {
    ($($test:ident: $words:expr, $request:expr, $document:expr $(, $more:expr)*;)*) => {$(
        #[tokio::test]
        async fn $test() {
            let request: &str = $request;
            let script = [(request, $document) $(, $more)*];
            insta::assert_snapshot!(forms(&$words, &script).await);
        }
    )*};
}

golden_forms! {
    clusters_invite: ["clusters", "invite", "--uses", "100"],
        "POST /api/v1/join-tokens", join_token();
    clusters_reinvite: ["clusters", "reinvite", CLUSTER],
        &format!("POST /api/v1/clusters/{CLUSTER}/join-tokens"), join_token();
    clusters_reinvite_many: ["clusters", "reinvite", "--selector", "site=b", "--yes"],
        "POST /api/v1/bulk", golden("bulk-reply");
    clusters_uninvite: ["clusters", "uninvite", "7"],
        "DELETE /api/v1/join-tokens/7", Value::Null;
    clusters_trust: ["clusters", "trust", CLUSTER, "--acknowledge", "one is off"],
        &format!("POST /api/v1/clusters/{CLUSTER}/trust"), cluster();
    clusters_label: ["clusters", "label", CLUSTER, "ring=canary"],
        &format!("PUT /api/v1/clusters/{CLUSTER}/labels"),
        first(&golden("cluster-row-page--labels"));
    clusters_label_preview: ["clusters", "label", "--selector", "site=b", "--preview", "ring=x"],
        "POST /api/v1/bulk", golden("bulk-reply");
    clusters_set: ["clusters", "set", "--of", "acme/kafka", CLUSTER, "pin=4.3.1"],
        &format!("PUT /api/v1/clusters/{CLUSTER}/settings"),
        first(&golden("cluster-row-page--settings"));
    clusters_revoke: ["clusters", "revoke", CLUSTER, "--reason", "stolen"],
        &format!("POST /api/v1/clusters/{CLUSTER}/revoke"),
        first(&golden("cluster-row-page--revoked"));
    clusters_retire: ["clusters", "retire", CLUSTER],
        &format!("DELETE /api/v1/clusters/{CLUSTER}"), Value::Null;
    hold: ["hold", "--channel", "acme/kafka", "stable-4", "--reason", "change freeze"],
        "POST /api/v1/holds", golden("hold");
    resume: ["resume", "7", "--acknowledge", "freeze is over"],
        "POST /api/v1/holds/7/resume", golden("hold");
    rollout_approve: ["rollout", "approve", "7", "everyone", "--reason", "well"],
        "POST /api/v1/rollouts/7/approve", golden("rollout-row");
    rollout_emergency: ["rollout", "emergency", "7", "--reason", "hole", "--yes"],
        "POST /api/v1/rollouts/7/emergency", golden("rollout-row"),
        ("GET /api/v1/rollouts/7", golden("rollout-row"));
    rollout_hold: ["rollout", "hold", "7", "--reason", "storm"],
        "POST /api/v1/rollouts/7/hold", golden("rollout-row");
    rollout_remove: ["rollout", "remove", "careful", "--reason", "over", "--yes"],
        "DELETE /api/v1/rollout-policies/careful?reason=over", Value::Null;
    rollout_resume: ["rollout", "resume", "7", "--acknowledge", "seen", "--yes"],
        "POST /api/v1/rollouts/7/resume", golden("rollout-row"),
        ("GET /api/v1/rollouts/7", golden("rollout-row"));
    sites_remove: ["sites", "remove", "north"], "DELETE /api/v1/sites/north", Value::Null;
    token_new: ["token", "new", "ci", "--access", "publisher"],
        "POST /api/v1/tokens",
        json!({"id": 2, "name": "ci", "access": "publisher", "token": "fw_x"});
    token_revoke: ["token", "revoke", "2"], "DELETE /api/v1/tokens/2", Value::Null;
    webhooks_add: ["webhooks", "add", "https://hooks.example.com/fairway", "--kind", "hold"],
        "POST /api/v1/webhooks", golden("new-webhook");
    webhooks_remove: ["webhooks", "remove", "3"], "DELETE /api/v1/webhooks/3", Value::Null;
    webhooks_retry: ["webhooks", "retry", "3", "--event", "2"],
        "POST /api/v1/webhooks/3/dead/2/retry", golden("webhook-attempt--delivered");
    webhooks_retry_fails: ["webhooks", "retry", "3", "--event", "2"],
        "POST /api/v1/webhooks/3/dead/2/retry", golden("webhook-attempt");
    webhooks_test: ["webhooks", "test", "3"],
        "POST /api/v1/webhooks/3/test", golden("webhook-attempt");
}

#[tokio::test]
async fn a_command_without_an_answer_asks_nothing_of_the_hub_when_it_is_to_print_one() {
    for words in [
        &["clusters", "uninvite", "7"][..],
        &["clusters", "retire", CLUSTER],
        &["rollout", "remove", "careful", "--reason", "over", "--yes"],
        &["sites", "remove", "north"],
        &["token", "revoke", "2"],
        &["webhooks", "remove", "3"],
    ] {
        let hub = crate::hub::testing::FakeHub::start(vec![]).await;
        let more = ["--output", "csv", "--server", hub.url.as_str()];
        let (result, ..) = super::run(&[words, &more].concat(), super::NOW).await;
        let error = result.unwrap_err();
        assert!(error.hint_text().unwrap().starts_with("nothing was done"), "{words:?}: {error}");
        assert_eq!(hub.seen(), Vec::<String>::new(), "{words:?}");
    }
}
