"""What a viewer reads when it opens an h5ad lies in the first request, of 512 KiB."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from cellucid_dask import export

FIRST = 512 << 10  # bytes
N, GENES = 12_000, 3_000


class Recorder(io.FileIO):
    """A file that notes how far it was read."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.end, self.bytes = 0, 0

    def readinto(self, buffer: Any) -> int:
        """Read, and note where that ended."""
        count = super().readinto(buffer) or 0
        self.end, self.bytes = max(self.end, self.tell()), self.bytes + count
        return count


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ready h5ad of some megabytes, with the names and the categories of an atlas."""
    folder, rng = tmp_path_factory.mktemp("opening"), np.random.default_rng(0)
    x = sparse.random_array((N, GENES), density=0.08, rng=rng, format="csr", dtype="f4")
    obs = {
        f"column {i}": pd.Categorical.from_codes(
            rng.integers(0, 60, N), [f"cell type {k}" for k in range(60)]
        )
        for i in range(12)
    }
    adata = AnnData(
        sparse.csr_matrix(x),
        obs=pd.DataFrame(obs, index=[f"AAACCCAAG{i:07d}-1" for i in range(N)]),
        var=pd.DataFrame(index=[f"ENSG{i:011d}" for i in range(GENES)]),
        obsm={key: rng.normal(size=(N, 20)).astype("f4") for key in ("X_pca", "X_scvi")},
    )
    adata.obsm["X_umap"] = rng.normal(size=(N, 2)).astype("f4")
    adata.write_h5ad(folder / "data.h5ad")
    given = {"dataset_id": "x", "latent_key": "X_pca", "quiet": True, "workers": 1}
    export(folder / "data.h5ad", folder / "ready.h5ad", format="h5ad", **given)
    return folder / "ready.h5ad"


def test_opening_reads_the_first_request_alone(ready: Path) -> None:
    assert ready.stat().st_size > 20 * FIRST
    with Recorder(ready) as raw, h5py.File(raw) as file:
        keys: list[str] = []
        file.visit(keys.append)
        for key in keys:
            member = file[key]
            dict(member.attrs)
            if isinstance(member, h5py.Dataset):
                assert member.shape is not None
                opens = key.startswith("uns/") and "/fields/" not in key
                if opens or key in ("var/_index", "X/indptr") or key.endswith("/categories"):
                    member[()]
        assert len(keys) > 60
        assert raw.bytes > 20_000, "reads of the file are seen"
        assert raw.end <= FIRST
        file["X/data"][-1:]
        assert raw.end > FIRST


def test_values_of_expression_come_last_and_in_order(ready: Path) -> None:
    with h5py.File(ready) as file:
        places = {
            name: [
                file[name].id.get_chunk_info(i).byte_offset
                for i in range(file[name].id.get_num_chunks())
            ]
            for name in ("obsm/X_pca", "X/data", "X/indices")
        }
    assert all(places[name] == sorted(places[name]) for name in places)
    assert max(places["obsm/X_pca"]) < min(places["X/data"])
    assert max(places["X/data"]) < min(places["X/indices"])
