"""Bytes of a file at a URL, of which some may be here already. The only user of pooch.

pooch gets a file as a whole, and begins again where that was interrupted. So its downloader writes
to a body that goes on where the last one ended, and looks at the head of each answer before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any

from brainxr.errors import FetchError, MissingExtraError
from brainxr.writing.wholefile import write_all

# Seconds until a server that says nothing is given up: to connect, and between two parts.
PATIENCE = (10.0, 30.0)

# So much is written at once, and lost where a server breaks off in the middle of it.
PART_BYTES = 1 << 17

# Every zip begins so; a page that asks for a password doesn't.
_ZIP = b"PK"

_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d*/(\d+|\*)")


class MirrorError(Exception):
    """A mirror doesn't give a file, or not this one; the message follows its name."""


class BrokenOffError(MirrorError):
    """A mirror that gave a part of a file, and may give the rest."""


class Partial:
    """What is here of a file, and where that came from.

    Parameters
    ----------
    file : binary file
        Open to be read and written.
    path : pathlib.Path
        Its name.
    size : int
        Bytes of the whole.
    told : callable
        Is told how many bytes there are by now.
    """

    def __init__(self, file: IO[bytes], path: Path, size: int, told: Callable[[int], None]) -> None:
        self.file = file
        self.path = path
        self.size = size
        self.here = file.seek(0, 2)
        self._note = note_of(path)
        self._told = told
        if self.here > size:
            self.clear()

    def clear(self) -> None:
        """Throw away what is here."""
        self.file.seek(0)
        self.file.truncate()
        self.here = 0
        self._told(0)

    def write(self, data: bytes) -> None:
        """One more part, as pooch hands it over."""
        if not self.here and not data.startswith(_ZIP):
            raise MirrorError("sends a text, and no zip" if data.isascii() else "sends no zip")
        if self.here + len(data) > self.size:
            self.clear()
            raise MirrorError(f"sends more than the {self.size} bytes that are expected")
        try:
            write_all(self.file, data)
        except OSError as error:
            raise FetchError(
                f"{str(self.path)!r} can't be written: {error.strerror or error}. The first "
                f"{self.here} of {self.size} bytes are kept: make room there, and fetch it again."
            ) from error
        self.here += len(data)
        self._told(self.here)

    def flush(self) -> None:
        """Nothing: each part is written as it comes."""

    def validator(self, url: str) -> str | None:
        """By which the server at a URL knows the version that this is a part of."""
        with suppress(OSError, ValueError, AttributeError):
            note = json.loads(self._note.read_text("utf-8"))
            return str(note["validator"]) if note.get("url") == url and note["validator"] else None
        return None

    def comes_from(self, url: str, validator: str | None) -> None:
        """Note where what follows comes from."""
        self._note.write_text(json.dumps({"url": url, "validator": validator}), "utf-8")


def note_of(partial: Path) -> Path:
    """The file that tells where a partial one comes from."""
    return partial.with_name(f"{partial.name}.json")


def download(url: str, partial: Partial) -> None:
    """Get what is missing of a file, by one request.

    Raises
    ------
    MirrorError
        When the server refuses, breaks off, says nothing for a while, or has another file. What
        came until then is kept.
    FetchError
        When the disk is full.
    MissingExtraError
    """
    headers = {"Accept-Encoding": "identity"}  # a zip is packed, and parts of it are counted
    if partial.here:
        headers["Range"] = f"bytes={partial.here}-"
        validator = partial.validator(url)
        if validator is not None:  # else the checksum tells whether both parts are of one file
            headers["If-Range"] = validator
    with ExitStack() as answers:  # which nobody closes where one breaks off

        def look(answer: Any, **_: Any) -> None:
            answers.callback(answer.close)
            _look_at(answer, url, partial)

        get = load_pooch().HTTPDownloader(
            chunk_size=PART_BYTES, timeout=PATIENCE, headers=headers, hooks={"response": look}
        )
        try:
            get(url, partial, None)
        except FetchError:
            raise
        except OSError as error:  # all that requests raises are OSErrors
            raise _told(error) from error


def _look_at(answer: Any, url: str, partial: Partial) -> None:
    """Refuse another file before a byte of it is taken, and begin at its beginning if it must be.

    An answer by an error is left to pooch, and a redirection to requests.
    """
    if answer.is_redirect or answer.status_code not in (200, 206):
        return
    start, size = _stretch(answer)
    if size is not None and size != partial.size:
        raise MirrorError(f"has a file of {size} bytes, where {partial.size} are expected")
    if start not in (0, partial.here):
        raise MirrorError(f"sends bytes from {start} on, when asked for those from {partial.here}")
    if start == 0:  # the whole: it doesn't give parts, or has another version than the last time
        partial.clear()
    partial.comes_from(url, _validator(answer.headers))


def _stretch(answer: Any) -> tuple[int, int | None]:
    """Where an answer begins in the file, and the size of the file if it is told."""
    if answer.status_code == 200:
        told = answer.headers.get("Content-Length")
        return 0, int(told) if told is not None and told.isdecimal() else None
    said = answer.headers.get("Content-Range", "")
    found = _CONTENT_RANGE.match(said)
    if found is None:
        raise MirrorError(f"sends a part of the file without telling which ({said!r})")
    return int(found[1]), None if found[2] == "*" else int(found[2])


def _validator(headers: Any) -> str | None:
    """What tells versions of a file apart to the byte: no ETag that is called weak."""
    etag = headers.get("ETag")
    told = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")
    return None if told is None else str(told)


def _told(error: OSError) -> MirrorError:
    """Why requests gave up, without its names for things."""
    answer = getattr(error, "response", None)
    if answer is not None:
        return MirrorError(f"answers {answer.status_code} ({answer.reason})")
    kind = type(error).__name__
    if "Timeout" in kind or "timed out" in str(error):
        return BrokenOffError(f"said nothing for {PATIENCE[1]:g} seconds")
    if kind == "ChunkedEncodingError":
        return BrokenOffError("broke off")
    return BrokenOffError(f"gives no answer ({kind})")


def md5_of(path: Path) -> str:
    """MD5 of a file in hexadecimal; about two seconds a GB."""
    return str(load_pooch().file_hash(str(path), alg="md5"))


def load_pooch() -> Any:
    """The module pooch.

    Raises
    ------
    MissingExtraError
    """
    try:
        import pooch
    except ImportError as error:
        raise MissingExtraError(
            "Fetching a dataset needs pooch, which is not installed. Install it: "
            'pip install "brainxr[fetch]".'
        ) from error
    return pooch
