"""A volume and how it will be stored as a pyramid: planned without reading, then written.

DataArray ── as_stored ──▶ rising axes in the order z, y, x ── Pyramid.of ──▶ levels, boxes
boxes ── one dask graph, a task each: read, halve, pack, write ──▶ unfinished store
all boxes finished ── metadata, limits of contrast ── one rename ──▶ store
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version as installed
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.base import tokenize
from dask.utils import parse_bytes

from brainxr.cluster import active_client
from brainxr.contrast import contrast_limits
from brainxr.errors import GeometryError, LabelWarning, StoreError, shortlist, warn
from brainxr.geometry.grid import DIMS, VoxelGrid
from brainxr.labelling import FEW_VALUES, KIND, LABELS, are_labels
from brainxr.lazy.lazyarray import StackArray
from brainxr.lazy.unloaded import stack_of
from brainxr.progress import Callback
from brainxr.stores.extras import Extra
from brainxr.stores.ngff import VERSIONS, Channel, Image, Level, Version, coarser, to_attributes
from brainxr.writing.arraymeta import STORABLE, array_files, group_files, to_json
from brainxr.writing.blocking import SHARD, Axis, Blocking, per_axis, plan, transposed, unsharded
from brainxr.writing.boxwriter import BoxWriter, pieces_for
from brainxr.writing.budget import refuse_budget
from brainxr.writing.pyramid import METHODS, Method, scale_factors
from brainxr.writing.shards import CODECS, CodecName, Packing
from brainxr.writing.sources import places_read, token_of
from brainxr.writing.target import Target
from brainxr.writing.tasks import write_missing

MEMORY = "1 GiB"

# Of brainxr itself.
VERSION = installed("brainxr")


@dataclass(frozen=True)
class Options:
    """How a volume is stored; the fields are parameters of `brainxr.writing.convert.to_ome_zarr`.

    Attributes
    ----------
    version, levels, method, chunks, shards, codec, memory
        As of `to_ome_zarr`, the method as it is used.
    is_guessed : bool
        True where nobody chose the method.
    first : int
        The first level that is stored.
    """

    version: Version = "0.5"
    levels: int | None = None
    method: Method = "mean"
    is_guessed: bool = False
    chunks: Any = None
    shards: Any = None
    codec: CodecName = "lz4"
    memory: str | int = MEMORY
    first: int = 0

    def check(self) -> None:
        """Refuse words that are not known."""
        for name, known in (("version", VERSIONS), ("method", METHODS), ("codec", CODECS)):
            value = getattr(self, name)
            if value not in known:
                raise StoreError(f"{name}={value!r} is none of {', '.join(map(repr, known))}.")


@dataclass(frozen=True)
class Pyramid:
    """A volume and how it will be stored.

    Attributes
    ----------
    data : xarray.DataArray
        As stored: axes in the order z, y, x, rising.
    source : StackArray or None
        What of a stack or store the data are; None for what is computed or in memory.
    image : Image
    blocking : Blocking
    packing : Packing
    options : Options
    """

    data: xr.DataArray
    source: StackArray | None
    image: Image
    blocking: Blocking
    packing: Packing
    options: Options

    @classmethod
    def of(
        cls, volume: xr.DataArray, options: Options, extra: Extra | None = None,
        held: float = 0.0,
    ) -> Pyramid:  # fmt: skip
        """Plan a pyramid; reads nothing.

        Parameters
        ----------
        volume : xarray.DataArray
        options : Options
        extra : Extra, optional
            Default: all that the volume has and OME-Zarr has no words for.
        held : float
            What the target holds of a box while it is sent, in boxes.
        """
        options.check()
        data = as_stored(volume)
        source = stack_of(data)
        grid = VoxelGrid.of(data)
        factors = scale_factors(grid.shape, grid.spacing, options.levels)
        stored = data.dtype.newbyteorder("<")
        return cls(
            data,
            source,
            _image(data, grid, factors, options, extra or _extra(volume, options)),
            _blocking(data, source, factors, options, held),
            Packing(stored, options.codec, checksum=options.version == "0.5"),
            options,
        )

    @property
    def places(self) -> list[str]:
        """Folders that it is read from."""
        return places_read(self.data, self.source)

    @property
    def recipe(self) -> dict[str, Any]:
        """All that makes the store what it will be; another one is another store."""
        levels = [(level.shape, level.chunks, level.shards) for level in self.blocking.levels]
        attributes = to_json(to_attributes(self.image, self.packing.dtype))
        return {
            "source": token_of(self.data, self.source),
            "codec": self.packing.codec,
            "cut": tokenize(levels, self.blocking.box, self.options.first),
            "method": self.options.method,
            "version": self.image.version,
            "metadata": tokenize(attributes),
        }

    # --- writing ---

    def write(
        self, store: Target, overwrite: bool, progress: bool, callback: Callback | None
    ) -> None:
        """Write what is not there yet, and put the store in its place."""
        memory = parse_bytes(self.options.memory)
        if active_client() is None:  # else it is what each worker may take
            refuse_budget(memory, self.data)
        store.begin(self.recipe, overwrite)
        writer = BoxWriter(
            store, self.blocking, self.packing, self.options.method, self.image.version,
            pieces_for(self.blocking, self.packing, memory), self.source, self.options.first,
        )  # fmt: skip
        write_missing(writer, self.data, memory, overwrite, progress, callback)
        self._write_metadata(store)
        store.publish()

    def _write_metadata(self, store: Target) -> None:
        files: dict[str, bytes] = {}
        for number, level in list(enumerate(self.blocking.levels))[self.options.first :]:
            described = array_files(
                self.image.version, level.shape, level.chunks, level.shards, self.packing,
                self.image.dims,
            )  # fmt: skip
            files |= {f"{number}/{name}": content for name, content in described.items()}
        samples = [note.sample.ravel() for note in store.finished().values()]
        limits = contrast_limits(np.concatenate(samples))
        averages = self.options.method == "mean" and len(self.blocking.levels) > 1
        if averages and self.options.is_guessed:
            _warn_of_labels(np.concatenate(samples))
        image = replace(self.image, channels=(Channel(self.image.name or "0", limits),))
        attributes = to_attributes(image, self.packing.dtype)
        for name, content in (files | group_files(image.version, attributes)).items():
            store.write(name, content)


def chosen_method(data: xr.DataArray, method: Method | None) -> Method:
    """The method that was asked for, else the mode of labels and the mean of all else."""
    return method or ("mode" if are_labels(data) else "mean")


def _warn_of_labels(sample: npt.NDArray[Any]) -> None:
    values = np.unique(sample)
    if values.dtype.kind in "iu" and 2 < values.size <= FEW_VALUES:
        warn(
            f"The volume has {values.size} values in the sample ({shortlist(values.tolist())}), "
            "and its coarser levels are means of them. If they are labels, write it again with "
            "method='mode' and overwrite=True.",
            LabelWarning,
        )


def as_stored(volume: xr.DataArray) -> xr.DataArray:
    """The volume as it is stored: z, y and x in this order, all rising."""
    dims = [dim for dim in DIMS if dim in volume.dims]
    others = [str(dim) for dim in volume.dims if dim not in DIMS]
    if others:
        raise GeometryError(
            f"The volume has the axis {others[0]!r}; z, y and x are stored. Select one place along "
            f"it, for example data.isel({others[0]}=0)."
        )
    if len(dims) < 2:
        raise GeometryError(
            f"OME-Zarr stores planes and volumes, and this has {len(dims)} axes. Select slabs "
            "instead of places, for example z=slice(0, 1)."
        )
    if volume.dtype.name not in STORABLE:
        raise StoreError(
            f"Values of type {volume.dtype} can't be stored in OME-Zarr: bool, int and float can. "
            "Convert them by data.astype(...)."
        )
    grid = VoxelGrid.of(volume)
    falling = [dim for dim in dims if grid.spacing[dim] < 0]
    return volume.isel(dict.fromkeys(falling, slice(None, None, -1))).transpose(*dims)


def _image(
    data: xr.DataArray, grid: VoxelGrid, factors: Sequence[Mapping[str, int]], options: Options,
    extra: Extra,
) -> Image:  # fmt: skip
    finest = Level("0", grid.spacing, grid.origin)
    placed = [coarser(finest, str(k), f) for k, f in enumerate(factors)]
    dims = tuple(map(str, data.dims))
    name = None if data.name is None else str(data.name)
    return Image(
        dims, tuple(placed[options.first :]), name, options.method, extra=extra,
        version=options.version, is_labels=data.attrs.get(KIND) == LABELS,
    )  # fmt: skip


def _extra(volume: xr.DataArray, options: Options) -> Extra:
    return Extra.of(volume, provenance=provenance(volume, options.method), every_shard=True)


def _blocking(
    data: xr.DataArray, source: StackArray | None, factors: Sequence[Mapping[str, int]],
    options: Options, held: float,
) -> Blocking:  # fmt: skip
    dims = tuple(map(str, data.dims))
    chunks = per_axis(options.chunks, dims, "chunks")
    shards = per_axis(options.shards, dims, "shards")
    order, grain = _slowest_first(data, source), _grain(data, source)
    axes = [
        Axis(
            dims[i], data.shape[i], grain[i], tuple(f[dims[i]] for f in factors), usual,
            chunks.get(dims[i]), shards.get(dims[i]),
        )
        for i, usual in zip(order, SHARD[-len(order) :], strict=True)
    ]  # fmt: skip
    cut = plan(axes, data.dtype.itemsize, options.memory, held)
    cut = transposed(cut, np.argsort(order).tolist())
    return unsharded(cut) if options.version == "0.4" else cut


def _slowest_first(data: xr.DataArray, source: StackArray | None) -> list[int]:
    """Axes of the data, that along which the source's slices lie first."""
    if source is None:
        return list(range(data.ndim))
    return [int(i) for i in np.argsort(source.order)]


def _grain(data: xr.DataArray, source: StackArray | None) -> tuple[int, ...]:
    """Voxels that are read together along each axis; what is computed has whole planes."""
    if source is None:
        return (1, *data.shape[1:])
    return tuple(source.source.grain[axis] for axis in source.order)


def provenance(volume: xr.DataArray, method: Method) -> dict[str, str]:
    """What a pyramid is made of and how, for people to read."""
    told = {
        key: str(volume.attrs[key]) for key in ("source", "spacing_source") if key in volume.attrs
    }
    return {**told, "method": method, "brainxr": VERSION}
