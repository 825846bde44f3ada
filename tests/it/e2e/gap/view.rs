//! Weeks on the road under a view, without leave; and leave, which the site's audit log keeps.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use offline_mirror::import::{Evidence, ImportError, ImportRequest, Log, Target, import};
use offline_mirror::site::SiteDir;
use offline_mirror::store::Store;
use offline_mirror::{AcceptExpired, Feed, ServerAccess};
use serde_json::Value;
use signing::{Attack, Sha256Digest};

use super::{Gap, PASSPHRASE, served, stderr};
use crate::e2e::process::{now, run_ok};

impl Gap {
    /// Makes a view of hub A, has its root signed by the holder of hub A's root key, takes it.
    pub(super) fn make_view(&self) {
        let (view, root) = (self.path("view"), self.origin_root());
        let url = self.origin.url();
        run_ok(&["mirror", "view", "init", &view, "--server", &url, "--root", &root], &[]);
        self.sign_request();
        let request = self.path("view/request.json");
        run_ok(&["mirror", "view", "accept", &view, &request], &[]);
    }

    /// The holder's part, on a machine that has the key and nothing else.
    fn sign_request(&self) {
        let (request, key) = (self.path("view/request.json"), self.path("acme/keys/root-1.pem"));
        let shown = run_ok(&["root", "sign", &request, "--key", &key, "--yes"], &[PASSPHRASE]);
        assert!(shown.contains("timestamp"), "{shown}");
    }

    /// An import into the real site as if it were `now`; images go into a store.
    fn import_at(&self, leave: Option<&str>, now: Timestamp) -> Result<Evidence, ImportError> {
        let until = now + SignedDuration::from_hours(24);
        let request = ImportRequest {
            bundles: vec![self.path("carry").into()],
            accept_expired: leave.map(|text| AcceptExpired { until, reason: text.to_owned() }),
            ..ImportRequest::default()
        };
        let site = SiteDir::open(Path::new(&self.path("north"))).unwrap();
        let store = Target::Store(Store::create(Path::new(&self.path("store"))).unwrap());
        let token = std::fs::read_to_string(self.site.token_file()).unwrap();
        let feed =
            Feed::new(ServerAccess::new(&self.site.url(), token.trim().to_owned(), false).unwrap())
                .unwrap();
        let clock = || now;
        let import = import(&site, &request, &store, Some(&feed), Log::new(&clock, &|_step| {}));
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
fn a_bundle_crosses_after_weeks_without_leave_and_the_site_serves_the_vendors_bytes() {
    let gap = Gap::new();
    let root = gap.view_root();
    gap.create("3.9.1");
    let made = gap.init_site();
    assert!(made.status.success(), "{}", stderr(&made));
    gap.publish_site();
    let shown = run_ok(&["key", "from-bundle", &gap.path("carry"), "--root", &root], &[]);
    assert!(shown.contains("vendor acme: 1 of 1 must sign"), "{shown}");

    let late = gap.import_at(None, now() + days(60)).unwrap();
    assert_eq!((late.bundles[0].verified_as_of, late.publications[0].changed), (None, true));
    let again = gap.import();
    assert_eq!(again["publications"][0]["changed"], false);
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
    gap.create("4.3.1");
    assert_eq!(gap.import()["publications"][0]["changed"], true);
    assert_eq!(gap.digests(0), gap.digests(1));
}

#[test]
fn a_connected_hub_takes_no_root_of_a_view() {
    let gap = Gap::new();
    let words = ["verify", "--server", &gap.origin.url(), "--root", &gap.view_root()];
    let refused = crate::e2e::process::run(&words, &[]);
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("arbitrary_software"), "{}", stderr(&refused));
}

#[test]
fn leave_for_an_expired_bundle_stands_in_the_sites_audit_log_with_its_reason() {
    let gap = Gap::new();
    gap.create("3.9.1");
    let made = gap.init_site();
    assert!(made.status.success(), "{}", stderr(&made));
    gap.publish_site();
    let late = now() + days(91);
    let error = gap.import_at(None, late).unwrap_err();
    assert_eq!(error.attack(), Some(Attack::Freeze), "{error}");
    let error = gap.import_at(Some(" "), late).unwrap_err();
    assert!(error.to_string().contains("reason is empty"), "{error}");
    let audit = || String::from_utf8(served(&gap.site, "/api/v1/audit")).unwrap();
    assert!(!audit().contains("weekly supply flight"));

    let imported = gap.import_at(Some("weekly supply flight"), late).unwrap();
    assert!(imported.bundles[0].verified_as_of.is_some());
    let row = audit();
    assert!(row.contains("accepted although expired: weekly supply flight"), "{row}");
    let checked: Value =
        serde_json::from_slice(&served(&gap.site, "/api/v1/audit/verify")).unwrap();
    assert_eq!(checked["broken_at"], Value::Null, "{checked}");
}
