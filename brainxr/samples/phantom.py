"""A head phantom: made-up anatomy, drawn slice by slice at any size.

The anatomy is a few tables of ellipsoids in millimetres, folded by waves, worked out
as depths below surfaces on a coarse lattice; a slice interpolates these to its pixels
and draws the tissues' borders there, so they are sharp at every size. Any slice can
be made by itself, in any order, and is always the same.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

F32: TypeAlias = npt.NDArray[np.float32]

FULL_SCALE = {"uint8": 255, "uint16": 4095}

# An ellipsoid: centre and radii along (z, y, x) in mm. z runs down from the top of the
# frame, y back from its front, x to the right from the midline; what has x > 0 is there
# twice, left and right.
Ellipsoid: TypeAlias = tuple[tuple[float, float, float], tuple[float, float, float]]

MIDLINE = 88.0
FRAME = {"z": 128.0, "y": 176.0}
SIGNAL_ENDS, SIGNAL_FADES = 124.0, 112.0  # z, where the coil sees no more of the neck

HEAD: tuple[Ellipsoid, ...] = (
    ((63, 91, 0), (60, 84, 74)),  # skull cap
    ((112, 66, 0), (40, 56, 48)),  # face
    ((136, 108, 0), (46, 50, 50)),  # neck
    ((103, 11, 0), (13, 10, 8)),  # nose
    ((86, 98, 75), (12, 8, 4)),  # ears
)
CAPSULE: Ellipsoid = ((44, 46, 61), (5, 5, 5))  # on the skin of the right side only

CEREBRUM: tuple[Ellipsoid, ...] = (
    ((54, 85, 0), (41, 67, 55)),
    ((55, 105, 0), (39, 52, 60)),  # parietal and occipital
    ((80, 70, 38), (17, 32, 19)),  # temporal lobes
)
CEREBELLUM: tuple[Ellipsoid, ...] = (
    ((93, 130, 22), (17, 23, 26)),
    ((92, 131, 0), (17, 21, 14)),  # vermis
)
CEREBELLAR_WHITE: tuple[Ellipsoid, ...] = (
    ((92, 125, 14), (7, 9, 12)),
    ((92, 121, 0), (7, 8, 8)),
)
BRAIN_STEM: tuple[Ellipsoid, ...] = (
    ((68, 86, 0), (13, 22, 20)),  # diencephalon
    ((82, 98, 9), (14, 9, 9)),  # midbrain
    ((96, 100, 0), (12, 11, 15)),  # pons
    ((104, 106, 0), (34, 8, 9)),  # medulla and cord
)
VENTRICLES: tuple[Ellipsoid, ...] = (
    ((56, 62, 9), (8, 14, 4)),  # lateral: frontal horn,
    ((52, 84, 11), (5, 22, 5)),  # body,
    ((58, 112, 21), (9, 11, 5.5)),  # atrium,
    ((66, 128, 25), (4.5, 16, 3)),  # occipital horn,
    ((80, 86, 33), (3, 18, 2.8)),  # temporal horn
    ((70, 86, 0), (7, 10, 2.0)),  # third
    ((96, 113, 0), (8, 4, 6)),  # fourth
)

CSF, GREY, WHITE, MUSCLE, FAT, SKIN, BONE, MARROW, AIR = (
    0.13, 0.50, 0.76, 0.42, 0.92, 0.55, 0.06, 0.36, 0.03,
)  # fmt: skip

# What lies in the white matter, and in the face, with its intensity.
NUCLEI: tuple[tuple[Ellipsoid, float], ...] = (
    (((57, 64, 16), (10, 12, 4.5)), 0.50),  # caudate
    (((68, 72, 28), (11, 17, 5)), 0.52),  # putamen
    (((69, 77, 20), (7, 9, 4)), 0.66),  # pallidum
    (((64, 94, 11), (9, 15, 9)), 0.60),  # thalamus
    (((80, 70, 24), (8, 8, 7)), 0.52),  # amygdala
    (((83, 88, 28), (4, 16, 5)), 0.52),  # hippocampus
    (((85, 92, 6), (3, 4, 4)), 0.52),  # red nucleus
)
CAVITIES: tuple[tuple[Ellipsoid, float], ...] = (
    (((100, 34, 29), (13, 17, 14)), 0.80),  # orbital fat
    (((100, 31, 29), (11, 11, 11)), 0.16),  # eyeball
    (((100, 22.5, 29), (3.5, 2.2, 3.5)), 0.42),  # lens
    (((111, 30, 0), (14, 18, 8)), AIR),  # nose
    (((112, 36, 25), (10, 13, 10)), AIR),  # maxillary sinus
    (((104, 56, 0), (6, 10, 9)), AIR),  # sphenoid sinus
    (((122, 78, 0), (14, 7, 9)), AIR),  # pharynx
)

GREY_THICKNESS = 2.7  # mm
SULCUS_HALF_WIDTH = 0.55  # mm
FOLD_WAVELENGTHS = (13.0, 21.0)  # mm along the surface of the brain
FOLD_CENTRE = np.array([56, 90, 22], np.float32)  # z, y, x
FOLD_RADII = np.array([42, 72, 40], np.float32)
FOLIA = 22
NOISE = 0.022
SEED = 2019

# Depths below surfaces vary smoothly: they are computed on a coarse lattice and
# interpolated. Tissue borders are drawn at full resolution, so they are sharp at any size.
STEP = 1.5  # mm
LATTICE_Z = np.arange(-2, 89, dtype=np.float32) * np.float32(STEP)
LATTICE = np.arange(-2, 121, dtype=np.float32) * np.float32(STEP)  # along y and x

# Order of the fields on the lattice, and those that the brain and the shell need.
FIELDS = ("brain", "fold", "floor", "white", "ventricle", "tissue", "cranium", "head")
INSIDE, OUTSIDE, CRANIUM, SKIN_DEPTH = slice(0, 6), slice(5, 8), 6, 7
BRAIN_FROM, BRAIN_ONLY_FROM = -3.0, -0.8  # mm below the inner table of the skull


class _Points(NamedTuple):
    """Places in one slice, in mm: z alone, y down the rows, x across, from the midline."""

    z: float
    y: F32
    x: F32


def _depth(p: _Points, ellipsoid: Ellipsoid) -> F32:
    """Depth below the surface of an ellipsoid, about in mm; negative outside.

    After https://iquilezles.org/articles/ellipsoids: exact at the surface.
    """
    (z, y, x), (rz, ry, rx) = ellipsoid
    dz, dy, dx = p.z - z, p.y - y, (np.abs(p.x) - x if x else p.x)
    # an epsilon keeps the centre, where both vanish, from being 0/0
    k0 = np.sqrt((dz / rz) ** 2 + 1e-6 + (dy / ry) ** 2 + (dx / rx) ** 2)
    k1 = np.sqrt((dz / rz**2) ** 2 + 1e-6 / rz**2 + (dy / ry**2) ** 2 + (dx / rx**2) ** 2)
    return np.asarray(k0 * (1 - k0) / k1, np.float32)


def _union(p: _Points, parts: Sequence[Ellipsoid], blend: float) -> F32:
    return _join([_depth(p, part) for part in parts], blend)


def _join(depths: Sequence[F32], blend: float) -> F32:
    """Depth below the surface of bodies together, their seams filled `blend` mm wide."""

    def pair(a: F32, b: F32) -> F32:
        seam = np.maximum(blend - np.abs(a - b), 0)
        return np.asarray(np.maximum(a, b) + seam * seam / (4 * blend), np.float32)

    return functools.reduce(pair, depths)


def _ramp(depth: F32, width: float) -> F32:
    """From 0 to 1 over `width` mm about depth 0, as partial volumes go."""
    ramp = depth * np.float32(1 / width)
    ramp += np.float32(0.5)
    return np.asarray(np.clip(ramp, 0, 1, out=ramp))


def _paint(under: F32 | float, over: F32 | float, amount: F32) -> F32:
    """Cover `under` with `over`; uses up `amount`."""
    difference = np.subtract(over, under, dtype=np.float32)
    amount *= difference
    amount += np.float32(under) if isinstance(under, float) else under
    return amount


@functools.lru_cache(maxsize=8)  # neighbouring slices share them
def _lattice_plane(k: int) -> F32:
    """All fields in one plane of the lattice, shape (fields, y, x)."""
    p = _Points(float(LATTICE_Z[k]), LATTICE[:, None], LATTICE[None, :] - np.float32(MIDLINE))
    hull = _union(p, CEREBRUM, 10)
    cerebellum = _union(p, CEREBELLUM, 4)
    stem = _union(p, BRAIN_STEM, 4)
    callosum = _callosum(p)
    # halves with a fissure between them and one in each, above a tentorium
    bent = _bent(p)
    halves = np.minimum(np.minimum(hull, np.abs(bent.x) - 1.3), -cerebellum - 2.5)
    cerebrum = np.minimum(halves, _lateral_fissure(p))
    folia = _ramp(cerebellum - cerebrum, 4)
    finer = 1 + 0.9 * folia  # the cerebellum's cortex is about half as thick
    fold = (1 - folia) * _sulci(bent, cerebrum > -2) + folia * _cerebellar_folds(p)
    brain = functools.reduce(np.maximum, (cerebrum, cerebellum, stem, callosum))
    white = np.maximum(np.maximum(callosum, stem), _union(p, CEREBELLAR_WHITE, 4))
    cranium = _join([_join([hull, cerebellum], 14), stem], 8)
    fields = {
        "brain": brain * finer,
        "fold": fold * finer,
        "floor": (np.maximum(halves, cerebellum) - _sulcal_depth(p) + 2 * folia) * finer,
        "white": 3 * white,
        "ventricle": _union(p, VENTRICLES, 1.5),
        "tissue": np.where(cranium > BRAIN_FROM, _deep_tissue(p), _face_tissue(p)),
        "cranium": cranium,
        "head": np.maximum(_union(p, HEAD, 14), _capsule(p)),
    }
    return np.stack([fields[name] for name in FIELDS]).astype(np.float32)


def _capsule(p: _Points) -> F32:
    right = np.where(p.x > 0, p.x, np.float32(1000))
    return _depth(_Points(p.z, p.y, right), CAPSULE)


def _callosum(p: _Points) -> F32:
    """An arch in the midline: the upper part of an ellipsoid's shell."""
    shell = 3.4 - np.abs(_depth(p, ((64, 86, 0), (19, 36, 60))))
    width = 15 - ((p.y - 86) / 13) ** 2
    return np.asarray(np.minimum(np.minimum(shell, 72 - p.z), width - np.abs(p.x)), np.float32)


