"""A zip of slices against the same slices in a folder: found, read, refused alike."""

from __future__ import annotations

import os
import pickle
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import tifffile
import xarray as xr
from conftest import ByteCounter, MadeStack, MakeStack, make_stack_in
from test_open import BAD_SLICES, DOORS, SELECTIONS
from zips import CHECKSUM, FLAGS, METHOD, OFFSET, PACKED, SIZE, patch_directory, zip_files, zip_of

import brainxr
from brainxr import EmptyStackError, SliceReadError, StackError
from brainxr.files import archive
from brainxr.lazy.unloaded import stack_of
from brainxr.stacks.zipped import find_in_zip
from brainxr.stores.levels import find_levels

HOW = ["stored", "deflated", "mixed"]


@pytest.fixture(scope="module")
def zipped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[MadeStack, Path]]:
    folder = tmp_path_factory.mktemp("zips")
    made = make_stack_in(folder)
    big = make_stack_in(folder, folder="lzw", compression="lzw", rowsperstrip=3)
    zips = {how: (made, zip_of(made, folder / f"{how}.zip", how)) for how in HOW}
    return zips | {"lzw, deflated": (big, zip_of(big, folder / "lzw.zip", "deflated"))}


# --- what is read -------------------------------------------------------------------


@pytest.mark.parametrize("how", [*HOW, "lzw, deflated"])
@pytest.mark.parametrize("door", DOORS)
def test_as_from_a_folder(zipped: Any, how: str, door: str) -> None:
    made, path = zipped[how]
    volume = DOORS[door](str(path))
    twin = made.twin(source=f"{path}{os.sep}brain_100um_iso", spacing_source="name '100um'")
    xr.testing.assert_identical(volume.compute(), twin)
    for name, select in SELECTIONS.items():
        got, expected = select(volume), select(twin)
        np.testing.assert_array_equal(got.values, expected.values, err_msg=name)
    for reduced in ("max", "sum"):
        np.testing.assert_array_equal(
            getattr(volume, reduced)("z").values, getattr(twin, reduced)("z").values
        )


@pytest.mark.parametrize("how", HOW)
def test_gaps_planes_and_names(make_stack: MakeStack, tmp_path: Path, how: str) -> None:
    made = make_stack(numbers=[1, 2, 10, 11], name="s_{}.TIFF", dtype=">f4")
    path = zip_of(made, tmp_path / "Coronal_50um_iso.zip", how, "", debris=True)
    with pytest.warns(brainxr.SliceGapWarning, match="7 of 11 slices are missing"):
        volume = brainxr.open(path)
    assert volume.attrs["plane"] == "coronal"
    assert volume.attrs["source"] == str(path)
    twin = made.twin(plane="coronal", spacing=50.0)
    np.testing.assert_array_equal(volume.values, twin.values)
    filled = brainxr.open(path, missing="fill")
    for _ in range(2):  # the second time it is known where everything is
        np.testing.assert_array_equal(filled.isel(z=3).values[2:9], 0)
        np.testing.assert_array_equal(
            filled.isel(z=3).values, made.twin(plane="coronal", fill=True).isel(z=3).values
        )


def test_the_name_of_the_zip_tells_what_the_folder_in_it_doesn_t(
    make_stack: MakeStack, tmp_path: Path
) -> None:
    made = make_stack()
    path = zip_of(made, tmp_path / "FLASH25_25um_iso_Sagittal.zip", folder="images/")
    assert brainxr.open(path).attrs["plane"] == "sagittal"
    assert brainxr.open(path).attrs["spacing_source"] == "name '25um'"


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("options", [{}, {"compression": "zlib", "rowsperstrip": 5}], ids=str)
def test_pages_of_one_file(tmp_path: Path, how: str, options: Any) -> None:
    values = np.arange(6 * 21 * 17, dtype="u2").reshape(6, 21, 17)
    tifffile.imwrite(tmp_path / "a_100um_iso.tif", values, photometric="minisblack", **options)
    made = MadeStack(tmp_path, [tmp_path / "a_100um_iso.tif"], values, np.arange(1), [0])
    volume = brainxr.open(zip_of(made, tmp_path / "a.zip", "stored" if how == "mixed" else how))
    for select in (lambda v: v, lambda v: v[3], lambda v: v[::-2, 4], lambda v: v[:, 3:9, ::5]):
        np.testing.assert_array_equal(select(volume).values, select(values))
    np.testing.assert_array_equal(volume.max("z").values, values.max(0))
    assert volume.brain.files.values[5] == "a_100um_iso.tif#5"


