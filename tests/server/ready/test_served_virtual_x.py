"""X of a virtual store through a server: one index for both protocols, and what it says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from atlas import save
from scipy import sparse
from serving import ask, serving
from virtual_x import export_x, with_points

from cellucid_dask import CellucidDaskError
from cellucid_dask.ready.facts import FAST
from cellucid_dask.server.gene_index.background import BackgroundBuild
from cellucid_dask.server.ready import sample_values


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """CSR of several row chunks."""
    rng = np.random.default_rng(1)
    matrix = sparse.random_array((70_000, 8), density=0.3, rng=rng, dtype="f4", format="csr")
    return save(with_points(matrix), tmp_path / "a.h5ad")


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The builds of an index that ran."""
    ran: list[Any] = []
    real = BackgroundBuild.run

    def run(self: Any, check: Any) -> None:
        ran.append(self)
        real(self, check)

    monkeypatch.setattr(BackgroundBuild, "run", run)
    return ran


def get(server: Any, path: str) -> bytes:
    reply = ask(server, path)
    assert reply.status == 200, path
    return reply.body


@pytest.mark.parametrize("protocol", ["folder", "ready"])
@pytest.mark.parametrize("kind", ["file", "memory"])
def test_both_protocols_show_one_matrix(
    tmp_path: Path, file: Path, protocol: str, kind: str, builds: list[Any]
) -> None:
    """Of a file they share the index; of data in memory each has its own."""
    import anndata

    data = anndata.read_h5ad(file) if kind == "memory" else file
    written = zarr.open_group(export_x(file, tmp_path), mode="r")["X"]
    options = {"dataset_id": "d", "protocol": protocol, "cache_dir": str(tmp_path / "cache")}
    with serving(data, **options) as server:
        root = "/_cellucid/anndata/d.zarr/"
        listing = json.loads(get(server, root + ".zmetadata"))["metadata"]
        assert listing["X/data/.zarray"]["compressor"] == dict(FAST)
        assert listing["X/data/.zarray"]["shape"] == list(written["data"].shape)
        store = tmp_path / "store"
        for name in ("data", "indices", "indptr"):
            (store / "X" / name).mkdir(parents=True)
            for key in (".zarray", *map(str, range(written[name].nchunks))):
                content = get(server, f"{root}X/{name}/{key}")
                (store / "X" / name / key).write_bytes(content)
            found = zarr.open_array(store / "X" / name, mode="r")[:]
            assert found.tobytes() == written[name][:].tobytes(), name
        gene = np.frombuffer(get(server, "/var/g3.values.f32"), "<f4")
        low, high = written["indptr"][3:5]
        assert np.array_equal(np.flatnonzero(gene), written["indices"][low:high])
        if protocol == "folder":
            index = json.loads(get(server, "/_cellucid/info"))["index"]
            assert index["counts"]["state"] == "ready"
    assert len(builds) == (2 if kind == "memory" else 1)


def test_what_nobody_asked_for_is_not_counted(tmp_path: Path, file: Path) -> None:
    with serving(file, cache_dir=str(tmp_path / "cache")) as server:
        assert "counts" not in json.loads(get(server, "/_cellucid/info"))["index"]


def test_values_that_are_refused_are_an_error_of_the_request(tmp_path: Path) -> None:
    """The folder shows them as missing; for the public app there is no X."""
    matrix = sparse.csr_matrix(np.array([[1.0, np.nan], [0, 2]], "f4"))
    path = save(with_points(matrix), tmp_path / "a.h5ad")
    options = {"dataset_id": "d", "protocol": "ready", "cache_dir": str(tmp_path / "cache")}
    with serving(path, **options) as server:
        for key in (".zmetadata", "X/.zgroup", "X/indptr/0", "X/data/0"):
            reply = ask(server, f"/_cellucid/anndata/d.zarr/{key}")
            assert reply.status >= 400, key
            assert b"NaN" in reply.body
        gene = np.frombuffer(get(server, "/var/g1.values.f32"), "<f4")
        assert np.array_equal(gene, [np.nan, 2], equal_nan=True)


@pytest.mark.parametrize("chunks", [None, (4, 3), (30, 2)])
def test_a_dense_x_that_is_refused_is_not_served(tmp_path: Path, chunks: Any) -> None:
    """Not only when somebody chooses one of its genes."""
    values = np.ones((30, 7), "f4")
    path = save(with_points(values), tmp_path / "a.h5ad")
    with serving(path, protocol="ready", viewer="none") as server:
        assert not server.opened.warnings()
    values[17, 4] = np.nan
    with h5py.File(path, "r+") as file:
        attributes = dict(file["X"].attrs)
        del file["X"]
        file.create_dataset("X", data=values, chunks=chunks).attrs.update(attributes)
    with pytest.raises(CellucidDaskError, match=r"X: holds values that .* 1 NaN .*, column 4\)"):
        serving(path, protocol="ready", viewer="none").__enter__()
    others = {"genes": tuple(f"g{i}" for i in range(7) if i != 4)}
    with serving(path, protocol="ready", viewer="none", **others) as server:
        assert ask(server, "/_cellucid/datasets").status == 200


def test_of_a_large_dense_x_a_part_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample_values, "SAMPLE_BYTES", 200)
    monkeypatch.setattr(sample_values, "BAND_BYTES", 28)
    values = np.ones((30, 7), "f4")
    values[29, 4] = np.nan
    path = save(with_points(values), tmp_path / "a.h5ad")
    with serving(path, protocol="ready", viewer="none", dataset_id="d") as server:
        assert b"1 NaN" in ask(server, "/_cellucid/anndata/d.zarr/X/0.0").body
    values[:, 4] = np.nan
    save(with_points(values), path)
    with pytest.raises(CellucidDaskError, match="1 NaN"):
        serving(path, protocol="ready", viewer="none").__enter__()
