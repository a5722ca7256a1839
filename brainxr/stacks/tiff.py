"""One TIFF slice as tifffile reads it: its header, and how its pixels are decoded.

The only user of tifffile, which knows every program's habits and takes 0.1 to 1 ms a
file for it. So the first slice of a stack is parsed here, and of the others only what
`reader` finds to be unlike it.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from brainxr.errors import SliceReadError, StackError
from brainxr.files.annex import not_fetched
from brainxr.files.openfile import OpenFile, open_file, truncated, unreadable
from brainxr.files.rows import Strips
from brainxr.stacks.ifd import ONE_READ, Entry, read_directory
from brainxr.stacks.pages import EVERY_PAGE, PageChoice, Pages, find_pages, pages_of, refuse_absurd
from brainxr.stacks.segments import Segments
from brainxr.stacks.soundness import (
    refuse_lost,
    refuse_no_imagej,
    refuse_short,
    refuse_tangled,
    refuse_unlike,
    refuse_unsound,
)

_ASCII = 2
_UNITS = {1: "NONE", 2: "INCH", 3: "CENTIMETER"}


@dataclass(frozen=True)
class FileFacts:
    """What a file says about itself and its spacing, as written there."""

    ome: str | None = None
    imagej: Mapping[str, Any] = field(default_factory=dict)
    resolution: tuple[float, float] | None = None  # pixels per unit, along x and y
    resolution_unit: str | None = None
    compression: str = "NONE"
    declared: int | None = None  # images, by the text beside them


@dataclass(frozen=True)
class Header:
    """What is known of a slice's file without its pixels.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns.
    dtype : numpy.dtype
        In the machine's byte order.
    pages : int
        Slices in the file.
    photometric, orientation
        What the numbers mean (MINISWHITE, ...), and where row 0 and column 0 lie (1: above,
        left), as it is said there: slices of one stack have to agree.
    size, needed : int
        Bytes of the file, and bytes that it must have at least.
    strips : Strips or None
        None where pixels have to be decoded.
    strip_rows : int
        Rows of one strip or tile as stored, though it may touch the next.
    ifds : tuple of int
        Where each page is described; empty where one page speaks for all.
    fingerprint : tuple of (int, bytes)
        The bytes that describe the layout, and where they are.
    manner : tuple of (int, int, int, bytes), optional
        How the pixels are stored, as in `Directory`; None where only tifffile can tell.
    facts : FileFacts
    choice : PageChoice
        By which the pages were found.
    page_numbers : tuple of int
        Numbers of the slices' pages in the file; empty where these are all, in order.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    pages: int
    size: int
    needed: int
    strips: Strips | None
    strip_rows: int
    ifds: tuple[int, ...]
    fingerprint: tuple[tuple[int, bytes], ...]
    manner: tuple[Entry, ...] | None = None
    facts: FileFacts = FileFacts()
    photometric: str = "MINISBLACK"
    orientation: int = 1
    choice: PageChoice = EVERY_PAGE
    page_numbers: tuple[int, ...] = ()

    @property
    def kind(self) -> tuple[Any, ...]:
        """What has to be the same in all slices of a stack."""
        return self.shape, self.dtype, self.pages, self.photometric, self.orientation

    def is_that_of(self, file: OpenFile) -> bool:
        """Whether an open file is described by the same bytes."""
        start, found = self.fingerprint[-1]
        end = start + len(found)
        if end > ONE_READ:
            return all(file.read(at, len(b)) == b for at, b in self.fingerprint)
        head = file.read(0, end)
        return all(head.startswith(found, at) for at, found in self.fingerprint)


def read_header(path: str, choice: PageChoice = EVERY_PAGE) -> Header:
    """Read the header of a file of slices on the disk; no pixel is read.

    Raises
    ------
    SliceReadError, StackError
        As `parse_header`, or when there is no such file.
    """
    with open_file(path) as file:
        return parse_header(file, choice)


