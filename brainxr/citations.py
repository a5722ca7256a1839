"""Datasets that brainxr knows, so that their source travels with every selection."""

from __future__ import annotations

EDLOW_100UM = {
    "title": "7 Tesla MRI of the ex vivo human brain at 100 micron resolution",
    "citation": (
        "Edlow, B. L. et al. 7 Tesla MRI of the ex vivo human brain at 100 micron resolution. "
        "Scientific Data 6, 244 (2019). doi:10.1038/s41597-019-0254-8"
    ),
    "license": "CC0",
}

_BY_NAME = {"synthesized_flash25": EDLOW_100UM}


def citation_for(*names: str) -> dict[str, str]:
    """Title, citation and licence of a dataset that is known by the names of its files.

    >>> citation_for("Synthesized_FLASH25_Axial_0371.tiff")["license"]
    'CC0'
    """
    for part, citation in _BY_NAME.items():
        if any(part in name.lower() for name in names):
            return citation
    return {}
