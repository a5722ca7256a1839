"""NIfTI and MGH files as volumes: values and places by nibabel, bytes by the kernel."""

from __future__ import annotations

import gzip
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import xarray as xr
from conftest import ByteCounter, unique_values
from niftis import AFFINES, SHAPE, affine_of, canonical, make_nifti, rotated

import brainxr
from brainxr.files import unpacked
from brainxr.geometry.index import UnitIndex

# packed with and without an index, unpacked, and a header of its own
FORMS = ["a.nii", "a.nii.gz", "a.img"]


@pytest.fixture(params=["index", "no index"])
def index(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "no index":
        monkeypatch.setattr(unpacked, "has_index", lambda: False)


def test_places_and_values_are_those_of_nibabel_for_every_orientation(tmp_path: Path) -> None:
    for name in AFFINES:
        path = tmp_path / f"{name}.nii"
        make_nifti(path, affine=name)
        vol = brainxr.open(path)
        values, places = canonical(path)
        np.testing.assert_array_equal(vol.values, values)
        for dim in "zyx":
            np.testing.assert_allclose(vol[dim].values, places[dim] * 1000, rtol=1e-6, atol=1e-3)
            assert type(vol.xindexes[dim]) is UnitIndex
        assert vol.dims == ("z", "y", "x")
        assert (
            vol.attrs["stored_orientation"]
            == name
            == "".join(nibabel.aff2axcodes(nibabel.load(path, mmap=False).affine))
        )


def test_decimals_come_back_as_they_were_meant(tmp_path: Path) -> None:
    make_nifti(tmp_path / "a.nii", affine="RAS")
    vol = brainxr.open(tmp_path / "a.nii")
    assert vol.x.values.tolist()[:2] == [-1100.0, -900.0]
    assert {d: vol[d].attrs["spacing"] for d in "zyx"} == {"z": 700.0, "y": 300.0, "x": 200.0}
    assert vol.sel(z="15.7 mm", y="-6.4 mm", x="-0.7 mm").values == vol.values[4, 3, 2]


@pytest.mark.parametrize("dtype", ["u1", ">i2", "<u2", ">i4", "<f4", ">f8", "i8", "c8"])
@pytest.mark.parametrize("form", FORMS)
def test_every_type_and_byte_order(tmp_path: Path, form: str, dtype: str, index: None) -> None:
    kind = nibabel.Nifti1Pair if form == "a.img" else nibabel.Nifti1Image
    make_nifti(tmp_path / form, dtype=dtype, affine="PSR", kind=kind)
    vol = brainxr.open(tmp_path / form)
    assert vol.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(vol.values, canonical(tmp_path / form)[0])
    header = (tmp_path / form).with_suffix(".hdr")
    if header.exists():
        np.testing.assert_array_equal(brainxr.open(header).values, vol.values)


def test_nifti_2(tmp_path: Path) -> None:
    exact = affine_of("RAS")
    exact[0, 3] = -1.23456789012
    make_nifti(tmp_path / "a.nii", affine=exact, kind=nibabel.Nifti2Image)
    vol = brainxr.open(tmp_path / "a.nii")
    assert float(vol.x[0]) == -1234.56789012
    assert vol.attrs["spacing_source"] == "NIfTI-2 sform"
    np.testing.assert_array_equal(vol.values, canonical(tmp_path / "a.nii")[0])


@pytest.mark.parametrize("name", ["a.mgz", "a.mgh"])
def test_mgh(tmp_path: Path, name: str) -> None:
    values = unique_values(SHAPE, "f4")
    affine = affine_of("LPI")
    nibabel.save(nibabel.MGHImage(values, affine), tmp_path / name)
    vol = brainxr.open(tmp_path / name)
    np.testing.assert_array_equal(vol.values, values.transpose(2, 1, 0)[::-1, ::-1, ::-1])
    lowest = affine[:3, 3] - 0.1 * (np.array(SHAPE) - 1)
    np.testing.assert_allclose([vol[d][0] for d in "xyz"], lowest * 1000, atol=1e-3)
    assert vol.attrs["spacing_source"] == "MGH header"


SELECTIONS: dict[str, Any] = {
    "plane": lambda v: v.isel(z=3),
    "coronal": lambda v: v.isel(y=4),
    "sagittal": lambda v: v.isel(x=2),
    "voxel": lambda v: v.isel(z=1, y=2, x=3),
    "box": lambda v: v.isel(z=slice(2, 4), y=slice(1, 5), x=slice(0, 3)),
    "strides": lambda v: v.isel(z=slice(None, None, 3), y=slice(1, None, 2), x=slice(4, 0, -2)),
    "lists": lambda v: v.isel(z=[4, 1, 1], y=[0, 3]).isel(x=[3, 0]),
    "reversed": lambda v: v[::-1, ::-1, ::-1],
    "transposed": lambda v: v.transpose("x", "z", "y")[1:],
    "points": lambda v: v.isel(
        z=xr.DataArray([3, 0, 4], dims="p"), y=xr.DataArray([4, 0, 2], dims="p"),
        x=xr.DataArray([4, 1, 1], dims="p"),
    ),
    "empty": lambda v: v.isel(y=slice(3, 3)),
    "maximum": lambda v: v.max("z"),
    "mean": lambda v: v.mean(("y", "x")),
    "arithmetic": lambda v: (v * 2).isel(z=slice(1, 4)),
}  # fmt: skip


@pytest.mark.parametrize("form", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("affine", ["RAS", "PSR", "SLP"])
def test_selections_are_those_in_memory(
    tmp_path: Path, form: str, affine: str, index: None
) -> None:
    make_nifti(tmp_path / form, affine=affine)
    vol = brainxr.open(tmp_path / form)
    bare = brainxr.open(tmp_path / form, chunks=None)
    memory = vol.copy(data=canonical(tmp_path / form)[0])
    for name, select in SELECTIONS.items():
        for lazy in (vol, bare, pickle.loads(pickle.dumps(vol))):
            found = select(lazy).compute()
            np.testing.assert_array_equal(found.values, select(memory).values, err_msg=name)


def test_only_the_bytes_of_the_selection_are_read(tmp_path: Path, bytes_read: ByteCounter) -> None:
    make_nifti(tmp_path / "a.nii", (3000, 50, 60), "u2", affine="RAS")
    with bytes_read() as opening:
        vol = brainxr.open(tmp_path / "a.nii")
    assert opening.count < 20_000  # of 18 MB: a header, in pages
    vol.isel(z=3).compute()  # what is imported for the first one is not read again
    cases = [
        (vol.isel(z=30), 50 * 6000), (vol.isel(y=30), 60 * 6000),
        (vol.isel(z=slice(10, 20), y=7), 10 * 6000), (vol.isel(x=5), 60 * 50 * 6000),
    ]  # fmt: skip
    for selection, needed in cases:
        with bytes_read() as reading:
            selection.compute()
        assert needed <= reading.count < needed + 100
        assert selection.brain.cost().bytes_to_read == needed


def test_scaled_values_are_what_the_header_means(tmp_path: Path, index: None) -> None:
    for name, scale in (("a.nii", (0.25, -3.5)), ("b.nii", (2.0, 0.0)), ("c.nii", (1.0, 7.0))):
        stored = make_nifti(tmp_path / name, affine="LAS", scale=scale)
        vol = brainxr.open(tmp_path / name)
        by_nibabel = np.asanyarray(nibabel.load(tmp_path / name, mmap=False).dataobj)
        assert vol.dtype == by_nibabel.dtype
        np.testing.assert_array_equal(vol.values, by_nibabel.transpose(2, 1, 0)[:, :, ::-1])
        assert (vol.attrs["scl_slope"], vol.attrs["scl_inter"]) == scale
        assert vol.attrs["stored_dtype"] == "int16"
        np.testing.assert_array_equal(vol.max("z").values, vol.values.max(0))
        assert stored.dtype == "i2"


def test_no_scale_is_no_scale(tmp_path: Path) -> None:
    for name, slope in (("zero.nii", 0.0), ("nan.nii", np.nan)):
        make_nifti(tmp_path / name, scale=(slope, 0.0))
        vol = brainxr.open(tmp_path / name)
        assert vol.dtype == "int16"
        assert "scl_slope" not in vol.attrs


def test_time_and_other_axes(tmp_path: Path) -> None:
    make_nifti(tmp_path / "a.nii.gz", (5, 7, 11, 3, 2), affine="LAS")
    values, _ = canonical(tmp_path / "a.nii.gz")
    with pytest.raises(brainxr.VolumeError, match=r"3 along 't' and 2 along 'u'.*at={'t': 0, 'u'"):
        brainxr.open(tmp_path / "a.nii.gz")
    vol = brainxr.open(tmp_path / "a.nii.gz", at={"t": 2, "u": -1})
    np.testing.assert_array_equal(vol.values, values[..., 2, 1])
    assert (int(vol.t), int(vol.u)) == (2, 1)
    with pytest.raises(brainxr.VolumeError, match="no 3 along 't'"):
        brainxr.open(tmp_path / "a.nii.gz", at={"t": 3, "u": 0})
    with pytest.raises(brainxr.VolumeError, match="at has the axis 'c'"):
        brainxr.open(tmp_path / "a.nii.gz", at={"c": 0})


def test_one_of_time_needs_no_choice_and_a_picture_is_thin(tmp_path: Path) -> None:
    make_nifti(tmp_path / "a.nii", (5, 7, 11, 1))
    assert brainxr.open(tmp_path / "a.nii").shape == (11, 7, 5)
    make_nifti(tmp_path / "b.nii", (5, 7))
    vol = brainxr.open(tmp_path / "b.nii")
    assert vol.shape == (1, 7, 5)
    assert float(vol.z[0]) == 12900.0


# --- units, spaces, orientation ---------------------------------------------------


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1e6), ("mm", 1e3), ("micron", 1.0)])
def test_units_are_followed(tmp_path: Path, unit: str, factor: float) -> None:
    make_nifti(tmp_path / "a.nii", unit=unit)
    vol = brainxr.open(tmp_path / "a.nii")
    assert vol.y.attrs["units"] == "micrometer"
    assert vol.y.values[:2].tolist() == [-7.3 * factor, -7.0 * factor]


