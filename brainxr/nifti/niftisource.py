"""The voxels of a NIfTI file as a source: rows one behind the other, from one place on."""

from __future__ import annotations

import math
import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from brainxr.errors import SliceReadError, VolumeReadError
from brainxr.files.fingerprint import fingerprint_of
from brainxr.files.pool import run_all, workers
from brainxr.files.rows import Fill, Rows, Strips, Window, fill_rows
from brainxr.files.unpacked import FileBytes, GzippedFile, PlainFile, has_index
from brainxr.lazy.lazyarray import Choice, PlacedArray
from brainxr.stores.chunks import spans

# Bytes that are read in one go, and of a block: as for stacks (`stacksource`).
GROUP_BYTES, BLOCK_BYTES = 16 << 20, 1 << 19

# Bytes of a chunk at least, where each is unpacked from the beginning of the file.
FROM_START_BYTES = 128 << 20

# Bytes a second: from a warm cache, and unpacked.
READ_BYTES, UNPACKED_BYTES = 4e9, 2e8


@dataclass(frozen=True)
class NiftiSource:
    """The voxels of one file where they are stored, along axes that run upwards.

    Attributes
    ----------
    path : str
    axes : tuple of str
        From the slowest to the fastest: those of the file, reversed.
    shape : tuple of int
    stored : numpy.dtype
        As in the file, byte order included.
    dtype : numpy.dtype
        Of the values: of scaled ones a float, else as stored, in the machine's byte order.
    offset : int
        Bytes before the first voxel.
    slope, inter : float
        A value is ``slope * stored + inter``.
    falling : tuple of str
        Axes along which the file runs downwards.
    is_gzipped : bool
    opened_at : int
        Nanoseconds since the epoch; a file that was changed later is refused.
    identity : str
    """

    path: str
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    stored: np.dtype[Any]
    dtype: np.dtype[Any]
    offset: int
    slope: float = 1.0
    inter: float = 0.0
    falling: tuple[str, ...] = ()
    is_gzipped: bool = False
    opened_at: int = field(default_factory=time.time_ns)
    identity: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def grain(self) -> tuple[int, ...]:
        return (*(1 for _ in self.shape[:-1]), self.shape[-1])

    @property
    def speed(self) -> float:
        return UNPACKED_BYTES if self.is_gzipped else READ_BYTES

    @property
    def piece(self) -> str:
        return "slice"

    @property
    def place(self) -> str:
        return self.path

    @cached_property
    def file(self) -> FileBytes:
        kind = GzippedFile if self.is_gzipped else PlainFile
        return kind(self.path, self.opened_at)

    @cached_property
    def strips(self) -> Strips:
        """All rows of the file as one page."""
        first = np.array([[self.offset]], np.int64)
        return Strips(first, math.prod(self.shape[:-1]), self.shape[-1], self.stored)

    def __getstate__(self) -> dict[str, Any]:  # an index of a packed file is its own process's
        return {n: v for n, v in self.__dict__.items() if n not in ("file", "strips")}

    def fingerprint(self, needed: Sequence[Rows]) -> str:
        return fingerprint_of([os.path.basename(self.path)], [self.path])

    def __str__(self) -> str:
        return repr(self.path)

    # --- reading ---

    def read(self, needed: Sequence[Rows], out: npt.NDArray[Any]) -> None:
        """Read a part; the values are scaled where the header says so."""
        if out.size:
            with _named(self.path), self.file.opened() as fill:
                self._read(fill, needed, out)

    def read_points(self, places: Sequence[npt.NDArray[np.intp]]) -> npt.NDArray[Any]:
        """Read scattered voxels: the rows they are in, from the first column to the last."""
        row_of, columns = np.ravel_multi_index(places[:-1], self.shape[:-1]), places[-1]
        values = np.empty(row_of.size, self.dtype)
        by_row = np.argsort(row_of, kind="stable")
        borders = np.flatnonzero(np.diff(row_of[by_row])) + 1
        with _named(self.path), self.file.opened() as fill:
            for here in np.split(by_row, borders):
                low, high = int(columns[here].min()), int(columns[here].max())
                needed = [range(p[here[0]], p[here[0]] + 1) for p in places[:-1]]
                row = np.empty([1] * len(needed) + [high + 1 - low], self.dtype)
                self._read(fill, [*needed, range(low, high + 1)], row)
                values[here] = row.ravel()[columns[here] - low]
        return values

    def blocks(
        self, needed: Sequence[Rows]
    ) -> Iterator[tuple[tuple[slice, ...], npt.NDArray[Any]]]:
        """Read boxes of whole rows, in the order in which they are stored."""
        sizes = self._box(needed)
        cuts = [spans(range(len(r)), n) for r, n in zip(needed, sizes, strict=True)]
        with _named(self.path), self.file.opened() as fill:
            for cut in product(*cuts):
                where = tuple(span.outside for span in cut)
                part = [rows[w] for rows, w in zip(needed, where, strict=True)]
                block = np.empty([len(p) for p in part], self.dtype)
                self._read(fill, part, block)
                yield where, block

    def _box(self, needed: Sequence[Rows]) -> list[int]:
        """Shape of a block, longest along the last axes."""
        room = max(1, BLOCK_BYTES // self.dtype.itemsize)
        sizes = []
        for rows in reversed(needed):
            sizes.append(max(1, min(len(rows), room)))
            room //= sizes[-1]
        return [*reversed([len(needed[-1]), *sizes[1:]])]

    def _read(self, fill: Fill, needed: Sequence[Rows], out: npt.NDArray[Any]) -> None:
        falls = [dim in self.falling for dim in self.axes]
        turned = tuple(slice(None, None, -1) if fall else slice(None) for fall in falls)
        is_scaled = (self.slope, self.inter) != (1.0, 0.0)
        raw = out
        if is_scaled or any(falls):
            raw = np.empty(out.shape, self.stored.newbyteorder("="))
        in_file = [
            _downwards(rows, n) if fall else rows
            for rows, n, fall in zip(needed, self.shape, falls, strict=True)
        ]
        self._read_rows(fill, in_file, raw)
        if is_scaled:
            self._scale(raw[turned], out)
        elif raw is not out:
            out[...] = raw[turned]

    def _read_rows(self, fill: Fill, needed: Sequence[Rows], raw: npt.NDArray[Any]) -> None:
        """Read as stored, in groups of rows; of a plain file several at a time."""
        rows = _row_numbers(needed[:-1], self.shape[:-1])
        columns = needed[-1]
        target = raw.reshape(len(rows), len(columns))
        height = max(1, GROUP_BYTES // self.strips.row_bytes)
        groups = [slice(i, i + height) for i in range(0, len(rows), height)]

        def read(group: slice) -> None:
            window = Window(_as_range(rows[group]), columns)
            fill_rows(fill, self.strips, 0, window, target[group])

        if self.is_gzipped or workers() == 1:
            for group in groups:
                read(group)
        else:
            run_all(read, groups)

    def _scale(self, raw: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
        """As nibabel does it, step by step, so that the values are the same to the last bit."""
        out[...] = raw
        if self.slope != 1.0:
            out *= self.slope
        if self.inter != 0.0:
            out += self.inter

    # --- what it costs ---

    def bytes_to_read(self, needed: Sequence[Rows]) -> int:
        """Bytes of the rows; of a packed file without an index, all before the last of them."""
        counts = [len(rows) for rows in needed[:-1]]
        if not self.is_gzipped or has_index() or 0 in counts:
            return math.prod(counts) * self.strips.row_bytes
        in_file = [
            n - 1 - rows[0] if dim in self.falling else rows[-1]
            for dim, n, rows in zip(self.axes, self.shape, needed[:-1], strict=False)
        ]
        last = int(np.ravel_multi_index(tuple(map(int, in_file)), self.shape[:-1]))
        return self.offset + (last + 1) * self.strips.row_bytes

    def pieces(self, needed: Sequence[Rows]) -> npt.NDArray[np.intp]:
        """Numbers of the slices, along the slowest axes."""
        return np.asarray(_row_numbers(needed[:-2], self.shape[:-2]))

    def auto_chunks(self, choices: Sequence[Choice], budget: int) -> Mapping[int, Any]:
        """As many whole slices as a task can read; of one that is too big, rows."""
        itemsize = max(self.dtype.itemsize, self.stored.itemsize)
        if self.is_gzipped and not has_index():
            budget = max(budget, FROM_START_BYTES)
        room = budget // (self.shape[-1] * itemsize)
        chunks: dict[int, Any] = {}
        for axis in reversed(range(len(choices) - 1)):
            choice = choices[axis]
            if not isinstance(choice, int):
                chunks[axis] = max(1, min(room, len(choice)))
                room //= max(1, len(choice))
        return chunks

    def levels(self) -> Sequence[PlacedArray]:
        return ()


@contextmanager
def _named(path: str) -> Iterator[None]:
    """Errors of whatever reads and unpacks, with the name of the file."""
    try:
        yield
    except (VolumeReadError, MemoryError):
        raise
    except SliceReadError as error:  # of the rows: the file is too short
        raise VolumeReadError(str(error)) from error
    except Exception as error:
        raise VolumeReadError(
            f"{path!r} can't be read ({type(error).__name__}: {error}). Restore it from its source."
        ) from error


def _downwards(rows: Rows, size: int) -> Rows:
    """The same places counted from the other end, in increasing order."""
    if isinstance(rows, range):
        return range(size - 1 - rows[-1], size - rows[0], rows.step) if rows else rows
    return size - 1 - rows[::-1]


def _row_numbers(needed: Sequence[Rows], shape: Sequence[int]) -> npt.NDArray[np.intp]:
    """Numbers of rows in C order, of the places along each axis before the last."""
    if not needed:
        return np.zeros(1, np.intp)
    numbers = np.zeros(1, np.intp)
    for rows, size in zip(needed, shape, strict=True):
        numbers = np.add.outer(numbers * size, np.asarray(rows, np.intp)).ravel()
    return numbers


def _as_range(rows: npt.NDArray[np.intp]) -> Rows:
    """Neighbouring rows as a range, whose stretches are planned at once."""
    first, last = int(rows[0]), int(rows[-1])
    return range(first, last + 1) if last - first + 1 == len(rows) else rows
