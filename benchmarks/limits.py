"""What no reader of the same files can beat, by bare means.

Uncompressed rows: ``preadv`` of the rows that are needed into one buffer that is
used again and again. Anything else: the codec on the strips or tiles that are
needed, with the compressed bytes already in memory. Neither checks, labels or
arranges anything. tifffile says where the pixels are; brainxr is not asked.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import imagecodecs
import numpy as np
import numpy.typing as npt
import tifffile

from benchmarks.stacks import paths_of

Key: TypeAlias = tuple[int | slice, int | slice, int | slice]


class Need(NamedTuple):
    """Slices, rows and columns that a selection needs."""

    slices: range
    rows: range
    columns: range


def need(key: Key, shape: Sequence[int]) -> Need:
    """What a selection from a volume of this shape needs.

    >>> need((3, slice(None), slice(0, 9, 4)), (8, 5, 9))
    Need(slices=range(3, 4), rows=range(0, 5), columns=range(0, 9, 4))
    """
    return Need(*(_places(part, size) for part, size in zip(key, shape, strict=True)))


def _places(part: int | slice, size: int) -> range:
    return range(size)[part] if isinstance(part, slice) else range(part, part + 1)


def list_folder(folder: str) -> list[str]:
    """Names of the slices in order: the least that opening a stack costs."""
    return sorted(os.listdir(folder))


def reader(folder: str, wanted: Need, threads: int) -> Callable[[], None]:
    """A function that reads, or decodes, what is wanted and forgets it."""
    slices = paths_of(folder)
    paths = [slices[i] for i in wanted.slices]
    with tifffile.TiffFile(paths[0]) as tif:
        page: Any = tif.pages.first
        plain = page.compression == 1 and page.is_contiguous
    shares = [paths[i::threads] for i in range(threads)]
    make = _rows_reader if plain else _decoder
    return _together([make(tuple(share), wanted) for share in shares if share])


def _together(parts: list[Callable[[], None]]) -> Callable[[], None]:
    if len(parts) == 1:
        return parts[0]

    pool = ThreadPoolExecutor(len(parts))

    def run() -> None:
        for done in [pool.submit(part) for part in parts]:
            done.result()

    return run


def _rows_reader(paths: tuple[str, ...], wanted: Need) -> Callable[[], None]:
    with tifffile.TiffFile(paths[0]) as tif:
        page: Any = tif.pages.first
        start, row = page.dataoffsets[0], page.imagewidth * page.dtype.itemsize
    rows = wanted.rows
    if rows.step == 1:
        stretches = [(start + rows.start * row, len(rows) * row)]
    else:
        stretches = [(start + i * row, row) for i in rows]
    buffer = memoryview(bytearray(max(size for _, size in stretches)))

    def run() -> None:
        for path in paths:
            descriptor = os.open(path, os.O_RDONLY)
            for offset, size in stretches:
                os.preadv(descriptor, [buffer[:size]], offset)
            os.close(descriptor)

    return run


# --- codecs -----------------------------------------------------------------------

DECODERS: dict[int, Callable[..., Any]] = {
    tifffile.COMPRESSION.ADOBE_DEFLATE: imagecodecs.deflate_decode,
    tifffile.COMPRESSION.DEFLATE: imagecodecs.deflate_decode,
    tifffile.COMPRESSION.LZW: imagecodecs.lzw_decode,
    tifffile.COMPRESSION.ZSTD: imagecodecs.zstd_decode,
}


class Segment(NamedTuple):
    """One strip or tile as it is stored, and the shape of its pixels."""

    data: bytes
    shape: tuple[int, int]


class Codec(NamedTuple):
    """How the segments of a file are stored, and a buffer for the largest."""

    decode: Callable[..., Any]
    predicted: bool
    buffer: npt.NDArray[Any]

    @classmethod
    def of(cls, path: str) -> Codec:
        with tifffile.TiffFile(path) as tif:
            page: Any = tif.pages.first
            largest = page.chunks[0] * page.chunks[1]
            decode = DECODERS[page.compression]
            return cls(decode, page.predictor == 2, np.empty(largest, page.dtype))

    def pixels(self, segment: Segment) -> npt.NDArray[Any]:
        """Pixels of a segment, in the buffer."""
        height, width = segment.shape
        flat = self.buffer[: height * width]
        self.decode(segment.data, out=flat)
        found = flat.reshape(height, width)
        if self.predicted:
            imagecodecs.delta_decode(found, axis=-1, out=found)
        return found


def _decoder(paths: tuple[str, ...], wanted: Need) -> Callable[[], None]:
    codec = Codec.of(paths[0])
    segments = [segment for path in paths for segment in segments_of(path, wanted)]

    def run() -> None:
        for segment in segments:
            codec.pixels(segment)

    return run


def segments_of(path: str, wanted: Need) -> list[Segment]:
    """The strips or tiles that a selection needs of one slice, compressed, in memory."""
    table, stored = _stored(path)
    height, width, across, rows = table
    down = sorted({row // height for row in wanted.rows})
    along = sorted({column // width for column in wanted.columns})
    found = []
    for i, j in itertools.product(down, along):
        # the last strip is cut off at the last row, a tile never is
        tall = min(height, rows - i * height) if across == 1 else height
        found.append(Segment(stored[i * across + j], (tall, width)))
    return found


@cache
def _stored(path: str) -> tuple[tuple[int, int, int, int], list[bytes]]:
    """Height, width and number across of the segments, rows of the slice; all their bytes."""
    with tifffile.TiffFile(path) as tif:
        page: Any = tif.pages.first
        across = page.chunked[1] if page.is_tiled else 1
        table = (*page.chunks[:2], across, page.imagelength)
        file = tif.filehandle
        stored = []
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
            file.seek(offset)
            stored.append(file.read(count))
    return table, stored
