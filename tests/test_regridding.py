"""Verbs that keep index, unit, spacing and dtype; and volumes made of any array."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pint
import pytest
import xarray as xr
from conftest import MadeStack
from hypothesis import given
from hypothesis import strategies as st

import brainxr
from brainxr.geometry.grid import VoxelGrid

SPACING = {"z": 50.0, "y": 20.0, "x": 10.0}


@pytest.fixture
def volume(make_stack: Any) -> xr.DataArray:
    made: MadeStack = make_stack((8, 6, 10))
    return brainxr.open(made.path, spacing=SPACING, origin={"z": 1000})


def test_coarsen_keeps_what_a_volume_has(volume: xr.DataArray) -> None:
    half = volume.brain.coarsen(z=2, x=5)
    mean = volume.values.reshape(4, 2, 6, 2, 5).astype(float).mean((1, 4))
    np.testing.assert_array_equal(half.values, np.rint(mean).astype("u2"))
    assert half.dtype == volume.dtype
    assert half.z.values.tolist() == [1025, 1125, 1225, 1325]
    assert half.z.attrs == {"units": "micrometer", "spacing": 100}
    assert half.y.attrs == volume.y.attrs
    assert half.sel(z="1.125 mm").z.item() == 1125
    assert VoxelGrid.of(half[1:2]).spacing == {"z": 100, "y": 20, "x": 50}
    with pytest.raises(brainxr.LengthError):
        half.sel(z="6 kg")


def test_other_reductions(volume: xr.DataArray) -> None:
    blocks = volume.values.reshape(4, 2, 6, 10)
    np.testing.assert_array_equal(volume.brain.coarsen({"z": 2}, method="max"), blocks.max(1))
    total = volume.brain.coarsen(z=2, method="sum")
    np.testing.assert_array_equal(total, blocks.sum(1))
    with pytest.raises(ValueError, match="method='average' is not a reduction"):
        volume.brain.coarsen(z=2, method="average")
    trimmed = volume.brain.coarsen(z=3, boundary="trim")
    assert trimmed.z.values.tolist() == [1050, 1200]


@pytest.mark.parametrize("factor", [2, 4])
def test_a_thickness_is_not_stale(volume: xr.DataArray, factor: int) -> None:
    """xarray's own coarsen keeps the attribute of the fine grid."""
    plane = volume.coarsen(z=factor).mean().isel(z=1)
    with pytest.raises(brainxr.GeometryError, match=r"not on the grid .*\.brain\.coarsen"):
        VoxelGrid.of(plane.expand_dims("z"))
    kept = volume.brain.coarsen(z=factor).isel(z=1)
    assert VoxelGrid.of(kept.expand_dims("z")).spacing["z"] == 50 * factor


def test_interp_takes_lengths(volume: xr.DataArray) -> None:
    for places in (["1.075 mm", "1.1 mm"], pint.Quantity([1.075, 1.1], "mm"), [1075.0, 1100.0]):
        found = volume.brain.interp(z=places)
        expected = volume.astype(float).interp(z=[1075.0, 1100.0])
        np.testing.assert_array_equal(found.values, np.rint(expected.values).astype("u2"))
        assert found.sel(z="1.1 mm").z.item() == 1100
        assert found.z.attrs["spacing"] == 50
    plane = volume.brain.interp(z="1.075 mm", method="nearest")
    assert plane.dims == ("y", "x")
    assert VoxelGrid.of(plane.expand_dims("z")).spacing["z"] == 50
    like = volume[:, ::2].z[:3] + 10
    assert volume.brain.interp(z=like.assign_attrs(units="micrometer")).sizes["z"] == 3


@pytest.mark.parametrize("places", [[62], "300 mm", [1000, 1351]])
def test_interp_outside(volume: xr.DataArray, places: Any) -> None:
    with pytest.raises(brainxr.PositionError, match="lies outside of 'z', whose voxel centres go"):
        volume.brain.interp(z=places)


def test_reindex_takes_lengths(volume: xr.DataArray) -> None:
    found = volume.brain.reindex(z=["1.05 mm", "9 mm"], fill_value=7)
    np.testing.assert_array_equal(found[0], volume.values[1])
    assert (found[1] == 7).all()
    assert found.dtype == volume.dtype
    assert found.sel(z="9 mm").z.item() == 9000
    assert np.isnan(volume.brain.reindex(z=pint.Quantity([1.0, 9.0], "mm"))[1].values).all()
    with pytest.raises(brainxr.GeometryError, match="share no position along 'z'"):
        volume.brain.reindex(z="9 mm")


def test_units(volume: xr.DataArray) -> None:
    metric = volume.brain.to("mm")
    assert metric.z.values.tolist() == [1 + 0.05 * i for i in range(8)]
    assert metric.x.attrs == {"units": "millimeter", "spacing": 0.01}
    assert metric.sel(z=1.05, x="30 µm").z.item() == 1.05
    back = metric.brain.to("µm")
    xr.testing.assert_identical(back, volume)
    assert VoxelGrid.of(metric) == VoxelGrid.of(volume)
    with pytest.raises(brainxr.GeometryError, match="'kg' is not a unit of length"):
        volume.brain.to("kg")


