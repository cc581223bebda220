"""Additional embeddings of a run that was killed: resumed, and written again where damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
from atlas import atlas, save, tree
from recovering import cut_in_half
from scenes import FACTS, GENE, Launcher, at_event

from cellucid_dask import CellucidDaskError, export
from cellucid_dask.exporter.recovery.outputs import staging_folder

POINTS = 'event == "os.rename" and "/points/" in os.fspath(arguments[1]).partition("/export-")[2]'


@pytest.mark.parametrize("moment", [POINTS, GENE])
def test_a_run_killed_at_any_moment_is_resumed(
    tmp_path: Path, launcher: Launcher, moment: str
) -> None:
    adata = atlas()
    adata.obsm["X_tsne"] = adata.obsm["X_pca"][:, :2].copy()
    data, out = save(adata, tmp_path / "a.h5ad"), tmp_path / "out"
    words = ["--embedding", "2d=X_umap_2d", "--embedding", "2d=X_tsne", "--workers", 1, *FACTS]
    for folder, first in ((tmp_path / "whole", ""), (out, at_event(moment, 1))):
        done = launcher.run("export", data, "-o", folder, *words, cwd=tmp_path, first=first)
        assert (done.code == 0) == (not first), done.err
    staged = staging_folder(out)
    if moment == GENE:
        (written,) = staged.glob("export-*/points/X_tsne_2d.bin.gz")
        cut_in_half(written)
    with pytest.raises(CellucidDaskError, match="option embeddings was"):
        export(data, out, quiet=True, workers=1, dataset_id="d", dataset_name="d",
               created_at=FACTS[-1], embeddings={2: "X_umap_2d"})  # fmt: skip
    assert launcher.run("export", data, "-o", out, *words, cwd=tmp_path).code == 0
    assert tree(out) == tree(tmp_path / "whole")
    assert not staged.exists()
