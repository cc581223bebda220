"""Types of the keyword arguments of the functions, for editors and type checkers.

The classes of the options have the defaults, rules and documentation of each; here is what a caller
may pass.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from cellucid_dask.options.jobs import JobOptions


class CellKeywords(TypedDict, total=False):
    """Fields of `ExportOptions` for which `cellucid_dask.prepare` has no argument."""

    rename_duplicates: bool
    cell_ids: bool
    drop_cells_without_embedding: bool
    accept_missing_chunks: bool
    created_at: str | None


class DataKeywords(CellKeywords, total=False):
    """What is taken of the data: fields of `ExportOptions` for exports and servers."""

    categorical_dtype: str
    centroid_quantile: float | None
    centroid_min_points: int | None
    obs_keys: Sequence[str] | None
    genes: Sequence[str] | None
    gene_id_column: str
    modality: str | None
    layer: str | None
    raw: bool
    latent_key: str | None
    embeddings: Mapping[int, str | Sequence[str]]
    graph: str | None
    connectivity: bool
    vectors: bool
    expression: bool
    dataset_id: str | None
    dataset_name: str | None
    description: str
    source_name: str | None
    source_url: str | None
    citation: str | None
    citation_url: str | None


class ExportKeywords(DataKeywords, total=False):
    """Options of `cellucid_dask.check`: all fields of `ExportOptions`."""

    format: str
    zarr_format: int | None
    shards: bool
    compression: int
    var_quantization: int | None
    obs_quantization: int | None


class JobKeywords(TypedDict, total=False):
    """Fields of `RunOptions`, without `force`, and those of `JobOptions` in place of an object."""

    workers: int | None
    memory: float | str | None
    scratch: str | os.PathLike[str] | None
    scheduler: Any
    report: str | os.PathLike[str] | None
    performance_report: str | os.PathLike[str] | None
    preview: str | os.PathLike[str] | None
    restart: bool
    verify: bool
    jobs: JobOptions | None
    slurm: bool
    cluster: str
    partition: str | None
    account: str | None
    time: str | None
    job_memory: float | str | None
    job_cores: int | None
    job_disk: float | str | None
    parallel_environment: str | None
    memory_resource: str | None
    directives: Sequence[str]
    setup: Sequence[str]
    max_jobs: int | None
    adaptive: bool
    interface: str | None


class ArrayKeywords(CellKeywords, JobKeywords, total=False):
    """Options of `cellucid_dask.prepare`."""


class RunKeywords(ExportKeywords, JobKeywords, total=False):
    """Options of `cellucid_dask.export`."""

    force: bool


class PageKeywords(DataKeywords, total=False):
    """Options of all servers."""

    quantize: Literal[8, 16] | None
    cache_size: float | str
    cache_dir: str | os.PathLike[str] | None
    index: bool
    backed: bool
    viewer: str
    protocol: str | None
    viewer_url: str | None
    viewer_cache: str | os.PathLike[str] | None


class ShowKeywords(PageKeywords, total=False):
    """Options of `cellucid_dask.show`."""

    port: int
    open_browser: bool
    quiet: bool


class ServerKeywords(PageKeywords, total=False):
    """Options of `cellucid_dask.CellucidServer`."""

    verbose: bool
    allowed_hosts: Sequence[str]
    token: str | None
    base_path: str


class AppKeywords(ServerKeywords, total=False):
    """Options of `cellucid_dask.create_app`."""

    host: str
    port: int
    open_browser: bool
    quiet: bool
