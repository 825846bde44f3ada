//! An export under a view: weeks on the road and no leave; and leave, which the site's audit log
//! keeps.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use offline_mirror::{AcceptExpired, Error, Feed, ImportRequest, Imported};
use serde_json::Value;
use signing::{Attack, Sha256Digest};

use super::{Gap, PASSPHRASE, served, stderr};
use crate::e2e::process::{now, run_ok};

impl Gap {
    /// Makes a view of hub A, has its root signed by the holder of hub A's root key, takes it.
    fn make_view(&self) -> String {
        let (view, root) = (self.path("view"), self.origin_root());
        let url = self.origin.url();
        run_ok(&["mirror", "view", "init", &view, "--server", &url, "--root", &root], &[]);
        self.sign_request();
        let request = self.path("view/request.json");
        run_ok(&["mirror", "view", "accept", &view, &request], &[]);
        self.path("view/root.json")
    }

    /// The holder's part, on a machine that has the key and nothing else.
    fn sign_request(&self) {
        let (request, key) = (self.path("view/request.json"), self.path("acme/keys/root-1.pem"));
        let shown = run_ok(&["root", "sign", &request, "--key", &key, "--yes"], &[PASSPHRASE]);
        assert!(shown.contains("timestamp"), "{shown}");
    }

    /// An import into the real site as if it were `now`; images stay where they are.
    fn import_at(
        &self,
        root: &str,
        leave: Option<&str>,
        now: Timestamp,
    ) -> Result<Imported, Error> {
        let until = now + SignedDuration::from_hours(24);
        let request = ImportRequest {
            dir: self.path("carry").into(),
            root: std::fs::read(root).unwrap(),
            arches: vec![],
            state: Some(self.path("seen").into()),
            accept_expired: leave.map(|text| AcceptExpired { until, reason: text.to_owned() }),
        };
        let token = std::fs::read_to_string(self.site.token_file()).unwrap();
        let feed = Feed::new(&self.site.url(), token.trim().to_owned()).unwrap();
        let import = offline_mirror::import(&request, None, Some(&feed), now);
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(import)
    }

    /// The digests of the vendor's metadata files that a hub serves, by name.
    fn digests(&self, hub: usize) -> BTreeMap<String, Sha256Digest> {
        let files = self.vendor_files();
        let digest = |file: String| {
            let served = self.both_serve(&format!("/tuf/{file}"));
            (file, Sha256Digest::of(&served[hub]))
        };
        files.into_iter().map(digest).collect()
    }
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

#[test]
fn a_view_crosses_after_weeks_without_leave_and_the_site_serves_the_vendors_bytes() {
    let gap = Gap::new();
    let root = gap.make_view();
    let view = ["--view", &gap.path("view")];
    gap.export_of("acme/kafka", "3.9.1", "carry", &view);
    let made = gap.init_site_from(&root);
    assert!(made.status.success(), "{}", stderr(&made));
    gap.publish_site();
    let shown = run_ok(&["key", "from-export", &gap.path("carry"), "--root", &root], &[]);
    assert!(shown.contains("vendor acme: 1 of 1 must sign"), "{shown}");

    let late = gap.import_at(&root, None, now() + days(60)).unwrap();
    assert_eq!((late.expired_as_of, late.publication.unwrap().changed), (None, true));
    let again = gap.import_of("carry", &root);
    assert_eq!(again["publication"]["changed"], false);
    let verified = gap.verify_site();
    assert_eq!(verified["faults"], Value::Array(vec![]));

    let (origin, site) = (gap.digests(0), gap.digests(1));
    assert_eq!(origin.len(), 7, "3 roles, 2 releases, 2 graphs: {origin:?}");
    assert_eq!(origin, site);
    // What is fresh at the site is its own.
    for name in ["timestamp.json", "1.root.json"] {
        let [origin, site] = gap.both_serve(&format!("/tuf/metadata/{name}"));
        assert_ne!(origin, site, "{name}");
    }

    // The next release, under the same view.
    gap.release("kafka", "4.3.1", "[\">=3.9.0, <4.3.1\"]", &["3.9.1", "4.3.1"]);
    gap.export_of("acme/kafka", "4.3.1", "carry", &view);
    assert_eq!(gap.import_of("carry", &root)["publication"]["changed"], true);
    assert_eq!(gap.digests(0), gap.digests(1));
}

#[test]
fn a_connected_hub_takes_no_root_of_a_view() {
    let gap = Gap::new();
    let root = gap.make_view();
    let url = gap.origin.url();
    let words = ["verify", "--server", &url, "--root", &root];
    let refused = crate::e2e::process::run(&words, &[]);
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("arbitrary_software"), "{}", stderr(&refused));
}

#[test]
fn leave_for_an_expired_export_stands_in_the_sites_audit_log_with_its_reason() {
    let gap = Gap::new();
    gap.export("3.9.1");
    let made = gap.init_site();
    assert!(made.status.success(), "{}", stderr(&made));
    gap.publish_site();
    let (root, late) = (gap.origin_root(), now() + days(3));
    let error = gap.import_at(&root, None, late).unwrap_err();
    assert_eq!(error.attack(), Some(Attack::Freeze), "{error}");
    let error = gap.import_at(&root, Some(" "), late).unwrap_err();
    assert!(matches!(error, Error::Leave { .. }), "{error}");
    let audit = || String::from_utf8(served(&gap.site, "/api/v1/audit")).unwrap();
    assert!(!audit().contains("weekly supply flight"));

    let imported = gap.import_at(&root, Some("weekly supply flight"), late).unwrap();
    assert!(imported.expired_as_of.is_some());
    let row = audit();
    assert!(row.contains("accepted although expired: weekly supply flight"), "{row}");
    let checked: Value =
        serde_json::from_slice(&served(&gap.site, "/api/v1/audit/verify")).unwrap();
    assert_eq!(checked["broken_at"], Value::Null, "{checked}");
    assert!(Path::new(&gap.path("seen")).is_dir());
}
