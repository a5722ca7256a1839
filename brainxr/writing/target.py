"""What a store is written to, on this machine or at a URL, and what is noted on the way."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from brainxr.writing.pieces import Piece

Box = tuple[int, ...]

# Writes a file of the store, by its key, of pieces that it frees.
WriteFile: TypeAlias = Callable[[str, Iterable[Piece]], None]


class Note(NamedTuple):
    """What is noted of a box that was written: a few of its values, and of what it was made."""

    sample: npt.NDArray[Any]
    source: str

    def to_bytes(self) -> bytes:
        content = io.BytesIO()
        np.savez(content, sample=self.sample, source=np.array(self.source))
        return content.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Note | None:
        """What `to_bytes` made; None for what was cut short."""
        try:
            with np.load(io.BytesIO(content)) as noted:
                return cls(noted["sample"], str(noted["source"]))
        except (ValueError, EOFError, KeyError, zipfile.BadZipFile):
            return None


class Target(Protocol):
    """A store that is being written; safe in several threads and processes at a time.

    Attributes
    ----------
    target : str
        Path or URL at which it will stand.
    place : str
        Where what is unfinished lies.
    holds : float
        What it has in memory of a box that is being written, in boxes, at most.
    """

    @property
    def target(self) -> str: ...
    @property
    def place(self) -> str: ...
    @property
    def holds(self) -> float: ...

    def begin(self, recipe: Mapping[str, Any], overwrite: bool) -> None:
        """Begin, or go on where the same was begun before."""

    def write(self, key: str, content: bytes | memoryview) -> None:
        """Write a file of the store."""

    def writing(self) -> AbstractContextManager[WriteFile]:
        """Gives what writes files of pieces; at its end all of them are safe.

        When something fails, too, nothing is written any more at its end.
        """

    def finish(self, box: Box, note: Note, keys: Sequence[str] = ()) -> None:
        """Wait until these files of a box are safe, too, and note that all of it is."""

    def finished(self) -> dict[Box, Note]:
        """Boxes that need not be written again, and what was noted of each."""

    def forget(self, boxes: Sequence[Box]) -> None:
        """Have boxes written again."""

    def publish(self) -> None:
        """Make it a store, once everything is written."""


def box_name(box: Box) -> str:
    """Name of the file of a box's note.

    >>> box_name((3, 0, 1)), named_box("3.0.1.npz")
    ('3.0.1.npz', (3, 0, 1))
    """
    return ".".join(map(str, box)) + ".npz"


def named_box(name: str) -> Box:
    """The box of a note, by the name of its file."""
    return tuple(int(number) for number in name.removesuffix(".npz").split("."))


def how_to_go_on(target: Target) -> str:
    """For whoever was interrupted."""
    return (
        f"What is finished of {target.target!r} stays in {target.place!r}. Ask for the same again "
        "to go on; remove that folder to give up."
    )


def something_else(target: Target, begun: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    """That what was begun isn't what is asked for."""
    unlike = [
        f"{key} {begun.get(key)!r} there, {value!r} here"
        for key, value in recipe.items() if begun.get(key) != value
    ]  # fmt: skip
    return (
        f"{target.place!r} has what was begun of something else: {'; '.join(unlike)}. Ask "
        "for the same as then to go on, or begin again with overwrite=True, or remove that folder."
    )
