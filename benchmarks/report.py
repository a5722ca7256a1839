# ruff: noqa: RUF001, RUF002, the sign of multiplication and the dash are meant
"""The run as tables, in a terminal and in Markdown, and as a picture."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import Cell
from benchmarks.results import Results
from benchmarks.targets import Verdict

BEGIN = "<!-- benchmarks: begin (written by python -m benchmarks --write) -->"
END = "<!-- benchmarks: end -->"
HEADINGS = ("", "median", "runs", "× limit", "× best peer", "MB read", "MB memory", "MB stored", "")


def describe(results: Results, verdicts: Sequence[Verdict]) -> str:
    """Everything for a terminal."""
    parts = [_machine_line(results)]
    body = [["", *HEADINGS[1:]]]
    for row, cells in results.rows().items():
        body.append([row])
        body += [["  " + line[0], *line[1:]] for line in _lines(results, cells)]
    parts.append(_aligned(body))
    if results.graphs:
        parts.append(_aligned([_GRAPH_HEADINGS, *_graph_lines(results)]))
    parts.append(_aligned([_TARGET_HEADINGS, *_target_lines(verdicts)]))
    if results.size != "full":
        parts.append("The targets are meant for --size full; for smaller stacks they say little.")
    return "\n\n".join(parts)


def _machine_line(results: Results) -> str:
    m = results.machine
    return (
        f"{results.slices} slices of {results.bytes_per_slice / 1e6:.2f} MB ({results.size}); "
        f"{results.repeats} repeats; {m['processor']}, {m['cores']} cores, {m['memory']}, "
        f"{m['system']}"
    )


def _lines(results: Results, cells: Iterable[Cell]) -> list[list[str]]:
    """One line for each way: its name, the figures, a remark."""
    found = []
    for cell in cells:
        limit, peer = results.limit(cell.row), results.best_peer(cell.row)
        found.append([
            cell.way,
            show_seconds(cell.median),
            str(len(cell.seconds) or ""),
            _ratio(cell.median, limit),
            _ratio(cell.median, peer),
            _megabytes(cell.read),
            _megabytes(cell.peak),
            _megabytes(cell.size),
            cell.problem or "",
        ])  # fmt: skip
    return found


def show_seconds(seconds: float | None) -> str:
    """A time with two or three digits that mean something.

    >>> show_seconds(0.00123), show_seconds(0.0456), show_seconds(1.234), show_seconds(None)
    ('1.23 ms', '45.6 ms', '1.23 s', '')
    """
    if seconds is None:
        return ""
    value, unit = (seconds, "s") if seconds >= 1 else (1e3 * seconds, "ms")
    return f"{_digits(value)} {unit}"


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _ratio(a: float | None, b: float | None) -> str:
    return _digits(a / b) if a is not None and b else ""


def _megabytes(count: int | None) -> str:
    return "" if count is None else f"{count / 1e6:.0f}" if count >= 1e7 else f"{count / 1e6:.2f}"


_GRAPH_HEADINGS = ["shipped to a worker", "slices", "tasks", "kB in all", "kB, largest object"]


def _graph_lines(results: Results) -> list[list[str]]:
    return [
        [g.way, str(g.slices), str(g.tasks), f"{g.whole / 1e3:.0f}", f"{g.largest / 1e3:.1f}"]
        for g in results.graphs
    ]


_TARGET_HEADINGS = ["target", "", "found", ""]


def _target_lines(verdicts: Iterable[Verdict]) -> list[list[str]]:
    return [
        [v.target.what, v.target.claim, "" if v.found is None else _digits(v.found), v.word]
        for v in verdicts
    ]


def _aligned(table: Sequence[Sequence[str]]) -> str:
    """A table for a terminal; figures to the right, the first column and remarks to the left."""
    columns = max(map(len, table))
    widths = [max(len(row[i]) for row in table if i < len(row) > 1) for i in range(columns)]
    lines = []
    for row in table:
        cells = [
            cell.ljust(width) if i in (0, columns - 1) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=False))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


# --- Markdown ---------------------------------------------------------------------


def write_page(page: Path, picture: Path, results: Results, verdicts: Sequence[Verdict]) -> None:
    """Renew the marked block of a page and the picture that it shows.

    Raises
    ------
    ValueError
        When the page has no such block.
    """
    text = page.read_text("utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(
            f"{str(page)!r} has no block to write to: expected one line {BEGIN!r} and, after it, "
            f"one line {END!r}. Put them where the tables belong."
        )
    draw(results, picture)
    link = os.path.relpath(picture, page.parent).replace(os.sep, "/")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    block = markdown(results, verdicts, link)
    page.write_text(f"{head}{BEGIN}\n\n{block}\n\n{END}{tail}", "utf-8")


def markdown(results: Results, verdicts: Sequence[Verdict], picture: str) -> str:
    """The block: machine, picture, the table in short, targets, every figure."""
    return "\n\n".join([
        _machine_words(results),
        f"![Time of each row for brainxr, its peers and the limit]({picture})",
        "### In short",
        _table(["", "limit", "brainxr", "× limit", "fastest peer", "brainxr is faster"],
               _short_lines(results)),
        "### Targets",
        _table(["", "target", "found", ""], _target_lines(verdicts)),
        "### What is sent to a worker",
        _table(_GRAPH_HEADINGS, _graph_lines(results)),
        "### Every figure",
        *(_row_table(results, row, cells) for row, cells in results.rows().items()),
    ])  # fmt: skip


def _machine_words(results: Results) -> str:
    m = dict(results.machine)
    machine = f"{m.pop('processor')}, {m.pop('cores')} cores, {m.pop('memory')}, {m.pop('system')}"
    versions = ", ".join(f"{name} {version}" for name, version in m.items())
    return (
        f"A stack of {results.slices} slices of {results.bytes_per_slice / 1e6:.2f} MB, "
        f"{results.repeats} repeats, on {machine}.\n{versions}."
    )


def _short_lines(results: Results) -> list[list[str]]:
    """A line for each row: brainxr by its fastest and slowest door."""
    found = []
    for row, cells in results.rows().items():
        ours = sorted(c.median for c in cells if c.role == "brainxr" and c.median is not None)
        if not ours:
            continue
        limit, peer = results.limit(row), results.best_peer(row)
        peer_name = next((c.way for c in cells if c.role == "peer" and c.median == peer), "")
        found.append([
            row,
            show_seconds(limit),
            _span([show_seconds(t) for t in (ours[0], ours[-1])]),
            _span([_ratio(t, limit) for t in (ours[0], ours[-1])]),
            f"{show_seconds(peer)} ({peer_name})" if peer is not None else "",
            _span([_ratio(peer, t) + " ×" for t in (ours[-1], ours[0])]) if peer else "",
        ])  # fmt: skip
    return found


def _span(ends: list[str]) -> str:
    """Two ends as a range, or as one where they look alike.

    >>> _span(["2 ms", "3 ms"]), _span(["2 ms", "2 ms"])
    ('2 ms – 3 ms', '2 ms')
    """
    return " – ".join(dict.fromkeys(end for end in ends if end))


def _row_table(results: Results, row: str, cells: list[Cell]) -> str:
    headings = [row, *HEADINGS[1:-1], "remark"]
    return _table(headings, _lines(results, cells))


def _table(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table, figures to the right, with no column that is empty in every line."""
    lines = [list(line) for line in lines]
    kept = [i for i in range(len(headings)) if i == 0 or any(line[i] for line in lines)]
    rule = ["---" if i == 0 or i == len(headings) - 1 else "---:" for i in kept]
    rows = [[headings[i] for i in kept], rule, *([line[i] for i in kept] for line in lines)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in r) + " |" for r in rows)


