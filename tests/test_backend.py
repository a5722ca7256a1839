"""xarray's own door, and what provably is a selection from a stack."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import brainxr
from brainxr.backend import BrainxrBackend
from brainxr.lazy.unloaded import stack_of


def test_engines_know_it() -> None:
    backend = xr.backends.list_engines()["brainxr"]
    assert "TIFF" in backend.description
    assert set(backend.open_dataset_parameters) >= {"spacing", "origin", "plane", "missing"}


def test_guess_can_open(make_stack: Any, tmp_path: Path) -> None:
    made = make_stack()
    guess = BrainxrBackend().guess_can_open
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "._s1.tif").touch()
    assert guess(made.path)
    assert guess(made.folder)
    for no in (made.paths[0], tmp_path / "other", tmp_path / "nowhere", "http://x.org/a", 7, None,
               [made.path], b"bytes"):  # fmt: skip
        assert not guess(no)
    assert xr.open_dataset(made.path).intensity.shape == made.values.shape


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [(None, None), ({}, ((5,), (7,), (11,))), ("auto", ((5,), (7,), (11,))),
     (4, ((4, 1), (4, 3), (4, 4, 3))), ({"z": 2}, ((2, 2, 1), (7,), (11,)))],
)  # fmt: skip
def test_chunks(shared_stack: Any, chunks: Any, expected: Any) -> None:
    volume = xr.open_dataset(shared_stack.path, engine="brainxr", chunks=chunks).intensity
    assert volume.chunks == expected
    np.testing.assert_array_equal(volume.values, shared_stack.values)


def test_dataset(shared_stack: Any) -> None:
    data = xr.open_dataset(shared_stack.path, engine="brainxr")
    assert list(data.data_vars) == ["intensity"]
    assert set(data.coords) == {"z", "y", "x"}
    assert data.sel(z="0.3 mm").intensity.shape == (7, 11)
    assert "x" not in xr.open_dataset(shared_stack.path, drop_variables="x").coords


def test_options_reach_the_stack(make_stack: Any) -> None:
    made = make_stack(numbers=[1, 2, 4])
    volume = xr.open_dataarray(
        made.path, engine="brainxr", plane="coronal", missing="fill",
        spacing={"z": "25 um", "y": 50, "x": 25}, origin={"y": "1 mm"},
    )  # fmt: skip
    assert volume.shape == (7, 4, 11)
    assert volume.y.values.tolist() == [1000, 1050, 1100, 1150]
    with pytest.raises(brainxr.LengthError, match="'5 kg' is no length"):
        xr.open_dataset(made.path, engine="brainxr", spacing="5 kg")


def test_a_list_of_files(shared_stack: Any) -> None:
    volume = xr.open_dataset(shared_stack.paths[1:4], engine="brainxr").intensity
    np.testing.assert_array_equal(volume.values, shared_stack.values[1:4])


def test_reads_again_after_close(shared_stack: Any) -> None:
    with xr.open_dataset(shared_stack.path, engine="brainxr") as data:
        volume = data.intensity
    np.testing.assert_array_equal(volume.values, shared_stack.values)


def test_lazy_pickles_without_pixels(make_stack: Any) -> None:
    made = make_stack((4, 300, 301))
    volume = brainxr.open(made.path, chunks=None)[:, ::-1]
    packed = pickle.dumps(volume)
    assert len(packed) < 30_000
    np.testing.assert_array_equal(pickle.loads(packed).values, made.values[:, ::-1])


PURE: dict[str, Callable[[xr.DataArray], xr.DataArray]] = {
    "itself": lambda v: v,
    "selected": lambda v: v[::-1, 2:, [4, 1]],
    "scalar": lambda v: v.sel(z="0.2 mm"),
    "voxel": lambda v: v[1, 2, 3],
    "transposed": lambda v: v.transpose("x", "z", "y"),
    "transposed and selected": lambda v: v.T[::-2].isel(z=[1, 0]),
    "renamed": lambda v: v.rename("other"),
    "other coordinates": lambda v: v.assign_coords(z=v.z / 1000),
    "copied": lambda v: v.copy(),
}
IMPURE: dict[str, Callable[[xr.DataArray], xr.DataArray]] = {
    "computed": lambda v: v.compute(),
    "changed": lambda v: v + 0,
    "reduced": lambda v: v.max("z"),
    "masked": lambda v: v.where(v > 3),
    "other type": lambda v: v.astype(float),
    "joined": lambda v: xr.concat([v[:2], v[2:]], "z"),
    "averaged": lambda v: v.coarsen(y=7).mean(),
    "filled": lambda v: v.reindex(z=[0, 50, 100]),
    "foreign": lambda v: xr.DataArray(np.zeros(3)),
}


@pytest.mark.parametrize("chunks", ["auto", {"z": 2}, None], ids=str)
@pytest.mark.parametrize("name", [*PURE, *IMPURE])
def test_stack_of(shared_stack: Any, name: str, chunks: Any) -> None:
    """What it returns is the same values; where that can't be proven, it returns nothing."""
    change = (PURE | IMPURE)[name]
    data = change(brainxr.open(shared_stack.path, chunks=chunks))
    stack = stack_of(data)
    if stack is not None:
        np.testing.assert_array_equal(stack.read(), data.values)
        assert stack.shape == data.shape
    if name == "transposed and selected" and chunks is None:
        return  # xarray makes points of it; it could be proven, but need not be
    assert (stack is not None) == (name in PURE)


def test_no_slice_is_written(shared_stack: Any) -> None:
    """Assigning to a lazy volume changes no file, or is refused."""
    data = xr.open_dataset(shared_stack.path, engine="brainxr").intensity
    data[0] = 0
    assert int(data[0].max()) == 0
    np.testing.assert_array_equal(brainxr.open(shared_stack.path).values, shared_stack.values)


def test_assignment_without_dask_changes_a_copy(stack: Any) -> None:
    first, second = (brainxr.open(stack.path, chunks=None) for _ in range(2))
    first[0] = 7
    assert (first.values[0] == 7).all()
    np.testing.assert_array_equal(second.values, stack.values)
    assert stack_of(first) is None
