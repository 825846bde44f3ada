//! The agent's binary; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    cluster_agent::cli::cli_main(std::env::args_os())
}
