"""A volume in three dimensions: within its budget, where the volume is, and no more is read."""

from __future__ import annotations

import math
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from conftest import ByteCounter, MakeStack
from hypothesis import given
from hypothesis import strategies as st

import brainxr
from brainxr.lazy.laidout import LaidOut
from brainxr.viewing.layers import layer_of
from brainxr.viewing.preview import Budget, Preview, drawn_as, middles, strides, thin_out

VOXEL = (50.0, 20.0, 10.0)


@pytest.mark.parametrize(("size", "nbytes"), [("1 GB", 10**9), ("2MiB", 2 << 20), (5000, 5000)])
def test_a_budget_in_words(size: int | str, nbytes: int) -> None:
    assert Budget.of(size) == Budget(nbytes)
    assert Budget.of(size, 256).side == 256
    assert Budget.of(None).nbytes == 512_000_000


@pytest.mark.parametrize("size", ["big", "6 kg", -1, 0, 999, "", 1.5j, [3]], ids=repr)
def test_what_is_no_budget(size: Any) -> None:
    with pytest.raises(ValueError, match=r"no size of a volume.*1000 or more.*512 MB"):
        Budget.of(size)


@pytest.mark.parametrize(
    ("dtype", "bytes_a_voxel"),
    [("?", 1), ("u1", 1), ("u2", 2), ("i2", 4), ("i1", 4), ("f4", 4), ("u4", 4), ("f8", 8)],
)
def test_bytes_on_the_graphics_card_count(dtype: str, bytes_a_voxel: int) -> None:
    """It has textures of uint8, uint16 and float32; everything else becomes one of them."""
    budget = Budget(bytes_a_voxel * 1000)
    assert budget.fits((10, 10, 10), np.dtype(dtype))
    assert not budget.fits((10, 10, 11), np.dtype(dtype))


@pytest.mark.parametrize(
    "dtype", ["?", "u1", "i1", "u2", ">u2", "i2", "u4", "i8", "f2", "f4", "f8"]
)
def test_it_is_read_as_napari_draws_it(dtype: str) -> None:
    """Or the window would stand still for the conversion, each time that it is drawn anew."""
    gl = pytest.importorskip("napari._vispy.utils.gl")
    values = np.arange(20 * 30 * 40).reshape(20, 30, 40) % 100
    array = da.from_array(values.astype(dtype))
    assert drawn_as(array.dtype) == gl.fix_data_dtype(np.zeros(1, dtype)).dtype
    preview = Preview.of([array], (1, 1, 1), Budget(20_000))
    assert preview is not None
    coarse, *_, fine = preview.read_steps()
    for shown in (coarse, fine):
        assert shown is not None
        assert gl.fix_data_dtype(shown) is shown
    assert np.isin(fine, values.astype(dtype)).all()


def test_what_is_in_memory_is_not_converted_by_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brainxr.viewing.preview.QUICK_BYTES", 2000)
    values = np.arange(10 * 11 * 12, dtype="i2").reshape(10, 11, 12)
    assert Preview.of([values.astype("u2")], VOXEL, Budget()) is None
    found = Preview.of([values], VOXEL, Budget())
    assert found is not None
    np.testing.assert_array_equal(read(found), values.astype("f4"), strict=True)


@given(
    st.tuples(*[st.integers(1, 3000)] * 3), st.tuples(*[st.floats(0.1, 500)] * 3),
    st.integers(1000, 10**9), st.integers(16, 2048),
)  # fmt: skip
def test_strides_fit_and_no_smaller_ones_would(
    shape: tuple[int, ...], voxel: tuple[float, ...], nbytes: int, side: int
) -> None:
    budget = Budget(nbytes, side)
    every = strides(shape, voxel, np.dtype("u2"), budget)
    sizes = [math.ceil(n / step) for n, step in zip(shape, every, strict=True)]
    assert budget.fits(sizes, np.dtype("u2"))
    least = [math.ceil(n / side) for n in shape]
    thinned = [a for a in range(3) if every[a] > least[a]]
    larger = []
    for axis in thinned:  # one of the steps was needed
        finer = [step - (a == axis) for a, step in enumerate(every)]
        larger.append([math.ceil(n / step) for n, step in zip(shape, finer, strict=True)])
    assert not larger or not all(budget.fits(sizes, np.dtype("u2")) for sizes in larger)


