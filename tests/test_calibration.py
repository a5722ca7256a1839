"""What a slice's file says of its place."""

from __future__ import annotations

import itertools
import json

import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from brainxr.stacks.calibration import SlicePlace, ValueCalibration

LENGTHS = st.floats(1e-300, 1e300)
PLACES = st.floats(-1e300, 1e300)


@given(LENGTHS, LENGTHS, LENGTHS, PLACES, PLACES, PLACES)
def test_every_number_comes_back(z: float, y: float, x: float, a: float, b: float, c: float):
    place = SlicePlace("sagittal", (7, 11), (z, y, x), (a, b, c))
    found = tifffile.tifffile.imagej_description_metadata(place.description)
    assert SlicePlace.told_by(found) == place
    assert place.description.isascii()
    # Bio-Formats looks for the last one
    assert place.description.rpartition("unit=")[2].startswith("um\n")


def test_what_imagej_reads() -> None:
    place = SlicePlace("axial", (7, 11), (100.0, 50.0, 25.0), (3000.0, -200.0, 0.0))
    found = tifffile.tifffile.imagej_description_metadata(place.description)
    assert (found["unit"], found["spacing"]) == ("um", 100)
    # in pixels, from the first one: ImageJ shows (pixel - origin) x size
    assert [found[f"{axis}origin"] for axis in "zyx"] == [-30, 4, 0]


def test_slices_have_texts_of_one_length() -> None:
    positions = (0.0, 1.0, 100.0, -1 / 3 * 1e-7, 62_000.000000001, -1.7976931348623157e308)
    lengths = {
        len(SlicePlace("axial", (7, 11), (0.3, 1.0, 1.0), (place, 0.0, 0.0)).description)
        for place in positions
    }
    assert len(lengths) == 1


def test_what_is_not_known_is_not_said() -> None:
    place = SlicePlace("axial", (7, 11), (None, 50.0, 25.0), (None, 0.0, 0.0))
    found = tifffile.tifffile.imagej_description_metadata(place.description)
    assert not {"spacing", "zorigin"} & set(found)
    assert SlicePlace.told_by(found) == place


GOOD = {"plane": "axial", "shape": [7, 11], "spacing": [1.0, 2.0, 3.0], "origin": [0, 0, 0]}


@pytest.mark.parametrize(
    "entry",
    [
        None, 5, "", "{", "[]", "{}", "null",
        *(json.dumps({**GOOD, key: value}) for key, value in itertools.chain(
            [("spacing", v) for v in (1.0, [1.0, 2.0], [1.0, None, 3.0], [1.0, -2.0, 3.0], None)],
            [("spacing", v) for v in ([1.0, "2", 3.0], [1.0, float("nan"), 3.0], [0, 1, 1])],
            [("origin", v) for v in ([0, 0], [0, None, 0], [0, float("inf"), 0], ["a", 0, 0])],
            [("shape", v) for v in (7, [7], None)],
        )),
    ],
)  # fmt: skip
def test_an_entry_that_makes_no_sense_is_none(entry: object) -> None:
    assert SlicePlace.told_by({} if entry is None else {"brainxr": entry}) is None
    assert SlicePlace.told_by({"brainxr": json.dumps(GOOD)}) is not None


def test_a_file_that_was_changed() -> None:
    place = SlicePlace("axial", (7, 11), (100.0, 50.0, 25.0), (0.0, 0.0, 0.0))
    assert place.fits((7, 11), (1 / 25, 1 / 50))
    assert place.fits((7, 11), (0.04000001, 0.02))
    assert not place.fits((7, 10), (1 / 25, 1 / 50))
    assert not place.fits((7, 11), (1 / 50, 1 / 50))
    assert not place.fits((7, 11), None)


@pytest.mark.parametrize("function", [float("inf"), float("nan"), "1e400", None, []])
def test_a_calibration_that_is_no_function_is_none(function: object) -> None:
    told = ValueCalibration.told_by({"cf": function, "c0": 1.0, "c1": 2.0})
    assert told is None
