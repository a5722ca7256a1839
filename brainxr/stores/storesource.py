"""A level of a store as a source of voxels: which chunks, and who reads them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from brainxr.errors import StoreReadError
from brainxr.files.fingerprint import fingerprint_of
from brainxr.files.rows import Rows
from brainxr.geometry import units as u
from brainxr.lazy.lazyarray import PlacedArray
from brainxr.stores.chunkedsource import ChunkedSource
from brainxr.stores.chunkreader import RESTORE, ChunkReader, DamagedChunk
from brainxr.stores.chunks import ChunkLayout, Span, spans
from brainxr.stores.zarrstore import ZarrReader

# Bytes a second, decoded: by ourselves where nothing or Blosc has to be undone, by other
# decoders, and over a network.
FAST_BYTES, DECODED_BYTES, REMOTE_BYTES = 3e9, 5e8, 2e7


class Reader(Protocol):
    """Who reads the chunks."""

    def read(self, needed: Sequence[Rows], out: npt.NDArray[Any]) -> None: ...


class Pyramid(Protocol):
    """An image of several levels."""

    def placed(self) -> Sequence[PlacedArray]:
        """Every level, finest first."""


@dataclass(frozen=True)
class StoreSource(ChunkedSource):
    """The voxels of one level where they are stored.

    Attributes
    ----------
    location, axes, shape, chunks, dtype, opened_at, identity
        As in `ChunkedSource`; the location is that of the array.
    layout : ChunkLayout or None
        Of arrays that are read without zarr-python.
    spacing, origin : mapping of str to float
        In µm, to say where a chunk is that can't be read.
    every_shard : bool
        Whether a file that is missing is a loss.
    pyramid : Pyramid or None
        The image of which this is a level.
    """

    layout: ChunkLayout | None = None
    spacing: Mapping[str, float] = field(default_factory=dict)
    origin: Mapping[str, float] = field(default_factory=dict)
    every_shard: bool = False
    pyramid: Pyramid | None = None

    @property
    def speed(self) -> float:
        if not self.location.is_local:
            return REMOTE_BYTES
        fast = self.layout is not None and self.layout.codec.compressor in (None, "blosc")
        return FAST_BYTES if fast else DECODED_BYTES

    @cached_property
    def reader(self) -> Reader:
        if self.layout is None or not self.location.is_local:
            return ZarrReader(self.location)
        return ChunkReader(self.location.path, self.layout, self.opened_at, self.every_shard)

    def __getstate__(self) -> dict[str, Any]:  # what a reader remembers is its own process's
        return {name: value for name, value in self.__dict__.items() if name != "reader"}

    def fingerprint(self, needed: Sequence[Rows]) -> str:
        """Of all its files, as many as there may be for each place."""
        if not self.location.is_local:
            return self.identity  # what is far away can't be asked what it was
        names = sorted(
            os.path.relpath(os.path.join(folder, name), self.place)
            for folder, _, files in os.walk(self.place)
            for name in files
        )
        return fingerprint_of(names, [os.path.join(self.place, name) for name in names])

    def __str__(self) -> str:
        return repr(self.location.path)

    # --- reading ---

    def read(self, needed: Sequence[Rows], out: npt.NDArray[Any]) -> None:
        """Read a part; chunks that were never written are the fill value."""
        if out.size:
            try:
                self.reader.read(needed, out)
            except DamagedChunk as error:
                raise StoreReadError(self._damaged(*error.args)) from error
            except Exception as error:
                self._name_damaged(needed, error)
                raise
            if isinstance(self.reader, ZarrReader):
                self._refuse_lost(needed, out)

    def read_points(self, places: Sequence[npt.NDArray[np.intp]]) -> npt.NDArray[Any]:
        """Read scattered voxels, chunk by chunk: of each the box around those in it."""
        chunk = np.stack([p // n for p, n in zip(places, self.chunks, strict=True)])
        _, inverse = np.unique(chunk, axis=1, return_inverse=True)
        inverse = inverse.ravel()  # numpy 2.0 gives it two axes
        order = np.argsort(inverse, kind="stable")
        borders = np.flatnonzero(np.diff(inverse[order])) + 1
        values = np.empty(places[0].size, self.dtype)
        for here in np.split(order, borders):
            own = [p[here] for p in places]
            needed = [range(int(p.min()), int(p.max()) + 1) for p in own]
            box = np.empty([len(n) for n in needed], self.dtype)
            self.read(needed, box)
            values[here] = box[tuple(p - n.start for p, n in zip(own, needed, strict=True))]
        return values

    def levels(self) -> Sequence[PlacedArray]:
        return () if self.pyramid is None else self.pyramid.placed()

    # --- what can go wrong ---

    def _damaged(self, chunk: tuple[int, ...], path: str, why: str, advice: str = RESTORE) -> str:
        numbers = ", ".join(f"{dim} {n}" for dim, n in zip(self.axes, chunk, strict=True))
        return (
            f"Chunk ({numbers}) of {self.location.path!r} can't be read: {why}. It holds "
            f"{self._extent(chunk)}, in {path!r}. {advice}"
        )

    def _extent(self, chunk: tuple[int, ...]) -> str:
        """Outer edges of a chunk, for people."""
        parts = []
        for dim, number, size, length in zip(
            self.axes, chunk, self.chunks, self.shape, strict=True
        ):
            first, last = number * size, min((number + 1) * size, length) - 1
            if dim not in self.spacing:
                parts.append(f"{dim} {first}" + (f" to {last}" if last > first else ""))
                continue
            step = self.spacing[dim]
            edges = (self.origin[dim] + (place * step) for place in (first - 0.5, last + 0.5))
            low, high = (u.show_micrometers(edge) for edge in edges)
            parts.append(f"{dim} {low} to {high}")
        return ", ".join(parts)

    def _name_damaged(self, needed: Sequence[Rows], error: Exception) -> None:
        """Say which chunk zarr-python could not read: the first that fails by itself."""
        for cut in self._cut(needed):
            part = [rows[span.outside] for rows, span in zip(needed, cut, strict=True)]
            try:
                self.reader.read(part, np.empty([len(p) for p in part], self.dtype))
            except Exception as own:
                why = f"{type(own).__name__}: {self.location.told(own)}"
                chunk = tuple(span.number for span in cut)
                cause = self.location.cause(error)
                raise StoreReadError(self._damaged(chunk, self.location.path, why)) from cause

    def _cut(self, needed: Sequence[Rows]) -> Iterator[tuple[Span, ...]]:
        yield from product(*(spans(r, n) for r, n in zip(needed, self.chunks, strict=True)))

    def _refuse_lost(self, needed: Sequence[Rows], out: npt.NDArray[Any]) -> None:
        """Look for the files of shards of which all that was read is the fill value."""
        layout = self.layout
        if not self.every_shard or layout is None or not isinstance(self.reader, ZarrReader):
            return
        for cut in product(*(spans(r, n) for r, n in zip(needed, layout.shards, strict=True))):
            values = out[tuple(span.outside for span in cut)]
            key = layout.key([span.number for span in cut])
            if (values == layout.fill).all() and not self.reader.has_file(key):
                shard = tuple(
                    span.number * n for span, n in zip(cut, layout.per_shard, strict=True)
                )
                path = f"{self.location.path}/{key}"
                raise StoreReadError(self._damaged(shard, path, "the file is missing"))
