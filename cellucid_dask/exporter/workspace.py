"""Where a run works: its locked staging folder, and its workers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from cellucid_dask.compute.engine import Engine
from cellucid_dask.exporter.recovery.faults import translate_os_errors
from cellucid_dask.exporter.recovery.outputs import Outputs, first_output
from cellucid_dask.exporter.recovery.provenance import Provenance
from cellucid_dask.exporter.recovery.staging import Workspace, open_staging
from cellucid_dask.options.run import RunOptions


@contextlib.contextmanager
def open_workspace(
    engine: Engine, run: RunOptions, outputs: Outputs, provenance: Provenance | None
) -> Iterator[Workspace]:
    """Lock the staging folder, restore the previous run's progress, and start workers."""
    scratch = None if run.scratch is None else Path(run.scratch)
    with (
        translate_os_errors(first_output(outputs)),
        open_staging(outputs, scratch, provenance, restart=run.restart) as workspace,
        engine.start_workers(workspace.folders.scratch),
    ):
        yield workspace
