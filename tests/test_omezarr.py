"""Stores of OME-Zarr as volumes: the same values and places, by whichever reader."""

from __future__ import annotations

import json
import pickle
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from stores import FINEST, MadeStore, make_store
from xarray.testing import assert_identical

import brainxr
from brainxr.errors import (
    EmptyStackError,
    GeometryError,
    SpacingWarning,
    StackError,
    StoreError,
    StoreReadError,
)
from brainxr.lazy.unloaded import stack_of
from brainxr.stores.chunkreader import ChunkReader
from brainxr.stores.extras import Extra
from brainxr.stores.ngff import Channel, Image, to_attributes
from brainxr.stores.storesource import StoreSource
from brainxr.stores.zarrstore import ZarrReader

SELECTIONS: dict[str, dict[str, Any]] = {
    "all": {},
    "axial": {"z": 20},
    "coronal": {"y": 3},
    "sagittal": {"x": -1},
    "strided and reversed": {"z": slice(3, 19, 3), "x": slice(None, None, -1)},
    "a list": {"y": [3, 1, 25, 3]},
    "two lists": {"z": [1, 9], "x": [0, 17, 34]},
    "a voxel": {"z": 4, "y": 5, "x": 6},
    "nothing": {"z": slice(0, 0)},
}

KINDS: dict[str, dict[str, Any]] = {
    "v2": {"zarr_format": 2},
    "v2, big-endian": {"zarr_format": 2, "dtype": ">u2", "codec": "zstd"},
    "v2, zlib": {"zarr_format": 2, "codec": "zlib", "dtype": "i4"},
    "v2, uncompressed": {"zarr_format": 2, "codec": "none", "dtype": "f8"},
    "v3": {},
    "v3, sharded": {"shards": (16, 8, 32)},
    "v3, sharded, checksums": {"shards": (16, 8, 32), "checksum": True},
    "v3, big-endian": {"dtype": ">f4", "codec": "gzip", "checksum": True},
    "v3, uncompressed": {"codec": "none", "dtype": "i1", "shards": (8, 24, 16)},
    "v3, uncompressed, checksums": {"codec": "none", "dtype": "u1", "checksum": True},
    "v3, zstd": {"codec": "zstd", "shards": (24, 4, 16), "dtype": "f4"},
    "v3, bool": {"dtype": "bool"},
}


def source_of(volume: xr.DataArray) -> StoreSource:
    stack = stack_of(volume)
    assert stack is not None
    assert isinstance(stack.source, StoreSource)
    return stack.source


# --- values -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_values_of_every_layout(tmp_path: Path, kind: str) -> None:
    made = make_store(tmp_path / "a.zarr", **KINDS[kind])
    twin = made.twin()
    volume, lazy = brainxr.open(made.path), brainxr.open(made.path, chunks=None)
    assert isinstance(source_of(volume).reader, ChunkReader)
    for selection in SELECTIONS.values():
        for opened in (volume, lazy, volume.transpose("x", "z", "y")):
            found = opened.isel(selection)
            np.testing.assert_array_equal(found, twin.isel(selection).transpose(*found.dims))


@pytest.mark.parametrize("options", [{"order": "F"}, {"codec": "lz4"}], ids=["order", "codec"])
def test_what_is_unusual_is_left_to_zarr(tmp_path: Path, options: dict[str, Any]) -> None:
    made = make_store(tmp_path / "a.zarr", zarr_format=2, **options)
    volume = brainxr.open(made.path)
    assert isinstance(source_of(volume).reader, ZarrReader)
    for selection in SELECTIONS.values():
        np.testing.assert_array_equal(volume.isel(selection), made.twin().isel(selection))


def test_points(tmp_path: Path) -> None:
    made = make_store(tmp_path / "a.zarr", shards=(16, 8, 32))
    rng = np.random.default_rng(0)
    at = {dim: xr.DataArray(rng.integers(0, n, 50), dims="p")
          for dim, n in zip("zyx", made.levels[0].shape, strict=True)}  # fmt: skip
    for chunks in ("auto", None):
        volume = brainxr.open(made.path, chunks=chunks)
        np.testing.assert_array_equal(volume.isel(at), made.twin().isel(at))


