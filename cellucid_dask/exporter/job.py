"""What the stages of one run share."""

from __future__ import annotations

from dataclasses import dataclass, field

from cellucid_dask.compute.engine import Engine
from cellucid_dask.exporter.checks.ready.catalog import ReadyCatalog
from cellucid_dask.exporter.checks.survey import Catalog
from cellucid_dask.exporter.planning.obs_memory import ObsMemory
from cellucid_dask.exporter.planning.plan import SMALL, Plan
from cellucid_dask.exporter.planning.ready_memory import cells_bytes
from cellucid_dask.exporter.receipts import CellIdsFile
from cellucid_dask.exporter.recovery.journal import FinishedWork, Journal
from cellucid_dask.exporter.recovery.staging import StagingFolders
from cellucid_dask.files import Receipt
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.options.formats import FOLDER
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix
from cellucid_dask.source.model import Source

OBS_COST = 50  # how many times as long as cutting a stored value an obs value of a cell takes


@dataclass(slots=True)
class Job:
    """Everything the stages of one run share.

    Parameters
    ----------
    native
        Whether genes go through the native library, in this process and in all workers.
    arrays, columns
        Receipts of points and vectors, and of the values or codes of each obs column.
    cell_ids
        The file of the ids of cells, once it is written.
    journal
        Where finished pieces are noted.
    finished
        What a previous run has finished, verified by reading it.
    """

    source: Source
    catalog: Catalog
    options: ExportOptions
    engine: Engine
    plan: Plan
    folders: StagingFolders
    native: bool
    journal: Journal = field(default_factory=lambda: Journal(None))
    finished: FinishedWork = field(default_factory=FinishedWork)
    arrays: list[Receipt] = field(default_factory=list)
    columns: dict[str, Receipt] = field(default_factory=dict)
    cell_ids: CellIdsFile | None = None

    @property
    def ready(self) -> ReadyCatalog | None:
        """What the ready files of the run hold; None when it makes none."""
        return self.catalog.ready

    @property
    def makes_folder(self) -> bool:
        """Whether the run makes an export folder."""
        return FOLDER in self.options.formats

    @property
    def obs_here(self) -> bool:
        """Whether this process does the obs stages.

        It must when they live in its memory. It also does when they are small: workers that
        have only just been started then go straight to the genes, and spare the imports.
        """
        return self.source.local or self._obs_values * 8 < SMALL or self.obs_beside_genes

    @property
    def obs_beside_genes(self) -> bool:
        """Whether this thread does the obs stages while others cut rows.

        It must have the memory, and be done with them before the others have cut all rows.
        """
        matrix = None if self.catalog.genes is None else self.catalog.genes.matrix
        if self.plan.gene_access != "cut" or not isinstance(matrix, SparseMatrix):
            return False
        few = self._obs_values * 8 < SMALL
        if not self.engine.uses_dask:
            few = few or self._obs_values * OBS_COST < matrix.nnz
        need = self.plan.peak_bytes + ObsMemory.of(self.catalog).least
        need += 0 if self.ready is None else cells_bytes(self.ready)
        return few and need <= self.plan.worker_bytes

    @property
    def _obs_values(self) -> int:
        columns = len(self.catalog.obs)
        if self.ready is not None:
            columns += len(self.ready.obs) + sum(a.shape[1] for a in self.ready.obsm.values())
        return self.catalog.n_cells * (1 + columns)

    @property
    def export(self) -> str:
        """The export being made."""
        return str(self.folders.export)

    @property
    def scratch(self) -> str:
        """Folder for the spill."""
        return str(self.folders.scratch)

    @property
    def level(self) -> int:
        """Gzip level."""
        return self.options.compression

    def check_workers(self) -> None:
        """Check that every worker can do this run: read its input, write its folders."""
        paths = [path for path in (self.source.path, self.export, self.scratch) if path]
        self.engine.check_workers(paths, native=self.native and self.catalog.genes is not None)

    def share_selection(self) -> None:
        """Write the selection of cells, if there is one, where all workers can read it."""
        if self.source.selection is not None:
            self.source.selection.share(self.scratch)
