"""Stores made by zarr-python, and the values that are in them.

The geometry comes from `brainxr.stores.ngff`, whose other direction is tested by itself and by
the programs of others (test_peers.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import xarray as xr
import zarr
from conftest import unique_values
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, ZstdCodec

from brainxr.stores.extras import Extra
from brainxr.stores.ngff import Channel, Image, Level, coarser, to_attributes

FINEST = Level("0", {"z": 50.0, "y": 20.0, "x": 10.0}, {"z": 1000.0, "y": 0.0, "x": -5.0})

V3_CODECS: dict[str, list[Any]] = {
    "none": [],
    "blosc": [BloscCodec(cname="lz4", blocksize=1024, shuffle="shuffle")],
    "zstd": [ZstdCodec()],
    "gzip": [GzipCodec()],
}
V2_CODECS: dict[str, Any] = {
    "none": None,
    "blosc": numcodecs.Blosc("zstd"),
    "zstd": numcodecs.Zstd(),
    "zlib": numcodecs.Zlib(),
    "lz4": numcodecs.LZ4(),
}


@dataclass(frozen=True)
class MadeStore:
    """A store on disk and what is in each of its levels, shape (z, y, x)."""

    folder: Path
    levels: list[np.ndarray]
    image: Image

    @property
    def path(self) -> str:
        return str(self.folder)

    def twin(self, level: int = 0) -> xr.DataArray:
        """What brainxr has to make of a level, but for indexes and attributes."""
        values, placed = self.levels[level], self.image.levels[level]
        coords = {
            dim: placed.origin[dim] + placed.spacing[dim] * np.arange(n)
            for dim, n in zip("zyx", values.shape, strict=True)
        }
        return xr.DataArray(values, coords, ("z", "y", "x"), "intensity")


def halved(values: np.ndarray) -> np.ndarray:
    """Every second voxel, which is a level as good as any where only places matter."""
    return values[::2, ::2, ::2]


def make_store(
    folder: Path, shape: Sequence[int] = (21, 26, 35), dtype: str = "u2", *, zarr_format: int = 3,
    codec: str = "blosc", chunks: Sequence[int] = (8, 4, 16), shards: Sequence[int] | None = None,
    checksum: bool = False, levels: int = 1, extra: Extra | None = None, values: Any = None,
    channels: tuple[Channel, ...] = (), **options: Any,
) -> MadeStore:  # fmt: skip
    """Write a store; `dtype` may name a byte order."""
    stored = np.dtype(dtype)
    made = [unique_values(shape, stored.newbyteorder("=")) if values is None else values]
    placed = [FINEST]
    for number in range(1, levels):
        made.append(halved(made[-1]))
        placed.append(coarser(placed[-1], str(number), dict.fromkeys("zyx", 2)))
    version: Any = "0.5" if zarr_format == 3 else "0.4"
    image = Image(("z", "y", "x"), tuple(placed), "made", "nearest", channels, extra, version)
    group = zarr.open_group(folder, mode="w", zarr_format=zarr_format)  # type: ignore[arg-type]
    group.attrs.update(to_attributes(image, stored))
    if zarr_format == 3:
        order = "big" if stored.byteorder == ">" else "little"
        options |= {"serializer": BytesCodec(endian=order), "dtype": stored.newbyteorder("=")}
        options["dimension_names"] = ("z", "y", "x")
        options["compressors"] = V3_CODECS[codec] + [Crc32cCodec()] * checksum or None
    else:
        options |= {"dtype": stored, "compressors": V2_CODECS[codec]}
    for level, array in zip(placed, made, strict=True):
        group.create_array(
            level.path, shape=array.shape, chunks=tuple(chunks),
            shards=None if shards is None else tuple(shards), **options,
        )[...] = array  # fmt: skip
    return MadeStore(Path(folder), made, replace(image))