def test_what_was_never_written_is_the_fill_value(tmp_path: Path) -> None:
    made = make_store(tmp_path / "a.zarr", shards=(8, 8, 16), fill_value=7)
    array = zarr.open_array(tmp_path / "a.zarr" / "0")
    array[8:16] = 7  # whole shards, which are not kept
    expected = made.levels[0].copy()
    expected[8:16] = 7
    assert not (tmp_path / "a.zarr/0/c/1/0/0").exists()
    np.testing.assert_array_equal(brainxr.open(made.path), expected)


@pytest.mark.parametrize("chunks", ["auto", {"z": 5}, {"y": 8, "x": -1}, 7])
def test_chunks_of_dask(tmp_path: Path, chunks: Any) -> None:
    made = make_store(tmp_path / "a.zarr")
    volume = brainxr.open(made.path, chunks=chunks)
    np.testing.assert_array_equal(volume[1:, ::-1], made.levels[0][1:, ::-1])
    np.testing.assert_array_equal(volume.max("z"), made.levels[0].max(0))


def test_chunks_are_cut_where_those_of_the_store_are(tmp_path: Path) -> None:
    import dask

    made = make_store(tmp_path / "a.zarr")
    with dask.config.set({"array.chunk-size": "8 kiB"}):
        volume = brainxr.open(made.path)
        assert volume.chunks == ((8, 8, 5), (8, 8, 8, 2), (35,))
        assert volume[3:].chunks[0] == (5, 8, 5)
        assert volume[3:][::-1].chunks[0] == (5, 8, 5)


@pytest.mark.parametrize("name", ["max", "min", "sum", "mean", "std", "var"])
def test_reductions(tmp_path: Path, name: str) -> None:
    made = make_store(tmp_path / "a.zarr", shards=(8, 8, 16))
    volume = brainxr.open(made.path)
    for dims in ("z", ["y", "x"], ["z", "x"], ["z", "y", "x"]):
        expected = getattr(made.twin()[2:, ::-1], name)(dims)
        np.testing.assert_allclose(getattr(volume[2:, ::-1], name)(dims), expected, rtol=1e-12)


def test_read_by_other_processes_and_later(tmp_path: Path) -> None:
    made = make_store(tmp_path / "a.zarr")
    for chunks in ("auto", None):
        volume = brainxr.open(made.path, chunks=chunks)
        volume[0].load()  # a reader has been made
        assert len(pickle.dumps(volume)) < 20_000
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(volume)), made.levels[0])


def test_only_what_is_needed_is_read(tmp_path: Path, bytes_read: Any) -> None:
    made = make_store(tmp_path / "a.zarr", (64, 64, 64), codec="none", chunks=(16, 16, 16),
                      shards=(32, 32, 32), dtype="u1")  # fmt: skip
    with bytes_read() as opening:
        volume = brainxr.open(made.path)
    assert opening.count < 64 * 1024  # metadata
    with bytes_read() as plane:
        volume.isel(z=5).load()
    # 16 planes of 16 x 16 in chunks that are not compressed, and 4 indexes of 8 chunks; the
    # threads that wake each other read some bytes, too
    assert 0 <= plane.count - (16 * 16 * 16 + 4 * (8 * 16 + 4)) < 64
    with bytes_read() as box:
        volume[16:32, :16, :16].load()
    assert 0 <= box.count - 16**3 < 64  # the index is known by now


def test_cost(tmp_path: Path) -> None:
    made = make_store(tmp_path / "a.zarr")
    volume = brainxr.open(made.path)
    cost = volume.isel(y=3).brain.cost()
    assert (cost.slices, cost.chunks) == (0, 3 * 3)
    assert cost.bytes_to_read == 9 * 8 * 4 * 16 * 2
    assert str(cost) == "9.22 kB to read from 9 chunks, 1.47 kB of result"
    assert (volume[:8].mean() + 1).brain.cost().chunks == 7 * 3


# --- places -----------------------------------------------------------------------


def test_coordinates(tmp_path: Path) -> None:
    made = make_store(tmp_path / "a.zarr")
    volume = brainxr.open(made.path)
    assert volume.dims == ("z", "y", "x")
    assert volume.sel(z="1.05 mm").z.item() == 1050
    assert volume.z.attrs == {"units": "micrometer", "spacing": 50.0}
    assert volume.attrs == {"source": made.path, "spacing_source": "OME-Zarr 0.5 metadata"}
    for dim in "zyx":
        np.testing.assert_array_equal(volume[dim], made.twin()[dim])


