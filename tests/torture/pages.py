"""One file of many pages: series, OME, ImageJ, pages out of order, previews and other pages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from .case import IMAGES, Case, Refused, Values
from .writers import by_tifffile, other, run, write_pgm

FILE = "stack.tif"
OME = "stack.ome.tif"
SOUND = Values(IMAGES)
VOLUME = {"axes": "ZYX"}


def _series(data: np.ndarray = IMAGES, name: str = FILE, **options):
    options = {"photometric": "minisblack", **options}
    return lambda folder: tifffile.imwrite(folder / name, data, **options)


def _case(name: str, write, expect=SOUND, file: str = FILE, **more) -> Case:
    return Case(name, write, expect, path=file, **{"asks": "pages", **more})


def _one_by_one(**options):
    def write(folder: Path) -> None:
        with tifffile.TiffWriter(folder / FILE) as writer:
            for i, image in enumerate(IMAGES):
                writer.write(
                    image, contiguous=False, metadata=None, description="x" * 9 * i, **options
                )

    return write


def _by_pillow(folder: Path) -> None:
    first, *rest = [Image.fromarray(image) for image in IMAGES]
    first.save(folder / FILE, save_all=True, append_images=rest, compression="tiff_lzw")


def _by_opencv(folder: Path) -> None:
    import cv2

    done, data = cv2.imencodemulti(".tif", list(IMAGES))
    assert done
    (folder / FILE).write_bytes(data.tobytes())


def _by_tiffcp(folder: Path) -> None:
    parts = [folder / f"part{i}.tmp" for i in range(5)]
    for part, image in zip(parts, IMAGES, strict=True):
        Image.fromarray(image).save(part, "TIFF")
    run("tiffcp", "-c", "lzw", *map(str, parts), str(folder / FILE))


def _by_magick(folder: Path) -> None:
    parts = [folder / f"part{i}.pgm" for i in range(5)]
    for part, image in zip(parts, IMAGES, strict=True):
        write_pgm(part, image)
    run("convert", *map(str, parts), f"TIFF:{folder / FILE}")


def _with_levels(folder: Path) -> None:
    with tifffile.TiffWriter(folder / OME, ome=True) as writer:
        writer.write(IMAGES, subifds=1, metadata=VOLUME, photometric="minisblack", tile=(16, 16))
        writer.write(IMAGES[:, ::2, ::2], subfiletype=1, photometric="minisblack", tile=(16, 16))


def _and_another(extra: np.ndarray, **options):
    def write(folder: Path) -> None:
        with tifffile.TiffWriter(folder / FILE) as writer:
            for image in IMAGES:
                writer.write(image, contiguous=False, metadata=None)
            writer.write(extra, contiguous=False, metadata=None, **options)

    return write


def _ome(planes: str, depth: int, name: str = OME, kind: str = "uint16"):
    """Five pages, and an OME-XML that says what they are."""
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/'
        f'2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0" Type="{kind}" DimensionOrder="XYZCT" '
        f'SizeX="11" SizeY="7" SizeZ="{depth}" SizeC="1" SizeT="1">'
        f'<Channel ID="Channel:0:0" SamplesPerPixel="1"/>{planes}</Pixels></Image></OME>'
    )  # fmt: skip

    def write(folder: Path) -> None:
        with tifffile.TiffWriter(folder / name) as writer:
            for i, image in enumerate(IMAGES):
                writer.write(
                    image, description=xml if i == 0 else None, metadata=None, contiguous=False
                )

    return write


BACKWARDS = "".join(f'<TiffData FirstZ="{4 - i}" IFD="{i}" PlaneCount="1"/>' for i in range(5))
HOLEY = "".join(f'<TiffData FirstZ="{2 * i}" IFD="{i}" PlaneCount="1"/>' for i in range(5))


def _set_of_ome(folder: Path) -> None:
    """Each slice a file; the XML of each names all of them."""
    for i, image in enumerate(IMAGES):
        planes = "".join(
            f'<TiffData FirstZ="{j}" IFD="0" PlaneCount="1"><UUID FileName="p{j}.ome.tif">urn:uuid:{j}'
            "</UUID></TiffData>" for j in range(5)
        )  # fmt: skip
        xml = (
            f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{i}">'
            '<Image ID="Image:0"><Pixels ID="Pixels:0" Type="uint16" DimensionOrder="XYZCT" SizeX="11" '
            f'SizeY="7" SizeZ="5" SizeC="1" SizeT="1"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
            f"{planes}</Pixels></Image></OME>"
        )  # fmt: skip
        tifffile.imwrite(folder / f"p{i}.ome.tif", image, description=xml, metadata=None)


def _no_stack(axes: str, file: str = FILE, words: str = "series of images") -> Refused:
    return Refused("StackError", (file, words, axes), "open", "check")


def _declares(images: int, **options):
    """ImageJ's text of another number of images than the file has pages."""
    text = f"ImageJ=1.54f\nimages={images}\nslices={images}\nunit=um\nspacing=2.0\n"

    def write(folder: Path) -> None:
        with tifffile.TiffWriter(folder / FILE) as writer:
            for i, image in enumerate(IMAGES):
                described = text if i == 0 else None
                writer.write(
                    image, description=described, metadata=None, contiguous=False, **options
                )

    return write


