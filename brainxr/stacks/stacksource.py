"""A stack of files as a source of voxels: which slices, and of each which rows."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from brainxr.files.archive import KEPT_BYTES
from brainxr.files.fingerprint import digest_of, fingerprint_of
from brainxr.files.rows import Rows, Window
from brainxr.lazy.lazyarray import Choice, PlacedArray, ascending
from brainxr.stacks.pages import EVERY_PAGE
from brainxr.stacks.reader import SliceReader
from brainxr.stacks.segments import first_rows
from brainxr.stacks.slices import SliceFiles
from brainxr.stacks.tiff import Header

# Pixels of a block: with the part of a result that it is added to, it stays in the
# second-level cache. Measured where that has 1 MB: a maximum takes 1.9 times as long with
# 128 kB, 1.3 times with 256, 0.9 times with 1 MB or more; a mean 1.3, 1.1, 1.2 and 1.5 times.
BLOCK_BYTES = 1 << 19

# Bytes a second from a warm cache, from a decoder of TIFF's strips, and over a good line.
READ_BYTES, DECODED_BYTES, FAR_BYTES_A_SECOND = 4e9, 3e8, 3e7

# Of slices that are far away, so many bytes are asked for at a time.
FAR_BYTES = 32 << 20

# Files that are open at a time, so that each is opened once for all its bands.
OPEN_FILES = 16


@dataclass(frozen=True)
class StackSource:
    """The voxels of a stack where they are stored, on their regular grid.

    Attributes
    ----------
    files : SliceFiles
    header : Header
        Of the first file, with which every other one has to agree.
    axes : tuple of str
        Dimensions along the stack, down the rows and across the columns.
    opened_at : int
        Nanoseconds since the epoch; a file changed later is refused.
    identity : str
        Different for every stack that is opened: what dask and xarray remember
        under it can't outlive a change of the files.
    """

    files: SliceFiles
    header: Header
    axes: tuple[str, str, str] = ("z", "y", "x")
    opened_at: int = field(default_factory=time.time_ns)
    identity: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Grid positions along the stack (missing slices count), rows, columns."""
        pages = self.header.pages
        depth = pages if pages > 1 else int(self.files.positions[-1]) + 1
        return (depth, *self.header.shape)

    @property
    def present(self) -> npt.NDArray[np.int64]:
        """Grid positions for which there is a slice, shape (n,), increasing."""
        return np.arange(self.header.pages) if self.header.pages > 1 else self.files.positions

    @cached_property
    def reader(self) -> SliceReader:
        return SliceReader(self.files, self.header, self.opened_at)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.header.dtype

    @property
    def grain(self) -> tuple[int, int, int]:
        return (1, self._together, self.shape[2])

    @property
    def speed(self) -> float:
        if self.files.is_far:
            return FAR_BYTES_A_SECOND
        decoded = self.header.strips is None or self.files.unpacks
        return DECODED_BYTES if decoded else READ_BYTES

    @property
    def _together(self) -> int:
        """Rows that are read together, however few of them are asked for."""
        if self.files.unpacks:
            return self.header.shape[0]
        return self.header.strip_rows if self.header.strips is None else 1

    @property
    def piece(self) -> str:
        return "slice"

    @property
    def place(self) -> str:
        return self.files.folder if len(self.files) > 1 else self.files.path(0)

    def fingerprint(self, needed: Sequence[Rows]) -> str:
        places = self.places(np.asarray(needed[0])) if self.header.pages == 1 else [0]
        there = [place for place in places if place >= 0]
        names = [self.files.names[place] for place in there]
        if self.files.container is not None:
            found = self.files.container.fingerprint(names)
        else:
            found = fingerprint_of(names, [self.files.path(place) for place in there])
        # another channel of the same files is another volume
        chosen = self.header.choice
        return found if chosen == EVERY_PAGE else digest_of([found, chosen])

    def __str__(self) -> str:
        return f"{len(self.files)} files in {self.files.folder!r}"

    def __reduce__(self) -> Any:  # a reader remembers what only its own process has seen
        return StackSource, (
            self.files, self.header, self.axes, self.opened_at, self.identity,
        )  # fmt: skip

    def read(self, needed: Sequence[Rows], out: npt.NDArray[Any]) -> None:
        """Read a block, shape (slices, rows, columns); what is missing is zero."""
        slices, rows, columns = needed
        self.reader.read(self.places(np.asarray(slices)), rows, columns, out)

    def read_points(self, places: Sequence[npt.NDArray[np.intp]]) -> npt.NDArray[Any]:
        """Read scattered voxels: of each slice the rows, from the first column to the last."""
        values = np.empty(places[0].size, self.dtype)
        by_slice = np.argsort(places[0], kind="stable")
        borders = np.flatnonzero(np.diff(places[0][by_slice])) + 1
        for here in np.split(by_slice, borders):
            position = int(places[0][here[0]])
            values[here] = self._read_points_of(position, places[1][here], places[2][here])
        return values

    def _read_points_of(
        self, position: int, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]
    ) -> npt.NDArray[Any]:
        needed, row_of = np.unique(rows, return_inverse=True)
        low, high = int(columns.min()), int(columns.max())
        block = np.empty((1, len(needed), high + 1 - low), self.dtype)
        self.read((range(position, position + 1), needed, range(low, high + 1)), block)
        return np.asarray(block[0, row_of, columns - low])

    def blocks(
        self, needed: Sequence[Rows]
    ) -> Iterator[tuple[tuple[slice, ...], npt.NDArray[Any]]]:
        """Read bands of rows, one slice after the other, into one buffer."""
        slices, rows, columns = needed
        places = self.places(np.asarray(slices))
        if self.files.is_far:
            yield from self._far_blocks(places, rows, columns)
            return
        bands = self._bands(rows, len(columns))
        windows = [Window(rows[band], columns) for band in bands]
        buffer = np.empty((1, max(len(w.rows) for w in windows), len(columns)), self.dtype)
        together = self._open_together()
        for first in range(0, len(places), together):
            group = places[first : first + together]
            with self.reader.opened(group) as read:
                for band, window in zip(bands, windows, strict=True):
                    block = buffer[:, : len(window.rows)]
                    for i in range(len(group)):
                        read(i, window, block[0])
                        yield (slice(first + i, first + i + 1), band, slice(None)), block

    def _far_blocks(
        self, places: Sequence[int], rows: Rows, columns: Rows
    ) -> Iterator[tuple[tuple[slice, ...], npt.NDArray[Any]]]:
        """Read many slices at a time, where most of the time is spent waiting for them."""
        size = max(1, len(rows) * len(columns) * self.dtype.itemsize)
        group = max(1, FAR_BYTES // size)
        for first in range(0, len(places), group):
            part = places[first : first + group]
            block = np.empty((len(part), len(rows), len(columns)), self.dtype)
            self.reader.read(part, rows, columns, block)
            for i in range(len(part)):
                where = slice(first + i, first + i + 1), slice(0, len(rows)), slice(None)
                yield where, block[i : i + 1]

    def _open_together(self) -> int:
        """Slices that are kept open; what is unpacked is in memory as long."""
        if not self.files.unpacks:
            return OPEN_FILES
        return max(1, min(OPEN_FILES, KEPT_BYTES // max(1, self.header.size)))

    def _bands(self, rows: Rows, width: int) -> list[slice]:
        """Rows in bands of a block each; where they are decoded, in whole strips or tiles."""
        height = max(1, BLOCK_BYTES // max(1, width * self.dtype.itemsize))
        if self.header.strips is not None:
            borders = list(range(0, len(rows), height))
        else:
            height = self.header.strip_rows * max(1, height // self.header.strip_rows)
            borders = first_rows(rows, height)
        return [slice(*ends) for ends in zip(borders, [*borders[1:], len(rows)], strict=True)]

    def bytes_to_read(self, needed: Sequence[Rows]) -> int:
        """Uncompressed bytes of the rows of the slices; all of a file that has to be unpacked."""
        if self.files.unpacks:
            files = len(needed[0]) if self.header.pages == 1 else 1
            return files * self.header.size if len(needed[0]) and len(needed[1]) else 0
        return len(needed[0]) * len(needed[1]) * self.shape[2] * self.dtype.itemsize

    def pieces(self, needed: Sequence[Rows]) -> npt.NDArray[np.intp]:
        return np.asarray(needed[0])

    def auto_chunks(self, choices: Sequence[Choice], budget: int) -> Mapping[int, Any]:
        """As many whole slices as a task can read; of one that is too big, whole strips."""
        rows = 1 if isinstance(choices[1], int) else len(choices[1])
        a_row = self.shape[2] * self.dtype.itemsize
        a_slice = max(1, (self.shape[1] if self.files.unpacks else rows) * a_row)
        if a_slice <= budget or self.files.unpacks:
            return {0: max(1, budget // a_slice)}
        return {0: 1, 1: self._bands_of(choices[1], max(1, budget // a_row))}

    def _bands_of(self, choice: Choice, height: int) -> Any:
        """Sizes of bands of rows, cut where strips are, so that none is decoded twice."""
        together = self._together
        needed, _ = ascending(choice)
        if together == 1 or not isinstance(choice, range):
            return max(height, together)
        borders = [*first_rows(needed, max(1, height // together) * together), len(needed)]
        sizes = tuple(np.diff(borders).tolist())
        return sizes if choice.step > 0 else sizes[::-1]

    def levels(self) -> Sequence[PlacedArray]:
        return ()

    def places(self, slices: npt.NDArray[np.intp]) -> list[int]:
        """File, or page of the one file, of each grid position; -1 where it is missing."""
        places = slices
        if self.header.pages == 1:
            places = np.searchsorted(self.files.positions, slices)
            places = np.where(self.files.positions[places] == slices, places, -1)
        listed: list[int] = places.tolist()
        return listed
