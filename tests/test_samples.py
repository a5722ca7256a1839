"""Samples: the same at every time and size, whole or not there, nothing overwritten."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile

import brainxr
from brainxr.cache import cache_folder
from brainxr.errors import GeometryError, MissingExtraError, StackError
from brainxr.samples import catalogue as samples
from brainxr.samples import mni152
from brainxr.samples.catalogue import sample

SMALL = {"z": 6, "y": 11, "x": 9}  # 21 mm and 16 mm
MIDDLE = {"z": 64, "y": 88, "x": 76}  # 2 mm, narrower than long


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("BRAINXR_CACHE", str(folder))
    return folder


@pytest.fixture(scope="module")
def middle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample(shape=MIDDLE, folder=tmp_path_factory.mktemp("samples") / "middle")


def read(folder: Path) -> np.ndarray:
    """All slices by tifffile, in the order of their names."""
    return np.stack([tifffile.imread(path) for path in sorted(folder.glob("*.tif"))])


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.read_bytes())
        for p in folder.rglob("*")
        if p.is_file()
    }


# --- the phantom as a stack ---------------------------------------------------------


def test_default_opens_without_a_word() -> None:
    vol = brainxr.open(sample())
    assert dict(vol.sizes) == {"z": 128, "y": 176, "x": 160}
    assert vol.dtype == np.uint8
    for dim in "zyx":
        np.testing.assert_allclose(vol[dim], 1000.0 * np.arange(vol.sizes[dim]))
    slab = vol.sel(z=slice("6 cm", "6.4 cm"), y="8 cm")
    assert slab.shape == (5, 160)
    assert slab.max() > 100


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_opened_values_are_those_of_the_files(dtype: str) -> None:
    path = sample(shape=MIDDLE, dtype=dtype)
    vol = brainxr.open(path)
    assert vol.dtype == dtype
    np.testing.assert_array_equal(vol.values, read(path))


@pytest.mark.parametrize(
    "shape", [SMALL, MIDDLE, {"z": 7, "y": 33, "x": 21}, {"z": 1, "y": 1, "x": 2}]
)
def test_spacing_is_read_back(shape: Mapping[str, int]) -> None:
    path = sample(shape=shape)
    stack = brainxr.open(path)
    assert dict(stack.sizes) == dict(shape)
    expected = {"z": 128e3 / shape["z"], "y": 176e3 / shape["y"], "x": 176e3 / shape["y"]}
    for dim, spacing in expected.items():
        assert stack[dim].attrs["spacing"] == pytest.approx(spacing, rel=1e-6)


def test_full_shape_has_the_spacing_of_the_100_um_brain() -> None:
    source = samples._phantom(samples._recipe("phantom", samples.FULL_SHAPE, None))
    assert source.spacing == {"z": 100, "y": 100, "x": 100}
    assert source.bytes == 1280 * 1760 * 1760


def test_a_file_is_one_uncompressed_strip(middle: Path) -> None:
    with tifffile.TiffFile(sorted(middle.glob("*.tif"))[30]) as tif:
        page = tif.pages.first
        assert page.compression == 1
        assert len(page.dataoffsets) == 1


# --- the phantom as a head ----------------------------------------------------------


def test_any_slice_alone_is_the_one_in_the_stack(middle: Path) -> None:
    written = read(middle)
    make = samples._phantom(samples._recipe("phantom", MIDDLE, None)).slice
    for i in (40, 3, 63, 20, 40):
        np.testing.assert_array_equal(make(i), written[i])


def test_every_run_gives_the_same(tmp_path: Path) -> None:
    again = tmp_path / "again"
    make = f"import brainxr; brainxr.sample(shape={SMALL}, folder={str(again)!r})"
    subprocess.run([sys.executable, "-c", make], check=True)
    np.testing.assert_array_equal(read(sample(shape=SMALL)), read(again))


def test_air_is_empty_and_so_are_the_first_and_last_slices(middle: Path) -> None:
    volume = read(middle)
    assert not volume[:2].any()
    assert not volume[-2:].any()
    corners = volume[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert not corners.any()
    assert 0.2 < (volume > 0).mean() < 0.6
    assert volume[:, 44, 38][3:55].all()  # and inside the head nothing is


def test_a_length_is_the_same_place_in_each_size() -> None:
    """Means over 8 mm cubes of the fine one agree with those of the coarse one."""
    coarse = read(sample(shape={"z": 32, "y": 44, "x": 44})).astype(float)
    fine = read(sample(shape={"z": 64, "y": 88, "x": 88})).astype(float)

    def cubes(volume: np.ndarray, n: int) -> np.ndarray:
        z, y, x = (size // n for size in volume.shape)
        return volume.reshape(z, n, y, n, x, n).mean((1, 3, 5))

    same = np.corrcoef(cubes(coarse, 2).ravel(), cubes(fine, 4).ravel())[0, 1]
    moved = np.corrcoef(cubes(coarse, 2).ravel(), cubes(np.roll(fine, 4), 4).ravel())[0, 1]
    assert moved < 0.95 < 0.98 < same


def test_a_narrower_frame_is_cut_about_the_midline() -> None:
    wide = samples._phantom(samples._recipe("phantom", {**MIDDLE, "x": 88}, None))
    narrow = samples._phantom(samples._recipe("phantom", MIDDLE, None))
    there, here = wide.slice(30)[:, 6:-6] > 0, narrow.slice(30) > 0
    assert (there != here).mean() < 1e-3  # noise takes a dark pixel to 0 here and there
    assert (there != np.roll(here, 1, axis=1)).mean() > 1e-2


def test_a_flipped_axis_would_show(middle: Path) -> None:
    volume = read(middle).astype(float)
    capsule = volume[20:24, 20:26]  # z 40-48 mm, y 40-52 mm
    wide = np.flatnonzero((capsule > 0).any((0, 1)))
    assert (75 - wide.max()) < wide.min()  # it stands out on the right only
    assert volume[:10].sum() < volume[-14:-4].sum()  # the neck is down
    nose = np.flatnonzero((volume[50] > 0).any(1)).min()
    assert nose < np.flatnonzero((volume[30] > 0).any(1)).min()  # and the nose in front


def test_tissues_have_their_places() -> None:
    vol = brainxr.open(sample()).astype(float)

    def mean(z: float, y: float, x: float) -> float:
        around = {
            d: slice(1000 * v - 1000, 1000 * v + 1000)
            for d, v in zip("zyx", (z, y, x), strict=True)
        }
        return float(vol.sel(around).mean())  # type: ignore[arg-type]

    fluid = mean(52, 84, 80 - 11)  # x of the frame of 160: midline at 80 mm
    grey, white = mean(68, 72, 80 - 28), mean(44, 86, 80 - 30)
    assert fluid < 50 < grey < 145 < white


@pytest.mark.slow
def test_a_slice_of_the_full_shape() -> None:
    image = samples._phantom(samples._recipe("phantom", samples.FULL_SHAPE, None)).slice(600)
    assert image.shape == (1760, 1760)
    assert 0.4 < (image > 0).mean() < 0.7


# --- the cache ----------------------------------------------------------------------


def test_what_is_there_is_used_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sample(shape=SMALL)
    assert path.parent == cache
    before = snapshot(cache)
    monkeypatch.setattr(samples, "_write", None)
    assert sample(shape=SMALL) == path
    assert snapshot(cache) == before


def test_shapes_and_dtypes_have_folders_of_their_own() -> None:
    made = {
        sample(shape=SMALL), sample(shape={**SMALL, "x": 21}), sample(shape=SMALL, dtype="uint16"),
    }  # fmt: skip
    assert len(made) == 3


def test_default_cache_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import platformdirs

    monkeypatch.delenv("BRAINXR_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == platformdirs.user_cache_path("brainxr", appauthor=False)


def test_folder_may_be_new_or_empty(tmp_path: Path) -> None:
    new, empty = tmp_path / "deep" / "new", tmp_path / "empty"
    empty.mkdir()
    for folder in (new, empty):
        assert sample(shape=SMALL, folder=str(folder)) == folder
        assert sample(shape=SMALL, folder=folder) == folder
    assert [p.name for p in new.parent.iterdir()] == ["new"]


def test_numpy_integers_are_numbers_of_voxels() -> None:
    numpy_shape = {dim: np.int64(n) for dim, n in SMALL.items()}
    assert sample(shape=numpy_shape) == sample(shape=SMALL)  # type: ignore[arg-type]


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis_001.tif").write_bytes(b"years of work")
    before = snapshot(tmp_path)
    with pytest.raises(FileExistsError, match=r"mine' is there already, and is not the sample"):
        sample(shape=SMALL, folder=folder)
    assert snapshot(tmp_path) == before


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError, match="is there already"):
        sample(shape=SMALL, folder=tmp_path / "file")


@pytest.mark.parametrize(
    "asked", [{"shape": {**SMALL, "z": 7}}, {"shape": SMALL, "dtype": "uint16"}]
)
def test_a_sample_of_another_shape_is_refused(tmp_path: Path, asked: dict[str, Any]) -> None:
    folder = sample(shape=SMALL, folder=tmp_path / "s")
    before = snapshot(folder)
    with pytest.raises(FileExistsError, match=r"is not the sample 'phantom' of shape"):
        sample(**asked, folder=folder)
    assert snapshot(folder) == before


def test_a_marker_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "sample.json").write_text("[not json")
    with pytest.raises(FileExistsError, match="is not the sample"):
        sample(shape=SMALL, folder=tmp_path / "s")


def test_a_damaged_sample_is_told() -> None:
    path = sample(shape=SMALL)
    slices = sorted(path.glob("*.tif"))
    slices[1].unlink()
    slices[3].write_bytes(b"II*\0")
    (path / "extra_1.tif").write_bytes(b"")
    with pytest.raises(
        StackError, match=r"3 files of the sample .*_0002\.tif, .*_0004\.tif.*extra"
    ):
        sample(shape=SMALL)
    shutil.rmtree(path)
    assert len(read(sample(shape=SMALL))) == 6


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_what_is_interrupted_leaves_nothing(
    cache: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    encode, encoded = samples.encode_slice, []

    def encode_some(*args: Any) -> Any:
        encoded.append(1)
        if len(encoded) == 5:
            assert not [p for p in cache.iterdir() if not p.name.startswith(".")]
            raise stop
        return encode(*args)

    monkeypatch.setattr(samples, "encode_slice", encode_some)
    with pytest.raises(stop):
        sample(shape=SMALL)
    assert list(cache.iterdir()) == []
    monkeypatch.undo()


@pytest.mark.slow
def test_two_at_once_give_one_whole_sample(tmp_path: Path) -> None:
    target = tmp_path / "shared"
    make = f"import brainxr; print(brainxr.sample(shape={SMALL}, folder={str(target)!r}))"
    runs = [
        subprocess.Popen([sys.executable, "-c", make], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [run.communicate()[0].strip() for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert outputs == [str(target)] * 2
    assert [p.name for p in tmp_path.iterdir()] == ["shared"]
    assert len(read(target)) == SMALL["z"]


def test_the_slower_one_takes_what_the_faster_one_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "shared"
    publish = samples._publish

    def late(*args: Any) -> None:
        monkeypatch.setattr(samples, "_publish", publish)
        sample(shape=SMALL, folder=target)
        publish(*args)

    monkeypatch.setattr(samples, "_publish", late)
    assert sample(shape=SMALL, folder=target) == target
    assert [p.name for p in tmp_path.iterdir()] == ["shared"]


def test_what_comes_into_the_way_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "s"
    texts = samples._write_texts

    def disturb(*args: Any) -> None:
        texts(*args)
        target.mkdir()
        (target / "mine.txt").write_text("mine")

    monkeypatch.setattr(samples, "_write_texts", disturb)
    with pytest.raises(FileExistsError, match="is not the sample"):
        sample(shape=SMALL, folder=target)
    assert [p.name for p in tmp_path.rglob("*")] == ["s", "mine.txt"]


def test_threads_of_one_process_may_ask_at_once(cache: Path) -> None:
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(sample(shape=SMALL))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert len(set(found)) == 1
    assert len(list(cache.iterdir())) == 1


def test_a_full_disk_is_found_out_before_writing(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**9))
    with pytest.raises(OSError, match=r"needs 3\.97 GB, and 1\.00 GB are free in") as caught:
        sample(shape=samples.FULL_SHAPE)
    assert caught.value.errno is None or caught.value.errno == errno.ENOSPC
    assert list(cache.iterdir()) == []


def test_a_place_that_can_not_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError, match="file"):
        sample(shape=SMALL, folder=tmp_path / "file" / "s")


def test_progress_is_shown_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    sample(shape=SMALL, progress=True)
    assert "6/6" in capsys.readouterr().err
    sample(shape={**SMALL, "x": 21})
    assert capsys.readouterr().err == ""


# --- bad requests ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("phantim", r"no sample 'phantim'\. Did you mean 'phantom'\? There are: 'phantom' or"),
        ("MNI", r"Did you mean 'mni152'\?"),
        ("liver", r"no sample 'liver'\. There are: 'phantom' or 'mni152'"),
    ],
)
def test_unknown_names_are_told_the_known_ones(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sample(name)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"z": 4, "y": 4}, r"has to name the voxels along each of z, y and x"),
        ({"z": 4, "y": 4, "x": 4, "t": 4}, r"has to name"),
        ((4, 4, 4), r"shape=\(4, 4, 4\) has to name"),
        (64, r"shape=64 has to name"),
        ({**SMALL, "y": 0}, r"shape\['y'\] is 0; expected a whole number from 1 to 1760"),
        ({**SMALL, "z": -3}, r"shape\['z'\] is -3"),
        ({**SMALL, "z": 1281}, r"shape\['z'\] is 1281; expected a whole number from 1 to 1280"),
        ({**SMALL, "x": 10.0}, r"shape\['x'\] is 10\.0"),
        ({**SMALL, "x": True}, r"shape\['x'\] is True"),
        ({**SMALL, "x": "9"}, r"shape\['x'\] is '9'"),
    ],
)
def test_bad_shapes(shape: Any, message: str, cache: Path) -> None:
    with pytest.raises(ValueError, match=message):
        sample(shape=shape)
    assert not cache.exists()


@pytest.mark.parametrize("dtype", ["float32", "int8", "colour"])
def test_bad_dtypes(dtype: str) -> None:
    with pytest.raises(ValueError, match=rf"dtype='{dtype}' .*'uint8' or 'uint16'"):
        sample(dtype=dtype)


@pytest.mark.parametrize("asked", [{"shape": SMALL}, {"dtype": "uint8"}])
def test_mni152_has_its_own_shape(asked: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="has a shape and a dtype of its own"):
        sample("mni152", **asked)


def test_a_name_that_would_turn_the_stack_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GeometryError, match="read as coronal, and the sample is axial"):
        sample(shape=SMALL, folder=tmp_path / "coronal")
    assert list(tmp_path.iterdir()) == []


def test_a_spacing_like_a_screens_is_kept(cache: Path) -> None:
    volume = brainxr.open(sample(shape={"z": 8, "y": 693, "x": 5}))
    # 100 dpi but for 0.03 %
    assert volume.y.attrs["spacing"] == pytest.approx(176_000 / 693, rel=1e-6)


# --- MNI152 -----------------------------------------------------------------------------


def test_mni152_is_the_template_voxel_by_voxel() -> None:
    """Each voxel of the stack is where nibabel's affine puts it in the head."""
    import nibabel

    image = nibabel.load(mni152._find_mni152())
    path = sample("mni152")
    vol = brainxr.open(path)
    assert vol.shape == (189, 233, 197)
    assert vol.dtype == np.uint8
    np.testing.assert_array_equal(vol.values, read(path))
    # the world's place of voxel (z, y, x) of the stack: from the top, the front, the left
    corners = nibabel.affines.apply_affine(image.affine, [[0, 0, 0], [n - 1 for n in image.shape]])
    left, front, top = corners[:, 0].min(), corners[:, 1].max(), corners[:, 2].max()
    z, y, x = np.meshgrid(*(vol[d].values / 1000 for d in "zyx"), indexing="ij")
    world = np.stack([left + x, front - y, top - z], -1)
    voxels = nibabel.affines.apply_affine(np.linalg.inv(image.affine), world)
    i, j, k = np.rint(voxels).astype(int).reshape(-1, 3).T
    np.testing.assert_array_equal(vol.values.ravel(), np.asanyarray(image.dataobj)[i, j, k])


