"""Which pages of a TIFF file are the slices of a volume, by what its metadata declare.

OME-XML, ImageJ's text and tifffile's own ("shaped") each declare axes of pages: z, and
channels or times. What they declare is compared with the pages that are there.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from brainxr.errors import SliceReadError, StackError, shortlist
from brainxr.geometry.extra_dims import At, places
from brainxr.stacks.ome import MOST_PLANES, OmeImage, declared_planes

# Axes by which tifffile means slices: z, or pages of which nothing is said.
_SLICES = "ZIQ"


@dataclass(frozen=True)
class PageChoice:
    """Which pages of a file a caller asks for.

    Attributes
    ----------
    at : tuple of (str, int or str)
        Place along each extra axis, such as ``(("c", "GFP"),)``.
    axes : str or None
        What the axes of the file's pages are, in its order, such as ``"z"``, where the
        metadata name them wrongly.
    directories : tuple of int, optional
        Image directories of the slices in their order, whatever the metadata declare.
    is_part : bool
        True for one file of several, whose text may declare the images of all.
    """

    at: tuple[tuple[str, int | str], ...] = ()
    axes: str | None = None
    directories: tuple[int, ...] | None = None
    is_part: bool = False

    @classmethod
    def of(cls, at: At | None, axes: str | None) -> Self:
        """Make a choice of the arguments of `brainxr.open`.

        Raises
        ------
        StackError
            When `axes` is not a text of different letters among t, c and z, with a z.
        """
        known = isinstance(axes, str) and set(axes) <= set("tcz") and len(set(axes)) == len(axes)
        if axes is not None and not (known and "z" in axes):
            raise StackError(
                f"axes={axes!r} does not name the axes of a file's pages. Pass the letters t, c "
                "and z in the order of the pages, slowest first: axes='z' for one axis of slices."
            )
        return cls(tuple((at or {}).items()), axes)


EVERY_PAGE = PageChoice()


@dataclass(frozen=True)
class Pages:
    """Pages of a file that are slices, in order along the stack.

    Attributes
    ----------
    places : numpy.ndarray of int, shape (slices,)
        Numbers of the pages in their series.
    total : int
        Pages of the series.
    declared : int or None
        Images that the file's text declares, where these are more than one.
    by_directory : bool
        True where `places` are numbers of image directories, not of pages in the series.
    """

    places: npt.NDArray[np.int64]
    total: int
    declared: int | None = None
    by_directory: bool = False


def refuse_absurd(tif: Any, path: str) -> None:
    """Refuse OME-XML of more planes than any file has, for which tifffile would make room.

    Raises
    ------
    StackError
    """
    planes = declared_planes(tif.ome_metadata) if tif.is_ome else 0
    if planes > MOST_PLANES:
        raise StackError(_other_count(path, planes, len(tif.pages)))


def find_pages(tif: Any, path: str, choice: PageChoice) -> Pages:
    """Find the slices of a file by its metadata.

    Parameters
    ----------
    tif : tifffile.TiffFile
    path : str
        For the message of an error.
    choice : PageChoice

    Raises
    ------
    StackError
        When the metadata declare more or fewer images than there are pages, or axes besides
        z along which `choice` takes no place.
    """
    if choice.directories is not None:
        if max(choice.directories) >= len(tif.pages):
            raise SliceReadError(
                f"{path!r} has {len(tif.pages)} pages, expected {max(choice.directories) + 1} at "
                "least by the OME-XML of its set. Restore it from its source."
            )
        return Pages(np.array(choice.directories, np.int64), len(tif.pages), by_directory=True)
    image = OmeImage.of(tif.ome_metadata) if tif.is_ome else None
    if image is not None and image.other_files:  # of a set, and opened by itself
        return Pages(np.arange(len(tif.pages)), len(tif.pages), by_directory=True)
    series = tif.series[0]
    if len(tif.series) > 1:
        shown = shortlist([f"{s.axes} {s.shape}" for s in tif.series])
        raise StackError(
            f"{path!r} holds {len(tif.series)} series of images ({shown}), expected one. Save the "
            "one that you mean as a file of its own, for example with "
            f"tifffile.imwrite('new.tif', tifffile.imread({path!r}, series=0))."
        )
    lengths = zip(series.axes, series.shape, strict=True)
    sizes = {axis: n for axis, n in lengths if axis not in "YX" and n > 1}
    total = math.prod(sizes.values())
    declared = _declared(tif)
    found = len(tif.pages)
    if total > max(found, tif.filehandle.size):  # before anything of that size is made
        raise StackError(_other_count(path, total, found))
    if choice.is_part and found > 1 and declared not in (None, found):
        return Pages(np.arange(found), found, declared, by_directory=True)
    _check_count(tif, path, total, declared)
    channels = () if image is None else image.channels
    labels = channels if len(channels) == sizes.get("C") else ()
    taken = _slice_places(sizes, path, choice, labels)
    return Pages(taken, total, declared)


def _slice_places(
    sizes: Mapping[str, int], path: str, choice: PageChoice, labels: Sequence[str]
) -> npt.NDArray[np.int64]:
    """Numbers of the pages along z, at one place along every other axis."""
    names = _axis_names(sizes, path, choice.axes)
    of_pages = np.arange(math.prod(sizes.values())).reshape(tuple(sizes.values()))
    others = {name: n for name, n in zip(names, sizes.values(), strict=True) if name != "z"}
    _refuse_unchosen(others, "z" in names, path, choice, labels)
    taken = places(dict(choice.at), others, path, StackError, {"c": labels} if labels else None)
    return of_pages[tuple(taken.get(name, slice(None)) for name in names)].reshape(-1)


def _axis_names(sizes: Mapping[str, int], path: str, axes: str | None) -> list[str]:
    """Names of the axes of pages: z, c, t, or what else a series has."""
    if axes is not None and len(axes) != len(sizes):
        found = ", ".join(f"{n} along {axis.lower()!r}" for axis, n in sizes.items()) or "one page"
        raise StackError(
            f"axes={axes!r} names {len(axes)} axes, and the pages of {path!r} have {len(sizes)} "
            f"({found}). Pass one letter for each of them, slowest first."
        )
    if axes is not None:
        return list(axes)
    unnamed = [axis for axis in sizes if axis in _SLICES]
    is_slices = "Z" if "Z" in unnamed else unnamed[0] if unnamed else None
    return ["z" if axis == is_slices else axis.lower() for axis in sizes]


def _refuse_unchosen(
    others: Mapping[str, int], has_slices: bool, path: str, choice: PageChoice,
    labels: Sequence[str],
) -> None:  # fmt: skip
    """Refuse pages of times or channels alone, which may be mislabelled slices."""
    if has_slices or choice.at or choice.axes or len(others) != 1:
        return
    ((name, n),) = others.items()
    named = f" ({shortlist(labels)})" if labels and name == "c" else ""
    raise StackError(
        f"The metadata of {path!r} declare {n} images along {name!r}{named} and one along z. Take "
        f"one of them, brainxr.open({path!r}, at={{{name!r}: 0}}), or, if they are slices, say so: "
        f"brainxr.open({path!r}, axes='z')."
    )


# --- what is declared, and what is there --------------------------------------------


def _declared(tif: Any) -> int | None:
    """How many images the file's text declares; None where it declares no number, or one."""
    if tif.is_imagej:
        counts = tif.imagej_metadata or {}
        axes = [_count(counts.get(name)) for name in ("channels", "slices", "frames")]
        images = max(_count(counts.get("images")), math.prod(axes))
    elif tif.is_shaped:
        page, shape = tif.pages.first, _described_shape(tif.pages.first.description)
        pixels = page.imagelength * page.imagewidth * page.samplesperpixel
        images = math.prod(map(_count, shape)) // max(1, pixels)
    else:
        return None
    return images if images > 1 else None


