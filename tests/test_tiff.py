"""One slice in every layout: the header without pixels, any window as tifffile has it."""

from __future__ import annotations

import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import unique_values

from brainxr.errors import InconsistentStackError, SliceReadError, StackError
from brainxr.stacks.reader import SliceReader
from brainxr.stacks.slices import SliceFiles
from brainxr.stacks.tiff import Header, differences, encode_slice, read_header

# Everything that writes slices: programs, libraries, settings.
LAYOUTS: dict[str, dict[str, Any]] = {
    "tifffile": {},
    "many strips": {"rowsperstrip": 3},
    "a row a strip": {"rowsperstrip": 1},
    "big endian": {"byteorder": ">", "rowsperstrip": 4},
    "BigTIFF": {"bigtiff": True, "rowsperstrip": 5},
    "ImageJ": {"imagej": True},
    "deflate": {"compression": "zlib", "rowsperstrip": 4},
    "deflate, predictor": {"compression": "zlib", "predictor": True, "rowsperstrip": 4},
    "deflate, big endian": {"compression": "zlib", "predictor": True, "byteorder": ">"},
    "LZW": {"compression": "lzw", "rowsperstrip": 6},
    "zstd": {"compression": "zstd"},
    "packbits": {"compression": "packbits"},
    "tiles": {"tile": (16, 32)},
    "compressed tiles": {"tile": (16, 16), "compression": "zlib", "predictor": True},
    "white is zero": {"photometric": "miniswhite"},
    "libtiff": {"like_libtiff": True},
    "libtiff, one strip": {"like_libtiff": True, "rowsperstrip": 1000},
    "libtiff, big endian": {"like_libtiff": True, "byteorder": ">"},
    "libtiff, deflate": {"like_libtiff": True, "deflate": True},
    "dpi": {"resolution": (300, 300), "resolutionunit": "INCH"},
}

WINDOWS: dict[str, tuple[Any, Any]] = {
    "everything": (range(37), range(45)),
    "a row": (range(20, 21), range(45)),
    "rows across strips": (range(2, 36), range(45)),
    "every third row": (range(1, 37, 3), range(45)),
    "a column": (range(37), range(44, 45)),
    "a box": (range(11, 30), range(7, 40)),
    "strides": (range(0, 37, 5), range(2, 45, 7)),
    "scattered": (np.array([0, 1, 9, 36]), np.array([3, 4, 44])),
    "scattered rows": (np.array([5, 6, 7, 20]), range(45)),
    "a pixel": (range(36, 37), range(1)),
    "nothing": (range(0), range(45)),
}


def read(path: Any, header: Header, rows: Any, columns: Any, page: int = 0) -> np.ndarray:
    out = np.full((1, len(rows), len(columns)), 77, header.dtype)
    files = SliceFiles(str(path.parent), (path.name,), (0,))
    SliceReader(files, header, time.time_ns()).read([page], rows, columns, out)
    return out[0]


@pytest.mark.parametrize(
    ("layout", "dtype"),
    [
        (layout, dtype)
        for layout in LAYOUTS
        for dtype in ("u1", "u2", "i2", "f4")
        if (layout, dtype) != ("ImageJ", "i2")  # ImageJ knows no signed integers
    ],
)
def test_windows(make_stack: Any, layout: str, dtype: str) -> None:
    # texts of different lengths: no two files have their parts at the same place
    described = "imagej" not in LAYOUTS[layout]
    made = make_stack((3, 37, 45), dtype, described=described, **LAYOUTS[layout])
    header = read_header(str(made.paths[0]))
    assert (header.shape, header.dtype, header.pages) == ((37, 45), np.dtype(dtype), 1)
    for rows, columns in WINDOWS.values():
        window = np.ix_(np.asarray(rows, int), np.asarray(columns, int))
        for path, image in zip(made.paths, made.values, strict=True):
            np.testing.assert_array_equal(read(path, header, rows, columns), image[window])


def test_oracle(make_stack: Any) -> None:
    """The writer by hand writes what tifffile reads."""
    for options in ({}, {"byteorder": ">"}, {"deflate": True}, {"rowsperstrip": 99}):
        made = make_stack(folder=str(options), like_libtiff=True, described=True, **options)
        read_back = [tifffile.imread(path) for path in made.paths]
        np.testing.assert_array_equal(read_back, made.values)


