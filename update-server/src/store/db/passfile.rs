//! The password file of PostgreSQL's own programs: `host:port:database:user:password`, a line each,
//! `*` for anything, a backslash before `:` and itself.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// A few hundred lines.
const MAX_BYTES: u64 = 64 * 1024;
/// Bits that let others than its owner at a file.
const OTHERS: u32 = 0o077;

/// What a password is wanted for.
pub(super) struct Wanted<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) database: &'a str,
    pub(super) user: &'a str,
}

/// The file's text. One that others may read counts for nothing, as it does elsewhere.
pub(super) fn read(path: &Path) -> Option<String> {
    let told = |why: &dyn std::fmt::Display| {
        tracing::warn!(path = %path.display(), why = %why, "the password file is not used");
    };
    let meta = std::fs::metadata(path).inspect_err(|error| told(error)).ok()?;
    if meta.permissions().mode() & OTHERS != 0 {
        told(&"others may read it: chmod 600");
        return None;
    }
    if meta.len() > MAX_BYTES {
        told(&"it is larger than 64 KiB");
        return None;
    }
    std::fs::read_to_string(path).inspect_err(|error| told(error)).ok()
}

/// The password of the first line that fits.
pub(super) fn find(text: &str, wanted: &Wanted<'_>) -> Option<String> {
    let port = wanted.port.to_string();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(fields).find_map(|[host, known_port, database, user, password]| {
        let fits = |pattern: &str, value: &str| pattern == "*" || pattern == value;
        let all = fits(&host, wanted.host)
            && fits(&known_port, &port)
            && fits(&database, wanted.database)
            && fits(&user, wanted.user);
        all.then_some(password)
    })
}

fn fields(line: &str) -> Option<[String; 5]> {
    let mut found = vec![String::new()];
    let mut chars = line.chars();
    while let Some(next) = chars.next() {
        let field = found.last_mut()?;
        match next {
            '\\' => field.push(chars.next()?),
            ':' => found.push(String::new()),
            other => field.push(other),
        }
    }
    found.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted<'_> = Wanted { host: "db", port: 5432, database: "hub", user: "fairway" };

    #[test]
    fn the_first_line_that_fits_has_the_password() {
        let text = "# of the hub\nother:*:*:*:no\ndb:5433:*:*:no\ndb:5432:hub:fairway:a\\:b\\\\c\n\
                    *:*:*:*:late\n";
        assert_eq!(find(text, &WANTED).as_deref(), Some("a:b\\c"));
        assert_eq!(find("*:*:*:*:any", &WANTED).as_deref(), Some("any"));
    }

    #[test]
    fn lines_that_are_none_are_passed_over() {
        for text in
            ["", "db:5432:hub:fairway", "db:5432:hub:fairway:x:y", "db:5432:hub:else:x", "a\\"]
        {
            assert_eq!(find(text, &WANTED), None, "{text:?}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pass");
        std::fs::write(&path, "*:*:*:*:x").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(read(&path), None);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read(&path).as_deref(), Some("*:*:*:*:x"));
    }
}
