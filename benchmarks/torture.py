"""``python -m benchmarks.torture``: every case of tests/torture, by brainxr and by its peers.

Each reader has a process of its own, which forks for each case: what hangs is ended, and
what crashes takes nobody along. A case is judged by what it says has to come out; a reader
is not asked for what it doesn't promise (`CLAIMS`).
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import select
import signal
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.page import write_block
from benchmarks.peers import PEERS
from benchmarks.window import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "tests"))

from torture import CASES, FAMILIES
from torture.case import FOLDER, Case, Refused, Values, home, locked
from torture.writers import has

PAGE = REPOSITORY / "docs" / "reliability.md"

# What somebody can be: as good as asked for, or less, down to the worst.
PASSES, WARNS, CLEAR, OBSCURE, WRONG, HANGS, NOT_CLAIMED, MISSING = OUTCOMES = (
    "passes", "warns", "errors clearly", "errors obscurely", "silently wrong",
    "hangs or crashes", "not claimed", "not installed",
)  # fmt: skip
SIGNS = dict(zip(OUTCOMES, ("✓", "w", "e", "o", "✗", "h", "·", "?"), strict=True))

# What each promises in its documentation, beyond a folder of slices in their order.
_EVERYBODY = {"folder", "errors", "order", "codecs", "bits", "as stored", "spacing"}
CLAIMS: Mapping[str, set[str]] = {
    "tutorial": _EVERYBODY | {"pages"},
    "dask.array.image": _EVERYBODY | {"pages"},
    "dask-image": _EVERYBODY | {"pages"},
    "tifffile + dask": _EVERYBODY | {"pages", "OME"},
    "bioio": _EVERYBODY,
    "napari reader": _EVERYBODY | {"pages", "OME", "suffixes", "kinds"},
}
BRAINXR = "brainxr"
MOST_BYTES = 4 << 30  # that a reader may take for a case, none of which has a megabyte


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 1 where brainxr doesn't pass."""
    options = _parser().parse_args(arguments)
    if options.answer:
        _answer_all(options.answer, options.seconds)
        return 0
    answers = json.loads(Path(options.load).read_text()) if options.load else _ask_all(options)
    if options.json:
        Path(options.json).write_text(json.dumps(answers, indent=0))
    print(table(answers))
    if options.write:
        write_page(answers)
    failed = [case for case, found in answers.get(BRAINXR, {}).items() if found not in _GOOD]
    for name in failed:
        print(f"brainxr: {name}: {answers[BRAINXR][name]}", file=sys.stderr)
    return 1 if failed else 0


_GOOD = (PASSES, MISSING)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.torture", description=__doc__)
    parser.add_argument("--only", action="append", help="one reader (more than once: these)")
    parser.add_argument("--seconds", type=float, default=20, help="for one case (default: 20)")
    parser.add_argument("--json", metavar="FILE", help="write every answer to a file")
    parser.add_argument("--load", metavar="FILE", help="ask nobody, take such a file")
    parser.add_argument("--write", action="store_true", help="renew the tables in docs/")
    parser.add_argument("--answer", help=argparse.SUPPRESS)
    return parser


def key(case: Case) -> str:
    return f"{case.family}: {case.name}"


# --- asking -----------------------------------------------------------------------


def _ask_all(options: argparse.Namespace) -> dict[str, dict[str, str]]:
    readers = options.only or [BRAINXR, *PEERS]
    return {reader: _ask(reader, options.seconds) for reader in readers}


def _ask(reader: str, seconds: float) -> dict[str, str]:
    """Outcome by case of one reader, in a process of its own."""
    if reader in PEERS and PEERS[reader].missing:
        return {key(case): MISSING for case in CASES}
    print(f"{reader}: {len(CASES)} cases ...", file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.torture", "--answer", reader, "--seconds", str(seconds)],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True,
    )  # fmt: skip
    answers: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return answers


