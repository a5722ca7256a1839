"""Strips and tiles that have to be decoded: only those that a window touches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from brainxr.files.openfile import OpenFile
from brainxr.files.rows import Rows, Window

# Encoded bytes (None where the file leaves a segment out) and the segment's number
# become its pixels (None where they are all the same), shape (rows, columns).
Decode: TypeAlias = Callable[[bytes | None, int], npt.NDArray[Any] | None]


@dataclass(frozen=True, eq=False)
class Segments:
    """Where the encoded strips or tiles of one page lie in the file.

    Attributes
    ----------
    offsets, counts : numpy.ndarray of int64, shape (n,)
        In bytes; a segment of no bytes is empty.
    height, width : int
        Rows and columns of a segment.
    across : int
        Segments side by side.
    decode : callable
    nodata : int or float
        What an empty segment is filled with.
    """

    offsets: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    height: int
    width: int
    across: int
    decode: Decode
    nodata: float = 0

    def touched(self, window: Window) -> Iterator[tuple[int, int, int]]:
        """Segments with something of the window: number, first row, first column."""
        for down in _touched(window.rows, self.height):
            for along in _touched(window.columns, self.width):
                yield down * self.across + along, down * self.height, along * self.width


def _touched(places: Rows, length: int) -> list[int]:
    if isinstance(places, range) and places.step <= length:
        return list(range(places[0] // length, places[-1] // length + 1)) if places else []
    touched: list[int] = np.unique(np.asarray(places) // length).tolist()
    return touched


def first_rows(rows: Rows, height: int) -> list[int]:
    """Where in a choice of rows each strip of this height begins that they touch."""
    firsts: list[int] = np.flatnonzero(np.diff(np.asarray(rows) // height, prepend=-1)).tolist()
    return firsts


def read_segments(
    file: OpenFile, segments: Segments, window: Window, out: npt.NDArray[Any]
) -> None:
    """Read and decode a window of a page.

    Parameters
    ----------
    file : OpenFile
    segments : Segments
    window : Window
    out : numpy.ndarray, shape (rows, columns)
        Receives the pixels.

    Raises
    ------
    Exception
        Whatever a codec makes of damaged data.
    """
    touched = list(segments.touched(window))
    numbers = [number for number, _, _ in touched]
    offsets, counts = segments.offsets[numbers].tolist(), segments.counts[numbers].tolist()
    file.expect(list(zip(offsets, counts, strict=True)))
    for number, row, column in touched:
        segment = segments.decode(_encoded(file, segments, number), number)
        here_rows, rows = _inside(window.rows, row, segments.height)
        here_columns, columns = _inside(window.columns, column, segments.width)
        if segment is None:
            out[here_rows, here_columns] = segments.nodata
        else:
            _put(segment[rows][:, columns], out[here_rows, here_columns])


def _put(part: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
    if part.shape != out.shape:  # numpy would repeat a single row
        raise ValueError(f"{part.shape} pixels found, {out.shape} expected")
    out[...] = part


def _encoded(file: OpenFile, segments: Segments, number: int) -> bytes | None:
    count = int(segments.counts[number])
    if count == 0 and segments.offsets[number] == 0:
        return None
    if count == 0:
        raise ValueError(f"strip {number} has a place in the file, and no bytes")
    if segments.offsets[number] < 8:
        raise ValueError(f"strip {number} is said to lie in the header of the file")
    data = file.read(int(segments.offsets[number]), count)
    if len(data) < count:
        raise ValueError(f"strip {number} has {len(data)} of {count} bytes")
    return data


def _inside(places: Rows, first: int, length: int) -> tuple[slice, slice | npt.NDArray[np.intp]]:
    """Which part of a window lies in a segment, and where in the segment that is."""
    if isinstance(places, range):
        start = max(0, -((places.start - first) // places.step))
        stop = min(len(places), -((places.start - first - length) // places.step))
        inside = places[start:stop]
        return slice(start, stop), slice(inside.start - first, inside.stop - first, inside.step)
    start, stop = np.searchsorted(places, (first, first + length)).tolist()
    return slice(start, stop), places[start:stop] - first
