"""From a path to a volume: planes, names, attributes, pages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tifffile
import xarray as xr
from conftest import STORED_AXES

import brainxr
from brainxr.stacks.stack import find_stack


@pytest.mark.parametrize(
    ("folder", "name", "expected"),
    [
        ("stack_100um_iso", "s_{}.tif", "axial"),
        ("TIFF_Coronal_100um_iso", "s_{}.tif", "coronal"),
        ("100um_iso", "my_SAGITTAL_{}.tif", "sagittal"),
        ("coronal_100um_iso", "axial_{}.tif", "coronal"),  # the folder is asked first
        ("axial and coronal 100um iso", "sagittal_{}.tif", "sagittal"),  # and says nothing clear
    ],
)
def test_plane_by_name(make_stack: Any, folder: str, name: str, expected: str) -> None:
    made = make_stack(folder=folder, name=name)
    volume = brainxr.open(made.path)
    assert volume.attrs["plane"] == expected
    xr.testing.assert_identical(
        volume.compute(), made.twin(plane=expected, spacing_source="name '100um'")
    )
    assert brainxr.open(made.path, plane="axial").attrs["plane"] == "axial"


def test_spacing_goes_with_the_plane(make_stack: Any) -> None:
    """Rows and columns of the file's resolution are those of the coronal slices."""
    made = make_stack(folder="coronal_9um_iso", resolution=(400, 200), resolutionunit="CENTIMETER")
    volume = brainxr.open(made.path)
    spacing = {dim: float(volume[dim][1]) for dim in "zyx"}
    assert spacing == pytest.approx({"y": 9, "z": 50, "x": 25})


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("missing", ["keep", "fill"])
@pytest.mark.filterwarnings("ignore::brainxr.SliceGapWarning")
def test_gaps_along_any_axis(make_stack: Any, plane: Any, missing: Any) -> None:
    made = make_stack(numbers=[10, 20, 40])
    told = {"spacing_source": "name '100um'", "missing_slices": "30", "missing": missing}
    along = dict.fromkeys("zyx", 100.0) | {STORED_AXES[plane][0]: 1000.0}
    twin = made.twin(plane=plane, fill=missing == "fill", spacing=along, **told)
    volume = brainxr.open(made.path, plane=plane, missing=missing, number="slice")
    xr.testing.assert_identical(volume.compute(), twin)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}], ids=["plain", "compressed"])
@pytest.mark.parametrize("plane", ["axial", "sagittal"])
def test_a_multi_page_file(tmp_path: Any, options: Any, plane: Any) -> None:
    values = np.arange(5 * 7 * 11, dtype="u2").reshape(5, 7, 11)
    path = tmp_path / "brain_100um_iso.tif"
    tifffile.imwrite(path, values, **options)
    volume = brainxr.open(path, plane=plane)
    order = {"axial": (0, 1, 2), "sagittal": (1, 2, 0)}[plane]
    np.testing.assert_array_equal(volume.values, values.transpose(order))
    np.testing.assert_array_equal(volume[::-1, 2].values, values.transpose(order)[::-1, 2])
    assert volume.attrs["source"] == str(path)
    assert volume.brain.files.values[[0, -1]].tolist() == [
        "brain_100um_iso.tif#0",
        "brain_100um_iso.tif#4",
    ]
    xr.testing.assert_equal(brainxr.open(tmp_path, plane=plane), volume)


def test_one_slice(make_stack: Any) -> None:
    made = make_stack((1, 7, 11))
    for path in (made.path, made.paths[0], [made.paths[0]]):
        volume = brainxr.open(path)
        assert volume.sizes == {"z": 1, "y": 7, "x": 11}
        assert volume.z.attrs["spacing"] == 100.0
        np.testing.assert_array_equal(volume.values, made.values)


def test_source_of_a_list_is_its_folder(make_stack: Any) -> None:
    made = make_stack()
    assert brainxr.open(made.paths[:3]).attrs["source"] == made.path
    assert brainxr.open(f"{made.path}/*").attrs["source"] == made.path


def test_found_but_not_read(make_stack: Any) -> None:
    """All but the first file may be anything until they are needed."""
    made = make_stack()
    for path in made.paths[1:]:
        path.write_bytes(b"")
    stack = find_stack(made.path)
    assert stack.array.shape == (5, 7, 11)
    assert stack.spacing.micrometers == {"z": 100.0, "y": 100.0, "x": 100.0}
    np.testing.assert_array_equal(stack.array[0], made.values[0])
