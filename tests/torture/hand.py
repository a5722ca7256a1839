"""TIFF files by hand, each part of which can be wrong on purpose.

    header (8 bytes) ── directory ── values that are too long for it ── strips

By TIFF 6.0, section 2, and the BigTIFF proposal; no library has a say in it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_FORMS = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 6: "b", 7: "s", 8: "h", 9: "i", 10: "ii",
          11: "f", 12: "d", 16: "Q"}  # fmt: skip

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, SRATIONAL, FLOAT, DOUBLE, LONG8 = (
    1, 2, 3, 4, 5, 7, 10, 11, 12, 16,
)  # fmt: skip

WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, DESCRIPTION = (
    256, 257, 258, 259, 262, 266, 270,
)  # fmt: skip
OFFSETS, ORIENTATION, SAMPLES, ROWS, COUNTS = 273, 274, 277, 278, 279
X_RESOLUTION, Y_RESOLUTION, PLANAR, UNIT, PREDICTOR = 282, 283, 284, 296, 317
TILE_WIDTH, TILE_LENGTH, SUB_IFDS, FORMAT = 322, 323, 330, 339

# tag -> (type, values), or (type, count, bytes of the entry) to lie about the count
Entry = tuple[Any, ...]


def tiff(
    image: np.ndarray, change: Mapping[int, Entry | None] = {}, *, order: str = "<",
    big: bool = False, rows: int = 3, deflate: bool = False,
    strips: Sequence[bytes] | None = None, first_at: int | None = None, next_at: int = 0,
    entries: int | None = None,
) -> bytes:  # fmt: skip
    """One page, in strips of `rows` rows.

    Parameters
    ----------
    change : mapping of tag to entry
        What is written instead of what is right; None leaves the tag out.
    strips : sequence of bytes, optional
        What is written instead of the pixels.
    first_at, next_at : int
        Where the header says that the directory is, and the directory the next one.
    entries : int, optional
        How many entries the directory says it has.
    """
    stored = image.astype(image.dtype.newbyteorder(order))
    if strips is None:
        strips = [stored[i : i + rows].tobytes() for i in range(0, len(image), rows)]
        strips = [zlib.compress(s) for s in strips] if deflate else strips
    tags = _tags(image, rows, deflate, len(strips)) | dict(change)
    tags = {tag: tags[tag] for tag in sorted(tags) if tags[tag] is not None}
    return _assembled(tags, strips, change, order, big, first_at, next_at, entries)


def _tags(image: np.ndarray, rows: int, deflate: bool, strips: int) -> dict[int, Entry]:
    return {
        WIDTH: (LONG, [image.shape[1]]),
        LENGTH: (LONG, [image.shape[0]]),
        BITS: (SHORT, [image.itemsize * 8]),
        COMPRESSION: (SHORT, [8 if deflate else 1]),
        PHOTOMETRIC: (SHORT, [1]),
        OFFSETS: (LONG, [0] * strips),
        SAMPLES: (SHORT, [1]),
        ROWS: (LONG, [rows]),
        COUNTS: (LONG, [0] * strips),
        FORMAT: (SHORT, [{"u": 1, "i": 2, "f": 3}[image.dtype.kind]]),
    }


def _assembled(
    tags: dict[int, Any], strips: Sequence[bytes], change: Mapping[int, Any], order: str, big: bool,
    first_at: int | None, next_at: int, entries: int | None,
) -> bytes:  # fmt: skip
    head, counter, pointer, room = (16, "Q", "Q", 8) if big else (8, "H", "I", 4)
    size = struct.calcsize(f"={counter}") + len(tags) * (4 + 2 * room) + room
    behind = head + size
    # sizes are known before places: strips follow what is too long for the directory
    long = {t: len(_packed(e, order)) for t, e in tags.items() if _is_long(e, order, room)}
    at = behind + sum(long.values())
    places = (at + np.cumsum([0, *map(len, strips)])).tolist()[:-1]
    if OFFSETS not in change and OFFSETS in tags:
        # what is left out has no place, either, as GDAL and tifffile write it
        tags[OFFSETS] = (LONG, [p if s else 0 for p, s in zip(places, strips, strict=True)])
    if COUNTS not in change and COUNTS in tags:
        tags[COUNTS] = (LONG, [len(s) for s in strips])
    directory = struct.pack(f"{order}{counter}", len(tags) if entries is None else entries)
    extra = b""
    for tag, entry in tags.items():
        packed = _packed(entry, order)
        count = entry[1] if len(entry) == 3 else _count(entry)
        if len(packed) > room:
            value = struct.pack(f"{order}{pointer}", behind + len(extra))
            extra += packed
        else:
            value = packed.ljust(room, b"\0")
        directory += struct.pack(f"{order}HH{pointer}", tag, entry[0], count) + value
    directory += struct.pack(f"{order}{pointer}", next_at)
    first = head if first_at is None else first_at
    mark = b"II" if order == "<" else b"MM"
    if big:
        header = mark + struct.pack(f"{order}HHHQ", 43, 8, 0, first)
    else:
        header = mark + struct.pack(f"{order}HI", 42, first)
    return header + directory + extra + b"".join(strips)


def _is_long(entry: Entry, order: str, room: int) -> bool:
    return len(_packed(entry, order)) > room


def _packed(entry: Entry, order: str) -> bytes:
    if len(entry) == 3:
        return bytes(entry[2])
    kind, values = entry
    if isinstance(values, bytes):
        return values
    flat = [part for value in values for part in (value if isinstance(value, tuple) else (value,))]
    form = _FORMS[kind][0]
    return struct.pack(f"{order}{len(flat)}{form}", *flat)


def _count(entry: Entry) -> int:
    return len(entry[1])


def boundaries(image: np.ndarray, *, rows: int = 3) -> dict[str, int]:
    """Where each part of a file of `tiff` begins or ends, in bytes."""
    strips = -(-len(image) // rows)
    entries = 10
    directory = 8 + 2 + 12 * entries + 4
    tables = directory + 2 * 4 * strips
    row = image.shape[1] * image.itemsize
    last = tables + image.nbytes
    return {
        "one byte": 1,
        "after the byte order": 2,
        "after the version": 4,
        "within the offset of the directory": 6,
        "before the directory": 8,
        "within the count of entries": 9,
        "after the count of entries": 10,
        "within an entry": 10 + 12 * 4 + 7,
        "before the last entry": 10 + 12 * (entries - 1),
        "before the offset of the next directory": directory - 4,
        "before the tables of strips": directory,
        "within the tables of strips": directory + 4 * strips + 2,
        "before the pixels": tables,
        "within the first strip": tables + row + 5,
        "between two strips": tables + rows * row,
        "within the last strip": last - row,
        "but for one byte": last - 1,
    }
