"""Levels beside a stack: coarser ones in a store of their own, the slices left as they are.

    stack ── sidecar ──▶ its place: the cache, or next to the stack
    fingerprint of all slices there = that of the slices now ── find_levels ──▶ path | None
    path, grid of what is shown ── levels_beside ──▶ levels where the stack's voxels are

The store keeps scale factors; where its voxels are is told by the stack as it is opened
now, with whichever spacing and origin.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from brainxr.cache import cache_folder
from brainxr.errors import EmptyStackError, StackError, StoreError
from brainxr.files.urls import is_url
from brainxr.lazy.lazyarray import PlacedArray, Source
from brainxr.stores.omezarr import StoredImage, find_image

SUFFIX = ".levels.ome.zarr"


def sidecar(source: Source, beside: bool = False) -> Path:
    """Where the levels of a stack are, or would be."""
    far = is_url(source.place)
    place = source.place if far else os.path.realpath(source.place)
    if beside and far:
        raise StackError(
            f"Levels can't be written beside {place!r}. Leave out beside: they are kept in the "
            "user's cache, then."
        )
    if beside:
        return Path(_on_disk(place) + SUFFIX)
    digest = hashlib.blake2b(place.encode(), digest_size=8).hexdigest()
    return cache_folder() / "levels" / f"{os.path.basename(place)}-{digest}{SUFFIX}"


def _on_disk(place: str) -> str:
    """The place itself; of a folder in a zip, a name beside the zip."""
    outer = place
    while not os.path.exists(outer) and os.path.dirname(outer) != outer:
        outer = os.path.dirname(outer)
    inner = place[len(outer) :].strip(os.sep)
    return f"{outer}.{inner.replace(os.sep, '.')}" if inner and os.path.isfile(outer) else place


def mark(source: Source, spacing: Mapping[str, float]) -> dict[str, Any]:
    """What is noted of a stack in the store of its levels.

    Costs a look at every file.
    """
    return {"levels_of": _fingerprint(source), "finest_spacing": dict(spacing)}


def find_levels(source: Source, of_labels: bool = False) -> Path | None:
    """Store of the levels of a stack, if it was made of its slices as they are now.

    Costs two looks where there is none; else its metadata, and a look at every file
    (3 µs each).
    """
    found = _find(source)
    if found is None or (of_labels and found.averages):
        return None
    return Path(found.location.path)


def levels_beside(
    source: Source, origin: Mapping[str, float], spacing: Mapping[str, float],
    of_labels: bool = False,
) -> Sequence[PlacedArray]:  # fmt: skip
    """The levels of a stack, on its grid as it is opened.

    Parameters
    ----------
    source : Source
        The stack.
    origin, spacing : mapping of str to float
        Of all its voxels, in µm.
    of_labels : bool
        Leave out levels that are means, which have ids of no region.
    """
    found = _find(source)
    if found is None or (of_labels and found.averages):
        return ()
    noted = _noted(found)["finest_spacing"]
    return [_on_grid(level, noted, origin, spacing) for level in found.placed()]


def _on_grid(
    level: PlacedArray, noted: Mapping[str, float], origin: Mapping[str, float],
    spacing: Mapping[str, float],
) -> PlacedArray:  # fmt: skip
    factors = {dim: step / noted[dim] for dim, step in level.spacing.items()}
    return PlacedArray(
        level.array,
        {dim: origin[dim] + (f - 1) / 2 * spacing[dim] for dim, f in factors.items()},
        {dim: f * spacing[dim] for dim, f in factors.items()},
    )


def _find(source: Source) -> StoredImage | None:
    places = [True, False] if not is_url(source.place) else [False]
    for path in (sidecar(source, beside) for beside in places):
        if not path.is_dir():
            continue
        try:
            found = find_image(path)
        except (EmptyStackError, StoreError):  # damaged: to be made again
            continue
        if _noted(found).get("levels_of") == _fingerprint(source):
            return found
    return None


def _noted(found: StoredImage) -> Mapping[str, Any]:
    return {} if found.image.extra is None else found.image.extra.provenance


def _fingerprint(source: Source) -> str:
    return source.fingerprint([range(size) for size in source.shape])
