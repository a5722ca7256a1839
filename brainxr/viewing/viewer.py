"""napari: a layer in a window. The only user of napari, and only when it is used."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from weakref import WeakSet, ref

import numpy as np
import xarray as xr

from brainxr.errors import DisplayError, GeometryError, MissingExtraError
from brainxr.geometry import units as u
from brainxr.geometry.grid import DIMS
from brainxr.labelling import are_labels
from brainxr.lazy.cost import refuse_too_big
from brainxr.viewing.added import shown_by, watch_added
from brainxr.viewing.background import event_loop_runs, keep_responsive, wait_for_planes
from brainxr.viewing.display import refuse_without_display
from brainxr.viewing.following import BUDGET, follow_axes
from brainxr.viewing.graphics import budget_for
from brainxr.viewing.layers import LayerData, layer_dims, layer_of, middle_present, thin_axes
from brainxr.viewing.napari_private import open_viewers
from brainxr.viewing.orthoviews import link_planes
from brainxr.viewing.preview import Budget
from brainxr.viewing.readout import say_place
from brainxr.viewing.upright import keep_upright

if TYPE_CHECKING:
    import napari
    from napari.components import ViewerModel

Shown: TypeAlias = xr.DataArray | xr.Dataset | Mapping[str, xr.DataArray]

# Colours of further images; the first one is grey, and most eyes tell these two apart.
COLOURS = ("green", "magenta", "cyan", "yellow", "red", "blue")

# Layers that are taken care of, and windows whose layers are.
_settled: WeakSet[Any] = WeakSet()
_attended: WeakSet[Any] = WeakSet()


def view(
    data: Shown, viewer: ViewerModel | None = None, *, labels: Shown | bool | None = None,
    planes: bool = False, block: bool | None = None, preview: int | str | None = None,
    **layer_kwargs: Any,
) -> ViewerModel:  # fmt: skip
    """Show a volume, or any selection or reduction of one, in napari at its true place.

    Scale, place and unit come from the coordinates, the contrast from a few
    central planes. A plane selected with a scalar (``vol.sel(y="8 cm",
    method="nearest")``) is shown as a plane of one voxel's thickness where it was
    cut, not at every position. Pixels are read as they are shown.

    A layer is named by ``name=``, else by the array's own name where a person gave it one,
    else by its source. Masks, label volumes and integers as ``skimage.measure.label`` makes
    them become layers of labels. A second image in a window is additive, in another colour.

    Parameters
    ----------
    data : xarray.DataArray, xarray.Dataset or mapping of str to DataArray
        With axes among z, y, x in any order, and coordinates in a unit of length. Each
        variable of a Dataset, and each array of a mapping, is a layer of that name.
    viewer : napari.Viewer or napari.components.ViewerModel, optional
        Where to add the layer. Default: a new window.
    labels : DataArray, mapping of str to DataArray, or bool, optional
        Regions to add on top of the data. Or whether the data themselves are labels; default:
        booleans, what a file or the attribute ``kind="labels"`` says, and integers of 32 or 64
        bits that lie in regions. Grey images of 8 and 16 bits are never taken for labels.
    planes : bool
        Whether to part the window into axial, coronal and sagittal views, linked at one
        point with a crosshair and its place in mm. A click or the key T moves the
        point. Each view reads its own plane, and no more.
    block : bool, optional
        Whether to wait until the window is closed. Default: in a script, where the
        window would vanish at the end, yes; in IPython, in a notebook, with an
        event loop running, or with a viewer that was given, no.
    preview : int or str, optional
        Bytes of what is shown in three dimensions, at most, such as ``"1 GB"``: of a
        volume that is larger a coarser level, or every n-th voxel. Default: 512 MB, or
        16.8 million voxels where there is no graphics card to draw them.
    **layer_kwargs
        Passed to ``viewer.add_image`` or ``add_labels``: ``colormap="magma"``, ``name=...``;
        they replace what is found here.

    Returns
    -------
    napari.Viewer or napari.components.ViewerModel

    Raises
    ------
    MissingExtraError
        When napari is not installed, or what `planes` needs.
    DisplayError
        When there is no display on which to open a window.
    GeometryError
        When the coordinates don't tell where the voxels are, or are not those of
        the viewer.
    TooBigError
        When a single plane would not fit in memory.
    ValueError
        When `preview` is no number of bytes.

    Examples
    --------
    >>> from napari.components import ViewerModel
    >>> vol = brainxr.open(brainxr.sample("phantom"))
    >>> viewer = brainxr.view(vol.sel(y="8 cm", method="nearest"), ViewerModel())
    >>> viewer.layers[0].translate.tolist()[1]
    80000.0
    >>> viewer = brainxr.view({"head": vol}, ViewerModel(), labels={"bright": vol > 200})
    >>> [(layer.name, type(layer).__name__) for layer in viewer.layers]
    [('head', 'Image'), ('bright', 'Labels')]
    """
    is_new = viewer is None
    said = labels if isinstance(labels, bool) else None
    regions = [] if isinstance(labels, bool) else _each(labels)
    layers = [(one, said, {**layer_kwargs, **_name_of(one)}) for one in _each(data)]
    layers += [(one, True, _name_of(one)) for one in regions]
    (first, _, named), *others = layers
    if viewer is None:
        viewer = open_window(first.data, preview=preview, as_labels=said, **named)
    else:
        add_layer(viewer, first.data, preview=preview, as_labels=said, **named)
    try:
        for one, as_labels, named in others:
            add_layer(viewer, one.data, preview=preview, as_labels=as_labels, **named)
    except BaseException:
        if is_new:
            viewer.close()
        raise
    if planes:
        _link_planes(viewer, first.data, is_new)
    if block or (block is None and is_new and _is_script()):
        _wait_for(viewer)
    return viewer


class _Named(NamedTuple):
    """An array to show, and its name where the caller gave one."""

    name: str | None
    data: xr.DataArray


def _each(data: Shown | None) -> list[_Named]:
    """Give the arrays of a mapping or Dataset, or the one array."""
    if data is None:
        return []
    if isinstance(data, xr.Dataset):
        data = {str(name): data[name] for name in data.data_vars}
    if not isinstance(data, Mapping):
        return [_Named(None, data)]
    if not data:
        raise ValueError("There is no array to show: the mapping or Dataset is empty.")
    return [_Named(str(name), array) for name, array in data.items()]


def _name_of(one: _Named) -> dict[str, str]:
    return {} if one.name is None else {"name": one.name}


def _link_planes(viewer: ViewerModel, data: xr.DataArray, is_new: bool) -> None:
    try:
        if is_new:
            move_to(viewer, data, {**middle_present(data), **thin_axes(data)}, everywhere=True)
        link_planes(viewer)
    except BaseException:
        if is_new:
            viewer.close()
        raise


def open_window(
    data: xr.DataArray, *, hidden: bool = False, preview: int | str | None = None,
    as_labels: bool | None = None, **layer_kwargs: Any,
) -> napari.Viewer:  # fmt: skip
    """A new window with one layer, or none where there was an error.

    Parameters
    ----------
    data, preview, **layer_kwargs
        As of `view`.
    hidden : bool
        Whether it is drawn without being seen.
    as_labels : bool, optional
        As of `layers.layer_of`.
    """
    _napari()
    if not hidden:
        refuse_without_display()  # before anything is read for the contrast
    Budget.of(preview)
    layer = prepare_layer(data, as_labels=as_labels, **layer_kwargs)
    viewer = _new_window(hidden)
    (wait_for_planes if hidden else keep_responsive)(viewer)
    try:
        _add(viewer, layer, layer_kwargs, preview)
    except BaseException:
        viewer.close()  # an empty window would stay
        raise
    _turn_to(viewer, data, is_new=True)
    return viewer


def add_layer(
    viewer: ViewerModel, data: xr.DataArray, *, preview: int | str | None = None,
    as_labels: bool | None = None, **layer_kwargs: Any,
) -> None:  # fmt: skip
    """Add a layer to a viewer, and move it there if it is a plane."""
    Budget.of(preview)
    layer = prepare_layer(data, as_labels=as_labels, **layer_kwargs)
    add_prepared(viewer, data, layer, preview=preview, **layer_kwargs)


def prepare_layer(
    data: xr.DataArray, as_labels: bool | None = None, **layer_kwargs: Any
) -> LayerData:
    """What a viewer is given, with all that is read beforehand: a few planes for the contrast.

    Touches no viewer, so it may be done in any thread.
    """
    thick = [dim for dim in layer_dims(data) if data.sizes.get(dim, 1) > 1]
    refuse_too_big(data, sorted(thick, key=data.sizes.__getitem__)[-2:])
    return layer_of(data, as_labels=as_labels, **layer_kwargs)


def add_prepared(
    viewer: ViewerModel, data: xr.DataArray, layer: LayerData, *,
    preview: int | str | None = None, **layer_kwargs: Any,
) -> None:  # fmt: skip
    """Add to a viewer what `prepare_layer` made of the data."""
    _refuse_other_axes(viewer, layer[1]["axis_labels"])
    _add(viewer, layer, layer_kwargs, preview)
    _turn_to(viewer, data, is_new=False)


def _wait_for(viewer: ViewerModel) -> None:
    if hasattr(viewer, "window"):  # a model without one has nothing to wait for
        _napari().run()


def _add(
    viewer: ViewerModel, prepared: LayerData, own: dict[str, Any], preview: int | str | None
) -> None:
    """Add the layer; arguments that an older napari doesn't know are left out if they are ours."""
    values, kwargs, kind = prepared
    add = viewer.add_labels if kind == "labels" else viewer.add_image
    if kind == "image":
        kwargs = {**_blended(viewer, kwargs, "name" in own), **kwargs}
    known = inspect.signature(add).parameters
    kwargs = {key: value for key, value in kwargs.items() if key in known or key in own}
    # in three dimensions napari would read all of it at once
    visible = kwargs.pop("visible", True)
    layer = add(values, visible=visible and viewer.dims.ndisplay == 2, **kwargs)
    _settle(viewer, layer, preview)
    if layer.visible != visible:  # saying it again would read it again
        layer.visible = visible


