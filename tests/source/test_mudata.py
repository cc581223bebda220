"""MuData: a modality is exported like a file of its own, with what the whole says of its cells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from atlas import atlas, here, save, tree
from comparing import assert_serves, export_of
from multimodal import write_mudata
from oracle import read_export
from scipy import sparse
from serving import Client, serving

from cellucid_dask import check, export
from cellucid_dask.errors import CellucidDaskError
from cellucid_dask.exporter.checks.survey import survey
from cellucid_dask.exporter.recovery.provenance import collect_provenance, differences
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.options.run import RunOptions
from cellucid_dask.server.build_index import build_index
from cellucid_dask.source.open import open_source
from cellucid_dask.verify import verify

KINDS = ("joint.h5mu", "joint.zarr", "joint.zarr.zip")
N = 60
FIXED = {"dataset_id": "a", "dataset_name": "a", "created_at": "2026-01-31T12:00:00Z"}


def rna() -> anndata.AnnData:
    adata = atlas(N, 12)
    adata.raw = adata
    return adata


def protein(names: Any = None) -> anndata.AnnData:
    """Another modality, of other values; of the cells `names`, in their order."""
    adata = atlas(N, 5, seed=1)
    adata.var_names = [f"CD{i}" for i in range(5)]
    adata.obs = adata.obs.rename(columns={"n_counts": "n_tags"})
    return adata if names is None else adata[names].copy()


def whole(index: Any) -> pd.DataFrame:
    """Obs of the whole: a column of its own, one that both have, and copies of the modalities'."""
    n = len(index)
    return pd.DataFrame(
        {
            "joint": pd.Categorical(np.array(["x", "y"])[np.arange(n) % 2]),
            "text": [f"t{i % 3}" for i in range(n)],
            "rank": np.arange(n, dtype="f4"),
            "cell_type": np.arange(n, dtype="f4") + 1000,
            "rna:n_counts": np.arange(n, dtype="f4") + 2000,
            "prot:n_tags": np.arange(n, dtype="f4") + 3000,
        },
        index=index,
    )


def ring(n: int) -> sparse.csr_matrix:
    ends = np.arange(n), (np.arange(n) + 1) % n
    return sparse.csr_matrix((np.ones(n, "f4"), ends), shape=(n, n))


def points(n: int, d: int) -> np.ndarray:
    return np.arange(n * d, dtype="f4").reshape(n, d) ** 1.5


@pytest.mark.parametrize(
    ("name", "chosen"), list(zip(KINDS, [{}, {"raw": True}, {"layer": "counts"}], strict=True))
)
def test_a_modality_is_exported_as_a_file_of_its_own(
    tmp_path: Path, name: str, chosen: dict[str, Any]
) -> None:
    path = write_mudata(
        tmp_path / name, {"rna": rna(), "prot": protein()}, pd.DataFrame(index=rna().obs_names)
    )
    own = save(rna(), tmp_path / "own.h5ad")
    export(path, tmp_path / "1" / "a", modality="rna", quiet=True, **FIXED, **chosen)
    export(own, tmp_path / "2" / "a", quiet=True, **FIXED, **chosen)
    assert tree(tmp_path / "1") == tree(tmp_path / "2")
    report = verify(tmp_path / "1" / "a", path, modality="rna", **chosen)
    assert (report.problems, report.not_compared) == ((), ())
    assert verify(tmp_path / "1" / "a", own, **chosen).ok


@pytest.mark.parametrize("name", KINDS)
def test_what_the_whole_says_counts_too(tmp_path: Path, name: str) -> None:
    cells = rna().obs_names
    parts = {"obsm": {"X_wnn": points(N, 2), "X_umap_2d": points(N, 2)}, "obsp": {"wnn": ring(N)}}
    path = write_mudata(tmp_path / name, {"rna": rna(), "prot": protein()}, whole(cells), **parts)
    adata = rna()
    for key in ("joint", "text", "rank", "prot:n_tags"):
        adata.obs[key] = whole(cells)[key]
    adata.obsm["X_wnn"], adata.obsp["wnn"] = points(N, 2), ring(N)
    own = save(adata, tmp_path / "own.h5ad")
    options = {**FIXED, "embeddings": {2: "X_wnn"}, "graph": "wnn"}
    export(path, tmp_path / "1" / "a", modality="rna", quiet=True, **options)
    export(own, tmp_path / "2" / "a", quiet=True, **options)
    assert tree(tmp_path / "1") == tree(tmp_path / "2")
    chosen = {"embeddings": {2: "X_wnn"}, "graph": "wnn"}
    report = verify(tmp_path / "1" / "a", path, modality="rna", **chosen)
    assert (report.problems, report.not_compared) == ((), ())
    found = check(path, modality="rna")
    left_out = {line.split()[1] for line in found.discovered if "the modality has its own" in line}
    assert left_out == {"obs/cell_type", "obs/rna:n_counts", "obsm/X_umap_2d"}
    assert found.warnings == ()