def test_voxels_become_alike_in_all_directions() -> None:
    every = strides((400, 1000, 2000), VOXEL, np.dtype("u1"), Budget(10**6))
    shown = np.multiply(every, VOXEL)
    assert shown.max() / shown.min() <= 1.5
    assert every[0] < every[1] < every[2]


def test_a_full_size_volume_is_halved() -> None:
    assert strides((1280, 1760, 1760), (1, 1, 1), np.dtype("u1"), Budget()) == (2, 2, 2)


@given(st.integers(1, 5000), st.integers(1, 40))
def test_a_voxel_lies_in_the_middle_of_its_part(size: int, every: int) -> None:
    """napari draws parts of equal size: within half a voxel of the volume is as near as can be."""
    parts = math.ceil(size / every)
    drawn = (np.arange(parts) + 0.5) * size / parts - 0.5
    assert np.abs(middles(size, parts) - drawn).max() <= 0.5 + 1e-9
    assert (np.diff(middles(size, parts)) > 0).all()


SELECTIONS = {
    "all": lambda v: v,
    "reversed": lambda v: v[::-1, :, ::-1],
    "strided": lambda v: v[1::2, ::3],
    "transposed": lambda v: v.transpose("x", "z", "y"),
    "gaps": lambda v: v.isel(z=[0, 1, 2, 3, 4, 9, 10, 30]),
    "in memory": lambda v: v.load(),
    "computed": lambda v: v * 2,
    "gaps, computed": lambda v: v.isel(z=[0, 1, 2, 3, 4, 9, 10, 30]) + 1,
    "no dask": lambda v: brainxr.open(v.attrs["source"], chunks=None),
}


@pytest.fixture
def vol(make_stack: MakeStack) -> xr.DataArray:
    made = make_stack((40, 36, 50), "u4")
    return brainxr.open(made.path, spacing=dict(zip("zyx", VOXEL, strict=True)))


def read(preview: Preview) -> np.ndarray:
    """The last that it gives; counts that it gives as much as it says."""
    steps = list(preview.read_steps())
    assert len(steps) == preview.steps
    first, *between, last = steps
    assert first is not None
    assert last is not None
    assert between == [None] * len(between)
    return last


@pytest.mark.parametrize("select", SELECTIONS.values(), ids=SELECTIONS)
def test_each_voxel_is_one_of_the_volume_within_half_of_one(vol: xr.DataArray, select: Any) -> None:
    """Against the array that napari would draw if it were small enough, in memory."""
    values, kwargs, _ = layer_of(select(vol), contrast_limits=(0, 1))
    whole = np.asarray(values[:, :, :])
    preview = Preview.of([values], kwargs["scale"], Budget(20_000))
    assert preview is not None
    shown = read(preview)
    assert shown.nbytes <= 20_000
    order = np.argsort(whole, axis=None)
    found = order[np.searchsorted(whole.ravel()[order], shown)]  # each value occurs once
    assert (whole.ravel()[found] == shown).all()
    for axis, place in enumerate(np.unravel_index(found, whole.shape)):
        n, parts = whole.shape[axis], shown.shape[axis]
        drawn = (np.arange(parts) + 0.5) * n / parts - 0.5  # as napari draws a level
        along = np.moveaxis(place, axis, -1)[np.moveaxis(shown, axis, -1) > 0]
        where = np.broadcast_to(drawn, np.moveaxis(place, axis, -1).shape)
        assert np.abs(along - where[np.moveaxis(shown, axis, -1) > 0]).max() <= 0.5 + 1e-9
    assert (shown > 0).mean() > 0.1


