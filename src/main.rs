//! The binary: see `san_upscaler::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    san_upscaler::cli::main()
}
