"""Datasets are fetched whole or not at all, from real servers on this machine that misbehave."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import threading
from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import MadeStack, MakeStack
from servers import Mirror, mirroring
from zips import zip_of

import brainxr
from brainxr.cli import main
from brainxr.samples import datasets, download, fetching

NAME = "Little_100um_iso_Coronal_Images.zip"

StartMirror = Callable[..., Mirror]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own, and parts so small that a little file has many."""
    monkeypatch.setenv("BRAINXR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "PART_BYTES", 100)
    monkeypatch.setattr(download, "PATIENCE", (5.0, 5.0))
    return tmp_path / "cache"


@pytest.fixture
def made(make_stack: MakeStack) -> MadeStack:
    return make_stack(folder="made")


@pytest.fixture
def content(made: MadeStack, tmp_path: Path) -> bytes:
    return zip_of(made, tmp_path / NAME, folder="images/").read_bytes()


@pytest.fixture
def start(content: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[StartMirror]:
    """Start one more mirror of the dataset "little"; they are asked in this order."""
    mirrors: list[Mirror] = []
    with ExitStack() as running:

        def start_one(served: bytes = content, **wrong: Any) -> Mirror:
            mirrors.append(running.enter_context(mirroring(served, **wrong)))
            md5 = hashlib.md5(content).hexdigest()
            file = datasets.File(NAME, len(content), md5, tuple(m.url for m in mirrors))
            little = datasets.Dataset(
                "little", "A little brain", "Nobody (2026)", "CC0", "10.0/0", "https://home",
                {"coronal": file},
            )  # fmt: skip
            monkeypatch.setitem(datasets.KNOWN, "little", little)
            return mirrors[-1]

        yield start_one


def fetch(**options: Any) -> Path:
    return brainxr.fetch("little", plane="coronal", **options)


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


# --- what goes well -----------------------------------------------------------------------


def test_what_is_fetched_opens_as_it_is(
    start: StartMirror, content: bytes, made: MadeStack, cache: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    mirror = start()
    path = fetch()
    assert path == cache / "datasets" / "little" / NAME
    assert path.read_bytes() == content
    assert files_in(path.parent) == [NAME, f"{NAME}.md5"]
    assert mirror.asked == [(None, len(content))]
    said = capsys.readouterr().err
    assert said.startswith(f"Fetching {NAME}, 3.81 kB, into ")
    assert "CC0" in said
    vol = brainxr.open(path)
    assert vol.attrs["plane"] == "coronal"
    assert vol.z.attrs["spacing"] == 100
    np.testing.assert_array_equal(vol.transpose("y", "z", "x").values, made.values)


def test_a_second_time_nobody_is_asked_and_little_is_read(
    start: StartMirror, bytes_read: Any, content: bytes
) -> None:
    mirror = start()
    path = fetch()
    mirror.asked.clear()
    with bytes_read() as read:
        assert fetch() == path
    assert mirror.asked == []
    assert read.count < 200  # the checksum beside it, and not the file


def test_one_that_somebody_put_there_is_verified_once(
    start: StartMirror, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = start()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / NAME).write_bytes(content)
    verified = []
    md5_of = fetching.md5_of
    monkeypatch.setattr(fetching, "md5_of", lambda path: verified.append(path) or md5_of(path))
    for _ in range(2):
        assert fetch(to=tmp_path / "mine").read_bytes() == content
    assert (len(verified), mirror.asked) == (1, [])


@pytest.mark.parametrize("how", ["other bytes", "fewer bytes", "changed after it was verified"])
def test_another_file_in_its_place_is_left_alone(
    start: StartMirror, content: bytes, tmp_path: Path, how: str
) -> None:
    mirror = start()
    target = tmp_path / NAME
    if how.startswith("changed"):
        fetch(to=tmp_path)
    target.write_bytes(content[:-1] + (b"" if how == "fewer bytes" else b"x"))
    before, asked = target.read_bytes(), list(mirror.asked)
    with pytest.raises(brainxr.FetchError, match=r"is there already, .* expected .* move it"):
        fetch(to=tmp_path)
    assert (target.read_bytes(), mirror.asked) == (before, asked)


def test_redirected(start: StartMirror, content: bytes) -> None:
    mirror = start(redirect="/elsewhere")
    assert fetch().read_bytes() == content
    assert [count for _, count in mirror.asked] == [0, len(content)]


# --- what breaks off ----------------------------------------------------------------------


def test_goes_on_where_it_broke_off(start: StartMirror, content: bytes) -> None:
    mirror = start(breaks=[1000, 500])
    assert fetch().read_bytes() == content
    ranges = [wanted for wanted, _ in mirror.asked]
    assert ranges == [None, "bytes=1000-", "bytes=1500-"]
    assert mirror.sent == len(content)


def test_goes_on_in_a_later_call(start: StartMirror, content: bytes, cache: Path) -> None:
    mirror = start(breaks=[1000, 0])
    with pytest.raises(brainxr.FetchError, match=r"broke off.*are kept in .*fetch it again"):
        fetch()
    folder = cache / "datasets" / "little"
    assert files_in(folder) == [f".{NAME}.partial", f".{NAME}.partial.json"]
    mirror.asked.clear()
    assert fetch().read_bytes() == content
    assert mirror.asked == [("bytes=1000-", len(content) - 1000)]


def test_the_next_mirror_goes_on_where_one_broke_off(start: StartMirror, content: bytes) -> None:
    start(breaks=[1000, 0])
    second = start(etag='"of another server"')
    assert fetch().read_bytes() == content
    assert second.asked == [("bytes=1000-", len(content) - 1000)]


def test_a_file_that_changed_meanwhile_is_not_glued(start: StartMirror, content: bytes) -> None:
    old = b"PK" + bytes(len(content) - 2)
    mirror = start(old, breaks=[1000, 0])
    with pytest.raises(brainxr.FetchError):
        fetch()
    mirror.content, mirror.etag = content, '"second"'
    mirror.asked.clear()
    assert fetch().read_bytes() == content
    assert mirror.asked == [("bytes=1000-", len(content))]  # the whole, as If-Range asks for


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_what_was_glued_all_the_same_is_fetched_anew(
    start: StartMirror, content: bytes, etag: str | None
) -> None:
    mirror = start(b"PK" + bytes(len(content) - 2), etag=etag, breaks=[1000, 0])
    with pytest.raises(brainxr.FetchError):
        fetch()
    mirror.content = content
    mirror.asked.clear()
    assert fetch().read_bytes() == content
    assert [wanted for wanted, _ in mirror.asked] == ["bytes=1000-", None]


def test_a_server_without_ranges_begins_anew(start: StartMirror, content: bytes) -> None:
    mirror = start(ranges=False, breaks=[1000])
    assert fetch().read_bytes() == content
    assert mirror.asked == [(None, 1000), ("bytes=1000-", len(content))]


def test_ctrl_c_keeps_what_came_and_says_how_to_go_on(
    start: StartMirror, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    start()
    write = download.Partial.write

    def interrupted(self: download.Partial, data: bytes) -> None:
        if self.here >= 700:
            raise KeyboardInterrupt
        write(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(download.Partial, "write", interrupted)
        with pytest.raises(KeyboardInterrupt) as caught:
            fetch()
        (note,) = caught.value.__notes__
        assert "are kept in" in note
        assert "fetch it again to go on" in note
        result = CliRunner().invoke(main, ["fetch", "little", "--plane", "coronal"])
        assert result.exit_code == 1
        assert "interrupted. " in result.stderr
        assert "fetch it again to go on" in result.stderr
    assert fetch().read_bytes() == content


def test_a_full_disk_while_it_is_written(
    start: StartMirror, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    start()

    class Full:
        def __init__(self, file: Any) -> None:
            self.file = file

        def write(self, data: bytes) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

    begin = download.Partial.__init__
    with monkeypatch.context() as patch:
        patch.setattr(
            download.Partial, "__init__",
            lambda self, file, *rest: begin(self, Full(file), *rest),
        )  # fmt: skip
        with pytest.raises(brainxr.FetchError, match=r"No space left on device.*are kept"):
            fetch()
    assert fetch().read_bytes() == content


def test_no_room_is_found_before_anybody_is_asked(
    start: StartMirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = start()
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(9, 9, 1000))
    with pytest.raises(OSError, match=r"It needs .* are free in .*Make room there"):
        fetch()
    assert mirror.asked == []


# --- what is wrong with mirrors -----------------------------------------------------------


WRONG = {
    "404": ({"status": 404}, "answers 404"),
    "503": ({"status": 503}, "answers 503"),
    "length": ({"length": 12}, "has a file of 12 bytes, where .* are expected"),
    "too long": ({"length": None, "served": b"PK" + bytes(9999)}, "sends more than .* bytes"),
    "a page": ({"length": None, "served": b"<html>Sign in"}, "sends a text, and no zip"),
    "breaks off": ({"breaks": [0]}, "broke off"),
}


@pytest.mark.parametrize("how", WRONG)
def test_a_mirror_that_fails_falls_through(
    start: StartMirror, content: bytes, how: str, cache: Path
) -> None:
    wrong, words = WRONG[how]
    first = start(**wrong)
    with pytest.raises(brainxr.FetchError, match=f"127.0.0.1.*{words}.*download it by hand"):
        fetch()
    assert files_in(cache / "datasets" / "little") == []
    first.breaks = [0]
    start()
    assert fetch().read_bytes() == content


def test_nobody_listens(start: StartMirror, content: bytes) -> None:
    start(breaks=[0]).url = "http://127.0.0.1:9/file"
    start()
    assert fetch().read_bytes() == content


def test_a_mirror_that_says_nothing_is_given_up(
    start: StartMirror, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "PATIENCE", (5.0, 0.2))
    start(silent=threading.Event())
    with pytest.raises(brainxr.FetchError, match=r"said nothing for 0\.2 seconds"):
        fetch()


def test_a_wrong_checksum_keeps_nothing_and_says_so(
    start: StartMirror, content: bytes, cache: Path
) -> None:
    other = b"PK" + bytes(len(content) - 2)
    mirror = start(other)
    found, expected = (hashlib.md5(c).hexdigest() for c in (other, content))
    with pytest.raises(brainxr.FetchError) as caught:
        fetch()
    message = str(caught.value)
    for part in (found, expected, mirror.url, "thrown away", "Nothing is kept"):
        assert part in message
    assert files_in(cache / "datasets" / "little") == []
    assert mirror.asked == [(None, len(content))]  # once, as it came in one piece
    start()
    assert fetch().read_bytes() == content


# --- several at once ----------------------------------------------------------------------


def test_several_at_once_fetch_once(start: StartMirror, content: bytes) -> None:
    gate = threading.Event()
    mirror = start(silent=gate)
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(fetch())) for _ in range(4)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join(60)
    assert [path.read_bytes() == content for path in found] == [True] * 4
    assert len(mirror.asked) == 1


def test_another_process_waits(start: StartMirror, content: bytes, cache: Path) -> None:
    gate = threading.Event()
    mirror = start(silent=gate)
    file = datasets.KNOWN["little"].planes["coronal"]
    code = (
        "import brainxr; from brainxr.samples import datasets as d\n"
        f"file = d.{file!r}\n"
        "d.KNOWN['little'] = d.Dataset('little', '', '', '', '', '', {'coronal': file})\n"
        "print(brainxr.fetch('little', plane='coronal'))"
    )
    here = threading.Thread(target=fetch)
    here.start()
    assert mirror.entered.wait(60)
    other = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "BRAINXR_CACHE": str(cache)},
    )  # fmt: skip
    assert other.stderr is not None
    first = other.stderr.readline()
    gate.set()
    out, rest = other.communicate(timeout=60)
    here.join(60)
    assert "waiting for them" in first, first + rest
    assert Path(out.strip()).read_bytes() == content
    assert len(mirror.asked) == 1


# --- what is asked for --------------------------------------------------------------------


def test_what_there_is_not() -> None:
    with pytest.raises(ValueError, match=r"no dataset 'edlow'.*Did you mean 'edlow-100um'"):
        brainxr.fetch("edlow")
    with pytest.raises(ValueError, match=r"no plane 'oblique'.*'axial', 'coronal', 'sagittal'"):
        brainxr.fetch("edlow-100um", plane="oblique")  # type: ignore[arg-type]


def test_a_file_for_a_folder(start: StartMirror, tmp_path: Path) -> None:
    start()
    with pytest.raises(brainxr.FetchError, match=r"is a file.*Name a folder"):
        fetch(to=tmp_path / NAME)


def test_without_pooch(start: StartMirror, monkeypatch: pytest.MonkeyPatch) -> None:
    start()
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(brainxr.MissingExtraError, match=r'pip install "brainxr\[fetch\]"'):
        fetch()


def test_the_command_line(start: StartMirror, content: bytes, tmp_path: Path) -> None:
    start()
    asked = ["fetch", "little", "--plane", "coronal", "--to", str(tmp_path / "here")]
    result = CliRunner().invoke(main, asked)
    assert result.exit_code == 0, result.output
    assert Path(result.stdout.strip()).read_bytes() == content
    listed = CliRunner().invoke(main, ["datasets"]).stdout
    assert "edlow-100um" in listed


def test_datasets_print_as_a_table() -> None:
    listed = brainxr.datasets()
    edlow = listed[0]
    for told in (repr(listed), listed._repr_html_()):
        for part in ("edlow-100um", "2.00 GB", "1.96 GB", "CC0", "10.5061/dryad.119f80q",
                     "Scientific Data 6, 244"):  # fmt: skip
            assert part in told
    assert edlow.planes["axial"].bytes == 1_999_932_679
    assert edlow.planes["axial"].md5 == "96eb67243e78b76dc27b1e821db6b899"
    assert [len(f.mirrors) for f in edlow.planes.values()] == [3, 2, 2]
    assert all(f.mirrors[0].endswith(f"/{f.name}") for f in edlow.planes.values())
    assert len(listed[:1]) == 1
