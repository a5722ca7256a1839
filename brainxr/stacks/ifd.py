"""The directory of a TIFF page (its IFD), read by hand.

tifffile knows every program's habits and takes 0.1 to 1 ms a file for it, so it parses
the first slice of a stack. Of the others two things have to be known: that their
pixels are stored in the same manner, and where. Those take 20 µs here. Whatever is
out of the ordinary gives None, and is left to tifffile.

Layout of a directory: TIFF 6.0, section 2 (Adobe, 1992), and the BigTIFF proposal.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from brainxr.files.openfile import OpenFile

# One read of this many bytes fetches the directory of most files that begin with it.
ONE_READ = 4096

# What tells of a file where its first directory is, BigTIFF's included.
HEADER_BYTES = 16

_OFFSETS = {273, 324}  # StripOffsets, TileOffsets
_COUNTS = {279, 325}  # StripByteCounts, TileByteCounts
_ASCII = 2

# Bytes of a value by its type; directories of other types than these are left to tifffile.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
          16: 8, 17: 8, 18: 8}  # fmt: skip
_TABLE_TYPES = {3: "u2", 4: "u4", 16: "u8"}

# Resolution and its unit, the page's number, and where other directories lie: no matter to
# this one's pixels.
_NO_MATTER = {282, 283, 296, 297, 330, 34665, 34853, 40965}

# Values too long for their entry that decide how pixels are decoded: BitsPerSample,
# ExtraSamples, SampleFormat, JPEGTables, and the parameters of LERC.
_DECISIVE = {258, 338, 339, 347, 50674}

# Tags from here on are somebody's own; ImageJ's two are everybody's by now.
_FIRST_PRIVATE, _IMAGEJ = 32768, {50838, 50839}

# One entry of a directory: tag, type, number of values, and the bytes of the values.
Entry: TypeAlias = tuple[int, int, int, bytes]


class Directory(NamedTuple):
    """What a directory says of a page's pixels.

    Attributes
    ----------
    manner : tuple of (int, int, int, bytes)
        The entries that tell how pixels are stored; pages of one manner are read alike.
    offsets, counts : numpy.ndarray of int64, shape (n,)
        Place and size in bytes of each strip or tile.
    is_last : bool
        Whether no other page follows.
    """

    manner: tuple[Entry, ...]
    offsets: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    is_last: bool


def read_directory(file: OpenFile, at: int | None = None) -> Directory | None:
    """Read the directory of one page; None for whatever is out of the ordinary.

    Parameters
    ----------
    file : OpenFile
    at : int, optional
        Where the directory begins; by default that of the first page.
    """
    try:
        return _parse(_File(file), at)
    except (_Unusual, struct.error):
        return None


def places_of_directories(file: OpenFile) -> Iterator[tuple[int, int]]:
    """First byte of each page's directory, and the first one behind it, one after the other.

    As far as they can be followed, or until one comes a second time. Costs two small reads
    a page.
    """
    try:
        opened, seen = _File(file, HEADER_BYTES), set[int]()
        counter, pointer, at = ("Q", "Q", 8) if opened.is_big else ("H", "I", 4)
        entry = 20 if opened.is_big else 12
        while (start := opened.unpack(pointer, at)) and start not in seen:
            seen.add(start)
            at = start + struct.calcsize(f"={counter}") + entry * opened.unpack(counter, start)
            yield start, at + struct.calcsize(f"={pointer}")
        if start:
            yield start, at  # the one that comes again
    except (_Unusual, struct.error):  # whatever follows is beyond the end
        return


class _Unusual(Exception):
    """A directory that is left to tifffile."""


class _File:
    """Bytes of a file, of which the first are fetched at once."""

    def __init__(self, file: OpenFile, ahead: int = ONE_READ) -> None:
        self.file = file
        self.head = file.read(0, min(file.size, ahead))
        self.order = {b"II": "<", b"MM": ">"}.get(self.head[:2], "")
        version = struct.unpack(f"{self.order}H", self.head[2:4])[0] if self.order else 0
        if version not in (42, 43):
            raise _Unusual
        self.is_big = version == 43

    def read(self, at: int, count: int) -> bytes:
        if at + count <= len(self.head):
            return self.head[at : at + count]
        if at < 0 or at + count > self.file.size:
            raise _Unusual
        return self.file.read(at, count)

    def unpack(self, form: str, at: int) -> int:
        data = self.read(at, struct.calcsize(f"={form}"))
        return int(struct.unpack(f"{self.order}{form}", data)[0])


def _parse(file: _File, at: int | None) -> Directory:
    counter, pointer, where = ("Q", "Q", 8) if file.is_big else ("H", "I", 4)
    at = file.unpack(pointer, where) if at is None else at
    form = struct.Struct(f"{file.order}HH{pointer}{where}s")
    number = file.unpack(counter, at)
    start = at + struct.calcsize(f"={counter}")
    end = start + number * form.size
    manner: list[Entry] = []
    tables: dict[str, npt.NDArray[np.int64]] = {}
    for tag, kind, count, value in form.iter_unpack(file.read(start, end - start)):
        if end_of_values(tag, kind, count, value, file.order) > file.file.size:
            raise _Unusual
        if tag in _OFFSETS or tag in _COUNTS:
            tables["offsets" if tag in _OFFSETS else "counts"] = _table(file, kind, count, value)
        elif kind != _ASCII and tag not in _NO_MATTER:
            manner.extend(_entry(file, tag, kind, count, value))
    if len(tables) != 2 or len(tables["offsets"]) != len(tables["counts"]):
        raise _Unusual
    return Directory(tuple(manner), **tables, is_last=file.unpack(pointer, end) == 0)


def end_of_values(tag: int, kind: int, count: int, value: bytes, order: str) -> int:
    """The first byte behind an entry's values; 0 where they are in the entry, or don't matter."""
    length = _SIZES.get(kind, 0) * count
    if length <= len(value) or (tag >= _FIRST_PRIVATE and tag not in _IMAGEJ):
        return 0
    return int.from_bytes(value, "little" if order == "<" else "big") + length


def _entry(file: _File, tag: int, kind: int, count: int, value: bytes) -> Iterator[Entry]:
    """The entry with its values, unless they are long and say nothing of pixels."""
    length = _bytes_of(kind, count)
    if length <= len(value):
        yield tag, kind, count, value[:length]
    elif tag in _DECISIVE:
        yield tag, kind, count, file.read(_pointer(file, value), length)


def _table(file: _File, kind: int, count: int, value: bytes) -> npt.NDArray[np.int64]:
    if kind not in _TABLE_TYPES:
        raise _Unusual
    length = _bytes_of(kind, count)
    data: Any = value[:length] if length <= len(value) else file.read(_pointer(file, value), length)
    return np.frombuffer(data, f"{file.order}{_TABLE_TYPES[kind]}").astype(np.int64)


def _pointer(file: _File, value: bytes) -> int:
    return int.from_bytes(value, "little" if file.order == "<" else "big")


def _bytes_of(kind: int, count: int) -> int:
    if kind not in _SIZES:
        raise _Unusual
    return _SIZES[kind] * count
