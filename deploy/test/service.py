"""Starts and ends what a test needs: servers, Prometheus, a proxy. Everything started in a `Stack` is ended with it.
`Vitals` reads what one of them takes."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Installation:
    """What a test is given on its command line: SERVER MODELS [RUNTIME]. Without a runtime, bicubic alone is served."""

    def __init__(self, arguments):
        self.binary, self.folder, *self.runtime = (Path(argument).resolve() for argument in arguments)
        networks = sorted(path.parent.name for path in self.folder.glob("*/model.toml")) if self.runtime else []
        self.models = [*networks, "bicubic"]

    def serve(self, port, *flags):
        """The command that serves every model, the first as the default."""
        runtime = ["--runtime", self.runtime[0]] if self.runtime else []
        return [self.binary, "serve", "--listen", f"127.0.0.1:{port}", "--models", self.folder,
                "--only", ",".join(self.models), "--model", self.models[0], *runtime, *flags]


class Stack:
    """Processes by name, each with its log in a folder. Leaving it ends them, the latest first."""

    def __init__(self, folder):
        self.folder = folder
        self.processes = {}

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        for name in reversed(list(self.processes)):
            if failure:
                print(f"the last lines of {name}:\n{self.log(name)}", file=sys.stderr)
            try:
                self.end(name, 20)
            except TimeoutError as error:
                print(error, file=sys.stderr)

    def start(self, name, command, stderr=None, **environment):
        """Its errors go to its log unless `stderr` is where else."""
        log = open(self.folder / f"{name}.log", "ab")
        clean = {key: value for key, value in os.environ.items() if not key.startswith("UPSCALER_")}
        process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=stderr or log,
            env=clean | environment,
        )
        log.close()
        self.processes[name] = process
        return process

    def end(self, name, timeout, signal_number=signal.SIGTERM):
        """Signals, waits, and kills what does not end; the exit status."""
        process = self.processes.pop(name)
        if process.poll() is None:
            process.send_signal(signal_number)
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise TimeoutError(f"{name} did not end within {timeout} s and was killed:\n{self.log(name)}") from None

    def wait_ready(self, name, url, timeout=120):
        """Until the URL answers 200; fails at once if the process ends before."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.processes[name].poll() is not None:
                raise RuntimeError(f"{name} ended at start:\n{self.log(name)}")
            try:
                with urllib.request.urlopen(url, timeout=2) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                pass
            time.sleep(0.1)
        raise TimeoutError(f"{name} was not ready within {timeout} s:\n{self.log(name)}")

    def log(self, name):
        lines = (self.folder / f"{name}.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-20:])


class Vitals:
    """What a process takes, by Linux's /proc."""

    def __init__(self, pid):
        self.folder = Path("/proc", str(pid))

    def cpu_seconds(self):
        """Of all its threads, in user and kernel mode."""
        fields = (self.folder / "stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident(self):
        """Bytes of memory now."""
        return self._status("VmRSS")

    def peak(self):
        """The most bytes since the start or the last reset."""
        return self._status("VmHWM")

    def reset_peak(self):
        (self.folder / "clear_refs").write_text("5")

    def _status(self, field):
        lines = (self.folder / "status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))
