"""Long reads leave the window alive; short ones, and scripts, wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from conftest import MakeStack
from test_viewer import shown  # noqa: F401

import brainxr
from brainxr.lazy.unloaded import stack_of
from brainxr.stacks.reader import SliceReader
from brainxr.viewing import background

pytest.importorskip("napari")


def seconds(made: Any, **indexers: Any) -> float:
    stack = stack_of(brainxr.open(made.path).isel(indexers))
    assert stack is not None
    return background.seconds_to_read(stack)


def test_what_takes_long(make_stack: MakeStack) -> None:
    made = make_stack((6, 40, 50))
    assert seconds(made, z=3) < seconds(made, y=3) < seconds(made, x=3)
    packed = make_stack(
        (6, 40, 50), folder="packed_100um_iso", compression="deflate", rowsperstrip=4
    )
    # a row is decoded with its strip, a column with the slice
    assert seconds(made, y=3) < seconds(packed, y=3) < seconds(packed, x=3) / 2


# --- the window -------------------------------------------------------------------


@pytest.fixture
def sagittal(make_stack: MakeStack, shown: Any) -> Any:  # noqa: F811
    """A window that shows a sagittal plane, of which every read counts as long."""
    vol = brainxr.open(make_stack((9, 24, 40)).path)
    viewer = shown(vol, contrast_limits=(0, 9000))
    viewer.dims.order = (2, 0, 1)
    return viewer


def in_event_loop(*steps: Callable[[], None], until: Callable[[], bool]) -> None:
    """Do things one after another as a person would, while Qt runs; then wait, but not for long."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop, failures, timer = QEventLoop(), [], QTimer()
    todo = [*steps]

    def tick() -> None:
        try:
            if todo:
                todo.pop(0)()
            elif until():
                loop.quit()
        except BaseException as error:
            failures.append(error)
            loop.quit()

    timer.timeout.connect(tick)
    timer.start(20)
    QTimer.singleShot(20_000, loop.quit)
    loop.exec()
    timer.stop()
    if failures:
        raise failures[0]
    assert until(), "It did not come to an end within 20 seconds."


def drawn(viewer: Any) -> np.ndarray:
    return np.asarray(viewer.layers[0]._slice.image.raw)


