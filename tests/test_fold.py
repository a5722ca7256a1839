"""Reductions while reading: what numpy makes of the whole, in the memory of the result."""

from __future__ import annotations

import itertools
import pickle
import warnings
import zlib
from dataclasses import replace
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import tifffile
import xarray as xr

import brainxr
from brainxr.lazy.daskfold import reduce_stack
from brainxr.lazy.fold import Moments, fold, reduction
from brainxr.lazy.lazyarray import StackArray
from brainxr.lazy.unloaded import stack_of
from brainxr.stacks.segments import Segments
from brainxr.stacks.tiff import Header, read_segment_table

STACKS: dict[str, dict[str, Any]] = {
    "uint8": {"dtype": "u1"},
    "int8": {"dtype": "i1"},
    "uint16, deflate": {"dtype": "u2", "compression": "zlib", "rowsperstrip": 3},
    "int16, tiles": {"dtype": "i2", "tile": (16, 16)},
    "uint32": {"dtype": "u4"},
    "float32": {"dtype": "f4"},
    "uint16, gaps": {"dtype": "u2", "numbers": [*range(1, 9), *range(12, 24)]},
}

SELECTIONS: dict[str, dict[str, Any]] = {
    "all": {},
    "strided and reversed": {"z": slice(3, 19, 2), "y": slice(None, None, -1)},
    "a plane": {"y": 5},
    "a slice": {"z": 4},
    "a list": {"z": [3, 1, 7]},
    "a list with repeats": {"z": [3, 1, 3]},
    "a column": {"x": slice(3, 4)},
}

NAMES = ("max", "min", "sum", "mean", "std", "var")


@pytest.mark.parametrize("kind", STACKS)
def test_as_numpy_has_it(make_stack: Any, kind: str) -> None:
    made = make_stack((20, 17, 22), **STACKS[kind])
    fill = "gaps" in kind
    vol = brainxr.open(made.path, missing="fill" if fill else "keep")
    twin = made.twin(fill=fill)
    for number, (name, selection) in enumerate(SELECTIONS.items()):
        order = ("x", "z", "y") if number % 2 else ("z", "y", "x")
        lazy = vol.transpose(*order).isel(selection)
        memory = twin.transpose(*order).isel(selection)
        subsets = [c for n in (1, 2, 3) for c in itertools.combinations(lazy.dims, n)]
        for dims, how in itertools.product(
            subsets, NAMES if name == "all" else NAMES[number % 2 :: 2]
        ):
            got, expected = getattr(lazy, how)(dims), getattr(memory, how)(dims)
            assert (got.dtype, got.dims, got.shape) == (
                expected.dtype, expected.dims, expected.shape,
            )  # fmt: skip
            loaded = got.compute()
            assert loaded.dtype == expected.dtype
            # numpy sums float32 pairwise, in another order
            rtol = 1e-5 if kind == "float32" else 1e-12
            np.testing.assert_allclose(
                loaded.values, expected.values, rtol=rtol, err_msg=f"{name} {dims} {how}"
            )
            if how in ("max", "min", "sum", "mean") and kind != "float32":
                np.testing.assert_array_equal(loaded.values, expected.values)


def test_nan_is_passed_on_or_skipped_as_numpy_does(make_stack: Any) -> None:
    values = np.random.default_rng(0).normal(size=(4, 5, 6)).astype("f4")
    values[1, 2, 3] = np.nan
    values[:, 0, 0] = np.nan
    vol = brainxr.open(make_stack(values.shape, values=values).path)
    for skipna, names in ((True, ("nanmax", "nanmin")), (False, ("max", "min"))):
        for name, dims in itertools.product(names, ("z", "y", ("z", "x"))):
            got = getattr(vol, name.removeprefix("nan"))(dims, skipna=skipna).values
            axes = tuple("zyx".index(d) for d in dims)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # "All-NaN slice encountered"
                expected = getattr(np, name)(values, axis=axes)
            np.testing.assert_array_equal(got, expected)


