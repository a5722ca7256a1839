"""Rows of uncompressed slices, read where they lie in the file.

``preadv`` straight into the result, one call for each stretch of the file, and no
byte more than the rows that are wanted.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from brainxr.errors import SliceReadError

Rows: TypeAlias = range | npt.NDArray[np.intp]

# Whole rows are read in bands of about this size where only some columns are
# wanted: they stay in the processor's cache (measured: 64 rows of 1760 uint16).
BAND_BYTES = 1 << 18


@dataclass(frozen=True)
class Piece:
    """Rows that follow one another in the file."""

    offset: int
    rows: int


@dataclass(frozen=True)
class Strips:
    """Where the uncompressed rows of each page lie in the file.

    Attributes
    ----------
    offsets : numpy.ndarray of int64, shape (pages, strips)
    rows : int
        Rows of one strip; all rows of a page where the strips touch.
    width : int
        Pixels of a row.
    stored : numpy.dtype
        As in the file, byte order included.
    """

    offsets: npt.NDArray[np.int64]
    rows: int
    width: int
    stored: np.dtype[Any]

    @property
    def row_bytes(self) -> int:
        return self.width * self.stored.itemsize

    def pieces(self, page: int, rows: Rows, most: int) -> Iterator[Piece]:
        """Stretches of the file that hold these rows, of at most so many rows each."""
        for start, stop in _runs(rows, most):
            while start < stop:
                strip, skipped = divmod(start, self.rows)
                count = min(stop - start, self.rows - skipped)
                yield Piece(int(self.offsets[page, strip]) + skipped * self.row_bytes, count)
                start += count


def read_rows(
    path: str, descriptor: int, strips: Strips, page: int, rows: Rows, columns: Rows,
    out: npt.NDArray[Any],
) -> None:  # fmt: skip
    """Read some rows and columns of an uncompressed page.

    Parameters
    ----------
    path : str
        For the message of an error.
    descriptor : int
        The open file.
    strips : Strips
    page : int
    rows, columns : range or numpy.ndarray
        Increasing, without repeats.
    out : numpy.ndarray, shape (rows, columns)
        Receives the pixels; C-contiguous, in the machine's byte order.
    """
    if len(columns) == strips.width:
        _read_whole_rows(path, descriptor, strips, page, rows, out)
        return
    most = max(1, BAND_BYTES // strips.row_bytes)
    band = np.empty((min(most, len(rows)), strips.width), strips.stored)
    chosen = _as_index(columns)
    at = 0
    for piece in strips.pieces(page, rows, most):
        _fill(path, descriptor, band[: piece.rows], piece.offset)
        out[at : at + piece.rows] = band[: piece.rows, chosen]
        at += piece.rows


def _read_whole_rows(
    path: str, descriptor: int, strips: Strips, page: int, rows: Rows, out: npt.NDArray[Any]
) -> None:
    at = 0
    for piece in strips.pieces(page, rows, most=strips.rows):
        _fill(path, descriptor, out[at : at + piece.rows], piece.offset)
        at += piece.rows
    if not strips.stored.isnative:
        out.byteswap(inplace=True)


def _as_index(columns: Rows) -> slice | npt.NDArray[np.intp]:
    """A progression as a slice, which numpy copies faster than places one by one."""
    if isinstance(columns, range):
        return slice(columns.start, columns.stop, columns.step)
    return columns


def _runs(rows: Rows, most: int) -> Iterator[tuple[int, int]]:
    """Consecutive rows as (start, stop), none longer than `most`."""
    if isinstance(rows, range) and rows.step == 1:
        bounds = [(rows.start, rows.stop)]
    else:
        array = np.asarray(rows)
        cuts = np.flatnonzero(np.diff(array) != 1) + 1
        bounds = [(int(run[0]), int(run[-1]) + 1) for run in np.split(array, cuts) if run.size]
    for start, stop in bounds:
        for begin in range(start, stop, most):
            yield begin, min(begin + most, stop)


def _fill(path: str, descriptor: int, buffer: npt.NDArray[Any], offset: int) -> None:
    """Read bytes of the file until the buffer is full."""
    view = memoryview(buffer.data).cast("B")
    while view:
        count = _read_into(descriptor, view, offset)
        if count == 0:
            raise SliceReadError(truncated(path, offset, offset + len(view)))
        view, offset = view[count:], offset + count


def read_bytes(descriptor: int, offset: int, count: int) -> bytes:
    """Up to `count` bytes of an open file."""
    buffer = bytearray(count)
    return bytes(buffer[: _read_into(descriptor, memoryview(buffer), offset)])


if hasattr(os, "preadv"):

    def _read_into(descriptor: int, view: memoryview, offset: int) -> int:
        return os.preadv(descriptor, [view], offset)

else:  # Windows

    def _read_into(descriptor: int, view: memoryview, offset: int) -> int:
        with io.FileIO(descriptor, closefd=False) as file:
            file.seek(offset)
            return file.readinto(view) or 0


def truncated(path: str, found: int, expected: int) -> str:
    """The message for a file that is too short."""
    return (
        f"{path!r} is truncated: {found} bytes found, at least {expected} expected. Restore it "
        "from its source."
    )
