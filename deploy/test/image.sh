#!/usr/bin/env bash
# Builds the image by its Dockerfile with buildah, without a registry and without a container daemon, runs it as Kubernetes
# would (read-only root, user 65532, no capabilities, its own process 1), asks its health and sends an image through.
#
#   image.sh              everything, the release build inside included: some minutes of all cores
#   image.sh --warm       the same, with the dependencies in target/release copied in, so that cargo compiles our crate alone
#   image.sh --prebuilt   the same, but cargo in the build stage hands over $SERVER (or target/release) instead of compiling
#
# Stand-ins for the base images are bootstrapped from Debian's packages into .cache/image, once; the Rust toolchain and the
# registry of crates are this machine's own, mounted. Needs root, for chroot and mounts.
set -euo pipefail
cd "$(dirname "$0")/../.."
source deploy/test/tools.sh

[[ $(id -u) -eq 0 ]] || { echo "image: only root can bootstrap and mount; run this as root" >&2; exit 1; }
need buildah buildah
need mmdebstrap mmdebstrap

work=$PWD/.cache/image
mkdir -p "$work"
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=overlay
buildah() { nice -n 5 buildah --root "$work/store" --runroot "$work/run" "$@"; }
tidy() {
    buildah rm --all >/dev/null 2>&1 || true
    buildah umount --all >/dev/null 2>&1 || true
    # Overlay mounts of the storage itself, which would keep its folder from being removed.
    awk -v at="$work/" 'index($2, at) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r -n1 umount || true
}
trap tidy EXIT

# base NAME PACKAGES: an image of Debian's minimal system and these packages.
base() {
    local name=$1 packages=$2 container
    buildah inspect --type image "localhost/$name" >/dev/null 2>&1 && return
    echo "bootstrapping $name" >&2
    mmdebstrap --quiet --variant=minbase --include="$packages" bookworm "$work/$name.tar"
    container=$(buildah from scratch)
    tar --extract --preserve-permissions --file "$work/$name.tar" --directory "$(buildah mount "$container")"
    rm "$work/$name.tar"
    buildah umount "$container" >/dev/null
    shift 2
    [[ $# -eq 0 ]] || buildah config "$@" "$container"
    buildah commit --quiet --rm "$container" "localhost/$name" >/dev/null
}
base debian libstdc++6
base python ca-certificates,python3,python3-pip
# cargo takes what it compiled before for fresh only where its home has the same name.
cargo_home=${CARGO_HOME:-$HOME/.cargo}
base rust ca-certificates,gcc,libc6-dev --env PATH=/usr/local/rust/bin:/usr/sbin:/usr/bin:/sbin:/bin --env CARGO_HOME="$cargo_home"

toolchain=$(rustc --print sysroot) target=${CARGO_TARGET_DIR:-target}/release rust=rust
if [[ ${1:-} == --warm ]]; then
    rust="rust-warm"
    container=$(buildah from localhost/rust)
    root=$(buildah mount "$container")
    mkdir -p "$root/build/target/release"
    cp -r --preserve=timestamps "$target"/{deps,build,.fingerprint} "$root/build/target/release/"
    buildah commit --quiet --rm "$container" "localhost/$rust" >/dev/null
fi
if [[ ${1:-} == --prebuilt ]]; then
    binary=${SERVER:-$target/san-upscaler}
    stand_in=$work/prebuilt
    rm -rf "$stand_in"
    mkdir -p "$stand_in/bin"
    cp "$binary" "$stand_in/server"
    # `cargo build` delivers the binary; everything else is the real cargo's.
    cat >"$stand_in/bin/cargo" <<'CARGO'
#!/bin/sh
[ "$1" = build ] || PATH=/usr/local/rust-real/bin:$PATH exec /usr/local/rust-real/bin/cargo "$@"
mkdir -p target/release && cp /usr/local/rust/server target/release/san-upscaler
CARGO
    chmod +x "$stand_in/bin/cargo"
    mounts=(--volume "$stand_in:/usr/local/rust:ro" --volume "$toolchain:/usr/local/rust-real:ro")
else
    mounts=(--volume "$toolchain:/usr/local/rust:ro")
fi
mounts+=(--volume "$cargo_home/registry:$cargo_home/registry" --volume /etc/ssl/certs:/etc/ssl/certs:ro)

began=$SECONDS
buildah bud --quiet --isolation chroot --format docker --layers --target cpu "${mounts[@]}" \
    --build-arg RUST=localhost/$rust --build-arg PYTHON=localhost/python --build-arg DEBIAN=localhost/debian \
    --tag localhost/san-upscaler:cpu . >/dev/null
echo "image: built in $((SECONDS - began)) s"

container=$(buildah from localhost/san-upscaler:cpu)
root=$(buildah mount "$container")
buildah inspect --type image localhost/san-upscaler:cpu >"$work/inspect.json"
python3 deploy/test/image.py "$work" "$root"
