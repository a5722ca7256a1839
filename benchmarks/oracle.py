"""What every result has to be: numpy on what tifffile reads, one slice after another.

A stack of many hard links holds few different files; each of those is read once.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from benchmarks import limits
from benchmarks.limits import Key
from benchmarks.stacks import paths_of

Array = npt.NDArray[Any]
LEVELS = 256  # of the phantom, which is uint8


def expected(folder: str, keys: Mapping[str, Key], reductions: Iterable[str]) -> dict[str, Array]:
    """Results by name of the selections and of the reductions that are asked for.

    Reads every file once with `tifffile.imread`, which takes seconds for gigabytes.
    """
    paths = paths_of(folder)
    files, depth = _distinct(paths), len(paths)
    wanted = {name: set(limits.need(key, (depth, 1, 1)).slices) for name, key in keys.items()}
    parts: dict[str, dict[int, Array]] = {name: {} for name in keys}
    totals = _Totals() if reductions else None
    for path, positions in files:
        image = tifffile.imread(path)
        if totals is not None:
            totals.add(image, len(positions))
        for name, key in keys.items():
            for position in wanted[name].intersection(positions):
                parts[name][position] = image[key[1:]].copy()  # a view would keep the image
    found = {name: _assembled(parts[name], keys[name], depth) for name in keys}
    return found | {name: totals.result(name) for name in reductions if totals is not None}


def _distinct(paths: list[str]) -> list[tuple[str, list[int]]]:
    """Each file once, and the positions at which it is a slice."""
    found: dict[tuple[int, int], tuple[str, list[int]]] = {}
    for position, path in enumerate(paths):
        status = os.stat(path)
        found.setdefault((status.st_dev, status.st_ino), (path, []))[1].append(position)
    return list(found.values())


def _assembled(parts: dict[int, Array], key: Key, depth: int) -> Array:
    if isinstance(key[0], int):
        return parts[key[0]]
    return np.stack([parts[position] for position in range(depth)[key[0]]])


class _Totals:
    """Sums that are exact, from which every reduction follows."""

    def __init__(self) -> None:
        self.largest: Any = 0
        self.sum: Any = 0
        self.slices = 0
        self.histogram = np.zeros(LEVELS, np.int64)

    def add(self, image: Array, times: int) -> None:
        self.largest = np.maximum(self.largest, image).astype(image.dtype)
        self.sum = self.sum + image.astype(np.uint32) * np.uint32(times)
        self.slices += times
        self.histogram += times * np.bincount(image.ravel(), minlength=LEVELS)

    def result(self, name: str) -> Array:
        values, count = np.arange(LEVELS), int(self.histogram.sum())
        # Python's own integers: the square of the sum is beyond 64 bits
        total = int((values * self.histogram).sum())
        squares = int((values**2 * self.histogram).sum())
        variance = (squares * count - total**2) / count**2
        means = np.asarray(self.sum / self.slices)
        bright = self.histogram * (values > 100)
        return {
            'max("z")': self.largest,
            'mean("z")': self.sum / self.slices,
            "mean()": np.array(total / count),
            "std()": np.array(math.sqrt(variance)),
            "histogram": self.histogram,
            "where(v > 100).mean()": np.array((values * bright).sum() / bright.sum()),
            '(v - mean("z")).std()': np.array(math.sqrt(squares / count - (means**2).mean())),
            '(v // 2).max("z")': self.largest // 2,
        }[name]


def difference(found: Any, wanted: Array) -> str | None:
    """How a result differs from what it has to be, in words; None where it is right."""
    found = np.asarray(found)
    if found.shape != wanted.shape:
        return f"wrong shape {found.shape}, expected {wanted.shape}"
    if wanted.dtype.kind in "iu" and found.dtype.kind not in "iu":
        return f"wrong dtype {found.dtype}, expected {wanted.dtype}"
    if wanted.dtype.kind == "f":
        wrong = ~np.isclose(found, wanted, rtol=1e-6, atol=0)
    else:
        wrong = found != wanted
    return f"{int(wrong.sum())} of {wanted.size} values are wrong" if wrong.any() else None
