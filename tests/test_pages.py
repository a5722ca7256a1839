"""Files of many pages, sets of files and companions: what they declare and what is there."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import brainxr
from brainxr.stacks.ome import OmeImage

SPACING = {"z": 5, "y": 3, "x": 2}
OME = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def values(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype="u2").reshape(shape)


def imagej_pages(path: Path, images: np.ndarray, text: str, **options: Any) -> Path:
    """Write pages one by one, with a text of ImageJ's beside the first."""
    with tifffile.TiffWriter(path) as writer:
        for i, image in enumerate(images):
            writer.write(
                image, description=f"ImageJ=1.54f\n{text}" if i == 0 else None, metadata=None,
                contiguous=False, resolution=(0.5, 0.25), resolutionunit="none", **options,
            )  # fmt: skip
    return path


def ome_xml(planes: list[tuple[int, str, int]], *, z: int, c: int = 1) -> str:
    """OME-XML of (number along z, file, directory)."""
    listed = "".join(
        f'<TiffData FirstZ="{n % z}" FirstC="{n // z}" IFD="{ifd}" PlaneCount="1">'
        f'<UUID FileName="{file}">urn:uuid:{sum(file.encode()):032d}</UUID></TiffData>'
        for n, file, ifd in planes
    )
    channels = "".join(f'<Channel ID="C:{i}" SamplesPerPixel="1" Name="n{i}"/>' for i in range(c))
    return (
        f'<?xml version="1.0"?><OME xmlns="{OME}"><Image ID="Image:0"><Pixels ID="Pixels:0" '
        f'DimensionOrder="XYZCT" Type="uint16" SizeX="11" SizeY="7" SizeZ="{z}" SizeC="{c}" '
        f'SizeT="1" PhysicalSizeX="2" PhysicalSizeY="3" PhysicalSizeZ="5">{channels}{listed}'
        "</Pixels></Image></OME>"
    )


def write_set(folder: Path, images: np.ndarray, cuts: list[int], *, c: int = 1) -> list[Path]:
    """A set of OME-TIFF whose every file has the XML of all, as Micro-Manager writes it."""
    folder.mkdir()
    parts = np.split(images, cuts)
    names = ["a_MMStack.ome.tif", *(f"a_MMStack_{i}.ome.tif" for i in range(1, len(parts)))]
    planes = [(name, i) for name, part in zip(names, parts, strict=True) for i in range(len(part))]
    xml = ome_xml([(n, *plane) for n, plane in enumerate(planes)], z=len(images) // c, c=c)
    for name, part in zip(names, parts, strict=True):
        with tifffile.TiffWriter(folder / name) as writer:
            for i, image in enumerate(part):
                writer.write(
                    image, description=xml if i == 0 else None, metadata=None, contiguous=False
                )
    return [folder / name for name in names]


# --- channels and times ---------------------------------------------------------------


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("axes", ["ZCYX", "TZCYX"])
def test_hyperstacks_of_imagej(tmp_path: Path, axes: str, compression: str | None) -> None:
    images = values(*{"ZCYX": (5, 3, 7, 11), "TZCYX": (2, 5, 3, 7, 11)}[axes])
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, images, imagej=True, metadata={"axes": axes}, compression=compression)
    with pytest.raises(brainxr.StackError, match=r"3 along 'c'.*brainxr.open\(.*at=\{"):
        brainxr.open(path, spacing=SPACING)
    at = {"c": 2, "t": 1} if "T" in axes else {"c": -1}
    volume = brainxr.open(path, at=at, spacing=SPACING)
    expected = images[1, :, 2] if "T" in axes else images[:, 2]
    np.testing.assert_array_equal(volume.values, expected)
    np.testing.assert_array_equal(volume[3, 2:5, 1].values, expected[3, 2:5, 1])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(volume)).values, expected)
    np.testing.assert_array_equal(
        brainxr.open(path, at=at, spacing=SPACING).max("z"), expected.max(0)
    )


