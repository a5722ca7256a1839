"""What the commands of trust share: options, tables, and parts of pages that they write."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path


def parser(name: str, description: str) -> argparse.ArgumentParser:
    """A command line that can renew the part of a page which has its name."""
    made = argparse.ArgumentParser(
        f"python -m benchmarks.{name}", description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    made.add_argument("--write", type=Path, metavar="PAGE", help="renew the table in a page")
    return made


def table(headings: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    """In Markdown; the first column are words, the others numbers."""
    rule = ("---", *["---:"] * (len(headings) - 1))
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in (headings, rule, *lines))


def publish(
    name: str, arguments: str, content: str, page: Path | None, wrong: Sequence[object]
) -> int:
    """Print what came of a command, and write it into a page; the exit code, 1 for what is wrong.

    Parameters
    ----------
    name, arguments : str
        Of the command, with which anybody makes the same.
    content : str
        A table.
    page : pathlib.Path or None
    wrong : sequence
        What doesn't hold.
    """
    command = f"python -m benchmarks.{name} {arguments}".strip()
    told = f"`{command}`, {time.strftime('%Y-%m-%d')}:\n\n{content}"
    print(told)
    if page is not None:
        write_block(page, name, told)
    for one in wrong:
        print(f"WRONG: {one}", file=sys.stderr)
    return 1 if wrong else 0


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