@pytest.mark.parametrize("codes", ["RAS", "LAS", "LPS", "PIR", "SAL"])
def test_any_orientation_is_turned_by_the_affine(codes: str) -> None:
    """The template is as left as right; a head that is not must come out unflipped."""
    import nibabel
    from nibabel import orientations as o

    right_anterior_superior = np.arange(4 * 5 * 6, dtype=np.uint8).reshape(4, 5, 6)
    image = nibabel.Nifti1Image(right_anterior_superior, np.diag([1.0, 2, 3, 1]))
    turn = o.ornt_transform(o.axcodes2ornt("RAS"), o.axcodes2ornt(codes))
    turned = image.as_reoriented(turn)
    assert "".join(nibabel.aff2axcodes(turned.affine)) == codes
    stack, spacing = mni152._as_axial_stack(turned)
    assert spacing == {"z": 3000, "y": 2000, "x": 1000}
    for z, y, x in np.ndindex(6, 5, 4):
        assert stack[z, y, x] == right_anterior_superior[x, 4 - y, 5 - z]


def test_mni152_carries_its_citation_and_notice() -> None:
    path = sample("mni152")
    vol = brainxr.open(path)
    assert "10.1016/j.neuroimage.2010.07.033" in vol.attrs["citation"]
    assert "Louis Collins" in vol.attrs["license"]
    assert vol.sel(z="8 cm").attrs["citation"] == vol.attrs["citation"]
    notice = (path / "NOTICE.txt").read_text("utf-8")
    assert "provided that the above\ncopyright notice appear in all copies" in notice
    assert json.loads((path / "sample.json").read_text("utf-8"))["slices"] == 189


def test_mni152_stays_when_nilearn_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    path = sample("mni152")
    monkeypatch.setitem(sys.modules, "nibabel", None)
    assert sample("mni152") == path


@pytest.mark.parametrize("missing", ["nibabel", "nilearn"])
def test_without_the_extra(missing: str, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    if missing == "nibabel":
        monkeypatch.setitem(sys.modules, "nibabel", None)
    else:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=rf'{missing}.*pip install "brainxr\[samples\]"'):
        sample("mni152")
    assert not cache.exists()


def test_nilearn_without_the_template(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: spec)
    with pytest.raises(MissingExtraError, match=r"nilearn is here, and .* is not"):
        sample("mni152")


def test_a_phantom_needs_none_of_the_extras() -> None:
    code = (
        "import sys, brainxr.samples.catalogue as s; s.sample(shape={'z': 4, 'y': 6, 'x': 5});"
        "print({'nilearn', 'nibabel', 'matplotlib', 'napari'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"
