"""Saving by the ending: whole, or nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from conftest import MakeStack

import brainxr
from brainxr.accessor import BrainAccessor
from brainxr.errors import StoreExistsError
from brainxr.plugin.saving import FORMATS, Stopped, format_of, formats, save


@pytest.fixture
def vol(make_stack: MakeStack) -> xr.DataArray:
    return brainxr.open(make_stack((70, 24, 40)).path)


def test_a_part_is_written_and_comes_back(vol: xr.DataArray, tmp_path: Path) -> None:
    told = []
    there = save(vol[3:68], str(tmp_path / "a.ome.zarr"), lambda *how_far: told.append(how_far))
    assert told[-1] == (65 * 24 * 40 * 2,) * 2
    xr.testing.assert_identical(brainxr.open(there).compute(), vol[3:68].compute())


@pytest.mark.parametrize("name", ["a.ome.zarr", "slices", "a.nii", "a.nii.gz"])
def test_stopped_it_leaves_nothing(vol: xr.DataArray, tmp_path: Path, name: str) -> None:
    def stop(done: int, total: int) -> None:
        if done:
            raise Stopped

    with pytest.raises(Stopped):
        save(vol, str(tmp_path / "stack_100um_iso" / ".." / name), stop)
    assert [p.name for p in tmp_path.iterdir()] == ["stack_100um_iso"]


def test_what_somebody_else_began_stays(vol: xr.DataArray, tmp_path: Path) -> None:
    begun = tmp_path / ".a.ome.zarr.partial"
    begun.mkdir()
    (begun / "mine").touch()

    def stop(done: int, total: int) -> None:
        raise Stopped

    with pytest.raises((Stopped, StoreExistsError)):
        save(vol, str(tmp_path / "a.ome.zarr"), stop)
    assert (begun / "mine").exists()


def test_nothing_is_replaced(vol: xr.DataArray, tmp_path: Path) -> None:
    (tmp_path / "a.zarr").mkdir()
    with pytest.raises(StoreExistsError, match="nothing is replaced"):
        save(vol, str(tmp_path / "a.zarr"), print)


def test_an_ending_that_is_not_known(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'a\.mat'.*\.ome\.zarr or \.zarr"):
        format_of(str(tmp_path / "a.mat"))


def test_only_ways_that_there_are() -> None:
    assert [each.method for each in formats()] == [
        each.method for each in FORMATS if hasattr(BrainAccessor, each.method)
    ]
    assert format_of("/there/BRAIN.OME.ZARR").method == "to_ome_zarr"


@pytest.mark.parametrize("name", [f"part{(*f.endings, '')[0]}" for f in formats()])
def test_every_way_comes_back(vol: xr.DataArray, tmp_path: Path, name: str) -> None:
    there = save(vol[5:], str(tmp_path / name), lambda done, total: None)
    np.testing.assert_array_equal(brainxr.open(there), vol[5:])
    assert {p.name for p in tmp_path.iterdir()} == {"stack_100um_iso", name}
