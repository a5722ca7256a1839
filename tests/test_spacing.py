"""Who says how far apart voxels are: the first rule that knows, and when that is said."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pint
import pytest
import tifffile

import brainxr
from brainxr import GeometryError, SpacingWarning
from brainxr.stacks.spacing import Placed, find_spacing, per_axis
from brainxr.stacks.tiff import FileFacts

AXES = ("z", "y", "x")
NOTHING = FileFacts()
IMAGEJ = FileFacts(imagej={"unit": "micron", "spacing": 3.0}, resolution=(0.5, 0.25))
PER_CM = FileFacts(resolution=(400.0, 200.0), resolution_unit="CENTIMETER")
OME = FileFacts(
    ome='<OME xmlns="x"><Image><Pixels PhysicalSizeX="0.5" PhysicalSizeXUnit="mm" '
    'PhysicalSizeY="250" PhysicalSizeZ="2000" PhysicalSizeZUnit="nm"/></Image></OME>'
)


def found(
    argument: Any = None, facts: FileFacts = NOTHING, file: str = "s_1.tif", folder: str = "stack",
    last: str | None = None, axes: Any = AXES,
    placed: Placed | None = None,
) -> tuple[dict[str, float], str]:  # fmt: skip
    spacing = find_spacing(argument, facts, ((file, last or file), (folder,)), axes, None, placed)
    return dict(spacing.micrometers), str(spacing)


def zyx(z: float, y: float, x: float) -> Mapping[str, Any]:
    return {"z": pytest.approx(z), "y": pytest.approx(y), "x": pytest.approx(x)}


@pytest.mark.parametrize(
    "argument",
    [25, 25.0, "25 um", "0.025 mm", pint.Quantity(25, "um"), np.float64(25),
     {"z": 25, "y": "25 µm", "x": pint.Quantity(25, "micron")}],
)  # fmt: skip
def test_the_argument_comes_first(argument: Any) -> None:
    assert found(argument, folder="brain_100um") == (zyx(25, 25, 25), "argument")


@pytest.mark.parametrize(
    ("facts", "expected", "rule"),
    [
        (OME, zyx(2, 250, 500), "OME metadata"),
        (IMAGEJ, zyx(3, 4, 2), "ImageJ metadata"),
        (PER_CM, zyx(9, 50, 25), "z: name '9um'; y, x: resolution tag"),
        (FileFacts(resolution=(300, 300), resolution_unit="INCH"), zyx(9, 9, 9), "name '9um'"),
        (FileFacts(resolution=(10, 10), resolution_unit="NONE"), zyx(9, 9, 9), "name '9um'"),
        # 300 and 72 dpi, as programs turn them into centimetres
        (FileFacts(resolution=(118.11, 118.11), resolution_unit="CENTIMETER"),
         zyx(9, 9, 9), "name '9um'"),
        (FileFacts(resolution=(28.346, 28.346), resolution_unit="CENTIMETER"),
         zyx(9, 9, 9), "name '9um'"),
        (FileFacts(imagej={"unit": "pixel", "spacing": 3.0}, resolution=(1, 1)),
         zyx(9, 9, 9), "name '9um'"),
        (FileFacts(imagej={"unit": "inch"}, resolution=(1, 1)), zyx(9, 9, 9), "name '9um'"),
        (FileFacts(imagej={"unit": "\\u00B5m", "spacing": 7}, resolution=(1, 0.5)),
         zyx(7, 2, 1), "ImageJ metadata"),
        (FileFacts(imagej={"unit": "mm", "spacing": 0}, resolution=(1, 2)),
         zyx(9, 500, 1000), "z: name '9um'; y, x: ImageJ metadata"),
        (FileFacts(ome="<no XML"), zyx(9, 9, 9), "name '9um'"),
        (FileFacts(ome="<OME/>"), zyx(9, 9, 9), "name '9um'"),
        (FileFacts(ome='<OME><Pixels PhysicalSizeX="2" PhysicalSizeXUnit="pixel"/></OME>'),
         zyx(9, 9, 9), "name '9um'"),
        (FileFacts(ome='<OME><Pixels PhysicalSizeX="-2" PhysicalSizeY="nan"/></OME>'),
         zyx(9, 9, 9), "name '9um'"),
    ],
)  # fmt: skip
def test_the_file_comes_second(facts: FileFacts, expected: Any, rule: str) -> None:
    assert found(None, facts, folder="brain_9um_iso") == (expected, rule)


def test_axes_of_the_file_are_those_of_the_slices() -> None:
    coronal = found(None, OME, axes=("y", "z", "x"))[0]
    assert coronal == {"y": pytest.approx(2), "z": 250, "x": 500}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("brain_100um_iso", 100), ("voxel_100um", 100), ("voxel size 100um", 100),
        ("isotropic-25µm", 25), ("iso_25μm", 25), ("2.5 um voxels", 2.5),
        ("10-microns_isotropic", 10),
        ("iso500nm_x", 0.5), ("a_1MM_iso", 1000), ("iso 0,1mm", 100), ("iso_100um_100um", 100),
        ("Synthesized_FLASH25_100um_TIFF_Axial_Images", 100), ("xyz25um", 25), ("vox_4nm", 0.004),
    ],
)  # fmt: skip
def test_a_name_that_says_voxels_comes_third(name: str, expected: float) -> None:
    for place in ({"folder": f"/data 7um/{name}"}, {"file": f"{name}.tif"}):
        values, rule = found(**place)
        assert values == zyx(expected, expected, expected), place
        assert rule.startswith("name '")


@pytest.mark.parametrize(
    ("name", "between", "within", "words"),
    [
        # nothing says what it is: between slices at most, and with a warning
        ("brain_100um", 100, None, r"z: 100 µm, by '100um' in the name 'brain_1.*a hint"),
        ("FLASH25_50um_TIFF", 50, None, "which is a hint"), ("7T_0.2mm_x", 200, None, "a hint"),
        ("25µm", 25, None, "a hint"), ("2.5 um", 2.5, None, "a hint"),
        ("10-microns", 10, None, "a hint"),
        ("a_1MM_b", 1000, None, "a hint"), ("brain 0,2mm", 200, None, "a hint"),
        ("rat3_50um_sections", 50, None, "a hint"), ("50um_thick", 50, None, "a hint"),
        # between slices, or within them, by a word
        ("stack_z5um_step", 5, None, "spacing along y, x"),
        ("dz_5um", 5, None, "spacing along y, x"),
        ("5um-step", 5, None, "spacing along y, x"), ("x0.65um", None, 0.65, "spacing along z"),
        ("xy0.65um", None, 0.65, "spacing along z"), ("px_0.65um", None, 0.65, "spacing along z"),
        ("0.65um per pixel", None, 0.65, "spacing along z"),
        ("res_0.65um", 0.65, 0.65, "z: 0.65 µm"),
        # none of these
        ("mouse07_561nm", None, None, "along z, y, x"), ("Ex_488nm", None, None, "along z, y, x"),
        ("a_642nm_b", None, None, "along z, y, x"), ("laser 1.3um", None, None, "along z, y, x"),
        ("tooth_FOV_10mm", None, None, "along z, y, x"), ("10mm_fov", None, None, "along z, y, x"),
        ("bregma_1.5mm", None, None, "along z, y, x"), ("WD5mm", None, None, "along z, y, x"),
        ("x100umbrella", None, None, "z, y, x"), ("20mmol", None, None, "z, y, x"),
        ("v1.25umx", None, None, "z, y, x"), ("a25um", None, None, "z, y, x"),
        ("0um", None, None, "z, y, x"),
        ("mm", None, None, "z, y, x"), ("100 dpi", None, None, "z, y, x"),
        ("5m", None, None, "z, y, x"),
        ("exposure_20ms", None, None, "z, y, x"),
        ("100um_25um", None, None, "disagree on the spacing: '100um' in .* and '25um' in"),
    ],
)  # fmt: skip
def test_any_other_length_in_a_name_is_a_hint(
    name: str, between: float | None, within: float | None, words: str
) -> None:
    for place in ({"folder": f"/data 7um/{name}"}, {"file": f"{name}.tif"}):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            values, rule = found(**place)
        assert values == zyx(between or 100, within or 100, within or 100), place
        assert [w.category for w in caught] == [SpacingWarning]
        assert re.search(words, str(caught[0].message)), caught[0].message
        assert ("name '" in rule) is bool(between or within)


def test_file_and_folder_that_disagree() -> None:
    message = "Names disagree on the spacing: '8um' in 'a_8um_1.tif' and '5um' in 'brain_5um'"
    with pytest.warns(SpacingWarning, match=message):
        assert found(file="a_8um_1.tif", folder="brain_5um") == (zyx(100, 100, 100), "default")
    with pytest.warns(SpacingWarning, match="Names disagree"):
        assert found(file="a_8um_iso_1.tif", folder="brain_5um")[0] == zyx(8, 8, 8)
    # the colour of light is no length of the other kind
    with pytest.warns(SpacingWarning, match=r"z: 8 µm, by '8um' in the name 'brain_8um'"):
        assert found(file="Ex_488nm_0001.tif", folder="brain_8um")[0] == zyx(8, 100, 100)


def test_a_name_with_both() -> None:
    assert found(folder="res_0.65um_step_5um")[0] == zyx(5, 0.65, 0.65)
    assert found(folder="x0.65um_z5um")[0] == zyx(5, 0.65, 0.65)
    assert found(folder="10mm_FOV_voxel_5um")[0] == zyx(5, 5, 5)


def test_a_position_in_a_name_is_no_spacing() -> None:
    with pytest.warns(SpacingWarning, match="Nothing tells the spacing"):
        assert found(file="s_25um.tif", last="s_500um.tif")[1] == "default"
    nine = (zyx(9, 9, 9), "name '9um'")
    assert found(file="s_9um_iso_25um.tif", last="s_9um_iso_500um.tif") == nine
    assert found(file="s_25um.tif", last="s_50um.tif", folder="9um_iso") == nine


def test_the_default_is_said() -> None:
    with pytest.warns(SpacingWarning, match=r"spacing along z, y, x: .* 100 µm is assumed\. Say"):
        assert found() == (zyx(100, 100, 100), "default")
    with pytest.warns(SpacingWarning, match="spacing along z: neither the file nor a name"):
        assert found(None, PER_CM)[1] == "z: default; y, x: resolution tag"
    with pytest.warns(SpacingWarning, match="spacing along y: "):
        assert found({"z": 5, "x": 6})[1] == "z, x: argument; y: default"


def test_positions_tell_the_spacing_along_the_stack() -> None:
    named, said = Placed(50.0, 50.0, said=False), Placed(50.0, 50.0, said=True)
    assert found(50, placed=named) == (zyx(50, 50, 50), "z: positions in the names; y, x: argument")
    assert found({"y": 9, "x": 9}, placed=said)[1] == "z: positions; y, x: argument"
    assert found(9, placed=said) == (zyx(50, 9, 9), "z: positions; y, x: argument")
    with pytest.warns(SpacingWarning, match=r"9 µm is not used along z: .* are 50 µm apart"):
        assert found(9, placed=named)[0] == zyx(50, 9, 9)
    for placed in (named, said, Placed(None, 50.0, said=True)):
        with pytest.raises(GeometryError, match=r"spacing\['z'\] is 9 µm, and the positions"):
            found({"z": 9, "y": 5, "x": 5}, placed=placed)


def test_a_conflict_is_said() -> None:
    message = r"differs from the OME metadata \(y: 300 µm given, 250 µm there\)\. What was"
    with pytest.warns(SpacingWarning, match=message):
        assert found({"y": 300, "z": "2 um"}, OME)[0] == zyx(2, 300, 500)


def test_rounding_is_no_conflict() -> None:
    facts = FileFacts(resolution=(393.7, 393.7), resolution_unit="CENTIMETER")
    assert found(25.4, facts) == (zyx(25.4, 25.4, 25.4), "argument")


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (0, r"spacing\['z'\] is 0 µm; a distance is more than zero"),
        ("-5 um", r"spacing\['z'\] is -5 µm"),
        ("5 kg", r"spacing\['z'\]: '5 kg' is no length"),
        ("100", r"spacing\['z'\]: '100' has no unit"),
        ({"z": 1, "Y": 2}, "spacing has the axis 'Y'; the axes are z, y and x, for example"),
        ({0: 1}, "spacing has the axis 0; the axes are"),
        ([50, 25, 25], r"spacing=\[50, 25, 25\] doesn't say which value is for which axis"),
        ((50, 25, 25), "doesn't say which value"),
        (np.array([50, 25, 25]), "spacing"),
        ({"z": None}, "None is no length"),
        (float("nan"), "is not a finite length"),
    ],
)
def test_what_is_no_spacing(argument: Any, message: str) -> None:
    with pytest.raises(GeometryError, match=message):
        per_axis(argument, "spacing", positive=True)


def test_an_origin_may_be_negative() -> None:
    assert per_axis({"z": "-1 mm", "x": 0}, "origin") == {"z": -1000.0, "x": 0.0}
    assert per_axis(None, "origin") == {}


def test_real_files(tmp_path: Any) -> None:
    """The same lengths through files that tifffile wrote."""
    image = np.zeros((2, 4, 5), "u2")
    ome = {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "mm", "PhysicalSizeY": 25,
           "PhysicalSizeYUnit": "µm", "PhysicalSizeZ": 0.1, "PhysicalSizeZUnit": "cm"}  # fmt: skip
    tifffile.imwrite(tmp_path / "a.ome.tif", image, metadata=ome)
    spacing = brainxr.open(tmp_path / "a.ome.tif")
    assert [float(spacing[d][1]) for d in "zyx"] == pytest.approx([1000, 25, 500])
    imagej = {"axes": "ZYX", "unit": "um", "spacing": 5.5}
    tifffile.imwrite(
        tmp_path / "b.tif", image, imagej=True, metadata=imagej, resolution=(0.5, 0.25)
    )
    volume = brainxr.open(tmp_path / "b.tif")
    assert [float(volume[d][1]) for d in "zyx"] == pytest.approx([5.5, 4, 2])
    assert volume.attrs["spacing_source"] == "ImageJ metadata"