@pytest.mark.parametrize("how", ["stored", "deflated"])
def test_zip64(make_stack: MakeStack, tmp_path: Path, how: str) -> None:
    """Behind five gigabytes of nothing, which take no room on the disk."""
    made, path = make_stack(), tmp_path / "big_100um_iso.zip"
    with open(path, "wb") as file:
        file.truncate(5 << 30)
    zip_of(made, path, how, mode="a", zip64=True)
    with zipfile.ZipFile(path) as archive:
        assert min(info.header_offset for info in archive.infolist()) >= 5 << 30
    volume = brainxr.open(path)
    for _ in range(2):
        np.testing.assert_array_equal(volume[:, 3].values, made.values[:, 3])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(volume)).values, made.values)


def test_only_the_rows_are_read(
    make_stack: MakeStack, tmp_path: Path, bytes_read: ByteCounter
) -> None:
    made = make_stack((40, 300, 500))
    volume = brainxr.open(zip_of(made, tmp_path / "a.zip"))
    volume[:, 7].compute()  # every slice's header
    with bytes_read() as read:
        np.testing.assert_array_equal(volume[:, 8].values, made.values[:, 8])
    assert read.count == 40 * 500 * 2
    assert read.calls == 40
    with bytes_read() as read:
        np.testing.assert_array_equal(volume[5].values, made.values[5])
    assert read.count == 300 * 500 * 2
    with bytes_read() as read:
        brainxr.open(tmp_path / "a.zip")
    assert read.count < 40 * 500


def test_a_deflated_slice_is_unpacked_once_a_read(
    make_stack: MakeStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_stack((6, 300, 500))
    path = zip_of(made, tmp_path / "a.zip", "deflated")
    unpacked: list[int] = []
    original = archive.inflate

    def counting(data: bytes, size: int) -> bytes:
        unpacked.append(size)
        return original(data, size)

    monkeypatch.setattr("brainxr.files.archive.inflate", counting)
    volume = brainxr.open(path, chunks={"z": 2, "y": 100})
    unpacked.clear()
    with dask.config.set(scheduler="synchronous"):
        np.testing.assert_array_equal(volume.values, made.values)
        assert len(unpacked) == 5  # the first one was for its header
        np.testing.assert_array_equal(volume.max("z").values, made.values.max(0))
        np.testing.assert_array_equal(volume[:, 3].values, made.values[:, 3])
    assert len(unpacked) == 5
    assert volume[:, 3].brain.cost().bytes_to_read >= made.values.nbytes


def test_what_is_kept_unpacked_is_bounded(
    make_stack: MakeStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_stack((6, 30, 50))
    recent = archive._Recent(2 * made.paths[0].stat().st_size)
    monkeypatch.setattr("brainxr.files.archive._RECENT", recent)
    volume = brainxr.open(zip_of(made, tmp_path / "a.zip", "deflated"))
    np.testing.assert_array_equal(volume.values, made.values)
    assert recent._bytes == sum(map(len, recent._held.values())) == recent._most
    recent.keep("too big", b"x" * (recent._most + 1))
    assert recent.get("too big") is None
    assert len(recent._held) == 2


# --- many at a time -----------------------------------------------------------------


@pytest.mark.parametrize("how", HOW)
def test_threads(zipped: Any, how: str) -> None:
    made, path = zipped[how]
    volume = brainxr.open(path, chunks=None)
    with ThreadPoolExecutor(16) as pool:
        rows = list(pool.map(lambda i: volume[:, i % 7].values, range(140)))
    for i, row in enumerate(rows):
        np.testing.assert_array_equal(row, made.values[:, i % 7])


@pytest.mark.parametrize("how", HOW)
def test_processes(zipped: Any, how: str) -> None:
    made, path = zipped[how]
    volume = brainxr.open(path, chunks={"z": 1})
    with dask.config.set(scheduler="processes", num_workers=2):
        np.testing.assert_array_equal((volume + 1).values, made.values + 1)


def test_what_travels_is_small(tmp_path: Path) -> None:
    slices = {f"a/s_{i:05}.tif": bytes(range(256)) * 2 for i in range(10_000)}
    files = find_in_zip(str(zip_files(tmp_path / "a.zip", slices)))
    packed = pickle.dumps(files)
    assert len(packed) < len(pickle.dumps(replace(files, container=None))) + 2000
    again = pickle.loads(packed)
    np.testing.assert_array_equal(again.container.table, files.container.table)
    assert (again.names, again.numbers) == (files.names, files.numbers)


def test_the_table_survives_any_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    slices = {f"s_{i}.tif": rng.bytes(int(rng.integers(0, 999))) for i in rng.permutation(300)}
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        files = find_in_zip(str(zip_files(tmp_path / "a.zip", slices, method)))
        again = pickle.loads(pickle.dumps(files))
        np.testing.assert_array_equal(again.container.table, files.container.table)
        for i, name in enumerate(again.names):
            with again.open(i) as file:
                assert file.read(0, 2000) == slices[name]
                assert file.read(5, 10) == slices[name][5:15]
                assert file.read(2000, 10) == b""


# --- which stack is meant -----------------------------------------------------------


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, MadeStack]]:
    folder = tmp_path_factory.mktemp("several")
    stacks = {
        name: make_stack_in(folder, (3 + i, 4, 5), folder=f"made/{name}", name="s_{:02}.tif")
        for i, name in enumerate(("Axial", "deep/Coronal", "deep/[odd]"))
    }
    stacks[""] = make_stack_in(folder, (2, 4, 5), folder="made/top", name="top_{}.tif")
    path = folder / "several_100um_iso.zip"
    for name, made in stacks.items():
        zip_of(made, path, folder=f"{name}/" if name else "", mode="a", debris=False)
    return path, stacks


