"""The plugin of napari: what it opens, declines and saves, by npe2 and in a real window."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module, resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import xarray as xr
from conftest import MadeStack, MakeStack

import brainxr
from brainxr.errors import StackError

pytest.importorskip("napari")

from napari.components import ViewerModel
from napari.layers import Image, Labels
from npe2 import PluginManifest
from test_viewer import dotted

from brainxr.plugin import contributions as _napari
from brainxr.plugin.contributions import SavingError, get_reader, read, write_image, write_labels

SPACING = {"z": 100.0, "y": 50.0, "x": 25.0}


@pytest.fixture
def made(make_stack: MakeStack) -> MadeStack:
    return make_stack((9, 24, 40), folder="brain_50um_iso")


@pytest.fixture
def vol(made: MadeStack) -> xr.DataArray:
    return brainxr.open(made.path, spacing=SPACING, origin={"z": 3000, "y": -200, "x": 12.5})


# --- the manifest -----------------------------------------------------------------


def test_the_manifest_is_found_and_valid() -> None:
    manifest = PluginManifest.from_distribution("brainxr")
    assert (manifest.name, manifest.display_name) == ("brainxr", "brainxr")
    assert resources.files("brainxr").joinpath("napari.yaml").is_file()
    command = [sys.executable, "-m", "npe2", "validate", "brainxr"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Manifest for 'brainxr' valid" in done.stdout, done.stderr


def test_what_the_manifest_names_is_there() -> None:
    commands = PluginManifest.from_distribution("brainxr").contributions.commands
    for command in commands or ():
        module, _, name = str(command.python_name).partition(":")
        assert callable(getattr(import_module(module), name)), command.id
        assert command.id.startswith("brainxr.")


@pytest.mark.window
def test_the_palette_offers_what_can_be_done(window: Any) -> None:
    """What napari calls with a path, a reader or a writer, is no command for people."""
    from app_model.types import MenuItem
    from napari._app_model import get_app_model

    menus = get_app_model().menus
    ours = [
        item.command
        for item in menus.get_menu(menus.COMMAND_PALETTE_ID)
        if isinstance(item, MenuItem) and item.command.id.startswith("brainxr")
    ]
    offered = {c.title for c in ours if c.enablement is None or c.enablement.eval({})}
    assert offered == {
        "Three linked planes (brainxr)", "Open a folder as a brain volume... (brainxr)",
        "Phantom of a head", "MNI152 brain, 1 mm", "Brain volume (brainxr)",
    }  # fmt: skip


def test_the_plugin_imports_no_window() -> None:
    code = """
        import sys, brainxr.plugin.contributions
        assert not {"napari", "qtpy", "npe2"} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


# --- what is opened ---------------------------------------------------------------


def test_what_brainxr_opens_is_read(
    made: MadeStack, vol: xr.DataArray, make_stack: MakeStack, tmp_path: Path
) -> None:
    store = vol.brain.to_ome_zarr(tmp_path / "a.ome.zarr", progress=False)
    pages = tmp_path / "pages_50um_iso.TIF"
    tifffile.imwrite(pages, made.values)
    broken = make_stack((2, 3, 4), folder="broken")
    broken.paths[0].write_bytes(b"II*\0")
    paths: list[Any] = [made.path, str(made.paths[0]), str(pages), str(store), broken.path]
    paths += [[str(path) for path in made.paths[2:5]]]
    for path in paths:
        assert get_reader(path) is read, path
    assert get_reader("https://example.org/brain.ome.zarr/") is read  # and nothing is asked


