"""What a result says of the files that were written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cellucid_dask.encode import Range
from cellucid_dask.exporter.job import Job
from cellucid_dask.exporter.ready_receipts import ReadyWork
from cellucid_dask.exporter.receipts import Edges, GeneReceipts
from cellucid_dask.exporter.recovery.journal import ObsFiles
from cellucid_dask.exporter.result import ExportResult
from cellucid_dask.exporter.stages.manifests.driver import Written
from cellucid_dask.files import Receipt
from cellucid_dask.format import DIMENSIONS
from cellucid_dask.ready.vector_fields import find_vector_fields

LISTED = 10  # genes or columns that one warning names


def record_contents(
    result: ExportResult,
    job: Job,
    obs: ObsFiles,
    genes: GeneReceipts,
    edges: Edges | None,
    written: Written,
) -> None:
    """Record in `result` what the export holds; `written` are all its files."""
    gene_ids = job.catalog.genes.ids if job.catalog.genes is not None else []
    result.warnings += missing_value_warnings(gene_ids, genes, obs.columns)
    result.n_cells, result.n_genes = job.catalog.n_cells, len(gene_ids)
    result.n_obs_fields = len(job.catalog.obs)
    result.n_embeddings = len(job.catalog.found.shown)
    result.n_edges = None if edges is None else edges.n_edges
    result.files, result.bytes = len(written), sum(size for size, _ in written.values())


def record_ready(
    result: ExportResult,
    job: Job,
    cells: Sequence[ReadyWork],
    written: Mapping[str, Mapping[str, tuple[int, int]]],
) -> None:
    """Record in `result` what the ready files hold; `written` are the files of each."""
    ready = job.ready
    assert ready is not None
    result.n_cells, result.n_genes = ready.n_cells, len(ready.gene_names)
    if not job.makes_folder:
        result.n_obs_fields = len(ready.obs)
        widths = {key: array.shape[1] for key, array in ready.obsm.items()}
        fields = find_vector_fields(widths)
        shown = [key for key, n in widths.items() if n in DIMENSIONS and key not in fields]
        result.n_embeddings = len(shown)
        weights = [work.facts["nnz"] for work in cells if work.key == "obsp/connectivities"]
        result.n_edges = weights[0] // 2 if weights else None
    for files in written.values():
        result.files += len(files)
        result.bytes += sum(size for size, _ in files.values())


def missing_value_warnings(
    gene_ids: Sequence[str], genes: GeneReceipts, columns: Mapping[str, Receipt]
) -> list[str]:
    """Warn of values that a code cannot represent and the viewer shows as missing."""
    warnings = []
    unusual = genes[(genes["n_nan"] > 0) | (genes["n_inf"] > 0) | genes["empty"]]
    spans = [(gene_ids[i], Range(*span)) for i, _, _, *span in unusual.tolist()]
    of_columns = [(key, r.span) for key, r in columns.items() if r.span is not None]
    for noun, fields in (("genes", spans), ("obs columns", of_columns)):
        names_of: dict[str, list[str]] = {}
        for name, span in fields:
            for trouble in span.troubles():
                names_of.setdefault(trouble, []).append(name)
        for trouble, names in names_of.items():
            listed = ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")
            warnings.append(f"{noun} with {trouble}, shown as missing ({len(names)}): {listed}")
    return warnings
