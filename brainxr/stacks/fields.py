"""The fields of file names: numbers with what stands around them, such as ``_z0004``.

im_t000_z0004_c01.tif  ->  t 0, z 4, c 1
sec_-0.50mm.tif        ->  sec -0.5 mm
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from brainxr.geometry import units as u

Number: TypeAlias = int | float

DIGITS = re.compile(r"(\d+)")

# Labels that say what a number counts: slices along the stack, or something else.
PLACE_LABELS = frozenset({"z", "slice", "slices", "section", "sec", "plane", "page"})
CHANNEL_LABELS = frozenset({"c", "ch", "chan", "channel", "w", "wavelength", "ex", "em"})
TIME_LABELS = frozenset({"t", "time", "tp", "timepoint"})

# Labels of lengths that are no positions along the stack: of tiles, and of voxels.
_OTHER_LENGTHS = frozenset(
    {"x", "y", "xy", "res", "resolution", "voxel", "vox", "px", "pixel", "iso", "fov", "thickness"}
)

# Wavelengths of light sources and filters, in nanometres.
LIGHT = (300, 1100)

# What may be the sign of a number.
MINUS = "-\N{MINUS SIGN}"
# A hyphen behind one of these, or at the beginning, separates nothing: it is a sign.
_SEPARATORS = " _(=/"
_UNIT = re.compile(r" ?(nm|um|µm|μm|microns?|mm|cm)(?![a-z])", re.IGNORECASE)
_WHOLE_LENGTH = re.compile(
    r"(?<![\d.,])(\d+)(?= ?(?:nm|um|µm|μm|microns?|mm|cm)(?![a-z]))", re.IGNORECASE
)
_PREFIX = re.compile(r"([^\W\d_]+)[ _-]?[ (]*$")
_SUFFIX = re.compile(r"([^\W\d_]+)")


@dataclass(frozen=True)
class Field:
    """One number of names that are alike but for their numbers.

    Attributes
    ----------
    label : str
        The word at the number, in lower case: ``"z"`` of ``_Z0004``.
    written : tuple of str
        The number of each name as it is written.
    values : tuple of int or float
    unit : str
        Unit of length behind the number, else empty.
    before, after : str
        The text on either side, up to the next number; without a sign.
    first, last : int
        Which groups of digits the number consists of; two where it has a decimal point.
    is_doubtful : bool
        True if it may be read in two ways: a hyphen before it as a minus sign or a separator,
        or a decimal number without a unit as one number or two.
    """

    label: str
    written: tuple[str, ...]
    values: tuple[Number, ...]
    unit: str
    before: str
    after: str
    first: int
    last: int
    is_doubtful: bool = False

    @cached_property
    def varies(self) -> bool:
        return len(set(self.values)) > 1

    @cached_property
    def is_distinct(self) -> bool:
        return len(set(self.values)) == len(self.values)

    @property
    def is_decimal(self) -> bool:
        return self.last > self.first

    @property
    def is_signed(self) -> bool:
        return any(text[0] in MINUS for text in self.written)

    @property
    def is_wavelength(self) -> bool:
        low, high = LIGHT
        return self.unit == "nm" and all(low <= value <= high for value in self.values)

    @property
    def is_position(self) -> bool:
        """True if each number is a length along the stack: it has a unit, and is nothing else."""
        return bool(self.unit) and not self.separates

    @property
    def separates(self) -> bool:
        """True if it tells stacks apart: channels, times, laser lines, tiles or resolutions."""
        labels = CHANNEL_LABELS | TIME_LABELS
        # a single letter stands at its number: c01, but not c_01
        at_number = len(self.label) > 1 or self.before.lower().endswith(self.label)
        other = bool(self.unit) and self.label in _OTHER_LENGTHS
        return self.is_wavelength or other or (self.label in labels and at_number)

    @property
    def counts_slices(self) -> bool:
        return self.label in PLACE_LABELS

    @property
    def sign_pattern(self) -> str:
        """Regular expression of its sign as it is written; empty where it has none."""
        signs = {text[0] for text in self.written if text[0] in MINUS}
        return "" if not signs else signs.pop() if len(signs) == 1 else f"[{MINUS}]"

    @property
    def digits_pattern(self) -> str:
        """Regular expression of the number without its sign."""
        if not self.is_decimal:
            return r"\d+"
        if any(text.endswith(".0") for text in self.written):  # or it was written without
            return r"\d+(?:\.\d+)?"
        return r"\d+,\d+" if "," in self.written[0] else r"\d+\.\d+"

    @cached_property
    def micrometers(self) -> tuple[float, ...]:
        factor = u.factor(spelled(self.unit), to=u.MICROMETER)
        # the nearest number to the product: -0.25 mm is -250 µm, and 0.3 mm is 300
        return tuple(round(value * factor, 9) for value in self.values)


def stem(name: str) -> str:
    """Return a name without its suffix."""
    return name[: name.rindex(".")]


def kinds_of(names: Sequence[str]) -> list[list[str]]:
    """Group names that are alike but for their numbers, in natural order of the groups."""
    kinds: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in sorted(names):
        kinds[tuple(DIGITS.split(stem(name))[::2])].append(name)
    return sorted(kinds.values(), key=lambda kind: natural_key(kind[0]))


def natural_key(name: str) -> tuple[tuple[str, int], ...]:
    """Sort key by which 2 comes before 10."""
    pieces = [*DIGITS.split(name), "0"]
    return tuple((text, int(n)) for text, n in zip(pieces[::2], pieces[1::2], strict=True))


def differ_by_writing(kinds: Sequence[Sequence[str]]) -> bool:
    """True if kinds are one, but for a sign or a decimal point that some of the names have."""
    keys = {
        tuple(_unsigned(text)[0] for text in DIGITS.split(_with_point(stem(kind[0])))[::2])
        for kind in kinds
    }
    return len(kinds) > 1 and len(keys) == 1


def parse_fields(names: Sequence[str]) -> list[Field]:
    """Parse names of one kind into the fields that all of them have, in the names' order."""
    pieces = [DIGITS.split(stem(name)) for name in names]
    if len(set(map(len, pieces))) > 1:
        pieces = [DIGITS.split(_with_point(stem(name))) for name in names]
    columns = list(zip(*pieces, strict=True))
    texts, digits = columns[::2], columns[1::2]
    fields = []
    first = 0
    while first < len(digits):
        last = first + _is_decimal(texts, digits, first)
        fields.append(_field(texts, digits, first, last))
        first = last + 1
    return fields


