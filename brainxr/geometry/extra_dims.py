"""Axes besides z, y and x: which place along each is taken."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

from brainxr.errors import shortlist

# What to take along axes other than z, y and x: a number, or a channel's label.
At: TypeAlias = Mapping[str, int | str]

Labels: TypeAlias = Mapping[str, Sequence[str]]


def places(
    at: At,
    sizes: Mapping[str, int],
    where: str,
    error: type[Exception],
    labels: Labels | None = None,
) -> dict[str, int]:
    """Place along each of these axes.

    Parameters
    ----------
    at : mapping of str to int or str
        What the caller said.
    sizes : mapping of str to int
        Of the axes besides z, y and x.
    where : str
        Path or URL, for the message of an error.
    error : type
        Of the error.
    labels : mapping of str to sequence of str, optional
        Names of the places along an axis.

    Raises
    ------
    error
        When an axis or place is unknown, or a choice is needed and was not made.
    """
    named = labels or {}
    _refuse_unknown(at, sizes, where, error)
    unsaid = {dim: n for dim, n in sizes.items() if n != 1 and dim not in at}
    if unsaid:
        parts = [f"{n} along {dim!r}{_shown(named.get(dim, ()))}" for dim, n in unsaid.items()]
        example = ", ".join(f"{dim!r}: 0" for dim in unsaid)
        raise error(
            f"{where!r} has {' and '.join(parts)}, and a volume is one of them. "
            f"Say which: brainxr.open({where!r}, at={{{example}}})."
        )
    found = {dim: _place(at.get(dim, 0), n, named.get(dim, ())) for dim, n in sizes.items()}
    for dim, place in found.items():
        if place is None:
            raise error(
                f"There is no {at[dim]!r} along {dim!r} of {where!r}, which has 0 to "
                f"{sizes[dim] - 1}{_shown(named.get(dim, ()))}."
            )
    return {dim: place for dim, place in found.items() if place is not None}


def _refuse_unknown(at: At, known: Collection[str], where: str, error: type[Exception]) -> None:
    unknown = [dim for dim in at if dim not in known]
    if unknown:
        raise error(
            f"at has the axis {unknown[0]!r}; {where!r} has "
            f"{shortlist([repr(d) for d in known]) or 'none'} besides z, y and x."
        )


def _place(wanted: int | str, size: int, labels: Sequence[str]) -> int | None:
    if isinstance(wanted, str):
        return labels.index(wanted) if list(labels).count(wanted) == 1 else None
    return int(wanted) % size if -size <= wanted < size else None


def _shown(labels: Sequence[str]) -> str:
    return f" ({shortlist(labels, most=20)})" if labels else ""
