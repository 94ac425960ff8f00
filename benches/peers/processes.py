"""A server's processes: their memory together, and their end."""

import threading

import psutil

INTERVAL = 0.25


def tree(pid):
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


class Memory(threading.Thread):
    """Watches a tree of processes; `peak` is the most that they held at once, a page that several share counted once."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid = pid
        self.peak = 0
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
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


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