def _described_shape(text: str) -> Sequence[Any]:
    """Shape by tifffile's own text, ``{"shape": [5, 7, 11]}``."""
    try:
        shape = json.loads(text)["shape"]
    except (ValueError, KeyError, TypeError):
        return ()
    return shape if isinstance(shape, list) else ()


def _count(number: Any) -> int:
    return number if isinstance(number, int) and number > 0 else 1


def _check_count(tif: Any, path: str, total: int, declared: int | None) -> None:
    """Refuse a file of several pages that are more or fewer than its metadata declare."""
    series = tif.series[0]
    if series.kind == "ome":
        _check_ome(tif, path, total)
        return
    found = len(tif.pages)
    contiguous = found == 1 and total > 1
    if contiguous and series.dataoffset is None:
        raise StackError(_other_count(path, total, found))
    if declared is not None and found > 1 and declared != found:
        raise StackError(_other_count(path, declared, found))


def _check_ome(tif: Any, path: str, total: int) -> None:
    pages = tif.series[0].pages
    absent = sum(page is None for page in pages)
    if absent:
        raise StackError(
            f"{path!r} lacks {absent} of the {len(pages)} slices that its OME-XML lists. Restore "
            "it from its source, or save the slices that there are as a file of their own."
        )
    if len(tif.pages) != total:
        raise StackError(_other_count(path, total, len(tif.pages)))


def _other_count(path: str, declared: int, found: int) -> str:
    plural = "s" if found > 1 else ""
    return (
        f"The metadata of {path!r} declare {declared} images, and the file has {found} page"
        f"{plural}. If the others are in more files, open all of them as a list; else restore it "
        "from its source, or write what there is to a new file: tifffile.imwrite('new.tif', "
        f"[page.asarray() for page in tifffile.TiffFile({path!r}).pages], "
        "photometric='minisblack')."
    )


def check_alone(path: str, pages: int, declared: int | None) -> None:
    """Refuse a file of one page whose text declares more, where it is a stack by itself.

    A program that splits a stack copies the text to every slice, so one file of many may
    declare the number of all of them.

    Raises
    ------
    StackError
    """
    if pages == 1 and declared is not None:
        raise StackError(_other_count(path, declared, 1))


def pages_of(tif: Any, pages: Pages) -> list[Any]:
    """Give the pages of the slices, as far as each has a directory of its own."""
    if pages.by_directory:
        return [tif.pages[int(i)] for i in pages.places]
    series = list(itertools.islice(iter(tif.series[0].pages), pages.total))
    return [series[i] for i in pages.places] if len(series) == pages.total else [tif.pages.first]