def _bent(p: _Points) -> _Points:
    """Places as seen from the fissure between the halves, which bows to the right.

    So the plane through the middle of the frame shows cortex, not only the fissure.
    """
    bow = 4 + 1.8 * np.cos((p.y - 90) / 22)
    return p._replace(x=np.asarray(p.x - bow, np.float32))


def _lateral_fissure(p: _Points) -> F32:
    """Distance from the cleft above the temporal lobe, which opens over the insula."""
    rising = np.abs(p.z - 72 + (p.y - 74) * 0.22) - 0.9
    insula = np.hypot(p.z - 70 + (p.y - 74) * 0.22, np.abs(p.x) - 37) - np.float32(1.5)
    cleft = np.maximum(rising, 37 - np.abs(p.x))
    return np.asarray(np.maximum(np.minimum(cleft, insula), np.abs(p.y - 78) - 30), np.float32)


@functools.cache
def _fold_waves() -> tuple[F32, F32]:
    """Wave vectors, shape (3, waves), and phases of the left and the right half."""
    random = np.random.default_rng(SEED)
    count = 40
    directions = random.standard_normal((3, count))
    directions /= np.linalg.norm(directions, axis=0)
    vectors = directions * (2 * np.pi / random.uniform(*FOLD_WAVELENGTHS, count))
    phases = random.uniform(0, 2 * np.pi, (2, count))
    return vectors.astype(np.float32), phases.astype(np.float32)


