"""Slices at URLs against the same slices in a folder; what is asked of the servers is counted."""

from __future__ import annotations

import logging
import pickle
import socket
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import fsspec
import numpy as np
import pytest
import tifffile
import xarray as xr
from click.testing import CliRunner
from conftest import MadeStack, make_stack_in
from servers import Web, serving
from test_open import DOORS, SELECTIONS
from zips import zip_of

import brainxr
from brainxr import EmptyStackError, SliceReadError, StackError
from brainxr.cli import main
from brainxr.files.urls import GAP_BYTES, Address, merge
from brainxr.lazy.unloaded import stack_of
from brainxr.stacks.farslices import find_far

pytest.importorskip("aiohttp")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Web]:
    with serving(folder) as web:
        yield web


@pytest.fixture
def web(server: Web) -> Iterator[Web]:
    server.forget()
    yield server
    server.ranges = server.lists = True
    server.etags = None
    server.pause, server.signature = 0.0, ""


@pytest.fixture(scope="module")
def made(folder: Path) -> MadeStack:
    """Five slices of 7 x 11."""
    return make_stack_in(folder)


@pytest.fixture(scope="module")
def big(folder: Path) -> MadeStack:
    """Forty slices of 300 x 500, each of 300 kB."""
    made = make_stack_in(folder, (40, 300, 500), folder="big_100um_iso")
    for how in ("stored", "deflated"):
        zip_of(made, folder / f"{how}.zip", how)
    return made


def url_of(web: Web, made: MadeStack) -> str:
    first, last = made.paths[0].name[6:9], made.paths[-1].name[6:9]
    return f"{web.url}/{made.folder.name}/slice_{{{first}..{last}}}.tif"


# --- what is read -------------------------------------------------------------------


@pytest.mark.parametrize("door", DOORS)
def test_as_from_a_folder(web: Web, made: MadeStack, door: str) -> None:
    twin = made.twin(source=f"{web.url}/stack_100um_iso", spacing_source="name '100um'")
    volume = DOORS[door](url_of(web, made))
    xr.testing.assert_identical(volume.compute(), twin)
    for name, select in SELECTIONS.items():
        np.testing.assert_array_equal(select(volume).values, select(twin).values, err_msg=name)
    np.testing.assert_array_equal(volume.max("z").values, twin.max("z").values)


