"""Files that pass the system's cache: the same bytes as by any other way."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brainxr.files.buffers import PAGE_BYTES, Buffers
from brainxr.writing import straight
from brainxr.writing.straight import LEAST_BYTES, write_file

# whole pages, more of them, less than a page, none, whole pages at a place between two, few
SIZES = (LEAST_BYTES, 3 * LEAST_BYTES, 999, 0, LEAST_BYTES + PAGE_BYTES, 7)


def pieces(written: list[bytes]) -> Iterator[memoryview]:
    """Pieces of noise, all in the same memory; what they were."""
    memory, noise = Buffers(), np.random.default_rng(3)
    for size in SIZES:
        piece = memory.get("piece", size)
        piece[:] = noise.integers(0, 256, size, np.uint8)
        written.append(piece.tobytes())
        yield piece.data


@pytest.mark.parametrize("on_a_disk", [True, False])
def test_every_byte_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_a_disk: bool
) -> None:
    monkeypatch.setattr(straight, "_is_on_a_disk", lambda descriptor: on_a_disk)
    path, written = tmp_path / "b", []
    write_file(path, pieces(written))
    assert path.read_bytes() == b"".join(written)
    write_file(path, [b"shorter"])
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
    written: list[bytes] = []
    write_file(tmp_path / "file", pieces(written))
    assert (tmp_path / "file").read_bytes() == b"".join(written)
    assert asked == [True, False]  # once refused, it isn't asked for again

    monkeypatch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "")))
    with pytest.raises(OSError, match=str(errno.ENOSPC)):
        write_file(tmp_path / "file", pieces([]))


def test_memory_that_is_used_again_begins_with_a_page() -> None:
    memory = Buffers()
    for size in (10, 5, 100_000, PAGE_BYTES):
        assert memory.get("one", size).ctypes.data % PAGE_BYTES == 0
        assert memory.get("one", size).size == size
    table = memory.array("two", (3, 5), np.dtype("<i4"))
    assert (table.shape, table.dtype) == ((3, 5), np.dtype("<i4"))
    assert np.shares_memory(table, memory.get("two", 60))
    assert not np.shares_memory(table, memory.get("one", 60))
