"""``uns['cellucid']`` of a ready file: what the dataset is called, and how it is shown first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cellucid_dask.errors import CellucidDaskError, Problem
from cellucid_dask.exporter.checks.ready.catalog import ReadyCatalog
from cellucid_dask.exporter.checks.ready.defaults import make_defaults, stored_defaults
from cellucid_dask.exporter.checks.ready.texts import (
    id_fault,
    make_id,
    make_name,
    text_fault,
    url_fault,
)
from cellucid_dask.format import safe
from cellucid_dask.options.argument_names import option_of
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.ready.facts import SCHEMA
from cellucid_dask.source.model import Source
from cellucid_dask.source.record import PLACE, read_record


def find_record(source: Source, catalog: ReadyCatalog) -> dict[str, Any]:
    """Read the record of the input; empty after a problem."""
    try:
        return read_record(source)
    except CellucidDaskError as error:
        catalog.problems.extend(error.problems)
        return {}


def survey_record(
    source: Source,
    options: ExportOptions,
    given: Mapping[str, Any],
    name: str,
    catalog: ReadyCatalog,
) -> None:
    """Set ``catalog.record``; needs all else of the catalog.

    Parameters
    ----------
    given
        Record of the input.
    name
        What the dataset is called if neither the options nor the record say so.
    """
    texts = _Texts(options, given, catalog)
    name = texts.choose("dataset_name", "name", text_fault) or make_name(name)
    own_id = texts.choose("dataset_id", "id", id_fault)
    record: dict[str, Any] = {"schema": SCHEMA, "id": own_id or make_id(name), "name": name}
    description = texts.choose("description", "description", text_fault)
    if source.selection is not None:
        description = f"{description} {_without(source)}".strip()
    if description or given.get("description") == "":
        record["description"] = description
    for key, text_key, option, url_option in (
        ("citation", "text", "citation", "citation_url"),
        ("source", "name", "source_name", "source_url"),
    ):
        linked = texts.link(key, text_key, option, url_option)
        if linked:
            record[key] = linked
    shown = make_defaults(source, options, stored_defaults(given), catalog)
    if shown:
        record["defaults"] = shown
    catalog.record = record
    catalog.notes.append(f"dataset   {record['id']}: {name}")


@dataclass(frozen=True, slots=True)
class _Texts:
    """Texts of the options, else of the record of the input; what is wrong becomes a problem."""

    options: ExportOptions
    given: Mapping[str, Any]
    catalog: ReadyCatalog

    def choose(self, option: str, key: str, find_fault: Callable[[Any], str]) -> str:
        """Choose a text; empty if there is none, or after a problem.

        Parameters
        ----------
        option
            Field of the options; an empty text there leaves out that of the record.
        key
            Where it is in the record.
        """
        name = option_of(option)
        own = getattr(self.options, option)
        if own:
            refused = option == "dataset_id" and safe(own) != own  # the options say so themselves
            return "" if refused else self._check(own, name, "", find_fault)
        stored = self._stored(key)
        if stored in (None, "") or (own is not None and option != "description"):
            return ""
        fix = f"give another with {name}"
        return self._check(stored, f"{PLACE}/{key}", fix, find_fault)

    def link(self, key: str, text_key: str, option: str, url_option: str) -> dict[str, str]:
        """Choose a text and its URL; empty if there is no text."""
        text = self.choose(option, f"{key}/{text_key}", text_fault)
        url = self.choose(url_option, f"{key}/url", url_fault)
        if text:
            return {text_key: text, "url": url} if url else {text_key: text}
        if url and getattr(self.options, url_option) and not getattr(self.options, option):
            fix = f"give {option_of(option)} as well"
            what = "a ready file has a URL only together with its text"
            self.catalog.problems.append(Problem(what, option_of(url_option), fix))
        return {}

    def _stored(self, key: str) -> Any:
        """What the record has at `key`, which may be in a dict of it."""
        value: Any = self.given
        for part in key.split("/"):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    def _check(self, text: Any, where: str, fix: str, find_fault: Callable[[Any], str]) -> str:
        fault = find_fault(text)
        if not fault:
            return str(text)
        self.catalog.problems.append(Problem(fault, where, fix))
        return ""


def _without(source: Source) -> str:
    """How many cells of the input are not in the file; the folder says the same."""
    kept = source.selection
    assert kept is not None
    left_out = f"{kept.dropped.size} of {kept.n_stored} cells, which have no place in an embedding"
    return f"Without {left_out}."
