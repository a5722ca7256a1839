"""Every case of the suite against brainxr: the right voxels, or an error that helps."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import brainxr

from . import CASES
from .case import Case, Refused, Values, home, locked
from .writers import has

SECONDS = 30  # no case takes a second, but a machine may be busy

# Parts of a volume that are read in different ways: as a whole, a row and a column of
# each slice, each slice by itself, and a box with strides.
PARTS: list[dict[str, Any]] = [
    {},
    {"y": 3},
    {"x": 4},
    {"y": slice(1, 6, 2), "x": slice(None, None, -3)},
]


@contextmanager
def time_limit() -> Iterator[None]:
    """An error instead of a hang."""

    def end(*_: object) -> None:
        raise TimeoutError(f"took more than {SECONDS} s")

    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Case:
    case: Case = request.param
    if case.tool and not has(case.tool):
        if os.environ.get("BRAINXR_REQUIRE_TOOLS"):
            pytest.fail(f"{case.tool} is not installed, and the cases that it writes must run")
        pytest.skip(f"{case.tool} is not installed")
    return case


def _of(kind: type) -> Any:
    chosen = [case for case in CASES if isinstance(case.expect, kind)]
    return pytest.mark.parametrize(
        "case", chosen, indirect=True, ids=[f"{c.family}: {c.name}" for c in chosen]
    )


def _opened(case: Case, folder: Path, **options: Any) -> xr.DataArray:
    volume = brainxr.open(case.target(folder), **{**case.options, **options})
    if case.between is not None:
        case.between(folder)
    return volume


@_of(Values)
def test_the_voxels_are_right(case: Case) -> None:
    expect: Any = case.expect
    with home(case) as folder, locked(case, folder), time_limit(), expected_warning(expect):
        values = expect.array(folder)
        if case.act is not None:
            np.testing.assert_array_equal(case.act(folder), values)
            return
        for chunks in ("auto", None):
            if case.between is None or chunks == "auto":
                compare(_opened(case, folder, chunks=chunks), values, expect)


def compare(volume: xr.DataArray, values: np.ndarray, expect: Values) -> None:
    """Shape, type, every voxel and every coordinate."""
    assert volume.dims == ("z", "y", "x")
    assert volume.shape == values.shape
    assert volume.dtype == values.dtype
    twin = xr.DataArray(values, dims=("z", "y", "x"))
    for part in PARTS:
        if all(not isinstance(place, int) or place < twin.sizes[d] for d, place in part.items()):
            np.testing.assert_array_equal(volume.isel(part).values, twin.isel(part).values)
    for place in range(len(values)):
        np.testing.assert_array_equal(volume.isel(z=place).values, values[place])
    places = {"z": expect.numbers or range(len(values))}
    for dim in "zyx":
        positions = np.asarray(places.get(dim, range(volume.sizes[dim])))
        np.testing.assert_allclose(volume[dim], positions * expect.spacing[dim])


@contextmanager
def expected_warning(expect: Values) -> Iterator[None]:
    """The one warning that has to be given; any other is an error."""
    if expect.warning is None:
        yield
        return
    kind, words = expect.warning
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    assert {type(w.message).__name__ for w in caught} == {kind}
    for warning in caught:
        assert all(word in str(warning.message) for word in words), warning.message


@_of(Refused)
def test_what_is_wrong_is_said(case: Case) -> None:
    expect: Any = case.expect
    with home(case) as folder, locked(case, folder), time_limit():
        if case.act is not None:
            refusal(expect, lambda: case.act(folder))
        elif expect.at == "open":
            refusal(expect, lambda: _opened(case, folder))
        else:
            volume = _opened(case, folder)
            for part in [{}] if expect.found_by == "deep" else PARTS:
                refusal(expect, lambda part=part: volume.isel(part).values)


def refusal(expect: Refused, act: Any) -> None:
    with pytest.raises((Exception,)) as caught:
        act()
    error, message = caught.value, str(caught.value)
    assert type(error).__name__ == expect.kind, f"{type(error).__name__}: {message}"
    for word in expect.words:
        assert word in message, message
    assert len(message) < 2000, "nobody reads that much"


@pytest.mark.parametrize(
    "case",
    [c for c in CASES if isinstance(c.expect, Refused) and c.expect.found_by],
    indirect=True, ids=lambda c: f"{c.family}: {c.name}",
)  # fmt: skip
def test_an_inspection_finds_it_beforehand(case: Case) -> None:
    expect: Any = case.expect
    with home(case) as folder, locked(case, folder), time_limit():
        report = brainxr.check(case.target(folder), deep=expect.found_by == "deep")
    assert not report.ok
    assert expect.words[0] in str(report)


def test_the_suite_is_one() -> None:
    names = Counter((case.family, case.name) for case in CASES)
    assert not [name for name, count in names.items() if count > 1]
    if sys.platform == "linux":
        assert len(CASES) >= 300
