"""napari, as a model without a window and as a real window with pixels."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from conftest import MakeStack

import brainxr
from brainxr.errors import DisplayError, GeometryError, MissingExtraError
from brainxr.stores.ngff import Image, Level, coarser, to_attributes
from brainxr.viewing import viewer as viewer_module

pytest.importorskip("napari")

from napari.components import ViewerModel

SPACING = {"z": 100.0, "y": 50.0, "x": 25.0}


@pytest.fixture
def vol(make_stack: MakeStack) -> xr.DataArray:
    return brainxr.open(make_stack((9, 24, 40)).path, spacing=SPACING)


# --- the model --------------------------------------------------------------------


def test_layer_has_place_size_and_unit(vol: xr.DataArray) -> None:
    viewer = brainxr.view(vol[2:, ::-1], ViewerModel())
    layer = viewer.layers[0]
    np.testing.assert_allclose(layer.scale, [100, 50, 25])
    np.testing.assert_allclose(layer.translate, [200, 0, 0])
    assert [str(unit) for unit in layer.units] == ["micrometer"] * 3
    assert layer.axis_labels == ("z", "y", "x")
    assert layer.metadata["xarray"].identical(vol[2:, ::-1])
    assert viewer.layers.units is not None


def test_the_slider_can_leave_the_limits(vol: xr.DataArray) -> None:
    layer = brainxr.view(vol, ViewerModel(), contrast_limits=(1000, 2000)).layers[0]
    assert layer.contrast_limits_range == [0, 3000]


def test_a_plane_moves_the_viewer_to_its_place(vol: xr.DataArray) -> None:
    viewer = brainxr.view(vol, ViewerModel())
    brainxr.view(vol.sel(z="0.7 mm"), viewer)
    assert viewer.dims.point[0] == 700
    assert viewer.layers[1].extent.world[:, 0].tolist() == [700, 700]


def test_planes_of_any_axis_line_up_with_their_volume(vol: xr.DataArray) -> None:
    viewer = brainxr.view(vol, ViewerModel())
    for selection in (vol.sel(x=250), vol.sel(y=400), vol.transpose("x", "y", "z")[3:6]):
        layer = brainxr.view(selection, viewer).layers[-1]
        for i, dim in enumerate("zyx"):
            low, high = layer.extent.world[:, i]
            assert (low, high) == (selection[dim].min(), selection[dim].max())


def test_the_slider_finds_the_place_among_layers_of_other_units(vol: xr.DataArray) -> None:
    viewer = ViewerModel()
    viewer.add_image(np.zeros((9, 4, 5)), scale=(1e5, 1, 1), units=("nm", "nm", "nm"))
    brainxr.view(vol.sel(z="0.7 mm"), viewer)
    assert viewer.dims.point[0] == pytest.approx(700_000)  # the slider's world is in nm


def test_a_projection_does_not_pass_for_other_axes(vol: xr.DataArray) -> None:
    viewer = brainxr.view(vol, ViewerModel())
    with pytest.raises(GeometryError, match="assign_coords"):
        brainxr.view(vol.max("y"), viewer)
    assert len(viewer.layers) == 1
    placed = vol.max("y", keep_attrs=True).assign_coords(y=vol.y[3])
    assert brainxr.view(placed, viewer).layers[1].translate.tolist() == [0, 150, 0]


def test_other_axes_do_not_pass_for_z(vol: xr.DataArray) -> None:
    viewer = brainxr.view(vol, ViewerModel())
    times = xr.concat([vol[0], vol[1]], "t").drop_vars("z")
    with pytest.raises(GeometryError, match="one for the other"):
        brainxr.view(times, viewer)


def test_a_model_has_nothing_to_wait_for(vol: xr.DataArray) -> None:
    assert len(brainxr.view(vol, ViewerModel(), block=True).layers) == 1


def test_accessor_and_own_arguments(vol: xr.DataArray) -> None:
    layer = vol.brain.view(ViewerModel(), colormap="magma", name="mine").layers[0]
    assert (layer.colormap.name, layer.name) == ("magma", "mine")
    with pytest.raises(TypeError, match="colourmap"):
        vol.brain.view(ViewerModel(), colourmap="magma")


def test_a_broken_slice_is_named(make_stack: MakeStack) -> None:
    made = make_stack((9, 6, 5))
    made.paths[4].write_bytes(made.paths[4].read_bytes()[:-3])
    volume = brainxr.open(made.path)
    with pytest.raises(brainxr.SliceReadError, match=r"slice_005.tif' is truncated"):
        brainxr.view(volume, ViewerModel())


# --- what is missing --------------------------------------------------------------


@pytest.mark.parametrize("display", ["", ":4242", "nonsense", "localhost:4242"])
def test_without_a_display_it_says_so(vol: xr.DataArray, monkeypatch, display: str) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    monkeypatch.setenv("DISPLAY", display)
    with pytest.raises(DisplayError, match=r"plot_planes\(\).*brainxr\.screenshot.*xvfb-run"):
        brainxr.view(vol)


def test_without_napari_it_says_what_to_install(vol: xr.DataArray, monkeypatch) -> None:
    monkeypatch.setattr(viewer_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'brainxr\[napari\]'"):
        brainxr.view(vol)


def test_nothing_heavy_is_imported_with_brainxr() -> None:
    heavy = "napari|av|PIL|matplotlib|nilearn|nibabel|zarr|qtpy|skimage|distributed|click"
    code = f"""
        import sys, re, brainxr
        loaded = {{name.partition('.')[0] for name in sys.modules}}
        sys.exit(str([name for name in loaded if re.fullmatch({heavy!r}, name)]).strip('[]') or 0)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


