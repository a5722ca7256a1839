"""What the README shows is there and runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")

PYTHON = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
SHELL = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
LINKS = re.findall(r"\]\(([^)]+)\)", README)


def test_links_lead_somewhere() -> None:
    inside = [link for link in LINKS if "://" not in link]
    assert "docs/_static/brain.png" in inside
    assert [link for link in inside if not (ROOT / link).exists()] == []


def test_picture_is_small_enough_for_a_repository() -> None:
    from PIL import Image

    picture = ROOT / "docs" / "_static" / "brain.png"
    assert picture.stat().st_size < 400_000
    with Image.open(picture) as image:
        assert image.width >= 1200


def test_the_two_commands_are_marked() -> None:
    """CI takes them by these marks, and each is the whole of a block."""
    marked = r"^<!-- command: (\w+) -->\n```sh\n(.*?)^```"
    found = re.findall(marked, README, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in found] == ["demo", "test"]
    assert all(command.count("\n") == 1 for _, command in found)


def test_python_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib as mpl
    from matplotlib import pyplot as plt
    from napari.components import ViewerModel

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("brainxr.viewing.viewer._new_window", lambda hidden: ViewerModel())
    monkeypatch.setattr("brainxr.viewing.viewer.refuse_without_display", lambda: None)
    monkeypatch.setattr("brainxr.viewing.viewer._is_script", lambda: False)
    assert len(PYTHON) == 1
    names: dict[str, Any] = {}
    with mpl.rc_context({"backend": "agg"}):
        plt.close("all")
        exec(compile(PYTHON[0], "README.md", "exec"), names)
        assert len(plt.get_fignums()) == 2
        plt.close("all")
    assert names["vol"].dims == ("z", "y", "x")
    layer = names["viewer"].layers[0]
    assert layer.translate.tolist()[1] == 80_000


def test_the_commands_that_are_named_exist() -> None:
    from brainxr.cli import main

    used = {line.split()[1] for line in "".join(SHELL).splitlines() if line.startswith("brainxr ")}
    assert used
    assert used <= set(main.commands)