@pytest.mark.window
def test_a_long_read_keeps_the_picture_and_the_window(
    sagittal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file system gives no answer until the window has been looked at."""
    vol: xr.DataArray = sagittal.layers[0].metadata["xarray"]
    go_on = threading.Event()
    read = SliceReader.read

    def slow(self: SliceReader, *arguments: Any) -> None:
        assert go_on.wait(20)
        read(self, *arguments)

    monkeypatch.setattr(background, "LONGEST_WAIT", 0)
    monkeypatch.setattr(SliceReader, "read", slow)
    before = int(sagittal.dims.current_step[2])
    seen: list[Any] = []
    in_event_loop(
        lambda: sagittal.dims.set_current_step(2, 7),
        lambda: seen.extend([sagittal.layers[0].loaded, drawn(sagittal)]),
        go_on.set,
        until=lambda: sagittal.layers[0].loaded,
    )
    assert seen[0] is False
    np.testing.assert_array_equal(seen[1], vol.isel(x=before))
    np.testing.assert_array_equal(drawn(sagittal), vol.isel(x=7))


@pytest.mark.window
def test_a_quick_plane_is_not_replaced_by_a_slow_one_before_it(
    sagittal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Turned to a plane that is there at once while the last one is being read."""
    vol: xr.DataArray = sagittal.layers[0].metadata["xarray"]
    go_on = threading.Event()
    read = SliceReader.read

    def slow(self: SliceReader, *arguments: Any) -> None:
        if threading.current_thread() is not threading.main_thread():
            assert go_on.wait(20)
        read(self, *arguments)

    monkeypatch.setattr(SliceReader, "read", slow)
    in_event_loop(
        lambda: monkeypatch.setattr(background, "LONGEST_WAIT", 0),
        lambda: sagittal.dims.set_current_step(2, 7),
        lambda: monkeypatch.setattr(background, "LONGEST_WAIT", 60),
        lambda: setattr(sagittal.dims, "order", (0, 1, 2)),
        lambda: sagittal.dims.set_current_step(0, 5),
        go_on.set,
        until=lambda: sagittal.layers[0].loaded and not sagittal._layer_slicer._layers_to_task,
    )
    in_event_loop(until=lambda: drawn(sagittal).shape == vol[5].shape)
    np.testing.assert_array_equal(drawn(sagittal), vol[5])


@pytest.mark.window
def test_of_many_steps_the_last_is_shown(sagittal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "LONGEST_WAIT", 0)
    steps = [lambda place=place: sagittal.dims.set_current_step(2, place) for place in range(12)]
    in_event_loop(*steps, until=lambda: sagittal.layers[0].loaded)
    vol = sagittal.layers[0].metadata["xarray"]
    np.testing.assert_array_equal(drawn(sagittal), vol.isel(x=11))


@pytest.mark.window
def test_a_short_read_is_waited_for(sagittal: Any) -> None:
    loaded: list[bool] = []
    in_event_loop(
        lambda: (sagittal.dims.set_current_step(2, 7), loaded.append(sagittal.layers[0].loaded)),
        until=lambda: True,
    )
    assert loaded == [True]


@pytest.mark.window
def test_a_script_gets_the_plane_that_it_asked_for(
    sagittal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A screenshot right after a step would otherwise show the plane before."""
    monkeypatch.setattr(background, "LONGEST_WAIT", 0)
    sagittal.dims.set_current_step(2, 9)
    assert sagittal.layers[0].loaded
    np.testing.assert_array_equal(drawn(sagittal), sagittal.layers[0].metadata["xarray"].isel(x=9))


@pytest.mark.window
def test_a_broken_slice_ends_the_waiting(sagittal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """napari says which file it was; the window lives on, and the next plane shows."""
    from napari.utils.notifications import notification_manager

    vol: xr.DataArray = sagittal.layers[0].metadata["xarray"]
    monkeypatch.setattr(background, "LONGEST_WAIT", 0)
    told: set[str] = set()  # napari asks twice for one step
    monkeypatch.setattr(
        notification_manager, "receive_error", lambda kind, error, *_: told.add(str(error))
    )
    path = f"{vol.attrs['source']}/{vol.brain.files.values[4]}"
    with open(path, "rb") as file:
        content = file.read()
    with open(path, "wb") as file:
        file.write(content[:300])
    in_event_loop(
        lambda: sagittal.dims.set_current_step(2, 3), until=lambda: sagittal.layers[0].loaded
    )
    assert len(told) == 1
    assert path in told.pop()
    in_event_loop(
        lambda: setattr(sagittal.dims, "order", (0, 1, 2)),
        lambda: sagittal.dims.set_current_step(0, 2),
        until=lambda: sagittal.layers[0].loaded,
    )
    np.testing.assert_array_equal(drawn(sagittal), vol.isel(z=2))


@pytest.fixture
def axial(make_stack: MakeStack, shown: Any) -> Any:  # noqa: F811
    """A window that shows an axial plane, of which no read counts as long."""
    return shown(brainxr.open(make_stack((9, 24, 40)).path), contrast_limits=(0, 9000))


@pytest.fixture
def told() -> Any:
    """What napari told in notifications, of this test alone."""
    from napari.utils.notifications import notification_manager

    notification_manager.records.clear()
    yield lambda: {record.message for record in notification_manager.records}
    notification_manager.records.clear()


def drag_slider(viewer: Any, axis: int, step: int) -> None:
    """Move the slider itself, as the mouse does: napari then hears of it from Qt."""
    viewer.window._qt_viewer.dims.slider_widgets[axis].slider.setValue(step)


@pytest.mark.window
def test_a_broken_slice_met_while_scrolling(axial: Any, told: Any, monkeypatch: Any) -> None:
    """Read while the window waits: it is told, the window lives on, the next plane shows."""
    vol: xr.DataArray = axial.layers[0].metadata["xarray"]
    monkeypatch.setattr(background, "LONGEST_WAIT", 60)
    broken = Path(vol.attrs["source"]) / str(vol.brain.files.values[6])
    broken.write_bytes(broken.read_bytes()[:300])
    with napari_tells():
        in_event_loop(lambda: drag_slider(axial, 0, 6), until=lambda: bool(told()))
        assert all(str(broken) in message for message in told())
        in_event_loop(lambda: drag_slider(axial, 0, 7), until=lambda: shows(axial, vol[7]))


@pytest.mark.window
@pytest.mark.parametrize("longest_wait", [0, 60], ids=["in the background", "while waiting"])
def test_a_folder_removed_while_it_is_viewed(
    axial: Any, told: Any, monkeypatch: Any, longest_wait: int
) -> None:
    """It is told, the window lives on; and when the folder is back, the next plane shows."""
    vol: xr.DataArray = axial.layers[0].metadata["xarray"]
    monkeypatch.setattr(background, "LONGEST_WAIT", longest_wait)
    folder = Path(vol.attrs["source"])
    away = folder.rename(folder.with_name("elsewhere"))
    with napari_tells():
        in_event_loop(lambda: drag_slider(axial, 0, 6), until=lambda: bool(told()))
        assert all(str(folder / str(vol.brain.files.values[6])) in message for message in told())
        away.rename(folder)
        in_event_loop(lambda: drag_slider(axial, 0, 7), until=lambda: shows(axial, vol[7]))
        # and the one that could not be read
        in_event_loop(lambda: drag_slider(axial, 0, 6), until=lambda: shows(axial, vol[6]))


def shows(viewer: Any, plane: xr.DataArray) -> bool:
    return viewer.layers[0].loaded and np.array_equal(drawn(viewer), plane)


@contextmanager
def napari_tells() -> Iterator[None]:
    """Errors of callbacks of Qt go where they go while ``napari.run()`` has the event loop."""
    from napari.utils.notifications import notification_manager

    with notification_manager:
        yield


@pytest.mark.filterwarnings("ignore::brainxr.ViewerWarning")
def test_a_napari_without_such_slicing_is_left_alone() -> None:
    background.keep_responsive(object())  # type: ignore[arg-type]
