"""Which number in a name is the place: readings that agree are opened, others are refused."""

from __future__ import annotations

import glob
import math
import re
import shutil
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import nibabel
import numpy as np
import pandas as pd
import pint
import pytest
import tifffile
import xarray as xr
import zarr
from hypothesis import given, settings

import brainxr
from brainxr import EmptyStackError, GeometryError, SliceOrderWarning, StackError
from brainxr.stacks.calls import folder_calls
from brainxr.stacks.fields import describe_numbers
from brainxr.stacks.naming import Ordered, order_names
from brainxr.stacks.slices import find_slices
from brainxr.stacks.tables import read_positions

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write slices, the first of which is full of zeros, the second of ones, and so on."""

    def make(*names: str, folder: str = "stack_25um_iso") -> Path:
        where = tmp_path / folder
        for value, name in enumerate(names):
            (where / name).parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(where / name, np.full((2, 3), value, "u1"))
        return where

    return make


def order_of(volume: xr.DataArray) -> list[int]:
    return [int(value) for value in volume.transpose("z", ...)[:, 0, 0].values]


# --- the right order, and places ---------------------------------------------------------

# Names in their right order, and what places them: µm, or numbers.
TOLD: dict[str, tuple[Sequence[str], Sequence[float]]] = {
    "tenths": ([f"bregma_{n / 10:.1f}mm.tif" for n in range(5, 15)], range(500, 1500, 100)),
    "signs": (["sec_-0.50mm.tif", "sec_-0.25mm.tif", "sec_0.00mm.tif", "sec_0.75mm.tif"],
              [-500, -250, 0, 750]),
    "a minus sign": (["s_\u22121.5mm.tif", "s_0.5mm.tif"], [-1500, 500]),
    "across ten": ([f"img_z{z}um.tif" for z in (97.5, 98.6, 99.7, 100.8, 101.9)],
                   [97.5, 98.6, 99.7, 100.8, 101.9]),
    "whole lengths": (["z-100um.tif", "z0um.tif", "z100um.tif"], [-100, 0, 100]),
    "with and without a point": (["z9um.tif", "z10um.tif", "z31.5um.tif"], [9, 10, 31.5]),
    "uneven": (["a 1mm.tif", "a 2.5mm.tif", "a 2.83mm.tif"], [1000, 2500, 2830]),
    "an index, too": (["s1_0.1mm.tif", "s2_0.4mm.tif", "s3_0.5mm.tif"], [100, 400, 500]),
    "decimal commas": (["a_0,5mm.tif", "a_1,0mm.tif", "a_1,5mm.tif"], [500, 1000, 1500]),
    "centimetres": (["a_1cm.tif", "a_2cm.tif"], [10_000, 20_000]),
}  # fmt: skip


@pytest.mark.parametrize("case", TOLD)
def test_names_that_tell_positions(write: Write, case: str) -> None:
    names, places = TOLD[case]
    if case in ("signs", "an index, too"):
        with pytest.warns(brainxr.SliceGapWarning, match=r"2 of [56] .*: positions 2[05]0 µm, "):
            volume = brainxr.open(write(*names))
    else:
        volume = brainxr.open(write(*names))
    assert order_of(volume) == list(range(len(names)))
    assert volume.z.values.tolist() == pytest.approx(list(places), rel=1e-12)
    assert volume.brain.files.values.tolist() == list(names)
    assert volume.attrs["spacing_source"].startswith("z: positions in the names; y, x: name '25um'")
    nearest = volume.sel(z=f"{places[1]} um", method="nearest", tolerance="1 nm")
    assert int(nearest[0, 0]) == 1


def test_uneven_positions_are_kept_and_refuse_a_grid(write: Write) -> None:
    where = write(*TOLD["uneven"][0])
    with pytest.warns(brainxr.SpacingWarning, match="5 µm is not used along z: .* at uneven dist"):
        volume = brainxr.open(where, spacing=5)
    with pytest.raises(StackError, match="missing='fill' needs positions on a regular grid"):
        brainxr.open(where, missing="fill")
    assert "spacing" not in volume.z.attrs
    with pytest.raises(GeometryError, match="not evenly spaced"):
        volume.brain.to_ome_zarr("no.ome.zarr")


def test_missing_positions_are_filled(write: Write) -> None:
    volume = brainxr.open(write(*TOLD["signs"][0]), missing="fill")
    assert volume.z.values.tolist() == [-500, -250, 0, 250, 500, 750]
    assert order_of(volume) == [0, 1, 2, 0, 0, 3]
    with pytest.raises(StackError, match=r"2 of 6 slices are missing .*: positions 250 µm, 500"):
        brainxr.open(write(*TOLD["signs"][0]), missing="raise")


def test_an_origin_moves_positions(write: Write) -> None:
    volume = brainxr.open(write(*TOLD["tenths"][0]), origin={"z": "1 cm"})
    assert volume.z.values.tolist() == pytest.approx(list(range(10_000, 11_000, 100)))


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["img_z1_102233.tif", "img_z2_102241.tif", "img_z4_102250.tif"], (1, 2, 4)),
        (["a_001z_5.tif", "a_002z_3.tif"], (1, 2)),
        (["x1_y9.tif", "x2_y10.tif", "x3_y11.tif"], (9, 10, 11)),
        (["slide1_s1.tif", "slide1_s2.tif", "slide2_s3.tif"], (1, 2, 3)),
        (["2026-03_8.tif", "2026-04_9.tif", "2026-04_10.tif"], (8, 9, 10)),
        (["a_-1.tif", "a_0.tif", "a_1.tif"], (-1, 0, 1)),
        (["v1.5_1.tif", "v1.5_2.tif"], (1, 2)),
        (["a_1.0.tif", "a_2.0.tif", "a_10.0.tif"], (1, 2, 10)),
        (["a_0.1.tif", "a_0.2.tif", "a_0.3.tif"], (1, 2, 3)),
        (["1.2.1.tif", "1.2.2.tif", "1.2.10.tif"], (1, 2, 10)),
        (["001.0001.tif", "001.0002.tif"], (1, 2)),
    ],
)
def test_readings_that_agree(names: list[str], numbers: tuple[int, ...]) -> None:
    found = order_names(names[::-1], folder_calls("/x"))
    assert (found.names, found.numbers, found.heights) == (tuple(names), numbers, None)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["s_z1.tif", "s_z2.tif", "s_z4.tif"], "keep their true positions"),
        (["section 1.tif", "section 2.tif", "section 4.tif"], "keep their true positions"),
        (["a_1.tif", "a_2.tif", "a_4.tif"], "keep the places that their numbers tell"),
    ],
)
def test_true_positions_are_those_of_numbers_that_are_known(
    write: Write, names: list[str], words: str
) -> None:
    with pytest.warns(brainxr.SliceGapWarning, match=words):
        brainxr.open(write(*names))


# --- what a person says ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("s", ["slide2_s1", "slide2_s2", "slide1_s3", "slide1_s4"]),
        ("S", ["slide2_s1", "slide2_s2", "slide1_s3", "slide1_s4"]),
        (r"_s(\d+)", ["slide2_s1", "slide2_s2", "slide1_s3", "slide1_s4"]),
        (r"slide(\d+)_s(\d+)", ["slide1_s3", "slide1_s4", "slide2_s1", "slide2_s2"]),
    ],
)
def test_a_number_that_is_named(write: Write, number: str, expected: list[str]) -> None:
    where = write("slide1_s3.tif", "slide1_s4.tif", "slide2_s1.tif", "slide2_s2.tif")
    for path in (where, f"{where}/*.tif", sorted(map(str, where.iterdir()), reverse=True)):
        volume = brainxr.open(path, number=number)
        assert [name[:-4] for name in volume.brain.files.values] == expected
        assert volume.z.values.tolist() == [0, 25, 50, 75]
    assert brainxr.check(where, number=number).ok
    data = xr.open_dataset(where, engine="brainxr", number=number)
    assert [name[:-4] for name in data.intensity.brain.files.values] == expected


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (
            "q",
            r"number='q' is not the label of one whole number in 'a1_b2.tif': .* are a, b",
        ),
        (r"\d+", r"number='\\\\d\+' has no group\. Put what is meant in parentheses"),
        ("(", r"number='\(' is not a regular expression: missing"),
        (
            r"c(\d+)",
            r"number='c\(\\\\d\+\)' finds nothing in 'a1_b2\.tif'\. Each name has to have it",
        ),
        (r"([a-z]\d)", r"finds 'a1' in 'a1_b2\.tif', which is no whole number"),
        ("a", r"2 files in .* have the same number by number='a': a1_b2\.tif, a1_b3\.tif"),
    ],
)
def test_numbers_that_are_none(write: Write, number: str, message: str) -> None:
    with pytest.raises(StackError, match=message):
        brainxr.open(write("a1_b2.tif", "a1_b3.tif"), number=number)


def test_number_is_for_slices(tmp_path: Path, write: Write) -> None:
    with pytest.raises(TypeError, match=r"number=3 is not text: give the label"):
        brainxr.open(write("a1.tif"), number=3)  # type: ignore[arg-type]
    nibabel.save(nibabel.Nifti1Image(np.zeros((2, 3, 4)), np.eye(4)), tmp_path / "a.nii")
    for said in ({"number": "z"}, {"positions": [1.0]}, {"positions": np.arange(3)}):
        with pytest.raises(brainxr.VolumeError, match=f"for which {next(iter(said))}= has no"):
            brainxr.open(tmp_path / "a.nii", **said)
    with pytest.raises(StackError, match="say where each file lies"):
        brainxr.open(write("a1.tif", "a2.tif"), number="a", positions="a(.*)")


HEIGHTS = [0.0, 25.0, 75.0]


@pytest.mark.parametrize(
    "positions",
    [
        HEIGHTS, np.array(HEIGHTS), ["0 mm", "0.025 mm", "75 um"], tuple(HEIGHTS),
        pint.Quantity([0, 0.025, 0.075], "mm"), pd.Series(HEIGHTS),
        xr.DataArray([0, 0.025, 0.075], dims="z", attrs={"units": "mm"}),
        pd.Series([75.0, 0.0, 25.0], index=["s3.tif", "s1.tif", "s2.tif"]),
        {"s1": 0, "s2": "25 um", "s3": 75, "s4": 100}, pd.DataFrame({"z": HEIGHTS})["z"],
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_positions_that_are_said(write: Write, positions: Any) -> None:
    where = write("s1.tif", "s2.tif", "s3.tif")
    with pytest.warns(brainxr.SliceGapWarning, match=r"1 of 4 .*: position 50 µm"):
        volume = brainxr.open(where, positions=positions, spacing=5)
    assert volume.z.values.tolist() == HEIGHTS
    assert order_of(volume) == [0, 1, 2]
    assert volume.attrs["spacing_source"] == "z: positions; y, x: argument"
    with pytest.warns(brainxr.SliceGapWarning):
        data = xr.open_dataset(where, engine="brainxr", positions=positions, spacing=5)
    assert data.z.values.tolist() == HEIGHTS


@pytest.mark.parametrize(
    ("expression", "places"),
    [
        (r"_b(.*)mm", [1_200, 1_400]), (r"_b(.*mm)", [1_200, 1_400]),
        (r"_b(\d\.\d)", [1_200, 1_400]),
        (r"s(\d+)_", [1, 2]), (r"s(.*)_", [1, 2]),
    ],
)  # fmt: skip
def test_positions_in_names_by_an_expression(
    write: Write, expression: str, places: list[float]
) -> None:
    """Sections that fall while their index rises are refused until it is said."""
    where = write("s1_b1.4mm.tif", "s2_b1.2mm.tif")
    volume = brainxr.open(where, positions=expression, spacing={"y": 5, "x": 5})
    assert volume.z.values.tolist() == places
    assert order_of(volume) == ([1, 0] if "_b" in expression else [0, 1])


@pytest.mark.parametrize(
    ("positions", "kind", "message"),
    [
        ([1, 2], GeometryError, "positions has 2 lengths, and there are 3 slices"),
        ([1, 2, 2], StackError, r"2 slices have the position 2 µm: s2\.tif, s3\.tif"),
        ([1, 2, "3 kg"], GeometryError, r"positions\[2\]: '3 kg' is no length"),
        (5.0, GeometryError, r"positions=5\.0 is not one length a slice"),
        (
            {"s1.tif": 1},
            GeometryError,
            r"positions has no length for 's2\.tif'; it has some for s1",
        ),
        ("z(.*)mm", StackError, r"positions='z\(\.\*\)mm' finds nothing in 's1\.tif'"),
        ("(s)", StackError, r"positions='\(s\)' finds 's' in 's1\.tif', which is not a length"),
        ("s.*", StackError, r"positions='s\.\*' has no group"),
    ],
)
def test_positions_that_are_none(
    write: Write, positions: Any, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        brainxr.open(write("s1.tif", "s2.tif", "s3.tif"), positions=positions)


def test_positions_of_pages(tmp_path: Path) -> None:
    path = tmp_path / "a_25um_iso.tif"
    pages = np.arange(3 * 4 * 5, dtype="u1").reshape(3, 4, 5)
    tifffile.imwrite(path, pages, photometric="minisblack")
    volume = brainxr.open(path, positions=[0, 10, 50])
    assert volume.z.values.tolist() == [0, 10, 50]
    np.testing.assert_array_equal(volume, np.arange(60).reshape(3, 4, 5))
    for positions, message in (
        ([1, 2], "has 2 lengths, and the file has 3 pages"), ([1, 3, 2], "don't rise"),
        ("z(.*)mm", "finds nothing"), ({"a": 1}, "has no length for"),
    ):  # fmt: skip
        with pytest.raises((GeometryError, StackError), match=message):
            brainxr.open(path, positions=positions)


# --- lists -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        [f"slice_{n}.tif" for n in (5, 4, 3, 2, 1)],
        ["7f3a_brain.tif", "0be2_brain.tif", "91cc_brain.tif"],
        ["left.tif", "mid_2.tif", "right.tif"],
        ["scan.tif", "scan (1).tif", "scan (2).tif"],
        ["section_001_1.tif", "section_001_2.tif", "section_002_1.tif"],
        ["a_9000000.tif", "a_9000001.tif", "a_99999999999.tif"],
    ],
)
def test_a_list_keeps_its_order(write: Write, names: list[str]) -> None:
    where = write(*names)
    volume = brainxr.open([where / name for name in names])
    assert order_of(volume) == list(range(len(names)))
    assert volume.z.values.tolist() == [25 * n for n in range(len(names))]


def test_a_list_whose_numbers_rise_has_places(write: Write) -> None:
    names = ["s_1.tif", "s_2.tif", "s_10.tif"]
    with pytest.warns(brainxr.SliceGapWarning, match="numbers 3-9"):
        volume = brainxr.open([write(*names) / name for name in names])
    assert volume.z.values.tolist() == [0, 25, 225]


def test_a_list_in_no_order_is_warned_of(write: Write) -> None:
    where = write("s_1.tif", "s_10.tif", "s_2.tif")
    message = r"list of 3 files is not in the order of the numbers in their names \(s_1.tif, s_10"
    with pytest.warns(SliceOrderWarning, match=message):
        volume = brainxr.open(sorted(map(str, where.iterdir())))
    assert order_of(volume) == [0, 1, 2]


def test_a_text_file_is_a_list(write: Write, tmp_path: Path) -> None:
    where = write("b.tif", "a.tif", "c.tif")
    text = tmp_path / "slices.txt"
    text.write_text(
        "# from the front\n\nstack_25um_iso/b.tif\n" + f"{where}/a.tif\n{where}/c.tif\n"
    )
    volume = brainxr.open(text)
    assert order_of(volume) == [0, 1, 2]
    assert volume.attrs["source"] == str(where)
    assert brainxr.check(str(text)).ok
    table = where / "slices.csv"
    table.write_text("b.tif\na.tif\n")
    assert order_of(brainxr.open(table)) == [0, 1]
    table.write_text("slide;File;z (mm)\n1;b.tif;-0.5\n1;a.tif;1\n2;c.tif;0.25 mm\n")
    volume = brainxr.open(table, spacing={"y": 5, "x": 5})
    assert volume.z.values.tolist() == [-500, 250, 1000]
    assert order_of(volume) == [0, 2, 1]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"# nothing\n", "has no paths in it"), ("a.csv", b"", "is empty"),
        ("a.txt", b"b.tif\n", "1 of 1 files of the list are not there"),
        ("a.csv", b"section,z\n1,2\n", "has no column of files"),
        ("a.csv", b"file,z\n1\n", "has 1 columns in row 2, and 2 in the first"),
        ("a.txt", b"\xff\xfe", "is not text in UTF-8"),
    ],
)  # fmt: skip
def test_text_files_that_are_none(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StackError, match=message):
        brainxr.open(tmp_path / name)


def test_a_huge_table_is_no_list(tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(StackError, match="has 1099511627776 bytes, more than any list"):
        brainxr.open(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("1\n2\n", ["1 µm", "2 µm"]), ("z_mm\n1\n2\n", ["1 mm", "2 mm"]),
        ("a.tif,1 mm\nb.tif,2 mm\n", {"a.tif": "1 mm", "b.tif": "2 mm"}),
        ("Name,Position\na,1\n", {"a": "1 µm"}),
    ],
)  # fmt: skip
def test_tables_of_positions(tmp_path: Path, content: str, expected: object) -> None:
    (tmp_path / "a.csv").write_text(content)
    assert read_positions(str(tmp_path / "a.csv")) == expected


def test_tables_without_positions(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("file,who\na.tif,me\n")
    with pytest.raises(GeometryError, match=r"no column of positions: .* Found 'file', 'who'"):
        read_positions(str(tmp_path / "a.csv"))


# --- every sixth section -----------------------------------------------------------------


def test_a_spacing_is_that_of_numbers(write: Write) -> None:
    names = [f"M4_s{n:03d}.tif" for n in (1, 7, 13, 19)]
    spacing = {"z": 40, "y": 5, "x": 5}
    message = r"numbered in steps of 6 \(1, 7, 13 and 1 more\).* 240 µm apart\. If they are 40 µm"
    with pytest.warns(brainxr.SpacingWarning, match=message) as caught:
        volume = brainxr.open(write(*names), spacing=spacing)
    assert volume.z.values.tolist() == [0, 240, 480, 720]
    assert volume.z.attrs["spacing"] == 240
    # both ways out work: the other meaning, and this one without a warning
    other = eval(re.search(r"spacing=(\{.*?\})", str(caught[0].message))[1])  # type: ignore[index]
    assert brainxr.open(write(*names), spacing=other, number="s").z.values.tolist() == [
        pytest.approx(40 * n) for n in range(4)
    ]
    assert "number='s'" in str(caught[0].message)


@pytest.mark.parametrize("added", [4, 10, 20, 26, 31])
@pytest.mark.filterwarnings("ignore::brainxr.SliceGapWarning")
def test_one_more_file_moves_none(write: Write, added: int) -> None:
    names = [f"M4_s{n:03d}.tif" for n in (1, 7, 13, 19, 25)]
    before = brainxr.open(write(*names), number="s")
    after = brainxr.open(write(f"M4_s{added:03d}.tif"), number="s")
    places = dict(zip(after.brain.files.values, after.z.values, strict=True))
    assert [places[name] for name in before.brain.files.values] == before.z.values.tolist()


def test_a_volume_is_not_multiplied(write: Write) -> None:
    where = write(*(f"s_{n}.tif" for n in (102233, 102241, 102250, 102258)))
    message = r"would make 26 slices of 4: .* don't count slices but look like times of day"
    with pytest.raises(StackError, match=message):
        brainxr.open(where, missing="fill")
    assert brainxr.open(where, positions=range(0, 400, 100)).z.values.tolist() == [0, 100, 200, 300]


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((20260101, 20260230), "dates"), ((20260101093000, 20260102093000), "dates and times"),
        ((93000, 102233), "times of day"), ((1700000000, 1700000100), "times in seconds"),
        ((1, 9), ""),
    ],
)  # fmt: skip
def test_what_numbers_look_like(numbers: Sequence[int], words: str) -> None:
    found = describe_numbers(numbers)
    assert found.startswith(f" but look like {words}") if words else not found


# --- every refusal offers something that was tried ---------------------------------------

REFUSED: dict[str, Sequence[str]] = {
    "slide and section": ["slide1_s3.tif", "slide1_s4.tif", "slide2_s1.tif", "slide2_s2.tif"],
    "section and plane": [f"section_{s:03d}_{o:02d}.tif" for s in (1, 2, 3) for o in (1, 2)],
    "index and clock": ["img_1_102233.tif", "img_2_102241.tif", "img_3_102250.tif"],
    "clock and index": ["102299_1.tif", "102233_2.tif", "102250_3.tif"],
    "no unit": [f"z{n / 2}.tif" for n in range(5)],
    "tenths across one": ["a_0.8.tif", "a_0.9.tif", "a_1.0.tif", "a_1.1.tif"],
    "digits of several lengths": ["a_1.5.tif", "a_1.10.tif", "a_1.20.tif"],
    "hyphens": ["-1.tif", "-2.tif", "-3.tif"],
    "hyphens behind a space": ["a -1.tif", "a -2.tif", "a -3.tif"],
    "hyphens and lengths": ["z-100um.tif", "z-200um.tif", "z-300um.tif"],
    "some hyphens": ["a-1.tif", "a-2.tif", "a1.tif", "a2.tif"],
    "rising and falling": ["s1_b1.4mm.tif", "s2_b1.2mm.tif", "s3_b1.0mm.tif"],
    "first without number": ["scan.tif", "scan (1).tif", "scan (2).tif", "scan (3).tif"],
    "many behind the first": ["it's.tif", *(f"it's_{n}.tif" for n in range(1, 60))],
    "positions of stages": ["Pos0.ome.tif", "Pos0_1.ome.tif", "Pos0_2.ome.tif"],
    "channel behind z": [f"Series012_z{z:02d}_ch{c:02d}.tif" for z in range(5) for c in range(2)],
    "time, z, channel": [f"im_t000_z{z:04d}_c{c:02d}.tif" for z in range(3) for c in range(2)],
    "channel before z": [f"im_C{c:02d}_Z{z:04d}.tif" for z in range(3) for c in range(12)],
    "channels only": ["a_ch0.tif", "a_ch1.tif"],
    "times only": ["a_t9.tif", "a_t10.tif"],
    "laser lines": ["Ex_488nm.tif", "Ex_561nm.tif", "Ex_642nm.tif"],
    "tiles": ["img_x100um.tif", "img_x200um.tif"],
    "resolutions": ["atlas_res10um.tif", "atlas_res25um.tif"],
    "laser lines and z": [f"{n}nm_z{z}.tif" for n in (488, 561) for z in (1, 2)],
    "channels by name": [f"{c}_z{z}.tif" for c in ("DAPI", "GFP") for z in (1, 2)],
    "channels by name and ambiguous": [f"{c}_{n}" for c in "ab" for n in
                                       ("s1_9.tif", "s2_8.tif", "s3_7.tif")],
    "no numbers": ["a.tif", "b.tif"],
    "identifiers": ["s_17.tif", "s_90210455.tif", "s_7777777777.tif"],
    "quotes and brackets": ["it's [1] a1_b9.tif", "it's [1] a2_b7.tif"],
    "regular expressions": ["a+(1).b$9.tif", "a+(2).b$7.tif"],
}  # fmt: skip


def calls_in(message: str) -> list[str]:
    return re.findall(r"^  (brainxr\.open\(.*\))(?:  #.*)?$", message, re.MULTILINE)


def opens(call: str) -> xr.DataArray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        volume: xr.DataArray = eval(call)
        return volume.load()


@pytest.mark.parametrize("how", ["folder", "pattern", "zip"])
@pytest.mark.parametrize("case", REFUSED)
def test_every_call_that_a_refusal_prints_opens(
    write: Write, tmp_path: Path, case: str, how: str
) -> None:
    names = REFUSED[case]
    where = write(*names, folder="a 'b' [c]")
    path = {"folder": str(where), "pattern": f"{glob.escape(str(where))}/*.tif"}.get(how)
    if path is None:
        path = str(tmp_path / "stack.zip")
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.write(where / name, name)
    with pytest.raises(StackError) as raised:
        brainxr.open(path)
    message = str(raised.value)
    calls = calls_in(message)
    assert calls, message
    for call in calls:
        volume = opens(call)
        told = re.search(rf"{re.escape(call)}  # .*?(\d+) slice", message)
        if told:
            assert volume.sizes["z"] == int(told[1]), call
        shown = re.search(rf"{re.escape(call)}  # [^:]*: (.*\.tif)", message)
        if shown:
            first = re.sub(r" and \d+ more$", "", shown[1]).split(", ")[:3]
            assert volume.brain.files.values.tolist()[: len(first)] == first, call
        assert len(set(order_of(volume))) == volume.sizes["z"]


def test_readings_come_in_the_order_that_they_name(write: Write) -> None:
    where = write(*REFUSED["slide and section"])
    with pytest.raises(StackError, match="can be read in 2 ways") as raised:
        brainxr.open(where)
    orders = [order_of(opens(call)) for call in calls_in(str(raised.value))]
    assert orders == [[0, 1, 2, 3], [2, 3, 0, 1], [0, 1], [2, 3]]


def test_channels_are_sorted_and_named(write: Write) -> None:
    where = write(*REFUSED["channel before z"])
    with pytest.raises(StackError, match=r"36 TIFF files .* are 12 stacks by their") as raised:
        brainxr.open(where)
    lines = str(raised.value).splitlines()[1:]
    assert [line.rpartition("  # ")[2] for line in lines[:8]] == [
        f"3 slices: c{c:02d}" for c in range(8)
    ]
    assert lines[8] == "  ... and 4 more"
    assert order_of(opens(calls_in(str(raised.value))[3])) == [3, 15, 27]


OPENABLE: dict[str, str] = {
    "NIfTI": "brain.nii.gz", "slices": "a/b/c/s1.tif", "a zip": "slices_25um_iso.zip",
    "BIDS": "sub-01/anat/sub-01_T2w.nii", "netCDF": "deep/er/volume.nc", "a store": "b/brain.zarr",
}  # fmt: skip


@pytest.mark.parametrize("case", OPENABLE)
def test_what_lies_in_a_folder_is_pointed_at(
    tmp_path: Path, write: Write, case: str, stack: Any
) -> None:
    folder = tmp_path / "it's here"
    target = folder / OPENABLE[case]
    target.parent.mkdir(parents=True)
    (folder / "notes.md").write_text("x")
    (folder / ".git").mkdir()
    volume = brainxr.open(stack.path)
    if ".nii" in target.name:
        nibabel.save(nibabel.Nifti1Image(np.zeros((2, 3, 4), "u1"), np.eye(4)), target)
    elif target.suffix == ".nc":
        volume.to_netcdf(target)
    elif target.suffix == ".zarr":
        volume.brain.to_ome_zarr(target, progress=False)
    elif target.suffix == ".zip":
        with zipfile.ZipFile(target, "w") as archive:
            archive.write(stack.paths[0], "s1.tif")
    else:
        shutil.copy(stack.paths[0], target)
    with pytest.raises(EmptyStackError, match="what follows is in it") as raised:
        brainxr.open(folder)
    (call,) = calls_in(str(raised.value))
    assert opens(call).dims == ("z", "y", "x")


def test_lists_and_patterns_of_volumes(tmp_path: Path) -> None:
    paths = [str(tmp_path / f"sub-{n}.nii") for n in (1, 2)]
    for path in paths:
        nibabel.save(nibabel.Nifti1Image(np.zeros((2, 3, 4), "u1"), np.eye(4)), path)
    for what in (paths, f"{tmp_path}/*.nii", f"{tmp_path}/*"):
        with pytest.raises((StackError, EmptyStackError), match=r"(?s)2 files .*volume") as raised:
            brainxr.open(what)
        assert calls_in(str(raised.value)) == [f"brainxr.open({path!r})" for path in paths]
        assert all(opens(call).size for call in calls_in(str(raised.value)))


@pytest.mark.parametrize("ending", [".ome.zarr.zip", ".zarr.zip", ".ozx"])
def test_a_zipped_store_says_how_it_is_unpacked(tmp_path: Path, stack: Any, ending: str) -> None:
    store = tmp_path / "a.ome.zarr"
    brainxr.open(stack.path).brain.to_ome_zarr(store, progress=False)
    path = tmp_path / f"b{ending}"
    with zipfile.ZipFile(path, "w") as archive:
        for file in store.rglob("*"):
            archive.write(file, file.relative_to(store))
    with pytest.raises(EmptyStackError, match="is a zipped Zarr store") as raised:
        brainxr.open(path)
    target, call = re.search(
        r"zipfile -e '.*?' '(.*?)', and open that: (.*)\.$", str(raised.value)
    ).groups()  # type: ignore[union-attr]
    with zipfile.ZipFile(path) as archive:
        archive.extractall(target)
    assert opens(call).shape == (5, 7, 11)


def test_a_collection_of_images_names_the_first(tmp_path: Path, stack: Any) -> None:
    root = zarr.open_group(tmp_path / "it's.zarr", mode="w", zarr_format=2)
    root.attrs["bioformats2raw.layout"] = 3
    volume = brainxr.open(stack.path)
    volume.brain.to_ome_zarr(tmp_path / "it's.zarr" / "0", version="0.4", progress=False)
    with pytest.raises(brainxr.StoreError, match="is a collection of images") as raised:
        brainxr.open(tmp_path / "it's.zarr")
    call = re.search(r"for example (brainxr\.open\(.*\))\.$", str(raised.value))
    assert call
    assert opens(call[1]).shape == volume.shape


def test_content_that_was_not_fetched(tmp_path: Path) -> None:
    key = "MD5E-s123--00112233.nii.gz"
    link = tmp_path / "a.nii.gz"
    link.symlink_to(f".git/annex/objects/M8/X8/{key}/{key}")
    pointer = tmp_path / "b.nii.gz"
    pointer.write_text(f"/annex/objects/{key}\n")
    folder = tmp_path / "s_25um_iso"
    folder.mkdir()
    for n in range(3):
        (folder / f"s{n}.tif").symlink_to(f"../.git/annex/objects/K{n}.tif/K{n}.tif")
    slices = sorted(map(str, folder.iterdir()))
    for path in (link, pointer, folder, f"{folder}/*.tif", slices, slices[0]):
        with pytest.raises(
            OSError, match=r"git-annex \(DataLad\): its content was not fetched"
        ) as e:
            brainxr.open(path)
        assert "datalad get" in str(e.value)
    large = tmp_path / "c.tif"
    large.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(OSError, match=r"pointer of Git LFS: .* git lfs pull --include='c\.tif'"):
        brainxr.open(large)
    other = tmp_path / "d.tif"
    other.symlink_to("nowhere.tif")
    with pytest.raises(
        EmptyStackError, match=r"is a link to 'nowhere\.tif', where there is nothing"
    ):
        brainxr.open(other)


# --- planes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "plane", "warned"),
    [
        ("sag_25um_iso", "sagittal", True), ("T2_COR_25um_iso", "coronal", True),
        ("frontal sections 25um iso", "coronal", True), ("corSlices_25um_iso", "coronal", True),
        ("tra_25um_iso", "axial", False), ("horizontal_25um_iso", "axial", False),
        ("transversal_25um_iso", "axial", False), ("transverse_25um_iso", "axial", False),
        ("frontal_lobe_25um_iso", "axial", False), ("cortex_25um_iso", "axial", False),
        ("sagged_25um_iso", "axial", False), ("decor_25um_iso", "axial", False),
        ("sag_and_cor_25um_iso", "axial", False), ("coronal_sag_25um_iso", "coronal", False),
    ],
)  # fmt: skip
def test_other_words_for_planes(write: Write, folder: str, plane: str, warned: bool) -> None:
    where = write("s1.tif", "s2.tif", folder=folder)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert brainxr.open(where).attrs["plane"] == plane
    assert [w.category for w in caught] == [brainxr.OrientationWarning] * warned
    if warned:
        assert f"Say it by plane={plane!r}" in str(caught[0].message)
    assert brainxr.open(where, plane="axial").attrs["plane"] == "axial"


# --- names from a grammar ----------------------------------------------------------------

WORDS = st.sampled_from(["s", "img", "brain_", "", "slide", "a b ", "ch", "t", "z", "sec_", "x.y_"])
SEPARATORS = st.sampled_from(["_", "-", " ", ".", "", "__"])
UNITS = st.sampled_from(["", "", "", "mm", "um", " µm", "nm"])
ENDINGS = st.sampled_from(["", "", "_488", "_C1", ".ome", "msec"])
COUNTS = st.lists(st.integers(0, 120), min_size=2, max_size=6, unique=True)
CLOCKS = st.lists(st.integers(90_000, 235_959), min_size=2, max_size=6, unique=True)
DECIMALS = st.lists(
    st.integers(-30, 130).map(lambda n: f"{n / 10:.1f}"), min_size=2, max_size=6, unique=True
)
SIGNED = st.lists(st.integers(-20, 20), min_size=2, max_size=6, unique=True)


@st.composite
def grammars(draw: Any) -> list[str]:
    """Names of one folder: words, numbers of several kinds, units and endings."""
    columns: list[list[str]] = []
    for _ in range(draw(st.integers(1, 3))):
        values = draw(st.one_of(COUNTS, COUNTS, CLOCKS, DECIMALS, SIGNED))
        unit = draw(UNITS)
        width = draw(st.sampled_from([0, 0, 4]))
        written = [str(v).zfill(width) if isinstance(v, int) and v >= 0 else str(v) for v in values]
        words = [draw(WORDS)] * len(written)
        if draw(st.integers(0, 9)) == 0:
            words = [draw(WORDS) for _ in written]
        columns.append([f"{a}{text}{unit}" for a, text in zip(words, written, strict=True)])
    separator, ending = draw(SEPARATORS), draw(ENDINGS)
    rows = draw(st.sampled_from(["together", "product"]))
    if rows == "together":
        count = min(map(len, columns))
        names = [separator.join(column[i] for column in columns) for i in range(count)]
    else:
        names = [""]
        for column in columns:
            names = [f"{a}{separator if a else ''}{b}" for a in names for b in column[:3]]
    return sorted({f"{name}{ending}.tif" for name in names if name and name[0] != "."})


PIECE = re.compile(r"\d+")


def numbers_in(name: str) -> list[float]:
    """Every whole number in a name, without signs: the plainest reading there is."""
    return [int(text) for text in PIECE.findall(name[:-4])]


def natural(name: str) -> list[Any]:
    """An independent natural key: signs behind a separator, decimal points between digits."""
    length = r"-?\d+(?:\.\d+)? ?(?:mm|um|µm|nm)(?![a-z])"
    found = re.split(
        rf"((?:(?<=[ _])|(?<=^)|(?<=[a-z])(?={length}))-?\d+(?:\.\d+)?|\d+)", name[:-4]
    )
    return [float(part) if i % 2 else part for i, part in enumerate(found)]


@settings(max_examples=400)
@given(grammars())
def test_natural_order_or_an_error(names: list[str]) -> None:
    """Never another order than the natural one; places as the names tell them, or an error."""
    found = _ordered_or_refused(names)
    if found is None:
        return
    assert sorted(found.names) == sorted(names)
    if len(names) == 1:
        return
    assert all(a < b for a, b in zip(found.numbers, found.numbers[1:], strict=False))
    if found.heights is not None:
        assert all(a < b for a, b in zip(found.heights, found.heights[1:], strict=False))
        for name, height in zip(found.names, found.heights, strict=True):
            assert height in lengths_in(name)
    else:
        assert all(
            any(abs(number) == own for own in numbers_in(name))
            for name, number in zip(found.names, found.numbers, strict=True)
        )
    if found.heights is None and not found.known and not any("-" in name for name in names):
        # whichever number is read, as long as it differs in every name
        for column in zip(*map(numbers_in, found.names), strict=True):
            if len(set(column)) == len(names):
                assert in_steps(column) == in_steps(found.numbers), found.names
    keys = [natural(name) for name in found.names]
    alike = {tuple(part for part in key[::2]) for key in keys}
    if len(alike) == 1:
        assert keys == sorted(keys), found.names


def in_steps(values: Sequence[float]) -> list[float]:
    """Numbers from the first, in units of their common divisor."""
    distances = [int(value - values[0]) for value in values]
    return [distance / (math.gcd(*distances) or 1) for distance in distances]


def _ordered_or_refused(names: list[str]) -> Ordered | None:
    """The order; None where it is refused, which may be with calls or for twins."""
    try:
        return order_names(names, folder_calls("/x"))
    except StackError as error:
        message = str(error)
    assert len(names) > 1
    assert "brainxr.open(" in message or "have slice number" in message, message
    return None


def lengths_in(name: str) -> set[float]:
    """Every length in a name in µm, by all ways to read its sign."""
    factors = {"mm": 1000.0, "um": 1.0, "µm": 1.0, "nm": 0.001}
    found = set()
    for text, unit in re.findall(r"(\d+(?:\.\d+)?) ?(mm|um|µm|nm)", name):
        found |= {round(sign * float(text) * factors[unit], 9) for sign in (1, -1)}
    return found


def test_finding_100_000_names_takes_no_longer(tmp_path: Path) -> None:
    """The quick way is taken by names that are alike but for one number."""
    names = [f"Synthesized_FLASH25_Axial_{n:06d}.tiff" for n in range(1000)]
    assert order_names(names, folder_calls("/x")).numbers == tuple(range(1000))
    where = tmp_path / "many"
    where.mkdir()
    for name in names[:20]:
        (where / name).touch()
    assert find_slices(where).numbers == tuple(range(20))
