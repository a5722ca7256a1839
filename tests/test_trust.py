"""Mutants, kills, crowds and networks: that nothing is believed which isn't so, in a short form.

`python -m benchmarks.fuzz`, `.kill` and `.crowd` do the same for longer.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from stores import make_store
from tqdm import tqdm

import brainxr
from benchmarks import crowd, fuzz, kill
from benchmarks.mutants import FAMILIES
from brainxr.lazy.unloaded import stack_of
from brainxr.stacks.stacksource import StackSource
from brainxr.writing.target import Note
from brainxr.writing.unfinished import Unfinished

NO_NETWORK = """
import socket, sys

def refuse(self, address):
    raise AssertionError(f"{address} was asked")

socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = refuse
import brainxr
vol = brainxr.open(brainxr.sample("phantom", shape=dict(z=5, y=8, x=7), folder=sys.argv[1]))
assert vol.sum().values > 0
brainxr.check(sys.argv[1])
vol.brain.to_ome_zarr(sys.argv[1] + ".ome.zarr", progress=False)
assert brainxr.open(sys.argv[1] + ".ome.zarr").equals(vol)
"""


@pytest.mark.slow
def test_nothing_is_asked_of_a_network(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", NO_NETWORK, str(tmp_path / "head_axial")], check=True)


def test_the_guard_of_the_tests_would_notice() -> None:
    with socket.socket() as far, pytest.raises(AssertionError, match=r"asks 192\.0\.2\.1"):
        far.connect(("192.0.2.1", 80))


# --- mutants ----------------------------------------------------------------------


@pytest.mark.slow
def test_a_few_mutants_of_each_family(tmp_path: Path) -> None:
    found = fuzz.run([(family, n) for family in FAMILIES for n in range(2)], str(tmp_path), 1)
    assert [finding for finding in found if finding.verdict.is_failure] == []
    assert len(found) == 2 * len(FAMILIES)
    kinds = {finding.verdict.kind for finding in found}
    assert {"refused", "as it was"} <= kinds


def _stack(folder: Path, **options: Any) -> Path:
    (folder / "a_100um_iso").mkdir()
    values = np.arange(2 * 37 * 52, dtype="u2").reshape(2, 37, 52)
    for number, image in enumerate(values, 1):
        tifffile.imwrite(folder / "a_100um_iso" / f"{number}.tif", image, metadata=None, **options)
    return folder / "a_100um_iso"


def _set(
    path: Path,
    tag: int,
    value: int | None = None,
    count: int | None = None,
    kind: int | None = None,
) -> None:
    """Change an entry of the first directory of a file."""
    with tifffile.TiffFile(path) as tif:
        entry = tif.pages.first.tags[tag]  # type: ignore[union-attr]
        at, size = entry.offset, 4
    with open(path, "r+b") as file:
        if kind is not None:
            file.seek(at + 2)
            file.write(kind.to_bytes(2, "little"))
        if count is not None:
            file.seek(at + 4)
            file.write(count.to_bytes(size, "little"))
        if value is not None:
            file.seek(at + 8)
            file.write(value.to_bytes(size, "little"))


MUTANTS: dict[str, tuple[dict[str, Any], dict[str, int], str]] = {
    "a place of no type": ({}, {"tag": 273, "kind": 7}, "bytes of no meaning"),
    "no rows": ({}, {"tag": 257, "value": 0}, "has 0 rows"),
    "no columns": ({"compression": "zlib"}, {"tag": 256, "value": 0}, "0 columns"),
    "tiles of no width": (
        {"tile": (16, 16)}, {"tag": 322, "value": 0}, "in pieces of 0 x 52"),
    "tiles of 200 lengths": (
        {"tile": (16, 16)}, {"tag": 323, "count": 200}, "in pieces of"),
    "columns for which there is no memory": (
        {"compression": "lzma"}, {"tag": 256, "value": 1 << 31}, "2147483648 columns"),
    "more than any codec packs": (
        {"compression": "zlib"}, {"tag": 257, "value": 1 << 21}, "can't hold more than 1100 times"),
    "strips that are shorter than their rows": (
        {"rowsperstrip": 5}, {"tag": 278, "value": 6}, "not as long as its rows"),
    "pixels in the header": ({}, {"tag": 273, "value": 0}, "lie in its header"),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
@pytest.mark.parametrize("which", [1, 2])
def test_what_a_mutation_found(tmp_path: Path, name: str, which: int) -> None:
    """Each was read as something that it isn't, or brought down by an error of somebody else."""
    options, change, message = MUTANTS[name]
    folder = _stack(tmp_path, **options)
    _set(folder / f"{which}.tif", **change)
    with pytest.raises(brainxr.StackError, match=message) as caught:
        brainxr.open(folder).load()
    assert f"{which}.tif" in str(caught.value)


