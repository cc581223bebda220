"""Chunks that a store lacks: found before anything is written, and judged by what they read as."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from cellucid_dask.errors import Problem, refuse_fault
from cellucid_dask.source.chunks.array_uses import Part, Use
from cellucid_dask.source.chunks.listing import chunk_files, find_gaps
from cellucid_dask.source.chunks.verdicts import ArrayWithGaps, Verdict, judge_array
from cellucid_dask.source.storage.damage import DAMAGE, describe_damage
from cellucid_dask.source.storage.elements import find_element, is_array, member_names
from cellucid_dask.source.storage.store import Store
from cellucid_dask.source.zarr_chunks.files import ChunkFiles

COPY: Final = "a part of the data was not copied or not written: copy or write it again"
ACCEPT: Final = "copy it again; if its writer left those chunks out, use --accept-missing-chunks"


@dataclass(slots=True)
class Findings:
    """What was found of missing chunks.

    Parameters
    ----------
    problems
        What stops an export.
    warnings
        What the user should know.
    """

    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def find_missing_chunks(uses: Iterable[Use], *, accept: bool) -> Findings:
    """Find the chunks that arrays lack, and judge each array by what it reads as without them.

    Parameters
    ----------
    uses
        Arrays that are read.
    accept
        Whether the user takes missing chunks for what they read as, wherever that is possible.
    """
    found = Findings()
    by_store: dict[Store, dict[Use, None]] = {}
    for use in uses:
        by_store.setdefault(use.store, {})[use] = None
    for store, wanted in by_store.items():
        try:
            with store.open() as root, chunk_files(store) as files:
                for use in wanted:
                    element = find_element(
                        root, use.key
                    )  # what is not there is told by who reads it
                    if element is not None:
                        for lacking in _lacking_at(element, use, files, found):
                            _judge(lacking, found, accept=accept)
        except DAMAGE as error:
            found.problems.append(_damage(store.path, error))
    return found


def _lacking_at(
    element: Any, use: Use, files: ChunkFiles | None, found: Findings
) -> Iterator[ArrayWithGaps]:
    """Arrays at the place of `use` that lack chunks; a group holds values and a mask."""
    if not is_array(element):
        for name in member_names(element):
            part = Part.MASK if name == "mask" else use.part
            inner = replace(use, key=f"{use.key}/{name}", part=part)
            yield from _lacking_at(find_element(element, name), inner, files, found)
        return
    try:
        gaps = find_gaps(element, files)
    except PermissionError as error:
        what = f"its chunks cannot be listed ({error.strerror}): missing ones go unnoticed"
        found.warnings.append(f"{use.where}: {what}")
        return
    except DAMAGE as error:
        found.problems.append(_damage(use.where, error))
        return
    if gaps is not None and gaps.missing:
        yield ArrayWithGaps(use, gaps, tuple(element.shape), _fill(element))


def _fill(element: Any) -> Any:
    """Value that a missing chunk reads as; zarr v2 may leave it open, which zarr reads as 0."""
    fill = element.fillvalue if hasattr(element, "fillvalue") else element.fill_value
    if fill is not None:
        return fill
    return "" if element.dtype.kind in "OST" else np.zeros((), element.dtype)[()]


def _judge(lacking: ArrayWithGaps, found: Findings, *, accept: bool) -> None:
    """Report an array that lacks chunks."""
    try:
        verdict = judge_array(lacking)
    except DAMAGE as error:
        found.problems.append(_damage(lacking.use.where, error))
        return
    if verdict is None:
        return
    what, where = _told(lacking, verdict), lacking.use.where
    if verdict.wrong and not (accept and verdict.acceptable):
        fix = ACCEPT if verdict.acceptable else COPY
        found.problems.append(Problem(what, where, fix))
    else:
        found.warnings.append(f"{where}: {what}")


def _told(lacking: ArrayWithGaps, verdict: Verdict) -> str:
    gaps = lacking.gaps
    more = ", ..." if gaps.missing > len(gaps.names) else ""
    first = f"(first: {', '.join(gaps.names)}{more})"
    return f"missing chunks: {gaps.missing:,} of {gaps.total:,} {first}; {verdict.what}"


def _damage(where: str, error: Exception) -> Problem:
    refuse_fault(error, where)
    what, fix = describe_damage(error)
    return Problem(what, where, fix)
