"""Lengths and other quantities: the only module that knows pint.

A plain number is in the unit of the axis that it is compared with, which is the
micrometre wherever brainxr made the axis. A string (``"5 mm"``) or a quantity
from any pint registry is converted.
"""

from __future__ import annotations

import numbers
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from brainxr.errors import GeometryError, LengthError

if TYPE_CHECKING:
    import pint

    Length: TypeAlias = float | str | pint.Quantity[Any]


class Unit(str):
    """A unit's name that is shown by its symbol.

    It equals, hashes, pickles and is written to files as its plain name
    (``"micrometer"``, the spelling that CF, pint, napari and OME-NGFF all
    accept); only *formatting* shows the symbol, so that xarray, which puts
    ``f"[{units}]"`` on the axes of a plot, writes ``z [µm]``.
    """

    __slots__ = ()

    def __deepcopy__(self, memo: Any) -> Unit:
        return self  # a text, which copy.deepcopy doesn't see: xarray copies attributes a lot

    def __format__(self, spec: str) -> str:
        return format(SYMBOLS.get(str(self), str(self)), spec)


# One number, then a unit. pint would multiply and subtract what else it finds: to it
# "62 000 µm" is 62 * 0, "5:7 mm" is 35 mm, and a typographic minus is nothing at all.
_QUANTITY = re.compile(
    r"\s*[+-]?(\d[\d_]*\.?\d*|\.\d+)(e[+-]?\d+)?\s*([^\W\d_%][^\d:;,#~<>±]*((\*\*|\^)-?\d+)?|%)?\s*",
    re.I,
)

SYMBOLS = {"nanometer": "nm", "micrometer": "µm", "millimeter": "mm", "centimeter": "cm"}
MICROMETER = Unit("micrometer")


def to_micrometers(length: Length, what: str = "length") -> float:
    """A length as a number of micrometres.

    Parameters
    ----------
    length : float, str or pint.Quantity
        A plain number is taken as micrometres.
    what : str
        What the length is, for the message of an error.

    Raises
    ------
    LengthError
        When it is no length: another kind of quantity, an unknown unit, not a
        finite number.

    Examples
    --------
    >>> to_micrometers("12.3 mm")
    12300.0
    >>> to_micrometers(25)
    25.0
    """
    try:
        converted = to_unit(length, MICROMETER)
        number = float(converted)
    except LengthError as error:
        raise LengthError(f"{what}: {error}") from None
    except (TypeError, ValueError):
        raise LengthError(
            f"{what}: {length!r} is no length. Give a number of micrometres, a string such as "
            "'100 µm', or a pint quantity."
        ) from None
    if not np.isfinite(number):
        raise LengthError(f"{what}: {length!r} is not a finite length. Give a number.")
    return number


def to_unit(value: Any, unit: str) -> Any:
    """Convert strings and quantities, alone or in sequences, to numbers in a unit.

    Plain numbers, and anything else that carries no unit, are returned as they
    are; an array of strings keeps its shape.

    Parameters
    ----------
    value : number, str, pint.Quantity, datetime or a sequence of these
    unit : str
        Name of the unit of the result.

    Raises
    ------
    LengthError
        When a string or quantity can't be expressed in `unit`.
    """
    if isinstance(value, str):
        return _convert(_parse(value, unit), unit, shown=value)
    if is_quantity(value):
        return _convert(value, unit, shown=f"{value}")
    if isinstance(value, numbers.Number | np.generic) or value is None:
        return value
    if isinstance(value, list | tuple):
        return [to_unit(item, unit) for item in value]
    array = np.asarray(value)
    if array.dtype.kind in "UTO" and not (array.ndim == 0 and array.item() is value):
        flat = [to_unit(item, unit) for item in array.ravel().tolist()]
        return np.array(flat).reshape(array.shape)
    return value


def is_quantity(value: object) -> bool:
    """Whether the value is a quantity of whatever pint registry."""
    return hasattr(value, "magnitude") and hasattr(value, "dimensionality")


def factor(unit: str, to: str) -> float:
    """How many `to` one `unit` is.

    >>> factor("millimeter", to="micrometer")
    1000.0
    """
    return 1.0 if unit == to else _factor(str(unit), str(to))


