"""On a cluster of real processes: who reads, what travels, what is said, and what a kill leaves.

The scheduler runs in the process of the tests, so whatever is sent to a worker is written here.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel
import numpy as np
import pytest
import xarray as xr
import zarr
from conftest import MadeStack, make_stack_in
from distributed import Client, LocalCluster
from distributed.comm.tcp import TCP
from slowly import hold_the_first_reader

import brainxr
from brainxr import cluster
from brainxr.cluster import active_client, is_seen, told_by_worker
from brainxr.errors import SliceReadError, StoreReadError, StoreWriteError
from brainxr.integrity import checks
from brainxr.stacks.stacksource import StackSource

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Sending large graph:UserWarning"),
]

SHAPE = (40, 301, 257)

# A worker sees this path otherwise than we do: it is the folder that each process is in.
OWN_FOLDER = "/proc/self/cwd"
linux = pytest.mark.skipif(sys.platform != "linux", reason="a path that depends on who asks")


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Two workers, each a process of one thread."""
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as made,
        Client(made) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadeStack:
    """6 MB of slices."""
    return make_stack_in(tmp_path_factory.mktemp("made"), SHAPE)


def saved(volume: xr.DataArray, method: str, path: Path, **options: Any) -> xr.DataArray:
    written = getattr(volume.brain, method)(path, progress=False, **options)
    return brainxr.open(written).load()


CUT = {"chunks": 32, "shards": {"z": 32, "y": 64, "x": 64}}

