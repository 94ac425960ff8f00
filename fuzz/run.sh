#!/bin/sh
# Fuzzes the decoders by coverage, format by format, on the project's own toolchain: the instrumentation is LLVM's, which
# needs no nightly; the sanitizers would, and are left out, since no unsafe code of ours is under test.
#   fuzz/run.sh [seconds for each format] [format ...]
# Needs a C++ compiler for libFuzzer. A find is left in .cache/fuzz/<format>/ and its bytes are told.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-60}
[ $# -gt 0 ] && shift
formats=${*:-png jpg webp tif bmp gif jxl}
command -v c++ >/dev/null 2>&1 || { echo "fuzz: a C++ compiler is missing; libFuzzer is built with it" >&2; exit 1; }

coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
coverage="$coverage -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing"
# The target is named, so that build scripts and macros are not instrumented.
target=$(rustc -vV | sed -n 's/^host: //p')
RUSTFLAGS="$coverage" CARGO_TARGET_DIR=.cache/fuzz/target \
    cargo build --release --locked --manifest-path fuzz/Cargo.toml --target "$target"

for format in $formats; do
    corpus=.cache/fuzz/$format
    mkdir -p "$corpus"
    for seed in tests/fixtures/images/*."$format" tests/fixtures/images/*/*."$format"; do
        [ -f "$seed" ] && cp "$seed" "$corpus/seed-$(basename "$seed")"
    done
    echo "fuzz: $format for $seconds s"
    # 1 GiB is far above what the limits of the target allow any decoder; 5 s are too.
    ".cache/fuzz/target/$target/release/decode" -max_total_time="$seconds" -max_len=16384 -timeout=5 -rss_limit_mb=1024 \
        -artifact_prefix="$corpus/" -print_final_stats=1 -verbosity=0 "$corpus"
done
