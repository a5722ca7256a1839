"""Parts of what Blosc packed, against all of it; and what is no part of it."""

from __future__ import annotations

import struct
from typing import Any

import numcodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainxr.files.decoders import unpack, unpack_part


def part_of(packed: bytes, size: int, start: int, stop: int) -> np.ndarray | None:
    view = memoryview(packed)
    return unpack_part(lambda at, count: view[at : at + count], size, start, stop)


@st.composite
def buffers(draw: Any) -> tuple[np.ndarray, bytes, int, int]:
    """Values that can be compressed or not, packed in any way, and a part of their bytes."""
    dtype = draw(st.sampled_from(["u1", "u2", "f4", "f8", "S3"]))
    count = draw(st.integers(40, 30_000))
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    noise = rng.integers(0, 256, count * np.dtype(dtype).itemsize, "u1")
    values = (noise if draw(st.booleans()) else noise // 64).view(dtype)
    codec = numcodecs.Blosc(
        draw(st.sampled_from(["lz4", "lz4hc", "zstd", "zlib", "blosclz"])),
        draw(st.sampled_from([1, 5])), draw(st.sampled_from([0, 1, 2])),
        draw(st.sampled_from([0, 500, 1000, 4096])),
    )  # fmt: skip
    size = values.nbytes
    start = draw(st.integers(0, size - 1))
    stop = draw(st.integers(start + 1, min(size, start + draw(st.integers(1, size)))))
    return values, bytes(codec.encode(values)), start, stop


@given(buffers())
def test_a_part_is_that_part(made: tuple[np.ndarray, bytes, int, int]) -> None:
    values, packed, start, stop = made
    raw = np.frombuffer(values.tobytes(), "u1")
    part = part_of(packed, raw.size, start, stop)
    if part is not None:
        np.testing.assert_array_equal(part, raw[start:stop])
    whole = unpack("blosc", np.frombuffer(packed, "u1"), np.empty(raw.size, "u1"))
    np.testing.assert_array_equal(whole, raw)


@pytest.mark.parametrize("name", ["lz4", "zstd"])
@pytest.mark.parametrize("shuffle", [0, 1])
def test_a_plane_reads_its_blocks_and_no_more(name: str, shuffle: int) -> None:
    values = (np.arange(64 * 64 * 64, dtype="u2") // 5).reshape(64, 64, 64)
    packed = memoryview(bytes(numcodecs.Blosc(name, 5, shuffle, 8192).encode(values)))
    fetched = []

    def fetch(at: int, count: int) -> memoryview:
        fetched.append(count)
        return packed[at : at + count]

    part = unpack_part(fetch, values.nbytes, 20 * 8192, 21 * 8192)
    assert part is not None
    np.testing.assert_array_equal(part.view("u2").reshape(64, 64), values[20])
    assert sum(fetched) < len(packed) / 6


def test_other_compressors() -> None:
    values = np.arange(2000, dtype="u1")
    for name, codec in (("zstd", numcodecs.Zstd()), ("gzip", numcodecs.GZip()),
                        ("zlib", numcodecs.Zlib())):  # fmt: skip
        packed = np.frombuffer(codec.encode(values), "u1")
        np.testing.assert_array_equal(unpack(name, packed, np.empty(2000, "u1")), values)
    assert unpack(None, values, np.empty(2000, "u1")) is values


def test_what_could_not_be_compressed_is_not_copied() -> None:
    noise = np.random.default_rng(0).integers(0, 256, 5000, "u1")
    packed = np.frombuffer(numcodecs.Blosc("lz4").encode(noise), "u1")
    whole = unpack("blosc", packed, np.empty(5000, "u1"))
    assert np.shares_memory(whole, packed)
    np.testing.assert_array_equal(whole, noise)
    with pytest.raises(ValueError, match="it has 5015 bytes, and its header says 5016"):
        unpack("blosc", packed[:-1], np.empty(5000, "u1"))


def test_damage() -> None:
    values = np.arange(50_000, dtype="u2") // 3
    packed = bytes(numcodecs.Blosc("lz4", 5, 1, 1024).encode(values))
    with pytest.raises(ValueError, match="it unpacks to 100000 bytes, expected 9999"):
        part_of(packed, 9999, 0, 10)
    with pytest.raises(struct.error):
        part_of(packed[:10], 100_000, 0, 10)
    with pytest.raises((struct.error, ValueError, RuntimeError)):
        part_of(packed[:200], 100_000, 90_000, 90_010)
    with pytest.raises(ValueError, match="it has 5000 bytes, expected 4000"):
        unpack(None, values.view("u1")[:5000], np.empty(4000, "u1"))