def test_slices_of_one_stack_in_many_layouts(make_stack: Any, tmp_path: Path) -> None:
    """Every slice is read by its own header where it differs from the first one's."""
    first = None
    for i, (name, options) in enumerate(LAYOUTS.items()):
        if options.get("photometric") == "miniswhite":
            continue  # its numbers mean the opposite: no slice of the same stack
        made = make_stack((1, 37, 45), "u2", folder=f"one_{i}", **options)
        first = first or read_header(str(made.paths[0]))
        got = read(made.paths[0], first, *WINDOWS["strides"])
        np.testing.assert_array_equal(got, made.values[0, ::5, 2::7], err_msg=name)


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize(
    "options",
    [
        {}, {"compression": "zlib"}, {"imagej": True}, {"ome": True}, {"tile": (16, 16)},
        {"rowsperstrip": 4}, {"ome": True, "compression": "zlib"}, {"contiguous": False},
        {"bigtiff": True}, {"byteorder": ">"},
    ],
    ids=str,
)  # fmt: skip
def test_multi_page(tmp_path: Path, options: dict[str, Any], depth: int) -> None:
    values = np.arange(depth * 21 * 17, dtype="u2").reshape(depth, 21, 17)
    path = tmp_path / ("a.ome.tif" if "ome" in options else "a.tif")
    axes = {"metadata": {"axes": "ZYX"}} if {"ome", "imagej"} & set(options) else {}
    if options.pop("contiguous", True):
        tifffile.imwrite(path, values, photometric="minisblack", **options, **axes)
    else:
        with tifffile.TiffWriter(path) as writer:
            for image in values:
                writer.write(image, contiguous=False, metadata=None, description="x" * 9)
    header = read_header(str(path))
    assert (header.pages, header.shape) == (depth, (21, 17))
    for page in range(depth):
        got = read(path, header, range(3, 20, 4), range(17), page)
        np.testing.assert_array_equal(got, values[page, 3:20:4])


def ome_xml(planes: str, depth: int) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/'
        'OME/2016-06" UUID="urn:uuid:1"><Image ID="Image:0"><Pixels ID="Pixels:0" Type="uint16" '
        f'DimensionOrder="XYZCT" SizeX="5" SizeY="4" SizeZ="{depth}" SizeC="1" SizeT="1">'
        f'<Channel ID="Channel:0:0" SamplesPerPixel="1"/>{planes}</Pixels></Image></OME>'
    )


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_ome_says_the_order_of_pages(tmp_path: Path, compression: Any) -> None:
    planes = "".join(f'<TiffData FirstZ="{2 - i}" IFD="{i}" PlaneCount="1"/>' for i in range(3))
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as writer:
        for i in range(3):
            text = ome_xml(planes, 3) if i == 0 else None
            image = np.full((4, 5), i, "u2")
            writer.write(image, description=text, metadata=None, compression=compression)
    header = read_header(str(tmp_path / "a.ome.tif"))
    expected = tifffile.imread(tmp_path / "a.ome.tif")[:, 0, 0].tolist()
    got = [read(tmp_path / "a.ome.tif", header, range(4), range(5), i)[0, 0] for i in range(3)]
    assert got == expected == [2, 1, 0]


def test_ome_that_lacks_pages(tmp_path: Path) -> None:
    planes = (
        '<TiffData FirstZ="0" IFD="0" PlaneCount="1"/><TiffData FirstZ="2" IFD="1" PlaneCount="1"/>'
    )
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as writer:
        for i in range(2):
            text = ome_xml(planes, 4) if i == 0 else None
            writer.write(np.full((4, 5), i, "u2"), description=text, metadata=None)
    with pytest.raises(StackError, match="lacks 2 of the 4 slices that its OME-XML lists"):
        read_header(str(tmp_path / "a.ome.tif"))


