"""An export against the data it was made of: everything derived again, in plain numpy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from cellucid_dask import format as fmt
from cellucid_dask.errors import ReadError, TextError
from cellucid_dask.verify.export_folder.arrays import Array, decode, groups
from cellucid_dask.verify.export_folder.contents import Category, Contents, Values
from cellucid_dask.verify.source_data import discovery
from cellucid_dask.verify.source_data.anndata_file import UNREADABLE, Data
from cellucid_dask.verify.source_data.gene_columns import columns
from cellucid_dask.verify.source_data.missing_chunks import MissingChunks, find_missing_chunks
from cellucid_dask.verify.source_data.tables import NO_FAULT

Float32 = NDArray[np.float32]


class Comparison:
    """What the arrays of an export should be, by the AnnData it was made of.

    Parameters
    ----------
    sample
        Compare only so many genes, evenly spaced; None compares all.

    Attributes
    ----------
    obstacle
        Why nothing can be compared; may be empty.
    gene_obstacle
        Why no gene can be; may be empty.
    differing
        What was told of genes that are not as in the data, in no order.

    Raises
    ------
    InputError
        When there is no key, layer or raw that was chosen.
    """

    def __init__(
        self, contents: Contents, data: Data, choice: discovery.Choice, sample: int | None
    ) -> None:
        self.contents, self.data, self.choice = contents, data, choice
        self._matrix, var = discovery.expression(data, choice)
        self._unread: dict[str, str] = {}
        self._errors: list[float] = []  # one list of all threads, so that none is lost
        self._compared: list[str] = []
        self._beyond: list[str] = []
        self.differing: list[str] = []
        self._keys = {
            dim: discovery.embedding_key(data, dim, choice.embeddings) for dim in contents.points
        }
        self._latent_key = discovery.latent_key(data, contents.latent_key, choice.latent)
        self._placed = self._find_placed() if choice.drop_unplaced else None
        latent = data.obsm.get(self._latent_key)
        self._latent = None if latent is None else self._rows(discovery.float32(latent))
        self.gene_obstacle = ""
        self.obstacle = self._count_cells()
        self._sampled = self._sample(sample)
        self._positions = self._find(var) if self._sampled else {}

    @property
    def genes_compared(self) -> int:
        """Number of genes that were."""
        return len(self._compared)

    @property
    def largest_error(self) -> float:
        """Largest ``|decoded - source|`` of quantized values, in quantization steps."""
        return max(self._errors, default=0.0)

    @property
    def not_compared(self) -> tuple[str, ...]:
        """What could not be compared with the data, and why; no problem of the export."""
        told, n = [], len(self.contents.categorical)
        if n and self._latent is None:
            told.append(
                f"outlier quantiles of {_count(n, 'column')}: obsm has no {self._latent_key!r};"
                " name the latent space with --latent-key"
            )
        if self._beyond:
            n = len(self._beyond)
            told.append(f"codes of {_count(n, 'file')}: float32 has no steps for their range")
        told += (self._unread[key] for key in sorted(self._unread))
        return tuple(told)

    def _find_placed(self) -> NDArray[np.bool_]:
        """Find the cells whose coordinates are finite in every embedding of the export."""
        placed = np.ones(len(self.data.obs), bool)
        for key in self._keys.values():
            if key is not None:
                placed &= np.isfinite(discovery.float32(self.data.obsm[key])).all(axis=1)
        return placed

    def _rows(self, values: Any) -> Any:
        """Take what the data has of the cells that are in the export."""
        return values if self._placed is None else values[self._placed]

    def _count_cells(self) -> str:
        """Say when there are not as many cells as the export has; nothing else if there are."""
        n, wanted = len(self.data.obs), self.contents.n_cells
        if self._placed is not None:
            n = int(self._placed.sum())
            return f"{n} cells of the data have a place, not {wanted}" if n != wanted else ""
        if n == wanted:
            return ""
        said = f"there are {n} cells in the data, not {wanted}"
        if n > wanted and int(self._find_placed().sum()) == wanted:
            said += "; the others have no place: add --drop-cells-without-embedding"
        return said

    def missing_chunks(self) -> MissingChunks:
        """Look for chunks that the arrays lack that are compared.

        Raises
        ------
        ReadError
            When one of them cannot be read.
        """
        contents, data = self.contents, self.data
        vectors = [
            discovery.vector_key(data, field, dim)
            for field, dims in contents.vectors.items()
            for dim in dims
        ]
        obsm = [*self._keys.values(), *vectors, self._latent_key]
        keys = [f"obsm/{key}" for key in obsm if key is not None]
        keys += [f"obs/{field.key}" for field in contents.continuous]
        keys += [f"obs/{field.key}" for field in contents.categorical]
        if contents.edges is not None:
            keys.append(f"obsp/{self.choice.graph or 'connectivities'}")
        matrix, ids = discovery.expression_keys(data, self.choice, contents.gene_id_column)
        keys += [matrix, ids] if self._sampled else []
        return find_missing_chunks(data, keys, ids)

    def _sample(self, sample: int | None) -> set[str]:
        keys = [gene.key for gene in self.contents.genes]
        if sample is not None and sample < len(keys):
            chosen = np.linspace(0, len(keys) - 1, sample).round().astype(int)
            keys = [keys[i] for i in chosen]
        return set(keys)

    def _find(self, var: Any) -> dict[str, int]:
        """Position of every gene of the data, or none and the reason as `gene_obstacle`."""
        column = self.contents.gene_id_column
        if self._matrix is None:
            self.gene_obstacle = f"{fmt.VAR_MANIFEST}: there are genes, but no X in the data"
        elif column != "index" and column not in var:
            where = f"{fmt.VAR_MANIFEST}, var_gene_id_column"
            self.gene_obstacle = f"{where}: there is no var[{column!r}]"
        else:
            try:
                return discovery.gene_positions(var, column)
            except TextError as error:
                self._leave_out(fmt.VAR_MANIFEST, error)
                self._sampled = set()
        return {}

    def _leave_out(self, path: str, error: TextError) -> None:
        """Note that a file is not compared, as text of the data cannot be decoded."""
        (problem,) = error.problems
        self._unread[path] = f"{problem.where} {problem.what}: {problem.fix}"

    def _column(self, field: Values | Category) -> Any:
        """Read the obs column of `field`, or say that there is none; None if it has no meaning."""
        if field.key not in self.data.obs:
            return f"obs has no column {field.key!r}"
        try:
            column = self._rows(self.data.obs.column(field.key))
        except TextError as error:
            self._leave_out(field.resource.path, error)
            return None
        if self._placed is not None and isinstance(column.dtype, pd.CategoricalDtype):
            column = column.cat.remove_unused_categories()
        return column

    def expression(self) -> Iterator[tuple[Values, bool, Float32 | None]]:
        """Every gene, whether it is to be compared, and its values if the data has them."""
        known = [
            self._positions[gene.key]
            for gene in self.contents.genes
            if gene.key in self._sampled and gene.key in self._positions
        ]
        vectors = columns(self._matrix, known) if known else iter(())
        for gene in self.contents.genes:
            chosen = gene.key in self._sampled and not self.gene_obstacle
            there = chosen and gene.key in self._positions
            try:
                wanted = next(vectors) if there else None
            except UNREADABLE as error:
                what, where = f"gene {gene.key!r} cannot be read ({error})", self.data.where
                raise ReadError(what, where=where, fix=NO_FAULT) from error
            yield gene, chosen, None if wanted is None else self._rows(wanted)

    def points(self, dim: int, found: Array) -> Iterator[str]:
        """Compare the points of an embedding."""
        path, fix = self.contents.points[dim].path, f"name its key with --embedding {dim}d=KEY"
        key, raw = self._keys[dim], self._embedding(dim)
        if raw is None:
            what = f"obsm[{key!r}] is no such embedding" if key else "obsm has no UMAP of this size"
            yield f"{path}: {what}; {fix}"
            return
        for text in _unequal(path, found, discovery.normalized(raw)[0]):
            yield f"{text}, obsm[{key!r}]; if it is not the one, {fix}"

    def _embedding(self, dim: int) -> Float32 | None:
        key = self._keys[dim]
        raw = discovery.float32(self.data.obsm[key]) if key else None
        return self._rows(raw) if raw is not None and raw.shape[1:] == (dim,) else None

    def vectors(self, field: str, dim: int, found: Array) -> Iterator[str]:
        """Compare a vector field, if its embedding is known."""
        path, raw = self.contents.vectors[field][dim].path, self._embedding(dim)
        key = discovery.vector_key(self.data, field, dim)
        if key is None:
            yield f"{path}: obsm has no such vector field"
        elif raw is not None:
            scale = np.float32(discovery.normalized(raw)[1])
            wanted = self._rows(discovery.float32(self.data.obsm[key]).reshape(-1, dim)) * scale
            yield from _unequal(path, found, wanted)

    def values(self, field: Values, found: Array) -> Iterator[str]:
        """Compare a continuous obs column, as it is stored."""
        path, column = field.resource.path, self._column(field)
        if isinstance(column, str):
            yield f"{path}: {column}"
        elif column is not None and not discovery.is_continuous(column):
            yield f"{path}: obs[{field.key!r}] is of type {column.dtype}"
        elif column is not None:
            yield from self._stored(field, found, discovery.numbers(column))

    def category(self, field: Category, codes: Array, outliers: Array) -> Iterator[str]:
        """Compare the codes of a categorical column, and its outlier quantiles as stored."""
        path, column = field.resource.path, self._column(field)
        if column is None:
            return
        if isinstance(column, str):
            yield f"{path}: {column}"
            return
        if discovery.is_continuous(column):
            yield f"{path}: obs[{field.key!r}] is of type {column.dtype}"
            return
        categorical = column.astype("category").cat
        if field.labels != [str(category) for category in categorical.categories]:
            yield f"{path}: the categories are not those of obs[{field.key!r}]"
            return
        yield from _unequal(path, codes, categorical.codes.to_numpy(np.int64))
        if self._latent is not None:
            yield from self._outliers(field, codes, outliers, self._latent)

    def _outliers(
        self, field: Category, codes: Array, outliers: Array, latent: Float32
    ) -> Iterator[str]:
        """Compare ranks, which are free among distances that tie to the fifth digit."""
        ranks = decode(field.outliers, outliers)
        lo, hi = field.outliers.span
        bits = field.outliers.bits
        slack = 1e-5 + ((hi - lo) / (fmt.CODES[bits].missing - 1) if bits else 0.0)
        wrong = 0
        for cells in groups(codes, len(field.labels)):
            found = ranks[cells]
            if not found.size or not np.isfinite(found).all():
                continue  # too small a category, or already reported
            places = latent[cells].astype(np.float64)
            distances = np.linalg.norm(places - places.mean(axis=0), axis=1)
            ordered, tie = np.sort(distances), 1e-5 * distances.max(initial=0)
            if not self.contents.ours:  # the reference adds up float32 one by one
                center = latent[cells].mean(axis=0).astype(np.float64)
                tie += 2 * float(np.linalg.norm(center - places.mean(axis=0)))
            least = np.searchsorted(ordered, distances - tie, side="left") + 1
            most = np.searchsorted(ordered, distances + tie, side="right")
            low, high = least / cells.size - slack, most / cells.size + slack
            wrong += int(((found < low) | (found > high)).sum())
        if wrong:
            key = self._latent_key
            yield f"{field.outliers.resource.path}: {wrong} quantiles are not of obsm[{key!r}]"

    def edges(self, found_src: Array, found_dst: Array) -> Iterator[str]:
        """Compare the edges with the graph."""
        said, key = self.contents.edges, self.choice.graph or "connectivities"
        if key not in self.data.obsp:
            yield f"{self.contents.src.path}: there is no obsp[{key!r}]; name another in `graph`"
            return
        graph = self.data.obsp[key]
        if self._placed is not None:
            graph = sparse.csr_array(graph)[self._placed][:, self._placed]
        src, dst, most = discovery.graph_pairs(graph)
        if said is None or said != (src.size, most):
            yield (
                f"{fmt.CONNECTIVITY_MANIFEST}: (n_edges, max_neighbors) is {said}, but"
                f" {(src.size, most)} in obsp[{key!r}]"
            )
            return
        yield from _unequal(self.contents.src.path, found_src, src)
        yield from _unequal(self.contents.dst.path, found_dst, dst)

    def gene(self, field: Values, found: Array, wanted: Float32 | None) -> Iterator[str]:
        """Compare a gene, as it is stored, with its values in the data."""
        for problem in self._gene(field, found, wanted):
            self.differing.append(problem)
            yield problem

    def _gene(self, field: Values, found: Array, wanted: Float32 | None) -> Iterator[str]:
        if wanted is None:
            yield f"{field.resource.path}: there is no gene {field.key!r} in the data"
            return
        self._compared.append(field.key)
        yield from self._stored(field, found, wanted)

    def _stored(self, field: Values, stored: Array, wanted: Float32) -> Iterator[str]:
        path = field.resource.path
        if field.bits is None:
            yield from _unequal(path, stored, wanted)
            return
        finite = np.isfinite(wanted)
        if not np.array_equal(stored != fmt.CODES[field.bits].missing, finite):
            yield f"{path}: other values are missing than in the data"
            return
        if not finite.all():
            stored, wanted = stored[finite], wanted[finite]
        span = discovery.span(wanted)
        if field.span not in span:
            yield f"{path}: the range is {field.span}, in the data {span[0]}"
            return
        yield from self._within_a_step(field, stored, wanted)

    def _within_a_step(self, field: Values, stored: Array, wanted: Float32) -> Iterator[str]:
        """Codes are truncated: a value lies from 0 to 1 steps above its decoded one."""
        lo, hi = field.span
        top = fmt.CODES[field.bits or 8].missing - 1
        if not wanted.size:
            return
        if not 1e-30 < hi - lo < 1e38:  # beyond the float32 arithmetic of the format
            self._beyond.append(field.key)
            return
        above = (wanted.astype(np.float64) - decode(field, stored)) * (top / (hi - lo))
        largest = float(np.abs(above).max())
        self._errors.append(largest)
        rounding = 4 * float(np.finfo(np.float32).eps) * top
        wrong = int(((above < -rounding) | (above > 1 + rounding)).sum())
        if wrong:
            yield f"{field.resource.path}: {wrong} values differ, by up to {largest:.4g} steps"


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' if n > 1 else ''}"


def _unequal(path: str, found: Array, wanted: Array) -> Iterator[str]:
    """Say how many values differ; NaN equals NaN."""
    if found.shape != wanted.shape:
        yield f"{path}: has shape {found.shape}, not {wanted.shape}"
        return
    differs = found != wanted
    if found.dtype.kind == "f":
        differs &= ~(np.isnan(found) & np.isnan(wanted))
    if differs.any():
        yield f"{path}: {int(differs.sum())} of {differs.size} values are not those of the data"