def _with_point(text: str) -> str:
    """The text with each length written as a decimal number: 9um as 9.0um, beside 31.5um."""
    return _WHOLE_LENGTH.sub(r"\1.0", text)


def _field(
    texts: Sequence[Sequence[str]], digits: Sequence[Sequence[str]], first: int, last: int
) -> Field:
    after = texts[last + 1][0]
    unit = _unit(after)
    before, signs, is_doubtful = _signs(texts[first], unit, behind_digits=first > 0)
    # the 1 of 1.0.1mm may be the end of 0.1
    is_doubtful |= bool(unit) and first > 0 and texts[first][0] in (".", ",")
    mark = texts[first + 1][0] if last > first else ""
    numbers = zip(*digits[first : last + 1], strict=True)
    written = tuple(s + mark.join(parts) for s, parts in zip(signs, numbers, strict=True))
    return Field(
        _label(before, after, is_first=first == 0), written, tuple(map(_value, written)), unit,
        before, after, first, last, is_doubtful or (last > first and not unit),
    )  # fmt: skip


def _signs(
    column: Sequence[str], unit: str, behind_digits: bool
) -> tuple[str, Sequence[str], bool]:
    """Text before a number without its sign, the sign of each, and if that is in doubt."""
    if not any(text and text[-1] in MINUS for text in {column[0], column[-1], *column}):
        return column[0], ("",) * len(column), False
    split = [_unsigned(text) for text in column]
    before, signs = split[0][0], [sign for _, sign in split]
    behind_a_word = before[-1] not in _SEPARATORS if before else behind_digits
    if all(signs) and behind_a_word and not unit:  # a separator: brain-8 is the eighth
        return column[0], ("",) * len(column), False
    # some have it: it separates nothing, unless it is the end of a word; all have it: it may
    return before, signs, behind_a_word if all(signs) == bool(unit) else all(signs)


