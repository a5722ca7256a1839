"""How far something is that takes long: a bar, and a callback. The only user of tqdm.

Where no bar is shown none is made: tqdm takes a lock for each that forked processes share,
and if one of them is killed at that moment, all others wait for ever.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar

SECONDS_BEFORE_PROGRESS = 2.0

T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """How far a conversion is.

    Attributes
    ----------
    done, total : int
        Slabs of the volume that are written, and that there are.
    bytes_done, bytes_total : int
        Bytes of the volume, uncompressed.
    """

    done: int
    total: int
    bytes_done: int
    bytes_total: int


Callback: TypeAlias = Callable[[Progress], object]


class Reporter:
    """Tells a bar and a callback of each slab that is finished.

    Parameters
    ----------
    label : str
    sizes : mapping of box to int
        Bytes of each slab.
    already : collection of boxes
        What was finished before; it doesn't count in the speed.
    bar : bool
    callback : callable, optional
        Is given a `Progress` after each slab, and one at the beginning.
    """

    def __init__(
        self, label: str, sizes: dict[tuple[int, ...], int], already: list[tuple[int, ...]],
        bar: bool, callback: Callback | None,
    ) -> None:  # fmt: skip
        self._sizes = sizes
        self._done = len(already)
        self._bytes = sum(sizes[box] for box in already)
        self._callback = callback
        self._bar = self._open_bar(label) if bar else None

    def _open_bar(self, label: str) -> Any:
        return _tqdm()(
            desc=label, total=sum(self._sizes.values()), initial=self._bytes, unit="B",
            unit_scale=True, unit_divisor=1000, postfix=self._slabs(), smoothing=0.1,
        )  # fmt: skip

    def _slabs(self) -> dict[str, str]:
        return {"slabs": f"{self._done}/{len(self._sizes)}"}

    def finished(self, box: tuple[int, ...]) -> None:
        """A slab is written."""
        self._done += 1
        self._bytes += self._sizes[box]
        if self._bar is not None:
            self._bar.set_postfix(self._slabs(), refresh=False)
            self._bar.update(self._sizes[box])
        self._tell()

    def _tell(self) -> None:
        if self._callback is not None:
            total = sum(self._sizes.values())
            self._callback(Progress(self._done, len(self._sizes), self._bytes, total))

    def __enter__(self) -> Self:
        self._tell()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if self._bar is not None:
            self._bar.close()


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
    if not _is_shown(progress):
        return items
    bar: Iterable[T] = _tqdm()(
        items, label, total, unit=unit, delay=0 if progress else SECONDS_BEFORE_PROGRESS
    )
    return bar


@contextmanager
def byte_bar(
    label: str, total: int, already: int, progress: bool | None
) -> Iterator[Callable[[int], None]]:
    """A bar of bytes on stderr, and what is told how many there are by now.

    Parameters
    ----------
    label : str
    total, already : int
        How many there will be, and how many were there before; these don't count in the speed.
    progress : bool, optional
        Whether to show it. Default: in a terminal.
    """
    if not _is_shown(progress):
        yield lambda count: None
        return
    with _tqdm()(
        desc=label, total=total, initial=min(already, total), unit="B", unit_scale=True
    ) as bar:
        yield lambda count: bar.update(count - bar.n)


def _is_shown(progress: bool | None) -> bool:
    return sys.stderr.isatty() if progress is None else progress


def with_callback(
    items: Iterable[T], sizes: Sequence[int], callback: Callback | None
) -> Iterator[T]:
    """The same items, of so many bytes each; a callback is told before the first, and after each.

    What it raises ends it.
    """
    done = 0
    if callback is not None:
        callback(Progress(0, len(sizes), 0, sum(sizes)))
    for number, (item, size) in enumerate(zip(items, sizes, strict=True), 1):
        yield item
        done += size
        if callback is not None:
            callback(Progress(number, len(sizes), done, sum(sizes)))


def _tqdm() -> Any:
    """The bar of a notebook where that can be drawn, else that of a terminal."""
    if importlib.util.find_spec("ipywidgets") is None:
        from tqdm.std import tqdm
    else:
        from tqdm.auto import tqdm
    return tqdm
