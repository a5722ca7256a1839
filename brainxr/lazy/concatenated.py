"""Several sources one behind the other, such as the files of one acquisition."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from brainxr.files.fingerprint import digest_of
from brainxr.files.rows import Rows
from brainxr.lazy.lazyarray import Choice, PlacedArray, Source


@dataclass(frozen=True)
class ConcatenatedSource:
    """The voxels of several sources of one kind, concatenated along their first axis.

    Attributes
    ----------
    parts : tuple of Source
        With the same axes, dtype, and sizes along all axes but the first.
    place : str
        Folder that has them in it.
    identity : str
        Different for every one that is opened.
    """

    parts: tuple[Source, ...]
    place: str
    identity: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def axes(self) -> tuple[str, ...]:
        return self.parts[0].axes

    @property
    def shape(self) -> tuple[int, ...]:
        return self._starts[-1], *self.parts[0].shape[1:]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.parts[0].dtype

    @property
    def grain(self) -> tuple[int, ...]:
        return self.parts[0].grain

    @property
    def speed(self) -> float:
        return min(part.speed for part in self.parts)

    @property
    def piece(self) -> str:
        return self.parts[0].piece

    @property
    def present(self) -> npt.NDArray[np.int64]:
        """Places along the stacked axis at which there is a slice: all of them."""
        return np.arange(self.shape[0])

    @property
    def _starts(self) -> list[int]:
        """Place of the first voxel of each part along the first axis; last, the length of all."""
        return list(itertools.accumulate((part.shape[0] for part in self.parts), initial=0))

    def _cut(self, needed: Sequence[Rows]) -> Iterator[tuple[Source, int, slice, list[Rows]]]:
        """For each part that is needed: it, where it starts, which of the places are in it."""
        places = needed[0] if isinstance(needed[0], range) else np.asarray(needed[0])
        borders = np.searchsorted(np.asarray(places), self._starts).tolist()
        for part, start, low, high in zip(
            self.parts, self._starts[:-1], borders[:-1], borders[1:], strict=True
        ):
            if high > low:
                inside = slice(low, high)
                yield part, start, inside, [_moved(places[inside], -start), *needed[1:]]

    def read(self, needed: Sequence[Rows], out: npt.NDArray[Any]) -> None:
        """Read a box, part by part."""
        for part, _, inside, rows in self._cut(needed):
            part.read(rows, out[inside])

    def read_points(self, places: Sequence[npt.NDArray[np.intp]]) -> npt.NDArray[Any]:
        """Read scattered voxels, part by part."""
        values = np.empty(places[0].size, self.dtype)
        number = np.searchsorted(self._starts, places[0], side="right") - 1
        for i in np.unique(number):
            here = np.flatnonzero(number == i)
            first, *others = (axis[here] for axis in places)
            values[here] = self.parts[i].read_points([first - self._starts[i], *others])
        return values

    def blocks(
        self, needed: Sequence[Rows]
    ) -> Iterator[tuple[tuple[slice, ...], npt.NDArray[Any]]]:
        """Read block by block, the parts one after the other."""
        for part, _, inside, rows in self._cut(needed):
            for (first, *others), block in part.blocks(rows):
                start = inside.start + (first.start or 0)
                yield (slice(start, start + block.shape[0]), *others), block

    def bytes_to_read(self, needed: Sequence[Rows]) -> int:
        return sum(part.bytes_to_read(rows) for part, _, _, rows in self._cut(needed))

    def pieces(self, needed: Sequence[Rows]) -> npt.NDArray[np.intp]:
        found = [start + part.pieces(rows) for part, start, _, rows in self._cut(needed)]
        return np.concatenate(found) if found else np.empty(0, np.intp)

    def auto_chunks(self, choices: Sequence[Choice], budget: int) -> Mapping[int, Any]:
        return self.parts[0].auto_chunks(choices, budget)

    def levels(self) -> Sequence[PlacedArray]:
        return ()

    def fingerprint(self, needed: Sequence[Rows]) -> str:
        return digest_of([part.fingerprint(rows) for part, _, _, rows in self._cut(needed)])

    def __str__(self) -> str:
        return f"{len(self.parts)} files in {self.place!r}"


def _moved(places: Rows, by: int) -> Rows:
    if isinstance(places, range):
        return range(places.start + by, places.stop + by, places.step)
    return places + by
