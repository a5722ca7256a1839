"""napari without what it calls private: a window still opens, and everything is in its place."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from napari.components import ViewerModel

import brainxr
from brainxr.viewing import napari_private

PACKAGE = Path(brainxr.__file__).parent

# Private names that are brainxr's own, or matplotlib's.
OURS = {"_repr_mimebundle_"}


@pytest.fixture(autouse=True)
def nothing_told_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(napari_private, "_missing", set())


@pytest.fixture
def volume() -> xr.DataArray:
    values = np.arange(8 * 9 * 10, dtype="u2").reshape(8, 9, 10)
    spacing = {"z": 50, "y": 20, "x": 10}
    return brainxr.volume(values, spacing=spacing, origin={"z": 1000})


class Without:
    """An object as it is, but for one attribute."""

    def __init__(self, whole: Any, name: str) -> None:
        self.__dict__.update(whole=whole, hidden=name)

    def __getattr__(self, name: str) -> Any:
        if name == self.__dict__["hidden"]:
            raise AttributeError(name)
        return getattr(self.__dict__["whole"], name)


def test_no_other_module_touches_private_names_of_napari() -> None:
    found = []
    for folder in ("viewing", "plugin", "pictures"):
        for path in sorted((PACKAGE / folder).glob("*.py")):
            if path.name != "napari_private.py":
                found += [f"{path.name}:{line} {name}" for line, name in private_names(path)]
    assert found == []


def private_names(path: Path) -> Iterator[tuple[int, str]]:
    tree = ast.parse(path.read_text())
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and "._" in (node.module or ""):
            yield node.lineno, str(node.module)
        if not isinstance(node, ast.Attribute) or not node.attr.startswith("_"):
            continue
        is_self = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
        if not (is_self or node.attr.startswith("__") or node.attr in OURS | own):
            yield node.lineno, node.attr


def test_without_the_slicer(volume: xr.DataArray) -> None:
    hidden: Any = Without(ViewerModel(), "_layer_slicer")
    with pytest.warns(brainxr.ViewerWarning, match=r"napari .* has no ViewerModel\._layer_slicer"):
        assert napari_private.slicer_of(hidden) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it is told once
        napari_private.before_slicing(hidden, lambda: None)()
        napari_private.stop_slicing(hidden)


def test_layers_are_in_their_place_without_the_slicer(
    volume: xr.DataArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("background", "napari_private"):
        monkeypatch.setattr(f"brainxr.viewing.{module}.slicer_of", lambda viewer: None)
    viewer = brainxr.view(volume, ViewerModel())
    layer = viewer.layers[0]
    assert layer.scale.tolist() == [50, 20, 10]
    assert layer.translate.tolist() == [1000, 0, 0]
    viewer.dims.ndisplay = 3
    viewer.dims.ndisplay = 2
    np.testing.assert_array_equal(np.asarray(layer.data), volume.values)


def test_without_a_switch_for_refreshing() -> None:
    with napari_private.without_refresh(object()):
        pass


def test_without_the_list_of_viewers(monkeypatch: pytest.MonkeyPatch) -> None:
    import napari

    monkeypatch.delattr(napari.Viewer, "_instances")
    monkeypatch.setattr(napari, "current_viewer", lambda: "current")
    with pytest.warns(brainxr.ViewerWarning, match=r"no Viewer\._instances"):
        assert napari_private.open_viewers() == ["current"]


def test_a_model_has_no_window() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert napari_private.qt_window(ViewerModel()) is None
        assert napari_private.canvas_of(ViewerModel()) is None
        assert napari_private.unwrapped(napari_private) is napari_private


def test_without_the_names_of_a_canvas() -> None:
    class Hidden:
        window = object()
        title = "brainxr"

    viewer: Any = Hidden()
    with pytest.warns(brainxr.ViewerWarning, match="canvas, which brainxr uses: volumes in three"):
        assert napari_private.canvas_of(viewer) is None
    with pytest.warns(brainxr.ViewerWarning, match="dims, which brainxr uses: small pictures"):
        napari_private.hide_sliders(viewer)
    with pytest.warns(brainxr.ViewerWarning, match=r"no canvas\._viewer_overlay_to_visual"):
        assert napari_private.overlay_nodes(object(), None) == []
    assert not napari_private.is_chosen_reader()


def test_without_the_managers_of_linked_planes() -> None:
    class Plugin:
        OrthoViewManager = staticmethod(lambda viewer: ["of", viewer])

    assert napari_private.linked_manager(Plugin, "viewer") == ["of", "viewer"]
    assert napari_private.linked_manager(object(), "viewer") is None


@pytest.mark.window
@pytest.mark.parametrize(
    ("name", "warned"), [("_qt_window", "title"), ("_qt_viewer", "graphics card takes")]
)
def test_a_window_without_private_names(volume: xr.DataArray, name: str, warned: str) -> None:
    """The window opens, the layer lies where it did, and one warning says what is missing."""
    viewer = brainxr.view(volume, block=False)
    real = viewer.window._qt_window

    class Hidden:
        window: Any = Without(viewer.window, name)
        title = viewer.title

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(2):
            found = napari_private.qt_window(Hidden()), napari_private.canvas_of(Hidden())
    messages = [str(w.message) for w in told if w.category is brainxr.ViewerWarning]
    assert len(messages) == 1
    assert warned in messages[0]
    place = viewer.layers[0].translate.tolist()
    viewer.close()
    assert found[0] is real
    assert place == [1000, 0, 0]