def test_an_unknown_unit_is_said(tmp_path: Path) -> None:
    make_nifti(tmp_path / "a.nii", unit=None)
    with pytest.warns(
        brainxr.SpacingWarning, match=r"xyzt_units is 0.*spacing={'z': '700 µm', 'y'"
    ):
        vol = brainxr.open(tmp_path / "a.nii")
    assert vol.attrs["spacing_source"] == "NIfTI-1 sform, unit not said: mm"
    assert float(vol.z[0]) == 12900.0


def test_a_spacing_that_is_given_moves_the_whole(tmp_path: Path) -> None:
    make_nifti(tmp_path / "a.nii", unit=None)
    vol = brainxr.open(tmp_path / "a.nii", spacing={"z": 0.7, "y": 0.3, "x": 0.2})
    assert float(vol.z[0]) == 12.9
    assert vol.attrs["spacing_source"] == "z, y, x: argument"
    make_nifti(tmp_path / "b.nii")
    with pytest.warns(brainxr.SpacingWarning, match=r"z: 1.4 mm given, 700 µm there"):
        vol = brainxr.open(tmp_path / "b.nii", spacing={"z": "1.4 mm"}, origin={"x": 5})
    assert (float(vol.z[0]), float(vol.x[0])) == (25800.0, 5.0)


