"""Which files are a stack, in which order, and what is refused with which words."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import tifffile
from hypothesis import given

import brainxr
from brainxr import EmptyStackError, SliceReadError, StackError
from brainxr.stacks.slices import SliceFiles, find_slices, is_slice_name

Touch = Callable[..., Path]


@pytest.fixture
def touch(tmp_path: Path) -> Touch:
    """Make empty files, for finding opens none."""

    def make(*names: str, folder: str = "stack") -> Path:
        where = tmp_path / folder
        where.mkdir(parents=True, exist_ok=True)
        for name in names:
            (where / name).parent.mkdir(parents=True, exist_ok=True)
            (where / name).touch()
        return where

    return make


ORDERED: dict[str, tuple[Sequence[str], Sequence[int]]] = {
    "natural": (["s1.tif", "s2.tif", "s10.tif"], [1, 2, 10]),
    "bare numbers": (["1.tif", "2.tif", "10.tif"], [1, 2, 10]),
    "padded": (["s008.tif", "s009.tif", "s010.tif"], [8, 9, 10]),
    "suffixes": (["a_1.TIF", "a_2.tiff", "a_3.Tif"], [1, 2, 3]),
    "constant numbers": (["F25_100um_03.tif", "F25_100um_04.tif"], [3, 4]),
    "number in front": (["3_of_9.tif", "4_of_9.tif"], [3, 4]),
    "last that varies": (["x1_y9.tif", "x2_y10.tif", "x3_y11.tif"], [9, 10, 11]),
    "dates": (["s_20240101_1.tif", "s_20240102_2.tif"], [1, 2]),
    "hyphens are no signs": (["s-1.tif", "s-2.tif"], [1, 2]),
    "dots": (["a.b.1.tif", "a.b.2.tif"], [1, 2]),
    "ome": (["a_z1.ome.tif", "a_z2.ome.tif"], [1, 2]),
    "spaces": (["a slice 1 (b).tif", "a slice 2 (b).tif"], [1, 2]),
    "unicode": (["Schnitt_ö_1.tif", "Schnitt_ö_2.tif"], [1, 2]),
    "magic": (["a[1]_1.tif", "a[1]_2.tif"], [1, 2]),
    "from zero": (["s0.tif", "s1.tif"], [0, 1]),
    "one": (["brain.tif"], [0]),
    "one with a number": (["brain_371.tif"], [0]),
    "steps": (["s10.tif", "s20.tif", "s40.tif"], [10, 20, 40]),
}


@pytest.mark.parametrize("folder", ["stack", "a b [c] 1*?", "ünïcode 切片", "Axial.tif"])
@pytest.mark.parametrize("case", ORDERED)
def test_order(touch: Touch, case: str, folder: str) -> None:
    names, numbers = ORDERED[case]
    where = touch(*reversed(names), folder=folder)
    found = find_slices(where)
    assert found == SliceFiles(str(where), tuple(names), tuple(numbers))
    assert [found.path(i) for i in range(len(found))] == [str(where / name) for name in names]
    assert find_slices([where / name for name in names]) == found


def test_what_is_no_slice(touch: Touch) -> None:
    where = touch(
        "s1.tif", "s2.tif", "._s1.tif", "._s3.tif", ".hidden_4.tif", ".DS_Store", "Thumbs.db",
        "README.txt", "s1.tif.xml", "s1.tfw", "s5.tif~", "s6.png", "tif", "__MACOSX/._s1.tif",
        "s7.tif/inside.txt",
    )  # fmt: skip
    assert find_slices(where).names == ("s1.tif", "s2.tif")
    assert find_slices(f"{where}/*").names == ("s1.tif", "s2.tif")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.tif", True), ("a.TIFF", True), (".a.tif", False), ("._a.tif", False), ("a.tif.bak", False),
     ("Thumbs.db", False), ("tif", False), (".tif", False)],
)  # fmt: skip
def test_is_slice_name(name: str, expected: bool) -> None:
    assert is_slice_name(name) is expected


def test_patterns(touch: Touch) -> None:
    where = touch("a_1.tif", "a_2.tif", "b_1.tif", "b_2.tif", "b_3.TIF", "a_3.txt")
    assert find_slices(f"{where}/a_*").names == ("a_1.tif", "a_2.tif")
    assert find_slices(f"{where}/b_[12].tif").names == ("b_1.tif", "b_2.tif")
    assert find_slices(f"{where.parent}/**/b_?.tif").names == ("b_1.tif", "b_2.tif")


def test_lists_over_folders(touch: Touch) -> None:
    where = touch("one/s1.tif", "one/s2.tif", "two/s3.tif")
    found = find_slices([where / "one" / "s2.tif", where / "one" / "s1.tif"])
    assert (found.folder, found.names) == (str(where / "one"), ("s2.tif", "s1.tif"))
    numbered = touch("1/img.tif", "2/img.tif", "10/img.tif", folder="numbered")
    found = find_slices([numbered / n / "img.tif" for n in ("1", "2", "10")])
    assert found.numbers == (1, 2, 10)


def test_a_list_without_numbers_keeps_its_order(touch: Touch) -> None:
    where = touch("top.tif", "middle.tif", "bottom.tif")
    names = ("top.tif", "middle.tif", "bottom.tif")
    assert find_slices([where / name for name in names]).names == names


@given(st.sets(st.integers(0, 10**6), min_size=1), st.integers(1, 50))
def test_positions_and_missing(numbers: set[int], step: int) -> None:
    ordered = sorted(n * step for n in numbers)
    files = SliceFiles("/x", tuple(f"{n}.tif" for n in ordered), tuple(ordered))
    again = [ordered[0] + int(p) * files.step for p in files.positions]
    assert again == ordered
    if files.positions[-1] < 10**5:
        expected = set(range(ordered[0], ordered[-1] + 1, files.step)) - set(ordered)
        assert files.missing == sorted(expected)
    assert pickle.loads(pickle.dumps(files)) == files


def test_ten_thousand_names_travel_light() -> None:
    names = tuple(f"Synthesized_FLASH25_Axial_{i:05d}.tiff" for i in range(10_000))
    files = SliceFiles("/data/brain", names, tuple(range(10_000)))
    assert len(pickle.dumps(files)) < 60_000


# --- refused ------------------------------------------------------------------------


def test_no_such_path(touch: Touch) -> None:
    where = touch("s1.tif", folder="brain_axial")
    with pytest.raises(EmptyStackError, match=r"Did you mean 'brain_axial'\?") as raised:
        find_slices(f"{where.parent}/brain_axal")
    assert isinstance(raised.value, FileNotFoundError)
    assert str(raised.value).startswith("There is no file or folder '")
    with pytest.raises(EmptyStackError, match="Nor is there a folder '/nowhere/at'"):
        find_slices("/nowhere/at/all")
    with pytest.raises(EmptyStackError, match="There is no file or folder ''"):
        find_slices("")


def test_nothing_there(touch: Touch) -> None:
    with pytest.raises(EmptyStackError, match=r"The folder '.*empty' is empty\."):
        find_slices(touch(folder="empty"))
    other = touch("a.png", "b.png", "c.txt", "d.h5", "e.raw", "f.doc", ".DS_Store", folder="other")
    message = r"only \.DS_Store, a\.png, b\.png, c\.txt, d\.h5 and 2 more\. Slices are .*\.tiff"
    with pytest.raises(EmptyStackError, match=message):
        find_slices(other)
    with pytest.raises(EmptyStackError, match=r"No TIFF slice matches '.*/\*\.png'"):
        find_slices(f"{other}/*.png")
    with pytest.raises(EmptyStackError, match=r"'.*a\.png' is no TIFF by its name"):
        find_slices(other / "a.png")


def test_bad_lists(touch: Touch) -> None:
    where = touch("s1.tif", "s2.tif", "top.tif")
    with pytest.raises(EmptyStackError, match="The list of files is empty"):
        find_slices([])
    with pytest.raises(EmptyStackError, match=r"2 of 3 files of the list are not there: .*s8"):
        find_slices([where / "s1.tif", where / "s8.tif", where / "s9.tif"])
    with pytest.raises(StackError, match=r"1 of 2 items of the list are folders: .*one folder"):
        find_slices([where / "s1.tif", where])
    with pytest.raises(StackError, match=r"more than once: s1\.tif"):
        find_slices([where / "s1.tif", where / "s1.tif", where / "s2.tif"])
    with pytest.raises(StackError, match=r"more than once: top\.tif"):
        find_slices([where / "top.tif", where / "top.tif"])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["1.tif", "01.tif"], r"2 files in .* slice number 1: 01\.tif, 1\.tif"),
        (["s1.tif", "s1.tiff", "s2.tif"], r"slice number 1: s1\.tif, s1\.tiff"),
        (["s1.tif", "s1.TIF"], r"slice number 1: s1\.TIF, s1\.tif\. A stack has one file a slice"),
        (["brain.tif", "brain.tiff"], r"brain\.tif, brain\.tiff in .* carry no number"),
        (["s1.tif", "s2.tif", "s999999999.tif"], "from 1 to 999999999, .* 999999999 slices"),
        (["s1.tif", f"s{10**30}.tif", "s4.tif"], "they don't count slices. Rename the files 1, 2"),
    ],
)
def test_bad_numbers(touch: Touch, names: list[str], message: str) -> None:
    with pytest.raises(StackError, match=message):
        find_slices(touch(*names))


def test_dates_as_numbers_are_no_memory_hog(touch: Touch) -> None:
    where = touch(*(f"s_{20261122100000000 + 7 * i * i}.tif" for i in range(4)))
    assert len(find_slices(where)) == 4
    where = touch("s_20261122100000000.tif", "s_20261122100000001.tif", "s_20270101000000000.tif")
    with pytest.raises(StackError, match="they don't count slices"):
        find_slices(where)


SEVERAL: dict[str, dict[str, list[str]]] = {
    "names": {"a": ["a_1.tif", "a_2.tif"], "b": ["b_1.tif", "b_2.tif", "b_3.tif"]},
    "masks": {"image": ["s_1.tif", "s_2.tif"], "mask": ["s_1_mask.tif", "s_2_mask.tif"]},
    "channels by number": {
        "1": ["s_ch1_z1.tif", "s_ch1_z2.tif"], "2": ["s_ch2_z1.tif", "s_ch2_z2.tif"],
    },
    "ten channels": {str(c): [f"c{c}z{z}.tif" for z in (8, 9, 10)] for c in (1, 2, 10)},
    "a preview": {"slices": ["s_1.tif", "s_2.tif"], "preview": ["overview.tif"]},
    "mixed suffixes": {"a": ["a1.tif", "a2.TIFF"], "b": ["b1.tif", "b2.tif"]},
    "magic names": {"a": ["[a] *1.tif", "[a] *2.tif"], "b": ["[b] 1.tif", "[b] 2.tif"]},
}  # fmt: skip


@pytest.mark.parametrize("folder", ["stack_100um_iso", "a [1] b's 100um iso"])
@pytest.mark.parametrize("case", SEVERAL)
def test_the_calls_for_several_stacks_work(tmp_path: Path, case: str, folder: str) -> None:
    """What the message says to paste is pasted."""
    groups = SEVERAL[case]
    (tmp_path / folder).mkdir()
    for value, names in enumerate(groups.values()):
        for i, name in enumerate(names):
            tifffile.imwrite(tmp_path / folder / name, np.full((2, 3), 10 * value + i, "u1"))
    with pytest.raises(StackError, match="stacks by their names, and a volume has one") as raised:
        brainxr.open(tmp_path / folder)
    opened = [eval(call) for call in calls_in(str(raised.value))]
    found = {tuple(volume[:, 0, 0].values.tolist()) for volume in opened}
    assert found == {
        tuple(10 * value + i for i in range(len(names)))
        for value, names in enumerate(groups.values())
    }


def calls_in(message: str) -> list[str]:
    return re.findall(r"^  (brainxr\.open\(.*\))(?:  #.*)?$", message, re.MULTILINE)


def test_the_calls_for_folders_inside_work(tmp_path: Path) -> None:
    for folder in ("axial 100um iso", "coro'nal [100um iso]"):
        (tmp_path / folder).mkdir()
        tifffile.imwrite(tmp_path / folder / "1.tif", np.zeros((2, 3), "u1"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        EmptyStackError, match=r"but what follows is in it\. Open the one"
    ) as raised:
        find_slices(tmp_path)
    calls = calls_in(str(raised.value))
    assert len(calls) == 2
    assert [eval(call).shape for call in calls] == [(1, 2, 3)] * 2


def test_many_stacks_are_counted(touch: Touch) -> None:
    names = [f"{letter}_{i}.tif" for letter in "abcdefghijk" for i in (1, 2)]
    with pytest.raises(StackError, match=r"The 22 TIFF files .* 11 stacks[\s\S]* and 3 more"):
        find_slices(touch(*names))


def test_forbidden_folder(unprivileged: Path) -> None:
    (unprivileged / "locked").mkdir(mode=0)
    with pytest.raises(SliceReadError, match="locked' may not be listed: permission denied") as e:
        find_slices(unprivileged / "locked")
    assert isinstance(e.value, OSError)


def test_finding_opens_nothing(touch: Touch, monkeypatch: Any) -> None:
    where = touch(*(f"s{i}.tif" for i in range(20)))

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a file was opened")

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr("builtins.open", refuse)
    assert len(find_slices(where)) == 20
