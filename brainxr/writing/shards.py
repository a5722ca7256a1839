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

import numpy as np
import numpy.typing as npt

from brainxr.files.buffers import Buffers
from brainxr.files.checksum import crc32c
from brainxr.files.decoders import HEADER_BYTES, pack

CodecName: TypeAlias = Literal["lz4", "zstd", "none"]

# Levels of Blosc's compressors: measured, more of them takes longer than it saves.
LEVELS: Mapping[str, int] = {"lz4": 5, "zstd": 1}
CODECS: tuple[str, ...] = (*LEVELS, "none")

# Offset and size in the index of a chunk that is all zero, which is not stored.
EMPTY = np.iinfo(np.uint64).max

CHECKSUM_BYTES = 4

_buffers = Buffers()


@dataclass(frozen=True)
class Packing:
    """How the voxels of a chunk become bytes.

    Attributes
    ----------
    dtype : numpy.dtype
        As stored: little-endian.
    codec : {"lz4", "zstd", "none"}
    checksum : bool
        Whether a crc32c follows.
    """

    dtype: np.dtype[Any]
    codec: CodecName = "lz4"
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
        return {"cname": self.codec, "clevel": LEVELS[self.codec], "blocksize": 0}

    @property
    def _shuffled(self) -> bool:
        return self.dtype.itemsize > 1

    def most(self, voxels: int) -> int:
        """Bytes that a chunk of so many voxels takes at most."""
        return voxels * self.dtype.itemsize + HEADER_BYTES + CHECKSUM_BYTES

    def pack(self, values: npt.NDArray[Any], out: npt.NDArray[np.uint8]) -> int:
        """Pack a chunk into `out`, which has room for `most`; the bytes that it takes."""
        stored = values.reshape(-1).view(np.uint8)
        if self.codec == "none":
            size = stored.size
            out[:size] = stored
        else:
            size = pack(
                stored, out[: stored.size + HEADER_BYTES], compressor=self.codec,
                level=LEVELS[self.codec], itemsize=self.dtype.itemsize,
            )  # fmt: skip
        return size + _add_checksum(out, size) if self.checksum else size


def _add_checksum(out: npt.NDArray[np.uint8], size: int) -> int:
    """Write the checksum of the first so many bytes behind them."""
    found = crc32c(out[:size]).to_bytes(CHECKSUM_BYTES, "little")
    out[size : size + CHECKSUM_BYTES] = np.frombuffer(found, np.uint8)
    return CHECKSUM_BYTES


def pack_chunk(
    values: npt.NDArray[Any], chunks: Sequence[int], packing: Packing
) -> Iterator[memoryview]:
    """The bytes of a chunk that is a file by itself; see `pack_shard`."""
    yield _packed(whole_chunk(values, chunks, packing.dtype), packing)


def pack_shard(
    values: npt.NDArray[Any], chunks: Sequence[int], per_shard: Sequence[int], packing: Packing
) -> Iterator[memoryview]:
    """The bytes of a shard, piece by piece: its chunks, and the index that says where each is.

    It takes the memory of two chunks, however large the shard is.

    Parameters
    ----------
    values : numpy.ndarray
        What of the volume is in the shard; less than a whole shard at the volume's end.
    chunks : sequence of int
        Shape of a chunk.
    per_shard : sequence of int
        Chunks along each axis of a whole shard.
    packing : Packing

    Yields
    ------
    memoryview
        In memory that this thread uses again for the next piece.
    """
    index = np.full((math.prod(per_shard), 2), EMPTY, "<u8")
    end = 0
    for place, chunk in _chunks(values, chunks, per_shard, packing.dtype):
        if chunk.view(np.uint8).any():  # by its bytes: -0.0 is not 0
            packed = _packed(chunk, packing)
            index[place] = end, len(packed)
            end += len(packed)
            yield packed
    last = np.empty(index.nbytes + CHECKSUM_BYTES, np.uint8)
    last[: index.nbytes] = index.reshape(-1).view(np.uint8)
    _add_checksum(last, index.nbytes)
    yield last.data


def _packed(chunk: npt.NDArray[Any], packing: Packing) -> memoryview:
    """A whole chunk, packed into memory that this thread uses again for the next."""
    out = _buffers.get("packed", packing.most(chunk.size))
    return out[: packing.pack(chunk, out)].data


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
    """A chunk as it is stored: filled up with zeros where the volume ends in it.

    In memory that this thread uses again for the next chunk.
    """
    size = math.prod(chunks) * dtype.itemsize
    whole = _buffers.get("chunk", size).view(dtype).reshape(tuple(chunks))
    if values.shape != whole.shape:
        whole[...] = 0
    whole[tuple(map(slice, values.shape))] = values
    return whole
