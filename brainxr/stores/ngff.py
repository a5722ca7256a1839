"""Where the voxels of a pyramid's levels are ⇄ the attributes of an OME-Zarr group.

Plain dicts in, plain dicts out: nothing is read or written here. OME-Zarr 0.4 (Zarr
v2) and 0.5 (Zarr v3) say the same in two places. What they have no words for (the
volume's name, its attributes, further coordinates) goes into an entry
``"brainxr"`` beside theirs, which other programs leave alone.

Sources: ngff.openmicroscopy.org/0.4 and /0.5, "multiscales" and "omero".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from brainxr.errors import GeometryError, StoreError, shortlist
from brainxr.geometry import units as u
from brainxr.geometry.grid import DIMS
from brainxr.stores.extras import Extra

Version: TypeAlias = Literal["0.4", "0.5"]
VERSIONS: tuple[Version, ...] = ("0.4", "0.5")

# Kind of an axis by its name, as the specification has it; "space" for z, y and x.
KINDS = {"t": "time", "c": "channel"} | dict.fromkeys(DIMS, "space")


@dataclass(frozen=True)
class Level:
    """One level of a pyramid, and where its voxels are.

    Attributes
    ----------
    path : str
        Of its array within the group.
    spacing : mapping of str to float
        Distance of neighbouring voxel centres in µm, of each spatial axis; below zero
        where the coordinate falls.
    origin : mapping of str to float
        Coordinate of the centre of the first voxel in µm, of each spatial axis.
    """

    path: str
    spacing: Mapping[str, float]
    origin: Mapping[str, float]


@dataclass(frozen=True)
class Channel:
    """A channel's label, and the limits between which its values are shown.

    Attributes
    ----------
    label : str
    limits : tuple of float or None
        Values shown as black and as white.
    """

    label: str
    limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class Image:
    """All that the attributes of an OME-Zarr group say about one image.

    Attributes
    ----------
    dims : tuple of str
        Axes of the stored arrays, in their order.
    levels : tuple of Level
        Finest first.
    name : str or None
        Of the image; no path.
    method : str or None
        How the levels were made of each other: ``"mean"``, ``"mode"``, ``"nearest"``.
    channels : tuple of Channel
        One without an axis ``c``; empty where nothing is said.
    extra : Extra or None
        None in a store that was not made by brainxr.
    version : {"0.4", "0.5"}
    unitless : mapping of str to (str or None)
        Axes of space without a unit of length, and what stands in its place: ``"pixel"``,
        ``""``, or None where the metadata name no unit.
    is_labels : bool
        True where the values are declared to be labels.
    """

    dims: tuple[str, ...]
    levels: tuple[Level, ...]
    name: str | None = None
    method: str | None = None
    channels: tuple[Channel, ...] = ()
    extra: Extra | None = None
    version: Version = "0.5"
    unitless: Mapping[str, str | None] = field(default_factory=dict)
    is_labels: bool = False

    @property
    def spatial(self) -> tuple[str, ...]:
        """Those of the axes that are of space, in the order z, y, x."""
        return tuple(dim for dim in DIMS if dim in self.dims)


def coarser(level: Level, path: str, factors: Mapping[str, int]) -> Level:
    """The level that blocks of so many voxels of another one make.

    The centre of a block's first voxel is not the block's centre, which lies half a
    block less half a voxel further.

    >>> coarser(Level("0", {"z": 100.0}, {"z": 0.0}), "1", {"z": 4}).origin
    {'z': 150.0}
    """
    spacing = {dim: step * factors.get(dim, 1) for dim, step in level.spacing.items()}
    origin = {
        dim: first + (factors.get(dim, 1) - 1) / 2 * level.spacing[dim]
        for dim, first in level.origin.items()
    }
    return Level(path, spacing, origin)


# --- writing ----------------------------------------------------------------------


def to_attributes(image: Image, dtype: npt.DTypeLike = "f4") -> dict[str, Any]:
    """Attributes of the group, as OME-Zarr of the image's version has them.

    Parameters
    ----------
    image : Image
    dtype : dtype
        Of the values; its range is that of the sliders in other viewers.

    Returns
    -------
    dict
        Of what JSON can hold, and no more.
    """
    multiscale: dict[str, Any] = {
        "axes": [_axis(dim) for dim in image.dims],
        "datasets": [_dataset(level, image.dims) for level in image.levels],
    }
    if image.name is not None:
        multiscale["name"] = image.name
    if image.method is not None:
        multiscale["type"] = image.method
    ome: dict[str, Any] = {"multiscales": [multiscale]}
    if image.channels:
        ome["omero"] = _omero(image.channels, np.dtype(dtype))
    own = {} if image.extra is None else {"brainxr": image.extra.to_dict()}
    if image.is_labels:
        ome["image-label"] = {"version": image.version}
    if image.version == "0.4":
        multiscale["version"] = "0.4"
        return {**ome, **own}
    return {"ome": {"version": image.version, **ome}, **own}


def _axis(dim: str) -> dict[str, str]:
    axis = {"name": dim, "type": KINDS.get(dim, "custom")}
    return axis | {"unit": str(u.MICROMETER)} if dim in DIMS else axis


def _dataset(level: Level, dims: Sequence[str]) -> dict[str, Any]:
    scale = [float(level.spacing.get(dim, 1.0)) for dim in dims]
    translation = [float(level.origin.get(dim, 0.0)) for dim in dims]
    return {
        "path": level.path,
        "coordinateTransformations": [
            {"type": "scale", "scale": scale},
            {"type": "translation", "translation": translation},
        ],
    }


def _omero(channels: Sequence[Channel], dtype: np.dtype[Any]) -> dict[str, Any]:
    return {
        "channels": [
            {
                "label": channel.label,
                "color": "FFFFFF",
                "active": True,
                "window": _window(channel.limits, dtype),
            }
            for channel in channels
            if channel.limits is not None
        ],
        "rdefs": {"model": "greyscale"},
    }


def _window(limits: tuple[float, float] | None, dtype: np.dtype[Any]) -> dict[str, float]:
    low, high = (float(limit) for limit in limits or (0, 1))
    bounds = (low, high)
    if dtype.kind in "iu" and dtype.itemsize <= 2:
        bounds = (float(np.iinfo(dtype).min), float(np.iinfo(dtype).max))
    return {"min": bounds[0], "max": bounds[1], "start": low, "end": high}


# --- reading ----------------------------------------------------------------------


class NoImageError(StoreError):
    """A group is none of an OME-Zarr image."""


def from_attributes(attributes: Mapping[str, Any], where: str) -> Image:
    """What the attributes of an OME-Zarr group say.

    Levels of which none has a translation are taken to cover the extent of level 0, as
    blocks do: so the programs make them that leave it out, and so every viewer shows
    them. A translation is believed.

    Parameters
    ----------
    attributes : mapping
        Of the group; by OME-Zarr 0.4 or 0.5.
    where : str
        The store, for the message of an error.

    Raises
    ------
    StoreError
        When they are no image's, damaged, or of a version that is not read here.
    GeometryError
        When an axis of space is in a unit that is no length, or a level has no scale.
    """
    version, ome = _version(attributes, where)
    own = attributes.get("brainxr")
    try:
        multiscale = _one_image(ome["multiscales"], where)
        axes = [_read_axis(axis, where) for axis in multiscale["axes"]]
        dims = tuple(name for name, _ in axes)
        spatial = {name: _without_case(unit) for name, unit in axes if name in DIMS}
        unitless = {name: unit for name, unit in spatial.items() if not u.is_length(unit)}
        factors = {
            name: 1.0 if name in unitless else u.factor(str(unit), to=u.MICROMETER)
            for name, unit in spatial.items()
        }
        levels = _levels(multiscale, dims, factors, where)
        return Image(
            dims, levels, multiscale.get("name"), multiscale.get("type"), _channels(ome),
            None if own is None else Extra.from_dict(own, where), version, unitless,
            "image-label" in ome,
        )  # fmt: skip
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise StoreError(
            f"The metadata of {where!r} are damaged: {type(error).__name__} {error} where an image "
            f"of OME-Zarr {version} has its axes and levels. Restore them from the source, or make "
            "the store again."
        ) from error


def _version(attributes: Mapping[str, Any], where: str) -> tuple[Version, Mapping[str, Any]]:
    """Version of OME-Zarr, and where its attributes are."""
    ome = attributes.get("ome", attributes)
    if not isinstance(ome, Mapping) or "multiscales" not in ome:
        raise NoImageError(_no_image(attributes, where))
    scales = ome["multiscales"]
    first = scales[0] if isinstance(scales, list) and scales else {}
    found = ome.get("version") if "ome" in attributes else None
    found = str(found or (first.get("version") if isinstance(first, Mapping) else None) or "0.4")
    if found in VERSIONS:
        return ("0.5" if found == "0.5" else "0.4"), ome
    newer = _numbers(found) > _numbers(VERSIONS[-1])
    raise StoreError(
        f"{where!r} is OME-Zarr {found}; {' and '.join(VERSIONS)} are read here. "
        + (
            "A newer brainxr may read it: pip install --upgrade brainxr."
            if newer
            else "Convert it, for example with ngff-zarr."
        )
    )


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)[:2]]


def _no_image(attributes: Mapping[str, Any], where: str) -> str:
    ome = attributes.get("ome", attributes)
    known: Mapping[str, Any] = ome if isinstance(ome, Mapping) else {}
    labels = [str(name) for name in known.get("labels") or ()]
    for key, noun, inside, first in (
        ("plate", "a plate of many images", "one of its wells' fields", f"{_well(known)}/0"),
        ("well", "a well of many images", "one of its fields", "0"),
        ("bioformats2raw.layout", "a collection of images", "one of them", "0"),
        ("labels", "a group of labels", f"one of them: {shortlist(labels)}", "".join(labels[:1])),
    ):
        if key in known:
            path = f"{where.rstrip('/')}/{first}"
            example = f"for example brainxr.open({path!r})"
            return f"{where!r} is {noun}, and not one. Open {inside}, {example}."
    return (
        f"{where!r} is a Zarr group, but no image of OME-Zarr: its attributes have no "
        f"'multiscales' (there are: {shortlist(list(attributes)) or 'none'}). Open the group of an "
        "image inside it, or an array that you know by xarray.open_zarr."
    )


def _well(known: Mapping[str, Any]) -> str:
    """The path of a plate's first well, as its metadata tell it."""
    try:
        return str(known["plate"]["wells"][0]["path"])
    except (KeyError, IndexError, TypeError):
        return "A/1"


