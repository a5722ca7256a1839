"""A store that is written to a URL.

    URL/.brainxr/recipe.json    what is made of what: only the same goes on
        /.brainxr/finished/...  an object for each box that is written
        /0/c/...                shards, in any order
        /zarr.json              last of all: before, it is no image

A bucket has no rename, so the shards are where they will stay, and the metadata make
a store of them at the end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from brainxr.errors import MissingExtraError, StoreExistsError, StoreWriteError
from brainxr.files.urls import file_system, without_secrets
from brainxr.writing.pieces import Piece
from brainxr.writing.target import Box, Note, WriteFile, box_name, named_box, something_else

NOTES = ".brainxr"


@dataclass(frozen=True)
class RemoteStore:
    """A store at a URL that is being written.

    Attributes
    ----------
    target : str
        URL.
    options : mapping
        Of fsspec.
    """

    target: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def place(self) -> str:
        """What there is until it is a store."""
        return f"{self.target}/{NOTES}"

    def begin(self, recipe: Mapping[str, Any], overwrite: bool) -> None:
        """Begin, or go on where the same was begun before.

        Raises
        ------
        StoreExistsError
            When there is something at the URL that was not begun of the same. It can't
            be replaced while it is there: nothing at a URL is put in its place at once.
        StoreWriteError
        """
        with self._reaching() as (files, root):
            begun = self._begun(files, root)
            if begun is None and files.exists(root):
                raise StoreExistsError(
                    f"There is something at {self.target!r} already, and at a URL a store can't "
                    "be replaced at once, whatever overwrite= says. Name another place, or remove "
                    "it first."
                )
            if begun is not None and begun != json.loads(json.dumps(recipe)):
                if not overwrite:
                    raise StoreExistsError(something_else(self, begun, recipe))
                files.rm(root, recursive=True)
                begun = None
            if begun is None:
                self._put(files, f"{root}/{NOTES}/recipe.json", json.dumps(recipe).encode())

    def _begun(self, files: Any, root: str) -> Any:
        try:
            return json.loads(files.cat_file(f"{root}/{NOTES}/recipe.json"))
        except FileNotFoundError:
            return None

    @property
    def holds(self) -> float:
        """Objects are sent as a whole: their pieces, and those put together."""
        return 2.0

    def write(self, key: str, content: bytes | memoryview) -> None:
        """Write an object."""
        with self._reaching() as (files, root):
            self._put(files, f"{root}/{key}", bytes(content))

    @contextmanager
    def writing(self) -> Iterator[WriteFile]:
        """Gives what writes objects of pieces, each at once."""
        yield lambda key, pieces: self.write(key, b"".join(map(_content, pieces)))

    def finish(self, box: Box, note: Note, keys: Sequence[str] = ()) -> None:
        """Note that all objects of a box are written."""
        self.write(f"{NOTES}/finished/{box_name(box)}", note.to_bytes())

    def finished(self) -> dict[Box, Note]:
        """Boxes that need not be written again, and what was noted of each."""
        with self._reaching() as (files, root):
            folder = f"{root}/{NOTES}/finished"
            files.invalidate_cache()
            names = files.ls(folder, detail=False) if files.exists(folder) else []
            contents = {name.rpartition("/")[2]: files.cat_file(name) for name in sorted(names)}
        notes = {named_box(name): Note.from_bytes(content) for name, content in contents.items()}
        return {box: note for box, note in notes.items() if note is not None}

    def forget(self, boxes: Sequence[Box]) -> None:
        """Have boxes written again."""
        with self._reaching() as (files, root):
            for box in boxes:
                files.rm(f"{root}/{NOTES}/finished/{box_name(box)}")

    def publish(self) -> None:
        """Remove the notes: with its metadata, which came last, it is a store."""
        with self._reaching() as (files, root):
            files.rm(f"{root}/{NOTES}", recursive=True)

    def _put(self, files: Any, path: str, content: bytes) -> None:
        try:
            files.pipe_file(path, content)
        except FileNotFoundError:
            if not path.startswith("/"):  # of a bucket, which is not ours to make
                raise
            files.makedirs(path.rpartition("/")[0], exist_ok=True)
            files.pipe_file(path, content)

    def _told(self, error: Exception) -> str:
        return without_secrets(str(error), self.options)

    @contextmanager
    def _reaching(self) -> Iterator[tuple[Any, str]]:
        """The file system, and the store's path in it; what fails says where."""
        try:
            yield file_system(self.target, self.options)
        except ImportError as error:
            raise MissingExtraError(
                f"{self.target!r} can't be written: {self._told(error)}. Install what "
                "fsspec needs for it."
            ) from None
        except (StoreExistsError, StoreWriteError):
            raise
        except (OSError, ValueError, NotImplementedError) as error:
            raise StoreWriteError(
                f"{self.target!r} can't be written: {type(error).__name__}: "
                f"{self._told(error)}. Check the URL, the rights to write there and "
                "storage_options."
            ) from None


def _content(piece: Piece) -> bytes:
    content = bytes(piece.data)
    piece.free()
    return content
