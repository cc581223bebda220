"""A synthetic study of blood, exported and verified: what a newcomer runs first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from cellucid_dask.api import export
from cellucid_dask.errors import CellucidDaskError, OutputError
from cellucid_dask.exporter.recovery.clean import clean
from cellucid_dask.exporter.result import ExportResult
from cellucid_dask.synthetic import write_study
from cellucid_dask.verify import verify

EMBEDDINGS: Final = {2: ("X_umap_2d", "X_tsne"), 3: "X_umap_3d"}


def run_demo(
    folder: Path, cells: int, genes: int, say: Callable[[str], None]
) -> tuple[ExportResult, str]:
    """Make ``demo.h5ad`` in `folder`, export it to ``demo`` beside it, and verify that.

    Returns
    -------
    The result of the export, and a sentence on the verification.

    Raises
    ------
    CellucidDaskError
        When the folder cannot be written, or the export is not what it should be.
    """
    data, out = folder / "demo.h5ad", folder / "demo"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_study(data, cells=cells, genes=genes)
    except OSError as error:
        what = f"cannot be written ({error.strerror or error})"
        raise OutputError(what, where=str(folder), fix="name another folder with --out") from error
    say(f"made {data}: {cells:,} cells, {genes:,} genes")
    try:
        result = export(data, out, embeddings=EMBEDDINGS, force=True, restart=True)
    except BaseException as error:
        clean(out)  # the atlas is generated anew each time: there is nothing to resume
        error.__notes__ = []
        raise
    report = verify(out, data)
    if not report.ok:
        raise CellucidDaskError("the export is wrong: " + "; ".join(report.problems[:10]))
    return result, (
        f"verified: {report.files:,} files, {report.genes_compared:,} genes compared with "
        f"{data.name}, largest error {report.largest_error:.2f} quantization steps"
    )
