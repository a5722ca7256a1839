"""What is at a URL, through fsspec: its only user.

    URL ── Address ──▶ file system, path ── ranges, many at a time ──▶ bytes

A URL and its options may hold keys and passwords. They travel to workers, who need them,
and are shown to nobody: neither in messages nor in attributes nor in a repr.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from brainxr.errors import EmptyStackError, MissingExtraError, SliceReadError
from brainxr.files.openfile import FarFile, unreadable

# A stretch of a file at a URL: its path, the first byte, and the one after the last.
Range: TypeAlias = tuple[str, int, int]

# What lies between two stretches of a file is fetched with them up to this size: at 100 MB/s
# it takes a millisecond, and another request many.
GAP_BYTES = 1 << 16

# So many bytes are asked for at once, at most; they are in memory until they are copied.
GROUP_BYTES = 64 << 20

_USER = re.compile(r"(?<=://)[^/@]*@")


def is_url(path: object) -> bool:
    """Whether it is a URL, and no path on this machine.

    >>> is_url("s3://bucket/brain.ome.zarr"), is_url("C:/brain.ome.zarr")
    (True, False)
    """
    return isinstance(path, str) and "://" in path


def shown(url: str) -> str:
    """A URL as it may be shown: without user, password and what follows a question mark.

    >>> shown("https://me:word@host/a_1.tif?signature=abc")
    'https://host/a_1.tif'
    """
    return _USER.sub("", url).partition("?")[0]


def file_system(url: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    """fsspec's file system at a URL, and the path in it."""
    from fsspec.core import url_to_fs

    found: tuple[Any, str] = url_to_fs(url, **options)
    return found


