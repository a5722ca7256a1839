"""From the viewer back to the script: what is seen, drawn, painted or marked, with coordinates.

    a layer ── Placed.of ──▶ axes' names, scale and translate in µm
    viewer │ shapes layer ── ranges in µm ──▶ part of the volume, lazily
    labels layer ── the volume's own voxels ──▶ DataArray
    points layer ──▶ table of positions in µm

Pure: layers are known by what they have, and napari is not imported.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from dask.base import is_dask_collection

from brainxr.errors import GeometryError
from brainxr.geometry import units as u
from brainxr.geometry.grid import DIMS, OFF_GRID_IN_VOXELS, VoxelGrid
from brainxr.lazy.cost import refuse_beyond_memory
from brainxr.viewing.added import drawn_on, is_unitless, shown_by
from brainxr.viewing.layers import Axis, layer_dims, shows
from brainxr.viewing.zoom import LazyLevel

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Points, Shapes

# Places in µm are rounded to a picometre: what was drawn at 62 mm comes back at 62 mm,
# and not at what dividing by a scale and multiplying with it makes of that.
DECIMALS = 6


def selection(source: ViewerModel | Shapes, volume: xr.DataArray | None = None) -> xr.DataArray:
    """The part of a volume that is on screen, or in a rectangle that was drawn.

    Costs no read: the part is as lazy as its volume.

    Parameters
    ----------
    source : napari.Viewer or napari.layers.Shapes
        Of a viewer: the planes at its sliders, along displayed axes the voxels of which
        anything is on the canvas; in three dimensions all of them. Of a shapes layer:
        the voxels whose centres lie in the box around the selected shapes, or around
        the only one there is; along an axis on which the shape is flat, the nearest
        plane.
    volume : xarray.DataArray, optional
        What to take the part of. Default: of a viewer what its selected layer shows,
        else the topmost visible one that `brainxr.view` made; of shapes what they were
        drawn on.

    Returns
    -------
    xarray.DataArray
        A selection of the volume, with its own coordinates; axes with one plane are
        scalars, as after ``.sel(z=...)``.

    Raises
    ------
    GeometryError
        When nothing of the volume is there, or its place or unit is not known.
    TypeError
        When it is neither a viewer nor a shapes layer.

    Examples
    --------
    >>> from napari.components import ViewerModel
    >>> vol = brainxr.open(brainxr.sample("phantom"))
    >>> viewer = brainxr.view(vol, ViewerModel())
    >>> viewer.dims.set_point(0, 62_000)
    >>> float(brainxr.selection(viewer).z)
    62000.0
    """
    if hasattr(source, "layers") and hasattr(source, "dims"):
        data = volume if volume is not None else _looked_at(source)
        return _part(data, _on_screen(source, data), touched=True)
    if hasattr(source, "shape_type"):
        data = volume if volume is not None else _known(source)
        return _part(data, _drawn(source), touched=False)
    raise TypeError(
        f"Expected a napari viewer or a shapes layer, found {type(source).__name__}. Of a labels "
        "layer use brainxr.labels(layer), of points brainxr.points(layer)."
    )


def labels(layer: Labels, volume: xr.DataArray | None = None) -> xr.DataArray:
    """What was painted, on the volume's own coordinates: ``vol.where(labels == 1).mean()``.

    Costs no memory where the layer's values are a numpy array: it shares them, and
    follows what is painted later; ``.copy()`` makes it independent.

    Parameters
    ----------
    layer : napari.layers.Labels
    volume : xarray.DataArray, optional
        Whose voxels they are. Default: those of the volume that the layer was added to
        in a viewer of `brainxr.view`, if they are the same, else the layer's own, in µm.

    Returns
    -------
    xarray.DataArray
        Named ``"labels"``, read-only, with the volume's coordinates, in its order and
        unit. 0 where the layer doesn't reach.

    Raises
    ------
    GeometryError
        When the layer has no unit, is turned, or has other voxels than `volume`.
    TypeError
        When it is no labels layer.
    TooBigError
        When its values are not in memory yet, and would not fit there.
    """
    if not hasattr(layer, "selected_label"):
        raise TypeError(f"Expected a napari labels layer, found {type(layer).__name__}.")
    placed = Placed.of(layer)
    values = _in_memory(layer.data[0] if layer.multiscale else layer.data)
    if volume is not None:
        return _on_voxels(values, placed, volume)
    known = drawn_on(layer)
    try:
        return _by_itself(values, placed) if known is None else _on_voxels(values, placed, known)
    except OtherVoxelsError:
        return _by_itself(values, placed)


def _in_memory(values: Any) -> npt.NDArray[Any]:
    if not isinstance(values, np.ndarray):
        shape = " x ".join(map(str, values.shape))
        refuse_beyond_memory(
            math.prod(values.shape) * np.dtype(values.dtype).itemsize,
            f"The labels, {shape} {values.dtype},",
            "Crop the layer first, or take what it was made of: layer.data.",
        )
    return np.asarray(values)


def points(layer: Points) -> pd.DataFrame:
    """Points as a table: a column in µm for each axis, and one for each of their features.

    Parameters
    ----------
    layer : napari.layers.Points

    Returns
    -------
    pandas.DataFrame
        Columns ``z``, ``y``, ``x`` (float, µm), then the layer's features; a row a
        point, in their order. ``attrs["units"]`` is ``"micrometer"``.

    Raises
    ------
    GeometryError
        When the layer has no unit, no names of axes, or is turned.
    TypeError
        When it is no points layer.

    Examples
    --------
    >>> table = brainxr.points(viewer.layers["Points"])  # doctest: +SKIP
    >>> vol.sel(table.iloc[0][["z", "y", "x"]], method="nearest")  # doctest: +SKIP
    """
    if not hasattr(layer, "symbol"):
        raise TypeError(f"Expected a napari points layer, found {type(layer).__name__}.")
    placed = Placed.of(layer)
    table: pd.DataFrame = pd.DataFrame(placed.micrometers(layer.data), columns=list(placed.names))
    features = layer.features.reset_index(drop=True)
    taken = {name: f"{name}_feature" for name in placed.names}
    table = pd.concat([table, features.rename(columns=taken)], axis=1)
    table.attrs["units"] = str(u.MICROMETER)
    return table


def volume_of(layer: Image | Labels) -> xr.DataArray:
    """The volume that an image or labels layer is: the one it was made of, or one by its place.

    Costs no read. A layer that was made of a DataArray by `brainxr.view` is that
    DataArray, unless somebody moved it or gave it other values since. The axes of one
    that has no names for them are z, y and x, in the order of napari's sliders.

    Parameters
    ----------
    layer : napari.layers.Image or napari.layers.Labels

    Returns
    -------
    xarray.DataArray
        With coordinates in µm.

    Raises
    ------
    GeometryError
        When the layer has no unit, is turned, or has axes other than z, y and x.
    """
    values = layer.data[0] if layer.multiscale else layer.data
    values = values.array if isinstance(values, LazyLevel) else values
    known = shown_by(layer)
    if known is not None and shows(known, values, layer.scale, layer.translate):
        return known
    placed = Placed.of(layer, DIMS[-layer.ndim :])
    if np.ndim(values) != layer.ndim or not set(placed.names) <= set(DIMS):
        raise GeometryError(
            f"The layer {layer.name!r} has shape {np.shape(values)} along the axes "
            f"{', '.join(placed.names)}, and a volume has grey values along z, y and x. Split its "
            "channels, or take one time of it."
        )
    return _by_itself(_for_xarray(values), placed).rename(layer.name)


def _for_xarray(values: Any) -> Any:
    """What xarray takes as it is: arrays in memory and dask's, and any other through dask."""
    if isinstance(values, np.ndarray) or is_dask_collection(values):
        return values
    import dask.array as da

    return da.from_array(values, chunks={0: 1})