def _unsigned(text: str) -> tuple[str, str]:
    """Text before a number, and the hyphen that may be its sign."""
    return (text[:-1], text[-1]) if text and text[-1] in MINUS else (text, "")


def _value(written: str) -> Number:
    text = written.replace("\N{MINUS SIGN}", "-").replace(",", ".")
    return float(text) if "." in text else int(text)


def _is_decimal(
    texts: Sequence[Sequence[str]], digits: Sequence[Sequence[str]], first: int
) -> bool:
    """True if these digits and the next are one number: 0.5, but neither 1.2.3 nor 001.0002."""
    if first + 1 >= len(digits):
        return False
    mark, behind = texts[first + 1][0], texts[first + 2][0]
    if mark not in (".", ",") or texts[first][0] == mark:
        return False
    if behind == mark and first + 2 < len(digits):
        return False
    if _unit(behind):
        return True
    whole, parts = digits[first], digits[first + 1]
    padded = any(len(text) > 1 and text[0] == "0" for text in whole)
    # read as one number or as two, these have one order and the same places
    same = len({len(text) for text in parts}) == 1 or len(set(parts)) == 1
    signed = any(_signs(texts[first], "", behind_digits=first > 0)[1])
    return (
        mark == "." and not padded and (signed or not same or len(set(whole)) > 1 < len(set(parts)))
    )


def _unit(after: str) -> str:
    found = _UNIT.match(after)
    return found[1] if found else ""


def spelled(unit: str) -> str:
    """A unit as `brainxr.geometry.units` knows it."""
    return "micrometer" if unit.lower().startswith("micron") else unit.lower()


def _label(before: str, after: str, is_first: bool) -> str:
    """The word before a number, else the one right behind it."""
    found = _PREFIX.search(before)
    # what stands right behind digits belongs to those: the 3 of 10msec_3z is no "msec"
    belongs = found is not None and found.start() == 0 and not is_first and found[1] != before
    own = "" if found is None or belongs else found[1].lower()
    at_number = found is not None and found.end(1) == len(before)
    behind = _SUFFIX.match(after) if not _unit(after) else None
    suffix = "" if behind is None else behind[1].lower()
    # the word that touches the number, where it is known: the z of a_001z
    known = suffix in PLACE_LABELS | CHANNEL_LABELS | TIME_LABELS
    return suffix if not own or (known and not at_number) else own


def describe_numbers(numbers: Sequence[int]) -> str:
    """Say what increasing numbers look like, if not like a count; empty where that is unknown."""
    texts = [str(number) for number in numbers]
    lengths = set(map(len, texts))
    if lengths == {8} and all(_is_date(text) for text in texts):
        return " but look like dates"
    if lengths <= {14, 15, 16, 17} and all(_is_date(text) for text in texts):
        return " but look like dates and times"
    if lengths <= {5, 6} and all(_is_time(text.zfill(6)) for text in texts):
        return " but look like times of day"
    if lengths in ({10}, {13}) and all(text[0] == "1" for text in texts):
        return " but look like times in seconds or milliseconds"
    return ""


def _is_date(text: str) -> bool:
    return text[:2] in ("19", "20") and 1 <= int(text[4:6]) <= 12 and 1 <= int(text[6:8]) <= 31


def _is_time(text: str) -> bool:
    return int(text[:2]) < 24 and int(text[2:4]) < 60 and int(text[4:6]) < 60
