"""Zarr stores: groups and arrays, on this machine or at a URL. The only user of zarr.

A URL is whatever fsspec opens: ``https://``, ``s3://``, ``memory://``. Metadata are read
by zarr-python; so are the values of arrays that `ChunkReader` doesn't know or that are
not on this machine.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from brainxr.errors import EmptyStackError, MissingExtraError, StoreError, StoreReadError
from brainxr.files.rows import Rows
from brainxr.files.urls import is_url, shown, without_secrets
from brainxr.stacks.slices import PathLike

if TYPE_CHECKING:
    import zarr

# What a folder has in it that is a Zarr group or array.
_MARKS = ("zarr.json", ".zgroup", ".zarray", ".zattrs", ".zmetadata")


def is_store(path: object) -> bool:
    """Whether it is a Zarr store, by its name or by what lies in it; costs a few looks.

    >>> is_store("brain.ome.zarr"), is_store("folder_of_slices")
    (True, False)
    """
    if not isinstance(path, str | os.PathLike):
        return False
    name = os.path.expanduser(os.fspath(path))
    if is_url(name) or name.rstrip("/\\").lower().endswith(".zarr"):
        return True
    return os.path.isdir(name) and any(os.path.exists(os.path.join(name, m)) for m in _MARKS)


@dataclass(frozen=True)
class Location:
    """Where a store is.

    Attributes
    ----------
    path : str
        Absolute path, or URL as it may be shown.
    options : dict
        Of fsspec, for a URL: ``{"anon": True}``.
    url : str
        With user and password, where it has them.
    """

    path: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    url: str = field(default="", repr=False)

    @classmethod
    def of(cls, path: PathLike, options: Mapping[str, Any] | None = None) -> Location:
        name = os.fspath(path)
        whole = name if is_url(name) else os.path.abspath(os.path.expanduser(name))
        whole = whole.rstrip("/\\")
        return cls(shown(whole) if is_url(whole) else whole, dict(options or {}), whole)

    @property
    def is_local(self) -> bool:
        return not is_url(self.path)

    def inside(self, path: str) -> Location:
        """A place within it.

        Raises
        ------
        StoreError
            When the path leads out of it.
        """
        inner = path.strip("/")
        if ".." in inner.replace("\\", "/").split("/"):
            raise StoreError(
                f"The metadata of {self.path!r} name {path!r}, which is not in it: the store is "
                "damaged, or made to do harm. Get it from a source that you trust."
            )
        return Location(f"{self.path}/{inner}", self.options, f"{self.url or self.path}/{inner}")

    def open(self) -> zarr.Group | zarr.Array[Any]:
        """The group or array that is there.

        Raises
        ------
        EmptyStackError
            When there is nothing.
        StoreError
            When its metadata are damaged, or it can't be reached.
        MissingExtraError
            When fsspec's part for such a URL is not installed.
        """
        import zarr  # as slow to import as the rest of brainxr

        if self.is_local and not os.path.isdir(self.path):
            raise EmptyStackError(f"There is no store {self.path!r}. Give the path of one.")
        try:
            opened: zarr.Group | zarr.Array[Any] = zarr.open(self._store(), mode="r")
            return opened
        except StoreError:
            raise
        except Exception as error:
            raise self._as_ours(error) from self.cause(error)

    def _as_ours(self, error: Exception) -> Exception:
        """What somebody else's error is of ours."""
        if isinstance(error, ImportError):
            return MissingExtraError(
                f"{self.path!r} can't be opened: {self.told(error)}. Install what "
                "fsspec needs for it."
            )
        if isinstance(error, FileNotFoundError):
            return EmptyStackError(
                f"There is no Zarr group or array at {self.path!r}: none of "
                f"{', '.join(_MARKS[:3])} is there. Check the path, or restore the file."
            )
        if isinstance(error, OSError):
            return StoreReadError(f"{self.path!r} can't be read: {self.told(error)}. Restore it.")
        if isinstance(error, AttributeError | KeyError | TypeError | ValueError):
            # no JSON, or not that of Zarr
            return StoreError(
                f"The metadata of {self.path!r} are damaged or not of Zarr 2 or 3 "
                f"({type(error).__name__}: {self.told(error)}). Restore them, or make the store "
                "again."
            )
        return StoreReadError(  # each file system has its own
            f"{self.path!r} can't be read: {type(error).__name__}: {self.told(error)}. Check the "
            "URL, the rights to read there, the connection and storage_options."
        )

    def told(self, error: Exception) -> str:
        """What somebody else's message says, without what was only said to us."""
        return without_secrets(str(error), self.options)

    def cause(self, error: Exception) -> Exception | None:
        """The error to name as the cause of ours: none at a URL, as it may quote secrets."""
        return error if self.is_local else None

    def _store(self) -> Any:
        from zarr.storage import FsspecStore, LocalStore

        if self.is_local:
            return LocalStore(self.path, read_only=True)
        options = dict(self.options)
        try:
            return FsspecStore.from_url(
                self.url or self.path, storage_options=options, read_only=True
            )
        except ValueError as error:
            raise StoreError(
                f"{self.path!r} is no URL that fsspec opens: {self.told(error)}. Check it."
            ) from None


@dataclass
class ZarrReader:
    """Reads parts of an array by zarr-python; safe in several threads at a time.

    Attributes
    ----------
    location : Location
        Of the array.
    """

    location: Location

    @cached_property
    def array(self) -> zarr.Array[Any]:
        opened: zarr.Array[Any] = self.location.open()  # type: ignore[assignment]
        return opened

    def read(self, needed: Sequence[Rows], out: npt.NDArray[Any]) -> None:
        """Read these places along each axis, increasing and without repeats."""
        if all(isinstance(rows, range) for rows in needed):
            key: Any = tuple(slice(r.start, r.stop, r.step) for r in needed)  # type: ignore[union-attr]
            out[...] = self.array[key]
        else:
            out[...] = self.array.oindex[tuple(np.asarray(rows) for rows in needed)]

    def has_file(self, key: str) -> bool:
        """Whether a file of the array is there."""
        from zarr.core.sync import sync

        path = f"{self.array.path}/{key}".lstrip("/")
        return bool(sync(self.array.store.exists(path)))
