//! A vendor changes its key behind the gap's back: refused by name, taken over by a ceremony, while
//! the other vendors' imports go on.

use std::path::Path;

use serde_json::Value;

use super::{Gap, PASSPHRASE, files_below, served, stderr};
use crate::e2e::process::run_ok;

/// A second vendor of hub A and its graph.
const GLOBEX: &str = "globex/app";
const GLOBEX_GRAPH: &str = "/api/upgrades_info/globex/app/v1/graph?channel=stable&arch=amd64";

impl Gap {
    /// The site has everything of two vendors, from an export of each.
    fn with_two_vendors() -> Self {
        let gap = Self::new();
        let roles = ["globex", "globex.releases", "globex.channels"];
        for role in roles {
            run_ok(&["key", "new", &gap.path(&format!("acme/keys/{role}.pem"))], &[PASSPHRASE]);
        }
        let table = |name: &str, role: &str| {
            format!("[vendors.{name}]\nkeys = [\"keys/{role}.pub\"]\nthreshold = 1\n")
        };
        let tables = roles.map(|role| table(role, role)).concat();
        gap.edit("acme", "[expiry_days]", &format!("{tables}[expiry_days]"));
        gap.vendor.write(
            "app/fairway.toml",
            "vendor = \"globex\"\nproduct = \"app\"\n[defaults]\narches = [\"amd64\"]\n",
        );
        gap.release_of("globex", "app", "1.0.0", "[]", &["1.0.0"]);
        gap.export("3.9.1");
        gap.export_of(GLOBEX, "1.0.0", "globex", &[]);
        let made = gap.init_site();
        assert!(made.status.success(), "{}", stderr(&made));
        gap.publish_site();
        for dir in ["carry", "globex"] {
            assert_eq!(gap.import_of(dir, &gap.origin_root())["publication"]["changed"], true);
        }
        gap
    }

    /// Verifies the site as its agents see it: no fault, and so many releases.
    fn assert_site_has(&self, releases: u64) {
        let verified = self.verify_site();
        assert_eq!(verified["faults"], Value::Array(vec![]), "{verified}");
        assert_eq!(verified["releases"], releases, "{verified}");
    }
}

#[test]
fn a_vendors_new_key_is_refused_until_the_site_takes_it_over_and_stops_no_other_vendor() {
    let gap = Gap::with_two_vendors();
    gap.assert_site_has(3);
    run_ok(&["key", "new", &gap.path("acme/keys/acme-2.pem")], &[PASSPHRASE]);
    gap.edit("acme", "keys = [\"keys/acme.pub\"]", "keys = [\"keys/acme-2.pub\"]");
    gap.release_of("globex", "app", "1.1.0", "[\">=1.0.0, <1.1.0\"]", &["1.0.0", "1.1.0"]);
    gap.release("kafka", "4.3.1", "[\">=3.9.0, <4.3.1\"]", &["3.9.1", "4.3.1"]);
    gap.export("4.3.1");
    gap.export_of(GLOBEX, "1.1.0", "globex", &[]);

    let timestamp = served(&gap.site, "/tuf/metadata/timestamp.json");
    let refused = gap.try_import();
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
    let told = stderr(&refused);
    assert!(told.contains("arbitrary_software: ") && told.contains("acme does not"), "{told}");
    assert!(told.contains("fairway key from-export"), "{told}");
    assert_eq!(served(&gap.site, "/tuf/metadata/timestamp.json"), timestamp);
    // The other vendor's release crosses the same day, out of the same hub's metadata.
    assert_eq!(gap.import_of("globex", &gap.origin_root())["publication"]["changed"], true);
    let [origin, site] = gap.both_serve(GLOBEX_GRAPH);
    assert_eq!(origin, site);
    gap.assert_site_has(4);
    let refused = gap.try_import();
    assert!(stderr(&refused).contains("arbitrary_software: "), "still: {}", stderr(&refused));

    // As docs/offline-mirror.md says: beside the old key, import, then instead of it.
    let before = files_below(Path::new(&gap.path("site/keys")));
    let (carry, root, keys) = (gap.path("carry"), gap.origin_root(), gap.path("site/keys"));
    let shown = run_ok(&["key", "from-export", &carry, "--root", &root, "--into", &keys], &[]);
    assert!(shown.contains("vendor acme: 1 of 1 must sign"), "{shown}");
    let mut new = files_below(Path::new(&keys));
    new.retain(|file| !before.contains(file));
    let [new] = &new[..] else { panic!("one new key: {new:?}") };
    let new = format!("\"keys/{}\"", new.file_name().unwrap().to_str().unwrap());
    let old = before.iter().find(|file| file.to_str().unwrap().contains("/acme.")).unwrap();
    let old = format!("\"keys/{}\"", old.file_name().unwrap().to_str().unwrap());
    gap.edit("site", &format!("[{old}]"), &format!("[{old}, {new}]"));
    gap.publish_site_keys();
    gap.assert_site_has(4);
    assert_eq!(gap.import()["publication"]["changed"], true);
    gap.edit("site", &format!("[{old}, {new}]"), &format!("[{new}]"));
    let published = gap.publish_site_keys();
    assert!(published.contains("signed targets 3 (content)"), "{published}");
    gap.assert_site_has(5);
    for file in gap.vendor_files() {
        let [origin, site] = gap.both_serve(&format!("/tuf/{file}"));
        assert_eq!(origin, site, "{file}");
    }
}
