# What the comparisons in Python share: sourced, from the root of the repository.
source deploy/test/tools.sh
export PYTHONDONTWRITEBYTECODE=1

# environment NAME: the Python environment of benches/NAME, made once: sets $python.
environment() {
    local venv=.cache/$1-venv wanted=benches/$1/requirements.txt
    if ! cmp -s "$wanted" "$venv/requirements.txt"; then
        rm -rf "$venv"
        python3 -m venv "$venv"
        if ! "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$wanted"; then
            echo "bench-$1: the packages of $wanted could not be installed (pip's words are above); that needs PyPI once" >&2
            return 1
        fi
        cp "$wanted" "$venv/requirements.txt"
    fi
    python=$PWD/$venv/bin/python
}

# The release build and its models: sets the array $server, and $runtimes, the folder of each build of ONNX Runtime that
# is here. $SERVER names a binary instead.
release_build() {
    local binary=${SERVER:-}
    if [[ -z $binary ]]; then
        cargo build --release --locked --bin san-upscaler
        binary=${CARGO_TARGET_DIR:-target}/release/san-upscaler
    fi
    server=("$binary" models)
    # The plain one, and the one that suits this CPU; the last by name is the one with OpenVINO, where that serves.
    runtime/fetch.sh cpu
    runtime/fetch.sh
    runtimes=(.runtime/onnxruntime*/libonnxruntime.so)
}
