"""Pages of the documentation of which a part is written by a command."""

from __future__ import annotations

from pathlib import Path


def write_block(page: Path, name: str, content: str) -> None:
    """Renew the marked block of a page.

    Raises
    ------
    ValueError
        When the page has no such block.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    text = page.read_text("utf-8")
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(
            f"{str(page)!r} has no block to write to: expected one line {begin!r} and, after it, "
            f"one line {end!r}. Put them where the table belongs."
        )
    head, _, rest = text.partition(begin)
    tail = rest.partition(end)[2]
    page.write_text(f"{head}{begin}\n\n{content}\n\n{end}{tail}", "utf-8")