# --- the window -------------------------------------------------------------------


def bright_box(vol: xr.DataArray) -> xr.DataArray:
    """The volume all dark but for a box of known place in µm."""
    where = (vol.z >= 300) & (vol.z <= 500) & (vol.y >= 200) & (vol.y <= 600) & (vol.x >= 500)
    return xr.where(where, np.uint16(1000), np.uint16(0)).transpose("z", "y", "x").assign_attrs(
        vol.attrs
    ).assign_coords(vol.coords)  # fmt: skip


def box_on_screen(viewer) -> list[float]:
    """Extent in µm of what is bright on the canvas: first and last row, first and last column."""
    canvas = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
    bright = canvas.min(-1) > 200
    rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
    camera = viewer.scene.camera
    um_per_pixel = 1 / camera.zoom
    centre = np.asarray(camera.center)[-2:]
    middle = (np.asarray(canvas.shape[:2]) - 1) / 2
    return [
        float((edge - middle[axis]) * um_per_pixel + centre[axis])
        for axis, places in enumerate((rows, columns))
        for edge in (places[0] - 0.5, places[-1] + 0.5)
    ]


@pytest.fixture
def shown(request: pytest.FixtureRequest):
    """Show in a real window; closed afterwards, with nothing left open."""
    from qtpy.QtWidgets import QApplication

    opened = []

    def show(data: xr.DataArray, **kwargs):
        viewer = brainxr.view(data, block=False, **kwargs)
        opened.append(viewer)
        viewer.window.resize(900, 700)
        viewer.canvas.overlays.scale_bar.visible = False
        viewer.canvas.overlays.text.opacity = 0  # it is there, and out of the pixels
        for _ in range(5):
            QApplication.processEvents()
        viewer.reset_view()
        QApplication.processEvents()
        return viewer

    yield show
    for viewer in opened:
        viewer.close()
    QApplication.processEvents()


# Edges of the box: half a voxel beyond its first and last centre.
Z_EDGES, Y_EDGES, X_EDGES = (250.0, 550.0), (175.0, 625.0), (487.5, 987.5)


