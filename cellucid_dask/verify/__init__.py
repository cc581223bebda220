"""An independent decoder of a finished export.

Nothing in this package imports the code that writes exports, only names and markers of the
format and the errors: a bug in an encoder cannot hide itself here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellucid_dask import format as fmt
from cellucid_dask.arguments.boundary import in_arguments, typed, worded_all
from cellucid_dask.errors import InputError, OptionError
from cellucid_dask.verify.export_folder.arrays import Reader
from cellucid_dask.verify.export_folder.checks import tree_problems
from cellucid_dask.verify.export_folder.checksums import read_checksums
from cellucid_dask.verify.export_folder.consistency import disagreements
from cellucid_dask.verify.export_folder.contents import Contents, read_contents
from cellucid_dask.verify.export_folder.manifests import read_manifests
from cellucid_dask.verify.export_folder.tree import Files
from cellucid_dask.verify.inspection import Threads, inspect, inspect_rest
from cellucid_dask.verify.parallel import Progress, cores, unseen

if TYPE_CHECKING:
    from cellucid_dask.verify.compare import Comparison

__all__ = ["VerifyReport", "verify"]


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was found.

    Parameters
    ----------
    problems
        Everything that is wrong, each in one line; empty for a good export.
    files, bytes
        How many files the export has, and their size on disk.
    genes_compared
        How many genes were compared with their source.
    largest_error
        Largest ``|decoded - source|`` of quantized genes and obs values that were compared, in
        quantization steps ``(hi - lo) / max_quant``. As codes truncate, at most 1, and a little
        more where float32 rounds.
    not_compared
        What could not be compared with the data, and why, each in one line. No problem of the
        export.
    """

    problems: tuple[str, ...]
    files: int
    bytes: int
    genes_compared: int = 0
    largest_error: float = 0.0
    not_compared: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """Everything as strict JSON has it."""
        lines = {"problems": list(self.problems), "not_compared": list(self.not_compared)}
        return {"ok": self.ok, **asdict(self), **lines}


@in_arguments()
@typed
def verify(
    export: str | os.PathLike[str],
    against: str | os.PathLike[str] | None = None,
    *,
    workers: int | None = None,
    sample: int | None = None,
    modality: str | None = None,
    layer: str | None = None,
    raw: bool = False,
    embeddings: Mapping[int, str] | None = None,
    graph: str | None = None,
    latent_key: str | None = None,
    drop_cells_without_embedding: bool = False,
    accept_missing_chunks: bool = False,
    progress: Progress | None = None,
) -> VerifyReport:
    """Read a whole export and say everything that is wrong with it.

    Every file is held against ``checksums.json``, so that no other byte goes unnoticed, and
    against what the manifests and the format want of it. A manifest that cannot be read or
    understood leaves the checksums: without it there is no telling what the files should be.

    Exports of the reference exporter can be read as well. What it does otherwise (gzip members
    with a time and a name, the number of genes of its input) is not reported as a problem in
    them. They have no checksums: another value in a file that is not compressed is noticed only
    where it breaks a rule, or with `against`.

    Parameters
    ----------
    export
        Folder of the export.
    against
        The ``.h5ad`` or ``.zarr`` the export was made of. Points, vector fields, obs columns,
        edges and genes are derived from it again. Matrices of expression are read in pieces.
    workers
        Threads; None is the cores this process may use. The report does not depend on them.
    sample
        Compare only so many genes, evenly spaced; None compares all.
    modality
        Which modality of a MuData the export was made of.
    layer, raw
        Where the expression was taken from, if not from ``X``.
    embeddings
        obsm key by dimension, where it was not found by its name.
    graph
        obsp key of the graph, if not ``connectivities``.
    latent_key
        obsm key of the latent space, where there is none that is called as the manifest says.
    drop_cells_without_embedding
        Whether the cells that have NaN or Inf in an embedding were left out.
    accept_missing_chunks
        Whether chunks that the data lack were left out by their writer, also where they are most
        likely lost; these are then no problem.
    progress
        Told of every step, as `cellucid_dask.verify.parallel.Progress` says.

    Raises
    ------
    InputError
        When the export or the data is not there, or has not the key that was named.
    OptionError
        When an option has a value that cannot be used.
    ReadError
        When the data cannot be read.
    """
    threads = Threads(_checked(workers, sample, against), progress or unseen)
    files = files_in(Path(export))
    problems = [f"{path}: {what}" for path, what in sorted(files.odd.items())]
    genes, error = 0, 0.0
    skipped: tuple[str, ...] = ()
    choice = (embeddings or {}, layer, raw, graph, latent_key, drop_cells_without_embedding)
    with _source(against, modality) as data:
        contents = _promised(files, problems)
        if contents is not None:
            compared = None if data is None else _comparison(contents, data, choice, sample)
            if compared is not None and compared.obstacle:
                problems.append(compared.obstacle)
                compared = None
            problems += inspect(Reader(files, contents), compared, threads)
            if compared is not None:
                genes, error = compared.genes_compared, compared.largest_error
                missing = compared.missing_chunks()
                lost, notes = missing.sort_out(accept=accept_missing_chunks)
                problems += lost
                skipped = tuple(map(_one_line, (*compared.not_compared, *notes)))
    problems += inspect_rest(files, threads)
    lines = tuple(dict.fromkeys(map(_one_line, problems)))  # a damaged file may be met twice
    lines, skipped = tuple(worded_all(lines)), tuple(worded_all(skipped))
    return VerifyReport(lines, len(files.sizes), sum(files.sizes.values()), genes, error, skipped)


