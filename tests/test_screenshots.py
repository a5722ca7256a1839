"""napari's picture without a window that anybody sees: pixels against numpy's planes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from conftest import MakeStack
from PIL import Image
from test_plot import volume_of

import brainxr
from brainxr.errors import DisplayError, GeometryError
from brainxr.viewing import display

pytest.importorskip("napari")

SHAPE = (6, 20, 30)


@pytest.fixture
def values() -> np.ndarray:
    """Two blocks of grey, of which every plane has its own two greys."""
    z, y, x = np.indices(SHAPE)
    return np.where(y < 10, 40 + 10 * z, 200 - 5 * z).astype("u1") + x.astype("u1")


@pytest.fixture
def vol(values: np.ndarray) -> xr.DataArray:
    spacing = {"z": 2000.0, "y": 1000.0, "x": 1000.0}
    return volume_of(values, spacing, {"z": 50_000.0, "y": 0.0, "x": 0.0})


def grey(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L")).astype(int)


def plane_in(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Greys at the voxels' centres of a plane that was fitted into the picture."""
    picture = grey(path)
    # the scale bar is at the lower right, the place at the lower left
    left = picture[:-60, : picture.shape[1] // 2] > 20
    rows = np.flatnonzero(left.sum(1) > 50)
    columns = np.flatnonzero((picture[rows] > 20).all(0))
    places = []
    for found, n in zip((rows, columns), shape, strict=True):
        first, length = found[0], found[-1] + 1 - found[0]
        places.append((first + (np.arange(n) + 0.5) * length / n).astype(int))
    return picture[np.ix_(*places)]


@pytest.mark.window
@pytest.mark.parametrize(
    ("axis", "at", "index"),
    [
        ("z", {"z": "54.4 mm"}, (2,)),
        ("x", {"x": 7000}, (slice(None), slice(None), 7)),
        ("y", None, (slice(None), 10)),
        (None, {"z": "60 mm"}, (5,)),
    ],
)
def test_the_picture_is_the_plane(vol, values, tmp_path: Path, axis, at, index) -> None:
    path = vol.brain.screenshot(
        tmp_path / "a.png", axis=axis, at=at, size=(640, 900),
        contrast_limits=(0, 255), interpolation2d="nearest",
    )  # fmt: skip
    assert grey(path).shape == (900, 640)
    expected = values[index].astype(int)
    assert np.abs(plane_in(path, expected.shape) - expected).max() <= 2


@pytest.mark.window
@pytest.mark.parametrize("size", [(200, 200), (200, 900), (1400, 201)])
def test_the_picture_has_the_size_that_was_asked_for(vol, tmp_path: Path, size) -> None:
    path = brainxr.screenshot(vol, tmp_path / "a.png", size=size)
    with Image.open(path) as picture:
        assert picture.size == size


@pytest.mark.window
@pytest.mark.parametrize(("width", "is_wide"), [(300, False), (640, True)])
def test_the_place_and_the_scale_bar_have_room(vol, tmp_path: Path, width, is_wide) -> None:
    path = brainxr.screenshot(vol, tmp_path / "a.png", size=(width, 500), visible=False)
    left = grey(path)[:, :120] > 100
    assert (left[:60].any(), left[-60:].any()) == (not is_wide, is_wide)


@pytest.mark.window
def test_a_slow_plane_is_waited_for(vol, values, tmp_path: Path, monkeypatch) -> None:
    """Whatever napari's preferences say about slicing in the background."""
    from napari.settings import get_settings

    class Slow:
        shape, dtype, ndim = values.shape, values.dtype, 3

        def __getitem__(self, key):
            time.sleep(0.3)
            return values[key]

    monkeypatch.setattr(get_settings().experimental, "async_", True)
    monkeypatch.setattr("brainxr.viewing.layers._values", lambda data, dims: Slow())
    path = brainxr.screenshot(
        vol, tmp_path / "a.png", axis="x", size=(640, 900), contrast_limits=(0, 255),
        interpolation2d="nearest",
    )  # fmt: skip
    assert np.abs(plane_in(path, (6, 20)) - values[:, :, 15]).max() <= 2


@pytest.mark.window
def test_nothing_is_left_of_an_error(make_stack: MakeStack, tmp_path: Path) -> None:
    import napari

    made = make_stack((9, 24, 40))
    made.paths[8].write_bytes(made.paths[8].read_bytes()[:-3])
    older = tmp_path / "a.png"
    older.write_bytes(b"an older picture")
    with pytest.raises(brainxr.SliceReadError, match=r"slice_009.tif' is truncated"):
        brainxr.screenshot(brainxr.open(made.path), older, at={"z": 800}, overwrite=True)
    assert older.read_bytes() == b"an older picture"
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["a.png"]
    assert napari.current_viewer() is None


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"path": "a.jpg"}, ValueError, r"ends with '.jpg'; a picture is written to .* \.png"),
        ({"size": (100, 100)}, ValueError, "from 200 to 8192"),
        ({"size": 500}, ValueError, "width and height"),
        ({"axis": "t"}, GeometryError, "axis='t' is none of this array's: 'z', 'y', 'x'"),
        ({"at": {"z": "9 m"}}, GeometryError, "is outside"),
        ({"at": {"q": 1}}, GeometryError, "at names 'q'"),
    ],
)
def test_what_makes_no_picture_is_refused(vol, tmp_path, monkeypatch, arguments, error, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        brainxr.screenshot(vol, **{"path": "a.png", **arguments})
    assert list(tmp_path.iterdir()) == []


def test_an_older_picture_stays_unless_it_is_said(vol: xr.DataArray, tmp_path: Path) -> None:
    older = tmp_path / "a.png"
    older.write_bytes(b"an older picture")
    with pytest.raises(FileExistsError, match=r"a\.png' is there already.*overwrite=True"):
        brainxr.screenshot(vol, older)
    assert older.read_bytes() == b"an older picture"


def test_a_line_is_refused(vol: xr.DataArray, tmp_path: Path) -> None:
    with pytest.raises(GeometryError, match=r"across 'z' would be a line: .* along 'y'"):
        brainxr.screenshot(vol.isel(y=3), tmp_path / "a.png", axis="z")


# --- without a display ------------------------------------------------------------


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True, text=True, timeout=120, check=False, env={**env, **environment},
    )  # fmt: skip


