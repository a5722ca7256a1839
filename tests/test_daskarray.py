"""`StackDaskArray`: a dask array like any other, and proof of a pure selection."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest

import brainxr
from brainxr.lazy.daskarray import StackDaskArray


@pytest.fixture
def lazy(shared_stack: Any) -> StackDaskArray:
    data = brainxr.open(shared_stack.path, chunks={"z": 2}).data
    assert isinstance(data, StackDaskArray)
    return data


PURE = {
    "slice": lambda a: a[1:, ::-2],
    "integer": lambda a: a[2, :, 3],
    "list": lambda a: a[:, [4, 1]],
    "mask": lambda a: a[np.arange(5) > 2],
    "ellipsis": lambda a: a[..., 2],
    "transpose": lambda a: a.transpose(2, 0, 1),
    "transpose by a tuple": lambda a: a.transpose((2, 0, 1)),
    "negative axes": lambda a: a.transpose(-1, 0, 1),
    "T": lambda a: a[1].T,
    "rechunk": lambda a: a.rechunk({0: -1, 1: 3}),
    "rechunk to blocks": lambda a: a.rechunk((1, 7, 4)),
    "copy": lambda a: a.copy(),
    "deepcopy": copy.deepcopy,
    "pickle": lambda a: pickle.loads(pickle.dumps(a)),
    "astype to the same": lambda a: a.astype(a.dtype),
    "chain": lambda a: a[::-1].T[3:, ::2][..., [1, 0]].rechunk(2),
}

CHANGED = {
    "arithmetic": lambda a: a + 1,
    "comparison": lambda a: a > 5,
    "ufunc": np.sqrt,
    "reduction": lambda a: a.max(axis=0),
    "astype": lambda a: a.astype(float),
    "concatenate": lambda a: np.concatenate([a, a[::-1]]),
    "stack": lambda a: np.stack([a, a * 2]),
    "where": lambda a: np.where(a > 3, a, 0),
    "reshape": lambda a: a.reshape(5, 77),
    "newaxis": lambda a: a[None, 1],
    "boolean of the whole": lambda a: np.asarray(a[a > 100]),
    "map_blocks": lambda a: a.map_blocks(np.negative) if isinstance(a, da.Array) else -a,
    "swapaxes": lambda a: np.swapaxes(a, 0, 2),
    "flip": lambda a: np.flip(a, 1),
    "tensordot": lambda a: np.tensordot(a * 1.0, a * 1.0, axes=([2], [2])),
}


@pytest.mark.parametrize("name", PURE)
def test_pure_selections_stay_ours(lazy: StackDaskArray, shared_stack: Any, name: str) -> None:
    got = PURE[name](lazy)
    # an array in memory has no chunks to change
    oracle = PURE[name](da.from_array(shared_stack.values, chunks=4)).compute()
    assert isinstance(got, StackDaskArray)
    assert got.shape == oracle.shape
    np.testing.assert_array_equal(got.compute(), oracle)
    np.testing.assert_array_equal(got.stack.read(), oracle)


@pytest.mark.parametrize("name", CHANGED)
def test_changed_values_are_plain_dask(lazy: StackDaskArray, shared_stack: Any, name: str) -> None:
    got = CHANGED[name](lazy)
    expected = CHANGED[name](shared_stack.values)
    values = got.compute() if isinstance(got, da.Array) else got
    assert values.dtype == expected.dtype
    np.testing.assert_array_equal(values, expected)
    if name not in ("swapaxes", "flip"):  # selections by another name: either is right
        assert not isinstance(got, StackDaskArray)


def test_assignment_ends_the_proof(lazy: StackDaskArray, shared_stack: Any) -> None:
    changed = lazy.copy()
    changed[2, :, ::2] = 7
    expected = shared_stack.values.copy()
    expected[2, :, ::2] = 7
    assert type(changed) is da.Array
    np.testing.assert_array_equal(changed.compute(), expected)
    np.testing.assert_array_equal(lazy.compute(), shared_stack.values)


def test_persisted_and_optimised(lazy: StackDaskArray, shared_stack: Any) -> None:
    for array in (lazy.persist(), dask.optimize(lazy)[0], lazy.to_delayed().ravel()[0]):
        got = array.compute()
        np.testing.assert_array_equal(got, shared_stack.values[: len(got)])


@pytest.mark.parametrize("fuse", [True, False])
def test_one_task_reads_its_part(lazy: StackDaskArray, fuse: bool) -> None:
    """Also where nothing fuses tasks, as in napari, and in whatever order of steps."""
    with dask.config.set({"optimization.fuse.active": fuse}):
        line = lazy[::-1][:, 3].T[[4, 2]]
        assert line.numblocks == (1, 3)
        assert len(line.__dask_graph__()) <= 1 + line.npartitions


@pytest.mark.parametrize(
    ("key", "error"),
    [((9,), IndexError), ((0, 0, 0, 0), IndexError), (([99],), IndexError)],
)
def test_out_of_bounds(lazy: StackDaskArray, key: Any, error: Any) -> None:
    with pytest.raises(error):
        lazy[key].compute()


def test_vindex(lazy: StackDaskArray, shared_stack: Any) -> None:
    key = [0, 4, -1], [1, 1, -1], [0, 10, 3]
    np.testing.assert_array_equal(lazy.vindex[key].compute(), shared_stack.values[key])
    mixed = lazy.vindex[[0, 4], :, [1, 2]]
    np.testing.assert_array_equal(mixed.compute(), shared_stack.values[[0, 4], :, [1, 2]])


def test_a_sagittal_plane_is_read_in_pieces(make_stack: Any) -> None:
    """Chunks are counted in bytes read, not in bytes that come out."""
    made = make_stack((8, 16, 32), "u1")
    with dask.config.set({"array.chunk-size": "1 kB"}):
        volume = brainxr.open(made.path)
        assert volume[:, :, 3].chunks == ((1,) * 8, (16,))
        assert volume[:, 3].chunks == ((8,), (32,))
    with dask.config.set({"array.chunk-size": "200 B"}):
        assert brainxr.open(made.path).chunks == ((1,) * 8, (6, 6, 4), (32,))


@pytest.mark.parametrize("chunks", ["auto", {"z": 2, "y": 3}])
def test_selections_and_what_is_made_of_them_are_computed_together(stack: Any, chunks: Any) -> None:
    """They are optimised by different rules, and share tasks."""
    vol = brainxr.open(stack.path, chunks=chunks)
    whole, double, plane = dask.compute(vol, vol * 2, vol.isel(y=3))
    twin = stack.twin()
    np.testing.assert_array_equal(whole, twin)
    np.testing.assert_array_equal(double, twin * 2)
    np.testing.assert_array_equal(plane, twin.isel(y=3))


# --- values -----------------------------------------------------------------------


def test_values_of_a_selection_are_read_without_a_scheduler(
    lazy: StackDaskArray, shared_stack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("dask was asked")

    monkeypatch.setattr(da.Array, "compute", fail)
    np.testing.assert_array_equal(np.asarray(lazy[3]), shared_stack.values[3])
    np.testing.assert_array_equal(np.asarray(lazy), shared_stack.values)
    with pytest.raises(AssertionError, match="dask was asked"):
        np.asarray(lazy + 1)


def test_a_scheduler_that_somebody_chose_is_asked(lazy: StackDaskArray, shared_stack: Any) -> None:
    asked = []

    def scheduler(graph: Any, keys: Any, **options: Any) -> Any:
        asked.append(keys)
        return dask.get(graph, keys, **options)

    with dask.config.set(scheduler=scheduler):
        np.testing.assert_array_equal(np.asarray(lazy[3]), shared_stack.values[3])
    assert len(asked) == 1


def test_who_watches_tasks_sees_that_of_a_plane(lazy: StackDaskArray, shared_stack: Any) -> None:
    seen = []
    with dask.callbacks.Callback(pretask=lambda key, *_: seen.append(key)):
        np.testing.assert_array_equal(np.asarray(lazy[3]), shared_stack.values[3])
    assert [key[1:] for key in seen if isinstance(key, tuple)] == [(0, 0)]


@pytest.mark.parametrize("dtype", [None, "u2", "f4"])
def test_values_of_a_type_that_is_asked_for(
    lazy: StackDaskArray, shared_stack: Any, dtype: Any
) -> None:
    found = np.asarray(lazy[3], dtype)
    assert found.dtype == np.dtype(dtype or shared_stack.values.dtype)
    np.testing.assert_array_equal(found, shared_stack.values[3].astype(found.dtype))
