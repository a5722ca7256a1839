"""Volumes as NIfTI: read back by nibabel, every voxel where its coordinate says."""

from __future__ import annotations

import gzip
import math
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import xarray as xr
from conftest import MakeStack, unique_values
from hypothesis import given
from hypothesis import strategies as st
from niftis import AFFINES, affine_of, make_nifti, rotated

import brainxr
from brainxr.errors import GeometryError, OrientationWarning, TooBigError, VolumeError
from brainxr.writing import niftiwriter, scratch
from brainxr.writing.niftiwriter import to_nifti


def volume(
    shape: tuple[int, int, int] = (11, 7, 5), dtype: Any = "u2", *, unit: str = "micrometer",
    spacing: tuple[float, ...] = (300, 200, 100), origin: tuple[float, ...] = (50, -7000, 12.5),
) -> xr.DataArray:  # fmt: skip
    coords = {
        dim: (dim, o + s * np.arange(n), {"units": unit, "spacing": abs(s)})
        for dim, o, s, n in zip("zyx", origin, spacing, shape, strict=True)
    }
    return xr.DataArray(unique_values(shape, dtype), coords, tuple("zyx"), "intensity")


def read(path: Path) -> tuple[np.ndarray, np.ndarray, Any]:
    """By nibabel: values (z, y, x), world positions in mm (z, y, x, 3), header."""
    image = nibabel.load(path, mmap=False)
    index = np.indices(image.shape).reshape(3, -1).T
    places = nibabel.affines.apply_affine(image.affine, index).reshape(*image.shape, 3)
    values = np.asanyarray(image.dataobj)
    return values.transpose(2, 1, 0), places.transpose(2, 1, 0, 3), image.header


def assert_in_place(path: Path, data: xr.DataArray, atol: float = 1e-4) -> None:
    """Values, and the world position of every voxel, are those of the data (µm)."""
    values, places, header = read(path)
    whole = data.expand_dims([d for d in "zyx" if d not in data.dims]).transpose("z", "y", "x")
    assert values.dtype == whole.dtype
    np.testing.assert_array_equal(values, whole.values)
    expected = np.meshgrid(*(np.atleast_1d(data[d].values) for d in "zyx"), indexing="ij")
    np.testing.assert_allclose(places, np.stack(expected[::-1], -1) / 1000, rtol=0, atol=atol)
    assert header.get_xyzt_units()[0] == "mm"
    assert int(header["sform_code"]) > 0
    np.testing.assert_allclose(header.get_qform(), header.get_sform(), atol=atol)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_every_voxel_is_where_its_coordinate_says(tmp_path: Path, ending: str) -> None:
    data = volume()
    path = to_nifti(data, tmp_path / f"a{ending}")
    assert path == tmp_path / f"a{ending}"
    assert_in_place(path, data)
    xr.testing.assert_equal(brainxr.open(path).compute(), data)
    assert os.listdir(tmp_path) == [path.name]


steps = st.sampled_from([1, 2, 3, -1, -2])


@st.composite
def cuts(draw: Any) -> dict[str, slice]:
    """A slab or stride along each axis, in either direction."""
    found = {}
    for dim, size in zip("zyx", (11, 7, 5), strict=True):
        first = draw(st.integers(0, size - 3))
        part = slice(first, draw(st.integers(first + 1, size)))
        found[dim] = (part, slice(None, None, draw(steps)))
    return found


@given(
    cut=cuts(),
    order=st.permutations("zyx"),
    spacing=st.tuples(*[st.sampled_from([0.325, 25, 100, 976.5625, 1234.5, 1 / 3])] * 3),
    origin=st.tuples(*[st.sampled_from([0, -98_000, 12_345.6, 0.1])] * 3),
    in_mm=st.booleans(),
)
def test_flips_strides_offsets_units(
    tmp_path_factory: pytest.TempPathFactory, cut: Any, order: list[str], spacing: Any,
    origin: Any, in_mm: bool,
) -> None:  # fmt: skip
    data = volume(spacing=spacing, origin=origin)
    for dim, (part, stride) in cut.items():
        data = data.isel({dim: part}).isel({dim: stride})
        data[dim].attrs["spacing"] = spacing["zyx".index(dim)] * abs(stride.step)
    expected = data
    if in_mm:
        for dim in "zyx":
            attrs = {"units": "mm", "spacing": data[dim].attrs["spacing"] / 1000}
            data = data.assign_coords({dim: (dim, data[dim].values / 1000, attrs)})
    path = tmp_path_factory.mktemp("out") / "a.nii"
    to_nifti(data.transpose(*order), path)
    voxel = min(data[dim].attrs["spacing"] for dim in "zyx") / (1 if in_mm else 1000)
    assert_in_place(path, expected, atol=1e-3 * voxel)
    shutil.rmtree(path.parent)