@pytest.mark.window
@pytest.mark.skipif(sys.platform != "linux", reason="Xvfb is of Linux")
def test_a_display_of_its_own(make_stack: MakeStack, tmp_path: Path) -> None:
    made = make_stack((5, 24, 40))
    done = run(
        f"""
        import brainxr
        vol = brainxr.open({made.path!r})
        print(brainxr.screenshot(vol, {str(tmp_path / "a.png")!r}))
        try:
            brainxr.view(vol)  # on a display that nobody sees, it would wait for ever
        except brainxr.DisplayError as error:
            print(error)
        """,
        QT_QPA_PLATFORM="offscreen",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path / "a.png"))
    assert "There is no display" in done.stdout
    assert grey(tmp_path / "a.png").std() > 10


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there always is a display")
def test_no_display_and_no_xvfb(monkeypatch) -> None:
    monkeypatch.setattr(display, "has_display", lambda: False)
    monkeypatch.setattr(display, "_qt_platform", lambda: None)
    monkeypatch.setattr(display.shutil, "which", lambda name: None)
    with pytest.raises(DisplayError, match=r"no Xvfb to make one. Install it"):
        display.provide_display()
    monkeypatch.setattr(display, "_qt_platform", lambda: "offscreen")
    with pytest.raises(DisplayError, match=r"'offscreen' already, .* stays black"):
        display.provide_display()


@pytest.mark.skipif(sys.platform != "linux", reason="Xvfb is of Linux")
def test_an_xvfb_that_does_not_start(tmp_path: Path, monkeypatch) -> None:
    fake = tmp_path / "Xvfb"
    fake.write_text("#!/bin/sh\nexit 3\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(DisplayError, match="ended with code 3"):
        display._start_xvfb()
