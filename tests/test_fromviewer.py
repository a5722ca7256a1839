"""What is seen, painted, marked and drawn in napari comes back where it was."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from conftest import MakeStack

import brainxr
from brainxr.errors import GeometryError, SliceGapWarning, UnitWarning

pytest.importorskip("napari")

from napari._app_model.actions._file import new_labels, new_points, new_shapes
from napari.components import ViewerModel
from napari.layers import Labels, Points, Shapes

SPACING = {"z": 100.0, "y": 50.0, "x": 25.0}
ORIGIN = {"z": 62_000.0, "y": -400.0, "x": 12.5}


def in_millimetres(volume: xr.DataArray) -> xr.DataArray:
    steps = {d: {"units": "mm", "spacing": volume[d].attrs["spacing"] / 1000} for d in "zyx"}
    return volume.assign_coords({d: (d, volume[d].values / 1000, steps[d]) for d in "zyx"})


VOLUMES = {
    "offset, anisotropic": lambda v: v,
    "reversed": lambda v: v[::-1, :, ::-1],
    "strided": lambda v: v[1::2, ::3, 2::2],
    "reversed and strided": lambda v: v[::-2, ::-1],
    "millimetres": in_millimetres,
    "transposed": lambda v: v.transpose("x", "z", "y"),
    "gap": lambda v: v.isel(z=[0, 1, 2, 5, 6, 8]),
    "in memory": lambda v: v.compute(),
}


@pytest.fixture
def whole(make_stack: MakeStack) -> xr.DataArray:
    return brainxr.open(make_stack((9, 24, 40)).path, spacing=SPACING, origin=ORIGIN)


@pytest.fixture(params=VOLUMES.values(), ids=VOLUMES.keys())
def vol(whole: xr.DataArray, request: pytest.FixtureRequest) -> xr.DataArray:
    return request.param(whole)


def micrometers(volume: xr.DataArray, dim: str) -> np.ndarray:
    factor = {"mm": 1000, "micrometer": 1}[str(volume[dim].attrs["units"])]
    return volume[dim].values * factor


def added_to(volume: xr.DataArray, how) -> tuple:
    """A viewer, and a layer that was added to it as its buttons do."""
    viewer = brainxr.view(volume, ViewerModel())
    viewer.layers.selection.active = viewer.layers[0]
    how(viewer)
    return viewer, viewer.layers[-1]


# --- labels -----------------------------------------------------------------------


def test_labels_lie_on_the_voxels_that_were_painted(vol: xr.DataArray) -> None:
    _, layer = added_to(vol, new_labels)
    box = vol.sel({d: vol[d][[2, 3]] for d in "zyx"}).isel(z=0)  # voxels 2 and 3, one plane
    for y in micrometers(box, "y"):
        for x in micrometers(box, "x"):
            place = layer.world_to_data([micrometers(vol, "z")[2], y, x])
            layer.data[tuple(np.rint(place).astype(int))] = 7
    labels = brainxr.labels(layer)
    xr.testing.assert_identical(
        labels.drop_attrs().coords.to_dataset(), vol.drop_attrs().coords.to_dataset()
    )
    assert labels.dims == vol.dims
    painted = vol.where(labels == 7)
    assert int(painted.count()) == 4
    assert float(painted.mean()) == float(box.astype("f8").mean())


def test_labels_of_other_voxels_lie_by_themselves(whole: xr.DataArray) -> None:
    viewer = brainxr.view(whole, ViewerModel())
    values = np.arange(24, dtype="u1").reshape(2, 3, 4)
    layer = viewer.add_labels(
        values, scale=(0.3, 0.2, 0.1), translate=(62.1, 0.0, 0.5), units=("mm",) * 3
    )
    labels = brainxr.labels(layer)
    assert labels.dims == ("z", "y", "x")
    assert labels.z.attrs["units"] == "micrometer"
    np.testing.assert_allclose(labels.z, [62_100, 62_400])
    np.testing.assert_allclose(labels.x, [500, 600, 700, 800])
    assert int(labels.sel(z="62.4 mm", y="0.2 mm", x="0.7 mm", method="nearest")) == 18
    with pytest.raises(GeometryError, match=r"no part of them.*interp_like"):
        brainxr.labels(layer, whole)


def test_labels_for_a_part_of_the_volume(whole: xr.DataArray) -> None:
    _, layer = added_to(whole, new_labels)
    layer.data[3:5] = 1
    part = whole[2:7:2, ::-1].isel(x=4)
    labels = brainxr.labels(layer, part)
    assert labels.sizes == part.sizes
    assert (labels == 1).any("y").values.tolist() == [False, True, False]
    # where the layer doesn't reach, nothing was painted
    beyond = whole.assign_coords(z=whole.z + 700)
    assert brainxr.labels(layer, beyond).max() == 0
    assert brainxr.labels(layer, whole.assign_coords(z=whole.z + 300))[0].max() == 1


def test_labels_share_memory_and_are_read_only(whole: xr.DataArray) -> None:
    _, layer = added_to(whole, new_labels)
    labels = brainxr.labels(layer)
    assert np.shares_memory(labels.values, layer.data)
    with pytest.raises(ValueError, match=r"read-only|is a view"):
        labels[0, 0, 0] = 1


def test_labels_on_a_plane(whole: xr.DataArray) -> None:
    plane = whole.sel(y="0 mm", method="nearest")
    _, layer = added_to(plane, new_labels)
    layer.data[2, 0, 5] = 1
    labels = brainxr.labels(layer)
    assert labels.dims == ("z", "x")
    assert float(plane.where(labels == 1).sum()) == float(plane[2, 5])


# --- points -----------------------------------------------------------------------


def test_points_come_back_where_they_were_set(vol: xr.DataArray) -> None:
    _, layer = added_to(vol, new_points)
    wanted = np.stack([micrometers(vol, d)[[1, -1, 2]] for d in "zyx"], 1)
    wanted[2] += (7.25, -3.5, 1.125)  # between voxels
    layer.add([layer.world_to_data(place) for place in wanted])
    table = brainxr.points(layer)
    assert list(table.columns) == ["z", "y", "x"]
    assert table.to_numpy().tolist() == wanted.tolist()
    assert table.attrs["units"] == "micrometer"


def test_what_was_set_at_62_mm_is_at_62_mm() -> None:
    """However the numbers of the layer's scale are rounded."""
    layer = Points(
        np.array([[6.2, 0.3, 1.1]]) / 0.1, scale=(0.1,) * 3, translate=(0, 0, 0.1),
        units=("cm",) * 3, axis_labels=("z", "y", "x"), features={"what": ["cell"], "z": [1]},
    )  # fmt: skip
    table = brainxr.points(layer)
    assert table.iloc[0].tolist() == [62_000.0, 3000.0, 12_000.0, "cell", 1]
    assert list(table.columns) == ["z", "y", "x", "what", "z_feature"]