@pytest.mark.parametrize(("which", "compression"), [(0, "zlib"), (1, "zlib"), (1, None)])
def test_a_page_of_other_bits_than_the_first(
    tmp_path: Path, which: int, compression: str | None
) -> None:
    """Each page was unpacked by its own number of bits, and tifffile does it by the first one's."""
    path = tmp_path / "a_100um_iso.ome.tif"
    values = np.arange(2 * 37 * 52, dtype="u2").reshape(2, 37, 52)
    tifffile.imwrite(path, values, metadata={"axes": "ZYX"}, compression=compression)
    with tifffile.TiffFile(path) as tif:
        at = tif.pages.get(which).tags[258].valueoffset  # type: ignore[union-attr]
    with open(path, "r+b") as file:
        file.seek(at)
        file.write((12).to_bytes(2, "little"))
    with pytest.raises(
        brainxr.StackError, match=r"a_100um_iso\.ome\.tif', page 1, has 37 x 52"
    ) as caught:
        brainxr.open(path).load()
    assert "12" in str(caught.value)
    assert "16" in str(caught.value)


def test_a_page_of_more_bytes_than_the_file(tmp_path: Path) -> None:
    """They were made room for, before it was noticed that they aren't there."""
    path = tmp_path / "a_100um_iso.ome.tif"
    values = np.arange(2 * 37 * 52, dtype="u2").reshape(2, 37, 52)
    tifffile.imwrite(path, values, metadata={"axes": "ZYX"})
    with tifffile.TiffFile(path) as tif:
        entry = tif.pages.get(1).tags[279]  # type: ignore[union-attr]
        other = tif.pages.get(1).tags[277].offset  # type: ignore[union-attr]
    with open(path, "r+b") as file:
        file.seek(other)  # else it would be taken for one like the first
        file.write((65000).to_bytes(2, "little"))
        file.seek(entry.offset + 8)
        file.write((1 << 30).to_bytes(4, "little"))
    volume = brainxr.open(path)
    tracemalloc.start()
    with pytest.raises(brainxr.StackError, match=r"page 1, can't be decoded \(strip 0 has"):
        volume.load()
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("page", [0, 1])
def test_pages_that_go_round(tmp_path: Path, page: int) -> None:
    """tifffile, asked for one page after the other, went round for ever."""
    path = tmp_path / "a_100um_iso.tif"
    with tifffile.TiffWriter(path) as writer:
        for image in np.arange(3 * 37 * 52, dtype="u2").reshape(3, 37, 52):
            writer.write(image, contiguous=False, metadata=None)
    with tifffile.TiffFile(path) as tif:
        places = [one.offset for one in tif.pages]
        entries = len(tif.pages.first.tags)
    with open(path, "r+b") as file:
        file.seek(places[2] + 2 + 12 * entries)
        file.write(places[page].to_bytes(4, "little"))
    with pytest.raises(
        brainxr.StackError, match=r"a_100um_iso\.tif' describes a page .* once more"
    ):
        brainxr.open(path)