def test_the_space_is_kept(tmp_path: Path) -> None:
    make_nifti(tmp_path / "a.nii", sform="mni")
    assert brainxr.open(tmp_path / "a.nii").attrs["space"] == "mni"


@pytest.mark.parametrize("name", list(AFFINES))
def test_a_qform_is_as_good(tmp_path: Path, name: str) -> None:
    make_nifti(tmp_path / "a.nii", affine=name, sform=0, qform="scanner")
    make_nifti(tmp_path / "b.nii", affine=name)
    one, other = (brainxr.open(tmp_path / file) for file in ("a.nii", "b.nii"))
    assert one.attrs["spacing_source"] == "NIfTI-1 qform"
    xr.testing.assert_equal(one.compute(), other.compute())


def test_two_affines_that_disagree(tmp_path: Path) -> None:
    make_nifti(tmp_path / "a.nii", qform="scanner", qoffset_x=-1.0)
    with pytest.warns(brainxr.SpacingWarning, match=r"two affines .*'scanner'.* 0.5 voxels apart"):
        vol = brainxr.open(tmp_path / "a.nii")
    assert float(vol.x[0]) == -1100.0
    # a second space is no contradiction
    make_nifti(tmp_path / "b.nii", sform="mni", qform="scanner", qoffset_x=-50.0)
    assert float(brainxr.open(tmp_path / "b.nii").x[0]) == -1100.0


