"""A bounded load on a server at the loopback, of the standard library alone: mixed images, wrong requests, clients
that leave. Also makes the images."""

import http.client
import random
import socket
import struct
import threading
import time
import zlib


def png(width, height, seed=0):
    """An RGB image with a slope and some noise, so that it neither is flat nor compresses to nothing."""
    noise = random.Random(seed)
    rows = bytearray()
    for y in range(height):
        rows.append(0)
        for x in range(width):
            rows += bytes((x * 255 // width, y * 255 // height, noise.randrange(64) + 96))
    return png_file(width, height, zlib.compress(bytes(rows), 1))


def png_file(width, height, data):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def request(port, method, path, body=None, timeout=120):
    """Status and body of one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body, {"Content-Type": "application/octet-stream"} if body else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def leave(port, path, body, after):
    """Sends a request and hangs up before its answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        time.sleep(after)


class Load:
    """Clients in a closed loop, each with its own order of requests, until `stop` or for so many requests each."""

    def __init__(self, clients, send, each=None):
        self.each = each
        self.ended = threading.Event()
        self.answers = []
        self.errors = []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(number, send), daemon=True) for number in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self, number, send):
        turn = number
        while not self.ended.is_set() and (self.each is None or turn < number + self.each):
            began = time.monotonic()
            try:
                status = send(turn)
                with self.lock:
                    self.answers.append((status, time.monotonic() - began))
            except (OSError, http.client.HTTPException) as error:
                with self.lock:
                    self.errors.append(f"{type(error).__name__}: {error}")
                time.sleep(0.05)
            turn += 1

    def stop(self, timeout=120):
        """Lets the requests under way end and sends no more."""
        self.ended.set()
        deadline = time.monotonic() + timeout
        for thread in self.threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                raise TimeoutError("a request of the load did not end")
