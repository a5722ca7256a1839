"""Slices at URLs: which there are, and any part of them; a zip at a URL is read as one here.

URL of a folder ── listing ──────────┐
pattern with numbers, list ── URLs ──┴─▶ names ── one_stack ──▶ files
"""

from __future__ import annotations

import fnmatch
import glob
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from brainxr.errors import EmptyStackError, SliceReadError, StackError, shortlist
from brainxr.files.fingerprint import digest_of
from brainxr.files.openfile import FarFile
from brainxr.files.urls import Address, far_file, shown
from brainxr.stacks.calls import Calls
from brainxr.stacks.positions import BY_NAMES, Naming
from brainxr.stacks.slices import (
    SliceFiles,
    is_slice_name,
    listed_stack,
    one_stack,
)
from brainxr.stacks.zipped import SUFFIX, find_in_zip

# A size that nobody told: more than any file has.
_UNKNOWN = 1 << 62

_NUMBERS = re.compile(r"\{(\d+)\.\.(\d+)\}")
_CHAINED_ZIP = re.compile(r"^zip(?:://(?P<inside>[^:]*))?::")


@dataclass(frozen=True, eq=False)
class FarSlices:
    """The slices of a stack at a URL, each of them a file there.

    Attributes
    ----------
    address : Address
        Of the folder that has them in it.
    sizes : tuple of int
        In bytes, where the listing told them.
    tails : tuple of str
        What follows a question mark in the URL of each; empty where there is none.
    """

    address: Address
    sizes: tuple[int, ...]
    tails: tuple[str, ...] = field(default=(), repr=False)

    unpacks = False
    is_far = True

    @property
    def path(self) -> str:
        return self.address.shown

    def open(self, number: int, path: str) -> FarFile:
        """Open a slice; nothing is asked for yet, but its size where that isn't known."""
        return far_file(self._address(number, path), self.sizes[number])

    def _address(self, number: int, path: str) -> Address:
        name = path[len(self.path) + 1 :]
        tail = self.tails[number] if self.tails else ""
        return Address(f"{self.address.url}/{name}{tail}", self.address.options)

    def read_each(
        self, numbers: Sequence[int], path: Callable[[int], str], offset: int, flat: memoryview,
        size: int, opened_at: int,
    ) -> list[int]:  # fmt: skip
        """Read one stretch of each of several slices, all asked for at once."""
        ranges = [
            (self._address(n, path(n)).path(), offset, offset + size) if n >= 0 else None
            for n in numbers
        ]
        return self.address.read_each(ranges, flat, size)

    def fingerprint(self, names: Sequence[str]) -> str:
        return digest_of([self.path, *names])

    def __reduce__(self) -> Any:
        sizes = zlib.compress(np.asarray(self.sizes, np.int64).tobytes(), 1)
        return _restored, (self.address, sizes, self.tails)


def _restored(address: Address, sizes: bytes, tails: tuple[str, ...]) -> FarSlices:
    return FarSlices(
        address, tuple(np.frombuffer(zlib.decompress(sizes), np.int64).tolist()), tails
    )


def may_be_slices(url: str) -> bool:
    """Whether a URL is by its looks that of slices, or of a zip, and of no store.

    >>> may_be_slices("https://host/a_{0..9}.tif"), may_be_slices("s3://bucket/brain.zip/axial")
    (True, True)
    """
    path = shown(url)
    return bool(
        _CHAINED_ZIP.match(url) or _NUMBERS.search(path) or glob.has_magic(path)
        or is_slice_name(path.rpartition("/")[2]) or _split_zip(path)
    )  # fmt: skip


def find_far(
    path: str | Sequence[str], inside: str = "", options: Mapping[str, Any] | None = None,
    naming: Naming = BY_NAMES,
) -> SliceFiles:  # fmt: skip
    """Find the slices of a stack at a URL.

    Costs a listing, or nothing for a list or a pattern with numbers; of a zip, its directory.

    Parameters
    ----------
    path : str or sequence of str
        URL of a folder, a pattern of names, a pattern with numbers
        (``https://host/s_{0000..1279}.tif``), a slice, or a zip; or a list of URLs.
    inside : str
        Of a zip: a folder, a pattern of names, or one slice in it.
    options : mapping, optional
        Of fsspec.
    naming : Naming
        What the caller says about the names.

    Raises
    ------
    EmptyStackError, StackError, SliceReadError
    """
    options = dict(options or {})
    if not isinstance(path, str):
        return _find_listed(list(path), options, naming)
    chained = _CHAINED_ZIP.match(path)
    url = path[chained.end() :] if chained else path
    inside = "/".join(filter(None, (chained["inside"] if chained else "", inside)))
    zipped = (url, "") if chained else _split_zip(url)
    if zipped is not None:
        address = Address(zipped[0], options).pinned()
        within = "/".join(filter(None, (zipped[1], inside)))
        return find_in_zip(address.shown, within, address, naming)
    if inside:
        raise StackError(
            f"{shown(url)!r} is no zip by its name, and only these have something "
            f"inside={inside!r}. Give the URL itself of the folder; where it is a zip by another "
            "name, write zip::URL."
        )
    if _NUMBERS.search(url):
        return _find_listed(_numbered(url), options, naming)
    if is_slice_name(shown(url).rpartition("/")[2]) and not glob.has_magic(shown(url)):
        return _find_listed([url], options, naming)
    return _find_in_listing(url, options, naming)


