"""Conversion to OME-Zarr: brainxr, what the machine can do, and the two others that do it.

With chunks of 64³, in shards of 64 x 512 x 512 where they can, in blosc-lz4, with the
levels that halve every axis; and the others once more as they are without any options.
Each writes into a folder that is emptied before.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from glob import glob
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zarr

import brainxr
from brainxr.files.buffers import Buffers
from brainxr.lazy.unloaded import stack_of
from brainxr.writing.pieces import Pieces
from brainxr.writing.shards import pack_shard, room_beyond
from brainxr.writing.storing import Options, Pyramid

CHUNK, SHARD = (64, 64, 64), (64, 512, 512)


@dataclass(frozen=True)
class Place:
    """A folder for what is converted, and nothing else.

    Attributes
    ----------
    folder : str
    """

    folder: str

    @property
    def store(self) -> Path:
        return Path(self.folder, "brain.ome.zarr")

    @property
    def killed(self) -> Path:
        """Of a conversion that was killed."""
        return Path(f"{self.folder}.killed")

    @property
    def emptied(self) -> Path:
        """Of what was there before."""
        return Path(f"{self.folder}.emptied")

    def clear(self) -> None:
        """Make room, and delete nothing yet.

        A file system without a journal (ext4) doesn't use the place of a file again that was
        deleted in the last minutes, and looks at each of them before it makes one. A
        conversion that follows such a deletion takes a fifth longer.
        """
        if os.path.isdir(self.folder):
            for path in Path(self.folder).rglob("*"):
                if path.is_file() and path.stat().st_nlink == 1:  # not what was put here by links
                    os.truncate(path, 0)
            self.emptied.mkdir(exist_ok=True)
            os.rename(self.folder, self.emptied / str(len(os.listdir(self.emptied))))
        os.makedirs(self.folder)

    def remove(self) -> None:
        for folder in (self.folder, self.killed, self.emptied):
            shutil.rmtree(folder, ignore_errors=True)


def limit(folder: str) -> Callable[[], Any]:
    """Read every slice once and pack level 0 on two threads; nothing is written or kept."""
    volume = brainxr.open(folder)
    source, pyramid = stack_of(volume), Pyramid.of(volume, Options())
    blocking = pyramid.blocking
    finest, memory = blocking.levels[0], Buffers()
    pieces = Pieces(2, 1 << 20, room_beyond(finest.chunks, finest.per_shard, pyramid.packing))

    def pack(box: tuple[int, ...]) -> None:
        assert source is not None
        values = source.select(blocking.place(box)).read(partial(memory.array, "box"))
        for _, window in blocking.shards(finest, box):
            for piece in pack_shard(
                values[window], finest.chunks, finest.per_shard, pyramid.packing, pieces
            ):
                piece.free()

    def run() -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(pack, blocking.boxes))

    return run


def by_brainxr(folder: str, place: Place) -> Callable[[], Path]:
    return partial(brainxr.open(folder).brain.to_ome_zarr, place.store, progress=False)


def by_ngff_zarr(folder: str, place: Place) -> Callable[[], Path]:
    """Its dask bin-shrink, the fastest of its methods that need nothing else installed."""
    import ngff_zarr

    image = ngff_zarr.to_ngff_image(_dask(folder), dims=["z", "y", "x"])
    per_shard = dict(zip("zyx", (s // c for s, c in zip(SHARD, CHUNK, strict=True)), strict=True))

    def write() -> Path:
        levels = ngff_zarr.to_multiscales(
            image, scale_factors=_factors(image.data.shape), chunks=CHUNK[0],
            method=ngff_zarr.Methods.DASK_BIN_SHRINK,
        )  # fmt: skip
        ngff_zarr.to_ngff_zarr(
            str(place.store), levels, version="0.5", chunks_per_shard=per_shard,
            compressors=[_lz4()],
        )  # fmt: skip
        return place.store

    return write


def by_ngff_zarr_defaults(folder: str, place: Place) -> Callable[[], Path]:
    import ngff_zarr

    image = ngff_zarr.to_ngff_image(_dask(folder), dims=["z", "y", "x"])

    def write() -> Path:
        ngff_zarr.to_ngff_zarr(str(place.store), ngff_zarr.to_multiscales(image))
        return place.store

    return write


def by_ome_zarr_py(folder: str, place: Place) -> Callable[[], Path]:
    """Its local mean, for sharded arrays."""
    from ome_zarr.scale import Methods
    from ome_zarr.writer import write_image

    image = _dask(folder).rechunk(SHARD)
    options = {"chunks": CHUNK, "shards": SHARD, "compressors": [_lz4()]}

    def write() -> Path:
        write_image(
            image, zarr.open_group(place.store, mode="w", zarr_format=3), axes="zyx",
            scale_factors=[dict.fromkeys("zyx", f) for f in _factors(image.shape)],
            method=Methods.LOCAL_MEAN, storage_options=options,
        )  # fmt: skip
        return place.store

    return write


def by_ome_zarr_py_defaults(folder: str, place: Place) -> Callable[[], Path]:
    from ome_zarr.writer import write_image

    image = _dask(folder)

    def write() -> Path:
        write_image(image, zarr.open_group(place.store, mode="w", zarr_format=3), axes="zyx")
        return place.store

    return write


PEERS: Mapping[str, tuple[str, Callable[[str, Place], Callable[[], Path]]]] = {
    "ngff-zarr": ("ngff_zarr", by_ngff_zarr),
    "ome-zarr-py": ("ome_zarr", by_ome_zarr_py),
    "ngff-zarr, defaults": ("ngff_zarr", by_ngff_zarr_defaults),
    "ome-zarr-py, defaults": ("ome_zarr", by_ome_zarr_py_defaults),
}


def _dask(folder: str) -> Any:
    """The slices by dask and tifffile, a chunk each."""
    import dask.array as da
    import tifffile

    sequence = tifffile.TiffSequence(sorted(glob(f"{folder}/*.tif")))
    return da.from_zarr(sequence.aszarr())


def _factors(shape: tuple[int, ...]) -> list[int]:
    """Scale factors of the levels after level 0, as brainxr makes them."""
    count = max(0, int(np.ceil(np.log2(max(shape) / 128))))
    return [2 ** (k + 1) for k in range(count)]


def _lz4() -> Any:
    from zarr.codecs import BloscCodec

    return BloscCodec(cname="lz4", clevel=5, shuffle="noshuffle")


# --- going on ---------------------------------------------------------------------

# kills itself when nine tenths of the slabs, or all but one, are written
KILLED = """
import os, signal, sys, brainxr
def kill(progress):
    if progress.done >= min(int(0.9 * progress.total), progress.total - 1):
        os.kill(os.getpid(), signal.SIGKILL)
