"""Whether a file is a ready file that the public app reads as it lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from cellucid_dask.exporter.checks.ready.texts import id_fault, text_fault
from cellucid_dask.ready.facts import SCHEMA
from cellucid_dask.source.record import PLACE
from cellucid_dask.source.storage.damage import DAMAGE
from cellucid_dask.source.storage.elements import (
    encoding_of,
    find_element,
    is_array,
    text_attribute,
)
from cellucid_dask.source.storage.store import Store

_UNREADABLE: Final[tuple[type[Exception], ...]] = (*DAMAGE, AttributeError)  # as of old encodings


@dataclass(frozen=True, slots=True)
class ReadyFacts:
    """What a ready file says of itself.

    Parameters
    ----------
    id, name
        Of the dataset.
    shape
        (n_cells, n_genes).
    """

    id: str
    name: str
    shape: tuple[int, int]


def inspect_ready(store: Store) -> ReadyFacts | None:
    """Facts of a ready file; None of any other file, which a virtual store stands for."""
    try:
        with store.open() as root:
            record = find_element(root, PLACE)
            if record is None or is_array(record) or not _is_by_gene(find_element(root, "X")):
                return None
            texts = {key: _scalar(record, key) for key in ("id", "name", "schema")}
            shape = _length(root, "obs"), _length(root, "var")
    except _UNREADABLE:
        return None  # opening it as an AnnData tells what is wrong
    own_id, name = texts["id"], texts["name"]
    if texts["schema"] != SCHEMA or id_fault(own_id) or text_fault(name):
        return None
    return ReadyFacts(str(own_id), str(name), shape)


def _is_by_gene(x: Any) -> bool:
    """Whether genes of X can be read on their own, or there is no X."""
    return x is None or is_array(x) or encoding_of(x) == "csc_matrix"


def _scalar(group: Any, key: str) -> Any:
    """A text or a number; None without it."""
    element = find_element(group, key)
    if element is None or not is_array(element):
        return None
    value = element[()]
    value = value.item() if hasattr(value, "item") else value
    return value.decode() if isinstance(value, bytes) else value


def _length(root: Any, table: str) -> int:
    """Number of the rows of a table."""
    group = find_element(root, table)
    index = find_element(group, text_attribute(group, "_index"))
    if index is None:
        raise ValueError(f"{table} has no index")
    return int(index.shape[0])
