"""The Python functions behind the commands."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from cellucid_dask.arguments.boundary import (
    convert_arguments,
    reword_all,
    reword_problem,
    with_argument_names,
)
from cellucid_dask.arguments.caller_warnings import warn_caller
from cellucid_dask.display.results import count, html_table
from cellucid_dask.errors import CellucidDaskError, Problem, raise_problems
from cellucid_dask.exporter.result import ExportResult
from cellucid_dask.options.formats import FOLDER
from cellucid_dask.options.keywords import read_export_options

if TYPE_CHECKING:
    from typing import Unpack

    from anndata import AnnData

    from cellucid_dask.options.keyword_types import ExportKeywords, RunKeywords

    Data: TypeAlias = str | os.PathLike[str] | AnnData


@with_argument_names()
def export(
    data: Data,
    out_dir: str | os.PathLike[str] | None = None,
    *,
    dry_run: bool = False,
    quiet: bool = False,
    **options: Unpack[RunKeywords],
) -> ExportResult:
    """Export an AnnData to a folder or to ready files that the Cellucid viewer loads.

    Parameters
    ----------
    data
        Path of an .h5ad file, a .zarr folder or a .zarr.zip, or an AnnData. One in memory is
        exported by threads of this process; of a backed one, X is read from its file.
    out_dir
        Folder or file to make; ``exports/NAME`` with the suffix of the format when it is not
        given. With several formats, ready files are beside the folder, with their suffixes.
    dry_run
        Check and plan only; nothing is written.
    quiet
        Show no progress. Warnings are shown all the same.
    **options
        Fields of `cellucid_dask.options.ExportOptions` (what is exported) and of
        `cellucid_dask.options.RunOptions` (how it is done); with ``cluster`` or
        ``slurm=True``, also of `cellucid_dask.options.JobOptions`.

    Returns
    -------
    ExportResult
        What was written, the warnings, and the time and memory it took.

    Raises
    ------
    CellucidDaskError
        With every problem of the input, the options and the machine. Nothing was written, and an
        existing export is still intact.

    Warns
    -----
    DataWarning
        For each of the warnings of the result.

    Examples
    --------
    >>> from cellucid_dask import export
    >>> export("atlas.h5ad", "exports/atlas", memory="4GB")  # doctest: +SKIP
    """
    given: dict[str, Any] = {"out_dir": out_dir, "dry_run": dry_run, "quiet": quiet}
    problems = convert_arguments(export, given)
    result = run_export_command(data, options=options, problems=problems, **given)
    warn_caller(result.warnings)
    return result


def run_export_command(
    data: Data,
    out_dir: str | os.PathLike[str] | None,
    options: Mapping[str, Any],
    problems: list[Problem],
    *,
    dry_run: bool,
    quiet: bool,
) -> ExportResult:
    """Run `export` for the command line; its `problems` are raised with all others."""
    # numpy, dask and others take a second to import, so they are imported only for a run.
    from cellucid_dask.compute.choose_cluster import find_cluster_problems
    from cellucid_dask.compute.progress import Reporter
    from cellucid_dask.exporter.output_checks import output_problems
    from cellucid_dask.exporter.output_names import find_name_problems, name_outputs
    from cellucid_dask.exporter.run import run_export
    from cellucid_dask.source.open import open_source

    what, how, wrong = read_export_options(options)
    problems = [*problems, *wrong]
    source = None
    try:
        source = open_source(data, what.modality)
    except CellucidDaskError as error:
        problems += error.problems
    name = "dataset" if source is None else source.name
    given = None if out_dir is None else Path(out_dir)
    problems += find_name_problems(given, what.formats)
    outputs = name_outputs(given, what.formats, name)
    out = next(iter(outputs.values()))
    if source is None:
        raise_problems(
            [
                *problems,
                *output_problems(outputs, how),
                *find_cluster_problems(how, out, in_memory=False),
            ]
        )
    assert source is not None
    reporter = Reporter(quiet=quiet)
    return run_export(
        source, outputs, what, how, reporter=reporter, problems=problems, dry_run=dry_run
    )


@dataclass(frozen=True, slots=True, repr=False)
class CheckResult:
    """Problems of an input, and what was found in it.

    Parameters
    ----------
    problems
        Problems that would stop an export.
    warnings
        Warnings, which would not stop it.
    discovered
        What an export would use, and what it would ignore and why.
    """

    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]
    discovered: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing stops an export."""
        return not self.problems

    def __repr__(self) -> str:
        return f"<CheckResult: {self._verdict()}, {count(len(self.warnings), 'warning')}>"

    def _repr_html_(self) -> str:
        rows = {
            "problems": list(map(str, self.problems)),
            "warnings": self.warnings,
            "taken from": self.discovered,
        }
        return html_table(f"Check: {self._verdict()}", rows)

    def _verdict(self) -> str:
        return "can be exported" if self.ok else count(len(self.problems), "problem")


@with_argument_names()
def check(data: Data, **options: Unpack[ExportKeywords]) -> CheckResult:
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
        When the input cannot be opened at all.

    Warns
    -----
    DataWarning
        For each of the warnings of the result.
    """
    found = run_check(data, options, [])
    problems = tuple(map(reword_problem, found.problems))
    warn_caller(found.warnings)
    return CheckResult(
        problems, tuple(reword_all(found.warnings)), tuple(reword_all(found.discovered))
    )


def run_check(data: Data, options: Mapping[str, Any], problems: list[Problem]) -> CheckResult:
    """Run `check` for the command line; its `problems` are reported with all others."""
    from cellucid_dask.exporter.checks.outputs import survey_outputs
    from cellucid_dask.exporter.checks.recorded import use_record
    from cellucid_dask.source.open import open_source

    what, _, wrong = read_export_options(options)
    try:
        source = open_source(data, what.modality)
        if FOLDER in what.formats:
            source, what = use_record(source, what)
        found = survey_outputs(source, what)
    except CellucidDaskError as error:
        raise CellucidDaskError.of([*problems, *wrong, *error.problems]) from error
    every = tuple(dict.fromkeys([*problems, *wrong, *found.problems]))
    return CheckResult(every, tuple(found.warnings), tuple(found.notes))
