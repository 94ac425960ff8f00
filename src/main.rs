//! The binary: see `san_upscaler::cli`.

use std::process::ExitCode;

/// Of the binary alone: programs that use the library choose their own.
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    san_upscaler::cli::main()
}
