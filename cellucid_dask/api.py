"""The Python functions behind the commands."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from cellucid_dask.errors import Problem
from cellucid_dask.export.result import ExportResult
from cellucid_dask.options import split

if TYPE_CHECKING:
    from anndata import AnnData

    Data: TypeAlias = str | os.PathLike[str] | AnnData


def export(
    data: Data,
    out_dir: str | os.PathLike[str] | None = None,
    *,
    dry_run: bool = False,
    quiet: bool = False,
    **options: Any,
) -> ExportResult:
    """Export an AnnData to a folder that the Cellucid viewer loads.

    Parameters
    ----------
    data
        Path of an .h5ad file, a .zarr folder or a .zarr.zip, or an AnnData. One in memory is
        exported by threads of this process; of a backed one, X is read from its file.
    out_dir
        Folder to make; ``exports/NAME`` when it is not given.
    dry_run
        Check and plan only; nothing is written.
    quiet
        Show no progress.
    **options
        Fields of `cellucid_dask.options.ExportOptions` (what is exported) and of
        `cellucid_dask.options.RunOptions` (how it is done).

    Returns
    -------
    What was written, the warnings, and the time and memory it took.

    Raises
    ------
    CellucidDaskError
        With every problem of the input, the options and the machine; nothing was written, and
        an export that was there before is still whole.

    Examples
    --------
    >>> from cellucid_dask import export
    >>> export("atlas.h5ad", "exports/atlas", memory="4GB")  # doctest: +SKIP
    """
    # numpy, dask and the rest take a second to import: only where there is work for them.
    from cellucid_dask.export.run import run_export
    from cellucid_dask.progress import Reporter
    from cellucid_dask.source.core import open_source

    what, how = split(options)
    source = open_source(data)
    out = Path("exports", source.name) if out_dir is None else out_dir
    reporter = Reporter(quiet=quiet)
    return run_export(source, out, what, how, reporter=reporter, dry_run=dry_run)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What is wrong with an input, and what was found in it.

    Parameters
    ----------
    problems
        What would stop an export.
    warnings
        What would not.
    discovered
        What an export would take from where, and what it would ignore and why.
    """

    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]
    discovered: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing stops an export."""
        return not self.problems


def check(data: Data, **options: Any) -> CheckResult:
    """Find every problem of an input at once; writes nothing.

    Parameters
    ----------
    data
        As in `export`.
    **options
        Fields of `cellucid_dask.options.ExportOptions`.

    Raises
    ------
    CellucidDaskError
        When the input cannot be opened at all, or an option has no meaning.
    """
    from cellucid_dask.export.check import survey
    from cellucid_dask.source.core import open_source

    what, _ = split(options)
    found = survey(open_source(data), what)
    problems = tuple(dict.fromkeys(found.problems))
    return CheckResult(problems, tuple(found.warnings), tuple(found.notes))
