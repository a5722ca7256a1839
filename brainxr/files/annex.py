"""Files whose content was not fetched: links and pointers of git-annex (DataLad) and Git LFS."""

from __future__ import annotations

import os

_LFS = b"version https://git-lfs.github.com/"
_ANNEX = "annex/objects/"

# A pointer is one or three lines; what is larger is content.
_MOST_BYTES = 32_768


def not_fetched(path: str) -> str | None:
    """Say that a file's content was not fetched, and how it is; None for any other file."""
    name = os.path.basename(path)
    try:
        if os.path.islink(path) and not os.path.exists(path):
            return _annexed(path, "a link of") if _ANNEX in _slashed(os.readlink(path)) else None
        if os.path.getsize(path) > _MOST_BYTES:
            return None
        with open(path, "rb") as file:
            head = file.read(200)
    except OSError:
        return None
    if head.startswith(_LFS):
        return (
            f"{path!r} is a pointer of Git LFS: its content was not fetched. Fetch it: "
            f"git lfs pull --include={name!r}."
        )
    if head.startswith(b"/" + _ANNEX.encode()):
        return _annexed(path, "a pointer of")
    return None


def _annexed(path: str, what: str) -> str:
    return (
        f"{path!r} is {what} git-annex (DataLad): its content was not fetched. Fetch it: "
        f"datalad get {path!r}, or git annex get."
    )


def _slashed(path: str) -> str:
    return path.replace("\\", "/")
