"""Writing stores: what is in them, by other readers; and whatever interrupts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import tifffile
import xarray as xr
import zarr
from conftest import ByteCounter, MadeStack, MakeStack, make_stack_in
from fsspec.core import url_to_fs
from xarray.testing import assert_identical

import brainxr
from brainxr.errors import (
    GeometryError,
    SliceReadError,
    StoreError,
    StoreExistsError,
    StoreWriteError,
    TooBigError,
)
from brainxr.progress import Progress
from brainxr.writing import boxwriter, remote, unfinished
from brainxr.writing.convert import to_ome_zarr

# Cuts a small volume into many boxes: 3 x 3 of them.
CUT: dict[str, Any] = {"chunks": 4, "shards": {"z": 8, "y": 16, "x": 16}, "levels": 3}
SHAPE = (19, 37, 45)


def write(volume: xr.DataArray, path: Path, **options: Any) -> Path:
    return Path(to_ome_zarr(volume, path, **{"progress": False, **CUT, **options}))


@pytest.fixture
def medium(make_stack: MakeStack) -> MadeStack:
    """A stack that is cut into nine boxes."""
    return make_stack(SHAPE)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "brain.ome.zarr"


def halved(values: np.ndarray) -> np.ndarray:
    """Mean of blocks of two along each axis, by xarray; odd ends are kept."""
    padded = np.pad(
        values.astype(float), [(0, n % 2) for n in values.shape], constant_values=np.nan
    )
    data = xr.DataArray(padded, dims=[f"d{i}" for i in range(values.ndim)])
    mean = data.coarsen(dict.fromkeys(data.dims, 2)).mean().values
    return np.rint(mean).astype(values.dtype) if values.dtype.kind in "iu" else mean


def stored_levels(path: Path) -> list[np.ndarray]:
    """All levels, by zarr-python."""
    attributes = dict(zarr.open_group(path, mode="r").attrs)
    multiscale = attributes.get("ome", attributes)["multiscales"][0]
    levels = [zarr.open_array(path / d["path"], mode="r")[...] for d in multiscale["datasets"]]
    return [np.asarray(level) for level in levels]


def check_levels(path: Path, values: np.ndarray) -> None:
    for level in stored_levels(path):
        np.testing.assert_array_equal(level, values)
        values = halved(values)


# --- what is stored ---------------------------------------------------------------


@pytest.mark.parametrize("version", ["0.5", "0.4"])
@pytest.mark.parametrize("codec", ["lz4", "zstd", "none"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "f4", ">u2"])
def test_levels_by_zarr_python(
    make_stack: MakeStack, target: Path, version: Any, codec: Any, dtype: str
) -> None:
    made = make_stack(SHAPE, dtype)
    assert write(brainxr.open(made.path), target, version=version, codec=codec) == target
    if np.dtype(dtype).kind == "f":
        np.testing.assert_array_equal(stored_levels(target)[0], made.values)
    else:
        check_levels(target, made.values)
    assert_identical(brainxr.open(target).compute(), brainxr.open(made.path).compute())


def test_float_levels(make_stack: MakeStack, target: Path) -> None:
    made = make_stack(SHAPE, "f4")
    write(brainxr.open(made.path), target)
    expected = made.values
    for level in stored_levels(target):
        np.testing.assert_allclose(level, expected, rtol=3e-7)
        expected = halved(level)


SELECTIONS: dict[str, Callable[[xr.DataArray], xr.DataArray]] = {
    "slab": lambda v: v.sel(z=slice("0.3 mm", "1.2 mm")),
    "reversed": lambda v: v.isel(z=slice(None, None, -1)),
    "two reversed": lambda v: v.isel(y=slice(30, 3, -3), x=slice(None, None, -1)),
    "strided": lambda v: v.isel(z=slice(None, None, 2), x=slice(1, None, 3)),
    "axial plane": lambda v: v.isel(z=7),
    "sagittal plane": lambda v: v.isel(x=7),
    "one slice": lambda v: v.isel(z=slice(3, 4)),
    "one voxel": lambda v: v.isel(z=slice(3, 4), y=slice(5, 6), x=slice(7, 8)),
    "computed": lambda v: v * 2,
    "float": lambda v: (v / 3).astype("f4"),
    "double": lambda v: v / 3,
    "mask": lambda v: v > 400,
    "signed": lambda v: v.astype("i4") - 400,
    "in memory": lambda v: v.compute(),
    "maximum": lambda v: v.max("z"),
    "without a name": lambda v: v.rename(None),
    "attributes": lambda v: v.assign_attrs(stain="Nissl", age=3.5, ages=[1, 2]),
    "another coordinate": lambda v: v.assign_coords(number=("z", np.arange(v.sizes["z"]))),
}


@pytest.mark.parametrize("name", SELECTIONS)
@pytest.mark.parametrize("plane", ["axial", "sagittal"])
def test_round_trip(make_stack: MakeStack, target: Path, name: str, plane: Any) -> None:
    volume = SELECTIONS[name](brainxr.open(make_stack(SHAPE).path, plane=plane))
    to_ome_zarr(volume, target, progress=False, levels=1)
    assert_identical(brainxr.open(target).compute(), volume.compute())


@pytest.mark.parametrize("name", ["two reversed", "float", "mask", "strided", "in memory"])
def test_round_trip_in_many_boxes(medium: MadeStack, target: Path, name: str) -> None:
    volume = SELECTIONS[name](brainxr.open(medium.path))
    write(volume, target)
    assert_identical(brainxr.open(target).compute(), volume.compute())


def test_round_trip_without_dask(medium: MadeStack, target: Path) -> None:
    volume = brainxr.open(medium.path, chunks=None)
    write(volume, target)
    assert_identical(brainxr.open(target, chunks=None).compute(), volume.compute())


def test_axes_in_another_order_are_stored_as_z_y_x(medium: MadeStack, target: Path) -> None:
    volume = brainxr.open(medium.path)
    write(volume.transpose("x", "z", "y"), target)
    assert_identical(brainxr.open(target).compute(), volume.compute())


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_planes(make_stack: MakeStack, target: Path, plane: Any, compression: Any) -> None:
    made = make_stack(SHAPE, compression=compression)
    volume = brainxr.open(made.path, plane=plane)
    to_ome_zarr(volume, target, progress=False, levels=3, memory="300 kB")
    assert_identical(brainxr.open(target).compute(), volume.compute())
    check_levels(target, volume.values)


def test_a_store_becomes_another_one(medium: MadeStack, target: Path) -> None:
    volume = brainxr.open(medium.path)
    old = write(volume, target.with_name("old.zarr"), version="0.4")
    write(brainxr.open(old), target)
    assert_identical(brainxr.open(target).compute(), volume.compute())


def test_levels_lie_where_blocks_do(medium: MadeStack, target: Path) -> None:
    volume = brainxr.open(medium.path, origin={"z": 5_000, "y": -300, "x": 0})
    write(volume, target)
    expected = volume
    for level in brainxr.open_pyramid(target).children.values():
        for dim in "zyx":
            got = level[dim].values
            whole = expected.sizes[dim] // 1
            np.testing.assert_allclose(got[:whole], expected[dim].values, rtol=1e-12)
        even = {dim: slice(expected.sizes[dim] // 2 * 2) for dim in "zyx"}
        expected = expected.isel(even).coarsen(z=2, y=2, x=2).mean()


def test_labels_keep_their_values(medium: MadeStack, target: Path) -> None:
    labels = brainxr.open(medium.path) % 7 * 1000
    for method in ("mode", "nearest"):
        write(labels, target, method=method, overwrite=True)
        for level in stored_levels(target):
            assert set(np.unique(level)) <= set(range(0, 7000, 1000))


def test_metadata(medium: MadeStack, target: Path) -> None:
    write(brainxr.open(medium.path), target)
    attributes = json.loads((target / "zarr.json").read_text())["attributes"]
    multiscale = attributes["ome"]["multiscales"][0]
    assert multiscale["type"] == "mean"
    assert [axis["unit"] for axis in multiscale["axes"]] == ["micrometer"] * 3
    transformations = [d["coordinateTransformations"] for d in multiscale["datasets"]]
    assert [t[0]["scale"][0] for t in transformations] == [100, 200, 400]
    assert [t[1]["translation"][0] for t in transformations] == [0, 50, 150]
    provenance = attributes["brainxr"]["provenance"]
    assert provenance["source"] == medium.path
    assert provenance["method"] == "mean"
    assert provenance["brainxr"] == brainxr.__version__
    assert provenance["spacing_source"] == "name '100um'"
    window = attributes["ome"]["omero"]["channels"][0]["window"]
    assert 0 <= window["start"] < window["end"] <= window["max"] == 65535
    array = zarr.open_array(target / "0", mode="r")
    assert array.chunks == (4, 4, 4)
    assert array.shards == (8, 16, 16)
    assert array.metadata.dimension_names == ("z", "y", "x")


def test_empty_chunks_are_left_out_and_shards_are_not(make_stack: MakeStack, target: Path) -> None:
    values = np.zeros(SHAPE, "u2")
    values[0, 0, 0] = 7
    write(brainxr.open(make_stack(SHAPE, values=values).path), target)
    sizes = sorted(p.stat().st_size for p in (target / "0/c").rglob("*") if p.is_file())
    index = 2 * 4 * 4 * 16 + 4
    assert sizes[:-1] == [index] * (3 * 3 * 3 - 1)
    assert sizes[-1] > index
    np.testing.assert_array_equal(stored_levels(target)[0], values)


def test_negative_zeros_stay(target: Path) -> None:
    grid = {d: (d, 10.0 * np.arange(4), {"units": "um"}) for d in "zyx"}
    volume = xr.DataArray(np.full((4, 4, 4), -0.0, "f4"), grid, ("z", "y", "x"))
    to_ome_zarr(volume, target, progress=False)
    assert np.signbit(brainxr.open(target).values).all()


# --- how --------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_every_slice_is_read_once(
    make_stack: MakeStack, target: Path, bytes_read: ByteCounter, compression: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(boxwriter, "SAMPLED", 1000)  # what is noted is read again
    rng = np.random.default_rng(0)
    values = rng.integers(0, 60_000, (24, 160, 150), "u2")
    made = make_stack(values.shape, values=values, compression=compression)
    volume = brainxr.open(made.path)
    size = sum(path.stat().st_size for path in made.paths)
    options: Any = {"progress": False, "levels": 3, "shards": {"z": 8, "y": 64, "x": 64}}
    to_ome_zarr(volume, target, **options)  # which imports what it needs
    with bytes_read() as total:
        to_ome_zarr(volume, target, overwrite=True, **options)
    # and of each file its header, again for each band of rows
    assert values.nbytes * (compression is None) <= total.count < size + 24 * 3 * 6000


def test_a_computed_volume_reads_every_slice_once(
    make_stack: MakeStack, target: Path, bytes_read: ByteCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boxwriter, "SAMPLED", 1000)
    made = make_stack((24, 160, 150), "u2")
    volume = brainxr.open(made.path, chunks={"z": 5}) * 2
    options: Any = {"progress": False, "levels": 3, "shards": {"z": 8, "y": 64, "x": 64}}
    to_ome_zarr(volume, target, **options)  # which imports what it needs
    with bytes_read() as total:
        to_ome_zarr(volume, target, overwrite=True, **options)
    assert total.count < made.values.nbytes + 24 * 6000


def test_any_scheduler(medium: MadeStack, target: Path) -> None:
    volume = brainxr.open(medium.path)
    with dask.config.set(scheduler="synchronous"):
        write(volume, target)
    check_levels(target, medium.values)


def test_progress(medium: MadeStack, target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reports: list[Progress] = []
    write(brainxr.open(medium.path), target, progress=True, callback=reports.append)
    assert [report.done for report in reports] == list(range(10))
    assert reports[-1].bytes_done == reports[-1].bytes_total == medium.values.nbytes
    bar = capsys.readouterr().err
    assert "brain.ome.zarr: 100%" in bar
    assert "slabs=9/9" in bar
    assert "B/s" in bar
    write(brainxr.open(medium.path), target, overwrite=True)
    assert capsys.readouterr() == ("", "")


# --- interrupted ------------------------------------------------------------------


def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Boxes that are written from now on."""
    boxes: list[tuple[int, ...]] = []
    original = boxwriter.BoxWriter.__call__

    def call(self: Any, box: Any, values: Any = None) -> Any:
        result = original(self, box, values)
        boxes.append(box)
        return result

    monkeypatch.setattr(boxwriter.BoxWriter, "__call__", call)
    return boxes