def test_what_it_does_not_open_is_declined(made: MadeStack, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("words")
    (tmp_path / "brain.zip").write_bytes(b"no zip")
    tifffile.imwrite(tmp_path / "colours.tif", np.zeros((8, 9, 3), "u1"), photometric="rgb")
    names = ["empty", "notes.txt", "colours.tif", "nowhere", "nowhere.tif"]
    paths: list[Any] = [str(tmp_path / name) for name in names]
    paths += [[], [str(tmp_path / "notes.txt")], "", "https://example.org/brain.tif", "*.nothing"]
    for path in paths:
        assert get_reader(path) is None, path


def test_no_error_leaves_get_reader(
    made: MadeStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "zarr.json").write_text("{")
    assert get_reader(str(tmp_path / "a.zarr")) is read

    def fail(path: Any) -> None:
        raise RuntimeError("out of the blue")

    monkeypatch.setattr(_napari, "find_volume", fail)
    assert get_reader(made.path) is read


def test_asking_warns_of_nothing(make_stack: MakeStack) -> None:
    gap = make_stack((3, 4, 5), numbers=[1, 2, 5], folder="no_length")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert get_reader(gap.path) is read
    assert not caught


def test_files_that_a_shell_lists_are_in_the_order_of_their_numbers(make_stack: MakeStack) -> None:
    made = make_stack((11, 4, 5), name="s_{}.tif")
    paths = sorted(map(str, made.paths))
    assert get_reader(paths) is read
    np.testing.assert_array_equal(np.asarray(read(paths)[0][0]), made.values)


def check_alike(layer: Any, expected: Any) -> None:
    for name in ("scale", "translate", "contrast_limits"):
        assert np.array_equal(getattr(layer, name), getattr(expected, name)), name
    for name in ("units", "name", "axis_labels", "rgb", "multiscale", "dtype"):
        assert getattr(layer, name) == getattr(expected, name), name


def two_stacks(folder: Path) -> str:
    folder.mkdir()
    for name in ("a_1", "a_2", "b_1", "b_2"):
        tifffile.imwrite(folder / f"{name}.tif", np.zeros((3, 4), "u1"))
    return str(folder)


def test_the_layer_is_that_of_view(made: MadeStack) -> None:
    reader = get_reader(made.path)
    assert reader is not None
    ((data, kwargs, kind),) = reader(made.path)
    viewed = brainxr.view(brainxr.open(made.path), ViewerModel()).layers[0]
    layer = Image(data, **kwargs)
    assert kind == "image"
    check_alike(layer, viewed)
    np.testing.assert_array_equal(data, made.values)
    assert kwargs["metadata"]["xarray"].identical(viewed.metadata["xarray"])


def test_what_is_wrong_is_told_when_it_is_read(tmp_path: Path) -> None:
    folder = two_stacks(tmp_path / "both")
    reader = get_reader(folder)
    assert reader is not None
    with pytest.raises(StackError, match="are 2 stacks by their names"):
        reader(folder)


# --- what is saved ----------------------------------------------------------------


def saved(layer: Any, folder: Path) -> xr.DataArray:
    data, meta, kind = layer.as_layer_data_tuple()
    write = write_labels if kind == "labels" else write_image
    assert write(str(folder), data, meta) == [str(folder)]
    return brainxr.open(folder).compute()


def check_same(found: xr.DataArray, expected: xr.DataArray) -> None:
    expected = expected.compute()
    for dim in expected.dims:
        expected = expected.sortby(dim)
    expected = expected.transpose(*(dim for dim in "zyx" if dim in expected.dims))
    np.testing.assert_array_equal(found.values.reshape(expected.shape), expected.values)
    for dim in "zyx":
        assert found[dim].values.tolist() == np.atleast_1d(expected[dim]).tolist()


@pytest.mark.parametrize(
    "select",
    [
        lambda v: v,
        lambda v: v[2:7, ::-1, 3:],
        lambda v: v.isel(y=slice(None, None, 3)),
        lambda v: v.isel(y=7),
        lambda v: v + 1,
        lambda v: v.compute(),
        lambda v: v.transpose("x", "z", "y"),
    ],
    ids=["whole", "reversed", "strided", "plane", "computed", "in memory", "other order"],
)
def test_a_layer_of_ours_is_saved_as_its_volume(
    vol: xr.DataArray, tmp_path: Path, select: Any
) -> None:
    volume = select(vol)
    layer = brainxr.view(volume, ViewerModel()).layers[0]
    check_same(saved(layer, tmp_path / "out"), volume)


def test_gaps_and_levels_are_saved_as_they_were(vol: xr.DataArray, tmp_path: Path) -> None:
    gap = vol.isel(z=[0, 1, 4, 5])
    layer = brainxr.view(gap, ViewerModel()).layers[0]
    with pytest.warns(brainxr.SliceGapWarning):
        check_same(saved(layer, tmp_path / "gap"), gap)
    pyramid = brainxr.open(dotted(tmp_path / "a.zarr", (13, 21, 37)))
    viewer = brainxr.view(pyramid, ViewerModel())
    viewer.dims.order = (1, 0, 2)
    assert viewer.layers[0].multiscale
    check_same(saved(viewer.layers[0], tmp_path / "levels"), pyramid)


def test_slices_lie_as_those_it_comes_from(make_stack: MakeStack, tmp_path: Path) -> None:
    coronal = brainxr.open(make_stack((9, 6, 7)).path, plane="coronal")
    saved(brainxr.view(coronal, ViewerModel()).layers[0], tmp_path / "out")
    assert sorted(os.listdir(tmp_path / "out"))[-1] == "out_coronal_0009.tif"


def test_what_was_done_to_a_layer_is_saved(vol: xr.DataArray, tmp_path: Path) -> None:
    layer = brainxr.view(vol, ViewerModel()).layers[0]
    layer.translate += np.array([0, 0, 50])
    check_same(saved(layer, tmp_path / "moved"), vol.assign_coords(x=vol.x + 50))
    layer.translate -= np.array([0, 0, 50])
    layer.data = 4095 - np.asarray(layer.data)
    check_same(saved(layer, tmp_path / "inverted"), 4095 - vol.compute())


def test_labels_are_saved_where_they_were_drawn(vol: xr.DataArray, tmp_path: Path) -> None:
    viewer = brainxr.view(vol[::-1], ViewerModel())
    values = np.arange(vol.size, dtype="i4").reshape(vol.shape)
    layer = viewer.layers[0]
    labels = Labels(values, scale=layer.scale, translate=layer.translate, units=layer.units)
    viewer.add_layer(labels)
    check_same(saved(labels, tmp_path / "labels"), vol.copy(data=values))


def test_a_layer_of_others(tmp_path: Path) -> None:
    values = np.arange(60, dtype="f4").reshape(3, 4, 5)
    layer = Image(values, scale=(0.3, 0.2, 0.1), translate=(1, 0, 0), units=("mm",) * 3)
    found = saved(layer, tmp_path / "out")
    np.testing.assert_array_equal(found, values)
    np.testing.assert_allclose(found.z, [1000, 1300, 1600])
    np.testing.assert_allclose([found[d].attrs["spacing"] for d in "zyx"], [300, 200, 100])


UM = {"units": ("um",) * 3}


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing:UserWarning")  # of a turned layer
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"has no unit.*layer\.units"),
        ({"rotate": (0, 30, 0), **UM}, "was rotated"),
        ({"axis_labels": ("t", "y", "x"), **UM}, "take one time"),
        ({"rgb": True, "units": ("um",) * 2}, "Split its channels"),
    ],
    ids=["pixels", "turned", "times", "colours"],
)
def test_refused_layers(tmp_path: Path, options: Any, message: str) -> None:
    layer = Image(np.zeros((4, 5, 3), "u1"), **options)
    # napari would swallow a ValueError, and say that there is no such writer
    with pytest.raises(SavingError, match=message) as caught:
        saved(layer, tmp_path / "out")
    assert not isinstance(caught.value, ValueError)
    assert not os.listdir(tmp_path)