def _one_image(multiscales: Any, where: str) -> Mapping[str, Any]:
    if len(multiscales) > 1:
        raise StoreError(
            f"{where!r} has {len(multiscales)} images in one group, and nothing says which is "
            "meant. Open the store by a program that lists them, and store one by itself."
        )
    first: Mapping[str, Any] = multiscales[0]
    return first


def _read_axis(axis: Any, where: str) -> tuple[str, str | None]:
    """Name and unit; those of space are z, y and x, in small letters or large."""
    if isinstance(axis, str):
        axis = {"name": axis}
    name, kind = str(axis["name"]), axis.get("type")
    if name.lower() in DIMS and kind in (None, "space"):
        return name.lower(), axis.get("unit")
    if kind == "space":
        raise GeometryError(
            f"{where!r} has an axis of space named {name!r}; z, y and x are known here. Rename it "
            "in the store's metadata."
        )
    return name, axis.get("unit")


def _without_case(unit: Any) -> str | None:
    """A unit in small letters where these name a length and the letters as written do not."""
    if unit is not None and not isinstance(unit, str):
        raise TypeError(f"{unit!r} as a unit")
    if unit is not None and not u.is_length(unit) and u.is_length(unit.strip().lower()):
        return unit.strip().lower()
    return unit


def _levels(
    multiscale: Mapping[str, Any], dims: tuple[str, ...], factors: Mapping[str, float], where: str
) -> tuple[Level, ...]:
    common = multiscale.get("coordinateTransformations") or []
    found: list[Level] = []
    placed = False
    for dataset in multiscale["datasets"]:
        own = dataset.get("coordinateTransformations") or []
        placed = placed or any(each.get("type") == "translation" for each in own)
        scale, translation = _transformation([*own, *common], dims, where)
        spatial = [(dims.index(dim), dim, factor) for dim, factor in factors.items()]
        found.append(
            Level(
                str(dataset["path"]),
                {dim: scale[i] * factor for i, dim, factor in spatial},
                {dim: translation[i] * factor for i, dim, factor in spatial},
            )
        )
    if not found:
        raise StoreError(f"{where!r} lists no level: its metadata are damaged. Make it again.")
    return tuple(found if placed else (_beside(level, found[0]) for level in found))


