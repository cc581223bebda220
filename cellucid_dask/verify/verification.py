"""The verification of an export, from the folder to the report."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellucid_dask import format as fmt
from cellucid_dask.arguments.boundary import check_argument_types, with_argument_names
from cellucid_dask.errors import OptionError
from cellucid_dask.verify.array_checks import check_arrays, check_remaining_files
from cellucid_dask.verify.export_folder.arrays import ArrayReader
from cellucid_dask.verify.export_folder.checks import find_unnamed_files
from cellucid_dask.verify.export_folder.checksums import read_checksums
from cellucid_dask.verify.export_folder.consistency import find_contradictions
from cellucid_dask.verify.export_folder.contents import Contents, read_contents
from cellucid_dask.verify.export_folder.files import (
    ExportFiles,
    find_export_files,
    is_export_folder,
)
from cellucid_dask.verify.export_folder.manifests import read_manifests
from cellucid_dask.verify.parallel import (
    ProblemCollector,
    Progress,
    available_cores,
    ignore_progress,
)
from cellucid_dask.verify.ready_file.checking import verify_ready_file
from cellucid_dask.verify.ready_file.container import find_kind
from cellucid_dask.verify.report import Findings, VerifyReport
from cellucid_dask.verify.source_data.choice import SourceChoice

if TYPE_CHECKING:
    from cellucid_dask.verify.comparison.compare import Comparison
    from cellucid_dask.verify.ready_file.comparison import ReadyComparison


@with_argument_names()
@check_argument_types
def verify(
    export: str | os.PathLike[str],
    against: str | os.PathLike[str] | None = None,
    *,
    workers: int | None = None,
    sample: int | None = None,
    modality: str | None = None,
    layer: str | None = None,
    raw: bool = False,
    embeddings: Mapping[int, str | tuple[str, ...]] | None = None,
    graph: str | None = None,
    latent_key: str | None = None,
    drop_cells_without_embedding: bool = False,
    accept_missing_chunks: bool = False,
    progress: Progress | None = None,
) -> VerifyReport:
    """Read all files of an export and report every problem.

    Each file is compared with ``checksums.json``, so that any changed byte is found, and with
    what the manifests and the format require. If a manifest cannot be used, the files are
    compared with the checksums only.

    Exports of the reference exporter can be verified as well. Where it differs from this package
    (gzip members with a time and a name, the number of genes of its input), that is not a
    problem. Its exports have no checksums: a changed value in an uncompressed file is found only
    where it breaks a rule, or with `against`.

    Parameters
    ----------
    export
        Folder of the export.
    against
        The ``.h5ad`` or ``.zarr`` that the export was made from. Points, vector fields, obs
        columns, edges and genes are derived from it again. Expression matrices are read in
        pieces.
    workers
        Number of threads; None uses the cores of this process. The report is the same for any
        number.
    sample
        Compare only this number of genes, evenly spaced; None compares all.
    modality
        Modality of a MuData that the export was made from.
    layer, raw
        Where the expression was taken from, if not from ``X``.
    embeddings
        obsm key by dimension, or several: the first is that of the points. Needed where an export
        of an older version, or of the reference, did not use the usual name.
    graph
        obsp key of the graph, if not ``connectivities``.
    latent_key
        obsm key of the latent space, where obsm has no key with the name in the manifest.
    drop_cells_without_embedding
        Whether the export left out the cells that have NaN or Inf in an embedding.
    accept_missing_chunks
        Whether the writer of the data left out the chunks that are missing; they are then not a
        problem, also where they are most likely lost.
    progress
        Called for every step, as `cellucid_dask.verify.parallel.Progress` describes.

    Raises
    ------
    InputError
        When the export or the data does not exist, or the data has no key that was named.
    OptionError
        When an option has a value that cannot be used.
    ReadError
        When the data cannot be read.
    """
    _check_options(workers, sample, against)
    collector = ProblemCollector(workers or available_cores(), progress or ignore_progress)
    choice = SourceChoice(
        embeddings or {}, layer, raw, graph, latent_key, drop_cells_without_embedding
    )
    kind = find_kind(Path(export))
    if kind is not None and not is_export_folder(Path(export)):
        with _open_source(against, modality) as source:
            ready = _prepare_ready_comparison(source, choice, sample, accept_missing_chunks)
            return verify_ready_file(
                Path(export), kind, collector, ready, accept_missing=accept_missing_chunks
            )
    files = find_export_files(Path(export))
    findings = Findings([f"{path}: {what}" for path, what in sorted(files.irregular.items())])
    with _open_source(against, modality) as source:
        contents = _read_promised_contents(files, findings.problems)
        if contents is not None:
            findings.problems += [
                f"{fmt.IDENTITY}, embeddings: has no additional embedding {key!r}"
                for key in choice.additional
                if key not in contents.additional
            ]
            comparison = _prepare_comparison(contents, source, choice, sample, findings)
            reader = ArrayReader(files, contents)
            findings.problems += check_arrays(reader, comparison, collector)
            if comparison is not None:
                _add_comparison(findings, comparison, accept_missing_chunks)
    findings.problems += check_remaining_files(files, collector)
    return findings.report(files.sizes)


def _check_options(
    workers: int | None, sample: int | None, against: str | os.PathLike[str] | None
) -> None:
    if workers is not None and workers < 1:
        raise OptionError(f"{workers} workers", fix="give a positive number")
    if sample is not None and sample < 0:
        raise OptionError(f"a sample of {sample} genes", fix="give a positive number")
    if sample is not None and against is None:
        raise OptionError(
            "a sample needs data to compare the genes with", fix="name the data with --against"
        )


@contextmanager
def _open_source(against: str | os.PathLike[str] | None, modality: str | None) -> Iterator[Any]:
    if against is None:
        yield None
        return
    # to import anndata takes a second
    from cellucid_dask.verify.source_data.anndata_file import open_source_data

    with open_source_data(against, modality) as source:
        yield source


def _read_promised_contents(files: ExportFiles, problems: list[str]) -> Contents | None:
    """Read what the manifests promise; None when they cannot be used."""
    files.listed = read_checksums(files, problems)
    manifests = read_manifests(files, problems)
    contents = read_contents(manifests, problems) if manifests else None
    if manifests is None or contents is None:
        return None
    problems.extend(find_contradictions(manifests, contents))
    problems.extend(find_unnamed_files(files, contents))
    return contents


def _prepare_comparison(
    contents: Contents, source: Any, choice: SourceChoice, sample: int | None, findings: Findings
) -> Comparison | None:
    """Match the export with its source; None without one, or when nothing can be compared."""
    if source is None:
        return None
    from cellucid_dask.verify.comparison.compare import Comparison

    comparison = Comparison(contents, source, choice, sample)
    if comparison.obstacle:
        findings.problems.append(comparison.obstacle)
        return None
    return comparison


def _prepare_ready_comparison(
    source: Any, choice: SourceChoice, sample: int | None, accept_missing: bool
) -> ReadyComparison | None:
    """Compare a ready file with its source; None without one."""
    if source is None:
        return None
    from cellucid_dask.verify.ready_file.comparison import ReadyComparison

    return ReadyComparison(source, choice, sample, accept_missing=accept_missing)


def _add_comparison(findings: Findings, comparison: Comparison, accept_missing: bool) -> None:
    """Add the counts of a finished comparison, and the chunks that the source lacks."""
    findings.genes_compared = comparison.genes.n_compared
    findings.largest_error = comparison.values.largest_error
    losses, notes = comparison.find_missing_chunks().split_problems_and_notes(accept=accept_missing)
    findings.problems += losses
    findings.not_compared += (*comparison.not_compared, *notes)
