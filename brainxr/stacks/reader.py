"""The slices of one stack, each file checked whenever it is opened, and a window of it read.

    place ── open ──▶ file ── unchanged since? ──▶ layout ──▶ rows | decoded strips and tiles
                                                     ▲
              first time: like the first slice? ─────┘  then remembered

A stack's slices are nearly always written by one program in one manner, so the
first slice is parsed with care, and every other one is compared with it when it is
first read: by the bytes that describe it, then by its directory, and only what is
unlike is parsed by tifffile. What can't be read as a part of the stack is an error
that names the file.
"""

from __future__ import annotations

import itertools
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from brainxr.errors import InconsistentStackError, SliceReadError, StackError
from brainxr.files.openfile import (
    FOR_READING,
    NO_LINK,
    Container,
    OpenFile,
    is_of_a_link,
    read_into,
    unreadable,
)
from brainxr.files.pool import run_all, run_waiting, workers
from brainxr.files.rows import (
    BAND_BYTES,
    Rows,
    Span,
    Strips,
    Window,
    are_whole,
    as_index,
    read_rows,
)
from brainxr.stacks.ifd import Directory, read_directory
from brainxr.stacks.segments import Segments, first_rows, read_segments
from brainxr.stacks.slices import SliceFiles
from brainxr.stacks.tiff import Header, differences, parse_header, read_segment_table

# Where the pixels of a slice are: strips, and which of their pages; or segments.
Layout: TypeAlias = tuple[Strips, int] | Segments

# Tables of strips and tiles that are remembered, at most; a stack of 100,000 slices of
# 24 strips has 38 MB of them.
TABLE_BYTES = 64 << 20

# Slices that are far away are asked for by so many bytes at a time, where all of a row is
# in memory before what is wanted of it is copied.
FAR_BAND_BYTES = 64 << 20

# Bytes of a slice from which on it pays to read slices in several threads; system calls
# for a row each only get into each other's way.
SHARED_BYTES = 1 << 20