def test_the_voxel_at_a_point(whole: xr.DataArray) -> None:
    _, layer = added_to(whole, new_points)
    layer.add([[3, 4, 5]])
    place = brainxr.points(layer).iloc[0]
    assert int(whole.sel(place[["z", "y", "x"]].to_dict())) == int(whole[3, 4, 5])


# --- selections -------------------------------------------------------------------


def test_a_rectangle_selects_what_it_was_drawn_on(vol: xr.DataArray) -> None:
    _, layer = added_to(vol, new_shapes)
    ends = {d: np.sort(micrometers(vol, d)[[2, 5]]) for d in "yx"}
    plane = micrometers(vol, "z")[1]
    corners = [(plane, ends["y"][i], ends["x"][j]) for i, j in ((0, 0), (0, 1), (1, 1), (1, 0))]
    layer.add_rectangles(np.array([layer.world_to_data(corner) for corner in corners]))
    found = brainxr.selection(layer)
    expected = vol.isel(z=1, y=slice(2, 6), x=slice(2, 6))
    xr.testing.assert_identical(found, expected)


def test_a_rectangle_on_a_sagittal_plane(whole: xr.DataArray) -> None:
    viewer, layer = added_to(whole, new_shapes)
    viewer.dims.order = (2, 0, 1)
    layer.add_rectangles(np.array([[1.6, 3, 7], [1.6, 9.4, 7], [6, 9.4, 7], [6, 3, 7]]))
    xr.testing.assert_identical(brainxr.selection(layer), whole[2:7, 3:10, 7])