@pytest.mark.window
@pytest.mark.parametrize(
    ("select", "edges"),
    [
        (lambda v: v.sel(z="0.4 mm"), (*Y_EDGES, *X_EDGES)),
        (lambda v: v.sel(y="0.4 mm"), (*Z_EDGES, *X_EDGES)),
        (lambda v: v.sel(x="0.6 mm"), (*Z_EDGES, *Y_EDGES)),
        (lambda v: v[::-1, ::-1].sel(z=slice(500, 300)), (*Y_EDGES, *X_EDGES)),
        (lambda v: v.sel(z=slice("0.3 mm", "0.5 mm")).max("z"), (*Y_EDGES, *X_EDGES)),
    ],
    ids=["axial", "coronal", "sagittal", "reversed slab", "projection"],
)
def test_the_window_shows_the_box_where_it_lies(
    vol: xr.DataArray, make_stack: MakeStack, shown, select, edges
) -> None:
    box = bright_box(vol)
    made = make_stack(box.shape, folder="box_100um_iso", values=box.values)
    volume = brainxr.open(made.path, spacing=SPACING)
    viewer = shown(select(volume), contrast_limits=(0, 1000))
    found = box_on_screen(viewer)
    # one pixel of the canvas is the best that a picture can tell
    np.testing.assert_allclose(found, edges, atol=1.5 / viewer.scene.camera.zoom)


@pytest.mark.window
def test_a_plane_is_not_drawn_at_other_places(vol: xr.DataArray, shown) -> None:
    box = bright_box(vol)
    viewer = shown(box, contrast_limits=(0, 1000), visible=False)
    brainxr.view(box.sel(z=400), viewer, contrast_limits=(0, 1000))
    there = viewer.screenshot(canvas_only=True, flash=False)[..., 0].max()
    viewer.dims.set_point(0, 500)
    elsewhere = viewer.screenshot(canvas_only=True, flash=False)[..., 0].max()
    assert (there > 200, elsewhere < 50) == (True, True)


@pytest.mark.window
def test_no_empty_window_is_left_by_an_error(vol: xr.DataArray) -> None:
    import napari

    with pytest.raises(TypeError, match="colourmap"):
        brainxr.view(vol, block=False, colourmap="magma")
    assert napari.current_viewer() is None


@pytest.mark.window
@pytest.mark.filterwarnings("ignore::brainxr.EmptySelectionWarning")
@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize(
    ("select", "axis"),
    [
        (lambda v: v[0:0], "z"),
        (lambda v: v.sel(z=slice("9 cm", "1 cm")), "z"),
        (lambda v: v[:, 5:5].compute(), "y"),
        (lambda v: v[..., 7:7].astype("f4").chunk(), "x"),
    ],
)
def test_a_selection_of_nothing_opens_no_window(
    vol: xr.DataArray, select, axis: str, planes: bool
) -> None:
    import napari

    with pytest.raises(GeometryError, match=rf"nothing along '{axis}'.*takes one plane at least"):
        brainxr.view(select(vol), block=False, planes=planes)
    assert napari.current_viewer() is None


@pytest.mark.window
def test_a_selection_of_nothing_leaves_a_window_as_it_was(vol: xr.DataArray, shown) -> None:
    viewer = shown(vol)
    point = viewer.dims.point
    with pytest.raises(GeometryError, match="nothing along 'z'"):
        brainxr.view(vol[0:0], viewer)
    assert (len(viewer.layers), viewer.dims.point) == (1, point)


@pytest.mark.window
def test_a_script_waits_until_the_window_is_closed(vol: xr.DataArray) -> None:
    code = f"""
        import time, brainxr
        from qtpy.QtCore import QTimer
        vol = brainxr.open({vol.attrs["source"]!r})
        import napari
        from brainxr.viewing.background import event_loop_runs

        def close():  # once the script waits, however long the window took
            if napari.current_viewer() is not None and event_loop_runs():
                timer.stop()
                napari.current_viewer().close()

        timer = QTimer()
        timer.timeout.connect(close)
        timer.start(1500)
        start = time.monotonic()
        viewer = brainxr.view(vol)
        print("closed after", time.monotonic() - start > 1)
    """
    script = "from napari.qt import get_qapp\nget_qapp()\n" + textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True
    )
    assert "closed after True" in done.stdout


# --- levels -----------------------------------------------------------------------


SIZES, VOXEL, FIRST = (40, 48, 56), (50.0, 20.0, 10.0), (1000.0, 0.0, -5.0)
DOT = (13, 21, 37)
HALVED = (2, 2, 2)
ORDERS = list(permutations(range(3)))


