"""Pipes, devices, sockets and folders that have a slice's name: they end never, or begin never."""

from __future__ import annotations

import stat

from brainxr.errors import SliceReadError

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}


def refuse_no_file(path: str, mode: int) -> None:
    """Refuse what is no plain file.

    Parameters
    ----------
    path : str
    mode : int
        ``st_mode`` of what is there, behind all links.

    Raises
    ------
    SliceReadError
    """
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "no file")
        raise SliceReadError(
            f"{path!r} is {kind}, and a slice is a plain file. Move it elsewhere, or restore the "
            "slice that was there."
        )
