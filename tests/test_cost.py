"""Cost before compute: what is said is what the kernel counts."""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import xarray as xr

import brainxr
from brainxr.lazy.cost import Cost, show_bytes

LAZY = {
    "axial": lambda v: v.isel(z=3),
    "coronal": lambda v: v.isel(y=20),
    "sagittal": lambda v: v.isel(x=7),
    "strided": lambda v: v.isel(z=slice(None, None, 4), y=slice(None, None, 9)),
    "reduced": lambda v: v.max("z"),
    "reduced selection": lambda v: v.isel(y=slice(3, 9)).mean(["z", "x"]),
    "slice by slice": lambda v: v.isel(z=slice(2, 5)).sum(["y", "x"]),
    "arithmetic": lambda v: (v * 2).sum("z"),
    "difference": lambda v: v.isel(z=1) - v.isel(z=2).drop_vars(["z", "file"]),
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


def test_what_is_too_big_is_refused_before_it_is_read(
    make_stack: Any, bytes_read: Any, monkeypatch: Any
) -> None:
    vol = brainxr.open(make_stack((5, 70, 90), "u2").path)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=9000))
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


def test_nothing_is_refused_that_fits(make_stack: Any) -> None:
    vol = brainxr.open(make_stack((5, 7, 9), "u2").path)
    figure = vol.brain.plot_planes()
    assert len(figure.axes) == 3
    np.testing.assert_array_equal(vol.isel(z=0).values.shape, (7, 9))
