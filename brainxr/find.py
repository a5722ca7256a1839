"""What a path leads to: a stack of slices, or an image in a store."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from brainxr.errors import EmptyStackError, StackError, StoreError
from brainxr.farslices import may_be_slices
from brainxr.omezarr import At, find_image
from brainxr.slices import PathLike
from brainxr.spacing import SpacingLike
from brainxr.stack import Missing, Plane, find_stack
from brainxr.urls import is_url, shown
from brainxr.volume import Volume
from brainxr.zarrstore import is_store


def find_volume(
    path: PathLike | Sequence[PathLike], *, spacing: SpacingLike | None = None,
    origin: SpacingLike | None = None, plane: Plane | None = None, missing: Missing = "keep",
    level: int | None = None, at: At | None = None, inside: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Volume:  # fmt: skip
    """Find a volume and where its voxels are; the parameters are those of `brainxr.open`.

    Costs a listing and a header, or the metadata of a group and an array; of a URL that
    may be either, both.
    """
    if not may_be_image(path, plane is not None or missing != "keep" or inside is not None):
        given = [n for n, v in {"level": level, "at": at}.items() if v is not None]
        if given:
            raise StackError(f"{_told(path)!r} is no Zarr store, and only these have {given[0]!r}.")
        return find_stack(
            path, spacing=spacing, origin=origin, plane=plane, missing=missing, inside=inside,
            storage_options=storage_options,
        )  # fmt: skip
    _refuse_of_slices(path, plane, missing, inside)
    try:
        found = find_image(
            path,  # type: ignore[arg-type]
            spacing=spacing, origin=origin, at=at, storage_options=storage_options,
        )  # fmt: skip
    except EmptyStackError as error:
        if is_certain(path) or level is not None or at is not None:
            raise
        return _find_slices_instead(
            path, error, spacing=spacing, origin=origin, storage_options=storage_options
        )
    return found.volume(level or 0)


def _refuse_of_slices(path: Any, plane: str | None, missing: str, inside: str | None) -> None:
    if plane is not None or missing != "keep" or inside is not None:
        raise StoreError(
            f"{_told(path)!r} is a Zarr store, whose axes have names and which has no slices: "
            "leave out plane, missing and inside."
        )


def may_be_image(path: PathLike | Sequence[PathLike], said_slices: bool = False) -> bool:
    """Whether a path is that of a store; of a URL without a look at it, by its name.

    Parameters
    ----------
    path : path-like or sequence of these
    said_slices : bool
        Whether something was said that only slices have.
    """
    if is_url(path):
        return not may_be_slices(str(path)) and (is_certain(path) or not said_slices)
    return is_store(path)


def is_certain(path: object) -> bool:
    """Whether the name tells that it is a store: part of it ends with ``.zarr``."""
    return not is_url(path) or any(p.endswith(".zarr") for p in shown(str(path)).split("/"))


def _find_slices_instead(path: Any, error: EmptyStackError, **options: Any) -> Volume:
    """The stack at a URL where there is no store."""
    try:
        return find_stack(path, **options)
    except EmptyStackError as none_either:
        raise EmptyStackError(f"{error} {none_either}") from none_either


def _told(path: object) -> object:
    return shown(os.fspath(path)) if isinstance(path, str | os.PathLike) else path
