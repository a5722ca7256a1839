"""How pyramids are cut: every voxel of every level in one shard of one box, within memory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainxr.errors import GeometryError, TooBigError
from brainxr.writing.blocking import (
    BOXES_OF_A_TASK,
    CHUNKS_OF_A_THREAD,
    SHARD,
    Axis,
    Blocking,
    per_axis,
    plan,
)
from brainxr.writing.remote import RemoteStore

FULL = (1280, 1760, 1760)


def axes(
    shape: tuple[int, ...] = FULL, grain: tuple[int, ...] = (1, 1, 1), levels: int = 5,
    **said: Any,
) -> list[Axis]:  # fmt: skip
    factors = tuple(2**k for k in range(levels))
    listed = zip("zyx", shape, grain, SHARD, strict=True)
    return [Axis(dim, n, g, factors, usual, **said) for dim, n, g, usual in listed]


def cover(blocking: Blocking) -> None:
    """Every voxel of every level is in one shard, and every shard in one box."""
    for level in blocking.levels:
        times = np.zeros(level.shape, int)
        seen = set()
        for box in blocking.boxes:
            part = tuple(
                slice(p.start // f, -(-p.stop // f))
                for p, f in zip(blocking.place(box), level.factors, strict=True)
            )
            for number, window in blocking.shards(level, box):
                assert number not in seen
                seen.add(number)
                times[part][window] += 1
                starts = [n * s for n, s in zip(number, level.shards, strict=True)]
                begins = [p.start + w.start for p, w in zip(part, window, strict=True)]
                assert starts == begins
        assert (times == 1).all()
        assert all(s % c == 0 for s, c in zip(level.shards, level.chunks, strict=True))


@given(
    st.tuples(*[st.integers(1, 70)] * 3), st.integers(1, 4), st.sampled_from([1, 2, 3, 8, 100]),
    st.tuples(*[st.sampled_from([1, 2, 5, 1000])] * 3),
)  # fmt: skip
def test_every_voxel_is_in_one_shard_of_one_box(
    shape: tuple[int, ...], levels: int, chunk: int, grain: tuple[int, ...]
) -> None:
    factors = tuple(2**k for k in range(levels))
    cut = [
        Axis(d, n, min(g, n), factors, usual, chunk if chunk < 100 else None)
        for d, n, g, usual in zip("zyx", shape, grain, (8, 16, 16), strict=True)
    ]
    cover(plan(cut, 2))


@pytest.mark.parametrize("itemsize", [1, 2, 4])
@pytest.mark.parametrize("grain", [(1, 1, 1), (1, 8, 1), (1, 1760, 1)])
@pytest.mark.parametrize("memory", ["300 MiB", "1 GiB", "8 GiB"])
@pytest.mark.parametrize("held", [0.0, RemoteStore("memory://a").holds])
def test_boxes_fit_in_memory(
    itemsize: int, grain: tuple[int, ...], memory: str, held: float
) -> None:
    if held and itemsize > 1 and (grain[1], memory) == (1760, "300 MiB"):
        with pytest.raises(TooBigError, match="memory allows 300 MiB"):
            plan(axes(grain=grain), itemsize, memory, held)
        return
    blocking = plan(axes(grain=grain), itemsize, memory, held)
    size = itemsize * math.prod(min(b, n) for b, n in zip(blocking.box, FULL, strict=True))
    budget = {"300 MiB": 300, "1 GiB": 1024, "8 GiB": 8192}[memory] * 2**20
    chunk = itemsize * math.prod(blocking.levels[0].chunks)
    assert (BOXES_OF_A_TASK + held) * size + CHUNKS_OF_A_THREAD * chunk <= budget
    # what would decode a strip twice isn't cut
    assert blocking.box[1] % grain[1] == 0
    assert blocking.box[2] == FULL[2]


def test_the_box_does_not_depend_on_the_number_of_slices() -> None:
    assert plan(axes(), 2).box == plan(axes((100_000, 1760, 1760)), 2).box


def test_too_little_memory() -> None:
    with pytest.raises(TooBigError, match=r"z 16 x y 16 x x 1760 voxels.*memory='\d+ MiB'"):
        plan(axes(), 2, "1 MiB")
    # what the caller said isn't made smaller
    with pytest.raises(TooBigError, match="z 512 x y 512 x x 1760"):
        plan(axes(shard=512), 2)


def test_chunks_and_shards_that_do_not_fit() -> None:
    with pytest.raises(
        GeometryError, match=r"100 voxels along 'z' doesn't hold whole chunks of 64"
    ):
        plan(axes(shard=100, chunk=64), 1)
    with pytest.raises(GeometryError, match=r"100 voxels along 'z' can't be halved.* has 16"):
        plan(axes(shard=100), 1)


def test_said_by_axis_or_for_all() -> None:
    assert per_axis(None, ("z", "y"), "chunks") == {}
    assert per_axis(32, ("z", "y"), "chunks") == {"z": 32, "y": 32}
    assert per_axis({"y": 8}, ("z", "y"), "chunks") == {"y": 8}
    with pytest.raises(GeometryError, match="chunks has 't'; the axes are z, y"):
        per_axis({"t": 8}, ("z", "y"), "chunks")
    for wrong in (0, -1, 2.5, True, "8"):
        with pytest.raises(GeometryError, match="shards along 'z' is"):
            per_axis({"z": wrong}, ("z", "y"), "shards")


def test_said_chunks_and_shards_are_those_of_level_0() -> None:
    blocking = plan(axes(chunk=32, shard=128), 1)
    assert blocking.levels[0].chunks == (32, 32, 32)
    assert blocking.levels[0].shards == (128, 128, 128)
    assert blocking.levels[1].shards == (64, 64, 128)
