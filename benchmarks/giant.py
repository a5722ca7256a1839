"""A stack bigger than any disk here: a folder of slices whose pixels are made of their places.

    folder of 100,000 links to a file without blocks ── brainxr.open ──▶ volume ── giant ──▶ volume

Only what reads pixels is replaced: listing, header, names, coordinates, chunks, folds and
graphs are those of a folder of so many slices.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
import xarray as xr

import brainxr
from brainxr.files.rows import Rows
from brainxr.lazy.daskarray import StackDaskArray
from brainxr.stacks.reader import SliceReader
from brainxr.stacks.stacksource import StackSource

# 180 TB: more than a whole human brain at 2 µm.
GIANT = (100_000, 30_000, 30_000)

# More links than this a file can't have on ext4.
LINKS = 60_000


def value_at(z: Any, y: Any, x: Any) -> npt.NDArray[np.uint16]:
    """The pixel at a place, by which every result can be checked."""
    return ((np.asarray(z) * 7 + np.asarray(y) * 3 + np.asarray(x)) % 65521).astype(np.uint16)


class MadeReader(SliceReader):
    """Makes pixels where a `SliceReader` reads them."""

    def read(self, places: Sequence[int], rows: Rows, columns: Rows, out: npt.NDArray[Any]) -> None:
        y, x = np.asarray(rows)[:, None], np.asarray(columns)
        for place, target in zip(places, out, strict=True):
            _fill(target, place, y, x)

    @contextmanager
    def opened(self, places: Sequence[int]) -> Iterator[Any]:
        def read(i: int, window: Any, out: npt.NDArray[Any]) -> None:
            y, x = np.asarray(window.rows)[:, None], np.asarray(window.columns)
            _fill(out, places[i], y, x)

        yield read


def _fill(target: npt.NDArray[Any], z: int, y: npt.NDArray[Any], x: npt.NDArray[Any]) -> None:
    for first in range(0, len(y), 256):  # what is in between fits in the cache
        target[first : first + 256] = value_at(z, y[first : first + 256], x)


class MadeSource(StackSource):
    """The voxels of a stack that nobody has to store."""

    @cached_property
    def reader(self) -> SliceReader:
        return MadeReader(self.files, self.header, self.opened_at)

    def __reduce__(self) -> Any:
        return MadeSource, super().__reduce__()[1]


def make_folder(folder: Path, shape: Sequence[int] = GIANT) -> Path:
    """A folder of slices that take no room: links to files of which only the header is there."""
    folder.mkdir(parents=True)
    for number in range(shape[0]):
        path = folder / f"slice_{number:06d}.tif"
        if number % LINKS == 0:
            # shape and type instead of an image: what is never written takes no room
            tifffile.imwrite(path, shape=tuple(shape[1:]), dtype=np.uint16)
            first = path
        else:
            os.link(first, path)
    return folder


def opened(folder: Path, **options: Any) -> xr.DataArray:
    """The folder as `brainxr.open` opens it, with pixels that are made of their places."""
    volume = brainxr.open(folder, spacing=1, **options)
    data: Any = volume.data
    real = data.stack.source
    made = MadeSource(real.files, real.header, real.axes, real.opened_at, real.identity)
    return volume.copy(data=StackDaskArray(replace(data.stack, source=made), data.rule))
