"""What xarray wrote comes back as it was: netCDF and Zarr, lazily, with units."""

from __future__ import annotations

import os
import pickle
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from conftest import ByteCounter, unique_values

import brainxr
from brainxr.errors import VolumeError
from brainxr.geometry.index import UnitIndex
from brainxr.stores.datasetsource import DatasetSource
from brainxr.stores.storesource import StoreSource

FORMS = ["a.nc", "a.zarr"]


def volume(dtype: Any = "u2", unit: str = "micrometer", **others: int) -> xr.DataArray:
    shape = (*others.values(), 11, 7, 5)
    dims = (*others, "z", "y", "x")
    coords: dict[str, Any] = {
        dim: (dim, 50 + step * np.arange(n), {"units": unit, "spacing": float(step)})
        for dim, step, n in zip("zyx", (30, 20, 10), shape[-3:], strict=True)
    }
    coords["file"] = ("z", [f"slice_{n}.tif" for n in range(11)])
    data = xr.DataArray(unique_values(shape, dtype), coords, dims, "head", {"note": "by hand"})
    if unit == "micrometer":
        data = data.drop_indexes(list("zyx"))
        for dim in "zyx":
            data = data.set_xindex(dim, UnitIndex)
    return data


def write(data: xr.DataArray | xr.Dataset, path: Path, **encoding: Any) -> Path:
    if path.suffix == ".nc":
        data.to_netcdf(path, encoding=encoding)
    else:  # in version 3, zarr-python warns of texts and of consolidated metadata
        data.to_zarr(path, zarr_format=2, encoding=encoding)
    return path


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8", "?"])
def test_what_comes_back_is_what_went_in(tmp_path: Path, form: str, dtype: str) -> None:
    data = volume(dtype)
    path = write(data, tmp_path / form)
    expected = data.assign_attrs(source=str(path))
    for chunks in ("auto", {"z": 4}, None):
        vol = brainxr.open(path, chunks=chunks)
        xr.testing.assert_identical(vol.compute(), expected)
        assert all(type(vol.xindexes[dim]) is UnitIndex for dim in "zyx")
        assert f"{vol.z.attrs['units']}" == "µm"
    assert vol.sel(z="0.11 mm").equals(data.isel(z=2))


def test_a_stack_keeps_where_it_came_from(stack: Any, tmp_path: Path) -> None:
    vol = brainxr.open(stack.path)
    write(vol, tmp_path / "a.nc")
    xr.testing.assert_identical(brainxr.open(tmp_path / "a.nc").compute(), vol.compute())


SELECTIONS: dict[str, Any] = {
    "plane": lambda v: v.isel(y=3),
    "reversed": lambda v: v[::-2, ::-1, 1:3],
    "lists": lambda v: v.isel(z=[7, 1, 1], x=[0, 3]),
    "points": lambda v: v.isel(z=xr.DataArray([9, 0], dims="p"), x=xr.DataArray([4, 1], dims="p")),
    "transposed": lambda v: v.transpose("x", "z", "y")[1:],
    "maximum": lambda v: v.max(("z", "x")),
    "empty": lambda v: v.isel(y=slice(3, 3)),
}


@pytest.mark.parametrize("form", FORMS)
def test_selections_are_those_in_memory(tmp_path: Path, form: str) -> None:
    data = volume()
    chunks = {"chunksizes" if form == "a.nc" else "chunks": (4, 3, 5)}
    vol = brainxr.open(write(data, tmp_path / form, head=chunks))
    assert vol.data.stack.source.grain == (4, 3, 5)
    for lazy in (vol, pickle.loads(pickle.dumps(vol)), brainxr.open(tmp_path / form, chunks=None)):
        for name, select in SELECTIONS.items():
            found = select(lazy).compute()
            np.testing.assert_array_equal(found.values, select(data).values, err_msg=name)
    assert vol.isel(z=5).brain.cost().chunks == 3


def test_opening_reads_no_voxel(tmp_path: Path, bytes_read: ByteCounter) -> None:
    sizes = {"z": 450, "y": 300, "x": 400}
    coords = {dim: (dim, np.arange(n) * 1.0, {"units": "mm"}) for dim, n in sizes.items()}
    data = xr.DataArray(np.zeros(tuple(sizes.values()), "u1"), coords, list(sizes), "head")
    write(data, tmp_path / "a.nc")
    brainxr.open(tmp_path / "a.nc")
    with bytes_read() as opening:
        vol = brainxr.open(tmp_path / "a.nc")
    with bytes_read() as reading:
        vol.isel(z=7).compute()
    assert opening.count < 6_000_000  # of 54 MB: HDF5 reads 4 MB at a time
    assert 120_000 <= reading.count < 6_000_000


def test_no_more_is_decoded_by_ourselves_than_unpacked(tmp_path: Path) -> None:
    plain = brainxr.open(write(volume(), tmp_path / "a.zarr"))
    assert isinstance(plain.data.stack.source, StoreSource)
    packed = {"dtype": "i2", "scale_factor": 0.5, "add_offset": 100.0, "_FillValue": -1}
    for form in ("b.nc", "b.zarr"):
        vol = brainxr.open(write(volume("f8"), tmp_path / form, head=packed))
        assert isinstance(vol.data.stack.source, DatasetSource)
        expected = xr.open_dataset(tmp_path / form, chunks=None)["head"].load()
        expected.close()
        np.testing.assert_array_equal(vol.values, expected.values)
    filled = brainxr.open(write(volume("f4"), tmp_path / "c.zarr", head={"_FillValue": -9.0}))
    assert isinstance(filled.data.stack.source, DatasetSource)