def test_channels_of_ome_by_their_names(tmp_path: Path) -> None:
    images = values(2, 5, 7, 11)
    path = tmp_path / "a.ome.tif"
    metadata = {"axes": "CZYX", "Channel": {"Name": ["DAPI", "GFP"]}}
    tifffile.imwrite(path, images, ome=True, metadata=metadata, photometric="minisblack")
    with pytest.raises(brainxr.StackError, match=r"2 along 'c' \(DAPI, GFP\)"):
        brainxr.open(path, spacing=SPACING)
    volume = brainxr.open(path, at={"c": "GFP"}, spacing=SPACING)
    np.testing.assert_array_equal(volume.values, images[1])
    with pytest.raises(brainxr.StackError, match=r"no 'RFP' along 'c'.*0 to 1 \(DAPI, GFP\)"):
        brainxr.open(path, at={"c": "RFP"}, spacing=SPACING)
    one = xr.open_dataset(path, engine="brainxr", at={"c": "GFP"}, spacing=SPACING)
    np.testing.assert_array_equal(one.intensity.values, images[1])
    assert brainxr.check(path, at={"c": 0}).ok


def test_a_place_along_an_axis_that_is_not_there(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", values(5, 7, 11), imagej=True, metadata={"axes": "ZYX"})
    with pytest.raises(brainxr.StackError, match=r"at has the axis 'c'.*none besides z, y and x"):
        brainxr.open(tmp_path / "a.tif", at={"c": 0}, spacing=SPACING)


@pytest.mark.parametrize("axes", ["TYX", "CYX"])
def test_slices_that_a_program_saved_as_another_axis(tmp_path: Path, axes: str) -> None:
    images = values(5, 7, 11)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, images, imagej=True, metadata={"axes": axes})
    with pytest.raises(brainxr.StackError, match=r"5 images along '[tc]' .*axes='z'\)"):
        brainxr.open(path, spacing=SPACING)
    np.testing.assert_array_equal(brainxr.open(path, axes="z", spacing=SPACING).values, images)
    one = brainxr.open(path, at={axes[0].lower(): 3}, spacing=SPACING)
    np.testing.assert_array_equal(one.values, images[3:4])


def test_axes_of_several_letters(tmp_path: Path) -> None:
    images = values(5, 2, 7, 11)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, images, imagej=True, metadata={"axes": "TCYX"})
    volume = brainxr.open(path, axes="zc", at={"c": 1}, spacing=SPACING)
    np.testing.assert_array_equal(volume.values, images[:, 1])
    with pytest.raises(brainxr.StackError, match=r"axes='z' names 1 axes.*have 2 \(5 along 't', 2"):
        brainxr.open(path, axes="z", spacing=SPACING)
    for wrong in ("q", "c", "zz", ""):
        with pytest.raises(brainxr.StackError, match="Pass the letters t, c and z"):
            brainxr.open(path, axes=wrong, spacing=SPACING)


def test_levels_of_one_channel_are_not_those_of_another(tmp_path: Path) -> None:
    images = values(5, 2, 7, 11)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, images, imagej=True, metadata={"axes": "ZCYX"})
    whole = [range(5), range(7), range(11)]
    one, two = (
        brainxr.open(path, at={"c": c}, spacing=SPACING).data.stack.source.fingerprint(whole)
        for c in (0, 1)
    )
    assert one != two


# --- more or fewer than is declared ------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
@pytest.mark.parametrize("declared", [3, 9])
def test_imagej_declares_another_number(tmp_path: Path, declared: int, options: Any) -> None:
    text = f"images={declared}\nslices={declared}\nunit=um\nspacing=2.0\n"
    path = imagej_pages(tmp_path / "a.tif", values(5, 256, 256), text, **options)
    message = rf"a.tif' declare {declared} images, and the file has 5 pages.*tifffile.imwrite"
    with pytest.raises(brainxr.StackError, match=message):
        brainxr.open(path)
    for deep in (False, True):
        report = brainxr.check(path, deep=deep)
        assert f"declare {declared} images" in str(report)
        assert not report.ok


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_one_page_that_declares_more(tmp_path: Path, compression: str | None) -> None:
    text = "images=4\nslices=4\n"
    path = imagej_pages(tmp_path / "a.tif", values(1, 7, 11), text, compression=compression)
    with pytest.raises(brainxr.StackError, match="declare 4 images, and the file has 1 page"):
        brainxr.open(path, spacing=SPACING)
    assert not brainxr.check(path).ok


