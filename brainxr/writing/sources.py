"""What a volume is read from: parts of stacks and stores, their places, and a token of them."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import xarray as xr
from dask.base import tokenize

from brainxr.cluster import told_by_worker
from brainxr.errors import StoreError
from brainxr.lazy.lazyarray import StackArray
from brainxr.stores.zarrstore import Location


def parts_read(data: xr.DataArray, source: StackArray | None) -> list[StackArray]:
    """The parts of stacks and stores that are read for it.

    Parameters
    ----------
    data : xarray.DataArray
    source : StackArray or None
        What `backend.stack_of` says of it.
    """
    if source is not None:
        return [source]
    if data.chunks is None:
        return []
    from brainxr.lazy.daskarray import stacks_read

    return stacks_read(data.data)


def places_read(data: xr.DataArray, source: StackArray | None) -> list[str]:
    """Folders, files and URLs that it is read from."""
    return sorted({part.source.place for part in parts_read(data, source)})


def token_of(data: xr.DataArray, source: StackArray | None) -> str:
    """Of files which part of them; of what was computed how; of values themselves."""
    if source is None:
        return tokenize(data.variable._data)
    choices = [list(map(int, np.atleast_1d(choice))) for choice in source.choices]
    return tokenize(source.source.shape, str(source.dtype), choices, source.order)


def part_at(source: StackArray | None, place: tuple[slice, ...]) -> StackArray:
    """The part of a source that a task reads."""
    if source is None:
        raise TypeError("The values of what isn't read from files have to be given.")
    return source.select(place)


def fingerprint_at(source: StackArray | None, place: tuple[slice, ...]) -> str:
    """Of the files that a part is read from; empty where it isn't read from files."""
    if source is None:
        return ""
    part = part_at(source, place)
    with told_by_worker(part.source.place):
        return part.source.fingerprint(part.needed)


def refuse_inside(target: Location, places: Sequence[str]) -> None:
    """Refuse a target in the source, which the next opening would find there, or the reverse.

    Raises
    ------
    StoreError
    """
    for place in map(Location.of, places):
        if place.is_local == target.is_local and _are_nested(target, place):
            raise StoreError(
                f"{target.path!r} is inside the source {place.path!r}, or the source inside it. "
                "Name a place beside it."
            )


def _are_nested(one: Location, other: Location) -> bool:
    paths = [os.path.realpath(each.path) if each.is_local else each.path for each in (one, other)]
    shorter, longer = sorted((path + "/" for path in paths), key=len)
    return longer.startswith(shorter)
