"""What chunks that the data lack mean for the comparison of an export with them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cellucid_dask.errors import ReadError
from cellucid_dask.verify.source_data.anndata_file import UNREADABLE, Data
from cellucid_dask.verify.source_data.chunks import Chunks, count_chunks

_ACCEPT = "if its writer left them out, use --accept-missing-chunks"
_NEVER_LEFT_OUT = ("data", "indices", "indptr", "categories")  # inner arrays, by their names


@dataclass(slots=True)
class MissingChunks:
    """Lines on the chunks that the data lack.

    Parameters
    ----------
    losses
        Of arrays that are most likely not whole.
    notes
        Of arrays of which a writer may have left out the chunks.
    """

    losses: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def sort_out(self, *, accept: bool) -> tuple[list[str], list[str]]:
        """Return the lines that are problems, and those that are not.

        Parameters
        ----------
        accept
            Whether the user says that the writer left out what looks like a loss.
        """
        if accept:
            return [], [*self.notes, *self.losses]
        return [f"{line}; {_ACCEPT}" for line in self.losses], self.notes


def find_missing_chunks(data: Data, keys: Iterable[str], ids: str) -> MissingChunks:
    """Look for chunks that arrays of the data lack.

    Parameters
    ----------
    keys
        Elements that are compared, such as ``obs/cell_type``.
    ids
        The one of them that holds the gene ids.

    Raises
    ------
    ReadError
        When an element cannot be read.
    """
    found = MissingChunks()
    for key in dict.fromkeys(keys):
        try:
            element = None if data.root is None else data.root.get(key)
            if element is not None:
                _look_into(element, key, found, ids=key == ids)
        except UNREADABLE as error:
            what = f"its chunks cannot be counted ({error})"
            raise ReadError(what, where=f"{data.where}, {key}") from error
    return found


def _look_into(element: Any, key: str, found: MissingChunks, *, ids: bool) -> None:
    """Add a line for each array of an element that lacks chunks."""
    lengths = (
        {} if hasattr(element, "shape") else {name: _length(element[name]) for name in element}
    )
    if lengths.get("data") == 0:
        return  # a sparse matrix without values, whose pointers are all 0
    for chunks in count_chunks(element, key):
        name = chunks.key[len(key) + 1 :]
        if chunks.missing and not _is_usual(chunks, name, lengths.get("categories")):
            lost = ids or name in _NEVER_LEFT_OUT or _lacks_most(chunks, key)
            chosen = name == "data" and chunks.fill and chunks.fill == chunks.fill
            (found.losses if lost and not chosen else found.notes).append(_told(chunks))


def _length(element: Any) -> int:
    shape = getattr(element, "shape", ())
    return int(shape[0]) if shape else -1


def _is_usual(chunks: Chunks, name: str, n_categories: int | None) -> bool:
    """Whether good data lack such chunks: nothing is masked, or there is one category only."""
    if chunks.fill:
        return False
    if name.rpartition("/")[2] == "mask":
        return chunks.missing == chunks.total
    if name == "codes":  # where some are there, a cell may have no category
        return n_categories == 1 and chunks.missing == chunks.total
    return n_categories == 1 and name == "categories"


def _lacks_most(chunks: Chunks, key: str) -> bool:
    """Whether more than half is missing, but of obs, where most cells may well show 0."""
    return 2 * chunks.missing > chunks.total and not key.startswith("obs/")


def _told(chunks: Chunks) -> str:
    what = f"{chunks.missing:,} of {chunks.total:,} chunks are missing from the data"
    return f"{chunks.key}: {what}, and read as {chunks.fill if chunks.fill is not None else 0}"
