"""`brainxr.check`: everything that is wrong, named, at once."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from conftest import MakeStack

import brainxr


def test_a_sound_stack(make_stack: MakeStack) -> None:
    report = brainxr.check(make_stack((4, 5, 6)).path)
    assert report.ok
    assert str(report).startswith("4 slices in")
    assert str(report).endswith("all readable, alike and complete.")


def test_all_that_is_wrong_is_named(make_stack: MakeStack) -> None:
    made = make_stack((12, 5, 6), numbers=[n for n in range(1, 15) if n not in (6, 7)])
    paths = dict(zip(made.numbers, made.paths, strict=True))
    tifffile.imwrite(paths[2], np.zeros((5, 7), "u2"))
    tifffile.imwrite(paths[3], np.zeros((5, 6), "f4"))
    paths[4].write_bytes(b"")
    paths[5].write_text("not a picture")
    paths[8].write_bytes(paths[8].read_bytes()[:-1])
    tifffile.imwrite(paths[9], np.zeros((5, 6, 3), "u2"), photometric="rgb")
    tifffile.imwrite(paths[10], np.zeros((2, 5, 6), "u2"))
    report = brainxr.check(made.path)
    assert not report.ok
    assert report.slices == 12
    assert report.missing == (6, 7)
    found = {problem.file: problem.message for problem in report.problems}
    expected = {
        2: "has shape (5, 7), expected (5, 6)",
        3: "has dtype float32, expected uint16",
        4: "is empty (0 bytes)",
        5: "can't be read as TIFF",
        8: "is truncated",
        9: "3 samples a pixel (RGB)",
        10: "has 2 pages, expected 1",
    }
    assert set(found) == {paths[n].name for n in expected}
    for number, message in expected.items():
        assert message in found[paths[number].name]
        assert paths[number].name in str(report)


def test_the_odd_first_slice_is_named_and_not_the_others(make_stack: MakeStack) -> None:
    made = make_stack((5, 5, 6))
    tifffile.imwrite(made.paths[0], np.zeros((5, 9), "u2"))
    report = brainxr.check(made.path)
    assert [problem.file for problem in report.problems] == ["slice_001.tif"]


def test_no_stack_at_all(tmp_path) -> None:
    with pytest.raises(brainxr.EmptyStackError, match="is empty"):
        brainxr.check(tmp_path)
