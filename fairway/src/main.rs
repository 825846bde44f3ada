//! The `fairway` binary: hands its arguments to the library and leaves with its exit code.

use std::process::ExitCode;

/// A report is some hundred small pieces, most of them dropped on another thread than they were made
/// on.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    fairway::cli_main(std::env::args_os())
}
