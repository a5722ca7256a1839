"""``.brain`` on DataArrays that brainxr opened, and on others."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import numpy as np
import pytest
import xarray as xr
from conftest import MadeStack

import brainxr
from brainxr.geometry.index import UnitIndex


@pytest.fixture
def vol(stack: MadeStack) -> xr.DataArray:
    return brainxr.open(stack.path, spacing={"z": 100, "y": 50, "x": 25})


def test_sel_on_what_xarray_has_indexed_anew(vol: xr.DataArray) -> None:
    half = vol.coarsen(y=2, x=2, boundary="trim").mean()
    found = half.brain.sel(y="125 um", x=slice("12.5 µm", "0.0625 mm"))
    xr.testing.assert_identical(found.drop_indexes("x"), half[:, 1, :2].drop_indexes("x"))


def test_sel_takes_what_xarrays_does(vol: xr.DataArray) -> None:
    nearest = vol.brain.sel({"z": "0.24 mm"}, method="nearest", tolerance="50 µm", drop=True)
    xr.testing.assert_identical(nearest, vol[2].drop_vars("z"))
    with pytest.raises(KeyError):
        vol.brain.sel(z="0.24 mm", method="nearest", tolerance="10 µm")


def test_sel_in_the_coordinates_own_unit() -> None:
    times = xr.DataArray(np.arange(4), {"t": ("t", [0.0, 0.5, 1.0, 1.5], {"units": "s"})})
    assert times.brain.sel(t="500 ms").item() == 1
    with pytest.raises(brainxr.LengthError, match="is no time"):
        times.brain.sel(t="5 mm")


def test_sel_needs_a_unit() -> None:
    bare = xr.DataArray(np.arange(4), {"z": np.arange(4)})
    with pytest.raises(brainxr.GeometryError, match="no 'units' attribute"):
        bare.brain.sel(z="5 mm")


def test_unit_index_after_a_file(vol: xr.DataArray, tmp_path) -> None:
    vol.to_netcdf(tmp_path / "vol.nc")
    with xr.open_dataarray(tmp_path / "vol.nc") as plain:
        again = plain.brain.with_unit_index()
        assert isinstance(again.xindexes["z"], UnitIndex)
        xr.testing.assert_equal(again.sel(z="0.2 mm"), vol.sel(z="0.2 mm"))


def test_grid(vol: xr.DataArray) -> None:
    grid = vol[1:, ::-2].brain.grid
    assert grid.spacing == {"z": 100, "y": -100, "x": 25}
    assert grid.origin == {"z": 100, "y": 300, "x": 0}
    assert grid.extent["x"] == (-12.5, 262.5)


def test_pictures_and_viewer_are_reached(vol: xr.DataArray) -> None:
    from matplotlib import pyplot as plt
    from matplotlib.figure import Figure

    assert isinstance(vol.brain.plot_planes(at={"z": "0.2 mm"}), Figure)
    assert isinstance(vol.brain.montage("y", n=3), Figure)
    plt.close("all")


VERBS = {
    "view": "brainxr.viewing.viewer.view",
    "plot": "brainxr.pictures.selection.plot",
    "plot_planes": "brainxr.pictures.plot.plot_planes",
    "montage": "brainxr.pictures.plot.montage",
    "movie": "brainxr.pictures.movies.movie",
    "screenshot": "brainxr.viewing.screenshots.screenshot",
    "to_ome_zarr": "brainxr.writing.convert.to_ome_zarr",
    "to_tiff": "brainxr.writing.tiffstack.to_tiff",
    "to_nifti": "brainxr.writing.niftiwriter.to_nifti",
    "build_levels": "brainxr.writing.convert.build_levels",
}


@pytest.mark.parametrize("name", list(VERBS))
def test_every_argument_reaches_the_function(name: str, vol: xr.DataArray, monkeypatch) -> None:
    module, _, function = VERBS[name].rpartition(".")
    target = inspect.signature(getattr(importlib.import_module(module), function))
    given: dict[str, Any] = {}
    monkeypatch.setattr(VERBS[name], lambda *a, **k: given.update(target.bind(*a, **k).arguments))
    named = {
        parameter: object()
        for parameter, about in inspect.signature(getattr(vol.brain, name)).parameters.items()
        if about.kind is not inspect.Parameter.VAR_KEYWORD
    }
    getattr(vol.brain, name)(**named)
    data, *_ = given
    assert given.pop(data) is vol
    assert given == named
    assert set(named) == set(target.parameters) - {data, "layer_kwargs", "kwargs"}
