"""Makes pictures small: one byte for each pixel, of the 256 colours that a picture uses most."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import Final

__all__ = ["with_few_colours"]

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
COLOURS: Final = 256


def with_few_colours(picture: bytes) -> bytes:
    """Return the same PNG with a palette. Colours that have no place in it become the nearest ones that have.

    Args:
        picture: A PNG with 8 bits for each of red, green and blue, as a browser makes it, perhaps with an alpha channel.
    """
    chunks = list(_chunks(picture))
    width, height, depth, kind = struct.unpack(">IIBB", chunks[0][1][:10])
    if depth != 8 or kind not in (2, 6):
        raise ValueError(f"a picture of depth {depth} and type {kind} is none of a browser")
    size = 3 if kind == 2 else 4
    data = zlib.decompress(b"".join(content for name, content in chunks if name == b"IDAT"))
    pixels = [_colours(row, size) for row in _rows(data, width * size, size)]
    used = Counter(colour for row in pixels for colour in row)
    palette = [colour for colour, _ in used.most_common(COLOURS)]
    places = {colour: place for place, colour in enumerate(palette)}
    for colour in used:
        if colour not in places:
            places[colour] = min(range(len(palette)), key=lambda place: _distance(palette[place], colour))
    lines = b"".join(b"\0" + bytes(places[colour] for colour in row) for row in pixels)
    return SIGNATURE + b"".join(
        _chunk(name, content)
        for name, content in (
            (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            (b"PLTE", b"".join(palette)),
            (b"IDAT", zlib.compress(lines, 9)),
            (b"IEND", b""),
        )
    )


def _chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(SIGNATURE)
    while place < len(picture):
        length = int.from_bytes(picture[place : place + 4])
        yield picture[place + 4 : place + 8], picture[place + 8 : place + 8 + length]
        place += length + 12


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _rows(data: bytes, length: int, size: int) -> Iterator[bytearray]:
    """Yield the rows of a picture without the filters of PNG, each of which tells a byte by its neighbours."""
    above = bytearray(length)
    for start in range(0, len(data), length + 1):
        row = bytearray(data[start + 1 : start + 1 + length])
        match data[start]:
            case 0:
                pass
            case 1:
                for place in range(size, length):
                    row[place] = (row[place] + row[place - size]) & 255
            case 2:
                row = bytearray((one + other) & 255 for one, other in zip(row, above, strict=True))
            case kind:
                for place in range(length):
                    left = row[place - size] if place >= size else 0
                    corner = above[place - size] if place >= size else 0
                    guess = (left + above[place]) // 2 if kind == 3 else _nearest(left, above[place], corner)
                    row[place] = (row[place] + guess) & 255
        yield row
        above = row


def _nearest(left: int, above: int, corner: int) -> int:
    guess = left + above - corner
    return min((left, above, corner), key=lambda value: abs(guess - value))


def _colours(row: bytearray, size: int) -> list[bytes]:
    return [bytes(row[place : place + 3]) for place in range(0, len(row), size)]


def _distance(one: bytes, other: bytes) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
