"""Compression by Blosc, and what undoes it: all, or a part of a buffer without the rest.

Blosc cuts a buffer into blocks, each compressed by itself: an axial plane of a chunk is
a few of them. imagecodecs unpacks only whole buffers, so the blocks are found here, and
it unpacks each. The only user of imagecodecs.

Source: github.com/Blosc/c-blosc, README_CHUNK_FORMAT.rst and blosc/blosc.c (``blosc_d``).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import imagecodecs
import numpy as np
import numpy.typing as npt

# Gives so many bytes of the packed buffer from a place on.
Fetch: TypeAlias = Callable[[int, int], memoryview]

HEADER_BYTES = 16
_SHUFFLED, _COPIED, _BITSHUFFLED, _NOT_SPLIT = 0x01, 0x02, 0x04, 0x10
_LZ4, _ZSTD = 1, 4
_lz4_decode = partial(imagecodecs.lz4_decode, header=False)
# Blocks of fewer elements, or of wider ones, are not split into a stream a byte.
_LEAST_SPLIT, _WIDEST_SPLIT = 128, 16


@dataclass(frozen=True)
class Packed:
    """The header of what Blosc packed.

    Attributes
    ----------
    flags, itemsize : int
    size : int
        Bytes when unpacked.
    block : int
        Bytes of a block.
    packed : int
        Bytes of the whole.
    """

    flags: int
    itemsize: int
    size: int
    block: int
    packed: int

    @classmethod
    def of(cls, header: memoryview) -> Packed:
        _, _, flags, itemsize, size, block, packed = struct.unpack("<4B3I", header[:HEADER_BYTES])
        return cls(flags, itemsize, size, block, packed)

    @property
    def blocks(self) -> int:
        return -(-self.size // self.block)

    @property
    def is_known(self) -> bool:
        """Whether its blocks can be unpacked here."""
        if self.flags & _COPIED:
            return True
        compressor = self.flags >> 5
        return compressor in (_LZ4, _ZSTD) and not self.flags & _BITSHUFFLED and self.block > 0


def unpack(
    compressor: str | None, packed: npt.NDArray[np.uint8], out: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    """Unpack all of a buffer into memory of the size that it has to have.

    Returns
    -------
    numpy.ndarray of uint8
        `out`; or a view of `packed` where nothing was compressed, noise for example.

    Raises
    ------
    ValueError, RuntimeError
        When the buffer is damaged.
    """
    unpacked = packed if compressor is None else _DECODERS[compressor](packed, out=out)
    if len(unpacked) != out.size:
        raise ValueError(f"it has {len(unpacked)} bytes, expected {out.size}")
    return np.asarray(unpacked)


def _blosc_decode(packed: npt.NDArray[np.uint8], out: npt.NDArray[np.uint8]) -> Any:
    """Unpack what Blosc packed; of what it kept as it was, a view.

    Its library believes the header, and would read beyond the end of a buffer that was cut.
    """
    header = Packed.of(memoryview(packed.data))
    if header.packed != packed.size:
        raise ValueError(f"it has {packed.size} bytes, and its header says {header.packed}")
    if header.flags & _COPIED and packed.size == HEADER_BYTES + header.size:
        return packed[HEADER_BYTES:]
    return imagecodecs.blosc_decode(packed, out=out)  # type: ignore[arg-type]


_DECODERS: Mapping[str, Callable[..., Any]] = {
    "blosc": _blosc_decode,
    "zstd": imagecodecs.zstd_decode,
    "gzip": imagecodecs.gzip_decode,
    "zlib": imagecodecs.zlib_decode,
}


def unpack_part(fetch: Fetch, size: int, start: int, stop: int) -> npt.NDArray[np.uint8] | None:
    """Unpack some of the bytes of a buffer.

    Parameters
    ----------
    fetch : callable
        Gives bytes of the packed buffer.
    size : int
        Bytes that the whole buffer has to have when unpacked.
    start, stop : int
        Which bytes of the unpacked buffer.

    Returns
    -------
    numpy.ndarray of uint8, shape (stop - start,)
        None where that needs all of it, or Blosc packed it in a way that is not known here.

    Raises
    ------
    ValueError
        When the buffer is damaged.
    """
    header = Packed.of(fetch(0, HEADER_BYTES))
    if header.size != size:
        raise ValueError(f"it unpacks to {header.size} bytes, expected {size}")
    if not header.is_known:
        return None
    if header.flags & _COPIED:
        return np.frombuffer(fetch(HEADER_BYTES + start, stop - start), np.uint8)
    first, last = start // header.block, (stop - 1) // header.block
    if 2 * (last + 1 - first) > header.blocks:
        return None
    table = fetch(HEADER_BYTES + 4 * first, 4 * (last + 1 - first))
    parts = [
        _block(fetch, header, first + i, offset)
        for i, (offset,) in enumerate(struct.iter_unpack("<i", table))
    ]
    whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return whole[start - first * header.block : stop - first * header.block]


def _block(fetch: Fetch, header: Packed, number: int, offset: int) -> npt.NDArray[np.uint8]:
    """Unpack one block, which is one stream or one for each byte of an element."""
    size = min(header.block, header.size - number * header.block)
    streams = 1 if size < header.block else _streams(header)
    unpacked = np.empty(size, np.uint8)
    part = size // streams
    for i in range(streams):
        (count,) = struct.unpack("<i", fetch(offset, 4))
        _unpack_stream(header, fetch(offset + 4, count), unpacked[i * part : (i + 1) * part])
        offset += 4 + count
    if header.flags & _SHUFFLED and header.itemsize > 1:
        return _unshuffled(unpacked, header.itemsize)
    return unpacked


def _streams(header: Packed) -> int:
    split = (
        not header.flags & _NOT_SPLIT
        and header.itemsize <= _WIDEST_SPLIT
        and header.block // header.itemsize >= _LEAST_SPLIT
    )
    return header.itemsize if split else 1


def _unpack_stream(header: Packed, packed: memoryview, out: npt.NDArray[Any]) -> None:
    if len(packed) == out.size:
        out[:] = np.frombuffer(packed, np.uint8)
        return
    # any buffer will do, which its annotations don't say
    decode: Any = _lz4_decode if header.flags >> 5 == _LZ4 else imagecodecs.zstd_decode
    unpacked = decode(packed, out=out)
    if len(unpacked) != out.size:
        raise ValueError(f"a block unpacks to {len(unpacked)} bytes, expected {out.size}")


def _unshuffled(block: npt.NDArray[np.uint8], itemsize: int) -> npt.NDArray[np.uint8]:
    """Bytes of each element together again; what is less than an element is as it was."""
    count = block.size // itemsize
    result = block.copy()
    whole = block[: count * itemsize].reshape(itemsize, count)
    result[: count * itemsize].reshape(count, itemsize)[...] = whole.T
    return result


def pack(
    values: npt.NDArray[np.uint8], out: npt.NDArray[np.uint8], *, compressor: str, level: int,
    itemsize: int,
) -> int:  # fmt: skip
    """Compress by Blosc on this thread; bytes of the packed buffer.

    Parameters
    ----------
    values : numpy.ndarray of uint8
    out : numpy.ndarray of uint8
        Receives them; `HEADER_BYTES` longer than the values, which is all that they take when
        they can't be compressed.
    compressor : str
        ``"lz4"``, ``"zstd"``.
    level : int
    itemsize : int
        Bytes of an element, whose first, second, ... bytes are put together.
    """
    # any buffer will do, which its annotations don't say
    encode: Any = imagecodecs.blosc_encode
    packed = encode(
        values, out=out, level=level, compressor=compressor, typesize=itemsize, numthreads=1,
        shuffle="shuffle" if itemsize > 1 else "noshuffle",
    )  # fmt: skip
    return len(packed)


def inflate(packed: bytes, size: int) -> bytes:
    """Unpack what a zip deflated, and no more than the bytes that it has to have.

    Raises
    ------
    ValueError, RuntimeError
        When the buffer is damaged, or has another size.
    """
    unpacked = imagecodecs.deflate_decode(packed, raw=True, out=size) if size else b""
    if len(unpacked) != size:
        raise ValueError(f"it has {len(unpacked)} bytes, expected {size}")
    return bytes(unpacked)


def crc32(data: bytes) -> int:
    """The checksum of zips (not that of Zarr's chunks)."""
    return int(imagecodecs.deflate_crc32(data))
