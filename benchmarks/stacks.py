"""The stacks that are measured: a phantom, what it becomes in other layouts, and hard links.

Everything is kept in one folder and made once; a stack is written beside its place
and renamed, so what stands there is whole.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tifffile

import brainxr

PLAIN = "plain"

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
    """

    name: str
    phantom: str
    shape: Mapping[str, int] = field(hash=False)
    recoded: int
    tile: int
    box: int
    counts: tuple[int, ...]

    @property
    def slices(self) -> int:
        return self.shape["z"]


SIZES = {
    "quick": Size(
        "quick", "phantom_quick_axial", {"z": 128, "y": 352, "x": 320},
        recoded=40, tile=64, box=48, counts=(128, 1_000, 10_000),
    ),
    "full": Size(
        "full", "phantom_full_axial_100um", {"z": 1280, "y": 1760, "x": 1760},
        recoded=100, tile=256, box=256, counts=(1280, 10_000, 100_000),
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
        return os.path.join(self.root, f"{self.size.name}_{name.replace(', ', '_')}_100um")

    def many(self, count: int) -> str:
        return PLAIN if count == self.size.slices else f"{count} slices"

    @property
    def tenfold(self) -> str:
        return self.many(10 * self.size.slices)

    def make(self, names: Iterable[str], tick: Callable[[str], None]) -> None:
        """Make the stacks that are not there yet; `tick` is told of each."""
        missing = [name for name in names if not os.path.isdir(self.path(name))]
        slices = self._phantom(tick) if missing else []
        for name in missing:
            tick(name)
            options = layouts(self.size).get(name)
            _write(self.path(name), slices, self.count(name), options)

    def _phantom(self, tick: Callable[[str], None]) -> list[str]:
        tick("phantom")
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
        return self.size.slices if name == PLAIN else int(name.split()[0])


def _write(target: str, slices: list[str], count: int, options: dict[str, Any] | None) -> None:
    """Write a stack, by hard links where the files need not differ."""
    partial = f"{target}.{os.getpid()}.partial"
    os.makedirs(partial)
    try:
        chosen = _central(slices, count) if options is not None else slices
        for i in range(count):
            path = os.path.join(partial, f"slice_{i + 1:06d}.tif")
            source = chosen[i % len(chosen)]
            if options is None:
                _link(source, path)
            else:
                _recode(source, path, options)
        os.replace(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


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
