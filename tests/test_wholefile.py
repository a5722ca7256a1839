"""What is unfinished is nobody's target, and what was abandoned is removed."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from brainxr.errors import VolumeReadError
from brainxr.writing import wholefile
from brainxr.writing.wholefile import checked_target, kept, whole_file

BEGIN = """
import sys, time
from pathlib import Path
from brainxr.writing.wholefile import whole_file
with whole_file(Path(sys.argv[1])) as partial:
    partial.write_bytes(b"half")
    print("begun", flush=True)
    time.sleep(600)
"""


def test_it_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with whole_file(target) as partial:
        partial.write_text("new")
        assert not target.exists()
        assert partial.suffix == ".txt"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_what_is_there_stays_unless_it_is_said(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(FileExistsError, match="is there already"):
        checked_target(target, (".txt",), "a text")
    assert checked_target(target, (".txt",), "a text", overwrite=True) == target
    with pytest.raises(FileExistsError, match="is there already"), whole_file(target) as partial:
        partial.write_text("new")  # another process was faster
    assert target.read_text() == "old"
    with whole_file(target, overwrite=True) as partial:
        partial.write_text("new")
    assert target.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no locks of this kind")
def test_what_was_read_is_not_told_as_what_was_to_be_written(tmp_path: Path) -> None:
    there, target = tmp_path / "nothing.h5", tmp_path / "a.txt"
    with pytest.raises(FileNotFoundError, match=r"nothing\.h5"), whole_file(target):
        there.read_bytes()
    with pytest.raises(VolumeReadError, match=r"^it was cut$"), whole_file(target):
        raise VolumeReadError("it was cut")
    with (
        pytest.raises(OSError, match=r"a\.txt' can't be written: No space left"),
        whole_file(target),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert not list(tmp_path.iterdir())


def test_what_a_kill_left_is_removed_and_what_is_at_work_is_not(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    command = [sys.executable, "-c", BEGIN, str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "begun\n"
        with whole_file(target) as partial:
            partial.write_text("ours")
        assert len(list(tmp_path.iterdir())) == 2  # that of the other is still written
        os.kill(other.pid, signal.SIGKILL)
    with whole_file(target, overwrite=True) as partial:
        partial.write_text("ours again")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert target.read_text() == "ours again"


def test_only_what_is_left_of_the_same_target_is_removed(tmp_path: Path) -> None:
    names = [".b-0123456789ab.partial.txt", ".a-notes.partial.txt", ".a-0123456789ab.partial.png"]
    for name in names:
        (tmp_path / name).write_text("another's")
    abandoned = tmp_path / ".a-0123456789ab.partial.txt"
    abandoned.write_text("half")
    with whole_file(tmp_path / "a.txt") as partial:
        partial.write_text("new")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*names, "a.txt"])


@pytest.mark.parametrize("is_folder", [False, True])
def test_what_was_just_begun_is_not_taken_for_abandoned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_folder: bool
) -> None:
    """Somebody looks for what was abandoned between its being made and its being locked."""
    target, partial = tmp_path / "a", wholefile.beside(tmp_path / "a")
    lock, looked = fcntl.flock, []

    def look_first(descriptor: int, how: int) -> None:
        if how == fcntl.LOCK_SH and not looked:
            looked.append(wholefile.beside(target))
            assert not partial.exists()  # gone, before it was locked
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", look_first)
    with kept(partial, is_folder):
        assert looked
        assert partial.is_dir() == is_folder
        wholefile.beside(target)
        assert partial.exists()