# --- the window -------------------------------------------------------------------


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Let Qt work until a condition holds."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it didn't happen in time"
        QApplication.processEvents()
        time.sleep(0.005)


@pytest.fixture
def window() -> Iterator[Any]:
    """An empty window of napari's, with all plugins that are installed."""
    import napari
    from qtpy.QtWidgets import QApplication

    viewer = napari.Viewer()
    yield viewer
    viewer.close()
    QApplication.processEvents()


@pytest.fixture
def only_brainxr(npe2pm: Any) -> Iterator[Any]:
    """No plugin but brainxr, so that napari has nothing to ask."""
    with npe2pm.tmp_plugin(package="brainxr"):
        yield npe2pm


def drop(viewer: Any, *paths: str) -> None:
    """Drop files on a window, as a person does."""
    from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
    from qtpy.QtGui import QDragEnterEvent, QDropEvent
    from qtpy.QtWidgets import QApplication

    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(path) for path in paths])
    action, button = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
    modifier = Qt.KeyboardModifier.NoModifier
    target = viewer.window._qt_viewer
    entered = QDragEnterEvent(QPoint(9, 9), action, mime, button, modifier)
    QApplication.sendEvent(target, entered)
    assert entered.isAccepted()
    target.dropEvent(QDropEvent(QPointF(9, 9), action, mime, button, modifier))


def check_like_view(viewer: Any, path: str) -> None:
    """The window shows a path as a window of `brainxr.view` does."""
    layer, viewed = viewer.layers[-1], brainxr.view(brainxr.open(path), ViewerModel())
    expected = viewed.layers[0]
    check_alike(layer, expected)
    assert layer.contrast_limits_range == expected.contrast_limits_range
    assert [str(unit) for unit in layer.units] == ["micrometer"] * 3
    assert viewer.canvas.overlays.scale_bar.visible
    assert viewer.canvas.overlays.text.text.startswith("axial, z ")


