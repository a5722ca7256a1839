"""Whether a TIFF page can be what its directory says; what is damaged or absurd is refused.

tifffile reads on where it can: pages that are not there any more are left out, and samples
of which it doesn't know the size are taken for others. For the one copy of a picture that is
right; in a stack it would be a shorter volume, or wrong values, without a word.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from brainxr.errors import SliceReadError, StackError
from brainxr.files.openfile import OpenFile
from brainxr.files.rows import Strips, are_whole
from brainxr.stacks.ifd import end_of_values, places_of_directories

# Bytes of the file, by their place and number.
Read: TypeAlias = Callable[[int, int], bytes]

_COMPLEX_INTEGERS = 5

# How many times smaller a codec can make zeros at best, rounded up: deflate (two numbers),
# LZW, packbits; and any other (LZMA, 1 : 7000). What claims more would be unpacked into
# memory for nothing.
_MOST_PACKED = {8: 1100, 32946: 1100, 5: 3000, 32773: 70}
_MOST_PACKED_BY_OTHERS = 1 << 15

# Rows or columns of which no image of a microscope or scanner has as many.
_LONGEST = 1 << 22

# Bytes of the header of a file, in which no pixels can be.
_HEADER_BYTES = 8


def refuse_tangled(file: OpenFile) -> None:
    """Refuse directories that lie in one another, before somebody else gets lost in them.

    tifffile goes round a loop for ever where it takes one page after the other. And a pointer
    that leads into other bytes can make thousands of pages of a few kilobytes, each with
    thousands of entries; no program writes two that share a byte.

    Parameters
    ----------
    file : OpenFile

    Raises
    ------
    SliceReadError
    """
    found, total = [], 0
    for start, end in places_of_directories(file):
        found.append((start, end))
        total += end - start
        if total > file.size:  # more than there is room for, side by side
            break
    for (first, end), (second, _) in pairwise(sorted(found)):
        if second < end:
            raise SliceReadError(
                f"{file.path!r} describes a page at bytes {first} to {end} and another one, or the "
                f"same once more, from {second} on: expected each at a place of its own. It is "
                "damaged: restore it from its source."
            )


def refuse_unsound(page: Any, path: str, size: int) -> None:
    """Refuse a page without pixels, or whose samples can't be told.

    Parameters
    ----------
    page : tifffile.TiffPage
    path : str
    size : int
        Bytes of the file.

    Raises
    ------
    SliceReadError
        When it has no pixels, more than its bytes can hold, or more rows than any image.
    StackError
        When its samples or its compression are unknown.
    """
    _refuse_empty(page, path)
    _refuse_endless(page, path, size)
    _refuse_samples(page, path)
    if not hasattr(page.compression, "name"):
        raise StackError(
            f"{path!r} is compressed by method {page.compression}, which is none that is known "
            "here. Convert the stack, for example to deflate, or ask whoever made it."
        )
    _refuse_impossible(page, path)


def _refuse_empty(page: Any, path: str) -> None:
    if isinstance(page.dataoffsets, bytes) or isinstance(page.databytecounts, bytes):
        raise SliceReadError(
            f"{path!r} lists its strips by bytes of no meaning (type 7, undefined), expected whole "
            "numbers. It is damaged: restore it from its source."
        )
    if not (page.imagelength and page.imagewidth and page.dataoffsets):
        raise SliceReadError(
            f"{path!r} has {page.imagelength} rows and {page.imagewidth} columns in "
            f"{len(page.dataoffsets)} strips, so there are no pixels. It is damaged, or no image: "
            "restore it from its source."
        )


def _refuse_endless(page: Any, path: str, size: int) -> None:
    """Refuse sizes that no image has, before anything of that size is made."""
    height, width = page.imagelength, page.imagewidth
    # of a length that is said to be several numbers tifffile gives them all
    sizes = [n for n in page.chunks[:2] if isinstance(n, int) and n > 0]
    if len(sizes) < 2 or max(height, width) > _LONGEST:
        raise SliceReadError(
            f"{path!r} says that it has {height} rows and {width} columns, in pieces of "
            f"{page.chunks[0]} x {page.chunks[1]}, which is not possible in {size} bytes. It is "
            "damaged: restore it from its source."
        )


def _refuse_samples(page: Any, path: str) -> None:
    """Refuse what has no numpy dtype, or one of another meaning."""
    bits = page.bitspersample
    # 17 to 31 bits: libtiff swaps their bytes by the file's order, and tifffile doesn't
    odd = page.dtype is not None and page.dtype.kind in "iu" and 16 < bits % 32 < 32
    if page.dtype is None or odd or page.sampleformat == _COMPLEX_INTEGERS:
        kind = getattr(page.sampleformat, "name", page.sampleformat)
        raise StackError(
            f"{path!r} has {bits} bits a sample of format {kind}, which has no numpy dtype. "
            "Convert it to 8, 16 or 32 bits."
        )


def _refuse_impossible(page: Any, path: str) -> None:
    most = _MOST_PACKED.get(int(page.compression), _MOST_PACKED_BY_OTHERS)
    stored = sum(page.databytecounts)
    claimed = page.imagelength * page.imagewidth * page.bitspersample // 8
    # a strip that is left out (no bytes) stands for as much as one likes
    is_packed = page.compression != 1 and all(page.databytecounts)
    if is_packed and claimed > most * (stored + 64):
        raise SliceReadError(
            f"{path!r} says that it has {page.imagelength} x {page.imagewidth} pixels, and its "
            f"{stored} compressed bytes can't hold more than {most} times as many. It is damaged: "
            "restore it from its source."
        )


def refuse_no_imagej(page: Any, path: str) -> None:
    """Refuse bits a pixel that ImageJ, as whose file it will be read, never writes.

    Parameters
    ----------
    page : tifffile.TiffPage
    path : str

    Raises
    ------
    SliceReadError
    """
    if page.bitspersample % 8 and page.bitspersample != 1:  # masks, as `tiffstack` writes them
        raise SliceReadError(
            f"{path!r} is said to be of ImageJ and to have {page.bitspersample} bits a pixel, "
            "expected 1, 8, 16 or 32. It is damaged: restore it from its source."
        )


def refuse_short(pages: Iterable[Any], strips: Strips, path: str) -> None:
    """Refuse uncompressed strips that are said to have fewer rows than they are read as.

    Of a single strip libtiff doesn't believe the count of bytes, and nor is it believed here.

    Parameters
    ----------
    pages : iterable of tifffile.TiffPage
    strips : Strips
        As which they will be read.
    path : str

    Raises
    ------
    SliceReadError
    """
    if int(strips.offsets.min()) < _HEADER_BYTES or not all(_is_whole(p, strips) for p in pages):
        raise SliceReadError(
            f"{path!r} lists strips that are not as long as its rows, or lie in its header. It is "
            "damaged: restore it from its source."
        )


def _is_whole(page: Any, strips: Strips) -> bool:
    if len(page.dataoffsets) == 1:
        return True
    tables = np.array(page.dataoffsets), np.array(page.databytecounts)
    return are_whole(*tables, page.chunks[0], page.imagelength, strips.row_bytes)


def refuse_unlike(page: Any, first: Any, where: str) -> None:
    """Refuse a page of other samples than the first one, by which the volume has its dtype.

    Parameters
    ----------
    page, first : tifffile.TiffPage
    where : str
        Which page of which file, for the message.

    Raises
    ------
    SliceReadError
    """
    if _manner(page) != _manner(first):
        raise SliceReadError(
            f"{where} has {_in_words(page)}, expected {_in_words(first)} as in the first page. It "
            "is damaged: restore it from its source."
        )


def _manner(page: Any) -> tuple[Any, ...]:
    size = page.imagelength, page.imagewidth
    return (*size, page.bitspersample, page.sampleformat, *_packing(page))


def _packing(page: Any) -> tuple[int, int, int]:
    return int(page.compression), int(page.predictor), int(page.fillorder)


def _in_words(page: Any) -> str:
    return (
        f"{page.imagelength} x {page.imagewidth} pixels of {page.bitspersample} bits, format "
        f"{page.sampleformat} and compression {'/'.join(map(str, _packing(page)))}"
    )


def refuse_lost(pages: Any, read: Read, path: str, size: int) -> None:
    """Refuse a file that says more than is there: values, or a page, beyond its end.

    Parameters
    ----------
    pages : tifffile.TiffPages
        All that were found.
    read : callable
    path : str
    size : int
        Bytes of the file.

    Raises
    ------
    SliceReadError
    """
    ends = [_ends(page, read) for page in {0: pages[0], len(pages) - 1: pages[-1]}.values()]
    end, following = max(end for end, _ in ends), ends[-1][1]
    if end > size:
        raise SliceReadError(
            f"{path!r} is truncated or damaged: its directory and what belongs to it end at byte "
            f"{end}, and {size} bytes were found. Restore it from its source."
        )
    if following:
        found = "1 page" if len(pages) == 1 else f"{len(pages)} pages"
        raise SliceReadError(
            f"{path!r} is truncated or damaged: {found} found, and another is expected at byte "
            f"{following} of {size}. Restore it from its source."
        )


def _ends(page: Any, read: Read) -> tuple[int, int]:
    """How far a directory and its values reach, and where it says that the next one is."""
    order = page.parent.byteorder
    counter, pointer, room = ("Q", "Q", 8) if page.parent.is_bigtiff else ("H", "I", 4)
    form = struct.Struct(f"{order}HH{pointer}{room}s")
    start = page.offset + struct.calcsize(f"={counter}")
    (count,) = struct.unpack(f"{order}{counter}", read(page.offset, start - page.offset))
    end = start + count * form.size
    found = read(start, count * form.size + room)
    if len(found) < count * form.size + room:
        return end + room, 0
    entries = form.iter_unpack(found[: count * form.size])
    ends = [end_of_values(tag, kind, n, value, order) for tag, kind, n, value in entries]
    (following,) = struct.unpack(f"{order}{pointer}", found[-room:])
    return max([end, *ends]), following
