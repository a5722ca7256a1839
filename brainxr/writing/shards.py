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
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from brainxr.files.buffers import PAGE_BYTES, Buffers, copy_rows
from brainxr.files.checksum import crc32c
from brainxr.files.decoders import HEADER_BYTES, pack

CodecName: TypeAlias = Literal["lz4", "zstd", "none"]

# Levels of Blosc's compressors: measured, more of them takes longer than it saves.
LEVELS: Mapping[str, int] = {"lz4": 5, "zstd": 1}
CODECS: tuple[str, ...] = (*LEVELS, "none")

# Offset and size in the index of a chunk that is all zero, which is not stored.
EMPTY = np.iinfo(np.uint64).max

CHECKSUM_BYTES = 4

# Bytes of a shard that are written at a time: a disk takes them about as fast as larger
# ones, and every thread has one.
BLOCK_BYTES = 1 << 20

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
    struct.pack_into("<I", out.data, size, crc32c(out[:size]))
    return CHECKSUM_BYTES


def pack_chunk(
    values: npt.NDArray[Any], chunks: Sequence[int], packing: Packing
) -> Iterator[memoryview]:
    """The bytes of a chunk that is a file by itself; see `pack_shard`."""
    chunk = _buffers.array("chunk", chunks, packing.dtype)
    fill_chunk(chunk, values)
    out = _buffers.get("block", packing.most(chunk.size))
    yield out[: packing.pack(chunk, out)].data


def pack_shard(
    values: npt.NDArray[Any], chunks: Sequence[int], per_shard: Sequence[int], packing: Packing
) -> Iterator[memoryview]:
    """The bytes of a shard, piece by piece: its chunks, and the index that says where each is.

    It takes the memory of two chunks and a block, however large the shard is.

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
        In memory that this thread uses again for the next piece; whole pages, but for the last
        two.
    """
    index = np.full((math.prod(per_shard), 2), EMPTY, "<u8")
    block = _Block(packing.most(math.prod(chunks)))
    for place, chunk in _chunks(values, chunks, per_shard, packing.dtype):
        if _has_values(chunk):
            size = packing.pack(chunk, block.room)
            index[place] = block.position, size
            block.add(size)
            if block.is_full:
                yield block.take()
                block.keep_rest()
    yield block.take()
    block.keep_rest()
    yield block.rest()
    last = np.empty(index.nbytes + CHECKSUM_BYTES, np.uint8)
    last[: index.nbytes] = index.reshape(-1).view(np.uint8)
    _add_checksum(last, index.nbytes)
    yield last.data


def _has_values(chunk: npt.NDArray[Any]) -> bool:
    """Whether a flat chunk has more than zeros: by its bytes, as -0.0 is not 0."""
    stored = chunk.view(np.uint8)
    middle = stored.size // 2
    # a few of them tell that of most
    few = stored[middle : middle + 64].tobytes()
    return few.count(0) < len(few) or bool(stored.any())


class _Block:
    """Memory in which chunks are packed one behind the other, and given away in whole pages.

    Attributes
    ----------
    position : int
        Of the next chunk among all bytes.
    """

    def __init__(self, most: int) -> None:
        self._memory = _buffers.get("block", BLOCK_BYTES + most)
        self._begin = 0
        self._end = 0
        self.position = 0

    @property
    def room(self) -> npt.NDArray[np.uint8]:
        """For the next chunk."""
        return self._memory[self._end :]

    def add(self, size: int) -> None:
        """Count the bytes of a chunk that was packed there."""
        self._end += size
        self.position += size

    @property
    def is_full(self) -> bool:
        return self._end >= BLOCK_BYTES

    def take(self) -> memoryview:
        """The whole pages that there are; `keep_rest` is next."""
        self._begin = self._end - self._end % PAGE_BYTES
        return self._memory[: self._begin].data

    def keep_rest(self) -> None:
        """Begin again with what is beyond the pages that were taken."""
        rest = self._memory[self._begin : self._end]
        self._end -= self._begin
        self._memory[: self._end] = rest

    def rest(self) -> memoryview:
        """What there is."""
        return self._memory[: self._end].data


def _chunks(
    values: npt.NDArray[Any], chunks: Sequence[int], per_shard: Sequence[int], dtype: np.dtype[Any]
) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """The chunks that there are, whole and flat, and the place of each in the index.

    In memory that this thread uses again for the next chunk.
    """
    whole = _buffers.array("chunk", chunks, dtype)
    flat = whole.reshape(-1)
    strides = [math.prod(per_shard[axis + 1 :]) for axis in range(len(chunks))]
    along = [
        [(i * stride, slice(i * c, (i + 1) * c)) for i in range(-(-n // c))]
        for n, c, stride in zip(values.shape, chunks, strides, strict=True)
    ]
    for parts in itertools.product(*along):
        fill_chunk(whole, values[tuple(window for _, window in parts)])
        yield sum(place for place, _ in parts), flat


def fill_chunk(whole: npt.NDArray[Any], values: npt.NDArray[Any]) -> None:
    """Make a chunk as it is stored: filled up with zeros where the volume ends in it."""
    if values.shape != whole.shape:
        whole[...] = 0
        whole = whole[tuple(map(slice, values.shape))]
    copy_rows(values, whole)
