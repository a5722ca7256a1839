"""Three linked planes, in a real window: what is in them, where, and what they read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from conftest import ByteCounter, MakeStack
from test_fromviewer import VOLUMES, micrometers
from test_viewer import SPACING, dotted

import brainxr
from benchmarks.window import linked_views
from brainxr.errors import GeometryError, MissingExtraError
from brainxr.viewing import orthoviews

pytest.importorskip("napari_orthogonal_views")

from napari.components import ViewerModel
from napari.utils.action_manager import action_manager

ORIGIN = {"z": 62_000.0, "y": -400.0, "x": 12.5}
COLOURS = {"z": (255, 255, 0), "y": (255, 0, 255), "x": (0, 255, 255)}

Show = Callable[..., list[ViewerModel]]


@pytest.fixture
def whole(make_stack: MakeStack) -> xr.DataArray:
    return brainxr.open(make_stack((9, 24, 40)).path, spacing=SPACING, origin=ORIGIN)


def settle() -> None:
    from qtpy.QtWidgets import QApplication

    for _ in range(10):
        QApplication.processEvents()


@pytest.fixture
def show() -> Iterator[Show]:
    """Show in three linked views of a real window, and return these."""
    opened = []

    def shown(data: xr.DataArray, **kwargs) -> list[ViewerModel]:
        viewer = brainxr.view(data, planes=True, block=False, **kwargs)
        opened.append(viewer)
        viewer.window.resize(1300, 1000)
        settle()
        viewer.reset_view()
        settle()
        return linked_views(viewer)

    yield shown
    for viewer in opened:
        viewer.close()
    settle()


def qt_viewer(views: list[ViewerModel], view: ViewerModel):
    from napari_orthogonal_views.ortho_view_manager import _VIEWER_MANAGERS

    manager = _VIEWER_MANAGERS[views[0]]
    widgets = [
        views[0].window._qt_viewer,
        manager.right_widget.qt_viewer,
        manager.bottom_widget.qt_viewer,
    ]
    return widgets[views.index(view)]


def canvas(views: list[ViewerModel], view: ViewerModel) -> np.ndarray:
    return qt_viewer(views, view).screenshot(flash=False)[..., :3].astype(int)


def on_canvas(view: ViewerModel, shape: tuple[int, ...], place: dict[int, float]) -> list[float]:
    """Row and column of the canvas at which a place in µm has to be."""
    rows, columns = view.dims.displayed
    centre = np.asarray(view.scene.camera.center)[-2:]
    offset = np.array([place[rows], place[columns]]) - centre
    return list(offset * view.scene.camera.zoom + (np.array(shape[:2]) - 1) / 2)


def across(view: ViewerModel) -> str:
    return view.dims.axis_labels[view.dims.not_displayed[0]]


def plain(views: list[ViewerModel]) -> None:
    """Leave nothing on the canvases but what the volume is."""
    from napari_orthogonal_views.ortho_view_manager import _VIEWER_MANAGERS

    _VIEWER_MANAGERS[views[0]].set_cross_hairs(False)
    for view in views:
        for overlay in ("axes", "scale_bar", "text"):
            view.canvas.overlays[overlay].visible = False
    settle()


# --- what is shown ----------------------------------------------------------------


@pytest.mark.window
@pytest.mark.parametrize("kind", sorted(VOLUMES.keys() - {"reversed", "strided"}))
@pytest.mark.slow
def test_a_volume_in_three_views(whole: xr.DataArray, show: Show, kind: str) -> None:
    vol = VOLUMES[kind](whole)
    views = show(vol)
    assert [across(view) for view in views] == ["z", "x", "y"]
    check_scale(views)
    for numbers in ((1, 2, 3), (0, 0, 0)):
        views[0].dims.point = [
            micrometers(rising(vol), d)[n] for d, n in zip("zyx", numbers, strict=True)
        ]
        check_planes(views, vol, numbers)
        check_places(views, vol, numbers)
    for number in range(3):
        check_click(views, views[number], vol)
    check_crosshair(views)


def rising(vol: xr.DataArray) -> xr.DataArray:
    """In memory, as a viewer has it: z, y, x, all upwards."""
    volume = vol.compute().transpose("z", "y", "x")
    falls = [dim for dim in "zyx" if micrometers(vol, dim)[0] > micrometers(vol, dim)[-1]]
    return volume.isel(dict.fromkeys(falls, slice(None, None, -1)))


def check_planes(views: list[ViewerModel], vol: xr.DataArray, numbers: tuple[int, ...]) -> None:
    volume = rising(vol)
    point = [micrometers(volume, d)[n] for d, n in zip("zyx", numbers, strict=True)]
    for view in views:
        np.testing.assert_allclose(view.dims.point, point)
        dims = [view.dims.axis_labels[axis] for axis in view.dims.displayed]
        number = numbers[view.dims.not_displayed[0]]
        expected = volume.isel({across(view): number}).transpose(*dims)
        shown = view.layers[0]._slice.image.raw
        there = np.ix_(*(grid_places(volume, dim) for dim in dims))
        np.testing.assert_array_equal(shown[there], expected)
        assert shown.sum(dtype="u8") == expected.values.sum(dtype="u8")  # gaps are empty


def grid_places(volume: xr.DataArray, dim: str) -> list[int]:
    """Numbers on the regular grid of the positions that are there."""
    where = micrometers(volume, dim)
    return [round((w - where[0]) / np.diff(where).min()) for w in where]


def check_places(views: list[ViewerModel], vol: xr.DataArray, numbers: tuple[int, ...]) -> None:
    volume = rising(vol)
    names = {"z": "axial", "y": "coronal", "x": "sagittal"}
    for view in views:
        name, dim, told, unit = view.canvas.overlays.text.text.split(" ")
        assert (name, dim, unit) == (f"{names[across(view)]},", across(view), "mm")
        number = numbers["zyx".index(dim)]
        assert float(told) == pytest.approx(micrometers(volume, dim)[number] / 1000)


def check_scale(views: list[ViewerModel]) -> None:
    """One scale for all, by which each is seen as a whole."""
    assert len({round(view.scene.camera.zoom, 9) for view in views}) == 1
    for view in views:
        extent = view.layers.extent.world[:, list(view.dims.displayed)]
        size = (extent[1] - extent[0]) * view.scene.camera.zoom
        assert (size < view.canvas.viewbox_size(view.layers)).all()


def check_click(views: list[ViewerModel], clicked: ViewerModel, vol: xr.DataArray) -> None:
    """It moves the point along the axes of the view that was clicked, in all views."""
    views[0].dims.point = [micrometers(vol, dim)[1] for dim in "zyx"]
    before = views[0].dims.point
    target = {axis: micrometers(vol, dim)[3] for axis, dim in enumerate("zyx")}
    click(views, clicked, target)
    expected = [target[a] if a in clicked.dims.displayed else before[a] for a in range(3)]
    for view in views:
        np.testing.assert_allclose(view.dims.point, expected)


def check_crosshair(views: list[ViewerModel]) -> None:
    point = dict(enumerate(views[0].dims.point))
    for view in views:
        for overlay in ("axes", "scale_bar", "text"):
            view.canvas.overlays[overlay].visible = False
        view.layers[0].opacity = 0
    settle()
    for view in views:
        picture = canvas(views, view)
        expected = on_canvas(view, picture.shape, point)
        for side, axis in enumerate(view.dims.displayed[::-1]):
            # the line that runs along the rows is that of the columns' place
            colour = np.array(COLOURS[view.dims.axis_labels[axis]])
            there = (np.abs(picture - colour).max(-1) < 40).mean(side) > 0.5
            assert np.flatnonzero(there).mean() == pytest.approx(expected[1 - side], abs=1.5)


def click(views: list[ViewerModel], view: ViewerModel, place: dict[int, float], drag: int = 0,
          moves: bool = True):  # fmt: skip
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest

    native = qt_viewer(views, view).canvas.native
    shape = canvas(views, view).shape
    row, column = on_canvas(view, shape, place)
    ratio = native.devicePixelRatioF()
    at = QPoint(round(column / ratio), round(row / ratio))
    button = Qt.MouseButton.LeftButton
    QTest.mouseMove(native, at)
    settle()
    QTest.mousePress(native, button, pos=at)
    if drag and moves:
        QTest.mouseMove(native, at + QPoint(drag, 0))
        settle()
    QTest.mouseRelease(native, button, pos=at + QPoint(drag, 0))
    settle()


@pytest.mark.window
def test_a_bright_voxel_is_where_it_lies_in_each_view(make_stack: MakeStack, show: Show) -> None:
    values = np.zeros((9, 24, 40), "u2")
    values[6, 15, 31] = 1000
    made = make_stack(values.shape, values=values)
    volume = brainxr.open(made.path, spacing=SPACING, origin=ORIGIN)
    views = show(volume, contrast_limits=(0, 1000))
    place = {0: 62_600.0, 1: 350.0, 2: 787.5}
    views[0].dims.point = list(place.values())
    plain(views)
    for view in views:
        picture = canvas(views, view)
        rows, columns = np.nonzero(picture.min(-1) > 200)
        middle = on_canvas(view, picture.shape, place)
        np.testing.assert_allclose([rows.mean(), columns.mean()], middle, atol=1.5)
        spans = [np.ptp(rows) + 1, np.ptp(columns) + 1]
        steps = [list(SPACING.values())[axis] for axis in view.dims.displayed]
        np.testing.assert_allclose(spans, np.array(steps) * view.scene.camera.zoom, atol=2)


# --- the point is moved -----------------------------------------------------------


@pytest.mark.window
@pytest.mark.slow
def test_a_drag_pans_and_a_tool_keeps_its_clicks(whole: xr.DataArray, show: Show) -> None:
    views = show(whole)
    before = views[0].dims.point
    target = {0: 62_200.0, 1: 100.0, 2: 212.5}
    for moves in (True, False):  # a busy window may be told of the release alone
        click(views, views[1], target, drag=30, moves=moves)
        assert views[0].dims.point == before
    views[0].add_labels(
        np.zeros((9, 24, 40), "u1"), scale=(100, 50, 25), translate=(62_000, -400, 12.5),
        units=("um",) * 3, name="painted",
    ).mode = "paint"  # fmt: skip
    settle()
    click(views, views[2], target)
    np.testing.assert_allclose(views[0].dims.point, before)
    labels = brainxr.labels(views[0].layers["painted"])
    painted = np.argwhere(labels.values == 1)
    assert len(painted)
    # the brush has painted around the mouse, in the plane of the coronal view
    centre = labels.y.values[painted[:, 1]]
    assert np.abs(centre - before[1]).max() <= 10 * SPACING["y"]
    assert views[1].layers["painted"].data is views[0].layers["painted"].data


@pytest.mark.window
def test_the_key_t_moves_the_point_to_the_mouse(whole: xr.DataArray, show: Show) -> None:
    from qtpy.QtCore import Qt
    from qtpy.QtGui import QCursor
    from qtpy.QtTest import QTest

    views = show(whole)
    assert action_manager._shortcuts["napari:move_point"]
    x = views[0].dims.point[2]
    native = qt_viewer(views, views[1]).canvas.native
    # the mouse itself: where an earlier test left it, it may lie over another view
    QCursor.setPos(native.mapToGlobal(native.rect().center()))
    for _ in range(500):
        settle()
        if native.underMouse():
            break
        QTest.qWait(10)
    assert native.underMouse()
    views[1].cursor.position = (62_700.0, 250.0, x)
    QTest.keyClick(native, Qt.Key.Key_T)
    settle()
    for view in views:
        np.testing.assert_allclose(view.dims.point, [62_700.0, 250.0, x])


@pytest.mark.window
def test_the_camera_follows_a_point_out_of_sight(whole: xr.DataArray, show: Show) -> None:
    views = show(whole)
    for view in views:
        view.scene.camera.zoom *= 8
    settle()
    views[0].dims.point = (62_000, -400, 12.5)
    for view in views[1:]:
        half = np.array(view.canvas.viewbox_size(view.layers)) / view.scene.camera.zoom / 2
        point = np.array([view.dims.point[axis] for axis in view.dims.displayed])
        assert (np.abs(point - view.scene.camera.center[-2:]) <= half).all()


# --- what is read -----------------------------------------------------------------


class Reads(list):
    """Shapes of what was read from the source."""


@pytest.fixture
def reads(monkeypatch) -> Reads:
    from brainxr.lazy.lazyarray import StackArray

    found, read = Reads(), StackArray.read

    def spy(self: StackArray):
        found.append(tuple(n for n in self.shape if n > 1))
        return read(self)

    monkeypatch.setattr(StackArray, "read", spy)
    return found


@pytest.mark.window
def test_each_plane_is_read_once(whole: xr.DataArray, show: Show, reads: Reads) -> None:
    views = show(whole)
    assert reads.count((9, 24)) == 1
    assert reads.count((9, 40)) == 1
    assert set(reads) == {(24, 40), (9, 24), (9, 40)}  # axial ones for the contrast, too
    point = list(views[0].dims.point)
    for axis, plane in enumerate([(24, 40), (9, 40), (9, 24)]):
        reads.clear()
        point[axis] += list(SPACING.values())[axis]
        views[0].dims.point = point
        settle()
        assert reads == [plane]
    reads.clear()
    views[2].dims.point = point  # where it is already
    assert reads == []


@pytest.mark.window
def test_bytes_of_a_step(make_stack: MakeStack, show: Show, bytes_read: ByteCounter) -> None:
    made = make_stack((12, 150, 200), "u1")
    views = show(brainxr.open(made.path))
    with bytes_read() as total:
        views[0].dims.point = [400, *views[0].dims.point[1:]]
        settle()
    assert 150 * 200 <= total.count < 2 * 150 * 200  # one axial plane; a sagittal one reads 12


@pytest.mark.window
@pytest.mark.slow
def test_the_window_is_closed_while_a_plane_is_read(
    whole: xr.DataArray, monkeypatch, caplog: pytest.LogCaptureFixture
) -> None:
    from brainxr.lazy.lazyarray import StackArray

    viewer = brainxr.view(whole, planes=True, block=False)
    monkeypatch.setattr("brainxr.viewing.background.LONGEST_WAIT", 0)
    monkeypatch.setattr("brainxr.viewing.background.event_loop_runs", lambda: True)
    begun, go_on, read = threading.Event(), threading.Event(), StackArray.read

    def slow(self: StackArray):
        begun.set()
        assert go_on.wait(60)
        return read(self)

    monkeypatch.setattr(StackArray, "read", slow)
    viewer.dims.set_point(2, 300)
    assert begun.wait(60)
    threading.Timer(0.2, go_on.set).start()
    viewer.close()
    settle()
    assert caplog.text == ""


# --- levels -----------------------------------------------------------------------


@pytest.mark.window
@pytest.mark.slow
def test_a_dot_at_every_level_of_every_view(tmp_path: Path, show: Show) -> None:
    place, spacing, origin = (13, 21, 37), (50.0, 20.0, 10.0), (1000.0, 0.0, -5.0)
    views = show(brainxr.open(dotted(tmp_path / "a.zarr", place)), contrast_limits=(0, 1))
    plain(views)
    point = {axis: origin[axis] + place[axis] * spacing[axis] for axis in range(3)}
    for view in views:
        axis = view.dims.not_displayed[0]
        layer = view.layers[0]
        layer.interpolation2d = "nearest"
        for level, shape in enumerate(layer.level_shapes.tolist()):
            expected = [n // 2**level for n in (40, 48, 56)]
            expected[axis] = (40, 48, 56)[axis]
            assert shape == expected
            check_dot(views, view, level, place, spacing, origin, point)
    views[0].dims.order = (1, 0, 2)  # each view displays other axes now
    for view in views:
        check_dot(views, view, 1, place, spacing, origin, point)


def check_dot(views, view, level, place, spacing, origin, point) -> None:
    """The block around the dot is on the canvas where it lies, and only in its planes."""
    factor, axis, layer = 2**level, view.dims.not_displayed[0], view.layers[0]
    layer.locked_data_level = level
    for number in range(place[axis] // 8 * 8 - 1, place[axis] // 8 * 8 + 9):
        view.dims.set_point(axis, origin[axis] + number * spacing[axis])
        is_there = number // factor == place[axis] // factor
        assert (layer._slice.image.raw.max() > 0) == is_there
    view.dims.point = list(point.values())
    settle()
    picture = canvas(views, view)
    rows, columns = np.nonzero(picture.min(-1) > 200)
    middle = {
        a: origin[a] + (place[a] // factor * factor + (factor - 1) / 2) * spacing[a]
        for a in range(3)
    }
    expected = on_canvas(view, picture.shape, middle)
    np.testing.assert_allclose([rows.mean(), columns.mean()], expected, atol=1.5)


# --- layers -----------------------------------------------------------------------


@pytest.mark.window
@pytest.mark.slow
def test_layers_are_alike_in_all_views(whole: xr.DataArray, show: Show) -> None:
    views = show(whole)
    views[0].layers[0].contrast_limits = (100, 200)
    views[1].layers[0].colormap = "magma"
    views[2].layers[0].visible = False
    for view in views:
        layer = view.layers[0]
        assert (layer.contrast_limits, layer.colormap.name) == ([100, 200], "magma")
        assert not layer.visible
    brainxr.view(whole[2:5] * 0, views[0], name="another")
    assert [len(view.layers) for view in views] == [2, 2, 2]
    other = views[0].add_image(np.zeros((3, 4, 5)), units=("um",) * 3, name="plain")
    other.data = np.ones((3, 4, 5))
    assert all(view.layers["plain"].data.max() == 1 for view in views)
    views[0].layers.remove("another")
    assert [len(view.layers) for view in views] == [2, 2, 2]


@pytest.mark.window
def test_levels_of_a_layer_that_is_added_later(
    tmp_path: Path, whole: xr.DataArray, show: Show
) -> None:
    views = show(whole)
    brainxr.view(brainxr.open(dotted(tmp_path / "a.zarr", (13, 21, 37))), views[0])
    shapes = [view.layers[1].level_shapes.tolist()[1] for view in views]
    assert shapes == [[40, 24, 28], [20, 24, 56], [20, 48, 28]]


@pytest.mark.window
@pytest.mark.slow
def test_hidden_and_shown_again(tmp_path: Path, show: Show, reads: Reads) -> None:
    from napari_orthogonal_views.ortho_view_manager import _VIEWER_MANAGERS

    volume = brainxr.open(dotted(tmp_path / "a.zarr", (13, 21, 37)))
    views = show(volume)
    viewer = views[0]
    checkbox = _VIEWER_MANAGERS[viewer].main_controls_widget.show_checkbox
    checkbox.click()
    assert linked_views(viewer) == [viewer]
    viewer.dims.set_point(0, 1500)
    checkbox.click()
    again = linked_views(viewer)
    assert len(again) == 3
    assert [view.dims.point[0] for view in again] == [1500] * 3
    assert again[1].layers[0].level_shapes.tolist()[1] == [20, 24, 56]
    assert again[2].canvas.overlays.text.text.startswith("coronal, y ")
    brainxr.view(volume, viewer, planes=True)  # asked for again: once is enough
    assert len(linked_views(viewer)) == 3


@pytest.mark.window
@pytest.mark.slow
def test_a_window_that_is_open_is_parted(whole: xr.DataArray) -> None:
    viewer = brainxr.view(whole, block=False)
    try:
        viewer.dims.set_point(0, 62_300)
        from brainxr.plugin.commands import show_linked_planes

        show_linked_planes()
        views = linked_views(viewer)
        assert [view.dims.point[0] for view in views] == [62_300] * 3
        settle()
        check_scale(views)
    finally:
        viewer.close()
        settle()


@pytest.mark.window
@pytest.mark.slow
def test_a_window_in_which_nothing_is_yet(tmp_path: Path) -> None:
    import napari

    viewer = napari.Viewer()
    try:
        orthoviews.link_planes(viewer)
        brainxr.view(brainxr.open(dotted(tmp_path / "a.zarr", (13, 21, 37))), viewer)
        views = linked_views(viewer)
        assert [across(view) for view in views] == ["z", "x", "y"]
        shapes = [view.layers[0].level_shapes.tolist()[1] for view in views]
        assert shapes == [[40, 24, 28], [20, 24, 56], [20, 48, 28]]
        settle()
        check_scale(views)
        views[2].dims.point = (1650, 420, 365)  # voxels 13, 21, 37
        assert [view.layers[0]._slice.image.raw.max() > 0 for view in views] == [True] * 3
    finally:
        viewer.close()
        settle()


# --- what can't be ----------------------------------------------------------------


def test_without_the_plugin_it_says_what_to_install(whole: xr.DataArray, monkeypatch) -> None:
    monkeypatch.setattr(orthoviews.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'brainxr\[planes\]'"):
        orthoviews.link_planes(ViewerModel())


def test_a_model_has_no_window_to_part(whole: xr.DataArray) -> None:
    with pytest.raises(GeometryError, match="model without one"):
        brainxr.view(whole, ViewerModel(), planes=True)


@pytest.mark.window
def test_a_picture_has_no_third_plane(whole: xr.DataArray) -> None:
    import napari

    with pytest.raises(GeometryError, match="the viewer has 2"):
        brainxr.view(whole.max("z"), planes=True, block=False)
    assert napari.current_viewer() is None  # no window is left


@pytest.mark.window
def test_what_can_not_be_read_is_not_linked(make_stack: MakeStack) -> None:
    """The window is as it was, shows what can be read, and can be closed."""
    made = make_stack((9, 24, 40))
    made.paths[1].write_bytes(made.paths[1].read_bytes()[:-3])
    viewer = brainxr.view(brainxr.open(made.path), block=False)
    try:
        with pytest.raises(brainxr.SliceReadError, match=r"slice_002.tif' is truncated"):
            orthoviews.link_planes(viewer)
        assert linked_views(viewer) == [viewer]
        viewer.dims.set_point(0, 600)
        settle()
        assert viewer.layers[0].visible
        np.testing.assert_array_equal(viewer.layers[0]._slice.image.raw, made.values[6])
    finally:
        viewer.close()
        settle()
