"""From an OME-Zarr store to lazy, labelled volumes, one a level.

path ── Location.open ──▶ attributes ── ngff.from_attributes ──▶ Image: axes, levels, extras
Image + array of a level ──▶ StoreSource ──▶ StackArray + coordinates ──▶ Volume
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import xarray as xr

from brainxr.errors import (
    EmptyStackError,
    GeometryError,
    SpacingWarning,
    StoreError,
    warn,
)
from brainxr.geometry import units as u
from brainxr.geometry.extra_dims import At, places
from brainxr.geometry.grid import OFF_GRID_IN_VOXELS, SpacingLike, VoxelGrid, per_axis
from brainxr.labelling import KIND, LABELS
from brainxr.lazy.lazyarray import PlacedArray, StackArray
from brainxr.lazy.volume import NAME, Volume
from brainxr.stacks.slices import PathLike
from brainxr.stores.chunks import ChunkLayout
from brainxr.stores.extras import Extra
from brainxr.stores.ngff import Image, Level, from_attributes
from brainxr.stores.storesource import StoreSource
from brainxr.stores.zarrstore import Location

# Voxels along an axis, and of a chunk, of which there are never so many.
_LONGEST, _LARGEST_CHUNK = 1 << 22, 1 << 40


@dataclass(frozen=True)
class StoredImage:
    """An image of a store, as its metadata describe it.

    Attributes
    ----------
    location : Location
    image : Image
        Geometry in µm.
    at : mapping of str to int or str
        What to take along axes other than z, y and x.
    opened_at : int
        Nanoseconds since the epoch; a file that was changed later is refused.
    """

    location: Location
    image: Image
    at: At = field(default_factory=dict)
    opened_at: int = field(default_factory=time.time_ns)

    @property
    def averages(self) -> bool:
        """True if the values of coarser levels may be others than those of level 0."""
        return self.image.method not in ("mode", "nearest")

    def volumes(self) -> list[Volume]:
        """Every level, finest first."""
        return [self.volume(level) for level in range(len(self.image.levels))]

    def placed(self) -> list[PlacedArray]:
        """Every level as it is stored, and where its voxels are; finest first."""
        return [
            PlacedArray(self._array(each), each.origin, each.spacing) for each in self.image.levels
        ]

    def volume(self, level: int = 0) -> Volume:
        """One level; negative numbers count from the coarsest.

        Costs the array's metadata.

        Raises
        ------
        StoreError
            When there is no such level, or its array is missing, damaged, or not one of
            numbers along these axes.
        """
        count = len(self.image.levels)
        if not isinstance(level, int) or not -count <= level < count:
            where = self.location.path
            raise StoreError(
                f"There is no level {level!r} in {where!r}, which has 0 to {count - 1}. "
                "Choose one of these, or -1 for the coarsest."
            )
        found = self.image.levels[level]
        array = self._array(found)
        sizes = dict(zip(array.dims, array.shape, strict=True))
        grid = VoxelGrid(sizes, found.spacing, found.origin)
        coordinates = grid.coordinates(**self._chosen_labels(array))
        return self._restored(array, coordinates, level % count == 0)

    def _array(self, level: Level) -> StackArray:
        """A level as it is stored, with the axes z, y and x."""
        source = self._source(level)
        chosen = self._chosen(source)
        choices = (chosen.get(d, range(n)) for d, n in zip(source.axes, source.shape, strict=True))
        order = tuple(source.axes.index(dim) for dim in self.image.spatial)
        return StackArray(source, tuple(choices), order)

    def _chosen_labels(self, array: StackArray) -> dict[str, xr.Variable]:
        """What was chosen along axes of which there is more than one."""
        found = {}
        for dim, n, choice in zip(
            array.source.axes, array.source.shape, array.choices, strict=True
        ):
            if isinstance(choice, int) and n > 1:
                labels = self._labels(dim)
                found[dim] = xr.Variable((), labels[choice] if labels else choice)
        return found

    def _source(self, level: Level) -> StoreSource:
        place = self.location.inside(level.path)
        try:
            array: Any = place.open()
        except EmptyStackError as error:
            raise StoreError(
                f"The level {level.path!r} that the metadata of {self.location.path!r} list is "
                "missing. Restore it, or make the store again."
            ) from error
        dims = self.image.dims
        if getattr(array, "ndim", None) != len(dims) or array.dtype.kind not in "biufc":
            shape, dtype = getattr(array, "shape", None), getattr(array, "dtype", "a group")
            raise StoreError(
                f"The level {level.path!r} of {self.location.path!r} has the shape {shape} and the "
                f"type {dtype}, expected numbers along {', '.join(dims)}. Make the store again."
            )
        self._refuse_impossible(level, array)
        return StoreSource(
            place, dims, array.shape, array.chunks, array.dtype.newbyteorder("="),
            ChunkLayout.of(array.metadata.to_dict()), level.spacing, level.origin,
            self.image.extra is not None and self.image.extra.every_shard, self,
            opened_at=self.opened_at,
        )  # fmt: skip

    def _refuse_impossible(self, level: Level, array: Any) -> None:
        """Refuse sizes that nobody has, before coordinates of that size are made."""
        if max(array.shape) > _LONGEST or math.prod(array.chunks) > _LARGEST_CHUNK:
            raise StoreError(
                f"The level {level.path!r} of {self.location.path!r} says that it has the shape "
                f"{array.shape} in chunks of {array.chunks}, which is more than can be. Its "
                "metadata are damaged: restore them, or make the store again."
            )

    def _chosen(self, source: StoreSource) -> dict[str, int]:
        """Place along each axis that is none of space."""
        others = {
            dim: n for dim, n in zip(source.axes, source.shape, strict=True)
            if dim not in self.image.spatial
        }  # fmt: skip
        labels = {dim: self._labels(dim) for dim in others}
        return places(self.at, others, self.location.path, StoreError, labels)

    def _labels(self, dim: str) -> list[str]:
        return [channel.label for channel in self.image.channels] if dim == "c" else []

    # --- what OME-Zarr has no words for ---

    def _restored(self, array: StackArray, coordinates: xr.Coordinates, is_finest: bool) -> Volume:
        extra = self.image.extra
        if extra is None:
            told = f"OME-Zarr {self.image.version} metadata"
            attrs = {"source": self.location.path, "spacing_source": told}
            if self.image.is_labels:
                attrs[KIND] = LABELS
            return Volume(array, coordinates, attrs, NAME)
        known = coordinates.to_dataset()
        known = _with_coordinates(known, extra, is_finest)
        down = {dim: slice(None, None, -1) for dim in extra.falling if dim in known.dims}
        if down:
            known = known.isel(down)
            array = array.select(tuple(down.get(dim, slice(None)) for dim in array.dims))
        return Volume(array, known.coords, dict(extra.attrs), extra.name)


def find_image(
    path: PathLike, *, spacing: SpacingLike | None = None, origin: SpacingLike | None = None,
    at: At | None = None, storage_options: Mapping[str, Any] | None = None,
) -> StoredImage:  # fmt: skip
    """Find the image of a store; the parameters are those of `brainxr.open`.

    Costs the attributes of one group.

    Raises
    ------
    EmptyStackError
        When there is no store.
    StoreError
        When it has no image, or damaged metadata.
    GeometryError
        When an axis has no unit, and no spacing is given.
    """
    location = Location.of(path, storage_options)
    opened: Any = location.open()
    attributes = dict(opened.attrs)
    if hasattr(opened, "shape") and "multiscales" not in attributes.get("ome", attributes):
        raise StoreError(
            f"{location.path!r} is a Zarr array of shape {opened.shape}, and nothing tells where "
            "its voxels are. If it is a level of an image, open the group around it; else open it "
            "by xarray or dask.array.from_zarr, and give it coordinates."
        )
    image = from_attributes(attributes, location.path)
    said = per_axis(spacing, "spacing", positive=True)
    _refuse_unitless(image, said, location.path)
    _warn_of_conflict(image, said)
    return StoredImage(location, _moved(image, said, per_axis(origin, "origin")), at or {})


def _refuse_unitless(image: Image, said: Mapping[str, float], where: str) -> None:
    lacking = {dim: unit for dim, unit in image.unitless.items() if dim not in said}
    if not lacking:
        return
    found = " and ".join(
        "no unit" if unit is None else f"the unit {unit!r}"
        for unit in dict.fromkeys(lacking.values())
    )
    numbers = ", ".join(f"{dim!r}: '{image.levels[0].spacing[dim]:g} µm'" for dim in lacking)
    raise GeometryError(
        f"The axes {', '.join(lacking)} of {where!r} have {found}, expected a unit of length such "
        f"as 'micrometer'. Pass the spacing, for example brainxr.open({where!r}, "
        f"spacing={{{numbers}}}), or correct the unit in the store's metadata."
    )


def _warn_of_conflict(image: Image, said: Mapping[str, float]) -> None:
    finest = image.levels[0].spacing
    conflicts = [
        f"{d}: {u.show_micrometers(said[d])} given, {u.show_micrometers(abs(finest[d]))} there"
        for d in image.spatial
        if d in said and d not in image.unitless
        and not math.isclose(said[d], abs(finest[d]), rel_tol=1e-3)
    ]  # fmt: skip
    if conflicts:
        warn(
            f"The spacing that was given differs from the metadata ({'; '.join(conflicts)}). What "
            "was given is used.",
            SpacingWarning,
        )


def _moved(image: Image, spacing: Mapping[str, float], origin: Mapping[str, float]) -> Image:
    """The image with another spacing and origin of level 0, to which the others keep."""
    finest = image.levels[0]
    scales = {
        dim: spacing[dim] / abs(finest.spacing[dim]) for dim in spacing if dim in finest.spacing
    }
    levels = []
    for level in image.levels:
        steps = {dim: step * scales.get(dim, 1.0) for dim, step in level.spacing.items()}
        first = {
            dim: place * scales.get(dim, 1.0)
            if dim not in origin
            else origin[dim] + (place - finest.origin[dim]) * scales.get(dim, 1.0)
            for dim, place in level.origin.items()
        }
        levels.append(Level(level.path, steps, first))
    return replace(image, levels=tuple(levels))


def _with_coordinates(known: xr.Dataset, extra: Extra, is_finest: bool) -> xr.Dataset:
    """Coordinates with what was noted of them; those along coarser levels are none of theirs."""
    for name, noted in extra.coordinates.items():
        if name in known.dims:
            if is_finest:
                known = _with_exact(known, name, noted.values)
            if noted.attrs and is_finest:
                known[name].attrs = {**noted.attrs, "units": u.MICROMETER}
        elif noted.values is not None and (is_finest or not noted.dims):
            fits = tuple(known.sizes.get(dim) for dim in noted.dims) == noted.values.shape
            if fits:
                variable = xr.Variable(noted.dims, noted.values, dict(noted.attrs))
                known = known.assign_coords({name: variable})
    return known


def _with_exact(known: xr.Dataset, dim: str, values: Any) -> xr.Dataset:
    """Positions to the last bit, where the metadata still say the same up to rounding."""
    if values is None or values.shape != (known.sizes[dim],):
        return known
    told = known[dim]
    if np.abs(told.values - values).max() > OFF_GRID_IN_VOXELS * told.attrs["spacing"]:
        return known
    from brainxr.geometry.index import UnitIndex

    index = UnitIndex(values, dim)
    variables = index.create_variables({dim: xr.Variable(dim, values, dict(told.attrs))})
    return known.assign_coords(xr.Coordinates(variables, indexes={dim: index}))
