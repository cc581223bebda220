"""The verification of a ready file, from its path to its findings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cellucid_dask.verify.parallel import ProblemCollector, collect_problems
from cellucid_dask.verify.ready_file.checksums import ReadyChecksums
from cellucid_dask.verify.ready_file.container import Kind, ReadyFile, open_ready_file
from cellucid_dask.verify.ready_file.contents import ReadyContents, StoredSparse
from cellucid_dask.verify.ready_file.quantiles import QuantileChecks
from cellucid_dask.verify.ready_file.record import check_record
from cellucid_dask.verify.ready_file.sparse_values import SparseChecks
from cellucid_dask.verify.ready_file.structure import StructureReader
from cellucid_dask.verify.ready_file.values import (
    DenseChecks,
    check_column,
    check_finite,
    check_names,
)
from cellucid_dask.verify.report import Findings, VerifyReport
from cellucid_dask.verify.source_data.chunks import ACCEPT

if TYPE_CHECKING:
    from cellucid_dask.verify.ready_file.comparison import ReadyComparison


def verify_ready_file(
    path: Path,
    kind: Kind,
    collector: ProblemCollector,
    comparison: ReadyComparison | None,
    *,
    accept_missing: bool,
) -> VerifyReport:
    """Read everything of a ready file, and compare it with its source if there is one.

    Parameters
    ----------
    accept_missing
        Whether the writer of the file left out the chunks that are missing.

    Raises
    ------
    InputError
        When it is an AnnData, but not a ready file.
    """
    checksums = ReadyChecksums(path)
    findings = Findings(checksums.problems)
    with open_ready_file(path, kind, is_listed=checksums.is_there) as file:
        findings.problems += checksums.find_differences(file)
        findings.problems += file.problems
        if file.tree is not None:
            _add_missing(findings, file.tree.missing, accept=accept_missing)
            findings.problems += _check_tree(file, collector, comparison)
        of_files = checksums.file_checks(file)
        findings.problems += collector.run_stage("checksums", "files", len(of_files), of_files)
    if comparison is not None:
        findings.genes_compared = comparison.n_genes
        findings.not_compared += comparison.not_compared
    return findings.report(file.sizes, kind)


def _add_missing(findings: Findings, missing: list[str], *, accept: bool) -> None:
    """Report missing chunks: what `export` writes has all, but other writers leave out zeros."""
    if accept:
        findings.not_compared += missing
    else:
        findings.problems += [f"{line}; {ACCEPT}" for line in missing]


def _check_tree(
    file: ReadyFile, collector: ProblemCollector, comparison: ReadyComparison | None
) -> list[str]:
    """Check structure, then values; what is damaged is left out of the later checks."""
    assert file.tree is not None
    structure = StructureReader(file.tree)
    contents = structure.read()
    problems = [*structure.problems, *collect_problems(check_record(contents))]
    tables = [*_table_checks(contents), *_quantile_checks(contents)]
    problems += collector.run_stage("obs and var", "arrays", len(tables), tables)
    if contents.graph is not None:
        problems += _check_sparse(contents.graph, contents.n_cells, "cell", collector)
    if isinstance(contents.x, StoredSparse):
        problems += _check_sparse(contents.x, contents.n_cells, "gene", collector)
    elif contents.x is not None:
        dense = DenseChecks(contents.x)
        blocks = dense.block_checks()
        problems += collector.run_stage("X", "blocks", len(blocks), blocks)
        problems += dense.widths.check()
    if comparison is not None:
        problems += comparison.compare(contents, collector)
    return problems


def _table_checks(contents: ReadyContents) -> Iterator[Iterator[str]]:
    names = (contents.gene_names, contents.cell_names)
    yield from (check_names(array) for array in names if array is not None)
    for columns in (contents.var, contents.obs):
        yield from (check_column(column) for column in columns.values())
    yield from (check_finite(array) for array in contents.obsm.values())


def _quantile_checks(contents: ReadyContents) -> Iterator[Iterator[str]]:
    if contents.quantile_facts is None:
        return
    latent, min_points = contents.quantile_facts
    checks = QuantileChecks(contents.obsm[latent], min_points)
    for name in contents.obs:
        yield checks.check(name, contents.obs[name], contents.quantiles.get(name))


def _check_sparse(
    matrix: StoredSparse, n_minor: int, entry: str, collector: ProblemCollector
) -> list[str]:
    checks = SparseChecks(matrix, n_minor, entry)
    problems = collect_problems(checks.check_pointers())
    blocks = checks.block_checks()
    problems += collector.run_stage(matrix.path, "blocks", len(blocks), blocks)
    return problems + collect_problems(checks.check_joints())
