//! `fairway` under a name of its own, so that `cargo test --workspace` builds the processes that
//! the end-to-end scenarios start.

use std::process::ExitCode;

fn main() -> ExitCode {
    fairway::cli_main(std::env::args_os())
}