def parse_header(file: OpenFile, choice: PageChoice = EVERY_PAGE) -> Header:
    """Read the header of a file of slices; no pixel is read.

    Parameters
    ----------
    file : OpenFile
    choice : PageChoice
        Which of its pages are slices. Default: all, as its metadata say.

    Raises
    ------
    SliceReadError
        When the file can't be read, is no TIFF, or is shorter than its header says.
    StackError
        When its pages are no grey-value slices.
    """
    path, size = file.path, file.size
    if size == 0:
        raise SliceReadError(f"{path!r} is empty (0 bytes), so it is no TIFF slice. Restore it.")
    refuse_tangled(file)
    try:
        # one file of an OME set speaks for itself, not for the others that it names
        with tifffile.TiffFile(file.for_a_parser(), _multifile=False) as tif:
            header = _parse(tif, file, choice)
    except StackError:
        raise
    except PermissionError as error:
        raise SliceReadError(unreadable(path, error)) from error
    except Exception as error:  # whatever a damaged file makes of a parser
        if (pointer := not_fetched(path)) is not None:
            raise SliceReadError(pointer) from error
        raise SliceReadError(
            f"{path!r} can't be read as TIFF ({_reason(error)}). It is damaged, truncated or of "
            f"another format under a TIFF's name ({size} bytes): restore it, or move it elsewhere."
        ) from error
    if not file.has(header.needed):
        found = size if size < header.needed else "fewer"
        raise SliceReadError(truncated(path, found, header.needed))
    return header


def read_ome(file: OpenFile) -> str | None:
    """Read the OME-XML of a file; None where it has none, or is no sound TIFF."""
    refuse_tangled(file)
    try:
        with tifffile.TiffFile(file.for_a_parser(), _multifile=False) as tif:
            return tif.ome_metadata if tif.is_ome else None
    except Exception:  # which is told when the header is parsed
        return None


def read_segment_table(file: OpenFile, header: Header, page: int) -> Segments:
    """Where the encoded strips or tiles of one page lie, and how they are decoded.

    Costs a parsed page, 0.1 ms; no pixel is read.

    Raises
    ------
    SliceReadError
        When the page can't be parsed, or is unlike the first one.
    """
    try:
        with tifffile.TiffFile(file.for_a_parser(), _multifile=False) as tif:
            first: Any = tif.pages.first
            found = _page_at(tif, header.ifds[page], page) if header.ifds else first
            refuse_unlike(found, first, f"{file.path!r}, page {page},")
            return _segments(found)
    except StackError:
        raise
    except Exception as error:  # whatever a damaged file makes of a parser
        raise SliceReadError(
            f"{file.path!r}, page {page}, can't be read as TIFF ({_reason(error)}). Restore it "
            "from its source."
        ) from error


def differences(header: Header, first: Header) -> str | None:
    """How a slice differs from the first one, in words; None where it fits."""
    if header.shape != first.shape:
        return f"has shape {header.shape}, expected {first.shape}"
    if header.dtype != first.dtype:
        return f"has dtype {header.dtype}, expected {first.dtype}"
    if header.pages != first.pages:
        return f"has {header.pages} pages, expected {first.pages}"
    if header.photometric != first.photometric:
        return f"has photometric {header.photometric}, expected {first.photometric}"
    if header.orientation != first.orientation:
        return f"has orientation {header.orientation}, expected {first.orientation}"
    return None


