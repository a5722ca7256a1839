"""Files that are whole or not there: written beside their place, then moved into it.

What is unfinished is locked by its process. A process that is killed leaves it behind, and the
system unlocks it: so the next one that writes the same knows that nobody wants it, and removes it.
"""

from __future__ import annotations

import glob
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from brainxr.stacks.slices import PathLike

try:
    import fcntl
except ImportError:  # Windows, where a file that is open can't be removed
    fcntl = None  # type: ignore[assignment]


def checked_target(
    path: PathLike, suffixes: Sequence[str], what: str, overwrite: bool = False
) -> Path:
    """Where a file will be written, refused before anything is read for it.

    Parameters
    ----------
    path : path-like
    suffixes : sequence of str
        The endings that it may have, in lower case and with their dot.
    what : str
        What it will be, for the message: ``"a movie"``.
    overwrite : bool
        Whether a file that is there will be replaced.

    Raises
    ------
    ValueError
        When it ends with none of these.
    OSError
        When its folder is not there, or a folder is in its place, or a file that may not
        be replaced.
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
    if not overwrite:
        _refuse_existing(target)
    return target


def _refuse_existing(target: Path) -> None:
    if os.path.lexists(target):
        raise FileExistsError(
            f"{str(target)!r} is there already. Name another place, or replace it by "
            "overwrite=True, once the new one is complete."
        )


@contextmanager
def whole_file(target: Path, overwrite: bool = False) -> Iterator[Path]:
    """A hidden path beside the target to write to; it takes the target's place at the end.

    What stood there before stays until the new file is whole, and for good where there
    was an error, or Ctrl-C; and without `overwrite`. What a process that was killed
    left of the same target is removed.
    """
    # the ending goes on, since libraries choose the format by it
    partial = beside(target, target.suffix)
    try:
        with kept(partial):
            yield partial
            if not overwrite:  # it may have come in the meantime
                _refuse_existing(target)
            os.replace(partial, target)
    except FileExistsError:  # it came meanwhile
        raise
    except OSError as error:
        if _is_of_another(error, partial):
            raise
        raise _named(error, target) from error
    finally:
        partial.unlink(missing_ok=True)


def beside(target: Path, suffix: str = "") -> Path:
    """A hidden name beside a target, for what is unfinished; abandoned ones are removed."""
    stem = f".{target.name.removesuffix(suffix)}-"
    anything = glob.escape(stem) + "[0-9a-f]" * 12 + glob.escape(f".partial{suffix}")
    for abandoned in target.parent.glob(anything):
        _remove_abandoned(abandoned)
    return target.with_name(f"{stem}{uuid.uuid4().hex[:12]}.partial{suffix}")


@contextmanager
def kept(partial: Path, is_folder: bool = False) -> Iterator[None]:
    """Make a file or folder, which nobody takes for abandoned until the block is left."""
    with ExitStack() as until_left:
        while not _is_locked(partial, is_folder, until_left):
            pass
        yield


def _is_locked(partial: Path, is_folder: bool, until_left: ExitStack) -> bool:
    """Make it and lock it; False where somebody took it for abandoned in between."""
    if is_folder:
        partial.mkdir(exist_ok=True)
    if fcntl is None:
        return True
    try:
        descriptor = os.open(partial, os.O_RDONLY | (0 if is_folder else os.O_CREAT), 0o666)
    except FileNotFoundError:
        if is_folder:
            return False
        raise
    until_left.callback(os.close, descriptor)
    with suppress(OSError):  # where the disk knows no locks, nothing is removed, either
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), os.stat(partial))
    return False


def _remove_abandoned(partial: Path) -> None:
    with suppress(OSError), ExitStack() as until_removed:  # or somebody writes it
        if fcntl is not None:
            descriptor = os.open(partial, os.O_RDONLY)
            until_removed.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if partial.is_dir():
            shutil.rmtree(partial)
        else:
            partial.unlink()


def _is_of_another(error: OSError, partial: Path) -> bool:
    """Whether it is about a file that was read: it has a message of its own, or names that one."""
    return error.errno is None or error.filename not in (None, str(partial), partial)


def _named(error: OSError, target: Path) -> OSError:
    """The same kind of error, which names the file that was asked for, and not the hidden one."""
    said = error.strerror or str(error)
    kind = type(error) if type(error).__module__ == "builtins" else OSError  # PyAV has its own
    return kind(
        f"{str(target)!r} can't be written: {said}. What was there before is as it was; make "
        "room, or name another place."
    )


def write_all(file: IO[bytes], content: Any) -> None:
    """Write bytes, or a C-contiguous array, to a file without a buffer.

    What fails, fails here, and not again when the file is closed.
    """
    left = memoryview(content).cast("B")
    while left:
        left = left[file.write(left) :]


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
