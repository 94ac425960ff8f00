"""A server's processes: their memory together, what else the machine did, and their end."""

import os
import threading
import time

import psutil

INTERVAL = 0.25


def tree(pid):
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def spent(processes):
    """Seconds of all cores that these have computed."""
    total = 0.0
    for process in processes:
        try:
            total += sum(process.cpu_times()[:2])
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            pass
    return total


def computed(pid):
    """Seconds of all cores: of the tree, of this process, of the machine."""
    machine = psutil.cpu_times()
    return spent(tree(pid)), spent([psutil.Process(os.getpid())]), machine.user + machine.nice + machine.system


class Watch(threading.Thread):
    """Watches a tree of processes. `peak` is the most bytes that they held at once, a page that several share counted once;
    `seconds` the core-seconds that they computed; `others` the cores that anything else took: on a quiet machine, nearly none."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid = pid
        self.peak = 0
        self.seconds = self.others = 0.0
        self.over = threading.Event()

    def run(self):
        while not self.over.is_set():
            held = 0
            for process in tree(self.pid):
                try:
                    held += process.memory_full_info().pss
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    pass
            self.peak = max(self.peak, held)
            self.over.wait(INTERVAL)

    def __enter__(self):
        self.began, self.before = time.monotonic(), computed(self.pid)
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()
        self.seconds, clients, machine = (after - before for before, after in zip(self.before, computed(self.pid)))
        self.others = max(machine - clients - self.seconds, 0) / (time.monotonic() - self.began)


def end_tree(stack, name):
    """Ends a server of the stack by SIGTERM, then what it left behind."""
    started = tree(stack.processes[name].pid)
    try:
        stack.end(name, 20)
    except TimeoutError:
        # What it has not ended is killed now.
        pass
    for process in started:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            pass