# --- where layers are -------------------------------------------------------------


@dataclass(frozen=True)
class Placed:
    """Where a layer's own coordinates lie.

    Attributes
    ----------
    names : tuple of str
        Of the axes.
    scale, translate : numpy.ndarray, shape (ndim,)
        In µm, or steps along axes that are none of space.
    """

    names: tuple[str, ...]
    scale: npt.NDArray[np.float64]
    translate: npt.NDArray[np.float64]

    @classmethod
    def of(cls, layer: Any, names: Sequence[str] | None = None) -> Self:
        """Where a layer is; refused where its axes have no unit or no names, or are turned.

        `names` are those of axes that have none.
        """
        if is_unitless(layer):
            units = ", ".join(["'um'"] * layer.ndim)
            raise GeometryError(
                f"The layer {layer.name!r} has no unit, so its places may be anything. Say it, for "
                f"example layer.units = ({units})."
            )
        labels: Sequence[str] = layer.axis_labels
        if all(label.startswith("-") for label in labels):
            labels = names or ()
        if len(labels) != layer.ndim:
            raise GeometryError(
                f"The axes of the layer {layer.name!r} have no names. Say them, for example "
                f"layer.axis_labels = {DIMS[-layer.ndim :]}."
            )
        _refuse_turned(layer)
        factors = np.array([_micrometers_a(str(unit)) for unit in layer.units])
        return cls(tuple(labels), layer.scale * factors, layer.translate * factors)

    def micrometers(self, places: Any) -> npt.NDArray[np.float64]:
        """Places in the layer's own coordinates, shape (n, ndim), in µm."""
        own = np.asarray(places, np.float64).reshape(-1, len(self.names))
        return np.asarray((own * self.scale + self.translate).round(DECIMALS) + 0.0)


