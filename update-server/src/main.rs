//! Entry point of the hub; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    update_server::cli_main(std::env::args_os())
}
