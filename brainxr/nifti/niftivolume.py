"""From a NIfTI or MGH file to a lazy, labelled volume in the world's coordinates.

path ── nifti.read_nifti_header ──▶ NiftiHeader
affine, sizes, unit ── affine.Placement ──▶ spacing and origin ──▶ VoxelGrid ──▶ coordinates
NiftiHeader ──▶ NiftiSource ──▶ StackArray + coordinates ──▶ Volume
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from brainxr.errors import (
    GeometryError,
    OrientationWarning,
    SlowReadWarning,
    SpacingWarning,
    VolumeError,
    warn,
)
from brainxr.files.unpacked import has_index
from brainxr.geometry import units as u
from brainxr.geometry.extra_dims import At, places
from brainxr.geometry.grid import DIMS, SpacingLike, VoxelGrid, per_axis
from brainxr.geometry.orientation import GROWS, ROTATION
from brainxr.labelling import KIND, LABELS
from brainxr.lazy.lazyarray import StackArray
from brainxr.lazy.volume import NAME, Volume
from brainxr.nifti.affine import Placement, apart
from brainxr.nifti.header import NiftiHeader, read_nifti_header
from brainxr.nifti.niftisource import NiftiSource
from brainxr.stacks.slices import PathLike

# The first is the fastest in the file; those after the third are NIfTI's own names.
OTHERS = ("t", "u", "v", "w")

# Unpacked bytes from which on it is worth saying that each read unpacks the file anew.
SLOW_BYTES = 64 << 20

# How far apart, in voxels, the two affines of a header may put a voxel.
APART_IN_VOXELS = 0.1

MILLIMETER = 1000.0


def find_nifti(
    path: PathLike, *, spacing: SpacingLike | None = None, origin: SpacingLike | None = None,
    at: At | None = None,
) -> Volume:  # fmt: skip
    """Find the volume of a NIfTI or MGH file; the parameters are those of `brainxr.open`.

    Costs a header.

    Raises
    ------
    EmptyStackError
        When there is no such file.
    VolumeError, VolumeReadError
        When it is damaged, truncated, or has no numbers; or there are several volumes in it.
    GeometryError
        When its affine makes no sense.
    """
    header = read_nifti_header(path)
    said = per_axis(spacing, "spacing", positive=True)
    placed = _placed(header, said)
    grid = _grid(header, placed, said, per_axis(origin, "origin"))
    source = _source(header, placed)
    sizes = dict(zip(OTHERS, header.shape[3:], strict=False))
    taken = places(at or {}, sizes, header.path, VolumeError)
    choices = tuple(
        taken.get(dim, range(n)) for dim, n in zip(source.axes, source.shape, strict=True)
    )
    order = tuple(source.axes.index(dim) for dim in DIMS)
    chosen = {dim: xr.Variable((), place) for dim, place in taken.items() if sizes[dim] > 1}
    coordinates = grid.coordinates(**chosen)
    if header.affine is not None and placed.rotation is None:
        for dim in DIMS:
            coordinates[dim].attrs["orientation"] = GROWS[dim]
    _warn_of_slow(header)
    array = StackArray(source, choices, order)
    return Volume(array, coordinates, _attributes(header, placed, said), NAME)


def _placed(header: NiftiHeader, said: Mapping[str, float]) -> Placement:
    """Where the voxels are, in millimetres where the header doesn't say in what."""
    shape = _spatial(header)
    sizes = (*header.sizes, 1.0, 1.0)[:3]
    if header.affine is None:
        _warn_of_no_orientation(header)
        affine = np.diag([*sizes, 1.0])
    else:
        affine = header.affine
    try:
        placed = Placement.of(affine, shape, header.unit or MILLIMETER, sizes)
    except GeometryError as error:
        raise GeometryError(
            f"{header.path!r} has no place in the world: {error}. Mend its header."
        ) from error
    _warn_of_no_unit(header, placed, said)
    _warn_of_second(header, shape)
    _warn_of_oblique(header, placed)
    return placed


def _spatial(header: NiftiHeader) -> tuple[int, ...]:
    return (*header.shape, 1, 1, 1)[:3]


