"""A body whose orientation is known stands upright in every picture; nibabel says where it is.

Four corners of a head are bright: right, left, behind and below, seen from the one that is on
the right, in front and at the top. Which voxels these are in a file is nibabel's to say.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import nibabel
import numpy as np
import pytest
import xarray as xr
from conftest import MakeStack
from niftis import AFFINES, affine_of, make_nifti, rotated
from PIL import Image

import brainxr
from brainxr.errors import OrientationWarning
from brainxr.geometry.orientation import GROWS, turned_round

pytest.importorskip("napari")

from napari.components import ViewerModel

# Values of the corners, by where they lie in the body.
CORNERS = {"RAS": 250, "LAS": 150, "RPS": 100, "RAI": 200}

# Corners of the picture of each plane: top right, top left, bottom right.
SEEN = {
    "axial": ("RAS", "LAS", "RPS"),
    "coronal": ("RAS", "LAS", "RAI"),
    "sagittal": ("RAS", "RPS", "RAI"),
}
EDGES = {
    "axial": {"left": "L", "right": "R", "top": "A", "bottom": "P"},
    "coronal": {"left": "L", "right": "R", "top": "S", "bottom": "I"},
    "sagittal": {"left": "P", "right": "A", "top": "S", "bottom": "I"},
}
CUT = {"axial": "z", "coronal": "y", "sagittal": "x"}

# Of a voxel, in mm, along x, y and z.
SIZES = (0.2, 0.22, 0.25)

FILES = ["RAS", "LAS", "LPS", "PIR", "SLP"]


def straight_affine(codes: str) -> np.ndarray:
    """An affine of axes that run to where the codes say, by nibabel."""
    ornt = nibabel.orientations.axcodes2ornt(codes)
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, (world, sign) in enumerate(ornt.astype(int)):
        affine[world, axis] = sign * SIZES[world]
    affine[:3, 3] = (-3.1, 4.2, -5.3)
    assert "".join(nibabel.aff2axcodes(affine)) == codes
    return affine


def headlike(path: Path, affine: np.ndarray) -> xr.DataArray:
    """A file with four bright corners, opened; which voxels they are is what nibabel says."""
    codes = nibabel.aff2axcodes(affine)
    shape = (10, 9, 8)
    values = np.zeros(shape, "u1")
    for corner, value in CORNERS.items():
        ends = [code in corner for code in codes]
        values[tuple(n - 1 if end else 0 for n, end in zip(shape, ends, strict=True))] = value
    make_nifti(path, shape, "u1", affine=affine, values=values)
    return brainxr.open(path)


def place_of(vol: xr.DataArray, plane: str) -> dict[str, float]:
    """Where the plane is in which three of the corners are: on the right, in front, on top."""
    return {CUT[plane]: float(vol[CUT[plane]].max())}


@pytest.fixture(params=FILES)
def vol(request, tmp_path: Path) -> xr.DataArray:
    return headlike(tmp_path / "head.nii", straight_affine(request.param))


def looked_at(vol: xr.DataArray) -> Iterator[xr.DataArray]:
    """The volume, and the same stored another way."""
    yield vol
    yield vol[::-1, :, ::-1].transpose("x", "z", "y")


def opposite(vol: xr.DataArray) -> xr.DataArray:
    """The same voxels with coordinates that grow to the left, to the back and downwards."""
    turned = vol.copy()
    for dim in "zyx":
        turned = turned.assign_coords({dim: (dim, -vol[dim].values, dict(vol[dim].attrs))})
        turned[dim].attrs["orientation"] = turned_round(GROWS[dim])
    return turned


# --- matplotlib -------------------------------------------------------------------


def drawn(figure: Any) -> np.ndarray:
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., 0].astype(int)


def corners_of(panel: Any, pixels: np.ndarray) -> list[int]:
    """Greys just within the corners of a panel: top right, top left, bottom right."""
    box = panel.get_window_extent()
    left, right = round(box.x0) + 2, round(box.x1) - 3
    top, bottom = len(pixels) - round(box.y1) + 2, len(pixels) - round(box.y0) - 3
    return [int(pixels[at]) for at in ((top, right), (top, left), (bottom, right))]


def letters_of(panel: Any) -> dict[str, str]:
    """Letters by the edge that they are at."""
    found = {}
    for text in panel.texts:
        if len(text.get_text()) == 1:
            x, y = text.xy
            edge = {0: "left", 1: "right"}.get(x) if y == 0.5 else {0: "bottom", 1: "top"}[y]
            found[edge] = text.get_text()
    return found


def test_planes_and_montages_stand_upright(vol: xr.DataArray) -> None:
    for data in (*looked_at(vol), opposite(vol)):
        point = {
            d: data[d].max() if data[d].attrs["orientation"] == GROWS[d] else data[d].min()
            for d in "zyx"
        }
        figure = data.brain.plot_planes(point, crosshair=False, vmin=0, vmax=255)
        pixels = drawn(figure)
        for panel in figure.axes:
            plane = panel.get_title().partition(",")[0]
            assert corners_of(panel, pixels) == [CORNERS[c] for c in SEEN[plane]], plane
            assert letters_of(panel) == EDGES[plane]
        plt.close(figure)
    figure = vol.brain.montage("y", n=9, vmin=0, vmax=255)
    expected = [CORNERS[c] for c in SEEN["coronal"]]
    assert corners_of(figure.axes[-1], drawn(figure)) == expected
    assert letters_of(figure.axes[-1]) == EDGES["coronal"]
    plt.close(figure)


def test_movies_stand_upright(vol: xr.DataArray, tmp_path: Path) -> None:
    for data in looked_at(vol):
        for plane, corners in SEEN.items():
            path = brainxr.movie(
                data, tmp_path / "a.gif", axis=CUT[plane], size=320, vmin=0, vmax=255,
                overwrite=True,
            )  # fmt: skip
            with Image.open(path) as movie:
                movie.seek(int(data[CUT[plane]].values.argmax()))
                pixels = np.asarray(movie.convert("L")).astype(int)
            found = [pixels[at] for at in ((1, -2), (1, 1), (-2, -2))]
            assert found == [CORNERS[c] for c in corners], plane


def test_where_nothing_is_known_rows_go_downwards(make_stack: MakeStack) -> None:
    values = np.zeros((10, 9, 8), "u1")
    values[0, 0, 0], values[0, 0, -1], values[0, -1, -1] = 150, 250, 100
    vol = brainxr.open(make_stack(values.shape, "u1", values=values).path)
    figure = vol.brain.plot_planes(at={"z": 0}, crosshair=False, vmin=0, vmax=255)
    assert corners_of(figure.axes[0], drawn(figure)) == [250, 150, 100]
    assert letters_of(figure.axes[0]) == {}
    plt.close(figure)
    viewer = brainxr.view(vol, ViewerModel())
    assert [str(way) for way in viewer.scene.camera.orientation] == ["towards", "down", "right"]
    assert not any(name.startswith("brainxr") for name in viewer.canvas.overlays)


# --- napari -----------------------------------------------------------------------


def canvas(viewer: Any) -> np.ndarray:
    picture: np.ndarray = viewer.screenshot(canvas_only=True, flash=False)[..., 0].astype(int)
    return picture


def settle() -> None:
    from qtpy.QtWidgets import QApplication

    for _ in range(10):
        QApplication.processEvents()


def middle_of(pixels: np.ndarray, value: int) -> np.ndarray:
    """Row and column of the middle of what has this grey."""
    found = np.argwhere(np.abs(pixels - value) <= 2)
    assert len(found) > 20, f"{value} is not on the canvas"
    middle: np.ndarray = np.median(found, axis=0)  # letters have a few pixels of any grey
    return middle


def check_corners(pixels: np.ndarray, plane: str) -> None:
    here, beside, below = (middle_of(pixels, CORNERS[c]) for c in SEEN[plane])
    np.testing.assert_allclose([beside[0], below[1]], here, atol=1)
    assert beside[1] < here[1] - 50
    assert below[0] > here[0] + 50


def written(viewer: Any) -> dict[str, str]:
    """Letters that are seen, by the edge that napari puts them at."""
    texts = {n: o for n, o in viewer.canvas.overlays.items() if n.startswith("brainxr")}
    edges = {
        "middle_left": "left", "middle_right": "right", "top_center": "top",
        "bottom_center": "bottom",
    }  # fmt: skip
    return {edges[str(text.position)]: text.text for text in texts.values() if text.visible}


def only_the_volume(viewer: Any) -> None:
    for overlay in viewer.canvas.overlays.values():
        overlay.visible = False


def turn_to(viewer: Any, plane: str) -> None:
    """Display a plane, and move to where three of the corners are."""
    cut = "zyx".index(CUT[plane])
    viewer.dims.order = (cut, *(axis for axis in range(3) if axis != cut))
    viewer.dims.set_point(cut, viewer.dims.range[cut][1])


@pytest.mark.window
@pytest.mark.parametrize("codes", FILES)
def test_a_window_stands_upright(tmp_path: Path, codes: str) -> None:
    vol = headlike(tmp_path / "head.nii", straight_affine(codes))
    viewer = brainxr.view(vol, block=False, contrast_limits=(0, 255))
    try:
        for plane in SEEN:
            turn_to(viewer, plane)
            viewer.reset_view()
            settle()
            assert written(viewer) == EDGES[plane]
            only_the_volume(viewer)
            settle()
            check_corners(canvas(viewer), plane)
    finally:
        viewer.close()
        settle()


@pytest.mark.window
def test_a_point_that_is_clicked_is_where_nibabel_says(tmp_path: Path) -> None:
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest

    affine = straight_affine("PIR")
    vol = headlike(tmp_path / "head.nii", affine)
    viewer = brainxr.view(vol, block=False, contrast_limits=(0, 255))
    try:
        turn_to(viewer, "sagittal")
        viewer.reset_view()
        only_the_volume(viewer)
        settle()
        row, column = middle_of(canvas(viewer), CORNERS["RPS"])
        seen = brainxr.selection(viewer)
        native = viewer.window._qt_viewer.canvas.native
        QTest.mouseClick(
            viewer.window._qt_viewer.layerButtons.newPointsButton, Qt.MouseButton.LeftButton
        )
        viewer.layers[-1].mode = "add"
        ratio = native.devicePixelRatioF()
        at = QPoint(round(column / ratio), round(row / ratio))
        QTest.mouseMove(native, at)
        settle()
        QTest.mouseClick(native, Qt.MouseButton.LeftButton, pos=at)
        settle()
        table = brainxr.points(viewer.layers[-1])
    finally:
        viewer.close()
        settle()
    # posterior is where the file's first axis ends, superior where its second begins
    voxel = [9, 0, 7]
    expected = nibabel.affines.apply_affine(affine, voxel) * 1000
    found = table.loc[0, ["x", "y", "z"]].to_numpy(float)
    np.testing.assert_allclose(found, expected, atol=40)
    assert float(vol.sel(dict(zip("xyz", found, strict=True)), method="nearest")) == CORNERS["RPS"]
    assert float(seen.x) == vol.x.max()
    assert seen.sizes == {"z": vol.sizes["z"], "y": vol.sizes["y"]}


@pytest.mark.window
def test_a_screenshot_stands_upright(tmp_path: Path) -> None:
    vol = headlike(tmp_path / "head.nii", straight_affine("LAS"))
    for data in looked_at(vol):
        path = brainxr.screenshot(
            data, tmp_path / "a.png", axis="x", at=place_of(vol, "sagittal"), size=(600, 500),
            contrast_limits=(0, 255), overwrite=True,
        )  # fmt: skip
        check_corners(np.asarray(Image.open(path).convert("L")).astype(int), "sagittal")


@pytest.mark.window
def test_linked_planes_stand_upright(tmp_path: Path) -> None:
    pytest.importorskip("napari_orthogonal_views")
    from test_orthoviews import canvas as linked_canvas
    from test_orthoviews import linked_views, plain

    vol = headlike(tmp_path / "head.nii", straight_affine("LPS"))
    viewer = brainxr.view(vol, planes=True, block=False, contrast_limits=(0, 255))
    try:
        viewer.window.resize(1200, 1000)
        viewer.dims.point = [float(vol[dim].max()) for dim in "zyx"]
        settle()
        viewer.reset_view()
        settle()
        views = linked_views(viewer)
        assert [written(view) for view in views] == [
            EDGES[plane] for plane in ("coronal", "sagittal", "axial")
        ]
        for view in views:
            only_the_volume(view)
        plain(views)
        for view, plane in zip(views, ("coronal", "sagittal", "axial"), strict=True):
            check_corners(linked_canvas(views, view)[..., 0], plane)
    finally:
        viewer.close()
        settle()


def test_three_dimensions_are_no_mirror_image(vol: xr.DataArray) -> None:
    """Whatever is displayed: right, front and top are a right hand's fingers on the screen."""
    grows = {"towards": 1, "away": -1, "up": 1, "down": -1, "right": 1, "left": -1}
    for data in (*looked_at(vol), opposite(vol)):
        viewer = brainxr.view(data, ViewerModel())
        signs = [1 if data[d].attrs["orientation"] == GROWS[d] else -1 for d in "zyx"]
        for order in ((0, 1, 2), (1, 0, 2), (2, 1, 0), (1, 2, 0)):
            viewer.dims.order = order
            viewer.dims.ndisplay = 3
            assert written(viewer) == {}
            screen = np.zeros((3, 3))  # of z, y and x of the body: right, up, to the viewer
            for axis, way, place in zip(
                order, viewer.scene.camera.orientation, (2, 1, 0), strict=True
            ):
                screen[axis, place] = grows[str(way)] * signs[axis]
            right, front, top = screen[::-1]
            np.testing.assert_array_equal(np.cross(right, front), top)
            viewer.dims.ndisplay = 2
            assert len(written(viewer)) == 4