def test_levels(tmp_path: Path) -> None:
    made = make_store(tmp_path / "a.zarr", levels=3)
    tree = brainxr.open_pyramid(made.path)
    assert list(tree.children) == ["0", "1", "2"]
    for number in range(3):
        found, twin = tree[str(number)].intensity, made.twin(number)
        np.testing.assert_array_equal(found, twin)
        for dim in "zyx":
            np.testing.assert_allclose(found[dim], twin[dim], rtol=1e-12)
        assert_identical(found.load(), brainxr.open(made.path, level=number).load())
    assert tree["1"].z.values[0] == 1025
    assert brainxr.open(made.path, level=-1).shape == made.levels[2].shape
    with pytest.raises(StoreError, match=r"no level '1' in"):
        brainxr.open(made.path, level="1")  # type: ignore[arg-type]
    with pytest.raises(StoreError, match=r"no level 3 in .*which has 0 to 2"):
        brainxr.open(made.path, level=3)
    assert all(v.chunks is None for v in brainxr.open_pyramid(made.path, chunks=None)["1"].values())


def test_the_same_volume_as_was_written(make_stack: Any, tmp_path: Path) -> None:
    vol = brainxr.open(make_stack((5, 7, 11), numbers=range(3, 8)).path)
    for number, selected in enumerate(
        (vol, vol[1:4], vol[::-1, :, ::-2], vol.rename("other").assign_attrs(a=[1, 2.5]),
         vol.assign_coords(t=3.5, other=("y", np.arange(7)[::-1])), vol[::2], vol[2:3])
    ):  # fmt: skip
        extra = Extra.of(selected)
        upwards = selected.isel(dict.fromkeys(extra.falling, slice(None, None, -1)))
        grid = upwards.brain.grid
        level = FINEST.__class__("0", grid.spacing, grid.origin)
        group = zarr.open_group(tmp_path / f"{number}.zarr", mode="w", zarr_format=3)
        group.attrs.update(to_attributes(Image(("z", "y", "x"), (level,), extra=extra)))
        group.create_array("0", data=upwards.values, chunks=(2, 4, 4))
        assert_identical(selected.load(), brainxr.open(tmp_path / f"{number}.zarr").load())


def test_another_spacing_and_origin(tmp_path: Path) -> None:
    made = make_store(tmp_path / "a.zarr", levels=2)
    with pytest.warns(SpacingWarning, match=r"z: 100 µm given, 50 µm there"):
        tree = brainxr.open_pyramid(made.path, spacing={"z": 100, "y": 20}, origin={"z": 0})
    assert tree["0"].z.values[:2].tolist() == [0, 100]
    assert tree["1"].z.values[:2].tolist() == [50, 250]
    assert tree["1"].y.values[:2].tolist() == [10, 50]


# --- axes -------------------------------------------------------------------------


