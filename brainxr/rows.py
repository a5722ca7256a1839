"""Rows of uncompressed slices, read where they lie in the file.

``preadv`` straight into the result, one call for each stretch of the file. Rows that
are not wanted are left out, but for gaps of less than a page of memory, which the
system would fetch anyway.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from brainxr.errors import SliceReadError

Rows: TypeAlias = range | npt.NDArray[np.intp]

# Whole rows are read in bands of about this size where only some columns are
# wanted: they stay in the processor's cache (measured: 64 rows of 1760 uint16).
BAND_BYTES = 1 << 18

# A gap of this size or less is read through: it costs less than another call (0.2 µs
# against 4), and the disk is read in whole pages anyway.
PAGE_BYTES = 4096


class Piece(NamedTuple):
    """A stretch of the file, and which of its rows are wanted (all, by a slice or by place)."""

    offset: int
    rows: int
    wanted: slice | npt.NDArray[np.intp]
    kept: int


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
        near = max(1, PAGE_BYTES // self.row_bytes)
        places = np.arange(rows.start, rows.stop, rows.step) if isinstance(rows, range) else rows
        for run in np.split(places, np.flatnonzero(np.diff(places) > near) + 1):
            while run.size:
                first = int(run[0])
                strip, skipped = divmod(first, self.rows)
                count = int(np.searchsorted(run, first + min(most, self.rows - skipped)))
                offset = int(self.offsets[page, strip]) + skipped * self.row_bytes
                yield _piece(offset, run[:count] - first)
                run = run[count:]


def _piece(offset: int, places: npt.NDArray[np.intp]) -> Piece:
    """A stretch from its first wanted row to its last."""
    rows, count = int(places[-1]) + 1, len(places)
    step = int(places[1]) if count > 1 else 1
    regular = bool((np.diff(places) == step).all())
    return Piece(offset, rows, slice(None, None, step) if regular else places, count)


@dataclass
class Window:
    """Rows and columns to be read from many slices; what they have in common is planned once.

    Attributes
    ----------
    rows, columns : range or numpy.ndarray
        Increasing, without repeats.
    """

    rows: Rows
    columns: Rows
    _planned: tuple[Strips, int, list[Piece]] | None = field(default=None, init=False)

    def pieces(self, strips: Strips, page: int) -> list[Piece]:
        """Stretches of the file to read; remembered, as most slices have one layout."""
        if self._planned is None or self._planned[0] is not strips or self._planned[1] != page:
            whole = len(self.columns) == strips.width
            most = strips.rows if whole else max(1, BAND_BYTES // strips.row_bytes)
            self._planned = strips, page, list(strips.pieces(page, self.rows, most))
        return self._planned[2]


def read_rows(
    path: str, descriptor: int, strips: Strips, page: int, window: Window, out: npt.NDArray[Any]
) -> None:
    """Read a window of an uncompressed page.

    Parameters
    ----------
    path : str
        For the message of an error.
    descriptor : int
        The open file.
    strips : Strips
    page : int
    window : Window
    out : numpy.ndarray, shape (rows, columns)
        Receives the pixels; C-contiguous, in the machine's byte order.
    """
    if not out.size:
        return
    pieces = window.pieces(strips, page)
    if len(window.columns) == strips.width and all(piece.rows == piece.kept for piece in pieces):
        _read_all(path, descriptor, strips, pieces, out)
    else:
        _read_some(path, descriptor, strips, pieces, _as_index(window.columns), out)


def _read_all(
    path: str, descriptor: int, strips: Strips, pieces: list[Piece], out: npt.NDArray[Any]
) -> None:
    """Read whole rows straight into the result."""
    flat = memoryview(out.data).cast("B")
    at = 0
    for piece in pieces:
        end = at + piece.rows * strips.row_bytes
        _fill(path, descriptor, flat[at:end], piece.offset)
        at = end
    if not strips.stored.isnative:
        out.byteswap(inplace=True)


def _read_some(
    path: str, descriptor: int, strips: Strips, pieces: list[Piece],
    columns: slice | npt.NDArray[np.intp], out: npt.NDArray[Any],
) -> None:  # fmt: skip
    """Read bands of whole rows, and keep what is wanted of them."""
    band = np.empty((max(piece.rows for piece in pieces), strips.width), strips.stored)
    flat = memoryview(band.data).cast("B")
    at = 0
    for offset, rows, wanted, kept in pieces:
        _fill(path, descriptor, flat[: rows * strips.row_bytes], offset)
        out[at : at + kept] = band[:rows][wanted][:, columns]
        at += kept


def _as_index(columns: Rows) -> slice | npt.NDArray[np.intp]:
    """A progression as a slice, which numpy copies faster than places one by one."""
    if isinstance(columns, range):
        return slice(columns.start, columns.stop, columns.step)
    return columns


def _fill(path: str, descriptor: int, view: memoryview, offset: int) -> None:
    """Read bytes of the file until the buffer is full."""
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