def _answer_all(reader: str, seconds: float) -> None:
    open_it = _opener(reader)
    answers = {key(case): _in_child(reader, open_it, case, seconds) for case in CASES}
    print(json.dumps(answers), flush=True)


def _opener(reader: str) -> Callable[[str, Case], Any]:
    """How it opens; done once with sound slices, so that no case has to wait for imports."""
    import dask

    if reader == BRAINXR:
        import brainxr

        def open_it(path: str, case: Case) -> Any:
            return brainxr.open(path, **case.options)
    else:

        def open_it(path: str, case: Case) -> Any:
            return PEERS[reader].open(path)

    # no thread is started here, which a fork would lose
    with home(CASES[1]) as folder, dask.config.set(scheduler="synchronous"):
        np.asarray(open_it(str(folder), CASES[1]))
    return open_it


def _in_child(
    reader: str, open_it: Callable[[str, Case], Any], case: Case, seconds: float
) -> str:  # fmt: skip
    if case.tool and not has(case.tool):
        return MISSING
    if reader != BRAINXR and case.asks not in CLAIMS[reader]:
        return NOT_CLAIMED
    outcome, inlet = os.pipe()
    child = os.fork()
    if child == 0:
        _answer_and_leave(open_it, case, inlet)
    os.close(inlet)
    try:
        found = os.read(outcome, 100).decode() if _comes(outcome, seconds) else ""
    finally:
        os.close(outcome)
        os.kill(child, signal.SIGKILL)  # which is a zombie at best
        os.waitpid(child, 0)
    return found or HANGS


def _comes(outcome: int, seconds: float) -> bool:
    """Whether there is an answer in time; while all is held still, as by a suspend, none passes."""
    return any(select.select([outcome], [], [], 1)[0] for _ in range(math.ceil(seconds)))


def _answer_and_leave(open_it: Callable[[str, Case], Any], case: Case, inlet: int) -> None:
    """In the forked child: the outcome goes into the pipe, and nothing comes back."""
    import resource

    code = 1
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        with home(case) as folder:
            found = judge(open_it, case, folder)
        os.write(inlet, found.encode())
        code = 0
    finally:
        os._exit(code)


# --- judging ----------------------------------------------------------------------


class _Heard(logging.Handler):
    """What was said by logging, at least as a warning."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def judge(open_it: Callable[[str, Case], Any], case: Case, folder: Path) -> str:
    """Open, read and compare with what has to come out."""
    expect, heard = case.expect, _Heard()
    logging.getLogger().addHandler(heard)
    names = _names(case, folder)
    wanted = expect.array(folder) if isinstance(expect, Values) else _allowed(expect, folder)
    with warnings.catch_warnings(record=True) as caught, locked(case, folder):
        warnings.simplefilter("always")
        try:
            values = _values(open_it, case, folder)
        except Exception as error:
            return _of_error(error, expect, names)
    told = [*heard.messages, *(str(w.message) for w in caught if _is_about_data(w))]
    if wanted is not None and _same(values, wanted):
        return PASSES
    return WARNS if told else WRONG


def _values(open_it: Callable[[str, Case], Any], case: Case, folder: Path) -> np.ndarray:
    if case.act is not None:
        return np.asarray(case.act(folder))
    opened = open_it(case.target(folder), case)
    if case.between is not None:
        case.between(folder)
    values = np.asarray(opened)
    if hasattr(opened, "coords"):
        _refuse_wrong_places(opened, case.expect)
    return values


def _refuse_wrong_places(volume: Any, expect: Values | Refused) -> None:
    """Of brainxr: coordinates are right, or it is no pass."""
    if isinstance(expect, Values):
        places = expect.numbers or range(volume.sizes["z"])
        np.testing.assert_allclose(volume.z, np.asarray(places) * expect.spacing["z"])


def _allowed(expect: Refused, folder: Path) -> np.ndarray | None:
    other = expect.or_values
    return other(folder) if callable(other) else other


def _of_error(error: Exception, expect: Values | Refused, names: set[str]) -> str:
    text = " ".join([str(error), *getattr(error, "__notes__", [])])
    if not any(name in text for name in names):
        return OBSCURE
    return PASSES if isinstance(expect, Refused) else CLEAR


def _names(case: Case, folder: Path) -> set[str]:
    """Names of which an error has one: of the file at fault, where it is one."""
    if isinstance(case.expect, Refused) and case.expect.words[0].endswith((".tif", ".tiff")):
        return {case.expect.words[0]}
    if case.act is not None and isinstance(case.expect, Refused):
        return {case.expect.words[0]}  # what is written, which isn't in the folder
    return {FOLDER, *filter(None, case.path.split("/")), *os.listdir(folder)}


def _is_about_data(warning: warnings.WarningMessage) -> bool:
    return not issubclass(warning.category, DeprecationWarning | FutureWarning | ImportWarning)


def _same(values: np.ndarray, wanted: np.ndarray) -> bool:
    """Axes of length one, which readers add or leave out, don't matter."""
    values, wanted = values.squeeze(), wanted.squeeze()
    return values.shape == wanted.shape and np.array_equal(
        values, wanted, equal_nan=wanted.dtype.kind in "fc"
    )


