"""The preview stage: a sheet of thumbnails, drawn after the export is published."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from cellucid_dask.compute.progress import Reporter
from cellucid_dask.exporter.result import ExportResult
from cellucid_dask.options.run import RunOptions


@contextmanager
def write_preview_after(
    result: ExportResult, run: RunOptions, reporter: Reporter
) -> Iterator[None]:
    """Draw the export that the block publishes, if the run asks for a preview.

    The export is complete by then, and whoever waits for it must not take it for failed: what goes
    wrong here is a warning.
    """
    yield
    if run.preview is None or not result.written:
        return
    from cellucid_dask.previewer.draw import preview

    try:
        with reporter.stage("preview", 1, "sheets") as advance:
            result.preview = str(preview(result.out, os.path.abspath(run.preview)))  # noqa: PTH100
            advance()
    except Exception as error:  # noqa: BLE001  of a library that draws, anything
        why = " ".join(str(error).split()) or type(error).__name__
        result.warnings.append(f"the preview was not drawn ({why}); the export itself is complete")
