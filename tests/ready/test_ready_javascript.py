"""zarrita and h5wasm, as web pages use them, read ready files over HTTP with ranges."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from javascript import beside_packages
from packs import CONTAINERS, write_container
from range_server import serve_ranges
from ready_damage import make_ready_data, make_stored

PROGRAM = Path(__file__).parent / "ready_reader.mjs"


@pytest.fixture(scope="session")
def reader(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program beside its packages."""
    return beside_packages(tmp_path_factory.mktemp("reader"), packages, PROGRAM)


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_page_reads_a_gene_a_column_and_an_embedding(
    container: str, reader: Path, tmp_path: Path
) -> None:
    layout, values = make_stored()
    path = write_container(container, layout.nodes(), values, tmp_path)
    with serve_ranges(tmp_path) as served:
        url = f"{served.address}/{path.name}"
        command = ["node", "--no-warnings", reader, url, "g3", "group", "X_umap"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found, adata = json.loads(done.stdout), make_ready_data()
    column = adata.X[:, 3].tocsc()
    assert found["gene"]["cells"] == column.indices.tolist()
    assert found["gene"]["values"] == column.data.tolist()
    assert found["codes"] == adata.obs["group"].cat.codes.tolist()
    assert found["categories"] == ["a", "b", "c"]
    assert found["shape"] == list(adata.obsm["X_umap"].shape)
    np.testing.assert_array_equal(np.float32(found["points"]), adata.obsm["X_umap"].ravel())
    if path.is_file():
        assert all(asked is not None for _, asked in served.requests), "the archive is read whole"
    else:
        documents = (".zattrs", ".zarray", ".zgroup", "zarr.json")
        below = [name.partition("/")[2] for name, _ in served.requests if name.endswith(documents)]
        assert [name for name in below if "/" in name] == [], "consolidated metadata say it all"
