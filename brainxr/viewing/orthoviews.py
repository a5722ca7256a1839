"""Three linked planes in one window, by the plugin napari-orthogonal-views: its only user.

The plugin parts the window, and keeps layers, drawing and the point alike in three views.
What it can't know is told to it here: that our levels belong to the axes that a view
displays, that planes may take long to read, and what a millimetre is; and where a place is
in the world, where it takes the first voxel for its origin (`_point_at_places`).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from brainxr.errors import GeometryError, MissingExtraError
from brainxr.viewing.added import shown_by
from brainxr.viewing.background import keep_responsive, read_only_changes
from brainxr.viewing.following import data_of_planes, follow_axes, is_followed
from brainxr.viewing.napari_private import (
    canvas_of,
    linked_manager,
    overlay_nodes,
    replace_check_of_sight,
    stop_slicing,
)
from brainxr.viewing.readout import centre_of_plane, nearest, say_place
from brainxr.viewing.upright import keep_upright, known_ways

if TYPE_CHECKING:
    from napari.components import ViewerModel

# A press that moved less than this many pixels before its release is a click.
_CLICK = 4

# What a view may take of the window, at least and at most.
_SMALLEST, _LARGEST = 0.3, 0.55


def link_planes(viewer: ViewerModel) -> None:
    """Part a window into axial, coronal and sagittal views that are linked at one point.

    A click, or the key T, moves the point to the mouse; sliders move it, too. Reads one
    plane for each view, and no more when the point moves within it.

    Parameters
    ----------
    viewer : napari.Viewer

    Raises
    ------
    MissingExtraError
        When napari-orthogonal-views is not installed.
    GeometryError
        When the viewer has no window, or fewer than three axes.
    """
    plugin = _plugin()
    _refuse_unfit(viewer)
    replace_check_of_sight(_centre_in_sight)
    manager = linked_manager(plugin, viewer)
    if not hasattr(manager, "shows_brainxr"):
        _teach(manager)
    manager.hide()  # views of the plugin's own have levels for other axes
    try:
        manager.show()
    except BaseException:
        manager.hide()  # of what can't be read nothing can be linked
        raise


def _plugin() -> Any:
    if importlib.util.find_spec("napari_orthogonal_views") is None:
        raise MissingExtraError(
            "Three linked planes are drawn by napari-orthogonal-views, which is not installed. "
            "Install it: pip install 'brainxr[planes]'. One plane without it: brainxr.view(data)."
        )
    from napari_orthogonal_views import ortho_view_manager

    return ortho_view_manager


def _refuse_unfit(viewer: ViewerModel) -> None:
    if not hasattr(viewer, "window"):
        raise GeometryError(
            "Three linked planes need a window, and this viewer is a model without one. Give a "
            "napari.Viewer, or none: brainxr.view(data, planes=True)."
        )
    if viewer.layers and viewer.dims.ndim < 3:
        raise GeometryError(
            f"Three linked planes need the axes z, y and x; the viewer has {viewer.dims.ndim}. "
            "Leave out planes=True."
        )


def _teach(manager: Any) -> None:
    """Tell the plugin's manager of one window how layers of ours are to be shown."""
    from napari.layers import Image

    ours = {"data", "metadata", "locked_data_level"}  # of each view by itself
    manager.set_copy_layer(_copy)
    excluded = {"forward_exclude": ours, "reverse_exclude": ours}
    manager.set_sync_filters({Image: excluded})
    manager.register_layer_hook(Image, _follow_data, "brainxr_data")
    show, hide = manager.show, manager.hide

    ends = ExitStack()

    def show_linked() -> None:
        if not manager.is_shown():
            ends.callback(_show(manager, show))

    def hide_linked() -> None:
        others = _views(manager)[1:] if manager.is_shown() else []
        ends.pop_all().close()
        hide()
        for view in others:
            stop_slicing(view)  # what it still reads has no view any more

    def frame_first(event: Any) -> None:
        if manager.is_shown() and len(manager.viewer.layers) == 1:
            _share_room(manager)

    manager.viewer.layers.events.inserted.connect(frame_first, position="last")
    # which its checkbox, its commands and the closing of the window call
    manager.show, manager.hide = show_linked, hide_linked
    manager.shows_brainxr = True


