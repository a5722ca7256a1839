"""Places that can't be read or written: rights, read-only folders, full disks."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .case import IMAGES, Case, Refused, Values
from .hand import tiff
from .writers import compressed, plain, then

THIRD = "slice_3.tif"
SOUND = Values(IMAGES)
LARGE = np.random.default_rng(0).integers(0, 60_000, (5, 200, 300)).astype("u2")
STORE = "../out/brain.ome.zarr"
NAME = "brain.ome.zarr"


def _large(folder: Path) -> None:
    for n, image in enumerate(LARGE, 1):
        (folder / f"slice_{n}.tif").write_bytes(tiff(image, rows=200))


@contextmanager
def full_disk(left: int) -> Iterator[None]:
    """A disk on which no file can become longer than so many bytes."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (left, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _convert(folder: Path, **options: Any) -> Any:
    import brainxr

    volume = brainxr.open(folder)
    (folder / STORE).parent.mkdir(exist_ok=True)
    return brainxr.open(volume.brain.to_ome_zarr(folder / STORE, progress=False, **options)).values


def _convert_on_full_disk(folder: Path) -> None:
    try:
        with full_disk(50_000):
            _convert(folder)
    finally:
        assert not (folder / STORE).exists(), "half a store is there"
        assert sorted(p.name for p in folder.glob("*.tif")) == [
            f"slice_{n}.tif" for n in range(1, 6)
        ]


def _again_on_an_empty_disk(folder: Path) -> Any:
    try:
        _convert_on_full_disk(folder)
    except OSError:
        values = _convert(folder)
        assert os.listdir((folder / STORE).parent) == [NAME], "something was left behind"
        return values
    raise AssertionError("the disk was not full")


def _overwrite_on_full_disk(folder: Path) -> Any:
    import brainxr

    _convert(folder)
    before = brainxr.open(folder / STORE).values
    try:
        with full_disk(50_000):
            _convert(folder, overwrite=True, codec="none")
    except OSError:
        np.testing.assert_array_equal(brainxr.open(folder / STORE).values, before)
        return before
    raise AssertionError("the disk was not full")


def _movie(folder: Path) -> None:
    import brainxr

    volume = brainxr.open(folder)
    try:
        with full_disk(20_000):
            brainxr.movie(volume, folder / "movie.gif", progress=False)
    finally:
        left = [p for p in os.listdir(folder) if not p.endswith(".tif")]
        assert not left, f"left behind: {left}"


def _write_over_the_slices(folder: Path) -> None:
    import brainxr

    try:
        brainxr.open(folder).brain.to_ome_zarr(folder, progress=False)
    finally:
        np.testing.assert_array_equal(brainxr.open(folder).values, IMAGES)


CASES = [
    Case("a slice that may not be read", plain,
         Refused("SliceReadError", (THIRD, "permission denied", "Ask"), found_by="check"), locked=(THIRD,)),
    Case("a slice that may not be read, compressed", compressed,
         Refused("SliceReadError", (THIRD, "permission denied", "Ask"), found_by="check"), locked=(THIRD,)),
    Case("the first slice may not be read", plain,
         Refused("SliceReadError", ("slice_1.tif", "permission denied", "Ask"), "open", "check"), locked=("slice_1.tif",)),
    Case("a folder that may not be listed", plain,
         Refused("SliceReadError", ("stack_25um_iso", "permission denied", "Ask"), "open"), locked=(".",), mode=0o111),
    Case("a folder that may be listed and not entered", plain,
         Refused("SliceReadError", ("slice_1.tif", "permission denied"), "open", "check"), locked=(".",), mode=0o444),
    Case("read-only slices", plain, SOUND, locked=tuple(f"slice_{n}.tif" for n in range(1, 6)), mode=0o444),
    Case("a read-only folder", plain, SOUND, locked=(".",), mode=0o555),
    Case("converting into a read-only folder", then(plain, lambda f: (f.parent / "out").mkdir()),
         Refused("StoreWriteError", (NAME,), "open"), act=_convert, locked=("../out",), mode=0o555, asks="writing"),
    Case("converting onto a full disk", _large,
         Refused("StoreWriteError", (NAME,), "open"), act=_convert_on_full_disk, asks="writing"),
    Case("converting again, once there is room", _large, Values(LARGE), act=_again_on_an_empty_disk, asks="writing"),
    Case("replacing a store on a full disk", _large, Values(LARGE), act=_overwrite_on_full_disk, asks="writing"),
    Case("a movie onto a full disk", _large,
         Refused("OSError", ("movie.gif",), "open"), act=_movie, asks="writing"),
    Case("converting to where the slices are", plain,
         Refused("StoreError", ("stack_25um_iso", "inside the source"), "open"), act=_write_over_the_slices, asks="writing"),
]  # fmt: skip

if sys.platform == "win32":  # rights and limits are others there
    CASES = []
