#!/bin/sh
# Fetches a pinned build of the ONNX Runtime library into .runtime/, once: `runtime/fetch.sh [cpu|openvino|cuda]`.
# Unsaid: with OpenVINO on Linux where the CPU multiplies bf16 numbers, else the plain one. Each has the CPU provider.
# versions.lock says which; pip checks the hash. Nothing is installed: `pip download` is allowed on systems whose
# Python is managed by the distribution, too.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
lock=$root/runtime/versions.lock

fail() {
    printf 'make runtime: %s\n' "$1" >&2
    exit 1
}

system=$(uname -s)-$(uname -m)
# The same two words as in crates/inference/src/engine/backend.rs.
if [ $# -eq 0 ]; then
    if [ "$system" = Linux-x86_64 ] && grep -qwE 'amx_bf16|avx512_bf16' /proc/cpuinfo; then
        set -- openvino
    else
        set -- cpu
    fi
fi
case $1 in
    cpu) name=onnxruntime ;;
    openvino) name=onnxruntime-openvino ;;
    cuda) name=onnxruntime-gpu ;;
    *) fail "there is no build '$1'; take cpu, openvino or cuda" ;;
esac
version=$(sed -n "s/^$name==\([0-9.]*\).*/\1/p" "$lock")
target=$root/.runtime/$name-$version

case $1-$system in
    *-Linux-x86_64) platform=manylinux_2_28_x86_64 library=libonnxruntime.so ;;
    cpu-Linux-aarch64) platform=manylinux_2_28_aarch64 library=libonnxruntime.so ;;
    cpu-Darwin-arm64) platform=macosx_14_0_arm64 library=libonnxruntime.dylib ;;
    *) fail "there is no pinned $name for $(uname -s) on $(uname -m); build ONNX Runtime $version and name its
library with --runtime (UPSCALER_RUNTIME)" ;;
esac

[ ! -f "$target/$library" ] || exit 0
[ ! -e "$target" ] || fail "$target holds no $library; remove it and try again"

command -v python3 >/dev/null 2>&1 || fail "python3 is missing and is needed to fetch $name $version; install it
(Debian, Ubuntu: apt install python3 python3-pip; Fedora: dnf install python3 python3-pip; macOS: xcode-select --install)"

mkdir -p "$root/.runtime"
work=$(mktemp -d "$root/.runtime/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

pip=python3
if ! python3 -m pip --version >/dev/null 2>&1; then
    # Python without pip: its own copy of pip in a throw-away environment will do.
    python3 -m venv "$work/venv" >/dev/null 2>&1 || fail "python3 has neither pip nor venv, and one of them is needed
to fetch $name $version; install one (Debian, Ubuntu: apt install python3-pip; Fedora: dnf install python3-pip)"
    pip=$work/venv/bin/python
fi

# Of the lock the one entry, up to its line that does not go on.
awk -v entry="^$name==" '$0 ~ entry { on = 1 } on { print } on && !/\\$/ { exit }' "$lock" >"$work/requirement.txt"
printf 'fetching %s %s for %s\n' "$name" "$version" "$platform" >&2
"$pip" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
    --implementation cp --python-version 3.11 --platform "$platform" --dest "$work" \
    --requirement "$work/requirement.txt" ||
    fail "pip could not download $name $version (its words are above). Without a network: copy the wheel into a
folder on this machine and run PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER make runtime, or name a library that is here with
--runtime (UPSCALER_RUNTIME)"

# The library under the name that the loader asks for, what it loads from beside it, and the licenses that it may be
# passed on with; in place in one step, so that a fetch that was cut off leaves nothing that looks like a library.
python3 - "$work" "$library" "$target" <<'PYTHON'
import pathlib
import re
import sys
import zipfile

work, library, target = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
(wheel,) = work.glob("onnxruntime*.whl")
stem, suffix = library.split(".", 1)
wanted = re.compile(rf"{stem}\.(?:{suffix}(?:\.[0-9.]+)?|[0-9.]+\.{suffix})")
# Providers, and OpenVINO's reader of ONNX files and its CPU under the names that they are linked or looked for by. Not
# TensorRT, nor what OpenVINO has for Intel's GPUs and NPUs.
beside = re.compile(r"libonnxruntime_providers_(?:shared|openvino|cuda)\.so"
                    r"|libopenvino(?:_onnx_frontend)?\.so\.[0-9]+|libopenvino_intel_cpu_plugin\.so|libtbb\.so\.[0-9]+")
out = work / "out"
out.mkdir()
with zipfile.ZipFile(wheel) as archive:
    files = {name.removeprefix("onnxruntime/capi/"): name for name in archive.namelist()}
    (member,) = (name for name in files if wanted.fullmatch(name))
    (out / library).write_bytes(archive.read(files[member]))
    for name in filter(beside.fullmatch, files):
        (out / name).write_bytes(archive.read(files[name]))
    for notice in ("LICENSE", "ThirdPartyNotices.txt"):
        (out / notice).write_bytes(archive.read(f"onnxruntime/{notice}"))
try:
    out.rename(target)
except OSError:  # another run was faster
    if not (target / library).is_file():
        raise
PYTHON
printf '%s %s is in %s\n' "$name" "$version" "${target#"$root"/}" >&2
