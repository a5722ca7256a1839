"""Locks of brainxr's own that are free in a forked process.

A fork copies locks in the state in which other threads hold them, and nobody frees the
copies. Here brainxr's own are made anew in the child. Those of other libraries are theirs:
see "Processes" in docs/reliability.md for what a fork can't promise.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from functools import cached_property
from typing import Any


def lock_that_survives_a_fork() -> threading.Lock:
    """Make a lock that is free in a forked process, whatever other threads were doing.

    For locks of a module that are held for a moment: a fork waits for that.
    """
    lock = threading.Lock()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
        )
    return lock


def _renew_cached_properties() -> None:
    """Give brainxr's cached properties free locks; from Python 3.12 on they have none."""
    for one in _cached_properties():
        one.lock = threading.RLock()


def _cached_properties() -> Iterator[Any]:
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "brainxr":
            classes = [one for one in vars(module).values() if isinstance(one, type)]
            own = [kind for kind in classes if kind.__module__.startswith("brainxr.")]
            for one in (each for kind in own for each in vars(kind).values()):
                if isinstance(one, cached_property):
                    yield one


if hasattr(os, "register_at_fork") and sys.version_info < (3, 12):
    os.register_at_fork(after_in_child=_renew_cached_properties)