def test_what_both_have_can_be_named_as_that_of_the_whole(tmp_path: Path) -> None:
    cells = rna().obs_names
    parts = {"obsm": {"X_umap_2d": points(N, 2)}, "obsp": {"connectivities": ring(N)}}
    path = write_mudata(tmp_path / "a.h5mu", {"rna": rna()}, pd.DataFrame(index=cells), **parts)
    adata = rna()
    adata.obsm["X_umap_2d"], adata.obsp["connectivities"] = points(N, 2), ring(N)
    own = save(adata, tmp_path / "own.h5ad")
    chosen = {"embeddings": {2: "whole:X_umap_2d"}, "graph": "whole:connectivities"}
    export(path, tmp_path / "1" / "a", modality="rna", quiet=True, **FIXED, **chosen)
    export(own, tmp_path / "2" / "a", quiet=True, **FIXED)
    whole, single = tree(tmp_path / "1"), tree(tmp_path / "2")
    naming = {"a/dataset_identity.json", "a/checksums.json"}  # the identity names obsm keys
    assert {name for name in whole if whole[name] != single[name]} == naming
    assert verify(tmp_path / "1" / "a", path, modality="rna", **chosen).ok
    assert not verify(tmp_path / "1" / "a", path, modality="rna").ok


@pytest.mark.parametrize(
    ("name", "told"), list(zip(KINDS, ["right", "absent", "stale"], strict=True))
)
def test_other_cells_in_another_order_are_taken_row_by_row(
    tmp_path: Path, name: str, told: str
) -> None:
    cells = rna().obs_names
    shuffled = np.random.default_rng(3).permutation(cells)[:40]
    prot = protein(shuffled)
    parts: dict[str, Any] = {"obsm": {"X_wnn": points(N, 2)}, "obsp": {"wnn": ring(N)}}
    if told != "right":
        wrong = np.r_[np.arange(1, 41), np.zeros(20)].astype(np.uint32)
        parts["positions"] = {} if told == "absent" else {"prot": wrong}
    path = write_mudata(tmp_path / name, {"rna": rna(), "prot": prot}, whole(cells), **parts)
    rows = cells.get_indexer(shuffled)
    adata = prot.copy()
    for key in ("joint", "text", "rank", "rna:n_counts"):
        adata.obs[key] = whole(cells)[key]  # by the names of the cells
    adata.obsm["X_wnn"] = points(N, 2)[rows]
    own = save(adata, tmp_path / "own.h5ad")
    options = {**FIXED, "embeddings": {2: "X_wnn"}}
    export(own, tmp_path / "2" / "a", quiet=True, **options)
    export(path, tmp_path / "1" / "a", modality="prot", quiet=True, **options)
    warnings = check(path, modality="prot").warnings
    assert tree(tmp_path / "1") == tree(tmp_path / "2")
    chosen = {"embeddings": {2: "X_wnn"}}
    report = verify(tmp_path / "1" / "a", path, modality="prot", **chosen)
    assert (report.problems, report.not_compared) == ((), ())
    assert [line for line in warnings if line.startswith("obsp/wnn of the whole")] == [*warnings]


def test_nothing_is_taken_of_a_whole_whose_cells_cannot_be_told(tmp_path: Path) -> None:
    cells = [*rna().obs_names[:-1], "cell0"]
    path = write_mudata(
        tmp_path / "a.h5mu",
        {"rna": rna()},
        whole(pd.Index(cells)),
        obsm={"X_wnn": points(N, 2)},
        positions={},
    )
    result = export(path, tmp_path / "1" / "a", modality="rna", quiet=True, **FIXED)
    (warning,) = result.warnings
    assert warning.startswith("nothing is taken of the MuData as a whole")
    export(save(rna(), tmp_path / "own.h5ad"), tmp_path / "2" / "a", quiet=True, **FIXED)
    assert tree(tmp_path / "1") == tree(tmp_path / "2")
    assert verify(tmp_path / "1" / "a", path, modality="rna").ok