def test_every_file_is_opened_and_read_once(make_stack: Any, bytes_read: Any) -> None:
    made = make_stack((40, 300, 500), "u2")
    vol = brainxr.open(made.path)
    vol.max("z").compute()
    for lazy in (vol.max("z"), vol.mean("z"), vol.std(), vol.sum(["y", "x"])):
        with bytes_read() as counted:
            lazy.compute()
        assert made.values.nbytes <= counted.count < 1.01 * made.values.nbytes


def test_the_rows_of_a_selection_are_all_that_is_read(make_stack: Any, bytes_read: Any) -> None:
    made = make_stack((9, 100, 2000), "u2")
    line = brainxr.open(made.path).isel(y=slice(7, 9)).max("z")
    line.compute()
    with bytes_read() as counted:
        got = line.compute()
    np.testing.assert_array_equal(got.values, made.values[:, 7:9].max(0))
    assert counted.count < 1.1 * 9 * 2 * 4000


def test_parts_are_merged(make_stack: Any, monkeypatch: Any) -> None:
    """As a stack of many gigabytes is: in parts, whose states are merged."""
    monkeypatch.setattr("brainxr.lazy.daskfold.PART_BYTES", 1000)
    made = make_stack((37, 11, 13), "u2")
    vol = brainxr.open(made.path)
    assert len(vol.max("z").__dask_graph__()) > 20
    for how in NAMES:
        np.testing.assert_allclose(
            getattr(vol, how)("z").values, getattr(np, how)(made.values, axis=0), rtol=1e-12
        )
        np.testing.assert_allclose(
            getattr(vol, how)().values, getattr(np, how)(made.values), rtol=1e-12
        )


def test_ddof_and_what_is_left_to_dask(make_stack: Any) -> None:
    made = make_stack((6, 7, 8), "u1")
    vol = brainxr.open(made.path)
    np.testing.assert_allclose(vol.std("z", ddof=1), made.values.std(0, ddof=1), rtol=1e-12)
    np.testing.assert_array_equal(
        np.max(vol.data, axis=-1, keepdims=True), made.values.max(-1, keepdims=True)
    )
    np.testing.assert_array_equal(
        np.sum(vol.data, axis=0, dtype="u1"), made.values.sum(0, dtype="u1")
    )
    np.testing.assert_allclose(vol.median(["z", "y"]), np.median(made.values, (0, 1)))
    with pytest.raises(np.exceptions.AxisError):
        np.max(vol.data, axis=3)
    assert vol.isel(z=slice(0)).sum("z").values.sum() == 0


def test_variance_of_large_values_that_hardly_differ(make_stack: Any) -> None:
    """The square of the sum and the sum of the squares have their first ten digits in common."""
    values = (65000 + np.arange(6 * 50 * 70).reshape(6, 50, 70) % 2).astype("u2")
    vol = brainxr.open(make_stack(values.shape, values=values).path)
    np.testing.assert_allclose(vol.var().values, 0.25, rtol=1e-12)
    np.testing.assert_allclose(vol.var(["z", "y"]).values, values.var((0, 1)), atol=1e-12)


def test_sums_that_need_more_than_64_bits() -> None:
    how = Moments("var")
    state = np.array([[2**32 * 65000], [2**32 * 65000**2]], object)
    merged = how.merge(np.stack([state, state]))
    assert float(how.finish(merged, 2**33)[0]) == 0.0


def test_three_schedulers(make_stack: Any) -> None:
    made = make_stack((30, 7, 11), "u1")
    lazy = brainxr.open(made.path).mean("z")
    for scheduler in ("threads", "synchronous", "processes"):
        with dask.config.set(scheduler=scheduler):
            np.testing.assert_array_equal(lazy.values, made.values.mean(0))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(lazy)).values, made.values.mean(0))


