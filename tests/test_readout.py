"""The place in the corner of a window: the one of the plane that is drawn, in mm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from conftest import MakeStack
from test_viewer import SPACING, shown  # noqa: F401

import brainxr

pytest.importorskip("napari")

from napari.components import ViewerModel

from brainxr.viewing.readout import place, say_place

ORIGIN = {"z": 62_000.0, "y": -400.0, "x": 12.5}


@pytest.fixture
def vol(make_stack: MakeStack) -> xr.DataArray:
    return brainxr.open(make_stack((9, 24, 40)).path, spacing=SPACING, origin=ORIGIN)


def text(viewer: ViewerModel) -> str:
    return str(viewer.canvas.overlays.text.text)


@pytest.mark.parametrize("across", [0, 1, 2])
def test_every_plane_along_every_axis(vol: xr.DataArray, across: int) -> None:
    viewer = brainxr.view(vol, ViewerModel())
    say_place(viewer)
    viewer.dims.order = (across, *(axis for axis in range(3) if axis != across))
    dim, name = "zyx"[across], ("axial", "coronal", "sagittal")[across]
    for number, micrometers in enumerate(vol[dim].values.tolist()):
        viewer.dims.set_current_step(across, number)
        words, value = text(viewer).removesuffix(" mm").rsplit(" ", 1)
        assert words == f"{name}, {dim}"
        assert float(value) == pytest.approx(micrometers / 1000, abs=1e-9)


@pytest.mark.parametrize("unit", ["nm", "mm", "cm"])
def test_the_unit_of_the_layers_is_heeded(unit: str) -> None:
    viewer = ViewerModel()
    say_place(viewer)
    viewer.add_image(np.zeros((5, 6, 7)), scale=(2, 1, 1), units=(unit,) * 3, axis_labels="zyx")
    viewer.dims.set_current_step(0, 3)
    expected = {"nm": "6e-06", "mm": "6", "cm": "60"}[unit]
    assert text(viewer) == f"axial, z {expected} mm"


def test_axes_without_a_length_have_steps() -> None:
    viewer = ViewerModel()
    say_place(viewer)
    viewer.add_image(
        np.zeros((4, 5, 6, 7)), units=("pixel", "mm", "mm", "mm"), axis_labels=("t", "z", "y", "x")
    )
    viewer.dims.current_step = (2, 3, 0, 0)
    assert text(viewer) == "axial, t 2, z 3 mm"
    viewer.layers.clear()
    viewer.add_image(np.zeros((5, 6, 7)))
    assert "mm" not in place(viewer.dims)


def test_between_two_planes_it_is_the_one_that_is_drawn(vol: xr.DataArray) -> None:
    viewer = brainxr.view(vol, ViewerModel())
    say_place(viewer)
    viewer.dims.set_point(0, 62_260)
    assert text(viewer) == "axial, z 62.3 mm"
    np.testing.assert_array_equal(viewer.layers[0]._slice.image.raw, vol[3])


def test_anothers_text_is_left_alone(vol: xr.DataArray) -> None:
    viewer = ViewerModel()
    viewer.canvas.overlays.text.text = "mine"
    say_place(viewer)
    brainxr.view(vol, viewer)
    assert (text(viewer), viewer.canvas.overlays.text.visible) == ("mine", False)


# --- the window -------------------------------------------------------------------


@pytest.mark.window
def test_a_new_window_says_it(vol: xr.DataArray, shown: Any) -> None:  # noqa: F811
    viewer = shown(vol)
    assert viewer.canvas.overlays.text.visible
    assert text(viewer) == "axial, z 62.4 mm"
    viewer.window._qt_viewer.dims.slider_widgets[0].slider.setValue(1)
    assert text(viewer) == "axial, z 62.1 mm"
    viewer.dims.ndisplay = 3
    assert text(viewer) == ""
    viewer.dims.ndisplay = 2
    assert text(viewer) == "axial, z 62.1 mm"
    viewer.canvas.overlays.text.text = "mine"
    viewer.dims.set_current_step(0, 5)
    assert text(viewer) == "mine"


@pytest.mark.window
def test_a_plane_says_where_it_was_cut(vol: xr.DataArray, shown: Any) -> None:  # noqa: F811
    assert text(shown(vol.isel(y=3))) == "coronal, y -0.25 mm"
    assert text(shown(vol.isel(x=[4]))) == "sagittal, x 0.1125 mm"
    assert text(shown(vol.max("z"))) == ""


@pytest.mark.window
def test_it_is_on_the_canvas(vol: xr.DataArray, shown: Any) -> None:  # noqa: F811
    """Pixels in the lower left corner, and in none other."""
    viewer = shown(vol, visible=False)
    pictures = []
    for opacity in (0, 1):
        viewer.canvas.overlays.text.opacity = opacity
        pictures.append(viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int))
    rows, columns = np.nonzero(np.abs(pictures[1] - pictures[0]).max(-1) > 50)
    height, width = pictures[0].shape[:2]
    assert rows.size > 100
    assert rows.min() > height * 0.9
    assert columns.max() < width / 3