def _blended(viewer: ViewerModel, kwargs: Mapping[str, Any], is_named: bool) -> dict[str, str]:
    """Colour and blending of a second image of another volume: both are seen at once."""
    data = kwargs["metadata"]["xarray"]
    shown = [other for layer in viewer.layers if (other := shown_by(layer)) is not None]
    images = [other for other in shown if not are_labels(other)]
    if not images or (not is_named and any(_is_same_volume(data, one) for one in images)):
        return {}
    colour = COLOURS[(len(images) - 1) % len(COLOURS)]
    return {"blending": "additive", "colormap": colour}


def _is_same_volume(one: xr.DataArray, other: xr.DataArray) -> bool:
    """True for two parts of one volume, such as planes that are shown together."""
    sources = one.attrs.get("source"), other.attrs.get("source")
    return one.name == other.name and sources[0] is not None and sources[0] == sources[1]


def _settle(viewer: ViewerModel, layer: Any, preview: int | str | None = None) -> None:
    """Take care of a layer of ours from now on."""
    if layer in _settled:
        return
    _settled.add(layer)
    if hasattr(layer, "contrast_limits"):
        # napari would let the slider go no further than the limits themselves
        low, high = layer.contrast_limits
        layer.contrast_limits_range = _slider_range(low, high, layer.dtype)
    watch_added(viewer)
    keep_upright(viewer)
    layer.metadata[BUDGET] = budget_for(viewer, layer.dtype, preview)
    follow_axes(viewer, layer)


