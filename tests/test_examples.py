"""The examples run, offline and quickly, and print what they promise."""

from __future__ import annotations

import doctest
import os
import subprocess
import sys
from pathlib import Path

import pytest

import brainxr

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name: str, *arguments: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error:::__main__", EXAMPLES / name, *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_run() -> None:
    source = Path(__file__).read_text()
    assert all(f'"{example.name}"' in source for example in EXAMPLES.glob("*.py"))


def test_open_and_select(tmp_path: Path) -> None:
    out = run("open_and_select.py", cwd=tmp_path)
    assert "('z', 'y', 'x')" in out
    assert "micrometer" in out


def test_draw_planes(tmp_path: Path) -> None:
    from PIL import Image

    run("draw_planes.py", str(tmp_path), cwd=tmp_path)
    for name in ("planes.png", "montage.png"):
        with Image.open(tmp_path / name) as picture:
            low, high = picture.convert("L").getextrema()
            assert high - low > 100, f"{name} shows nothing"


def test_projection(tmp_path: Path) -> None:
    assert "planes projected to {'z': " in run("projection.py", str(tmp_path), cwd=tmp_path)
    assert (tmp_path / "projection.png").stat().st_size > 5000


def test_convert(tmp_path: Path) -> None:
    out = run("convert.py", str(tmp_path), cwd=tmp_path)
    assert "level 0: {'z': 128, " in out
    assert "level 1: {'z': 64, " in out
    assert (tmp_path / "phantom.ome.zarr" / "zarr.json").is_file()


def test_own_stack(tmp_path: Path) -> None:
    out = run("own_stack.py", cwd=tmp_path)
    assert "spacing by name '5um'" in out
    # a voxel belongs to the bead if its centre is at most 40 µm from 100 µm
    assert "from 60 to 140 µm along z" in out


def test_view_planes_without_a_display(tmp_path: Path) -> None:
    nothing = {"DISPLAY": "", "WAYLAND_DISPLAY": "", "QT_QPA_PLATFORM": ""}
    out = run("view_planes.py", "--close", cwd=tmp_path, **nothing)
    assert [line.split(" lies at")[0].split(", ")[-1] for line in out.splitlines()] == [
        "z = 62 mm",
        "y = 80 mm",
        "x = 90 mm",
    ]


@pytest.mark.window
def test_view_planes_in_a_window(tmp_path: Path) -> None:
    assert "lies at [62000.0" in run("view_planes.py", "--close", cwd=tmp_path)


def test_the_package_docstring() -> None:
    assert doctest.testmod(brainxr) == (0, 3)