def test_a_file_of_an_ome_set_speaks_for_itself(tmp_path: Path) -> None:
    planes = "".join(
        f'<TiffData FirstZ="{i}" IFD="0" PlaneCount="1"><UUID FileName="p{i}.ome.tif">urn:uuid:{i}'
        "</UUID></TiffData>"
        for i in range(3)
    )
    for i in range(3):
        xml = ome_xml(planes, 3).replace("urn:uuid:1", f"urn:uuid:{i}", 1)
        tifffile.imwrite(
            tmp_path / f"p{i}.ome.tif", np.full((4, 5), i, "u2"), description=xml, metadata=None
        )
    header = read_header(str(tmp_path / "p0.ome.tif"))
    assert header.pages == 1
    got = [read(tmp_path / f"p{i}.ome.tif", header, range(4), range(5))[0, 0] for i in range(3)]
    assert got == [0, 1, 2]


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((4, 5, 3), {"photometric": "rgb"}, r"has 3 samples a pixel \(RGB\).*grey value"),
        ((4, 5, 4), {"photometric": "rgb"}, "has 4 samples a pixel"),
        ((3, 4, 5), {"photometric": "rgb", "planarconfig": "separate"}, "has 3 samples a pixel"),
        ((2, 3, 4, 5), {"imagej": True, "metadata": {"axes": "ZCYX"}}, r"3 along 'c'.*at=\{"),
        ((3, 4, 5), {"imagej": True, "metadata": {"axes": "TYX"}}, r"3 images along 't'.*axes='z'"),
        ((2, 4, 5), {"ome": True, "metadata": {"axes": "CYX"}}, r"2 images along 'c'.*at=\{"),
    ],
)  # fmt: skip
def test_what_is_no_stack_of_grey_values(
    tmp_path: Path, shape: Any, options: Any, message: str
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros(shape, "u1"), **options)
    with pytest.raises(StackError, match=message):
        read_header(str(tmp_path / "a.tif"))