def test_a_broken_slice_is_named(make_stack: Any) -> None:
    made = make_stack((5, 7, 9), "u2")
    lazy = brainxr.open(made.path).max("z")
    made.paths[3].unlink()
    with pytest.raises(brainxr.errors.SliceReadError, match=r"slice_004\.tif' is not there"):
        lazy.compute()


def test_a_coronal_plane_decodes_one_strip_a_file(make_stack: Any, monkeypatch: Any) -> None:
    made = make_stack((6, 40, 30), "u2", compression="zlib", rowsperstrip=4)
    decoded: list[int] = []

    def counting(path: str, header: Header, page: int) -> Segments:
        segments = read_segment_table(path, header, page)
        return replace(
            segments, decode=lambda data, n: decoded.append(n) or segments.decode(data, n)
        )

    monkeypatch.setattr("brainxr.stacks.reader.read_segment_table", counting)
    vol = brainxr.open(made.path, chunks=None)
    np.testing.assert_array_equal(vol.isel(y=21).values, made.values[:, 21])
    assert decoded == [5] * 6


@pytest.mark.parametrize(
    "options",
    [{"compression": "zlib", "rowsperstrip": 3}, {"like_libtiff": True, "deflate": True}],
    ids=["directory first", "directory last"],
)
def test_tifffile_parses_one_compressed_slice(
    make_stack: Any, monkeypatch: Any, options: Any
) -> None:
    """The directories of the others are read by hand, wherever in the file they are."""
    made = make_stack((9, 20, 30), "u2", described=True, **options)
    vol = brainxr.open(made.path)
    parsed, original = [], tifffile.TiffFile
    monkeypatch.setattr(tifffile, "TiffFile", lambda *a, **k: parsed.append(1) or original(*a, **k))
    np.testing.assert_array_equal(vol.isel(y=7).values, made.values[:, 7])
    np.testing.assert_array_equal(vol.values, made.values)
    assert len(parsed) <= 1


def test_a_changed_table_is_not_trusted(make_stack: Any) -> None:
    """What is remembered of a file goes with the file: once it is changed, it is refused."""
    made = make_stack((3, 20, 30), "u2", compression="zlib", rowsperstrip=3)
    vol = brainxr.open(made.path)
    vol.isel(y=7).load()
    vol = brainxr.open(made.path)
    vol.isel(y=3).compute()
    content = made.paths[1].read_bytes()
    made.paths[1].write_bytes(content + zlib.compress(b"x"))
    with pytest.raises(brainxr.errors.SliceReadError, match=r"slice_002\.tif' was changed"):
        vol.isel(y=4).compute()


def test_the_state_of_a_fold(shared_stack: Any) -> None:
    stack = stack_of(brainxr.open(shared_stack.path))
    state = fold(stack, reduction("sum"), (0, 2), 55)
    np.testing.assert_array_equal(state[0, 0, :, 0], shared_stack.values.sum((0, 2)))
    with pytest.raises(KeyError):
        reduction("median")
    assert reduce_stack(stack, np.median, (0,), {}) is None
    assert isinstance(reduce_stack(stack, np.max, (0,), {}), da.Array)
    assert isinstance(brainxr.open(shared_stack.path).max("z"), xr.DataArray)


