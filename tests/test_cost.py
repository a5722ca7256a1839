"""Cost before compute: what is said is what the kernel counts."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import xarray as xr

import brainxr
from brainxr.lazy import memory
from brainxr.lazy.cost import Cost, show_bytes
from brainxr.lazy.laidout import on_places
from brainxr.lazy.unloaded import stack_of
from brainxr.viewing.preview import Preview

LAZY = {
    "axial": lambda v: v.isel(z=3),
    "coronal": lambda v: v.isel(y=20),
    "sagittal": lambda v: v.isel(x=7),
    "strided": lambda v: v.isel(z=slice(None, None, 4), y=slice(None, None, 9)),
    "reduced": lambda v: v.max("z"),
    "reduced selection": lambda v: v.isel(y=slice(3, 9)).mean(["z", "x"]),
    "slice by slice": lambda v: v.isel(z=slice(2, 5)).sum(["y", "x"]),
    "arithmetic": lambda v: (v * 2).sum("z"),
    "difference": lambda v: v.isel(z=1) - v.isel(z=2).drop_vars("z"),
}


@pytest.mark.parametrize("name", LAZY)
def test_as_many_bytes_as_are_read(make_stack: Any, bytes_read: Any, name: str) -> None:
    made = make_stack((12, 60, 4000), "u2")
    vol = brainxr.open(made.path)
    vol.isel(x=0).compute()  # every file has been looked at
    lazy = LAZY[name](vol)
    lazy.compute()  # and every module imported
    lazy.brain.cost()
    with bytes_read() as counted:
        cost = lazy.brain.cost()
    assert counted.count == 0
    assert cost.bytes_of_result == lazy.nbytes
    with bytes_read() as counted:
        lazy.compute()
    assert counted.count == cost.bytes_to_read


def test_slices(make_stack: Any) -> None:
    vol = brainxr.open(make_stack((12, 6, 4), "u2").path)
    assert vol.isel(z=[3, 5, 3]).brain.cost() == Cost(2, 2 * 48, 3 * 48)
    assert vol.max("z").brain.cost() == Cost(12, 12 * 48, 48)
    assert (vol.isel(z=3) - vol.isel(z=5)).brain.cost().slices == 2
    points = xr.DataArray([0, 1], dims="point")
    assert vol.isel(z=points, y=points, x=points).brain.cost().slices == 2
    assert vol.isel(x=1).compute().brain.cost() == Cost(0, 0, 12 * 6 * 2)


def test_without_dask(make_stack: Any) -> None:
    vol = brainxr.open(make_stack((12, 6, 4), "u2").path, chunks=None)
    assert vol.isel(y=[2, 3]).brain.cost() == Cost(12, 12 * 2 * 8, 12 * 2 * 8)


def test_in_words() -> None:
    assert str(Cost(1, 1000, 5)) == "1 kB to read from 1 slice, 5 B of result"
    assert [show_bytes(n) for n in (0, 999, 999.6, 1e6, 3.965e9, 2e15)] == [
        "0 B", "999 B", "1 kB", "1 MB", "3.96 GB", "2e+03 TB",
    ]  # fmt: skip


def _leave(monkeypatch: Any, count: int) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=count))
    monkeypatch.setattr(memory, "rooms_of_groups", list)  # which files tell, too


def test_what_is_too_big_is_refused_before_it_is_read(
    make_stack: Any, bytes_read: Any, monkeypatch: Any
) -> None:
    vol = brainxr.open(make_stack((5, 70, 90), "u2").path)
    _leave(monkeypatch, 9000)
    way_out = r"Select a part.*data\.isel\(y=slice\(None, None, 3\), x=slice\(None, None, 3\)\)"
    importlib.import_module("brainxr.pictures.plot")
    with bytes_read() as counted:
        with pytest.raises(brainxr.TooBigError, match=rf"1 plane of y 70 x x 90 uint16.*{way_out}"):
            brainxr.view(vol, object())
        with pytest.raises(MemoryError, match=r"3 planes of y 70 x x 90 .* take 37\.8 kB"):
            vol.brain.plot_planes()
        with pytest.raises(MemoryError, match=r"1 plane of y 70 x x 90 .* take 12\.6 kB"):
            vol.brain.montage("z", n=1)
        with pytest.raises(MemoryError, match="of memory, and 9 kB are available"):
            brainxr.view(vol.max("z"), object())
    assert counted.count < 100  # no slice; what threads tell each other counts, too


def test_work_that_needs_more_memory_is_refused_before_it_begins(
    make_stack: Any, bytes_read: Any, monkeypatch: Any, tmp_path: Any
) -> None:
    layers = pytest.importorskip("napari.layers")
    vol = brainxr.open(make_stack((5, 170, 190), "u2").path)
    painted = layers.Labels(vol.astype("u1").data, units=("um",) * 3, axis_labels=("z", "y", "x"))
    _leave(monkeypatch, 9000)
    importlib.import_module("brainxr.pictures.frames")
    works = {
        "planes of 170 x 190, which a movie reads ahead": lambda: brainxr.movie(vol, "a.gif"),
        r"\d x \d+ x 190 voxels at a time in each of": lambda: brainxr.checksum(vol),
        "voxels at a time in each": lambda: brainxr.check(vol.attrs["source"], deep=True),
        "by memory=, would": lambda: vol.brain.to_ome_zarr("a.ome.zarr"),
        "What is worked on at a time": lambda: vol.brain.to_tiff("a"),
        "is worked on at a time, by memory=": lambda: vol.brain.to_nifti("a.nii"),
        "The labels, 5 x 170 x 190 uint8": lambda: brainxr.labels(painted),
        "volume in three dimensions, 5 x 170 x 190": lambda: next(_preview(vol).read_steps()),
    }
    monkeypatch.chdir(tmp_path)
    for message, work in works.items():
        refused = rf"{message}.*, and 9 kB are available\. "
        with pytest.raises(brainxr.TooBigError, match=refused):
            work()
        with bytes_read() as counted, pytest.raises(brainxr.TooBigError):
            work()  # by now everything is imported
        assert counted.count < 100_000, message  # headers, and no voxels
        assert os.listdir() == ["stack_100um_iso"], message


def _preview(vol: Any) -> Preview:
    whole = on_places(stack_of(vol), [np.arange(n) for n in vol.shape])
    return Preview(whole, whole)


def test_nothing_is_refused_that_fits(make_stack: Any) -> None:
    vol = brainxr.open(make_stack((5, 7, 9), "u2").path)
    figure = vol.brain.plot_planes()
    assert len(figure.axes) == 3
    np.testing.assert_array_equal(vol.isel(z=0).values.shape, (7, 9))


@pytest.mark.parametrize("version", [1, 2])
def test_a_group_has_less_than_the_machine(tmp_path: Any, monkeypatch: Any, version: int) -> None:
    """As in a container, or in a job of a cluster: beyond its limit a process is killed."""
    own, root = tmp_path / "own", tmp_path / "groups" / ("memory" if version == 1 else "")
    own.write_text({1: "3:cpu,cpuacct:/\n5:memory:/jobs/7\n", 2: "0::/jobs/7\n"}[version])
    limit, taken, cached = {
        1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        2: ("memory.max", "memory.current", "inactive_file"),
    }[version]
    for place, most, now in (("", "max", 9), ("jobs", "7000", 5000), ("jobs/7", "6500", 4200)):
        (root / place).mkdir(parents=True, exist_ok=True)
        (root / place / limit).write_text(f"{most}\n")
        (root / place / taken).write_text(f"{now}\n")
        (root / place / "memory.stat").write_text(f"anon 3\n{cached} 100\n")
    assert sorted(memory.rooms_of_groups(tmp_path / "groups", own)) == [2100, 2400]
    monkeypatch.setattr(memory, "rooms_of_groups", lambda: [2100])
    assert memory.available_memory() == 2100


def test_no_more_addresses_than_ulimit_says() -> None:
    code = (
        "import resource, brainxr.lazy.memory as m; "
        "resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30)); "
        "assert 0 < m.available_memory() < 3 << 30; "
    )
    subprocess.run([sys.executable, "-c", code], check=True)
