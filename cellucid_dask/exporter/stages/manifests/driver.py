"""Writes the manifests: that of obs early, then the checksums of all files, the identity last."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence

from cellucid_dask import format as fmt
from cellucid_dask.exporter.job import Job
from cellucid_dask.exporter.receipts import Edges
from cellucid_dask.exporter.recovery.journal import ObsFiles
from cellucid_dask.exporter.stages.manifests import build
from cellucid_dask.files import Receipt, write_atomically


def save_obs(job: Job, ranked: Mapping[str, tuple[Receipt, str]], latent_name: str) -> Receipt:
    """Write ``obs_manifest.json``; `ranked` is what the ranks answered, by column."""
    # A dict per centroid, none of them garbage: to look for some took as long as to make them.
    gc.disable()
    try:
        payload = build.obs_manifest(job.catalog, job.options, job.columns, ranked, latent_name)
        return build.save(job.folders.export, fmt.OBS_MANIFEST, payload)
    finally:
        gc.enable()


def save_rest(
    job: Job, obs: ObsFiles, genes: Sequence[Receipt], edges: Edges | None, name: str
) -> list[Receipt]:
    """Write the other manifests and the checksums, the identity last.

    Parameters
    ----------
    name
        Of the folder.

    Returns
    -------
    Receipts of all files; that of the checksums is the last.
    """
    with job.engine.reporter.stage("manifests", 1, "exports") as advance:
        receipts = _write_rest(job, obs, genes, edges, name)
        advance()
    return receipts


def _write_rest(
    job: Job, obs: ObsFiles, genes: Sequence[Receipt], edges: Edges | None, name: str
) -> list[Receipt]:
    catalog, options, folder = job.catalog, job.options, job.folders.export
    receipts = [*obs.receipts, *genes]
    ids: list[str] = []
    if catalog.genes is not None:
        ids = catalog.genes.ids
        receipts.append(
            build.save(folder, fmt.VAR_MANIFEST, build.var_manifest(catalog, options, ids, genes))
        )
    if edges is not None:
        pairs = build.connectivity_manifest(catalog, options, edges)
        receipts += [*edges.receipts, build.save(folder, fmt.CONNECTIVITY_MANIFEST, pairs)]
    who = build.identity(catalog, options, name, len(ids), edges)
    identity, receipt = build.encoded(fmt.IDENTITY, who, pretty=True)
    receipts.append(receipt)
    sums = fmt.checksums({r.path: (r.size, r.crc32) for r in receipts})
    receipts.append(build.save(folder, fmt.CHECKSUMS, sums))
    write_atomically(folder / fmt.IDENTITY, [identity])
    return receipts
