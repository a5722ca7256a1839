"""Coarser levels beside a stack: found while its slices are the same, and never after."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import MakeStack
from test_convert import halved, stored_levels

import brainxr
from brainxr.errors import GeometryError
from brainxr.lazy.unloaded import stack_of
from brainxr.stores.levels import find_levels
from brainxr.viewing.layers import layer_of
from brainxr.writing.convert import build_levels

SHAPE = (19, 37, 45)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Not the user's."""
    monkeypatch.setenv("BRAINXR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def levels_of(volume: Any) -> Path | None:
    stack = stack_of(volume)
    assert stack is not None
    return find_levels(stack.source)


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("plane", ["axial", "coronal"])
def test_levels_from_1_on(make_stack: MakeStack, cache: Path, beside: bool, plane: Any) -> None:
    made = make_stack(SHAPE)
    volume = brainxr.open(made.path, plane=plane)
    assert levels_of(volume) is None
    store = build_levels(volume, beside=beside, levels=3, progress=False)
    assert store == (Path(f"{made.path}.levels.ome.zarr") if beside else store)
    assert store.is_relative_to(cache) is not beside
    expected = volume.values
    for level in stored_levels(store):
        expected = halved(expected)
        np.testing.assert_array_equal(level, expected)
    assert levels_of(brainxr.open(made.path)) == store
    assert {path.parent for path in made.folder.iterdir()} == {made.folder}  # nothing beside slices


def test_made_once(make_stack: MakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = brainxr.open(make_stack(SHAPE).path)
    store = build_levels(volume, levels=2, progress=False)
    monkeypatch.setattr("brainxr.writing.storing.Pyramid.write", None)
    assert volume.brain.build_levels(levels=2) == store


def test_a_changed_stack_has_no_levels_until_they_are_made_again(make_stack: MakeStack) -> None:
    made = make_stack(SHAPE)
    store = build_levels(brainxr.open(made.path), levels=2, progress=False)
    status = os.stat(made.paths[4])
    tifffile.imwrite(made.paths[4], made.values[4] + 1)
    assert levels_of(brainxr.open(made.path)) is None
    assert build_levels(brainxr.open(made.path), levels=2, progress=False) == store
    expected = made.values.copy()
    expected[4] += 1
    np.testing.assert_array_equal(stored_levels(store)[0], halved(expected))
    # an older time is another one, too
    os.utime(made.paths[4], ns=(status.st_atime_ns, status.st_mtime_ns))
    assert levels_of(brainxr.open(made.path)) is None
    made.paths[-1].unlink()
    assert levels_of(brainxr.open(made.path)) is None


def test_damaged_levels_are_made_again(make_stack: MakeStack) -> None:
    volume = brainxr.open(make_stack(SHAPE).path)
    store = build_levels(volume, levels=2, progress=False)
    (store / "zarr.json").write_text("{")
    assert levels_of(volume) is None
    assert build_levels(volume, levels=2, progress=False) == store
    assert levels_of(volume) == store


def test_the_viewer_zooms_by_them(make_stack: MakeStack) -> None:
    made = make_stack(SHAPE)
    build_levels(brainxr.open(made.path), levels=3, progress=False)
    # with another spacing than they were made with: the stack says where its voxels are
    volume = brainxr.open(made.path, spacing=25, origin=1000)
    data, kwargs, _ = layer_of(volume)
    assert kwargs["multiscale"] is True
    assert [level.shape for level in data] == [(19, 37, 45), (19, 19, 23), (19, 10, 12)]
    coarser = halved(made.values)
    for z in range(19):
        np.testing.assert_array_equal(np.asarray(data[1][z]), coarser[z // 2])
    part, kwargs, _ = layer_of(volume.isel(z=slice(4, 12), y=slice(8, 32), x=slice(16, 40)))
    for z in range(8):
        shown = np.asarray(part[1][z])
        np.testing.assert_array_equal(shown, coarser[(z + 4) // 2, 4:16, 8:20])


def test_refused(make_stack: MakeStack, tmp_path: Path) -> None:
    volume = brainxr.open(make_stack(SHAPE).path)
    store = brainxr.open(volume.brain.to_ome_zarr(tmp_path / "a.zarr", levels=2, progress=False))
    for wrong in (volume.isel(z=slice(3)), volume + 1, volume.compute(), store):
        with pytest.raises(GeometryError, match="beside a whole stack without gaps"):
            build_levels(wrong, progress=False)
    with pytest.raises(GeometryError, match=r"so small.*levels=2"):
        build_levels(volume, progress=False)
