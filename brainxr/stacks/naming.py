"""The order of slices by their names, or a refusal that tells both ways to read them.

The last number that varies is the number of a slice, as long as the natural order of the
whole names (decimals and signs read as such) agrees with it. Names that can be read in
two ways, or that are several stacks, are refused with a call for each.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from brainxr.errors import StackError, shortlist
from brainxr.stacks.calls import MOST_CALLS, Calls, count_slices, lines_of
from brainxr.stacks.fields import (
    CHANNEL_LABELS,
    DIGITS,
    PLACE_LABELS,
    TIME_LABELS,
    Field,
    differ_by_writing,
    kinds_of,
    parse_fields,
    stem,
)
from brainxr.stacks.readings import Reading, natural_order, option_of, readings_of

# Ways to read names that a message offers.
_MOST_READINGS = 3


def _labelled(labels: frozenset[str]) -> re.Pattern[str]:
    words = "|".join(sorted((w for w in labels if len(w) > 1), key=len, reverse=True))
    letters = "".join(sorted(w for w in labels if len(w) == 1))
    return re.compile(rf"(?:^|[^a-z])(?:(?:{words})[ _-]?|[{letters}])$", re.IGNORECASE)


# A single number is no plain count if one of these stands before or behind it: the label of
# a channel or a time, a sign, a decimal point, a unit of length.
_SEPARATING = _labelled(CHANNEL_LABELS | TIME_LABELS)
_PLACE = _labelled(PLACE_LABELS)
_PLACE_BEHIND = re.compile(r"z(?![a-z])", re.IGNORECASE)
_PART_BEFORE = re.compile(r"(?:\d[.,]|(?:^|[ _(=/])[-\N{MINUS SIGN}])$")
_PART_BEHIND = re.compile(r"[.,]\d| ?(?:nm|um|µm|μm|microns?|mm|cm)(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True)
class Ordered:
    """Names in the order of a stack.

    Attributes
    ----------
    names : tuple of str
    numbers : tuple of int
        Increasing; 0, 1, 2, ... where `heights` tell the places.
    heights : tuple of float, optional
        Position of each slice in µm, increasing, where the names tell it.
    known : bool
        True if the numbers are known to count places: by their label, or because the
        caller said so.
    """

    names: tuple[str, ...]
    numbers: tuple[int, ...]
    heights: tuple[float, ...] | None = None
    known: bool = False


def order_names(names: Sequence[str], calls: Calls, number: str | None = None) -> Ordered:
    """Order names of slices.

    Parameters
    ----------
    names : sequence of str
    calls : Calls
        How the calls in a message begin.
    number : str, optional
        A regular expression with a group, or the label of a field, as in `brainxr.open`.

    Raises
    ------
    StackError
        When the names are several stacks, share numbers, or can be read in two ways.
    """
    names = list(names)
    if number is not None:
        return _by_argument(sorted(names), calls, number)
    ordered = _order(names)
    if ordered is None:
        raise StackError(_why_not(sorted(names), calls))
    return ordered


def order_or_none(names: list[str], *, quickly: bool = False) -> Ordered | None:
    """Order names; None where that takes a decision, or is not to be seen quickly."""
    return _alike_but_for_one_number(names) if quickly else _order(names)


def _order(names: list[str]) -> Ordered | None:
    if len(names) == 1:
        return Ordered((names[0],), (0,))
    alike = _alike_but_for_one_number(names)
    return alike if alike is not None else _by_fields(sorted(names))


# --- names that are alike but for one number -------------------------------------------------


def _alike_but_for_one_number(names: list[str]) -> Ordered | None:
    """Order names that are alike but for one plain number; None for all others.

    What nearly every stack is. It is found without taking every name to pieces, which
    for 100,000 of them takes a second.
    """
    names = sorted(names)
    first, last = DIGITS.split(names[0]), DIGITS.split(names[-1])
    varying = [i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b]
    if len(first) != len(last) or len(varying) != 1 or varying[0] % 2 == 0:
        return None
    before, behind = "".join(first[: varying[0]]), "".join(first[varying[0] + 1 :])
    if _PART_BEFORE.search(before) or _SEPARATING.search(before) or _PART_BEHIND.match(behind):
        return None
    # no name has a NUL in it, so what lies between these borders is what differs
    head, tail = "\0" + before, behind + "\0"
    text = "\0" + "\0".join(names) + "\0"
    if not text.startswith(head) or not text.endswith(tail):
        return None
    digits = text[len(head) : -len(tail)].split(tail + before)
    if len(digits) != len(names) or "" in digits or not "".join(digits).isdecimal():
        return None
    known = bool(_PLACE.search(before) or _PLACE_BEHIND.match(behind))
    return _increasing(_as_integers(digits), names, known)


def _as_integers(digits: list[str]) -> npt.NDArray[Any]:
    joined = " ".join(digits)
    if joined.isascii():  # all at once: five times as fast as one by one
        numbers = np.fromstring(joined, np.int64, sep=" ")
        if numbers.max() < np.iinfo(np.int64).max:  # what is larger than that becomes that
            return numbers
    return np.array([int(number) for number in digits], dtype=object)


def _increasing(numbers: npt.NDArray[Any], names: list[str], known: bool) -> Ordered | None:
    """Both in the order of the numbers; None where a number occurs twice."""
    if not (numbers[1:] > numbers[:-1]).all():  # 10 is before 2
        order = numbers.argsort()
        numbers, names = numbers[order], [names[i] for i in order.tolist()]
    if not (numbers[1:] > numbers[:-1]).all():
        return None
    return Ordered(tuple(names), tuple(numbers.tolist()), known=known)


# --- names with several fields ---------------------------------------------------------------


def _by_fields(names: list[str]) -> Ordered | None:
    fields = _fields_of(names)
    varying = [field for field in fields or () if field.varies]
    if fields is None or any(field.separates for field in varying):
        return None
    place = _place_among(varying, readings_of(names, fields))
    if place is None:
        return None
    order = natural_order([place])
    ordered = tuple(names[i] for i in order)
    if place.is_position:
        heights = tuple(place.micrometers[i] for i in order)
        return Ordered(ordered, tuple(range(len(names))), heights, known=True)
    numbers = tuple(int(place.values[i]) for i in order)
    return Ordered(ordered, numbers, known=place.counts_slices)


def _fields_of(names: list[str]) -> list[Field] | None:
    """The fields of names of one kind; None where they are several kinds, or have no number."""
    kinds = kinds_of(names)
    if len(kinds) > 1 and not differ_by_writing(kinds):
        return None
    return parse_fields(names) or None


def _place_among(varying: Sequence[Field], readings: Sequence[Reading]) -> Field | None:
    """The field that is the place of a slice, if all ways to read the names agree on it."""
    if not varying or any(field.is_doubtful for field in varying):
        return None
    natural = natural_order(varying)
    agreeing = [f for f in varying if f.is_distinct and natural_order([f]) == natural]
    # a unit or a label tells what a number is; of the others, nothing does
    positions = [field for field in agreeing if field.is_position]
    if positions:
        return positions[0] if len(positions) == 1 else None
    for known in (
        [field for field in agreeing if field.label == "z"],
        [field for field in agreeing if field.counts_slices],
    ):
        if len(known) == 1:
            return known[0]
    last = varying[-1]
    by_field = {(r.names, r.places) for r in readings if len(r.fields) == 1}
    return last if last in agreeing and len(by_field) == 1 else None


# --- what is refused -------------------------------------------------------------------------


def _why_not(names: list[str], calls: Calls) -> str:
    """The message for names that `_order` has no order for."""
    kinds = kinds_of(names)
    if len(kinds) > 1 and not differ_by_writing(kinds):
        return _first_without_number(names, kinds, calls) or _several_stacks(names, calls)
    fields = parse_fields(names)
    if not fields:
        return (
            f"The names {shortlist(names)} in {calls.place!r} are alike and carry no number, so "
            "they are no slices of one stack. Open the one you mean by its path."
        )
    varying = [field for field in fields if field.varies]
    twins = _twins(names, varying or fields[-1:])
    if twins:
        number = (varying or fields)[-1].values[names.index(twins[0])]
        return (
            f"{len(twins)} files in {calls.place!r} have slice number {number}: "
            f"{shortlist(twins)}. A stack has one file a slice: move the others elsewhere, or open "
            "a list of the files you mean."
        )
    if any(field.separates for field in varying):
        return _several_stacks(names, calls)
    return _several_readings(names, fields, kinds, calls)


def _twins(names: list[str], fields: Sequence[Field]) -> list[str]:
    """Names with the same numbers as another, of the first such numbers."""
    by_key: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for i, name in enumerate(names):
        by_key[tuple(field.values[i] for field in fields)].append(name)
    return next((found for found in by_key.values() if len(found) > 1), [])


def _several_stacks(names: list[str], calls: Calls) -> str:
    parts = list(_parts(names))
    shown = [
        (call, count_slices(len(part), words))
        for part, words, options in parts[:MOST_CALLS]
        if (call := calls.part(part, names, **options)) is not None
    ]
    fields = _fields_of(names) or []
    varying = [field for field in fields if field.varies]
    if len(varying) == 1 and varying[0].is_distinct and calls.opened:
        reading = readings_of(names, fields)[0]
        call = calls.whole(**{reading.option: option_of(reading, names, fields)})
        shown.insert(
            0, (call, f"{count_slices(len(names))}, if {varying[0].label!r} counts slices")
        )
    return (
        f"The {len(names)} TIFF files in {calls.place!r} are {len(parts)} stacks by their names, "
        f"and a volume has one. Open the one you mean:\n{lines_of(shown, len(parts))}"
    )


def _parts(names: list[str], words: str = "") -> Iterator[tuple[list[str], str, dict[str, Any]]]:
    """The stacks in names, each with what it is called and what reads it."""
    kinds = kinds_of(names)
    if _order(names) is not None:
        yield names, words, {}
    elif len(kinds) > 1 and not differ_by_writing(kinds):
        for kind in kinds:
            yield from _parts(kind, words)
    elif fields := parse_fields(names):
        groups = _groups(names, fields)
        readings = readings_of(names, fields)
        for group, what in groups:
            yield from _parts(group, f"{words} {what}".strip())
        if not groups and readings:
            yield names, words, {readings[0].option: option_of(readings[0], names, fields)}
        elif not groups:
            yield from (([name], words, {}) for name in names)
    else:
        yield from (([name], words, {}) for name in names)


def _groups(names: list[str], fields: Sequence[Field]) -> list[tuple[list[str], str]]:
    """Names by channel and time; without these, by all but the number of the slice.

    Empty where that leaves nothing together.
    """
    varying = [field for field in fields if field.varies]
    by = [field for field in varying if field.separates]
    if not by and len(varying) > 1:
        places = [f for f in varying if f.label == "z"] or [f for f in varying if f.counts_slices]
        place = places[-1] if places else varying[-1]
        by = [field for field in varying if field is not place]
    groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for i in range(len(names)):
        groups[tuple(field.values[i] for field in by)].append(i)
    if len(groups) < 2 or (len(groups) == len(names) and not any(f.separates for f in by)):
        return []
    if not any(f.separates for f in by) and min(map(len, groups.values())) < 2:
        return []
    return [
        ([names[i] for i in group], " ".join(_word(field, group[0]) for field in by))
        for _, group in sorted(groups.items())
    ]


def _word(field: Field, i: int) -> str:
    return f"{field.label}{' ' * (len(field.label) > 2)}{field.written[i]}{field.unit}"


def _several_readings(
    names: list[str], fields: list[Field], kinds: list[list[str]], calls: Calls
) -> str:
    readings = readings_of(names, fields)[:_MOST_READINGS]
    ways = [
        (
            calls.whole(**{r.option: option_of(r, names, fields)}),
            f"{r.what}: {shortlist(r.names, 3)}",
        )
        for r in readings
        if calls.opened
    ]
    groups = _groups(names, fields) if len(kinds) == 1 else [(kind, "") for kind in kinds]
    parts = [
        (call, count_slices(len(group), words))
        for group, words in groups[:MOST_CALLS]
        if (call := calls.part(group, names)) is not None
    ]
    several = f"{len(readings)} ways" if len(readings) > 1 else "more than one way"
    text = (
        f"The names of the {len(names)} TIFF files in {calls.place!r} can be read in {several}, "
        "and nothing tells which number is the place of a slice. Open the one you mean"
    )
    if not ways and not parts:
        return f"{text} by number=, a regular expression whose group is the number."
    text = f"{text}:\n{lines_of(ways)}" if ways else f"{text}:"
    return (
        f"{text}\nor one of {len(groups)} stacks:\n{lines_of(parts, len(groups))}"
        if parts
        else text
    )


def _first_without_number(names: list[str], kinds: list[list[str]], calls: Calls) -> str | None:
    """The message for scan.tif, scan (1).tif, scan (2).tif; None for other names."""
    kinds = sorted(kinds, key=len)
    if len(kinds) != 2 or len(kinds[0]) != 1:
        return None
    first, ordered = kinds[0][0], _order(kinds[1])
    if ordered is None or not _is_copy(stem(kinds[1][0]), stem(first)):
        return None
    ways = [
        (calls.files([first, *ordered.names]), f"{count_slices(len(names))}, {first} first"),
        (calls.part(ordered.names, names), f"{count_slices(len(ordered.names))}, without {first}"),
    ]
    shown = [(call, what) for call, what in ways if call is not None]
    return (
        f"{first!r} in {calls.place!r} has no number of its own, and the other "
        f"{len(ordered.names)} have one: it may be their first slice, or none. Open what you "
        f"mean:\n{lines_of(shown)}"
    )


def _is_copy(name: str, original: str) -> bool:
    """True if a name is another one with a number in it: ``scan (1)``, ``Pos0_1.ome``."""
    return any(
        name[: found.start()] + name[found.end() :] == original
        for found in re.finditer(r"[ _-]?\(?\d+\)?", name)
    )


# --- what a person says ----------------------------------------------------------------------


def _by_argument(names: list[str], calls: Calls, number: str) -> Ordered:
    """Order names by the number that the caller named."""
    keys = _labelled_numbers(names, number) if number.isalpha() else _matched(names, number)
    order = sorted(range(len(names)), key=keys.__getitem__)
    ordered = tuple(names[i] for i in order)
    counts = Counter(keys)
    if len(counts) < len(names):
        key = next(key for key in sorted(counts) if counts[key] > 1)
        twins = [name for name, own in zip(names, keys, strict=True) if own == key]
        raise StackError(
            f"{len(twins)} files in {calls.place!r} have the same number by number={number!r}: "
            f"{shortlist(twins)}. A stack has one file a slice: open a pattern or list of the "
            "files you mean."
        )
    if len(keys[0]) > 1:
        return Ordered(ordered, tuple(range(len(names))), known=True)
    return Ordered(ordered, tuple(int(keys[i][0]) for i in order), known=True)


def _labelled_numbers(names: list[str], label: str) -> list[tuple[Any, ...]]:
    """The number at a label in each name."""
    found: dict[str, tuple[Any, ...]] = {}
    for kind in kinds_of(names):
        fields = parse_fields(kind)
        chosen = [field for field in fields if field.label == label.lower()]
        if len(chosen) != 1 or chosen[0].is_decimal:
            known = sorted({field.label for field in fields if field.label})
            there = f"labels there are {shortlist(known)}" if known else "there is no label"
            raise StackError(
                f"number={label!r} is not the label of one whole number in {kind[0]!r}: {there}. "
                "Give one of these, or a regular expression whose group is the number."
            )
        found |= {name: (value,) for name, value in zip(kind, chosen[0].values, strict=True)}
    return [found[name] for name in names]


def _matched(names: list[str], number: str) -> list[tuple[Any, ...]]:
    """What the groups of a regular expression find in each name."""
    expression = compiled(number, "number")
    keys = []
    for name in names:
        found = expression.search(name)
        if found is None or None in found.groups():
            raise StackError(
                f"number={number!r} finds nothing in {name!r}. Each name has to have it."
            )
        key = tuple(map(_number_or_text, found.groups()))
        if len(key) == 1 and not (key[0][0] == 0 and isinstance(key[0][1], int)):
            raise StackError(
                f"number={number!r} finds {found[1]!r} in {name!r}, which is no whole number. For "
                "lengths say positions=..., for example positions='z(.*)mm'."
            )
        keys.append(tuple(part[1] for part in key) if len(key) == 1 else key)
    return keys


def _number_or_text(text: str) -> tuple[int, Any]:
    plain = text.replace("\N{MINUS SIGN}", "-").replace(",", ".")
    for kind in (int, float):
        try:
            return 0, kind(plain)
        except ValueError:
            pass
    return 1, text


def compiled(expression: str, what: str) -> re.Pattern[str]:
    """A regular expression with a group, or an error that names the argument."""
    try:
        found = re.compile(expression)
    except re.error as error:
        raise StackError(
            f"{what}={expression!r} is not a regular expression: {error}. Correct it, or put a "
            "backslash before characters that mean themselves."
        ) from None
    if not found.groups:
        raise StackError(
            f"{what}={expression!r} has no group. Put what is meant in parentheses, for example "
            + (r"number=r'_z(\d+)'." if what == "number" else r"positions=r'z(.*)mm'.")
        )
    return found
