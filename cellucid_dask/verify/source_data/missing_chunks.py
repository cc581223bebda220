"""Chunks that are missing from the data, and what that means for a comparison."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cellucid_dask.errors import ReadError
from cellucid_dask.verify.source_data.anndata_file import UNREADABLE, SourceData
from cellucid_dask.verify.source_data.chunks import ACCEPT, Chunks, count_chunks

_NEVER_LEFT_OUT = ("data", "indices", "indptr", "categories")  # names of arrays inside an element


@dataclass(slots=True)
class MissingChunks:
    """Lines about the chunks that are missing from the data.

    Parameters
    ----------
    losses
        Arrays that most likely lost chunks.
    notes
        Arrays whose writer may have left out the chunks.
    """

    losses: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def split_problems_and_notes(self, *, accept: bool) -> tuple[list[str], list[str]]:
        """Return the lines that are problems, and those that are notes.

        Parameters
        ----------
        accept
            Whether the user states that the writer left out what looks like a loss.
        """
        if accept:
            return [], [*self.notes, *self.losses]
        return [f"{line}; {ACCEPT}" for line in self.losses], self.notes


def find_missing_chunks(data: SourceData, keys: Iterable[str], ids: str) -> MissingChunks:
    """Find the chunks that are missing from arrays of the data.

    Parameters
    ----------
    keys
        Elements that are compared, such as ``obs/cell_type``.
    ids
        The key of the gene ids.

    Raises
    ------
    ReadError
        When an element cannot be read.
    """
    missing = MissingChunks()
    for key in dict.fromkeys(keys):
        try:
            element = None if data.root is None else data.root.get(key)
            if element is not None:
                _check_element(element, key, missing, ids=key == ids)
        except UNREADABLE as error:
            what = f"its chunks cannot be counted ({error})"
            raise ReadError(what, where=f"{data.where}, {key}") from error
    return missing


def _check_element(element: Any, key: str, missing: MissingChunks, *, ids: bool) -> None:
    """Add a line for each array of an element that lacks chunks."""
    lengths = (
        {} if hasattr(element, "shape") else {name: _length(element[name]) for name in element}
    )
    if lengths.get("data") == 0:
        return  # a sparse matrix without values: its pointers are all 0
    for chunks in count_chunks(element, key):
        name = chunks.key[len(key) + 1 :]
        if chunks.missing and not _is_harmless(chunks, name, lengths.get("categories")):
            is_lost = ids or name in _NEVER_LEFT_OUT or _lacks_most(chunks, key)
            is_fill_chosen = name == "data" and chunks.fill and chunks.fill == chunks.fill
            (missing.losses if is_lost and not is_fill_chosen else missing.notes).append(
                _describe(chunks)
            )


def _length(element: Any) -> int:
    shape = getattr(element, "shape", ())
    return int(shape[0]) if shape else -1


def _is_harmless(chunks: Chunks, name: str, n_categories: int | None) -> bool:
    """Whether intact data may lack such chunks: nothing is masked, or there is one category."""
    if chunks.fill:
        return False
    if name.rpartition("/")[2] == "mask":
        return chunks.missing == chunks.total
    if name == "codes":  # where some are stored, a cell may have no category
        return n_categories == 1 and chunks.missing == chunks.total
    return n_categories == 1 and name == "categories"


def _lacks_most(chunks: Chunks, key: str) -> bool:
    """Whether more than half is missing; not for obs, where most cells may well be 0."""
    return 2 * chunks.missing > chunks.total and not key.startswith("obs/")


def _describe(chunks: Chunks) -> str:
    what = f"{chunks.missing:,} of {chunks.total:,} chunks are missing from the data"
    return f"{chunks.key}: {what}, and read as {chunks.fill if chunks.fill is not None else 0}"