@pytest.mark.parametrize("options", [{"tile": (16, 16)}, {"rowsperstrip": 8}], ids=str)
def test_jpeg_is_decoded_after_its_file_is_closed(tmp_path: Path, options: Any) -> None:
    """tifffile looks into the pixels for how it is meant, and no slice of it was ever read."""
    (tmp_path / "a_100um_iso").mkdir()
    rows, columns = np.mgrid[:37, :52]
    paths = [tmp_path / "a_100um_iso" / f"{number}.tif" for number in (1, 2)]
    for number, path in enumerate(paths):
        image = (3 * rows + columns + 20 * number).astype("u1")
        tifffile.imwrite(path, image, compression="jpeg", metadata=None, **options)
    expected = np.stack([tifffile.imread(path) for path in paths])
    assert (expected[0] != expected[1]).any()
    np.testing.assert_array_equal(brainxr.open(tmp_path / "a_100um_iso"), expected)


@pytest.mark.parametrize("size", [1 << 63, 1 << 64])
def test_chunks_of_more_voxels_than_there_are_numbers(tmp_path: Path, size: int) -> None:
    made = make_store(tmp_path / "a.ome.zarr")
    described = next(tmp_path.glob("a.ome.zarr/*/zarr.json"))
    array = json.loads(described.read_text())
    array["chunk_grid"]["configuration"]["chunk_shape"][0] = size
    described.write_text(json.dumps(array))
    with pytest.raises(brainxr.StoreError, match=r"a\.ome\.zarr"):
        brainxr.open(made.path).load()


def test_a_scale_that_is_no_number(tmp_path: Path) -> None:
    made = make_store(tmp_path / "a.ome.zarr")
    described = tmp_path / "a.ome.zarr" / "zarr.json"
    text = described.read_text()
    assert "50.0" in text
    described.write_text(text.replace("50.0", '"bytes"', 1))
    with pytest.raises(brainxr.StoreError, match="expected a scale or a translation of 3 numbers"):
        brainxr.open(made.path)


# --- kills ------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["OME-Zarr 0.5", "NIfTI, .nii"])
def test_a_few_kills(tmp_path: Path, name: str) -> None:
    outcome = kill.kill(name, tmp_path, 4, 5)
    assert outcome.problems == ()
    assert outcome.kills == outcome.old + outcome.new + outcome.absent == 4


def _write_in_place(place: Path, kind: int, overwrite: bool) -> None:
    place.with_name("note").touch()
    with open(place, "wb") as file:
        for part in range(50):
            file.write(bytes([kind, part]))
            file.flush()
            time.sleep(0.01)


@pytest.mark.slow
def test_a_writer_that_writes_in_place_would_be_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = kill.Writer("made", _write_in_place, Path.read_bytes)
    monkeypatch.setattr(kill, "WRITERS", {"bad": writer})
    problems = " ".join(kill.kill("bad", tmp_path, 3, 5).problems)
    assert "after the kill something that opens and is wrong" in problems
    assert "left behind: note" in problems


# tests/test_screenshots.py looks at napari's
@pytest.mark.parametrize(
    "name", [name for name, one in kill.WRITERS.items() if one.replaces and "napari" not in name]
)
def test_nothing_is_replaced_unless_asked_for(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kill, "SHAPE", (14, 20, 30))
    writer = kill.WRITERS[name]
    writer.prepare(tmp_path)
    place = tmp_path / writer.name
    _finish(writer.write, place, 0, False)
    before, names = _bytes_in(place), os.listdir(tmp_path)
    with pytest.raises((FileExistsError, brainxr.StoreExistsError, SystemExit)):
        _finish(writer.write, place, 1, False)
    assert (_bytes_in(place), os.listdir(tmp_path)) == (before, names)
    _finish(writer.write, place, 1, True)
    assert _bytes_in(place) != before


def _finish(write: Any, place: Path, kind: int, overwrite: bool) -> None:
    """A command line ends by an exit, of which 0 is a success."""
    try:
        write(place, kind, overwrite)
    except SystemExit as error:
        if error.code:
            raise


def _bytes_in(place: Path) -> list[bytes]:
    files = sorted(place.rglob("*")) if place.is_dir() else [place]
    return [path.read_bytes() for path in files if path.is_file()]


