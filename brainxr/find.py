"""What a path leads to: a stack of slices, a file with a volume, or an image in a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from brainxr.datasetvolume import find_dataset, has_volume, is_netcdf
from brainxr.errors import StackError, StoreError, VolumeError
from brainxr.ngff import NoImageError
from brainxr.nifti import is_nifti
from brainxr.niftivolume import find_nifti
from brainxr.omezarr import find_image
from brainxr.otheraxes import At
from brainxr.slices import PathLike
from brainxr.spacing import SpacingLike
from brainxr.stack import Missing, Plane, find_stack
from brainxr.volume import Volume
from brainxr.zarrstore import Location, is_store


def find_volume(
    path: PathLike | Sequence[PathLike], *, spacing: SpacingLike | None = None,
    origin: SpacingLike | None = None, plane: Plane | None = None, missing: Missing = "keep",
    level: int | None = None, at: At | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Volume:  # fmt: skip
    """Find a volume and where its voxels are; the parameters are those of `brainxr.open`.

    Costs a listing and a header, or the metadata of a group and an array.
    """
    if is_nifti(path):
        _refuse(path, "a file of a volume", level=level, plane=plane, missing=missing)
        return find_nifti(path, spacing=spacing, origin=origin, at=at)  # type: ignore[arg-type]
    if is_netcdf(path):
        _refuse(
            path, "a file of xarray's", spacing=spacing, origin=origin, level=level, plane=plane,
            missing=missing,
        )  # fmt: skip
        return find_dataset(path, at=at)  # type: ignore[arg-type]
    if not is_store(path):
        given = [n for n, v in {"level": level, "at": at}.items() if v is not None]
        if given:
            raise StackError(f"{path!r} is no Zarr store, and only these have {given[0]!r}.")
        return find_stack(path, spacing=spacing, origin=origin, plane=plane, missing=missing)
    if plane is not None or missing != "keep":
        raise StoreError(
            f"{path!r} is a Zarr store, whose axes have names and which has no slices: leave out "
            "plane and missing."
        )
    try:
        found = find_image(
            path,  # type: ignore[arg-type]
            spacing=spacing, origin=origin, at=at, storage_options=storage_options,
        )  # fmt: skip
    except NoImageError:
        if not has_volume(Location.of(path, storage_options)):  # type: ignore[arg-type]
            raise
        _refuse(path, "a group of xarray's", spacing=spacing, origin=origin, level=level)
        return find_dataset(path, at=at, storage_options=storage_options)  # type: ignore[arg-type]
    return found.volume(level or 0)


def _refuse(path: object, what: str, **options: Any) -> None:
    """Refuse options that are for something else."""
    given = [name for name, value in options.items() if value not in (None, "keep")]
    if given:
        raise VolumeError(
            f"{path!r} is {what}, for which {given[0]}= has no meaning: leave it out."
        )
