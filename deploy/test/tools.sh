# What the deployment tests share: sourced, from the root of the repository.
# shellcheck shell=bash disable=SC2034 # `python` and `server` are for anyone who sources this.

# As the images and the Makefile have it: ONNX Runtime is to report to nobody.
export ORT_DISABLE_TELEMETRY=1

# need PACKAGE COMMAND...: the commands are there, or are installed from the distribution's package where we are root.
need() {
    local package=$1 command missing=()
    shift
    for command in "$@"; do command -v "$command" >/dev/null || missing+=("$command"); done
    [[ ${#missing[@]} -eq 0 ]] && return
    if [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null; then
        echo "installing $package" >&2
        [[ -n ${updated:-} ]] || { apt-get update -qq >&2 && updated=1; }
        DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends -qq "$package" >/dev/null
    else
        echo "${missing[*]}: missing; install the package $package and run this again" >&2
        return 1
    fi
}

# The Python environment of the tests, made once: sets $python.
python_environment() {
    local venv=.cache/deploy-venv
    if ! cmp -s deploy/test/requirements.txt "$venv/requirements.txt"; then
        rm -rf "$venv"
        python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check -r deploy/test/requirements.txt
        cp deploy/test/requirements.txt "$venv/requirements.txt"
    fi
    python=$PWD/$venv/bin/python
}

# The server to test, with its models and its ONNX Runtime: sets the array $server. $SERVER names a binary; else cargo
# builds one, so that no stale one is tested.
server_under_test() {
    local binary=${SERVER:-}
    if [[ -z $binary ]]; then
        cargo build --locked --bin san-upscaler
        binary=${CARGO_TARGET_DIR:-target}/debug/san-upscaler
    fi
    runtime/fetch.sh
    # The last by name is the one with OpenVINO, where that serves.
    local libraries=(.runtime/onnxruntime*/libonnxruntime.so)
    server=("$binary" models "${libraries[-1]}")
}
