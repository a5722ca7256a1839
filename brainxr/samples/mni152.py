"""The MNI152 brain template that nilearn brings, as slices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brainxr.errors import MissingExtraError
from brainxr.nifti.header import load_nibabel

MNI152_FILE = ("datasets", "data", "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz")


def read_mni152() -> tuple[npt.NDArray[Any], dict[str, float]]:
    """Voxels (z, y, x) from superior, anterior and left, and their spacing in µm.

    Raises
    ------
    MissingExtraError
        When nilearn or nibabel is not installed.
    """
    return _as_axial_stack(_nibabel().load(_find_mni152()))


def _as_axial_stack(image: Any) -> tuple[npt.NDArray[Any], dict[str, float]]:
    """Voxels of a NIfTI image by its affine: (z, y, x) from superior, anterior and left."""
    canonical = _nibabel().as_closest_canonical(image)  # axes x, y, z to right, anterior, superior
    x, y, z = (1000.0 * float(size) for size in canonical.header.get_zooms()[:3])
    stack = np.asanyarray(canonical.dataobj).transpose(2, 1, 0)[::-1, ::-1, :]
    return stack, {"z": z, "y": y, "x": x}


def _nibabel() -> Any:
    try:
        return load_nibabel()
    except MissingExtraError as error:
        raise MissingExtraError(_NO_SAMPLES.format("nibabel")) from error


def _find_mni152() -> Path:
    """The template's file in nilearn's folder; nilearn itself is not imported."""
    from importlib.util import find_spec

    spec = find_spec("nilearn")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(_NO_SAMPLES.format("nilearn"))
    path = Path(spec.submodule_search_locations[0], *MNI152_FILE)
    if not path.is_file():
        raise MissingExtraError(
            f"nilearn is here, and {str(path)!r} is not: expected in each nilearn from 0.8.1 on. "
            'Install it anew: pip install --force-reinstall "nilearn>=0.11".'
        )
    return path


_NO_SAMPLES = (
    "The sample 'mni152' needs {}, which is not installed. Install what samples need: "
    'pip install "brainxr[samples]".'
)
