"""What a layer shows as its viewer goes to three dimensions and back."""

from __future__ import annotations

import re
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from conftest import ByteCounter, MakeStack
from stores import make_store
from test_background import drawn, in_event_loop
from test_viewer import box_on_screen, shown  # noqa: F401

import brainxr
from brainxr.errors import TooBigError
from brainxr.stacks.reader import SliceReader
from brainxr.viewing.fromviewer import volume_of

pytest.importorskip("napari")

from napari.components import ViewerModel
from napari.utils.notifications import notification_manager

SPACING = {"z": 100.0, "y": 50.0, "x": 25.0}
SHAPE = (30, 44, 60)
PREVIEW = 20_000  # of 158,400 bytes


@pytest.fixture
def vol(make_stack: MakeStack) -> xr.DataArray:
    return brainxr.open(make_stack(SHAPE).path, spacing=SPACING)


def model(data: xr.DataArray, **kwargs: Any) -> tuple[Any, Any]:
    viewer = brainxr.view(data, ViewerModel(), preview=PREVIEW, contrast_limits=(0, 1), **kwargs)
    return viewer, viewer.layers[0]


# --- there and back ---------------------------------------------------------------

KINDS = {
    "stack": lambda v: v,
    "computed": lambda v: v * 2,
    "in memory": lambda v: v.load(),
    "gaps": lambda v: v.isel(z=[0, 1, 2, 12, 13, 29]),
    "reversed": lambda v: v[::-1, :, ::-1],
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_preview_for_as_long_as_three_dimensions_are_shown(vol: xr.DataArray, kind: Any) -> None:
    viewer, layer = model(kind(vol))
    viewer.dims.set_current_step(0, 1)
    before, extent, point = layer.data, layer.extent.world.copy(), viewer.dims.point
    plane = drawn(viewer)
    viewer.dims.ndisplay = 3
    whole, preview = layer.data
    assert whole.shape == before.shape
    assert preview.nbytes <= PREVIEW
    assert isinstance(preview, np.ndarray)
    np.testing.assert_array_equal(drawn(viewer), preview)
    np.testing.assert_array_equal(layer.extent.world, extent)
    viewer.dims.ndisplay = 2
    assert layer.data is before
    assert (viewer.dims.point, layer.multiscale) == (point, False)
    np.testing.assert_array_equal(drawn(viewer), plane)


def test_what_is_small_stays_as_it_is(vol: xr.DataArray) -> None:
    viewer = brainxr.view(vol, ViewerModel())
    before = viewer.layers[0].data
    viewer.dims.ndisplay = 3
    assert viewer.layers[0].data is before
    np.testing.assert_array_equal(drawn(viewer), vol)


def test_nothing_near_all_of_it_is_read(
    make_stack: MakeStack, bytes_read: ByteCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that are longer than a page of memory, so that those between are left out."""
    # the kernel's account of free memory is a file, too
    monkeypatch.setattr("brainxr.lazy.cost.available_memory", lambda: 10**12)
    made = make_stack((16, 12, 6000))
    for _ in range(2):  # at first napari imports what it needs
        vol = brainxr.open(made.path)
        viewer, layer = model(vol)
        vol[:, 0].compute()  # headers are looked at once
        with bytes_read() as reading:
            viewer.dims.ndisplay = 3
            viewer.dims.order = (1, 0, 2)
    assert drawn(viewer).ndim == 3
    assert 0 < reading.count < vol.nbytes / 12
    assert reading.count % 12_000 == 0  # rows, and nothing else
    with bytes_read() as reading:
        viewer.dims.ndisplay = 2
    np.testing.assert_array_equal(drawn(viewer), vol[:, 6])
    assert reading.count <= 2 * 16 * 12_000  # napari asks twice
    assert layer.data.shape == vol.shape


def test_a_volume_joins_three_dimensions(make_stack: MakeStack, bytes_read: ByteCounter) -> None:
    """napari would read all of a layer that is added while they are shown."""
    made = make_stack((16, 12, 6000))
    for _ in range(2):  # at first napari imports what it needs
        vol = brainxr.open(made.path)
        viewer = ViewerModel(ndisplay=3)
        with bytes_read() as reading:
            brainxr.view(vol, viewer, preview=PREVIEW, contrast_limits=(0, 1))
    assert viewer.layers[0].visible
    assert viewer.layers[0].data[-1].nbytes <= PREVIEW
    np.testing.assert_array_equal(drawn(viewer), viewer.layers[0].data[-1])
    assert reading.count < vol.nbytes / 6


def test_a_hidden_layer_is_read_when_it_is_shown(
    vol: xr.DataArray, bytes_read: ByteCounter
) -> None:
    viewer, layer = model(vol, visible=False)
    with bytes_read() as hidden:
        viewer.dims.ndisplay = 3
    assert hidden.count == 0
    layer.visible = True
    assert drawn(viewer).any()
    np.testing.assert_array_equal(drawn(viewer), layer.data[-1])


def test_every_layer_has_its_own(vol: xr.DataArray) -> None:
    viewer, first = model(vol)
    brainxr.view(vol[3:9] + 1, viewer, preview=5000)
    viewer.dims.ndisplay = 3
    second = viewer.layers[1]
    assert first.data[-1].nbytes > second.data[-1].nbytes > 0
    viewer.layers.remove(first)
    viewer.dims.ndisplay = 2
    assert first.multiscale
    assert not second.multiscale


def test_of_other_axes_the_slider_still_chooses(vol: xr.DataArray) -> None:
    times = xr.concat([vol, vol + 1], "t").transpose("t", "z", "y", "x")
    viewer, layer = model(times)
    viewer.dims.ndisplay = 3
    assert np.prod(layer.data[-1].shape[1:]) * 2 <= PREVIEW
    first = drawn(viewer)
    viewer.dims.set_current_step(0, 1)
    np.testing.assert_array_equal(drawn(viewer), first + 1)


def test_data_that_somebody_gave_a_layer_are_left_alone(vol: xr.DataArray) -> None:
    viewer, layer = model(vol)
    layer.data = mine = np.ones(SHAPE, "u1")
    viewer.dims.ndisplay = 3
    assert layer.data is mine
    viewer.dims.ndisplay = 2
    assert layer.data is mine


@pytest.mark.parametrize("preview", ["huge", -3])
def test_no_budget_at_all_is_refused_first(vol: xr.DataArray, preview: Any) -> None:
    viewer = ViewerModel()
    with pytest.raises(ValueError, match="no size of a volume"):
        brainxr.view(vol, viewer, preview=preview)
    assert not viewer.layers


def test_the_graphics_card_decides_too(vol: xr.DataArray, monkeypatch: Any) -> None:
    monkeypatch.setattr("brainxr.viewing.graphics._largest_side", lambda canvas: 40)
    viewer = brainxr.view(vol, ViewerModel())
    viewer.dims.ndisplay = 3
    assert viewer.layers[0].data[-1].shape == (30, 22, 30)


# --- a level that a person chooses ------------------------------------------------

WHOLE = {
    "stack": lambda v, folder: v,
    "computed": lambda v, folder: v * 2,
    "in memory": lambda v, folder: v.load(),
    "pyramid": lambda v, folder: brainxr.open(make_store(folder / "a.zarr", SHAPE, levels=3).path),
}


@pytest.mark.window
@pytest.mark.parametrize("in_background", [False, True])
@pytest.mark.parametrize("kind", WHOLE.values(), ids=WHOLE)
def test_no_level_loads_the_whole_volume(
    vol: xr.DataArray, shown: Any, tmp_path: Path, bytes_read: ByteCounter,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch, kind: Any, in_background: bool,
) -> None:  # fmt: skip
    """Refused in words, and the preview stays. napari has a box for layers that were pyramids."""
    from napari.settings import get_settings
    from qtpy.QtCore import QTimer

    data = kind(vol, tmp_path)
    told: list[Any] = []
    # napari shows as a notification what gets there
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, _: told.append(error))
    monkeypatch.setattr(get_settings().experimental, "async_", in_background)
    viewer = shown(data, contrast_limits=(0, 1), preview=PREVIEW)
    in_event_loop(lambda: setattr(viewer.dims, "ndisplay", 3), until=lambda: not readers())
    in_event_loop(until=lambda: drawn(viewer).ndim == 3 and bool(drawn(viewer).any()))
    layer, preview = viewer.layers[0], drawn(viewer)
    box = resolution_box(viewer)
    assert box.count() in (0, len(layer.data) + 1)
    choose = partial(box.setCurrentIndex, 1)
    if not box.count():  # of the others a script, or a plugin
        choose = partial(QTimer.singleShot, 0, lambda: setattr(layer, "locked_data_level", 0))
    with bytes_read() as reading:
        in_event_loop(choose, until=lambda: bool(told))
    assert reading.count < data.nbytes / 3
    (error,) = told
    assert isinstance(error, TooBigError)
    assert re.search(r"30 x 44 x 60 voxels .*158 kB.*at most 20 kB.*preview=", str(error))
    assert (layer.locked_data_level, box.currentIndex()) == (None, min(0, box.count() - 1))
    np.testing.assert_array_equal(drawn(viewer), preview)
    # a plane of it can be read, and what is shown be saved as the volume that it is
    np.testing.assert_array_equal(np.asarray(layer.data[0][7]), data[7])
    with pytest.raises(TooBigError):
        np.asarray(layer.data[0])
    in_event_loop(lambda: setattr(viewer.dims, "ndisplay", 2),
                  until=lambda: drawn(viewer).ndim == 2)  # fmt: skip
    assert len(told) == 1


def resolution_box(viewer: Any) -> Any:
    """napari's box of levels, in the controls of the first layer."""
    controls = viewer.window._qt_viewer.controls.widgets[viewer.layers[0]]
    return controls._multiscale_level_control.level_combobox


def test_a_level_that_fits_can_be_chosen(vol: xr.DataArray, tmp_path: Path) -> None:
    volume = brainxr.open(make_store(tmp_path / "a.zarr", SHAPE, levels=3).path)
    viewer = brainxr.view(volume, ViewerModel(), preview=PREVIEW, contrast_limits=(0, 1))
    viewer.dims.ndisplay = 3
    layer = viewer.layers[0]
    layer.locked_data_level = len(layer.data) - 1
    np.testing.assert_array_equal(drawn(viewer), layer.data[-1])
    with pytest.raises(TooBigError):
        layer.locked_data_level = 0
    viewer.dims.ndisplay = 2
    layer.locked_data_level = 0
    np.testing.assert_array_equal(drawn(viewer), volume[int(viewer.dims.current_step[0])])


@pytest.mark.parametrize("kind", WHOLE.values(), ids=WHOLE)
def test_in_three_dimensions_a_layer_is_its_volume(
    vol: xr.DataArray, tmp_path: Path, kind: Any
) -> None:
    data = kind(vol, tmp_path)
    viewer, layer = model(data)
    viewer.dims.ndisplay = 3
    assert volume_of(layer) is data


@pytest.fixture
def broken(make_stack: MakeStack) -> tuple[xr.DataArray, str]:
    """A volume, and its slice that is no more than a header."""
    made = make_stack(SHAPE, folder="broken_100um_iso")
    made.paths[16].write_bytes(made.paths[16].read_bytes()[:300])
    return brainxr.open(made.path, spacing=SPACING), str(made.paths[16])


def test_a_broken_slice_is_named_and_planes_show_again(broken: tuple[xr.DataArray, str]) -> None:
    vol, path = broken
    viewer, layer = model(vol)
    with pytest.raises(brainxr.SliceReadError, match=path):
        viewer.dims.ndisplay = 3
    assert drawn(viewer).ndim == 3
    assert not drawn(viewer).any()  # dark, and no part of it
    viewer.dims.ndisplay = 2
    viewer.dims.set_current_step(0, 4)
    np.testing.assert_array_equal(drawn(viewer), vol[4])
    assert not layer.multiscale


# --- the window -------------------------------------------------------------------


def bright(vol: xr.DataArray) -> xr.DataArray:
    """Dark but for a box from 1.2 to 1.9 mm, 0.5 to 1.2 mm and 0.3 to 0.8 mm."""
    where = (vol.z >= 1200) & (vol.z <= 1900) & (vol.y >= 500) & (vol.y <= 1200)
    box = where & (vol.x >= 300) & (vol.x <= 800)
    return vol.copy(data=np.where(box, 1000, 0).astype("u2"))


EDGES = {"z": (1150.0, 1950.0), "y": (475.0, 1225.0), "x": (287.5, 812.5)}


@pytest.mark.window
@pytest.mark.parametrize("across", [0, 1, 2], ids="zyx")
@pytest.mark.parametrize("kind", [
    lambda v: v, lambda v: v[::-1, ::-1], lambda v: v[::2, 1:], lambda v: v * 1,
    lambda v: v.isel(z=[0, *range(12, 20), 29]), lambda v: v.transpose("x", "z", "y"),
], ids=["stack", "reversed", "strided", "computed", "gaps", "transposed"])  # fmt: skip
def test_a_box_in_three_dimensions(
    vol: xr.DataArray,
    make_stack: MakeStack,
    shown: Any,  # noqa: F811
    across: int,
    kind: Any,
) -> None:
    """Drawn within half a voxel of the preview of where it lies."""
    values = bright(vol).values
    made = make_stack(SHAPE, folder="box_100um_iso", values=values)
    data = kind(brainxr.open(made.path, spacing=SPACING))
    viewer = shown(data, contrast_limits=(0, 1000), preview=PREVIEW)
    others = [axis for axis in range(3) if axis != across]
    viewer.dims.ndisplay = 3
    viewer.dims.order = (across, *others)
    viewer.scene.camera.angles = (0, 0, 90)  # along the first, rows downwards
    viewer.reset_view()
    layer = viewer.layers[0]
    layer.interpolation3d = "nearest"
    found = box_on_screen(viewer)
    factors = np.divide(*layer.level_shapes[[0, -1]])
    assert factors.max() >= 2
    for i, axis in enumerate(others):
        half = factors[axis] * layer.scale[axis] / 2 + layer.scale[axis] / 2
        expected = EDGES["zyx"[axis]]
        pixel = 2 / viewer.scene.camera.zoom
        np.testing.assert_allclose(found[2 * i : 2 * i + 2], expected, atol=half + pixel)


class Gate:
    """Reads of slices that wait until they may go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = threading.Event()
        self.reached = threading.Event()
        read = SliceReader.read

        def gated(reader: SliceReader, *arguments: Any) -> None:
            if threading.current_thread().name == "brainxr-reading":
                self.reached.set()
                assert self.open.wait(20)
            read(reader, *arguments)

        monkeypatch.setattr(SliceReader, "read", gated)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Any:
    gate = Gate(monkeypatch)
    yield gate
    gate.open.set()


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "brainxr-reading"]


@pytest.mark.window
def test_it_is_read_while_the_window_lives(vol: xr.DataArray, shown: Any, gate: Any) -> None:  # noqa: F811
    """Dark, then coarse, then fine; how far it is stands in napari's activity dock."""
    from napari.utils import progress

    viewer = shown(vol, contrast_limits=(0, 1), preview=PREVIEW)
    layer = viewer.layers[0]
    seen: list[Any] = []
    layer.events.set_data.connect(lambda event: seen.append(drawn(viewer).copy()))
    bars: list[str] = []
    in_event_loop(
        lambda: setattr(viewer.dims, "ndisplay", 3),
        lambda: bars.extend(bar.desc for bar in progress._all_instances),
        gate.open.set,
        until=lambda: layer.multiscale and layer.data[-1].any() and not readers(),
    )
    assert bars == [f"{layer.name} in 3-D: "] or bars == [f"{layer.name} in 3-D"]
    in_event_loop(until=lambda: not progress._all_instances)
    volumes = [values for values in seen if values.ndim == 3]
    assert not volumes[0].any()
    assert volumes[-1].nbytes <= PREVIEW
    np.testing.assert_array_equal(volumes[-1], layer.data[-1])
    assert np.isin(volumes[-1], vol.values).all()


@pytest.mark.window
def test_planes_again_meanwhile(vol: xr.DataArray, shown: Any, gate: Any) -> None:  # noqa: F811
    viewer = shown(vol, contrast_limits=(0, 1), preview=PREVIEW)
    in_event_loop(
        lambda: setattr(viewer.dims, "ndisplay", 3),
        lambda: gate.reached.wait(20),
        lambda: setattr(viewer.dims, "ndisplay", 2),
        lambda: viewer.dims.set_current_step(0, 7),
        until=lambda: drawn(viewer).ndim == 2,
    )
    assert not gate.open.is_set()
    np.testing.assert_array_equal(drawn(viewer), vol[7])
    gate.open.set()
    in_event_loop(until=lambda: not readers())
    np.testing.assert_array_equal(drawn(viewer), vol[7])  # and nothing comes later
    assert not viewer.layers[0].multiscale


@pytest.mark.window
@pytest.mark.parametrize("close", ["close", "window.close", "layers.clear"])
def test_closed_during_a_read(vol: xr.DataArray, gate: Any, close: str) -> None:
    """No crash, no thread, no error of what Qt has deleted, no bar that never ends."""
    from napari.utils import progress

    told: list[Any] = []
    viewer = brainxr.view(vol, block=False, contrast_limits=(0, 1), preview=PREVIEW)

    def end() -> None:
        gate.reached.wait(20)
        if close == "window.close":
            viewer.window._qt_window.close()
        else:
            (viewer.close if close == "close" else viewer.layers.clear)()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(notification_manager, "receive_error", lambda *args: told.append(args))
        in_event_loop(
            lambda: setattr(viewer.dims, "ndisplay", 3), end, gate.open.set,
            until=lambda: not readers(),
        )  # fmt: skip
        in_event_loop(until=lambda: not progress._all_instances)
    assert not told
    if close == "layers.clear":
        viewer.close()


@pytest.mark.window
def test_a_broken_slice_in_the_background(
    broken: tuple[xr.DataArray, str], shown: Any, monkeypatch: Any  # noqa: F811
) -> None:  # fmt: skip
    """A notification that names the file; the window lives on, and planes show again."""
    vol, path = broken
    told: list[str] = []
    monkeypatch.setattr(
        notification_manager, "receive_error", lambda kind, error, *_: told.append(str(error))
    )
    viewer = shown(vol, contrast_limits=(0, 1), preview=PREVIEW)
    in_event_loop(lambda: setattr(viewer.dims, "ndisplay", 3), until=lambda: bool(told))
    assert len(told) == 1
    assert path in told[0]
    in_event_loop(until=lambda: not readers())
    assert viewer.layers[0].multiscale
    in_event_loop(
        lambda: setattr(viewer.dims, "ndisplay", 2),
        lambda: viewer.dims.set_current_step(0, 5),
        until=lambda: drawn(viewer).ndim == 2,
    )
    np.testing.assert_array_equal(drawn(viewer), vol[5])