def test_only_the_slices_and_rows_that_are_shown_are_read(
    make_stack: MakeStack, bytes_read: ByteCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows further apart than a page of memory, between which nothing is read."""
    # the kernel's account of free memory is a file, too
    monkeypatch.setattr("brainxr.lazy.cost.available_memory", lambda: 10**12)
    made = make_stack((16, 12, 6000), "u2")
    values, kwargs, _ = layer_of(brainxr.open(made.path), contrast_limits=(0, 1))
    preview = Preview.of([values], kwargs["scale"], Budget(60_000))
    assert preview is not None
    values.read()  # headers are looked at once
    with bytes_read() as planning:
        Preview.of([values], kwargs["scale"], Budget(60_000))
        pieces = preview.steps
    assert (planning.count, pieces > 3) == (0, True)
    with bytes_read() as reading:
        shown = read(preview)
    rows = shown.shape[0] * shown.shape[1] + preview.coarse.shape[0] * preview.coarse.shape[1]
    assert shown.shape[0] * shown.shape[1] < 16 * 12 / 2
    assert reading.count == rows * 6000 * 2


def test_it_can_be_stopped_after_each_piece(vol: xr.DataArray, bytes_read: ByteCounter) -> None:
    values, kwargs, _ = layer_of(vol, contrast_limits=(0, 1))
    steps = Preview.of([values], kwargs["scale"], Budget(vol.nbytes - 1)).read_steps()
    next(steps)
    next(steps)
    with bytes_read() as reading:
        next(steps)
    assert 0 < reading.count <= vol.nbytes / 8


def test_a_chunk_of_dask_is_computed_once() -> None:
    computed: list[Any] = []

    def noted(block: np.ndarray, block_info: Any = None) -> np.ndarray:
        computed.append(block_info[0]["chunk-location"] if block_info else None)
        return block

    source = da.from_array(np.arange(90 * 8 * 9).reshape(90, 8, 9), chunks=(7, 8, 9))
    array = source.map_blocks(noted, dtype=source.dtype, meta=np.empty((0, 0, 0), int))
    preview = Preview.of([array], (1, 1, 1), Budget(8000))
    assert preview is not None
    steps = preview.read_steps()
    next(steps)
    computed.clear()
    *_, shown = steps
    assert len(computed) == len(set(computed)) == 13
    assert np.isin(shown, np.arange(90 * 8 * 9)).all()


def test_what_can_be_shown_as_it_is() -> None:
    small, large = np.zeros((10, 11, 12), "u1"), np.zeros((100, 110, 120), "u1")
    assert Preview.of([large], VOXEL, Budget()) is None
    assert Preview.of([da.from_array(small)], VOXEL, Budget()) is None
    found = Preview.of([large], VOXEL, Budget(10_000))
    assert found is not None
    assert 2000 < found.fine.size <= 10_000


def test_the_finest_level_that_fits_is_the_preview() -> None:
    levels = [np.zeros([n // f for n in (64, 80, 96)], "u2") for f in (1, 2, 4, 8)]
    sizes = {
        budget: Preview.of(levels, VOXEL, Budget(budget)) for budget in (150_000, 20_000, 1000)
    }
    assert [found and found.fine.shape for found in sizes.values()][:2] == [
        levels[1].shape,
        levels[2].shape,
    ]
    # of the coarsest every n-th voxel where even that is too much
    last = sizes[1000]
    assert last is not None
    assert 0 < last.fine.nbytes <= 1000
    assert isinstance(last.fine, LaidOut)


def test_a_stack_that_fits_is_read_in_the_background_all_the_same(monkeypatch: Any) -> None:
    monkeypatch.setattr("brainxr.viewing.preview.QUICK_BYTES", 2000)
    array = da.from_array(np.arange(4 * 30 * 40).reshape(4, 30, 40))
    found = Preview.of([array], VOXEL, Budget())
    assert found is not None
    assert found.coarse.nbytes <= 2000
    np.testing.assert_array_equal(read(found), np.arange(4 * 30 * 40).reshape(4, 30, 40))


def test_other_axes_keep_all_their_places() -> None:
    array = np.arange(3 * 20 * 30 * 40).reshape(3, 20, 30, 40)
    thin = thin_out(array, (1, *VOXEL), Budget(8 * 5000), axes=(1, 2, 3))
    assert thin.shape[0] == 3
    assert math.prod(thin.shape[1:]) <= 5000
    np.testing.assert_array_equal(np.diff(thin[:, 0, 0, 0]), 20 * 30 * 40)
