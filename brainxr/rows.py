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
from typing import Any, NamedTuple, Self, TypeAlias

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


class Span(NamedTuple):
    """A stretch of the file, and which bytes of the result it becomes as it is."""

    offset: int
    start: int
    stop: int


Plan: TypeAlias = list[Span] | list[Piece]


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

    @classmethod
    def of(
        cls, offsets: npt.NDArray[np.int64], rows: int, height: int, width: int,
        stored: np.dtype[Any],
    ) -> Self:  # fmt: skip
        """Strips of so many rows; those that touch are taken as one."""
        if (np.diff(offsets, axis=1) == rows * width * stored.itemsize).all():
            return cls(offsets[:, :1].copy(), height, width, stored)
        return cls(offsets, rows, width, stored)

    @property
    def row_bytes(self) -> int:
        return self.width * self.stored.itemsize

    def end(self, height: int) -> int:
        """Bytes that a file must have for pages of this height to be in it."""
        last = height - (self.offsets.shape[1] - 1) * self.rows
        return int(self.offsets[:, -1].max() + last * self.row_bytes)

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
    _layout: tuple[Strips, int] | None = field(default=None, init=False)
    _plan: Plan = field(default_factory=list, init=False)
    _band: npt.NDArray[Any] | None = field(default=None, init=False)

    def plan(self, strips: Strips, page: int) -> Plan:
        """Stretches of the file to read; remembered, as most slices have one layout."""
        layout = self._layout
        if layout is None or layout[0] is not strips or layout[1] != page:
            whole = len(self.columns) == strips.width
            most = strips.rows if whole else max(1, BAND_BYTES // strips.row_bytes)
            pieces = list(strips.pieces(page, self.rows, most))
            direct = whole and all(piece.rows == piece.kept for piece in pieces)
            self._plan = _spans(pieces, strips.row_bytes) if direct else pieces
            self._layout = strips, page
        return self._plan

    def single_span(self, strips: Strips, page: int) -> Span | None:
        """The one stretch that is the result as it is, where there is only one."""
        plan = self.plan(strips, page)
        direct = len(plan) == 1 and strips.stored.isnative
        return plan[0] if direct and isinstance(plan[0], Span) else None

    def band(self, rows: int, strips: Strips) -> npt.NDArray[Any]:
        """A buffer of so many rows, the same one as long as it is big enough."""
        if self._band is None or len(self._band) < rows or self._band.dtype != strips.stored:
            self._band = np.empty((rows, strips.width), strips.stored)
        return self._band


def _spans(pieces: list[Piece], row_bytes: int) -> list[Span]:
    ends = np.cumsum([0, *(piece.rows * row_bytes for piece in pieces)]).tolist()
    return [Span(p.offset, *ends[i : i + 2]) for i, p in enumerate(pieces)]


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
        With a row and a column at least; used by one thread at a time.
    out : numpy.ndarray, shape (rows, columns)
        Receives the pixels; C-contiguous, in the machine's byte order.
    """
    plan = window.plan(strips, page)
    if type(plan[0]) is not Span:
        _read_some(path, descriptor, strips, plan, window, out)
        return
    # whole rows: this loop is all there is to a coronal plane, so it does nothing twice
    flat = memoryview(out.data).cast("B")
    for offset, start, stop in plan:
        view = flat[start:stop]
        if (count := read_into(descriptor, view, offset)) != stop - start:
            _fill(path, descriptor, view[count:], offset + count)
    if not strips.stored.isnative:
        out.byteswap(inplace=True)


def _read_some(
    path: str, descriptor: int, strips: Strips, pieces: Any, window: Window,
    out: npt.NDArray[Any],
) -> None:  # fmt: skip
    """Read bands of whole rows, and keep what is wanted of them."""
    columns = _as_index(window.columns)
    band = window.band(max(piece.rows for piece in pieces), strips)
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
        count = read_into(descriptor, view, offset)
        if count == 0:
            raise SliceReadError(truncated(path, offset, offset + len(view)))
        view, offset = view[count:], offset + count


def read_bytes(descriptor: int, offset: int, count: int) -> bytes:
    """Up to `count` bytes of an open file."""
    buffer = bytearray(count)
    return bytes(buffer[: read_into(descriptor, memoryview(buffer), offset)])


if hasattr(os, "preadv"):

    def read_into(descriptor: int, view: memoryview, offset: int) -> int:
        """Read up to the buffer's size from a place in an open file; the number of bytes."""
        return os.preadv(descriptor, (view,), offset)

else:  # Windows

    def read_into(descriptor: int, view: memoryview, offset: int) -> int:
        """Read up to the buffer's size from a place in an open file; the number of bytes."""
        with io.FileIO(descriptor, closefd=False) as file:
            file.seek(offset)
            return file.readinto(view) or 0


def truncated(path: str, found: int, expected: int) -> str:
    """The message for a file that is too short."""
    return (
        f"{path!r} is truncated: {found} bytes found, at least {expected} expected. Restore it "
        "from its source."
    )
