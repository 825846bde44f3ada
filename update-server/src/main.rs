//! Entry point of the hub; everything is in the library.

use std::process::ExitCode;

/// A report is some hundred small pieces, most of them dropped on another thread than they were made
/// on.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    update_server::cli_main(std::env::args_os())
}