def _sulci(p: _Points, where: npt.NDArray[np.bool_]) -> F32:
    """Distance from the nearest sulcus in mm, of either sign: where random waves cancel.

    Waves of one band of lengths give winding lines about half a wave apart. Depth
    is all but taken out of the places where they are summed, so that sulci go down
    steeply from the surface.
    """
    vectors, phases = _fold_waves()
    y, x = (np.broadcast_to(a, where.shape)[where] for a in (p.y, p.x))
    place = np.stack([np.full_like(x, p.z), y, np.abs(x)], -1) - FOLD_CENTRE
    radius = np.linalg.norm(place / FOLD_RADII, axis=-1, keepdims=True)
    spread = place * np.maximum(radius, 0.3) ** np.float32(-0.6)
    angles = spread @ vectors + phases[(x > 0).astype(np.intp)]
    height, slope = np.cos(angles).sum(-1), np.sin(angles) @ vectors.T
    distance = np.full(where.shape, 8, np.float32)
    distance[where] = np.clip(height / np.sqrt((slope**2).sum(-1) + 0.15), -8, 8)
    return distance


def _cerebellar_folds(p: _Points) -> F32:
    """Distance from the nearest fissure of the cerebellum in mm: leaves about its stem."""
    dz, dy = p.z - 93, p.y - 122
    radius = np.hypot(dz, dy)
    angle = np.arctan2(dz, dy) + 0.2 * np.sin(p.x / 11) + 0.1 * np.sin(radius * 0.35)
    return np.asarray((radius + 2) * np.arcsin(np.sin(angle * FOLIA / 2)) / (FOLIA / 2))


