"""Only what is asked for can refuse a file: links to nothing and damage in what nobody uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pytest
import zarr
from atlas import atlas, here, save
from oracle import file_bytes, silent
from serving import Client, serving

from cellucid_dask import check, export
from cellucid_dask.verify import verify

FIXED = {"quiet": True, "workers": 1, "created_at": "2026-01-31T12:00:00Z", "dataset_name": "a"}


def whole() -> ad.AnnData:
    """An atlas with one more of everything than an export uses."""
    adata = atlas()
    adata.obsm["X_scvi"] = adata.obsm["X_pca"][:, ::-1].copy()
    adata.obsm["velocity_umap_2d"] = adata.obsm["X_umap_2d"] * np.float32(0.1)
    adata.obsp["distances"] = adata.obsp["connectivities"].copy()
    adata.raw = adata.copy()
    return adata


def soft(group: h5py.Group, name: str) -> None:
    group[name] = h5py.SoftLink("/nowhere/at/all")


def external(group: h5py.Group, name: str) -> None:
    group[name] = h5py.ExternalLink("other.h5", "/X")


def empty(group: h5py.Group, name: str) -> None:
    group.create_group(name).attrs["encoding-type"] = "csr_matrix"


def torn(group: h5py.Group, name: str) -> None:
    group.create_group(name).attrs["encoding-type"] = "dataframe"


WAYS: Mapping[str, tuple[Callable[[h5py.Group, str], None], str]] = {
    "soft": (soft, "is a link to /nowhere/at/all, which is not there"),
    "external": (external, "is a link to /X in other.h5, which is not there"),
    "empty": (empty, "is no matrix this program knows"),
    "torn": (torn, ""),
}


def spoil(path: Path, key: str, way: str) -> str:
    """Put something useless at `key` in place of what is there, and return what is said of it."""
    make, what = WAYS[way]
    with h5py.File(path, "r+") as file:
        del file[key]
        folder, _, name = key.rpartition("/")
        make(file[folder or "/"], name)
    return what


# ---------------------------------------------------------------------- what nobody asks for

UNUSED = ("layers/counts", "obsm/X_pca", "obsp/distances", "raw/var", "raw/X")


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Files of the export while nothing is wrong."""
    folder = tmp_path_factory.mktemp("whole")
    export(save(whole(), folder / "a.h5ad"), folder / "out", **FIXED)
    return file_bytes(folder / "out")


@pytest.mark.parametrize("way", WAYS)
def test_what_nobody_uses_stops_nothing(tmp_path: Path, before: dict[str, bytes], way: str) -> None:
    path = save(whole(), tmp_path / "a.h5ad")
    for key in UNUSED:
        what = spoil(path, key, way)
    result = export(path, tmp_path / "after", **FIXED)
    assert file_bytes(tmp_path / "after") == before
    if "link" in what:
        told = [f"{key} is not used: it {what}" for key in UNUSED if key != "raw/var"]
        assert sorted(result.warnings) == sorted(told)
    report = verify(tmp_path / "after", path)
    assert (report.problems, report.not_compared) == ((), ())


@pytest.mark.parametrize("key", ["layers", "raw", "uns"])
def test_folders_that_nobody_uses_stop_nothing(
    tmp_path: Path, before: dict[str, bytes], key: str
) -> None:
    path = save(whole(), tmp_path / "a.h5ad")
    spoil(path, key, "soft")
    export(path, tmp_path / "after", **FIXED)
    assert file_bytes(tmp_path / "after") == before
    assert verify(tmp_path / "after", path).ok


def test_a_server_warns_and_serves(tmp_path: Path) -> None:
    path = save(whole(), tmp_path / "a.h5ad")
    for key in UNUSED[:3]:
        spoil(path, key, "soft")
    with serving(path) as server, Client(server) as get:
        assert get("/obs_manifest.json").status == 200
    warnings = check(path).warnings
    assert [key for key in UNUSED[:3] if any(key in line for line in warnings)] == [*UNUSED[:3]]