@pytest.mark.window
def test_open_in_a_window(window: Any, made: MadeStack) -> None:
    (layer,) = window.open(made.path, plugin="brainxr")
    check_like_view(window, made.path)
    assert window.dims.point[0] == 200  # the middle one of nine
    np.testing.assert_array_equal(layer._slice.image.raw, made.values[4])
    for overlay in ("scale_bar", "text"):  # which are as bright by themselves
        window.canvas.overlays[overlay].visible = False
    canvas = window.screenshot(canvas_only=True, flash=False)[..., :3]
    low, high = layer.contrast_limits
    expected = 255 * (int(made.values[4].max()) - low) / (high - low)
    assert canvas.max() == pytest.approx(expected, abs=3)


@pytest.mark.window
def test_the_slider_starts_where_there_is_a_slice(window: Any, make_stack: MakeStack) -> None:
    made = make_stack((9, 6, 7), numbers=[1, 2, 8, 9, 10])
    with pytest.warns(brainxr.SliceGapWarning):
        (layer,) = window.open(made.path, plugin="brainxr")
    assert window.dims.point[0] == 700
    np.testing.assert_array_equal(layer._slice.image.raw, made.values[7])


@pytest.mark.window
def test_a_window_is_taken_care_of_once(window: Any, made: MadeStack) -> None:
    window.open(made.path, plugin="brainxr")
    # of the window, and of its layer
    assert len(window._layer_slicer._brainxr_hooks) == 2
    callbacks = len(window.layers.events.inserted.callbacks)
    window.layers.clear()
    window.open(made.path, plugin="brainxr")
    assert len(window._layer_slicer._brainxr_hooks) == 2
    assert len(window.layers.events.inserted.callbacks) == callbacks


@pytest.mark.window
def test_other_layers_are_left_alone(window: Any, made: MadeStack) -> None:
    window.open(made.path, plugin="brainxr")
    window.dims.set_point(0, 50)
    window.add_labels(np.zeros((9, 24, 40), int), scale=[50] * 3, units=("um",) * 3)
    window.open(made.path, plugin="brainxr")
    assert window.dims.point[0] == 50  # the second one moves nothing
    assert brainxr.labels(window.layers[1]).z.equals(window.layers[0].metadata["xarray"].z)


@pytest.mark.window
@pytest.mark.parametrize("turned", ["before", "after"])
@pytest.mark.parametrize("across", [0, 1, 2])
def test_levels_follow_the_axes(window: Any, tmp_path: Path, across: int, turned: str) -> None:
    order = (across, *(axis for axis in range(3) if axis != across))
    if turned == "before":
        window.add_image(np.zeros((2, 3, 4)), units=("um",) * 3)
        window.dims.order = order
    window.open(dotted(tmp_path / "a.zarr", (13, 21, 37)), plugin="brainxr")
    layer = window.layers[-1]
    window.dims.order = order
    for level, shape in enumerate(layer.level_shapes.tolist()):
        expected = [n // 2**level for n in (40, 48, 56)]
        expected[across] = (40, 48, 56)[across]
        assert shape == expected
    window.dims.ndisplay = 3
    assert layer.level_shapes.tolist() == [[40, 48, 56]]


@pytest.mark.window
def test_drop_a_folder(window: Any, made: MadeStack, only_brainxr: Any) -> None:
    drop(window, made.path)
    check_like_view(window, made.path)


@pytest.mark.window
def test_drop_a_folder_and_choose_brainxr(window: Any, made: MadeStack) -> None:
    """With several plugins that may read folders, napari asks which."""
    from napari._qt.dialogs.qt_reader_dialog import QtReaderDialog
    from qtpy.QtCore import QTimer
    from qtpy.QtWidgets import QApplication, QRadioButton

    chosen: list[str] = []

    def choose() -> None:
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, QtReaderDialog):
            timer.stop()
            buttons = {b.text(): b for b in dialog.findChildren(QRadioButton)}
            chosen.extend(buttons)
            buttons["brainxr"].setChecked(True)
            dialog.persist_checkbox.setChecked(False)
            dialog.accept()

    timer = QTimer()
    timer.timeout.connect(choose)
    timer.start(20)
    drop(window, made.path)
    assert "brainxr" in chosen
    assert len(chosen) > 1
    check_like_view(window, made.path)