def _checked(
    workers: int | None, sample: int | None, against: str | os.PathLike[str] | None
) -> int:
    if workers is not None and workers < 1:
        raise OptionError(f"{workers} workers", fix="name a positive number")
    if sample is not None and sample < 0:
        raise OptionError(f"a sample of {sample} genes", fix="name a positive number")
    if sample is not None and against is None:
        raise OptionError(
            "a sample is of the genes that are compared with data", fix="name the data too"
        )
    return workers or cores()


def files_in(folder: Path) -> Files:
    """Files of the export in `folder`, which has a manifest at least.

    Raises
    ------
    InputError
        When there is none.
    """
    if not os.path.isdir(folder):  # noqa: PTH112  it never raises
        raise InputError("is no folder", where=str(folder), fix="name the folder of an export")
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"cannot be listed ({error.strerror})", where=str(folder)) from error
    if any(entry.name in fmt.MANIFESTS for entry in entries):
        return Files(folder)
    fix = "name the folder of one export"
    inner = [entry for entry in entries if os.path.isfile(entry / fmt.IDENTITY)]  # noqa: PTH113
    if inner:
        fix += f", such as {inner[0]}"
    raise InputError(f"is no export: it has no {fmt.IDENTITY}", where=str(folder), fix=fix)


def _promised(files: Files, problems: list[str]) -> Contents | None:
    """Read what the manifests promise; None when they cannot be used."""
    files.listed = read_checksums(files, problems)
    manifests = read_manifests(files, problems)
    contents = read_contents(manifests, problems) if manifests else None
    if manifests is None or contents is None:
        return None
    problems.extend(disagreements(manifests, contents))
    problems.extend(tree_problems(files, contents))
    return contents


@contextmanager
def _source(against: str | os.PathLike[str] | None, modality: str | None) -> Iterator[Any]:
    if against is None:
        yield None
        return
    from cellucid_dask.verify.source_data.anndata_file import opened  # anndata takes a second

    with opened(against, modality) as data:
        yield data


def _comparison(
    contents: Contents, data: Any, choice: tuple[Any, ...], sample: int | None
) -> Comparison:
    from cellucid_dask.verify.compare import Comparison
    from cellucid_dask.verify.source_data.discovery import Choice

    return Comparison(contents, data, Choice(*choice), sample)


def _one_line(problem: str) -> str:
    """Text that a terminal shows in one line, whatever a file is called."""
    if problem.isprintable():
        return problem
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in problem)
