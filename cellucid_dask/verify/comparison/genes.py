"""The genes that are compared, and their values in the source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from cellucid_dask import format as fmt
from cellucid_dask.errors import ReadError, TextError
from cellucid_dask.verify.comparison.cells import SourceCells
from cellucid_dask.verify.comparison.values import ValueComparison
from cellucid_dask.verify.export_folder.arrays import Array
from cellucid_dask.verify.export_folder.contents import Contents, Values
from cellucid_dask.verify.source_data.anndata_file import UNREADABLE
from cellucid_dask.verify.source_data.derive import Float32
from cellucid_dask.verify.source_data.discovery import find_gene_positions
from cellucid_dask.verify.source_data.gene_columns import read_gene_columns
from cellucid_dask.verify.source_data.tables import FIX_UNREADABLE, INDEX, Table

_NO_NAMES: Final = frozenset({"", "nan", "<NA>", "None"})  # of missing texts, as pandas has them


class GeneComparison:
    """Genes of the export, compared with their columns of the expression matrix.

    Parameters
    ----------
    matrix
        Expression of the source, (n_cells, n_genes), on disk; None when there is none.
    var
        Table of its genes.
    sample
        Compare only this number of genes, evenly spaced; None compares all.

    Attributes
    ----------
    obstacle
        Why no gene can be compared; may be empty.
    undecodable
        Why the gene ids cannot be read as text; None when they can.
    differing
        Problems of genes that differ from the data, in no order.
    """

    def __init__(
        self,
        contents: Contents,
        cells: SourceCells,
        values: ValueComparison,
        matrix: Any,
        var: Table,
        sample: int | None,
    ) -> None:
        self.contents, self.cells, self.values = contents, cells, values
        self._matrix = matrix
        self._compared: list[str] = []  # keys, not a count: threads append to it
        self.obstacle = ""
        self.undecodable: TextError | None = None
        self.differing: list[str] = []
        self.sampled = _choose_sample([gene.key for gene in contents.genes], sample)
        self._var = var
        self._positions = self._find_positions(var) if self.sampled else {}

    @property
    def n_compared(self) -> int:
        """Number of genes that were compared."""
        return len(self._compared)

    def _find_positions(self, var: Table) -> dict[str, int]:
        """Find the column of every gene of the data; if that fails, note the reason."""
        column = self.contents.gene_id_column
        if self._matrix is None:
            self.obstacle = f"{fmt.VAR_MANIFEST}: there are genes, but no X in the data"
        elif column != "index" and column not in var:
            where = f"{fmt.VAR_MANIFEST}, var_gene_id_column"
            self.obstacle = f"{where}: there is no var[{column!r}]"
        else:
            try:
                return find_gene_positions(var, column)
            except TextError as error:
                self.undecodable = error
                self.sampled = set()
        return {}

    def read_columns(self) -> Iterator[tuple[Values, bool, Float32 | None]]:
        """Read every gene of the export from the source.

        Yields
        ------
        The gene, whether it is to be compared, and its (n_cells,) values, None where the data
        has no such gene.
        """
        positions = [
            self._positions[gene.key]
            for gene in self.contents.genes
            if gene.key in self.sampled and gene.key in self._positions
        ]
        columns = read_gene_columns(self._matrix, positions) if positions else iter(())
        for gene in self.contents.genes:
            is_chosen = gene.key in self.sampled and not self.obstacle
            try:
                expected = next(columns) if is_chosen and gene.key in self._positions else None
            except UNREADABLE as error:
                what = f"gene {gene.key!r} cannot be read ({error})"
                where = self.cells.source.where
                raise ReadError(what, where=where, fix=FIX_UNREADABLE) from error
            yield gene, is_chosen, None if expected is None else self.cells.take_rows(expected)

    def compare(self, gene: Values, stored: Array, expected: Float32 | None) -> Iterator[str]:
        """Compare the stored values of a gene with those of the data."""
        if expected is None:
            problems = iter([f"{gene.resource.path}: there is no gene {gene.key!r} in the data"])
        else:
            self._compared.append(gene.key)
            problems = self.values.compare(gene, stored, expected)
        for problem in problems:
            self.differing.append(problem)
            yield problem

    def compare_symbols(self) -> Iterator[str]:
        """Compare the other names of the sampled genes with those in the data."""
        if self.contents.symbols is None or not self._positions:
            return
        column, names = self.contents.symbols
        where = f"{fmt.VAR_MANIFEST}, {fmt.SYMBOLS}"
        if column != "index" and column not in self._var:
            yield f"{where}: there is no var[{column!r}]"
            return
        try:
            texts = self._var.read_column(INDEX if column == "index" else column)
        except TextError:
            yield f"{where}: var[{column!r}] has no text"
            return
        expected = [None if name in _NO_NAMES else name for name in texts.astype(str)]
        pairs = zip(names, self.contents.genes, strict=False)
        compared = [(name, gene.key) for name, gene in pairs if gene.key in self._positions]
        wrong = sum(
            (name or key) != (expected[self._positions[key]] or key) for name, key in compared
        )
        if wrong:
            yield f"{where}: {wrong} names are not those of the data"


def _choose_sample(keys: list[str], sample: int | None) -> set[str]:
    if sample is not None and sample < len(keys):
        chosen = np.linspace(0, len(keys) - 1, sample).round().astype(int)
        keys = [keys[i] for i in chosen]
    return set(keys)