VERBS: dict[str, Callable[[xr.DataArray, Path], Any]] = {
    "a box": lambda v, folder: v[3:9, 40:80, ::3].compute(),
    "max": lambda v, folder: v.max("z").compute(),
    "computed": lambda v, folder: (v[:, ::4] // 2).mean("y").compute(),
    "to_ome_zarr": lambda v, folder: saved(v, "to_ome_zarr", folder / "a.ome.zarr", **CUT),
    "to_tiff": lambda v, folder: saved(v, "to_tiff", folder / "coronal", along="y", memory="8 MB"),
    "to_tiff, computed": lambda v, folder: saved(v // 2, "to_tiff", folder / "sagittal", along="x"),
    "to_nifti": lambda v, folder: nibabel.load(
        v.brain.to_nifti(folder / "a.nii", memory="4 MB", progress=False)
    ).get_fdata(),
    "to_nifti, packed": lambda v, folder: nibabel.load(
        v.brain.to_nifti(folder / "a.nii.gz", memory="4 MB", progress=False)
    ).get_fdata(),
    "to_nifti, computed": lambda v, folder: nibabel.load(
        (v // 2).brain.to_nifti(folder / "b.nii", progress=False)
    ).get_fdata(),
    "movie": lambda v, folder: brainxr.movie(
        v[::8], folder / "a.gif", size=64, progress=False
    ).read_bytes(),
    "check": lambda v, folder: brainxr.check(v.attrs["source"]),
    "check, deep": lambda v, folder: str(brainxr.check(v.attrs["source"], deep=True)),
    "checksum": lambda v, folder: brainxr.checksum(v),
    "checksum, computed": lambda v, folder: brainxr.checksum(v // 2),
}


# One stream or one hash, of one writer: workers read and compute, and give back the values.
RETURNED = ("to_nifti, packed", "movie", "checksum, computed")


@pytest.fixture(scope="module")
def here(made: MadeStack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each verb gives without a cluster."""
    volume = brainxr.open(made.path)
    return {name: verb(volume, tmp_path_factory.mktemp("here")) for name, verb in VERBS.items()}


def assert_same(found: Any, expected: Any) -> None:
    if isinstance(expected, xr.DataArray):
        xr.testing.assert_equal(found, expected)
    elif isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(found, expected)
    else:
        assert found == expected


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of each message that leaves this process."""
    write, sizes = TCP.write, []

    async def counted(self: TCP, *arguments: Any, **options: Any) -> int:
        sizes.append(await write(self, *arguments, **options))
        return sizes[-1]

    monkeypatch.setattr(TCP, "write", counted)
    return sizes


@pytest.mark.parametrize("name", VERBS)
def test_workers_open_the_files_and_nothing_but_the_plan_travels(
    here: dict[str, Any], client: Client, made: MadeStack, tmp_path: Path, sent: list[int],
    monkeypatch: pytest.MonkeyPatch, name: str,
) -> None:  # fmt: skip
    def not_here(*_: Any) -> None:
        raise AssertionError("slices are read in the process of the client")

    volume = brainxr.open(made.path)
    with monkeypatch.context() as patch:
        for reads in ("read", "blocks"):
            patch.setattr(StackSource, reads, not_here)
        patch.setattr("brainxr.integrity.checks.parse_header", not_here)
        patch.setattr(brainxr, "open", lambda path: xr.DataArray(str(path)))
        found = VERBS[name](volume, tmp_path)
    travelled = sum(sent)
    if isinstance(found, xr.DataArray) and found.dtype.kind == "U":
        found = brainxr.open(str(found.values)).load()
    else:
        travelled -= getattr(found, "nbytes", 0)  # the result, by way of the scheduler
    assert_same(found, here[name])
    if name not in RETURNED:
        assert travelled < 120_000 < volume.nbytes / 50
    assert len(os.listdir(tmp_path)) == ("to_" in name or name == "movie")


def test_two_conversions_at_a_time_are_not_taken_for_one(
    client: Client, made: MadeStack, tmp_path: Path
) -> None:
    """Their boxes have the same numbers."""
    volume = brainxr.open(made.path)
    volumes = [volume, volume[1:, 1:, 1:]]
    with ThreadPoolExecutor(2) as pool:
        written = list(
            pool.map(lambda v, n: saved(v, "to_ome_zarr", tmp_path / n, **CUT), volumes, "ab")
        )
    for chosen, found in zip(volumes, written, strict=True):
        np.testing.assert_array_equal(found, chosen)


def test_a_task_asks_no_other_worker(client: Client) -> None:
    assert active_client() is client
    assert client.submit(active_client, pure=False).result() is None


# --- a worker that can't see ---------------------------------------------------------


@pytest.fixture
def out_of_sight(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A path at which this process sees a folder, and the workers see their own."""
    client.run(os.chdir, "/")
    monkeypatch.chdir(tmp_path)
    return Path(OWN_FOLDER)


@linux
@pytest.mark.parametrize("name", [n for n in VERBS if "computed" not in n])
def test_a_folder_that_workers_dont_see(
    client: Client, out_of_sight: Path, tmp_path: Path, name: str
) -> None:
    make_stack_in(tmp_path, (9, 91, 57))
    volume = brainxr.open(out_of_sight / "stack_100um_iso")
    (tmp_path / "target").mkdir()
    with pytest.raises(OSError, match="is not to be seen by the host") as caught:
        VERBS[name](volume, tmp_path / "target")
    message = str(caught.value)
    assert "'/proc/self/cwd/stack_100um_iso' is not to be seen by the host" in message
    assert "Mount the folder under this same path on every host of the cluster" in message
    assert "or open the volume by a URL" in message
    assert not [n for n in os.listdir(tmp_path / "target") if not n.startswith(".")]


@linux
@pytest.mark.parametrize("name", ["to_ome_zarr", "to_tiff", "to_nifti"])
def test_a_target_that_workers_dont_see(
    client: Client, made: MadeStack, out_of_sight: Path, tmp_path: Path, name: str
) -> None:
    with pytest.raises(OSError, match="is not to be seen by the host") as caught:
        VERBS[name](brainxr.open(made.path), out_of_sight)
    assert "/proc/self/cwd/." in str(caught.value)
    assert not [n for n in os.listdir(tmp_path) if not n.startswith(".")]


@linux
@pytest.mark.parametrize("version", [2, 3])
def test_a_store_that_workers_dont_see_is_not_empty_space(
    client: Client, out_of_sight: Path, tmp_path: Path, version: Any
) -> None:
    group = zarr.open_group(tmp_path / "foreign.zarr", mode="w", zarr_format=version)
    values = group.create_array("0", shape=(8, 9, 10), chunks=(4, 4, 4), dtype="u2")
    values[...] = 7
    axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]
    scale = [{"type": "scale", "scale": [1.0, 1.0, 1.0]}]
    image = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
    if version == 2:
        group.attrs["multiscales"] = [image | {"version": "0.4"}]
    else:
        group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    volume = brainxr.open(out_of_sight / "foreign.zarr")
    with pytest.raises(StoreReadError, match="is not to be seen by the host"):
        volume.compute()


def test_a_slice_that_went_away_is_told_with_the_host(client: Client, tmp_path: Path) -> None:
    made = make_stack_in(tmp_path, (9, 31, 17))
    volume = brainxr.open(made.path)
    made.paths[4].unlink()
    with pytest.raises(SliceReadError, match=r"slice_005\.tif' is not there .* on the host '"):
        volume.max("z").compute()


def test_a_client_that_only_promises_results_is_refused(tmp_path: Path) -> None:
    """What it gives was taken for results, and a file of a header alone for all of it."""
    volume, target = brainxr.open(brainxr.sample("phantom")), tmp_path / "a.nii"

    async def write() -> None:
        options = {"processes": False, "n_workers": 1, "dashboard_address": None}
        async with Client(asynchronous=True, set_as_default=True, **options):
            with pytest.raises(RuntimeError, match=r"is asynchronous.*asyncio\.to_thread"):
                volume.brain.to_nifti(target)
            assert not list(tmp_path.iterdir())
            await asyncio.to_thread(volume.brain.to_nifti, target, progress=False)

    asyncio.run(write())
    found = nibabel.load(target, mmap=False).get_fdata().T
    np.testing.assert_array_equal(found, volume)


def test_what_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"")
    assert is_seen("s3://bucket/slices")
    assert is_seen(str(tmp_path))
    assert is_seen(str(tmp_path / "a.zip" / "inside"))
    assert not is_seen(str(tmp_path / "b"))


def test_without_a_worker_an_error_is_as_it_was(tmp_path: Path) -> None:
    with pytest.raises(StoreWriteError, match=r"^full$"), told_by_worker(str(tmp_path)):
        raise StoreWriteError("full")


class Foreign(OSError):
    """Of another library, made of more than a message."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"{host} refused {port}")


def test_an_error_of_another_library_is_told_by_a_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_worker", lambda: SimpleNamespace(address="tcp://there:1"))
    with pytest.raises(OSError, match=r"refused 443.*tcp://there:1"), told_by_worker(str(tmp_path)):
        raise Foreign("host", 443)


# --- a worker that is killed ---------------------------------------------------------


def kill_at_work(client: Client, marker: Path, running: Future[Any]) -> int:
    """Kill the worker that is held while it reads, once another task is done; its number."""
    scheduler: Any = client.cluster.scheduler  # type: ignore[union-attr]
    began, until = time.time(), time.monotonic() + 250
    while time.monotonic() < until and not running.done():
        held = marker.read_text() if marker.exists() else ""
        log = list(scheduler.transition_log)
        if held and any(new == "memory" and at > began for _, _, new, *_, at in log):
            os.kill(int(held), signal.SIGKILL)
            return int(held)
        time.sleep(0.01)
    raise AssertionError(f"no worker was killed at work: {running}")


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in VERBS if n != "a box"])
def test_a_worker_is_killed_in_the_middle(
    here: dict[str, Any], client: Client, made: MadeStack, tmp_path: Path, name: str,
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(checks, "FILES_OF_A_TASK", 4)
    client.wait_for_workers(2)
    marker = tmp_path_factory.mktemp("held") / "number"
    client.run(hold_the_first_reader, marker)
    volume = brainxr.open(made.path, chunks={"z": 4})
    before = set(client.run(os.getpid).values())
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(VERBS[name], volume, tmp_path)
        killed = kill_at_work(client, marker, running)
        found = running.result(timeout=300)
    assert killed in before
    assert_same(found, here[name])
    left = os.listdir(tmp_path)
    assert len(left) == ("to_" in name or name == "movie"), left
    assert not [n for n in left if n.startswith(".")]
