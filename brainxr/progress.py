"""A bar for what takes long. The only user of tqdm."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

SECONDS_BEFORE_PROGRESS = 2.0

T = TypeVar("T")


def with_progress(
    items: Iterable[T], label: str, unit: str, progress: bool | None, total: int | None = None
) -> Iterable[T]:
    """The same items, with a bar on stderr.

    Parameters
    ----------
    items : iterable
    label, unit : str
        What is made, and what of it is counted: ``"axial.mp4"``, ``"plane"``.
    progress : bool, optional
        Whether to show a bar. Default: in a terminal, after two seconds.
    total : int, optional
        How many items there are. Default: their length.
    """
    from tqdm import tqdm

    return tqdm(
        items, label, total, unit=unit,
        delay=0 if progress else SECONDS_BEFORE_PROGRESS,
        disable=None if progress is None else not progress,  # None: only in a terminal
    )  # fmt: skip
