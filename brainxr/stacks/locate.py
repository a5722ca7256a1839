"""Where the slices of a stack are: on this disk, in a zip, or at URLs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from brainxr.errors import StackError, shortlist
from brainxr.files.urls import is_url
from brainxr.stacks.farslices import find_far
from brainxr.stacks.positions import BY_NAMES, Naming
from brainxr.stacks.slices import PathLike, SliceFiles, find_slices
from brainxr.stacks.zipped import find_in_zip, split_zip


def find_files(
    path: PathLike | Sequence[PathLike], inside: str | None = None,
    storage_options: Mapping[str, Any] | None = None, naming: Naming = BY_NAMES,
) -> SliceFiles:  # fmt: skip
    """Find the slices of a stack.

    Costs one listing of the folder or zip; no slice is opened.

    Parameters
    ----------
    path : path-like or sequence of these
        What `find_slices` takes; a zip, or what comes behind it as if it were a folder; or
        what `find_far` takes.
    inside : str, optional
        Of a zip: a folder, a pattern of names, or one slice in it.
    storage_options : mapping, optional
        Of URLs: what fsspec is told.
    naming : Naming
        What the caller says about the names.

    Raises
    ------
    EmptyStackError, StackError, SliceReadError
        As `find_slices` and `find_in_zip`.
    """
    if isinstance(path, str) and is_url(path):
        return find_far(path, inside or "", storage_options, naming)
    if not isinstance(path, str | os.PathLike | bytes) and isinstance(path, Sequence):
        far = [item for item in path if is_url(item)]
        if far and inside is None:
            _refuse_near(path, far)
            return find_far(far, "", storage_options, naming)  # type: ignore[arg-type]
    zipped = split_zip(os.fspath(path)) if isinstance(path, str | os.PathLike) else None
    if zipped is not None:
        return find_in_zip(zipped[0], "/".join(filter(None, (zipped[1], inside))), naming=naming)
    if inside is not None:
        raise StackError(
            f"{path!r} is no zip, and only these have something inside={inside!r}. Give the path "
            "itself of the folder or file you mean."
        )
    return find_slices(path, naming)


def _refuse_near(paths: Sequence[PathLike], far: Sequence[PathLike]) -> None:
    if len(far) < len(paths):
        near = [path for path in paths if path not in far]
        raise StackError(
            f"{len(near)} of {len(paths)} items of the list are no URLs: {shortlist(near)}. A "
            "stack is in one place: give files of this machine, or URLs."
        )