def encode_slice(
    image: npt.NDArray[Any], description: str, spacing: tuple[float, float],
    compression: str | None = None,
) -> memoryview:  # fmt: skip
    """A file of one slice, as bytes.

    Uncompressed it is one strip, in which rows are read where they lie; compressed it is
    strips of about 256 kB, of which a few rows need few.

    Parameters
    ----------
    image : numpy.ndarray of bool, int or float, shape (rows, columns)
    description : str
        In ASCII, such as `calibration.imagej_description` makes.
    spacing : tuple of float
        Of rows and columns, in µm.
    compression : {"deflate", "lzw"}, optional
    """
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        image,
        byteorder="<",  # ImageJ's own is the other one, which every reader had to turn round
        photometric="minisblack",
        description=description,
        metadata=None,  # the description is all
        software=False,
        # as ImageJ writes them: pixels a unit, and which one that is stands in the text;
        # Bio-Formats multiplies those of a centimetre and takes ImageJ's unit besides
        resolution=(1 / spacing[1], 1 / spacing[0]),
        resolutionunit="none",
        compression=compression,
    )
    return file.getbuffer()


def _reason(error: Exception) -> str:
    """What a parser said, or at least by which kind of error: MemoryError says nothing."""
    return str(error) or type(error).__name__


def _page_at(tif: tifffile.TiffFile, offset: int, index: int) -> Any:
    tif.filehandle.seek(offset)
    return tifffile.TiffPage(tif, index=index)


def _segments(page: Any) -> Segments:
    # tifffile makes it once for all pages of a kind: a function of its arguments only. It is
    # made here, while the file is open, since that of JPEG looks into the pixels once
    decode_segment, tables, header = page.decode, page.jpegtables, page.jpegheader

    def decode(data: bytes | None, number: int) -> npt.NDArray[Any] | None:
        segment, _, shape = decode_segment(data, number, jpegtables=tables, jpegheader=header)
        return None if segment is None else segment.reshape(shape[1:3])

    height, width = page.chunks[:2]
    offsets, counts = (np.array(t, np.int64) for t in (page.dataoffsets, page.databytecounts))
    return Segments(offsets, counts, height, width, page.chunked[1], decode, page.nodata)


# --- parsing ----------------------------------------------------------------------


def _parse(tif: tifffile.TiffFile, file: OpenFile, choice: PageChoice) -> Header:
    page: Any = tif.pages.first
    path = file.path
    _refuse_colour(page, path)
    refuse_unsound(page, path, file.size)
    refuse_absurd(tif, path)
    if tif.series[0].kind == "imagej":
        refuse_no_imagej(page, path)
    refuse_lost(tif.pages, partial(_read, tif), path, file.size)
    pages = find_pages(tif, path, choice)
    slices = pages_of(tif, pages)
    strips = _whole_strips(tif, pages, slices, path)
    described = len(tif.pages) > 1 and len(slices) == len(pages.places)
    return Header(
        shape=(page.imagelength, page.imagewidth),
        dtype=np.dtype(page.dtype).newbyteorder("="),
        pages=len(pages.places),
        size=file.size,
        needed=_needed(slices if strips is None else [page], page.imagelength, strips),
        strips=strips,
        strip_rows=page.chunks[0],
        ifds=tuple(p.offset for p in slices) if described else (),
        fingerprint=_fingerprint(tif, page),
        manner=_manner(file, page),
        facts=_facts(tif, page, pages.declared if pages.total == 1 or choice.is_part else None),
        photometric=getattr(page.photometric, "name", "MINISBLACK"),
        orientation=page.tags.valueof(274, 1),
        choice=choice,
        page_numbers=() if len(pages.places) == pages.total else tuple(pages.places.tolist()),
    )


def _refuse_colour(page: Any, path: str) -> None:
    if page.samplesperpixel > 1:
        raise StackError(
            f"{path!r} has {page.samplesperpixel} samples a pixel ({page.photometric.name}), and a "
            "slice has one grey value. Convert the stack to grey values, or split its channels "
            "into stacks of their own."
        )