LAYOUTS: dict[str, dict[str, Any]] = {
    "LZW": {"compression": "lzw", "rowsperstrip": 6},
    "tiles": {"tile": (16, 16), "compression": "zlib"},
    "apart": {"like_libtiff": True, "apart": 9},
    "big endian": {"byteorder": ">", "rowsperstrip": 4},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(web: Web, folder: Path, layout: str) -> None:
    name = f"{layout.replace(' ', '_')}_100um_iso"
    made = make_stack_in(folder, (6, 37, 45), folder=name, **LAYOUTS[layout])
    volume = brainxr.open(url_of(web, made))
    for select in (lambda v: v, lambda v: v[:, 3], lambda v: v[::-2, 1::3, ::5], lambda v: v[2:4]):
        np.testing.assert_array_equal(select(volume).values, select(made.values))
    assert brainxr.check(url_of(web, made)).ok


def test_pages_of_one_file(web: Web, folder: Path) -> None:
    values = np.arange(6 * 210 * 170, dtype="u2").reshape(6, 210, 170)
    for name, options in {"plain": {}, "packed": {"compression": "zlib"}}.items():
        tifffile.imwrite(
            folder / f"{name}_100um_iso.tif", values, photometric="minisblack", **options
        )
        volume = brainxr.open(f"{web.url}/{name}_100um_iso.tif")
        for select in (lambda v: v[::-2, 4], lambda v: v[:, 3:9, ::5], lambda v: v):
            np.testing.assert_array_equal(select(volume).values, select(values))
        np.testing.assert_array_equal(volume.max("z").values, values.max(0))


def test_a_coronal_plane_is_a_row_of_each_slice(web: Web, big: MadeStack) -> None:
    volume = brainxr.open(url_of(web, big))
    assert len(web.asked) <= 3  # is the first there, and its header
    assert web.bytes < 100_000
    web.forget()
    web.pause = 0.02
    np.testing.assert_array_equal(volume[:, 100].values, big.values[:, 100])
    counts = Counter(path for _, path, _ in web.asked)
    assert len(counts) == 40
    assert max(counts.values()) <= 2  # a header and a row
    assert web.together > 4
    web.forget()
    np.testing.assert_array_equal(volume[:, 101].values, big.values[:, 101])
    assert [count for *_, count in web.asked] == [500 * 2] * 40
    assert web.together > 4
    web.forget()
    np.testing.assert_array_equal(volume[7].values, big.values[7])
    assert [count for *_, count in web.asked] == [300 * 500 * 2]
    web.forget()
    np.testing.assert_array_equal(volume[7:9, ::30].values, big.values[7:9, ::30])
    assert len(web.asked) == 2  # rows that are near are one request
    assert web.bytes < 2 * 300 * 500 * 2


def test_a_strided_plane_far_apart(web: Web, folder: Path) -> None:
    """Rows with more between them than is worth to fetch, all at a time."""
    made = make_stack_in(folder, (2, 40, 10_000), folder="wide_100um_iso")
    volume = brainxr.open(url_of(web, made))
    volume[:, 0].compute()
    web.forget()
    np.testing.assert_array_equal(volume[1, ::10].values, made.values[1, ::10])
    assert [count for *_, count in web.asked] == [20_000] * 4


@pytest.mark.parametrize(
    "door", ["{}/{}.zip", "zip::{}/{}.zip", "zip://brain_100um_iso::{}/{}.zip"]
)
@pytest.mark.parametrize("how", ["stored", "deflated"])
def test_a_zip(web: Web, big: MadeStack, how: str, door: str) -> None:
    volume = brainxr.open(door.format(web.url, how))
    assert volume.attrs["source"] == f"{web.url}/{how}.zip/brain_100um_iso"
    assert len(web.asked) <= 6
    assert web.bytes < 700_000
    for select in (lambda v: v[:, 100], lambda v: v[::-7, ::20, ::3], lambda v: v.max("z").values):
        expected = select(xr.DataArray(big.values, dims=("z", "y", "x")))
        np.testing.assert_array_equal(np.asarray(select(volume)), np.asarray(expected))
    web.forget()
    np.testing.assert_array_equal(volume[:, 101].values, big.values[:, 101])
    if how == "stored":
        assert [count for *_, count in web.asked] == [500 * 2] * 40
    else:
        assert len(web.asked) == 40
        assert web.bytes < (big.folder.parent / "deflated.zip").stat().st_size + 40 * 2000


def test_small_members_of_a_zip_are_one_request(web: Web, folder: Path, made: MadeStack) -> None:
    zip_of(made, folder / "small.zip")
    volume = brainxr.open(f"{web.url}/small.zip/brain_100um_iso")
    volume[:, 2].compute()
    web.forget()
    np.testing.assert_array_equal(volume[:, 3].values, made.values[:, 3])
    assert len(web.asked) == 1


def test_a_table_of_a_zip_travels(web: Web, big: MadeStack) -> None:
    for url in (f"{web.url}/deflated.zip", url_of(web, big)):
        volume = brainxr.open(url, chunks={"z": 10})
        assert len(pickle.dumps(stack_of(volume))) < 5000
        with dask.config.set(scheduler="processes", num_workers=2):
            np.testing.assert_array_equal((volume[:, 3] + 1).values, big.values[:, 3] + 1)


def test_gaps_are_filled(web: Web, folder: Path) -> None:
    made = make_stack_in(folder, numbers=[1, 2, 5], folder="gap_100um_iso")
    with pytest.warns(brainxr.SliceGapWarning, match="2 of 5 slices are missing in 'http"):
        volume = brainxr.open(f"{web.url}/gap_100um_iso")
    np.testing.assert_array_equal(volume.values, made.values[[0, 1, 4]])
    volume = brainxr.open([f"{web.url}/gap_100um_iso/{p.name}" for p in made.paths], missing="fill")
    for _ in range(2):
        np.testing.assert_array_equal(volume[:, 3].values, made.values[:, 3])


def test_a_store_of_it(web: Web, made: MadeStack, tmp_path: Path) -> None:
    store = brainxr.open(url_of(web, made)).brain.to_ome_zarr(tmp_path / "a.zarr", progress=False)
    np.testing.assert_array_equal(brainxr.open(store).values, made.values)


def test_levels(web: Web, made: MadeStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAINXR_CACHE", str(tmp_path / "cache"))
    volume = brainxr.open(url_of(web, made))
    assert volume.brain.build_levels(levels=2, progress=False).is_relative_to(tmp_path / "cache")
    with pytest.raises(StackError, match="can't be written beside 'http"):
        volume.brain.build_levels(levels=2, progress=False, beside=True)


# --- which slices there are ---------------------------------------------------------


def test_a_folder_that_is_listed(web: Web, made: MadeStack) -> None:
    for url in ("stack_100um_iso", "stack_100um_iso/", "stack_100um_iso/slice_*.tif"):
        np.testing.assert_array_equal(brainxr.open(f"{web.url}/{url}").values, made.values)
    done = CliRunner().invoke(main, ["info", f"{web.url}/stack_100um_iso"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert "z 5 x y 7 x x 11" in done.stdout


def test_a_folder_that_is_not(web: Web, made: MadeStack) -> None:
    web.lists = False
    with pytest.raises((SliceReadError, EmptyStackError), match="Most web servers don't") as raised:
        brainxr.open(f"{web.url}/stack_100um_iso")
    assert f"such as '{web.url}/stack_100um_iso/slice_{{0000..1279}}.tif'" in str(raised.value)
    np.testing.assert_array_equal(brainxr.open(url_of(web, made)).values, made.values)


def test_lists(web: Web, made: MadeStack) -> None:
    urls = [f"{web.url}/stack_100um_iso/{path.name}" for path in made.paths]
    np.testing.assert_array_equal(brainxr.open(urls[::-1]).values, made.values[::-1])
    with pytest.raises(StackError, match=r"1 of 6 items of the list are no URLs: /a/s_1.tif"):
        brainxr.open([*urls, "/a/s_1.tif"])
    with pytest.raises(StackError, match=r"lead to 2 places: .*http://elsewhere"):
        brainxr.open([*urls, "http://elsewhere/stack_100um_iso/slice_9.tif"])
    with pytest.raises(StackError, match=r"a.png: no TIFF by its name"):
        brainxr.open([*urls, f"{web.url}/a.png"])
    with pytest.raises(EmptyStackError, match=r"There is nothing at 'http.*/nowhere/s_1.tif'"):
        brainxr.open(f"{web.url}/nowhere/s_{{1..9}}.tif")
    with pytest.raises(EmptyStackError, match="no numbers in the range"):
        brainxr.open(f"{web.url}/nowhere/s_{{9..1}}.tif")
    with pytest.raises(StackError, match="has 2 ranges of numbers"):
        brainxr.open(f"{web.url}/{{1..2}}/s_{{1..9}}.tif")
    with pytest.raises(StackError, match=r"is no zip by its name, .* inside='a'"):
        brainxr.open(f"{web.url}/stack_100um_iso", inside="a")
    with pytest.raises(StackError, match="pattern in the name of a folder"):
        brainxr.open(f"{web.url}/stack_*/slice_*.tif")


def test_numbers_with_and_without_zeros() -> None:
    memory = fsspec.filesystem("memory")
    for names in (["s_8", "s_9", "s_10"], ["s_08", "s_09", "s_10"]):
        for name in names:
            memory.pipe_file(f"/numbers/{name}.tif", b"x")
        first = names[0][2:]
        found = find_far(f"memory://numbers/s_{{{first}..10}}.tif")
        assert found.names == tuple(f"{name}.tif" for name in names)
        assert found.numbers == (8, 9, 10)
        memory.rm("/numbers", recursive=True)


def test_memory(made: MadeStack) -> None:
    memory = fsspec.filesystem("memory")
    for path in made.paths:
        memory.pipe_file(f"/far_100um_iso/{path.name}", path.read_bytes())
    memory.pipe_file("/far_100um_iso/._slice_001.tif", b"Mac")
    for url in ("far_100um_iso", "far_100um_iso/slice_{001..005}.tif", "far_100um_iso/*.tif"):
        volume = brainxr.open(f"memory://{url}")
        np.testing.assert_array_equal(volume.values, made.values)
    memory.pipe_file("/far_100um_iso/other_1.tif", b"x")
    with pytest.raises(
        StackError, match=r"brainxr.open\('memory://far_100um_iso/slice_\[0-9\]\*.tif'\)"
    ):
        brainxr.open("memory://far_100um_iso")
    memory.rm("/far_100um_iso", recursive=True)


# --- what is wrong ------------------------------------------------------------------


def test_a_slice_that_is_not_there(web: Web, folder: Path) -> None:
    made = make_stack_in(folder, folder="lost_100um_iso")
    volume = brainxr.open(url_of(web, made))
    made.paths[2].unlink()
    made.paths[3].write_bytes(made.paths[3].read_bytes()[:-3])
    for name, i in (("slice_003.tif' is not there", 2), ("slice_004.tif' is truncated", 3)):
        for select in (lambda v, i=i: v[i], lambda v, i=i: v[i, 3:]):
            with pytest.raises(SliceReadError, match=name):
                select(volume).compute()
    np.testing.assert_array_equal(volume[:2].values, made.values[:2])
    report = brainxr.check(url_of(web, made))
    assert [problem.file for problem in report.problems] == ["slice_003.tif", "slice_004.tif"]


def test_a_server_that_gives_no_parts(web: Web, big: MadeStack) -> None:
    web.ranges = False
    with pytest.raises(SliceReadError, match=r"slice_001.tif' .*its server doesn't give parts"):
        brainxr.open(url_of(web, big))


def test_a_server_that_gives_no_parts_of_a_small_zip(
    web: Web, folder: Path, made: MadeStack
) -> None:
    zip_of(made, folder / "tiny.zip", debris=False)
    web.ranges = False
    with pytest.raises(
        SliceReadError, match=r"tiny.zip' .*its server doesn't give parts.*Download"
    ):
        brainxr.open(f"{web.url}/tiny.zip").compute()


@pytest.mark.parametrize("how", ["stored", "deflated"])
def test_a_zip_that_changed_is_refused(web: Web, folder: Path, made: MadeStack, how: str) -> None:
    """By its ETag, which each request names, and without one request more."""
    path = zip_of(made, folder / "changing.zip", how)
    counts = []
    for web.etags in (None, ""):
        web.forget()
        volume = brainxr.open(f"{web.url}/changing.zip")
        np.testing.assert_array_equal(volume[:2, 3].values, made.values[:2, 3])
        counts.append(len(web.asked))
    assert counts[0] == counts[1]
    again = pickle.loads(pickle.dumps(volume))
    path.write_bytes(path.read_bytes())
    for opened in (volume, again):
        with pytest.raises(SliceReadError, match=r"changing.zip.* was changed after it was opened"):
            opened[2].compute()
    np.testing.assert_array_equal(brainxr.open(f"{web.url}/changing.zip").values, made.values)


def test_a_weak_etag_is_none(web: Web, folder: Path, made: MadeStack) -> None:
    path = zip_of(made, folder / "weak.zip")
    web.etags = "W/"
    volume = brainxr.open(f"{web.url}/weak.zip")
    path.touch()
    np.testing.assert_array_equal(volume.values, made.values)


def test_a_folder_that_does_not_exist(web: Web) -> None:
    with pytest.raises(EmptyStackError, match=r"There is nothing at .* a pattern with numbers"):
        brainxr.open(f"{web.url}/nowhere")


def test_nobody_answers(web: Web, made: MadeStack) -> None:
    volume = brainxr.open(url_of(web, made))
    web.signature = "nobody knows it"
    with pytest.raises(SliceReadError, match=r"slice_00\d.tif' can't be read: .* 403.*Check the"):
        volume.compute()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises((SliceReadError, EmptyStackError), match="Check the URL"):
        brainxr.open(f"http://127.0.0.1:{port}/s_1.tif")
    with pytest.raises(ValueError, match=r"nosuch://a/s_1.tif' can't be read: .*Check the URL"):
        brainxr.open("nosuch://a/s_1.tif")


def test_not_a_zip(web: Web, folder: Path, big: MadeStack) -> None:
    (folder / "cut.zip").write_bytes((folder / "stored.zip").read_bytes()[:-100])
    with pytest.raises(SliceReadError, match=r"cut.zip' can't be read as a zip"):
        brainxr.open(f"{web.url}/cut.zip")
    with pytest.raises(EmptyStackError, match=r"There is nothing at .*none.zip'"):
        brainxr.open(f"{web.url}/none.zip")


def test_secrets_are_shown_to_nobody(
    web: Web, made: MadeStack, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    web.signature = "token=SECRETSIGN"
    zip_of(made, folder / "secret.zip")
    options = {"headers": {"X-Key": "SECRETKEY"}}
    user = web.url.replace("://", "://me:SECRETWORD@")
    sources = [
        f"{user}/stack_100um_iso/slice_{{001..005}}.tif?token=SECRETSIGN",
        [f"{user}/stack_100um_iso/{p.name}?token=SECRETSIGN" for p in made.paths],
        f"{user}/secret.zip?token=SECRETSIGN",
    ]
    for source in sources:
        volume = brainxr.open(source, storage_options=options)
        np.testing.assert_array_equal(volume.values, made.values)
        again = pickle.loads(pickle.dumps(volume))
        np.testing.assert_array_equal(again[:, 3].values, made.values[:, 3])
        stack = stack_of(volume)
        assert stack is not None
        texts = [repr(volume), str(volume.attrs), volume._repr_html_(), repr(stack),
                 repr(stack.source), str(dict(volume.__dask_graph__())), str(volume.data),
                 str(volume.brain.files.values), str(volume.encoding)]  # fmt: skip
        assert not [text for text in texts if "SECRET" in text]
        web.signature = "other"
        for wrong in (
            lambda v=volume: v[:, 3].compute(),
            lambda s=source: brainxr.open(s, storage_options=options),
        ):
            with pytest.raises(StackError, match=r"slice_00\d.tif|secret.zip") as raised:
                wrong()
            assert "SECRET" not in "".join(traceback.format_exception(raised.value))
        web.signature = "token=SECRETSIGN"
    assert "SECRET" not in caplog.text


# --- S3 -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bucket(made: MadeStack, folder: Path) -> Iterator[dict[str, Any]]:
    """A bucket ``brains`` on a server of S3 on this machine: how it is reached."""
    moto = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = {"key": "SECRETKEY", "secret": "SECRETWORD", "endpoint_url": f"http://{host}:{port}"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        files = s3fs.S3FileSystem(**options)
        files.mkdir("slices")
        files.put(made.path, "slices/stack_100um_iso", recursive=True)
        files.put(str(zip_of(made, folder / "s3.zip")), "slices/s3.zip")
        yield options
    server.stop()


def test_s3(made: MadeStack, bucket: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from s3fs import S3FileSystem

    asked: list[tuple[str, str]] = []
    original = S3FileSystem._call_s3

    async def counting(self: Any, method: str, *arguments: Any, **options: Any) -> Any:
        asked.append((method, options.get("Range", "")))
        return await original(self, method, *arguments, **options)

    monkeypatch.setattr(S3FileSystem, "_call_s3", counting)
    volume = brainxr.open("s3://slices/stack_100um_iso/*.tif", storage_options=bucket)
    assert volume.attrs["source"] == "s3://slices/stack_100um_iso"
    assert Counter(method for method, _ in asked) == {"list_objects_v2": 1, "get_object": 1}
    asked.clear()
    np.testing.assert_array_equal(volume[:, 3].values, made.values[:, 3])
    assert len(asked) == 5  # small slices come with their headers
    asked.clear()
    np.testing.assert_array_equal(volume[:, 4].values, made.values[:, 4])
    assert len(asked) == 5
    spans = [method_range.removeprefix("bytes=").split("-") for _, method_range in asked]
    assert [int(stop) - int(start) + 1 for start, stop in spans] == [22] * 5
    np.testing.assert_array_equal(
        brainxr.open("s3://slices/stack_100um_iso", storage_options=bucket).values, made.values
    )
    np.testing.assert_array_equal(
        brainxr.open("s3://slices/s3.zip", storage_options=bucket).values, made.values
    )
    assert brainxr.check("s3://slices/s3.zip", storage_options=bucket).ok
    before = brainxr.open("s3://slices/s3.zip", storage_options=bucket)
    files = S3FileSystem(**bucket)
    files.pipe_file("slices/s3.zip", files.cat_file("slices/s3.zip") + b" ")
    with pytest.raises(SliceReadError, match=r"s3.zip.* was changed after it was opened"):
        before.compute()


def test_s3_that_is_not_there(bucket: dict[str, Any]) -> None:
    for url in ("s3://slices/nothing/*.tif", "s3://slices/nothing", "s3://slices/a_1.tif",
                "s3://nowhere/s_{1..4}.tif", "s3://slices/b.zip"):  # fmt: skip
        with pytest.raises(StackError, match=f"'{url[:11]}") as raised:
            brainxr.open(url, storage_options=bucket)
        assert "SECRET" not in "".join(traceback.format_exception(raised.value))


# --- ranges -------------------------------------------------------------------------


def test_merge() -> None:
    near, far = GAP_BYTES, GAP_BYTES + 1
    ranges = [("b", 0, 9), ("a", 5, 10), ("a", 10 + near, 20 + near), ("a", 0, 6),
              ("a", 20 + near + far, 30 + near + far)]  # fmt: skip
    merged, of = merge(ranges)
    assert merged == [("a", 0, 20 + near), ("a", 20 + near + far, 30 + near + far), ("b", 0, 9)]
    assert of == [2, 0, 0, 0, 1]
    for (path, start, stop), i in zip(ranges, of, strict=True):
        assert merged[i][0] == path
        assert merged[i][1] <= start < stop <= merged[i][2]


def test_ends_of_files(made: MadeStack) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/ends/a", bytes(range(10)))
    address = Address("memory://ends/a")
    got = address.read([(address.path(), 8, 20), (address.path(), 2, 4), (address.path(), 30, 40)])
    assert got == [bytes([8, 9]), bytes([2, 3]), b""]
    memory.rm("/ends", recursive=True)