def _beside(level: Level, finest: Level) -> Level:
    """A level whose extent begins where that of the finest does."""
    origin = {
        dim: finest.origin[dim] + (level.spacing[dim] - finest.spacing[dim]) / 2
        for dim in level.origin
    }
    return Level(level.path, level.spacing, origin)


def _transformation(
    steps: Sequence[Mapping[str, Any]], dims: tuple[str, ...], where: str
) -> tuple[list[float], list[float]]:
    """Scale and translation of all the steps, one after the other."""
    scale, translation = [1.0] * len(dims), [0.0] * len(dims)
    scaled = False
    for step in steps:
        kind = step.get("type")
        values = step.get(kind) if kind in ("scale", "translation") else None
        if kind == "identity":
            continue
        if not isinstance(values, list) or len(values) != len(dims) or not _are_numbers(values):
            raise StoreError(
                f"{where!r} has a transformation {kind!r} of {values!r}, expected a scale or a "
                f"translation of {len(dims)} numbers for the axes {', '.join(dims)}."
            )
        numbers = [float(value) for value in values]
        if kind == "scale":
            scaled = True
            scale = [a * b for a, b in zip(scale, numbers, strict=True)]
            translation = [a * b for a, b in zip(translation, numbers, strict=True)]
        else:
            translation = [a + b for a, b in zip(translation, numbers, strict=True)]
    if not scaled or not all(0 < abs(value) < math.inf for value in scale):
        raise GeometryError(
            f"{where!r} has a level whose scale is {scale if scaled else 'missing'}, so its voxels "
            "have no size. Mend its 'coordinateTransformations', or make the store again."
        )
    return scale, translation


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(each, int | float) and not isinstance(each, bool) for each in values)


def _channels(ome: Mapping[str, Any]) -> tuple[Channel, ...]:
    """Labels and windows, which are for people to look at: what is odd here is left out."""
    omero = ome.get("omero")
    listed = omero.get("channels") if isinstance(omero, Mapping) else None
    if not isinstance(listed, list):
        return ()
    return tuple(
        _channel(i, each if isinstance(each, Mapping) else {}) for i, each in enumerate(listed)
    )


def _channel(i: int, channel: Mapping[str, Any]) -> Channel:
    window = channel.get("window")
    ends = (window.get("start"), window.get("end")) if isinstance(window, Mapping) else ()
    known = [float(e) for e in ends if isinstance(e, int | float) and math.isfinite(e)]
    limits = (known[0], known[1]) if len(known) == 2 and known[0] < known[1] else None
    return Channel(str(channel.get("label") or i), limits)