def test_shaped_metadata_of_another_number(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for i, image in enumerate(values(5, 7, 11)):
            text = '{"shape": [3, 7, 11]}' if i == 0 else None
            writer.write(image, description=text, metadata=None, contiguous=False)
    with pytest.raises(brainxr.StackError, match="declare 3 images, and the file has 5 pages"):
        brainxr.open(tmp_path / "a.tif", spacing=SPACING)


def test_slices_split_from_a_stack_keep_its_text(tmp_path: Path) -> None:
    """Each file says images=5: true of the folder, and wrong once one of them is gone."""
    images = values(5, 7, 11)
    folder = tmp_path / "split"
    folder.mkdir()
    for i, image in enumerate(images):
        imagej_pages(folder / f"s{i}.tif", image[None], "images=5\nslices=5\n")
    np.testing.assert_array_equal(brainxr.open(folder, spacing=SPACING).values, images)
    (folder / "s4.tif").unlink()
    with pytest.raises(brainxr.StackError, match=r"declare 5 images, and .* has 4 slices"):
        brainxr.open(folder, spacing=SPACING)
    assert not brainxr.check(folder).ok
    part = brainxr.open(folder / "*.tif", spacing=SPACING)
    np.testing.assert_array_equal(part.values, images[:4])


def test_a_file_of_one_directory_above_4_gb_is_as_long_as_it_says(tmp_path: Path) -> None:
    """ImageJ describes the first image only, and the others follow it without a gap."""
    images = values(5, 7, 11)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, images, imagej=True, metadata={"axes": "ZYX"})
    with tifffile.TiffFile(path) as tif:
        first = tif.pages.first
        end_of_list = first.offset + 2 + 12 * len(first.tags)
    with open(path, "r+b") as file:
        file.seek(end_of_list)
        file.write(bytes(4))
    with tifffile.TiffFile(path) as tif:
        assert len(tif.pages) == 1
    np.testing.assert_array_equal(brainxr.open(path, spacing=SPACING).values, images)


# --- several files of several pages ----------------------------------------------------


@pytest.fixture
def parts(tmp_path: Path) -> tuple[list[Path], np.ndarray]:
    images = values(8, 7, 11)
    paths = [tmp_path / f"run_{i}.tif" for i in (1, 2, 3)]
    for path, part in zip(paths, np.split(images, [3, 6]), strict=True):
        tifffile.imwrite(path, part, photometric="minisblack", compression="zlib")
    return paths, images


def test_a_list_of_parts_is_one_stack(parts: Any) -> None:
    paths, images = parts
    volume = brainxr.open(paths, spacing=SPACING)
    assert volume.z.values.tolist() == [0, 5, 10, 15, 20, 25, 30, 35]
    np.testing.assert_array_equal(volume.values, images)
    for index in np.s_[2:7, 3, ::-2], np.s_[7], np.s_[[6, 1, 3], 2:4], np.s_[::-3, :, 4]:
        np.testing.assert_array_equal(volume.data[index].compute(), images[index])
    np.testing.assert_array_equal(volume.mean(["y", "x"]), images.mean((1, 2)))
    points = {
        d: ("p", places)
        for d, places in zip("zyx", ([7, 0, 3], [1, 6, 2], [10, 0, 5]), strict=True)
    }
    np.testing.assert_array_equal(
        volume.isel(points).values, images[[7, 0, 3], [1, 6, 2], [10, 0, 5]]
    )
    assert volume.brain.cost().slices == 8
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(volume)).values, images)
    assert brainxr.check(paths).ok


def test_parts_in_a_folder_are_asked_about(parts: Any) -> None:
    paths, images = parts
    with pytest.raises(brainxr.StackError, match=r"The first of 3 files .* has 3 pages") as caught:
        brainxr.open(paths[0].parent, spacing=SPACING)
    calls = [line for line in str(caught.value).splitlines() if "brainxr.open" in line]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", brainxr.SpacingWarning)
        found = [eval(call, {"brainxr": brainxr}) for call in calls]
    assert [len(volume.z) for volume in found] == [3, 8]
    np.testing.assert_array_equal(found[1].values, images)


def test_parts_that_do_not_fit(parts: Any, tmp_path: Path) -> None:
    paths, _ = parts
    tifffile.imwrite(tmp_path / "run_4.tif", values(2, 7, 12), photometric="minisblack")
    with pytest.raises(brainxr.InconsistentStackError, match=r"run_4.tif' has shape \(7, 12\)"):
        brainxr.open([*paths, tmp_path / "run_4.tif"], spacing=SPACING)


