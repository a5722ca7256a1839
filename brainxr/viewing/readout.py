"""Where the plane on screen lies, in mm, in a corner of napari's canvas.

napari's sliders tell the number of a step, and its own overlay of the current slice has no
units: its place would be read as µm or mm, as one likes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from brainxr.geometry import units as u

if TYPE_CHECKING:
    from napari.components import Dims, ViewerModel

# Planes by the axis that they lie across.
_NAMES = {"z": "axial", "y": "coronal", "x": "sagittal"}


def say_place(viewer: ViewerModel) -> None:
    """Write which plane it is, and where, into the lower left corner, and keep it true.

    A text that somebody else wrote there, before or later, is left alone.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    """
    dims, text = viewer.dims, viewer.canvas.overlays.text
    if text.visible or text.text:  # ours already, or another's
        return
    text.position, text.font_size, text.visible = "bottom_left", 11, True
    said = ""

    def say(event: Any = None) -> None:
        nonlocal said
        if text.text == said:
            text.text = said = place(dims)

    for name in ("point", "order", "ndisplay", "axis_labels", "units", "range"):
        dims.events[name].connect(say)
    say()


def place(dims: Dims) -> str:
    """``"axial, z 62.4 mm"``; of further axes their step; nothing in three dimensions."""
    told = [_told(dims, axis) for axis in dims.not_displayed]
    across = dims.axis_labels[dims.not_displayed[-1]] if told else ""
    return ", ".join([*filter(None, [_NAMES.get(across)]), *told])


def _told(dims: Any, axis: int) -> str:
    label, position = dims.axis_labels[axis], centre_of_plane(dims, axis)
    unit = None if dims.units is None else str(dims.units[axis])
    if unit is None or not u.is_length(unit):
        return f"{label} {position:g}"
    millimetres = position * u.factor(unit, to="millimeter")
    return f"{label} {round(millimetres, 6) + 0.0:.10g} mm"


def centre_of_plane(dims: Dims, axis: int) -> float:
    """Place of the plane that is drawn, which is the nearest to the point."""
    return nearest(dims.range[axis], dims.point[axis])


def nearest(steps: tuple[float, float, float], position: float) -> float:
    """The step of a slider, from start to stop, that is nearest to a position."""
    start, stop, step = steps
    found = start + round((position - start) / step) * step
    return float(min(max(found, start), stop))