def _sulcal_depth(p: _Points) -> F32:
    ripple = np.sin(0.21 * p.y + 2 * np.sin(0.17 * p.x)) * np.sin(0.19 * p.z + 0.13 * p.x)
    return np.asarray(13 + 4 * ripple)


def _deep_tissue(p: _Points) -> F32:
    tissue = WHITE + 0.03 * np.sin(0.11 * p.y + 0.05 * p.z) * np.sin(0.13 * p.x - 0.07 * p.z)
    return _with_parts(p, tissue, NUCLEI, 1.5)


def _face_tissue(p: _Points) -> F32:
    strands = np.sin(0.31 * p.y + 2 * np.sin(0.13 * p.x + 0.1 * p.z))
    across = np.sin(0.37 * p.x + 2 * np.sin(0.14 * p.z + 0.11 * p.y))
    return _with_parts(p, MUSCLE + 0.07 * strands * across, CAVITIES, 1.0)


def _with_parts(
    p: _Points, tissue: F32, parts: Sequence[tuple[Ellipsoid, float]], width: float
) -> F32:
    for ellipsoid, intensity in parts:
        tissue = _paint(tissue, intensity, _ramp(_depth(p, ellipsoid), width))
    return tissue


# --- slices ---------------------------------------------------------------------------


def spacing_of(shape: Mapping[str, int]) -> dict[str, float]:
    """Spacing in µm at which a phantom of this shape fills its frame; pixels are square."""
    between, across = (1000 * FRAME[dim] / shape[dim] for dim in ("z", "y"))
    return {"z": between, "y": across, "x": across}


def phantom_slice(shape: Mapping[str, int], dtype: str, index: int) -> npt.NDArray[Any]:
    """One slice of the phantom, shape (y, x); the same whenever and wherever it is made."""
    z = index * FRAME["z"] / shape["z"]
    image = np.zeros((shape["y"], shape["x"]), dtype)
    if z >= SIGNAL_ENDS:
        return image
    fields = _fields_at(z)
    gain = FULL_SCALE[dtype] * min(1.0, (SIGNAL_ENDS - z) / (SIGNAL_ENDS - SIGNAL_FADES))
    random = np.random.default_rng([SEED, index])
    spacing = FRAME["y"] / shape["y"]
    down = _tiles(shape["y"], spacing, 0.0)
    across = _tiles(shape["x"], spacing, MIDLINE - shape["x"] * spacing / 2)
    for rows in down:
        for columns in across:
            part = fields[:, rows.lattice, columns.lattice]
            if part[SKIN_DEPTH].max() > 0:
                values = _noisy(_draw(part, rows.weights, columns.weights.T), random)
                np.minimum(values * np.float32(gain) + 0.5, FULL_SCALE[dtype], out=values)
                image[rows.pixels, columns.pixels] = values
    return image


class _Tile(NamedTuple):
    """A stretch of rows or columns, and how they are interpolated from the lattice."""

    pixels: slice
    lattice: slice
    weights: F32