# What files write for a length, in micrometres. The first use of pint builds its registry,
# which takes longer than opening a stack and drawing a plane of it.
_MICROMETERS = {
    "nm": 1e-3, "nanometer": 1e-3, "um": 1.0, "µm": 1.0, "μm": 1.0, "micron": 1.0,
    "micrometer": 1.0, "mm": 1e3, "millimeter": 1e3, "cm": 1e4, "centimeter": 1e4,
}  # fmt: skip


@lru_cache
def _factor(unit: str, to: str) -> float:
    if to == MICROMETER and unit in _MICROMETERS:
        return _MICROMETERS[unit]
    return float(_convert(_parse(f"1 {unit}", to), to, shown=unit))


def is_length(unit: object) -> bool:
    """Whether a unit's name is that of a length.

    >>> is_length("millimeter"), is_length("second"), is_length(None)
    (True, False, False)
    """
    try:
        return isinstance(unit, str) and bool(factor(unit, MICROMETER))
    except LengthError:
        return False


def full_name(unit: str) -> str:
    """Name of a unit as pint, CF and OME-NGFF have it.

    >>> full_name("mm"), full_name("µm")
    ('millimeter', 'micrometer')
    """
    import pint

    return str(pint.application_registry.Unit(unit))


def length_unit(coordinate: Any, name: object) -> str:
    """Unit of a coordinate, which has to be one of length.

    Raises
    ------
    GeometryError
    """
    unit = coordinate.attrs.get("units")
    if is_length(unit):
        return str(unit)
    found = "has no unit" if unit is None else f"is in {str(unit)!r}, which is not a length"
    raise GeometryError(
        f"Coordinate {name!r} {found}, so its voxels have no place. Give the array coordinates in "
        "µm: data = brainxr.volume(data, spacing={'z': '100 µm', 'y': 25, 'x': 25}), or, where "
        f"its numbers are positions, data[{name!r}].attrs['units'] = 'micrometer'."
    )


def show_micrometers(micrometers: float) -> str:
    """A length as a person would write it: in nm, µm or mm.

    >>> show_micrometers(100.0), show_micrometers(62000.0), show_micrometers(0.004)
    ('100 µm', '62 mm', '4 nm')
    """
    if 0 < abs(micrometers) < 0.1:
        return f"{micrometers * 1000:.6g} nm"
    if abs(micrometers) < 1000:
        return f"{micrometers:.6g} µm"
    return f"{micrometers / 1000:.6g} mm"


def _parse(text: str, unit: str) -> Any:
    import pint

    text = text.replace("\N{MINUS SIGN}", "-")
    if not _QUANTITY.fullmatch(text):
        raise LengthError(
            f"{text!r} can't be read as a quantity. Write one number, without spaces or commas in "
            f"it and with a decimal point if it needs one, and a unit: for example "
            f"'12.5 {_example(unit)}'."
        )
    try:
        quantity = pint.application_registry.Quantity(text)
    except Exception as error:  # pint raises tokenizer errors, TypeError, AssertionError, ...
        raise LengthError(
            f"{text!r} can't be read as a quantity ({error}). Write a number and a unit, "
            f"for example '5 {_example(unit)}'."
        ) from None
    if "pixel" in str(quantity.units):  # to pint, "px" is the 1/96 inch of style sheets
        raise LengthError(f"{text!r} counts pixels, and is no length. Select them by .isel(...).")
    if quantity.dimensionless and not pint.application_registry.Unit(unit).dimensionless:
        raise LengthError(
            f"{text!r} has no unit. Write for example '{text} {_example(unit)}', or give the "
            f"plain number, which is taken in {unit:s}."
        )
    return quantity


def _convert(quantity: Any, unit: str, shown: object) -> Any:
    try:
        return quantity.to(str(unit)).magnitude
    except Exception as error:
        if type(error).__name__ != "DimensionalityError":
            raise
        raise LengthError(
            f"{str(shown)!r} is no {_kind(unit)}: it can't be expressed in {str(unit)}. "
            "Give one that can."
        ) from None


def _example(unit: str) -> str:
    return "mm" if str(unit) in SYMBOLS else str(unit)


def _kind(unit: str) -> str:
    """What a unit measures, in words: ``"length"``, ``"time"``, ..."""
    import pint

    dimensions = dict(pint.application_registry.Unit(str(unit)).dimensionality)
    if len(dimensions) == 1 and set(dimensions.values()) == {1}:
        return str(next(iter(dimensions))).strip("[]")
    return "quantity of that kind"