def test_names_that_are_not_utf8_stop_nothing(tmp_path: Path) -> None:
    path = save(whole(), tmp_path / "a.h5ad")
    with h5py.File(path, "r+") as file:
        for folder, source in (("layers", "counts"), ("obsm", "X_pca"), ("obsp", "distances")):
            file[folder]["Gr\u00f6\u00dfe".encode("latin1")] = file[f"{folder}/{source}"]
    result = export(path, tmp_path / "out", **FIXED)
    told = [line for line in result.warnings if "has a name that is not UTF-8" in line]
    assert [line.split()[0] for line in told] == [
        rf"{folder}/Gr\xf6\xdfe" for folder in ("obsm", "layers", "obsp")
    ]
    assert verify(tmp_path / "out", path).ok


def test_rows_of_an_array_that_nobody_uses(tmp_path: Path) -> None:
    path = save(whole(), tmp_path / "a.h5ad")
    with h5py.File(path, "r+") as file:
        file["obsm/spatial"] = np.zeros((7, 2))
    (warning,) = check(path).warnings
    assert warning == "obsm/spatial is not used: it has shape (7, 2), but obs has 60 cells"


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("consolidated", [True, False])
def test_zarr_members_that_are_gone_or_torn(
    tmp_path: Path, before: dict[str, bytes], version: Any, consolidated: bool
) -> None:
    path = tmp_path / "a.zarr"
    root = zarr.open_group(path, mode="w", zarr_format=version)
    silent(ad.io.write_elem, root, "/", whole())
    if consolidated:
        silent(zarr.consolidate_metadata, root.store)
    name = ".zarray" if version == 2 else "zarr.json"
    (path / "obsm" / "X_pca" / name).write_text('{"shape": [6')
    (path / "layers" / "counts" / "indptr" / name).unlink()
    for file in (path / "obsp" / "distances").glob("*"):
        file.unlink() if file.is_file() else (file / name).unlink(missing_ok=True)
    export(path, tmp_path / "after", **FIXED)
    assert file_bytes(tmp_path / "after") == before


# ------------------------------------------------------------------------ what is asked for


@pytest.mark.parametrize(
    ("key", "asked", "way_out"),
    [
        ("obsm/X_umap_3d", {}, {"embeddings": {2: "X_umap_2d"}}),
        ("obsm/X_scvi", {}, {"latent_key": "X_pca"}),
        ("obsm/X_pca", {"latent_key": "X_pca"}, {}),
        ("obsm/velocity_umap_2d", {}, {"vectors": False}),
        ("obsp/connectivities", {}, {"connectivity": False}),
        ("obsp", {}, {"connectivity": False}),
        ("obsp/distances", {"graph": "distances"}, {}),
        ("layers/counts", {"layer": "counts"}, {}),
        ("raw/X", {"raw": True}, {}),
        ("raw/var", {"raw": True}, {}),
        ("X", {}, {"layer": "counts"}),
        ("obs/n_counts", {}, {"obs_keys": ["cell_type"]}),
        ("var/_index", {}, {"gene_id_column": "symbol"}),
    ],
)
def test_what_is_asked_for_refuses_and_says_how_to_do_without(
    tmp_path: Path, key: str, asked: dict[str, Any], way_out: dict[str, Any]
) -> None:
    adata = whole()
    adata.var["symbol"] = [f"S{i}" for i in range(12)]
    path = save(adata, tmp_path / "a.h5ad")
    what = spoil(path, key, "soft")
    (problem,) = check(path, **asked).problems
    assert problem.where.endswith(f", {key}") or problem.where == f"obs['{key[4:]}']"
    assert problem.what == what
    for argument in way_out.keys() - {"layer"}:
        assert argument in problem.fix
    assert check(path, **way_out).ok


def test_the_command_refuses_in_words(tmp_path: Path, capfd: Any) -> None:
    path = save(whole(), tmp_path / "a.h5ad")
    spoil(path, "obsm/X_umap_3d", "external")
    ended = here(capfd, "export", path, "-o", tmp_path / "out")
    assert ended.code == 2
    assert "obsm/X_umap_3d: is a link to /X in other.h5, which is not there" in ended.err
    assert "--embedding 2d=KEY" in ended.err
