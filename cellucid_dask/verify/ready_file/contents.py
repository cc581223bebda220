"""What a ready file holds, once its structure is known to be right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cellucid_dask.verify.ready_file.stored import StoredArray


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """A column of obs or var.

    Parameters
    ----------
    kind
        Its encoding: ``categorical``, ``array``, ``string-array``, ``nullable-integer`` or
        ``nullable-boolean``.
    values
        Values; codes of a categorical.
    beside
        Categories of a categorical, mask of a nullable column.
    """

    path: str
    kind: str
    values: StoredArray
    beside: StoredArray | None = None
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class StoredSparse:
    """A sparse matrix."""

    path: str
    shape: tuple[int, int]
    data: StoredArray
    indices: StoredArray
    indptr: StoredArray


@dataclass(slots=True)
class ReadyContents:
    """What a ready file holds; an element whose structure is wrong is left out.

    Parameters
    ----------
    n_cells, n_genes
        Lengths of the indexes.
    x
        Expression, sparse or dense; None without it.
    record
        ``uns['cellucid']`` without outlier quantiles, as plain Python values.
    quantiles
        Outlier quantiles by obs column.
    quantile_facts
        Latent key, and cells that a category needs; None without quantiles.
    """

    n_cells: int = -1
    n_genes: int = -1
    cell_names: StoredArray | None = None
    gene_names: StoredArray | None = None
    obs: dict[str, StoredColumn] = field(default_factory=dict)
    var: dict[str, StoredColumn] = field(default_factory=dict)
    obsm: dict[str, StoredArray] = field(default_factory=dict)
    x: StoredSparse | StoredArray | None = None
    graph: StoredSparse | None = None
    record: Mapping[str, Any] = field(default_factory=dict)
    quantiles: dict[str, StoredArray] = field(default_factory=dict)
    quantile_facts: tuple[str, int] | None = None
