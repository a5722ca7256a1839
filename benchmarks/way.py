"""What a row is: one thing to do, and every way of doing it.

A way is prepared (imported, opened) once and then timed; preparing is a function of
its own, so that another process can do it with the same row and way for measuring
memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

Role: TypeAlias = Literal["limit", "brainxr", "peer"]
Timed: TypeAlias = Callable[[], Any]
Check: TypeAlias = Callable[[Any], str | None]


def nothing() -> None:
    """Nothing to be done before."""


@dataclass(frozen=True)
class Way:
    """One way of doing what a row is about.

    Attributes
    ----------
    name : str
    role : {"limit", "brainxr", "peer"}
    prepare : callable
        Imports and opens; returns the function that is timed.
    refused : str, optional
        Why it is not run.
    before : callable
        Done before each run, and not timed.
    """

    name: str
    role: Role
    prepare: Callable[[], Timed]
    refused: str | None = None
    before: Callable[[], None] = nothing


@dataclass(frozen=True)
class Row:
    """One thing to do, and the ways of doing it.

    Attributes
    ----------
    name : str
    stack : str or None
        Which stack it reads.
    ways : tuple of Way
    checker : callable
        Returns the function that tells what is wrong with a result; called once,
        before the first way runs.
    brief : callable
        What of a result is compared.
    cold : bool
        Whether the files have to be out of the page cache each time.
    most : int or None
        How often it is timed at most, beside the run that is compared.
    """

    name: str
    stack: str | None
    ways: tuple[Way, ...]
    checker: Callable[[], Check]
    brief: Callable[[Any], Any] = np.asarray
    cold: bool = False
    most: int | None = None