def test_no_orientation_is_said(tmp_path: Path) -> None:
    stored = make_nifti(tmp_path / "a.nii", affine="LAS", sform=0)
    with pytest.warns(brainxr.OrientationWarning, match="left and right are not known"):
        vol = brainxr.open(tmp_path / "a.nii")
    np.testing.assert_array_equal(vol.values, stored.transpose(2, 1, 0))
    assert [float(vol[d][1]) for d in "zyx"] == [700.0, 300.0, 200.0]
    assert vol.attrs["space"] == "unknown"
    assert "orientation" not in vol.x.attrs


@pytest.mark.parametrize("name", list(AFFINES))
def test_oblique_axes_are_said_and_kept(tmp_path: Path, name: str) -> None:
    make_nifti(tmp_path / "a.nii", affine=rotated(20, affine_of(name)))
    with pytest.warns(brainxr.OrientationWarning, match=r"oblique: turned by .*°"):
        vol = brainxr.open(tmp_path / "a.nii")
    image = nibabel.load(tmp_path / "a.nii", mmap=False)
    rotation = np.reshape(vol.attrs["rotation"], (3, 3))
    by_value = {int(v): p for v, p in zip(*_voxels(image), strict=True)}
    for z, y, x in ((0, 0, 0), (10, 3, 1), (4, 6, 4)):
        cut = vol.isel(x=x % vol.sizes["x"], y=y % vol.sizes["y"], z=z % vol.sizes["z"])
        world = rotation @ [float(cut[dim]) for dim in "xyz"] / 1000
        np.testing.assert_allclose(world, by_value[int(cut)], atol=1e-4)
    assert "orientation" not in vol.x.attrs


def _voxels(image: Any) -> tuple[np.ndarray, np.ndarray]:
    index = np.indices(image.shape).reshape(3, -1).T
    places = nibabel.affines.apply_affine(image.affine, index)
    return np.asanyarray(image.dataobj).reshape(-1), places


def test_rounding_is_no_rotation(tmp_path: Path) -> None:
    make_nifti(tmp_path / "a.nii", affine=rotated(1e-4, affine_of("LAS")))
    assert "rotation" not in brainxr.open(tmp_path / "a.nii").attrs


# --- doors and neighbours ---------------------------------------------------------


def test_through_xarray(tmp_path: Path) -> None:
    make_nifti(tmp_path / "a.nii.gz", (5, 7, 11, 2))
    data = xr.open_dataset(tmp_path / "a.nii.gz", at={"t": 1})
    expected = canonical(tmp_path / "a.nii.gz")[0][..., 1]
    np.testing.assert_array_equal(data.intensity.isel(z=slice(8, 2, -2)), expected[8:2:-2])
    lazily = xr.open_dataset(tmp_path / "a.nii.gz", engine="brainxr", at={"t": 1}, chunks={})
    np.testing.assert_array_equal(lazily.intensity, expected)