def test_parts_that_declare_the_number_of_all(tmp_path: Path) -> None:
    images = values(5, 7, 11)
    text = "images=5\nslices=5\n"
    paths = [
        imagej_pages(tmp_path / f"p{i}.tif", part, text)
        for i, part in enumerate(np.split(images, [3]))
    ]
    np.testing.assert_array_equal(brainxr.open(paths, spacing=SPACING).values, images)
    with pytest.raises(brainxr.StackError, match="declare 5 images; it has 3, and the 2 files"):
        brainxr.open(
            [paths[0], imagej_pages(tmp_path / "p3.tif", images[:4], "images=4\nslices=4\n")],
            spacing=SPACING,
        )


# --- sets of OME-TIFF -----------------------------------------------------------------


@pytest.mark.parametrize("cuts", [[4], [2, 3]])
def test_any_file_of_a_set_opens_it(tmp_path: Path, cuts: list[int]) -> None:
    images = values(6, 7, 11)
    paths = write_set(tmp_path / "set", images, cuts)
    assert tifffile.imread(paths[0]).shape == images.shape
    for path in (*paths, paths[0].parent):
        volume = brainxr.open(path)
        np.testing.assert_array_equal(volume.values, images)
        assert [float(volume[d][1]) for d in "zyx"] == [5, 3, 2]
    assert brainxr.check(paths[0], deep=True).ok
    alone = brainxr.open([paths[0]])
    np.testing.assert_array_equal(alone.values, images[: cuts[0]])


def test_a_channel_of_a_set(tmp_path: Path) -> None:
    images = values(6, 7, 11)
    paths = write_set(tmp_path / "set", images, [4], c=2)
    with pytest.raises(brainxr.StackError, match=r"2 along 'c' \(n0, n1\)"):
        brainxr.open(paths[0])
    volume = brainxr.open(paths[0], at={"c": "n1"})
    np.testing.assert_array_equal(volume.values, images[3:])


def test_a_set_that_lacks_a_file(tmp_path: Path) -> None:
    paths = write_set(tmp_path / "set", values(6, 7, 11), [4])
    paths[1].unlink()
    message = r"lists 2 files with 6 slices, and 1 of the files .*a_MMStack_1.*open\(\['"
    with pytest.raises(brainxr.StackError, match=message):
        brainxr.open(paths[0])
    assert not brainxr.check(paths[0]).ok
    assert len(brainxr.open([paths[0]])) == 4


def test_a_set_whose_file_lacks_pages(tmp_path: Path) -> None:
    images = values(6, 7, 11)
    paths = write_set(tmp_path / "set", images, [4])
    tifffile.imwrite(paths[1], images[4], metadata=None)
    with pytest.raises(brainxr.SliceReadError, match=r"_1.ome.tif' has 1 pages, expected 2"):
        brainxr.open(paths[0])


@pytest.mark.parametrize("name", ["../outside.ome.tif", "/etc/passwd", "sub/inside.ome.tif"])
def test_a_set_does_not_reach_out_of_its_folder(tmp_path: Path, name: str) -> None:
    xml = ome_xml([(0, "a.ome.tif", 0), (1, name, 0)], z=2)
    tifffile.imwrite(tmp_path / "a.ome.tif", values(7, 11), description=xml, metadata=None)
    with pytest.raises(brainxr.StackError, match="lists files in other folders"):
        brainxr.open(tmp_path / "a.ome.tif")


def write_slices(folder: Path, images: np.ndarray, order: list[int], xml: str) -> Path:
    folder.mkdir()
    for name, i in enumerate(order):
        path = folder / f"s{name}.ome.tif"
        tifffile.imwrite(path, images[i], description=xml, metadata=None)
    return folder