def _show(manager: Any, show: Callable[[], None]) -> Callable[[], None]:
    """Show the linked views; returns what ends the callbacks that they got."""
    viewer = manager.viewer
    point = viewer.dims.point
    viewer.dims.ndisplay = 2
    # hidden layers are not read, and each plane is read once, when all views are turned to it
    with _hidden(viewer.layers):
        show()
        _stand_upright(viewer)
        views = _views(manager)
        for view in views:
            _take_care(view, is_main=view is viewer)
        viewer.dims.point = point  # the plugin had moved it to the middle
    manager.set_cross_hairs(True)
    manager.set_center_sync(True)
    manager.set_zoom_sync(True)
    end = _point_at_places(manager, views)
    _keep_to_one_scale(manager, views)
    _share_room(manager)
    return end


def _stand_upright(viewer: Any) -> None:
    """Make the main view the coronal one where it is known how the body lies.

    The view beside it has its rows and the one below its columns: so the top is at the top
    of the coronal and the sagittal view, and the front at that of the axial one.
    """
    if {-3, -2, -1} <= known_ways(viewer)[0].keys():
        *others, z, y, x = range(viewer.dims.ndim)
        viewer.dims.order = (*others, y, z, x)


def _views(manager: Any) -> list[Any]:
    others = (manager.right_widget, manager.bottom_widget)
    return [manager.viewer, *(widget.vm_container.viewer_model for widget in others)]


@contextmanager
def _hidden(layers: Sequence[Any]) -> Iterator[None]:
    with ExitStack() as stack:  # each is shown again, whatever can't be read of another
        for layer in [layer for layer in layers if layer.visible]:
            layer.visible = False
            stack.callback(setattr, layer, "visible", True)
        yield


# --- layers -----------------------------------------------------------------------


def _copy(layer: Any, name: str) -> Any:
    """A layer for another view, of the same data, and of levels for the last two axes.

    It is hidden: the plugin shows it when all else is settled.
    """
    from napari.layers import Image, Layer
    from napari_orthogonal_views.ortho_view_widget import DEFAULT_COPY_LAYER

    if not isinstance(layer, Image) and shown_by(layer) is None:
        return DEFAULT_COPY_LAYER(layer, name)
    data, state, kind = layer.as_layer_data_tuple()
    if is_followed(layer):
        data = data_of_planes(layer)
        state["multiscale"] = isinstance(data, list)
    return Layer.create(data, {**state, "visible": False}, kind)


def _follow_data(original: Any, copied: Any) -> list[tuple[Any, Callable[..., None]]]:
    """New data of a layer are shown in the other views, new levels of ours are not."""

    def follow(event: Any = None) -> None:
        if not is_followed(original):
            copied.data = original.data

    original.events.data.connect(follow)
    return [(original.events.data, follow)]


def _take_care(view: Any, is_main: bool) -> None:
    """What a view needs that the plugin knows nothing of."""
    read_only_changes(view)
    if not is_main:
        keep_responsive(view)
        view.layers.events.inserted.connect(
            lambda event: _follow_axes(view, event.value), position="first"
        )
        for layer in view.layers:
            _follow_axes(view, layer)
    say_place(view)
    keep_upright(view, warns=is_main)
    view.canvas.overlays.axes.box = False  # it would hide a corner of the brain
    view.mouse_drag_callbacks.append(_move_to_click)


def _follow_axes(view: Any, layer: Any) -> None:
    if shown_by(layer) is not None:
        follow_axes(view, layer)


# --- the point --------------------------------------------------------------------


def _move_to_click(view: Any, event: Any) -> Iterator[None]:
    """Move the point to a click, as long as no tool wants it; a press that moves pans."""
    if event.button != 1 or event.modifiers or not _pans(view):
        return
    pressed = np.array(event.pos)
    yield
    # where it is released counts, too: a busy window may be told of no move before
    while np.abs(event.pos - pressed).max() < _CLICK:
        if event.type != "mouse_move":
            _move_point(view, event.position)
            return
        yield


def _pans(view: Any) -> bool:
    active = view.layers.selection.active
    return view.dims.ndisplay == 2 and (active is None or str(active.mode) == "pan_zoom")


def _move_point(view: Any, position: Sequence[float]) -> None:
    """Move the point to the voxel at a place in the plane of a view; the others follow."""
    point = list(view.dims.point)
    for axis in view.dims.displayed:
        point[axis] = nearest(view.dims.range[axis], position[axis])
    view.dims.point = point


# --- the camera -------------------------------------------------------------------


