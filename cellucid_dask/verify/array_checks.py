"""Checks of every file of an export: each is read once, checked, and compared with the source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from cellucid_dask.verify.export_folder import checks, edges
from cellucid_dask.verify.export_folder.arrays import Array, ArrayReader
from cellucid_dask.verify.export_folder.cell_ids import read_id_blocks
from cellucid_dask.verify.export_folder.contents import CategoricalField, Values
from cellucid_dask.verify.export_folder.files import ExportFiles
from cellucid_dask.verify.parallel import ProblemCollector, collect_problems

if TYPE_CHECKING:
    from cellucid_dask.verify.comparison.compare import Comparison
    from cellucid_dask.verify.source_data.derive import Float32


_LISTED_GENES: Final = 20  # that differ from the data


class ArrayChecks:
    """Checks of the files that the manifests promise.

    Each check is an iterator of problems; nothing is read before it is consumed.

    Parameters
    ----------
    comparison
        Comparison with the source, if there is one.
    """

    def __init__(self, reader: ArrayReader, comparison: Comparison | None) -> None:
        self.reader, self.contents, self.comparison = reader, reader.contents, comparison
        self._good_points: dict[int, Array] = {}

    def points(self) -> list[Iterator[str]]:
        """Return a check of the points of each dimension; checks of obs columns use the points."""
        return [self._check_points(dim) for dim in self.contents.points]

    def obs_and_graph(self) -> list[Iterator[str]]:
        """Return a check of each further embedding, vector field and obs column, and of edges."""
        contents = self.contents
        fields = contents.vectors.items()
        return [
            *(self._check_additional(key) for key in contents.additional),
            *(self._check_vectors(name, dim) for name, dims in fields for dim in dims),
            *(self._check_continuous(field) for field in contents.continuous),
            *(self._check_categorical(field) for field in contents.categorical),
            *([] if contents.id_blocks is None else [self._check_ids()]),
            *([] if contents.edges is None else [self._check_edges()]),
        ]

    def genes(self) -> Iterator[Iterator[str]]:
        """Yield a check of each gene; the source is read as far as checks are taken."""
        if self.comparison is None:
            yield from (self._check_gene(gene, False, None) for gene in self.contents.genes)
        else:
            yield from (
                self._check_gene(*column) for column in self.comparison.genes.read_columns()
            )

    def _check_points(self, dim: int) -> Iterator[str]:
        path, points = self.contents.points[dim].path, self.reader.read_points(dim)
        problems = list(checks.check_points(path, points))
        yield from problems
        if not problems:
            self._good_points[dim] = points
        if self.comparison is not None:
            yield from self.comparison.compare_points(dim, points)

    def _check_additional(self, key: str) -> Iterator[str]:
        resource = self.contents.additional[key]
        points = self.reader.read_embedding(resource)
        yield from checks.check_points(resource.path, points)
        if self.comparison is not None:
            yield from self.comparison.compare_additional(key, points)

    def _check_vectors(self, name: str, dim: int) -> Iterator[str]:
        vectors = self.reader.read_vectors(name, dim)  # any number is good, also NaN
        if self.comparison is not None:
            yield from self.comparison.compare_vectors(name, dim, vectors)

    def _check_continuous(self, field: Values) -> Iterator[str]:
        stored = self.reader.read_stored(field)
        yield from checks.check_code_range(field, stored)
        if self.comparison is not None:
            yield from self.comparison.compare_continuous(field, stored)

    def _check_categorical(self, field: CategoricalField) -> Iterator[str]:
        codes, n = self.reader.read_codes(field), len(field.labels)
        if codes.max(initial=-1) >= n:
            yield f"{field.resource.path}: has code {codes.max()} of {n} categories"
            return
        outliers = self.reader.read_stored(field.outliers)
        yield from checks.check_categorical(
            self.contents, field, codes, outliers, self._good_points
        )
        if self.comparison is not None:
            yield from self.comparison.compare_categorical(field, codes, outliers)

    def _check_ids(self) -> Iterator[str]:
        blocks = read_id_blocks(self.reader.files, self.contents)
        if self.comparison is not None:
            yield from self.comparison.compare_ids(blocks)
        for _ in blocks:
            pass

    def _check_edges(self) -> Iterator[str]:
        if self.comparison is None:
            pieces = self.reader.read_edges_in_pieces(edges.EDGES_PER_PIECE)
            yield from edges.check_edges(self.contents, pieces)
            return
        src, dst = self.reader.read_edges()
        yield from edges.check_edges(self.contents, edges.split_edges(src, dst))
        yield from self.comparison.compare_edges(src, dst)

    def _check_gene(
        self, gene: Values, is_compared: bool, expected: Float32 | None
    ) -> Iterator[str]:
        stored = self.reader.read_stored(gene)
        yield from checks.check_code_range(gene, stored)
        if self.comparison is not None and is_compared:
            yield from self.comparison.genes.compare(gene, stored, expected)


def check_arrays(
    reader: ArrayReader, comparison: Comparison | None, collector: ProblemCollector
) -> list[str]:
    """Return the problems of the files that the manifests promise, in their order."""
    checks_of, n_genes = ArrayChecks(reader, comparison), len(reader.contents.genes)
    problems = [problem for check in checks_of.points() for problem in collect_problems(check)]
    arrays = checks_of.obs_and_graph()
    problems += collector.run_stage("obs and graph", "arrays", len(arrays), arrays)
    if comparison is not None and comparison.genes.obstacle:
        problems.append(comparison.genes.obstacle)
    if comparison is not None:
        problems += collect_problems(comparison.genes.compare_symbols())
    genes = collector.run_stage("genes", "genes", n_genes, checks_of.genes())
    if comparison is not None:
        genes = _shorten_differing(genes, set(comparison.genes.differing))
    return problems + genes


def _shorten_differing(problems: list[str], differing: set[str]) -> list[str]:
    """List only the first of the genes that differ from the data, and count the rest."""
    of_differing = [problem for problem in problems if problem in differing]
    if len(of_differing) <= _LISTED_GENES:
        return problems
    rest = set(of_differing[_LISTED_GENES:])
    more = f"... and {len(rest):,} more gene{'s differ' if len(rest) > 1 else ' differs'}"
    return [
        *(problem for problem in problems if problem not in rest),
        f"{more}; is it the right data, --layer or --raw?",
    ]


def check_remaining_files(files: ExportFiles, collector: ProblemCollector) -> list[str]:
    """Return the problems of the files that no check of an array has read."""
    paths = files.find_unread()
    checks_of = (files.check_checksum(path) for path in paths)
    return collector.run_stage("other files", "files", len(paths), checks_of)
