"""`StackArray`: an index becomes the fewest reads, and the right ones."""

from __future__ import annotations

import pickle
from typing import Any

import dask.base
import hypothesis.strategies as st
import numpy as np
import pytest
from conftest import make_stack_in
from hypothesis import given
from hypothesis.extra.numpy import basic_indices, broadcastable_shapes

from brainxr.files import rows
from brainxr.lazy.lazyarray import StackArray, vectorised_index
from brainxr.stacks import reader
from brainxr.stacks.slices import find_slices
from brainxr.stacks.stacksource import StackSource
from brainxr.stacks.tiff import read_header

SHAPE = (5, 7, 11)
ORDERS = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]


def array_of(made: Any, order: tuple[int, ...] = (0, 1, 2)) -> StackArray:
    files = find_slices(made.path)
    return StackArray.whole(StackSource(files, read_header(files.path(0))), order)


@pytest.mark.parametrize("order", ORDERS)
def test_orders(shared_stack: Any, order: tuple[int, ...]) -> None:
    stack, twin = array_of(shared_stack, order), shared_stack.values.transpose(order)
    assert (stack.shape, stack.ndim, stack.size, stack.nbytes, len(stack)) == (
        twin.shape, 3, twin.size, twin.nbytes, len(twin))  # fmt: skip
    np.testing.assert_array_equal(stack[1:, ::-1, [3, 0]], twin[1:, ::-1, [3, 0]])
    np.testing.assert_array_equal(np.asarray(stack), twin)
    np.testing.assert_array_equal(stack.transpose().read(), twin.T)
    np.testing.assert_array_equal(stack.select(2).transpose(1, 0).read(), twin[2].T)


@given(key=basic_indices(SHAPE, allow_newaxis=False), order=st.sampled_from(ORDERS))
def test_basic_indices(shared_stack: Any, key: Any, order: tuple[int, ...]) -> None:
    stack = array_of(shared_stack)
    np.testing.assert_array_equal(stack[key], shared_stack.values[key])


def one_of(size: int) -> st.SearchStrategy[Any]:
    """An outer index along an axis: a place, a progression, or places without order."""
    return st.one_of(
        st.integers(0, size - 1),
        st.slices(size),
        st.lists(st.integers(0, size - 1), min_size=1, max_size=size),
    )


@pytest.fixture(scope="module", params=["one strip", "strips apart", "big-endian"])
def stored_in_some_way(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Any:
    options: dict[str, dict[str, Any]] = {
        "one strip": {}, "big-endian": {"byteorder": ">"},
        "strips apart": {"like_libtiff": True, "rowsperstrip": 3, "apart": 5},
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("stored")
    return make_stack_in(folder, shape=SHAPE, dtype=np.uint16, **options[request.param])


@given(index=st.tuples(*map(one_of, SHAPE)), band=st.integers(1, 120), gap=st.integers(1, 80),
       shared=st.booleans())  # fmt: skip
def test_every_way_of_reading_rows(
    stored_in_some_way: Any, index: Any, band: int, gap: int, shared: bool
) -> None:
    """Whatever fits a buffer, is read through or is left to a second thread."""
    twin = stored_in_some_way.values
    expected = twin[
        np.ix_(*(np.atleast_1d(np.arange(n)[i]) for n, i in zip(SHAPE, index, strict=True)))
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "PAGE_BYTES", gap)
        patch.setattr(rows, "BAND_BYTES", band)
        patch.setattr(reader, "BAND_BYTES", band)
        patch.setattr(reader, "SHARED_BYTES", 1 if shared else 1 << 20)
        got = array_of(stored_in_some_way)[index]
    np.testing.assert_array_equal(got, expected.reshape(got.shape))


@given(data=st.data())
def test_vectorised(shared_stack: Any, data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple), "shape")
    index = []
    for size in SHAPE:
        own = data.draw(broadcastable_shapes(shape, max_dims=len(shape), max_side=6), "own shape")
        own = tuple(
            1 if n not in (1, m) else n for n, m in zip(own[::-1], shape[::-1], strict=False)
        )[::-1]
        places = st.lists(
            st.integers(0, size - 1), min_size=int(np.prod(own)), max_size=int(np.prod(own))
        )
        index.append(np.array(data.draw(places, "places"), int).reshape(own))
    got = array_of(shared_stack).read_vectorised(*index)
    np.testing.assert_array_equal(got, shared_stack.values[tuple(index)])


def test_vectorised_of_a_part(shared_stack: Any) -> None:
    part, twin = (
        array_of(shared_stack).select((slice(None, None, -2), 3)),
        shared_stack.values[::-2, 3],
    )
    index = np.array([0, 2, 1, 0]), np.array([[10], [4]])
    np.testing.assert_array_equal(part.read_vectorised(*index), twin[index])


def test_vectorised_index_is_numpys(shared_stack: Any) -> None:
    """Indexed axes come first, sliced ones after them, as xarray wants it."""
    a, b = np.array([[0, -1, 2]]), np.array([[3], [4]])
    index = vectorised_index((a, slice(1, None, 3), b), SHAPE)
    expected = shared_stack.values[a, :, b][..., 1::3]
    np.testing.assert_array_equal(shared_stack.values[index], expected)
    with pytest.raises(IndexError, match="out of bounds for an axis of 5"):
        vectorised_index((np.array([5]), slice(None), slice(None)), SHAPE)
    with pytest.raises(IndexError, match="out of bounds for an axis of 7"):
        vectorised_index((slice(None), np.array([-8]), slice(None)), SHAPE)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (5, "Index 5 is out of range along 'z', which has 5 voxels"), (-6, "Index -6 .*'z'"),
        ((0, 7), "Index 7 .*'y', which has 7"), ([0, 9], "Index 9 .*'z'"),
        (((0, 0, 0, 0)), "Too many indices: 4 for 3 axes"), ((..., 0, ...), "Too many indices"),
        (1.5, "1.5 is no index along one axis"), ("z", "'z' is no index"),
        (None, "None is no index"), (np.zeros((2, 2), int), "is no index along one axis"),
        (np.array([True, False]), "A mask of 2 can't index an axis of 5"), ([0.5], "is no index"),
    ],
)  # fmt: skip
def test_what_is_no_index(shared_stack: Any, key: Any, message: str) -> None:
    with pytest.raises(IndexError, match=message):
        array_of(shared_stack).select(key)


