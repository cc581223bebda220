"""An independent decoder of a finished export.

Nothing in this package imports the code that writes exports, only names and markers of the
format and the errors: a bug in an encoder cannot hide itself here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cellucid_dask.errors import InputError, OptionError
from cellucid_dask.verify.agree import disagreements
from cellucid_dask.verify.check import file_problems, tree_problems
from cellucid_dask.verify.compare import Comparison
from cellucid_dask.verify.contents import read_contents
from cellucid_dask.verify.files import Reader, files_of
from cellucid_dask.verify.manifests import read_manifests
from cellucid_dask.verify.source import Choice, opened

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
    """

    problems: tuple[str, ...]
    files: int
    bytes: int
    genes_compared: int = 0
    largest_error: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify(
    export: str | os.PathLike[str],
    against: str | os.PathLike[str] | None = None,
    *,
    sample: int | None = None,
    layer: str | None = None,
    raw: bool = False,
    embeddings: Mapping[int, str] | None = None,
    graph: str | None = None,
) -> VerifyReport:
    """Read a whole export and say everything that is wrong with it.

    Without `against`, an export can only be compared with itself. A damaged gzip member is
    always noticed, as it ends with a checksum. In a file that is not compressed, another value
    in its place is noticed only where it breaks a rule: a code of no category, a point outside
    [-1, 1], a centroid that is not in the middle, edges out of order, codes that do not reach
    both ends of their range. Other damage to plain obs values, genes and vectors, two gene files
    that were swapped, and names or ranges that were edited, are noticed only with `against`.

    A manifest that cannot be read or understood is reported alone: without it there is no
    telling what the files should be. Exports of the reference exporter can be read as well; what
    it does otherwise (gzip members with a time and a name, the number of genes of its input) is
    not reported as a problem in them.

    Parameters
    ----------
    export
        Folder of the export.
    against
        The ``.h5ad`` or ``.zarr`` the export was made of. Points, vector fields, obs columns,
        edges and genes are derived from it again. Everything but the X of an ``.h5ad`` is read
        into memory.
    sample
        Compare only so many genes, evenly spaced; None compares all.
    layer, raw
        Where the expression was taken from, if not from ``X``.
    embeddings
        obsm key by dimension, where it was not found by its name.
    graph
        obsp key of the graph, if not ``connectivities``.

    Raises
    ------
    InputError
        When the export or the data is not there, or has not the key that was named.
    OptionError
        When an option has a value that cannot be used.
    ReadError
        When the data cannot be read.
    """
    folder = Path(export)
    if not folder.is_dir():
        raise InputError("is no folder", where=str(folder), fix="name the folder of an export")
    if sample is not None and sample < 0:
        raise OptionError(f"a sample of {sample} genes", fix="name a positive number")
    sizes = [path.lstat().st_size for path in files_of(folder)]
    problems: list[str] = []
    reader = _read(folder, problems)
    genes, error = 0, 0.0
    if reader is not None and against is not None:
        with opened(against) as adata:
            compared = Comparison(reader, adata, Choice(embeddings or {}, layer, raw, graph))
            problems.extend(compared.problems(sample))
        genes, error = compared.genes_compared, compared.largest_error
    unique = tuple(dict.fromkeys(problems))  # a damaged file is met twice
    return VerifyReport(unique, len(sizes), sum(sizes), genes, error)


def _read(folder: Path, problems: list[str]) -> Reader | None:
    """Check the export in itself; None when its manifests cannot be used."""
    manifests = read_manifests(folder, problems)
    contents = read_contents(manifests, problems) if manifests else None
    if manifests is None or contents is None:
        return None
    problems.extend(disagreements(manifests, contents))
    problems.extend(tree_problems(folder, contents))
    reader = Reader(folder, contents)
    problems.extend(file_problems(reader))
    return reader
