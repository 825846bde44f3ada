//! `fairway server|agent|mirror …`: the other programs of the system, out of this one binary.
//!
//! `fairway demo` starts them this way, so that it works in a clone with nothing else built. They
//! parse their own arguments and run their own runtimes; the help of `fairway` names them last.

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

/// Runs one of the other programs when the first argument names it.
pub(crate) fn run(args: &[OsString]) -> Option<ExitCode> {
    let name = args.get(1)?.to_str()?;
    // The program must call itself by a name that works in a shell when it prints usage.
    let title = OsStr::new("fairway ").to_owned();
    let words = |name: &str| {
        let mut title = title.clone();
        title.push(name);
        std::iter::once(title).chain(args.iter().skip(2).cloned())
    };
    match name {
        "server" => Some(update_server::cli_main(words(name))),
        "agent" => Some(cluster_agent::cli::cli_main(words(name))),
        "mirror" => Some(offline_mirror::cli::cli_main(words(name))),
        _ => None,
    }
}

/// `fairway` with the other programs as subcommands, as a person sees it.
pub(crate) fn with_tools(fairway: clap::Command) -> clap::Command {
    fairway
        .subcommand(update_server::command().name("server"))
        .subcommand(cluster_agent::cli::command().name("agent"))
        .subcommand(offline_mirror::cli::command().name("mirror"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn other_programs_are_reached_and_own_commands_are_not_taken() {
        for name in ["server", "agent", "mirror"] {
            let code = run(&args(&["fairway", name, "--version"]));
            assert_eq!(format!("{code:?}"), format!("{:?}", Some(ExitCode::SUCCESS)), "{name}");
        }
        assert!(run(&args(&["fairway", "clusters"])).is_none());
        assert!(run(&args(&["fairway"])).is_none());
    }
}