@pytest.mark.window
def test_an_error_is_told_in_full(window: Any, tmp_path: Path, only_brainxr: Any) -> None:
    from napari.errors import ReaderPluginError
    from napari.utils.notifications import notification_manager

    folder = two_stacks(tmp_path / "both")
    with pytest.raises(ReaderPluginError):  # in which napari says nothing of the reason
        drop(window, folder)
    told = [record.message for record in notification_manager.records]
    assert any("are 2 stacks by their names" in message for message in told)
    before = len(notification_manager.records)
    with pytest.raises(StackError, match="are 2 stacks"):
        window.open(folder, plugin="brainxr")  # which napari tells by itself
    assert len(notification_manager.records) == before
    assert len(window.layers) == 0


def action_in(menu: Any, *titles: str) -> Any:
    """An item of a menu, by the titles that lead to it."""
    menu.aboutToShow.emit()
    found = {action.text().replace("&", ""): action for action in menu.actions()}
    action = found[titles[0]]
    return action_in(action.menu(), *titles[1:]) if len(titles) > 1 else action


@pytest.mark.window
def test_samples_by_the_menu(window: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAINXR_CACHE", str(tmp_path))
    menu = window.window.file_menu
    action_in(menu, "Open Sample", "brainxr", "Phantom of a head").trigger()
    (layer,) = window.layers
    assert layer.data.shape == (128, 176, 160)
    check_like_view(window, str(brainxr.sample("phantom")))
    pytest.importorskip("nilearn")
    window.layers.clear()
    action_in(menu, "Open Sample", "brainxr", "MNI152 brain, 1 mm").trigger()
    assert [layer.data.shape for layer in window.layers] == [(189, 233, 197)]


@pytest.mark.window
def test_a_sample_that_needs_more_says_so(window: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise brainxr.errors.MissingExtraError("pip install 'brainxr[samples]'")

    monkeypatch.setattr(_napari, "sample", missing)
    with pytest.raises(ImportError, match="samples"):
        window.open_sample("brainxr", "mni152")


@pytest.mark.window
def test_open_a_folder_by_command(
    window: Any, made: MadeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari._app_model import get_app_model
    from qtpy.QtWidgets import QFileDialog

    asked = [made.path, ""]
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: asked.pop(0))
    title = "Open a folder as a brain volume... (brainxr)"
    action_in(window.window.file_menu, "IO Utilities", title).trigger()
    check_like_view(window, made.path)
    get_app_model().commands.execute_command("brainxr.open_folder").result()  # by the palette
    assert len(window.layers) == 1  # nothing was chosen
    assert asked == []


@pytest.mark.window
def test_save_in_a_window(window: Any, vol: xr.DataArray, tmp_path: Path) -> None:
    brainxr.view(vol[2:5], window)
    target = str(tmp_path / "out")
    window.layers.selection = {window.layers[0]}
    assert window.layers.save(target, plugin="brainxr", selected=True) == [target]
    check_same(brainxr.open(target).compute(), vol[2:5])
    with pytest.raises(SavingError, match=r"is there already.*Name another place"):
        window.layers[0].save(target, plugin="brainxr")
    window.open(target, plugin="brainxr")
    np.testing.assert_array_equal(window.layers[1].extent.world, window.layers[0].extent.world)


COMMAND_LINE = """
import sys
from qtpy.QtCore import QTimer
from napari import current_viewer
from napari.__main__ import main
from napari.qt import get_qapp
from brainxr.viewing.background import event_loop_runs

def look():
    viewer = current_viewer()
    if not event_loop_runs():
        return  # napari lets Qt work also while it opens
    timer.stop()
    layer = viewer.layers[0]
    print(layer.name, layer.scale.tolist(), layer.units[0], viewer.dims.point[0], flush=True)
    if picture:
        viewer.screenshot(picture, canvas_only=False, flash=False)
    viewer.close()

picture = sys.argv.pop()
arguments, sys.argv = sys.argv, sys.argv[:1]  # Qt would take --plugin for its own, as napari knows
get_qapp()
sys.argv = arguments
timer = QTimer()
timer.timeout.connect(look)
timer.start(50)
main()
"""


@pytest.mark.window
def test_napari_on_the_command_line(made: MadeStack) -> None:
    picture = os.environ.get("BRAINXR_TEST_PICTURE", "")
    command = [sys.executable, "-c", COMMAND_LINE, "--plugin", "brainxr", made.path, picture]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "PYTHONWARNINGS": "", "NAPARI_CONFIG": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "brain_50um_iso [50.0, 50.0, 50.0] micrometer 200.0" in done.stdout
