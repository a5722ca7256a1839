"""A part of a volume by ranges in mm: its text evaluates to the very selection."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from conftest import MakeStack
from hypothesis import given
from hypothesis import strategies as st
from test_fromviewer import ORIGIN, SPACING, VOLUMES, micrometers

import brainxr
from brainxr.errors import GeometryError
from brainxr.plugin.part import Part, facts


@pytest.fixture
def whole(make_stack: MakeStack) -> xr.DataArray:
    return brainxr.open(make_stack((9, 24, 40)).path, spacing=SPACING, origin=ORIGIN)


@pytest.fixture(params=VOLUMES.values(), ids=VOLUMES.keys())
def vol(whole: xr.DataArray, request: pytest.FixtureRequest) -> xr.DataArray:
    return request.param(whole)


def evaluated(part: Part) -> xr.DataArray:
    return eval(part.code, {"vol": part.volume})  # what a person would paste


def test_all_of_it_is_the_volume(vol: xr.DataArray) -> None:
    part = Part.whole(vol)
    assert part.code == "vol"
    xr.testing.assert_identical(part.data, vol)


def test_a_range_holds_the_centres_in_it(vol: xr.DataArray) -> None:
    part = Part.whole(vol)
    for dim in "zyx":
        where = np.sort(micrometers(vol, dim)) / 1000
        part = part.within(dim, where[1], where[3])
    inside = [np.isin(micrometers(vol, d), np.sort(micrometers(vol, d))[1:4]) for d in "zyx"]
    expected = vol.isel({d: np.flatnonzero(i) for d, i in zip("zyx", inside, strict=True)})
    xr.testing.assert_identical(part.data.compute(), expected.compute())
    xr.testing.assert_identical(evaluated(part).compute(), expected.compute())


def test_the_text_is_as_one_would_write_it(whole: xr.DataArray) -> None:
    part = Part.whole(whole).within("z", 62.2, 62.4).within("x", 0.0125, 0.04)
    assert part.code == "vol.sel(z=slice(62200, 62400), x=slice(12.5, 37.5))"
    assert Part.whole(whole[::-1]).within("z", 62.4, 62.2).code == "vol.sel(z=slice(62400, 62200))"
    assert part.size == "3 x 24 x 2 voxels, 288 B"
    assert part.cost == str(part.data.brain.cost())


@given(ends=st.tuples(st.floats(61.9, 62.9), st.floats(61.9, 62.9)))
def test_any_range_of_odd_spacing(ends: tuple[float, float]) -> None:
    z = 62_000 + 33.3 * np.arange(25)
    volume = xr.DataArray(np.arange(25), {"z": ("z", z, {"units": "micrometer"})}, "z")
    part = Part.whole(volume).within("z", *ends)
    low, high = (np.array(sorted(ends)) * 1000).tolist()
    inside = (z >= low - 1e-3) & (z <= high + 1e-3)
    if not inside.any():
        with pytest.raises(GeometryError, match="No voxel's centre"):
            part.data  # noqa: B018
    else:
        np.testing.assert_array_equal(evaluated(part).z, z[inside])


def test_nothing_between_two_centres_is_said(whole: xr.DataArray) -> None:
    part = Part.whole(whole).within("z", 62.01, 62.04)
    with pytest.raises(GeometryError, match=r"between 62\.01 and 62\.04 mm.*0\.1 mm apart.*wider"):
        part.data  # noqa: B018


def test_a_part_like_what_is_seen(whole: xr.DataArray) -> None:
    part = Part.whole(whole).like(whole.sel(z=62_300)[4:9])
    assert part.code == "vol.sel(z=slice(62300, 62300), y=slice(-200, 0))"
    assert part.data.sizes == {"z": 1, "y": 5, "x": 40}


def test_what_was_found_and_by_which_rule(whole: xr.DataArray) -> None:
    told = facts(whole.isel(x=slice(0, 10)))
    assert told["spacing"] == "z 100, y 50, x 25 µm (from argument)"
    assert told["shape"] == "z 9, y 24, x 10"
    assert (told["values"], told["plane"]) == ("uint16, 4.32 kB", "axial")
    assert told["source"] == whole.attrs["source"]
    assert facts(whole[:, ::2, ::4])["spacing"].startswith("100 µm along each axis")


def test_an_array_of_other_axes_is_refused() -> None:
    with pytest.raises(GeometryError, match="none is z, y or x"):
        Part.whole(xr.DataArray(np.zeros(3), dims="t"))
