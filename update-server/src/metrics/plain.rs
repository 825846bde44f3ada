//! The page in Prometheus' older text form, for readers that do not ask for `OpenMetrics`:
//! `promtool check metrics`, people with `curl`, collectors of other makers.

use std::fmt::Write as _;

/// Rewrites an `OpenMetrics` page. Samples are the same in both forms; what differs is how a family
/// is called: the older form has the suffix of counters and infos in it, and knows no units.
pub(super) fn of(page: &str) -> String {
    let mut plain = String::with_capacity(page.len());
    let mut help = None;
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').map(|(_, text)| text);
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                other => ("", other),
            };
            if let Some(help) = help.take() {
                // Writing to a String has no failing case.
                let _ = writeln!(plain, "# HELP {name}{suffix} {help}");
            }
            let _ = writeln!(plain, "# TYPE {name}{suffix} {kind}");
        } else if !line.starts_with('#') {
            plain.push_str(line);
            plain.push('\n');
        }
    }
    plain
}
