"""The way through an export: each file is read once, checked, and compared if there is a source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

import numpy as np

from cellucid_dask.verify.export_folder import checks
from cellucid_dask.verify.export_folder.arrays import Array, Reader
from cellucid_dask.verify.export_folder.contents import Category, Values
from cellucid_dask.verify.export_folder.tree import Files, noticing
from cellucid_dask.verify.parallel import Progress, in_order

if TYPE_CHECKING:
    from cellucid_dask.verify.compare import Comparison, Float32


_MOST: Final = 20  # genes listed that differ from the data


class Inspection:
    """Every file that the manifests promise.

    Parameters
    ----------
    against
        The source, if there is one.
    """

    def __init__(self, reader: Reader, against: Comparison | None) -> None:
        self.reader, self.contents, self.against = reader, reader.contents, against
        self._good_points: dict[int, Array] = {}

    def points(self) -> list[Iterator[str]]:
        """What is wrong with the points of each dimension, which columns are held against."""
        return [self._points(dim) for dim in self.contents.points]

    def columns(self) -> list[Iterator[str]]:
        """What is wrong with each vector field, obs column, and the edges."""
        contents = self.contents
        return [
            *(self._vectors(name, dim) for name, dims in contents.vectors.items() for dim in dims),
            *(self._values(field) for field in contents.continuous),
            *(self._category(field) for field in contents.categorical),
            *([] if contents.edges is None else [self._edges()]),
        ]

    def genes(self) -> Iterator[Iterator[str]]:
        """What is wrong with each gene; the source is read as far as they are asked for."""
        if self.against is None:
            yield from (self._gene(gene, False, None) for gene in self.contents.genes)
        else:
            yield from (self._gene(*entry) for entry in self.against.expression())

    def _points(self, dim: int) -> Iterator[str]:
        path, found = self.contents.points[dim].path, self.reader.points(dim)
        wrong = list(checks.point_problems(path, found))
        yield from wrong
        if not wrong:
            self._good_points[dim] = found
        if self.against is not None:
            yield from self.against.points(dim, found)

    def _vectors(self, name: str, dim: int) -> Iterator[str]:
        found = self.reader.vectors(name, dim)  # of any size and direction, also missing ones
        if self.against is not None:
            yield from self.against.vectors(name, dim, found)

    def _values(self, field: Values) -> Iterator[str]:
        stored = self.reader.stored(field)
        yield from checks.value_problems(field, stored)
        if self.against is not None:
            yield from self.against.values(field, stored)

    def _category(self, field: Category) -> Iterator[str]:
        codes, n = self.reader.codes(field), len(field.labels)
        if codes.max(initial=-1) >= n:
            yield f"{field.resource.path}: has code {codes.max()} of {n} categories"
            return
        outliers = self.reader.stored(field.outliers)
        yield from checks.category_problems(
            self.contents, field, codes, outliers, self._good_points
        )
        if self.against is not None:
            yield from self.against.category(field, codes, outliers)

    def _edges(self) -> Iterator[str]:
        if self.against is None:
            pieces = self.reader.edge_pieces(checks.STEP)
            yield from checks.edge_problems(self.contents, pieces)
            return
        src, dst = self.reader.edges()
        yield from checks.edge_problems(self.contents, checks.slices(src, dst))
        yield from self.against.edges(src, dst)

    def _gene(self, gene: Values, compared: bool, wanted: Float32 | None) -> Iterator[str]:
        stored = self.reader.stored(gene)
        yield from checks.value_problems(gene, stored)
        if self.against is not None and compared:
            yield from self.against.gene(gene, stored, wanted)


class Threads:
    """Threads that look for problems. What they find, and its order, does not depend on them."""

    def __init__(self, workers: int, progress: Progress) -> None:
        self.workers, self.progress = workers, progress

    def problems(
        self, name: str, unit: str, total: int, found: Iterable[Iterator[str]]
    ) -> list[str]:
        """All problems of a stage of `total` steps, each an iterator that one thread consumes."""
        if not total:
            return []
        problems: list[str] = []
        with self.progress(name, total, unit) as advance:
            for some in in_order(_consumed, found, self.workers):
                problems.extend(some)
                advance()
        return problems


def _consumed(found: Iterator[str]) -> list[str]:
    with np.errstate(all="ignore"):  # damaged numbers overflow
        return list(noticing(found))


def inspect(reader: Reader, against: Comparison | None, threads: Threads) -> list[str]:
    """Everything that is wrong in the files that the manifests promise, in their order."""
    inspection, n_genes = Inspection(reader, against), len(reader.contents.genes)
    problems = [text for found in inspection.points() for text in _consumed(found)]
    columns = inspection.columns()
    problems += threads.problems("obs and graph", "arrays", len(columns), columns)
    if against is not None and against.gene_obstacle:
        problems.append(against.gene_obstacle)
    genes = threads.problems("genes", "genes", n_genes, inspection.genes())
    return problems + (genes if against is None else _fewer(genes, set(against.differing)))


def _fewer(problems: list[str], differing: set[str]) -> list[str]:
    """Leave out all but the first of the problems that are of genes that differ from the data."""
    differ = [problem for problem in problems if problem in differing]
    if len(differ) <= _MOST:
        return problems
    rest = set(differ[_MOST:])
    more = f"... and {len(rest):,} more gene{'s differ' if len(rest) > 1 else ' differs'}"
    return [
        *(problem for problem in problems if problem not in rest),
        f"{more}; is it the right data, --layer or --raw?",
    ]


def inspect_rest(files: Files, threads: Threads) -> list[str]:
    """What is wrong with the files that are still to be held against ``checksums.json``."""
    rest = files.rest()
    found = (files.checksum(path) for path in rest)
    return threads.problems("other files", "files", len(rest), found)