def attend_viewers() -> None:
    """Take care of the layers of ours that napari itself adds to any open window.

    A reader of napari's isn't told for which viewer it reads.
    """
    for viewer in open_viewers():
        if viewer not in _attended:
            _attended.add(viewer)
            viewer.layers.events.inserted.connect(partial(_welcome, ref(viewer)))


def _welcome(viewer: ref[Any], event: Any) -> None:
    """Do for a layer that was added what `view` does; the first one is shown in its middle."""
    window, layer = viewer(), event.value
    data = shown_by(layer)
    if window is None or data is None or layer in _settled:
        return
    is_new = len(window.layers) == 1
    if is_new:
        _show_scale(window)
        keep_responsive(window)
    _settle(window, layer)
    _turn_to(window, data, is_new)


def _slider_range(low: float, high: float, dtype: np.dtype[Any]) -> tuple[float, float]:
    room = high - low
    if dtype.kind not in "iu":
        return low - room, high + room
    bounds = np.iinfo(dtype)
    if bounds.max - bounds.min < 256:
        return float(bounds.min), float(bounds.max)
    return max(low - room, float(bounds.min)), min(high + room, float(bounds.max))


def _new_window(hidden: bool) -> napari.Viewer:
    try:
        viewer: napari.Viewer = _napari().Viewer(title="brainxr", show=not hidden)
    except ImportError as error:  # napari is there without a Qt
        raise MissingExtraError(
            "napari finds no Qt to open a window with. Install one: pip install 'brainxr[napari]'."
        ) from error
    _show_scale(viewer)
    return viewer


