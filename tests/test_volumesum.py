"""`brainxr.files.checksum`, beside the same algorithm by hashlib and numpy alone."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import xarray as xr
from conftest import MakeStack
from zips import zip_of

import brainxr
from brainxr.lazy import slabs


def by_hashlib(values: np.ndarray, **coordinates: Any) -> str:
    """As the docstring has it; the coordinates in µm."""
    stored = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<")))
    places = {d: [round(1e6 * float(c)) for c in places] for d, places in coordinates.items()}
    header = {"dtype": stored.dtype.str, "picometres": places, "version": 1}
    whole = hashlib.sha256(json.dumps(header, sort_keys=True, separators=(",", ":")).encode())
    for plane in stored:
        whole.update(hashlib.sha256(plane.tobytes()).digest())
    return "brainxr-1-sha256:" + whole.hexdigest()


def expected(volume: xr.DataArray, values: np.ndarray) -> str:
    return by_hashlib(values, **{d: volume[d].values for d in "zyx"})


@pytest.mark.parametrize("dtype", ["u1", "i2", ">u2", "u4", "f4", ">f8", "?"])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib", "rowsperstrip": 3}], ids=str)
def test_it_is_what_the_docstring_says(make_stack: MakeStack, dtype: str, options: Any) -> None:
    made = make_stack((5, 7, 11), dtype, photometric="minisblack", **options)
    volume = brainxr.open(made.path)
    assert brainxr.checksum(volume, progress=False) == expected(volume, made.values)


def test_whatever_it_is_stored_in(make_stack: MakeStack, monkeypatch: Any) -> None:
    made = make_stack((9, 70, 80), "u2")
    volume = brainxr.open(made.path)
    whole = expected(volume, made.values)
    store = volume.brain.to_ome_zarr(made.folder.parent / "a.ome.zarr", chunks=16, progress=False)
    lazy = brainxr.open(made.path, chunks=None)
    chunked = brainxr.open(store, chunks={"z": 4, "y": 33})
    turned = volume.transpose("x", "z", "y").load()
    millimetres = volume.assign_coords({d: volume[d] / 1000 for d in "zyx"})
    for dim in "zyx":
        millimetres[dim].attrs["units"] = "mm"
    for size in (1, 3000, slabs.SLAB_BYTES):
        monkeypatch.setattr(slabs, "SLAB_BYTES", size)
        for same in (volume, lazy, brainxr.open(store), chunked, chunked + 0, turned, millimetres):
            assert brainxr.checksum(same, progress=False) == whole


@pytest.mark.parametrize("spacing", ["100um_iso", "37um_iso", "0.3mm_iso"])
@pytest.mark.parametrize("dtype", ["u1", ">u2", "i2"])
def test_copies_of_other_kinds(
    make_stack: MakeStack, tmp_path: Path, dtype: str, spacing: str
) -> None:
    """NIfTI's places are in millimetres, in numbers of four bytes."""
    made = make_stack((6, 13, 9), dtype, folder=f"head_{spacing}")
    volume = brainxr.open(made.path)
    copies = {
        how: brainxr.open(zip_of(made, tmp_path / f"{how}.zip", how, f"head_{spacing}/"))
        for how in ("stored", "deflated", "mixed")
    }
    for name in ("a.nii", "a.nii.gz"):
        copies[name] = brainxr.open(volume.brain.to_nifti(tmp_path / name, progress=False))
    copies["slices"] = brainxr.open(volume.brain.to_tiff(tmp_path / "again", progress=False))
    volume.to_netcdf(tmp_path / "a.nc")
    copies["a.nc"] = brainxr.open(tmp_path / "a.nc")
    fsspec.filesystem("memory").put_file(str(tmp_path / "deflated.zip"), "/sums/a.zip")
    copies["far"] = brainxr.open("memory://sums/a.zip")
    whole = expected(volume, made.values)
    assert {how: brainxr.checksum(copy) for how, copy in copies.items()} == dict.fromkeys(
        copies, whole
    )


@pytest.mark.parametrize("plane", ["coronal", "sagittal"])
def test_slices_along_another_axis(make_stack: MakeStack, plane: str) -> None:
    made = make_stack((5, 7, 11), "u2")
    volume = brainxr.open(made.path, plane=plane)
    twin = made.twin(plane=plane)
    assert brainxr.checksum(volume) == expected(volume, twin.values)


def test_what_changes_it(make_stack: MakeStack) -> None:
    made = make_stack((5, 7, 11), "u2")
    volume = brainxr.open(made.path)
    one = volume.load().copy(deep=True)
    one[4, 6, 10] += 1
    moved = volume.assign_coords(z=("z", volume.z.values + 1e-3, volume.z.attrs))
    others = [one, moved, volume[::-1], volume[1:], volume.astype("i2"), volume.isel(x=[0])]
    sums = {brainxr.checksum(other) for other in (volume, *others)}
    assert len(sums) == len(others) + 1


def test_what_does_not(make_stack: MakeStack) -> None:
    volume = brainxr.open(make_stack((5, 7, 11), "u2").path)
    other = volume.rename("x-ray").assign_attrs(a=1)
    noise = {d: (d, volume[d].values * (1 + 1e-15), volume[d].attrs) for d in "zyx"}
    sums = {brainxr.checksum(v) for v in (volume, other, volume.assign_coords(noise))}
    assert len(sums) == 1
    assert brainxr.checksum(volume.isel(z=3)) == brainxr.checksum(volume.isel(z=[3]))


def test_nan_and_a_gap(make_stack: MakeStack) -> None:
    values = np.arange(6 * 7 * 11, dtype="f4").reshape(6, 7, 11)
    values[1, 2, 3] = np.nan
    made = make_stack((0, 7, 11), "f4", numbers=[1, 2, 4, 6], values=values)
    with pytest.warns(brainxr.SliceGapWarning):
        volume = brainxr.open(made.path)
    assert brainxr.checksum(volume) == expected(volume, made.values[[0, 1, 3, 5]])


@pytest.mark.parametrize(
    ("volume", "error", "message"),
    [
        (xr.DataArray(np.zeros((2, 3)), dims=("t", "x")), "GeometryError", "axes z, y and x"),
        (xr.DataArray(np.zeros((2, 3, 4)), dims=("z", "y", "x")), "GeometryError", "no unit"),
        (xr.Dataset(), "TypeError", "Dataset"),
        (xr.DataArray(np.full((2, 3, 4), "a"), dims=("z", "y", "x")), "TypeError", "<U1"),
    ],
)  # fmt: skip
def test_what_has_none(volume: Any, error: str, message: str) -> None:
    with pytest.raises(Exception, match=message) as caught:
        brainxr.checksum(volume)
    assert type(caught.value).__name__ == error


def test_a_broken_slice_is_named(make_stack: MakeStack) -> None:
    made = make_stack((5, 7, 11), "u2")
    made.paths[3].write_bytes(made.paths[3].read_bytes()[:-9])
    with pytest.raises(brainxr.SliceReadError, match=r"slice_004\.tif.*truncated"):
        brainxr.checksum(brainxr.open(made.path))


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 7, 11), (130, 3, 9), (2, 5000, 5000)])
@pytest.mark.parametrize("grain", [(1, 1), (64, 64), (1, 7)])
def test_slabs_are_all_of_it_once(shape: Any, grain: Any) -> None:
    found = slabs.cut(shape, grain, 2)
    assert [z for slab in found for z in slab.planes] == list(range(shape[0]))
    for slab in found:
        assert [y for band in slab.bands for y in band] == list(range(shape[1]))
        assert slab.planes[0] % grain[0] == 0
        assert all(band[0] % grain[1] == 0 for band in slab.bands)


def test_an_error_ends_the_others() -> None:
    begun = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 3:
            raise ValueError("no")
        return item

    with pytest.raises(ValueError, match="no"):
        list(slabs.in_parallel(work, range(1000)))
    assert max(begun) < 100
    assert list(slabs.in_parallel(str, [])) == []
