"""`.brain` introduces itself: in text without a read, in HTML with a small picture."""

from __future__ import annotations

import base64
import io
import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import brainxr


def picture_of(page: str) -> np.ndarray | None:
    found = re.search(r"base64,([^\"]+)", page)
    return None if found is None else np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))))


def test_text(make_stack: Any, bytes_read: Any) -> None:
    made = make_stack((5, 7, 11), numbers=[1, 2, 4, 5, 6])
    with pytest.warns(brainxr.SliceGapWarning):
        volume = brainxr.open(made.path, spacing={"z": 50, "y": 25, "x": 10})
    repr(volume.brain)  # imports what it needs
    with bytes_read() as count:
        text = repr(volume.brain)
    assert count.count == 0
    head, *lines = text.splitlines()
    assert head == "intensity: z 5 x y 7 x x 11 uint16"
    facts = dict(re.split(r"  +", line.strip(), maxsplit=1) for line in lines)
    assert facts["spacing"] == "z 50, y 25, x 10 µm"
    assert facts["extent"] == "z -0.025 to 0.275, y -0.0125 to 0.1625, x -0.005 to 0.105 mm"
    assert facts["spacing from"] == "argument"
    assert facts["orientation"] == "axial slices"
    assert facts["missing"] == "3"
    assert facts["cost"] == "770 B to read from 5 slices, 770 B of result"
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    "make",
    [
        lambda v: v[0], lambda v: v[:, 2, 3], lambda v: v[0, 0, 0], lambda v: v[:0],
        lambda v: v.max("z"), lambda v: v * 2, lambda v: v.compute(), lambda v: v.drop_vars("z"),
        lambda v: v.astype("c8"), lambda v: v.expand_dims(c=2), lambda v: v.rename(None),
    ],
)  # fmt: skip
def test_any_array_has_a_summary(shared_stack: Any, make: Any) -> None:
    data = make(brainxr.open(shared_stack.path, spacing=10))
    assert max(map(len, repr(data.brain).splitlines())) <= 80
    page = data.brain._repr_html_()
    ElementTree.fromstring(re.sub("<img[^>]*>", "", page))


def test_the_picture_is_three_planes(make_stack: Any, bytes_read: Any) -> None:
    made = make_stack((40, 300, 200), "u1", rowsperstrip=300)
    volume = brainxr.open(made.path, spacing=1000)
    volume[0].brain._repr_html_()
    with bytes_read() as count:
        page = volume.brain._repr_html_()
    pixels = picture_of(page)
    assert pixels is not None
    assert pixels.dtype == np.uint8
    assert pixels.std() > 10
    # an axial plane, two coronal ones at most, rows of a sagittal one
    assert count.count <= 300 * 200 + 40 * 200 + 40 * 300 * 200 // 2


def test_the_picture_is_upright_and_right() -> None:
    values = np.zeros((30, 40, 50), "u1")
    values[15, :20, :25] = 200  # upper left of the axial plane
    pixels = picture_of(brainxr.volume(values, spacing=1000).brain._repr_html_())
    assert pixels is not None
    axial = pixels[:, : pixels.shape[1] // 3]
    rows, columns = np.nonzero(axial > 100)
    assert rows.max() < 0.55 * pixels.shape[0]
    assert columns.min() == 0


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda v: v * 2, "not computed yet"),
        (lambda v: v.drop_vars(["z", "y", "x"]), "none: Coordinate"),
        (lambda v: v[0, 0], "none: A picture needs two"),
    ],
)
def test_no_picture_says_why(shared_stack: Any, make: Any, reason: str) -> None:
    page = make(brainxr.open(shared_stack.path, spacing=10)).brain._repr_html_()
    assert picture_of(page) is None
    assert reason in page


def test_no_picture_of_what_is_slow(shared_stack: Any, monkeypatch: Any) -> None:
    volume = brainxr.open(shared_stack.path, spacing=10)
    monkeypatch.setattr(type(volume.data.stack.source), "speed", 100.0)
    assert "it would take about" in volume.brain._repr_html_()


def test_an_error_becomes_a_line(make_stack: Any) -> None:
    made = make_stack()
    volume = brainxr.open(made.path, spacing=10)
    made.paths[2].write_bytes(b"")
    page = volume.brain._repr_html_()
    assert picture_of(page) is None
    assert "slice_003.tif" in page


def test_names_are_escaped(make_stack: Any) -> None:
    made = make_stack(folder="<script>alert(1)&")
    volume = brainxr.open(made.path, spacing=10).rename("<b>")
    page = volume.brain._repr_html_()
    assert "<script>" not in page
    assert "<b>" not in page


def test_cost_and_check_in_a_notebook(shared_stack: Any) -> None:
    volume = brainxr.open(shared_stack.path, spacing=10)
    cost = ElementTree.fromstring(volume.brain.cost()._repr_html_())
    assert [cell.text for cell in cost.iter("td")] == ["5", "770 B", "770 B"]
    report = brainxr.check(shared_stack.path)._repr_html_()
    assert "all readable, alike and complete" in report


def test_methods_have_their_own_signatures() -> None:
    import inspect

    from brainxr.accessor import BrainAccessor
    from brainxr.pictures.movies import movie
    from brainxr.pictures.plot import montage, plot_planes
    from brainxr.viewing.screenshots import screenshot
    from brainxr.viewing.viewer import view
    from brainxr.writing.convert import build_levels, to_ome_zarr
    from brainxr.writing.niftiwriter import to_nifti
    from brainxr.writing.tiffstack import to_tiff

    for function in (
        movie, montage, plot_planes, screenshot, view, build_levels, to_ome_zarr, to_nifti, to_tiff,
    ):  # fmt: skip
        ours = inspect.signature(getattr(BrainAccessor, function.__name__)).parameters
        theirs = inspect.signature(function).parameters
        assert [(n, p.default) for n, p in list(ours.items())[1:]] == [
            (n, p.default) for n, p in list(theirs.items())[1:]
        ], function.__name__
