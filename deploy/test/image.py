"""Runs the built image as a restricted pod would run it, and sends a photograph through.

    image.py WORK ROOT     a folder with inspect.json, and the mounted root of the image

Run by deploy/test/image.sh."""

import json
import os
import re
import signal
import stat
import struct
import subprocess
import sys
import time
from pathlib import Path

import load
from service import free_port

ROOT = Path(__file__).parents[2]
LIMIT = 350 << 20


def size(folder):
    return sum(path.lstat().st_size for path in folder.rglob("*") if stat.S_ISREG(path.lstat().st_mode))


# What the restricted profile of Kubernetes asks for, made of util-linux: a process 1 of its own, a read-only root, no new
# privileges, and as another user no capabilities.
CONTAINER = """
set -eu
root=$1 user=$2
shift 2
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -o remount,bind,ro "$root"
exec setpriv --no-new-privs --bounding-set=-all,+sys_chroot,+setuid,+setgid chroot --userspec="$user" "$root" "$@"
"""


def run(root, image, environment, log):
    """Starts the image's own command; the process that unshares, whose one child is process 1 of the container."""
    command = ["unshare", "--pid", "--fork", "--mount", "--ipc", "--uts", "--kill-child", "sh", "-c", CONTAINER, "container",
               str(root), image["User"], *image["Entrypoint"], *image["Cmd"]]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)


def first_of(process):
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(child)


def writable(pid):
    """Mounts that process sees and could write to by their flags, but for the kernel's own."""
    lines = (line.split() for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines())
    return [line[4] for line in lines if "rw" in line[5].split(",") and line[4] != "/proc"]


def main():
    work, root = map(Path, sys.argv[1:])
    image = json.loads((work / "inspect.json").read_text())["Docker"]["config"]
    wrong = []

    def expect(what, holds):
        if not holds:
            wrong.append(what)

    expect("the image runs as another user than 65532", image["User"] == "65532:65532")
    expect("ONNX Runtime may report to its maker", "ORT_DISABLE_TELEMETRY=1" in image["Env"])
    expect("HEALTHCHECK is not `san-upscaler health`", image["Healthcheck"]["Test"][1:] == ["/usr/bin/san-upscaler", "health"])
    shells = [path for path in ("bin/sh", "usr/bin/sh", "bin/bash", "usr/bin/apt", "usr/bin/dpkg") if (root / path).exists()]
    expect(f"there is a shell or a package manager: {shells}", not shells)
    sbom = json.loads((root / "usr/share/doc/san-upscaler/sbom.cdx.json").read_text())
    packages = [one["name"] for one in sbom["components"] if one.get("purl", "").startswith("pkg:deb/")]
    listed = (root / "usr/share/doc/san-upscaler/THIRD_PARTY.md").read_text()
    expect("the SBOM has no package of the distribution", packages)
    for package in packages:
        expect(f"{package} is in the image and not in THIRD_PARTY.md", package in re.findall(r"[\w.+-]+", listed))
        expect(f"{package} is in the image without its license", (root / f"usr/share/doc/{package}/copyright").is_file())
    expect("license texts are missing", len(list((root / "usr/share/doc/san-upscaler/crates").iterdir())) > 100)
    whole, runtime = size(root), size(root / "usr/lib")
    print(f"image: {whole / 2**20:.1f} MiB, of which ONNX Runtime {runtime / 2**20:.1f} MiB")
    expect(f"the image has more than {LIMIT >> 20} MiB beyond ONNX Runtime", whole - runtime <= LIMIT)

    # The image has no folder for it; whatever runs containers makes one.
    (root / "proc").mkdir(exist_ok=True)
    port = free_port()
    environment = dict(variable.split("=", 1) for variable in image["Env"]) | {"UPSCALER_LISTEN": f"127.0.0.1:{port}"}
    log = open(work / "container.log", "w")
    began = time.monotonic()
    process = run(root, image, environment, log)
    try:
        deadline = began + 120
        while True:
            # The image's own health check, by its own binary.
            health = subprocess.run(["chroot", f"--userspec={image['User']}", root, *image["Healthcheck"]["Test"][1:]],
                                    env=environment, capture_output=True, text=True)
            if health.returncode == 0:
                break
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"image: not healthy: {health.stdout}{health.stderr}\n{(work / 'container.log').read_text()}")
            time.sleep(0.2)
        print(f"image: healthy after {time.monotonic() - began:.1f} s: {health.stdout.strip()}")
        first = first_of(process)
        status = Path(f"/proc/{first}/status").read_text()
        expect("it does not run as process 1 of its own", re.search(r"^NSpid:\s+\d+\s+1$", status, re.MULTILINE))
        expect("it runs as root", re.search(r"^Uid:(\s+65532){4}$", status, re.MULTILINE))
        expect("it has capabilities", re.search(r"^CapEff:\s+0+$", status, re.MULTILINE))
        expect(f"it can write to {writable(first)}", not writable(first))

        image = (ROOT / "docs/sample/astronaut.jpg").read_bytes()
        status, plan = load.request(port, "POST", "/v1/plan?scale=4", image)
        expect(f"the plan was answered {status}", status == 200)
        plan = json.loads(plan)
        status, answer = load.request(port, "POST", "/v1/upscale?scale=4", image)
        expect(f"the image was answered {status}", status == 200)
        made = struct.unpack(">II", answer[16:24]) if answer[:4] == b"\x89PNG" else None
        expect(f"the answer is {made}, and not as planned", made == (plan["output"]["width"], plan["output"]["height"]))
        print(f"image: {plan['input']} became {made} by {plan['model']} on {plan['passes'][0]['execution']}")

        os.kill(first, signal.SIGTERM)
        ended = process.wait(60)
        expect(f"process 1 ended with {ended} after SIGTERM", ended == 0)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(20)
        log.close()
    for line in wrong:
        print(f"image: {line}", file=sys.stderr)
    print(f"image: {len(wrong)} things wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
