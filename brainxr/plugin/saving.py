"""Ways to save a part of a volume, chosen by the ending of a name; stopped, they leave nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from brainxr.accessor import BrainAccessor
from brainxr.errors import StoreExistsError
from brainxr.progress import Callback

# Is given what is done and what there is; raises `Stopped` where it shall end.
Report = Callable[[int, int], None]


class Stopped(Exception):
    """Somebody doesn't want the result any more."""


@dataclass(frozen=True)
class Format:
    """A way to save.

    Attributes
    ----------
    name : str
        For people.
    endings : tuple of str
        Of a path; none for a folder without one.
    method : str
        Of ``.brain``, which says how far it is, and can be stopped then.
    """

    name: str
    endings: tuple[str, ...]
    method: str

    @property
    def is_there(self) -> bool:
        """Whether this version of brainxr can do it."""
        return hasattr(BrainAccessor, self.method)

    @property
    def filter(self) -> str:
        """As dialogs for files take it."""
        return f"{self.name} ({' '.join('*' + end for end in self.endings) or '*'})"


FORMATS = (
    Format("OME-Zarr", (".ome.zarr", ".zarr"), "to_ome_zarr"),
    Format("NIfTI", (".nii.gz", ".nii"), "to_nifti"),
    Format("folder of TIFF slices", (), "to_tiff"),
)


def formats() -> list[Format]:
    """The ways that there are."""
    return [each for each in FORMATS if each.is_there]


def format_of(path: str) -> Format:
    """The way to save by the ending of a path.

    Raises
    ------
    ValueError
        When no way has this ending.
    """
    for each in formats():
        if path.lower().endswith(each.endings or ("",)) and (each.endings or not Path(path).suffix):
            return each
    endings = [end for each in formats() for end in each.endings]
    raise ValueError(
        f"{os.path.basename(path)!r} ends in nothing that can be written. Give a name that ends in "
        f"{' or '.join(endings)}."
    )


def save(data: xr.DataArray, path: str, report: Report) -> Path:
    """Write a part of a volume where its name says, whole or not at all.

    Parameters
    ----------
    data : xarray.DataArray
    path : str
    report : callable
        Is given how much is done and of how much; may raise `Stopped`. What was written
        until then is removed.

    Raises
    ------
    StoreExistsError
        When there is something at the path.
    ValueError
        When the ending is none of those that can be written.
    """
    how, path = format_of(path), os.path.abspath(path)
    if os.path.lexists(path):
        raise StoreExistsError(
            f"{path!r} is there already, and nothing is replaced. Choose another name, or remove "
            "it first."
        )
    partial = Path(path).with_name(f".{Path(path).name}.partial")
    was_begun = partial.exists()  # by somebody else, who may go on with it
    try:
        write = getattr(data.brain, how.method)
        return Path(write(path, progress=False, callback=_told(report)))
    except Stopped:
        if not was_begun:
            shutil.rmtree(partial, ignore_errors=True)
        raise


def _told(report: Report) -> Callback:
    return lambda now: report(now.bytes_done, now.bytes_total)
