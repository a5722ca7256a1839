"""The bytes of shards that are longer than a piece, as zarr-python reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec

from brainxr.files.buffers import PAGE_BYTES
from brainxr.writing import shards
from brainxr.writing.arraymeta import chunk_key
from brainxr.writing.pieces import Pieces
from brainxr.writing.shards import Packing, pack_shard, room_beyond

CHUNKS, PER_SHARD, SHAPE = (8, 16, 32), (2, 3, 5), (15, 41, 150)


def volume(dtype: str, order: str) -> npt.NDArray[Any]:
    """Noise, with chunks in it that are zero, or zero but for one voxel."""
    values = np.random.default_rng(5).integers(0, 1 << 15, SHAPE).astype(dtype)
    values[:8, 16:32, :64] = 0
    values[3, 20, 50] = 1
    return np.asarray(values, order=order)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize("at_once", [1, 2, 9])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_pieces_are_whole_pages_and_zarr_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, order: str, at_once: int
) -> None:
    monkeypatch.setattr(shards, "ROW_BYTES", at_once * np.prod(CHUNKS) * np.dtype(dtype).itemsize)
    values = volume(dtype, order)
    packing = Packing(np.dtype(dtype).newbyteorder("<"))
    memory = Pieces(1, 3 * PAGE_BYTES, room_beyond(CHUNKS, PER_SHARD, packing))
    pieces = []
    for piece in pack_shard(values, CHUNKS, PER_SHARD, packing, memory):
        pieces.append(bytes(piece.data))
        piece.free()
    assert len(pieces) > 5
    assert not any(len(piece) % PAGE_BYTES for piece in pieces[:-1])

    array = zarr.create_array(
        tmp_path, shape=SHAPE, chunks=CHUNKS, dtype=dtype, fill_value=0,
        shards=tuple(c * n for c, n in zip(CHUNKS, PER_SHARD, strict=True)),
        compressors=[BloscCodec(cname="lz4"), Crc32cCodec()],
    )  # fmt: skip
    path = tmp_path / chunk_key("0.5", (0, 0, 0))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(pieces))
    np.testing.assert_array_equal(np.asarray(array[...]), values)
    index = np.frombuffer(pieces[-1][-16 * np.prod(PER_SHARD) - 4 : -4], "<u8").reshape(-1, 2)
    assert (index == shards.EMPTY).all(axis=1).sum() == 1  # one chunk is all zero
