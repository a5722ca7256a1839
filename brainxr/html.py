"""Tables for notebooks, readable on light and dark pages."""

from __future__ import annotations

import html
from collections.abc import Mapping

_CELL = "text-align:left;vertical-align:top;color:inherit;font-size:inherit"
_NAME = f"{_CELL};font-weight:normal;opacity:.65;white-space:nowrap"
_TEXT = f"{_CELL};white-space:pre-wrap"


def table_html(title: str, rows: Mapping[str, str]) -> str:
    """Make a titled table of names and texts, all escaped.

    >>> table_html("<b>", {"a": "1 < 2"})[:35]
    '<div><strong>&lt;b&gt;</strong><tab'
    """
    cells = "".join(
        f'<tr><th style="{_NAME}">{html.escape(name)}</th>'
        f'<td style="{_TEXT}">{html.escape(text)}</td></tr>'
        for name, text in rows.items()
    )
    return f"<div><strong>{html.escape(title)}</strong><table>{cells}</table></div>"