def test_an_oblique_volume_lies_as_it_is_nearest_to(tmp_path: Path) -> None:
    path = tmp_path / "oblique.nii"
    make_nifti(path, affine=rotated(20, affine_of("LAS")))
    with pytest.warns(OrientationWarning, match="oblique"):
        vol = brainxr.open(path)
    viewer = brainxr.view(vol, ViewerModel())
    assert written(viewer) == EDGES["axial"]
    assert [str(way) for way in viewer.scene.camera.orientation] == ["towards", "up", "right"]


def test_one_axis_that_is_known_is_shown_alone(make_stack: MakeStack) -> None:
    vol = brainxr.open(make_stack((5, 7, 11)).path)
    vol.x.attrs["orientation"] = "right-to-left"
    vol.y.attrs["orientation"] = "who knows"
    viewer = brainxr.view(vol, ViewerModel())
    assert written(viewer) == {"left": "L", "right": "R"}
    # turned round as a whole, and not mirrored
    assert [str(way) for way in viewer.scene.camera.orientation] == ["away", "down", "left"]
    figure = vol.brain.plot_planes()
    assert [letters_of(panel) for panel in figure.axes] == [
        {"left": "L", "right": "R"}, {"left": "L", "right": "R"}, {},
    ]  # fmt: skip
    plt.close(figure)


