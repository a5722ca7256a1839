"""The stacks that are measured: a phantom, what it becomes in other layouts, and hard links.

Everything is kept in one folder and made once; a stack is written beside its place
and renamed, so what stands there is whole.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

import brainxr

PLAIN = "plain"
# a real brain's texture, which compresses otherwise than the phantom's
MNI152 = "mni152"

# How many strips a slice of many strips has; 1760 rows make strips of 74.
STRIPS = 24


@dataclass(frozen=True)
class Size:
    """How large everything is.

    Attributes
    ----------
    name : str
    phantom : str
        Name of the phantom's folder.
    shape : mapping of str to int
        Voxels of the phantom along z, y and x.
    recoded : int
        Slices of the stacks in other layouts. They cost their peers seconds for a
        pass, so there are fewer of them.
    tile, box : int
        Edge of a tile, and of the box that is read.
    counts : tuple of int
        Numbers of slices that are opened, the phantom's own first.
    zoom : int
        How many voxels the MNI152 brain has for each of its own, along each axis.
    """

    name: str
    phantom: str
    shape: Mapping[str, int] = field(hash=False)
    recoded: int
    tile: int
    box: int
    counts: tuple[int, ...]
    zoom: int = 1

    @property
    def slices(self) -> int:
        return self.shape["z"]


# Voxels of the MNI152 brain along z, y and x.
MNI152_SHAPE = (189, 233, 197)

SIZES = {
    "quick": Size(
        "quick", "phantom_quick_axial", {"z": 128, "y": 352, "x": 320},
        recoded=40, tile=64, box=48, counts=(128, 1_000, 10_000),
    ),
    "full": Size(
        "full", "phantom_full_axial_100um_iso", {"z": 1280, "y": 1760, "x": 1760},
        recoded=100, tile=256, box=256, counts=(1280, 10_000, 100_000), zoom=5,
    ),
}  # fmt: skip


def layouts(size: Size) -> dict[str, dict[str, Any]]:
    """Other layouts of a slice, as `tifffile.imwrite` writes them."""
    strips = {"rowsperstrip": -(-size.shape["y"] // STRIPS)}
    deflate = {"compression": "deflate", "predictor": True}
    return {
        "strips": strips,
        "deflate, strips": {**deflate, **strips},
        "deflate, one strip": {**deflate, "rowsperstrip": size.shape["y"]},
        "lzw, strips": {"compression": "lzw", **strips},
        "zstd, strips": {"compression": "zstd", **strips},
        "deflate, tiles": {**deflate, "tile": (size.tile, size.tile)},
    }


@dataclass(frozen=True)
class Stacks:
    """Where the stacks are, whether or not they are made yet.

    Attributes
    ----------
    root : str
    size : Size
    """

    root: str
    size: Size

    def path(self, name: str) -> str:
        """Folder of a stack: the plain one, a layout, or ``"10000 slices"``."""
        ending = ".ome.zarr" if name.endswith(_STORE) else ""
        name = name.replace(", ", "_").replace(" ", "_")
        return os.path.join(self.root, f"{self.size.name}_{name}_100um_iso{ending}")

    @property
    def scratch(self) -> str:
        """Folder of what is made to be thrown away."""
        return os.path.join(self.root, "scratch")

    def many(self, count: int) -> str:
        return PLAIN if count == self.size.slices else f"{count} slices"

    @property
    def tenfold(self) -> str:
        return self.many(10 * self.size.slices)

    @property
    def twofold(self) -> str:
        return self.many(2 * self.size.slices)

    def make(self, names: Iterable[str], tick: Callable[[str], None]) -> None:
        """Make the stacks that are not there yet; `tick` is told of each."""
        for name in names:
            if os.path.isdir(self.path(name)):
                continue
            tick(name)
            if name.endswith(_STORE):
                self.make([source_of(name)], tick)
                volume = brainxr.open(self.path(source_of(name)))
                volume.brain.to_ome_zarr(self.path(name), progress=False)
            elif name == MNI152:
                _write(self.path(name), partial(_draw_mni152, self.size.zoom))
            else:
                options = layouts(self.size).get(name)
                _write(self.path(name), partial(_fill, self._phantom(), self.count(name), options))

    def _phantom(self) -> list[str]:
        folder = Path(self.root, self.size.phantom)
        phantom = brainxr.sample("phantom", shape=dict(self.size.shape), folder=folder)
        return sorted(str(path) for path in phantom.glob("*.tif"))

    def is_coded(self, name: str) -> bool:
        """Whether the pixels of a stack have to be decoded."""
        return "compression" in layouts(self.size).get(name, {})

    def count(self, name: str) -> int:
        """Slices of a stack."""
        if name in layouts(self.size):
            return self.size.recoded
        if name == MNI152:
            return MNI152_SHAPE[0] * self.size.zoom
        return self.size.slices if name == PLAIN else int(name.split()[0])

    def shape(self, name: str) -> tuple[int, int, int]:
        """Slices, rows and columns of a stack."""
        if name == MNI152:
            depth, height, width = (n * self.size.zoom for n in MNI152_SHAPE)
            return depth, height, width
        return self.count(name), self.size.shape["y"], self.size.shape["x"]


# --- stores -----------------------------------------------------------------------

_STORE = " store"


def store_of(stack: str) -> str:
    """Name of the store that is made of a stack."""
    return f"{stack}{_STORE}"


def source_of(store: str) -> str:
    """Name of the stack that a store is made of."""
    return store.removesuffix(_STORE)


# --- slices -----------------------------------------------------------------------


def _write(target: str, fill: Callable[[str], None]) -> None:
    """A folder that is there when it is full."""
    partial_folder = f"{target}.{os.getpid()}.partial"
    os.makedirs(partial_folder)
    try:
        fill(partial_folder)
        os.replace(partial_folder, target)
    finally:
        shutil.rmtree(partial_folder, ignore_errors=True)


def _fill(slices: list[str], count: int, options: dict[str, Any] | None, folder: str) -> None:
    """Slices of the phantom, by hard links where the files need not differ."""
    chosen = _central(slices, count) if options is not None else slices
    for i in range(count):
        source, path = chosen[i % len(chosen)], _slice_path(folder, i)
        if options is None:
            _link(source, path)
        else:
            _recode(source, path, options)


def _slice_path(folder: str, number: int) -> str:
    return os.path.join(folder, f"slice_{number + 1:06d}.tif")


def _draw_mni152(zoom: int, folder: str) -> None:
    """The brain with more voxels, between which values are interpolated along straight lines."""
    paths = sorted(brainxr.sample("mni152").glob("*.tif"))
    voxels = np.stack([tifffile.imread(path) for path in paths])
    if voxels.shape != MNI152_SHAPE:
        raise ValueError(f"The MNI152 brain has {voxels.shape} voxels, expected {MNI152_SHAPE}.")
    along = [_weights(size, zoom) for size in voxels.shape]
    for i, weights in enumerate(along[0]):
        near = np.flatnonzero(weights)
        plane = np.tensordot(weights[near], voxels[near], 1)
        plane = along[1] @ plane @ along[2].T
        tifffile.imwrite(_slice_path(folder, i), np.rint(plane).astype(np.uint8))


def _weights(size: int, zoom: int) -> npt.NDArray[np.float32]:
    """How much of each voxel is in each of `zoom` times as many, shape (zoom * size, size)."""
    places = (np.arange(zoom * size) + 0.5) / zoom - 0.5
    unit = np.eye(size, dtype=np.float32)
    columns = [np.interp(places, np.arange(size), row) for row in unit]
    return np.stack(columns, axis=1).astype(np.float32)


def _central(slices: list[str], count: int) -> list[str]:
    """Slices about the middle, where there is a head in them: air would compress too well."""
    first = (len(slices) - count) // 2
    return slices[first : first + count]


def _link(source: str, path: str) -> None:
    try:
        os.link(source, path)
    except OSError as error:
        raise OSError(
            f"{path!r} can't be made a hard link to {source!r} ({error.strerror}). Ten thousand "
            "slices are made of links: name a --folder on a file system that has them."
        ) from error


def _recode(source: str, path: str, options: dict[str, Any]) -> None:
    tifffile.imwrite(path, tifffile.imread(source), photometric="minisblack", **options)


def paths_of(folder: str) -> list[str]:
    """The slices of a stack in their order."""
    return sorted(os.path.join(folder, name) for name in os.listdir(folder) if name[0] != ".")


def files_of(folder: str) -> list[str]:
    """All files in a stack's folder, or a store's."""
    return [os.path.join(root, name) for root, _, names in os.walk(folder) for name in names]
