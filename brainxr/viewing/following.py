"""A layer gets what its viewer displays: levels for these axes, a preview in three dimensions.

    viewer.dims, turned ── follow_axes ──▶ two axes: levels for them, or the data as they are
                                      └──▶ three: Preview, read in the background

A layer of single resolution becomes one of two levels for as long as three dimensions
are displayed: napari then keeps its extent, its sliders and its scale, and draws the
coarser level where it lies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from brainxr.errors import TooBigError
from brainxr.lazy.cost import show_bytes
from brainxr.viewing.background import Reading, event_loop_runs
from brainxr.viewing.napari_private import before_slicing, without_refresh
from brainxr.viewing.preview import Budget, Preview, bytes_drawn, drawn_as, thin_out
from brainxr.viewing.zoom import LazyLevel

if TYPE_CHECKING:
    from napari.components import ViewerModel


# Where a layer keeps what may be shown of it in three dimensions.
BUDGET = "preview"

# The layer itself keeps its follower, so that they end together.
_FOLLOWER = "_brainxr_follower"


def follow_axes(viewer: ViewerModel, layer: Any) -> None:
    """Give a layer other data whenever the viewer displays other axes, until it is removed.

    Does nothing for one whose levels are not `Zoom`'s.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    layer : napari.layers.Image or napari.layers.Labels
        One of the viewer's, with `Zoom` in its metadata as ``"levels"`` if it has some,
        and a `Budget` as ``"preview"`` if it isn't the default.
    """
    if getattr(layer, "rgb", False) or (layer.multiscale and layer.metadata.get("levels") is None):
        return
    follower = _Follower(viewer, layer)
    setattr(layer, _FOLLOWER, follower)
    _connect(viewer, layer, follower)
    follower.follow()
    follower.raise_error()


def _connect(viewer: ViewerModel, layer: Any, follower: _Follower) -> None:
    """Have a layer follow the viewer until it is removed from it."""
    emitters = (viewer.dims.events.order, viewer.dims.events.ndisplay, layer.events.visible)

    # functions, which napari's emitters keep, as opposed to methods
    def follow(event: Any = None) -> None:
        if layer in viewer.layers:  # napari tells of one that is removed rather late
            follower.follow()

    def tell(event: Any = None) -> None:
        follower.raise_error()

    def end(event: Any) -> None:
        if event.value is layer:
            follower.stop()
            leave()
            viewer.layers.events.removed.disconnect(end)
            for emitter in emitters:
                emitter.disconnect(follow)
                emitter.disconnect(tell)

    # before napari slices the layer, which would read planes, or a volume, for other axes
    leave = before_slicing(viewer, follow)
    for emitter in emitters:
        emitter.connect(follow, position="first")
        # when it has sliced it: an error that came first would leave the window half turned
        emitter.connect(tell, position="last")
    viewer.layers.events.removed.connect(end)


class _Follower:
    """What a layer shows, and what of it is being read."""

    def __init__(self, viewer: ViewerModel, layer: Any) -> None:
        self.viewer = viewer
        self.layer = layer
        self.is_labels = not hasattr(layer, "contrast_limits")
        self.budget: Budget = layer.metadata.get(BUDGET) or Budget()
        self.zoom = layer.metadata.get("levels") if layer.multiscale else None
        self.whole = self._given = layer.data
        self.shown: tuple[int, ...] = (layer.ndim - 2, layer.ndim - 1)
        self._levels: Sequence[Any] = ()
        self._waiting: Preview | None = None
        self._reading: Reading | None = None
        self._error: Exception | None = None

    def follow(self) -> None:
        """See what is displayed, and show that."""
        self._refuse_level()
        displayed = self._displayed()
        if displayed != self.shown and self.has_own_data:
            self.shown = displayed
            self.stop()
            with without_refresh(self.layer):  # planes, or a volume, for the axes before
                self._show_planes() if len(displayed) < 3 else self._show_volume()
        if self._waiting is not None and self.layer.visible:
            preview, self._waiting = self._waiting, None
            self._read(preview)

    @property
    def has_own_data(self) -> bool:
        """Whether nobody gave the layer others."""
        return self._given is None or self.layer.data is self._given

    def planes(self) -> Any:
        """Data for a viewer that displays the last two axes."""
        if self.zoom is None:
            return self.whole
        return self.zoom.shown((self.layer.ndim - 2, self.layer.ndim - 1))

    def stop(self) -> None:
        """Call off what is being read."""
        self._waiting = None
        if self._reading is not None:
            self._reading.stop()
            self._reading = None

    def raise_error(self) -> None:
        """Raise what went wrong where nobody runs an event loop that would tell it."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _displayed(self) -> tuple[int, ...]:
        """Axes of the layer, which may have fewer than the viewer."""
        missing = self.viewer.dims.ndim - self.layer.ndim
        return tuple(sorted(a - missing for a in self.viewer.dims.displayed if a >= missing))

    def _show_planes(self) -> None:
        if self.zoom is not None:
            self._give(self.zoom.shown(self.shown))
        elif self._given is not self.whole:
            self._give(self.whole)

    def _show_volume(self) -> None:
        """The volume where it is at hand, else a dark one until it is read."""
        zoom = self.zoom
        shown = [self.whole] if zoom is None else zoom.shown(self.shown, self.budget)
        arrays = [level.array if isinstance(level, LazyLevel) else level for level in shown]
        # napari lets a person choose a level, and would read all of it
        self._levels = shown = [LazyLevel(array, self._refuse_whole) for array in arrays]
        if self.layer.ndim > 3:  # napari reads it, again at each step of the other axes' sliders
            self._add_level(thin_out(arrays[-1], self.layer.scale, self.budget, self.shown))
            return
        drawn = self.layer.dtype if self.is_labels else None
        self._waiting = Preview.of(arrays, self.layer.scale, self.budget, drawn)
        if self._waiting is not None:
            self._add_level(self._dark())
        elif zoom is not None:
            self._give(shown)

    def _dark(self) -> npt.NDArray[Any]:
        """A volume of one voxel, which is drawn in no time."""
        if self.is_labels:
            return np.zeros((1,) * self.layer.ndim, self.layer.dtype)
        low = float(self.layer.contrast_limits[0])
        return np.full((1,) * self.layer.ndim, low, drawn_as(self.layer.dtype))

    def _refuse_level(self) -> None:
        """Refuse a level that a person chose, where napari slices after this."""
        number = self.layer.locked_data_level
        if number is not None and len(self.shown) > 2 and self.has_own_data:
            shape = self.layer.data[number].shape
            self._refuse([shape[axis] for axis in self.shown])

    def _refuse_whole(self, level: LazyLevel) -> None:
        """Refuse it where napari reads without asking first, as it does in the foreground."""
        self._refuse(level.shape)

    def _refuse(self, shape: Sequence[int]) -> None:
        """Refuse to read more of a level at once than may be shown of a volume."""
        if self.budget.fits(shape, self.layer.dtype):
            return
        if self.layer.locked_data_level is not None:
            self.layer.locked_data_level = None  # what was shown stays, and the box says so
        raise TooBigError(
            f"{' x '.join(map(str, shape))} voxels of the layer {self.layer.name!r} are "
            f"{show_bytes(math.prod(shape) * bytes_drawn(self.layer.dtype))}, and of a volume in "
            f"three dimensions at most {show_bytes(self.budget.nbytes)} are shown, and "
            f"{self.budget.side} voxels along an axis. Look at a part of it, for example "
            'brainxr.view(vol[100:200]), or allow more: brainxr.view(vol, preview="2 GB").'
        )

    def _read(self, preview: Preview) -> None:
        if hasattr(self.viewer, "window") and event_loop_runs():
            self._reading = Reading(
                self.viewer, preview.read_steps(), preview.steps,
                f"{self.layer.name} in 3-D", self._add_level,
            )  # fmt: skip
            return
        try:
            *_, values = preview.read_steps()
        except Exception as error:
            self._error = error
        else:
            self._add_level(values)

    def _add_level(self, values: Any) -> None:
        """Show these, as the coarsest level there is."""
        finer = [level for level in self._levels if level.size > values.size]
        self._give([*finer, values] if finer or self.zoom is not None else values)

    def _give(self, data: Any) -> None:
        self.layer.multiscale = isinstance(data, list)
        self._given = None  # napari tells of the new data before it can be asked for them
        self.layer.data = data
        self._given = self.layer.data


def is_followed(layer: Any) -> bool:
    """Whether the data of a layer are those that it was given for its viewer's axes."""
    return hasattr(layer, _FOLLOWER) and bool(getattr(layer, _FOLLOWER).has_own_data)


def data_of_planes(layer: Any) -> Any:
    """Data of a layer that `is_followed`, for another viewer that displays the last two axes."""
    return getattr(layer, _FOLLOWER).planes()
