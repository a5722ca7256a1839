"""Datasets that can be fetched: what they are, where they lie, and by what they are known.

Every figure is one that its publishers or a mirror state. What nobody states is not here.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import overload

from brainxr.errors import shortlist
from brainxr.stacks.citations import EDLOW_100UM


@dataclass(frozen=True)
class File:
    """A file of a dataset.

    Attributes
    ----------
    name : str
        As it is kept, since a name may tell spacing and plane.
    bytes : int
    md5 : str
        In hexadecimal.
    mirrors : tuple of str
        URLs, the first to be tried first.
    """

    name: str
    bytes: int
    md5: str
    mirrors: tuple[str, ...]


@dataclass(frozen=True)
class Dataset:
    """A dataset that `brainxr.fetch` gets.

    Attributes
    ----------
    name : str
        What `brainxr.fetch` is told.
    title, citation, license, doi : str
    home : str
        Where a person finds it.
    planes : mapping of str to File
    unknown : str
        What nobody states of it, though one would like to know.
    """

    name: str
    title: str
    citation: str
    license: str
    doi: str
    home: str
    planes: Mapping[str, File]
    unknown: str = ""

    def facts(self) -> list[tuple[str, str]]:
        """What there is to say, as labels and texts."""
        sizes = [
            (plane, f"{file.bytes / 1e9:.2f} GB, {file.name}")
            for plane, file in self.planes.items()
        ]
        others = {
            "licence": self.license, "DOI": self.doi, "home": self.home, "cite": self.citation,
            "unknown": self.unknown,
        }  # fmt: skip
        return [*sizes, *((label, text) for label, text in others.items() if text)]

    def __str__(self) -> str:
        lines = [f"  {label:<10}{text}" for label, text in self.facts()]
        return "\n".join([f"{self.name}: {self.title}", *lines])


class Datasets(Sequence[Dataset]):
    """Datasets in a row, which print as a table."""

    def __init__(self, datasets: Sequence[Dataset]) -> None:
        self._datasets = tuple(datasets)

    @overload
    def __getitem__(self, index: int) -> Dataset: ...
    @overload
    def __getitem__(self, index: slice) -> Datasets: ...
    def __getitem__(self, index: int | slice) -> Dataset | Datasets:
        found = self._datasets[index]
        return found if isinstance(found, Dataset) else Datasets(found)

    def __len__(self) -> int:
        return len(self._datasets)

    def __iter__(self) -> Iterator[Dataset]:
        return iter(self._datasets)

    def __repr__(self) -> str:
        return "\n\n".join(map(str, self)) or "no datasets"

    def _repr_html_(self) -> str:
        return "".join(map(_as_html, self))


def _as_html(one: Dataset) -> str:
    left = "style='text-align: left'"
    rows = "".join(
        f"<tr><th {left}>{escape(label)}</th><td {left}>{escape(text)}</td></tr>"
        for label, text in one.facts()
    )
    title = f"<code>{escape(one.name)}</code> {escape(one.title)}"
    return f"<table><caption {left}>{title}</caption><tbody>{rows}</tbody></table>"


def datasets() -> Datasets:
    """The datasets that `brainxr.fetch` gets: planes, sizes, licence, DOI, and how to cite them.

    Costs nothing; nobody is asked.

    Returns
    -------
    Datasets
        A sequence that prints as a table, in a notebook, too.

    Examples
    --------
    >>> one = brainxr.datasets()[0]
    >>> one.name, one.license, list(one.planes)
    ('edlow-100um', 'CC0', ['axial', 'coronal', 'sagittal'])
    """
    return Datasets(list(KNOWN.values()))


def find_file(name: str, plane: str) -> tuple[Dataset, File]:
    """A dataset and its file of a plane.

    Raises
    ------
    ValueError
        When there is none.
    """
    if name not in KNOWN:
        close = difflib.get_close_matches(str(name).lower(), KNOWN, n=1, cutoff=0.4)
        meant = f" Did you mean {close[0]!r}?" if close else ""
        there = shortlist([repr(one) for one in KNOWN])
        raise ValueError(
            f"There is no dataset {name!r}.{meant} There are: {there}; brainxr.datasets() tells "
            "more. What is made or comes along is brainxr.sample's."
        )
    found = KNOWN[name]
    if plane not in found.planes:
        there = shortlist([repr(one) for one in found.planes])
        raise ValueError(f"The dataset {name!r} has no plane {plane!r}. Choose one of {there}.")
    return found, found.planes[plane]


_OPENNEURO = (
    "https://s3.amazonaws.com/openneuro.org/ds002179/derivatives/sub-EXC004/"
    "synthesized_FLASH25_100um_tiff_images/"
)
_DRYAD = "https://datadryad.org/stash/downloads/file_stream/"


def _edlow(plane: str, size: int, md5: str, at_dryad: Sequence[int]) -> File:
    name = f"Synthesized_FLASH25_100um_TIFF_{plane}_Images.zip"
    mirrors = (f"{_OPENNEURO}{name}", *(f"{_DRYAD}{number}" for number in at_dryad))
    return File(name, size, md5, mirrors)


KNOWN = {
    "edlow-100um": Dataset(
        name="edlow-100um",
        title=EDLOW_100UM["title"],
        citation=EDLOW_100UM["citation"],
        license=EDLOW_100UM["license"],
        doi="10.5061/dryad.119f80q",
        home="https://openneuro.org/datasets/ds002179",
        planes={
            "axial": _edlow(
                "Axial", 1_999_932_679, "96eb67243e78b76dc27b1e821db6b899", (182482, 223913)
            ),
            "coronal": _edlow(
                "Coronal", 2_003_634_115, "96cb5b0957d58a16df247c045c91c102", (223914,)
            ),
            "sagittal": _edlow(
                "Sagittal", 1_959_117_401, "dcb4388b9f3baf7f1fcb390f6990b985", (223915,)
            ),
        },
        unknown="which side of a slice is the left of the head; nothing in it says so",
    ),
}
