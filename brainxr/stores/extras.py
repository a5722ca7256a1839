"""What a volume has that OME-Zarr has no words for ⇄ a dict that JSON can hold.

Its name, its attributes, further coordinates, and axes that fall. It goes into
an entry ``"brainxr"`` of the group's attributes, which other programs leave alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr

from brainxr.errors import StoreError
from brainxr.geometry import units as u
from brainxr.geometry.grid import DIMS, Lattice

# Number of the entry's form: a reader that is older than that refuses.
FORM = 1


@dataclass(frozen=True)
class Coordinate:
    """A coordinate that is more than origin and spacing.

    Attributes
    ----------
    dims : tuple of str
    values : numpy.ndarray or None
        None where origin and spacing tell them to the last bit.
    attrs : dict
    """

    dims: tuple[str, ...]
    values: npt.NDArray[Any] | None
    attrs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Extra:
    """What OME-Zarr has no words for.

    Attributes
    ----------
    name : str or None
        Of the volume.
    attrs : dict
        Of the volume.
    coordinates : mapping of str to Coordinate
        Of level 0, in the order in which it is stored.
    falling : tuple of str
        Axes along which the coordinate of the volume falls. They are stored upwards,
        since few readers know what a scale below zero means.
    provenance : dict
        What it was made of and how, for people to read.
    every_shard : bool
        Whether every shard (in 0.4: every chunk) was written, so that a missing one is
        a loss and no empty space.
    """

    name: str | None = None
    attrs: Mapping[str, Any] = field(default_factory=dict)
    coordinates: Mapping[str, Coordinate] = field(default_factory=dict)
    falling: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    every_shard: bool = False

    @classmethod
    def of(cls, data: xr.DataArray, **others: Any) -> Self:
        """What of a volume would be lost in OME-Zarr; `others` are further fields.

        Raises
        ------
        StoreError
            When an attribute or coordinate has values that no JSON can hold.
        """
        grids = {str(d): Lattice.of(data[d]) for d in data.dims if d in DIMS}
        falling = tuple(dim for dim, lattice in grids.items() if lattice.step < 0)
        upwards = data.coords.to_dataset().isel(dict.fromkeys(falling, slice(None, None, -1)))
        coordinates = {str(n): _extra_coordinate(upwards[n], grids) for n in data.coords}
        kept = {name: c for name, c in coordinates.items() if c is not None}
        name = None if data.name is None else str(data.name)
        return cls(name, dict(data.attrs), kept, falling, **others)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it.

        Raises
        ------
        StoreError
            When an attribute or coordinate has values that no JSON can hold.
        """
        return {
            "form": FORM,
            "name": self.name,
            "attrs": _encode_all(self.attrs, "attribute"),
            "coordinates": {n: _from_coordinate(n, each) for n, each in self.coordinates.items()},
            "falling": list(self.falling),
            "provenance": _encode_all(self.provenance, "provenance"),
            "every_shard": self.every_shard,
        }

    @classmethod
    def from_dict(cls, own: Mapping[str, Any], where: str) -> Self:
        """What `to_dict` made; `where` is the store, for the message of an error.

        Raises
        ------
        StoreError
            When a newer brainxr made it.
        """
        if own["form"] > FORM:
            raise StoreError(
                f"{where!r} was made by a newer brainxr (form {own['form']}, {FORM} is known "
                "here). Update: pip install --upgrade brainxr."
            )
        return cls(
            own["name"],
            _decode_all(own["attrs"]),
            {name: _to_coordinate(each) for name, each in own["coordinates"].items()},
            tuple(own["falling"]),
            _decode_all(own["provenance"]),
            bool(own["every_shard"]),
        )


def _extra_coordinate(coordinate: xr.DataArray, grids: Mapping[str, Lattice]) -> Coordinate | None:
    """A coordinate of the volume, stored upwards; None where origin and spacing tell it all."""
    dims = tuple(map(str, coordinate.dims))
    lattice = grids.get(str(coordinate.name))
    if lattice is None:
        return Coordinate(dims, coordinate.values, dict(coordinate.attrs))
    if coordinate.attrs.get("units") != u.MICROMETER:
        return None  # in micrometres it will come back
    lattice = Lattice.of(coordinate)
    told = lattice.start + lattice.step * np.arange(coordinate.size)
    exact = None if np.array_equal(told, coordinate.values) else coordinate.values
    usual = set(coordinate.attrs) == {"units", "spacing"} and (
        coordinate.attrs["spacing"] == lattice.step
    )
    attrs = {} if usual else dict(coordinate.attrs)
    return None if usual and exact is None else Coordinate(dims, exact, attrs)


def _from_coordinate(name: str, coordinate: Coordinate) -> dict[str, Any]:
    what = f"coordinate {name!r}"
    encoded: dict[str, Any] = {"dims": list(coordinate.dims)}
    if coordinate.values is not None:
        encoded["values"] = _encode(np.asarray(coordinate.values), what)
    if coordinate.attrs:
        encoded["attrs"] = _encode_all(coordinate.attrs, f"{what}'s attribute")
    return encoded


def _to_coordinate(encoded: Mapping[str, Any]) -> Coordinate:
    values = encoded.get("values")
    exact = None if values is None else np.asarray(_decode(values))
    return Coordinate(tuple(encoded["dims"]), exact, _decode_all(encoded.get("attrs", {})))


def _encode_all(values: Mapping[str, Any], what: str) -> dict[str, Any]:
    return {str(key): _encode(value, f"{what} {key!r}") for key, value in values.items()}


def _decode_all(encoded: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _decode(value) for key, value in encoded.items()}


def _encode(value: Any, what: str) -> Any:
    """A value as JSON can hold it; types that JSON doesn't have are named beside it."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biufUMm":
            raise StoreError(_no_json(what, value))
        # dates as text, time spans as counts of their unit
        plain = value.astype({"M": str, "m": np.int64}.get(value.dtype.kind, value.dtype))
        return {"dtype": value.dtype.str, "array": _encode(plain.tolist(), what)}
    if isinstance(value, np.generic):
        return _encode(np.asarray(value), what)
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if isinstance(value, str):
        return str(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_encode(item, what) for item in value]
    if isinstance(value, Mapping):
        return {"dict": {str(key): _encode(item, what) for key, item in value.items()}}
    raise StoreError(_no_json(what, value))


def _no_json(what: str, value: object) -> str:
    return (
        f"The {what} is {type(value).__name__}, which a store of OME-Zarr can't hold: it takes "
        "texts, numbers, and lists and arrays of these. Convert it, or drop it, for example "
        "data.drop_attrs() or data.drop_vars(...)."
    )


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "dict" in value:
        return {key: _decode(item) for key, item in value["dict"].items()}
    if "float" in value:
        return float(value["float"])
    array = np.array(_decode(value["array"]), dtype=np.dtype(value["dtype"]))
    return array if array.ndim else array[()]
