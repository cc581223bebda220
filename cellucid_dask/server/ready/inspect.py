"""Whether a file is a ready file that the public app reads as it lies."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final

from cellucid_dask.errors import refuse_fault
from cellucid_dask.exporter.checks.ready.texts import id_fault, text_fault
from cellucid_dask.ready.facts import SCHEMA
from cellucid_dask.server.ready.consolidate import made_consolidated
from cellucid_dask.server.ready.documents import read_documents
from cellucid_dask.server.ready.readable import can_read_hdf5, can_read_zarr
from cellucid_dask.server.ready.store import Kind
from cellucid_dask.source.inputs.mudata import is_mudata, modalities
from cellucid_dask.source.record import PLACE
from cellucid_dask.source.storage.damage import DAMAGE
from cellucid_dask.source.storage.elements import (
    encoding_of,
    find_element,
    is_array,
    require_element,
    text_attribute,
)
from cellucid_dask.source.storage.store import Store

_UNREADABLE: Final[tuple[type[Exception], ...]] = (*DAMAGE, AttributeError)  # as of old encodings
_EXPRESSION: Final = ("rna", "gex", "gene expression", "gene_expression", "sct")


@dataclass(frozen=True, slots=True)
class ReadyFacts:
    """What a ready file says of itself.

    Parameters
    ----------
    kind
        Container, and whether it holds a MuData.
    id, name
        Of the dataset.
    shape
        (n_cells, n_genes); of a MuData the genes of the modality that the public app opens.
    made
        Bytes of the consolidated document that a zarr folder needs, by its key; empty if it has it.
    """

    kind: Kind
    id: str
    name: str
    shape: tuple[int, int]
    made: dict[str, bytes] = field(default_factory=dict, repr=False)


def inspect_ready(store: Store) -> ReadyFacts | None:
    """Facts of a ready file; None of any other file, which a virtual store stands for.

    Only metadata are read, so that it takes the same time for any number of cells: the record says
    that the rows of a gene are sorted, that the values are finite, and so on.

    Raises
    ------
    MachineError
        When the machine cannot read it.
    """
    try:
        made: dict[str, bytes] = {}
        if store.kind != "hdf5":
            documents = read_documents(store)
            made = made_consolidated(store, documents)
            # The bytes of an archive are served, so that nothing can be made for it.
            if not can_read_zarr(documents) or (store.kind == "zip" and made):
                return None
        with store.open() as root:
            if store.kind == "hdf5" and not can_read_hdf5(root):
                return None
            facts = _read_facts(root, store.kind != "hdf5")
            return None if facts is None else replace(facts, made=made)
    except _UNREADABLE as error:
        refuse_fault(error, store.path)
        return None  # opening it as an AnnData tells what is wrong


def _read_facts(root: Any, is_zarr: bool) -> ReadyFacts | None:
    record = find_element(root, PLACE)
    if record is None or is_array(record) or _scalar(record, "schema") != SCHEMA:
        return None
    own_id, name = _scalar(record, "id"), _scalar(record, "name")
    if id_fault(own_id) or text_fault(name):
        return None
    kind: Kind = "zarr" if is_zarr else "h5ad"
    parts, first = [root], root
    if is_mudata(root):
        kind = "mudata-zarr" if is_zarr else "h5mu"
        names = modalities(root)
        parts = [require_element(root, f"mod/{part}") for part in names]
        opened = next((part for part in names if part.lower() in _EXPRESSION), names[0])
        first = parts[names.index(opened)]
        if root.attrs.get("axis", 0) != 0:  # it shares genes, not cells
            return None
    if not all(map(_is_by_gene, parts)):
        return None
    return ReadyFacts(kind, own_id, name, (_length(root, "obs"), _length(first, "var")))


def _is_by_gene(part: Any) -> bool:
    """Whether genes of an AnnData can be read on their own, or there is no X."""
    x = find_element(part, "X")
    if x is None:
        return True
    shape = _length(part, "obs"), _length(part, "var")
    if is_array(x):
        return tuple(x.shape) == shape
    arrays = [require_element(x, name) for name in ("data", "indices", "indptr")]
    lengths = [array.shape for array in arrays]
    return encoding_of(x) == "csc_matrix" and (
        lengths[0] == lengths[1] and lengths[2] == (shape[1] + 1,)
    )


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
    group = require_element(root, table)
    return int(require_element(group, text_attribute(group, "_index")).shape[0])