# --- the picture ------------------------------------------------------------------

PICTURED = (
    "axial plane", "coronal plane", "sagittal plane", "³ box", "[::8, ::8, ::8]", 'max("z")',
    'mean("z")', "std()", "coronal plane (deflate, strips)", "sagittal plane (deflate, strips)",
    "coronal plane (cold cache)", "slider step along z", "slider step along y",
    "slider step along x", "axial plane (store)", "sagittal plane (store)", "convert",
)  # fmt: skip
STYLES: dict[str, dict[str, Any]] = {
    "limit": {"marker": "|", "color": "#444444", "s": 190, "linewidths": 2.2, "zorder": 3},
    "brainxr": {"marker": "o", "color": "#d1495b", "s": 46, "zorder": 4},
    "peer": {"marker": "o", "facecolors": "none", "edgecolors": "#30638e", "s": 36, "zorder": 2},
}
LABELS = {
    "limit": "what the machine can do",
    "brainxr": "brainxr (dask, chunks=None, napari)",
    "peer": "peers",
}


def draw(results: Results, path: Path) -> None:
    """Write a picture of the times: a line for each row, a mark for each way."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    rows = [row for row in results.rows() if row.endswith(PICTURED) and _has_ours(results, row)]
    figure, axes = plt.subplots(figsize=(8, 1.4 + 0.36 * len(rows)), layout="constrained")
    for place, row in enumerate(rows):
        _draw_row(axes, results.rows()[row], place)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(
        lambda value, _: f"{value * 1e3:g} ms" if value < 1 else f"{value:g} s"
    )
    axes.grid(axis="x", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    handles = [axes.scatter([], [], label=LABELS[role], **style) for role, style in STYLES.items()]
    figure.legend(handles=handles, loc="outside upper left", ncols=3, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, metadata={"Software": None})
    plt.close(figure)


def _has_ours(results: Results, row: str) -> bool:
    return any(c.role == "brainxr" and c.median is not None for c in results.rows()[row])


def _draw_row(axes: Any, cells: list[Cell], place: int) -> None:
    times = [c.median for c in cells if c.median is not None]
    axes.plot([min(times), max(times)], [place, place], color="#cccccc", linewidth=1, zorder=1)
    for role, style in STYLES.items():
        own = [c.median for c in cells if c.role == role and c.median is not None]
        own = [min(own)] if role == "limit" and own else own
        axes.scatter(own, [place] * len(own), **style)