SELECTIONS: dict[str, Any] = {
    "plane": lambda v: v.isel(z=3),
    "coronal": lambda v: v.isel(y=4),
    "column": lambda v: v.isel(z=1, y=2),
    "one voxel": lambda v: v.isel(z=1, y=2, x=3),
    "thin": lambda v: v.isel(z=[2]),
    "stride": lambda v: v.isel(z=slice(None, None, 3)),
    "computed": lambda v: (v // 3 + v.isel(z=0, drop=True)).astype("i4"),
    "coarse": lambda v: v.coarsen(z=2, y=2, x=1, boundary="trim").mean(),
}


@pytest.mark.parametrize("name", list(SELECTIONS))
def test_selections_of_a_stack(make_stack: MakeStack, tmp_path: Path, name: str) -> None:
    vol = brainxr.open(make_stack((11, 7, 5)).path)
    data = SELECTIONS[name](vol)
    path = to_nifti(data, tmp_path / "a.nii.gz")
    assert_in_place(path, data.compute())
    assert read(path)[2]["descrip"].item().endswith(b"left and right are not known")


@pytest.mark.parametrize("plane", ["coronal", "sagittal"])
def test_stacks_along_other_axes(make_stack: MakeStack, tmp_path: Path, plane: str) -> None:
    made = make_stack((5, 7, 11))
    vol = brainxr.open(made.path, plane=plane)
    assert_in_place(to_nifti(vol, tmp_path / "a.nii"), vol.compute())
    assert_in_place(to_nifti(vol * 2, tmp_path / "b.nii"), (vol * 2).compute())


@pytest.mark.parametrize(
    "dtype", ["u1", "i1", "u2", ">i2", "u4", "i4", "i8", "u8", "f4", "f8", "c8"]
)
def test_types(tmp_path: Path, dtype: str) -> None:
    data = volume(dtype=np.dtype(dtype).newbyteorder("="))
    data = data.copy(data=data.values.astype(dtype))
    path = to_nifti(data, tmp_path / "a.nii.gz")
    values, _, header = read(path)
    assert header.endianness == "<"
    assert values.dtype == np.dtype(dtype).newbyteorder("<")
    np.testing.assert_array_equal(values, data.values)
    back = brainxr.open(path)
    assert back.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(back.values, data.values)


def test_slabs_are_cut_to_the_memory(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(niftiwriter, "SLAB_BYTES", 3 * 7 * 5 * 2)
    data = volume()
    for chunks in (None, {"z": 2}, {"z": 11}, {"z": (1, 1, 1, 5, 3)}, {"x": 2}):
        lazy = data if chunks is None else data.chunk(chunks)
        path = to_nifti(lazy, tmp_path / "a.nii.gz", memory=4 * 4 * 7 * 5 * 2, overwrite=True)
        assert_in_place(path, data)
    with pytest.raises(TooBigError, match="A plane across z takes 70 B, and memory=100 B"):
        to_nifti(data, tmp_path / "b.nii", memory=100)


@pytest.mark.parametrize(
    ("chunks", "most", "lengths"),
    [((4, 4, 3), 100, [4, 4, 3]), ((1,) * 6, 4, [1] * 6), ((2, 3, 2, 1, 1), 4, [2, 3, 2, 1, 1])],
)
def test_chunks_are_computed_once_where_they_fit(
    chunks: tuple[int, ...], most: int, lengths: list[int]
) -> None:
    slabs = niftiwriter._along_chunks(chunks, most)
    assert [s.stop - s.start for s in slabs] == lengths
    assert [s.start for s in slabs[1:]] == [s.stop for s in slabs[:-1]]


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("chunks", [{"z": 11, "y": 3, "x": 4}, {"z": (2, 9), "y": 7, "x": 2}, {}])
def test_deep_chunks_are_computed_once(tmp_path: Path, name: str, chunks: dict[str, Any]) -> None:
    """Chunks that memory has no room for, as slabs of whole planes, are no reason for twice."""
    data = volume()
    lazy = data.chunk(chunks)
    computed: list[int] = []

    def counted(block: np.ndarray) -> np.ndarray:
        computed.append(block.size)
        return block + 1

    counts = xr.apply_ufunc(
        counted, lazy, dask="parallelized", output_dtypes=[data.dtype], keep_attrs=True
    )
    computed.clear()
    path = to_nifti(counts, tmp_path / name, memory=4 * 4 * 7 * 5 * 2)
    assert sum(computed) == data.size
    assert len(computed) == math.prod(map(len, lazy.chunks))
    assert_in_place(path, data.copy(data=data.values + 1))
    assert [each.name for each in tmp_path.iterdir()] == [name]


@pytest.mark.slow
def test_memory_is_that_of_slabs(tmp_path: Path) -> None:
    """A volume of 256 MB that is made as it is read, in 32 MB."""
    code = f"""
import dask.array as da, numpy as np, xarray as xr
from benchmarks.memory import status
from brainxr.writing.niftiwriter import to_nifti
data = xr.DataArray(
    da.zeros((256, 1000, 1000), "u1", chunks=(4, -1, -1)) + 7, dims=("z", "y", "x"),
    coords={{d: (d, np.arange(n) * 1.0, {{"units": "mm"}})
            for d, n in zip("zyx", (256, 1000, 1000))}},
)
to_nifti(data[:4], {str(tmp_path / "a.nii.gz")!r}, memory="32 MiB")
before = status("VmHWM")
to_nifti(data, {str(tmp_path / "b.nii.gz")!r}, memory="32 MiB")
print(status("VmHWM") - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "MALLOC_ARENA_MAX": "1"},  # else glibc keeps some for each thread
    )  # fmt: skip
    assert 0 < int(done.stdout) < 48 << 20


def test_a_packed_file_is_one_that_gzip_reads(tmp_path: Path) -> None:
    data = volume((50, 200, 300), "u1")
    one = to_nifti(data, tmp_path / "a.nii.gz")
    other = to_nifti(data, tmp_path / "b.nii")
    assert gzip.decompress(one.read_bytes()) == other.read_bytes()
    if shutil.which("gzip"):
        subprocess.run(["gzip", "-t", str(one)], check=True)


# --- space and orientation --------------------------------------------------------


@pytest.mark.parametrize("name", list(AFFINES))
def test_there_and_back(tmp_path: Path, name: str) -> None:
    make_nifti(tmp_path / "a.nii", affine=name, sform="mni")
    vol = brainxr.open(tmp_path / "a.nii")
    path = to_nifti(vol, tmp_path / "b.nii")
    assert_in_place(path, vol.compute(), atol=1e-5)
    header = read(path)[2]
    assert int(header["sform_code"]) == 4
    assert header["descrip"].item().endswith(b"by its coordinates")
    again = brainxr.open(path)
    for attrs in (vol.attrs, again.attrs):
        del attrs["source"], attrs["stored_orientation"]
    xr.testing.assert_identical(again.compute(), vol.compute())


@pytest.mark.parametrize("name", list(AFFINES))
def test_an_oblique_volume_goes_back_to_where_it_was(tmp_path: Path, name: str) -> None:
    make_nifti(tmp_path / "a.nii", affine=rotated(20, affine_of(name)))
    with pytest.warns(OrientationWarning, match="oblique"):
        vol = brainxr.open(tmp_path / "a.nii")
    path = to_nifti(vol.isel(z=slice(2, None, 2), y=slice(None, None, -1)), tmp_path / "b.nii")
    first, second = _by_value(tmp_path / "a.nii"), _by_value(path)
    assert 0 < len(second) < len(first)
    for value, place in second.items():
        np.testing.assert_allclose(place, first[value], atol=1e-4)
    header = read(path)[2]
    np.testing.assert_allclose(header.get_qform(), header.get_sform(), atol=1e-4)


def _by_value(path: Path) -> dict[int, np.ndarray]:
    values, places, _ = read(path)
    return dict(zip(values.ravel().tolist(), places.reshape(-1, 3), strict=True))


def test_an_orientation_that_is_said_is_followed(tmp_path: Path) -> None:
    data = volume()
    data.z.attrs["orientation"] = "superior-to-inferior"
    data.y.attrs["orientation"] = "anterior-to-posterior"
    data.x.attrs["orientation"] = "left-to-right"
    path = to_nifti(data, tmp_path / "a.nii")
    values, places, header = read(path)
    np.testing.assert_array_equal(values, data.values)
    expected = np.meshgrid(-data.z, -data.y, data.x, indexing="ij")
    np.testing.assert_allclose(places, np.stack(expected[::-1], -1) / 1000, atol=1e-4)
    assert nibabel.aff2axcodes(nibabel.load(path).affine) == ("R", "P", "I")
    assert header["descrip"].item().endswith(b"by its coordinates")
    data.x.attrs["orientation"] = "up"
    with pytest.raises(GeometryError, match="'orientation' of 'x' is 'up'; expected 'left-to-r"):
        to_nifti(data, tmp_path / "b.nii")


def test_where_it_comes_from_is_kept(make_stack: MakeStack, tmp_path: Path) -> None:
    made = make_stack()
    path = to_nifti(brainxr.open(made.path), tmp_path / "a.nii")
    (extension,) = read(path)[2].extensions
    assert extension.get_code() == 6
    assert made.path.encode() in extension.get_content()


# --- versions ---------------------------------------------------------------------


def test_long_axes_and_many_digits_take_nifti_2(tmp_path: Path) -> None:
    long = volume((2, 3, 40_000), "u1")
    far = volume(spacing=(0.1, 0.1, 0.1), origin=(98_765.4, 0, 0))
    for data, name in ((long, "a.nii.gz"), (far, "b.nii")):
        path = to_nifti(data, tmp_path / name)
        assert isinstance(read(path)[2], nibabel.Nifti2Header)
        values, places, _ = read(path)
        np.testing.assert_array_equal(values, data.values)
        np.testing.assert_allclose(places[0, 0, :, 0], data.x / 1000, rtol=0, atol=1e-9)
        with pytest.raises(VolumeError, match="NIfTI-1 can't hold"):
            to_nifti(data, tmp_path / "c.nii", version=1)
    assert isinstance(read(to_nifti(volume(), tmp_path / "d.nii"))[2], nibabel.Nifti1Header)
    path = to_nifti(volume(), tmp_path / "e.nii", version=2)
    assert isinstance(read(path)[2], nibabel.Nifti2Header)


# --- what is refused --------------------------------------------------------------


def refused() -> dict[str, tuple[Any, type[Exception], str]]:
    data = volume()
    gap = data.isel(z=[0, 1, 3, 4])
    uneven = data.assign_coords(z=("z", np.sqrt(np.arange(11.0)), data.z.attrs))
    bare = data.assign_coords(z=("z", data.z.values))
    return {
        "gap": (gap, GeometryError, "1 positions are missing along 'z'.*missing='fill'"),
        "uneven": (uneven, GeometryError, r"not evenly spaced.*\.interp\(z="),
        "no unit": (bare, GeometryError, "'z' has no unit"),
        "time": (data.expand_dims(t=2), GeometryError, r"axis 't'.*data.isel\(t=0\)"),
        "projection": (data.max("z"), GeometryError, r"no coordinate 'z'.*assign_coords\(z="),
        "half": (data.astype("f2"), VolumeError, r"type float16.*astype\('float32'\)"),
        "version": (data, VolumeError, "version=3 is none of 1, 2"),
    }  # fmt: skip


def test_a_mask_is_written_as_zeros_and_ones(tmp_path: Path) -> None:
    mask = volume() > 3
    stored = nibabel.load(to_nifti(mask, tmp_path / "mask.nii"))
    assert stored.get_data_dtype() == np.uint8
    assert np.asarray(stored.dataobj).sum() == int(mask.sum())
    assert_in_place(tmp_path / "mask.nii", mask.astype("u1"))


@pytest.mark.parametrize("name", list(refused()))
def test_what_it_can_not_hold(tmp_path: Path, name: str) -> None:
    data, error, message = refused()[name]
    with pytest.raises(error, match=message):
        to_nifti(data, tmp_path / "a.nii", version=3 if name == "version" else None)
    assert os.listdir(tmp_path) == []


def test_a_projection_that_was_given_a_place(tmp_path: Path) -> None:
    place = xr.Variable((), 6200.0, {"units": "micrometer", "spacing": 300.0})
    data = volume().max("z").assign_coords(z=place)
    assert_in_place(to_nifti(data, tmp_path / "a.nii"), data)
    assert nibabel.load(tmp_path / "a.nii").header.get_zooms()[2] == np.float32(0.3)


def test_names_and_what_is_there(tmp_path: Path) -> None:
    data = volume()
    with pytest.raises(ValueError, match=r"ends with '\.tif'; NIfTI is written to"):
        to_nifti(data, tmp_path / "a.tif")
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        to_nifti(data, tmp_path / "no" / "a.nii")
    path = to_nifti(data, tmp_path / "a.nii")
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match=r"a\.nii' is there already.*overwrite=True"):
        to_nifti(data * 2, path)
    assert path.read_bytes() == before
    to_nifti(data * 2, path, overwrite=True)
    np.testing.assert_array_equal(read(path)[0], data.values * 2)


def test_a_disk_without_room_is_found_before(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(OSError, match=r"It needs 0.00 GB, and 0.00 GB are free"):
        to_nifti(volume(), tmp_path / "a.nii")


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_an_error_leaves_what_was_there(
    make_stack: MakeStack, tmp_path: Path, monkeypatch: Any, ending: str
) -> None:
    made = make_stack((40, 7, 11))
    vol = brainxr.open(made.path)
    out = tmp_path / "out"
    out.mkdir()
    path = to_nifti(vol, out / f"a{ending}")
    before = path.read_bytes()
    monkeypatch.setattr(niftiwriter, "SLAB_BYTES", 1000)
    made.paths[30].write_bytes(b"no TIFF")
    with pytest.raises(brainxr.SliceReadError, match=made.paths[30].name):
        to_nifti(vol, path, overwrite=True)
    assert path.read_bytes() == before
    assert os.listdir(out) == [path.name]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a disk that is full by itself")
def test_a_disk_that_fills_up_is_said(tmp_path: Path, monkeypatch: Any) -> None:
    real = open
    monkeypatch.setattr(niftiwriter, "open", lambda p, m: real("/dev/full", m), raising=False)
    said = r"^'[^']*a\.nii' can't be written: No space left on device. What was there before"
    with pytest.raises(OSError, match=said):
        to_nifti(volume((50, 100, 100)), tmp_path / "a.nii")
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a disk that is full by itself")
def test_a_disk_that_fills_up_with_what_is_computed(tmp_path: Path, monkeypatch: Any) -> None:
    full = partial(open, "/dev/full")
    monkeypatch.setattr(scratch, "open", lambda _, *how, **more: full(*how, **more), raising=False)
    said = r"a\.nii' can't be written: No space left.*, where what is computed lies until then"
    with pytest.raises(OSError, match=said):
        to_nifti(volume().chunk() + 1, tmp_path / "a.nii", memory=4 * 4 * 7 * 5 * 2)
    assert os.listdir(tmp_path) == []


def test_ctrl_c_leaves_nothing(tmp_path: Path, monkeypatch: Any) -> None:
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(niftiwriter, "_values", interrupted)
    with pytest.raises(KeyboardInterrupt):
        to_nifti(volume(), tmp_path / "a.nii.gz")
    assert os.listdir(tmp_path) == []


def test_the_bar_counts_slabs(tmp_path: Path, capsys: Any) -> None:
    to_nifti(volume(), tmp_path / "a.nii", progress=True)
    assert "a.nii: 100%" in capsys.readouterr().err
    to_nifti(volume(), tmp_path / "b.nii", progress=False)
    assert capsys.readouterr().err == ""


def test_a_callback_is_told_and_can_end_it(tmp_path: Path, monkeypatch) -> None:
    data = volume()
    monkeypatch.setattr(niftiwriter, "SLAB_BYTES", 1)
    told: list[Any] = []
    to_nifti(data, tmp_path / "a.nii", callback=told.append)
    a_slab, n = data.nbytes // data.sizes["z"], data.sizes["z"]
    assert [(p.done, p.total, p.bytes_done, p.bytes_total) for p in told] == [
        (i, n, i * a_slab, data.nbytes) for i in range(n + 1)
    ]

    def end(progress: Any) -> None:
        if progress.done == 2:
            raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        to_nifti(data, tmp_path / "b.nii.gz", callback=end)
    assert [path.name for path in tmp_path.iterdir()] == ["a.nii"]

    def at_once(progress: Any) -> None:
        raise KeyError("not begun")

    with pytest.raises(KeyError, match="not begun"):  # while it is computed by way of the disk
        to_nifti(data.chunk(), tmp_path / "c.nii", memory=8 * a_slab, callback=at_once)
    assert [path.name for path in tmp_path.iterdir()] == ["a.nii"]
