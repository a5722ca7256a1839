"""How a Zarr array is cut into chunks and files, by its metadata.

Only the usual manner is known here: regular chunks in C order, at most one compressor,
with or without shards and checksums. For everything else `ChunkLayout.of` is None, and
zarr-python reads it.

Sources: zarr-specs.readthedocs.io, v3 core, codecs "bytes", "blosc", "gzip", "zstd",
"crc32c" and "sharding_indexed" 1.0; and v2.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from brainxr.files.rows import Rows

_TYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16",
    "float32", "float64",
)  # fmt: skip
_CODECS = ("blosc", "zstd", "gzip", "zlib")


class Codec(NamedTuple):
    """What was done to the bytes of a chunk: compressed, and given a checksum."""

    compressor: str | None
    has_checksum: bool


@dataclass(frozen=True)
class ChunkLayout:
    """Where the chunks of an array are.

    Attributes
    ----------
    shape : tuple of int
    stored : numpy.dtype
        As in the file, byte order included.
    fill : scalar
        Value of chunks that are missing.
    chunks : tuple of int
        Shape of a chunk.
    shards : tuple of int
        Shape of what is in one file; that of a chunk where there are no shards.
    codec : Codec
    prefix, separator : str
        Of the names of the files.
    has_index : bool
        Whether files are shards, which have an index.
    index_has_checksum, index_is_last : bool
    """

    shape: tuple[int, ...]
    stored: np.dtype[Any]
    fill: Any
    chunks: tuple[int, ...]
    shards: tuple[int, ...]
    codec: Codec
    prefix: str
    separator: str
    has_index: bool = False
    index_has_checksum: bool = False
    index_is_last: bool = True

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> Self | None:
        """The layout by the array's ``zarr.json`` or ``.zarray``; None where it is unusual."""
        try:
            read = cls._of_v3 if metadata["zarr_format"] == 3 else cls._of_v2
            return read(metadata)
        except (KeyError, TypeError, ValueError):
            return None

    @classmethod
    def _of_v2(cls, metadata: Mapping[str, Any]) -> Self | None:
        stored = np.dtype(metadata["dtype"])
        compressor = metadata.get("compressor")
        codec = Codec(None if compressor is None else compressor["id"], False)
        if metadata.get("order") != "C" or metadata.get("filters") or not _is_known(codec, stored):
            return None
        chunks = tuple(metadata["chunks"])
        fill = _fill(metadata.get("fill_value"), stored)
        separator = metadata.get("dimension_separator") or "."
        shape = tuple(metadata["shape"])
        return cls(shape, stored, fill, chunks, chunks, codec, "", separator)

    @classmethod
    def _of_v3(cls, metadata: Mapping[str, Any]) -> Self | None:
        grid, keys = metadata["chunk_grid"], metadata["chunk_key_encoding"]
        unusual = metadata["data_type"] not in _TYPES or metadata.get("storage_transformers")
        if unusual or grid["name"] != "regular" or keys["name"] not in ("default", "v2"):
            return None
        sharding: dict[str, Any] = {}
        codecs = list(metadata["codecs"])
        shards = chunks = tuple(grid["configuration"]["chunk_shape"])
        if codecs[0]["name"] == "sharding_indexed":
            inner = codecs.pop(0)["configuration"]
            index = _read_index_codecs(inner["index_codecs"])
            if codecs or index is None or any(n < 1 for n in inner["chunk_shape"]):
                return None
            codecs, chunks = list(inner["codecs"]), tuple(inner["chunk_shape"])
            last = inner.get("index_location", "end") == "end"
            sharding = {"has_index": True, "index_has_checksum": index, "index_is_last": last}
        read = _read_codecs(codecs, np.dtype(metadata["data_type"]))
        if read is None or any(s % c for s, c in zip(shards, chunks, strict=True)):
            return None
        stored, codec = read
        is_default = keys["name"] == "default"
        separator = keys.get("configuration", {}).get("separator", "/" if is_default else ".")
        return cls(
            tuple(metadata["shape"]), stored, _fill(metadata["fill_value"], stored), chunks,
            shards, codec, f"c{separator}" if is_default else "", separator, **sharding,
        )  # fmt: skip

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a decoded chunk."""
        return math.prod(self.chunks) * self.stored.itemsize

    @property
    def per_shard(self) -> tuple[int, ...]:
        """Chunks of a shard along each axis."""
        return tuple(s // c for s, c in zip(self.shards, self.chunks, strict=True))

    def key(self, shard: Sequence[int]) -> str:
        """Name of a shard's file within the array."""
        return self.prefix + self.separator.join(map(str, shard))


def _is_known(codec: Codec, stored: np.dtype[Any]) -> bool:
    known = codec.compressor is None or codec.compressor in _CODECS
    return known and stored.kind in "biuf"


def _read_codecs(codecs: list[Any], dtype: np.dtype[Any]) -> tuple[np.dtype[Any], Codec] | None:
    """Stored type and codec of ``bytes``, a compressor or none, a checksum or none."""
    first = codecs.pop(0)
    if first["name"] != "bytes":
        return None
    endian = (first.get("configuration") or {}).get("endian", "little")
    stored = dtype.newbyteorder("<" if endian == "little" else ">")
    has_checksum = bool(codecs) and codecs[-1]["name"] == "crc32c"
    names = [codec["name"] for codec in (codecs[:-1] if has_checksum else codecs)]
    codec = Codec(names[0] if names else None, has_checksum)
    return (stored, codec) if len(names) <= 1 and _is_known(codec, stored) else None


def _read_index_codecs(codecs: Sequence[Any]) -> bool | None:
    """Whether the index has a checksum; None where it is stored in another manner."""
    names = [codec["name"] for codec in codecs]
    little = (codecs[0].get("configuration") or {}).get("endian", "little") == "little"
    if not little or names[0] != "bytes" or names[1:] not in ([], ["crc32c"]):
        return None
    return len(names) == 2


def _fill(value: Any, stored: np.dtype[Any]) -> Any:
    """The value of what is missing; ValueError for one that has to be decoded."""
    if value is None:
        return stored.type(0)
    special = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}
    if isinstance(value, str):
        if stored.kind != "f" or value not in special:
            raise ValueError(value)
        value = special[value]
    return stored.type(value)


class Span(NamedTuple):
    """What is wanted of one chunk along one axis."""

    number: int
    inside: slice | npt.NDArray[np.intp]
    first: int
    last: int
    outside: slice


def spans(rows: Rows, size: int) -> list[Span]:
    """Places along an axis by the chunks that they are in.

    >>> spans(range(3, 9, 2), 4)
    [Span(number=0, inside=slice(3, 4, 2), first=3, last=3, outside=slice(0, 1, None)), \
Span(number=1, inside=slice(1, 4, 2), first=1, last=3, outside=slice(1, 3, None))]
    """
    places = np.arange(rows.start, rows.stop, rows.step) if isinstance(rows, range) else rows
    if not len(places):
        return []
    numbers = places // size
    borders = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(places)]
    found = []
    for start, stop in itertools.pairwise(borders):
        number = int(numbers[start])
        first, last = int(places[start]) - number * size, int(places[stop - 1]) - number * size
        inside: slice | npt.NDArray[np.intp] = places[start:stop] - number * size
        if isinstance(rows, range):
            inside = slice(first, last + 1, rows.step)
        found.append(Span(number, inside, first, last, slice(start, stop)))
    return found
