"""Checks before a run: the input, the previous run, and the output; nothing is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cellucid_dask.compute.choose_cluster import find_cluster_problems
from cellucid_dask.compute.progress import Reporter
from cellucid_dask.errors import Problem, raise_problems
from cellucid_dask.exporter.checks.outputs import survey_outputs
from cellucid_dask.exporter.checks.survey import Catalog
from cellucid_dask.exporter.output_checks import output_problems
from cellucid_dask.exporter.output_names import base_name
from cellucid_dask.exporter.recovery.outputs import first_output
from cellucid_dask.exporter.recovery.previous_run import PreviousRun, inspect_previous_run
from cellucid_dask.exporter.recovery.provenance import Provenance, collect_provenance
from cellucid_dask.native.library import Loaded, find_library
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.options.run import RunOptions
from cellucid_dask.source.model import Source


@dataclass(frozen=True, slots=True)
class CheckedInput:
    """An input that was checked, and what a previous run left of its export.

    Parameters
    ----------
    library
        The native library, found once for the whole run: its genes go one way.
    provenance
        What the bytes depend on; None for data in memory, and when there are problems.
    problems
        Problems of the input and the options.
    """

    catalog: Catalog
    library: Loaded
    provenance: Provenance | None
    previous: PreviousRun
    problems: tuple[Problem, ...]


def check_before_run(
    source: Source,
    outputs: Mapping[str, Path],
    options: ExportOptions,
    run: RunOptions,
    reporter: Reporter,
    vectors: Mapping[str, Mapping[int, str]] | None,
    known_problems: Sequence[Problem],
) -> CheckedInput:
    """Check the input, and inspect what a previous run left of `outputs`, by format."""
    with reporter.stage("check", 1, "inputs") as advance:
        name = base_name(first_output(outputs))
        catalog = survey_outputs(source, options, vectors, name)
        advance()
    problems = (*known_problems, *catalog.problems)
    library = find_library()
    if problems:
        return CheckedInput(catalog, library, None, PreviousRun(), problems)
    provenance = collect_provenance(catalog.source, catalog, options, library.gene_path)
    previous = inspect_previous_run(outputs, provenance, restart=run.restart)
    return CheckedInput(catalog, library, provenance, previous, ())


def check_outputs(checked: CheckedInput, outputs: Mapping[str, Path], run: RunOptions) -> None:
    """Raise all problems of the input, the outputs and the workers together.

    Raises
    ------
    InputError
        When there are any.
    """
    source, placed = checked.catalog.source, checked.previous.placed
    wanted = {name: path for name, path in outputs.items() if name not in placed}
    raise_problems(
        [
            *checked.problems,
            *output_problems(wanted, run, source.path),
            *checked.previous.problems,
            *find_cluster_problems(run, first_output(outputs), in_memory=source.local),
        ]
    )
