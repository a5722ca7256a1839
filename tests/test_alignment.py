"""Two volumes on one grid belong together; on two grids they are refused, never emptied."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import brainxr
from brainxr.geometry.grid import VoxelGrid
from brainxr.geometry.index import UnitIndex

SPACINGS = st.sampled_from([0.65, 100 / 3, 1e-3, 25.0, 0.1])
ORIGINS = st.floats(-1e6, 1e6, allow_nan=False)


def volume(n: int = 20, spacing: float = 100.0, origin: float = 0.0) -> xr.DataArray:
    grid = VoxelGrid({"z": n}, {"z": spacing}, {"z": origin})
    return xr.DataArray(np.arange(n), grid.coordinates(), ["z"], "v")


def moved(data: xr.DataArray, values: Any, unit: str = "micrometer") -> xr.DataArray:
    coordinate = xr.Variable("z", np.asarray(values), {"units": unit})
    return (
        data.drop_vars("z").assign_coords(z=coordinate).drop_indexes("z").set_xindex("z", UnitIndex)
    )


# --- positions that differ by noise, or are in another unit --------------------------------

COMBINE = {
    "sum": lambda a, b: a + b,
    "join": lambda a, b: xr.align(a, b, join="inner")[0],
    "outer": lambda a, b: xr.align(a, b, join="outer")[1],
    "exact": lambda a, b: xr.align(a, b, join="exact")[0],
    "where": lambda a, b: a.where(b >= 0),
    "reindex_like": lambda a, b: a.reindex_like(b),
    "Dataset": lambda a, b: xr.Dataset({"a": a, "b": b}).b,
    # by its defaults, xarray's concat compares coordinates bit by bit, and raises
    "concat": lambda a, b: xr.concat([a, b], "t", coords="minimal", compat="override").isel(t=1),
}


@pytest.mark.parametrize("how", COMBINE)
@given(spacing=SPACINGS, origin=ORIGINS, data=st.data())
def test_noise_does_not_part_two_grids(
    how: str, spacing: float, origin: float, data: st.DataObject
) -> None:
    one = volume(20, spacing, origin)
    noise = data.draw(st.sampled_from([0.0, 1e-7, -1e-7, 4e-7]))
    same = moved(one, one.z.values + noise * spacing)
    in_mm = moved(one, one.z.values / 1000, "millimeter")
    for other in (same, in_mm):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = COMBINE[how](one, other)
        assert result.sizes["z"] == 20
        assert not np.isnan(result.values.astype(float)).any()
        if how not in ("reindex_like", "outer"):
            np.testing.assert_array_equal(result.z.values, one.z.values)


def test_the_unit_of_the_first_is_kept() -> None:
    one = volume(20, 100.0)
    in_mm = moved(one, one.z.values / 1000, "mm")
    both = xr.concat([one[:10], in_mm[10:]], "z")
    assert both.z.values.tolist() == one.z.values.tolist()
    assert both.sel(z="1.5 mm").item() == 15
    assert (in_mm + one).sel(z="1.5 mm").item() == 30
    assert (in_mm + one).z.values.tolist() == in_mm.z.values.tolist()


# --- grids that really differ -----------------------------------------------------------


@pytest.mark.parametrize("how", ["sum", "join", "where", "reindex_like", "Dataset.sum"])
def test_nothing_in_common_is_an_error(how: str) -> None:
    one, other = volume(20), moved(volume(20), np.arange(20) * 100.0 + 50)
    act = COMBINE.get(how, lambda a, b: xr.Dataset({"a": a}) + xr.Dataset({"a": b}))
    message = (
        r"share no position along 'z': 20 positions, 0 to 1900 µm in steps of 100 (and|against) "
        "20 positions, 50 to 1950"
    )
    with pytest.raises(brainxr.GeometryError, match=message):
        act(one, other)


@pytest.mark.parametrize("shift", [50, 0.01])
def test_a_union_of_two_grids_is_an_error(shift: float) -> None:
    one, other = volume(20), moved(volume(20), np.arange(20) * 100.0 + shift)
    with pytest.raises(brainxr.GeometryError, match="on different grids along 'z': 20 positions"):
        xr.align(one, other, join="outer")


def test_a_common_part_is_told_with_its_size() -> None:
    one = volume(20)
    with pytest.warns(brainxr.AlignmentWarning, match="share 5 positions along 'z' of 10 and 12"):
        both = one[:10] + one[5:17]
    assert both.z.values.tolist() == [500, 600, 700, 800, 900]
    with pytest.warns(brainxr.AlignmentWarning, match="share 10 positions"):
        assert (one + one[::2]).sizes["z"] == 10
    # a union that continues one grid is what was asked for
    assert xr.align(one[:10], one[5:17], join="outer")[0].sizes["z"] == 17


def test_a_grid_in_another_unit_that_is_not_told() -> None:
    """The index of an assigned coordinate knows no unit: 1900 µm beside 1.9 of anything."""
    one = volume(20)
    plain = one.assign_coords(z=one.z.values / 1000)
    with pytest.raises(brainxr.GeometryError, match="share one position only"):
        one - plain


def test_parts_that_would_lie_on_each_other() -> None:
    one = volume(3)
    with pytest.raises(brainxr.GeometryError, match=r"share positions along 'z'.*open\(\[part_1"):
        xr.concat([one, one], "z")


def test_what_measures_another_thing() -> None:
    one = volume(3)
    seconds = moved(one, np.arange(3.0), "second")
    with pytest.raises(brainxr.GeometryError, match="measure different things"):
        one + seconds[:2]


def test_texts_as_new_labels_are_refused() -> None:
    one = volume()
    for act in (lambda: one.reindex(z=["0.5 mm"]), lambda: one.reindex(z=np.array(["1 cm"]))):
        with pytest.raises(brainxr.LengthError, match=r"are texts .*\.brain\.reindex\(z="):
            act()


# --- labels that find nothing -------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "method", "message"),
    [
        (62, None, r"no 62 µm along 'z': it has 189 positions, 0 to 188000 µm in steps of 1000, "
                   r"and the nearest is 0 µm\. Plain numbers are in µm; for 62 mm write '62 mm'"),
        ([1000, 62], None, "no 62 µm"),
        ("62.2 mm", None, "no 62200 µm .* the nearest is 62000 µm"),
        ("300 mm", "nearest", "no 300000 µm along 'z'.*found by method='nearest', within"),
        (188_501, "nearest", "no 188501 µm"),
        (-501, "pad", "no -501 µm"),
    ],
)  # fmt: skip
def test_a_position_that_is_not_there(label: Any, method: Any, message: str) -> None:
    head = volume(189, 1000.0)
    with pytest.raises(brainxr.PositionError, match=message) as caught:
        head.sel(z=label, method=method)
    assert isinstance(caught.value, KeyError | ValueError)
    assert "\\n" not in str(caught.value)


def test_the_outer_half_voxel_belongs_to_the_volume() -> None:
    head = volume(189, 1000.0)
    assert head.sel(z=188_499, method="nearest").item() == 188
    assert head.sel(z="-0.499 mm", method="nearest").item() == 0


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (slice(60, 64), r"between 60 and 64 µm .* For millimetres write slice\('60 mm', '64 mm'\)"),
        (slice("30 cm", None), "between 300000 and the last µm along 'z': it has 189 positions"),
        (slice(5000, 1000), r"It rises, so write slice\(1000, 5000\)"),
    ],
)
def test_an_empty_range_is_told_once(part: slice, message: str) -> None:
    head = volume(189, 1000.0)
    with pytest.warns(brainxr.EmptySelectionWarning, match=message) as caught:
        assert head.sel(z=part).size == 0
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_an_empty_range_of_a_falling_axis() -> None:
    falling = volume(189, 1000.0)[::-1]
    with pytest.warns(brainxr.EmptySelectionWarning, match=r"It falls, so write slice\(5000, 1000"):
        assert falling.sel(z=slice(1000, 5000)).size == 0
