"""The laws of geometry: grids become coordinates, coordinates become the same grids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import xarray as xr
from hypothesis import assume, given

from brainxr import GeometryError
from brainxr.geometry.grid import Lattice, VoxelGrid, spatial_dims

SPACINGS = st.floats(1e-3, 1e5)
ORIGINS = st.floats(-1e7, 1e7)


@st.composite
def grids(draw: st.DrawFn) -> VoxelGrid:
    shape = {dim: draw(st.integers(1, 50), dim) for dim in "zyx"}
    spacing = {dim: draw(SPACINGS) for dim in "zyx"}
    origin = {dim: draw(ORIGINS) for dim in "zyx"}
    # positions that floating-point numbers can tell apart
    assume(all(abs(origin[d]) < 1e9 * spacing[d] for d in "zyx"))
    return VoxelGrid(shape, spacing, origin)


def volume_on(grid: VoxelGrid) -> xr.DataArray:
    return xr.DataArray(np.zeros(list(grid.shape.values())), grid.coordinates(), list(grid.shape))


def assert_same(found: VoxelGrid, expected: VoxelGrid) -> None:
    assert found.shape == expected.shape
    for dim in expected.shape:
        step = abs(expected.spacing[dim])
        assert found.spacing[dim] == pytest.approx(expected.spacing[dim], rel=1e-6)
        assert found.origin[dim] == pytest.approx(expected.origin[dim], abs=1e-6 * step)


@given(grids())
def test_grid_to_coordinates_to_grid(grid: VoxelGrid) -> None:
    assert_same(VoxelGrid.of(volume_on(grid)), grid)


@given(grids(), st.data())
def test_slices_keep_or_multiply_the_spacing(grid: VoxelGrid, data: st.DataObject) -> None:
    volume = volume_on(grid)
    start = data.draw(st.integers(0, grid.shape["z"] - 1), "start")
    step = data.draw(st.integers(1, 9), "step") * data.draw(st.sampled_from([1, -1]), "sign")
    part = volume.isel(z=slice(start, None, step))
    assume(part.sizes["z"] > 1)
    origin = grid.origin["z"] + start * grid.spacing["z"]
    expected = VoxelGrid(
        {**grid.shape, "z": part.sizes["z"]},
        {**grid.spacing, "z": step * grid.spacing["z"]},
        {**grid.origin, "z": origin},
    )
    assert_same(VoxelGrid.of(part), expected)


@given(grids(), st.data())
def test_one_slice_and_a_scalar_keep_the_spacing(grid: VoxelGrid, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, grid.shape["y"] - 1), "place")
    volume = volume_on(grid)
    for part in (volume.isel(y=[place]), volume.isel(y=place)):
        lattice = Lattice.of(part.y)
        assert lattice.step == pytest.approx(grid.spacing["y"])
        assert lattice.start == float(volume.y[place])


@given(grids(), st.sampled_from(["millimeter", "nm", "cm", "micron"]))
def test_any_unit_of_length(grid: VoxelGrid, unit: str) -> None:
    per_um = {"millimeter": 1e-3, "nm": 1e3, "cm": 1e-4, "micron": 1.0}[unit]
    volume = volume_on(grid)
    for dim in "zyx":
        attrs = {"units": unit, "spacing": volume[dim].attrs["spacing"] * per_um}
        volume = volume.assign_coords({dim: (dim, volume[dim].values * per_um, attrs)})
    assert_same(VoxelGrid.of(volume), grid)


@given(SPACINGS, st.lists(st.integers(0, 300), min_size=2, max_size=20, unique=True))
def test_gaps(spacing: float, numbers: list[int]) -> None:
    numbers = sorted(numbers)
    steps = np.diff(numbers)
    lattice = Lattice.of(axis(np.array(numbers) * spacing, spacing=spacing))
    even, smallest = len(set(steps)) == 1, (steps % steps.min() == 0).all()
    step = steps[0] if even else steps.min() if smallest else 1
    assert lattice.step == pytest.approx(step * spacing)
    assert lattice.k.tolist() == [(n - numbers[0]) // step for n in numbers]
    assert lattice.has_gaps == (not even)


def axis(values: Sequence[float] | np.ndarray | float, **attrs: Any) -> xr.DataArray:
    attrs = {"units": "micrometer"} | attrs
    return xr.DataArray(values, dims=("z",)[: np.ndim(values)], name="z", attrs=attrs)


def test_extent_is_outer_edges() -> None:
    grid = VoxelGrid({"z": 3, "x": 2}, {"z": 100.0, "x": -10.0}, {"z": 50.0, "x": 0.0})
    assert grid.extent == {"z": (0.0, 300.0), "x": (5.0, -15.0)}


@pytest.mark.parametrize(
    ("values", "attrs", "message"),
    [
        ([0, 1, 2], {"units": None}, r"'z' has no unit.*attrs\['units'\] = 'micrometer'"),
        ([0, 1, 2], {"units": "second"}, "'z' is in 'second', which is not a length"),
        ([0, 1, 2], {"units": "pixel"}, "'z' is in 'pixel', which is not a length"),
        ([], {}, r"nothing along 'z': the selection is empty, .* at least.*vol\['z'\] tells"),
        ([7], {}, r"One position along 'z' doesn't tell .*attrs\['spacing'\] = 100"),
        (7, {}, "One position along 'z'"),
        ([0, 1, 2.5], {}, r"not evenly spaced: 0\.0, 1\.0, 2\.5 µm\. .*\.interp\(z="),
        ([0, 1, 2.02], {}, "not evenly spaced"),
        ([0, 2, 1], {}, "not evenly spaced"),
        ([0, 0, 0], {}, "not evenly spaced"),
        ([0, 1, 1], {}, "not evenly spaced"),
        ([0, np.nan, 2], {}, "not all finite"),
        ([np.nan], {"spacing": 1}, "not all finite"),
        ([7], {"spacing": 0}, "'spacing' of 'z' is 0; it has to be a number above zero"),
        ([7], {"spacing": np.nan}, "'spacing' of 'z' is nan; it has to be"),
        ([7], {"spacing": "thin"}, "'spacing' of 'z' is 'thin'; it has to be"),
    ],
)
def test_what_has_no_place(values: Any, attrs: Any, message: str) -> None:
    with pytest.raises(GeometryError, match=message):
        Lattice.of(axis(values, **attrs))


def test_gaps_are_no_grid() -> None:
    data = xr.DataArray(np.zeros(4), {"z": axis([0, 100, 300, 600])}, ["z"])
    with pytest.raises(GeometryError, match=r"3 positions are missing along 'z'.*missing='fill'"):
        VoxelGrid.of(data)


def test_long_axes_of_rounded_positions_are_regular() -> None:
    """What a file keeps of 5,000 positions in single precision is still one grid."""
    values = (np.arange(5000) * 0.1 + 7).astype("f4")
    assert Lattice.of(axis(values, units="mm")).step == pytest.approx(100, rel=1e-5)


def test_spatial_dims() -> None:
    data = xr.DataArray(np.zeros((2, 3, 4)), dims=("x", "t", "z")).assign_coords(y=5.0)
    assert spatial_dims(data) == ["z", "y", "x"]
    assert spatial_dims(data.isel(t=0, x=0).drop_vars("y")) == ["z"]
