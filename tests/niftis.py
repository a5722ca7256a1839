"""NIfTI files written by nibabel, and where nibabel puts their voxels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from conftest import unique_values

SHAPE = (5, 7, 11)

# Axis-aligned ones of every kind: straight, flipped, permuted, both; decimals that no
# float has.
AFFINES = {
    "RAS": [[0.2, 0, 0, -1.1], [0, 0.3, 0, -7.3], [0, 0, 0.7, 12.9]],
    "LAS": [[-0.2, 0, 0, 90.1], [0, 0.3, 0, -126.0], [0, 0, 0.7, -72.3]],
    "LPI": [[-0.1, 0, 0, 3], [0, -0.1, 0, 4], [0, 0, -0.1, 5]],
    "PSR": [[0, 0, 0.055, -3], [-0.25, 0, 0, 8.05], [0, 0.3, 0, 0]],
    "ASL": [[0, 0, -0.1, 0], [0.3, 0, 0, 0.1], [0, 0.9, 0, 0]],
    "SLP": [[0, -1.1, 0, 0], [0, 0, -1.2, 0], [1.3, 0, 0, 0]],
}


def affine_of(name: str) -> np.ndarray:
    return np.array([*AFFINES[name], [0, 0, 0, 1]], float)


def rotated(degrees: float, affine: np.ndarray) -> np.ndarray:
    """The affine turned about the world's z, then x."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    about_z = np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    about_x = np.array([[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1]])
    return about_x @ about_z @ affine


def make_nifti(
    path: Path, shape: Sequence[int] = SHAPE, dtype: Any = "i2", *, affine: Any = "RAS",
    unit: str | None = "mm", sform: str | int = "scanner", qform: str | int = 0,
    scale: tuple[float, float] | None = None, kind: Any = nibabel.Nifti1Image,
    values: Any = None, **fields: Any,
) -> np.ndarray:  # fmt: skip
    """Write a file; gives its values in the file's order, as they are stored."""
    stored = np.dtype(dtype)
    made = unique_values(shape, stored.newbyteorder("=")) if values is None else values
    matrix = affine_of(affine) if isinstance(affine, str) else np.asarray(affine)
    header = kind.header_class(endianness=">" if stored.str[0] == ">" else "<")
    header.set_data_dtype(stored)
    image = kind(made, None, header)
    image.header.set_sform(matrix, sform)
    image.header.set_qform(matrix, qform)
    if unit is not None:
        image.header.set_xyzt_units(unit)
    for name, value in fields.items():
        image.header[name] = value
    if scale is None:
        nibabel.save(image, path)
    else:
        _write_scaled(image, made.astype(stored), scale, path)
    return made


def _write_scaled(image: Any, stored: np.ndarray, scale: tuple[float, float], path: Path) -> None:
    """By hand, because nibabel chooses the scale by itself."""
    header = image.header
    header.set_data_shape(stored.shape)
    header["scl_slope"], header["scl_inter"] = scale
    with open(path, "wb") as file:
        header.write_to(file)
        file.seek(int(header["vox_offset"]))
        file.write(stored.tobytes("F"))


def canonical(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """By nibabel: values (z, y, x), all rising, and their positions in millimetres."""
    image = nibabel.as_closest_canonical(nibabel.load(path, mmap=False))
    data = np.asanyarray(image.dataobj)
    data = data.reshape((*data.shape, 1, 1)[:3]) if data.ndim < 3 else data
    places = {
        dim: image.affine[i, 3] + image.affine[i, i] * np.arange(data.shape[i])
        for i, dim in enumerate("xyz")
    }
    return data.transpose(2, 1, 0, *range(3, data.ndim)), places
