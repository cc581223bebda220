"""The files of a dataset made one at a time, as somebody asks for them: the bytes of an export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

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
from cellucid_dask.exporter.receipts import Edges
from cellucid_dask.exporter.recovery.publish import FOLDERS
from cellucid_dask.exporter.recovery.staging import StagingFolders
from cellucid_dask.exporter.stages.dataset_files import DatasetFiles, Step
from cellucid_dask.exporter.stages.manifests import build
from cellucid_dask.exporter.stages.obs.reduction import reduce_columns
from cellucid_dask.files import PARTS, Receipt
from cellucid_dask.native.library import load
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.source.model import Source

Ranked = Mapping[str, tuple[Receipt, str]]
NOT_WRITTEN = Receipt("", 0, 0)  # of a file of which a manifest tells no more than its name
REDUCTION_FILES = ("distance-", "codes-", "points-", "sums-", "means-")


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
    """

    def __init__(
        self, catalog: Catalog, options: ExportOptions, folder: Path, *, room: int, memory: int
    ) -> None:
        self.catalog = catalog
        # Fixed now, so that the identity is the same whenever it is made.
        self.options = replace(options, created_at=options.timestamp())
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

    def steps_before_outliers(self) -> list[Step]:
        """Steps that must have run before `reduce`."""
        points = [Step("points", dim) for dim in self.catalog.boxes]
        return [*points, *(Step("column", i) for i, _ in self._files.coded_columns())]

    def reduce(self) -> Ranked:
        """Run the step of all outlier quantiles and centroids, in threads of this process."""
        scratch = self._files.folders.scratch
        for dim in self.catalog.boxes:
            raw = Path(self._files.raw_points_path(dim))
            raw.unlink(missing_ok=True)
            raw.symlink_to(self.path(fmt.Resource("points", dim=dim).path))  # it has the same bytes
        engine = Engine(Threads(self._slots), Reporter(quiet=True))
        with engine, engine.start_workers(scratch):
            ranked = reduce_columns(self._files, engine, here=True)
        for file in scratch.iterdir():
            if file.name.startswith(REDUCTION_FILES):
                file.unlink()
        return ranked

    # --------------------------------------------------------------------------------- manifests

    def identity(self, edges: Edges | None) -> dict[str, Any]:
        """``dataset_identity.json``; `edges` is None for data without a graph."""
        n_genes = len(self.catalog.genes.ids) if self.catalog.genes is not None else 0
        name = self.catalog.source.name
        return build.identity(self.catalog, self.options, name, n_genes, edges)

    def columns_with_range(self) -> dict[str, Step]:
        """Steps of the obs columns whose range the manifest of obs gives, by the column."""
        if self.options.obs_quantization is None:
            return {}
        return {
            column.key: Step("column", i)
            for i, column in enumerate(self.catalog.obs)
            if column.code is None
        }

    def obs_manifest(self, receipts: Mapping[str, Receipt], ranked: Ranked) -> dict[str, Any]:
        """``obs_manifest.json``; `receipts` are those of `columns_with_range`."""
        every = {column.key: receipts.get(column.key, NOT_WRITTEN) for column in self.catalog.obs}
        return build.obs_manifest(self.catalog, self.options, every, ranked, self.catalog.latent)

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


def make_folders(root: Path) -> StagingFolders:
    """Make the folders of an export below `root`."""
    folders = StagingFolders(root / "export", root / PARTS, root / "scratch")
    for folder in (folders.parts, folders.scratch, *(folders.export / name for name in FOLDERS)):
        folder.mkdir(parents=True)
    return folders