def test_the_selected_shapes_count(whole: xr.DataArray) -> None:
    _, layer = added_to(whole, new_shapes)
    with pytest.raises(GeometryError, match="Nothing is drawn"):
        brainxr.selection(layer)
    square = np.array([[2, 3, 4], [2, 3, 8], [2, 6, 8], [2, 6, 4]])
    shapes = [square, square + np.array([0, 9, 9]), square + np.array([3, 0, 0])]
    layer.add(shapes, shape_type="polygon")
    layer.selected_data = set()
    with pytest.raises(GeometryError, match="There are 3 shapes"):
        brainxr.selection(layer)
    layer.selected_data = {0, 2}
    xr.testing.assert_identical(brainxr.selection(layer), whole[2:6, 3:7, 4:9])


def test_a_rectangle_without_a_voxel(whole: xr.DataArray) -> None:
    _, layer = added_to(whole, new_shapes)
    between = np.array([[2, 3.2, 4], [2, 3.2, 8], [2, 3.8, 8], [2, 3.8, 4]])
    layer.add_rectangles(between)
    with pytest.raises(GeometryError, match=r"no voxel from -0.24 mm to -0.21 mm along 'y'"):
        brainxr.selection(layer)


def test_the_screen_holds_the_plane_at_the_slider(vol: xr.DataArray) -> None:
    viewer = brainxr.view(vol, ViewerModel())
    viewer.dims.set_point(0, micrometers(vol, "z")[3])
    xr.testing.assert_identical(brainxr.selection(viewer), vol.isel(z=3))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_plane_is_the_one_that_napari_draws(whole: xr.DataArray, axis: int) -> None:
    """At every place of the slider, halfway between two planes included."""
    viewer = brainxr.view(whole[::-1], ViewerModel(), contrast_limits=(0, 1))
    viewer.dims.order = (axis, *(i for i in range(3) if i != axis))
    layer = viewer.layers[0]
    low, high = (float(end) for end in layer.extent.world[:, axis])
    for place in np.linspace(low, high, 33):
        viewer.dims.set_point(axis, place)
        seen = brainxr.selection(viewer)
        upwards = seen[::-1] if "z" in seen.dims else seen
        np.testing.assert_array_equal(upwards.values, np.asarray(layer._slice.image.raw))


def test_the_zoom_rectangle(whole: xr.DataArray) -> None:
    viewer = brainxr.view(whole, ViewerModel())
    viewer.canvas.size = (200, 300)  # height and width
    viewer.scene.camera.zoom = 1.0
    # y from 0 to 200, x from 400 to 700
    viewer.scene.camera.center = (0, 100, 550)
    seen = brainxr.selection(viewer)
    # half of the first and last voxel along y is seen, and counts; those beside x are not
    assert seen.y.values[[0, -1]].tolist() == [0, 200]
    assert seen.x.values[[0, -1]].tolist() == [412.5, 687.5]
    viewer.dims.ndisplay = 3
    xr.testing.assert_identical(brainxr.selection(viewer), whole)
    viewer.dims.ndisplay = 2
    viewer.scene.camera.center = (0, 9000, 550)
    with pytest.raises(GeometryError, match=r"no voxel from 8.9 mm to 9.1 mm along 'y'"):
        brainxr.selection(viewer)


def test_a_gap_is_no_plane(whole: xr.DataArray) -> None:
    viewer = brainxr.view(whole.isel(z=[0, 1, 5, 6]), ViewerModel())
    viewer.dims.set_point(0, 62_300)
    with pytest.raises(GeometryError, match=r"no plane at z = 62.3 mm; the nearest is at 62.[15]"):
        brainxr.selection(viewer)


