"""Any array on another grid: the places that are asked for, and no more of it is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import pytest
from conftest import ByteCounter, MadeStack

import brainxr
from brainxr.lazy.laidout import LaidOut, as_slice, on_places
from brainxr.lazy.unloaded import stack_of

KINDS: dict[str, Callable[[MadeStack], Any]] = {
    "stack": lambda made: stack_of(brainxr.open(made.path)),
    "numpy": lambda made: made.values,
    "dask": lambda made: da.from_array(made.values, chunks=(2, 3, 4)),
    "laid out": lambda made: LaidOut(made.values, [np.arange(n) for n in made.values.shape]),
}


@pytest.fixture(params=KINDS)
def array(request: pytest.FixtureRequest, shared_stack: MadeStack) -> Any:
    """Five slices of 7 x 11, as every kind of array."""
    return KINDS[request.param](shared_stack)


PLACES = [np.array([0, -1, 3, 1]), np.array([6, 2, 2]), np.array([1, 4, 7, 10])]


def expected(values: np.ndarray) -> np.ndarray:
    """Counted out one voxel after another."""
    out = np.zeros([len(part) for part in PLACES], values.dtype)
    for index in np.ndindex(*out.shape):
        at = tuple(int(part[i]) for part, i in zip(PLACES, index, strict=True))
        out[index] = 0 if min(at) < 0 else values[at]
    return out


def test_every_place_has_its_voxel(array: Any, shared_stack: MadeStack) -> None:
    laid = LaidOut(array, PLACES)
    assert (laid.shape, laid.ndim, laid.size, len(laid)) == ((4, 3, 4), 3, 48, 4)
    assert laid.nbytes == 96
    np.testing.assert_array_equal(np.asarray(laid), expected(shared_stack.values))


@pytest.mark.parametrize(
    "key",
    [0, 1, (slice(None), 2), (..., slice(None, None, -1)), (slice(1, 3), [2, 0], 3), (3, 1, 2)],
    ids=str,
)  # fmt: skip
def test_a_part_is_as_numpy_has_it(array: Any, shared_stack: MadeStack, key: Any) -> None:
    laid = LaidOut(array, PLACES)
    whole = expected(shared_stack.values)
    np.testing.assert_array_equal(laid[key], whole[key])
    assert laid.select(key).shape == whole[key].shape
    np.testing.assert_array_equal(laid.select(key).select(...)[...], whole[key])


def test_gaps_along_two_axes(shared_stack: MadeStack) -> None:
    numbers = [None, np.array([0, 1, 2, 4, 5, 6, 8]), np.arange(0, 22, 2)]
    laid = LaidOut.with_gaps(shared_stack.values, numbers)
    whole = np.zeros((5, 9, 21), shared_stack.values.dtype)
    whole[:, numbers[1][:, None], numbers[2]] = shared_stack.values
    np.testing.assert_array_equal(np.asarray(laid), whole)


def test_nothing_but_these_places_is_read(shared_stack: MadeStack, bytes_read: ByteCounter) -> None:
    stack = stack_of(brainxr.open(shared_stack.path))
    laid = LaidOut(stack, [np.array([1, -1, 3]), np.arange(7), np.arange(11)])
    laid.read()  # files are looked at once
    with bytes_read() as selecting:
        part = laid.select((slice(None), 2))
    assert selecting.count == 0
    with bytes_read() as reading:
        part.read()
    assert reading.count == 2 * 11 * 2  # a row of two slices


def test_places_of_any_array_are_lazy(array: Any, shared_stack: MadeStack) -> None:
    places = [np.array([0, 2, 4]), np.array([1, 2, 5]), np.array([3, 10])]
    chosen = on_places(array, places)
    np.testing.assert_array_equal(np.asarray(chosen), shared_stack.values[np.ix_(*places)])


@pytest.mark.parametrize("places", [[], [3], [0, 2, 4], [4, 2, 0], [1, 1, 1], [0, 1, 3]], ids=str)
def test_a_slice_chooses_what_the_places_do(places: list[int]) -> None:
    values = np.arange(10)
    chosen = np.array(places, np.intp)
    np.testing.assert_array_equal(values[as_slice(chosen)], values[chosen])