def test_a_kill_between_the_last_rename_and_the_tidying_up(tmp_path: Path) -> None:
    """The notes speak of files that are in their place by then: believed, the store was empty."""
    made = kill.volume(0)[:9, :9, :9]
    target = tmp_path / "a.ome.zarr"
    store = Unfinished(str(target))
    made.brain.to_ome_zarr(target, progress=False)
    (store.folder / "finished").mkdir(parents=True)
    (store.folder / "finished" / "0.0.0.npz").write_bytes(b"a note")
    (store.folder / "replaced").mkdir()
    (store.folder / "replaced" / "zarr.json").write_text("{}")
    with pytest.raises(brainxr.StoreError, match="is there already"):
        made.brain.to_ome_zarr(target, progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ["a.ome.zarr"]
    kill.volume(1)[:9, :9, :9].brain.to_ome_zarr(target, progress=False, overwrite=True)
    np.testing.assert_array_equal(brainxr.open(target), kill.volume(1)[:9, :9, :9])
    assert [p.name for p in tmp_path.iterdir()] == ["a.ome.zarr"]


def test_a_kill_of_levels_while_they_are_tidied_up(tmp_path: Path) -> None:
    """They were there, so the next call was done before it looked at what was left."""
    folder = brainxr.sample("phantom", folder=tmp_path / "head", shape={"z": 9, "y": 20, "x": 140})
    levels = brainxr.open(folder).brain.build_levels(beside=True, progress=False)
    left = levels.with_name(f".{levels.name}.partial.old")
    (left / "finished").mkdir(parents=True)
    assert brainxr.open(folder).brain.build_levels(beside=True, progress=False) == levels
    assert sorted(path.name for path in tmp_path.iterdir()) == ["head", levels.name]


def test_a_run_that_was_called_off_writes_nothing_into_the_next(tmp_path: Path) -> None:
    """A worker of a cluster ends the box that it is at, whatever became of the conversion."""
    target = str(tmp_path / "a.ome.zarr")
    first, second = Unfinished(target), Unfinished(target)
    first.begin({"of": 1}, overwrite=False)
    first.write("0/c/0/0/0", b"of the first")
    second.begin({"of": 2}, overwrite=True)
    with pytest.raises(brainxr.StoreWriteError):
        first.write("0/c/0/0/0", b"of the first")
    with pytest.raises(brainxr.StoreWriteError):
        first.finish((0, 0, 0), Note(np.zeros(1), ""))
    assert not [path for path in (second.folder / "store").rglob("*") if path.is_file()]
    assert second.finished() == {}
    second.write("0/c/0/0/0", b"of the second")


# --- crowds -----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("name", ["stack, deflate, strips", "OME-Zarr 0.5"])
def test_a_crowd(tmp_path: Path, name: str) -> None:
    outcome = crowd.crowd(name, tmp_path, 2.0, threads=6)
    assert outcome.problems == ()
    assert not outcome.is_failure
    assert outcome.selections > 0
    assert outcome.children >= len(crowd.METHODS)


needs_fork = pytest.mark.skipif(sys.platform == "win32", reason="nothing is forked there")


def answer_of(method: str, act: Any, *arguments: Any) -> Any:
    """What a function returns in a child process, or a failure if it waits for ever."""
    context: Any = multiprocessing.get_context(method)
    with context.Pool(1) as pool:
        return pool.apply_async(act, arguments).get(timeout=120)


def total_of(volume: Any) -> int:
    return int(volume.values.astype("i8").sum())


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_processes_that_begin_anew_read_and_compute(make_stack: Any, method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        return
    volume = brainxr.open(make_stack((9, 20, 30), "u2").path, chunks={"z": 1})
    expected = total_of(volume)
    assert answer_of(method, total_of, volume) == expected
    assert answer_of(method, total_of, volume * 1) == expected


@needs_fork
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_process_reads_though_its_pool_of_dask_is_the_parents(make_stack: Any) -> None:
    """Selections are read by threads of our own, which each process makes for itself."""
    volume = brainxr.open(make_stack((9, 20, 30), "u2").path, chunks={"z": 1})
    expected = int(volume.astype("i8").sum())  # dask's threads are there now
    assert answer_of("fork", total_of, volume) == expected


@needs_fork
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_own_locks_are_free_in_a_forked_process(make_stack: Any, tmp_path: Path) -> None:
    """Another thread holds each of them while the child is forked."""
    volume = brainxr.open(make_stack((9, 20, 30), "u2").path)
    packed = tmp_path / "a.nii.gz"
    volume.brain.to_nifti(packed, progress=False)
    zipped = brainxr.open(packed)
    expected = total_of(volume)
    assert total_of(zipped) == expected
    source: Any = stack_of(zipped).source  # type: ignore[union-attr]
    locks = [source.file._lock, getattr(vars(StackSource)["reader"], "lock", None)]
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with ExitStack() as stack:
            for lock in filter(None, locks):
                stack.enter_context(lock)
            held.set()
            free.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    context: Any = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)

    def answer() -> None:
        vars(stack_of(volume).source).pop("reader", None)  # type: ignore[union-attr]
        there.send((total_of(volume), total_of(zipped)))

    child = context.Process(target=answer, daemon=True)
    child.start()
    answered = here.poll(120)
    free.set()
    holder.join()
    assert answered, "the child waits for a lock that nobody holds"
    assert here.recv() == (expected, expected)
    child.join()
    here.close()
    there.close()


STATE = """
import json, sys, threading, os, signal, warnings
import dask, dask.array, dask.threaded, dask.tokenize, numpy, pandas, pint, tifffile, xarray, zarr

LIBRARIES = ("dask", "numpy", "pandas", "pint", "tifffile", "xarray", "zarr", "threading", "os",
             "signal", "functools", "multiprocessing")

def state():
    found = {}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] not in LIBRARIES:
            continue
        for key, value in list(vars(module).items()):
            if isinstance(value, type) and value.__module__.partition(".")[0] in LIBRARIES:
                for attribute, inner in list(vars(value).items()):
                    found[f"{name}.{key}.{attribute}"] = id(inner)
                    lock = getattr(inner, "lock", None)
                    if type(lock).__name__ in ("RLock", "lock"):
                        found[f"{name}.{key}.{attribute}.lock"] = id(lock)
            elif callable(value) or type(value).__name__ in ("RLock", "lock"):
                found[f"{name}.{key}"] = id(value)
    found["environment"] = hash(tuple(sorted(os.environ.items())))
    found["signals"] = str([signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)])
    found["filters"] = str(warnings.filters)
    return found

def changed(before):
    # what a library made or filled by itself while it was used is not there before
    now = state()
    return sorted(key for key in before if key in now and now[key] != before[key])

before = state()
import brainxr
volume = brainxr.open(sys.argv[1], spacing=10)
volume.values; volume.mean().values; repr(volume.brain)
answers = [changed(before)]
if hasattr(os, "fork"):
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, json.dumps(changed(before)).encode())
        os._exit(0)
    os.close(writer)
    answers.append(json.loads(os.fdopen(reader, "rb").read()))
    os.wait()
print(json.dumps(answers))
"""


def test_nothing_of_other_libraries_is_replaced(make_stack: Any) -> None:
    """Neither by the import and an open, nor in a forked child."""
    path = make_stack((5, 7, 11)).path
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", STATE, path], capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    for found in json.loads(told.stdout):
        # Python renews the locks of its own module in a child
        assert [key for key in found if not key.startswith("threading._")] == []


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is forked there")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_nobody_waits_for_a_bar_that_is_not_shown(tmp_path: Path) -> None:
    """tqdm's lock is one for all forked processes, and stays locked by one that was killed."""
    volume = kill.volume(0)[:5, :9, :9]
    context: Any = multiprocessing.get_context("fork")

    def write() -> None:
        volume.brain.to_tiff(tmp_path / "made", progress=False)
        volume.brain.to_nifti(tmp_path / "made.nii", progress=False)

    with tqdm.get_lock():
        child = context.Process(target=write, daemon=True)
        child.start()
        child.join(120)
    assert child.exitcode == 0, "the child waits for the lock of a bar"