def means(place: tuple[int, ...], factors: tuple[int, ...] = HALVED) -> list[np.ndarray]:
    """A dark volume with one bright voxel, and three times the means of its blocks, by numpy."""
    arrays = [np.zeros(SIZES, "f4")]
    arrays[0][place] = 4096
    for _ in range(3):
        shape = np.floor_divide(arrays[-1].shape, factors)
        blocks = arrays[-1].reshape([n for pair in zip(shape, factors, strict=True) for n in pair])
        arrays.append(blocks.mean((1, 3, 5)))
    return arrays


def empty_pyramid(
    folder: Path,
    shape: tuple[int, ...],
    voxel: tuple[float, ...],
    factors: tuple[int, ...],
    chunks: tuple[int, ...] = (8, 16, 16),
) -> list[zarr.Array]:
    """The arrays of four levels, of which no chunk is written yet."""
    levels = [
        Level("0", dict(zip("zyx", voxel, strict=True)), dict(zip("zyx", FIRST, strict=True)))
    ]
    for number in (1, 2, 3):
        levels.append(coarser(levels[-1], str(number), dict(zip("zyx", factors, strict=True))))
    group = zarr.open_group(folder, mode="w", zarr_format=3)
    group.attrs.update(to_attributes(Image(("z", "y", "x"), tuple(levels))))
    shapes = [np.floor_divide(shape, np.power(factors, i)).tolist() for i in range(4)]
    return [
        group.create_array(level.path, shape=size, chunks=chunks, dtype="f4")
        for level, size in zip(levels, shapes, strict=True)
    ]


def dotted(folder: Path, place: tuple[int, ...], factors: tuple[int, ...] = HALVED) -> str:
    """A pyramid with one bright voxel, made by numpy and zarr."""
    arrays = empty_pyramid(folder, SIZES, VOXEL, factors)
    for array, values in zip(arrays, means(place, factors), strict=True):
        array[:] = values
    return str(folder)


