"""`verify` checks additional embeddings and the list of all, also against the data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from atlas import atlas, save
from verifying import OPTIONS, MutableExport, edit, has_problem, seal

from cellucid_dask import export
from cellucid_dask import format as fmt
from cellucid_dask.verify import verify

POINTS = "points/X_tsne_2d.bin"
Change = Callable[[list[dict[str, Any]]], Any]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    adata = atlas()
    adata.obsm["X_tsne"] = adata.obsm["X_pca"][:, :2].copy()
    adata.obsm["spatial"] = adata.obsm["X_pca"][:, 2:4].copy()
    return save(adata, tmp_path_factory.mktemp("data") / "a.h5ad")


@pytest.fixture
def made(data: Path, tmp_path: Path) -> Path:
    several = {2: ["X_umap_2d", "X_tsne", "spatial"]}
    export(data, tmp_path / "out", embeddings=several, compression=0, **OPTIONS)
    return tmp_path / "out"


def test_damaged_points_are_found(made: Path, data: Path) -> None:
    damaged = MutableExport(made)
    good = damaged.good[POINTS]
    damaged.notices(POINTS, **{POINTS: None})
    damaged.notices(POINTS, **{POINTS: good[:-4]})
    damaged.notices(POINTS, **{POINTS: good[:9] + b"\x00" + good[10:]})
    damaged.notices("points/other_2d.bin", **{"points/other_2d.bin": good})
    points = np.frombuffer(good, "<f4").copy()
    for value, told in ((np.nan, "1 points are not finite"), (3, "outside [-1, 1]"), (0.5, "")):
        points[7] = value
        (made / POINTS).write_bytes(points.tobytes())
        report = verify(seal(made))
        assert all(told in problem for problem in report.problems)
        assert report.ok == (not told)
    report = verify(made, data)
    assert has_problem(report, f"{POINTS}: ")
    assert has_problem(report, "obsm['X_tsne']")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda found: found[3].update(path="points/X_umap_2d.bin"), "embeddings, sources"),
        (lambda found: found[3].update(dimension=4), "4 is not a number of dimensions"),
        (lambda found: found[2].update(dimension=3), f"{POINTS}: is not named in any manifest"),
        (lambda found: found[2].update(id="X_umap"), f"{POINTS}: is not named in any manifest"),
        (lambda found: found[3].pop("y_down"), "embeddings, sources"),
        (lambda found: found[2].update(y_down=True), "embeddings, sources"),
        (lambda found: found.pop(0), "embeddings, sources"),
        (lambda found: found.pop(2), f"{POINTS}: is not named in any manifest"),
        (lambda found: found.append(found[2]), "embeddings, sources"),
        (lambda found: found.reverse(), "embeddings, sources"),
        (lambda found: found[2].pop("id"), "lacks 'id'"),
        (lambda found: found[2].update(more=1), "unknown key 'more'"),
    ],
)
def test_a_wrong_list_is_found(made: Path, change: Change, told: str) -> None:
    edit(made / fmt.IDENTITY, lambda identity: change(identity["embeddings"]["sources"]))
    assert has_problem(verify(seal(made)), told)


def test_older_exports_have_no_list(data: Path, tmp_path: Path) -> None:
    export(data, tmp_path / "out", **OPTIONS)
    edit(tmp_path / "out" / fmt.IDENTITY, lambda identity: identity["embeddings"].pop("sources"))
    assert verify(seal(tmp_path / "out"), data).problems == ()


def test_data_that_has_lost_an_embedding(made: Path, tmp_path: Path) -> None:
    adata = atlas()
    adata.obsm["spatial"] = adata.obsm["X_pca"][:, :3].copy()
    report = verify(made, save(adata, tmp_path / "other.h5ad"))
    told = "obsm['X_tsne'] is not an embedding of 2 dimensions"
    assert has_problem(report, f"{POINTS}: {told}")
    assert has_problem(report, "points/spatial_2d.bin: obsm['spatial'] is not an embedding")
    identity = json.loads((made / fmt.IDENTITY).read_text())
    assert identity["embeddings"]["files"] == {"2d": "points_2d.bin", "3d": "points_3d.bin"}
