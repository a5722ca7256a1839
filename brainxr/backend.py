"""``xr.open_dataset(path, engine="brainxr")``: the stack through xarray's own door."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import xarray as xr
from xarray.backends import BackendEntrypoint

from brainxr.find import find_volume
from brainxr.geometry.extra_dims import At
from brainxr.geometry.grid import SpacingLike
from brainxr.lazy.unloaded import lazy
from brainxr.lazy.volume import NAME
from brainxr.nifti.header import is_nifti
from brainxr.stacks.positions import Positions
from brainxr.stacks.slices import PathLike, is_slice_name
from brainxr.stacks.stack import Missing, Plane


class BrainxrBackend(BackendEntrypoint):
    """xarray's entry point for folders and zips of image slices, stores of OME-Zarr, and NIfTI."""

    description = "Open a stack of TIFF slices, OME-Zarr or NIfTI as one lazy volume in micrometres"
    open_dataset_parameters = (
        "filename_or_obj", "drop_variables", "spacing", "origin", "plane", "missing", "number",
        "positions", "inside", "level", "at", "axes", "scaled", "storage_options",
    )  # fmt: skip

    def open_dataset(  # type: ignore[override]
        self, filename_or_obj: PathLike | Sequence[PathLike], *,
        drop_variables: str | Iterable[str] | None = None,
        spacing: SpacingLike | None = None, origin: SpacingLike | None = None,
        plane: Plane | None = None, missing: Missing = "keep", number: str | None = None,
        positions: Positions | None = None, inside: str | None = None,
        level: int | None = None, at: At | None = None, axes: str | None = None,
        scaled: bool = False, storage_options: Mapping[str, Any] | None = None,
    ) -> xr.Dataset:  # fmt: skip
        volume = find_volume(
            filename_or_obj, spacing=spacing, origin=origin, plane=plane, missing=missing,
            number=number, positions=positions, level=level, at=at, axes=axes, scaled=scaled,
            inside=inside,
            storage_options=storage_options,
        )  # fmt: skip
        data = lazy(volume).to_dataset(name=volume.name or NAME)
        return data.drop_vars(drop_variables or [], errors="ignore")

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Whether it is a folder of TIFF slices, or NIfTI; stores are for xarray's own engine."""
        if not isinstance(filename_or_obj, str | os.PathLike):
            return False
        if is_nifti(filename_or_obj):
            return True
        try:
            return any(is_slice_name(name) for name in os.listdir(filename_or_obj))
        except OSError:
            return False