def block_of_dot(level: int, factors: tuple[int, ...] = HALVED) -> list[tuple[int, int]]:
    """First voxel of level 0 in a level's block with the dot, and the first behind it."""
    sizes = [factor**level for factor in factors]
    return [(p // n * n, p // n * n + n) for p, n in zip(DOT, sizes, strict=True)]


def edges_of(block: Any, axes: Sequence[int], voxel: Sequence[float] = VOXEL) -> list[float]:
    """Its edges in µm along the rows and the columns of a picture."""
    return [FIRST[a] + (side - 0.5) * voxel[a] for a in axes for side in block[a]]


@pytest.mark.parametrize("across", [0, 1, 2])
def test_levels_follow_the_axes_that_are_displayed(tmp_path: Path, across: int) -> None:
    viewer = brainxr.view(brainxr.open(dotted(tmp_path / "a.zarr", (13, 21, 37))), ViewerModel())
    layer = viewer.layers[0]
    viewer.dims.order = (across, *(axis for axis in range(3) if axis != across))
    for level, shape in enumerate(layer.level_shapes.tolist()):
        expected = [n // 2**level for n in (40, 48, 56)]
        expected[across] = (40, 48, 56)[across]
        assert shape == expected
    viewer.dims.ndisplay = 3
    assert layer.level_shapes.tolist() == [[40, 48, 56]]  # small enough as it is
    viewer.layers.clear()
    viewer.dims.ndisplay = 2  # and nothing follows any more
    assert layer.level_shapes.tolist() == [[40, 48, 56]]


@pytest.mark.window
@pytest.mark.parametrize("factors", [HALVED, (2, 1, 2)], ids=str)
def test_a_dot_is_followed_across_levels(tmp_path: Path, shown, factors) -> None:
    """Factors of 2, 4 and 8, along each axis, rows and columns of the picture swapped, too.

    It is where its block is, and in no other plane than those of the block.
    """
    viewer = shown(brainxr.open(dotted(tmp_path / "a.zarr", DOT, factors)), contrast_limits=(0, 1))
    layer = viewer.layers[0]
    layer.interpolation2d = "nearest"
    for order in ORDERS:
        across, *displayed = viewer.dims.order = order
        viewer.reset_view()
        for level, values in enumerate(means(DOT, factors)):
            layer.locked_data_level = level
            block = block_of_dot(level, factors)
            for number in range(SIZES[across]):
                viewer.dims.set_point(across, FIRST[across] + number * VOXEL[across])
                plane = values.transpose(order)[number // factors[across] ** level]
                np.testing.assert_array_equal(layer._slice.image.raw, plane)
                assert plane.any() == (block[across][0] <= number < block[across][1])
            viewer.dims.set_point(across, FIRST[across] + DOT[across] * VOXEL[across])
            atol = 1.5 / viewer.scene.camera.zoom
            np.testing.assert_allclose(box_on_screen(viewer), edges_of(block, displayed), atol=atol)


LARGE, ABOUT_CUBES = (2400, 2560, 2480), (10.0, 11.0, 12.0)
BOX = ((1184, 1200), (1280, 1296), (1248, 1264))


@pytest.mark.window
def test_a_box_is_followed_at_every_zoom(tmp_path: Path, shown) -> None:
    """napari chooses the level by the zoom; of 60 GB, almost no chunk of which is written."""
    made = empty_pyramid(tmp_path / "a.zarr", LARGE, ABOUT_CUBES, HALVED, (64, 96, 128))
    for level, array in enumerate(made):
        array[tuple(slice(low >> level, high >> level) for low, high in BOX)] = 1000
    viewer = shown(brainxr.open(str(tmp_path / "a.zarr")), contrast_limits=(0, 1))
    make_small(viewer)
    layer = viewer.layers[0]
    layer.interpolation2d = "nearest"
    for order in ORDERS:
        across, *displayed = viewer.dims.order = order
        low, high = BOX[across]
        for level in range(4):
            zoom_to_level(viewer, level, displayed)
            for number in (low - 1, high - 1, high):
                viewer.dims.set_point(across, FIRST[across] + number * ABOUT_CUBES[across])
                canvas = viewer.screenshot(canvas_only=True, flash=False)
                assert layer.data_level == level
                assert (canvas[..., :3].min(-1) > 200).any() == (low <= number < high)
            viewer.dims.set_point(across, FIRST[across] + low * ABOUT_CUBES[across])
            atol = 1.5 / viewer.scene.camera.zoom
            edges = edges_of(BOX, displayed, ABOUT_CUBES)
            np.testing.assert_allclose(box_on_screen(viewer), edges, atol=atol)


def make_small(viewer) -> None:
    """A canvas with fewer pixels than the coarsest level has voxels."""
    from qtpy.QtWidgets import QApplication, QDockWidget

    for dock in viewer.window._qt_window.findChildren(QDockWidget):
        dock.hide()
    viewer.window.resize(260, 260)
    for _ in range(5):
        QApplication.processEvents()


def zoom_to_level(viewer, level: int, displayed: Sequence[int]) -> None:
    """Zoom about the box until a pixel has more voxels of a level than one, and less than two."""
    viewer.scene.camera.center = (0, *(FIRST[a] + BOX[a][0] * ABOUT_CUBES[a] for a in displayed))
    viewer.scene.camera.zoom = 1 / (1.3 * max(ABOUT_CUBES) * 2**level)


@pytest.mark.window
@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_dot_in_three_dimensions(tmp_path: Path, shown, level: int) -> None:
    """Levels of 2, 4 and 8 lie where the fine one does, looked at along each axis."""
    volume = brainxr.open(dotted(tmp_path / "a.zarr", DOT))
    viewer = shown(volume, contrast_limits=(0, 1), preview=max(means(DOT)[level].nbytes, 1000))
    layer = viewer.layers[0]
    viewer.dims.ndisplay = 3
    layer.interpolation3d = "nearest"
    for order in ORDERS:
        viewer.dims.order = order
        viewer.scene.camera.angles = (0, 0, 90)  # along the first, rows downwards
        viewer.reset_view()
        assert layer.level_shapes.tolist()[-1] == [n // 2**level for n in SIZES]
        edges = edges_of(block_of_dot(level), order[1:])
        # a ray's steps are a fraction of a voxel apart
        np.testing.assert_allclose(box_on_screen(viewer), edges, atol=4 / viewer.scene.camera.zoom)
