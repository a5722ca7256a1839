"""What a path leads to: a stack of slices, or an image in a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from brainxr.errors import StackError, StoreError
from brainxr.omezarr import At, find_image
from brainxr.slices import PathLike
from brainxr.spacing import SpacingLike
from brainxr.stack import Missing, Plane, find_stack
from brainxr.volume import Volume
from brainxr.zarrstore import is_store


def find_volume(
    path: PathLike | Sequence[PathLike], *, spacing: SpacingLike | None = None,
    origin: SpacingLike | None = None, plane: Plane | None = None, missing: Missing = "keep",
    level: int | None = None, at: At | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Volume:  # fmt: skip
    """Find a volume and where its voxels are; the parameters are those of `brainxr.open`.

    Costs a listing and a header, or the metadata of a group and an array.
    """
    if not is_store(path):
        given = [n for n, v in {"level": level, "at": at}.items() if v is not None]
        if given:
            raise StackError(
                f"{path!r} is no Zarr store, and only these have {given[0]!r}. Leave it out."
            )
        return find_stack(path, spacing=spacing, origin=origin, plane=plane, missing=missing)
    if plane is not None or missing != "keep":
        raise StoreError(
            f"{path!r} is a Zarr store, whose axes have names and which has no slices: leave out "
            "plane and missing."
        )
    found = find_image(
        path,  # type: ignore[arg-type]
        spacing=spacing, origin=origin, at=at, storage_options=storage_options,
    )  # fmt: skip
    return found.volume(level or 0)
