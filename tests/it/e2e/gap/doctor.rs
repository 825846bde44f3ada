//! `fairway doctor --site`: what it says of a site that took a bundle in, and whether its advice
//! mends what it finds.

use std::collections::BTreeMap;

use super::{Gap, files_below, flip_bit, run, run_ok, stderr};

/// In the image of every release.
const LAYER: &[u8] = b"a layer of every release";

impl Gap {
    /// The site keeps its images itself, and its directory names store and hub.
    fn keeps_its_own_store(&self) {
        let file = self.path("north/site.toml");
        let made = std::fs::read_to_string(&file).unwrap();
        let (url, token) = (self.site.url(), self.site.token_file());
        let own = format!("store = \"store\"\n[server]\nurl = {url:?}\ntoken_file = {token:?}\n");
        std::fs::write(file, made + &own).unwrap();
    }

    /// Whether all is well, and every check as `outcome: message`, with what to do.
    fn doctor(&self) -> (Option<i32>, BTreeMap<String, String>) {
        let north = self.path("north");
        let words = ["doctor", "--site", &north, "--percent", "100", "--output", "json"];
        let output = run(&words, &[]);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", stderr(&output)));
        let checks = report["checks"].as_array().unwrap().iter().map(|check| {
            let word = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
            (word("check"), format!("{}: {} {}", word("outcome"), word("message"), word("hint")))
        });
        (output.status.code(), checks.collect())
    }
}

#[test]
fn doctor_finds_what_is_damaged_at_a_site_and_its_advice_mends_it() {
    let gap = Gap::new();
    gap.create("3.9.1");
    assert!(gap.init_site().status.success());
    gap.publish_site();
    gap.keeps_its_own_store();
    let (north, carry, medium) = (gap.path("north"), gap.path("carry"), gap.path("medium"));
    let (code, found) = gap.doctor();
    assert_eq!(code, Some(0), "{found:?}");
    assert!(found["bundle"].starts_with("warn: nothing was taken in yet"), "{found:?}");
    assert!(found["store"].starts_with("skipped: the first import makes it"), "{found:?}");

    // The store takes a bundle's files over as they are; the medium has them still.
    std::fs::create_dir(&medium).unwrap();
    for file in files_below(carry.as_ref()) {
        std::fs::copy(&file, format!("{medium}/{}", file.file_name().unwrap().display())).unwrap();
    }
    run_ok(&["mirror", "import", &north, &carry], &[]);
    let (code, found) = gap.doctor();
    assert_eq!(code, Some(0), "{found:?}");
    for (check, said) in [
        ("site", "ok: north, pinned root sha256:"),
        ("key", "ok: signs as "),
        ("bundle", "ok: carry, sequence "),
        ("carried", "ok: verified; good for "),
        ("store", "ok: 1 repository, "),
        ("metadata", "ok: root 1; good until "),
        ("token", "ok: "),
        ("audit", "ok: "),
    ] {
        assert!(found[check].starts_with(said), "{check}: {found:?}");
    }

    let holds = |file: &std::path::PathBuf| {
        let bytes = std::fs::read(file).unwrap();
        bytes.windows(LAYER.len()).position(|window| window == LAYER)
    };
    let store = format!("{north}/store");
    let (file, offset) = files_below(store.as_ref())
        .into_iter()
        .find_map(|file| holds(&file).map(|offset| (file, offset)))
        .expect("the layer is in the store");
    flip_bit(&file, u64::try_from(offset).unwrap());
    let (code, found) = gap.doctor();
    assert_eq!(code, Some(1), "{found:?}");
    assert!(found["store"].starts_with("fail: 1 damaged or missing: sha256:"), "{found:?}");
    let advice = "offline-mirror store fsck --forget-damaged, then import the newest bundle";
    assert!(found["store"].ends_with(advice), "{found:?}");

    let fsck = run(&["mirror", "store", "fsck", &store, "--forget-damaged"], &[]);
    assert_eq!(fsck.status.code(), Some(1), "{}", stderr(&fsck));
    run_ok(&["mirror", "import", &north, &medium], &[]);
    let (code, found) = gap.doctor();
    assert_eq!(code, Some(0), "{found:?}");
}
