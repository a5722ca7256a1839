"""What a case of the torture suite is: files, and what has to come of them.

A case says nothing about who reads the files, so that everybody can be asked:
`test_torture` asks brainxr, ``python -m benchmarks.torture`` asks its peers.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

# What has to be there is known before anything is read, or read back by a library that
# is not brainxr.
Oracle: TypeAlias = "np.ndarray | Callable[[Path], np.ndarray]"

# Every stack lies in a folder of this name, so that its spacing is no guess.
FOLDER = "stack_25um_iso"
SPACING = 25.0

# Five slices of seven rows and eleven columns, of which no two voxels are alike.
SHAPE = (5, 7, 11)
IMAGES = (np.arange(np.prod(SHAPE), dtype=np.uint16) * 167 % 65521).reshape(SHAPE)


@dataclass(frozen=True)
class Values:
    """The files are a stack, and these are its voxels.

    Attributes
    ----------
    oracle : numpy.ndarray or callable
        Shape (z, y, x); a callable is given the folder.
    numbers : sequence of int, optional
        Place of each slice, in slices from the first; by default 0, 1, 2, ...
    warning : tuple of (str, tuple of str), optional
        The class of a warning that has to be given, and words of it.
    spacing : mapping of str to float, optional
        In µm; by default that of the folder's name.
    """

    oracle: Oracle
    numbers: Sequence[int] | None = None
    warning: tuple[str, tuple[str, ...]] | None = None
    spacing: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys("zyx", SPACING))

    def array(self, folder: Path) -> np.ndarray:
        return self.oracle(folder) if callable(self.oracle) else self.oracle


@dataclass(frozen=True)
class Refused:
    """The files are no stack, or not any more, and somebody has to say so.

    Attributes
    ----------
    kind : str
        The class of the error.
    words : tuple of str
        What its message has to have in it, the name of the file above all.
    at : {"open", "read"}
        When brainxr finds it: on opening, or when the slice is read.
    found_by : {"check", "deep", None}
        Which inspection of the whole stack finds it, too; None where there is no stack.
    or_values : Oracle, optional
        What is no stack for brainxr, and may be these values for others.
    """

    kind: str
    words: tuple[str, ...]
    at: str = "read"
    found_by: str | None = None
    or_values: Oracle | None = None


@dataclass(frozen=True)
class Case:
    """One row of the suite.

    Attributes
    ----------
    name : str
    write : callable
        Writes the files into a folder that is given to it.
    expect : Values or Refused
    path : str
        What is opened, seen from the folder; by default the folder itself.
    between : callable, optional
        What happens to the folder between opening and reading.
    options : mapping
        What `brainxr.open` is told; a case that needs them is brainxr's own.
    asks : str
        What somebody has to have promised to be judged by the case: ``"folder"``,
        ``"pages"``, ``"places"``, ``"order"``, ``"changes"``, ...
    tool : str, optional
        A program of the system, without which the files can't be written.
    act : callable, optional
        Does something else with brainxr than opening and reading, and returns the voxels.
    locked : tuple of str
        What nobody has rights to, from opening on; the folder itself is ``"."``.
    mode : int
        The rights that are left.
    family : str
        Filled in by the table in which the case stands.
    """

    name: str
    write: Callable[[Path], object]
    expect: Values | Refused
    path: str = ""
    between: Callable[[Path], object] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    asks: str = "folder"
    tool: str | None = None
    act: Callable[[Path], Any] | None = None
    locked: tuple[str, ...] = ()
    mode: int = 0
    family: str = ""

    def target(self, folder: Path) -> str:
        return str(folder / self.path) if self.path else str(folder)


def names(form: str = "slice_{}.tif", numbers: Sequence[int] = range(1, 6)) -> list[str]:
    return [form.format(number) for number in numbers]


@contextmanager
def locked(case: Case, folder: Path) -> Iterator[None]:
    """Without the rights that a case takes away, be who runs it root or not."""
    paths = [folder / name for name in case.locked]
    before = [stat.S_IMODE(path.stat().st_mode) for path in paths]
    is_root = bool(paths) and hasattr(os, "geteuid") and os.geteuid() == 0
    for path in paths:
        path.chmod(case.mode)
    if is_root:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        for path, bits in zip(paths, before, strict=True):
            path.chmod(bits)


_NOBODY = 65534


@contextmanager
def home(case: Case) -> Iterator[Path]:
    """A folder with the files of a case, which others may enter; it goes at the end."""
    with tempfile.TemporaryDirectory(prefix="torture-") as parent:
        os.chmod(parent, 0o755)
        folder = Path(parent, FOLDER)
        folder.mkdir()
        case.write(folder)
        yield folder
