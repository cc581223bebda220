"""The files of a dataset made one at a time, as somebody asks for them: the bytes of an export."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Literal, TypeVar

from rich.filesize import decimal

from cellucid_dask import format as fmt
from cellucid_dask.compute.engine import Engine
from cellucid_dask.compute.machine import available_memory, cores
from cellucid_dask.compute.progress import Reporter
from cellucid_dask.compute.threads import Threads
from cellucid_dask.encode import Range
from cellucid_dask.errors import Problem, raise_problems
from cellucid_dask.exporter.checks.additional_embeddings import offer_embeddings
from cellucid_dask.exporter.checks.survey import Catalog, survey
from cellucid_dask.exporter.planning.cuts import cut_spans
from cellucid_dask.exporter.planning.memory import least_bytes
from cellucid_dask.exporter.planning.obs_memory import ObsMemory, size_of_sums
from cellucid_dask.exporter.planning.plan import Plan
from cellucid_dask.exporter.receipts import ColumnSummary, Edges
from cellucid_dask.exporter.recovery.publish import FOLDERS
from cellucid_dask.exporter.recovery.staging import StagingFolders
from cellucid_dask.exporter.stages.dataset_files import DatasetFiles, Step
from cellucid_dask.exporter.stages.manifests import build
from cellucid_dask.exporter.stages.obs.reduction import reduce_columns
from cellucid_dask.files import PARTS, Receipt, write_atomically
from cellucid_dask.native.library import load
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.source.model import Source

SummaryKind = Literal["outliers", "centroids"]
R = TypeVar("R")

NOT_WRITTEN = Receipt("", 0, 0)  # of a file of which a manifest tells no more than its name


def check_on_demand(
    source: Source, options: ExportOptions, memory: int, problems: Sequence[Problem] = ()
) -> Catalog:
    """Check everything that an export checks, and whether `memory` bytes are enough.

    The catalog has all arrays of obsm that can be shown, also those that no option names.

    Raises
    ------
    InputError
        With all problems, those that are known already included.
    """
    catalog = survey(source, options, show_any=True)
    raise_problems([*problems, *catalog.problems])
    raise_problems(list(memory_problems(catalog, memory)))
    offer_embeddings(catalog)
    return catalog


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


class OnDemandFiles:
    """Makes single files of one dataset in a folder; the caller makes each at most once.

    Parameters
    ----------
    catalog, options
        What there is, and how it is written.
    folder
        An empty folder for the files.
    room
        Bytes of memory that one step may use.
    memory
        Bytes of memory that all tasks of the reduction over obs may use together.
    modified
        When the data were last changed, in UTC: the time in the identity, if `options` fix no
        other. So it is the same for the same data, whenever they are opened. None stands for the
        present.
    """

    def __init__(
        self,
        catalog: Catalog,
        options: ExportOptions,
        folder: Path,
        *,
        room: int,
        memory: int,
        modified: datetime | None = None,
    ) -> None:
        self.catalog = catalog
        # Fixed now, so that the identity is the same whenever it is made.
        self.options = replace(options, created_at=options.timestamp(modified))
        room = max(room, least_bytes(replace(catalog, genes=None), options))
        self._slots = max(1, min(cores(), memory // ObsMemory.of(catalog).least))
        plan = Plan("none", (), 0, 0, cut_spans(catalog.n_cells), room, room)
        folders = make_folders(folder)
        native = load() is not None
        self._files = DatasetFiles(catalog.source, catalog, self.options, plan, folders, native)
        self.steps, self.run = self._files.steps(), self._files.run
        self.encode_gene = self._files.encode_gene

    def path(self, name: str) -> Path:
        """Where the file `name` of the dataset is, once its step was run."""
        return self._files.folders.export / name

    # --------------------------------------------------- outlier quantiles and centroids of columns

    def steps_before(self, kind: SummaryKind, keys: Collection[str]) -> list[Step]:
        """Steps that must have run before `reduce`."""
        dims = self.catalog.boxes if kind == "centroids" else ()
        coded = self._files.coded_columns()
        columns = [Step("column", i) for i, column in coded if column.key in keys]
        return [*(Step("points", dim) for dim in dims), *columns]

    def reduce(
        self,
        kind: SummaryKind,
        keys: Collection[str],
        *,
        before: Callable[[], None] = lambda: None,
        after: Callable[[], None] = lambda: None,
        threads: int | None = None,
    ) -> dict[str, ColumnSummary]:
        """Make the outlier quantiles or the centroids of some columns, in one pass over the cells.

        Parameters
        ----------
        before, after
            Called in the thread of each task, before and after it.
        threads
            Tasks at a time; as many as the memory allows if None.
        """
        scratch = Path(mkdtemp(dir=self._files.folders.scratch))  # passes may run side by side
        files = replace(self._files, folders=replace(self._files.folders, scratch=scratch))
        engine = _WatchedEngine(threads or self._slots, before, after)
        try:
            with engine, engine.start_workers(scratch):
                found = reduce_columns(
                    files,
                    engine,
                    here=True,
                    keys=keys,
                    outliers=kind == "outliers",
                    centroids=kind == "centroids",
                )
            for key, summary in found.items():
                if summary.centroids:
                    Path(summary.centroids).replace(self._centroids_path(key))
                    found[key] = ColumnSummary(centroids=str(self._centroids_path(key)))
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return found

    def _centroids_path(self, key: str) -> Path:
        return self._files.folders.scratch / f"centroids-{fmt.safe(key)}.npz"

    def _outliers_path(self, key: str) -> str:
        ext = fmt.value_ext(self.options.obs_quantization)
        return fmt.Resource("outliers", fmt.safe(key), ext=ext).path

    def content(
        self, kind: SummaryKind, key: str, summary: ColumnSummary
    ) -> tuple[bytes, list[float]]:
        """Content of the file of a summary, and the range of its values where it has one."""
        if kind == "centroids":
            return Path(summary.centroids).read_bytes() if summary.centroids else b"", []
        span = summary.outliers.span if summary.outliers is not None else None
        return self.path(self._outliers_path(key)).read_bytes(), [span.lo, span.hi] if span else []

    def restore(
        self, kind: SummaryKind, key: str, content: bytes, span: Sequence[float]
    ) -> ColumnSummary:
        """Have the file of a summary as `content` gave it."""
        if kind == "centroids":
            path = self._centroids_path(key)
            if content:
                write_atomically(path, [content])
            return ColumnSummary(centroids=str(path) if content else "")
        name, parts = self._outliers_path(key), str(self._files.folders.parts)
        size, crc = write_atomically(self.path(name), [content], parts)
        return ColumnSummary(Receipt(name, size, crc, Range(span[0], span[1]) if span else None))

    # --------------------------------------------------------------------------------- manifests

    def identity(self, edges: Edges | None) -> dict[str, Any]:
        """``dataset_identity.json``; `edges` is None where they are not counted or not there."""
        n_genes = len(self.catalog.genes.ids) if self.catalog.genes is not None else 0
        name = self.catalog.source.name
        identity = build.identity(self.catalog, self.options, name, n_genes, edges)
        identity["stats"]["has_connectivity"] = self.catalog.graph is not None
        return identity

    def columns_with_range(self) -> dict[str, Step]:
        """Steps of the obs columns whose range the manifest of obs gives, by the column."""
        if self.options.obs_quantization is None:
            return {}
        return {
            column.key: Step("column", i)
            for i, column in enumerate(self.catalog.obs)
            if column.code is None
        }

    def obs_manifest(
        self, receipts: Mapping[str, Receipt], summaries: Mapping[str, ColumnSummary]
    ) -> dict[str, Any]:
        """``obs_manifest.json``.

        Parameters
        ----------
        receipts
            Those of `columns_with_range`.
        summaries
            Of the columns of which it tells the centroids and the range of the outlier quantiles.
        """
        every = {column.key: receipts.get(column.key, NOT_WRITTEN) for column in self.catalog.obs}
        catalog = self.catalog
        ids = None if catalog.cell_ids is None else fmt.live_cell_ids()
        return build.obs_manifest(catalog, self.options, every, summaries, catalog.latent, ids)

    def var_manifest(self, ranges: Sequence[Range] | None) -> dict[str, Any]:
        """``var_manifest.json``; `ranges` of all columns of the matrix, if genes are quantized."""
        genes = self.catalog.genes
        assert genes is not None
        spans = None
        if ranges is not None:
            spans = [(ranges[i].lo, ranges[i].hi) for i in genes.columns.tolist()]
        return build.var_manifest(self.catalog, self.options, genes.ids, spans)

    def connectivity_manifest(self, edges: Edges) -> dict[str, Any]:
        """``connectivity_manifest.json``."""
        return build.connectivity_manifest(self.catalog, self.options, edges)


class _WatchedEngine(Engine):
    """Runs tasks in threads of this process, and something before and after each of them."""

    def __init__(self, threads: int, before: Callable[[], None], after: Callable[[], None]) -> None:
        super().__init__(Threads(threads), Reporter(quiet=True))
        self._before, self._after = before, after

    def begin(
        self, work: Callable[..., R], tasks: Iterable[tuple[Any, ...]], *, in_process: bool = False
    ) -> list[Future[R]]:
        """Start tasks."""

        def watched(*task: Any) -> R:
            self._before()
            result = work(*task)
            self._after()
            return result

        return super().begin(watched, tasks, in_process=in_process)


def make_folders(root: Path) -> StagingFolders:
    """Make the folders of an export below `root`."""
    folders = StagingFolders(root / "export", root / PARTS, root / "scratch")
    for folder in (folders.parts, folders.scratch, *(folders.export / name for name in FOLDERS)):
        folder.mkdir(parents=True)
    return folders
