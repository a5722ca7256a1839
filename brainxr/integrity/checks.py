"""Every slice looked at before it is needed: all that is wrong, at once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from brainxr.cluster import active_client, in_order, refuse_unseen
from brainxr.errors import EmptyStackError, StackError
from brainxr.files.pool import WAITING
from brainxr.geometry.extra_dims import At
from brainxr.html import table_html
from brainxr.stacks.locate import find_files
from brainxr.stacks.pages import PageChoice
from brainxr.stacks.parts import find_parts
from brainxr.stacks.positions import Naming, Positions
from brainxr.stacks.slices import PathLike, SliceFiles
from brainxr.stacks.tiff import Header, differences, parse_header

# Headers that a worker of a cluster looks at in one task: a tenth of a second.
FILES_OF_A_TASK = 1024


@dataclass(frozen=True)
class Problem:
    """What is wrong with one slice."""

    file: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}: {self.message}"


@dataclass(frozen=True)
class CheckReport:
    """What `check` found.

    Attributes
    ----------
    folder : str
    slices : int
        Files looked at.
    problems : tuple of Problem
        Slices that can't be read, or differ from the others.
    missing : tuple of int
        Numbers without a slice.
    """

    folder: str
    slices: int
    problems: tuple[Problem, ...]
    missing: tuple[int, ...]

    @property
    def ok(self) -> bool:
        return not self.problems and not self.missing

    def as_dict(self) -> dict[str, Any]:
        """All of it as what JSON can hold; what is no number is None."""
        cleaned: dict[str, Any] = _without_nan(asdict(self) | {"ok": self.ok})
        return cleaned

    def _repr_html_(self) -> str:
        head, *lines = str(self).splitlines()
        rows = {str(i): line.strip() for i, line in enumerate(lines, 1)}
        return table_html(head, rows)

    def __str__(self) -> str:
        if self.ok:
            return f"{self.slices} slices in {self.folder!r}: all readable, alike and complete."
        lines = [f"{len(self.problems)} of {self.slices} slices in {self.folder!r} are wrong."]
        lines += [f"  {problem}" for problem in self.problems]
        if self.missing:
            lines.append(f"{len(self.missing)} slices are missing: {list(self.missing)}.")
        return "\n".join(lines)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def check(
    path: PathLike | Sequence[PathLike], *, inside: str | None = None, at: At | None = None,
    axes: str | None = None, number: str | None = None, positions: Positions | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> CheckReport:  # fmt: skip
    """Look at the header of every slice of a stack, and report all that is wrong.

    Costs one parsed header a file (about 0.1 ms each, no pixels); slices that are
    deflated in a zip are unpacked, and their checksums compared. The slices are
    compared with what most of them are, so that one odd first slice is named and
    not all the others.

    Parameters
    ----------
    path : path-like or sequence of these
        What `brainxr.open` takes.
    inside : str, optional
        Of a zip: a folder, a pattern of names, or one slice in it.
    at, axes, number, positions
        As in `brainxr.open`.
    storage_options : mapping, optional
        Of URLs: what fsspec is told, for example ``{"anon": True}``.

    Returns
    -------
    CheckReport
        ``report.ok``, ``report.problems``, ``report.missing``; prints readably.

    Raises
    ------
    EmptyStackError, StackError
        When there is no stack to check.

    Examples
    --------
    >>> brainxr.check(brainxr.sample("phantom")).ok
    True
    """
    choice, whole = PageChoice.of(at, axes), None
    naming = Naming(number, positions)
    try:
        found = find_parts(path, inside, choice, storage_options, naming)
        files, in_parts = found.files, len(found.parts) > 1
    except EmptyStackError:
        raise
    except StackError as error:  # of one slice, or of what they declare together
        files, in_parts = find_files(path, inside, storage_options, naming), False
        whole = error
    if in_parts:
        names = tuple(dict.fromkeys(files.names))
        files = SliceFiles(files.folder, names, tuple(range(len(names))))
    headers = _headers(files, replace(choice, is_part=True) if in_parts else choice)
    usual = _usual(headers)
    problems = [
        Problem(name, message)
        for name, header in zip(files.names, headers, strict=True)
        if (message := _complaint(header, usual, in_parts)) is not None
    ]
    if whole is not None and not problems:
        problems = [Problem(files.names[0], str(whole))]
    return CheckReport(files.folder, len(files), tuple(problems), tuple(files.missing))


def _headers(files: SliceFiles, choice: PageChoice) -> list[Header | StackError]:
    """The header of every file, or why there is none; on a cluster's workers where there is one."""
    client = active_client()
    if client is None:
        return _some_headers(files, choice, range(len(files)))
    starts = range(0, len(files), FILES_OF_A_TASK)
    parts = [range(i, min(i + FILES_OF_A_TASK, len(files))) for i in starts]
    found = in_order(client, partial(_some_headers, files, choice), parts)
    return [header for some in found for header in some]


def _some_headers(
    files: SliceFiles, choice: PageChoice, numbers: range
) -> list[Header | StackError]:
    refuse_unseen(files.folder)
    with ThreadPoolExecutor(WAITING if files.is_far else None) as pool:
        return list(pool.map(partial(_header, files, choice), numbers))


def _header(files: SliceFiles, choice: PageChoice, i: int) -> Header | StackError:
    try:
        with files.open(i) as file:
            return parse_header(file, choice)
    except StackError as error:
        return error


def _usual(headers: Sequence[Header | StackError]) -> Header | None:
    """The kind of header that most slices have; the first of them in a tie."""
    readable = [h for h in headers if isinstance(h, Header)]
    kinds = Counter(h.kind for h in readable)
    if not kinds:
        return None
    kind = kinds.most_common(1)[0][0]
    return next(h for h in readable if h.kind == kind)


def _complaint(header: Header | StackError, usual: Header | None, in_parts: bool) -> str | None:
    if isinstance(header, StackError):
        return str(header)
    if in_parts and usual is not None:
        header = replace(header, pages=usual.pages)
    difference = differences(header, usual) if usual is not None else None
    return None if difference is None else f"{difference} as most slices have"
