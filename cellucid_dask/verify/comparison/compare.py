"""The arrays of an export compared with the AnnData that it was made from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from cellucid_dask import format as fmt
from cellucid_dask.errors import TextError
from cellucid_dask.verify.comparison.cells import SourceCells
from cellucid_dask.verify.comparison.colors import compare_colors
from cellucid_dask.verify.comparison.genes import GeneComparison
from cellucid_dask.verify.comparison.ranks import count_wrong_ranks
from cellucid_dask.verify.comparison.values import ValueComparison, find_unequal
from cellucid_dask.verify.export_folder.arrays import Array
from cellucid_dask.verify.export_folder.contents import CategoricalField, Contents, Values
from cellucid_dask.verify.source_data import derive, discovery
from cellucid_dask.verify.source_data.anndata_file import SourceData
from cellucid_dask.verify.source_data.choice import SourceChoice
from cellucid_dask.verify.source_data.missing_chunks import MissingChunks, find_missing_chunks
from cellucid_dask.verify.source_data.tables import INDEX


class Comparison:
    """Comparison of each array of an export with the one that its source gives.

    Parameters
    ----------
    sample
        Compare only this number of genes, evenly spaced; None compares all.

    Attributes
    ----------
    obstacle
        Why nothing can be compared; may be empty.

    Raises
    ------
    InputError
        When the data has no key, layer or raw that the user named.
    """

    def __init__(
        self, contents: Contents, source: SourceData, choice: SourceChoice, sample: int | None
    ) -> None:
        self.contents, self.source, self.choice = contents, source, choice
        matrix, var = discovery.find_expression(source, choice)
        self._undecodable: dict[str, str] = {}  # by path; threads write to different keys
        self.cells = SourceCells(contents, source, choice)
        self.obstacle = self.cells.count_problem()
        self.values = ValueComparison()
        self.genes = GeneComparison(contents, self.cells, self.values, matrix, var, sample)
        if self.genes.undecodable is not None:
            self._skip(fmt.VAR_MANIFEST, self.genes.undecodable)

    @property
    def not_compared(self) -> tuple[str, ...]:
        """What could not be compared with the data, and why; not a problem of the export."""
        lines, n = [], len(self.contents.categorical)
        if n and self.cells.latent is None:
            lines.append(
                f"outlier quantiles of {_count(n, 'column')}: obsm has no"
                f" {self.cells.latent_key!r}; name the latent space with --latent-key"
            )
        if n := len(self.values.not_in_steps):
            lines.append(f"codes of {_count(n, 'file')}: float32 has no steps for their range")
        lines += (self._undecodable[path] for path in sorted(self._undecodable))
        return tuple(lines)

    def _skip(self, path: str, error: TextError) -> None:
        """Note that a file is not compared, as text of the data cannot be decoded."""
        (problem,) = error.problems
        self._undecodable[path] = f"{problem.where} {problem.what}: {problem.fix}"

    def find_missing_chunks(self) -> MissingChunks:
        """Find the chunks that are missing from the compared elements of the source.

        Raises
        ------
        ReadError
            When one of them cannot be read.
        """
        contents, source = self.contents, self.source
        vectors = [
            discovery.find_vector_key(source, field, dim)
            for field, dims in contents.vectors.items()
            for dim in dims
        ]
        embeddings = [*self.cells.embedding_keys.values(), *self.cells.additional_keys]
        obsm = [*embeddings, *vectors, self.cells.latent_key]
        keys = [f"obsm/{key}" for key in obsm if key is not None]
        keys += [f"obs/{field.key}" for field in contents.continuous]
        keys += [f"obs/{field.key}" for field in contents.categorical]
        if contents.edges is not None:
            keys.append(f"obsp/{self.choice.graph_key}")
        matrix, ids = discovery.expression_keys(source, self.choice, contents.gene_id_column)
        keys += [matrix, ids] if self.genes.sampled else []
        return find_missing_chunks(source, keys, ids)

    def compare_points(self, dim: int, points: Array) -> Iterator[str]:
        """Compare the points of an embedding."""
        path = self.contents.points[dim].path
        fix = f"name the key of the embedding with --embedding {dim}d=KEY"
        key, raw = self.cells.embedding_keys[dim], self.cells.read_embedding(dim)
        if raw is None:
            what = (
                f"obsm[{key!r}] is not an embedding of {dim} dimensions"
                if key
                else f"obsm has no UMAP of {dim} dimensions"
            )
            yield f"{path}: {what}; {fix}"
            return
        for problem in find_unequal(path, points, derive.normalize_points(raw)[0]):
            yield f"{problem}, obsm[{key!r}]; if the export was made from another one, {fix}"

    def compare_additional(self, key: str, points: Array) -> Iterator[str]:
        """Compare the points of an additional embedding."""
        resource = self.contents.additional[key]
        raw = self.cells.read_array(key, resource.dim)
        if raw is None:
            yield f"{resource.path}: obsm[{key!r}] is not an embedding of {resource.dim} dimensions"
            return
        for problem in find_unequal(resource.path, points, derive.normalize_points(raw)[0]):
            yield f"{problem}, obsm[{key!r}]"

    def compare_vectors(self, field: str, dim: int, vectors: Array) -> Iterator[str]:
        """Compare a vector field, if its embedding is known."""
        path, raw = self.contents.vectors[field][dim].path, self.cells.read_embedding(dim)
        key = discovery.find_vector_key(self.source, field, dim)
        if key is None:
            yield f"{path}: obsm has no such vector field"
        elif raw is not None:
            scale = np.float32(derive.normalize_points(raw)[1])
            unscaled = derive.to_float32(self.source.obsm[key]).reshape(-1, dim)
            yield from find_unequal(path, vectors, self.cells.take_rows(unscaled) * scale)

    def compare_continuous(self, field: Values, stored: Array) -> Iterator[str]:
        """Compare the stored values of a continuous obs column."""
        path, column = field.resource.path, self._read_column(field)
        if isinstance(column, str):
            yield f"{path}: {column}"
        elif column is not None and not derive.is_continuous(column):
            yield f"{path}: obs[{field.key!r}] is of type {column.dtype}"
        elif column is not None:
            yield from self.values.compare(field, stored, derive.column_to_float32(column))

    def compare_categorical(
        self, field: CategoricalField, codes: Array, outliers: Array
    ) -> Iterator[str]:
        """Compare the codes of a categorical column, and its stored outlier quantiles."""
        path, column = field.resource.path, self._read_column(field)
        if column is None:
            return
        if isinstance(column, str):
            yield f"{path}: {column}"
            return
        if derive.is_continuous(column):
            yield f"{path}: obs[{field.key!r}] is of type {column.dtype}"
            return
        categorical = column.astype("category").cat
        if field.labels != [str(category) for category in categorical.categories]:
            yield f"{path}: the categories are not those of obs[{field.key!r}]"
            return
        yield from find_unequal(path, codes, categorical.codes.to_numpy(np.int64))
        categories = categorical.categories if self.cells.selected is None else None
        yield from compare_colors(field, self.source, categories)
        if self.cells.latent is not None:
            n = count_wrong_ranks(
                field, codes, outliers, self.cells.latent, is_native=self.contents.is_native
            )
            if n:
                path, key = field.outliers.resource.path, self.cells.latent_key
                yield f"{path}: {n} quantiles are not those of obsm[{key!r}]"

    def _read_column(self, field: Values | CategoricalField) -> Any:
        """Read the obs column of `field`: a str says there is none, None that it is skipped."""
        if field.key not in self.source.obs:
            return f"obs has no column {field.key!r}"
        try:
            column = self.cells.take_rows(self.source.obs.read_column(field.key))
        except TextError as error:
            self._skip(field.resource.path, error)
            return None
        if self.cells.selected is not None and isinstance(column.dtype, pd.CategoricalDtype):
            column = column.cat.remove_unused_categories()
        return column

    def compare_ids(self, blocks: Iterator[list[str]]) -> Iterator[str]:
        """Compare the ids of cells with the index of obs."""
        path = self.contents.ids.path
        try:
            names = self.cells.take_rows(self.source.obs.read_column(INDEX)).astype(str)
        except TextError as error:
            self._skip(path, error)
            return
        start, wrong = 0, 0
        for ids in blocks:
            expected = names.iloc[start : start + len(ids)].tolist()
            wrong += sum(a != b for a, b in zip(ids, expected, strict=True))
            start += len(ids)
        if wrong:
            yield f"{path}: {wrong} ids are not those of the index of obs"

    def compare_edges(self, stored_src: Array, stored_dst: Array) -> Iterator[str]:
        """Compare the edges with the neighbor graph."""
        stated, key = self.contents.edges, self.choice.graph_key
        if key not in self.source.obsp:
            yield f"{self.contents.src.path}: there is no obsp[{key!r}]; name another with --graph"
            return
        graph = self.source.obsp[key]
        if self.cells.selected is not None:
            graph = sparse.csr_array(graph)[self.cells.selected][:, self.cells.selected]
        src, dst, max_neighbors = derive.derive_edges(graph)
        if stated is None or stated != (src.size, max_neighbors):
            yield (
                f"{fmt.CONNECTIVITY_MANIFEST}: (n_edges, max_neighbors) is {stated}, but"
                f" {(src.size, max_neighbors)} in obsp[{key!r}]"
            )
            return
        yield from find_unequal(self.contents.src.path, stored_src, src)
        yield from find_unequal(self.contents.dst.path, stored_dst, dst)


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'s' if n > 1 else ''}"