def test_several_folders_are_listed(several: Any) -> None:
    path, _ = several
    with pytest.raises(StackError) as raised:
        brainxr.open(path)
    calls = [line.strip() for line in str(raised.value).splitlines()[1:]]
    assert calls == [
        f"brainxr.open({str(path)!r}, inside='Axial')  # 3 slices",
        f"brainxr.open({str(path)!r}, inside='deep/Coronal')  # 4 slices",
        f"brainxr.open({str(path)!r}, inside='deep/[odd]')  # 5 slices",
        f"brainxr.open({str(path)!r}, inside='top_[0-9]*.tif')  # 2 slices",
    ]
    for call, depth in zip(calls, (3, 4, 5, 2), strict=True):
        assert eval(call).sizes["z" if "Coronal" not in call else "y"] == depth


@pytest.mark.parametrize(
    ("inside", "name"),
    [
        ("Axial", "Axial"), ("/Axial/", "Axial"), ("deep\\Coronal", "deep/Coronal"),
        ("deep/[odd]", "deep/[odd]"), ("Axial/s_*.tif", "Axial"), ("deep/Cor*/*", "deep/Coronal"),
        ("*.tif", ""), ("top_?.tif", ""),
    ],
)  # fmt: skip
def test_inside(several: Any, inside: str, name: str) -> None:
    path, stacks = several
    plane = "axial"
    for volume in (
        brainxr.open(path, inside=inside, plane=plane),
        brainxr.open(f"{path}/{inside.replace(chr(92), '/')}", plane=plane),
        xr.open_dataset(path, engine="brainxr", inside=inside, plane=plane).intensity,
    ):
        np.testing.assert_array_equal(volume.values, stacks[name].values)
        assert volume.attrs["source"] == os.path.join(path, *filter(None, name.split("/")))
    assert brainxr.check(path, inside=inside).ok


def test_one_slice(several: Any) -> None:
    path, stacks = several
    volume = brainxr.open(path, inside="Axial/s_02.tif")
    np.testing.assert_array_equal(volume.values, stacks["Axial"].values[1:2])


def test_where_nothing_is_inside(several: Any, tmp_path: Path, make_stack: MakeStack) -> None:
    path, _ = several
    for inside in ("Sagittal", "Axial/x_*.tif", "Axial/s_99.tif", "axial"):
        with pytest.raises(EmptyStackError, match="no TIFF slices '") as raised:
            brainxr.open(path, inside=inside)
        assert "inside='Axial')  # 3 slices" in str(raised.value)
    with pytest.raises(StackError, match=r"(?s)2 folders of .*inside='deep/Coronal'"):
        brainxr.open(path, inside="deep")
    with pytest.raises(StackError, match=r"is no zip, and only these have something inside='a'"):
        brainxr.open(make_stack().path, inside="a")
    with pytest.raises(brainxr.StoreError, match="leave out plane, missing, inside, number"):
        brainxr.open(tmp_path / "a.zarr", inside="a")


