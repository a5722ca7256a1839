"""Default chunks: small enough to compute with, few, and the same on every machine."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import dask
import nibabel
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from stores import make_store

import brainxr
from benchmarks import giant
from brainxr.lazy import chunking
from brainxr.lazy.lazyarray import StackArray


@pytest.fixture
def few_voxels(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Plan chunks of so many voxels, as those of a large volume are planned."""
    return lambda count: monkeypatch.setattr(chunking, "CHUNK_VOXELS", count)


def opened_giant(folder: Path, *shape: int) -> xr.DataArray:
    """A uint16 volume of slices of which only the headers are there."""
    return giant.opened(giant.make_folder(folder / "slices", shape))


# --- the rule ---------------------------------------------------------------------


def test_a_chunk_is_32_mib_as_float64(tmp_path: Path) -> None:
    volume = opened_giant(tmp_path, 40, 1400, 1100)
    assert volume.chunks == ((2,) * 20, (1400,), (1100,))
    assert 3 * 1400 * 1100 > chunking.CHUNK_VOXELS == (32 << 20) // 8


def test_large_slices_are_cut_into_rows(tmp_path: Path) -> None:
    volume = opened_giant(tmp_path, 3, 30_000, 30_000)
    slices, rows, columns = volume.chunks or ()
    assert (slices, columns, max(rows)) == ((1, 1, 1), (30_000,), chunking.CHUNK_VOXELS // 30_000)


def test_a_plane_across_the_slices_is_chunked_by_what_it_reads(tmp_path: Path) -> None:
    """As many slices as are read for 128 MiB, dask's own limit."""
    volume = opened_giant(tmp_path, 100, 1400, 1100)
    assert volume[:, :, 5].chunks == ((43, 43, 14), (1400,))
    assert volume[:, 5].chunks == ((100,), (1100,))


@pytest.mark.parametrize(("size", "slices"), [("16 MiB", 5), ("1 GiB", 40), ("127 MiB", 40)])
def test_a_chunk_size_that_somebody_set_is_what_is_read(
    tmp_path: Path, size: str, slices: int
) -> None:
    with dask.config.set({"array.chunk-size": size}):
        assert opened_giant(tmp_path, 40, 1400, 1100).chunks[0][0] == slices
    with dask.config.set({"array.chunk-size": "128MiB"}):  # dask's own: nobody set it
        assert brainxr.open(tmp_path / "slices", spacing=1).chunks[0][0] == 2


def test_chunks_grow_where_there_would_be_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = opened_giant(tmp_path, 60, 140, 110)
    monkeypatch.setattr(chunking, "CHUNK_VOXELS", 140 * 110)
    assert volume.data.rechunk("auto").numblocks == (60, 1, 1)
    monkeypatch.setattr(chunking, "MOST_CHUNKS", 12)
    assert volume.data.rechunk("auto").numblocks == (12, 1, 1)
    with dask.config.set({"array.chunk-size": "100 kB"}):  # but not beyond what was allowed
        assert volume.data.rechunk("auto").numblocks == (20, 1, 1)


# --- laws -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> list[xr.DataArray]:
    """A stack, a store, NIfTI with a scale factor, plain and packed: all of (13, 18, 35)."""
    from conftest import make_stack_in, unique_values

    folder = tmp_path_factory.mktemp("chunking")
    image = nibabel.Nifti1Image(unique_values((13, 18, 35), "i2").T, np.diag([0.3, 0.2, 0.1, 1]))
    image.header.set_xyzt_units("mm")
    image.header.set_slope_inter(2.5, 1)
    for name in ("a.nii", "a.nii.gz"):
        nibabel.save(image, folder / name)
    coded = {"compression": "zlib", "rowsperstrip": 4}
    return [
        brainxr.open(make_stack_in(folder, (13, 18, 35)).path),
        brainxr.open(
            make_stack_in(folder, (13, 18, 35), folder="coded", **coded).path, spacing=100
        ),
        brainxr.open(make_store(folder / "a.zarr").path),
        brainxr.open(folder / "a.nii"),
        brainxr.open(folder / "a.nii.gz"),
    ]


@st.composite
def keys(draw: st.DrawFn) -> tuple[slice, ...]:
    bound = st.none() | st.integers(-40, 40)
    return tuple(slice(draw(bound), draw(bound), draw(st.sampled_from([1, 2, -1, -3, None])))
                 for _ in range(3))  # fmt: skip


def parts_of(stack: StackArray, chunks: tuple[tuple[int, ...], ...]) -> Iterator[StackArray]:
    cuts = [np.cumsum([0, *sizes]) for sizes in chunks]
    for part in product(*map(pairwise, cuts)):
        yield stack.select(tuple(slice(int(a), int(b)) for a, b in part))


@given(key=keys(), which=st.integers(0, 4), voxels=st.integers(200, 20_000))
def test_chunks_cover_a_selection_and_none_is_too_big(
    volumes: list[xr.DataArray], key: tuple[slice, ...], which: int, voxels: int
) -> None:
    stack = volumes[which].data.stack.select(key)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunking, "CHUNK_VOXELS", voxels)
        chunks = chunking.plan_chunks(stack)
        patch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
        patch.setattr(os, "cpu_count", lambda: 64)
        assert chunking.plan_chunks(stack) == chunks
    assert tuple(map(sum, chunks)) == stack.shape
    if stack.size == 0:
        return
    # rows, strips and chunks are read together, of which a selection may want a part
    each_reads = max(1, stack.bytes_to_read / stack.nbytes)
    grain = zip(stack.source.grain, stack.source.shape, strict=True)
    least = np.prod([min(together, length) for together, length in grain])
    for part in parts_of(stack, chunks):
        assert part.size <= max(voxels * each_reads, least)