# --- telling ----------------------------------------------------------------------


def table(answers: Mapping[str, Mapping[str, str]]) -> str:
    """How often each has which outcome, in Markdown."""
    shown = [one for one in OUTCOMES if any(one in found.values() for found in answers.values())]
    lines = [_row(["", "asked", *shown]), _row(["---", *["---:"] * (len(shown) + 1)])]
    for reader, found in answers.items():
        counts = Counter(found.values())
        asked = len(found) - counts[NOT_CLAIMED] - counts[MISSING]
        lines.append(_row([reader, str(asked), *(str(counts[one] or "") for one in shown)]))
    return "\n".join(lines)


def by_family(answers: Mapping[str, Mapping[str, str]]) -> str:
    """Of each family, how many cases each passes, of those that it is asked for."""
    lines = [_row(["", *answers]), _row(["---", *["---:"] * len(answers)])]
    lines += [
        _row([family, *(_score(found, family) for found in answers.values())])
        for family in FAMILIES
    ]
    return "\n".join(lines)


def _score(found: Mapping[str, str], family: str) -> str:
    outcomes = [one for name, one in found.items() if name.startswith(f"{family}: ")]
    asked = [one for one in outcomes if one not in (NOT_CLAIMED, MISSING)]
    wrong = asked.count(WRONG)
    passed = f"{asked.count(PASSES)} of {len(asked)}" if asked else "·"
    return f"{passed}, **{wrong} ✗**" if wrong else passed


def every_case(answers: Mapping[str, Mapping[str, str]]) -> str:
    """Each case a row, each outcome a sign."""
    lines = [_row(["case", *answers]), _row(["---", *[":-:"] * len(answers)])]
    for name in (key(case) for case in CASES):
        signs = (SIGNS[found[name]] for found in answers.values())
        lines.append(_row([name.replace("|", "\\|").replace("*", "\\*"), *signs]))
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def write_page(answers: Mapping[str, Mapping[str, str]]) -> None:
    """Renew what lies between the marks in the page."""
    from importlib.metadata import version

    packages = ("tifffile", "dask", "dask-image", "scikit-image", "bioio-tiff-glob", "napari")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    legend = ", ".join(f"{sign} {one}" for one, sign in SIGNS.items())
    parts = [
        f"`python -m benchmarks.torture --write`, {time.strftime('%Y-%m-%d')}: {len(CASES)} cases; "
        f"{versions}.", table(answers),
        "Cases passed of those asked for, and how many are silently wrong (✗):",
        by_family(answers), f"<details><summary>Every case</summary>\n\n{legend}.",
        every_case(answers), "</details>",
    ]  # fmt: skip
    write_block(PAGE, "torture", "\n\n".join(parts))


if __name__ == "__main__":
    sys.exit(main())
