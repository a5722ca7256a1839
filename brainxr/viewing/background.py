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
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from dask.base import is_dask_collection

from brainxr.lazy.laidout import LaidOut
from brainxr.lazy.lazyarray import StackArray, ascending
from brainxr.stacks.segments import first_rows
from brainxr.viewing.napari_private import (
    before_slicing,
    is_slicing,
    qt_window,
    slice_in_foreground,
    slicer_of,
)
from brainxr.viewing.zoom import LazyLevel

if TYPE_CHECKING:
    from napari.components import ViewerModel

# A step of the slider that takes longer than this is felt.
LONGEST_WAIT = 0.05

# Roughly, and rather too slow than too fast: finding a slice or a chunk and reading little
# of it.
_SECONDS_A_PIECE = 1e-5

# Slicers of windows that are kept responsive.
_responsive: WeakSet[Any] = WeakSet()


def keep_responsive(viewer: ViewerModel) -> None:
    """Read in the background whenever a person would have to wait for a plane of this window.

    napari keeps the last picture until the next one is there, and turns a wheel in the
    layer list. Does nothing where napari has no such slicing, or a second time. Whoever
    switched it on in napari's preferences keeps it.
    """
    slicer = slicer_of(viewer)
    if slicer is None:
        return
    if slicer in _responsive:
        return
    _responsive.add(slicer)

    def decide() -> None:
        # after a plane that is being read still: what came later would be drawn before it
        wait = not is_slicing(slicer) and not takes_long(viewer)
        slice_in_foreground(slicer, not (_always() or (event_loop_runs() and not wait)))

    before_slicing(viewer, decide)


def read_only_changes(viewer: ViewerModel) -> None:
    """Read nothing again when the point of a viewer moves within the plane that it shows.

    napari takes a point that moved along a displayed axis for another plane, and reads
    again what it has. With views that are linked at one point that is each step of each.
    """
    slicer = slicer_of(viewer)
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
    slicer = slicer_of(viewer)
    if slicer is not None:
        slice_in_foreground(slicer, True)


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
    data = data.array if isinstance(data, LazyLevel) else data
    if isinstance(data, StackArray | LaidOut):
        shown = [axis % data.ndim for axis in displayed if -axis <= data.ndim]
        data = data.select(tuple(slice(None) if a in shown else 0 for a in range(data.ndim)))
    while isinstance(data, LaidOut):
        data = data.inside
    if isinstance(data, StackArray):
        return seconds_to_read(data) > LONGEST_WAIT
    return is_dask_collection(data)  # which may compute anything


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


class Reading:
    """Something long that is read step by step in a thread, for a window to show.

    How far it is can be seen in napari's activity dock. What goes wrong is a
    notification. It ends with its window.

    Parameters
    ----------
    viewer : napari.Viewer
    steps : iterator
        Gives something to show now and then, else None; it is read in a thread.
    total : int
        How many steps there are.
    label : str
        What is read, for people.
    take : callable
        Is given what is to be shown, in the window's own thread.
    """

    def __init__(
        self, viewer: Any, steps: Iterator[Any], total: int, label: str,
        take: Callable[[Any], object],
    ) -> None:  # fmt: skip
        from napari.utils import progress
        from qtpy.QtCore import QCoreApplication, QTimer

        self._take = take
        self._given: SimpleQueue[Any] = SimpleQueue()
        self._over = Event()
        self._bar = progress(total=total, desc=label)
        # Qt's own: it is deleted with the window, and nothing comes to one that is gone
        self._timer = QTimer(qt_window(viewer))
        self._timer.timeout.connect(self._hand_over)
        app: Any = QCoreApplication.instance()
        self._timer.destroyed.connect(self.stop)
        app.aboutToQuit.connect(self.stop)
        self._leave = (
            lambda: self._timer.destroyed.disconnect(self.stop),
            lambda: app.aboutToQuit.disconnect(self.stop),
        )
        self._timer.start(int(1000 * LONGEST_WAIT))
        Thread(target=self._read, args=(steps,), name="brainxr-reading").start()

    def stop(self, _: Any = None) -> None:
        """Read no further than the step that is at work, and show nothing any more."""
        if self._over.is_set():
            return
        self._over.set()
        for end in (*self._leave, self._timer.stop, self._timer.deleteLater, self._bar.close):
            with suppress(RuntimeError):  # of what Qt has deleted already
                end()

    def _read(self, steps: Iterator[Any]) -> None:
        try:
            for values in steps:
                if self._over.is_set():
                    return
                self._given.put(values)
        except Exception as error:
            self._given.put(error)
        else:
            self._given.put(_END)

    def _hand_over(self) -> None:
        with suppress(Empty):
            while not self._over.is_set():
                self._show(self._given.get_nowait())

    def _show(self, given: Any) -> None:
        if isinstance(given, Exception):
            from napari.utils.notifications import notification_manager

            self.stop()
            notification_manager.receive_error(type(given), given, given.__traceback__)
        elif given is _END:
            self.stop()
        else:
            self._bar.update(1)
            if given is not None:
                self._take(given)


# What comes after the last step.
_END = object()
