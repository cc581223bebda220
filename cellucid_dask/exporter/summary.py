"""What a result says of the files that were written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cellucid_dask.exporter.job import Job
from cellucid_dask.exporter.receipts import Edges
from cellucid_dask.exporter.recovery.journal import ObsFiles
from cellucid_dask.exporter.result import ExportResult
from cellucid_dask.files import Receipt

LISTED = 10  # genes or columns that one warning names


def record_contents(
    result: ExportResult,
    job: Job,
    obs: ObsFiles,
    genes: Sequence[Receipt],
    edges: Edges | None,
    receipts: Sequence[Receipt],
) -> None:
    """Record in `result` what the export holds; `receipts` are those of all its files."""
    gene_ids = job.catalog.genes.ids if job.catalog.genes is not None else []
    result.warnings += missing_value_warnings(gene_ids, genes, obs.columns)
    result.n_cells, result.n_genes = job.catalog.n_cells, len(gene_ids)
    result.n_obs_fields = len(job.catalog.obs)
    result.n_edges = None if edges is None else edges.n_edges
    result.files, result.bytes = len(receipts), sum(receipt.size for receipt in receipts)


def missing_value_warnings(
    gene_ids: Sequence[str], genes: Sequence[Receipt], columns: Mapping[str, Receipt]
) -> list[str]:
    """Warn of values that a code cannot represent and the viewer shows as missing."""
    warnings = []
    named_genes = zip(gene_ids, genes, strict=True)
    for noun, fields in (("genes", named_genes), ("obs columns", columns.items())):
        names_of: dict[str, list[str]] = {}
        for name, receipt in fields:
            for trouble in receipt.span.troubles() if receipt.span is not None else ():
                names_of.setdefault(trouble, []).append(name)
        for trouble, names in names_of.items():
            listed = ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")
            warnings.append(f"{noun} with {trouble}, shown as missing ({len(names)}): {listed}")
    return warnings