def test_pages_of_different_shapes(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(np.zeros((4, 5), "u1"), metadata=None)
        writer.write(np.zeros((4, 6), "u1"), metadata=None)
    with pytest.raises(StackError, match=r"holds 2 series of images \(YX .*imread\(.*series=0"):
        read_header(str(tmp_path / "a.tif"))


@pytest.mark.parametrize("layout", ["tifffile", "libtiff", "deflate", "libtiff, deflate", "tiles"])
def test_cut_anywhere_is_an_error_or_whole(make_stack: Any, layout: str) -> None:
    """However much is missing, no wrong pixel comes out."""
    made = make_stack((2, 37, 45), "u2", **LAYOUTS[layout])
    header = read_header(str(made.paths[0]))
    content = made.paths[1].read_bytes()
    for cut in [*range(0, 400, 7), *range(400, len(content), 131), len(content) - 1]:
        made.paths[1].write_bytes(content[:cut])
        try:
            got = read(made.paths[1], header, range(37), range(45))
        except SliceReadError as error:
            named = "slice_002.tif" in str(error)
        else:
            named = np.array_equal(got, made.values[1])
        assert named, f"{cut} bytes"


@pytest.mark.parametrize("layout", ["tifffile", "libtiff", "deflate"])
def test_a_header_that_was_scribbled_on(make_stack: Any, layout: str) -> None:
    """A byte of the header changed: the same pixels, an error, or what tifffile reads."""
    made = make_stack((2, 7, 9), "u2", **LAYOUTS[layout])
    header = read_header(str(made.paths[0]))
    content = bytearray(made.paths[1].read_bytes())
    # a damaged text is no damage; every other byte that isn't a pixel is
    start, stop = (0, 200) if layout != "libtiff" else (len(content) - 160, len(content))
    for at in range(start, stop):
        spoiled = bytearray(content)
        spoiled[at] ^= 0x41
        made.paths[1].write_bytes(spoiled)
        try:
            got = read(made.paths[1], header, range(7), range(9))
        except (SliceReadError, InconsistentStackError, StackError):
            continue
        try:
            expected = tifffile.imread(made.paths[1])
        except (ValueError, tifffile.TiffFileError):  # what is damaged is no matter to pixels
            expected = made.values[1]
        np.testing.assert_array_equal(got, expected, err_msg=f"byte {at}")


@pytest.mark.parametrize("layout", ["tifffile", "deflate"])
def test_folder_by_the_name_of_a_slice(make_stack: Any, layout: str) -> None:
    made = make_stack(**LAYOUTS[layout])
    header = read_header(str(made.paths[0]))
    made.paths[1].unlink()
    made.paths[1].mkdir()
    with pytest.raises(SliceReadError, match=r"slice_002\.tif' is a folder"):
        read(made.paths[1], header, range(7), range(11))


def test_unsupported_compression_names_the_file(make_stack: Any) -> None:
    made = make_stack((1, 7, 9), "u2")
    content = bytearray(made.paths[0].read_bytes())
    tag = content.index(struct.pack("<HHI", 259, 3, 1))
    struct.pack_into("<H", content, tag + 8, 32766)  # NeXT, which nobody decodes
    made.paths[0].write_bytes(content)
    header = read_header(str(made.paths[0]))
    with pytest.raises(SliceReadError, match=r"slice_001\.tif', page 0, can't be decoded \("):
        read(made.paths[0], header, range(7), range(9))


def test_sparse_strips_are_empty(make_stack: Any) -> None:
    """A strip of no bytes at offset 0 is GDAL's way to say that nothing is there."""
    made = make_stack((1, 8, 6), "u2", rowsperstrip=4, compression="zlib")
    with tifffile.TiffFile(made.paths[0], mode="r+") as tif:
        tif.pages[0].tags[279].overwrite([tif.pages[0].databytecounts[0], 0])
        tif.pages[0].tags[273].overwrite([tif.pages[0].dataoffsets[0], 0])
    header = read_header(str(made.paths[0]))
    got = read(made.paths[0], header, range(8), range(6))
    np.testing.assert_array_equal(got[:4], made.values[0, :4])
    assert not got[4:].any()


@pytest.mark.parametrize("compression", ["zlib", None])
def test_a_strip_with_a_place_and_no_bytes_is_damaged(make_stack: Any, compression: Any) -> None:
    """Who leaves a strip out gives it no place; tifffile would read zeros, all the same."""
    made = make_stack((1, 8, 6), "u2", rowsperstrip=4, compression=compression)
    with tifffile.TiffFile(made.paths[0], mode="r+") as tif:
        tif.pages[0].tags[279].overwrite([tif.pages[0].databytecounts[0], 0])
    header = read_header(str(made.paths[0]))
    with pytest.raises(SliceReadError, match=r"strip 1 has a place in the file, and no bytes"):
        read(made.paths[0], header, range(8), range(6))


def test_the_header_costs_no_pixel(make_stack: Any, bytes_read: Any) -> None:
    made = make_stack((1, 500, 4001), "u2")
    read_header(str(made.paths[0]))
    with bytes_read() as counted:
        read_header(str(made.paths[0]))
    assert counted.count < 40_000


def test_unlike_only_in_texts_needs_no_parser(make_stack: Any, monkeypatch: Any) -> None:
    """A date of the same length in each slice costs no parsing: that is 15 times faster."""
    made = make_stack(datetime="2026:11:22 10:00:00")
    other = make_stack(folder="other", datetime="2026:11:22 10:00:59")
    header = read_header(str(made.paths[0]))
    monkeypatch.setattr(tifffile, "TiffFile", None)
    got = read(other.paths[1], header, range(7), range(11))
    np.testing.assert_array_equal(got, other.values[1])


def test_facts(make_stack: Any) -> None:
    made = make_stack(resolution=(400, 200), resolutionunit="CENTIMETER", compression="zlib")
    facts = read_header(str(made.paths[0])).facts
    assert (facts.resolution, facts.resolution_unit) == ((400.0, 200.0), "CENTIMETER")
    assert "DEFLATE" in facts.compression


@pytest.mark.parametrize("dtype", ["?", "u1", "i2", ">u2", "i8", "f2", "f4", "f8"])
@pytest.mark.parametrize("compression", [None, "deflate", "lzw"])
def test_encode_slice(tmp_path: Path, dtype: str, compression: Any) -> None:
    image = (unique_values((300, 401), "f4") % 2048).astype(dtype)
    text = "ImageJ=1.11a\nunit=um\nspacing=100.0\n"
    (tmp_path / "a.tif").write_bytes(encode_slice(image, text, (50.0, 25.0), compression))
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), image)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.byteorder == "<"
        assert tif.imagej_metadata is not None
        assert tif.imagej_metadata["spacing"] == 100
        page = tif.pages[0]
        assert [page.tags.valueof(tag) for tag in (282, 283, 296)] == [(1, 25), (1, 50), 1]
        assert (len(page.dataoffsets) == 1) == (compression is None or image.itemsize * 301 < 900)


def test_differences(make_stack: Any) -> None:
    first = read_header(str(make_stack().paths[0]))
    assert differences(first, first) is None
    other = read_header(str(make_stack((1, 8, 11), folder="other").paths[0]))
    assert differences(other, first) == "has shape (8, 11), expected (7, 11)"
