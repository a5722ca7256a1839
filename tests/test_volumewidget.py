"""The widget "Brain volume" in a real window, used as a person would."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from conftest import MakeStack
from test_fromviewer import ORIGIN, SPACING

import brainxr
from brainxr.lazy.lazyarray import StackArray

pytest.importorskip("napari")

from napari.utils.notifications import notification_manager


@pytest.fixture
def path(make_stack: MakeStack) -> str:
    return make_stack((70, 24, 40), folder="brain_50um_iso").path


@pytest.fixture
def vol(path: str) -> xr.DataArray:
    return brainxr.open(path, spacing=SPACING, origin=ORIGIN)


@pytest.fixture
def window() -> Iterator[Callable]:
    """A window of napari, with the widget beside it as the Plugins menu puts it there."""
    import napari

    opened = []
    notification_manager.records.clear()

    def opens(data: xr.DataArray | None = None):
        viewer = napari.Viewer() if data is None else brainxr.view(data, block=False)
        opened.append(viewer)
        _, widget = viewer.window.add_plugin_dock_widget("brainxr", "Brain volume")
        settle()
        return viewer, widget

    yield opens
    for viewer in opened:
        viewer.close()
    settle()
    notification_manager.records.clear()


def settle() -> None:
    from qtpy.QtWidgets import QApplication

    for _ in range(10):
        QApplication.processEvents()


def wait(condition: Callable[[], object]) -> None:
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "it never came"
        QApplication.processEvents()
        time.sleep(0.005)
    settle()


def click(button) -> None:
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    settle()


def type_into(field, text: str) -> None:
    """Replace what is in a field, by the keyboard, and press Return."""
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    field.setFocus()
    field.selectAll()
    QTest.keyClicks(field, text)
    QTest.keyClick(field, Qt.Key.Key_Return)
    settle()


def clipboard() -> str:
    from qtpy.QtGui import QGuiApplication

    return QGuiApplication.clipboard().text()


def told() -> list[str]:
    return [record.message for record in notification_manager.records]


def texts(widget) -> list[str]:
    from qtpy.QtWidgets import QLabel

    return [label.text() for label in widget.findChildren(QLabel)]


# --- opening ----------------------------------------------------------------------


@pytest.mark.window
def test_a_path_is_typed_a_part_chosen_and_added(path: str, window) -> None:
    viewer, widget = window()
    assert "Nothing is open yet." in texts(widget)
    assert not widget.add.isEnabled()
    type_into(widget.path, path)
    wait(lambda: widget.part is not None)
    found = texts(widget)
    assert "50 µm along each axis (from name '50um')" in found
    assert {"brain_50um_iso", "z 70, y 24, x 40", "uint16, 134 kB", "axial"} <= set(found)
    type_into(widget.ranges["z"].low, "1.0")
    type_into(widget.ranges["z"].high, "1.5")
    assert widget.size_text.text() == "11 x 24 x 40 voxels, 21.1 kB"
    assert widget.cost_text.text().startswith("21.1 kB to read from 11 slices")
    click(widget.add)
    wait(lambda: len(viewer.layers))
    expected = brainxr.open(path).sel(z=slice("1 mm", "1.5 mm"))
    assert viewer.layers[0].metadata["xarray"].identical(expected)
    np.testing.assert_array_equal(viewer.layers[0].extent.world[:, 0], [1000, 1500])


@pytest.mark.window
def test_what_can_not_be_opened_is_said_in_full(tmp_path: Path, path: str, window) -> None:
    _, widget = window()
    type_into(widget.path, str(tmp_path / "nowhere"))
    wait(lambda: widget.job is None and told())
    with pytest.raises(brainxr.EmptyStackError) as error:
        brainxr.open(tmp_path / "nowhere")
    assert told() == [str(error.value)]
    type_into(widget.path, path)  # and it goes on
    wait(lambda: widget.part is not None)


@pytest.mark.window
def test_a_broken_slice_makes_no_layer(make_stack: MakeStack, window) -> None:
    made = make_stack((9, 6, 5), folder="broken_50um_iso")
    viewer, widget = window()
    made.paths[4].write_bytes(made.paths[4].read_bytes()[:-3])
    type_into(widget.path, made.path)
    wait(lambda: widget.part is not None)
    click(widget.add)
    wait(lambda: widget.job is None and told())
    assert "slice_005.tif' is truncated" in told()[0]
    assert len(viewer.layers) == 0
    assert widget.add.isEnabled()


# --- choosing ---------------------------------------------------------------------


@pytest.mark.window
def test_the_volume_of_a_layer_is_taken_with_all_that_is_known(vol: xr.DataArray, window) -> None:
    viewer, widget = window(vol[::-1])
    assert widget.part.volume.identical(vol[::-1])
    type_into(widget.ranges["z"].low, "62.3")
    type_into(widget.ranges["y"].high, "0.2")
    click(widget.copy)
    assert clipboard() == "vol.sel(z=slice(68900, 62300), y=slice(-400, 200))"
    copied = eval(clipboard(), {"vol": vol[::-1]})
    assert copied.identical(vol[::-1].sel(z=slice("68.9 mm", "62.3 mm"), y=slice(None, 200)))
    assert told() == [f"Copied: {clipboard()}"]
    other = brainxr.view(vol[:, ::2], viewer).layers[1]
    viewer.layers.selection.active = other
    settle()
    assert widget.part.volume.identical(vol[:, ::2])
    assert widget.part.code == "vol"


@pytest.mark.window
def test_the_slider_is_dragged_and_moved_by_keys(vol: xr.DataArray, window) -> None:
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest

    _, widget = window(vol)
    row = widget.ranges["z"]
    left = QPoint(8, row.slider.height() // 2)
    QTest.mousePress(row.slider, Qt.MouseButton.LeftButton, pos=left)
    QTest.mouseMove(row.slider, left + QPoint(row.slider.width() // 2, 0))
    QTest.mouseRelease(row.slider, Qt.MouseButton.LeftButton, pos=left)
    settle()
    low, high = row.slider.value()
    assert 63 < low < high == 68.9
    assert row.low.value() == pytest.approx(low, abs=0.05)
    assert widget.part.data.z.min() >= 1000 * low - 1e-3
    row.low.setFocus()
    before = row.low.value()
    QTest.keyClick(row.low, Qt.Key.Key_Up)
    settle()
    assert row.low.value() == pytest.approx(before + 0.1)
    assert row.slider.value()[0] == pytest.approx(row.low.value())


@pytest.mark.window
def test_a_range_without_a_voxel_is_said(make_stack: MakeStack, window) -> None:
    volume = brainxr.open(
        make_stack((9, 6, 5)).path, spacing={"z": "0.25 mm", "y": "1 mm", "x": "1 mm"}
    )
    _, widget = window(volume)
    type_into(widget.ranges["z"].low, "0.3")
    type_into(widget.ranges["z"].high, "0.4")
    assert "No voxel's centre lies between 0.3 and 0.4 mm along 'z'" in widget.size_text.text()
    assert not any(b.isEnabled() for b in (widget.add, widget.copy, widget.save))
    click(widget.all)
    assert widget.part.code == "vol"
    assert widget.add.isEnabled()


@pytest.mark.window
def test_from_what_is_on_screen(vol: xr.DataArray, window) -> None:
    viewer, widget = window(vol)
    viewer.dims.set_point(0, 62_400)
    viewer.scene.camera.zoom *= 3
    settle()
    click(widget.from_view)
    seen = brainxr.selection(viewer)
    part = widget.part.data
    assert part.squeeze("z", drop=True).equals(seen.drop_vars("z"))
    assert part.z.values.tolist() == [62_400]
    assert part.sizes["x"] < 40


# --- saving -----------------------------------------------------------------------


@pytest.mark.window
def test_saved_and_shown_while_it_is_saved(
    vol: xr.DataArray, tmp_path: Path, window, monkeypatch
) -> None:
    _, widget = window(vol)
    type_into(widget.ranges["z"].high, "68.0")
    target = tmp_path / "part.ome.zarr"
    ask_for(monkeypatch, tmp_path / "part", "OME-Zarr")
    gate = Gate(monkeypatch)
    click(widget.save)
    wait(gate.begun.is_set)
    assert widget.wait.isVisible()
    assert not widget.save.isEnabled()  # one at a time
    assert widget.cancel.isEnabled()
    gate.go_on.set()
    wait(lambda: widget.job is None)
    assert told() == [f"Wrote {target}"]
    assert not widget.wait.isVisible()
    xr.testing.assert_identical(brainxr.open(target).compute(), vol[:61].compute())


@pytest.mark.window
@pytest.mark.parametrize(
    ("name", "chosen"),
    # an ending that is typed counts, whichever way is chosen beside it
    [("part.ome.zarr", "NIfTI"), ("part.nii.gz", "OME-Zarr"), ("part", "folder of TIFF slices")],
)
def test_cancelled_it_leaves_nothing(
    vol: xr.DataArray, tmp_path: Path, window, monkeypatch, name: str, chosen: str
) -> None:
    _, widget = window(vol)
    ask_for(monkeypatch, tmp_path / name, chosen)
    gate = Gate(monkeypatch)
    click(widget.save)
    wait(gate.begun.is_set)
    click(widget.cancel)
    gate.go_on.set()
    wait(lambda: widget.job is None)
    assert [p.name for p in tmp_path.iterdir()] == ["brain_50um_iso"]
    assert told() == []
    click(widget.save)  # and again, to the end
    wait(lambda: widget.job is None)
    assert told() == [f"Wrote {tmp_path / name}"]


@pytest.mark.window
def test_cancelled_in_the_activity_dock(
    vol: xr.DataArray, tmp_path: Path, window, monkeypatch
) -> None:
    from napari.utils import progress

    _, widget = window(vol)
    ask_for(monkeypatch, tmp_path / "part.ome.zarr", "OME-Zarr")
    gate = Gate(monkeypatch)
    click(widget.save)
    wait(gate.begun.is_set)
    (bar,) = progress._all_instances
    assert bar.desc.startswith("Saving part.ome.zarr")
    bar.cancel()
    wait(lambda: not widget.cancel.isEnabled())
    gate.go_on.set()
    wait(lambda: widget.job is None)
    assert [p.name for p in tmp_path.iterdir()] == ["brain_50um_iso"]
    assert not progress._all_instances


@pytest.mark.window
def test_the_window_is_closed_while_it_is_saved(
    vol: xr.DataArray, tmp_path: Path, window, monkeypatch
) -> None:
    viewer, widget = window(vol)
    ask_for(monkeypatch, tmp_path / "part.ome.zarr", "OME-Zarr")
    gate = Gate(monkeypatch)
    click(widget.save)
    wait(gate.begun.is_set)
    job = widget.job
    viewer.close()
    gate.go_on.set()
    job.wait()
    settle()
    assert [p.name for p in tmp_path.iterdir()] == ["brain_50um_iso"]


@pytest.mark.window
@pytest.mark.parametrize("what", ["opened", "added"])
def test_the_window_is_closed_before_something_comes(
    path: str, vol: xr.DataArray, window, monkeypatch, what: str
) -> None:
    viewer, widget = window(vol)
    gate = Gate(monkeypatch)
    if what == "added":
        click(widget.add)
    else:
        monkeypatch.setattr(
            "brainxr.plugin.volumewidget.open_volume", lambda path: brainxr.open(path)[3:].load()
        )
        type_into(widget.path, path)
    wait(gate.begun.is_set)
    ended = []
    widget.job.ended.connect(lambda: ended.append(True))
    viewer.close()
    gate.go_on.set()
    wait(lambda: ended)
    assert not viewer.layers
    assert told() == []


@pytest.mark.window
def test_a_name_that_can_not_be_is_said(
    vol: xr.DataArray, tmp_path: Path, window, monkeypatch
) -> None:
    _, widget = window(vol)
    ask_for(monkeypatch, tmp_path / "part.mat", "folder of TIFF slices")
    click(widget.save)
    wait(told)
    assert "ends in nothing that can be written" in told()[0]
    assert widget.job is None
    (tmp_path / "there.zarr").mkdir()
    ask_for(monkeypatch, tmp_path / "there.zarr", "OME-Zarr")
    click(widget.save)
    wait(lambda: len(told()) == 2)
    assert "nothing is replaced" in told()[1]


class Gate:
    """Lets the first read begin, and end when it is told to."""

    def __init__(self, monkeypatch) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        read = StackArray.read

        def slow(array: StackArray, *memory):
            self.begun.set()
            assert self.go_on.wait(120)
            return read(array, *memory)

        monkeypatch.setattr(StackArray, "read", slow)


def ask_for(monkeypatch, path: Path, name: str) -> None:
    """Answer the dialog for a file, which is the system's own."""
    from brainxr.plugin import volumewidget

    def answer(parent, title, start, filters):
        return str(path), next((f for f in filters.split(";;") if f.startswith(name)), "")

    monkeypatch.setattr(volumewidget.QFileDialog, "getSaveFileName", answer)