def test_two_kinds_of_names_in_one_folder(tmp_path: Path, make_stack: MakeStack) -> None:
    made = make_stack((3, 4, 5), name="red_{}.tif")
    other = make_stack((4, 4, 5), name="green [x]_{}.tif", folder="b")
    path = zip_of(made, tmp_path / "a_100um_iso.zip", folder="both/", debris=False)
    zip_of(other, path, folder="both/", debris=False, mode="a")
    with pytest.raises(StackError, match="are 2 stacks by their names") as raised:
        brainxr.open(path)
    calls = [line.strip() for line in str(raised.value).splitlines()[1:]]
    assert calls[1] == f"brainxr.open({str(path)!r}, inside='both/red_[0-9]*.tif')  # 3 slices"
    np.testing.assert_array_equal(eval(calls[0]).values, other.values)
    np.testing.assert_array_equal(eval(calls[1]).values, made.values)


def test_nothing_to_open(tmp_path: Path) -> None:
    for files, found in (
        ({}, "nor anything else"),
        ({"a.png": b"", "__MACOSX/._s_1.tif": b"", ".x/s_1.tif": b""}, "only .x/s_1.tif, __MACOSX"),
    ):
        with pytest.raises(EmptyStackError, match=f"There are no TIFF slices in .*{found}"):
            brainxr.open(zip_files(tmp_path / "a.zip", files))
    with pytest.raises(EmptyStackError, match=r"no file or folder"):
        brainxr.open(tmp_path / "b.zip")


def test_a_folder_that_is_named_like_a_zip(make_stack: MakeStack) -> None:
    made = make_stack(folder="a_100um_iso.zip")
    np.testing.assert_array_equal(brainxr.open(made.path).values, made.values)
    with pytest.raises(StackError, match="is no zip"):
        brainxr.open(made.path, inside="a")


# --- what is wrong ------------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in BAD_SLICES if kind != "dangling link"])
@pytest.mark.parametrize("how", HOW)
def test_bad_slices(make_stack: MakeStack, tmp_path: Path, how: str, kind: str) -> None:
    spoil, error, message = BAD_SLICES[kind]
    made = make_stack()
    spoil(made.paths[2])
    path = zip_of(made, tmp_path / "a_100um_iso.zip", how)
    volume = brainxr.open(path)
    with pytest.raises(error, match=message) as raised:
        volume.isel(y=3).compute()
    assert f"{path}{os.sep}brain_100um_iso{os.sep}slice_003.tif" in str(raised.value)
    np.testing.assert_array_equal(volume[:2, 1:].values, made.values[:2, 1:])
    report = brainxr.check(path)
    assert [problem.file for problem in report.problems] == ["slice_003.tif"]
    assert "slice_003.tif: " in str(report)


@pytest.mark.parametrize("how", HOW)
def test_changed_after_open(make_stack: MakeStack, tmp_path: Path, how: str) -> None:
    made = make_stack()
    path = zip_of(made, tmp_path / "a_100um_iso.zip", how)
    for read_before in (True, False):
        volume = brainxr.open(path)
        if read_before:
            volume.isel(y=3).compute()
        time.sleep(0.02)  # files are stamped by a clock that ticks every few milliseconds
        zip_of(made, tmp_path / "b.zip", how)
        os.replace(tmp_path / "b.zip", path)
        for select in (lambda v: v, lambda v: v[:, 3], lambda v: v[2], lambda v: v.max("z")):
            with pytest.raises(SliceReadError, match=r"slice_00\d.tif' was changed after"):
                select(volume).compute()
    volume = brainxr.open(path)
    path.unlink()
    with pytest.raises(SliceReadError, match=r"a_100um_iso.zip' is not there \(any more\)"):
        volume.compute()


