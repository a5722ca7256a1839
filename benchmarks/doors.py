"""What is asked of a volume, through each of brainxr's doors, and what has to come of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import numpy as np

import brainxr
from benchmarks import oracle
from benchmarks.limits import Key
from benchmarks.stacks import Stacks
from benchmarks.way import Check, Timed

ALL = slice(None)
DOORS = ("dask", "chunks=None", "napari")
PLANES = ("axial plane", "coronal plane", "sagittal plane")
REDUCTIONS = ('max("z")', 'mean("z")', "mean()", "std()", "histogram")
# what is computed voxel by voxel before it is reduced, and so goes through dask's chunks
COMPUTATIONS = ("where(v > 100).mean()", '(v - mean("z")).std()', '(v // 2).max("z")')


def selections(stacks: Stacks, stack: str) -> dict[str, Key]:
    """Index of every selection from a stack."""
    depth, height, width = stacks.shape(stack)
    box = stacks.size.box
    z, y, x = depth // 2, height // 2, width // 2
    # the box and its middle stay where they are in a stack of ten times the slices
    near = max(0, min(depth, stacks.size.slices) // 2 - box // 2)
    return {
        "axial plane": (z, ALL, ALL),
        "coronal plane": (ALL, y, ALL),
        "sagittal plane": (ALL, ALL, x),
        f"{box}³ box": (_from(near, box), _from(y - box // 2, box), _from(x - box // 2, box)),
        "[::8, ::8, ::8]": (slice(None, None, 8),) * 3,
        "line along z": (ALL, y, x),
    }


def _from(first: int, count: int) -> slice:
    return slice(first, first + count)


def checker(stacks: Stacks, stack: str, work: str) -> Check:
    """Compares with numpy on what tifffile reads."""
    wanted = _expected(stacks, stack)[work]
    return lambda result: oracle.difference(result, wanted)


@cache
def _expected(stacks: Stacks, stack: str) -> Mapping[str, Any]:
    keys = selections(stacks, stack)
    return oracle.expected(stacks.path(stack), keys, (*REDUCTIONS, *COMPUTATIONS))


def opening(door: str, folder: str) -> Timed:
    """The function that opens a folder."""
    return partial(brainxr.open, folder, chunks=None if door == "chunks=None" else "auto")


@cache
def _opened(door: str, folder: str) -> Any:
    if door == "napari":
        from brainxr.viewing.layers import layer_of

        # what a layer of napari holds and indexes; of a store the finest level
        shown: Any = layer_of(brainxr.open(folder), contrast_limits=(0, 1))[0]
        return shown[0] if isinstance(shown, list) else shown
    return opening(door, folder)()


def doing(door: str, folder: str, work: str, key: Key | None) -> Timed:
    """The function that selects from what was opened, or reduces it."""
    data = _opened(door, folder)
    if key is None:
        return partial(_reduce_volume, data, work)
    if door == "napari":
        return lambda: np.asarray(data[key])
    return lambda: data[key].values


def _reduce_volume(vol: Any, work: str) -> Any:
    if work == "histogram":
        counts: Any = np.histogram(vol.data, oracle.LEVELS, (0, oracle.LEVELS))[0]
        return counts.compute()
    return _reduced(vol, work).values


def _reduced(vol: Any, work: str) -> Any:
    return {
        'max("z")': lambda: vol.max("z"),
        'mean("z")': lambda: vol.mean("z"),
        "mean()": lambda: vol.mean(),
        "std()": lambda: vol.std(),
        "where(v > 100).mean()": lambda: vol.where(vol > 100).mean(),
        '(v - mean("z")).std()': lambda: (vol - vol.mean("z")).std(),
        '(v // 2).max("z")': lambda: (vol // 2).max("z"),
    }[work]()
