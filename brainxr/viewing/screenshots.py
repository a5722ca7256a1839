"""napari's picture in a file, drawn in a window that nobody sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from brainxr.errors import DisplayError, GeometryError
from brainxr.geometry import units as u
from brainxr.pictures.planes import axes_of, nearest_voxel, quoted
from brainxr.stacks.slices import PathLike
from brainxr.viewing.display import provide_display
from brainxr.viewing.layers import layer_dims, middle_present, thin_axes
from brainxr.viewing.napari_private import hide_sliders, qt_window
from brainxr.viewing.upright import leave_out_letters
from brainxr.viewing.viewer import move_to, open_window
from brainxr.writing.wholefile import checked_target, whole_file

if TYPE_CHECKING:
    import napari

# Pixels of a picture's sides. A smaller one has no room for the scale bar, and a larger one
# may not fit on a graphics card.
SMALLEST, LARGEST = 200, 8192

# Pixels that the place needs beside the scale bar, and beside a letter above the plane.
ROOM_FOR_PLACE = 400
ROOM_FOR_LETTERS = 340

# A layout settles in two or three rounds.
ROUNDS = 10


def screenshot(
    data: xr.DataArray, path: PathLike, *, axis: str | None = None,
    at: Mapping[str, u.Length] | None = None, size: tuple[int, int] = (1000, 800),
    overwrite: bool = False, **layer_kwargs: Any,
) -> Path:  # fmt: skip
    """Make napari's picture of a plane, as `brainxr.view` would show it, without a window.

    Reads the plane that is shown, however long that takes, and a few for the contrast.
    Needs no display on Linux where Xvfb is installed: one is started then, and this
    process opens no visible window any more.

    Parameters
    ----------
    data : xarray.DataArray
        As of `brainxr.view`.
    path : path-like
        What to write, a ``.png``. It appears when it is whole.
    axis : {"z", "y", "x"}, optional
        Axis that the plane lies across. Default: z, or the axis along which there is
        one plane.
    at : mapping of str to float, str or pint.Quantity, optional
        Where: ``{"x": "8 cm"}``. A plain number is in the unit of the coordinate, µm
        wherever brainxr made it. The nearest plane is shown. Default: the middle.
    size : tuple of int
        Width and height in pixels, 200 to 8192.
    overwrite : bool
        Replace a picture that is there, once the new one is whole.
    **layer_kwargs
        As of `brainxr.view`: ``colormap="magma"``.

    Returns
    -------
    pathlib.Path
        Of the picture.

    Raises
    ------
    DisplayError
        When there is no display, and no Xvfb to make one; or one on which no window has
        this size.
    GeometryError
        When the coordinates don't tell where the voxels are, or there is no such axis
        or place.
    ValueError
        When `path` ends otherwise, or `size` makes no sense.
    OSError
        When the folder is not there.
    FileExistsError
        When there is something at `path`, and `overwrite` was not said.
    MissingExtraError
        When napari is not installed.
    TooBigError
        When the plane would not fit in memory.

    Examples
    --------
    >>> vol = brainxr.open(brainxr.sample("phantom"))
    >>> brainxr.screenshot(vol, "sagittal.png", axis="x", at={"x": "7 cm"})  # doctest: +SKIP
    """
    target = checked_target(path, (".png",), "a picture", overwrite)
    _check_size(size)
    places = {} if at is None else _places(data, at)
    order = None if axis is None else _order(data, axis)
    provide_display()
    with _hidden_window(data, layer_kwargs) as viewer, whole_file(target, overwrite) as partial:
        if order is not None:
            viewer.dims.order = order
        move_to(viewer, data, {**middle_present(data), **places})
        _fit(viewer, size)
        viewer.screenshot(str(partial), canvas_only=True, flash=False)
    return target


def _check_size(size: Any) -> None:
    is_pair = isinstance(size, tuple | list) and len(size) == 2
    if not is_pair or not all(isinstance(n, int | np.integer) for n in size) or not (
        SMALLEST <= min(size) <= max(size) <= LARGEST
    ):  # fmt: skip
        raise ValueError(
            f"size={size!r}: give width and height in pixels, whole numbers from {SMALLEST} to "
            f"{LARGEST}."
        )


def _places(data: xr.DataArray, at: Mapping[str, u.Length]) -> dict[str, float]:
    """Centres of the nearest planes, in µm."""
    axes = axes_of(data)
    voxels = nearest_voxel(data, axes, at)
    return {dim: axes[dim].position(voxels[dim]) * 1000 for dim in at}


def _order(data: xr.DataArray, axis: str) -> tuple[int, ...]:
    names = [str(dim) for dim in layer_dims(data)]
    if axis not in names:
        raise GeometryError(f"axis={axis!r} is none of this array's: {quoted(names)}.")
    rest = [name for name in names if name != axis]
    lines = [name for name in rest[-2:] if name in thin_axes(data)]
    if lines or len(rest) < 2:
        raise GeometryError(
            f"A plane across {axis!r} would be a line: this array is one along "
            f"{quoted(lines or [axis])}. Leave out axis=."
        )
    # the last two are displayed
    return tuple(names.index(name) for name in (*rest[:-2], axis, *rest[-2:]))


@contextmanager
def _hidden_window(data: xr.DataArray, layer_kwargs: dict[str, Any]) -> Iterator[napari.Viewer]:
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QDockWidget

    viewer = open_window(data, hidden=True, **layer_kwargs)
    try:
        window = qt_window(viewer)
        for dock in window.findChildren(QDockWidget):
            dock.hide()  # they, and the sliders, would keep a small picture from being small
        hide_sliders(viewer)
        # drawn as any window, which one that is not shown at all would not be
        window.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen)
        window.show()
        yield viewer
    finally:
        viewer.close()
        _let_qt_work()


def _fit(viewer: napari.Viewer, size: tuple[int, int]) -> None:
    """Give the canvas its size, and the picture the room that there is then."""
    window = qt_window(viewer)
    if size[0] < ROOM_FOR_PLACE:
        viewer.canvas.overlays.text.position = "top_left"
    if size[0] < ROOM_FOR_LETTERS:
        leave_out_letters(viewer, ("top", "bottom"))
    for _ in range(ROUNDS):
        _let_qt_work()
        width, height = _size_of_picture(viewer)
        if (width, height) == tuple(size):
            break
        ratio = window.devicePixelRatioF()  # pixels of the picture a pixel of Qt's
        wider, higher = (
            round((wanted - found) / ratio)
            for wanted, found in zip(size, (width, height), strict=True)
        )
        window.resize(window.width() + wider, window.height() + higher)
    else:
        raise DisplayError(
            f"This display makes a picture of {width} x {height} pixels where size={size!r} was "
            "asked for. Ask for a size that it can do, or draw by data.brain.plot_planes()."
        )
    viewer.reset_view()
    _let_qt_work()


def _size_of_picture(viewer: napari.Viewer) -> tuple[int, int]:
    height, width = viewer.screenshot(canvas_only=True, flash=False).shape[:2]
    return width, height


def _let_qt_work() -> None:
    from qtpy.QtWidgets import QApplication

    for _ in range(5):
        QApplication.processEvents()
