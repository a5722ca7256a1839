"""A dataset from one of its mirrors: whole and verified, or not there.

    NAME.zip there? ── its MD5 ──▶ path
    .NAME.zip.partial ── mirrors in turn ──▶ whole ── MD5 ──▶ renamed; NAME.zip.md5 beside it

What was interrupted stays beside its place, locked by the process that goes on with it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from brainxr.cache import cache_folder
from brainxr.errors import FetchError
from brainxr.lazy.cost import show_bytes
from brainxr.progress import byte_bar
from brainxr.samples.datasets import Dataset, File, find_file
from brainxr.samples.download import (
    BrokenOffError,
    MirrorError,
    Partial,
    download,
    load_pooch,
    md5_of,
    note_of,
)
from brainxr.stacks.slices import PathLike
from brainxr.stacks.stack import Plane
from brainxr.writing.wholefile import refuse_full_disk

try:
    import fcntl
except ImportError:  # Windows, where the checksum alone tells that two wrote into one file
    fcntl = None  # type: ignore[assignment]

# How often a mirror that breaks off is asked for the rest, as long as more comes each time.
TRIES = 20


def fetch(
    name: str = "edlow-100um", *, plane: Plane = "axial", to: PathLike | None = None,
    progress: bool | None = None,
) -> Path:  # fmt: skip
    """Path of a dataset, which is downloaded unless it is there already.

    Says how much it is before it begins, and asks nothing; 2 GB for a plane of the 100 µm
    brain. What was interrupted goes on where it stopped. One that is there is verified once,
    about two seconds a GB; from then on nothing is read, and nobody is asked. Needs
    ``pip install "brainxr[fetch]"``.

    Parameters
    ----------
    name : str
        ``"edlow-100um"``; `brainxr.datasets` lists what there is, with licence and citation.
    plane : {"axial", "coronal", "sagittal"}
        Of which slices.
    to : path-like, optional
        Folder to keep it in. Default: ``datasets`` in the user's cache folder, or where the
        environment variable ``BRAINXR_CACHE`` says.
    progress : bool, optional
        Whether to say what is fetched, and show a bar. Default: to say it, and a bar in a terminal.

    Returns
    -------
    pathlib.Path
        A zip that `brainxr.open` opens as it is, beside which ``.md5`` has its checksum.

    Raises
    ------
    ValueError
        When there is no such dataset, or not of this plane.
    FetchError
        When no mirror gives it as it should be (what each did is told), or another file
        stands in its place. Nothing is replaced, and nothing unverified stands there.
    OSError
        When there is no room on the disk, found before anybody is asked.
    MissingExtraError
        When pooch is not installed.

    Examples
    --------
    >>> vol = brainxr.open(brainxr.fetch("edlow-100um", plane="axial"))  # doctest: +SKIP
    """
    dataset, file = find_file(name, plane)
    target = _folder(dataset, to) / file.name
    load_pooch()  # which says so if it isn't there
    while not _is_here(target, file):
        with _alone(target) as opened:
            if opened is not None:  # else somebody else was busy with it, and ended
                _fetch(_Job(dataset, plane, file, target), opened, progress)
    return target


def _folder(dataset: Dataset, to: PathLike | None) -> Path:
    if to is None:
        return cache_folder() / "datasets" / dataset.name
    folder = Path(os.path.abspath(os.path.expanduser(to)))
    if folder.exists() and not folder.is_dir():
        raise FetchError(
            f"{str(folder)!r} is a file, and a dataset is kept in a folder, by its own name, which "
            "tells spacing and plane. Name a folder."
        )
    return folder


# --- what is there already --------------------------------------------------------------


def _is_here(target: Path, file: File) -> bool:
    """Whether it is there and verified; False where nothing is in its way."""
    if not os.path.lexists(target):
        return False
    size = _size(target)
    found = f"{size} bytes, expected {file.bytes}"
    if size == file.bytes:
        if _was_verified(target, file):
            return True
        md5 = md5_of(target)
        found = f"an MD5 of {md5}, expected {file.md5}"
        if md5 == file.md5:
            _note_verified(target, file)
            return True
    raise FetchError(
        f"{str(target)!r} is there already, and is not the dataset: {found}. Nothing was fetched, "
        "and nothing replaced: move it elsewhere, or name another folder."
    )


def _size(target: Path) -> int:
    return target.stat().st_size if target.is_file() else 0


def _checksum_file(target: Path) -> Path:
    return target.with_name(f"{target.name}.md5")


def _was_verified(target: Path, file: File) -> bool:
    """Whether its checksum was compared after it was last changed, or moved here."""
    note = _checksum_file(target)
    with suppress(OSError):
        status = target.stat()
        changed = max(status.st_mtime_ns, status.st_ctime_ns)
        return note.read_text() == _line(file) and note.stat().st_mtime_ns >= changed
    return False


def _note_verified(target: Path, file: File) -> None:
    with suppress(OSError):  # in a folder that may only be read, it is verified each time
        _checksum_file(target).write_text(_line(file))


def _line(file: File) -> str:
    """As ``md5sum -c`` reads it."""
    return f"{file.md5}  {file.name}\n"


# --- one at a time ----------------------------------------------------------------------


def _partial(target: Path) -> Path:
    return target.with_name(f".{target.name}.partial")


@contextmanager
def _alone(target: Path) -> Iterator[IO[bytes] | None]:
    """What is here of the file, for nobody else; None if somebody else ended with it just now."""
    target.parent.mkdir(parents=True, exist_ok=True)
    path = _partial(target)
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0) as file:
        _lock(file.fileno(), path)
        if not path.exists() or not os.path.samestat(os.fstat(file.fileno()), path.stat()):
            yield None  # it was moved into its place, or thrown away
        elif target.exists():
            path.unlink()
            yield None
        else:
            yield file


def _lock(descriptor: int, path: Path) -> None:
    """Wait until nobody else works at what is begun."""
    if fcntl is None:
        return
    with suppress(OSError):  # a disk that knows no locks: the checksum tells
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"Somebody else is fetching {str(path)!r}: waiting for them.")
            fcntl.flock(descriptor, fcntl.LOCK_EX)


# --- from a mirror ----------------------------------------------------------------------


@dataclass(frozen=True)
class _Job:
    """A file that is being fetched."""

    dataset: Dataset
    plane: str
    file: File
    target: Path

    def kept(self, here: int) -> str:
        """What is here of it, and how to go on."""
        if not here:
            return "Nothing is kept."
        of = f"{show_bytes(here)} of {show_bytes(self.file.bytes)}"
        return f"{of} are kept in {str(_partial(self.target))!r}: fetch it again to go on."


def _fetch(job: _Job, opened: IO[bytes], progress: bool | None) -> None:
    size = job.file.bytes
    here = os.fstat(opened.fileno()).st_size
    refuse_full_disk(size - min(here, size), job.target.parent)
    if progress is not False:
        _say(_announcement(job, here))
    with byte_bar(f"{job.dataset.name} {job.plane}", size, here, progress) as told:
        partial = Partial(opened, _partial(job.target), size, told)
        try:
            _from_some_mirror(job, partial)
        except KeyboardInterrupt as error:
            error.add_note(job.kept(partial.here))
            raise
    _publish(job, opened)


def _announcement(job: _Job, here: int) -> str:
    rest = f", of which {show_bytes(here)} are here already" if here else ""
    size = f"{show_bytes(job.file.bytes)}{rest}"
    return (
        f"Fetching {job.file.name}, {size}, into {str(job.target.parent)!r} "
        f"(licence {job.dataset.license}; cite doi:{job.dataset.doi})."
    )


def _from_some_mirror(job: _Job, partial: Partial) -> None:
    failed: list[str] = []
    for url in job.file.mirrors:
        try:
            _from_mirror(url, partial, job.file)
            return
        except MirrorError as error:
            failed.append(f"{url} {error}")
    if not partial.here:
        _forget(job)
    raise FetchError(
        f"{job.file.name!r} can't be fetched from any of its mirrors: {'; '.join(failed)}. "
        f"{job.kept(partial.here)} Look after the connection; or download it by hand, see "
        f"{job.dataset.home}, and put it at {str(job.target)!r}."
    )


def _from_mirror(url: str, partial: Partial, file: File) -> None:
    """All of it, verified; what is wrong is thrown away.

    Parts that came at different times, or from different mirrors, may be right each and
    wrong together. So where there were several, it is fetched once more from its beginning.
    """
    for _ in range(2):
        in_one = _continue(url, partial)
        found = md5_of(partial.path)
        if found == file.md5:
            return
        partial.clear()
        if in_one:
            break
    raise MirrorError(
        f"gives a file with an MD5 of {found}, expected {file.md5}; it was thrown away"
    )


def _continue(url: str, partial: Partial) -> bool:
    """Ask for the rest until it is here; whether it came as a whole."""
    in_one, why = not partial.here, ""
    for number in range(TRIES):
        before = partial.here
        if before == partial.size:
            return in_one and number == 1
        why = _ask(url, partial)
        if partial.here <= before:
            raise MirrorError(why)
    if partial.here < partial.size:
        raise MirrorError(f"{why} {TRIES} times")
    return False


def _ask(url: str, partial: Partial) -> str:
    """Ask once; why what came is not all, if it isn't."""
    try:
        download(url, partial)
    except BrokenOffError as error:
        return str(error)
    return "broke off"


def _publish(job: _Job, opened: IO[bytes]) -> None:
    """Put it in its place, by one rename, when the disk has it."""
    os.fsync(opened.fileno())
    if fcntl is None:  # Windows moves no file that is open
        opened.close()
    os.replace(_partial(job.target), job.target)
    note_of(_partial(job.target)).unlink(missing_ok=True)
    _note_verified(job.target, job.file)


def _forget(job: _Job) -> None:
    for path in (_partial(job.target), note_of(_partial(job.target))):
        path.unlink(missing_ok=True)


def _say(text: str) -> None:
    print(text, file=sys.stderr)
