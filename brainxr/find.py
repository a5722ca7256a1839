"""What a path leads to: a stack of slices, a file with a volume, or an image in a store."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from brainxr.errors import EmptyStackError, StackError, StoreError, VolumeError
from brainxr.files.urls import is_url, shown
from brainxr.geometry.extra_dims import At
from brainxr.geometry.grid import SpacingLike
from brainxr.lazy.volume import Volume
from brainxr.nifti.header import is_nifti
from brainxr.nifti.niftivolume import find_nifti
from brainxr.stacks.farslices import may_be_slices
from brainxr.stacks.positions import Positions
from brainxr.stacks.slices import PathLike
from brainxr.stacks.stack import Missing, Plane, find_stack
from brainxr.stores.datasetvolume import find_dataset, has_volume, is_netcdf
from brainxr.stores.ngff import NoImageError
from brainxr.stores.omezarr import find_image
from brainxr.stores.zarrstore import Location, is_store


def find_volume(
    path: PathLike | Sequence[PathLike], *, spacing: SpacingLike | None = None,
    origin: SpacingLike | None = None, plane: Plane | None = None, missing: Missing = "keep",
    level: int | None = None, at: At | None = None, axes: str | None = None,
    scaled: bool = False, inside: str | None = None, number: str | None = None,
    positions: Positions | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Volume:  # fmt: skip
    """Find a volume and where its voxels are; the parameters are those of `brainxr.open`.

    Costs a listing and a header, or the metadata of a group and an array; of a URL that
    may be either, both.
    """
    _refuse_far_file(path)
    own: dict[str, Any] = {
        "inside": inside, "number": number, "positions": positions, "axes": axes,
        "scaled": scaled or None,
    }  # fmt: skip
    if is_nifti(path):
        _refuse(path, "a file of a volume", level=level, plane=plane, missing=missing, **own)
        return find_nifti(path, spacing=spacing, origin=origin, at=at)  # type: ignore[arg-type]
    if is_netcdf(path):
        _refuse(
            path, "a file of xarray's", spacing=spacing, origin=origin, level=level, plane=plane,
            missing=missing, **own,
        )  # fmt: skip
        return find_dataset(path, at=at)  # type: ignore[arg-type]
    placed = {"spacing": spacing, "origin": origin, "storage_options": storage_options}
    said_slices = (
        plane is not None or missing != "keep" or any(value is not None for value in own.values())
    )
    if may_be_image(path, said_slices):
        _refuse_of_slices(path, said_slices)
        return _find_image(path, level, at, placed)
    if level is not None:
        raise StackError(
            f"{_told(path)!r} is not a Zarr store, and only these have 'level'. Leave it out."
        )
    options = {"plane": plane, "missing": missing, "at": at, **own, "scaled": scaled}
    return find_stack(path, **options, **placed)  # type: ignore[arg-type]


def _find_image(path: Any, level: int | None, at: At | None, placed: Mapping[str, Any]) -> Volume:
    """The image in a store; at a URL that may be either and is no store, the stack."""
    try:
        return find_image(path, at=at, **placed).volume(level or 0)
    except NoImageError:
        if not has_volume(Location.of(path, placed["storage_options"])):
            raise
        return _find_group(path, level, at, placed)
    except EmptyStackError as error:
        if is_certain(path) or level is not None or at is not None:
            raise
        no_store = error
    try:
        return find_stack(path, **placed)
    except EmptyStackError as error:
        raise EmptyStackError(f"{no_store} {error}") from error


def _find_group(path: Any, level: int | None, at: At | None, placed: Mapping[str, Any]) -> Volume:
    """The volume in a Zarr group that xarray wrote."""
    options = placed["storage_options"]
    said = {name: placed[name] for name in ("spacing", "origin")}
    _refuse(path, "a group of xarray's", **said, level=level)
    return find_dataset(path, at=at, storage_options=options)


def may_be_no_stack(path: PathLike | Sequence[PathLike], said_slices: bool = False) -> bool:
    """Whether a path may lead to something else than slices; the parameters are as below."""
    return is_nifti(path) or is_netcdf(path) or may_be_image(path, said_slices)


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


def _refuse_of_slices(path: Any, said_slices: bool) -> None:
    if said_slices:
        raise StoreError(
            f"{_told(path)!r} is a Zarr store, whose axes have names and which has no slices: "
            "leave out plane, missing, inside, number, positions, axes and scaled."
        )


def _refuse(path: object, what: str, **options: Any) -> None:
    """Refuse options that are for something else."""
    given = [
        name
        for name, value in options.items()
        if value is not None and not (isinstance(value, str) and value == "keep")
    ]
    if given:
        raise VolumeError(
            f"{path!r} is {what}, for which {given[0]}= has no meaning: leave it out."
        )


def _refuse_far_file(path: object) -> None:
    url = shown(str(path)) if is_url(path) else None
    if is_nifti(url) or is_netcdf(url):
        raise VolumeError(
            f"{url!r} is a file of a volume, and at URLs only slices, zips and stores are read in "
            "parts. Make a copy on the disk, for example by "
            f"fsspec.open_local('simplecache::{url}'), and open that."
        )


def _told(path: object) -> object:
    return shown(os.fspath(path)) if isinstance(path, str | os.PathLike) else path
