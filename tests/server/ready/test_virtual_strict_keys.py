"""A virtual store answers the keys of the export and no other, however they are spelled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ready_inputs import INPUTS
from virtual_stores import body_of, export_store, opened_on, read_files

from cellucid_dask.server.ready import virtual_store
from cellucid_dask.server.ready.virtual_store import VirtualStore

ODD = [*"/\\\0 \n\u06600.X", "//", "..", "/../", "%2e", "%2F", "%00", "00", "c/"]
Served = tuple[VirtualStore, dict[str, bytes]]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A virtual store, and the files of its export."""
    folder, data = tmp_path_factory.mktemp("strict"), INPUTS["spaces"].make()
    exported = export_store(data, folder, "AnnData")
    with opened_on(data, exported, dataset_name="AnnData") as store:
        yield store, read_files(exported)


@pytest.mark.parametrize(
    "key",
    [
        "", "/", ".", "..", "/.zmetadata", "./.zmetadata", ".zmetadata/", "obs/../.zmetadata",
        "obs//.zattrs", "obs\\.zattrs", "obs/%2ezattrs", "OBS/.zattrs", "obs/.zattrs\0",
        "zarr.json", "obs/zarr.json", "obs", "obs/", "obs/group", "obs/group/codes",
        "obs/group/codes/", "/obs/score/0", "obs/score/00", "obs/score/+0", "obs/score/-0",
        "obs/score/0.0", "obs/score/0/0", "obs/score/0 ", "obs/score/\u0660", "obs/score/0\n",
        "obs/score/1", "obs/score/1e0", "obs/score/0x0", "obs/score/c/0", "obsm/X_umap/0",
        "obsm/X_umap/0,0", "obsm/X_umap/0.1", "obsm/X_umap/00.0", "obsm/X_umap/0.0.0", "X", "X/",
        "X/0", "X/0.0", "X/data", "X/data/00", "X/data/9", "X/data/../data/0", "X/none/0",
        "uns/title/0.0", "uns/title/1", "uns/title/", "obsp/distances/.zgroup",
        "layers/counts/.zgroup", "obs/score/.zgroup", "obs/.zarray", "obs/.zmetadata",
        "raw/.zgroup", "../a.h5ad", "obs/none/0",
    ],
)  # fmt: skip
def test_a_key_that_is_none(served: Served, key: str) -> None:
    store, files = served
    assert key not in files
    assert store.find(key) is None


@given(data=st.data())
def test_a_key_with_a_part_that_is_not_its(served: Served, data: st.DataObject) -> None:
    store, files = served
    key = data.draw(st.sampled_from(sorted(files)))
    first = data.draw(st.integers(0, len(key)))
    last = data.draw(st.integers(first, min(len(key), first + 3)))
    changed = key[:first] + data.draw(st.sampled_from(ODD) | st.text(max_size=3)) + key[last:]
    found = store.find(changed)
    if changed in files:
        assert body_of(found) == files[changed] or changed == ".zmetadata"
    else:
        assert found is None


def test_a_large_chunk_is_sent_from_its_file(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, files = served
    monkeypatch.setattr(virtual_store, "IN_MEMORY", 100)
    content = store.find("obsm/X_pca/0.0")
    assert content is not None
    assert isinstance(content.body, Path)
    assert b"".join(content.pieces(0, content.size, "peer")) == files["obsm/X_pca/0.0"]
