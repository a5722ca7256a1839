"""The torture suite: what folders of slices can be, and what has to come of each.

Each module is a family and holds a table of cases; none of them knows who will read
the files. `test_torture` asks brainxr; ``python -m benchmarks.torture`` asks its peers, too.
"""

from __future__ import annotations

from dataclasses import replace

from . import (
    changes,
    cuts,
    directories,
    gaps,
    kinds,
    layouts,
    metadata,
    naming,
    pages,
    places,
    samples,
    stray,
    unlike,
)
from .case import Case

FAMILIES = {
    "names and order": naming,
    "gaps and duplicates": gaps,
    "stray and hidden files": stray,
    "slices that are unlike": unlike,
    "kinds of pixels": samples,
    "layouts and compressions": layouts,
    "pages of one file": pages,
    "files cut short": cuts,
    "directories that lie": directories,
    "metadata that lies": metadata,
    "changes after opening": changes,
    "links, pipes, devices": kinds,
    "rights and full disks": places,
}

CASES: list[Case] = [
    replace(case, family=family) for family, module in FAMILIES.items() for case in module.CASES
]