def test_wrong_orders_are_refused(shared_stack: Any) -> None:
    for order in ((0, 1), (0, 1, 1), (0, 1, 3)):
        with pytest.raises(ValueError, match="is no order of 3 axes"):
            array_of(shared_stack).transpose(*order)


def test_array_needs_a_copy(shared_stack: Any) -> None:
    stack = array_of(shared_stack)
    assert np.asarray(stack, dtype=float).dtype == float
    with pytest.raises(ValueError, match="without a copy"):
        np.array(stack, copy=False)


def test_what_is_missing_is_zero(make_stack: Any) -> None:
    made = make_stack(numbers=[1, 2, 4, 7])
    stack = array_of(made)
    assert stack.shape == (7, 7, 11)
    np.testing.assert_array_equal(stack.read(), made.values)
    np.testing.assert_array_equal(stack[[6, 4, 3, 2], 2], made.values[[6, 4, 3, 2], 2])
    index = np.array([0, 2, 6]), np.array([1, 1, 5]), np.array([3, 4, 5])
    np.testing.assert_array_equal(stack.read_vectorised(*index), made.values[index])


def test_tokens(shared_stack: Any) -> None:
    """Equal selections have equal names in dask, others not, and opening again is another."""
    stack = array_of(shared_stack)
    token = dask.base.tokenize
    again = pickle.loads(pickle.dumps(stack))
    assert token(stack.select(slice(1, 4))) == token(again.select(slice(1, 4)))
    others = [stack, stack.select(1), stack.select(slice(1, 2)), stack.select([1]),
              stack.transpose(), stack.select((slice(None), 1)),
              array_of(shared_stack)]  # fmt: skip
    assert len({token(other) for other in others}) == len(others)


def test_light_and_readable(make_stack: Any) -> None:
    made = make_stack((2000, 1, 2), name="Synthesized_FLASH25_Axial_{:04d}.tif")
    stack = array_of(made)
    assert len(pickle.dumps(stack)) < 12_000
    assert repr(stack) == f"<StackArray (2000, 1, 2) uint16 from 2000 files in {made.path!r}>"


def test_bytes_to_read(shared_stack: Any) -> None:
    stack = array_of(shared_stack)
    assert stack.bytes_to_read == stack.nbytes
    assert stack.select((slice(None), 3, 4)).bytes_to_read == 5 * 1 * 11 * 2
    assert stack.select(([0, 2], slice(3))).bytes_to_read == 2 * 3 * 11 * 2