brainxr.open(sys.argv[1]).brain.to_ome_zarr(sys.argv[2], progress=False, callback=kill)
"""


def resumed(folder: str, place: Place) -> Callable[[], Path]:
    """What goes on with a conversion that was killed; `put_killed` puts that there."""
    killed = Place(str(place.killed))
    killed.clear()
    done = subprocess.run([sys.executable, "-c", KILLED, folder, str(killed.store)], check=False)
    if done.returncode >= 0:
        raise RuntimeError("The conversion that was to be killed came to its end.")
    return by_brainxr(folder, place)


def put_killed(place: Place) -> None:
    """Put a killed conversion in the place, by links: what goes on replaces what is unfinished."""
    place.clear()
    name = f".{place.store.name}.partial"
    shutil.copytree(place.killed / name, Path(place.folder, name), copy_function=os.link)


# --- what became of it ------------------------------------------------------------


class Made(NamedTuple):
    """What of a store is compared, and the bytes of its files."""

    plane: np.ndarray[Any, Any]
    size_on_disk: int


def look(store: Path) -> Made:
    """The plane in the middle of level 0, by zarr-python."""
    group = zarr.open_group(store, mode="r")
    multiscales: Any = group.attrs.get("ome", group.attrs)
    finest: Any = group[multiscales["multiscales"][0]["datasets"][0]["path"]]
    size = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    return Made(np.asarray(finest[finest.shape[0] // 2]), size)
