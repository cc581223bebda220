"""Results in a notebook or at a prompt: a table of HTML, and numbers of things."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final, TypeAlias

MOST_LINES: Final = 20  # of one value; a damaged export can have a problem for each gene

Value: TypeAlias = str | Sequence[str]


class Link(str):
    """A URL that a table links to."""

    __slots__ = ()


def html_table(title: str, rows: Mapping[str, Value]) -> str:
    """Return a table with a name and a value in each row, without rows of empty values.

    It sets no color and no font, so that it fits light and dark notebooks, and loads nothing. All
    texts are escaped: names of data are anyone's.
    """
    left = 'style="text-align: left; vertical-align: top"'
    head = f'<tr><th colspan="2" {left}>{escape(title)}</th></tr>'
    body = "".join(
        f"<tr><td {left}>{escape(name)}</td><td {left}>{_format_value(value)}</td></tr>"
        for name, value in rows.items()
        if value
    )
    return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"


def _format_value(value: Value) -> str:
    if isinstance(value, Link):
        return f'<a href="{escape(value)}" target="_blank" rel="noopener">{escape(value)}</a>'
    lines = [value] if isinstance(value, str) else list(value)
    if len(lines) > MOST_LINES:
        lines[MOST_LINES:] = [f"... and {len(lines) - MOST_LINES:,} more"]
    return "<br>".join(escape(line).replace("\n", "<br>") for line in lines)


def count(number: int, noun: str) -> str:
    """Return a number of things, such as "1 warning" and "2,000 cells"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
