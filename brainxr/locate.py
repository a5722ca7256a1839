"""Where the slices of a stack are: on this disk, or in a zip."""

from __future__ import annotations

import os
from collections.abc import Sequence

from brainxr.errors import StackError
from brainxr.slices import PathLike, SliceFiles, find_slices
from brainxr.zipped import find_in_zip, split_zip


def find_files(path: PathLike | Sequence[PathLike], inside: str | None = None) -> SliceFiles:
    """Find the slices of a stack.

    Costs one listing of the folder or zip; no slice is opened.

    Parameters
    ----------
    path : path-like or sequence of these
        What `find_slices` takes; or a zip, or what comes behind it as if it were a folder.
    inside : str, optional
        Of a zip: a folder, a pattern of names, or one slice in it.

    Raises
    ------
    EmptyStackError, StackError, SliceReadError
        As `find_slices` and `find_in_zip`.
    """
    zipped = split_zip(os.fspath(path)) if isinstance(path, str | os.PathLike) else None
    if zipped is not None:
        return find_in_zip(zipped[0], "/".join(filter(None, (zipped[1], inside))))
    if inside is not None:
        raise StackError(
            f"{path!r} is no zip, and only these have something inside={inside!r}. Give the path "
            "itself of the folder or file you mean."
        )
    return find_slices(path)
