//! Versions and requirements, as authors, vendors and agents write them.

use channels::import::FcosVersion;
use channels::version::{ReleaseVersion, Requirement};

/// Three lines: two versions and a requirement. Whatever is read is written and read again as the
/// same; versions have one order; a version meets the requirement that it alone meets.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let mut lines = text.splitn(3, '\n');
    let mut next = || lines.next().unwrap_or_default();
    let (one, other, requirement) = (next(), next(), next());
    if let Ok(fcos) = one.parse::<FcosVersion>() {
        assert_eq!(fcos.to_string(), one, "a version of Fedora CoreOS is written otherwise");
        assert_eq!(FcosVersion::of_release(&fcos.to_release()), Some(fcos));
    }
    let one: Option<ReleaseVersion> = one.parse().ok();
    let other: Option<ReleaseVersion> = other.parse().ok();
    let requirement: Option<Requirement> = requirement.parse().ok();
    for version in [&one, &other].into_iter().flatten() {
        let again: ReleaseVersion = version.to_string().parse().expect("a version reads back");
        assert!(again == *version);
        let bare = version.without_build();
        if let Ok(exactly) = format!("={bare}").parse::<Requirement>() {
            assert!(exactly.matches(version) && exactly.matches(&bare));
        }
        if let Some(fcos) = FcosVersion::of_release(version) {
            assert!(fcos.to_release() == *version);
        }
    }
    if let (Some(one), Some(other)) = (&one, &other) {
        assert_eq!(one.cmp(other), other.cmp(one).reverse());
        assert_eq!(one == other, one.cmp(other).is_eq());
    }
    if let Some(requirement) = &requirement {
        let again: Requirement = requirement.to_string().parse().expect("a requirement reads back");
        assert!(again == *requirement);
        for version in [&one, &other].into_iter().flatten() {
            assert_eq!(requirement.matches(version), again.matches(&version.without_build()));
        }
    }
}
