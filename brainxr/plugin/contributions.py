"""What napari's menus, drag and drop and command palette call; named in ``napari.yaml``.

A folder that is dropped becomes the very layer that `brainxr.view` adds, and is taken care
of in the same way. napari and Qt are imported when they are used.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import xarray as xr

from brainxr.api import open as open_volume
from brainxr.errors import EmptyStackError, SliceReadError, StackError
from brainxr.files.urls import is_url
from brainxr.find import find_volume
from brainxr.geometry.grid import DIMS
from brainxr.samples.catalogue import sample
from brainxr.stacks.slices import by_number, is_slice_name
from brainxr.stacks.stack import PLANES
from brainxr.viewing.fromviewer import volume_of
from brainxr.viewing.layers import LayerData, layer_of
from brainxr.viewing.napari_private import is_chosen_reader, qt_window
from brainxr.writing.tiffstack import to_tiff

Paths = str | list[str]
Reader = Callable[[Paths], list[LayerData]]


class SavingError(RuntimeError):
    """A layer can't be saved. No ValueError, of which napari would tell nobody."""


# --- reading ----------------------------------------------------------------------


def get_reader(path: Paths) -> Reader | None:
    """A function that reads a path, or None for what is no stack and no store.

    Costs a listing and a header; what is wrong with a stack is told when it is read.
    """
    return read if _is_ours(path) else None


def _is_ours(path: Paths) -> bool:
    if isinstance(path, str) and is_url(path):
        return path.rstrip("/").lower().endswith(".zarr")  # and no look at it
    if isinstance(path, list) and not all(is_slice_name(os.path.basename(p)) for p in path):
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they come when it is read
            find_volume(path)
    except (EmptyStackError, TypeError):
        return False
    except SliceReadError:
        return True
    except StackError:  # of one picture: colours, channels, times, which others may read
        return not os.path.isfile(path)  # type: ignore[arg-type]
    except Exception:  # whatever it is, the reader tells it
        return True
    return True


def read(path: Paths) -> list[LayerData]:
    """The layer that `brainxr.view` makes of a path; pixels are read as they are shown."""
    from brainxr.viewing.viewer import attend_viewers

    attend_viewers()
    try:
        # a shell lists the files of a pattern by their letters, with 10 before 2
        return [layer_of(open_volume(by_number(path) if isinstance(path, list) else path))]
    except Exception as error:
        _tell(error)
        raise


def _tell(error: Exception) -> None:
    """Show a message that napari would hide: where it chose the reader, it says only that."""
    if is_chosen_reader():
        from napari.utils.notifications import show_error

        show_error(str(error))


def phantom() -> list[LayerData]:
    """The sample "phantom" as a layer; it is made, and kept, when it is first asked for."""
    return read(str(sample("phantom", progress=False)))


def mni152() -> list[LayerData]:
    """The sample "mni152" as a layer."""
    return read(str(sample("mni152", progress=False)))


# --- saving -----------------------------------------------------------------------


def write_image(path: str, data: Any, meta: Mapping[str, Any]) -> list[str]:
    """Save an image layer as a folder of TIFF slices with its spacing and place."""
    return _write(path, data, meta, "image")


def write_labels(path: str, data: Any, meta: Mapping[str, Any]) -> list[str]:
    """Save a labels layer as a folder of TIFF slices with its spacing and place."""
    return _write(path, data, meta, "labels")


def _write(path: str, data: Any, meta: Mapping[str, Any], kind: str) -> list[str]:
    from napari.layers import Layer

    try:
        volume = volume_of(Layer.create(data, dict(meta), kind))
        return [str(_with_bar(volume, path, _along(volume)))]
    except ValueError as error:
        _refuse(error)


def _refuse(error: ValueError) -> NoReturn:
    raise SavingError(str(error)) from error


def _along(volume: xr.DataArray) -> str | None:
    """The axis along which the slices lay that it comes from."""
    axis = PLANES.get(str(volume.attrs.get("plane")), ("z",))[0]
    return axis if set(DIMS) <= set(volume.dims) else None


def _with_bar(volume: xr.DataArray, path: str, along: str | None) -> Any:
    """Write with napari's own bar."""
    from napari.utils import progress

    with progress(total=volume.nbytes, desc="Saving slices") as bar:
        return to_tiff(
            volume, path, along=along, progress=False,
            callback=lambda now: bar.update(now.bytes_done - bar.n),
        )  # fmt: skip


# --- commands ---------------------------------------------------------------------


def open_folder() -> None:
    """Ask for a folder, and open it in the current window."""
    from brainxr.viewing.viewer import current_viewer

    viewer = current_viewer()
    folder = _ask_for_folder(viewer)
    if folder:
        viewer.open(folder, plugin="brainxr")


def _ask_for_folder(viewer: Any) -> str:
    from qtpy.QtWidgets import QFileDialog

    title = "A folder of slices, or a store"
    return str(QFileDialog.getExistingDirectory(qt_window(viewer), title))