def test_written_to_while_it_is_read(
    make_stack: MakeStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_stack()
    path = zip_of(made, tmp_path / "a_100um_iso.zip")
    volume = brainxr.open(path)
    volume[:, 3].compute()
    original = archive.read_into

    def read_into(*arguments: Any) -> int:
        time.sleep(0.02)
        os.utime(path)
        return original(*arguments)

    monkeypatch.setattr("brainxr.files.archive.read_into", read_into)
    with pytest.raises(SliceReadError, match="was changed after the stack was opened"):
        volume[:, 3].compute()


def test_no_zip(shared_stack: MadeStack, tmp_path: Path) -> None:
    path = zip_of(shared_stack, tmp_path / "a.zip")
    whole = path.read_bytes()
    for content in (whole[:-200], whole[: len(whole) // 2], b"", b"no zip"):
        path.write_bytes(content)
        with pytest.raises(
            SliceReadError,
            match=rf"can't be read as a zip \(.*\({len(content)} bytes found\): download it again",
        ):
            brainxr.open(path)


def test_a_zip_that_may_not_be_read(unprivileged: Path) -> None:
    zip_files(unprivileged / "b.zip", {"s_1.tif": b""}).chmod(0)
    with pytest.raises(SliceReadError, match=r"b.zip' may not be read: permission denied"):
        brainxr.open(unprivileged / "b.zip")


def test_damaged_bytes(make_stack: MakeStack, tmp_path: Path) -> None:
    """One byte in the packed pixels, and one in a member's own header."""
    made = make_stack((5, 70, 110))
    path = zip_of(made, tmp_path / "a.zip", "deflated")
    with zipfile.ZipFile(path) as opened:
        info = opened.getinfo("brain_100um_iso/slice_003.tif")
    whole = path.read_bytes()
    middle = info.header_offset + 60 + info.compress_size // 2
    for place in range(middle, middle + 20):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        with pytest.raises(
            SliceReadError, match=r"slice_003.tif'? (can't be unpacked \(|is [0-9a-f]{8}, expected)"
        ):
            brainxr.open(path)[:, 3].compute()
        np.testing.assert_array_equal(brainxr.open(path)[:2].values, made.values[:2])
    for place in (info.header_offset, info.header_offset + 32):
        path.write_bytes(whole[:place] + b"#" + whole[place + 1 :])
        with pytest.raises(SliceReadError, match=r"slice_003.tif' is not at byte \d+ of '.*a.zip'"):
            brainxr.open(path)[2].compute()


def test_a_wrong_checksum(make_stack: MakeStack, tmp_path: Path) -> None:
    path = zip_of(make_stack(), tmp_path / "a.zip", "deflated")
    patch_directory(path, "brain_100um_iso/slice_003.tif", CHECKSUM, "I", 0x12345678)
    with pytest.raises(
        SliceReadError, match=r"checksum of .*slice_003.tif' is .* expected 12345678"
    ):
        brainxr.open(path).compute()
    assert "expected 12345678" in str(brainxr.check(path))


LIES: dict[str, tuple[list[tuple[int, str, int]], str, str]] = {
    "encrypted": ([(FLAGS, "H", 1)], "stored", "is encrypted, and brainxr asks for no passwords"),
    "bzip2": ([(METHOD, "H", 12)], "deflated", "is packed by bzip2, and of a zip's methods"),
    "deflate64": ([(METHOD, "H", 9)], "deflated", "is packed by deflate64"),
    "a new method": ([(METHOD, "H", 77)], "deflated", "is packed by number 77"),
    "stored in less": ([(SIZE, "I", 10**6)], "stored", "is stored as it is, in .* of 1000000"),
    "a ratio that can't be": (
        [(SIZE, "I", 10**9)], "deflated", "bytes to 1000000000, and deflate packs 1032 times"
    ),
    "too big": (
        [(SIZE, "I", (1 << 30) + 1), (PACKED, "I", 1 << 29)], "deflated",
        "which is refused: .* 1073741824 bytes are the limit",
    ),
    "a bomb": (
        [(SIZE, "I", 300 << 20), (PACKED, "I", 512 << 10)], "deflated",
        "which is refused: .*If you trust it, unzip it",
    ),
    "in one place": ([(OFFSET, "I", 0)], "deflated", "share bytes of .*: the zip is damaged"),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_refused_before_a_byte_of_it_is_read(
    make_stack: MakeStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    changes, how, message = LIES[lie]
    path = zip_of(make_stack(), tmp_path / "a.zip", how, debris=False)
    for at, form, value in changes:
        patch_directory(path, "brain_100um_iso/slice_003.tif", at, form, value)

    def unpack(*_: Any) -> bytes:
        raise AssertionError("something was unpacked")

    monkeypatch.setattr("brainxr.files.archive.inflate", unpack)
    with pytest.raises(SliceReadError, match=message) as raised:
        brainxr.open(path)
    assert "slice_003.tif" in str(raised.value)


def test_a_bomb_that_says_less_than_it_is(tmp_path: Path) -> None:
    """No more is unpacked than the directory says."""
    slices = {f"s_{i}.tif": bytes(50 << 20) for i in range(2)}
    path = zip_files(tmp_path / "a.zip", slices, zipfile.ZIP_DEFLATED)
    patch_directory(path, "s_0.tif", SIZE, "I", 1000)
    with pytest.raises(SliceReadError, match=r"s_0.tif' can't be unpacked \("):
        brainxr.open(path)


@pytest.mark.parametrize(
    "name",
    ["../s_1.tif", "a/../../s_1.tif", "/s_1.tif", "C:\\s_1.tif", "a//s_1.tif", "..\\s_1.tif"],
)
def test_names_that_lead_elsewhere(tmp_path: Path, make_stack: MakeStack, name: str) -> None:
    inner = tmp_path / "one" / "two"
    inner.mkdir(parents=True)
    tif = make_stack().paths[0].read_bytes()
    path = zip_files(inner / "a.zip", {name: tif, name.replace("1.tif", "2.tif"): tif})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(
        StackError, match="no name of a file in a folder: the zip is damaged, or ma"
    ):
        brainxr.open(path)
    assert sorted(tmp_path.rglob("*")) == before


def test_nothing_is_extracted(zipped: Any) -> None:
    _, path = zipped["deflated"]
    before = sorted(path.parent.rglob("*"))
    brainxr.open(path).compute()
    assert sorted(path.parent.rglob("*")) == before


def test_one_name_twice(tmp_path: Path, make_stack: MakeStack) -> None:
    made = make_stack()
    path = zip_of(made, tmp_path / "a.zip")
    with pytest.warns(UserWarning, match="Duplicate name"):
        zip_of(made, path, mode="a", debris=False)
    with pytest.raises(StackError, match=r"members of one name: brain_100um_iso/slice_001.tif"):
        brainxr.open(path)


def test_backslashes_of_windows(tmp_path: Path, make_stack: MakeStack) -> None:
    made = make_stack()
    files = {f"brain\\Axial_100um_iso\\{p.name}": p.read_bytes() for p in made.paths}
    volume = brainxr.open(zip_files(tmp_path / "a.zip", files))
    np.testing.assert_array_equal(volume.values, made.values)
    assert volume.attrs["source"].endswith(f"a.zip{os.sep}brain{os.sep}Axial_100um_iso")


@pytest.mark.parametrize("flags", [0x800, 0])
def test_names_beyond_ascii(tmp_path: Path, make_stack: MakeStack, flags: int) -> None:
    """In Unicode; and in the code page of DOS, which is what a zip without a flag is said to be."""
    made = make_stack()
    files = {f"Schnitt_ö_100um_iso/切片_{i}.tif": p.read_bytes() for i, p in enumerate(made.paths)}
    path = zip_files(tmp_path / "a.zip", files)
    if not flags:
        data = path.read_bytes()
        for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            pieces = data.split(mark)
            data = mark.join(
                [pieces[0], *(p[: at - 4] + b"\0\0" + p[at - 2 :] for p in pieces[1:])]
            )
        path.write_bytes(data)
    volume = brainxr.open(path)
    np.testing.assert_array_equal(volume.values, made.values)
    assert ("切片" in volume.brain.files.values[0]) == bool(flags)


# --- what is made of it -------------------------------------------------------------


@pytest.mark.parametrize("how", HOW)
def test_a_store_and_levels(
    make_stack: MakeStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setenv("BRAINXR_CACHE", str(tmp_path / "cache"))
    made = make_stack((20, 30, 50))
    path = zip_of(made, tmp_path / "a_100um_iso.zip", how)
    store = brainxr.open(path).brain.to_ome_zarr(tmp_path / "b.ome.zarr", progress=False)
    np.testing.assert_array_equal(brainxr.open(store).values, made.values)
    for beside in (False, True):
        levels = Path(
            brainxr.open(path).brain.build_levels(beside=beside, levels=2, progress=False)
        )
        assert (levels.parent == path.parent) == beside
        assert levels.name.startswith(
            "a_100um_iso.zip.brain_100um_iso" if beside else "brain_100um_iso"
        )
        found = find_levels(stack_of(brainxr.open(path)).source)  # type: ignore[union-attr]
        assert found == levels
