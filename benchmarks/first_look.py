"""Opening a stack and looking at its planes: brainxr beside the tutorial's way.

    python benchmarks/first_look.py FOLDER [REPEATS]

Every repeat runs all rows one after the other, so that what else the machine does
meets all of them alike; printed are medians and ratios of medians. The page cache
is warm. Bytes are those that the kernel counts as read (Linux).

"tutorial" is the first script of napari's dask tutorial (a delayed
``skimage.io.imread`` for each file, stacked), with the dtype taken from the first
file instead of the ``float64`` that it declares. "limit" is ``preadv`` of the same
rows into one reused buffer, by a single thread.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from glob import glob
from typing import Any

import dask
import dask.array as da
import numpy as np
import skimage.io
import xarray as xr

import brainxr
from brainxr.slices import find_slices
from brainxr.tiff import read_header


def tutorial(folder: str) -> da.Array:
    names = sorted(glob(os.path.join(folder, "*.tif*")))
    sample = skimage.io.imread(names[0])
    lazy = [dask.delayed(skimage.io.imread)(name) for name in names]
    return da.stack([da.from_delayed(one, sample.shape, sample.dtype) for one in lazy])


class Limit:
    """The stack read with bare system calls."""

    def __init__(self, folder: str) -> None:
        files = find_slices(folder)
        header = read_header(files.path(0))
        assert header.strips is not None
        self.paths = [files.path(i) for i in range(len(files))]
        self.offset = int(header.strips.offsets[0, 0])
        self.row = header.strips.row_bytes
        self.shape = (len(files), *header.shape)
        self.buffer = np.empty(header.shape[0] * self.row, np.uint8)

    def rows(self, paths: list[str], first: int, count: int) -> None:
        for path in paths:
            descriptor = os.open(path, os.O_RDONLY)
            os.preadv(descriptor, [self.buffer[: count * self.row]], self.offset + first * self.row)
            os.close(descriptor)


def rows_to_time(folder: str) -> dict[str, dict[str, Callable[[], Any]]]:
    limit = Limit(folder)
    depth, height, width = limit.shape
    z, y, x = depth // 2, height // 2, width // 2
    ours, theirs = brainxr.open(folder), tutorial(folder)
    no_dask = brainxr.open(folder, chunks=None)

    def planes(data: xr.DataArray) -> tuple[Callable[[], Any], ...]:
        return (
            lambda: data.isel(z=z).values,
            lambda: data.isel(y=y).values,
            lambda: data.isel(x=x).values,
        )

    def table(*functions: Callable[[], Any]) -> dict[str, Callable[[], Any]]:
        names = ("limit", "brainxr, chunks=None", "brainxr, dask", "tutorial")
        return dict(zip(names, functions, strict=True))

    a, b = planes(no_dask), planes(ours)
    return {
        "open": table(
            lambda: sorted(os.listdir(folder)),
            lambda: brainxr.open(folder, chunks=None),
            lambda: brainxr.open(folder),
            lambda: tutorial(folder),
        ),
        "axial plane": table(
            lambda: limit.rows(limit.paths[z : z + 1], 0, height),
            a[0], b[0], lambda: theirs[z].compute(),
        ),
        "coronal plane": table(
            lambda: limit.rows(limit.paths, y, 1), a[1], b[1], lambda: theirs[:, y].compute()
        ),
        "sagittal plane": table(
            lambda: limit.rows(limit.paths, 0, height),
            a[2], b[2], lambda: theirs[:, :, x].compute(),
        ),
    }  # fmt: skip


def bytes_read() -> int:
    with open("/proc/self/io") as counters:
        return int(counters.readline().split()[1])


def main(folder: str, repeats: int = 5) -> None:
    table = rows_to_time(folder)
    seconds: dict[tuple[str, str], list[float]] = {}
    read: dict[tuple[str, str], int] = {}
    for repeat in range(repeats + 1):  # the first one warms up
        for row, ways in table.items():
            for way, function in ways.items():
                before, start = bytes_read(), time.perf_counter()
                function()
                taken = time.perf_counter() - start
                read[row, way] = bytes_read() - before
                if repeat:
                    seconds.setdefault((row, way), []).append(taken)
    print(f"{'':16}{'':24}{'median ms':>10}{'x limit':>9}{'MB read':>10}")
    for (row, way), taken in seconds.items():
        middle = statistics.median(taken)
        ratio = middle / statistics.median(seconds[row, "limit"])
        print(f"{row:16}{way:24}{1e3 * middle:10.2f}{ratio:9.1f}{read[row, way] / 1e6:10.2f}")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
