"""A store, or a folder of slices, while it is being written: beside its place, until it is whole.

    .NAME.partial/recipe.json      what is made of what: only the same goes on
                 /finished/...     a file for each box that is written and on the disk
                 /writing/RUN/...  files that are not whole yet, of the run that writes now
                 /store/...        becomes NAME, by one rename

So what stands at its place is whole or not there, and whatever interrupts the writing
(a kill, a power cut, a full disk), what was finished is not done again.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from brainxr.errors import StoreExistsError, StoreWriteError
from brainxr.stores.zarrstore import is_store
from brainxr.writing.behind import Behind
from brainxr.writing.pieces import Piece
from brainxr.writing.straight import write_file
from brainxr.writing.target import Box, Note, WriteFile, box_name, named_box, something_else

# What the system says when there is no more room, or none for this user or file.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


# What is in its folder beside the store.
_NOTES = {"finished", "recipe.json", "recipe.json.new", "replaced", "writing"}


@dataclass(frozen=True)
class Unfinished:
    """A store that is being written; safe in several threads and processes at a time.

    Attributes
    ----------
    target : str
        Absolute path at which it will stand.
    is_ours : callable
        Whether a folder is one that may be replaced by it; a function of a module.
    kind : str
        What such a folder is, for messages.
    run : str
        Different each time that it is begun or gone on with: tasks of an earlier time, which
        a cluster may still be at, write nothing any more.
    """

    target: str
    is_ours: Callable[[str], bool] = is_store
    kind: str = "Zarr store"
    run: str = field(default_factory=lambda: uuid.uuid4().hex, compare=False, repr=False)

    @cached_property
    def folder(self) -> Path:
        """What is beside the target until it is whole; the dot hides it from listings."""
        path = Path(self.target)
        return path.with_name(f".{path.name}.partial")

    @property
    def place(self) -> str:
        return str(self.folder)

    @cached_property
    def _writes_in(self) -> Path:
        return self.folder / "writing" / self.run

    # --- beginning ---

    def begin(self, recipe: Mapping[str, Any], overwrite: bool) -> None:
        """Begin, or go on where the same was begun before.

        Parameters
        ----------
        recipe : mapping
            All that makes the store what it will be, for JSON.
        overwrite : bool
            Whether a store at the target will be replaced, and what was begun of
            something else is thrown away.

        Raises
        ------
        StoreExistsError
            When there is something at the target, or something else was begun, and it
            may not be replaced.
        StoreWriteError
        """
        self.tidy_up()
        self._check_target(overwrite)
        begun = self._begun()
        if begun is not None and begun != json.loads(json.dumps(recipe)):
            if not overwrite:
                raise StoreExistsError(something_else(self, begun, recipe))
            self._throw_away()
        with self._writing(self.place):
            shutil.rmtree(self.folder / "writing", ignore_errors=True)
            for folder in (self.folder / "finished", self.folder / "store", self._writes_in):
                folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / "recipe.json").exists():
                write_file(self.folder / "recipe.json.new", json.dumps(recipe, indent=1).encode())
                os.replace(self.folder / "recipe.json.new", self.folder / "recipe.json")

    def tidy_up(self) -> None:
        """Put right what a kill left in the middle of the end.

        Between the two renames: what was to be replaced is brought back. After them: the
        notes speak of files that are at the target by now, so they go.
        """
        old = self.folder / "replaced"
        if old.exists() and not os.path.lexists(self.target):
            os.rename(old, self.target)
        # after the last rename there are notes and no store, and nothing of anybody else's
        if self.folder.is_dir() and "finished" in set(os.listdir(self.folder)) <= _NOTES:
            self._throw_away()
        shutil.rmtree(self._thrown_away, ignore_errors=True)

    @property
    def _thrown_away(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.old")

    def _throw_away(self) -> None:
        """Remove what is unfinished, at once: notes without their recipe would be believed."""
        shutil.rmtree(self._thrown_away, ignore_errors=True)
        os.rename(self.folder, self._thrown_away)
        shutil.rmtree(self._thrown_away, ignore_errors=True)

    def _check_target(self, overwrite: bool) -> None:
        if not os.path.lexists(self.target):
            return
        if not overwrite:
            raise StoreExistsError(
                f"{self.target!r} is there already. Name another place, or replace it by "
                "overwrite=True, once the new one is complete."
            )
        if not os.path.isdir(self.target) or not self.is_ours(self.target):
            raise StoreExistsError(
                f"{self.target!r} is there already and is no {self.kind}, so overwrite=True does "
                "not replace it. Name another place, or remove it yourself."
            )

    def _begun(self) -> Any:
        """The recipe of what was begun; None for nothing."""
        try:
            return json.loads((self.folder / "recipe.json").read_text("utf-8"))
        except FileNotFoundError:
            return None
        except ValueError:  # cut short by a power cut: nothing was finished by then
            self._throw_away()
            return None
        except OSError as error:
            raise StoreWriteError(
                f"{str(self.folder)!r} can't be read: {error}. Look after it."
            ) from error

    # --- writing ---

    @property
    def holds(self) -> float:
        """Nothing: each piece goes to the file when it is there."""
        return 0.0

    def write(self, key: str, content: bytes | memoryview) -> None:
        """Write a file of the store."""
        path = self._path(key)
        with self._writing(path), self._beside() as new:
            write_file(new, content)
            _put(new, path)

    @contextmanager
    def writing(self) -> Iterator[WriteFile]:
        """Gives what writes files of pieces behind; at its end the disk has all of them.

        It is asked for them together: a file system that writes a journal (ext4, XFS) does so
        once for all, and for each where they are asked for one by one.
        """
        behind = Behind(_put)

        def write(key: str, pieces: Iterable[Piece]) -> None:
            behind.write(self._new, self._path(key), pieces)

        try:
            yield write
        finally:
            written = behind.wait()
        for path, error in written:
            with self._writing(path):
                if error is not None:
                    raise error
                _sync(path)

    def _path(self, key: str) -> str:
        """Where a file of the store is; a string, for there are thousands of them."""
        return os.path.join(self.folder, "store", key)

    @property
    def _new(self) -> str:
        """A name for what is not whole yet, in a folder that is there where this process sees it.

        A worker that doesn't see it must not make one of its own, on another disk.
        """
        return os.path.join(self._writes_in, uuid.uuid4().hex)

    @contextmanager
    def _beside(self) -> Iterator[str]:
        """A name for what is not whole yet, and is removed when something fails."""
        new = self._new
        try:
            yield new
        except BaseException:
            Path(new).unlink(missing_ok=True)
            raise

    def finish(self, box: Box, note: Note, keys: Sequence[str] = ()) -> None:
        """Wait until the disk has these files of a box, too, and note that it has all of it."""
        for path in map(self._path, keys):
            with self._writing(path):
                _sync(path)
        path = os.path.join(self.folder, "finished", box_name(box))
        with self._writing(path), self._beside() as new:
            write_file(new, note.to_bytes())
            _sync(new)
            os.replace(new, path)

    def finished(self) -> dict[Box, Note]:
        """Boxes that need not be written again, and what was noted of each."""
        paths = sorted((self.folder / "finished").glob("*.npz"))
        notes = {named_box(path.name): Note.from_bytes(path.read_bytes()) for path in paths}
        return {box: note for box, note in notes.items() if note is not None}

    def forget(self, boxes: Sequence[Box]) -> None:
        """Have boxes written again."""
        for box in boxes:
            (self.folder / "finished" / box_name(box)).unlink()

    @contextmanager
    def _writing(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreWriteError(self._failed(path, error)) from error

    def _failed(self, path: str, error: OSError) -> str:
        message = f"{self.target!r} can't be written: {error.strerror or error}, at {path!r}."
        if error.errno not in _FULL:
            return f"{message} Check the rights to write there, or name another place."
        free = shutil.disk_usage(self.folder.parent).free
        return (
            f"{message} There are {free / 1e6:.1f} MB free in {str(self.folder.parent)!r}. What is "
            "finished stays: make room there, and ask for the same again to go on."
        )

    # --- the end ---

    def publish(self) -> None:
        """Put the store in its place; one that was there before goes when the new one stands."""
        store, old = self.folder / "store", self.folder / "replaced"
        with self._writing(self.target):
            for path in (store, *store.rglob("*.json"), *store.rglob(".z*")):
                _sync(path)
            replaces = os.path.lexists(self.target)
            if replaces:
                os.rename(self.target, old)
            try:
                os.rename(store, self.target)
            except OSError:
                if replaces:
                    os.rename(old, self.target)
                raise
            _sync(self.folder.parent)
        self._throw_away()


def _put(new: str, path: str) -> None:
    """Give a file that is whole its name.

    A worker of a cluster that was given up may still write what another one wrote again:
    so a file that has its name is never opened to be written, but replaced by its like.
    """
    try:
        os.replace(new, path)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.replace(new, path)


def _sync(path: str | Path) -> None:
    """Wait until the disk has a file, or the names in a folder."""
    is_folder = os.path.isdir(path)
    if os.name == "nt" and is_folder:  # which does so by itself
        return
    descriptor = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