def test_slices_in_the_order_of_their_names_and_of_their_metadata(tmp_path: Path) -> None:
    images = values(5, 7, 11)
    rising = ome_xml([(i, f"s{i}.ome.tif", 0) for i in range(5)], z=5)
    folder = write_slices(tmp_path / "a", images, [0, 1, 2, 3, 4], rising)
    np.testing.assert_array_equal(brainxr.open(folder).values, images)
    other = ome_xml([(i, f"s{n}.ome.tif", 0) for i, n in enumerate([1, 0, 2, 3, 4])], z=5)
    folder = write_slices(tmp_path / "b", images, [1, 0, 2, 3, 4], other)
    with pytest.raises(brainxr.StackError, match="in another order than their names"):
        brainxr.open(folder)
    np.testing.assert_array_equal(brainxr.open(folder / "s0.ome.tif").values, images)
    by_names = brainxr.open(folder / "*.tif")
    np.testing.assert_array_equal(by_names.values, images[[1, 0, 2, 3, 4]])


def test_slices_that_are_listed_and_not_there(tmp_path: Path) -> None:
    images = values(5, 7, 11)
    xml = ome_xml([(i, f"s{i}.ome.tif", 0) for i in range(5)], z=5)
    folder = write_slices(tmp_path / "a", images, [0, 1, 2, 3, 4], xml)
    (folder / "s2.ome.tif").unlink()
    with pytest.warns(brainxr.SliceGapWarning, match="number 2"):
        assert brainxr.open(folder).z.values.tolist() == [0, 5, 15, 20]
    (folder / "s4.ome.tif").unlink()
    with pytest.raises(brainxr.StackError, match=r"lists 5 files, and .* has 3; 2 are missing"):
        brainxr.open(folder)


def test_a_companion_has_the_metadata(tmp_path: Path) -> None:
    images = values(5, 7, 11)
    binary = (
        f'<?xml version="1.0"?><OME xmlns="{OME}" UUID="urn:uuid:1">'
        '<BinaryOnly MetadataFile="a.companion.ome" UUID="urn:uuid:2"/></OME>'
    )
    folder = write_slices(tmp_path / "a", images, [0, 1, 2, 3, 4], binary)
    with pytest.warns(brainxr.SpacingWarning, match="refer to 'a.companion.ome'"):
        brainxr.open(folder, spacing=SPACING)
    xml = ome_xml([(i, f"s{i}.ome.tif", 0) for i in range(5)], z=5)
    (folder / "a.companion.ome").write_text(xml)
    for path in (folder, folder / "a.companion.ome", folder / "s3.ome.tif"):
        volume = brainxr.open(path)
        np.testing.assert_array_equal(volume.values, images)
        assert [float(volume[d][1]) for d in "zyx"] == [5, 3, 2]
    (folder / "b.companion.ome").write_text("<OME/>")
    with pytest.raises(brainxr.StackError, match="lists no files of planes"):
        brainxr.open(folder / "b.companion.ome")


def test_planes_run_in_the_order_of_the_dimensions() -> None:
    xml = ome_xml([], z=3, c=2).replace("</Pixels>", "<TiffData/></Pixels>")
    for order, fastest in (("XYZCT", "z"), ("XYCZT", "c")):
        image = OmeImage.of(xml.replace("XYZCT", order))
        assert image is not None
        expected = np.arange(6).reshape((2, 3) if fastest == "z" else (3, 2))
        expected = expected if fastest == "z" else expected.T
        found = [[image.planes[0, c, z].directory for z in range(3)] for c in range(2)]
        assert found == expected.tolist()


@pytest.mark.parametrize(
    "change",
    [
        ('SizeZ="3"', 'SizeZ="0"'), ('SizeZ="3"', 'SizeZ="-3"'),
        ('SizeZ="3"', 'SizeZ="9999999999"'), ('SizeZ="3"', 'SizeZ="three"'),
        ("XYZCT", "XYZZZ"), ('FirstZ="0"', 'FirstZ="7"'),
        ('IFD="0"', 'IFD="x"'), ("</Pixels>", ""), ("<OME", "<<OME"),
    ],
)  # fmt: skip
def test_ome_xml_that_makes_no_sense(change: tuple[str, str]) -> None:
    xml = ome_xml([(0, "a", 0)], z=3)
    assert OmeImage.of(xml) is not None
    assert OmeImage.of(xml.replace(*change)) is None


# --- values that are calibrated, lengths that are rounded -----------------------------------


