"""Ways to read names of slices, and what `brainxr.open` is told to read them so."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from brainxr.stacks.fields import MINUS, Field, parse_fields


@dataclass(frozen=True)
class Reading:
    """One way to read names of one kind.

    Attributes
    ----------
    what : str
        In words.
    names : tuple of str
        In this order.
    places : tuple of float
        In steps from the first.
    fields : tuple of Field
        What is read; several where the names are counted in their natural order.
    option : {"number", "positions"}
        What `brainxr.open` is told to read them so.
    pattern : str
        The number itself as a regular expression with a group.
    """

    what: str
    names: tuple[str, ...]
    places: tuple[float, ...]
    fields: tuple[Field, ...]
    option: str
    pattern: str


def readings_of(names: list[str], fields: list[Field]) -> list[Reading]:
    """All ways to read names of one kind, the natural order first; none of them twice."""
    varying = [field for field in fields if field.varies]
    found: dict[tuple[tuple[str, ...], tuple[float, ...]], Reading] = {}
    for reading in _all_readings(names, varying):
        found.setdefault((reading.names, reading.places), reading)
    natural = tuple(names[i] for i in natural_order(varying)) if varying else ()
    return sorted(found.values(), key=lambda reading: reading.names != natural)


def _all_readings(names: list[str], varying: list[Field]) -> Iterator[Reading]:
    for field in varying:
        for what, option, pattern, values in _ways_to_read(field):
            if len(set(values)) == len(values):
                order = sorted(range(len(names)), key=values.__getitem__)
                ordered = tuple(names[i] for i in order)
                places = _in_steps([values[i] for i in order])
                yield Reading(what, ordered, places, (field,), option, pattern)
    keys = set(zip(*(field.values for field in varying), strict=True))
    if len(varying) > 1 and len(keys) == len(names):
        order = natural_order(varying)
        yield Reading(
            "in the order of the whole names, counted 0, 1, 2, ...",
            tuple(names[i] for i in order), tuple(range(len(names))), tuple(varying), "number", "",
        )  # fmt: skip


def _ways_to_read(field: Field) -> Iterator[tuple[str, str, str, Sequence[Any]]]:
    """Words, option, regular expression and values of each way to read one field."""
    at = f" at {field.label!r}" if field.label else ""
    number = field.digits_pattern
    signed = f"({field.sign_pattern}?{number})" if field.is_signed else f"({number})"
    unsigned = [text.lstrip(MINUS) for text in field.written]
    if field.is_position:
        yield f"positions in {field.unit}{at}", "positions", signed, field.micrometers
        if field.is_signed and field.is_doubtful:
            values = [abs(value) for value in field.micrometers]
            yield f"positions in {field.unit}{at}, above zero", "positions", f"({number})", values
    elif field.is_decimal:
        yield f"decimal positions{at}, in µm", "positions", signed, field.values
        parts = [int(re.split("[.,]", text)[1]) for text in unsigned]
        yield "by the digits behind the point", "number", r"\d+[.,](\d+)", parts
    else:
        yield f"by the number{at}", "number", signed, field.values
        if field.is_signed and field.is_doubtful:
            yield (
                f"by the number{at}, above zero",
                "number",
                f"({number})",
                list(map(int, unsigned)),
            )


def _in_steps(values: Sequence[Any]) -> tuple[float, ...]:
    """Increasing values as steps from the first: of their common divisor, or the smallest."""
    distances = [value - values[0] for value in values]
    if all(isinstance(distance, int) for distance in distances):
        step = int(np.gcd.reduce(np.array(distances, dtype=object))) or 1
        return tuple(distance // step for distance in distances)
    smallest = min((distance for distance in distances if distance > 0), default=1)
    return tuple(round(distance / smallest, 6) for distance in distances)


def option_of(reading: Reading, names: Sequence[str], fields: Sequence[Field]) -> str:
    """The shortest argument that reads these names, and only their right numbers."""
    chosen, label = reading.fields, reading.fields[0].label
    labels = [field.label for field in fields]
    plain = reading.pattern == r"(\d+)" and not chosen[0].is_signed
    plain = plain and reading.option == "number"
    if plain and label.isalpha() and labels.count(label) == 1:
        return label
    i, j = fields.index(chosen[0]), fields.index(chosen[-1])
    inner = _expression(fields[i : j + 1], chosen, reading.pattern)
    before, after = fields[i].before, fields[j].after
    candidates = [_escaped(before) + inner if before else f"^{inner}", inner + _escaped(after)]
    full = f"^{_escaped(fields[0].before)}{_expression(fields, chosen, reading.pattern)}"
    expected = [
        tuple(_group(reading.pattern, field.written[n]) for field in chosen)
        for n in range(len(names))
    ]
    for expression in candidates:
        if all(
            _reads(expression, name, found) for name, found in zip(names, expected, strict=True)
        ):
            return expression
    return full


def _expression(fields: Sequence[Field], chosen: Sequence[Field], pattern: str) -> str:
    """Regular expression from the first field to the last, with a group for each that is chosen."""
    parts: list[str] = []
    for field in fields:
        sign = f"{field.sign_pattern}?" if field.is_signed else ""
        own = sign + field.digits_pattern
        if parts:
            parts.append(_escaped(field.before))
        if field in chosen:
            own = pattern or f"({own})"
            if sign and sign not in own:
                own = sign + own
        parts.append(own)
    return "".join(parts)


def _group(pattern: str, written: str) -> str:
    """What a pattern reads of a number as it is written."""
    found = re.search(pattern, written) if pattern else None
    return written if found is None else found[1]


def _reads(expression: str, name: str, expected: tuple[str, ...]) -> bool:
    found = re.search(expression, name)
    return found is not None and found.groups() == expected


def _escaped(text: str) -> str:
    return re.sub(r"([.^$*+?{}\[\]\\|()])", r"\\\1", text)


def natural_order(fields: Sequence[Field]) -> list[int]:
    """Indices of the names in the order of these fields, the first one first."""
    keys = list(zip(*(field.values for field in fields), strict=True))
    return sorted(range(len(keys)), key=keys.__getitem__)


def number_argument(names: Sequence[str]) -> str | None:
    """What `number` is told to read names as they are read without it; None where nothing is."""
    fields = parse_fields(names)
    readings = [r for r in readings_of(list(names), fields) if len(r.fields) == 1]
    chosen = [r for r in readings if r.option == "number" and r.names == tuple(names)]
    return option_of(chosen[-1], names, fields) if chosen else None