def _strips(tif: tifffile.TiffFile, pages: Pages, slices: Sequence[Any]) -> Strips | None:
    """Where uncompressed rows lie, or None where something has to be decoded."""
    page: Any = tif.pages.first
    stored = np.dtype(f"{tif.byteorder}{np.dtype(page.dtype).str[1:]}")
    if (
        page.compression != 1
        or page.is_tiled
        or page.fillorder != 1
        or page.bitspersample != stored.itemsize * 8
        or any(count == 0 for count in page.databytecounts)
    ):
        return None
    height, width = page.imagelength, page.imagewidth
    row_bytes = width * stored.itemsize
    start = _start_of_block(tif, pages)
    if start is not None:  # one page after another, perhaps described once
        offsets = start + pages.places[:, None] * height * row_bytes
        return Strips(offsets, height, width, stored)
    table = [p.dataoffsets for p in slices]
    if len({len(row) for row in table}) > 1:
        return None
    return Strips.of(np.array(table, np.int64), page.chunks[0], height, width, stored)


def _start_of_block(tif: tifffile.TiffFile, pages: Pages) -> int | None:
    """Where the pixels of all pages begin, if they follow each other without a gap."""
    by_series = pages.total > 1 and not pages.by_directory
    return tif.series[0].dataoffset if by_series else None


def _whole_strips(
    tif: tifffile.TiffFile, pages: Pages, slices: Sequence[Any], path: str
) -> Strips | None:
    """Where uncompressed rows lie; strips that are shorter than their rows are refused."""
    strips = _strips(tif, pages, slices)
    if strips is not None:
        # where one page follows another, the first one may speak for all
        described = slices if _start_of_block(tif, pages) is None else [tif.pages.first]
        refuse_short(described, strips, path)
    return strips


def _needed(pages: Iterable[Any], height: int, strips: Strips | None) -> int:
    """Bytes that the file must have for the pixels of these pages to be there."""
    ends = [
        offset + count
        for page in pages
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)
    ]
    return int(max([*ends, 0 if strips is None else strips.end(height)]))


def _fingerprint(tif: tifffile.TiffFile, page: Any) -> tuple[tuple[int, bytes], ...]:
    """The bytes on which the layout of the first page depends.

    The file's first bytes, the directory, and every value outside of it but
    texts, which may differ from slice to slice (a date, a name).
    """
    # entries and two counters: 12-byte entries in TIFF, 20-byte in BigTIFF
    entry, counters = (20, 16) if tif.is_bigtiff else (12, 6)
    spans = [(0, 16), (page.offset, page.offset + counters + entry * len(page.tags))]
    for tag in page.tags:
        if tag.dtype != _ASCII and not spans[1][0] <= tag.valueoffset < spans[1][1]:
            spans.append((tag.valueoffset, tag.valueoffset + tag.valuebytecount))
    return tuple((start, _read(tif, start, stop - start)) for start, stop in _merged(spans))


def _manner(file: OpenFile, page: Any) -> tuple[Entry, ...] | None:
    """How the first page is stored by our own reading, where tifffile reads the same there."""
    directory = read_directory(file, page.offset)
    tables = (page.dataoffsets, page.databytecounts)
    if directory is None or not all(map(np.array_equal, directory[1:3], tables)):
        return None
    return directory.manner


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged


def _read(tif: tifffile.TiffFile, start: int, count: int) -> bytes:
    tif.filehandle.seek(start)
    return bytes(tif.filehandle.read(count))


def _facts(tif: tifffile.TiffFile, page: Any, declared: int | None) -> FileFacts:
    tags = page.tags
    resolution = tuple(_ratio(tags.valueof(code)) for code in (282, 283))
    return FileFacts(
        ome=tif.ome_metadata if tif.is_ome else None,
        imagej=dict(tif.imagej_metadata or {}),
        resolution=resolution if all(resolution) else None,  # type: ignore[arg-type]
        resolution_unit=_UNITS.get(tags.valueof(296, 2)),
        compression=page.compression.name,
        declared=declared,
    )


def _ratio(value: Any) -> float | None:
    """A resolution; None for what is no length upside down: 0, 1/0, -4, NaN, a text."""
    if not isinstance(value, tuple) or len(value) != 2 or min(value) <= 0:
        return None
    return float(value[0] / value[1])