# --- several volumes, and somebody else's camera ----------------------------------


@pytest.fixture
def head(tmp_path: Path) -> xr.DataArray:
    return headlike(tmp_path / "head.nii", straight_affine("RAS"))


def test_a_volume_of_unknown_orientation_is_warned_about(
    head: xr.DataArray, make_stack: MakeStack
) -> None:
    unknown = brainxr.open(make_stack((5, 7, 11)).path)
    for first, second in ((head, unknown), (unknown, head)):
        viewer = brainxr.view(first, ViewerModel())
        with pytest.warns(OrientationWarning, match="doesn't say how it lies.*letters are of"):
            brainxr.view(second, viewer)
        assert written(viewer) == EDGES["axial"]
        viewer.layers.pop(0 if first is head else 1)
        assert written(viewer) == {}
        assert [str(way) for way in viewer.scene.camera.orientation][1:] == ["down", "right"]


def test_a_mirrored_volume_is_warned_about(head: xr.DataArray) -> None:
    viewer = brainxr.view(head, ViewerModel())
    other = opposite(head)
    with pytest.warns(OrientationWarning, match="mirror image"):
        brainxr.view(other, viewer)
    assert written(viewer) == {}
    viewer.layers.pop(0)
    assert written(viewer) == EDGES["axial"]
    assert [str(way) for way in viewer.scene.camera.orientation] == ["away", "down", "left"]


def test_parts_of_one_head_need_no_warning(head: xr.DataArray) -> None:
    viewer = brainxr.view(head, ViewerModel())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        brainxr.view(head[2:, ::-1], viewer)
        brainxr.view(head.sel(y=head.y[3]), viewer)
    assert written(viewer) == EDGES["axial"]


def test_a_camera_that_somebody_turned_stays(head: xr.DataArray) -> None:
    viewer = brainxr.view(head, ViewerModel())
    viewer.scene.camera.orientation2d = ("down", "left")
    assert written(viewer) == {"left": "R", "right": "L", "top": "P", "bottom": "A"}
    viewer.dims.order = (1, 0, 2)
    assert [str(way) for way in viewer.scene.camera.orientation][1:] == ["down", "left"]
    assert written(viewer) == {"left": "R", "right": "L", "top": "I", "bottom": "S"}


@pytest.mark.parametrize("name", sorted(AFFINES))
def test_files_of_any_order_are_known(tmp_path: Path, name: str) -> None:
    make_nifti(tmp_path / "a.nii", affine=name)
    viewer = brainxr.view(brainxr.open(tmp_path / "a.nii"), ViewerModel())
    assert written(viewer) == EDGES["axial"]