def fail_after(monkeypatch: pytest.MonkeyPatch, count: int, error: BaseException) -> None:
    original = unfinished.Unfinished.finish

    def finish(self: Any, *noted: Any) -> None:
        original(self, *noted)
        if len(self.finished()) >= count:
            raise error

    monkeypatch.setattr(unfinished.Unfinished, "finish", finish)


def test_what_was_finished_is_not_done_again(
    medium: MadeStack, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, dask.config.set(scheduler="synchronous"):
        fail_after(patch, 4, RuntimeError("power cut"))
        with pytest.raises(RuntimeError, match="power cut") as caught:
            write(brainxr.open(medium.path), target)
    assert "Ask for the same again to go on" in caught.value.__notes__[0]
    assert not target.exists()
    boxes = written(monkeypatch)
    reports: list[Progress] = []
    write(brainxr.open(medium.path), target, callback=reports.append)
    assert len(boxes) == 5
    assert reports[0].done == 4
    check_levels(target, medium.values)
    assert not any(name.endswith(".partial") for name in os.listdir(target.parent))


def test_ctrl_c_says_how_to_go_on(
    medium: MadeStack, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, dask.config.set(scheduler="synchronous"):
        fail_after(patch, 2, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt) as caught:
            write(brainxr.open(medium.path), target)
    assert f"{target}' stays in" in caught.value.__notes__[0]
    write(brainxr.open(medium.path), target)
    check_levels(target, medium.values)


def test_a_computed_volume_goes_on_in_the_same_session(
    medium: MadeStack, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = brainxr.open(medium.path) * 3
    with monkeypatch.context() as patch, dask.config.set(scheduler="synchronous"):
        fail_after(patch, 1, RuntimeError("power cut"))
        with pytest.raises(RuntimeError):
            write(volume, target)
    boxes = written(monkeypatch)
    # another opening computes the same, and nobody can tell
    with pytest.raises(StoreExistsError, match="something else: source '"):
        write(brainxr.open(medium.path) * 3, target)
    write(volume, target)
    assert len(boxes) == 2
    check_levels(target, medium.values * 3)


def test_a_changed_source_is_refused(
    medium: MadeStack, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, dask.config.set(scheduler="synchronous"):
        fail_after(patch, 4, RuntimeError("power cut"))
        with pytest.raises(RuntimeError):
            write(brainxr.open(medium.path), target)
    first = 8 * min(box[0] for box in unfinished.Unfinished(str(target)).finished())
    tifffile.imwrite(medium.paths[first], medium.values[first + 1])
    os.utime(medium.paths[first], ns=(1, 1))
    with pytest.raises(StoreExistsError, match=r"changed since: \d of 4.*overwrite=True"):
        write(brainxr.open(medium.path), target)
    write(brainxr.open(medium.path), target, overwrite=True)
    expected = medium.values.copy()
    expected[first] = expected[first + 1]
    check_levels(target, expected)


def test_other_options_are_refused(
    medium: MadeStack, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, dask.config.set(scheduler="synchronous"):
        fail_after(patch, 4, RuntimeError("power cut"))
        with pytest.raises(RuntimeError):
            write(brainxr.open(medium.path), target)
    with pytest.raises(StoreExistsError, match="codec 'lz4' there, 'zstd' here"):
        write(brainxr.open(medium.path), target, codec="zstd")


def test_a_slice_broken_in_the_middle(
    medium: MadeStack, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = medium.paths[10].read_bytes()
    medium.paths[10].write_bytes(whole[:500])
    with (
        dask.config.set(scheduler="synchronous"),
        pytest.raises(SliceReadError, match=r"slice_011\.tif") as caught,
    ):
        write(brainxr.open(medium.path), target)
    assert "to go on" in caught.value.__notes__[-1]
    medium.paths[10].write_bytes(whole)
    boxes = written(monkeypatch)
    write(brainxr.open(medium.path), target)
    assert len(boxes) == 6  # the first three, of slices 1 to 8, were finished
    check_levels(target, medium.values)


KILLED = """
import sys, dask, brainxr
from brainxr.writing.convert import to_ome_zarr
folder, target = sys.argv[1:]
volume = brainxr.open(folder)
print("begins", flush=True)
to_ome_zarr(volume, target, progress=False, levels=3, chunks=4, shards={"z": 8, "y": 16, "x": 16})
"""


def kill_and_go_on(made: MadeStack, target: Path, seconds: float) -> None:
    command = [sys.executable, "-c", KILLED, made.path, str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begins\n"
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
    if process.returncode == 0:
        assert target.exists()
        return
    if target.exists():  # killed between the rename and the end
        to_go = target.with_name("again.zarr")
        check_levels(target, made.values)
        target = to_go
    write(brainxr.open(made.path), target)
    check_levels(target, made.values)


@pytest.mark.parametrize("seconds", [0.02, 0.06])
def test_killed(medium: MadeStack, tmp_path: Path, seconds: float) -> None:
    kill_and_go_on(medium, tmp_path / "brain.zarr", seconds)


@pytest.mark.slow
def test_killed_at_twenty_moments(make_stack: MakeStack, tmp_path: Path) -> None:
    made = make_stack((64, 150, 170))
    rng = np.random.default_rng()
    for i, seconds in enumerate(rng.uniform(0, 0.8, 20)):
        kill_and_go_on(made, tmp_path / f"brain{i}.zarr", seconds)


def test_a_power_cut_leaves_torn_notes(
    medium: MadeStack, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, dask.config.set(scheduler="synchronous"):
        fail_after(patch, 4, RuntimeError("power cut"))
        with pytest.raises(RuntimeError):
            write(brainxr.open(medium.path), target)
    notes = sorted(Path(unfinished.Unfinished(str(target)).folder, "finished").iterdir())
    notes[0].write_bytes(b"")
    notes[1].write_bytes(notes[1].read_bytes()[:99])
    boxes = written(monkeypatch)
    write(brainxr.open(medium.path), target)
    assert len(boxes) == 7
    check_levels(target, medium.values)


FULL_DISK = """
import resource, sys, brainxr
from brainxr.writing.convert import to_ome_zarr
folder, target, limit = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
to_ome_zarr(brainxr.open(folder), target, progress=False, codec="none", levels=3, chunks=4,
            shards={"z": 8, "y": 16, "x": 16})
"""


@pytest.mark.skipif(sys.platform == "win32", reason="files have no such limit")
def test_a_full_disk(medium: MadeStack, target: Path) -> None:
    command = [sys.executable, "-c", FULL_DISK, medium.path, str(target), "3000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "StoreWriteError" in done.stderr
    assert f"'{target}' can't be written: File too large" in done.stderr
    assert "MB free in" in done.stderr
    assert "ask for the same again to go on" in done.stderr
    assert not target.exists()
    write(brainxr.open(medium.path), target, codec="none")
    check_levels(target, medium.values)


# --- replacing --------------------------------------------------------------------


def test_a_store_that_is_there_stays_until_the_new_one_is_complete(
    medium: MadeStack, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = brainxr.open(medium.path)
    write(volume, target)
    with pytest.raises(StoreExistsError, match=r"is there already.*overwrite=True"):
        write(volume + 1, target)
    with monkeypatch.context() as patch, dask.config.set(scheduler="synchronous"):
        fail_after(patch, 2, RuntimeError("power cut"))
        with pytest.raises(RuntimeError):
            write(volume * 2, target, overwrite=True)
        check_levels(target, medium.values)
    write(volume * 3, target, overwrite=True)
    check_levels(target, medium.values * 3)
    assert os.listdir(target.parent).count(target.name) == 1
    assert not any(name.endswith(".partial") for name in os.listdir(target.parent))


def test_power_cut_between_two_renames(
    medium: MadeStack, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = brainxr.open(medium.path)
    write(volume, target)
    rename, renamed = os.rename, []

    def fail(source: Any, to: Any) -> None:
        if renamed:
            raise KeyboardInterrupt
        renamed.append(to)
        rename(source, to)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", fail)
        with pytest.raises(KeyboardInterrupt):
            write(volume * 2, target, overwrite=True)
    assert not target.exists()
    with pytest.raises(StoreExistsError, match="is there already"):
        write(volume * 2, target)
    check_levels(target, medium.values)  # it was put back


def test_what_is_no_store_is_never_replaced(medium: MadeStack, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("all of it")
    for path in (mine, mine / "thesis.txt"):
        with pytest.raises(StoreExistsError, match="no Zarr store, so overwrite=True does not"):
            write(brainxr.open(medium.path), path, overwrite=True)
    assert (mine / "thesis.txt").read_text() == "all of it"


# --- refused ----------------------------------------------------------------------


def test_refused_places(medium: MadeStack, tmp_path: Path) -> None:
    volume = brainxr.open(medium.path)
    with pytest.raises(StoreError, match="is inside the source"):
        write(volume, medium.folder / "brain.zarr")
    with pytest.raises(StoreError, match="or the source inside it"):
        write(volume * 2, medium.folder.parent, overwrite=True)
    store = write(volume, tmp_path / "brain.zarr")
    with pytest.raises(StoreError, match="is inside the source"):
        write(brainxr.open(store), store, overwrite=True)


def test_a_place_without_the_right_to_write(unprivileged: Path) -> None:
    made = make_stack_in(unprivileged, SHAPE)
    locked = unprivileged / "locked"
    locked.mkdir()
    locked.chmod(0o500)
    with pytest.raises(StoreWriteError, match=r"Permission denied.*Check the rights to write"):
        write(brainxr.open(made.path), locked / "brain.zarr")


def test_refused_volumes(make_stack: MakeStack, target: Path) -> None:
    made = make_stack((4, 6, 5), numbers=[1, 2, 4, 5])
    with pytest.warns(brainxr.SliceGapWarning):
        gap = brainxr.open(made.path)
    with pytest.raises(GeometryError, match=r"1 positions are missing along 'z'.*missing='fill'"):
        write(gap, target)
    volume = brainxr.open(made.path, missing="fill")
    to_ome_zarr(volume, target, progress=False)
    assert_identical(brainxr.open(target).compute(), volume.compute())
    for wrong, message in (
        (volume.drop_vars("z"), "'z' has no unit"),
        (volume.isel(z=[0, 1, 4]).isel(y=[0, 1, 3]), "are missing along 'z'"),
        (volume.expand_dims(t=2), r"axis 't'.*data.isel\(t=0\)"),
        (volume.isel(z=0, y=0), "has 1 axes"),
        (volume.isel(z=slice(0, 0)), "nothing along 'z'"),
    ):
        with pytest.raises(GeometryError, match=message):
            to_ome_zarr(wrong, target, progress=False)
    with pytest.raises(StoreError, match="type complex64 can't be stored"):
        to_ome_zarr(volume.astype("c8"), target, progress=False)
    with pytest.raises(StoreError, match="attribute 'friend' is object"):
        to_ome_zarr(volume.assign_attrs(friend=object()), target, progress=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"version": "0.6"}, "version='0.6' is none of '0.4', '0.5'"),
        ({"method": "median"}, "method='median' is none of 'mean', 'mode', 'nearest'"),
        ({"codec": "gzip"}, "codec='gzip' is none of 'lz4', 'zstd', 'none'"),
        ({"levels": 40}, "levels=40 were asked for"),
        ({"chunks": {"t": 3}}, "chunks has 't'"),
        ({"chunks": 5}, "doesn't hold whole chunks of 5"),
        ({"memory": "1 kB"}, "memory='1 MiB'"),
    ],
)
def test_refused_options(
    medium: MadeStack, target: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises((ValueError, TooBigError), match=message):
        write(brainxr.open(medium.path), target, **options)
    assert os.listdir(target.parent) == [medium.folder.name]


# --- at a URL ---------------------------------------------------------------------


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A bucket ``volumes`` on a server of S3 on this machine: how it is reached."""
    from moto.server import ThreadedMotoServer
    from s3fs import S3FileSystem

    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = {"key": "k", "secret": "s", "endpoint_url": f"http://{host}:{port}"}
    S3FileSystem(**options).mkdir("volumes")
    yield options
    server.stop()


def check_url(
    made: MadeStack, url: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted, nothing is there that opens; then it goes on."""
    there: Any = {"storage_options": options}
    begin: Any = {"progress": False, **CUT, **there}
    with monkeypatch.context() as patch, dask.config.set(scheduler="synchronous"):
        original = remote.RemoteStore.finish

        def finish(self: Any, *noted: Any) -> None:
            original(self, *noted)
            if len(self.finished()) == 4:
                raise RuntimeError("the line is cut")

        patch.setattr(remote.RemoteStore, "finish", finish)
        with pytest.raises(RuntimeError, match="the line is cut") as caught:
            to_ome_zarr(brainxr.open(made.path), url, **begin)
    assert f"stays in '{url}/.brainxr'" in caught.value.__notes__[0]
    with pytest.raises(ValueError, match="no Zarr group or array"):
        brainxr.open(url, **there)
    with pytest.raises(StoreExistsError, match="codec 'lz4' there, 'zstd' here"):
        to_ome_zarr(brainxr.open(made.path), url, codec="zstd", **begin)
    boxes = written(monkeypatch)
    assert to_ome_zarr(brainxr.open(made.path), url, **begin) == url
    assert len(boxes) == 5
    volume = brainxr.open(made.path)
    assert_identical(brainxr.open(url, **there).compute(), volume.compute())
    files, root = url_to_fs(url, **options)
    files.invalidate_cache()
    assert not files.exists(f"{root}/.brainxr")
    with pytest.raises(StoreExistsError, match=r"can't be replaced at once.*remove it first"):
        to_ome_zarr(volume, url, overwrite=True, **begin)


def test_memory_url(medium: MadeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    check_url(medium, "memory://convert/brain.ome.zarr", {}, monkeypatch)


def test_memory_counts_what_is_sent(medium: MadeStack, target: Path) -> None:
    """Objects are sent as a whole, so the same box takes more than on the disk."""
    volume = brainxr.open(medium.path)
    write(volume, target, memory="30 kB")
    url: Any = "memory://convert/tight.ome.zarr"
    with pytest.raises(TooBigError, match="memory allows"):
        write(volume, url, memory="30 kB")
    write(volume, url, memory="60 kB")


def test_s3(medium: MadeStack, bucket: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    check_url(medium, "s3://volumes/brain.ome.zarr", bucket, monkeypatch)
    with pytest.raises(StoreWriteError, match=r"'s3://nowhere/a.zarr' can't be written"):
        write(brainxr.open(medium.path), "s3://nowhere/a.zarr", storage_options=bucket)


def test_version_04_at_a_url(medium: MadeStack) -> None:
    url = "memory://convert/old.ome.zarr"
    write(brainxr.open(medium.path), url, version="0.4")  # type: ignore[arg-type]
    np.testing.assert_array_equal(brainxr.open(url).values, medium.values)


# --- memory -----------------------------------------------------------------------

PEAK = """
import sys, threading, time, psutil, brainxr
from brainxr.writing.convert import to_ome_zarr
volume = brainxr.open(sys.argv[1])
# what is imported, and the threads, are not what a volume takes
to_ome_zarr(volume[:4, :8, :8], sys.argv[2] + ".first", progress=False)
process = psutil.Process()
base, top, runs = process.memory_info().rss, 0, True

def watch():
    global top
    while runs:
        top = max(top, process.memory_info().rss - base)
        time.sleep(0.005)

thread = threading.Thread(target=watch)
thread.start()
to_ome_zarr(volume, sys.argv[2], progress=False, memory="64 MiB")
runs = False
thread.join()
print(top)
"""


@pytest.mark.slow
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_memory_is_bounded_whatever_the_number_of_slices(
    make_stack: MakeStack, tmp_path: Path, compression: Any
) -> None:
    # 77 MB of noise, which can't be compressed much, and five times the same
    values = np.random.default_rng(0).integers(0, 4000, (128, 600, 500), "u2")
    few = make_stack(values.shape, values=values, folder="few_100um_iso", compression=compression)
    many = tmp_path / "many_100um_iso"
    many.mkdir()
    for i in range(5 * 128):
        os.link(few.paths[i % 128], many / f"slice_{i:03d}.tif")
    peaks = [peak_of_converting(few.folder), peak_of_converting(many)]
    # the bound is 64 MiB, and a third of it more for what the allocator keeps; in proportion to
    # the slices the second peak would be 300 MB higher
    assert max(peaks) < 86 << 20, peaks
    assert peaks[1] - peaks[0] < 30 << 20, peaks


def peak_of_converting(stack: Path) -> int:
    command = [sys.executable, "-c", PEAK, str(stack), str(stack.with_suffix(".ome.zarr"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout)
