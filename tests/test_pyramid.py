"""Levels: their arithmetic against fractions, their geometry against what an axis is."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from brainxr.errors import GeometryError
from brainxr.writing.pyramid import halve, scale_factors

INTEGERS = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"]


def naive(values: np.ndarray, halved: Any, one: Callable[[np.ndarray], Any]) -> np.ndarray:
    """Every block by itself, in Python."""
    shape = [-(-n // 2) if h else n for n, h in zip(values.shape, halved, strict=True)]
    out = np.empty(shape, values.dtype)
    for place in np.ndindex(*shape):
        window = zip(place, halved, strict=True)
        block = values[tuple(slice(2 * i, 2 * i + 2) if h else slice(i, i + 1) for i, h in window)]
        out[place] = one(block)
    return out


def exact_mean(block: np.ndarray) -> int:
    """Rounded as Python's integers are: halves to the even one."""
    return round(Fraction(sum(block.ravel().tolist()), block.size))


def most_frequent(block: np.ndarray) -> Any:
    values, counts = np.unique(block, return_counts=True)
    return values[np.argmax(counts)]


@st.composite
def blocks(draw: st.DrawFn, dtypes: list[str]) -> tuple[np.ndarray, list[bool]]:
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=5))
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    values = draw(hnp.arrays(dtype, shape))
    return values, draw(st.lists(st.booleans(), min_size=len(shape), max_size=len(shape)))


@given(blocks(INTEGERS))
def test_mean_of_integers_is_exact(drawn: tuple[np.ndarray, list[bool]]) -> None:
    values, halved = drawn
    got = halve(values, halved)
    assert got.dtype == values.dtype
    np.testing.assert_array_equal(got, naive(values, halved, exact_mean))


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("shape", [(4, 6, 8), (5, 7, 9)])
def test_mean_at_the_ends_of_the_type(dtype: str, shape: tuple[int, ...]) -> None:
    info, rng = np.iinfo(dtype), np.random.default_rng(0)
    for low, high in ((info.min, info.max), (info.max - 3, info.max), (info.min, info.min + 3)):
        values = rng.integers(low, high, shape, dtype, endpoint=True)
        for halved in itertools.product((True, False), repeat=3):
            np.testing.assert_array_equal(
                halve(values, halved), naive(values, halved, exact_mean), f"{halved}"
            )


@given(blocks(["u1", "u2", "i4", "?"]))
def test_mode_is_the_most_frequent_and_smallest(drawn: tuple[np.ndarray, list[bool]]) -> None:
    values, halved = drawn
    values = values if values.dtype == bool else values % 3
    np.testing.assert_array_equal(
        halve(values, halved, "mode"), naive(values, halved, most_frequent)
    )


@given(blocks(["u2", "f4", "?"]))
def test_nearest_is_the_first(drawn: tuple[np.ndarray, list[bool]]) -> None:
    values, halved = drawn
    np.testing.assert_array_equal(
        halve(values, halved, "nearest"), naive(values, halved, lambda block: block.flat[0])
    )


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2"])
@pytest.mark.parametrize("missing", [0.0, 0.4, 0.9])
def test_mean_of_floats_leaves_nan_out(dtype: str, missing: float) -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(5, 8, 7)).astype(dtype)
    values[rng.random(values.shape) < missing] = np.nan

    def mean(block: np.ndarray) -> float:
        known = block[~np.isnan(block)].tolist()
        return math.fsum(known) / len(known) if known else math.nan

    for halved in itertools.product((True, False), repeat=3):
        got = halve(values, halved)
        assert got.dtype == values.dtype
        expected = naive(values, halved, mean)
        # the last bit, where a sum in double precision falls between two of them
        np.testing.assert_allclose(got, expected, rtol=np.finfo(dtype).eps, atol=1e-7)
        assert (np.isnan(got) == np.isnan(expected)).all()


def test_mean_of_infinities_does_not_warn() -> None:
    values = np.array([np.inf, 1, np.inf, -np.inf, 3e38, 3e38], "f4")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = halve(values, [True])
    assert got[0] == np.inf
    assert np.isnan(got[1])
    assert got[2] == np.float32(3e38)  # the sum has no float32, the mean has


def test_mean_of_a_mask_is_more_than_half() -> None:
    assert halve(np.array([1, 1, 1, 0, 0, 0, 1], "?"), [True]).tolist() == [
        True,
        False,
        False,
        True,
    ]


def test_nothing_halved_is_a_copy() -> None:
    values = np.arange(6).reshape(2, 3)
    got = halve(values, [False, False])
    assert not np.shares_memory(got, values)
    np.testing.assert_array_equal(got, values)


# --- scale factors ----------------------------------------------------------------


def test_isotropic_volumes_are_halved_until_they_are_small() -> None:
    sizes = {"z": 1280, "y": 1760, "x": 1760}
    got = scale_factors(sizes, dict.fromkeys(sizes, 100.0))
    assert got == tuple(dict.fromkeys(sizes, 2**k) for k in range(5))


def test_thick_slices_wait_until_the_others_are_as_coarse() -> None:
    sizes = {"z": 500, "y": 4000, "x": 4000}
    factors = scale_factors(sizes, {"z": 100.0, "y": 20.0, "x": 20.0})
    assert [f["z"] for f in factors] == [1, 1, 1, 2, 4, 8]
    assert [f["y"] for f in factors] == [1, 2, 4, 8, 16, 32]


@given(
    st.dictionaries(st.sampled_from("zyx"), st.integers(1, 5000), min_size=1),
    st.tuples(*[st.floats(0.1, 1000)] * 3),
)
def test_levels_become_isotropic_within_a_factor_of_two(
    sizes: dict[str, int], steps: tuple[float, ...]
) -> None:
    spacing = dict(zip("zyx", steps, strict=True))
    factors = scale_factors(sizes, spacing)
    last = {dim: -(-n // factors[-1][dim]) for dim, n in sizes.items()}
    assert max(last.values()) <= 128 or set(last.values()) == {1}
    for finer, coarser in itertools.pairwise(factors):
        assert finer != coarser
        assert all(coarser[dim] in (finer[dim], 2 * finer[dim]) for dim in sizes)
        long = [dim for dim in sizes if -(-sizes[dim] // finer[dim]) > 1]
        ratio = [
            max(spacing[d] * f[d] for d in long) / min(spacing[d] * f[d] for d in long)
            for f in (finer, coarser)
        ]
        assert ratio[1] <= max(ratio[0], 2) * (1 + 1e-9)


def test_so_many_levels_as_asked_for() -> None:
    assert len(scale_factors({"z": 9, "y": 8}, {"z": 1.0, "y": 1.0}, 3)) == 3
    assert len(scale_factors({"z": 9, "y": 8}, {"z": 1.0, "y": 1.0}, 1)) == 1
    with pytest.raises(GeometryError, match=r"z 9 x y 8 voxels has 5 levels at most.*levels=6"):
        scale_factors({"z": 9, "y": 8}, {"z": 1.0, "y": 1.0}, 6)
    with pytest.raises(GeometryError, match="levels=0: there is at least one"):
        scale_factors({"z": 9}, {"z": 1.0}, 0)