@pytest.mark.parametrize("form", FORMS)
def test_other_units_become_micrometres_and_time_is_chosen(tmp_path: Path, form: str) -> None:
    data = volume(unit="mm", t=2)
    write(data, tmp_path / form)
    with pytest.raises(brainxr.VolumeError, match=r"2 along 't'.*at={'t': 0}"):
        brainxr.open(tmp_path / form)
    vol = brainxr.open(tmp_path / form, at={"t": 1})
    assert vol.y.values[:2].tolist() == [50_000.0, 70_000.0]
    assert int(vol.t) == 1
    assert vol.y.attrs == {"units": "micrometer", "spacing": 20_000.0}
    np.testing.assert_array_equal(vol.values, data.values[1])


@pytest.mark.parametrize("form", FORMS)
def test_what_has_no_place_is_refused(tmp_path: Path, form: str) -> None:
    data = volume()
    bare = data.copy().assign_coords(y=("y", data.y.values))
    cases = [
        (bare, brainxr.GeometryError, r"axis 'y' .* the unit None, expected positions in a unit"),
        (data.drop_vars("x"), brainxr.GeometryError, "axis 'x' .* no coordinate"),
        (xr.Dataset({"a": data, "b": data + 1}), brainxr.VolumeError, r"2 volumes: a, b"),
    ]
    for i, (written, error, message) in enumerate(cases):
        path = write(written, tmp_path / f"{i}{Path(form).suffix}")
        with pytest.raises(error, match=message):
            brainxr.open(path)
    for option in ({"spacing": 5}, {"level": 0}):
        with pytest.raises((brainxr.VolumeError, brainxr.StoreError), match="leave it out"):
            brainxr.open(write(data, tmp_path / f"{next(iter(option))}.nc"), **option)


def test_what_is_no_volume_of_xarrays(tmp_path: Path) -> None:
    flat = volume().isel(z=0, drop=True)
    with pytest.raises(brainxr.VolumeError, match=r"no variable along z, y and x; it has head \(y"):
        brainxr.open(write(flat, tmp_path / "a.nc"))
    with pytest.raises(brainxr.StoreError, match="no image of OME-Zarr"):
        brainxr.open(write(flat, tmp_path / "a.zarr"))
    with pytest.raises(brainxr.EmptyStackError, match="There is no file"):
        brainxr.open(tmp_path / "b.nc")
    (tmp_path / "c.nc").write_bytes(b"no netCDF at all")
    with pytest.raises(brainxr.VolumeReadError, match=r"c\.nc' can't be opened by xarray"):
        brainxr.open(tmp_path / "c.nc")


def test_several_threads_read_at_a_time(tmp_path: Path) -> None:
    """netCDF's library ends the process where two threads are in it, so one is enough to fail."""
    vol = volume()
    opened = brainxr.open(write(vol, tmp_path / "a.nc"), chunks={"z": 1})
    with ThreadPoolExecutor(8) as pool:
        for values in pool.map(lambda z: (z, opened.isel(z=z % 11).values), range(200)):
            np.testing.assert_array_equal(values[1], vol.isel(z=values[0] % 11).values)


def test_a_file_that_changed_is_refused(tmp_path: Path) -> None:
    path = write(volume(), tmp_path / "a.nc")
    vol = brainxr.open(path)
    now = time.time_ns()  # the clock of files is a few milliseconds behind
    os.utime(path, ns=(now, now))
    with pytest.raises(brainxr.VolumeReadError, match="was changed after it was opened"):
        vol.compute()


@pytest.mark.parametrize("name", ["a.nc", "a.nii.gz"])
def test_at_a_url_it_says_how(name: str) -> None:
    with pytest.raises(
        VolumeError, match=r"'https://host/a\..*simplecache::https://host/a\."
    ) as found:
        brainxr.open(f"https://me:word@host/{name}?signature=abc")
    assert not {"word", "abc"} & set(str(found.value).replace("=", " ").split())


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = write(volume(), tmp_path / "a.nc", head={"zlib": True, "chunksizes": (11, 7, 5)})
    vol = brainxr.open(path)
    shutil.copy(path, tmp_path / "b.nc")
    path.unlink()
    with pytest.raises(brainxr.VolumeReadError, match=r"'head' in '.*a\.nc' can't be read"):
        vol.compute()


def test_files_of_others_say_no_spacing(tmp_path: Path) -> None:
    data = volume()
    for dim in "zyx":
        del data[dim].attrs["spacing"]
    uneven = data.isel(z=[0, 1, 4, 9])
    vol = brainxr.open(write(uneven, tmp_path / "a.nc"))
    assert vol.x.attrs["spacing"] == 10.0
    assert "spacing" not in vol.z.attrs
    assert vol.isel(z=0, x=[2]).brain.grid.spacing["x"] == 10.0


def test_zarr_of_version_3(tmp_path: Path, recwarn: Any) -> None:
    data = volume()
    data.to_zarr(tmp_path / "a.zarr", consolidated=False)
    vol = brainxr.open(tmp_path / "a.zarr")
    xr.testing.assert_identical(vol.compute(), data.assign_attrs(source=str(tmp_path / "a.zarr")))
