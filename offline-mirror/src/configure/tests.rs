//! The files of one mirror, compared with golden ones, and files of other people.

use super::*;
use crate::bundle::ImageRole;
use crate::oci::Digest;

fn image(source: &str, repository: &str, tags: &[&str]) -> CarriedImage {
    CarriedImage {
        repository: repository.parse().unwrap(),
        digest: Digest::of(repository.as_bytes()),
        tags: tags.iter().map(|tag| tag.parse().unwrap()).collect(),
        source: source.parse().unwrap(),
        role: ImageRole::Release,
    }
}

fn images() -> Vec<CarriedImage> {
    vec![
        image("registry.example.com", "acme/app", &[]),
        image("registry.example.com", "acme/app", &[]),
        image("quay.example:8443", "tools/git", &["v2"]),
    ]
}

fn mirror(prefix: Option<&str>) -> Mirror {
    Mirror {
        host: "mirror.site.example:5000".parse().unwrap(),
        prefix: prefix.map(|prefix| prefix.parse().unwrap()),
        plain_http: false,
        ca_file: Some("/etc/pki/mirror.pem".into()),
    }
}

fn generated(prefix: Option<&str>) -> BTreeMap<String, String> {
    let keys = BTreeSet::from([SignedBy {
        scope: "registry.example.com/acme".to_owned(),
        key_file: "/etc/pki/acme.pub".into(),
    }]);
    generate(&"north".parse().unwrap(), &mirror(prefix), &images(), &keys)
}

#[test]
fn containerd_asks_the_mirror_and_nobody_else() {
    let files = generated(Some("mirrors"));
    let text = &files["containerd/certs.d/quay.example:8443/hosts.toml"];
    assert_eq!(text, include_str!("golden/hosts.toml"));
    let read: toml::Table = toml::from_str(text).unwrap();
    assert_eq!(read["server"].as_str(), Some("https://mirror.site.example:5000/v2/mirrors"));
    assert!(files.contains_key("containerd/certs.d/registry.example.com/hosts.toml"));
    let plain = &generated(None)["containerd/certs.d/quay.example:8443/hosts.toml"];
    assert!(!plain.contains("override_path"), "{plain}");
}

#[test]
fn podman_and_crio_are_turned_to_the_mirror() {
    let files = generated(Some("mirrors"));
    let text = &files["containers/registries.conf.d/50-fairway-north.conf"];
    assert_eq!(text, include_str!("golden/registries.conf"));
    let read: toml::Table = toml::from_str(text).unwrap();
    assert_eq!(read["registry"].as_array().unwrap().len(), 2, "each repository once");
}

#[test]
fn only_what_was_taken_in_may_run_and_with_a_signature_where_a_key_is_known() {
    let files = generated(None);
    let text = &files["containers/policy.json"];
    assert_eq!(text, include_str!("golden/policy.json"));
    assert_eq!(
        files["containers/registries.d/fairway-north.yaml"],
        include_str!("golden/registries.d.yaml")
    );
}

#[test]
fn openshift_gets_a_digest_set_for_all_and_a_tag_set_for_what_has_tags() {
    let files = generated(None);
    let by_digest = &files["openshift/image-digest-mirror-set.yaml"];
    assert_eq!(by_digest, include_str!("golden/idms.yaml"));
    let by_tag = &files["openshift/image-tag-mirror-set.yaml"];
    assert!(by_tag.contains("tools/git") && !by_tag.contains("acme/app"), "{by_tag}");
    let no_tags = [image("r.example", "a", &[])];
    let site = "north".parse().unwrap();
    let files = generate(&site, &mirror(None), &no_tags, &BTreeSet::new());
    assert!(!files.contains_key("openshift/image-tag-mirror-set.yaml"));
}

#[test]
fn what_somebody_wrote_or_changed_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let files = |text: &str| BTreeMap::from([("a/b".to_owned(), text.to_owned())]);
    std::fs::create_dir_all(dir.join("a")).unwrap();
    std::fs::write(dir.join("a/b"), "mine").unwrap();
    let error = write(dir, &files("one"), false).unwrap_err();
    assert!(matches!(&error, ConfigureError::NotOurs { files } if files == &["a/b"]), "{error}");
    assert_eq!(std::fs::read(dir.join("a/b")).unwrap(), b"mine");
    write(dir, &files("one"), true).unwrap();
    assert_eq!(write(dir, &files("one"), false).unwrap().unchanged, ["a/b"]);
    assert_eq!(write(dir, &files("two"), false).unwrap().written, ["a/b"]);
    std::fs::write(dir.join("a/b"), "two, and a change").unwrap();
    let error = write(dir, &files("three"), false).unwrap_err();
    assert!(matches!(error, ConfigureError::NotOurs { .. }), "{error}");
    let left = write(dir, &BTreeMap::new(), false).unwrap();
    assert_eq!(left.left_over, ["a/b"]);
}
