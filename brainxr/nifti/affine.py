"""Where the voxels of a file are by its affine ⇄ positions along z, y and x.

An affine turns the numbers (i, j, k) of a voxel into a place in the world, whose axes
are x to the right, y to the front (anterior) and z to the top (superior). Where each
axis of the file lies along one of the world's, the place along that one is all there is
to know. Where the axes are oblique, places are along the file's own axes, and a rotation
turns them into the world's.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from brainxr.errors import GeometryError
from brainxr.geometry.orientation import LETTERS

# In the order of the world's coordinates.
WORLD = ("x", "y", "z")

# An affine is taken as one without rotation where that moves no voxel by more than this.
# Files keep affines with 7 digits, and programs that turn them there and back leave less.
OBLIQUE_IN_VOXELS = 0.01

# Voxel sizes that agree to this are the same: float32 has 7 digits.
_SAME = 1e-6

Matrix = npt.NDArray[np.float64]

_ALL = np.arange(3)


@dataclass(frozen=True)
class Placement:
    """Where the voxels of a file are.

    Attributes
    ----------
    axes : tuple of str
        Which of z, y and x each of the file's first three axes is, or is nearest to.
    falling : tuple of str
        Axes along which the file runs towards lower positions.
    spacing, origin : mapping of str to float
        In µm, once all axes run upwards.
    rotation : tuple of 9 floats, or None
        Of an oblique file: world = rotation @ (x, y, z), row by row.
    """

    axes: tuple[str, str, str]
    falling: tuple[str, ...]
    spacing: Mapping[str, float]
    origin: Mapping[str, float]
    rotation: tuple[float, ...] | None = None

    @classmethod
    def of(
        cls, affine: Matrix, shape: Sequence[int], unit: float, sizes: Sequence[float] = ()
    ) -> Self:
        """Where an affine puts the voxels.

        Parameters
        ----------
        affine : numpy.ndarray, shape (4, 4)
        shape : sequence of 3 ints
        unit : float
            Micrometres that one of the affine is.
        sizes : sequence of 3 floats, optional
            Of a voxel, as the file says them beside the affine: what a calculation of
            the affine rounded is taken from here.

        Raises
        ------
        GeometryError
            When it is no affine that one can invert.
        """
        lengths, directions = _split(affine)
        order = _nearest(directions)  # the world's axis that each of the file's is nearest to
        signs = np.sign(directions[order, _ALL])
        turned = _is_oblique(affine, order, shape, lengths)
        first, steps = affine[:3, 3], np.abs(affine[order, _ALL])
        rotation = np.empty((3, 3))
        rotation[:, order] = directions * signs
        if turned:
            first, steps = np.asarray(np.linalg.solve(rotation, first), float), lengths
        spacing, origin = {}, {}
        for i, world in enumerate(order):
            step = _exact(_same(steps[i], sizes[i] if sizes else steps[i]))
            lowest = _exact(first[world]) - (shape[i] - 1) * step * int(signs[i] < 0)
            spacing[WORLD[world]] = float(step * _exact(unit))
            origin[WORLD[world]] = float(lowest * _exact(unit))
        return cls(
            tuple(WORLD[world] for world in order),  # type: ignore[arg-type]
            tuple(WORLD[world] for world, sign in zip(order, signs, strict=True) if sign < 0),
            spacing,
            origin,
            tuple(rotation.ravel().tolist()) if turned else None,
        )

    @property
    def letters(self) -> str:
        """Where the file's axes run to: ``"RAS"`` is right, anterior, superior."""
        return "".join(LETTERS[dim][dim not in self.falling] for dim in self.axes)

    @property
    def degrees(self) -> float:
        """How far the file's axes are turned against the world's, at most."""
        if self.rotation is None:
            return 0.0
        cosines = np.diagonal(np.reshape(self.rotation, (3, 3)))
        return float(np.degrees(np.arccos(np.clip(cosines, -1, 1)).max()))


def to_affine(
    origin: Mapping[str, float], spacing: Mapping[str, float], rotation: Any = None
) -> Matrix:
    """The affine of voxels (i, j, k) along x, y and z, in millimetres.

    Parameters
    ----------
    origin, spacing : mapping of str to float
        In µm; the spacing below zero where the coordinate falls.
    rotation : sequence of 9 floats, optional
        As `Placement` has it.
    """
    affine = np.eye(4)
    affine[:3, :3] = np.diag([spacing[dim] / 1000 for dim in WORLD])
    affine[:3, 3] = [origin[dim] / 1000 for dim in WORLD]
    if rotation is not None:
        turn = np.eye(4)
        turn[:3, :3] = np.reshape(np.asarray(rotation, float), (3, 3))
        affine = turn @ affine
    return affine


def apart(one: Matrix, other: Matrix, shape: Sequence[int]) -> float:
    """How far two affines put a voxel apart, at most, in voxels."""
    corners = np.array([(*c, 1) for c in itertools.product(*((0, n - 1) for n in shape))])
    distances = np.linalg.norm(((one - other) @ corners.T)[:3], axis=0)
    return float(distances.max() / np.linalg.norm(one[:3, :3], axis=0).min())


def _split(affine: Matrix) -> tuple[Matrix, Matrix]:
    """Length of a voxel along each of the file's axes, and directions as columns."""
    matrix = affine[:3, :3]
    lengths = np.linalg.norm(matrix, axis=0)
    if np.isfinite(affine).all() and lengths.min() > 0:
        directions = matrix / lengths
        if abs(np.linalg.det(directions)) > 1e-3:
            return lengths, directions
    raise GeometryError(
        f"its affine {affine[:3].tolist()} puts different voxels in one place, or nowhere"
    )


def _nearest(directions: Matrix) -> list[int]:
    """The world's axis that each of the file's axes is nearest to, each taken once."""
    orders = itertools.permutations(range(3))
    return list(max(orders, key=lambda order: np.abs(directions[np.asarray(order), _ALL]).sum()))


def _is_oblique(affine: Matrix, order: list[int], shape: Sequence[int], lengths: Matrix) -> bool:
    aside = np.abs(affine[:3, :3])
    aside[order, _ALL] = 0
    moved = aside @ (np.asarray(shape) - 1)
    return bool(moved.max() > OBLIQUE_IN_VOXELS * lengths.min())


def _same(value: float, other: float) -> float:
    return other if abs(value - other) <= _SAME * abs(value) else value


def _exact(value: float) -> Decimal:
    """The decimal that is written: 0.1 mm are 100 µm, and not 100.00000000000001."""
    return Decimal(repr(float(value)))
