"""An export against the data it was made of: everything derived again, in plain numpy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask import format as fmt
from cellucid_dask.verify import source
from cellucid_dask.verify.contents import Category, Values
from cellucid_dask.verify.files import Reader, decode, groups, noticing

Float32 = NDArray[np.float32]


class Comparison:
    """The arrays of `reader` against those of `adata`.

    Attributes
    ----------
    genes_compared
        Number of genes that were.
    largest_error
        Largest ``|decoded - source|`` of quantized values, in quantization steps.
    """

    def __init__(self, reader: Reader, adata: Any, choice: source.Choice) -> None:
        self.reader, self.adata, self.choice = reader, adata, choice
        self.contents = reader.contents
        self.genes_compared = 0
        self.largest_error = 0.0

    def problems(self, sample: int | None) -> Iterator[str]:
        """Everything that differs; of genes, an evenly spaced `sample` is compared."""
        if self.adata.n_obs != self.contents.n_cells:
            yield f"there are {self.adata.n_obs} cells in the data, not {self.contents.n_cells}"
            return
        for dim in self.contents.points:
            yield from noticing(self._embedding(dim))
        columns = {str(name): self.adata.obs[name] for name in self.adata.obs}
        fields: list[Values | Category] = [*self.contents.continuous, *self.contents.categorical]
        for field in fields:
            if field.key in columns:
                yield from noticing(self._column(field, columns[field.key]))
            else:
                yield f"{field.resource.path}: obs has no column {field.key!r}"
        if self.contents.edges is not None:
            yield from noticing(self._edges())
        yield from self._genes(sample)

    def _embedding(self, dim: int) -> Iterator[str]:
        path, fix = self.contents.points[dim].path, "name another key in `embeddings`"
        key = source.embedding_key(self.adata, dim, self.choice.embeddings)
        raw = source.float32(self.adata.obsm[key]) if key else None
        if raw is None or raw.shape[1:] != (dim,):
            yield f"{path}: {f'obsm[{key!r}] is' if key else 'there is'} no such embedding; {fix}"
            return
        wanted, scale = _normalized(raw)
        for field, dims in self.contents.vectors.items():
            if dim in dims:
                yield from noticing(self._vectors(field, dim, scale))
        for text in _unequal(path, self.reader.points(dim), wanted):
            yield f"{text}, obsm[{key!r}]; if it is not the one, {fix}"

    def _vectors(self, field: str, dim: int, scale: float) -> Iterator[str]:
        path = self.contents.vectors[field][dim].path
        key = source.vector_key(self.adata, field, dim)
        if key is None:
            yield f"{path}: obsm has no such vector field"
            return
        wanted = source.float32(self.adata.obsm[key]).reshape(-1, dim) * np.float32(scale)
        yield from _unequal(path, self.reader.vectors(field, dim), wanted)

    def _column(self, field: Values | Category, column: Any) -> Iterator[str]:
        if source.is_continuous(column) != isinstance(field, Values):
            yield f"{field.resource.path}: obs[{field.key!r}] is of type {column.dtype}"
        elif isinstance(field, Values):
            yield from self._values(field, source.numbers(column))
        else:
            yield from self._category(field, column.astype("category").cat)

    def _category(self, field: Category, categorical: Any) -> Iterator[str]:
        path = field.resource.path
        if field.labels != [str(category) for category in categorical.categories]:
            yield f"{path}: the categories are not those of obs[{field.key!r}]"
            return
        codes = self.reader.codes(field)
        yield from _unequal(path, codes, categorical.codes.to_numpy(np.int64))
        if self.contents.ours and self.contents.latent_key in self.adata.obsm:
            yield from self._outliers(field, codes)

    def _outliers(self, field: Category, codes: NDArray[Any]) -> Iterator[str]:
        """Compare ranks, which are free among distances that tie to the fifth digit."""
        ranks = decode(field.outliers, self.reader.stored(field.outliers))
        lo, hi = field.outliers.span
        bits = field.outliers.bits
        slack = 1e-5 + ((hi - lo) / (fmt.CODES[bits].missing - 1) if bits else 0.0)
        latent = source.float32(self.adata.obsm[self.contents.latent_key]).astype(np.float64)
        wrong = 0
        for cells in groups(codes, len(field.labels)):
            found = ranks[cells]
            if not found.size or not np.isfinite(found).all():
                continue  # too small a category, or already reported
            distances = np.linalg.norm(latent[cells] - latent[cells].mean(axis=0), axis=1)
            ordered, tie = np.sort(distances), 1e-5 * distances.max(initial=0)
            least = np.searchsorted(ordered, distances - tie, side="left") + 1
            most = np.searchsorted(ordered, distances + tie, side="right")
            low, high = least / cells.size - slack, most / cells.size + slack
            wrong += int(((found < low) | (found > high)).sum())
        if wrong:
            key = self.contents.latent_key
            yield f"{field.outliers.resource.path}: {wrong} quantiles are not of obsm[{key!r}]"

    def _edges(self) -> Iterator[str]:
        said, key = self.contents.edges, self.choice.graph or "connectivities"
        if key not in self.adata.obsp:
            yield f"{self.contents.src.path}: there is no obsp[{key!r}]; name another in `graph`"
            return
        src, dst, most = source.graph_pairs(self.adata.obsp[key])
        if said is None or said != (src.size, most):
            yield (
                f"{fmt.CONNECTIVITY_MANIFEST}: (n_edges, max_neighbors) is {said}, but"
                f" {(src.size, most)} in obsp[{key!r}]"
            )
            return
        found = self.reader.edges()
        yield from _unequal(self.contents.src.path, found[0], src)
        yield from _unequal(self.contents.dst.path, found[1], dst)

    def _genes(self, sample: int | None) -> Iterator[str]:
        genes = self.contents.genes
        if sample is not None and sample < len(genes):
            chosen = np.linspace(0, len(genes) - 1, sample).round().astype(int)
            genes = [genes[i] for i in chosen]
        if not genes:
            return
        matrix, var = source.expression(self.adata, self.choice)
        if matrix is None:
            yield f"{fmt.VAR_MANIFEST}: there are genes, but no X in the data"
            return
        column = self.contents.gene_id_column
        if column != "index" and column not in var:
            yield f"{fmt.VAR_MANIFEST}, var_gene_id_column: there is no var[{column!r}]"
            return
        positions = source.gene_positions(var, column)
        known = [gene for gene in genes if gene.key in positions]
        for gene in genes:
            if gene.key not in positions:
                yield f"{gene.resource.path}: there is no gene {gene.key!r} in the data"
        vectors = source.columns(matrix, [positions[gene.key] for gene in known])
        for gene, values in zip(known, vectors, strict=True):
            self.genes_compared += 1
            yield from noticing(self._values(gene, values))

    def _values(self, field: Values, wanted: Float32) -> Iterator[str]:
        path, stored = field.resource.path, self.reader.stored(field)
        if field.bits is None:
            yield from _unequal(path, stored, wanted)
            return
        finite = np.isfinite(wanted)
        if not np.array_equal(stored != fmt.CODES[field.bits].missing, finite):
            yield f"{path}: other values are missing than in the data"
            return
        span = _span(wanted[finite])
        if field.span not in span:
            yield f"{path}: the range is {field.span}, in the data {span[0]}"
            return
        yield from self._within_a_step(field, stored[finite], wanted[finite])

    def _within_a_step(self, field: Values, stored: NDArray[Any], wanted: Float32) -> Iterator[str]:
        """Codes are truncated: a value lies from 0 to 1 steps above its decoded one."""
        lo, hi = field.span
        top = fmt.CODES[field.bits or 8].missing - 1
        if not wanted.size or not 1e-30 < hi - lo < 1e38:
            return  # such ranges are beyond the float32 arithmetic of the format
        above = (wanted.astype(np.float64) - decode(field, stored)) * (top / (hi - lo))
        largest = float(np.abs(above).max())
        self.largest_error = max(self.largest_error, largest)
        rounding = 4 * float(np.finfo(np.float32).eps) * top
        wrong = int(((above < -rounding) | (above > 1 + rounding)).sum())
        if wrong:
            yield f"{field.resource.path}: {wrong} values differ, by up to {largest:.4g} steps"


def _span(finite: Float32) -> list[tuple[float, float]]:
    """Ranges that `finite` values may be quantized over."""
    if not finite.size:
        return [(0.0, 1.0)]
    lo, hi = float(finite.min()), float(finite.max())
    if lo < hi:
        return [(lo, hi)]
    # Beyond 2**53, adding 1 changes nothing and the next number up is as good.
    return [(lo, lo + 1.0), (lo, float(np.nextafter(lo, np.inf)))]


def _normalized(raw: Float32) -> tuple[Float32, float]:
    """Points of an embedding, and the scale they were brought to."""
    lo, hi = raw.min(axis=0), raw.max(axis=0)
    width = float((hi - lo).max())
    scale = 2.0 / (width if width >= 1e-8 else 1.0)
    return (raw - (lo + hi) / np.float32(2)) * np.float32(scale), scale


def _unequal(path: str, found: NDArray[Any], wanted: NDArray[Any]) -> Iterator[str]:
    """Say how many values differ; NaN equals NaN."""
    if found.shape != wanted.shape:
        yield f"{path}: has shape {found.shape}, not {wanted.shape}"
        return
    differs = found != wanted
    if found.dtype.kind == "f":
        differs &= ~(np.isnan(found) & np.isnan(wanted))
    if differs.any():
        yield f"{path}: {int(differs.sum())} of {differs.size} values are not those of the data"
