"""Text files that say which slices there are, or where they lie: .txt and .csv."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Sequence
from pathlib import Path

from brainxr.errors import EmptyStackError, GeometryError, SliceReadError, StackError
from brainxr.geometry import units as u
from brainxr.stacks.fields import spelled

SUFFIXES = (".txt", ".csv")

# 100,000 paths of 300 letters.
_MOST_BYTES = 1 << 26

_FILE_COLUMNS = frozenset(
    {"file", "files", "path", "paths", "filename", "file name", "name", "image"}
)
_POSITION_COLUMN = re.compile(
    r"(?:positions?|pos|place|z|y|x|ap|bregma|depth|height)[ _]*"
    r"[(\[]?(nm|um|µm|μm|microns?|mm|cm)?[)\]]?",
    re.IGNORECASE,
)


def is_list_file(path: str) -> bool:
    """True if a file holds the paths of slices, by its name."""
    return path.lower().endswith(SUFFIXES)


def read_paths(path: str) -> tuple[list[str], list[str] | None]:
    """Read the paths of slices, and their positions where a column has them.

    Paths are relative to the file that they stand in. Of a .txt each line is a path, but
    for empty ones and those that begin with ``#``.

    Raises
    ------
    EmptyStackError, StackError, SliceReadError
    """
    if path.lower().endswith(".csv"):
        header, rows = _table(path)
        if not rows:
            raise EmptyStackError(f"{path!r} is empty. Write the path of a slice a line.")
        files, positions = _columns(header, len(rows[0]))
        if files is None:
            raise StackError(
                f"{path!r} has no column of files: expected a header with 'file' or 'path', or one "
                f"column without a header. Found {', '.join(map(repr, header or rows[0]))}."
            )
        listed = [row[files] for row in rows]
        told = None if positions is None else _positions(rows, *positions)
    else:
        lines = [line.strip() for line in _text(path).splitlines()]
        listed, told = [line for line in lines if line and not line.startswith("#")], None
    if not listed:
        raise EmptyStackError(f"{path!r} has no paths in it. Write the path of a slice a line.")
    folder = os.path.dirname(os.path.abspath(path))
    return [os.path.join(folder, os.path.expanduser(file)) for file in listed], told


def read_positions(path: str) -> dict[str, str] | list[str]:
    """Read positions of slices from a .csv: by the name of a file, or one a slice.

    Raises
    ------
    GeometryError, StackError, SliceReadError
    """
    header, rows = _table(path)
    if not rows:
        raise GeometryError(f"{path!r} has no positions in it. Write one a line.")
    files, positions = _columns(header, len(rows[0]))
    if positions is None and header is None:
        files, positions = (None, (0, "")) if len(rows[0]) == 1 else (0, (1, ""))
    if positions is None:
        raise GeometryError(
            f"{path!r} has no column of positions: expected one named 'position', 'z', 'z_um' or "
            f"'position (mm)'. Found {', '.join(map(repr, header or []))}."
        )
    told = _positions(rows, *positions)
    return told if files is None else dict(zip((row[files] for row in rows), told, strict=True))


def _columns(header: Sequence[str] | None, width: int) -> tuple[int | None, tuple[int, str] | None]:
    """Which column has the files; which the positions, and their unit."""
    if header is None:
        return (0 if width == 1 else None), None
    files = [i for i, name in enumerate(header) if name in _FILE_COLUMNS]
    positions = [
        (i, m[1] or "") for i, name in enumerate(header) if (m := _POSITION_COLUMN.fullmatch(name))
    ]
    return files[0] if files else None, positions[0] if positions else None


def _positions(rows: Sequence[Sequence[str]], column: int, unit: str) -> list[str]:
    """The lengths of a column as text with a unit; that of the header, or µm."""
    unit = spelled(unit) if unit else u.MICROMETER
    return [
        f"{cell} {unit}" if _is_number(cell) else cell for cell in (row[column] for row in rows)
    ]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _table(path: str) -> tuple[list[str] | None, list[list[str]]]:
    """The header in lower case, where there is one, and the rows."""
    lines = [line for line in _text(path).splitlines() if line.strip()]
    separator = ";" if lines and lines[0].count(";") > lines[0].count(",") else ","
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator)]
    width = len(rows[0]) if rows else 0
    for number, row in enumerate(rows, 1):
        if len(row) != width:
            raise StackError(
                f"{path!r} has {len(row)} columns in row {number}, and {width} in the first. "
                "Correct it."
            )
    first = [cell.lower() for cell in rows[0]] if rows else []
    is_header = any(c in _FILE_COLUMNS or _POSITION_COLUMN.fullmatch(c) for c in first)
    return (first, rows[1:]) if is_header else (None, rows)


def _text(path: str) -> str:
    path = os.path.expanduser(path)
    try:
        if (size := os.path.getsize(path)) > _MOST_BYTES:
            raise StackError(
                f"{path!r} has {size} bytes, more than any list of slices. Give the list of the "
                "slices themselves."
            )
        return Path(path).read_text("utf-8-sig")
    except OSError as error:
        raise SliceReadError(f"{path!r} can't be read: {error.strerror}. Restore it.") from error
    except UnicodeDecodeError as error:
        raise StackError(f"{path!r} is not text in UTF-8. Save it as such.") from error
