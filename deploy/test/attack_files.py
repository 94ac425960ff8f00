"""Small files that cost a decoder without bounds minutes or gigabytes, made by arithmetic alone. Each function returns the
file's bytes."""

import random
import struct
import zlib

SIDE = 4096  # The largest square that is allowed: 16 megapixels.


def restoring_gif(frames, side=SIDE):
    """Frames of one pixel on a large canvas, each of which restores what was there before."""
    head = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    control = b"\x21\xf9\x04" + bytes([3 << 2, 0, 0, 0, 0])
    # Codes of three bits: clear, color 0, end.
    image = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return head + (control + image) * frames + b"\x3b"


def png_chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def deep_png(side):
    """A small file whose upscaled image hardly packs: 16 bits a sample, of which four are noise and the others are 0."""
    noise = random.Random(0)
    rows = b"".join(b"\0" + b"".join(bytes((noise.randrange(16) << 4, 0)) for _ in range(3 * side)) for _ in range(side))
    return b"".join([b"\x89PNG\r\n\x1a\n", png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 16, 2, 0, 0, 0)),
                     png_chunk(b"IDAT", zlib.compress(rows, 9)), png_chunk(b"IEND", b"")])


def animated_png(frames, frame_side, disposal, side=SIDE):
    """Gray frames; disposal 2 restores what was there before, 0 keeps the frame."""
    parts = [b"\x89PNG\r\n\x1a\n", png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)),
             png_chunk(b"acTL", struct.pack(">II", frames, 0))]
    first = zlib.compress(bytes((side + 1) * side), 9)
    later = zlib.compress(bytes((frame_side + 1) * frame_side), 9)
    number = 0
    for frame in range(frames):
        own = side if frame == 0 else frame_side
        parts.append(png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, own, own, 0, 0, 1, 10, disposal, 0)))
        number += 1
        if frame == 0:
            parts.append(png_chunk(b"IDAT", first))
        else:
            parts.append(png_chunk(b"fdAT", struct.pack(">I", number) + later))
            number += 1
    return b"".join([*parts, png_chunk(b"IEND", b"")])


def animated_webp(frames, side=SIDE):
    """Full frames of one color each: five prefix codes of one symbol, which take no bits a pixel."""
    bits, count = 0x2F, 8
    fields = [(side - 1, 14), (side - 1, 14), (0, 1), (0, 3), (0, 1), (0, 1), (0, 1), *[(0b101, 3), (7, 8)] * 5]
    for value, width in fields:
        bits |= value << count
        count += width

    def chunk(kind, body):
        return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)

    def number(value):
        return struct.pack("<I", value)[:3]

    stream = chunk(b"VP8L", bits.to_bytes((count + 7) // 8, "little"))
    frame = chunk(b"ANMF", number(0) * 2 + number(side - 1) * 2 + number(10) + b"\0" + stream)
    body = chunk(b"VP8X", b"\x02\0\0\0" + number(side - 1) * 2) + chunk(b"ANIM", bytes(6)) + frame * frames
    return chunk(b"RIFF", b"WEBP" + body)


def tiff(entries, data):
    """A directory after `data`, which begins at byte 8."""
    data += b"\0" * (len(data) % 2)
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    return b"II\x2a\0" + struct.pack("<I", 8 + len(data)) + data + directory


CODE = b"\xff\xc4\0\x14"  # A Huffman table of one code of one bit, less its class and its symbol.


def tables_tiff(strips, table_bytes):
    """A page of one column whose strips are one JPEG; each reads the shared tables anew."""
    dot = b"\xff\xd8\xff\xc0\0\x0b\x08\0\x01\0\x01\x01\x01\x11\0\xff\xda\0\x08\x01\x01\0\0\x3f\0\x3f\xff\xd9"
    codes = CODE + b"\0\x01" + bytes(16) + CODE + b"\x10\x01" + bytes(16)
    tables = b"\xff\xd8" + codes * (table_bytes // len(codes)) + b"\xff\xdb\0\x43\0" + b"\x01" * 64 + b"\xff\xd9"
    places, lengths = struct.pack("<I", 8) * strips, struct.pack("<I", len(dot)) * strips
    at = 8 + len(dot)
    entries = [(256, 4, 1, 1), (257, 4, 1, strips), (258, 3, 1, 8), (259, 3, 1, 7), (262, 3, 1, 1), (273, 4, strips, at),
               (277, 3, 1, 1), (278, 4, 1, 1), (279, 4, strips, at + len(places)),
               (347, 7, len(tables), at + 2 * len(places))]
    return tiff(entries, dot + places + lengths + tables)


def claiming_tiff():
    """A page of 16x16 whose strip is a progressive JPEG that claims 65535x65535 in four components."""
    strip = b"\xff\xd8\xff\xc2\0\x14\x08\xff\xff\xff\xff\x04\x01\x11\0\x02\x11\0\x03\x11\0\x04\x11\0"
    # One code of a bit: runs of 512 blocks and more with nothing in them, until every block was touched.
    strip += b"\xff\xc4\0\x15\x10\x01\x01" + bytes(14) + b"\x01\x90\xff\xda\0\x08\x01\x01\0\x01\x3f\0"
    strip += b"\x60\x03\0\x18\0\xc0\x06\0\x30\x01\x80\x0c\0" * 65_536 + b"\xff\xd9"
    depths = 8 + len(strip)
    entries = [(256, 3, 1, 16), (257, 3, 1, 16), (258, 3, 3, depths), (259, 3, 1, 7), (262, 3, 1, 6), (273, 4, 1, 8),
               (277, 3, 1, 3), (278, 3, 1, 16), (279, 4, 1, len(strip))]
    return tiff(entries, strip + struct.pack("<HHH", 8, 8, 8))


def scans_jpeg(scans, side=SIDE):
    """A gray progressive JPEG; after the first scan each is a dozen bytes, and a pass over every block."""
    head = b"\xff\xd8\xff\xdb\0\x43\0" + b"\x01" * 64
    head += b"\xff\xc2\0\x0b\x08" + struct.pack(">HH", side, side) + b"\x01\x01\x11\0"
    blocks = (side // 8) ** 2
    # Differences of nothing, a bit each.
    first = b"\xff\xc4\0\x14\0\x01" + bytes(16) + b"\xff\xda\0\x08\x01\x01\0\0\0\0" + bytes(blocks // 8)
    # Ends of 16,384 to 32,767 bands with nothing in them: a code of a bit, then 14 bits.
    runs, count = 0, 0
    for _ in range(-(-blocks // 16_384)):
        runs, count = runs << 15, count + 15
    filled = -count % 8
    packed = (runs << filled | (1 << filled) - 1).to_bytes((count + filled) // 8, "big")
    later = b"\xff\xc4\0\x14\x10\x01" + bytes(15) + b"\xe0"
    later += b"".join(b"\xff\xda\0\x08\x01\x01\0" + b"\x01\x3f\0" + packed for _ in range(scans - 1))
    return head + first + later + b"\xff\xd9"
