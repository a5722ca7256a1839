"""`.sel` in physical units: every grid point is found, and nothing else is."""

from __future__ import annotations

import pickle
from fractions import Fraction
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pint
import pytest
import xarray as xr
from hypothesis import given
from xarray.indexes import PandasIndex

from brainxr import EmptySelectionWarning, GeometryError, LengthError
from brainxr.geometry.grid import VoxelGrid
from brainxr.geometry.index import UnitIndex

PER_UM = {"nm": 1000, "um": 1, "µm": 1, "mm": Fraction(1, 1000), "cm": Fraction(1, 10_000),
          "m": Fraction(1, 1_000_000)}  # fmt: skip


def volume(n: int = 20, spacing: float = 100.0, origin: float = 0.0) -> xr.DataArray:
    grid = VoxelGrid({"z": n}, {"z": spacing}, {"z": origin})
    return xr.DataArray(np.arange(n), grid.coordinates(), ["z"])


def in_unit(values: np.ndarray, unit: str) -> xr.DataArray:
    coordinate = xr.Variable("z", values, {"units": unit})
    return xr.DataArray(np.arange(values.size), {"z": coordinate}, ["z"]).drop_indexes(
        "z").set_xindex("z", UnitIndex)  # fmt: skip


def written(exact: Fraction, unit: str) -> str:
    """A number of µm as a person or a program writes it in a unit, rounded only in print."""
    return f"{float(exact * PER_UM[unit])!r} {unit}"


# Spacings and origins that people have: decimal numbers of µm.
DECIMALS = st.integers(1, 10**7).map(lambda n: Fraction(n, 1000))
PLACES = st.builds(lambda n: Fraction(n, 100), st.integers(-(10**8), 10**8))


@given(spacing=DECIMALS, origin=PLACES, k=st.integers(0, 1999), unit=st.sampled_from(list(PER_UM)))
def test_every_grid_point_is_found(spacing: Any, origin: Any, k: int, unit: str) -> None:
    data = volume(2000, float(spacing), float(origin))
    point = origin + k * spacing
    text = written(point, unit)
    number, _, name = text.partition(" ")
    quantity = pint.Quantity(float(number), name)
    for label in (text, quantity, float(point)):
        assert data.sel(z=label).item() == k
        assert data.sel(z=[label]).item() == k
        assert data.sel(z=label, method="nearest").item() == k
        assert data.sel(z=label, method="pad").item() == k
        assert data.sel(z=label, method="backfill").item() == k
        assert data.sel(z=label, method="nearest", tolerance=0).item() == k
    assert data[::-1].sel(z=text).item() == k


@given(
    spacing=DECIMALS, origin=PLACES, unit=st.sampled_from(list(PER_UM)),
    ends=st.tuples(st.integers(0, 499), st.integers(0, 499)).map(sorted),
)  # fmt: skip
def test_no_slice_loses_an_end(spacing: Any, origin: Any, unit: str, ends: list[int]) -> None:
    data = volume(500, float(spacing), float(origin))
    low, high = ends
    start, stop = (written(origin + k * spacing, unit) for k in ends)
    assert data.sel(z=slice(start, stop)).values.tolist() == list(range(low, high + 1))
    assert data.sel(z=slice(None, stop)).values.tolist() == list(range(high + 1))
    assert data.sel(z=slice(start, None)).values.tolist() == list(range(low, 500))
    falling = data[::-1].sel(z=slice(stop, start)).values.tolist()
    assert falling == list(range(high, low - 1, -1))


def test_the_example_of_the_manual() -> None:
    assert volume(1000).sel(z="12.3 mm").z.item() == 12300.0
    thirds = volume(100, 0.1)
    assert thirds.sel(z="0.3 um").item() == 3
    assert thirds.sel(z=slice("0.3 um", "0.7 um")).values.tolist() == [3, 4, 5, 6, 7]


def test_slices_of_all_kinds() -> None:
    data = volume()
    for part in (
        slice("0.5 mm", "0.9 mm"), slice(500, "0.9 mm"), slice(pint.Quantity("500 um"), 900.0),
        slice("450 um", "0.999 mm"), slice("500000 nm", "0.09 cm"),
    ):  # fmt: skip
        assert data.sel(z=part).values.tolist() == [5, 6, 7, 8, 9]
    assert data.sel(z=slice("0.5 mm", "0.9 mm", 2)).values.tolist() == [5, 7, 9]
    assert data.sel(z=slice(None)).size == 20
    for nothing in (slice("-3 m", "-1 mm"), slice("0.9 mm", "0.5 mm")):
        with pytest.warns(EmptySelectionWarning, match="Nothing lies between"):
            assert data.sel(z=nothing).size == 0


def test_lists_arrays_and_labelled_labels() -> None:
    data = volume()
    for label in (["0.5 mm", 300], [pint.Quantity("0.5 mm"), "300 µm"],
                  np.array(["0.5 mm", "300um"]),
                  pint.Quantity([0.5, 0.3], "mm"), np.array([500, 300]), (500.0, 300)):  # fmt: skip
        assert data.sel(z=label).values.tolist() == [5, 3]
    texts = xr.DataArray([["0.5 mm"], ["300 um"]], dims=("a", "b"))
    assert data.sel(z=texts).dims == ("a", "b")
    assert data.sel(z=texts).values.tolist() == [[5], [3]]
    metric = xr.DataArray([0.5, 0.3], dims="p", attrs={"units": "mm"})
    assert data.sel(z=metric).values.tolist() == [5, 3]
    assert data.sel(z=xr.Variable("p", [500, 300])).values.tolist() == [5, 3]
    assert data.sel(z=data.z[3:5]).values.tolist() == [3, 4]
    assert data.sel(z=np.arange(20) % 7 == 0).values.tolist() == [0, 7, 14]
    assert data.loc["0.5 mm"].item() == 5
    assert data.loc["0.5 mm":"0.7 mm"].values.tolist() == [5, 6, 7]
    assert data.drop_sel(z=[500.0]).size == 19


