"""Levels on the grid of what is shown: the right plane and place at every factor."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from stores import MadeStore, make_store

import brainxr
from brainxr.lazy.unloaded import stack_of
from brainxr.viewing.layers import layer_of
from brainxr.viewing.preview import Budget
from brainxr.viewing.zoom import Zoom

SPACING = {"z": 50.0, "y": 20.0, "x": 10.0}
ORIGIN = {"z": 1000.0, "y": 0.0, "x": -5.0}


@pytest.fixture
def made(tmp_path: Path) -> MadeStore:
    """Four levels, of which each voxel is as good as its number."""
    return make_store(tmp_path / "a.zarr", (40, 48, 56), levels=4, dtype="u4")


def zoom_of(data: xr.DataArray) -> Zoom:
    _, kwargs, _ = layer_of(data, contrast_limits=(0, 1))
    found: Zoom = kwargs["metadata"]["levels"]
    return found


@pytest.mark.parametrize("displayed", list(combinations(range(3), 2)))
def test_table_of_planes(made: MadeStore, displayed: tuple[int, int]) -> None:
    """Every plane of every factor along every axis, against blocks counted by hand."""
    (across,) = {0, 1, 2} - set(displayed)
    levels = zoom_of(brainxr.open(made.path)).shown(displayed)
    assert len(levels) == 4
    for number, level in enumerate(levels):
        factor = 2**number
        shape = [n // factor for n in made.levels[0].shape]
        shape[across] = made.levels[0].shape[across]
        assert level.shape == tuple(shape)
        for place in range(shape[across]):
            key = [slice(None)] * 3
            key[across] = place // factor
            shown = [slice(None)] * 3
            shown[across] = place
            expected = made.levels[number][tuple(key)]
            np.testing.assert_array_equal(np.asarray(level[tuple(shown)]), expected)


def test_three_dimensions_end_with_the_finest_that_fits(made: MadeStore) -> None:
    zoom = zoom_of(brainxr.open(made.path))
    assert [level.shape for level in zoom.shown(range(3))] == [(40, 48, 56)]
    assert [level.shape for level in zoom.shown(range(3), Budget(side=50))][1:] == [(20, 24, 28)]
    levels = zoom.shown(range(3), Budget(20_000))
    assert [level.shape for level in levels] == [(40, 48, 56), (20, 24, 28), (10, 12, 14)]
    np.testing.assert_array_equal(np.asarray(levels[-1]), made.levels[2])


@pytest.mark.parametrize(
    "selection",
    [{"z": slice(4, 28)}, {"z": slice(None, None, -1)}, {"y": slice(3, 40), "x": slice(50, 7, -1)},
     {"z": 13}, {"y": 21}, {"x": 5}, {"z": slice(1, None, 2)}, {"z": slice(13, 14)}],
    ids=str,
)  # fmt: skip
def test_selections_find_their_levels_by_coordinates(
    made: MadeStore, selection: dict[str, Any]
) -> None:
    """Each voxel shown is the one in which the middle of its part of the volume lies."""
    selected = brainxr.open(made.path).isel(selection)
    values, kwargs, _ = layer_of(selected, contrast_limits=(0, 1))
    assert kwargs["multiscale"]
    full = values[0].shape
    for level in values[1:]:
        number = next(n for n in (3, 2, 1) if np.isin(np.asarray(level), made.levels[n]).all())
        twin = made.twin(number)
        wanted = {
            dim: kwargs["translate"][axis]
            + kwargs["scale"][axis] * ((np.arange(n) + 0.5) * full[axis] / n - 0.5)
            for axis, (dim, n) in enumerate(zip("zyx", level.shape, strict=True))
        }
        # just inside: where the middle is the border of two voxels, either will do
        near = [twin.sel({d: w + e for d, w in wanted.items()}, method="nearest").values
                for e in (-1e-6, 1e-6)]  # fmt: skip
        shown = np.asarray(level)
        assert ((shown == near[0]) | (shown == near[1])).all()


def test_odd_sizes_are_placed_within_half_a_voxel(tmp_path: Path) -> None:
    made = make_store(tmp_path / "a.zarr", (41, 45, 51), levels=4)
    zoom = zoom_of(brainxr.open(made.path))
    for number, level in enumerate(zoom.coarser, 1):
        for axis, size in enumerate(made.levels[0].shape):
            count = level.size(axis, size)
            drawn = (np.arange(count) + 0.5) * size / count - 0.5
            stored = level.nearest(axis, size, count) * 2**number + (2**number - 1) / 2
            assert np.abs(drawn - stored).max() <= 2**number / 2 + 1e-9


def test_what_has_no_levels(made: MadeStore, shared_stack: Any, tmp_path: Path) -> None:
    volume = brainxr.open(made.path)
    for data in (volume + 1, volume.max("z"), volume.load(), brainxr.open(shared_stack.path),
                 brainxr.open(made.path, level=3)):  # fmt: skip
        values, kwargs, _ = layer_of(data, contrast_limits=(0, 1))
        assert not kwargs["multiscale"]
        assert values.shape[-1] > 1
    single = layer_of(volume, contrast_limits=(0, 1), multiscale=False)
    assert stack_of(brainxr.open(made.path)) is not None
    assert single[0].shape == volume.shape


def test_coarser_levels_of_a_level(made: MadeStore) -> None:
    values, _, _ = layer_of(brainxr.open(made.path, level=2), contrast_limits=(0, 1))
    assert [level.shape for level in values] == [(10, 12, 14), (10, 6, 7)]


def test_only_the_tile_is_read(made: MadeStore, bytes_read: Any) -> None:
    level = zoom_of(brainxr.open(made.path)).shown((1, 2))[1]
    with bytes_read() as slicing:
        tile = level[:, 2:9, 3:20]
    assert slicing.count == 0
    np.testing.assert_array_equal(np.asarray(tile[7]), made.levels[1][3, 2:9, 3:20])


@pytest.mark.parametrize("displayed", [(1, 2), (0, 2), (0, 1, 2)], ids=str)
def test_levels_leave_out_what_a_selection_leaves_out(
    made: MadeStore, displayed: tuple[int, ...]
) -> None:
    """Planes that were not selected are dark at every level, though the store has them."""
    chosen = np.array([*range(6), *range(9, 15), 20, 39])
    values, kwargs, _ = layer_of(brainxr.open(made.path).isel(z=chosen), contrast_limits=(0, 1))
    assert kwargs["multiscale"]
    assert values[0].shape == made.levels[0].shape
    levels = kwargs["metadata"]["levels"].shown(displayed, Budget(4 * 5000))
    assert len(levels) > 2
    for number, level in enumerate(levels):
        count = level.shape[0]
        middle = np.rint((np.arange(count) + 0.5) * 40 / count - 0.5)
        there = np.isin(middle, chosen)
        shown = np.asarray(level[:, :, :])
        assert 0 < there.sum() < count
        assert not shown[~there].any()
        assert (shown[there] > 0).mean() > 0.9
        for place in np.flatnonzero(there):
            block = made.levels[number]
            row = min(int(middle[place]) // 2**number, len(block) - 1)
            assert np.isin(shown[place], block[max(0, row - 1) : row + 2]).all()
