//! Hostile names, and the file names made from honest ones.

use super::*;
use crate::Sha256Digest;
use proptest::prelude::*;

#[test]
fn target_paths_that_could_leave_their_directory_are_refused() {
    let long = "a".repeat(161);
    let deep = "a/".repeat(256) + "a";
    for bad in [
        "",
        "/",
        "/etc/passwd",
        "a//b",
        "a/",
        "../x",
        "a/../../x",
        "a/./b",
        "a\\b",
        "a\0",
        "a\n",
        &long,
        &deep,
    ] {
        assert!(TargetPath::new(bad).is_err(), "{bad:?}");
    }
    for good in ["a", "acme/app/1.2.3+x.release.json", "a b/ü", "..a", "a..", "..."] {
        assert!(TargetPath::new(good).is_ok(), "{good:?}");
    }
}

#[test]
fn role_names_always_fit_a_file_name() {
    assert!(RoleName::new("a".repeat(200)).is_ok());
    assert!(RoleName::new("/".repeat(66)).is_ok());
    for bad in ["", "a\n", &"a".repeat(201), &"/".repeat(67)] {
        assert!(RoleName::new(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn odd_role_names_become_harmless_file_names() {
    for (role, expected) in [
        ("acme.releases", "metadata/3.acme.releases.json"),
        ("../x", "metadata/3...%2Fx.json"),
        ("a/b?c#d", "metadata/3.a%2Fb%3Fc%23d.json"),
        ("é", "metadata/3.%C3%A9.json"),
    ] {
        let name = FileName::Metadata { role: RoleName::new(role).unwrap(), version: Some(3) };
        assert_eq!(name.relative_path(), expected);
        assert_eq!(FileName::from_relative_path(expected).unwrap(), name);
    }
}

#[test]
fn the_hash_goes_in_front_of_the_file_name_not_of_the_path() {
    let digest = Sha256Digest::of(b"x");
    let name = FileName::target(TargetPath::new("acme/my app/1.release.json").unwrap(), digest);
    let hex = digest.hex();
    assert_eq!(name.relative_path(), format!("targets/acme/my app/{hex}.1.release.json"));
    assert_eq!(name.url_path(), format!("targets/acme/my%20app/{hex}.1.release.json"));
    assert_eq!(FileName::from_relative_path(&name.relative_path()).unwrap(), name);
}

#[test]
fn second_spellings_of_a_file_name_are_refused() {
    for bad in [
        "metadata/007.root.json",
        "metadata/1.%61cme.json",
        "metadata/1.root",
        "metadata/.json",
        "metadata/../x.json",
        "targets/app.json",
        "targets/../x",
        "elsewhere/1.root.json",
        "",
    ] {
        assert!(FileName::from_relative_path(bad).is_err(), "{bad}");
    }
}

#[test]
fn hash_in_a_file_name_is_lower_case_hex_of_a_known_length() {
    for (good, length) in [("0a", 32), ("9f", 64)] {
        assert_eq!(
            HashPrefix::from_hex(&good.repeat(length)).unwrap().as_str(),
            good.repeat(length)
        );
    }
    for bad in [
        String::new(),
        "0a".repeat(31),
        "0a".repeat(33),
        "zz".repeat(32),
        "0A".repeat(32),
        "g".repeat(128),
        "`".repeat(64),
    ] {
        assert!(HashPrefix::from_hex(&bad).is_err(), "{bad}");
    }
}

#[test]
fn dots_and_digits_in_front_of_a_role_are_a_version_only_as_a_number() {
    let read = |text: &str| match FileName::from_relative_path(text).unwrap() {
        FileName::Metadata { role, version } => (role.to_string(), version),
        target @ FileName::Target { .. } => panic!("{target}"),
    };
    assert_eq!(read("metadata/.acme.json"), (".acme".to_owned(), None));
    assert_eq!(read("metadata/1a.acme.json"), ("1a.acme".to_owned(), None));
    assert_eq!(read("metadata/1.acme.json"), ("acme".to_owned(), Some(1)));
    assert_eq!(read("metadata/1.2.acme.json"), ("2.acme".to_owned(), Some(1)));
    assert!(FileName::from_relative_path("metadata/18446744073709551616.acme.json").is_err());
}

#[test]
fn names_are_written_as_they_were_read() {
    let (path, role) = (TargetPath::new("a/b").unwrap(), RoleName::new("acme.x").unwrap());
    assert_eq!((path.to_string(), role.to_string()), ("a/b".to_owned(), "acme.x".to_owned()));
    assert_eq!(serde_json::to_value(&path).unwrap(), "a/b");
    assert_eq!(serde_json::to_value(&role).unwrap(), "acme.x");
    assert_eq!((String::from(path), String::from(role)), ("a/b".to_owned(), "acme.x".to_owned()));
    for top in TopRole::ALL {
        assert_eq!(
            (top.to_string().as_str(), RoleName::from(top).as_str()),
            (top.as_str(), top.as_str())
        );
        assert_eq!(serde_json::to_value(top).unwrap(), top.as_str());
    }
    assert_eq!(TopRole::ALL.map(TopRole::as_str), ["root", "snapshot", "targets", "timestamp"]);
}

#[test]
fn broken_escapes_and_bytes_that_are_no_text_are_refused() {
    for bad in ["%", "%a", "a%zz", "%ff", "%c3"] {
        assert_eq!(percent_decode(bad), None, "{bad}");
    }
    assert_eq!(percent_decode("a%2Fb%25+%C3%A9").as_deref(), Some("a/b%+é"));
}

proptest! {
    #[test]
    fn no_escape_panics(path in "[%0-9a-f/.]{0,30}") {
        let _ = percent_decode(&path);
    }

    #[test]
    fn versioned_file_names_read_back(role in "[ -~é]{1,20}", version in 1u64..) {
        let name = FileName::Metadata { role: RoleName::new(role).unwrap(), version: Some(version) };
        prop_assert_eq!(FileName::from_relative_path(&name.relative_path()).unwrap(), name);
    }

    /// Without a version a role must not begin like one, or the name would mean another file.
    #[test]
    fn unversioned_file_names_read_back(role in "[a-z.][ -~é]{0,19}") {
        let name = FileName::Metadata { role: RoleName::new(role).unwrap(), version: None };
        prop_assert_eq!(FileName::from_relative_path(&name.relative_path()).unwrap(), name);
    }
}
