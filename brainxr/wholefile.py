"""Files that are whole or not there: written beside their place, then moved into it."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from brainxr.errors import StackError, StoreError
from brainxr.slices import PathLike


def checked_target(path: PathLike, suffixes: Sequence[str], what: str) -> Path:
    """Where a file will be written, refused before anything is read for it.

    Parameters
    ----------
    path : path-like
    suffixes : sequence of str
        The endings that it may have, in lower case and with their dot.
    what : str
        What it will be, for the message: ``"a movie"``.

    Raises
    ------
    ValueError
        When it ends with none of these.
    OSError
        When its folder is not there, or a folder is in its place.
    """
    target = Path(os.path.abspath(os.path.expanduser(path)))
    if not target.name.lower().endswith(tuple(suffixes)):
        found = f"ends with {target.suffix!r}" if target.suffix else "has no ending"
        example = target.with_suffix(suffixes[0]).name
        raise ValueError(
            f"{str(path)!r} {found}; {what} is written to a file that ends with "
            f"{' or '.join(suffixes)}, for example {example!r}."
        )
    if target.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder. Give {what} another name.")
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"There is no folder {str(target.parent)!r} to write {what} into. Make it first."
        )
    return target


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """A hidden path beside the target to write to; it takes the target's place at the end.

    What stood there before stays until the new file is whole, and for good where there
    was an error, or Ctrl-C.
    """
    # the ending goes on, since libraries choose the format by it
    partial = target.with_name(f".{target.stem}-{uuid.uuid4().hex[:12]}.partial{target.suffix}")
    try:
        yield partial
        os.replace(partial, target)
    except (StackError, StoreError):  # which are about what was read
        raise
    except OSError as error:
        raise _named(error, target) from error
    finally:
        partial.unlink(missing_ok=True)


def _named(error: OSError, target: Path) -> OSError:
    """The same kind of error, which names the file that was asked for, and not the hidden one."""
    said = error.strerror or str(error)
    kind = type(error) if type(error).__module__ == "builtins" else OSError  # PyAV has its own
    return kind(
        f"{str(target)!r} can't be written: {said}. What was there before is as it was; make "
        "room, or name another place."
    )


def refuse_full_disk(needed: int, folder: Path) -> None:
    """Refuse to begin what a disk has no room for.

    Parameters
    ----------
    needed : int
        Bytes.
    folder : pathlib.Path
        In which it will be written; it need not be there yet.

    Raises
    ------
    OSError
    """
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise OSError(
            f"It needs {needed / 1e9:.2f} GB, and {free / 1e9:.2f} GB are free in "
            f"{str(there)!r}. Make room there, or name another place."
        )