def test_which_volume_is_meant(whole: xr.DataArray) -> None:
    viewer = brainxr.view(whole, ViewerModel(), name="below")
    brainxr.view(2 * whole, viewer, name="above")
    viewer.dims.set_point(0, 62_300)
    assert int(brainxr.selection(viewer).max()) == 2 * int(whole[3].max())
    viewer.layers.selection.active = viewer.layers["below"]
    assert int(brainxr.selection(viewer).max()) == int(whole[3].max())
    assert int(brainxr.selection(viewer, 3 * whole).max()) == 3 * int(whole[3].max())
    with pytest.raises(GeometryError, match=r"brainxr.selection\(viewer, vol\)"):
        brainxr.selection(ViewerModel())


def test_a_window_in_other_units(whole: xr.DataArray) -> None:
    """A layer in nm makes the sliders count nm."""
    viewer = brainxr.view(whole, ViewerModel())
    viewer.add_image(np.zeros((9, 4, 5)), scale=(1e5, 1, 1), units=("nm",) * 3, name="nm")
    viewer.layers.selection.active = viewer.layers[0]
    viewer.dims.set_point(0, 62_500_000)
    assert float(brainxr.selection(viewer).z) == 62_500


# --- what is refused --------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Points([[1, 2, 3]], name="p"), r"'p' has no unit.* layer.units = \('um', 'um', 'um'\)"),
        (Points([[1, 2]], units=("um", "um")), r"no names.* layer.axis_labels = \('y', 'x'\)"),
        (
            Points([[1, 2]], units=("um", "um"), axis_labels=("y", "x"), rotate=30),
            "rotated, sheared",
        ),
        (
            Points([[1, 2]], units=("um", "um"), axis_labels=("y", "x"), affine=np.diag([2, 1, 1])),
            "moved by an affine",
        ),
    ],
)
def test_a_place_that_is_not_known_is_refused(layer: Points, message: str) -> None:
    with pytest.raises(GeometryError, match=message):
        brainxr.points(layer)


def test_other_layers_are_refused() -> None:
    with pytest.raises(TypeError, match="points layer, found Labels"):
        brainxr.points(Labels(np.zeros((3, 3), int)))
    with pytest.raises(TypeError, match="labels layer, found Points"):
        brainxr.labels(Points())
    with pytest.raises(TypeError, match=r"Of a labels layer use brainxr.labels"):
        brainxr.selection(Labels(np.zeros((3, 3), int)))
    shapes = Shapes(np.zeros((4, 2)), units=("um", "um"), axis_labels=("y", "x"), name="s")
    with pytest.raises(GeometryError, match=r"what the layer 's' was drawn on"):
        brainxr.selection(shapes)


# --- units of layers that are added -------------------------------------------------


def test_a_layer_without_a_unit_is_warned_about(whole: xr.DataArray) -> None:
    viewer = brainxr.view(whole, ViewerModel())
    with pytest.warns(UnitWarning, match=r"viewer.layers\['mine'\].units = \('um', 'um', 'um'\)"):
        viewer.add_points([[1, 2, 3]], name="mine")
    assert viewer.layers.units is None
    viewer.layers["mine"].units = ("um", "um", "um")
    assert viewer.layers.units is not None
    viewer.add_points([[1, 2, 3]], units=("mm", "mm", "mm"))  # says nothing


@pytest.mark.parametrize(
    ("how", "is_selected"),
    [(new_points, True), (new_points, False), (new_shapes, True), (new_shapes, False),
     (new_labels, True)],
)  # fmt: skip
def test_layers_added_by_buttons_are_in_one_unit(whole, how, is_selected: bool) -> None:
    viewer = brainxr.view(whole, ViewerModel())
    viewer.layers.selection = {viewer.layers[0]} if is_selected else set()
    how(viewer)
    layer = viewer.layers[-1]
    assert [str(unit) for unit in viewer.layers.units] == ["micrometer"] * 3
    assert layer.axis_labels == ("z", "y", "x")
    assert layer.metadata["drawn_on"].identical(whole)