@given(key=keys(), voxels=st.integers(200, 5_000))
def test_no_strip_and_no_chunk_of_a_store_is_decoded_twice(
    volumes: list[xr.DataArray], key: tuple[slice, ...], voxels: int
) -> None:
    for volume in volumes[1:3]:
        stack = volume.data.stack.select(key)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(chunking, "CHUNK_VOXELS", voxels)
            chunks = chunking.plan_chunks(stack)
        for axis, grain in enumerate(stack.source.grain):
            steps = np.split(np.asarray(stack.choices[axis]), np.cumsum(chunks[axis])[:-1])
            touched = [set((part // grain).tolist()) for part in steps]
            assert all(a.isdisjoint(b) for a, b in pairwise(touched))


def test_bytes_of_a_store_are_those_of_its_chunks(tmp_path: Path) -> None:
    whole = brainxr.open(make_store(tmp_path / "a.zarr").path).data.stack
    stack = whole.select((slice(3, None), slice(0, 18, 5), [1, 30]))
    source = stack.source
    expected = len(source.pieces(stack.needed)) * np.prod(source.grain) * stack.dtype.itemsize
    assert stack.bytes_to_read == expected


def test_a_packed_file_without_an_index_is_not_unpacked_for_every_few_slices(
    volumes: list[xr.DataArray], monkeypatch: pytest.MonkeyPatch, few_voxels: Any
) -> None:
    few_voxels(18 * 35)
    packed = volumes[4].data.stack
    assert len(chunking.plan_chunks(packed)[0]) == 13
    monkeypatch.setattr("brainxr.nifti.niftisource.has_index", lambda: False)
    assert chunking.plan_chunks(packed) == ((13,), (18,), (35,))


# --- what is computed -------------------------------------------------------------


def test_chunks_for_an_axis_that_must_be_whole_keep_rows_whole(
    make_stack: Any, few_voxels: Any
) -> None:
    made = make_stack((9, 40, 30))
    volume = brainxr.open(made.path)
    few_voxels(9 * 30 * 8)
    assert volume.data.rechunk({0: -1, 1: "auto", 2: "auto"}).chunks == ((9,), (8,) * 5, (30,))
    turned = volume.transpose("x", "y", "z").data.rechunk({2: -1, 0: "auto", 1: "auto"})
    assert turned.chunks == ((30,), (8,) * 5, (9,))
    assert volume.data.rechunk({0: 3, 1: "auto"}).chunks == ((3,) * 3, (24, 16), (30,))
    assert volume.data.rechunk({0: None, 1: "auto"}).chunks == ((9,), (8,) * 5, (30,))
    np.testing.assert_array_equal(volume.median("z"), np.median(made.values, 0))


WORK: dict[str, tuple[Callable[[Any], Any], Callable[[np.ndarray], Any]]] = {
    "anomaly": (lambda v: (v - v.mean("z")).std(), lambda a: (a - a.mean(0)).std()),
    "where": (lambda v: v.where(v > 30_000).mean(), lambda a: a[a > 30_000].mean()),
    "half": (lambda v: (v // 2).max("z"), lambda a: (a // 2).max(0)),
    "median": (lambda v: v.median("z"), lambda a: np.median(a, 0)),
}


@pytest.mark.parametrize("name", WORK)
@pytest.mark.parametrize("threads", [2, 16])
def test_memory_is_that_of_a_few_chunks_a_thread(
    make_stack: Any, few_voxels: Any, name: str, threads: int
) -> None:
    made = make_stack((60, 256, 256), folder=name)
    few_voxels(2 * 256 * 256)
    lazy, expected = WORK[name]
    with dask.config.set(num_workers=threads, scheduler="threads"):
        lazy(brainxr.open(made.path, spacing=100)[:4]).compute()  # what is loaded the first time
        volume = brainxr.open(made.path, spacing=100)
        tracemalloc.start()
        found = lazy(volume).compute()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    np.testing.assert_allclose(found, expected(made.values), rtol=1e-6)
    a_chunk = chunking.CHUNK_VOXELS * 8  # 1 MiB as float64, of 30
    assert peak < (threads * 5 + 8) * a_chunk