HISTOGRAMS: dict[str, tuple[Any, Any]] = {
    "a bin a value": (256, (0, 256)), "coarse": (7, (-3, 200.5)),
    "edges": ([-40, 0, 3, 99.5], None), "beyond the values": (11, (-1e6, 1e6)),
    "nothing in it": (3, (1e7, 2e7)),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2"])
@pytest.mark.parametrize("case", HISTOGRAMS)
def test_histogram(make_stack: Any, monkeypatch: Any, dtype: str, case: str) -> None:
    monkeypatch.setattr("brainxr.lazy.daskfold.PART_BYTES", 100_000)
    made = make_stack((5, 300, 500), dtype)
    bins, limits = HISTOGRAMS[case]
    vol = brainxr.open(made.path)
    for part, twin in ((vol, made.values), (vol[::-2, 3:, ::7], made.values[::-2, 3:, ::7])):
        counts, edges = np.histogram(part.data, bins, limits)
        assert isinstance(counts, da.Array)
        expected, expected_edges = np.histogram(twin, bins, limits)
        np.testing.assert_array_equal(counts.compute(), expected)
        np.testing.assert_array_equal(edges, expected_edges)
        assert counts.compute().dtype == expected.dtype


def test_a_histogram_that_needs_more_is_dasks(make_stack: Any) -> None:
    made = make_stack((5, 7, 11), "u1")
    lazy = brainxr.open(made.path).data
    with pytest.raises(ValueError, match="range"):
        np.histogram(lazy, 7)
    for stack, twin in ((lazy[2], made.values[2]), (lazy[[1, 1]], made.values[[1, 1]])):
        np.testing.assert_array_equal(
            np.histogram(stack, 9, (0, 256))[0], np.histogram(twin, 9, (0, 256))[0]
        )
    density = np.histogram(lazy, 9, (0, 256), density=True)[0]
    np.testing.assert_allclose(density, np.histogram(made.values, 9, (0, 256), density=True)[0])


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2"])
@pytest.mark.parametrize("q", [0.5, [0, 0.001, 0.3, 0.5001, 0.999, 1], []])
def test_quantiles_of_a_volume_are_numpys(
    make_stack: Any, monkeypatch: Any, dtype: str, q: Any
) -> None:
    """Of floats: numpy's own of int8 overflow, and lie outside the values."""
    monkeypatch.setattr("brainxr.lazy.daskfold.PART_BYTES", 100_000)
    made = make_stack((5, 300, 501), dtype)
    vol = brainxr.open(made.path)
    parts = (
        (vol, made.values),
        (vol.transpose("x", "z", "y")[2:, ::-1], made.values[::-1, :, 2:]),
        (vol[:2, :1, :1], made.values[:2, :1, :1]),
    )
    for part, integers in parts:
        twin = integers.astype(float)
        found, expected = part.quantile(q), np.quantile(twin, q)
        assert isinstance(found.data, da.Array)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found.values, expected)
        percent = np.multiply(q, 100)
        for function in (np.percentile, np.nanpercentile):
            lazy = function(part.data, percent)
            np.testing.assert_array_equal(lazy.compute(), function(twin, percent))
        np.testing.assert_array_equal(np.nanquantile(part.data, q).compute(), expected)
        assert float(part.median()) == np.median(part.data).compute() == np.median(twin)


def test_quantiles_read_a_volume_once_and_keep_none_of_it(
    make_stack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = brainxr.open(make_stack((5, 300, 501), "u2").path)
    monkeypatch.setattr(StackArray, "read", None)
    assert volume.quantile([0.1, 0.9]).values.shape == (2,)


def test_quantiles_of_parts_and_by_other_methods_are_dasks(make_stack: Any) -> None:
    made = make_stack((5, 7, 11), "u2")
    volume = brainxr.open(made.path)
    for dims, axes in (("z", 0), (["y", "x"], (1, 2))):
        np.testing.assert_allclose(
            volume.quantile([0.2, 0.7], dims).values, np.quantile(made.values, [0.2, 0.7], axes)
        )
    for method in ("lower", "nearest"):
        found = volume.quantile(0.3, method=method)
        assert float(found) == np.quantile(made.values, 0.3, method=method)
    assert float(volume[2].quantile(0.3)) == np.quantile(made.values[2], 0.3)
    assert float((volume // 2).quantile(0.3)) == np.quantile(made.values // 2, 0.3)


def test_what_is_no_quantile_is_refused(shared_stack: Any) -> None:
    volume = brainxr.open(shared_stack.path)
    with pytest.raises(ValueError, match=r"between 0 and 1 .* got \[1\.5\]"):
        volume.quantile(1.5)
    with pytest.raises(ValueError, match="percentiles: 0 and 100"):
        np.percentile(volume.data, [5, 101])