def test_calibration_of_imagej(tmp_path: Path) -> None:
    """ImageJ keeps CT, signed 16 bits, as numbers plus 32768."""
    ct = np.linspace(-1000, 2000, 5 * 7 * 11).astype("i2").reshape(5, 7, 11)
    text = "images=5\nslices=5\nunit=mm\nspacing=1.25\ncf=0\nc0=-32768.0\nc1=1.0\nvunit=HU\n"
    stored = (ct.astype("i4") + 32768).astype("u2")
    path = imagej_pages(tmp_path / "ct.tif", stored, text)
    volume = brainxr.open(path)
    np.testing.assert_array_equal(volume.values, stored)
    assert volume.attrs["calibration_offset"] == -32768
    assert (volume.attrs["calibration_slope"], volume.attrs["calibration_unit"]) == (1, "HU")
    scaled = brainxr.open(path, scaled=True)
    assert scaled.dtype == "i2"
    assert "calibration_offset" not in scaled.attrs
    np.testing.assert_array_equal(scaled.values, ct)
    np.testing.assert_array_equal(scaled[2:4, 3, ::-1].values, ct[2:4, 3, ::-1])
    np.testing.assert_array_equal(scaled.min("z"), ct.min(0))
    np.testing.assert_allclose(scaled.mean("z"), ct.mean(0))
    assert float(scaled.std()) == pytest.approx(ct.std())


@pytest.mark.parametrize(
    ("c0", "c1", "dtype"),
    [(0.5, 2.0, "f4"), (0, 0.25, "f4"), (-300000, 1, "i4"), (10, -1, "i4"), (-40000, 1, "i4")],
)
def test_types_of_calibrated_values(tmp_path: Path, c0: float, c1: float, dtype: str) -> None:
    text = f"images=5\nslices=5\nunit=um\ncf=0\nc0={c0}\nc1={c1}\n"
    path = imagej_pages(tmp_path / "a.tif", values(5, 7, 11), text)
    scaled = brainxr.open(path, scaled=True)
    assert scaled.dtype == dtype
    np.testing.assert_allclose(scaled.values, c0 + c1 * values(5, 7, 11).astype(float))


@pytest.mark.parametrize(
    "text",
    ["", "cf=20\nc0=1\nc1=2\n", "cf=0\nc0=nan\nc1=1\n", "cf=0\nc0=x\nc1=1\n", "cf=0\nc0=1\nc1=0\n"],
)
def test_nothing_to_scale(tmp_path: Path, text: str) -> None:
    path = imagej_pages(tmp_path / "a.tif", values(5, 7, 11), f"images=5\nslices=5\n{text}")
    assert not [key for key in brainxr.open(path, spacing=1).attrs if "calibration" in key]
    with pytest.raises(brainxr.StackError, match="no calibration of its values"):
        brainxr.open(path, scaled=True, spacing=1)


def test_depth_of_imagej_is_one_unit_where_it_is_not_said(tmp_path: Path) -> None:
    folder = tmp_path / "mouse_25um"
    folder.mkdir()
    path = imagej_pages(folder / "a.tif", values(5, 7, 11), "images=5\nslices=5\nunit=micron\n")
    assert [float(brainxr.open(path)[d][1]) for d in "zyx"] == [1, 4, 2]


def test_axes_of_imagej_in_other_units(tmp_path: Path) -> None:
    text = "images=5\nslices=5\nunit=mm\nyunit=um\nzunit=nm\nspacing=30\n"
    path = imagej_pages(tmp_path / "a.tif", values(5, 7, 11), text)
    assert [float(brainxr.open(path)[d][1]) for d in "zyx"] == [0.03, 4, 2000]


@pytest.mark.parametrize(
    "micrometres", [0.65, 0.325, 0.1083, 3.45, 16.1, 0.0645, 25, 100 / 3, 1 / 3]
)
def test_lengths_are_what_a_person_typed(tmp_path: Path, micrometres: float) -> None:
    """ImageJ writes a resolution as a whole number of millionths."""
    rounded = (round(1e6 / micrometres), 10**6)
    text = "ImageJ=1.54f\nimages=5\nslices=5\nunit=um\n"
    for name, resolution in (("a", rounded), ("b", 1 / micrometres)):
        tifffile.imwrite(
            tmp_path / f"{name}.tif", values(5, 7, 11), description=text, metadata=None,
            photometric="minisblack", resolution=(resolution, resolution), resolutionunit="none",
        )  # fmt: skip
        found = float(brainxr.open(tmp_path / f"{name}.tif").x[1])
        exact = len(f"{micrometres}") < 8
        assert found == micrometres if exact else found == pytest.approx(micrometres, rel=2e-5)


