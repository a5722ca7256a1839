"""Files that are written while others are made: whole and in their place, or not there."""

from __future__ import annotations

import errno
import os
import pickle
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brainxr.errors import StoreWriteError
from brainxr.files.buffers import PAGE_BYTES
from brainxr.writing.behind import Behind
from brainxr.writing.pieces import Piece, Pieces
from brainxr.writing.straight import LEAST_BYTES, StraightFile
from brainxr.writing.unfinished import Unfinished

FULL, BEYOND = 2 * LEAST_BYTES, 100_000


@pytest.fixture
def store(tmp_path: Path) -> Unfinished:
    store = Unfinished(str(tmp_path / "a.zarr"))
    store.begin({"of": "a test"}, overwrite=False)
    return store


def filled(memory: Pieces, content: bytes, fails_after: int = -1) -> Iterator[Piece]:
    """Pieces that are cut where they are full, as those of a shard."""
    rest = np.frombuffer(content, np.uint8)
    while rest.size:
        if not fails_after:
            raise RuntimeError("it can't be packed")
        fails_after -= 1
        piece = memory.take()
        piece.add(rest[: FULL + 5000])
        rest = rest[piece.size :]
        if rest.size:
            rest = np.concatenate([piece.cut(), rest])
        yield piece


def contents(count: int) -> list[bytes]:
    """Noise, in lengths of which no two are alike: from a few bytes to several pieces."""
    noise = np.random.default_rng(7)
    return [noise.integers(0, 256, 3 + i * 200_003, np.uint8).tobytes() for i in range(count)]


def write_all(
    store: Unfinished, pieces: Mapping[str, Iterator[Piece]], interrupted: bool = False
) -> None:
    with store.writing() as write:
        for key, made in pieces.items():
            write(key, made)
        if interrupted:
            raise KeyboardInterrupt


def files_of(store: Unfinished) -> list[Path]:
    return [path for path in store.folder.rglob("*") if path.is_file() and path.suffix != ".json"]


def test_files_are_whole_and_in_their_place(store: Unfinished) -> None:
    memory, written = Pieces(3, FULL, BEYOND), contents(12)
    write_all(store, {f"0/c/{i}": filled(memory, content) for i, content in enumerate(written)})
    found = [(store.folder / "store" / "0" / "c" / str(i)).read_bytes() for i in range(12)]
    assert found == written
    assert len(files_of(store)) == 12


def test_many_threads_make_files_of_few_pieces(store: Unfinished) -> None:
    memory, written = Pieces(2, FULL, BEYOND), contents(10)
    with store.writing() as write:
        threads = [
            threading.Thread(target=write, args=(f"{i}", filled(memory, content)))
            for i, content in enumerate(written)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert [(store.folder / "store" / str(i)).read_bytes() for i in range(10)] == written


def test_what_can_not_be_made_leaves_nothing(store: Unfinished) -> None:
    memory, (*_, long) = Pieces(1, FULL, BEYOND), contents(12)
    half = filled(memory, long, fails_after=2)
    with pytest.raises(RuntimeError, match="can't be packed"):
        write_all(store, {"0/whole": filled(memory, long), "0/half": half})
    assert [path.name for path in files_of(store)] == ["whole"]
    write_all(store, {"0/half": filled(memory, long)})  # the only piece came back
    assert (store.folder / "store" / "0" / "half").read_bytes() == long


def test_a_full_disk_is_told_with_its_file(
    store: Unfinished, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, (*_, long) = Pieces(1, FULL, BEYOND), contents(12)
    really = StraightFile.write
    calls: list[int] = []

    def write_a_little(self: StraightFile, piece: memoryview, **options: Any) -> None:
        calls.append(len(piece))
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        really(self, piece, **options)

    monkeypatch.setattr(StraightFile, "write", write_a_little)
    with pytest.raises(StoreWriteError, match=r"No space left.*0.c.7.*What is finished stays"):
        write_all(store, {"0/c/7": filled(memory, long)})
    assert len(calls) == 2  # nothing is written behind what failed
    assert files_of(store) == []
    assert memory.take().size == 0


def test_nothing_is_written_any_more_when_a_block_is_left_by_an_error(store: Unfinished) -> None:
    memory, written = Pieces(2, FULL, BEYOND), contents(8)
    pieces = {f"{i}": filled(memory, content) for i, content in enumerate(written)}
    with pytest.raises(KeyboardInterrupt):
        write_all(store, pieces, interrupted=True)
    assert not list((store.folder / "writing").rglob("*.*"))
    assert [(store.folder / "store" / str(i)).read_bytes() for i in range(8)] == written


def test_what_can_not_be_removed_is_told_all_the_same(
    store: Unfinished, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that ended by an error would leave all who come later waiting."""
    memory, (*_, long) = Pieces(1, FULL, BEYOND), contents(5)

    def fail(*_: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", fail)
        patched.setattr(os, "unlink", fail)
        for _ in range(4):  # each writer in turn
            with pytest.raises(StoreWriteError, match="Permission denied"):
                write_all(store, {"0": filled(memory, long)})
    write_all(store, {"0": filled(memory, long)})
    assert (store.folder / "store" / "0").read_bytes() == long


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    behind = Behind(os.replace)
    behind.write(str(tmp_path / "no" / "a"), str(tmp_path / "b"), filled(Pieces(1, 9, 9), b"1234"))
    ((path, error),) = behind.wait()
    assert path == str(tmp_path / "b")
    assert isinstance(error, FileNotFoundError)


def test_who_asks_for_one_more_waits() -> None:
    memory = Pieces(2, 10, 4)
    held, taken = [memory.take(), memory.take()], threading.Event()

    def take() -> None:
        memory.take()
        taken.set()

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    assert not taken.wait(0.05)
    held.pop().free()
    assert taken.wait(60)
    thread.join(60)


def test_a_piece_that_fails_to_be_filled_is_free_again() -> None:
    memory = Pieces(1, 10, PAGE_BYTES)
    with pytest.raises(ZeroDivisionError):
        memory.take().fill(lambda room: room.size // 0)
    piece = memory.take()
    assert piece.fill(lambda room: 11) == piece.size == 11
    assert piece.is_full
    piece.free()
    copied = pickle.loads(pickle.dumps(memory))
    assert copied.take().room.size == 10 + PAGE_BYTES