def store_of_axes(folder: Path, dims: str, shape: tuple[int, ...], **attributes: Any) -> np.ndarray:
    values = np.arange(np.prod(shape), dtype="u4").reshape(shape)
    group = zarr.open_group(folder, mode="w", zarr_format=3)
    channels = (Channel("DAPI", (0, 9)), Channel("GFP", (0, 9)))
    level = FINEST.__class__("0", dict.fromkeys("zyx", 2.0), dict.fromkeys("zyx", 0.0))
    made = to_attributes(Image(tuple(dims), (level,), channels=channels))
    group.attrs.update(made | attributes)
    group.create_array("0", data=values, chunks=tuple(max(1, n // 2) for n in shape))
    return values


def test_axes_in_any_order(tmp_path: Path) -> None:
    values = store_of_axes(tmp_path / "a.zarr", "xzy", (3, 4, 5))
    volume = brainxr.open(tmp_path / "a.zarr")
    assert volume.dims == ("z", "y", "x")
    np.testing.assert_array_equal(volume, values.transpose(1, 2, 0))
    np.testing.assert_array_equal(volume.max("y"), values.max(2).T)


def test_one_of_more_axes(tmp_path: Path) -> None:
    path = str(tmp_path / "a.zarr")
    values = store_of_axes(tmp_path / "a.zarr", "tczyx", (3, 2, 4, 5, 6))
    volume = brainxr.open(path, at={"t": -1, "c": "GFP"})
    np.testing.assert_array_equal(volume, values[2, 1])
    assert (volume.t.item(), volume.c.item()) == (2, "GFP")
    assert volume.brain.cost().chunks == 2 * 3 * 2
    np.testing.assert_array_equal(volume.mean("z"), values[2, 1].mean(0))
    tree = brainxr.open_pyramid(path, at={"t": 0, "c": 1}, chunks=None)
    np.testing.assert_array_equal(tree["0"].intensity, values[0, 1])
    for at, message in (
        (None, r"has 3 along 't' and 2 along 'c' \(DAPI, GFP\), .*at=\{'t': 0, 'c': 0\}\)"),
        ({"t": 0}, r"has 2 along 'c' \(DAPI, GFP\).*at=\{'c': 0\}\)"),
        ({"t": 3, "c": 0}, r"no 3 along 't' .*which has 0 to 2\."),
        ({"t": 0, "c": "RFP"}, r"no 'RFP' along 'c' .*0 to 1 \(DAPI, GFP\)"),
        ({"s": 0}, r"at has the axis 's'; .* has 't', 'c' besides"),
    ):
        with pytest.raises(StoreError, match=message):
            brainxr.open(path, at=at)


def test_axes_of_length_one_need_no_choice(tmp_path: Path) -> None:
    values = store_of_axes(tmp_path / "a.zarr", "tczyx", (1, 1, 4, 5, 6))
    volume = brainxr.open(tmp_path / "a.zarr")
    assert set(volume.coords) == {"z", "y", "x"}
    np.testing.assert_array_equal(volume, values[0, 0])


def test_a_picture(tmp_path: Path) -> None:
    values = store_of_axes(tmp_path / "a.zarr", "yx", (5, 6))
    picture = brainxr.open(tmp_path / "a.zarr", chunks={"y": 2})
    assert picture.dims == ("y", "x")
    np.testing.assert_array_equal(picture, values)
    with pytest.raises(ValueError, match="chunks has 'z'; the dimensions are y and x"):
        brainxr.open(tmp_path / "a.zarr", chunks={"z": 2})


# --- the other door, and stores elsewhere -----------------------------------------


def test_engine(tmp_path: Path) -> None:
    made = make_store(tmp_path / "a.zarr", levels=2)
    data = xr.open_dataset(made.path, engine="brainxr", level=1)
    assert_identical(data.intensity.load(), brainxr.open(made.path, level=1).load())
    chunked = xr.open_dataset(made.path, engine="brainxr", chunks={})
    np.testing.assert_array_equal(chunked.intensity, made.levels[0])


class Ranges(SimpleHTTPRequestHandler):
    """Serves parts of files, as web servers do and Python's own doesn't."""

    def do_GET(self) -> None:
        path, wanted = Path(self.translate_path(self.path)), self.headers.get("Range")
        if wanted is None or not path.is_file():
            super().do_GET()
            return
        start, _, stop = wanted.removeprefix("bytes=").partition("-")
        whole = path.read_bytes()
        first = int(start) if start else len(whole) - int(stop)
        part = whole[first : int(stop) + 1] if start and stop else whole[first:]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(whole)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A web server of the folder on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Ranges, directory=tmp_path)) as web:
        thread = threading.Thread(target=web.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{web.server_port}"
        web.shutdown()
        thread.join()


def test_http(tmp_path: Path, server: str) -> None:
    pytest.importorskip("aiohttp")
    made = make_store(tmp_path / "a.zarr", levels=2)
    volume = brainxr.open(f"{server}/a.zarr", level=1)
    np.testing.assert_array_equal(volume[3], made.levels[1][3])
    with pytest.raises(EmptyStackError, match=r"no Zarr group or array at 'http"):
        brainxr.open(f"{server}/b.zarr")


def test_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a server on this machine that speaks like S3."""
    moto = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    made = make_store(tmp_path / "a.zarr", levels=2, shards=(16, 8, 32))
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    options = {"endpoint_url": "http://{}:{}".format(*server.get_host_and_port())}
    files = s3fs.S3FileSystem(**options)
    files.mkdir("brains")
    files.put(made.path, "brains/a.zarr", recursive=True)
    volume = brainxr.open("s3://brains/a.zarr", level=1, storage_options=options)
    np.testing.assert_array_equal(volume[:, 3], made.levels[1][:, 3])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(volume))[0], made.levels[1][0])
    with pytest.raises(EmptyStackError, match=r"no Zarr group or array at 's3://brains/b.zarr'"):
        brainxr.open("s3://brains/b.zarr", storage_options=options)
    server.stop()


def test_memory(tmp_path: Path) -> None:
    import fsspec

    made = make_store(tmp_path / "a.zarr", shards=(16, 8, 32))
    files = fsspec.filesystem("memory")
    files.put(made.path, "/a.zarr", recursive=True)
    volume = brainxr.open("memory://a.zarr")
    np.testing.assert_array_equal(volume[:, ::-1, 3], made.levels[0][:, ::-1, 3])
    files.rm("/a.zarr", recursive=True)


# --- what is wrong ----------------------------------------------------------------


def test_what_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(EmptyStackError, match=r"There is no store .*nowhere.zarr'"):
        brainxr.open(tmp_path / "nowhere.zarr")
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(EmptyStackError, match=r"no Zarr group or array at .*zarr.json"):
        brainxr.open(tmp_path / "empty.zarr")
    with pytest.raises(StoreError, match=r"'foo://b/a.zarr' is no URL that fsspec opens: .*foo"):
        brainxr.open("foo://b/a.zarr")
    zarr.create_array(tmp_path / "plain.zarr", shape=(3, 4), dtype="u1")
    with pytest.raises(StoreError, match=r"Zarr array of shape \(3, 4\), and nothing tells"):
        brainxr.open(tmp_path / "plain.zarr")
    zarr.open_group(tmp_path / "group.zarr", mode="w")
    with pytest.raises(StoreError, match=r"is a Zarr group, but no image"):
        brainxr.open(tmp_path / "group.zarr")


def test_damaged_metadata(tmp_path: Path) -> None:
    made = make_store(tmp_path / "a.zarr")
    text = (made.folder / "zarr.json").read_text()
    for broken in (
        text[: len(text) // 2],
        "{}",
        "[]",
        text.replace('"zarr_format": 3', '"zarr_format": 9'),
    ):
        (made.folder / "zarr.json").write_text(broken)
        with pytest.raises((StoreError, EmptyStackError), match=r"a\.zarr'"):
            brainxr.open(made.path)


def test_a_level_that_is_missing_or_another_thing(tmp_path: Path) -> None:
    made = make_store(tmp_path / "a.zarr", levels=2)
    brainxr.open(made.path)
    shutil.rmtree(made.folder / "1")
    with pytest.raises(StoreError, match=r"The level '1' that the metadata of .* list is missing"):
        brainxr.open_pyramid(made.path)
    zarr.create_array(made.folder / "1", shape=(3, 4), dtype="u1")
    with pytest.raises(
        StoreError, match=r"has the shape \(3, 4\) .*expected numbers along z, y, x"
    ):
        brainxr.open(made.path, level=1)


@pytest.mark.parametrize(
    ("unit", "found"),
    [(None, "no unit"), ("", "the unit ''"), ("pixel", "the unit 'pixel'"), ("second", "'second'")],
)
def test_no_unit_of_length(tmp_path: Path, unit: str | None, found: str) -> None:
    made = make_store(tmp_path / "a.zarr")
    path = made.folder / "zarr.json"
    metadata = json.loads(path.read_text())
    metadata["attributes"]["ome"]["multiscales"][0]["axes"][0]["unit"] = unit
    path.write_text(json.dumps(metadata))
    said = rf"axes z of .* have .*{found}, expected a unit of length .*spacing=\{{'z': '50 µm'\}}"
    with pytest.raises(GeometryError, match=said):
        brainxr.open(made.path)
    volume = brainxr.open(made.path, spacing={"z": "50 nm"})
    assert volume.z.values[:2].tolist() == pytest.approx([1.0, 1.05])


def test_options_of_the_other_kind(tmp_path: Path, shared_stack: Any) -> None:
    made = make_store(tmp_path / "a.zarr")
    with pytest.raises(StoreError, match="leave out plane, missing, inside"):
        brainxr.open(made.path, plane="axial")
    with pytest.raises(StackError, match="is not a Zarr store, and only these have 'level'"):
        brainxr.open(shared_stack.path, level=1)


# --- damaged chunks ---------------------------------------------------------------

SHARD = "0/c/0/1/0"


@pytest.fixture
def sharded(tmp_path: Path) -> MadeStore:
    """Shards of 8 chunks, compressed so that any byte matters."""
    return make_store(tmp_path / "a.zarr", shards=(16, 8, 32), checksum=True,
                      extra=Extra(every_shard=True))  # fmt: skip


def rewrite(path: Path, change: Any) -> None:
    packed = bytearray(path.read_bytes())
    path.write_bytes(bytes(change(packed) or packed))


def flip(place: int) -> Any:
    def change(packed: bytearray) -> None:
        packed[place] ^= 0xFF

    return change


@pytest.mark.parametrize(
    ("change", "why"),
    [(flip(40), "the checksum of the chunk is"),
     (flip(-9), "the checksum of the index of the file is"),
     (lambda packed: packed[:100], "the file is truncated: 100 bytes"),
     (lambda packed: b"\0", "the file is truncated: 1 bytes"),
     (lambda packed: packed[7:], "")],
)  # fmt: skip
def test_a_damaged_shard_is_named(sharded: MadeStore, change: Any, why: str) -> None:
    rewrite(sharded.folder / SHARD, change)
    volume = brainxr.open(sharded.path)
    where = r"Chunk \(z [01], y 2, x [01]\) of .*a.zarr/0' can't be read: "
    holds = (
        r".*It holds z 0.975 mm|z 975 µm to 1\.[37]75 mm, y 150 µm to 230 µm, x .* in '.*c/0/1/0'"
    )
    for selection in ({}, {"y": 9}, {"z": 3}):
        with pytest.raises(StoreReadError, match=where + why) as error:
            volume.isel(selection).load()
        assert error.match(holds)
    # the others are whole
    np.testing.assert_array_equal(volume[:, :8], sharded.levels[0][:, :8])


def test_a_missing_shard_is_a_loss_where_all_were_written(sharded: MadeStore) -> None:
    (sharded.folder / SHARD).unlink()
    with pytest.raises(StoreReadError, match=r"Chunk \(z 0, y 2, x 0\) .*the file is missing"):
        brainxr.open(sharded.path).load()


def test_a_missing_shard_elsewhere(sharded: MadeStore, server: str) -> None:
    pytest.importorskip("aiohttp")
    (sharded.folder / SHARD).unlink()
    volume = brainxr.open(f"{server}/a.zarr")
    np.testing.assert_array_equal(volume[:, :8], sharded.levels[0][:, :8])
    with pytest.raises(StoreReadError, match=r"Chunk \(z 0, y 2, x 0\) .*the file is missing"):
        volume.isel(y=9).load()


def test_damage_that_zarr_finds_is_named_too(sharded: MadeStore, server: str) -> None:
    pytest.importorskip("aiohttp")
    rewrite(sharded.folder / SHARD, flip(40))
    with pytest.raises(StoreReadError, match=r"Chunk \(z \d, y 2, x \d\) .*It holds z "):
        brainxr.open(f"{server}/a.zarr").load()


def test_a_chunk_without_checksum_that_can_not_be_decoded(tmp_path: Path) -> None:
    made = make_store(tmp_path / "a.zarr")
    rewrite(made.folder / "0/c/1/2/0", lambda packed: packed[:30])
    volume = brainxr.open(made.path)
    for selection in ({}, {"z": 9}):
        with pytest.raises(StoreReadError, match=r"Chunk \(z 1, y 2, x 0\) .*can't be read"):
            volume.isel(selection).load()


def test_a_file_that_changed_since_is_refused(sharded: MadeStore) -> None:
    volume = brainxr.open(sharded.path)
    volume.isel(y=9).load()
    rewrite(sharded.folder / SHARD, lambda packed: packed)
    with pytest.raises(StoreReadError, match=r"changed after .*Open the store again\."):
        volume.isel(y=9).load()
    np.testing.assert_array_equal(brainxr.open(sharded.path), sharded.levels[0])
