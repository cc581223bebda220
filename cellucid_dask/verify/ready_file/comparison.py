"""A ready file compared with the data that it was made from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import anndata
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cellucid_dask.errors import ReadError, TextError
from cellucid_dask.verify.export_folder.files import DamagedError
from cellucid_dask.verify.parallel import ProblemCollector, collect_problems
from cellucid_dask.verify.ready_file.contents import (
    ReadyContents,
    StoredColumn,
    StoredSparse,
)
from cellucid_dask.verify.ready_file.expected import (
    expect_column,
    expect_graph,
    same_bits,
)
from cellucid_dask.verify.ready_file.gene_comparison import GeneRuns, choose_genes
from cellucid_dask.verify.ready_file.stored import StoredArray, describe
from cellucid_dask.verify.source_data.anndata_file import UNREADABLE, SourceData
from cellucid_dask.verify.source_data.choice import SourceChoice
from cellucid_dask.verify.source_data.derive import to_float32
from cellucid_dask.verify.source_data.discovery import find_expression
from cellucid_dask.verify.source_data.missing_chunks import find_missing_chunks
from cellucid_dask.verify.source_data.tables import FIX_UNREADABLE, INDEX, Table

_LISTED: Final = 20  # genes that differ from the data


class ReadyComparison:
    """The data that a ready file was made from.

    Parameters
    ----------
    sample
        Compare only this number of genes, evenly spaced; None compares all.
    accept_missing
        Whether the writer of the data left out the chunks that are missing.

    Attributes
    ----------
    n_genes
        Number of genes that were compared.
    not_compared
        What could not be compared, and why.
    """

    def __init__(
        self,
        source: SourceData,
        choice: SourceChoice,
        sample: int | None,
        *,
        accept_missing: bool,
    ) -> None:
        self.source, self.choice, self.sample = source, choice, sample
        self.accept_missing = accept_missing
        self.n_genes = 0
        self.not_compared: list[str] = []
        self._rows: NDArray[np.bool_] | None = None  # cells of the file; None for all
        self._columns: list[int] | None = None  # genes of the file; None where not known

    def compare(self, contents: ReadyContents, collector: ProblemCollector) -> list[str]:
        """Compare everything that the file holds.

        Raises
        ------
        ReadError
            When the data cannot be read.
        """
        if self.choice.drop_cells_without_embedding:
            self._rows = self._find_cells_with_coordinates(contents)
        n = len(self.source.obs) if self._rows is None else int(self._rows.sum())
        if n != contents.n_cells:
            return [self._count_problem(n, contents)]
        matrix, var = find_expression(self.source, self.choice)
        checks = [self._compare_cell_names(contents), self._find_genes(contents, var)]
        problems = [problem for check in checks for problem in collect_problems(check)]
        parts = list(self._part_checks(contents, var))
        problems += collector.run_stage("comparison", "arrays", len(parts), parts)
        if contents.x is not None and self._columns is not None:
            problems += self._compare_genes(contents, matrix, collector)
        return [*problems, *self._find_missing_chunks(contents, matrix is not None)]

    # ------------------------------------------------------------------------- names

    def _find_cells_with_coordinates(self, contents: ReadyContents) -> NDArray[np.bool_]:
        keys = [key for key in contents.obsm if key in self.source.obsm]
        finite = np.ones(len(self.source.obs), bool)
        for key in keys:
            values = to_float32(self.source.obsm[key])
            finite &= np.isfinite(values.reshape(len(finite), -1)).all(axis=1)
        return finite

    def _count_problem(self, n: int, contents: ReadyContents) -> str:
        """Say that `n` cells of the data are not as many as those of the file."""
        what = f"the data has {n:,} cells, the ready file has {contents.n_cells:,}"
        if n > contents.n_cells == int(self._find_cells_with_coordinates(contents).sum()):
            option = "--drop-cells-without-embedding"
            return f"{what}; the others have no coordinates: add {option}"
        return f"{what}: is it the right data?"

    def _take_rows(self, values: Any) -> Any:
        return values if self._rows is None else values[self._rows]

    def _compare_cell_names(self, contents: ReadyContents) -> Iterator[str]:
        if contents.cell_names is None:
            return
        try:
            names = self._take_rows(self.source.obs.read_column(INDEX))
        except TextError as error:
            self._skip(contents.cell_names.path, error)
            return
        expected = _unique(names)
        stored = contents.cell_names.read()
        wrong = np.flatnonzero(stored != expected)
        if wrong.size:
            at = int(wrong[0])
            yield (
                f"{contents.cell_names.path}: {wrong.size:,} names are not those of the data; row"
                f" {at:,} is {stored[at]!r}, not {expected[at]!r}"
            )

    def _find_genes(self, contents: ReadyContents, var: Table) -> Iterator[str]:
        """Find the gene of the data for each gene of the file."""
        if contents.gene_names is None:
            return
        try:
            known = _unique(var.read_column(INDEX))
        except TextError as error:
            self._skip(contents.gene_names.path, error)
            return
        places = {name: i for i, name in enumerate(known)}
        columns = [places.get(name, -1) for name in contents.gene_names.read()]
        absent = [i for i, place in enumerate(columns) if place < 0]
        if absent:
            name = contents.gene_names.read(slice(absent[0], absent[0] + 1))[0]
            what = f"{len(absent):,} genes are not in the data, the first is {name!r}"
            yield f"{contents.gene_names.path}: {what}"
        else:
            self._columns = columns

    def _skip(self, path: str, error: TextError) -> None:
        (problem,) = error.problems
        self.not_compared.append(f"{path}: {problem.where} {problem.what}: {problem.fix}")

    # ------------------------------------------------------------------------- parts

    def _part_checks(self, contents: ReadyContents, var: Table) -> Iterator[Iterator[str]]:
        for name, column in contents.obs.items():
            yield self._compare_column(self.source.obs, name, column, self._rows)
        for name, column in contents.var.items() if self._columns is not None else ():
            yield self._compare_column(var, name, column, np.array(self._columns, np.int64))
        yield from (self._compare_obsm(key, array) for key, array in contents.obsm.items())
        if contents.graph is not None:
            yield self._compare_graph(contents.graph)

    def _compare_column(
        self, table: Table, name: str, column: StoredColumn, rows: Any
    ) -> Iterator[str]:
        if name not in table:
            yield f"{column.path}: the data has no such column"
            return
        try:
            series = table.read_column(name)
        except TextError as error:
            self._skip(column.path, error)
            return
        expected = expect_column(series if rows is None else series.iloc[rows])
        if column.kind != expected.kind or column.ordered != expected.ordered:
            yield f"{column.path}: is stored as {column.kind}, the data has {series.dtype}"
            return
        if column.beside is not None and not same_bits(column.beside.read(), expected.beside):
            what = "categories" if column.kind == "categorical" else "missing values"
            yield f"{column.path}: the {what} are not those of the data"
            return
        stored = column.values.read()
        masked = expected.beside if column.kind.startswith("nullable") else None
        if masked is not None:
            stored = np.where(masked, 0, stored).astype(stored.dtype)
        if not same_bits(stored, expected.values):
            yield f"{column.path}: the values are not those of the data"

    def _compare_obsm(self, key: str, array: StoredArray) -> Iterator[str]:
        if key not in self.source.obsm:
            yield f"{array.path}: the data has no obsm[{key!r}]"
            return
        values = self._take_rows(to_float32(self.source.obsm[key]))
        expected = values.reshape(len(values), -1)
        if expected.shape != array.shape:
            yield f"{array.path}: is {array.shape[1]} wide, the data is {expected.shape[1]} wide"
            return
        rows = max(1, (1 << 18) // array.shape[1]) if array.shape[1] else 1
        for start, block in array.read_blocks(rows):
            if not same_bits(block, expected[start : start + len(block)]):
                yield f"{array.path}: the values are not those of the data, from row {start:,} on"
                return

    def _compare_graph(self, graph: StoredSparse) -> Iterator[str]:
        key = self.choice.graph_key
        if key not in self.source.obsp:
            yield f"{graph.path}: there is no obsp[{key!r}]; name another with --graph"
            return
        found = self.source.obsp[key]
        if self._rows is not None:
            found = found.tocsr()[self._rows][:, self._rows]
        expected = expect_graph(found)
        for name in ("indptr", "indices", "data"):
            stored, values = getattr(graph, name).read(), getattr(expected, name)
            if not same_bits(stored, values.astype(stored.dtype)):
                yield f"{graph.path}/{name}: is not that of obsp[{key!r}]"
                return

    # ------------------------------------------------------------------------- genes

    def _compare_genes(
        self, contents: ReadyContents, matrix: Any, collector: ProblemCollector
    ) -> list[str]:
        assert contents.x is not None
        assert self._columns is not None
        if matrix is None:
            return ["X: there are genes, but no X in the data"]
        chosen = choose_genes(len(self._columns), self.sample)
        runs = GeneRuns(contents, matrix, [self._columns[i] for i in chosen], chosen, self._rows)
        self.n_genes = len(chosen)
        try:
            problems = collector.run_stage("genes", "genes", len(chosen), runs.checks())
        except DamagedError as damage:  # the checks of X have found it as well
            self.n_genes = 0
            self.not_compared.append(f"X: {damage}")
            return []
        except UNREADABLE as error:
            what = f"the expression cannot be read ({describe(error)})"
            raise ReadError(what, where=self.source.where, fix=FIX_UNREADABLE) from error
        if len(problems) > _LISTED:
            rest = len(problems) - _LISTED
            more = f"... and {rest:,} more gene{'s differ' if rest > 1 else ' differs'}"
            question = f"{more}; is it the right data, --layer or --raw?"
            problems = [*problems[:_LISTED], question]
        return problems

    def _find_missing_chunks(self, contents: ReadyContents, has_matrix: bool) -> list[str]:
        """Return the losses of the data; what its writer may have left out is a note."""
        keys = [f"obsm/{key}" for key in contents.obsm] + [f"obs/{key}" for key in contents.obs]
        if contents.graph is not None:
            keys.append(f"obsp/{self.choice.graph_key}")
        if contents.x is not None and has_matrix:
            layer = self.choice.layer
            keys.append("raw/X" if self.choice.raw else f"layers/{layer}" if layer else "X")
        missing = find_missing_chunks(self.source, keys, "")
        losses, notes = missing.split_problems_and_notes(accept=self.accept_missing)
        self.not_compared += notes
        return losses


def _unique(names: pd.Series[Any]) -> NDArray[Any]:
    """Names as text, made unique as anndata does."""
    index = pd.Index(names.astype(str))
    if not index.is_unique:
        index = anndata.utils.make_index_unique(index)
    return index.to_numpy(dtype=object)
