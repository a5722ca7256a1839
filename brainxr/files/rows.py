"""Rows of uncompressed slices, read where they lie in the file.

``preadv`` straight into the result, one call for each stretch of the file. Rows that
are not wanted are left out, but for gaps of less than a page of memory: to read through
one costs less than another call (0.2 µs against 4), and the system would fetch it anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from brainxr.errors import SliceReadError
from brainxr.files.buffers import PAGE_BYTES
from brainxr.files.openfile import OpenFile, truncated

Rows: TypeAlias = range | npt.NDArray[np.intp]

# Whole rows are read in bands of at most this size where only some columns are wanted.
# Measured on sagittal planes of 1760 x 1760 uint8: 1 to 3 MB are alike, 256 kB take 1.4
# times as long, and a band is memory that every thread has for itself.
BAND_BYTES = 1 << 21


class Span(NamedTuple):
    """A stretch of the file, and which bytes of a buffer it fills."""

    offset: int
    start: int
    stop: int


# Fills a buffer with stretches of a file.
Fill: TypeAlias = Callable[[list[Span], memoryview], None]


class Band(NamedTuple):
    """Rows that are in a buffer at a time, and which of them are wanted."""

    spans: list[Span]
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

    def stretches(
        self, page: int, rows: Rows, most: int
    ) -> Iterator[tuple[int, npt.NDArray[np.intp]]]:
        """Where in the file these rows are, at most so many at once: offset, and rows from there.

        Rows that are not wanted are among them where it costs less to read them, too.
        """
        near = max(1, PAGE_BYTES // self.row_bytes)
        places = np.arange(rows.start, rows.stop, rows.step) if isinstance(rows, range) else rows
        for run in np.split(places, np.flatnonzero(np.diff(places) > near) + 1):
            while run.size:
                first = int(run[0])
                strip, skipped = divmod(first, self.rows)
                count = int(np.searchsorted(run, first + min(most, self.rows - skipped)))
                offset = int(self.offsets[page, strip]) + skipped * self.row_bytes
                yield offset, run[:count] - first
                run = run[count:]

    def bands(self, page: int, rows: Rows, most: int) -> list[Band]:
        """Stretches of the file in groups of at most so many rows."""
        bands: list[Band] = []
        spans: list[Span] = []
        wanted: list[npt.NDArray[np.intp]] = []
        filled = 0
        for offset, places in self.stretches(page, rows, most):
            height = int(places[-1]) + 1
            if filled + height > most:
                bands.append(_band(spans, filled, np.concatenate(wanted)))
                spans, wanted, filled = [], [], 0
            spans.append(Span(offset, filled * self.row_bytes, (filled + height) * self.row_bytes))
            wanted.append(places + filled)
            filled += height
        return [*bands, _band(spans, filled, np.concatenate(wanted))]


def are_whole(
    offsets: npt.NDArray[Any], counts: npt.NDArray[Any], rows: int, height: int, row_bytes: int
) -> bool:
    """Whether strips of a page are as many, and each as long, as its rows need.

    A strip may be longer: what follows its rows is not read.
    """
    if len(offsets) != -(-height // rows) or len(counts) != len(offsets):
        return False
    needed = np.full(len(offsets), rows * row_bytes)
    needed[-1] = (height - (len(offsets) - 1) * rows) * row_bytes
    return bool((counts >= needed).all() and (offsets >= 8).all())


def _band(spans: list[Span], rows: int, places: npt.NDArray[np.intp]) -> Band:
    step = int(places[1] - places[0]) if len(places) > 1 else 1
    regular = bool((np.diff(places) == step).all())
    wanted = slice(int(places[0]), None, step) if regular else places
    return Band(spans, rows, wanted, len(places))


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
    _plan: list[Band] = field(default_factory=list, init=False)
    _buffer: npt.NDArray[Any] | None = field(default=None, init=False)

    def plan(self, strips: Strips, page: int) -> list[Band]:
        """What to read of the file; remembered, as most slices have one layout."""
        layout = self._layout
        if layout is None or layout[0] is not strips or layout[1] != page:
            whole = len(self.columns) == strips.width
            height = len(self.rows) * (PAGE_BYTES // strips.row_bytes + 1)  # and gaps
            most = height if whole else max(1, BAND_BYTES // strips.row_bytes)
            self._plan = strips.bands(page, self.rows, most)
            self._layout = strips, page
        return self._plan

    def direct(self, strips: Strips, page: int) -> list[Span] | None:
        """The stretches that are the result as they are, one after another, or None."""
        band, *others = self.plan(strips, page)
        whole = len(self.columns) == strips.width and band.kept == band.rows
        return band.spans if whole and not others else None

    def buffer(self, rows: int, strips: Strips) -> npt.NDArray[Any]:
        """Room for so many rows, the same one as long as it is big enough."""
        buffer = self._buffer
        if buffer is None or len(buffer) < rows or buffer.dtype != strips.stored:
            buffer = self._buffer = np.empty((rows, strips.width), strips.stored)
        return buffer


def read_rows(
    file: OpenFile, strips: Strips, page: int, window: Window, out: npt.NDArray[Any]
) -> None:
    """Read a window of an uncompressed page.

    Parameters
    ----------
    file : OpenFile
    strips : Strips
    page : int
    window : Window
        With a row and a column at least; used by one thread at a time.
    out : numpy.ndarray, shape (rows, columns)
        Receives the pixels; C-contiguous, in the machine's byte order.
    """
    fill_rows(partial(read_spans, file), strips, page, window, out)


def fill_rows(fill: Fill, strips: Strips, page: int, window: Window, out: npt.NDArray[Any]) -> None:
    """Read a window of an uncompressed page by a function that fills a buffer with stretches."""
    spans = window.direct(strips, page)
    if spans is None:
        _fill_some(fill, strips, page, window, out)
        return
    fill(spans, memoryview(out.data).cast("B"))
    if not strips.stored.isnative:
        out.byteswap(inplace=True)


def _fill_some(
    fill: Fill, strips: Strips, page: int, window: Window, out: npt.NDArray[Any]
) -> None:
    """Read bands of whole rows, and keep what is wanted of them."""
    bands = window.plan(strips, page)
    columns = as_index(window.columns)
    buffer = window.buffer(max(band.rows for band in bands), strips)
    flat = memoryview(buffer.data).cast("B")
    at = 0
    for spans, rows, wanted, kept in bands:
        fill(spans, flat)
        out[at : at + kept] = buffer[:rows][wanted][:, columns]
        at += kept


def read_spans(file: OpenFile, spans: list[Span], flat: memoryview) -> None:
    """Read stretches of an open file into a buffer."""
    # one call for each row of a strided preview: nothing is done twice here
    read_into = file.read_into
    if len(spans) > 1:
        file.expect([(offset, stop - start) for offset, start, stop in spans])
    for offset, start, stop in spans:
        view = flat[start:stop]
        if (count := read_into(view, offset)) != stop - start:
            _fill(file, view[count:], offset + count)


def as_index(columns: Rows) -> slice | npt.NDArray[np.intp]:
    """A progression as a slice, which numpy copies faster than places one by one."""
    if isinstance(columns, range):
        return slice(columns.start, columns.stop, columns.step)
    return columns


def _fill(file: OpenFile, view: memoryview, offset: int) -> None:
    """Read bytes of the file until the buffer is full."""
    while view:
        count = file.read_into(view, offset)
        if count == 0:
            raise SliceReadError(truncated(file.path, offset, offset + len(view)))
        view, offset = view[count:], offset + count
