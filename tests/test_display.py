"""No test opens a window without asking for a display, and other programs are not mistaken."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from torture import writers

from brainxr.viewing.display import has_display


def test_a_window_without_the_mark_is_refused() -> None:
    import napari

    with pytest.raises(AssertionError, match=r"not marked: pytest\.mark\.window"):
        napari.Viewer()


def test_the_display_is_hidden_from_what_is_not_marked() -> None:
    assert "DISPLAY" not in os.environ
    assert sys.platform != "linux" or not has_display()


@pytest.mark.window
def test_the_display_is_there_for_what_is_marked() -> None:
    assert has_display()


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
@pytest.mark.parametrize("tool", ["convert", "tiffcp"])
def test_another_program_of_the_name_is_not_taken(
    tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / tool
    other.write_text("#!/bin/sh\necho 'Converts FAT volumes to NTFS.'\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    writers.has.cache_clear()
    assert not writers.has(tool)
    writers.has.cache_clear()


def test_what_was_left_out_is_said_in_a_line(tmp_path: Path) -> None:
    folder = Path(__file__).parent
    (tmp_path / "test_some.py").write_text(
        "import pytest\n"
        "@pytest.mark.window\n@pytest.mark.parametrize('i', range(7))\n"
        "def test_window(i): pass\n"
        "@pytest.mark.slow\ndef test_slow(): pass\n"
    )
    quiet = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    quiet.pop("BRAINXR_REQUIRE_WINDOW", None)
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", "-c",
         str(folder.parent / "pyproject.toml"), "--rootdir", str(tmp_path), str(tmp_path)],
        capture_output=True, text=True, env=quiet, cwd=tmp_path,
    )  # fmt: skip
    lines: Any = told.stdout.splitlines()
    assert [line for line in lines if "skipped, as" in line] == [
        "7 skipped, as there is no display to open a window on; they run with a display, or "
        "under a virtual one: xvfb-run -a pytest"
    ]
    assert any(line.startswith("1 left out, as they take longer") for line in lines)