class SliceReader:
    """Reads windows of slices; safe in several threads at a time.

    Parameters
    ----------
    files : SliceFiles
    header : Header
        Of the first file, with which every other one has to agree.
    opened_at : int
        Nanoseconds since the epoch; a file that was modified later is refused.
    """

    def __init__(self, files: SliceFiles, header: Header, opened_at: int) -> None:
        self.files = files
        self.header = header
        self.opened_at = opened_at
        self._first = None if header.strips is None else (header.strips, 0)
        self._layouts: dict[int, Layout] = {}
        self._table_bytes = 0
        self._template: Segments | None = None

    def read(self, places: Sequence[int], rows: Rows, columns: Rows, out: npt.NDArray[Any]) -> None:
        """Read the same rows and columns of several slices.

        Parameters
        ----------
        places : sequence of int
            Files, or pages of the one file; -1 for a slice that is missing, which
            becomes zero.
        rows, columns : range or numpy.ndarray
            Increasing, without repeats.
        out : numpy.ndarray, shape (slices, rows, columns)
            Receives the pixels; C-contiguous, of the header's dtype.

        Raises
        ------
        SliceReadError, InconsistentStackError
        """
        if not out.size:
            return
        if self.files.is_far:
            self._read_far(places, Window(rows, columns), out)
            return
        if self.files.unpacks and self.header.pages > 1:  # once for all pages
            self._read_rows(places, rows, columns, out)
            return
        if self.header.strips is None or self.files.unpacks:
            self._decode(places, rows, columns, out)
            return
        shares = _shares(len(places), len(rows) * self.header.strips.row_bytes)
        if len(shares) == 1:
            self._read_rows(places, rows, columns, out)
            return
        jobs = [(places[share], rows, columns, out[share]) for share in shares]
        run_all(lambda job: self._read_rows(*job), jobs)

    def _read_far(self, places: Sequence[int], window: Window, out: npt.NDArray[Any]) -> None:
        """Read slices that it takes a while to reach: many at a time, each in few requests."""
        if self.header.pages > 1:
            with self.opened(places) as read:
                for i, target in enumerate(out):
                    read(i, window, target)
            return
        whole = self.header.strips is not None and not self.files.unpacks
        if not whole or not self._read_together(places, window, out):
            self._read_waiting(places, window, list(out))

    def _read_waiting(
        self, places: Sequence[int], window: Window, out: Sequence[npt.NDArray[Any]]
    ) -> None:
        # a window remembers a plan and has a buffer, so each thread needs its own
        rows, columns = window.rows, window.columns
        jobs = [(p, Window(rows, columns), o) for p, o in zip(places, out, strict=True)]
        run_waiting(lambda job: self._read_one(*job), jobs)

    def _read_rows(
        self, places: Sequence[int], rows: Rows, columns: Rows, out: npt.NDArray[Any]
    ) -> None:
        """Read uncompressed slices, in one thread."""
        window = Window(rows, columns)
        if self.header.pages > 1:
            with self.opened(places) as read:
                for i, target in enumerate(out):
                    read(i, window, target)
        elif not self._read_together(places, window, out):
            for place, target in zip(places, out, strict=True):
                self._read_one(place, window, target)

    def _read_together(self, places: Sequence[int], window: Window, out: npt.NDArray[Any]) -> bool:
        """Read several files in one loop, where one stretch of each is enough; whether it is."""
        strips: Any = self.header.strips
        whole = replace(window, columns=range(strips.width))
        spans = whole.direct(strips, 0)
        if spans is None or len(spans) > 1 or not strips.stored.isnative:
            return False
        if len(window.columns) == strips.width:
            self._read_stretches(places, spans[0], whole, out)
            return True
        size = spans[0].stop
        band = FAR_BAND_BYTES if self.files.is_far else BAND_BYTES
        if size > band:
            return False
        group, columns = max(1, band // size), as_index(window.columns)
        block = np.empty((min(group, len(places)), len(window.rows), strips.width), out.dtype)
        for first in range(0, len(places), group):
            part = places[first : first + group]
            self._read_stretches(part, spans[0], whole, block[: len(part)])
            out[first : first + group] = block[: len(part), :, columns]
        return True

    def _read_stretches(
        self, places: Sequence[int], span: Span, window: Window, out: npt.NDArray[Any]
    ) -> None:
        """Read one stretch of each file, where that is all there is to read.

        A coronal plane is this loop, and hardly costs more than the system's own calls
        (5 µs a file): files that were found to be like the first one are asked whether
        they changed, and read. Everything else takes the long way.
        """
        if self.files.container is not None:
            self._read_contained(self.files.container, places, span, window, out)
            return
        folder, names, opened_at = self.files.folder + os.sep, self.files.names, self.opened_at
        known, first = self._layouts.get, self._first
        flat, size, offset = memoryview(out.data).cast("B"), span.stop, span.offset
        # looked up once, not n times
        open_file, status_of, close, is_plain = os.open, os.fstat, os.close, stat.S_ISREG
        for i, place in enumerate(places):
            count = 0
            if known(place) is first:
                try:
                    descriptor = open_file(folder + names[place], FOR_READING | NO_LINK)
                    try:
                        status = status_of(descriptor)
                        if (
                            status.st_mtime_ns <= opened_at
                            and status.st_ctime_ns <= opened_at
                            and is_plain(status.st_mode)
                        ):
                            count = read_into(descriptor, flat[i * size : i * size + size], offset)
                    finally:
                        close(descriptor)
                except OSError as error:
                    if not is_of_a_link(error):  # which takes the long way
                        raise SliceReadError(unreadable(self.files.path(place), error)) from error
            if count != size:
                self._read_one(place, window, out[i])

    def _read_contained(
        self, container: Container, places: Sequence[int], span: Span, window: Window,
        out: npt.NDArray[Any],
    ) -> None:  # fmt: skip
        """Read one stretch of each slice from what has all of them in it."""
        known, first = self._layouts.get, self._first
        # of those that were never read it isn't known where their pixels are
        numbers = [place if known(place) is first else -1 for place in places]
        flat = memoryview(out.data).cast("B")
        left = container.read_each(
            numbers, self.files.path, span.offset, flat, span.stop, self.opened_at
        )
        if container.is_far and left:
            self._read_waiting([places[i] for i in left], window, [out[i] for i in left])
            return
        for i in left:
            self._read_one(places[i], window, out[i])

    def _read_one(self, place: int, window: Window, out: npt.NDArray[Any]) -> None:
        if place < 0:
            out[...] = 0
            return
        with self._open(place) as file:
            _read(file, self._page(place), self._layout(file, place), window, out)

    def _look_at(self, place: int) -> None:
        with self._open(place) as file:
            self._layout(file, place)

    @contextmanager
    def opened(self, places: Sequence[int]) -> Iterator[Callable[[int, Window, Any], None]]:
        """Slices kept open, to be read in several windows: each file is opened once.

        Gives a function of the slice's number in `places`, the window and the array
        that receives its pixels.
        """
        with ExitStack() as stack:
            if self.files.is_far and self.header.strips is None:
                # every page has a header of its own: all at a time, and they are remembered
                run_waiting(self._look_at, [place for place in places if place >= 0])
            files: dict[int, OpenFile] = {}
            for file in sorted({self._file(place) for place in places if place >= 0}):
                files[file] = stack.enter_context(self._open(file))
            # each is checked once, not once a window
            layouts = {
                place: self._layout(files[self._file(place)], place)
                for place in places if place >= 0
            }  # fmt: skip

            def read(i: int, window: Window, out: npt.NDArray[Any]) -> None:
                if places[i] < 0:
                    out[...] = 0
                else:
                    file = files[self._file(places[i])]
                    _read(file, self._page(places[i]), layouts[places[i]], window, out)

            yield read

    # --- one open file ---

    def _file(self, place: int) -> int:
        return 0 if self.header.pages > 1 else place

    def _page(self, place: int) -> int:
        return place if self.header.pages > 1 else 0

    def _open(self, place: int) -> OpenFile:
        return self.files.open(self._file(place))

    # --- where its pixels are ---

    def _layout(self, file: OpenFile, place: int) -> Layout:
        try:
            return self._checked(file, place)
        except StackError:
            raise
        except OSError as error:  # a folder by this name, a disk or a network that fails
            raise SliceReadError(unreadable(file.path, error)) from error

    def _checked(self, file: OpenFile, place: int) -> Layout:
        if max(file.times) > self.opened_at:
            self._refuse_changed(file)
            # a clock that is ahead of ours can't tell, so nothing is taken for known
            return self._find_layout(file, place)
        known = self._layouts.get(place)
        if known is None:
            known = self._find_layout(file, place)
            self._remember(place, known)
        return known

    def _refuse_changed(self, file: OpenFile) -> None:
        now = time.time_ns()
        if any(self.opened_at < at <= now for at in file.times):
            raise SliceReadError(
                f"{file.path!r} was changed after the stack was opened, so its place in it is no "
                "longer certain. Open the stack again."
            )

    def _remember(self, place: int, layout: Layout) -> None:
        if isinstance(layout, Segments):
            self._table_bytes += layout.offsets.nbytes + layout.counts.nbytes
        if self._table_bytes > TABLE_BYTES:
            self._layouts.clear()
            self._table_bytes = 0
        self._layouts[place] = layout

    def _find_layout(self, file: OpenFile, place: int) -> Layout:
        """Where the pixels of a slice are that was never read before."""
        first, page = self.header, self._page(place)
        if first.strips is not None and file.size >= first.needed and first.is_that_of(file):
            if first.ifds and page > 0:
                return self._described(file, first.strips, page)
            return self._first if self._first and page == 0 else (first.strips, page)
        if first.manner is not None:
            directory = read_directory(file, first.ifds[page] if first.ifds else None)
            layout = self._like_the_first(file, directory, page)
            if layout is not None:
                return layout
        return _parsed(file, first, page)

    def _described(self, file: OpenFile, strips: Strips, page: int) -> Layout:
        """The layout of a later page by its own word, though it lies as the first one does."""
        directory = read_directory(file, self.header.ifds[page])
        if directory is not None and directory.manner == self.header.manner:
            return strips, page
        return read_segment_table(file, self.header, page)

    def _like_the_first(
        self, file: OpenFile, directory: Directory | None, page: int
    ) -> Layout | None:
        """The layout of a slice that is stored in the manner of the first one, else None."""
        first = self.header
        if directory is None or directory.manner != first.manner or not (
            directory.is_last or first.ifds
        ) or not _is_inside(directory, file.size):  # fmt: skip
            return None
        if first.strips is not None:
            return _strips_like(first, first.strips, directory, file.size)
        if self._template is None:
            self._template = read_segment_table(file, first, page)
        if len(directory.offsets) != len(self._template.offsets):
            return None
        return replace(self._template, offsets=directory.offsets, counts=directory.counts)

    # --- what has to be decoded ---

    def _decode(
        self, places: Sequence[int], rows: Rows, columns: Rows, out: npt.NDArray[Any]
    ) -> None:
        """Decode on all processors: slice by slice, a single one in parts of its rows."""
        count = 1 if self.files.unpacks or len(places) >= workers() else workers()
        parts = _parts(rows, self.header.strip_rows, count)
        jobs = [
            (place, Window(rows[part], columns), target[part])
            for place, target in zip(places, out, strict=True)
            for part in parts
        ]
        # the first one alone: it makes the decoder that the others share
        alone = 1 if self.header.strips is None else 0
        for job in jobs[:alone]:
            self._read_one(*job)
        run_all(lambda job: self._read_one(*job), jobs[alone:])


def _shares(places: int, size: int) -> list[slice]:
    """Slices in shares that are read at the same time, where so many bytes of each are."""
    most = workers() if size >= SHARED_BYTES else 1
    borders = np.linspace(0, places, min(most, places) + 1).astype(int).tolist()
    return [slice(*ends) for ends in itertools.pairwise(borders)]


def _parts(rows: Rows, height: int, most: int) -> list[slice]:
    """Rows in up to so many parts, none of which shares a strip or tile with another."""
    groups = np.array_split(first_rows(rows, height), most)
    starts = [int(group[0]) for group in groups if group.size]
    return [slice(*ends) for ends in zip(starts, [*starts[1:], len(rows)], strict=True)]


def _read(file: OpenFile, page: int, layout: Layout, window: Window, out: npt.NDArray[Any]) -> None:
    try:
        if isinstance(layout, tuple):
            read_rows(file, *layout, window, out)
        else:
            _read_encoded(file, page, layout, window, out)
    except StackError:
        raise
    except OSError as error:
        raise SliceReadError(unreadable(file.path, error)) from error


def _read_encoded(
    file: OpenFile, page: int, segments: Segments, window: Window, out: npt.NDArray[Any]
) -> None:
    try:
        read_segments(file, segments, window, out)
    except Exception as error:  # whatever a codec makes of damaged data
        raise SliceReadError(
            f"{file.path!r}, page {page}, can't be decoded ({error}). Restore it from its source."
        ) from error


def _is_inside(directory: Directory, size: int) -> bool:
    """Whether a file of this size has all the strips or tiles that it lists."""
    ends = directory.offsets + directory.counts
    return bool((directory.counts >= 0).all() and (ends <= size).all())


def _strips_like(
    first: Header, strips: Strips, directory: Directory, size: int
) -> tuple[Strips, int] | None:
    if not directory.counts.all():  # left out, to be filled with what the file says
        return None
    height, width = first.shape
    own = Strips.of(directory.offsets[None], first.strip_rows, height, width, strips.stored)
    counts = directory.counts
    if len(counts) == 1:  # which nobody believes where it is the only one
        counts = np.array([height * strips.row_bytes])
    whole = are_whole(directory.offsets, counts, first.strip_rows, height, strips.row_bytes)
    return (own, 0) if whole and own.end(height) <= size else None


def _parsed(file: OpenFile, first: Header, page: int) -> Layout:
    """The layout of a slice of another manner, or an error that says why it has none here."""
    header = parse_header(file, first.choice)
    difference = differences(header, first)
    if difference is not None:
        raise InconsistentStackError(
            f"{file.path!r} {difference} as in the first slice. Move it elsewhere, or open the two "
            "sets separately; brainxr.check(...) lists every slice that differs."
        )
    if header.strips is not None:
        return header.strips, page
    return read_segment_table(file, header, page)
