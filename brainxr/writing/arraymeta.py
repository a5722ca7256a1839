"""The metadata of the arrays that brainxr writes, as Zarr 3 and 2 have them.

Plain dicts, of what JSON can hold: which version of zarr-python is installed, or none,
makes no difference to what is written.

Sources: zarr-specs.readthedocs.io, v3 core 3.1 and v2; ngff.openmicroscopy.org/0.4 for
the separator of a chunk's name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from brainxr.writing.shards import Packing

# Types that Zarr 3 has a name for; Zarr 2 has them, too.
STORABLE = frozenset(
    f"{kind}{bits}" for kind in ("int", "uint", "float") for bits in (16, 32, 64)
) | {"int8", "uint8", "bool"}  # fmt: skip


def array_files(
    version: str, shape: Sequence[int], chunks: Sequence[int], shards: Sequence[int],
    packing: Packing, dims: Sequence[str],
) -> dict[str, bytes]:  # fmt: skip
    """Names and contents of the files that describe an array."""
    if version == "0.4":
        found = _v2(shape, chunks, packing)
        return {".zarray": to_json(found), ".zattrs": to_json({"_ARRAY_DIMENSIONS": list(dims)})}
    return {"zarr.json": to_json(_v3(shape, chunks, shards, packing, dims))}


def group_files(version: str, attributes: Mapping[str, Any]) -> dict[str, bytes]:
    """Names and contents of the files that describe a group; the last one makes it one."""
    if version == "0.4":
        return {".zattrs": to_json(attributes), ".zgroup": to_json({"zarr_format": 2})}
    group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    return {"zarr.json": to_json(group)}


def chunk_key(version: str, number: Sequence[int]) -> str:
    """Name of a shard (0.4: of a chunk) within its array."""
    return "/".join(map(str, number if version == "0.4" else ("c", *number)))


def _v3(
    shape: Sequence[int], chunks: Sequence[int], shards: Sequence[int], packing: Packing,
    dims: Sequence[str],
) -> dict[str, Any]:  # fmt: skip
    little = {"name": "bytes", "configuration": {"endian": "little"}}
    sharding = {
        "chunk_shape": list(chunks),
        "codecs": packing.codecs(),
        "index_codecs": [little, {"name": "crc32c"}],
        "index_location": "end",
    }
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": packing.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(shards)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": _zero(packing),
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "attributes": {},
        "dimension_names": list(dims),
    }


def _v2(shape: Sequence[int], chunks: Sequence[int], packing: Packing) -> dict[str, Any]:
    return {
        "zarr_format": 2,
        "shape": list(shape),
        "chunks": list(chunks),
        "dtype": packing.dtype.str,
        "compressor": packing.compressor(),
        "fill_value": _zero(packing),
        "order": "C",
        "filters": None,
        "dimension_separator": "/",
    }


def _zero(packing: Packing) -> Any:
    return packing.dtype.type(0).item()


def to_json(content: Mapping[str, Any]) -> bytes:
    """A file of metadata."""
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False).encode()
