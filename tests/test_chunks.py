"""Layouts by the metadata that zarr-python writes, and places by chunk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from brainxr.stores.chunks import ChunkLayout, spans


def layout_of(tmp_path: Path, **options: Any) -> ChunkLayout | None:
    given = {"shape": (20, 30), "chunks": (5, 6), "dtype": "u2"} | options
    array = zarr.create_array(tmp_path / "a", **given)
    return ChunkLayout.of(array.metadata.to_dict())


def test_a_sharded_layout(tmp_path: Path) -> None:
    layout = layout_of(tmp_path, shards=(10, 12), fill_value=3)
    assert layout is not None
    assert (layout.shape, layout.chunks, layout.shards) == ((20, 30), (5, 6), (10, 12))
    assert (layout.per_shard, layout.chunk_bytes, layout.fill) == ((2, 2), 60, 3)
    assert layout.has_index
    assert layout.index_has_checksum
    assert layout.key((1, 2)) == "c/1/2"


@pytest.mark.parametrize(
    ("options", "key"),
    [({"zarr_format": 2}, "1.2"), ({"zarr_format": 3}, "c/1/2"),
     ({"chunk_key_encoding": {"name": "default", "separator": "."}}, "c.1.2"),
     ({"chunk_key_encoding": {"name": "v2", "separator": "/"}}, "1/2"),
     ({"zarr_format": 2, "chunk_key_encoding": {"name": "v2", "separator": "/"}}, "1/2")],
)  # fmt: skip
def test_names_of_files(tmp_path: Path, options: dict[str, Any], key: str) -> None:
    layout = layout_of(tmp_path, **options)
    assert layout is not None
    assert layout.key((1, 2)) == key
    values = np.arange(600, dtype="u2").reshape(20, 30)
    zarr.open_array(tmp_path / "a")[...] = values
    assert (tmp_path / "a" / key).is_file()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.5])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_fill_values(tmp_path: Path, value: float, zarr_format: Any) -> None:
    layout = layout_of(tmp_path, dtype="f4", fill_value=value, zarr_format=zarr_format)
    assert layout is not None
    np.testing.assert_equal(float(layout.fill), value)


@pytest.mark.parametrize(
    "options",
    [{"zarr_format": 2, "order": "F"}, {"dtype": "c8"}, {"dtype": "datetime64[s]"},
     {"filters": [zarr.codecs.TransposeCodec(order=(1, 0))]},
     {"compressors": [zarr.codecs.ZstdCodec(), zarr.codecs.GzipCodec()]}],
)  # fmt: skip
def test_what_is_unusual(tmp_path: Path, options: dict[str, Any]) -> None:
    assert layout_of(tmp_path, **options) is None


@pytest.mark.parametrize("metadata", [{}, {"zarr_format": 3}, {"zarr_format": 2, "dtype": "?"}])
def test_what_is_no_metadata(metadata: dict[str, Any]) -> None:
    assert ChunkLayout.of(metadata) is None


@given(st.data())
def test_spans_are_all_places_once(data: st.DataObject) -> None:
    length, size = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 20))
    places = np.array(sorted(data.draw(st.sets(st.integers(0, length - 1)))), np.intp)
    start, step = data.draw(st.integers(0, length)), data.draw(st.integers(1, 9))
    for rows in (places, range(start, length, step)):
        expected = np.asarray(rows, np.intp)
        found = np.full(len(expected), -1)
        for span in spans(rows, size):
            inside = np.arange(size)[span.inside]
            assert (inside[0], inside[-1]) == (span.first, span.last)
            assert (found[span.outside] == -1).all()
            found[span.outside] = span.number * size + inside
        np.testing.assert_array_equal(found, expected)