def _show_scale(viewer: ViewerModel) -> None:
    """How large it is, and where it lies."""
    # napari 0.9 moved the scale bar
    bars = viewer.canvas.overlays if hasattr(viewer, "canvas") else viewer
    bars.scale_bar.visible = True
    say_place(viewer)


def current_viewer() -> napari.Viewer:
    """The window in which a person is at work.

    Raises
    ------
    DisplayError
        When there is none.
    """
    viewer: napari.Viewer | None = _napari().current_viewer()
    if viewer is None:
        raise DisplayError("There is no window of napari. Open one: brainxr.view(vol).")
    return viewer


def _napari() -> Any:
    if importlib.util.find_spec("napari") is None:
        raise MissingExtraError(
            "napari is not installed. Install it with a Qt: pip install 'brainxr[napari]'. "
            "Pictures without it: data.brain.plot_planes()."
        )
    import napari

    return napari


def _refuse_other_axes(viewer: ViewerModel, labels: list[str]) -> None:
    """napari aligns axes from the last one on, whatever their names."""
    if not viewer.layers:
        return
    shown = list(viewer.dims.axis_labels)[-len(labels) :]
    others = [(a, b) for a, b in zip(shown, labels[-len(shown) :], strict=True) if a != b]
    # napari's own defaults, "-1", "-2", ..., name nothing
    if any((a in DIMS or b in DIMS) and not a.lstrip("-").isdigit() for a, b in others):
        raise GeometryError(
            f"The viewer's axes end with {shown}, and the data's are {labels}: napari would put "
            "one for the other. Say where a projection lies, for example "
            "data.assign_coords(y=vol.y[0]), or show it in a new viewer."
        )


def _turn_to(viewer: ViewerModel, data: xr.DataArray, is_new: bool) -> None:
    """Show the new layer: a new window faces a plane, any window moves to its place."""
    thin = thin_axes(data)
    names = [str(dim) for dim in layer_dims(data)]
    if is_new and len(names) > 2:
        viewer.dims.order = tuple(sorted(range(len(names)), key=lambda i: names[i] not in thin))
    move_to(viewer, data, {**(middle_present(data) if is_new else {}), **thin})
    if is_new:
        viewer.reset_view()


def move_to(
    viewer: ViewerModel, data: xr.DataArray, places: Mapping[str, float], everywhere: bool = False
) -> None:
    """Move the point to places in µm along axes of the data that are not displayed, or all."""
    names = [str(dim) for dim in layer_dims(data)]
    first = viewer.dims.ndim - len(names)
    for name, position in places.items():
        axis = first + names.index(name)
        if everywhere or axis not in viewer.dims.displayed:
            viewer.dims.set_point(axis, position * _world_units_per_micrometer(viewer, axis))


def _world_units_per_micrometer(viewer: ViewerModel, axis: int) -> float:
    """napari's sliders are in the finest unit of its layers; in ours where they have none."""
    units = getattr(viewer.layers.extent, "units", None)
    return 1.0 if units is None else u.factor(u.MICROMETER, to=str(units[axis]))


def _is_script() -> bool:
    """Whether nothing else keeps the window alive: no prompt, no notebook, no event loop."""
    if hasattr(sys, "ps1") or sys.flags.interactive or event_loop_runs():
        return False
    ipython = sys.modules.get("IPython")
    return ipython is None or ipython.get_ipython() is None
