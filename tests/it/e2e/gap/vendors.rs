//! A vendor changes its key behind the gap's back: refused by name, taken over by a ceremony, while
//! the other vendors' imports go on.

use std::path::Path;

use serde_json::Value;

use super::{Gap, PASSPHRASE, files_below, stderr};
use crate::e2e::process::run_ok;

/// The graph of a second vendor of hub A.
const GLOBEX_GRAPH: &str = "/api/upgrades_info/globex/app/v1/graph?channel=stable&arch=amd64";

impl Gap {
    /// The site has everything of two vendors, from one bundle of both.
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
        gap.create_both("3.9.1", "1.0.0");
        let made = gap.init_site();
        assert!(made.status.success(), "{}", stderr(&made));
        gap.publish_site();
        let imported = gap.import();
        let vendors = imported["publications"].as_array().unwrap();
        let changed = |vendor: &Value| (vendor["vendor"].clone(), vendor["changed"].clone());
        let changed: Vec<_> = vendors.iter().map(changed).collect();
        let both = ["acme", "globex"].map(|vendor| (vendor.into(), true.into()));
        assert_eq!(changed, both);
        gap
    }

    /// One bundle of both vendors.
    fn create_both(&self, kafka: &str, app: &str) {
        let carry = self.path("carry");
        drop(std::fs::remove_dir_all(&carry));
        let config = format!(
            "view = \"view\"\n[hub]\nserver = \"{}\"\nroot = \"{}\"\n\
             [registries.default]\nhost = \"{}\"\nplain_http = true\n\
             [[products]]\nproduct = \"acme/kafka\"\nreleases = [\"{kafka}\"]\n\
             [[products]]\nproduct = \"globex/app\"\nreleases = [\"{app}\"]\n",
            self.origin.url(),
            self.origin_root(),
            self.origin_registry.host,
        );
        let file = self.path("mirror.toml");
        std::fs::write(&file, config).unwrap();
        run_ok(&["mirror", "create", &carry, "--config", &file, "--name", "carry"], &[]);
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
    gap.create_both("4.3.1", "1.1.0");

    let refused = gap.try_import();
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
    let told = stderr(&refused);
    assert!(told.contains("arbitrary_software: ") && told.contains("acme does not"), "{told}");
    assert!(told.contains("fairway key from-bundle"), "{told}");
    let evidence: Value = serde_json::from_slice(&refused.stdout).unwrap();
    let [acme, globex] = [0, 1].map(|vendor| &evidence["publications"][vendor]);
    assert_eq!((&acme["vendor"], &acme["changed"]), (&"acme".into(), &false.into()));
    // The other vendor's release crosses at the same time, out of the same bundle.
    assert_eq!((&globex["vendor"], &globex["changed"]), (&"globex".into(), &true.into()));
    let [origin, site] = gap.both_serve(GLOBEX_GRAPH);
    assert_eq!(origin, site);
    let [origin, site] = gap.both_serve(super::GRAPH);
    assert_ne!(origin, site);
    gap.assert_site_has(4);
    let refused = gap.try_import();
    assert!(stderr(&refused).contains("arbitrary_software: "), "still: {}", stderr(&refused));

    // As docs/air-gap.md says: beside the old key, import, then instead of it.
    let before = files_below(Path::new(&gap.path("site/keys")));
    let (carry, root, keys) = (gap.path("carry"), gap.view_root(), gap.path("site/keys"));
    let shown = run_ok(&["key", "from-bundle", &carry, "--root", &root, "--into", &keys], &[]);
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
    assert_eq!(gap.import()["publications"][0]["changed"], true);
    gap.edit("site", &format!("[{old}, {new}]"), &format!("[{new}]"));
    let published = gap.publish_site_keys();
    assert!(published.contains("signed targets 3 (content)"), "{published}");
    gap.assert_site_has(5);
    for file in gap.vendor_files() {
        let [origin, site] = gap.both_serve(&format!("/tuf/{file}"));
        assert_eq!(origin, site, "{file}");
    }
}
