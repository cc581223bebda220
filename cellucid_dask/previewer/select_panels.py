"""What the thumbnails are coloured by: what was asked for, or what says most of an export."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from cellucid_dask.errors import Problem, suggest
from cellucid_dask.verify.export_folder.contents import CategoricalField, Contents, Values

Field: TypeAlias = CategoricalField | Values

MOST: Final = 48  # thumbnails on a sheet
USUAL: Final = 6  # thumbnails when nothing was asked for
LABELS: Final = 4  # of them at least are categorical, when there are as many
READABLE: Final = 50  # categories that colours still tell apart somehow
BEARABLE: Final = 1000  # categories that may show regions; more of them look like noise


def choose(contents: Contents, asked: Sequence[str], problems: list[Problem]) -> list[Field]:
    """Fields and genes to draw, in order; what cannot be found is added to `problems`."""
    if not asked:
        return usual(contents)
    keys = Keys(contents)
    each = dict.fromkeys(asked)
    found = [field for text in each if (field := keys.find(text, problems)) is not None]
    once = list({id(field): field for field in found}.values())
    if len(once) > MOST:
        fix = "make several sheets"
        problems.append(Problem(f"{len(once)} keys are too many for a sheet", "--color", fix))
    return once


def usual(contents: Contents) -> list[Field]:
    """Choose categorical columns of some categories, then continuous ones; both in their order.

    Where these are few, columns of many categories fill the sheet.
    """
    columns, values = contents.categorical, contents.continuous
    some = [field for field in columns if 2 <= len(field.labels) <= READABLE]
    many = [field for field in columns if READABLE < len(field.labels) <= BEARABLE]
    room = max(LABELS, USUAL - len(values))
    first = [*some, *many][:room]
    chosen: list[Field] = [*first, *values[: USUAL - len(first)]]
    return chosen or list(columns[:USUAL])


class Keys:
    """Fields and genes by the names that a user writes."""

    def __init__(self, contents: Contents) -> None:
        columns: list[Field] = [*contents.categorical, *contents.continuous]
        self.tables: dict[str, dict[str, Field]] = {
            "obs": {field.key: field for field in columns},
            "gene": {gene.key: gene for gene in contents.genes},
        }

    def find(self, text: str, problems: list[Problem]) -> Field | None:
        """Look up ``KEY``, ``obs:KEY`` or ``gene:NAME``."""
        kind, _, key = text.partition(":")
        if kind in self.tables and key in self.tables[kind]:
            return self.tables[kind][key]
        found = [table[text] for table in self.tables.values() if text in table]
        if len(found) == 1:
            return found[0]
        if found:
            fix = f"write 'obs:{text}' or 'gene:{text}'"
            problems.append(Problem(f"{text!r} is an obs column and a gene", "--color", fix))
        elif kind in self.tables:
            noun = "obs column" if kind == "obs" else "gene"
            fix = nearest(key, self.tables[kind])
            problems.append(Problem(f"there is no {noun} {key!r}", "--color", fix))
        else:
            known = [*self.tables["obs"], *self.tables["gene"]]
            what = f"there is no obs column and no gene {text!r}"
            problems.append(Problem(what, "--color", nearest(text, known)))
        return None


def nearest(word: str, known: Iterable[str]) -> str:
    """Say which of `known` was meant: those that differ in upper and lower case come first."""
    names = list(known)
    alike = [name for name in names if name.casefold() == word.casefold()]
    return suggest(alike[0], alike) if alike else suggest(word, names)
