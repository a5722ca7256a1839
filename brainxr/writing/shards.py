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
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from brainxr.files.buffers import PAGE_BYTES, Buffers, copy_rows
from brainxr.files.checksum import crc32c
from brainxr.files.decoders import HEADER_BYTES, pack
from brainxr.writing.pieces import Piece, Pieces

CodecName: TypeAlias = Literal["lz4", "zstd", "none"]

# Levels of Blosc's compressors: measured, more of them takes longer than it saves.
LEVELS: Mapping[str, int] = {"lz4": 5, "zstd": 1}
CODECS: tuple[str, ...] = (*LEVELS, "none")

# Offset and size in the index of a chunk that is all zero, which is not stored.
EMPTY = np.iinfo(np.uint64).max

CHECKSUM_BYTES = 4

# Bytes of chunks that are put together at a time, out of rows that lie side by side: few
# enough for a processor's cache, and many, since each time another thread may have to wait.
ROW_BYTES = 1 << 20

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


# Of the index of a shard.
_INDEX = Packing(np.dtype("<u8"), "none")


def _add_checksum(out: npt.NDArray[np.uint8], size: int) -> int:
    """Write the checksum of the first so many bytes behind them."""
    struct.pack_into("<I", out.data, size, crc32c(out[:size]))
    return CHECKSUM_BYTES


def pack_chunk(
    values: npt.NDArray[Any], chunks: Sequence[int], packing: Packing, pieces: Pieces
) -> Iterator[Piece]:
    """The bytes of a chunk that is a file by itself; see `pack_shard`."""
    (chunk,) = _row(values, chunks, packing.dtype)
    piece = pieces.take()
    piece.fill(partial(packing.pack, chunk))
    yield piece


def pack_shard(
    values: npt.NDArray[Any], chunks: Sequence[int], per_shard: Sequence[int], packing: Packing,
    pieces: Pieces,
) -> Iterator[Piece]:  # fmt: skip
    """The bytes of a shard, piece by piece: its chunks, and the index that says where each is.

    It takes the memory of a chunk and a piece, however large the shard is.

    Parameters
    ----------
    values : numpy.ndarray
        What of the volume is in the shard; less than a whole shard at the volume's end.
    chunks : sequence of int
        Shape of a chunk.
    per_shard : sequence of int
        Chunks along each axis of a whole shard.
    packing : Packing
    pieces : Pieces
        With room for a chunk, and for the index, beyond those that are full.

    Yields
    ------
    Piece
        To be freed. Whole pages, but for the last.
    """
    index = np.full((math.prod(per_shard), 2), EMPTY, _INDEX.dtype)
    position, piece = 0, pieces.take()
    for place, chunk in _chunks(values, chunks, per_shard, packing.dtype):
        if piece.is_full:
            rest = piece.cut()
            yield piece
            piece = pieces.take()
            piece.add(rest)
        if _has_values(chunk):
            size = piece.fill(partial(packing.pack, chunk))
            index[place] = position, size
            position += size
    piece.fill(partial(_INDEX.pack, index))
    yield piece


def room_beyond(chunks: Sequence[int], per_shard: Sequence[int], packing: Packing) -> int:
    """Bytes that a piece may need beyond those with which it is full."""
    return packing.most(math.prod(chunks)) + PAGE_BYTES + _INDEX.most(2 * math.prod(per_shard))


def _has_values(chunk: npt.NDArray[Any]) -> bool:
    """Whether a flat chunk has more than zeros: by its bytes, as -0.0 is not 0."""
    stored = chunk.view(np.uint8)
    middle = stored.size // 2
    # a few of them tell that of most
    few = stored[middle : middle + 64].tobytes()
    return few.count(0) < len(few) or bool(stored.max(initial=0))


def _chunks(
    values: npt.NDArray[Any], chunks: Sequence[int], per_shard: Sequence[int], dtype: np.dtype[Any]
) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """The chunks that there are, whole and flat, and the place of each in the index.

    In memory that this thread uses again for the next row of chunks.
    """
    strides = [math.prod(per_shard[axis + 1 :]) for axis in range(len(chunks))]
    sizes = [*chunks[:-1], chunks[-1] * _chunks_at_once(chunks, per_shard, dtype)]
    steps = [size // chunk for size, chunk in zip(sizes, chunks, strict=True)]
    along = [
        [(i * step * stride, slice(i * size, (i + 1) * size)) for i in range(-(-n // size))]
        for n, size, step, stride in zip(values.shape, sizes, steps, strides, strict=True)
    ]
    for parts in itertools.product(*along):
        first = sum(place for place, _ in parts)
        row = _row(values[tuple(window for _, window in parts)], chunks, dtype)
        yield from enumerate(row, first)


def _chunks_at_once(chunks: Sequence[int], per_shard: Sequence[int], dtype: np.dtype[Any]) -> int:
    return max(1, min(per_shard[-1], ROW_BYTES // (math.prod(chunks) * dtype.itemsize)))


def _row(values: npt.NDArray[Any], chunks: Sequence[int], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Chunks that lie side by side along the last axis, each flat; shape (chunks, voxels)."""
    length = chunks[-1]
    whole, rest = divmod(values.shape[-1], length)
    row = _buffers.array("row", (whole + (rest > 0), *chunks), dtype)
    split = values[..., : whole * length].reshape(*values.shape[:-1], whole, length)
    fill_chunk(row[:whole], np.moveaxis(split, -2, 0))
    if rest:
        fill_chunk(row[whole], values[..., whole * length :])
    return row.reshape(len(row), -1)


def fill_chunk(whole: npt.NDArray[Any], values: npt.NDArray[Any]) -> None:
    """Make a chunk as it is stored: filled up with zeros where the volume ends in it."""
    if values.shape != whole.shape:
        whole[...] = 0
        whole = whole[tuple(map(slice, values.shape))]
    copy_rows(values, whole)