def _grid(
    header: NiftiHeader, placed: Placement, said: Mapping[str, float],
    first: Mapping[str, float],
) -> VoxelGrid:  # fmt: skip
    """The grid; a spacing that is said anew moves the origin with it, as the world grows."""
    known = header.unit is not None
    conflicts = [
        f"{dim}: {u.show_micrometers(said[dim])} given, {u.show_micrometers(step)} there"
        for dim, step in placed.spacing.items()
        if known and dim in said and not math.isclose(said[dim], step, rel_tol=1e-3)
    ]
    if conflicts:
        warn(
            f"The spacing that was given differs from the {header.kind} header "
            f"({'; '.join(conflicts)}). What was given is used.",
            SpacingWarning,
        )
    shape = dict(zip(placed.axes, _spatial(header), strict=True))
    spacing = {dim: said.get(dim, placed.spacing[dim]) for dim in DIMS}
    scale = {dim: spacing[dim] / placed.spacing[dim] for dim in DIMS}
    origin = {dim: first.get(dim, placed.origin[dim] * scale[dim]) for dim in DIMS}
    return VoxelGrid({dim: shape[dim] for dim in DIMS}, spacing, origin)


def _source(header: NiftiHeader, placed: Placement) -> NiftiSource:
    names = (*placed.axes, *OTHERS)[: max(3, len(header.shape))]
    shape = (*_spatial(header), *header.shape[3:])
    native = header.stored.newbyteorder("=")
    return NiftiSource(
        header.path, names[::-1], shape[::-1], header.stored,
        header.scaled if header.is_scaled else native, header.offset, header.slope,
        header.inter, placed.falling, header.is_gzipped,
    )  # fmt: skip


def _attributes(
    header: NiftiHeader, placed: Placement, said: Mapping[str, float]
) -> dict[str, Any]:
    unit = "" if header.unit is not None else ", unit not said: mm"
    rule = f"{header.kind} {header.told_by}{unit}"
    told = [dim for dim in DIMS if dim in said]
    if told:
        rule = f"{', '.join(told)}: argument" + (f"; else {rule}" if len(told) < 3 else "")
    attrs: dict[str, Any] = {"source": header.path, "spacing_source": rule, "space": header.space}
    if header.affine is not None:
        attrs["stored_orientation"] = placed.letters
    if placed.rotation is not None:
        attrs[ROTATION] = list(placed.rotation)
    if header.is_labels:
        attrs[KIND] = LABELS
    if header.is_scaled:
        attrs["stored_dtype"] = header.stored.newbyteorder("=").name
        attrs |= {"scl_slope": header.slope, "scl_inter": header.inter}
    return attrs


# --- what is worth a warning ---


def _warn_of_no_unit(header: NiftiHeader, placed: Placement, said: Mapping[str, float]) -> None:
    if header.unit is None and set(said) != set(DIMS):
        lengths = {dim: u.show_micrometers(placed.spacing[dim]) for dim in DIMS}
        warn(
            f"{header.path!r} doesn't say in which unit its voxel sizes are (xyzt_units is 0). "
            f"Millimetres are assumed, as most programs do; say it by spacing={lengths}, or "
            "whatever they are.",
            SpacingWarning,
        )


def _warn_of_no_orientation(header: NiftiHeader) -> None:
    warn(
        f"{header.path!r} doesn't say where its axes point (sform_code and qform_code are 0, or "
        "goodRASFlag is). They are taken as x, y and z as they are stored, the first voxel at 0; "
        "left and right are not known. If you know better, write it into the header, for example "
        "by nibabel's set_sform(affine, code='scanner').",
        OrientationWarning,
    )


def _warn_of_oblique(header: NiftiHeader, placed: Placement) -> None:
    if placed.rotation is not None:
        warn(
            f"The axes of {header.path!r} are oblique: turned by {placed.degrees:.3g}° against the "
            "world's. Nothing is resampled: z, y and x are positions along the file's own axes, "
            "each named after the nearest of the world's, and no places in the world. "
            "attrs['rotation'] turns them into those; resample the file for volumes that lie "
            "straight, for example by nilearn.image.resample_img.",
            OrientationWarning,
        )


def _warn_of_second(header: NiftiHeader, shape: tuple[int, ...]) -> None:
    if header.affine is None or header.other is None:
        return
    distance = apart(header.affine, header.other, shape)
    if distance > APART_IN_VOXELS:
        warn(
            f"The header of {header.path!r} has two affines for the space {header.space!r}, which "
            f"put a voxel up to {distance:.3g} voxels apart. The {header.told_by} is used, as most "
            "programs do; make them alike, for example by nibabel's set_qform(img.affine).",
            SpacingWarning,
        )


def _warn_of_slow(header: NiftiHeader) -> None:
    size = int(np.prod(header.shape)) * header.stored.itemsize
    if header.is_gzipped and size > SLOW_BYTES and not has_index():
        warn(
            f"{header.path!r} is packed by gzip, and each read unpacks all that is before it, of "
            f"{size / 1e6:.0f} MB. Once indexed_gzip is installed, that is done once: "
            'pip install "brainxr[nifti]".',
            SlowReadWarning,
        )
