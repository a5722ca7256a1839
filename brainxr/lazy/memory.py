"""How much memory there is for this process. The only user of psutil.

A machine may have more than a container, a job of a cluster or a user may take: what goes
beyond is not slow but killed, without a word. dask.distributed knows the limit of its
workers; here it matters how much of one is left.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil

GROUPS, OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")

# Files of a control group of Linux, of version 2 and 1: its limit, and what is taken.
_FILES = {
    2: ("memory.max", "memory.current", "inactive_file"),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def available_memory() -> int:
    """Bytes that this process may take: what the machine has left, and each limit set to it."""
    rooms = [psutil.virtual_memory().available, *rooms_of_groups(), *_room_of_addresses()]
    return max(0, min(rooms))


def rooms_of_groups(groups: Path = GROUPS, own: Path = OWN_GROUPS) -> Iterator[int]:
    """What is left of the limit of each control group that this process is in (Linux)."""
    try:
        lines = own.read_text().splitlines()
    except OSError:  # another system
        return
    for _, controllers, path in (line.split(":", 2) for line in lines):
        if controllers and "memory" not in controllers.split(","):
            continue
        version, root = (1, groups / "memory") if controllers else (2, groups)
        # in a container its own group is the root, whatever its path outside
        place = root / path.lstrip("/")
        for folder in (place, *place.parents):
            if folder.is_relative_to(root):
                yield from _room_of(folder, *_FILES[version])


def _room_of(folder: Path, limit: str, taken: str, cached: str) -> Iterator[int]:
    try:
        most = (folder / limit).read_text().strip()
        if most != "max":
            yield int(most) - int((folder / taken).read_text()) + _stat(folder, cached)
    except (OSError, ValueError):  # the root has no limit, and others may not be looked at
        return


def _stat(folder: Path, name: str) -> int:
    """Bytes of files that are kept and given up when somebody needs the room."""
    lines = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
    return int(next((value for key, value in lines if key == name), 0))


def _room_of_addresses() -> Iterator[int]:
    """What is left of ``ulimit -v``."""
    try:
        import resource
    except ImportError:  # Windows
        return
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    if most != resource.RLIM_INFINITY:
        yield most - psutil.Process().memory_info().vms