def _refuse_turned(layer: Any) -> None:
    n = layer.ndim
    parts = (layer.rotate, layer.affine.affine_matrix, np.eye(n) + np.diag(layer.shear[: n - 1], 1))
    if any(not np.allclose(part, np.eye(len(part))) for part in parts):
        raise GeometryError(
            f"The layer {layer.name!r} was rotated, sheared or moved by an affine, so its voxels "
            "are not along the axes. Undo that: layer.affine = None, layer.rotate = 0."
        )


def _micrometers_a(unit: str) -> float:
    """µm of a unit; 1 of what is no length, such as a step in time."""
    return u.factor(unit, to=u.MICROMETER) if u.is_length(unit) else 1.0


def _looked_at(viewer: ViewerModel) -> xr.DataArray:
    active = viewer.layers.selection.active
    candidates = [active, *(layer for layer in reversed(viewer.layers) if layer.visible)]
    for layer in candidates:
        data = shown_by(layer) if layer is not None else None
        if data is not None:
            return data
    raise GeometryError(
        "No visible layer of this viewer was made by brainxr.view, so it isn't known what to take "
        "a part of. Say it: brainxr.selection(viewer, vol)."
    )


def _known(layer: Any) -> xr.DataArray:
    data = drawn_on(layer)
    if data is None:
        raise GeometryError(
            f"It isn't known what the layer {layer.name!r} was drawn on. Say it: "
            "brainxr.selection(layer, vol)."
        )
    return data


# --- ranges -----------------------------------------------------------------------

# Lower and upper end along an axis, in µm; a place where they are the same.
Ranges = Mapping[Hashable, tuple[float, float]]


def _on_screen(viewer: ViewerModel, data: xr.DataArray) -> Ranges:
    names = layer_dims(data)
    first = viewer.dims.ndim - len(names)
    units = getattr(viewer.layers.extent, "units", None)
    shown = list(viewer.dims.displayed)
    height_width = np.asarray(viewer.canvas.size) / viewer.scene.camera.zoom
    ranges: dict[Hashable, tuple[float, float]] = {}
    for axis, name in enumerate(names, first):
        if axis in shown and viewer.dims.ndisplay == 3:
            continue
        low = high = viewer.dims.point[axis]
        if axis in shown:
            row = shown.index(axis) - 2
            middle, half = viewer.scene.camera.center[row], height_width[row] / 2
            low, high = middle - half, middle + half
        factor = 1.0 if units is None else _micrometers_a(str(units[axis]))
        ranges[name] = (low * factor, high * factor)
    return ranges


def _drawn(layer: Any) -> Ranges:
    """Box around the shapes that are selected, or around the only one."""
    chosen = sorted(layer.selected_data) or list(range(len(layer.data)))
    if not chosen:
        raise GeometryError(f"Nothing is drawn in the layer {layer.name!r}. Draw there first.")
    if len(chosen) > 1 and not layer.selected_data:
        raise GeometryError(
            f"There are {len(chosen)} shapes in the layer {layer.name!r}. Select the one that is "
            "meant, for example layer.selected_data = {0}."
        )
    placed = Placed.of(layer)
    corners = placed.micrometers(np.concatenate([layer.data[i] for i in chosen]))
    ends = zip(corners.min(0).tolist(), corners.max(0).tolist(), strict=True)
    return dict(zip(placed.names, ends, strict=True))


def _part(data: xr.DataArray, ranges: Ranges, *, touched: bool) -> xr.DataArray:
    """Voxels that a range touches, or whose centres it holds; at a place the nearest plane."""
    indexers: dict[Hashable, Any] = {}
    for dim, (low, high) in ranges.items():
        if dim not in data.dims:
            continue  # a plane that is already selected, or an axis that the data don't have
        centres, step = _centres(data, dim)
        if high - low < OFF_GRID_IN_VOXELS * step:
            indexers[dim] = _plane(centres, step, (low + high) / 2, dim)
            continue
        # napari keeps the corners of shapes as float32: the thousandth of a voxel is theirs
        room = step * (0.5 - OFF_GRID_IN_VOXELS if touched else OFF_GRID_IN_VOXELS)
        inside = np.flatnonzero((centres > low - room) & (centres < high + room))
        if inside.size == 0:
            raise GeometryError(
                f"There is no voxel from {_mm(low)} to {_mm(high)} along {dim!r}, which has them "
                f"from {_mm(centres.min())} to {_mm(centres.max())}, every {_mm(step)}. "
                "Draw a larger one, or one where they are."
            )
        indexers[dim] = slice(int(inside[0]), int(inside[-1]) + 1)
    return data.isel(indexers)