def test_labels_that_belong_to_nothing(whole: xr.DataArray) -> None:
    """With no layer selected napari makes 512 x 512 labels, which lie nowhere."""
    viewer = brainxr.view(whole, ViewerModel())
    viewer.layers.selection.clear()
    with pytest.warns(UnitWarning, match="'Labels' has no unit"):
        new_labels(viewer)


# --- by hand ----------------------------------------------------------------------


@pytest.mark.window
def test_a_person_paints_marks_and_draws(whole: xr.DataArray) -> None:
    """Buttons are pressed and the mouse is used; what comes back is where the mouse was."""
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QApplication

    viewer = brainxr.view(whole, block=False)
    try:
        viewer.window.resize(900, 700)
        QApplication.processEvents()
        viewer.reset_view()
        viewer.dims.set_point(0, 62_300)
        QApplication.processEvents()
        qt = viewer.window._qt_viewer
        canvas = qt.canvas.native

        def at(y: float, x: float) -> QPoint:
            middle, zoom = np.array(viewer.scene.camera.center)[1:], viewer.scene.camera.zoom
            row, column = (np.array([y, x]) - middle) * zoom + np.array(viewer.canvas.size) / 2
            return QPoint(round(column), round(row))

        def click(place: QPoint) -> None:
            QTest.mouseMove(canvas, place)
            QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=place)
            QApplication.processEvents()

        viewer.layers.selection.active = viewer.layers[0]
        QTest.mouseClick(qt.layerButtons.newPointsButton, Qt.MouseButton.LeftButton)
        points = viewer.layers.selection.active
        points.mode = "add"
        click(at(150, 412.5))
        table = brainxr.points(points)
        pixel = 1 / viewer.scene.camera.zoom
        assert table.z.tolist() == [62_300]
        np.testing.assert_allclose(table[["y", "x"]], [[150, 412.5]], atol=pixel)

        viewer.layers.selection.active = viewer.layers[0]
        QTest.mouseClick(qt.layerButtons.newLabelsButton, Qt.MouseButton.LeftButton)
        layer = viewer.layers.selection.active
        layer.mode, layer.brush_size = "paint", 1
        click(at(-50, 612.5))
        painted = whole.where(brainxr.labels(layer) == 1)
        assert float(painted.sum()) == float(whole.sel(z=62_300, y=-50, x=612.5))

        viewer.layers.selection.active = viewer.layers[0]
        QTest.mouseClick(qt.layerButtons.newShapesButton, Qt.MouseButton.LeftButton)
        shapes = viewer.layers.selection.active
        shapes.mode = "add_rectangle"
        start, end = at(-160, 190), at(140, 710)
        QTest.mouseMove(canvas, start)
        QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=start)
        QTest.mouseMove(canvas, end)
        QApplication.processEvents()
        QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=end)
        QApplication.processEvents()
        box = brainxr.selection(shapes)
        assert float(box.z) == 62_300
        assert box.y.values[[0, -1]].tolist() == [-150, 100]
        assert box.x.values[[0, -1]].tolist() == [212.5, 687.5]

        seen = brainxr.selection(viewer)
        xr.testing.assert_identical(seen, whole.sel(z=62_300))
    finally:
        viewer.close()
        QApplication.processEvents()


def test_a_stack_with_gaps(make_stack: MakeStack) -> None:
    """Painted on the plane behind a gap, and found there."""
    made = make_stack((0, 7, 11), numbers=[1, 2, 3, 7, 8])
    with pytest.warns(SliceGapWarning):
        vol = brainxr.open(made.path)
    _, layer = added_to(vol, new_labels)
    assert layer.data.shape == (8, 7, 11)
    layer.data[6, 2, 3] = 1
    labels = brainxr.labels(layer)
    assert labels.shape == vol.shape
    assert float(vol.where(labels == 1).sum()) == float(vol.sel(z=600)[2, 3])
