"""Voxels become the bytes of Zarr's chunks and shards.

zarr-python and its peers take three to ten times as long as the codec itself needs, or
lose data where two threads share a file; so the bytes are put together here, by the
specification, and every other program reads them.

Sources: zarr-specs.readthedocs.io, v3 codecs "bytes", "blosc", "crc32c" and
"sharding_indexed" 1.0.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import google_crc32c
import imagecodecs
import numpy as np
import numpy.typing as npt

CodecName: TypeAlias = Literal["lz4", "zstd", "none"]

# Levels of Blosc's compressors: measured, more of them takes longer than it saves.
LEVELS: Mapping[str, int] = {"lz4": 5, "zstd": 1}
CODECS: tuple[str, ...] = (*LEVELS, "none")

# Offset and size in the index of a chunk that is all zero, which is not stored.
EMPTY = np.iinfo(np.uint64).max


@dataclass(frozen=True)
class Packing:
    """How the voxels of a chunk become bytes.

    Attributes
    ----------
    dtype : numpy.dtype
        As stored: little-endian.
    codec : {"lz4", "zstd", "none"}
    block : int
        Bytes that Blosc compresses by themselves, and that can be read by themselves; 0
        for its own choice.
    checksum : bool
        Whether a crc32c follows.
    """

    dtype: np.dtype[Any]
    codec: CodecName = "lz4"
    block: int = 0
    checksum: bool = True

    def codecs(self) -> list[dict[str, Any]]:
        """What was done, as the metadata of Zarr 3 say it."""
        endian = {"configuration": {"endian": "little"}} if self.dtype.itemsize > 1 else {}
        listed: list[dict[str, Any]] = [{"name": "bytes", **endian}]
        if self.codec != "none":
            shuffle = {"shuffle": "shuffle" if self._shuffled else "noshuffle"}
            settings = {"typesize": self.dtype.itemsize, **self._blosc(), **shuffle}
            listed.append({"name": "blosc", "configuration": settings})
        return [*listed, {"name": "crc32c"}] if self.checksum else listed

    def compressor(self) -> dict[str, Any] | None:
        """What was done, as the metadata of Zarr 2 say it."""
        if self.codec == "none":
            return None
        return {"id": "blosc", **self._blosc(), "shuffle": int(self._shuffled)}

    def _blosc(self) -> dict[str, Any]:
        return {"cname": self.codec, "clevel": LEVELS[self.codec], "blocksize": self.block}

    @property
    def _shuffled(self) -> bool:
        return self.dtype.itemsize > 1

    def pack(self, values: npt.NDArray[Any]) -> bytes:
        """Bytes of a chunk; C-contiguous, of `dtype`."""
        packed = values.tobytes() if self.codec == "none" else self._compressed(values)
        return packed + _crc32c(packed) if self.checksum else packed

    def _compressed(self, values: npt.NDArray[Any]) -> bytes:
        stored: Any = values.reshape(-1).view("u1")  # any buffer will do
        packed = imagecodecs.blosc_encode(
            stored, level=LEVELS[self.codec], compressor=self.codec,
            shuffle="shuffle" if self._shuffled else "noshuffle",
            typesize=self.dtype.itemsize, blocksize=self.block or None, numthreads=1,
        )  # fmt: skip
        return bytes(packed)


def _crc32c(data: bytes) -> bytes:
    return int(google_crc32c.value(data)).to_bytes(4, "little")


def pack_shard(
    values: npt.NDArray[Any], chunks: Sequence[int], per_shard: Sequence[int], packing: Packing
) -> list[bytes]:
    """Bytes of a shard, in pieces: its chunks, and the index that says where each is.

    Parameters
    ----------
    values : numpy.ndarray
        What of the volume is in the shard; less than a whole shard at the volume's end.
    chunks : sequence of int
        Shape of a chunk.
    per_shard : sequence of int
        Chunks along each axis of a whole shard.
    packing : Packing
    """
    pieces: list[bytes] = []
    index = np.full((math.prod(per_shard), 2), EMPTY, "<u8")
    offset = 0
    for place, chunk in _chunks(values, chunks, per_shard, packing.dtype):
        if chunk.view("u1").any():  # by its bytes: -0.0 is not 0
            pieces.append(packing.pack(chunk))
            index[place] = offset, len(pieces[-1])
            offset += len(pieces[-1])
    stored = index.tobytes()
    return [*pieces, stored, _crc32c(stored)]


def _chunks(
    values: npt.NDArray[Any], chunks: Sequence[int], per_shard: Sequence[int], dtype: np.dtype[Any]
) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """The chunks that there are, whole and flat, and the place of each in the index."""
    counts = [-(-n // c) for n, c in zip(values.shape, chunks, strict=True)]
    for number in itertools.product(*map(range, counts)):
        place = int(np.ravel_multi_index(number, tuple(per_shard)))
        starts = [i * c for i, c in zip(number, chunks, strict=True)]
        window = tuple(slice(s, s + c) for s, c in zip(starts, chunks, strict=True))
        yield place, whole_chunk(values[window], chunks, dtype).reshape(-1)


def whole_chunk(
    values: npt.NDArray[Any], chunks: Sequence[int], dtype: np.dtype[Any]
) -> npt.NDArray[Any]:
    """A chunk as it is stored: filled up with zeros where the volume ends in it."""
    if values.shape == tuple(chunks):
        return np.ascontiguousarray(values, dtype)
    whole = np.zeros(chunks, dtype)
    whole[tuple(map(slice, values.shape))] = values
    return whole