def _plane(centres: npt.NDArray[Any], step: float, place: float, dim: Hashable) -> int:
    # between two planes napari rounds half to even, counting upwards
    shown = centres.min() + np.rint((place - centres.min()) / step) * step
    nearest = int(np.abs(centres - shown).argmin())
    if abs(centres[nearest] - shown) > step * OFF_GRID_IN_VOXELS:
        raise GeometryError(
            f"There is no plane at {dim} = {_mm(place)}; the nearest is at "
            f"{_mm(centres[nearest])}, and they are {_mm(step)} apart. Move to one that is there."
        )
    return nearest


def _centres(data: xr.DataArray, dim: Hashable) -> tuple[npt.NDArray[np.float64], float]:
    """Places of the voxels in µm, as a viewer has them, and the distance between them."""
    lattice = Axis.of(data, dim).lattice
    if lattice is None:
        return np.arange(data.sizes[dim], dtype=np.float64), 1.0
    centres = np.asarray(lattice.start + lattice.step * lattice.k, np.float64)
    return centres, abs(lattice.step)


def _mm(micrometers: float) -> str:
    return f"{round(micrometers / 1000, DECIMALS) + 0.0:.10g} mm"


# --- labels -----------------------------------------------------------------------


class OtherVoxelsError(GeometryError):
    """Labels whose voxels are not those of the volume."""


def _by_itself(values: Any, placed: Placed) -> xr.DataArray:
    sizes = dict(zip(placed.names, values.shape, strict=True))
    spatial = [i for i, name in enumerate(placed.names) if name in DIMS]
    grid = VoxelGrid(*(
        {placed.names[i]: sequence[i] for i in spatial}
        for sequence in (values.shape, placed.scale.tolist(), placed.translate.tolist())
    ))  # fmt: skip
    return xr.DataArray(
        _locked(values) if isinstance(values, np.ndarray) else values,
        grid.coordinates(),
        list(sizes),
        "labels",
    )


def _on_voxels(values: npt.NDArray[Any], placed: Placed, volume: xr.DataArray) -> xr.DataArray:
    """The values at a volume's voxels, in its order; an axis that it has dropped is dropped."""
    for axis in range(len(placed.names)):
        values = _taken(values, axis, _places(placed, axis, volume))
    dims = [name for name in placed.names if name in volume.dims]
    kept = tuple(slice(None) if name in dims else 0 for name in placed.names)
    coords = {n: c for n, c in volume.coords.items() if set(c.dims) <= set(dims)}
    found = xr.DataArray(_locked(values[kept]), coords, dims, "labels")
    return found.transpose(*(dim for dim in volume.dims if dim in dims))


def _places(placed: Placed, axis: int, volume: xr.DataArray) -> npt.NDArray[np.intp]:
    """Index in the layer of each voxel of a volume along an axis, also beyond its ends."""
    name, scale, first = placed.names[axis], placed.scale[axis], placed.translate[axis]
    if name not in layer_dims(volume):
        raise OtherVoxelsError(f"The labels have an axis {name!r}, and the volume has none.")
    centres, step = _centres(volume, name)
    exact = (centres - first) / scale
    places: npt.NDArray[np.intp] = np.rint(exact).astype(np.intp)
    if np.abs(exact - places).max() > OFF_GRID_IN_VOXELS or step < scale * (1 - OFF_GRID_IN_VOXELS):
        raise OtherVoxelsError(
            f"Along {name!r} the labels' voxels are {_mm(scale)} apart, from {_mm(first)} on, and "
            f"those of the volume {_mm(step)} apart, from {_mm(centres[0])} on, which is no part "
            "of them. Take the labels by themselves, brainxr.labels(layer), and bring them there: "
            "labels.interp_like(vol, method='nearest')."
        )
    return places


def _taken(values: npt.NDArray[Any], axis: int, places: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
    """Values at places along an axis, 0 at those beyond; a view where they are all in a row."""
    lead, size = (slice(None),) * axis, values.shape[axis]
    there = (places >= 0) & (places < size)
    step = int(places[1] - places[0]) if places.size > 1 else 1
    if there.all() and step != 0 and (np.diff(places) == step).all():
        stop = int(places[-1]) + (1 if step > 0 else -1)
        return values[(*lead, slice(int(places[0]), stop if stop >= 0 else None, step))]
    taken = values.take(places.clip(0, size - 1), axis)
    taken[(*lead, ~there)] = 0
    return taken


def _locked(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A view through which nobody paints by mistake."""
    view = values.view()
    view.flags.writeable = False
    return view
