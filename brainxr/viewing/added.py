"""Layers that others add to a viewer of ours: they get its axes' names, and know its volume.

napari gives points, shapes and labels that are added by its buttons the place and unit
of the layer that is selected. What it doesn't give them is here, and a warning about
layers without a unit: one of them makes napari forget the units of all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np
import xarray as xr

from brainxr.errors import UnitWarning, warn

if TYPE_CHECKING:
    from napari.components import ViewerModel

# Where a layer keeps the DataArray that it shows, and one that it was drawn on.
SHOWN, DRAWN_ON = "xarray", "drawn_on"

_watched: WeakSet[Any] = WeakSet()


def watch_added(viewer: ViewerModel) -> None:
    """Take care of every layer that is added to this viewer from now on."""
    if viewer.layers in _watched:
        return
    _watched.add(viewer.layers)
    viewer.layers.events.inserted.connect(_take_care)


def shown_by(layer: Any) -> xr.DataArray | None:
    """The DataArray that a layer of ours shows."""
    found = getattr(layer, "metadata", {}).get(SHOWN)
    return found if isinstance(found, xr.DataArray) else None


def drawn_on(layer: Any) -> xr.DataArray | None:
    """The DataArray that points, shapes or labels were added to, if a viewer of ours saw it."""
    found = getattr(layer, "metadata", {}).get(DRAWN_ON)
    return found if isinstance(found, xr.DataArray) else None


def is_unitless(layer: Any) -> bool:
    """Whether napari takes a layer's numbers for pixels."""
    return all(str(unit) == "pixel" for unit in layer.units)


def _take_care(event: Any) -> None:
    layers, layer = event.source, event.value
    if shown_by(layer) is not None:
        return
    if is_unitless(layer):
        _warn_of_no_unit(layer)
        return
    ours = [other for other in layers if shown_by(other) is not None and other is not layer]
    if not ours:
        return
    # the one that it was made from has its grid; else the one on top
    base = next((other for other in reversed(ours) if _same_grid(layer, other)), ours[-1])
    layer.metadata.setdefault(DRAWN_ON, shown_by(base))
    if base.ndim == layer.ndim and all(label.startswith("-") for label in layer.axis_labels):
        layer.axis_labels = base.axis_labels  # napari aligns axes by their place


def _same_grid(layer: Any, other: Any) -> bool:
    return layer.ndim == other.ndim and all(
        np.array_equal(getattr(layer, name), getattr(other, name))
        for name in ("scale", "translate")
    )


def _warn_of_no_unit(layer: Any) -> None:
    units = ", ".join(["'um'"] * layer.ndim)
    warn(
        f"The layer {layer.name!r} has no unit, so napari shows all layers of this window without: "
        "the scale bar counts pixels, and its numbers are taken for µm. Say what they are, for "
        f"example viewer.layers[{layer.name!r}].units = ({units}).",
        UnitWarning,
    )