def _set_without_its_last_file(folder: Path) -> None:
    _set_of_ome(folder)
    (folder / "p4.ome.tif").unlink()


def _split_and_cut(folder: Path) -> None:
    """Slices that were split from a stack of five and keep its text; the last one is gone."""
    for i, image in enumerate(IMAGES[:4]):
        text = "ImageJ=1.54f\nimages=5\nslices=5\n"
        tifffile.imwrite(folder / f"s{i}.tif", image, description=text, metadata=None)


FOUR = np.arange(2 * 3 * 4 * 5, dtype="u2").reshape(2, 3, 4, 5)

CASES = [
    _case("pages one after another", _series()),
    _case("pages in a list of their own", _one_by_one()),
    _case("compressed pages", _one_by_one(compression="zlib")),
    _case("pages in tiles", _one_by_one(tile=(16, 16))),
    _case("BigTIFF of pages", _series(bigtiff=True)),
    _case("big-endian pages", _series(byteorder=">")),
    _case("pages by Pillow", _by_pillow),
    _case("pages by OpenCV", _by_opencv),
    _case("pages by libtiff", _by_tiffcp, tool="tiffcp"),
    _case("pages by ImageMagick", _by_magick, tool="convert"),
    _case("a stack of ImageJ", _series(imagej=True, metadata=VOLUME)),
    _case("a stack of ImageJ with its spacing", _series(imagej=True, resolution=(0.1, 0.05),
          metadata={**VOLUME, "spacing": 40.0, "unit": "um"}),
          Values(IMAGES, spacing={"z": 40.0, "y": 20.0, "x": 10.0})),
    _case("channels of ImageJ", _series(FOUR, imagej=True, metadata={"axes": "ZCYX"}), _no_stack("at={'c': 0}", words="3 along 'c'")),
    _case("times of ImageJ", _series(imagej=True, metadata={"axes": "TYX"}), _no_stack("axes='z'", words="5 images along 't'")),
    _case("OME-TIFF", _series(name=OME, ome=True, metadata=VOLUME), file=OME),
    _case("OME-TIFF, compressed, in millimetres",
          _series(name=OME, ome=True, compression="zlib", metadata={**VOLUME,
              "PhysicalSizeX": 0.01, "PhysicalSizeXUnit": "mm", "PhysicalSizeY": 0.02, "PhysicalSizeYUnit": "mm",
              "PhysicalSizeZ": 0.04, "PhysicalSizeZUnit": "mm"}),
          Values(IMAGES, spacing={"z": 40.0, "y": 20.0, "x": 10.0}), OME),
    _case("OME-TIFF whose last page is the first slice", _ome(BACKWARDS, 5), Values(IMAGES[::-1]), OME,
          asks="OME"),
    _case("OME-TIFF that lacks slices", _ome(HOLEY, 9), _no_stack("4 of the 9 slices", OME, "lacks"), OME, asks="OME"),
    _case("OME-TIFF of two channels", _series(FOUR[:, 0], OME, ome=True, metadata={"axes": "CYX"}),
          _no_stack("axes='z'", OME, "2 images along 'c'"), OME),
    _case("ImageJ declares more images than there are", _declares(9),
          _no_stack("5 pages", words="declare 9 images")),
    _case("ImageJ declares more images than there are, compressed", _declares(9, compression="zlib"),
          _no_stack("5 pages", words="declare 9 images")),
    _case("ImageJ declares fewer images than there are", _declares(3), _no_stack("5 pages", words="declare 3 images")),
    Case("a set of OME-TIFF whose last file is gone", _set_without_its_last_file,
         Refused("StackError", ("p0.ome.tif", "lists 5 files", "p4.ome.tif"), "open", "check")),
    Case("slices of a stack of ImageJ whose last one is gone", _split_and_cut,
         Refused("StackError", ("s0.tif", "declare 5 images", "4 slices"), "open", "check")),
    _case("levels in sub-IFDs", _with_levels, SOUND, OME),
    Case("a set of OME-TIFF, a slice each", _set_of_ome, SOUND),
    _case("a preview as the last page", _and_another(IMAGES[0, ::2, ::2], subfiletype=1),
          _no_stack("(4, 6)")),
    _case("a page of another type", _and_another(IMAGES[0].astype("f4")), _no_stack("(7, 11)")),
    _case("a page in colours", _and_another(np.zeros((7, 11, 3), "u1"), photometric="rgb"), _no_stack("(7, 11, 3)")),
    Case("files of two pages each", lambda f: [other(f"slice_{n}.tif", IMAGES[:2], by_tifffile())(f)
         for n in range(1, 4)],
         Refused("StackError", ("The first of 3 files", "2 pages", "slice_1.tif"), "open", "check"), asks="places"),
]  # fmt: skip
