"""A source whose stored numbers are calibrated while they are read: offset + slope * number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from brainxr.files.fingerprint import digest_of
from brainxr.files.rows import Rows
from brainxr.lazy.lazyarray import Choice, PlacedArray, Source


@dataclass(frozen=True)
class ScaledSource:
    """Values of another source, scaled.

    Attributes
    ----------
    stored : Source
        Of integers.
    slope, offset : float
    """

    stored: Source
    slope: float
    offset: float

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest integers that hold the results, where these are whole; else float32.

        Numbers of more than 16 bits become float64.
        """
        if float(self.slope).is_integer() and float(self.offset).is_integer():
            bounds = np.iinfo(self.stored.dtype)
            ends = [
                int(self.offset) + int(self.slope) * int(end) for end in (bounds.min, bounds.max)
            ]
            for size in (1, 2, 4, 8):
                whole = np.iinfo(f"i{size}")
                if whole.min <= min(ends) and max(ends) <= whole.max:
                    return np.dtype(f"i{size}")
        return np.dtype("f4" if self.stored.dtype.itemsize <= 2 else "f8")

    def _scaled(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        kind = np.int64 if self.dtype.kind == "i" else np.float64
        return (values.astype(kind) * kind(self.slope) + kind(self.offset)).astype(self.dtype)

    def read(self, needed: Sequence[Rows], out: npt.NDArray[Any]) -> None:
        """Read a box and scale it."""
        values = np.empty(out.shape, self.stored.dtype)
        self.stored.read(needed, values)
        out[...] = self._scaled(values)

    def read_points(self, places: Sequence[npt.NDArray[np.intp]]) -> npt.NDArray[Any]:
        """Read scattered voxels and scale them."""
        return self._scaled(self.stored.read_points(places))

    def blocks(
        self, needed: Sequence[Rows]
    ) -> Iterator[tuple[tuple[slice, ...], npt.NDArray[Any]]]:
        """Read block by block, each scaled."""
        for where, block in self.stored.blocks(needed):
            yield where, self._scaled(block)

    def fingerprint(self, needed: Sequence[Rows]) -> str:
        return digest_of([self.stored.fingerprint(needed), self.slope, self.offset])

    def levels(self) -> Sequence[PlacedArray]:
        return ()

    # --- as of what is stored -----------------------------------------------------

    @property
    def axes(self) -> tuple[str, ...]:
        return self.stored.axes

    @property
    def identity(self) -> str:
        return f"{self.stored.identity} * {self.slope} + {self.offset}"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.stored.shape

    @property
    def grain(self) -> tuple[int, ...]:
        return self.stored.grain

    @property
    def speed(self) -> float:
        return self.stored.speed

    @property
    def piece(self) -> str:
        return self.stored.piece

    @property
    def place(self) -> str:
        return self.stored.place

    @property
    def present(self) -> npt.NDArray[np.int64]:
        found: npt.NDArray[np.int64] = self.stored.present  # type: ignore[attr-defined]
        return found

    def bytes_to_read(self, needed: Sequence[Rows]) -> int:
        return self.stored.bytes_to_read(needed)

    def pieces(self, needed: Sequence[Rows]) -> npt.NDArray[np.intp]:
        return self.stored.pieces(needed)

    def auto_chunks(self, choices: Sequence[Choice], budget: int) -> Mapping[int, Any]:
        # the budget is for the values, which are wider than what is stored
        stored = self.stored.dtype.itemsize
        return self.stored.auto_chunks(choices, budget * stored // max(stored, self.dtype.itemsize))

    def __str__(self) -> str:
        return str(self.stored)
