"""A selection as a napari layer: where it lies, how big, how bright.

Pure: needs neither napari nor a window. napari 0.9 infers some of this from a
DataArray by itself, and wrongly so for one-slice slabs, gaps, planes selected
with a scalar and dark first slices; so everything is given, always in one unit.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.tokenize import tokenize

from brainxr.contrast import contrast_limits
from brainxr.errors import GeometryError, TooBigError
from brainxr.geometry import units as u
from brainxr.geometry.grid import DIMS, Lattice, spatial_dims
from brainxr.labelling import are_labels, look_like_labels
from brainxr.lazy.cost import show_bytes
from brainxr.lazy.laidout import LaidOut
from brainxr.lazy.lazyarray import StackArray
from brainxr.lazy.unloaded import stack_of
from brainxr.lazy.volume import NAME
from brainxr.stores.levels import levels_beside
from brainxr.viewing.zoom import LazyLevel, Line, Zoom

LayerData: TypeAlias = tuple[Any, dict[str, Any], Literal["image", "labels"]]

# Planes from which the contrast is estimated, and pixels of one that are enough.
SAMPLED_PLANES = 5
SAMPLED_PIXELS = 1 << 16

# Bytes of a plane that a window draws without levels: it holds three of them, and a card
# draws 16384 pixels along an axis at most.
PLANE_BYTES = 1 << 30


@dataclass(frozen=True)
class Axis:
    """One axis of a layer.

    Attributes
    ----------
    name : str
    lattice : Lattice or None
        Positions in µm; None for an axis that is none of space.
    thin : bool
        Whether the axis was dropped by a scalar selection, or has one position.
    """

    name: str
    lattice: Lattice | None
    thin: bool

    @classmethod
    def of(cls, data: xr.DataArray, dim: Hashable) -> Self:
        if dim not in DIMS and not u.is_length(data[dim].attrs.get("units")):
            return cls(str(dim), None, False)
        return cls(str(dim), Lattice.of(data[dim]), data[dim].size == 1)

    @property
    def scale(self) -> float:
        return 1.0 if self.lattice is None else abs(self.lattice.step)

    @property
    def translate(self) -> float:
        """Coordinate of the first voxel centre once the axis runs upwards."""
        if self.lattice is None:
            return 0.0
        last = self.lattice.start + self.lattice.step * float(self.lattice.k[-1])
        return min(self.lattice.start, last)

    @property
    def gaps(self) -> npt.NDArray[np.int64] | None:
        """Place of each plane on the regular grid, upwards; None where none is missing."""
        if self.lattice is None or not self.lattice.has_gaps:
            return None
        k = self.lattice.k
        return k if self.lattice.step > 0 else k[-1] - k[::-1]

    @property
    def unit(self) -> str:
        return "pixel" if self.lattice is None else str(u.MICROMETER)


def layer_of(
    data: xr.DataArray, *, as_labels: bool | None = None, **layer_kwargs: Any
) -> LayerData:
    """A volume, or any part or projection of one, as a napari layer.

    Reads a few central planes to find the contrast, unless ``contrast_limits``
    are given; everything else is lazy. Where the data are provably a selection
    from a stack and nothing more, napari gets the lazy stack and no dask graph; of
    a pyramid, its levels, for a viewer that displays the last two axes (`Zoom`, in
    the metadata as ``"levels"``, makes those for others).

    Parameters
    ----------
    data : xarray.DataArray
        Spatial axes named z, y and x with coordinates in a unit of length, in any
        order; one that was selected with a scalar comes back as an axis of
        thickness one at its place. Other axes come first.
    as_labels : bool, optional
        Make a layer of labels. Default: for booleans, for what is known to be labels, and for
        integers of 32 or 64 bits that lie in regions; see `brainxr.labelling`.
    **layer_kwargs
        Arguments of ``napari.layers.Image`` or ``Labels`` that replace those found here.

    Returns
    -------
    tuple of (array_like, dict, "image" or "labels")
        As napari's ``Viewer._add_layer_from_data`` and plugins take it; scale and
        translate are in µm along the axes z, y, x.

    Raises
    ------
    GeometryError
        When the coordinates don't tell where the voxels are.
    TooBigError
        When a plane is larger than 1 GiB, and there are no coarser levels.
    TypeError
        When labels are asked for, and the values are neither bool nor integers.
    """
    axes = [Axis.of(data, dim) for dim in layer_dims(data)]
    values = _shown(data, axes)
    sample = _sample(values) if _needs_sample(data, as_labels, layer_kwargs) else None
    if as_labels is None:
        as_labels = are_labels(data) or (sample is not None and look_like_labels(sample))
    if as_labels and data.dtype.kind not in "biu":
        raise TypeError(f"Labels are whole numbers; the values are {data.dtype}. Convert them.")
    multiscale = layer_kwargs.get("multiscale")
    zoom = None if multiscale is False else _zoom(values, axes, as_labels)
    if zoom is None:
        _refuse_large_planes(values, axes)
    kwargs: dict[str, Any] = {
        "name": _layer_name(data),
        "scale": [axis.scale for axis in axes],
        "translate": [axis.translate for axis in axes],
        "units": [axis.unit for axis in axes],
        "axis_labels": [axis.name for axis in axes],
        "multiscale": zoom is not None,
        "metadata": {"xarray": data, "levels": zoom},
        **layer_kwargs,
    }
    if not as_labels:
        kwargs.setdefault("rgb", False)
        if kwargs.get("contrast_limits") is None:
            kwargs["contrast_limits"] = contrast_limits(
                _sample(values) if sample is None else sample
            )
    if zoom is not None:
        values = zoom.shown(range(len(axes))[-2:])
    elif as_labels and values.dtype.kind == "b" and not isinstance(values, np.ndarray):
        values = LazyLevel(values)
    return values, kwargs, "labels" if as_labels else "image"


def _needs_sample(data: xr.DataArray, as_labels: bool | None, kwargs: dict[str, Any]) -> bool:
    """True if planes are read: for the contrast, or to tell labels from an image."""
    if as_labels or (as_labels is None and are_labels(data)):
        return False
    undecided = as_labels is None and data.dtype.kind in "iu" and data.dtype.itemsize >= 4
    return undecided or kwargs.get("contrast_limits") is None


def shows(data: xr.DataArray, values: Any, scale: Any, translate: Any) -> bool:
    """Whether a layer still is what `layer_of` made of a volume, nothing moved or computed."""
    axes = [Axis.of(data, dim) for dim in layer_dims(data)]
    places = [[axis.scale for axis in axes], [axis.translate for axis in axes]]
    if not np.array_equal(places, [scale, translate]):
        return False
    own = _shown(data, axes)
    if isinstance(own, np.ndarray):
        same = isinstance(values, np.ndarray) and np.shares_memory(own, values)
        return same and (own.shape, own.strides) == (values.shape, values.strides)
    return bool(type(own) is type(values) and tokenize(own) == tokenize(values))


def _shown(data: xr.DataArray, axes: Sequence[Axis]) -> Any:
    """The values with the axes upwards, and with planes where there are gaps."""
    values = _upwards(_values(data, [axis.name for axis in axes]), axes)
    gaps = [axis.gaps for axis in axes]
    if any(numbers is not None for numbers in gaps):
        return LaidOut.with_gaps(values, gaps)
    return values


def layer_dims(data: xr.DataArray) -> list[Hashable]:
    """Axes of the layer: others first, then z, y, x as far as they are known."""
    if not isinstance(data, xr.DataArray):
        raise TypeError(
            f"Expected a DataArray, found {type(data).__name__}. Open a stack with "
            "brainxr.open(...), or take one variable of a Dataset: dataset['intensity']."
        )
    spatial = spatial_dims(data)
    if not any(dim in data.dims for dim in spatial):
        raise GeometryError(
            f"There is nothing to show: the axes are {list(data.dims)}, and none is z, y or x. "
            "Rename them, for example data.rename(dim_0='z')."
        )
    return [dim for dim in data.dims if dim not in DIMS] + spatial


def thin_axes(data: xr.DataArray) -> dict[str, float]:
    """Position in µm of each axis along which there is one plane."""
    axes = [Axis.of(data, dim) for dim in layer_dims(data)]
    return {axis.name: axis.translate for axis in axes if axis.thin}


def middle_present(data: xr.DataArray) -> dict[str, float]:
    """Position in µm around the middle of each axis at which there is a plane.

    The very middle may lie in a gap, where a viewer that opened there would be black.
    """
    lattices = {dim: Lattice.of(data[dim]) for dim in DIMS if dim in data.dims}
    middles = {dim: int(lattice.k[lattice.k.size // 2]) for dim, lattice in lattices.items()}
    return {dim: lattices[dim].start + lattices[dim].step * k for dim, k in middles.items()}


def _values(data: xr.DataArray, dims: Sequence[str]) -> Any:
    """The values with these axes, dropped ones with length one."""
    stack = stack_of(data)
    if stack is not None and stack.dims == data.dims and set(dims) == set(DIMS):
        return stack.arrange(*dims)
    if stack is not None and set(dims) == set(data.dims):  # renamed axes, or without a place
        return stack.transpose(*(data.dims.index(dim) for dim in dims))
    dropped = [dim for dim in dims if dim not in data.dims]
    return data.expand_dims(dropped).transpose(*dims).data


def _zoom(values: Any, axes: Sequence[Axis], of_labels: bool = False) -> Zoom | None:
    """Coarser levels of what is shown, where it is a selection from a pyramid.

    Levels that are means of labels are left out, but of masks: there they are majorities.
    """
    stack = values.array if isinstance(values, LaidOut) else values
    if not isinstance(stack, StackArray) or not {a.name for a in axes} <= set(stack.source.axes):
        return None
    lines = {
        axis.name: Line(axis.translate, axis.scale, size)
        for axis, size in zip(axes, values.shape, strict=True)
    }
    no_means = of_labels and values.dtype.kind != "b"
    levels = stack.source.levels()
    if levels and no_means and stack.source.pyramid.averages:  # type: ignore[attr-defined]
        return None
    levels = levels or levels_beside(stack.source, *_grid(stack, lines, axes), no_means)
    return Zoom.of(values, lines, levels)


def _refuse_large_planes(values: Any, axes: Sequence[Axis]) -> None:
    """Refuse planes that stop a window for minutes, before anything is read."""
    shown = values.shape[-2:]
    a_plane = math.prod(shown) * values.dtype.itemsize
    if a_plane <= PLANE_BYTES or isinstance(values, np.ndarray):
        return
    step = math.ceil(math.sqrt(a_plane / PLANE_BYTES * 8))
    thinner = ", ".join(f"{axis.name}=slice(None, None, {step})" for axis in axes[-3:])
    raise TooBigError(
        f"A plane of {' x '.join(map(str, shown))} voxels takes {show_bytes(a_plane)}, more than "
        f"the {show_bytes(PLANE_BYTES)} that a window draws without coarser levels. Show every "
        f"{step}th voxel: vol.isel({thinner}); or a part: vol.sel(...); or write it once with "
        'levels, of which only what is on the screen is read: vol.brain.to_ome_zarr("NAME.ome.zarr'
        '"). vol.brain.plot_planes() draws it as it is.'
    )


def _grid(
    stack: StackArray, lines: Mapping[str, Line], axes: Sequence[Axis]
) -> tuple[dict[str, float], dict[str, float]]:
    """Origin and spacing of the source, of which this is a selection."""
    origin, spacing = {}, {}
    for axis in axes:
        places = np.asarray(stack.choices[stack.source.axes.index(axis.name)])
        shown = np.arange(places.size) if axis.gaps is None else axis.gaps
        stride = int(places[1] - places[0]) / int(shown[1] - shown[0]) if places.size > 1 else 1
        line = lines[axis.name]
        spacing[axis.name] = line.step / stride
        origin[axis.name] = line.start - int(places[0]) * spacing[axis.name]
    return origin, spacing


def _upwards(values: Any, axes: Sequence[Axis]) -> Any:
    """Reverse the axes along which the coordinate falls."""
    falls = [axis.lattice is not None and axis.lattice.step < 0 for axis in axes]
    if not any(falls):
        return values
    key = tuple(slice(None, None, -1) if fall else slice(None) for fall in falls)
    return values.select(key) if isinstance(values, StackArray) else values[key]


def _sample(values: Any) -> npt.NDArray[Any]:
    """Some pixels of a few planes around the middle; of more planes if those are empty."""
    depth = values.shape[-3] if values.ndim > 2 else 1
    middle = depth // 2
    central = np.unique(np.linspace(0.4 * (depth - 1), 0.6 * (depth - 1), SAMPLED_PLANES).round())
    sample = _planes(values, sorted({middle, *central.astype(int).tolist()}))
    if _is_flat(sample):
        spread = np.unique(np.linspace(0, depth - 1, 4 * SAMPLED_PLANES).round())
        sample = _planes(values, spread.astype(int).tolist())
    return sample


def _is_flat(sample: npt.NDArray[Any]) -> bool:
    """Whether it says nothing of the contrast: one value, or (NaN, infinite) none."""
    finite = sample[np.isfinite(sample)] if sample.dtype.kind == "f" else sample
    return finite.size == 0 or bool(finite.min() == finite.max())


def _planes(values: Any, places: Sequence[int]) -> npt.NDArray[Any]:
    height, width = values.shape[-2:] if values.ndim > 1 else (1, values.shape[-1])
    step = max(1, math.isqrt(height * width // SAMPLED_PIXELS))
    window = (slice(None, None, step),) * min(2, values.ndim)
    leading = tuple(size // 2 for size in values.shape[: max(0, values.ndim - 3)])
    if values.ndim < 3:
        return np.asarray(values[window])
    return np.stack([np.asarray(values[(*leading, place, *window)]) for place in places])


def _layer_name(data: xr.DataArray) -> str:
    """The name that a person gave, else that of the source; and where a plane was cut."""
    cuts = [f"{dim} = {u.show_micrometers(position)}" for dim, position in thin_axes(data).items()]
    return ", ".join([source_name(data), *cuts])


def source_name(data: xr.DataArray) -> str:
    """The name that a person gave to an array, else that of its folder or file."""
    source = data.attrs.get("source")
    if data.name not in (None, NAME) or not source:
        return str(data.name or "volume")
    return PurePath(str(source).removesuffix(".gz")).stem