def test_a_volume_of_any_array() -> None:
    values = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    for array in (values, da.from_array(values, chunks=1), xr.DataArray(values, dims=list("zyx"))):
        made = brainxr.volume(
            array, spacing={"z": "0.1 mm", "y": 20, "x": 10}, origin={"y": "5 µm"}
        )
        np.testing.assert_array_equal(made.values, values)
        assert made.sel(z="100 µm", y="25 um").x.size == 4
        assert made.brain.grid.origin == {"z": 0, "y": 5, "x": 0}
        assert (made.chunks is None) == (not isinstance(array, da.Array))
    plane = brainxr.volume(values[0], spacing="50 nm", name="a")
    assert (plane.dims, plane.name, float(plane.x[1])) == (("y", "x"), "a", 0.05)
    other = brainxr.volume(values[0] > 3, like=plane)
    xr.testing.assert_identical(other.x, plane.x)
    channels = brainxr.volume(values, dims=("c", "y", "x"), spacing=1)
    assert channels.dims == ("c", "y", "x")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"spacing along z, y, x is not known.*brainxr\.volume\(array, spacing="),
        ({"spacing": {"z": 1, "y": 2}}, "spacing along x is not known"),
        ({"spacing": 0}, r"spacing\['z'\] is 0 µm; a distance is more than zero"),
        ({"spacing": {"w": 1}}, "spacing has the axis 'w'; the axes are z, y and x, for ex"),
        ({"spacing": "5 kg"}, "spacing"),
        ({"like": brainxr.volume(np.zeros((2, 3, 5)), spacing=1)}, "4 voxels along 'x', .* has 5"),
    ],
)  # fmt: skip
def test_what_makes_no_volume(options: Any, message: str) -> None:
    with pytest.raises(brainxr.GeometryError, match=message):
        brainxr.volume(np.zeros((2, 3, 4)), **options)


def test_the_advice_works_when_it_is_pasted() -> None:
    data = xr.DataArray(np.zeros((2, 3, 4)), dims=["z", "y", "x"])
    with pytest.raises(brainxr.GeometryError) as caught:
        _ = data.brain.grid
    start = str(caught.value).index("data = ")
    call = str(caught.value)[start : str(caught.value).index(", or, where")]
    names = {"data": data, "brainxr": brainxr}
    exec(call, names)
    assert names["data"].brain.grid.spacing == {"z": 100, "y": 25, "x": 25}
    placed = data.assign_coords({d: np.arange(n) * 5.0 for d, n in data.sizes.items()})
    for _ in data.dims:
        with pytest.raises(brainxr.GeometryError) as caught:
            _ = placed.brain.grid
        exec(str(caught.value).split("positions, ")[1].rstrip("."), {"data": placed})
    assert placed.brain.grid.spacing == {"z": 5, "y": 5, "x": 5}


VERBS = {
    "coarsen": lambda v: v.brain.coarsen(z=2, boundary="trim"),
    "interp": lambda v: v.brain.interp(z=v.z.values[:-1] + 0.25 * float(v.z[1] - v.z[0])),
    "reindex": lambda v: v.brain.reindex(z=v.z.values[1:]),
    "mm": lambda v: v.brain.to("mm"),
    "µm": lambda v: v.brain.to("µm"),
    "isel": lambda v: v.isel(z=slice(1, None)),
    "reverse": lambda v: v[::-1][::-1],
    "stride": lambda v: v.isel(z=slice(None, None, 2)),
    "arithmetic": lambda v: v * 2 + 1,
    "roll": lambda v: v.roll(x=1),
    "rolling": lambda v: v.rolling(z=2, min_periods=1).mean(),
    "sort": lambda v: v.sortby("z"),
    "concat": lambda v: xr.concat([v.isel(z=slice(2)), v.isel(z=slice(2, None))], "z"),
    "where": lambda v: v.where(v > 3),
    "transpose": lambda v: v.transpose("x", "z", "y"),
}


@given(names=st.lists(st.sampled_from(sorted(VERBS)), max_size=3), data=st.data())
def test_a_length_finds_the_plane_that_lies_there(names: list[str], data: st.DataObject) -> None:
    volume = brainxr.volume(np.arange(24.0 * 12).reshape(24, 3, 4), spacing=SPACING)
    for name in names:
        volume = VERBS[name](volume)
    k = data.draw(st.integers(0, volume.sizes["z"] - 1))
    micrometers = float(volume.z[k]) * (1000 if volume.z.attrs["units"] == "millimeter" else 1)
    for label in (f"{micrometers!r} um", pint.Quantity(micrometers / 1000, "mm")):
        xr.testing.assert_equal(volume.sel(z=label), volume.isel(z=k))
    with pytest.raises(brainxr.LengthError):
        volume.sel(z=slice("6 kg", "8 kg"))