def _share_room(manager: Any) -> None:
    """Give each view the room that it needs, and fit it in as soon as Qt has made it."""
    from qtpy.QtCore import QTimer

    def fit() -> None:
        if manager.is_shown():
            manager.viewer.reset_view()

    manager.set_splitter_sizes(*_fractions(manager.viewer))
    fit()
    QTimer.singleShot(0, fit)


def _fractions(viewer: Any) -> tuple[float, float]:
    """Of the window for the right and the lower views, so that one scale suits all three."""
    if viewer.dims.ndim < 3:  # nothing is there yet
        return _SMALLEST, _SMALLEST
    extent = viewer.layers.extent.world
    depth, height, width = (extent[1] - extent[0])[list(viewer.dims.order[-3:])]
    if not depth + min(width, height) > 0:
        return _SMALLEST, _SMALLEST
    right, lower = depth / (depth + width), depth / (depth + height)
    return _bounded(right), _bounded(lower)


def _bounded(fraction: float) -> float:
    return float(min(max(fraction, _SMALLEST), _LARGEST))


def _keep_to_one_scale(manager: Any, views: Sequence[Any]) -> None:
    """When the views are reset, give all the scale of the one that has the least room."""
    fits: dict[int, float] = {}
    zoom_box = manager.main_controls_widget.controls_widget.zoom_widget

    def note(event: Any) -> None:
        fits[id(event.source)] = event.zoom

    def settle(event: Any) -> None:
        if manager.is_shown() and zoom_box.isChecked():
            for view in views:
                view.scene.camera.zoom = min(fits.values())

    for view in views:
        view.events.reset_view.connect(note, position="first")
    views[0].events.reset_view.connect(settle, position="last")


# --- what the plugin has wrong ----------------------------------------------------


def _point_at_places(manager: Any, views: Sequence[Any]) -> Callable[[], None]:
    """Put right what napari-orthogonal-views 0.5 computes as if voxel 0 were at 0.

    Its crosshair, its key T and its check of what is in sight take the number of a voxel
    times the spacing for a place: of a volume that begins at 62 mm they point 62 mm away.
    The place is in napari's ``dims.point``. Each view gets callbacks that come after the
    plugin's own; what is returned ends them. To be left out once the plugin does that.
    """
    from napari_orthogonal_views.viewer_utils import viewer_model_under_mouse

    def move_to_mouse(_: Any) -> None:
        view = viewer_model_under_mouse()
        if view is not None:
            _move_point(view, view.cursor.position)

    others = (manager.right_widget, manager.bottom_widget)
    canvases = [canvas_of(manager.viewer), *(widget.qt_viewer.canvas for widget in others)]
    overlays = [manager.crosshair_overlay, *(w.vm_container.crosshair_overlay for w in others)]
    ends = ExitStack()
    for view, canvas, overlay in zip(views, canvases, overlays, strict=True):
        view.bind_key("T", move_to_mouse, overwrite=True)
        nodes = overlay_nodes(canvas, overlay)
        if not nodes:
            manager.set_cross_hairs(False)
        move = partial(_place_crosshair, view, nodes)
        ends.callback(_connect(view.dims.events.current_step, move, "last"))
        ends.callback(_connect(overlay.events.axis_order, move, None))
        move()
    return ends.close


def _connect(emitter: Any, act: Callable[[], None], position: str | None) -> Callable[[], None]:
    """Connect a function, which napari's emitters keep; returns what disconnects it."""

    def called(event: Any = None) -> None:
        act()

    emitter.connect(called, **({} if position is None else {"position": position}))
    return partial(emitter.disconnect, called)


def _place_crosshair(view: Any, nodes: Sequence[Any]) -> None:
    dims = view.dims
    axes = [*dims.displayed[::-1], *dims.not_displayed[::-1], 0][:3]
    for node in nodes:
        node.set_position(np.array([centre_of_plane(dims, axis) for axis in axes]))


def _centre_in_sight(view: Any, _: Any) -> tuple[float, float]:
    """Rows and columns of a camera's centre, moved to the point where that is out of sight."""
    camera = view.scene.camera
    half = np.array(view.canvas.viewbox_size(view.layers)) / camera.zoom / 2
    centre = np.array(camera.center[-2:])
    point = np.array([view.dims.point[axis] for axis in view.dims.displayed[-2:]])
    rows, columns = np.where(np.abs(point - centre) < half, centre, point)
    return float(rows), float(columns)