def _split_zip(url: str) -> tuple[str, str] | None:
    """URL of the zip that a URL has in it, and what comes behind it."""
    path, mark, tail = url.partition("?")
    parts = path.split("/")
    for end, part in enumerate(parts, 1):
        if end > _host(url) and part.lower().endswith(SUFFIX):
            return "/".join(parts[:end]) + mark + tail, "/".join(parts[end:])
    return None


def _host(url: str) -> int:
    """How many parts between slashes come before the first folder."""
    return 2 if url.startswith("memory:") else 3


def _numbered(pattern: str) -> list[str]:
    """``a_{08..11}.tif`` as the URLs that it stands for; with zeros where the first has them."""
    marks = _NUMBERS.findall(pattern)
    if len(marks) > 1:
        raise StackError(
            f"{shown(pattern)!r} has {len(marks)} ranges of numbers, and a stack counts one. Give "
            "a list of URLs."
        )
    first, last = marks[0]
    width = len(first) if first.startswith("0") else 0
    return [_NUMBERS.sub(f"{n:0{width}d}", pattern) for n in range(int(first), int(last) + 1)]


def _find_listed(urls: list[str], options: Mapping[str, Any], naming: Naming) -> SliceFiles:
    """A stack of these; nobody is asked whether they are there, but for the first."""
    if not urls:
        raise EmptyStackError("There are no URLs in the list, or no numbers in the range.")
    strangers = [shown(url) for url in urls if not is_slice_name(shown(url).rpartition("/")[2])]
    if strangers:
        raise StackError(
            f"{shortlist(strangers)}: no TIFF by its name. Give URLs of TIFF slices, or one of a "
            "zip."
        )
    folder, names = _common(urls)
    tails = {name: url.partition("?")[1] + url.partition("?")[2]
             for name, url in zip(names, urls, strict=True)}  # fmt: skip
    found = listed_stack(shown(folder), names, naming)
    kept = tuple(tails[name] for name in found.names) if any(tails.values()) else ()
    slices = FarSlices(Address(folder, options), (_UNKNOWN,) * len(found), kept)
    first = slices._address(0, found.path(0)).size()
    sizes = (_UNKNOWN if first is None else first, *slices.sizes[1:])
    return replace(found, container=replace(slices, sizes=sizes))


def _common(urls: list[str]) -> tuple[str, list[str]]:
    """The folder that all URLs are in, and their names in it."""
    parts = [url.partition("?")[0].split("/") for url in urls]
    shared = 0
    for level in zip(*(part[:-1] for part in parts), strict=False):
        if len(set(level)) > 1:
            break
        shared += 1
    if shared < _host(urls[0]):
        hosts = sorted({"/".join(shown(url).split("/")[:3]) for url in urls})
        raise StackError(
            f"The URLs lead to {len(hosts)} places: {shortlist(hosts)}. A stack is in one: copy "
            "the slices together, or open each and use xarray.concat."
        )
    return "/".join(parts[0][:shared]), ["/".join(part[shared:]) for part in parts]


def _find_in_listing(url: str, options: Mapping[str, Any], naming: Naming) -> SliceFiles:
    path, mark, tail = url.partition("?")
    folder, _, pattern = path.rstrip("/").rpartition("/")
    if not glob.has_magic(shown(pattern)):
        folder, pattern = path.rstrip("/"), ""
    if glob.has_magic(folder.partition("://")[2]):
        raise StackError(
            f"{shown(url)!r} has a pattern in the name of a folder; at a URL only the names of "
            "files may have one."
        )
    sizes = _listed(folder, mark + tail, options)
    names = [n for n in sizes if is_slice_name(n) and fnmatch.fnmatchcase(n, pattern or "*")]
    if not names:
        raise EmptyStackError(_nothing_at(folder, pattern, list(sizes)))
    place = shown(folder)
    calls = Calls(
        place,
        repr(shown(url)),
        lambda names: repr(f"{place}/{names}"),
        lambda name: repr(f"{place}/{name}"),
    )
    found = one_stack(place, names, calls, naming)
    kept = tuple(_UNKNOWN if sizes[n] is None else int(sizes[n] or 0) for n in found.names)
    tails = (mark + tail,) * len(found) if tail else ()
    return replace(found, container=FarSlices(Address(folder, options), kept, tails))


def _listed(folder: str, tail: str, options: Mapping[str, Any]) -> dict[str, int | None]:
    try:
        return Address(folder + tail, options).sizes()
    except (EmptyStackError, SliceReadError) as error:
        raise type(error)(f"{error}{_instead(folder)}") from None


def _nothing_at(folder: str, pattern: str, listed: list[str]) -> str:
    found = f"only {shortlist(sorted(listed))}" if listed else "as far as its server tells"
    what = f" that match {pattern!r}" if pattern else ""
    return f"There are no TIFF slices{what} at {shown(folder)!r}, {found}.{_instead(folder)}"


def _instead(folder: str) -> str:
    """What to give where a folder can't be listed."""
    if not folder.startswith("http"):
        return ""
    return (
        " Most web servers don't list their folders: give a list of URLs, or a pattern with "
        f"numbers such as '{shown(folder)}/slice_{{0000..1279}}.tif'."
    )