def test_pixels_an_inch_that_no_printer_has(tmp_path: Path) -> None:
    for dpi, expected in ((25400 / 0.65, 0.65), (2540, 10)):
        path = tmp_path / f"{int(dpi)}.tif"
        tifffile.imwrite(path, values(7, 11), resolution=(dpi, dpi), resolutionunit="INCH")
        assert float(brainxr.open(path, spacing={"z": 1}).x[1]) == pytest.approx(expected, rel=1e-6)
    tifffile.imwrite(
        tmp_path / "a.tif", values(7, 11), resolution=(300, 300), resolutionunit="INCH"
    )
    with pytest.warns(brainxr.SpacingWarning, match="Nothing tells the spacing along y, x"):
        brainxr.open(tmp_path / "a.tif", spacing={"z": 1})


# --- metadata that lie --------------------------------------------------------------------

NUMBERS = st.one_of(st.integers(-2, 12), st.sampled_from([10**6, 2**31, 2**63, 10**30]))
TEXTS = st.dictionaries(
    st.sampled_from(
        ["images", "slices", "channels", "frames", "spacing", "unit", "zunit", "c0", "cf", "order"]
    ),
    NUMBERS.map(str) | st.sampled_from(["um", "pixel", "nan", "", "zct", "-1.5", "1e400"]),
    max_size=6,
)  # fmt: skip


@given(entries=TEXTS, compressed=st.booleans(), one=st.booleans())
def test_no_text_of_imagej_leads_to_other_voxels(
    tmp_path_factory: pytest.TempPathFactory, entries: dict[str, str], compressed: bool, one: bool
) -> None:
    images = values(1 if one else 4, 7, 11)
    folder = tmp_path_factory.mktemp("lies")
    text = "".join(f"{key}={value}\n" for key, value in entries.items())
    options = {"compression": "zlib"} if compressed else {}
    path = imagej_pages(folder / "a.tif", images, text, **options)
    _is_refused_or_right(path, images)


@given(
    sizes=st.tuples(NUMBERS, NUMBERS, NUMBERS),
    directories=st.lists(st.integers(-1, 6), max_size=5),
    order=st.sampled_from(["XYZCT", "XYCZT", "XYTZC", "XYZZT"]), compressed=st.booleans(),
)  # fmt: skip
def test_no_ome_xml_leads_to_other_voxels(
    tmp_path_factory: pytest.TempPathFactory, sizes: Any, directories: list[int], order: str,
    compressed: bool,
) -> None:  # fmt: skip
    images = values(4, 7, 11)
    folder = tmp_path_factory.mktemp("lies")
    listed = [(max(i, 0), "a.ome.tif", ifd) for i, ifd in enumerate(directories)]
    z, c, t = sizes
    xml = ome_xml(listed, z=max(1, len(listed))).replace("XYZCT", order)
    for name, size in (("Z", z), ("C", c), ("T", t)):
        start = xml.index(f'Size{name}="')
        xml = f'{xml[:start]}Size{name}="{size}"{xml[xml.index(chr(34), start + 7) + 1 :]}'
    with tifffile.TiffWriter(folder / "a.ome.tif") as writer:
        for i, image in enumerate(images):
            writer.write(
                image, description=xml if i == 0 else None, metadata=None, contiguous=False,
                compression="zlib" if compressed else None,
            )  # fmt: skip
    _is_refused_or_right(folder / "a.ome.tif", images)


def _is_refused_or_right(path: Path, images: np.ndarray) -> None:
    """Every slice that is given is one of the file's, and a refusal names the file."""
    refused = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", brainxr.SpacingWarning)
            found = brainxr.open(path, spacing=SPACING).values
    except (brainxr.StackError, brainxr.GeometryError) as error:
        refused = str(error)
    if refused is not None:
        assert path.name in refused
        return
    known = {image.tobytes() for image in images}
    assert {image.tobytes() for image in found} <= known
    assert len(found) in (1, len(images)) or len({i.tobytes() for i in found}) == len(found)
