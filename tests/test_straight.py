"""Files that pass the system's cache: the same bytes as by any other way."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brainxr.files.buffers import PAGE_BYTES, Buffers
from brainxr.writing import straight
from brainxr.writing.straight import LEAST_BYTES, StraightFile, write_file

# whole pages, more of them, less than a page, none, whole pages at a place between two, few,
# and whole pages with some bytes behind them
SIZES = (
    LEAST_BYTES, 3 * LEAST_BYTES, 999, 0, LEAST_BYTES + PAGE_BYTES, 7, LEAST_BYTES + 5,
)  # fmt: skip


def write_pieces(path: Path) -> bytes:
    """Write pieces of noise, all in the same memory; what they were."""
    memory, noise, written = Buffers(), np.random.default_rng(3), b""
    file = StraightFile(path)
    for size in SIZES:
        piece = memory.get("piece", size)
        piece[:] = noise.integers(0, 256, size, np.uint8)
        written += piece.tobytes()
        file.write(piece.data, begins_with_a_page=True)
    file.close()
    return written


@pytest.mark.parametrize("on_a_disk", [True, False])
def test_every_byte_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_a_disk: bool
) -> None:
    monkeypatch.setattr(straight, "_is_on_a_disk", lambda descriptor: on_a_disk)
    path = tmp_path / "b"
    written = write_pieces(path)
    assert path.read_bytes() == written
    write_file(path, b"shorter")
    assert path.read_bytes() == b"shorter"


def test_what_does_not_pass_goes_through_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk whose pages are larger, one that takes a part only, and one that is full."""
    asked: list[bool] = []
    really = os.write

    def write(descriptor: int, piece: Any) -> int:
        if asked[-1] and len(piece) % (2 * PAGE_BYTES) == 0:
            raise OSError(errno.EINVAL, "larger pages")
        return really(descriptor, memoryview(piece)[:100_000])

    def set_direct(descriptor: int, wanted: bool) -> bool:
        asked.append(wanted)
        return wanted

    monkeypatch.setattr(straight, "_is_on_a_disk", lambda descriptor: True)
    monkeypatch.setattr(straight, "_set_direct", set_direct)
    monkeypatch.setattr(os, "write", write)
    written = write_pieces(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == written
    assert asked == [True, False]  # once refused, it isn't asked for again

    monkeypatch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "")))
    with pytest.raises(OSError, match=str(errno.ENOSPC)):
        write_file(tmp_path / "file", b"more than there is room for")


def test_memory_that_is_used_again_begins_with_a_page() -> None:
    memory = Buffers()
    for size in (10, 5, 100_000, PAGE_BYTES):
        assert memory.get("one", size).ctypes.data % PAGE_BYTES == 0
        assert memory.get("one", size).size == size
    table = memory.array("two", (3, 5), np.dtype("<i4"))
    assert (table.shape, table.dtype) == ((3, 5), np.dtype("<i4"))
    assert np.shares_memory(table, memory.get("two", 60))
    assert not np.shares_memory(table, memory.get("one", 60))
