//! `certs.d/<host>/hosts.toml` (containerd, "Registry Configuration - Introduction").

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Mirror, Sources, quoted};

/// One file per registry that images came from. `server` is the mirror too, so that containerd never
/// asks the makers' registry when the mirror has no answer.
pub(super) fn hosts(mirror: &Mirror, sources: &Sources) -> BTreeMap<String, String> {
    let base = match &mirror.prefix {
        Some(prefix) => format!("{}/v2/{prefix}", mirror.url()),
        None => mirror.url(),
    };
    let mut settings = "capabilities = [\"pull\", \"resolve\"]\n".to_owned();
    if mirror.prefix.is_some() {
        // The path already says which API and what stands in front of the repository.
        settings.push_str("override_path = true\n");
    }
    if let Some(ca) = &mirror.ca_file {
        // Writing to a String cannot fail.
        let _ = writeln!(settings, "ca = {}", quoted(&ca.to_string_lossy()));
    }
    let indented: String = settings.lines().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "  {line}");
        text
    });
    let base = quoted(&base);
    let text = format!(
        "# Written by offline-mirror configure; it will be written again.\n\
         server = {base}\n{settings}\n[host.{base}]\n{indented}"
    );
    let file =
        |host: &crate::oci::Host| (format!("containerd/certs.d/{host}/hosts.toml"), text.clone());
    sources.keys().map(file).collect()
}
