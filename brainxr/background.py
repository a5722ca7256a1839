"""Long reads in the background: the window stays alive, and shows the last plane meanwhile.

napari reads a plane while the window waits, unless its experimental asynchronous
slicing is switched on, for all windows and from the start. Where a plane is a row of
each slice, waiting is best: nothing flickers. A sagittal plane reads the whole volume;
then the window should not wait. So which of the two it is follows the planes that are
shown, and who asks for them: a script that moves the slider and then takes a
screenshot waits, or it would picture the plane before.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from dask.base import is_dask_collection

from brainxr.lazyarray import StackArray, ascending
from brainxr.segments import first_rows

if TYPE_CHECKING:
    from napari.components import ViewerModel

# A step of the slider that takes longer than this is felt.
LONGEST_WAIT = 0.05

# Roughly, and rather too slow than too fast: finding a slice or a chunk and reading little
# of it.
_SECONDS_A_PIECE = 1e-5


def keep_responsive(viewer: ViewerModel) -> None:
    """Read in the background whenever a person would have to wait for a plane of this window.

    napari keeps the last picture until the next one is there, and turns a wheel in the
    layer list. Does nothing where napari has no such slicing. Whoever switched it on
    in napari's preferences keeps it.
    """
    slicer: Any = getattr(viewer, "_layer_slicer", None)
    if not hasattr(slicer, "_force_sync"):  # napari has no public switch for one window
        return
    submit = slicer.submit

    def submit_where_it_fits(**request: Any) -> Any:
        slicer._force_sync = not (_always() or (event_loop_runs() and takes_long(viewer)))
        return submit(**request)

    slicer.submit = submit_where_it_fits


def read_only_changes(viewer: ViewerModel) -> None:
    """Read nothing again when the point of a viewer moves within the plane that it shows.

    napari takes a point that moved along a displayed axis for another plane, and reads
    again what it has. With views that are linked at one point that is each step of each.
    """
    slicer: Any = getattr(viewer, "_layer_slicer", None)
    if slicer is None or hasattr(slicer.submit, "planes"):
        return
    submit = slicer.submit
    planes: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()

    def submit_changed(*, layers: Any, dims: Any, force: bool = False) -> Any:
        plane = _plane(dims)
        changed = [layer for layer in layers if force or planes.get(layer) != plane]
        planes.update(dict.fromkeys(changed, plane))
        return submit(layers=changed, dims=dims, force=force) if changed else None

    submit_changed.planes = planes  # type: ignore[attr-defined]
    slicer.submit = submit_changed


def _plane(dims: Any) -> Any:
    """All of napari's sliders that decides which plane is shown."""
    across = [(axis, dims.point[axis]) for axis in dims.not_displayed]
    return across, dims.order, dims.ndisplay, dims.margin_left, dims.margin_right


def wait_for_planes(viewer: ViewerModel) -> None:
    """Read nothing of this window in the background, whatever napari's preferences say."""
    slicer: Any = getattr(viewer, "_layer_slicer", None)
    if hasattr(slicer, "_force_sync"):
        slicer._force_sync = True


def _always() -> bool:
    from napari.settings import get_settings

    return bool(get_settings().experimental.async_)


def event_loop_runs() -> bool:
    """Whether Qt is at work already: in a plugin, a callback, an application of one's own."""
    qt = sys.modules.get("qtpy.QtCore")
    app = None if qt is None else qt.QCoreApplication.instance()
    return app is not None and app.thread().loopLevel() > 0


def takes_long(viewer: ViewerModel) -> bool:
    """Whether the planes that are shown take longer to read than a person likes to wait."""
    return any(
        _takes_long(_drawn(layer), [axis - viewer.dims.ndim for axis in viewer.dims.displayed])
        for layer in viewer.layers
        if layer.visible
    )


def _drawn(layer: Any) -> Any:
    """The level that is on the screen, of a layer that has some."""
    return layer.data[layer.data_level] if getattr(layer, "multiscale", False) else layer.data


def _takes_long(data: Any, displayed: list[int]) -> bool:
    data = getattr(data, "array", data)  # a stack with gaps filled, or a level
    if not isinstance(data, StackArray):
        return is_dask_collection(data)  # which may compute anything
    shown = [axis % data.ndim for axis in displayed if -axis <= data.ndim]
    key = tuple(slice(None) if axis in shown else 0 for axis in range(data.ndim))
    return seconds_to_read(data.select(key)) > LONGEST_WAIT


def seconds_to_read(stack: StackArray) -> float:
    """Roughly how long a selection takes to read, without reading anything."""
    source = stack.source
    needed = [ascending(choice)[0] for choice in stack.choices]
    sizes = [
        len(first_rows(part, grain)) * grain
        for part, grain in zip(needed, source.grain, strict=True)
    ]
    seconds = math.prod(sizes) * source.dtype.itemsize / source.speed
    return len(source.pieces(needed)) * _SECONDS_A_PIECE + seconds