def without_secrets(text: str, options: Mapping[str, Any]) -> str:
    """What somebody else's message says, without what was only said to us.

    >>> without_secrets("https://me:word@host/a?sig=x: wrong key abcdef", {"key": "abcdef"})
    'https://host/a wrong key ***'
    """
    text = re.sub(r"\?[^\s'\")]*", "", _USER.sub("", text))
    for secret in sorted(_texts(options), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


@dataclass(frozen=True, repr=False)
class Address:
    """A URL, and how it is reached.

    Attributes
    ----------
    url : str
    options : mapping
        Of fsspec.
    known_size : int, optional
        Bytes of a file, where they were asked for.
    version : str
        What its server calls the version that was found (its ETag); only that one is read.
    """

    url: str
    options: Mapping[str, Any] = field(default_factory=dict)
    known_size: int | None = None
    version: str = ""

    def __repr__(self) -> str:
        return f"<{shown(self.url)}>"

    @property
    def shown(self) -> str:
        return shown(self.url)

    def path(self) -> str:
        """The path in its file system."""
        with self.reaching() as (_, path):
            return path

    def sizes(self) -> dict[str, int | None]:
        """Files of a folder, by name, and their sizes where the listing tells them."""
        with self.reaching() as (files, root):
            files.invalidate_cache()
            listed = files.ls(root, detail=True)
        return {
            item["name"].partition("?")[0].rstrip("/").rpartition("/")[2]: item.get("size")
            for item in listed
            if item.get("type") != "directory"
        }

    def size(self) -> int | None:
        """Bytes of a file, where they can be told."""
        return self.known_size if self.known_size is not None else self.pinned().known_size

    def pinned(self) -> Address:
        """The same file in the version that is there now, as far as its server tells versions.

        Costs one request. From then on each request says which version it is for, and is
        refused for another.
        """
        with self.reaching() as (files, path):
            files.invalidate_cache()
            info = files.info(path)
        size, etag = info.get("size"), str(info.get("ETag") or "")
        return replace(
            self,
            known_size=None if size is None else int(size),
            version="" if etag.startswith("W/") else etag,  # not of these bytes, but of their like
        )

    def _all_options(self) -> dict[str, Any]:
        """The options, and in the words of each file system that only one version is meant."""
        options, kind = dict(self.options), self.url.partition("://")[0]
        if self.version and kind in ("http", "https"):
            options["headers"] = {**options.get("headers", {}), "If-Match": self.version}
        if self.version and kind in ("s3", "s3a"):
            said = options.get("s3_additional_kwargs", {})
            options["s3_additional_kwargs"] = {**said, "IfMatch": self.version}
        return options

    def read(self, ranges: Sequence[Range]) -> list[bytes]:
        """Bytes of files of the same file system, many at a time; those that are near as one.

        Less than was asked for where a file ends.
        """
        merged, of = merge(ranges)
        data: list[bytes] = []
        for group in _groups(merged):
            data += self._read(group)
        return [
            data[number][start - merged[number][1] : stop - merged[number][1]]
            for (_, start, stop), number in zip(ranges, of, strict=True)
        ]

    def read_each(self, ranges: Sequence[Range | None], flat: memoryview, size: int) -> list[int]:
        """Read stretches of one size, one after another into a buffer.

        Returns
        -------
        list of int
            Which of them are None, or didn't come whole.
        """
        known = [(i, item) for i, item in enumerate(ranges) if item is not None]
        left = {i for i, item in enumerate(ranges) if item is None}
        for (i, _), data in zip(known, self.read([item for _, item in known]), strict=True):
            if len(data) == size:
                flat[i * size : i * size + size] = data
            else:
                left.add(i)
        return sorted(left)

    def _read(self, ranges: Sequence[Range]) -> list[bytes]:
        paths, starts, stops = (list(column) for column in zip(*ranges, strict=True))
        with self.reaching() as (files, _):
            found = files.cat_ranges(paths, starts, stops, on_error="return")
        found = [b"" if _is_beyond(data) else data for data in found]
        for (path, start, stop), data in zip(ranges, found, strict=True):
            if isinstance(data, BaseException):
                with self.reaching(path):
                    raise data
            if len(data) > stop - start:
                raise SliceReadError(
                    f"{self._name(path)!r} came with {len(data)} bytes where {stop - start} from "
                    f"byte {start} on were asked for: its server doesn't give parts of files. "
                    "Download it, and open it from the disk."
                )
        return [bytes(data) for data in found]

    def _name(self, path: str) -> str:
        """A path of the file system as a URL that may be shown."""
        protocol = self.url.partition("://")[0]
        return shown(path if is_url(path) else f"{protocol}://{path.lstrip('/')}")

    def _told(self, error: Exception) -> str:
        return without_secrets(str(error), self.options)

    @contextmanager
    def reaching(self, path: str | None = None) -> Iterator[tuple[Any, str]]:
        """The file system, and the path in it; what fails says where, and no secret."""
        where = self.shown if path is None else self._name(path)
        try:
            yield file_system(self.url, self._all_options())
        except (EmptyStackError, SliceReadError):
            raise
        except ImportError as error:
            raise MissingExtraError(
                f"{where!r} can't be read: {self._told(error)}. Install what fsspec needs for it, "
                "for example with pip install 'brainxr[remote]'."
            ) from None
        except FileNotFoundError:
            if path is not None:
                raise SliceReadError(unreadable(where, FileNotFoundError())) from None
            raise EmptyStackError(
                f"There is nothing at {where!r}. Check the URL, and what storage_options say."
            ) from None
        except Exception as error:  # each file system has its own, and they quote URLs
            if self.version and _is_of_another_version(error):
                raise SliceReadError(
                    f"{where!r} was changed after it was opened, so nothing that is known of it is "
                    "certain any more. Open it again."
                ) from None
            raise SliceReadError(
                f"{where!r} can't be read: {type(error).__name__}: {self._told(error)}. Check the "
                "URL, the rights to read there, the connection and storage_options."
            ) from None


def far_file(address: Address, size: int | None = None) -> FarFile:
    """A file at a URL, for reading parts of it; its size is asked for where it isn't given.

    Raises
    ------
    EmptyStackError, SliceReadError
        When it isn't there, can't be reached, or nobody tells its size.
    """
    size = address.size() if size is None else size
    if size is None:
        raise SliceReadError(
            f"The server of {address.shown!r} doesn't tell its size, which is needed to read parts "
            "of it. Download it, and open it from the disk."
        )
    path = address.path()

    def fetch(stretches: Sequence[tuple[int, int]]) -> list[bytes]:
        # not beyond its end, so that a whole file is told from a part of it by its length
        return address.read(
            [(path, min(start, size), min(stop, size)) for start, stop in stretches]
        )

    return FarFile(address.shown, size, fetch)


def merge(ranges: Sequence[Range]) -> tuple[list[Range], list[int]]:
    """Stretches that are near each other in one file as one, and which one each is in."""
    order = sorted(range(len(ranges)), key=lambda i: ranges[i])
    merged: list[Range] = []
    of = [0] * len(ranges)
    for i in order:
        path, start, stop = ranges[i]
        if merged and merged[-1][0] == path and start - merged[-1][2] <= GAP_BYTES:
            merged[-1] = (path, merged[-1][1], max(stop, merged[-1][2]))
        else:
            merged.append((path, start, stop))
        of[i] = len(merged) - 1
    return merged, of


def _is_beyond(data: object) -> bool:
    """Whether a server said that a file ends before the first byte that was asked for."""
    if not isinstance(data, Exception):
        return False
    return getattr(data, "status", None) == 416 or "not satisfiable" in str(data).lower()


def _is_of_another_version(error: Exception) -> bool:
    """Whether a server said that it has no longer the version that was asked for."""
    is_of_s3 = isinstance(error, OSError) and error.errno == errno.EINVAL
    return getattr(error, "status", None) == 412 or (is_of_s3 and "condition" in str(error))


def _groups(ranges: Sequence[Range]) -> Iterator[list[Range]]:
    group: list[Range] = []
    size = 0
    for item in ranges:
        if group and size + item[2] - item[1] > GROUP_BYTES:
            yield group
            group, size = [], 0
        group.append(item)
        size += item[2] - item[1]
    if group:
        yield group


def _texts(options: Any) -> Iterator[str]:
    """All texts among options but the shortest, which are words of every message."""
    if isinstance(options, Mapping):
        for value in options.values():
            yield from _texts(value)
    elif isinstance(options, list | tuple):
        for value in options:
            yield from _texts(value)
    elif isinstance(options, str) and len(options) > 3:
        yield options
