//! The `fairway` binary: hands its arguments to the library and leaves with its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    fairway::cli_main(std::env::args_os())
}
