"""Conversion to OME-Zarr: brainxr, what the machine can do, and the two others that do it.

All with chunks of 64³, in shards of 64 x 512 x 512 where they can, in blosc-lz4, with
the levels that halve every axis. Each writes into a folder of its own that is removed
before the next run.
"""

from __future__ import annotations

import atexit
import collections
import shutil
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from glob import glob
from pathlib import Path
from typing import Any

import numpy as np
import zarr

import brainxr
from brainxr.backend import stack_of
from brainxr.shards import pack_shard
from brainxr.storing import Options, Pyramid

CHUNK, SHARD = (64, 64, 64), (64, 512, 512)


def limit(folder: str) -> Callable[[], Any]:
    """Read every slice once and pack level 0 on two threads; nothing is written."""
    volume = brainxr.open(folder)
    source, pyramid = stack_of(volume), Pyramid.of(volume, Options())
    blocking = pyramid.blocking
    finest = blocking.levels[0]

    def pack(box: tuple[int, ...]) -> None:
        assert source is not None
        values = source.select(blocking.place(box)).read()
        for _, window in blocking.shards(finest, box):
            pieces = pack_shard(values[window], finest.chunks, finest.per_shard, pyramid.packing)
            collections.deque(pieces, maxlen=0)

    def run() -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(pack, blocking.boxes))

    return run


def by_brainxr(folder: str) -> Callable[[], Path]:
    """To a store in a new folder, which is returned."""
    volume = brainxr.open(folder)
    return _into_a_new_folder(partial(volume.brain.to_ome_zarr, progress=False))


def by_ngff_zarr(folder: str) -> Callable[[], Path]:
    """Its dask bin-shrink, the fastest of its methods that need nothing else installed."""
    import ngff_zarr

    image = ngff_zarr.to_ngff_image(_dask(folder), dims=["z", "y", "x"])
    per_shard = dict(zip("zyx", (s // c for s, c in zip(SHARD, CHUNK, strict=True)), strict=True))

    def write(path: str) -> None:
        levels = ngff_zarr.to_multiscales(
            image, scale_factors=_factors(image.data.shape), chunks=CHUNK[0],
            method=ngff_zarr.Methods.DASK_BIN_SHRINK,
        )  # fmt: skip
        ngff_zarr.to_ngff_zarr(
            path, levels, version="0.5", chunks_per_shard=per_shard, compressors=[_lz4()]
        )

    return _into_a_new_folder(write)


def by_ome_zarr_py(folder: str) -> Callable[[], Path]:
    """Its local mean, for sharded arrays; its defaults otherwise."""
    from ome_zarr.scale import Methods
    from ome_zarr.writer import write_image

    image = _dask(folder).rechunk(SHARD)
    options = {"chunks": CHUNK, "shards": SHARD, "compressors": [_lz4()]}

    def write(path: str) -> None:
        write_image(
            image, zarr.open_group(path, mode="w", zarr_format=3), axes="zyx",
            scale_factors=[dict.fromkeys("zyx", f) for f in _factors(image.shape)],
            method=Methods.LOCAL_MEAN, storage_options=options,
        )  # fmt: skip

    return _into_a_new_folder(write)


PEERS: Mapping[str, tuple[str, Callable[[str], Callable[[], Path]]]] = {
    "ngff-zarr": ("ngff_zarr", by_ngff_zarr),
    "ome-zarr-py": ("ome_zarr", by_ome_zarr_py),
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


def _into_a_new_folder(write: Callable[[str], Any]) -> Callable[[], Path]:
    kept = Path(tempfile.mkdtemp(prefix="brainxr-conversion-"))
    atexit.register(shutil.rmtree, kept, ignore_errors=True)

    def run() -> Path:
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir()
        write(str(kept / "brain.ome.zarr"))
        return kept / "brain.ome.zarr"

    return run


def middle_plane(store: Path) -> np.ndarray[Any, Any]:
    """The plane in the middle of level 0, by zarr-python."""
    group = zarr.open_group(store, mode="r")
    ome: Any = group.attrs["ome"]
    finest: Any = group[ome["multiscales"][0]["datasets"][0]["path"]]
    return np.asarray(finest[finest.shape[0] // 2])