def test_a_text_of_fewer_cells_has_the_categories_that_are_there(tmp_path: Path) -> None:
    obs = pd.DataFrame({"text": [f"t{i:02}" for i in range(N)]}, index=rna().obs_names)
    some = obs.index[[5, 3, 8]].repeat(1)
    path = write_mudata(
        tmp_path / "a.h5mu", {"rna": rna()[some].copy()}, obs.astype({"text": object})
    )
    export(path, tmp_path / "a", modality="rna", quiet=True, **FIXED)
    fields = read_export(tmp_path / "a").manifests["obs_manifest.json"]["_categoricalFields"]
    labels = {entry[0]: entry[1] for entry in fields}
    assert labels["text"] == ["t03", "t05", "t08"]


# -------------------------------------------------------------------------- naming a modality


def test_a_mudata_is_no_anndata_without_a_modality(tmp_path: Path, capfd: Any) -> None:
    path, out = tmp_path / "a.h5mu", tmp_path / "out"
    write_mudata(path, {"rna": rna(), "prot": protein()}, whole(rna().obs_names))
    export(path, tmp_path / "good", modality="rna", quiet=True)
    for words in (
        ("check", path),
        ("export", path, "-o", out),
        ("serve", path, "--port", 0),
        ("index", path),
        ("verify", tmp_path / "good", "--against", path),
    ):
        ended = here(capfd, *words)
        assert ended.code == 2
        assert "is a MuData, which holds an AnnData for each modality: 'rna', 'prot'" in ended.err
        assert "--modality" in ended.err
        ended = here(capfd, *words, "--modality", "rnaa")
        assert ended.code == 2
        assert "--modality: there is no modality 'rnaa'" in ended.err
        assert "'rna'" in ended.err
    assert not out.exists()


def test_a_modality_of_what_is_no_mudata_is_refused(tmp_path: Path, capfd: Any) -> None:
    path = save(rna(), tmp_path / "a.h5ad")
    export(path, tmp_path / "good", quiet=True)
    for words in (("check", path), ("verify", tmp_path / "good", "--against", path)):
        ended = here(capfd, *words, "--modality", "rna")
        assert ended.code == 2
        assert "--modality: needs a MuData" in ended.err
    with pytest.raises(CellucidDaskError, match="modality"):
        export(rna(), tmp_path / "out", modality="rna")
    ended = here(capfd, "serve", tmp_path / "good", "--modality", "rna", "--port", 0)
    assert ended.code == 2
    assert "--modality: has no meaning for an export" in ended.err


# ------------------------------------------------------------------- what tells modalities apart


def test_a_run_does_not_go_on_with_that_of_another_modality(tmp_path: Path) -> None:
    path = write_mudata(
        tmp_path / "a.h5mu", {"rna": rna(), "prot": rna()}, pd.DataFrame(index=rna().obs_names)
    )
    found = {}
    for name in ("rna", "prot"):
        options = ExportOptions(modality=name, created_at=FIXED["created_at"])
        source = open_source(path, name)
        found[name] = collect_provenance(source, survey(source, options), options, "numpy")
        assert source.name == f"a-{name}", "two modalities get two folders and two ids"
    assert differences(found["rna"] or {}, found["rna"]) == []
    (told,) = differences(found["rna"] or {}, found["prot"])
    assert told == "option modality was 'rna', is 'prot'"


@pytest.mark.parametrize("name", ["joint.zarr", "joint.zarr.zip"])
def test_modalities_are_served_each_with_its_own_index(tmp_path: Path, name: str) -> None:
    cells = rna().obs_names
    prot = protein(np.random.default_rng(3).permutation(cells)[:40])
    path = write_mudata(
        tmp_path / name,
        {"rna": rna(), "prot": prot},
        whole(cells),
        obsm={"X_wnn": points(N, 2)},
    )
    for modality in ("rna", "prot"):
        options = {"modality": modality, "embeddings": {2: "X_wnn"}, "dataset_name": "a"}
        files = export_of(path, tmp_path / modality, **options)
        cache = tmp_path / "cache"
        run = RunOptions(workers=1)
        made = build_index(
            path, run, modality=modality, layer=None, raw=False, cache_dir=str(cache), quiet=True
        )
        assert made.made
        options |= {"created_at": "2026-01-31T12:00:00Z", "cache_dir": cache}
        with serving(path, **options) as server:
            assert_serves(server, files)
            metadata = ".zarray" if name == "joint.zarr" else "zarr.json"
            with Client(server) as get:
                reply = get(f"/_cellucid/zarr/X/indptr/{metadata}")
            n_cells = {"rna": N, "prot": 40}[modality]
            assert json.loads(reply.body)["shape"] == [n_cells + 1]
