//! `offline-mirror`: see the library.

fn main() -> std::process::ExitCode {
    offline_mirror::cli::cli_main(std::env::args_os())
}
