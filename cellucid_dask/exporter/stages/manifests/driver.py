"""Writes the manifests: that of obs early, then the checksums of all files, the identity last."""

from __future__ import annotations

import gc
from collections.abc import Mapping

from cellucid_dask import format as fmt
from cellucid_dask.exporter.job import Job
from cellucid_dask.exporter.receipts import ColumnSummary, Edges, GeneReceipts
from cellucid_dask.exporter.recovery.journal import ObsFiles
from cellucid_dask.exporter.stages.manifests import build
from cellucid_dask.files import Receipt, write_atomically

Written = Mapping[str, tuple[int, int]]  # (bytes, crc32) of files, by path relative to the export


def save_obs(job: Job, summaries: Mapping[str, ColumnSummary], latent_name: str) -> Receipt:
    """Write ``obs_manifest.json``; `summaries` are those of all categorical columns."""
    # A dict per centroid, none of them garbage: to look for some took as long as to make them.
    gc.disable()
    try:
        ids = job.cell_ids
        entry = None if ids is None else fmt.stored_cell_ids(ids.offsets, gz=job.level > 0)
        payload = build.obs_manifest(
            job.catalog, job.options, job.columns, summaries, latent_name, entry
        )
        return build.save(job.folders.export, fmt.OBS_MANIFEST, payload)
    finally:
        gc.enable()


def save_rest(
    job: Job, obs: ObsFiles, genes: GeneReceipts, edges: Edges | None, name: str
) -> Written:
    """Write the other manifests and the checksums, the identity last.

    Parameters
    ----------
    genes
        In the order of the genes.
    name
        Of the folder.

    Returns
    -------
    All files of the export.
    """
    with job.engine.reporter.stage("manifests", 1, "exports") as advance:
        written = _write_rest(job, obs, genes, edges, name)
        advance()
    return written


def _write_rest(
    job: Job, obs: ObsFiles, genes: GeneReceipts, edges: Edges | None, name: str
) -> Written:
    catalog, options, folder = job.catalog, job.options, job.folders.export
    written, receipts = {}, obs.receipts
    if job.cell_ids is not None:
        receipts.append(job.cell_ids.receipt)
    ids: list[str] = []
    if catalog.genes is not None:
        ids, bits = catalog.genes.ids, options.var_quantization
        paths = fmt.gene_paths(ids, bits, gz=options.compression > 0)
        sizes = zip(genes["size"].tolist(), genes["crc32"].tolist(), strict=True)
        written = dict(zip(paths, sizes, strict=True))
        spans = None
        if bits is not None:
            spans = zip(genes["lo"].tolist(), genes["hi"].tolist(), strict=True)
        payload = build.var_manifest(catalog, options, ids, spans)
        receipts.append(build.save(folder, fmt.VAR_MANIFEST, payload))
    if edges is not None:
        pairs = build.connectivity_manifest(catalog, options, edges)
        receipts += [*edges.receipts, build.save(folder, fmt.CONNECTIVITY_MANIFEST, pairs)]
    who = build.identity(catalog, options, name, len(ids), edges)
    identity, receipt = build.encoded(fmt.IDENTITY, who, pretty=True)
    receipts.append(receipt)
    written |= {r.path: (r.size, r.crc32) for r in receipts}
    sums = build.save(folder, fmt.CHECKSUMS, fmt.checksums(written))
    write_atomically(folder / fmt.IDENTITY, [identity])
    return written | {fmt.CHECKSUMS: (sums.size, sums.crc32)}
