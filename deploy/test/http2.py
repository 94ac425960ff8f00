"""A client of HTTP/2 that asks and does not read: its windows stay shut. Written by hand, since no library would do so."""

import socket
import struct

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, END_HEADERS, ACK = 1, 4, 1
FRAME = 16_384
# `:status 200` in HPACK's static table; other statuses begin otherwise.
OK = 0x88


class Stalled:
    """One connection. `answered` are the streams whose head says 200, `refused` those with another head."""

    def __init__(self, port, timeout=10):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.next, self.answered, self.refused, self.pending = 1, set(), set(), b""
        # The initial window of each stream: 0.
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0)))

    def post(self, path, body):
        """Sends a request, a frame at a time."""
        stream, self.next = self.next, self.next + 2
        # `:method POST`, `:scheme http`; `:path` and `:authority` as literals.
        fields = b"\x83\x86\x04" + bytes([len(path)]) + path.encode() + b"\x01\x01x"
        self.socket.sendall(frame(HEADERS, END_HEADERS, stream, fields))
        for at in range(0, len(body), FRAME):
            end = END_STREAM if at + FRAME >= len(body) else 0
            self.socket.sendall(frame(DATA, end, stream, body[at:at + FRAME]))

    def read(self, seconds):
        """Takes what comes within so long; False once the server has closed."""
        self.socket.settimeout(seconds)
        try:
            received = self.socket.recv(1 << 16)
        except TimeoutError:
            return True
        except OSError:
            return False
        if not received:
            return False
        self.pending += received
        while len(self.pending) >= 9:
            length = int.from_bytes(self.pending[:3], "big")
            if len(self.pending) < 9 + length:
                break
            kind, flags, stream = self.pending[3], self.pending[4], int.from_bytes(self.pending[5:9], "big")
            payload, self.pending = self.pending[9:9 + length], self.pending[9 + length:]
            if kind == HEADERS:
                (self.answered if payload[0] == OK else self.refused).add(stream)
            elif kind == PING and not flags & ACK:
                self.socket.sendall(frame(PING, ACK, 0, payload))
        return True

    def close(self):
        self.socket.close()


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload
