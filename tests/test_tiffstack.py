"""Volumes as folders of TIFF slices: against numpy, by tifffile, and opened again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import tifffile
import xarray as xr
from conftest import STORED_AXES, MadeStack, MakeStack, make_stack_in

import brainxr
from brainxr.errors import (
    GeometryError,
    SliceReadError,
    SpacingWarning,
    StackError,
    StoreError,
    StoreExistsError,
    StoreWriteError,
    TooBigError,
)
from brainxr.progress import Progress
from brainxr.stacks import tiff
from brainxr.writing import sliceplan, tasks, unfinished, wholefile
from brainxr.writing.tiffstack import to_tiff

SHAPE = (12, 14, 17)
SPACING = {"z": 100.0, "y": 50.0, "x": 25.0}
PLANES = {"z": "axial", "y": "coronal", "x": "sagittal"}


@pytest.fixture
def made(make_stack: MakeStack) -> MadeStack:
    return make_stack(SHAPE)


@pytest.fixture
def vol(made: MadeStack) -> xr.DataArray:
    return brainxr.open(made.path, spacing=SPACING, origin={"z": 3000, "y": -200, "x": 12.5})


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "out"


def write(volume: xr.DataArray, target: Path, **options: Any) -> Path:
    """Write in several blocks, without a bar."""
    plane = volume.dtype.itemsize * max(volume.sizes[d] for d in volume.dims) ** 2
    memory = {"memory": int(3 * 5 * plane + 1)}
    return to_tiff(volume, target, progress=False, **{**memory, **options})


def slices_of(folder: Path) -> dict[str, np.ndarray]:
    """Values of each file, by tifffile, in the order of the names."""
    return {path.name: tifffile.imread(path) for path in sorted(folder.iterdir())}


def check_opens_as(folder: Path, expected: xr.DataArray) -> None:
    """The same voxels at the same places, rising, to the last bit."""
    expected = expected.compute()
    for dim in expected.dims:
        expected = expected.sortby(dim)
    expected = expected.transpose(*(d for d in "zyx" if d in expected.dims))
    found = brainxr.open(folder).compute()
    np.testing.assert_array_equal(found.values.reshape(expected.shape), expected.values)
    assert found.dtype == expected.dtype
    for dim in "zyx":
        if dim in expected.coords:
            assert found[dim].values.tolist() == np.atleast_1d(expected[dim]).tolist()


# --- what is written --------------------------------------------------------------


@pytest.mark.parametrize("along", ["z", "y", "x"])
@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_slices_by_tifffile(make_stack: MakeStack, target: Path, plane: Any, along: str) -> None:
    made = make_stack(SHAPE)
    volume = brainxr.open(made.path, plane=plane, spacing=SPACING)
    assert write(volume, target, along=along) == target
    values = xr.DataArray(made.values, dims=STORED_AXES[plane])
    expected = values.transpose(*STORED_AXES[PLANES[along]]).values
    written = slices_of(target)
    assert list(written) == [f"out_{PLANES[along]}_{i + 1:04d}.tif" for i in range(len(expected))]
    np.testing.assert_array_equal(list(written.values()), expected)
    opened = brainxr.open(target)
    assert opened.attrs["plane"] == PLANES[along]
    check_opens_as(target, volume)


@pytest.mark.parametrize("along", ["z", "y", "x"])
def test_metadata_by_tifffile(vol: xr.DataArray, target: Path, along: str) -> None:
    write(vol, target, along=along)
    stacked, down, across = STORED_AXES[PLANES[along]]
    for i, path in enumerate(sorted(target.iterdir())):
        with tifffile.TiffFile(path) as tif:
            page, told = tif.pages[0], tif.imagej_metadata
        assert told is not None
        assert (told["unit"], told["spacing"], told["images"]) == ("um", SPACING[stacked], 1)
        x, y, unit = (page.tags.valueof(tag) for tag in (282, 283, 296))
        assert (x[1] / x[0], y[1] / y[0], unit) == (SPACING[across], SPACING[down], 1)
        position = float(vol[stacked][i])
        assert told["zorigin"] == -position / SPACING[stacked]
        assert told["yorigin"] == -float(vol[down][0]) / SPACING[down]
        assert told["xorigin"] == -float(vol[across][0]) / SPACING[across]


SELECTIONS: dict[str, Callable[[xr.DataArray], xr.DataArray]] = {
    "whole": lambda v: v,
    "slab": lambda v: v.sel(z=slice("3.3 mm", "3.9 mm")),
    "reversed": lambda v: v.isel(z=slice(None, None, -1)),
    "all reversed": lambda v: v[::-1, ::-1, ::-1],
    "strided": lambda v: v.isel(z=slice(None, None, 2), y=slice(1, None, 3), x=slice(5, None, 4)),
    "one slice": lambda v: v.isel(z=slice(3, 4)),
    "one row": lambda v: v.isel(y=slice(3, 4)),
    "one voxel": lambda v: v.isel(z=slice(3, 4), y=slice(5, 6), x=slice(7, 8)),
    "other order": lambda v: v.transpose("x", "z", "y"),
    "computed": lambda v: v * 2,
    "float": lambda v: (v / 3).astype("f4"),
    "double": lambda v: v / 3,
    "mask": lambda v: v > 400,
    "signed": lambda v: v.astype("i4") - 400,
    "long": lambda v: v.astype("i8") << 40,
    "in memory": lambda v: v.compute(),
    "in millimetres": lambda v: v.compute().assign_coords(
        {d: (d, v[d].values / 1000, {"units": "mm"}) for d in "zyx"}
    ),
}  # fmt: skip


@pytest.mark.parametrize("along", ["z", "y", "x"])
@pytest.mark.parametrize("name", [n for n in SELECTIONS if n != "in millimetres"])
def test_round_trip(vol: xr.DataArray, target: Path, name: str, along: str) -> None:
    volume = SELECTIONS[name](vol)
    write(volume, target, along=along)
    check_opens_as(target, volume)


def test_round_trip_of_millimetres(vol: xr.DataArray, target: Path) -> None:
    write(SELECTIONS["in millimetres"](vol), target)
    found = brainxr.open(target)
    for dim in "zyx":
        np.testing.assert_allclose(found[dim].values, vol[dim].values, rtol=1e-12)


@pytest.mark.parametrize("step", [727.2727272727273, 1 / 3, 0.1, 1e-3])
def test_any_spacing_comes_back(made: MadeStack, target: Path, step: float) -> None:
    volume = brainxr.open(made.path, spacing=step, origin=1 / 7)
    write(volume, target)
    check_opens_as(target, volume)


@pytest.mark.parametrize("dim", ["z", "y", "x"])
def test_a_plane_keeps_its_place(vol: xr.DataArray, target: Path, dim: str) -> None:
    plane = vol.isel({dim: 7})
    write(plane, target)
    assert list(slices_of(target)) == [f"out_{PLANES[dim]}_0001.tif"]
    check_opens_as(target, plane)
    assert brainxr.open(target)[dim].attrs["spacing"] == SPACING[dim]


def test_a_projection_has_none(vol: xr.DataArray, target: Path) -> None:
    write(vol.max("y"), target)
    (image,) = slices_of(target).values()
    np.testing.assert_array_equal(image, vol.values.max(1))
    with tifffile.TiffFile(next(target.iterdir())) as tif:
        assert "spacing" not in tif.imagej_metadata
    with pytest.warns(SpacingWarning, match="Nothing tells the spacing along y"):
        found = brainxr.open(target)
    assert (found.attrs["plane"], found.sizes["y"]) == ("coronal", 1)
    np.testing.assert_array_equal(found.x, vol.x)


def test_gaps_stay_gaps(vol: xr.DataArray, target: Path) -> None:
    gap = vol.isel(z=[2, 3, 6, 7, 11])
    write(gap, target)
    assert [name[-8:-4] for name in slices_of(target)] == ["0001", "0002", "0005", "0006", "0010"]
    with pytest.warns(brainxr.SliceGapWarning):
        check_opens_as(target, gap)
    filled = brainxr.open(target, missing="fill")
    np.testing.assert_array_equal(filled.z, vol.z[2:])


def test_gaps_in_steps_of_many(vol: xr.DataArray, target: Path) -> None:
    """Positions 0, 4 and 10 are numbers 1, 3 and 6 of a numbering by twos."""
    gap = vol.isel(z=[1, 5, 11])
    write(gap, target)
    assert [name[-8:-4] for name in slices_of(target)] == ["0001", "0003", "0006"]
    with pytest.warns(brainxr.SliceGapWarning):
        check_opens_as(target, gap)


@pytest.mark.parametrize("compression", ["deflate", "lzw"])
def test_compressed(vol: xr.DataArray, target: Path, compression: Any) -> None:
    write(vol, target, compression=compression, along="y")
    check_opens_as(target, vol)
    with tifffile.TiffFile(next(target.iterdir())) as tif:
        assert compression in tif.pages[0].compression.name.lower() + "adobe_deflate"
        assert tif.pages[0].compression != 1


def test_from_a_store(vol: xr.DataArray, target: Path) -> None:
    store = vol.brain.to_ome_zarr(target.with_name("a.zarr"), chunks=8, progress=False)
    for along in "zyx":
        write(brainxr.open(store), target, along=along, overwrite=True)
        check_opens_as(target, vol)


def test_without_dask(made: MadeStack, target: Path) -> None:
    volume = brainxr.open(made.path, chunks=None)
    write(volume, target, along="x")
    check_opens_as(target, volume)


def test_by_the_accessor(vol: xr.DataArray, target: Path) -> None:
    vol.brain.to_tiff(target, along="x", progress=False)
    check_opens_as(target, vol)


def test_a_folder_named_after_its_plane(vol: xr.DataArray, tmp_path: Path) -> None:
    write(vol, tmp_path / "Brain_Coronal", along="y")
    assert next(iter(slices_of(tmp_path / "Brain_Coronal"))) == "Brain_Coronal_0001.tif"


def test_slices_of_a_hidden_folder_are_seen(vol: xr.DataArray, tmp_path: Path) -> None:
    write(vol[:3], tmp_path / ".scratch")
    check_opens_as(tmp_path / ".scratch", vol[:3])


def test_the_file_knows_its_plane_better_than_a_name(vol: xr.DataArray, tmp_path: Path) -> None:
    write(vol, tmp_path / "axial_cut_anew_500um_iso", along="y")
    check_opens_as(tmp_path / "axial_cut_anew_500um_iso", vol)


def test_what_the_caller_says_counts(vol: xr.DataArray, target: Path) -> None:
    write(vol, target)
    with pytest.warns(SpacingWarning, match="differs from the ImageJ metadata"):
        found = brainxr.open(target, spacing={"z": 70}, origin={"z": "1 mm"}, plane="coronal")
    assert found.attrs["plane"] == "coronal"
    assert (found.z.values[0], found.y.values[0]) == (1000, 3000)


# --- how it is read ---------------------------------------------------------------


def test_the_source_is_read_once(make_stack: MakeStack, target: Path, bytes_read: Any) -> None:
    made = make_stack((40, 50, 60))
    for along in "zy":
        volume = brainxr.open(made.path)
        with bytes_read() as total, dask.config.set(scheduler="synchronous"):
            to_tiff(volume, target, along=along, progress=False, overwrite=True)
        assert total.count < 1.6 * made.values.nbytes  # headers of so small slices count


def test_a_slow_axis_is_read_in_few_blocks(
    make_stack: MakeStack, target: Path, bytes_read: Any
) -> None:
    made = make_stack((40, 50, 64))
    plane = 40 * 50 * 2
    volume = brainxr.open(made.path)
    reports: list[Progress] = []
    with bytes_read() as total, dask.config.set(scheduler="synchronous"):
        write(volume, target, along="x", memory=16 * 5 * plane, callback=reports.append)
    assert reports[-1].total == 4
    assert total.count < 4 * 1.6 * made.values.nbytes
    check_opens_as(target, volume)


def test_progress(vol: xr.DataArray, target: Path) -> None:
    reports: list[Progress] = []
    write(vol, target, callback=reports.append)
    last = reports[-1]
    assert (reports[0].done, last.done, last.bytes_done) == (0, last.total, vol.nbytes)
    assert last.total == 4


# --- interrupted ------------------------------------------------------------------


def fail_after(monkeypatch: pytest.MonkeyPatch, count: int, error: BaseException) -> None:
    original = unfinished.Unfinished.finish

    def finish(self: Any, *noted: Any) -> None:
        original(self, *noted)
        if len(self.finished()) >= count:
            raise error

    monkeypatch.setattr(unfinished.Unfinished, "finish", finish)


@pytest.mark.parametrize("error", [RuntimeError("power cut"), KeyboardInterrupt()])
def test_what_was_finished_is_not_done_again(
    made: MadeStack, target: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    with monkeypatch.context() as patch, dask.config.set(scheduler="synchronous"):
        fail_after(patch, 2, error)
        with pytest.raises(type(error)) as caught:
            write(brainxr.open(made.path), target)
    assert "Ask for the same again to go on" in caught.value.__notes__[0]
    assert not target.exists()
    with pytest.raises(StoreExistsError, match="something else: compression None there, 'lzw'"):
        write(brainxr.open(made.path), target, compression="lzw")
    reports: list[Progress] = []
    write(brainxr.open(made.path), target, callback=reports.append)
    assert (reports[0].done, reports[-1].done) == (2, 4)
    check_opens_as(target, brainxr.open(made.path))
    assert not any(name.endswith(".partial") for name in os.listdir(target.parent))


def test_a_slice_broken_in_the_middle(made: MadeStack, target: Path) -> None:
    whole = made.paths[8].read_bytes()
    made.paths[8].write_bytes(whole[:300])
    with pytest.raises(SliceReadError, match=r"slice_009\.tif"):
        write(brainxr.open(made.path), target)
    assert not target.exists()
    made.paths[8].write_bytes(whole)
    write(brainxr.open(made.path), target)
    check_opens_as(target, brainxr.open(made.path))


def test_a_changed_source_is_refused(
    made: MadeStack, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, dask.config.set(scheduler="synchronous"):
        fail_after(patch, 4, RuntimeError("power cut"))
        with pytest.raises(RuntimeError):
            write(brainxr.open(made.path), target)
    tifffile.imwrite(made.paths[0], made.values[1])
    os.utime(made.paths[0], ns=(1, 1))
    with pytest.raises(StoreExistsError, match=r"changed since: 1 of 4 .*overwrite=True"):
        write(brainxr.open(made.path), target)
    write(brainxr.open(made.path), target, overwrite=True)
    check_opens_as(target, brainxr.open(made.path))


KILLED = """
import sys, brainxr
from brainxr.writing.tiffstack import to_tiff
folder, target, memory = sys.argv[1:]
to_tiff(brainxr.open(folder), target, along="y", progress=False, memory=int(memory))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a kill is another thing there")
def test_killed(make_stack: MakeStack, target: Path) -> None:
    made = make_stack((60, 70, 80))
    memory = 5 * 60 * 80 * 2 + 1  # a slice a block
    command = [sys.executable, "-c", KILLED, made.path, str(target), str(memory)]
    notes = target.with_name(".out.partial") / "finished"
    with subprocess.Popen(command) as process:
        while process.poll() is None and not any(notes.glob("*.npz")):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not target.exists()
    reports: list[Progress] = []
    options = {"along": "y", "memory": memory, "callback": reports.append}
    to_tiff(brainxr.open(made.path), target, progress=False, **options)
    assert reports[0].done > 0
    check_opens_as(target, brainxr.open(made.path))


FULL_DISK = """
import resource, sys, brainxr
from brainxr.writing.tiffstack import to_tiff
resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))
to_tiff(brainxr.open(sys.argv[1]), sys.argv[2], progress=False)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="files have no such limit")
def test_a_disk_that_gets_full(made: MadeStack, target: Path) -> None:
    # the recipe and the note fit, a slice doesn't
    code = FULL_DISK.replace("300, 300", "800, 800")
    command = [sys.executable, "-c", code, made.path, str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "StoreWriteError" in done.stderr
    assert f"'{target}' can't be written: File too large" in done.stderr
    assert not target.exists()


def test_a_disk_without_room(
    vol: xr.DataArray, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [12 * (4096 + 14 * 17 * 2)]
    monkeypatch.setattr(
        wholefile.shutil, "disk_usage", lambda path: type("Usage", (), {"free": free[0]})
    )
    write(vol, target)
    free[0] -= 1
    with pytest.raises(OSError, match=r"needs 0\.00 GB.*are free in.*name another place"):
        write(vol, target.parent / "new" / "folder")
    assert not (target.parent / "new").exists()
    write(vol, target.parent / "packed", compression="lzw")  # nobody knows what that takes


# --- replacing --------------------------------------------------------------------


def test_a_folder_that_is_there_stays_until_the_new_one_is_complete(
    vol: xr.DataArray, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(vol, target)
    with pytest.raises(StoreExistsError, match=r"is there already.*overwrite=True"):
        write(vol + 1, target)
    with monkeypatch.context() as patch, dask.config.set(scheduler="synchronous"):
        fail_after(patch, 2, RuntimeError("power cut"))
        with pytest.raises(RuntimeError):
            write(vol * 2, target, overwrite=True)
        check_opens_as(target, vol)
    write(vol[:5] * 3, target, overwrite=True)  # slices of the old one don't stay among the new
    check_opens_as(target, vol[:5] * 3)


def test_what_brainxr_did_not_write_is_never_replaced(
    made: MadeStack, vol: xr.DataArray, tmp_path: Path
) -> None:
    """A folder with more in it than our slices, a stack of somebody's, a file, a store."""
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    write(vol, mine)
    (mine / "thesis.txt").write_text("all of it")
    theirs.mkdir()
    tifffile.imwrite(theirs / "a_1.tif", np.zeros((3, 4), "u1"))
    store = vol.brain.to_ome_zarr(tmp_path / "a.zarr", progress=False)
    with pytest.raises(StoreError, match="is a Zarr store, or would be taken for one"):
        write(vol, store, overwrite=True)
    with pytest.raises(StoreError, match=r"a\.tif' is the name of one file.*Name a folder"):
        write(vol, tmp_path / "a.tif")
    for path in (mine, mine / "thesis.txt", theirs):
        with pytest.raises(StoreExistsError, match="no stack that brainxr wrote, so overwrite"):
            write(vol, path, overwrite=True)
    assert (mine / "thesis.txt").read_text() == "all of it"
    empty = tmp_path / "empty"
    empty.mkdir()
    write(vol, empty, overwrite=True)
    check_opens_as(empty, vol)


# --- refused ----------------------------------------------------------------------


def test_refused_places(vol: xr.DataArray, made: MadeStack, target: Path) -> None:
    with pytest.raises(StoreError, match="is inside the source"):
        write(vol, made.folder / "slices")
    with pytest.raises(StoreError, match="or the source inside it"):
        write(vol + 1, made.folder.parent, overwrite=True)
    written = write(vol, target)
    with pytest.raises(StoreError, match="is inside the source"):
        write(brainxr.open(written), written, overwrite=True)
    with pytest.raises(StoreError, match=r"is a URL.*to_ome_zarr"):
        to_tiff(vol, "s3://bucket/slices")


def test_a_place_without_the_right_to_write(unprivileged: Path) -> None:
    made = make_stack_in(unprivileged, SHAPE)
    locked = unprivileged / "locked"
    locked.mkdir()
    locked.chmod(0o500)
    with pytest.raises(StoreWriteError, match=r"Permission denied.*Check the rights to write"):
        write(brainxr.open(made.path), locked / "slices")


@pytest.mark.parametrize(
    ("select", "options", "error", "message"),
    [
        (lambda v: v.isel(z=[0, 1, 4]), {"along": "y"}, GeometryError, "missing along 'z'.*fill"),
        (
            lambda v: v.assign_coords(z=("z", np.sqrt(np.arange(12)), {"units": "um"})),
            {}, GeometryError, r"'z' are not evenly spaced.*interp\(z=",
        ),
        (lambda v: v.drop_vars("z"), {}, GeometryError, "'z' has no unit"),
        (lambda v: v.expand_dims(t=2), {}, GeometryError, r"axis 't'.*data.isel\(t=0\)"),
        (lambda v: v.isel(z=0, y=0), {}, GeometryError, "two axes, and this has 1"),
        (lambda v: v.isel(z=slice(0, 0)), {}, GeometryError, "nothing along 'z'"),
        (lambda v: v, {"along": "t"}, GeometryError, "along='t' is none of 'z', 'y' and 'x'"),
        (lambda v: v.isel(z=0), {"along": "y"}, GeometryError, "of a plane without z it is 'z'"),
        (lambda v: v.astype("c8"), {}, StackError, r"type complex64 can't.*data\.astype"),
        (lambda v: v, {"compression": "zip"}, StackError, "compression='zip' is none of None"),
        (lambda v: v, {"memory": 900}, TooBigError, "One slice takes 476 B.*memory= allows 900 B"),
        (lambda v: v.to_dataset(), {"memory": 900}, TypeError, r"Dataset.*ds\['intensity'\]"),
    ],
)  # fmt: skip
def test_refused(
    vol: xr.DataArray, target: Path, select: Any, options: Any, error: Any, message: str
) -> None:
    before = os.listdir(target.parent)
    with pytest.raises(error, match=message):
        to_tiff(select(vol), target, progress=False, **options)
    assert os.listdir(target.parent) == before


# --- opened after others had their hands on it ------------------------------------


def test_slices_that_were_taken_away(vol: xr.DataArray, target: Path) -> None:
    """Every slice knows its own place, so neither the first ones nor every other are missed."""
    paths = sorted(write(vol, target).iterdir())
    for path in paths[:3] + paths[4::2]:
        path.unlink()
    check_opens_as(target, vol[3::2])


def test_slices_that_were_numbered_anew(vol: xr.DataArray, target: Path) -> None:
    for i, path in enumerate(sorted(write(vol, target).iterdir())):
        path.rename(target / f"new_{10 * i:05d}.tif")
    check_opens_as(target, vol)


def test_slices_in_another_order(vol: xr.DataArray, target: Path) -> None:
    for i, path in enumerate(sorted(write(vol, target).iterdir())):
        path.rename(target / f"new_{12 - i:05d}.tif")
    with pytest.warns(SpacingWarning, match="not as far apart as their numbers"):
        found = brainxr.open(target)
    assert found.z.values[:2].tolist() == [0, 100]


def test_a_slice_that_was_cut_out(vol: xr.DataArray, target: Path) -> None:
    for path in write(vol, target).iterdir():
        with tifffile.TiffFile(path) as tif:
            text = tif.pages[0].description
            image = tif.asarray()[2:]
        tifffile.imwrite(path, image, description=text, metadata=None, resolution=(0.04, 0.02))
    with pytest.warns(SpacingWarning, match="its shape or resolution is another one"):
        found = brainxr.open(target)
    assert found.y.values[0] == 0


def test_a_broken_last_slice_is_told_when_it_is_read(vol: xr.DataArray, target: Path) -> None:
    last = max(write(vol, target).iterdir())
    last.write_bytes(b"II*\0")
    found = brainxr.open(target)
    np.testing.assert_array_equal(found.z, vol.z)
    np.testing.assert_array_equal(found[:-1], vol[:-1])
    with pytest.raises(SliceReadError, match=last.name):
        found.compute()


def test_one_header_reads_them_all(
    vol: xr.DataArray, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slices' texts differ, and their layout doesn't: tifffile parses none but two."""
    write(vol, target)
    found = brainxr.open(target)
    monkeypatch.setattr(tiff.tifffile, "TiffFile", None)
    np.testing.assert_array_equal(found.values, vol.values)


def test_planes_of_computed_data_are_not_all_in_memory(
    vol: xr.DataArray, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks that cut across dask's chunks are computed a few at a time."""
    computed = (vol + 1).chunk({"z": 2})
    at_once: list[int] = []
    run = tasks.run_boxes

    def counted(writer: Any, data: Any, boxes: Any, *options: Any) -> None:
        at_once.append(len(boxes))
        run(writer, data, boxes, *options)

    monkeypatch.setattr(tasks, "run_boxes", counted)
    write(computed, target, along="x", memory=3 * 5 * 12 * 14 * 2 + 1)
    assert max(at_once) == sliceplan.BOXES_AT_ONCE
    assert sum(at_once) == 6
    check_opens_as(target, computed)