def test_many_threads_share_one_packed_file(tmp_path: Path, index: None) -> None:
    make_nifti(tmp_path / "a.nii.gz", (200, 210, 60), "u2", affine="LPI")
    vol = brainxr.open(tmp_path / "a.nii.gz", chunks={"z": 3})
    assert vol.data.npartitions == 20
    np.testing.assert_array_equal(vol.values, canonical(tmp_path / "a.nii.gz")[0])


def test_a_pyramid_and_its_levels_are_made_of_it(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("BRAINXR_CACHE", str(tmp_path / "cache"))
    make_nifti(tmp_path / "a.nii", (150, 140, 130), "u1", affine="PSR")
    vol = brainxr.open(tmp_path / "a.nii")
    store = vol.brain.to_ome_zarr(tmp_path / "a.ome.zarr", progress=False)
    xr.testing.assert_identical(brainxr.open(store).compute(), vol.compute())
    levels = brainxr.open(vol.brain.build_levels(progress=False))
    coarse = brainxr.open_pyramid(store)["1"]["intensity"]
    np.testing.assert_array_equal(levels.values, coarse.values)


def test_a_layer_lies_in_place(tmp_path: Path) -> None:
    from brainxr.viewing.layers import layer_of

    make_nifti(tmp_path / "a.nii", affine="SLP")
    vol = brainxr.open(tmp_path / "a.nii")
    data, kwargs, _ = layer_of(vol)
    np.testing.assert_array_equal(np.asarray(data), canonical(tmp_path / "a.nii")[0])
    assert kwargs["translate"] == [float(vol[d][0]) for d in "zyx"]


def test_nothing_is_imported_before_it_is_needed(tmp_path: Path) -> None:
    make_nifti(tmp_path / "a.nii")
    code = (
        "import sys, brainxr; print({'nibabel', 'indexed_gzip'} & set(sys.modules)); "
        f"vol = brainxr.open({str(tmp_path / 'a.nii')!r}); print('indexed_gzip' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "set()"


# --- what can go wrong ------------------------------------------------------------


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(brainxr.EmptyStackError, match=r"There is no file .*nothing\.nii"):
        brainxr.open(tmp_path / "nothing.nii")
    make_nifti(tmp_path / "a.img", kind=nibabel.Nifti1Pair)
    (tmp_path / "a.img").unlink()
    with pytest.raises(brainxr.EmptyStackError, match=r"a\.img.*which has the voxels"):
        brainxr.open(tmp_path / "a.hdr")


def test_a_truncated_file_is_found_when_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    make_nifti(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(brainxr.VolumeReadError, match=r"a\.nii.*truncated: 1121 bytes.* 1122 exp"):
        brainxr.open(path)


def test_a_truncated_packed_file_is_found_when_it_is_read(tmp_path: Path, index: None) -> None:
    make_nifti(tmp_path / "a.nii.gz", (50, 60, 70))
    packed = (tmp_path / "a.nii.gz").read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(packed[: len(packed) // 2])
    vol = brainxr.open(tmp_path / "b.nii.gz")
    with pytest.raises(brainxr.VolumeReadError, match=r"b\.nii\.gz"):
        vol.compute()
    # one whose packed part is whole and too short
    (tmp_path / "c.nii.gz").write_bytes(gzip.compress(gzip.decompress(packed)[:-1]))
    with pytest.raises(brainxr.VolumeReadError, match=r"c\.nii\.gz.*truncated"):
        brainxr.open(tmp_path / "c.nii.gz").compute()


def test_a_damaged_packed_file_is_no_image(tmp_path: Path, index: None) -> None:
    make_nifti(tmp_path / "a.nii.gz", (50, 60, 70))
    packed = bytearray((tmp_path / "a.nii.gz").read_bytes())
    packed[-6] ^= 255  # of the checksum
    (tmp_path / "b.nii.gz").write_bytes(packed)
    with pytest.raises(brainxr.VolumeReadError, match=r"b\.nii\.gz"):
        brainxr.open(tmp_path / "b.nii.gz").compute()


def test_a_name_that_says_something_else(tmp_path: Path) -> None:
    make_nifti(tmp_path / "a.nii")
    (tmp_path / "a.nii").rename(tmp_path / "b.nii.gz")
    with pytest.raises(brainxr.VolumeReadError, match=r"no gzip in it.*gzip is expected"):
        brainxr.open(tmp_path / "b.nii.gz")
    make_nifti(tmp_path / "a.nii.gz")
    (tmp_path / "a.nii.gz").rename(tmp_path / "c.nii")
    with pytest.raises(brainxr.VolumeReadError, match="has gzip in it"):
        brainxr.open(tmp_path / "c.nii")


@pytest.mark.parametrize("content", [b"", b"no header", bytes(400), b"\x5c\x01\0\0" + bytes(400)])
def test_what_is_no_nifti(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(brainxr.VolumeReadError, match=r"header of .*a\.nii"):
        brainxr.open(tmp_path / "a.nii")


def test_analyze_says_no_left(tmp_path: Path) -> None:
    image = nibabel.AnalyzeImage(unique_values(SHAPE, "i2"), np.eye(4))
    nibabel.save(image, tmp_path / "a.img")
    with pytest.raises(brainxr.VolumeError, match=r"a\.img.*left from right"):
        brainxr.open(tmp_path / "a.img")


def test_colours_are_refused(tmp_path: Path) -> None:
    colours = np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    make_nifti(tmp_path / "a.nii", values=colours, dtype=colours.dtype)
    with pytest.raises(brainxr.VolumeError, match=r"a\.nii.*'RGB'.*one number a voxel"):
        brainxr.open(tmp_path / "a.nii")


def test_an_affine_without_a_place(tmp_path: Path) -> None:
    flat = affine_of("RAS")
    flat[2, 2] = 0
    make_nifti(tmp_path / "a.nii", affine=affine_of("RAS"), srow_z=flat[2])
    with pytest.raises(brainxr.GeometryError, match=r"a\.nii.*no place in the world.*Mend"):
        brainxr.open(tmp_path / "a.nii")


def test_a_file_that_changed_is_refused(tmp_path: Path, index: None) -> None:
    for name in ("a.nii", "a.nii.gz"):
        make_nifti(tmp_path / name)
        vol = brainxr.open(tmp_path / name)
        vol.isel(z=0).load()
        make_nifti(tmp_path / name, affine="LAS")
        now = time.time_ns()  # the clock of files is a few milliseconds behind
        os.utime(tmp_path / name, ns=(now, now))
        with pytest.raises(brainxr.VolumeReadError, match=r"was changed after it was opened"):
            vol.isel(z=1).load()


def test_options_of_stacks_have_no_meaning(tmp_path: Path) -> None:
    make_nifti(tmp_path / "a.nii")
    for option in ({"plane": "axial"}, {"missing": "fill"}, {"level": 0}):
        with pytest.raises(brainxr.VolumeError, match=f"{next(iter(option))}= has no meaning"):
            brainxr.open(tmp_path / "a.nii", **option)


def test_without_an_index_it_says_what_that_costs(tmp_path: Path, monkeypatch: Any) -> None:
    from brainxr.nifti import niftisource, niftivolume

    make_nifti(tmp_path / "a.nii.gz", (50, 60, 70))
    for module in (unpacked, niftisource, niftivolume):
        monkeypatch.setattr(module, "has_index", lambda: False)
    monkeypatch.setattr(niftivolume, "SLOW_BYTES", 1000)
    with pytest.warns(brainxr.SlowReadWarning, match=r"unpacks all that is before it, of 0 MB"):
        vol = brainxr.open(tmp_path / "a.nii.gz")
    assert vol.isel(z=0).brain.cost().bytes_to_read == 352 + 50 * 60 * 2
    assert vol.isel(z=69, y=slice(0, 1)).brain.cost().bytes_to_read == 352 + 100 * (69 * 60 + 1)


def test_without_nibabel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_nifti(tmp_path / "a.nii")
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(brainxr.MissingExtraError, match=r"brainxr\[nifti\]"):
        brainxr.open(tmp_path / "a.nii")
