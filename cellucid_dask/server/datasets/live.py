"""An AnnData answered as if it had been exported: what is asked for is made by the export's code.

Genes are made one by one, in memory. All else is written once, by the stages of the export, to
a work folder that goes with the server, and answered from there like an export's files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.filesize import decimal

from cellucid_dask import format as fmt
from cellucid_dask.compute.engine import Engine
from cellucid_dask.compute.machine import available_memory, cores
from cellucid_dask.compute.progress import Reporter
from cellucid_dask.encode import encode_gene, packed
from cellucid_dask.errors import Problem, raise_problems
from cellucid_dask.exporter.checks.genes import expression_key
from cellucid_dask.exporter.checks.survey import Catalog, survey
from cellucid_dask.exporter.job import Job
from cellucid_dask.exporter.obs_memory import ObsMemory, size_of_sums
from cellucid_dask.exporter.plan import Plan, least_bytes, spans
from cellucid_dask.exporter.receipts import Edges
from cellucid_dask.exporter.recovery.publish import FOLDERS
from cellucid_dask.exporter.recovery.staging import StagingFolders
from cellucid_dask.exporter.stages.edges import write_edges
from cellucid_dask.exporter.stages.embeddings import write_points, write_vectors
from cellucid_dask.exporter.stages.genes.blocks import gene_resource
from cellucid_dask.exporter.stages.manifests import build
from cellucid_dask.exporter.stages.obs.columns import CodedColumn, write_column
from cellucid_dask.exporter.stages.obs.driver import points_path, reduce_obs
from cellucid_dask.files import PARTS, Receipt, read_array, write_atomically
from cellucid_dask.format import Resource
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.options.run import RunOptions
from cellucid_dask.server.cache_folder import index_folder
from cellucid_dask.server.datasets.gene_reader import GeneReader, KeptReader, reader_of
from cellucid_dask.server.datasets.temporary_folder import make_folder, naming_the_disk
from cellucid_dask.server.http.cache import ContentCache, OncePerKey
from cellucid_dask.server.http.content import IN_MEMORY, Content, ReplacedError, text_content
from cellucid_dask.source.core import Source
from cellucid_dask.source.matrix import Matrix
from cellucid_dask.source.storage.fingerprint import Fingerprint, fingerprint
from cellucid_dask.source.storage.store import FileArray

LEVEL: Final = 1  # of gzip on the fly; with runs only, the level does not matter
IN_CACHE: Final = 64_000_000  # bytes of a file whose gzip coding is held in memory


class LiveDataset:
    """An AnnData, answered under the paths of an unquantized (or quantized) export of it.

    Parameters
    ----------
    source
        The data.
    options
        What is served; as of an export without compression.
    cache
        Of all answers.
    room
        Bytes that one answer may take while it is made.
    memory
        Bytes that all tasks of a reduction over obs may take together.
    index
        Whether to keep a gene index of CSR data.
    cache_dir
        Where; that of data without a file is kept in the work folder.
    mark
        Tells this data from any other, and from what it was before a change.
    still
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
        still: Callable[[], bool] = lambda: True,
        problems: Sequence[Any] = (),
    ) -> None:
        self.catalog = survey(source, options, show_any=True)
        self.source = source = self.catalog.source
        raise_problems([*problems, *self.catalog.problems])
        raise_problems(list(memory_problems(self.catalog, memory)))
        # Fixed now, so that the identity is the same whenever it is asked for.
        self.options = replace(options, created_at=options.timestamp())
        self._cache, self._once, self._still = cache, OncePerKey(), still
        self._room = max(room, least_bytes(replace(self.catalog, genes=None), options))
        self._slots = max(1, min(cores(), memory // ObsMemory.of(self.catalog).least))
        self._busy = BoundedSemaphore(max(2, cores()))  # what is made at once, each in memory
        self.name = options.dataset_name or source.name
        self.id = options.dataset_id or fmt.safe(self.name)
        salt = f"{mark} {options} {version('cellucid-dask')}"
        self._tag = sha256(salt.encode()).hexdigest()[:16]
        self._folder = make_folder()
        with naming_the_disk(self._folder.name):
            self._staging = _work_folders(Path(self._folder.name))
        self._job = _job(source, self.catalog, self.options, self._staging, self._room)
        self._coded = self._all_coded()
        self._names = self._resources()
        self.genes: GeneReader | None = None
        if self.catalog.genes is not None and self.catalog.genes.ids:
            matrix = self.catalog.genes.matrix
            if source.whole is not None:  # the index is of all cells
                matrix = source.whole.matrices[expression_key(options)]  # type: ignore[assignment]
            state = state_of(matrix)
            folder = index_folder(cache_dir, state) if state else Path(self._folder.name, "index")
            self.genes = reader_of(matrix, folder if index else None, room, state)
            if source.kept is not None:
                self.genes = KeptReader(self.genes, self.catalog.genes.matrix, source.kept, room)
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="cellucid-ahead")

    # ------------------------------------------------------------------------------ what is there

    def _all_coded(self) -> list[tuple[str, CodedColumn | None]]:
        found: list[tuple[str, CodedColumn | None]] = []
        for i, column in enumerate(self.catalog.obs):
            path = str(self._staging.scratch / f"codes-{i}")
            n = len(column.categories)
            coded = None if column.code is None else CodedColumn(column.key, n, column.code, path)
            found.append((column.key, coded))
        return found

    def _resources(self) -> dict[str, tuple[Resource, Any]]:
        """Every binary by its path, with what tells its maker which one it is."""
        catalog, options = self.catalog, self.options
        found: list[tuple[Resource, Any]] = [
            (Resource("points", dim=dim), dim) for dim in catalog.boxes
        ]
        for field, dims in catalog.found.vectors.items():
            found += [(Resource("vectors", field, dim), (field, dim)) for dim in dims]
        ext = fmt.value_ext(options.obs_quantization)
        for i, column in enumerate(catalog.obs):
            name = fmt.safe(column.key)
            if column.code is None:
                found.append((Resource("values", name, ext=ext), i))
            else:
                found.append((Resource("codes", name, ext=column.code.ext), i))
                found.append((Resource("outliers", name, ext=ext), i))
        if catalog.graph is not None:
            found += [(Resource("src"), None), (Resource("dst"), None)]
        if catalog.genes is not None:
            bits, columns = options.var_quantization, catalog.genes.columns.tolist()
            for gene, column_number in zip(catalog.genes.ids, columns, strict=True):
                found.append((gene_resource(gene, bits, 0), column_number))
        return {resource.path: (resource, which) for resource, which in found}

    def facts(self) -> dict[str, Any]:
        """Numbers for the list of datasets."""
        genes = self.catalog.genes
        return {"n_cells": self.catalog.n_cells, "n_genes": len(genes.ids) if genes else 0}

    # ------------------------------------------------------------------------------------ answers

    def find(self, path: str, *, gzip: bool) -> Content | None:
        """Content at a path relative to the dataset.

        Parameters
        ----------
        gzip
            Whether to code it; a path that ends in ``.gz`` is gzip bytes in any case.
        """
        with naming_the_disk(self._folder.name):
            return self._found(path, gzip=gzip)

    def _found(self, path: str, *, gzip: bool) -> Content | None:
        if path in fmt.MANIFESTS:
            return self._manifest(path, gzip=gzip)
        plain = path.removesuffix(".gz")
        if plain not in self._names:
            return None
        coding = "asked" if plain != path else "coded" if gzip else "plain"
        return self._cache.get((self._tag, plain, coding), lambda: self._binary(plain, coding))

    def _binary(self, path: str, coding: str) -> Content:
        resource, which = self._names[path]
        level = 0 if coding == "plain" else LEVEL
        tag = f"{self._tag}-{'z' if level else 'p'}"
        if resource.kind == "gene":
            body: bytes | Path = self._gene(which, level)
        else:
            self._written(resource, which)
            body = self._file(path, level)
        size = len(body) if isinstance(body, bytes) else body.stat().st_size
        if not self._still():
            raise ReplacedError(path)
        return Content(body, size, tag, gzipped=coding == "coded", varies=coding != "asked")

    def _gene(self, column: int, level: int) -> bytes:
        assert self.genes is not None
        pieces = self.genes.pieces(column)
        bits = self.options.var_quantization
        with self._busy:
            return encode_gene(pieces, self.catalog.n_cells, bits, level).payload

    def _file(self, path: str, level: int) -> bytes | Path:
        """Bytes of a file that is written, or the file when they are many."""
        file = self._staging.export / path
        size = file.stat().st_size
        if not level:
            return file.read_bytes() if size <= IN_MEMORY else file
        coded = packed(_blocks(file), level, runs=True)
        if size <= IN_CACHE:
            return b"".join(coded)
        whole = file.with_name(file.name + ".gz")
        self._once(("gz", path), lambda: write_atomically(whole, coded))
        return whole

    def _written(self, resource: Resource, which: Any) -> None:
        """Have the file of anything but a gene."""
        if resource.kind == "points":
            self._points(which)
        elif resource.kind == "vectors":
            self._vectors(*which)
        elif resource.kind in ("values", "codes"):
            self._column(which)
        elif resource.kind == "outliers":
            self._ranks()
        else:
            self._edges()

    # -------------------------------------------------------------------------------------- steps

    def _leaf(self, key: tuple[Any, ...], work: Any, *task: Any) -> Any:
        """Do a step once; as many at a time as there are cores, since each takes memory."""

        def guarded() -> Any:
            with self._busy:
                return work(*task)

        return self._once(key, guarded)

    def _points(self, dim: int) -> Receipt:
        array = self.source.obsm[self.catalog.found.embeddings[dim]]
        box, folder = self.catalog.boxes[dim], str(self._staging.export)
        return self._leaf(("points", dim), write_points, folder, array, box, 0, None)

    def _vectors(self, field: str, dim: int) -> Receipt:
        array = self.source.obsm[self.catalog.found.vectors[field][dim]]
        box, folder = self.catalog.boxes[dim], str(self._staging.export)
        return self._leaf(("vectors", field, dim), write_vectors, folder, array, field, box, 0)

    def _column(self, i: int) -> Receipt:
        field, (key, coded) = self.catalog.obs[i], self._coded[i]
        bits, folder = self.options.obs_quantization, str(self._staging.export)
        return self._leaf(("column", i), write_column, folder, field.column, coded, key, bits, 0)

    def _ranks(self) -> Mapping[str, tuple[Receipt, str]]:
        """Centroids and outlier quantiles of all categorical columns, in one pass for all."""

        def work() -> Any:
            for dim in self.catalog.boxes:
                points = self._staging.export / self._points(dim).path
                raw = Path(points_path(self._job, dim))
                raw.unlink(missing_ok=True)
                raw.symlink_to(points)  # the same bytes where nothing is compressed
            for i, (_, coded) in enumerate(self._coded):
                if coded is not None:
                    self._column(i)
            engine = Engine(RunOptions(workers=1), Reporter(quiet=True), local=True, small=True)
            engine.slots = self._slots
            with self._busy, engine, engine.working(self._staging.scratch):
                found = reduce_obs(replace(self._job, engine=engine), self._coded)
            for file in self._staging.scratch.iterdir():
                if file.name.startswith(("distance-", "codes-", "points-", "sums-", "means-")):
                    file.unlink()
            return found

        return self._once(("ranks",), work)

    def _edges(self) -> Edges:
        graph = self.catalog.graph
        assert graph is not None

        def work() -> Edges:
            folder, scratch = str(self._staging.export), str(self._staging.scratch)
            return write_edges(folder, scratch, graph, 0, self._room)

        return self._leaf(("edges",), work)

    # ---------------------------------------------------------------------------------- manifests

    def _manifest(self, name: str, *, gzip: bool) -> Content | None:
        makers = {
            fmt.IDENTITY: self._identity,
            fmt.OBS_MANIFEST: self._obs_manifest,
            fmt.VAR_MANIFEST: self._var_manifest,
            fmt.CONNECTIVITY_MANIFEST: self._connectivity_manifest,
        }
        if name == fmt.VAR_MANIFEST and self.catalog.genes is None:
            return None
        if name == fmt.CONNECTIVITY_MANIFEST and self.catalog.graph is None:
            return None

        def make() -> Content:
            made = text_content(fmt.dumps(makers[name](), pretty=name == fmt.IDENTITY))
            if not self._still():
                raise ReplacedError(name)
            return made

        plain = self._cache.get((self._tag, name, "plain"), make)
        if not gzip:
            return replace(plain, varies=True)
        return self._cache.get((self._tag, name, "coded"), lambda: coded_text(plain))

    def _identity(self) -> dict[str, Any]:
        edges = None if self.catalog.graph is None else self._edges()
        n_genes = self.facts()["n_genes"]
        self._ahead.submit(self._ranks)  # who asks for the identity asks for the obs next
        return build.identity(self.catalog, self.options, self.source.name, n_genes, edges)

    def _obs_manifest(self) -> dict[str, Any]:
        ranked = self._ranks()
        receipts = {}
        for i, (key, coded) in enumerate(self._coded):
            needed = coded is None and self.options.obs_quantization is not None
            receipts[key] = self._column(i) if needed else Receipt("", 0, 0)
        latent = self.catalog.latent
        return build.obs_manifest(self.catalog, self.options, receipts, ranked, latent)

    def _var_manifest(self) -> dict[str, Any]:
        genes = self.catalog.genes
        assert genes is not None
        receipts: Sequence[Receipt] = [Receipt("", 0, 0)] * len(genes.ids)
        if self.options.var_quantization is not None and self.genes is not None:
            ranges = self.genes.ranges()
            receipts = [Receipt("", 0, 0, ranges[column]) for column in genes.columns.tolist()]
        return build.var_manifest(self.catalog, self.options, genes.ids, receipts)

    def _connectivity_manifest(self) -> dict[str, Any]:
        edges = self._edges()
        return fmt.connectivity_manifest(
            n_cells=self.catalog.n_cells,
            n_edges=edges.n_edges,
            max_neighbors=edges.max_neighbors,
            compression=None,
        )

    # ----------------------------------------------------------------------------------- lifetime

    def refresh(self) -> None:
        """Nothing: what is in memory is as it is."""

    def start(self) -> None:
        """Begin with the gene index, where there is one to build."""
        if self.genes is not None:
            self.genes.start()

    def close(self) -> None:
        """Stop what runs, and remove the work folder."""
        self._ahead.shutdown(wait=False, cancel_futures=True)
        if self.genes is not None:
            self.genes.stop()
        self._folder.cleanup()


def memory_problems(catalog: Catalog, memory: int) -> Iterator[Problem]:
    """Say when sums by category fit neither `memory` nor half of what is free."""
    need = ObsMemory.of(catalog).reduction_bytes
    have = memory if need <= memory else max(memory, available_memory() // 2)
    if need > have:
        what = (
            f"outlier quantiles need {decimal(need)} of memory, and there are {decimal(have)}: "
            f"{size_of_sums(catalog)}"
        )
        yield Problem(what, fix="choose others with --latent-key or --obs-key")


def state_of(matrix: Matrix) -> Fingerprint | None:
    """Which state of which element of which file a sparse matrix is; None in memory."""
    data = getattr(matrix, "data", None)
    if not isinstance(data, FileArray):
        return None
    return fingerprint(data.store.path, data.key.rpartition("/")[0])


def coded_text(plain: Content) -> Content:
    """Gzip coding of a manifest."""
    assert isinstance(plain.body, bytes)
    array = np.frombuffer(plain.body, np.uint8)
    body = b"".join(packed([array], 6))
    return replace(
        plain, body=body, size=len(body), etag=plain.etag + "-z", gzipped=True, varies=True
    )


def _work_folders(root: Path) -> StagingFolders:
    staging = StagingFolders(root / "export", root / PARTS, root / "scratch")
    for folder in (staging.parts, staging.scratch, *(staging.export / name for name in FOLDERS)):
        folder.mkdir(parents=True)
    return staging


def _job(
    source: Source, catalog: Catalog, options: ExportOptions, staging: StagingFolders, room: int
) -> Job:
    plan = Plan("none", (), 0, spans(catalog.n_cells), room, room)
    engine: Any = None  # made where it is needed
    return Job(source, catalog, options, engine, plan, staging)


def _blocks(file: Path) -> Iterable[NDArray[Any]]:
    size, step = file.stat().st_size, 1 << 24
    for start in range(0, size, step):
        yield read_array(str(file), "uint8", start, min(step, size - start))