def test_nearest_and_tolerance() -> None:
    data = volume()
    assert data.sel(z="0.54 mm", method="nearest").item() == 5
    assert data.sel(z=["0.54 mm", 560], method="nearest").values.tolist() == [5, 6]
    assert data.sel(z="0.54 mm", method="nearest", tolerance="50 µm").item() == 5
    assert data.sel(z="0.54 mm", method="nearest", tolerance=pint.Quantity("0.04 mm")).item() == 5
    for tolerance in ("39 µm", 39, "0.0039 cm"):
        with pytest.raises(KeyError):
            data.sel(z="0.54 mm", method="nearest", tolerance=tolerance)
    with pytest.raises(KeyError):
        data.sel(z="0.54 mm")
    with pytest.raises(KeyError):
        data.sel(z="5 m")
    with pytest.raises(LengthError, match="'1 kg' is no length"):
        data.sel(z=500, method="nearest", tolerance="1 kg")


def test_noise_is_not_distance() -> None:
    """A thousandth of a voxel is a place between two, and not a rounding error."""
    with pytest.raises(KeyError):
        volume().sel(z=500.1)
    with pytest.raises(KeyError):
        volume(origin=1e6).sel(z="1000.1001 mm")


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("5 kg", "'5 kg' is no length: it can't be expressed in micrometer"),
        ("5 mn", "'5 mn' can't be read as a quantity"),
        ("5", "'5' has no unit. Write for example '5 mm'"),
        ("5,5 mm", "can't be read as a quantity"),
        (pint.Quantity("5 s"), "'5 second' is no length"),
    ],
)
@pytest.mark.parametrize(
    "place", [lambda v: v, lambda v: [0, v], lambda v: slice(v, None), lambda v: slice(0, v)]
)
@pytest.mark.parametrize("method", [None, "nearest"])
def test_what_is_no_length(label: Any, message: str, place: Any, method: Any) -> None:
    if method and isinstance(place(label), slice):
        method = None  # xarray refuses a method for slices by itself
    with pytest.raises(LengthError, match=message):
        volume().sel(z=place(label), method=method)


@pytest.mark.parametrize("unit", ["mm", "cm", "nanometer", "inch"])
def test_coordinates_in_another_unit(unit: str) -> None:
    values = np.arange(20) * 0.1
    data = in_unit(values, unit)
    assert data.sel(z=f"1.3 {unit}").item() == 13
    assert data.sel(z=1.3).item() == 13  # a plain number is in the coordinate's unit
    quantity = pint.Quantity(0.7, unit).to("um")
    assert data.sel(z=quantity).item() == 7
    assert data.sel(z=slice(quantity, None)).values[0] == 7
    tolerance = pint.Quantity(0.04, unit).to("km")
    assert data.sel(z=0.73, method="nearest", tolerance=tolerance).item() == 7


def test_other_quantities_than_lengths() -> None:
    data = in_unit(np.arange(5) * 0.5, "second")
    assert data.sel(z="1500 ms").item() == 3
    with pytest.raises(LengthError, match="'5 mm' is no time: it can't be expressed in second"):
        data.sel(z="5 mm")


def test_foreign_registries() -> None:
    for registry in (pint.UnitRegistry(), pint.UnitRegistry(cache_folder=None)):
        assert volume().sel(z=registry.Quantity(0.5, "mm")).item() == 5


def test_beside_coordinates_without_a_unit_numbers_are_numbers() -> None:
    microns = volume(3)
    plain = microns.drop_indexes("z").set_xindex("z")
    xr.testing.assert_equal(microns + plain, plain * 2)
    assert xr.concat([microns, plain.assign_coords(z=plain.z + 300)], "z").sizes == {"z": 6}


def test_a_coordinate_without_unit_is_refused() -> None:
    data = xr.DataArray([1, 2], {"z": [0.0, 1.0]}, ["z"]).drop_indexes("z")
    with pytest.raises(GeometryError, match=r"'z' has no 'units'.*attrs\['units'\] = 'micrometer'"):
        data.set_xindex("z", UnitIndex)


def test_odd_axes() -> None:
    assert volume(0).sel(z=slice("1 mm", None)).size == 0
    with pytest.raises(KeyError):
        volume(0).sel(z="1 mm")
    assert volume(1, origin=300).sel(z="0.3 mm").item() == 0
    assert volume(1, origin=300).sel(z="0.4 mm", method="nearest").item() == 0
    shuffled = volume()[[4, 2, 9]]
    assert shuffled.sel(z=["0.9 mm", "0.4 mm"]).values.tolist() == [9, 4]
    whole = in_unit(np.arange(5), "um")  # whole numbers, not floats
    assert whole.sel(z="3 um").item() == 3
    assert whole.sel(z=slice("0.001 mm", "0.003 mm")).values.tolist() == [1, 2, 3]


def test_remains_an_index_of_xarray() -> None:
    data = volume()
    for index in (
        data.xindexes["z"], pickle.loads(pickle.dumps(data)).xindexes["z"],
        data[::2].xindexes["z"], data.rename(z="depth").xindexes["depth"],
        data.roll(z=2, roll_coords=True).xindexes["z"], data.copy(deep=True).xindexes["z"],
    ):  # fmt: skip
        assert type(index) is UnitIndex
        assert index.units == "micrometer"
        assert isinstance(index, PandasIndex)
    assert "units='micrometer'" in repr(data.xindexes["z"])
    assert data.indexes["z"].tolist() == data.z.values.tolist()
    assert data.to_series().index.name == "z"