@functools.lru_cache(maxsize=8)
def _tiles(size: int, spacing: float, start: float) -> list[_Tile]:
    positions = start + spacing * np.arange(size)
    # The frame ends in air, and goes on as air where it is wider than the lattice.
    weights = _spline(np.clip(positions, 0, FRAME["y"]), LATTICE)
    step = _tile_size(spacing)
    tiles = []
    for first in range(0, size, step):
        pixels = slice(first, first + step)
        used = np.flatnonzero(weights[pixels].any(axis=0))
        lattice = slice(int(used[0]), int(used[-1]) + 1)
        tiles.append(_Tile(pixels, lattice, np.ascontiguousarray(weights[pixels, lattice])))
    return tiles


def _tile_size(spacing: float) -> int:
    """Pixels along a tile's edge: as many as OpenBLAS multiplies without threads of its own.

    It starts them beyond 2**18 multiplications, which costs more than it gains
    (measured with numpy 2.4: a slice of 1760 x 1760 takes 5 times as long).
    """

    def products(size: int) -> float:
        return size * size * (size * spacing / STEP + 5)

    return next((size for size in range(160, 8, -8) if products(size) < 2**18), 8)


def _spline(positions: npt.NDArray[np.float64], lattice: F32) -> F32:
    """Weights of a cubic B-spline, shape (positions, lattice): smooth, and never beyond."""
    t = np.abs(positions[:, None] - lattice) / STEP
    near, far = 2 / 3 - t * t * (1 - t / 2), (2 - t) ** 3 / 6
    return np.where(t < 1, near, np.where(t < 2, far, 0)).astype(np.float32)


def _fields_at(z: float) -> F32:
    weights = _spline(np.array([z]), LATTICE_Z)[0]
    planes = [weights[k] * _lattice_plane(k) for k in np.flatnonzero(weights).tolist()]
    return functools.reduce(np.add, planes)


def _draw(fields: F32, rows: F32, columns: F32) -> F32:
    """Intensities from 0 to 1 of a tile; fields that it doesn't need are not interpolated."""
    cranium = fields[CRANIUM]
    if cranium.min() > BRAIN_ONLY_FROM:
        return _draw_brain(*(rows @ fields[INSIDE] @ columns))
    if cranium.max() < BRAIN_FROM:
        return _draw_shell(*(rows @ fields[OUTSIDE] @ columns))
    full = rows @ fields @ columns
    shell, brain = _draw_shell(*full[OUTSIDE]), _draw_brain(*full[INSIDE])
    return _paint(shell, brain, _ramp(full[CRANIUM] + np.float32(1.8), 0.8))


def _draw_brain(brain: F32, fold: F32, floor: F32, white: F32, ventricle: F32, tissue: F32) -> F32:
    """Cortex by its depth below the nearest fluid: outer surface, sulcus or ventricle."""
    sulcus = np.maximum(np.abs(fold) - np.float32(SULCUS_HALF_WIDTH), floor)
    depth = np.maximum(np.minimum(brain, sulcus), white)
    depth = np.minimum(depth, ventricle * np.float32(-3))
    image = _paint(CSF, GREY, _ramp(depth, 0.6))
    return _paint(image, tissue, _ramp(depth - np.float32(GREY_THICKNESS), 0.9))


def _draw_shell(tissue: F32, cranium: F32, head: F32) -> F32:
    """From the face's muscle outwards: fat, skin and, about the cranium, bone; then air."""
    image = _paint(tissue, FAT, _ramp(np.float32(4.5) - head, 1.0))
    image = _paint(image, SKIN, _ramp(np.float32(1.4) - head, 0.6))
    image = _paint(image, BONE, _ramp(cranium + np.float32(6.5), 0.8))
    image = _paint(image, MARROW, _ramp(np.float32(1.1) - np.abs(cranium + np.float32(4.2)), 1.0))
    image *= _ramp(head, 0.4)
    return image


@functools.cache
def _noise_pool() -> F32:
    """Noise to take pieces of: drawing it anew for each pixel would take most of the time."""
    pool = np.random.default_rng(SEED).standard_normal(2**20, np.float32)
    pool *= np.float32(NOISE)
    return pool


def _noisy(values: F32, random: np.random.Generator) -> F32:
    """Values with noise, positive as a magnitude is; what is 0 is air, and stays so."""
    pool = _noise_pool()
    start = int(random.integers(pool.size - values.size))
    noise = pool[start : start + values.size].reshape(values.shape)
    noisy = values + noise
    np.abs(noisy, out=noisy)
    noisy *= values > 0
    return noisy
