"""Limits of contrast, against what numpy says of the values that should count."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from brainxr.contrast import contrast_limits


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_outliers_are_cut(rng: np.random.Generator) -> None:
    values = rng.normal(100, 10, 100_000)
    low, high = contrast_limits(np.concatenate([values, [-1e6, 1e6]]))
    assert low == pytest.approx(np.percentile(values, 0.1), abs=0.5)
    assert high == pytest.approx(np.percentile(values, 99.8), abs=0.5)


@pytest.mark.parametrize("frame", [0, 255])
def test_a_constant_frame_does_not_count(rng: np.random.Generator, frame: int) -> None:
    """A brain that fills 2% of a padded image has the limits of the brain."""
    brain = rng.integers(40, 200, (70, 80), dtype="uint8")
    image = np.full((500, 600), frame, "uint8")
    image[100:170, 200:280] = brain
    assert contrast_limits(image) == contrast_limits(brain)
    assert contrast_limits(image) == (40, 199)


def test_a_frame_without_noise_beside_noise(rng: np.random.Generator) -> None:
    brain = rng.normal(600, 50, 10_000).astype("float32")
    image = np.concatenate([np.zeros(90_000, "float32"), brain])
    assert contrast_limits(image) == contrast_limits(brain)


def test_a_level_in_the_middle_is_no_background() -> None:
    values = np.concatenate([np.arange(1000), np.full(5000, 500)])
    assert contrast_limits(values) == (6, 987)


def test_a_rare_lowest_value_is_no_background() -> None:
    assert contrast_limits(np.arange(500)) == (0, 498)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_does_not_count(bad: float) -> None:
    values = np.arange(5000, dtype="float32")
    assert contrast_limits(np.append(values, [bad] * 9000)) == contrast_limits(values)


def test_two_values_are_black_and_white() -> None:
    assert contrast_limits(np.repeat([3, 9], [900, 100])) == (3, 9)


def test_one_bright_voxel_in_an_empty_image_is_seen() -> None:
    image = np.zeros((300, 400), "uint16")
    image[7, 9] = 1234
    assert contrast_limits(image) == (0, 1234)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.zeros(5, bool), (0, 1)),
        (np.array([True, False]), (0, 1)),
        (np.full(5, 7, "uint8"), (7, 8)),
        (np.full(5, -3.5), (-3.5, -2.5)),
        (np.zeros(5), (0, 1)),
        (np.zeros(5, "uint8"), (0, 255)),
        (np.zeros(5, "int16"), (0, 32767)),
        (np.zeros(5, "uint32"), (0, 65535)),
        (np.full(5, np.nan), (0, 1)),
        (np.zeros((0, 4)), (0, 1)),
        (5.0, (5, 6)),
    ],
)
def test_constant_and_empty(values: Any, expected: tuple[float, float]) -> None:
    assert contrast_limits(values) == expected


@pytest.mark.parametrize("constant", [1e10, -1e10, 3e38])
def test_limits_of_a_large_constant_differ_as_float32(constant: float) -> None:
    low, high = np.float32(contrast_limits(np.full(9, constant, "float32")))
    assert low == np.float32(constant)
    assert low < high


@given(
    hnp.arrays(
        st.sampled_from(["uint8", "int16", "uint16", "int64", "float16", "float32", "float64"]),
        hnp.array_shapes(max_dims=3, max_side=6, min_side=0),
    )
)
def test_limits_are_finite_and_in_order(values: npt.NDArray[Any]) -> None:
    low, high = contrast_limits(values)
    assert np.isfinite([low, high]).all()
    assert low < high


def test_the_values_are_left_alone() -> None:
    values = np.array([[3.0, np.nan], [1.0, 2.0]])
    before = values.copy()
    contrast_limits(values)
    np.testing.assert_array_equal(values, before)


@pytest.mark.parametrize("values", [np.array(["a"]), np.ones(3, complex), np.array([None])])
def test_what_has_no_contrast(values: npt.NDArray[Any]) -> None:
    with pytest.raises(TypeError, match=rf"type {values.dtype} have no contrast"):
        contrast_limits(values)
