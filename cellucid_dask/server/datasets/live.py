"""Live data: an AnnData under the paths of its export, each file made when it is asked for.

Genes are made one by one, in memory. Every other file is made once, by the steps of the export, in
a work folder that is removed with the server, and is then served from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any, Final

from cellucid_dask import format as fmt
from cellucid_dask.compute.machine import cores
from cellucid_dask.errors import EmbeddingError, Problem
from cellucid_dask.exporter.checks.recorded import use_record
from cellucid_dask.exporter.on_demand import OnDemandFiles, check_on_demand
from cellucid_dask.exporter.stages.dataset_files import Step
from cellucid_dask.files import write_atomically
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.server.datasets.cell_ids import CellIdBlocks
from cellucid_dask.server.datasets.gene_reader import GeneReader, open_gene_reader
from cellucid_dask.server.datasets.gzip_coding import compress_content, compress_file
from cellucid_dask.server.datasets.kept_summaries import KeptSummaries
from cellucid_dask.server.datasets.summaries import Summaries
from cellucid_dask.server.datasets.temporary_folder import make_folder, naming_the_disk
from cellucid_dask.server.http.cache import ContentCache, OncePerKey
from cellucid_dask.server.http.content import IN_MEMORY, Content, ReplacedError, text_content
from cellucid_dask.server.precedence import precedence
from cellucid_dask.source.model import Source

LEVEL: Final = 1  # of gzip on the fly; only repeats are searched, for which the level is the same
IN_CACHE: Final = 64_000_000  # bytes of a file whose gzip coding is held in memory


class LiveDataset:
    """An AnnData, served under the paths of its uncompressed export, quantized or not.

    Parameters
    ----------
    source
        The data.
    options
        What is served; as of an export without compression.
    cache
        Of all contents.
    room
        Bytes of memory that one step may use.
    memory
        Bytes of memory that all tasks of the reduction over obs may use together.
    index
        Whether to keep a gene index of CSR data.
    cache_dir
        Where; that of data without a file is kept in the work folder.
    mark
        Tells this data from any other, and from what it was before a change.
    modified
        When the data were last changed, in UTC; None of data in memory.
    kept_in
        Folder where centroids and outlier quantiles are kept; None keeps them with the dataset.
    is_unchanged
        Whether the data are what they were when they were opened.
    problems
        What is already known to be wrong.

    Raises
    ------
    InputError
        With everything for which an export would refuse the data.
    """

    def __init__(
        self,
        source: Source,
        options: ExportOptions,
        cache: ContentCache,
        *,
        room: int,
        memory: int,
        index: bool,
        cache_dir: Path,
        mark: str,
        modified: datetime | None = None,
        kept_in: Path | None = None,
        is_unchanged: Callable[[], bool] = lambda: True,
        problems: Sequence[Problem] = (),
    ) -> None:
        source, options = use_record(source, options)
        self.catalog = check_on_demand(source, options, memory, problems)
        self.source = self.catalog.source
        self._cache, self._once, self._is_unchanged = cache, OncePerKey(), is_unchanged
        self._refused: dict[str, str] = {}
        self._busy = BoundedSemaphore(max(2, cores()))  # steps at the same time, each uses memory
        self.name = options.dataset_name or self.source.name
        self.id = options.dataset_id or fmt.safe(self.name)
        salt = f"{mark} {options} {version('cellucid-dask')}"
        self._tag = sha256(salt.encode()).hexdigest()[:16]
        self._folder = make_folder()
        folder = Path(self._folder.name)
        with naming_the_disk(self._folder.name):
            self._files = OnDemandFiles(
                self.catalog, options, folder, room=room, memory=memory, modified=modified
            )
        ids = self.catalog.cell_ids
        self._ids = None if ids is None else CellIdBlocks(ids)
        self.genes: GeneReader | None = None
        if self.catalog.genes is not None and self.catalog.genes.ids:
            self.genes = open_gene_reader(
                self.source,
                self.catalog.genes.matrix,
                options,
                room,
                index=index,
                cache_dir=cache_dir,
                work_folder=folder,
            )
        kept = None if kept_in is None else KeptSummaries(kept_in, self._summary_facts())
        self._summaries = Summaries(self._files, self._run, self._busy, kept, self._check_unchanged)

    def _summary_facts(self) -> dict[str, Any]:
        """What centroids and outlier quantiles depend on, besides the file."""
        options, catalog, selection = self._files.options, self.catalog, self.source.selection
        dropped = b"" if selection is None else selection.dropped.astype("<i8").tobytes()
        return {
            "modality": options.modality,
            "n_cells": catalog.n_cells,
            "dropped": sha256(dropped).hexdigest(),
            "latent": catalog.latent,
            "embeddings": {str(d): key for d, key in catalog.found.embeddings.items()},
            "centroid_quantile": options.centroid_quantile,
            "min_points": options.min_points,
            "obs_quantization": options.obs_quantization,
        }

    @property
    def current(self) -> LiveDataset:
        """The dataset itself, which is never replaced."""
        return self

    def facts(self) -> dict[str, Any]:
        """Numbers for the list of datasets."""
        genes = self.catalog.genes
        return {"n_cells": self.catalog.n_cells, "n_genes": len(genes.ids) if genes else 0}

    def embedding_facts(self) -> dict[str, Any]:
        """Number of embeddings that are listed, and why those that were read cannot be shown."""
        return {"n": len(self.catalog.found.shown), "refused": dict(self._refused)}

    # ------------------------------------------------------------------------------------ content

    def find(self, path: str, *, gzip: bool, summaries: str | None = None) -> Content | None:
        """Content at a path relative to the dataset; None if there is none.

        Parameters
        ----------
        gzip
            Whether to code it; a path that ends in ``.gz`` is gzip bytes in any case.
        summaries
            Key of the column of which the manifest of obs tells what takes a pass over all cells;
            empty for no column, so that it is there at once, and the identity does not count edges.
            None tells all.
        """
        with naming_the_disk(self._folder.name):
            if path in fmt.MANIFESTS:
                with precedence.request():
                    return self._find_manifest(path, summaries, gzip=gzip)
            block = fmt.live_block(path)
            if block is not None:
                with precedence.request():
                    return self._find_ids(path, block, gzip=gzip)
            return self._find_binary(path, gzip=gzip)

    def _find_ids(self, path: str, block: int, *, gzip: bool) -> Content | None:
        """A block of the ids of cells; None beyond the last one."""
        ids = self._ids
        if ids is None or block >= ids.n_blocks:
            return None
        return self._find_text(path, lambda: ids.read(block), gzip=gzip)

    def _find_binary(self, path: str, *, gzip: bool) -> Content | None:
        plain = path.removesuffix(".gz")
        if plain not in self._files.steps:
            return None
        coding = "asked" if plain != path else "coded" if gzip else "plain"
        return self._cache.get((self._tag, plain, coding), lambda: self._make_binary(plain, coding))

    def _make_binary(self, path: str, coding: str) -> Content:
        step, level = self._files.steps[path], 0 if coding == "plain" else LEVEL
        if step.kind == "gene":
            body: bytes | Path = self._encode_gene(step.number, level)
        else:
            with precedence.request():
                self._run(step)
                body = self._read_file(path, level)
        size = len(body) if isinstance(body, bytes) else body.stat().st_size
        self._check_unchanged()
        tag = f"{self._tag}-{'z' if level else 'p'}"
        return Content(body, size, tag, gzipped=coding == "coded", varies=coding != "asked")

    def _check_unchanged(self) -> None:
        if not self._is_unchanged():
            raise ReplacedError(self.name)

    def _encode_gene(self, column: int, level: int) -> bytes:
        assert self.genes is not None
        pieces = self.genes.pieces(column)
        with self._busy:
            return self._files.encode_gene(pieces, level)

    def _read_file(self, path: str, level: int) -> bytes | Path:
        """Content of a file that was made, or the path of a large one."""
        file = self._files.path(path)
        size = file.stat().st_size
        if not level:
            return file.read_bytes() if size <= IN_MEMORY else file
        compressed = compress_file(file, level)
        if size <= IN_CACHE:
            return b"".join(compressed)
        gz_file = file.with_name(file.name + ".gz")
        self._once(("gz", path), lambda: write_atomically(gz_file, compressed))
        return gz_file

    # -------------------------------------------------------------------------------------- steps

    def _run(self, step: Step) -> Any:
        """Run a step once; as many at a time as there are cores, since each uses memory."""
        if step.kind == "outliers":
            return self._summaries.find_outliers(self.catalog.obs[step.number].key)

        def run_alone() -> Any:
            with self._busy:
                return self._files.run(step)

        try:
            return self._once((step,), run_alone)
        except EmbeddingError as error:
            self._refused[step.field] = error.problems[0].what
            raise

    # ---------------------------------------------------------------------------------- manifests

    def _find_manifest(self, name: str, summaries: str | None, *, gzip: bool) -> Content | None:
        makers: dict[str, Callable[[], dict[str, Any]]] = {
            fmt.IDENTITY: lambda: self._identity(counts_edges=summaries is None),
            fmt.OBS_MANIFEST: lambda: self._obs_manifest(summaries),
        }
        if summaries is not None and name != fmt.OBS_MANIFEST:
            summaries = "" if name == fmt.IDENTITY else None
        elif summaries is not None and summaries not in self._summaries.keys:
            summaries = ""
        if self.catalog.genes is not None:
            makers[fmt.VAR_MANIFEST] = self._var_manifest
        if self.catalog.graph is not None:
            makers[fmt.CONNECTIVITY_MANIFEST] = self._connectivity_manifest
        if name not in makers:
            return None

        def make_text() -> str:
            return fmt.dumps(makers[name](), pretty=name == fmt.IDENTITY)

        return self._find_text(name, make_text, gzip=gzip, variant=summaries)

    def _find_text(
        self, path: str, make_text: Callable[[], str], *, gzip: bool, variant: str | None = None
    ) -> Content:
        """Content of JSON text; each variant of a path is made once."""

        def make() -> Content:
            content = text_content(make_text())
            self._check_unchanged()
            return content

        key = (self._tag, path, variant)
        plain = self._cache.get((*key, "plain"), make)
        if not gzip:
            return replace(plain, varies=True)
        return self._cache.get((*key, "coded"), lambda: compress_content(plain))

    def _identity(self, *, counts_edges: bool) -> dict[str, Any]:
        has_edges = counts_edges and self.catalog.graph is not None
        return self._files.identity(self._run(Step("edges")) if has_edges else None)

    def _obs_manifest(self, summaries: str | None) -> dict[str, Any]:
        keys = None if summaries is None else [summaries] if summaries else []
        steps = self._files.columns_with_range()
        receipts = {key: self._run(steps[key]) for key in steps}
        return self._files.obs_manifest(receipts, self._summaries.of_columns(keys))

    def _var_manifest(self) -> dict[str, Any]:
        ranges = None
        if self._files.options.var_quantization is not None and self.genes is not None:
            ranges = self.genes.ranges()
        return self._files.var_manifest(ranges)

    def _connectivity_manifest(self) -> dict[str, Any]:
        return self._files.connectivity_manifest(self._run(Step("edges")))

    # ----------------------------------------------------------------------------------- lifetime

    def refresh(self) -> None:
        """Do nothing: data in memory do not change."""

    def start(self) -> None:
        """Start to build the gene index, where there is one to build."""
        precedence.expect_page()
        if self.genes is not None:
            self.genes.start()

    def close(self) -> None:
        """Stop what runs, and remove the work folder."""
        self._summaries.close()
        if self.genes is not None:
            self.genes.stop()
        self._folder.cleanup()
